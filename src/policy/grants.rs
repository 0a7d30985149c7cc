//! What a person allowed from now on, and what that covers.
//!
//! A grant covers exact leading words, never a pattern, and only commands that are read without any doubt.

use std::path::{Path, PathBuf};

use crate::protocol::{FileChange, Grant, Intent, Rule, Scope, obeyed_by};

use super::{Policy, below, command, file_paths, plain_path};

/// Programs that do whatever their arguments say: no prefix of theirs means anything.
const CARRIERS: &[&str] = &[
    ".",
    "at",
    "batch",
    "builtin",
    "busybox",
    "bwrap",
    "chroot",
    "chrt",
    "command",
    "coproc",
    "crontab",
    "dbus-run-session",
    "direnv",
    "doas",
    "ed",
    "emacs",
    "entr",
    "env",
    "eval",
    "ex",
    "exec",
    "expect",
    "fakeroot",
    "find",
    "firejail",
    "flock",
    "gdb",
    "ionice",
    "lldb",
    "ltrace",
    "newgrp",
    "nice",
    "nix-shell",
    "nohup",
    "nsenter",
    "numactl",
    "nvim",
    "parallel",
    "perf",
    "pkexec",
    "prlimit",
    "proot",
    "rlwrap",
    "rr",
    "runuser",
    "screen",
    "script",
    "setarch",
    "setpriv",
    "setsid",
    "sg",
    "socat",
    "source",
    "ssh",
    "start-stop-daemon",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemd-run",
    "taskset",
    "time",
    "timeout",
    "tmux",
    "toybox",
    "trap",
    "unshare",
    "unbuffer",
    "valgrind",
    "vi",
    "vim",
    "watch",
    "watchexec",
    "xargs",
    "xvfb-run",
];

/// Programs that run what the files of the workspace, or a package from anywhere, say.
const TASK_RUNNERS: &[&str] = &[
    "ant",
    "bazel",
    "bunx",
    "git",
    "gmake",
    "gradle",
    "gradlew",
    "hatch",
    "invoke",
    "just",
    "make",
    "mise",
    "mvn",
    "ninja",
    "nox",
    "npx",
    "pipx",
    "pnpx",
    "pre-commit",
    "rake",
    "task",
    "tox",
    "uvx",
];

/// Programs that need at least a subcommand, script or package (and not an option) to mean something.
const RUNNERS: &[&str] = &[
    "bundle", "cargo", "composer", "conda", "docker", "gh", "go", "kubectl", "mamba", "nerdctl", "nix",
    "npm", "oc", "pdm", "pip", "pip3", "pipenv", "pixi", "pnpm", "podman", "poetry", "rustup", "rye", "uv",
    "yarn",
];

/// Programs that do whatever a file or their arguments say: no prefix of theirs means anything.
const INTERPRETERS: &[&str] = &[
    "Rscript",
    "ash",
    "awk",
    "bash",
    "bun",
    "csh",
    "dash",
    "deno",
    "elvish",
    "fish",
    "gawk",
    "groovy",
    "guile",
    "java",
    "julia",
    "ksh",
    "lua",
    "luajit",
    "mawk",
    "mksh",
    "node",
    "nodejs",
    "nu",
    "osascript",
    "pdksh",
    "perl",
    "php",
    "powershell",
    "pwsh",
    "pypy",
    "python",
    "rbash",
    "ruby",
    "sh",
    "tclsh",
    "tcsh",
    "ts-node",
    "tsx",
    "wish",
    "xonsh",
    "yash",
    "zsh",
];

/// What of a runner runs anything that follows, or sets up what is run later.
const CARRYING: &[(&str, &[&str])] = &[
    ("bundle", &["config"]),
    ("docker", &["compose", "container", "build", "buildx"]),
    ("gh", &["alias", "extension", "codespace"]),
    ("go", &["generate", "tool"]),
    ("kubectl", &["attach", "cp", "debug"]),
    ("nix", &["develop", "shell"]),
    ("npm", &["config", "explore", "pkg"]),
    ("pnpm", &["config"]),
    ("podman", &["compose", "container", "build"]),
    ("poetry", &["shell"]),
    ("uv", &["tool"]),
    ("yarn", &["config", "node", "workspace", "workspaces"]),
];

/// The same of any runner.
const CARRYING_ALL: &[&str] = &["dlx", "eval", "exec", "repl", "run", "x"];

/// Runners for which these are scripts of the workspace, too.
const SCRIPTS: &[&str] = &["npm", "pnpm", "yarn"];
const SCRIPT_NAMES: &[&str] = &["restart", "start", "stop", "test"];

/// Whether a prefix would allow too much to be granted at all.
#[must_use]
pub fn too_broad(words: &[String]) -> bool {
    let Some(first) = words.first() else { return true };
    let name = first.rsplit('/').next().unwrap_or(first);
    let is = |names: &[&str]| names.contains(&name) || names.contains(&stem(name));
    if name.is_empty() || is(CARRIERS) || is(INTERPRETERS) || is(TASK_RUNNERS) {
        return true;
    }
    if !is(RUNNERS) {
        return false;
    }
    // An option, or another toolchain.
    let Some(second) = words.get(1).filter(|word| !word.is_empty() && !word.starts_with(['-', '+'])) else {
        return true;
    };
    let second = second.as_str();
    CARRYING_ALL.contains(&second)
        || SCRIPTS.contains(&name) && SCRIPT_NAMES.contains(&second)
        || CARRYING.iter().any(|(runner, carrying)| *runner == name && carrying.contains(&second))
}

/// python3.12 is python3 is python.
fn stem(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-')
}

/// Whether the command runs a file that a command may write: what it does tomorrow is not what was seen today.
fn runs_own_file(words: &[String], workdir: &Path, policy: &Policy) -> bool {
    let written = |file: &str| policy.holds(&plain_path(&workdir.join(file)));
    let Some(program) = words.first() else { return false };
    if program.contains('/') && written(program) {
        return true;
    }
    let name = program.rsplit('/').next().unwrap_or(program);
    let interprets = INTERPRETERS.contains(&name) || INTERPRETERS.contains(&stem(name));
    interprets && words.iter().skip(1).find(|word| !word.starts_with('-')).is_some_and(|file| written(file))
}

/// The program in the workspace that a command runs by its place there: a rule for it is bound to its content.
#[must_use]
pub fn own_program(words: &[String], workdir: &Path, policy: &Policy) -> Option<PathBuf> {
    let program = words.first().filter(|program| program.contains('/'))?;
    Some(plain_path(&workdir.join(program))).filter(|path| policy.holds(path))
}

/// The programs in the workspace whose content decides about a call.
#[must_use]
pub fn own_programs(intent: &Intent, policy: &Policy) -> Vec<PathBuf> {
    let Intent::Command { command, workdir, .. } = intent else { return Vec::new() };
    let commands = command::plain(command).unwrap_or_default();
    commands.iter().filter_map(|words| own_program(words, workdir, policy)).collect()
}

/// What a person may be offered to allow from now on, instead of this call alone. Nothing where every such rule
/// would be too broad, or not plain enough to be sure of.
#[must_use]
pub fn proposals(intent: &Intent, policy: &Policy) -> Vec<Grant> {
    match intent {
        Intent::Command { command, workdir, prefix, .. } => {
            let commands = command::plain(command).unwrap_or_default();
            let [words] = commands.as_slice() else { return Vec::new() };
            if let Some(hash) = own_program(words, workdir, policy).and_then(|path| policy.scripts.get(&path))
            {
                return vec![Grant::Script { words: words.clone(), hash: hash.clone() }];
            }
            if runs_own_file(words, workdir, policy) {
                return Vec::new();
            }
            let proposed = Some(prefix).filter(|prefix| !prefix.is_empty() && words.starts_with(prefix));
            let shorter = proposed.filter(|prefix| *prefix != words);
            // What the model proposed comes first, then what it runs now.
            let both = shorter.into_iter().chain([words]).filter(|words| !too_broad(words));
            both.map(|words| Grant::CommandPrefix { words: words.clone() }).collect()
        }
        Intent::Write { files } => {
            let mut outside = files.iter().filter(|file| file.outside).flat_map(file_paths);
            match (outside.next(), outside.next()) {
                (Some(path), None) => vec![Grant::WriteBelow { path: path.to_owned() }],
                _ => Vec::new(),
            }
        }
        Intent::Connect { host, port } => vec![Grant::Host { host: host.clone(), port: *port }],
        Intent::None
        | Intent::Read { .. }
        | Intent::Input { .. }
        | Intent::Remember { .. }
        | Intent::Hosted { .. }
        | Intent::Unknown => Vec::new(),
    }
}

/// The grant under which a command may run: every command of the line must be covered.
pub(super) fn for_command<'a>(
    text: &str,
    workdir: &Path,
    policy: &Policy,
    rules: &'a [Rule],
) -> Option<&'a Rule> {
    if rules.is_empty() {
        return None;
    }
    let commands = command::plain(text)?;
    let mut first = None;
    for words in &commands {
        let rule = holding(rules).find(|rule| match &rule.grant {
            Grant::CommandPrefix { words: prefix } => {
                !too_broad(prefix) && words.starts_with(prefix) && !runs_own_file(words, workdir, policy)
            }
            Grant::Script { words: prefix, hash } => {
                words.starts_with(prefix)
                    && own_program(words, workdir, policy)
                        .is_some_and(|path| policy.scripts.get(&path) == Some(hash))
            }
            Grant::WriteBelow { .. }
            | Grant::Host { .. }
            | Grant::Ask { .. }
            | Grant::Deny { .. }
            | Grant::Unknown => false,
        })?;
        first.get_or_insert(rule);
    }
    first
}

/// The grant under which a file may be changed.
pub(super) fn for_file<'a>(file: &FileChange, policy: &Policy, rules: &'a [Rule]) -> Option<&'a Rule> {
    holding(rules).find(|rule| match &rule.grant {
        Grant::WriteBelow { path: root } => file_paths(file).all(|path| {
            let rest = path.strip_prefix(root);
            let obeyed = policy.configured.contains(path) || rest.is_ok_and(|rest| obeyed_by(rest).is_some());
            below(path, root) && !obeyed
        }),
        Grant::CommandPrefix { .. }
        | Grant::Script { .. }
        | Grant::Host { .. }
        | Grant::Ask { .. }
        | Grant::Deny { .. }
        | Grant::Unknown => false,
    })
}

/// The grant under which commands may reach a host.
pub(super) fn for_host<'a>(host: &str, port: u16, rules: &'a [Rule]) -> Option<&'a Rule> {
    holding(rules).find(
        |rule| matches!(&rule.grant, Grant::Host { host: known, port: at } if known == host && *at == port),
    )
}

fn holding(rules: &[Rule]) -> impl Iterator<Item = &Rule> {
    rules.iter().filter(|rule| rule.scope != Scope::Unknown)
}
