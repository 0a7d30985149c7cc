//! What a person allowed from now on, and what that covers.
//!
//! A grant covers exact leading words, never a pattern, and only commands that are read without any doubt.

use crate::protocol::{FileChange, Grant, Intent, obeyed_by};

use super::{below, command, file_paths};

/// Programs that do whatever their arguments say: no prefix of theirs means anything.
const CARRIERS: &[&str] = &[
    "builtin", "chroot", "command", "doas", "env", "eval", "exec", "find", "ionice", "nice", "nohup",
    "nsenter", "parallel", "pkexec", "setsid", "source", "stdbuf", "su", "sudo", "time", "timeout",
    "unshare", "watch", "xargs", ".",
];

/// Programs that need at least a subcommand, script or package (and not an option) to mean something.
const RUNNERS: &[&str] = &[
    "ash",
    "awk",
    "bash",
    "bun",
    "bunx",
    "cargo",
    "csh",
    "dash",
    "deno",
    "docker",
    "fish",
    "gawk",
    "gh",
    "git",
    "go",
    "kubectl",
    "ksh",
    "lua",
    "make",
    "mawk",
    "node",
    "npm",
    "npx",
    "osascript",
    "perl",
    "php",
    "pip",
    "pip3",
    "pipx",
    "pnpm",
    "podman",
    "poetry",
    "powershell",
    "pwsh",
    "python",
    "python2",
    "python3",
    "ruby",
    "sh",
    "ssh",
    "tclsh",
    "tcsh",
    "uv",
    "uvx",
    "yarn",
    "zsh",
];

/// Whether a prefix would allow too much to be granted at all.
#[must_use]
pub fn too_broad(words: &[String]) -> bool {
    let Some(first) = words.first() else { return true };
    let name = first.rsplit('/').next().unwrap_or(first);
    if name.is_empty() || CARRIERS.contains(&name) {
        return true;
    }
    // python3.12 is python3 is python.
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let runner = RUNNERS.contains(&name) || RUNNERS.contains(&stem);
    runner && words.get(1).is_none_or(|word| word.is_empty() || word.starts_with('-'))
}

/// What a person may be offered to allow from now on, instead of this call alone. Nothing where every such rule
/// would be too broad, or not plain enough to be sure of.
#[must_use]
pub fn proposals(intent: &Intent) -> Vec<Grant> {
    match intent {
        Intent::Command { command, prefix, .. } => {
            let commands = command::plain(command).unwrap_or_default();
            let [words] = commands.as_slice() else { return Vec::new() };
            let proposed = if !prefix.is_empty() && words.starts_with(prefix) && !too_broad(prefix) {
                prefix.clone()
            } else {
                words.clone()
            };
            if too_broad(&proposed) { Vec::new() } else { vec![Grant::CommandPrefix { words: proposed }] }
        }
        Intent::Write { files } => {
            let mut outside = files.iter().filter(|file| file.outside).flat_map(file_paths);
            match (outside.next(), outside.next()) {
                (Some(path), None) => vec![Grant::WriteBelow { path: path.to_owned() }],
                _ => Vec::new(),
            }
        }
        Intent::None | Intent::Read { .. } | Intent::Input { .. } | Intent::Unknown => Vec::new(),
    }
}

/// The grant under which a command may run: every command of the line must be covered.
pub(super) fn for_command<'a>(text: &str, grants: &'a [Grant]) -> Option<&'a Grant> {
    if grants.is_empty() {
        return None;
    }
    let commands = command::plain(text)?;
    let mut first = None;
    for words in &commands {
        let grant = grants.iter().find(|grant| match grant {
            Grant::CommandPrefix { words: prefix } => !too_broad(prefix) && words.starts_with(prefix),
            Grant::WriteBelow { .. } | Grant::Unknown => false,
        })?;
        first.get_or_insert(grant);
    }
    first
}

/// The grant under which a file may be changed.
pub(super) fn for_file<'a>(file: &FileChange, grants: &'a [Grant]) -> Option<&'a Grant> {
    grants.iter().find(|grant| match grant {
        Grant::WriteBelow { path: root } => file_paths(file).all(|path| {
            let rest = path.strip_prefix(root);
            below(path, root) && rest.is_ok_and(|rest| obeyed_by(rest).is_none())
        }),
        Grant::CommandPrefix { .. } | Grant::Unknown => false,
    })
}
