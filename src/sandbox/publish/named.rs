//! What git would run or obey in the workspace because a configuration of the user names it: places of hooks, filters,
//! programs for differences, included files, and what the user's hooks call.
//!
//! Git gives most of these to a shell, so that what is named can only be guessed from the words: a word that could be
//! the name of a program is taken for one. What a program calls in its turn is not looked for, but for hooks.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    gitconfig,
    view::{Lies, View, way},
};

/// A configuration or a hook is read so far.
const LONGEST: u64 = 256 << 10;

/// Files that include others are followed so far.
const MOST_FILES: usize = 100;

/// Names, or what they begin with, whose values say where something else is, and nothing that is run here.
const HARMLESS: &[&str] = &[
    "branch.",
    "color.",
    "commit.template",
    "core.bare",
    "core.excludesfile",
    "core.worktree",
    "extensions.",
    "maintenance.",
    "safe.",
    "url.",
    "user.",
];

/// What git runs in the directory of hooks (githooks(5)).
const HOOKS: &[&str] = &[
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "p4-changelist",
    "p4-post-changelist",
    "p4-pre-submit",
    "p4-prepare-changelist",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-rewrite",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "pre-receive",
    "prepare-commit-msg",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "sendemail-validate",
    "update",
];

/// Programs whose next word is a program, or a file that is run as one.
const INTERPRETERS: &[&str] = &[
    ".", "ash", "bash", "bun", "command", "dash", "deno", "doas", "env", "exec", "ksh", "lua", "nice",
    "node", "nohup", "perl", "php", "python", "python2", "python3", "ruby", "sh", "source", "sudo", "time",
    "timeout", "xargs", "zsh",
];

/// The paths that are named. What is there is for the caller to see.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::sandbox) struct Named {
    /// Whatever lies there is obeyed, directories with all that is in them.
    pub(in crate::sandbox) whole: BTreeSet<PathBuf>,
    /// A file there is.
    pub(in crate::sandbox) surely: BTreeSet<PathBuf>,
    /// A file that can be run is; anything else there is only data.
    pub(in crate::sandbox) perhaps: BTreeSet<PathBuf>,
}

/// What is named for the repositories with these directories, by their own configuration and by that in `settings`.
pub(in crate::sandbox) fn named(repositories: &[PathBuf], settings: &[PathBuf], home: &Path) -> Named {
    let mut named = Named::default();
    for git in repositories {
        let own = [git.join("config"), git.join("config.worktree")];
        let top = top(git);
        let mut reader = Reader {
            home,
            top: &top,
            named: &mut named,
            files: BTreeSet::new(),
            hooks: vec![git.join("hooks")],
        };
        for file in settings.iter().chain(&own) {
            reader.configuration(file);
        }
        for hooks in std::mem::take(&mut reader.hooks) {
            reader.hooks_in(&hooks);
        }
    }
    named
}

/// Where git stands when it runs something of a repository.
fn top(git: &Path) -> PathBuf {
    let tree = gitconfig::read(&text(&git.join("config")).unwrap_or_default())
        .into_iter()
        .rfind(|(name, _)| name == "core.worktree")
        .map(|(_, value)| git.join(value));
    let tree = tree.and_then(|tree| tree.canonicalize().ok());
    let above = if git.ends_with(".git") { git.parent() } else { None };
    tree.unwrap_or_else(|| above.unwrap_or(git).to_owned())
}

/// Reads all that is there for one repository.
struct Reader<'a> {
    home: &'a Path,
    top: &'a Path,
    named: &'a mut Named,
    files: BTreeSet<PathBuf>,
    hooks: Vec<PathBuf>,
}

impl Reader<'_> {
    fn configuration(&mut self, file: &Path) {
        if self.files.len() >= MOST_FILES || !self.files.insert(file.to_owned()) {
            return;
        }
        let Some(text) = text(file) else { return };
        for (name, value) in gitconfig::read(&text) {
            if value.is_empty() || is_harmless(&name) {
                continue;
            }
            if name == "include.path" || (name.starts_with("includeif.") && name.ends_with(".path")) {
                let path = self.path(file.parent().unwrap_or(Path::new("/")), &value);
                self.named.surely.insert(path.clone());
                self.configuration(&path);
            } else if name == "core.hookspath" {
                let path = self.path(self.top, &value);
                // Husky's own hooks lie there, and run the user's beside them.
                if path.ends_with("_") {
                    self.named.whole.extend(path.parent().map(Path::to_owned));
                }
                // All of the workspace can't be kept from commands. Of what lies there git runs these.
                if path.canonicalize().is_ok_and(|path| self.top.starts_with(path)) {
                    self.named.surely.extend(HOOKS.iter().map(|name| path.join(name)));
                }
                self.named.whole.insert(path.clone());
                self.hooks.push(path);
            } else if name == "core.attributesfile" || name == "init.templatedir" {
                let path = self.path(self.top, &value);
                self.named.whole.insert(path);
            } else {
                self.words(&value, true);
            }
        }
    }

    /// Hooks, and what they call.
    fn hooks_in(&mut self, directory: &Path) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "sample") {
                continue;
            }
            if path.is_symlink() {
                self.named.surely.insert(path.clone());
            }
            if let Some(text) = text(&path) {
                self.words(&text, false);
            }
        }
    }

    /// What the words of a command or a script may name. A command that is `sure` begins with a program.
    fn words(&mut self, text: &str, sure: bool) {
        if sure {
            self.named.perhaps.insert(self.path(self.top, text.trim_start_matches('!').trim()));
        }
        for command in text.split(|char: char| "\n;|&(){}`".contains(char)) {
            // The first word is looked for along the search path, what an interpreter reads is not.
            let (mut program, mut script) = (sure, false);
            for word in command.split(|char: char| char.is_whitespace() || "'\"<>=,!$[]".contains(char)) {
                if word.is_empty() || word.starts_with('-') {
                    // What hooks that others made have read ("--config=.pre-commit-config.yaml") says what runs.
                    script |= word.ends_with("-config");
                    continue;
                }
                let name = word.rsplit('/').next().unwrap_or(word);
                // What stands before was a variable, or the output of a command that says where the top is.
                let path = self.path(self.top, word.trim_start_matches('/'));
                let absolute = word.starts_with('/').then(|| PathBuf::from(word));
                if script || (program && word.contains('/')) {
                    self.named.surely.extend(absolute);
                    self.named.surely.insert(path);
                } else {
                    self.named.perhaps.extend(absolute);
                    self.named.perhaps.insert(path);
                }
                program = false;
                script = INTERPRETERS.contains(&name);
            }
        }
    }

    fn path(&self, base: &Path, value: &str) -> PathBuf {
        match value.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => base.join(value),
        }
    }
}

fn is_harmless(name: &str) -> bool {
    let part = |start: &str, ends: &[&str]| {
        name.strip_prefix(start).is_some_and(|rest| ends.iter().any(|end| rest.ends_with(end)))
    };
    HARMLESS.iter().any(|start| name.starts_with(start))
        || part("remote.", &[".url", ".pushurl", ".fetch", ".push"])
        || part("submodule.", &[".url", ".path", ".active", ".branch"])
}

/// What is in a file, if it is one and not long.
fn text(path: &Path) -> Option<String> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

impl Named {
    /// The links and files that decide about all of it, as `view` has them.
    pub(in crate::sandbox) fn places(&self, view: &dyn View) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let all = [(&self.whole, true, false), (&self.surely, false, false), (&self.perhaps, false, true)];
        for (path, directories, only_programs) in all
            .into_iter()
            .flat_map(|(paths, whole, perhaps)| paths.iter().map(move |path| (path, whole, perhaps)))
        {
            let way = way(view, path);
            let taken = way.last().and_then(|last| view.at(last)).is_some_and(|last| match last {
                Lies::Directory => directories,
                Lies::File { runs } => runs || !only_programs,
                Lies::Link(_) | Lies::Other => !only_programs,
            });
            if taken {
                found.extend(way);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_hooks_and_included_files_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let git = root.join(".git");
        for path in ["w/hooks", ".git/hooks", "husky/_"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        let write = |path: &str, text: &str| fs::write(root.join(path), text).unwrap();
        write(
            ".git/config",
            "[core]\nhooksPath = husky/_\n[include]\npath = ../more\n[filter \"x\"]\nclean = ./clean %f\n\
             smudge = python3 -u tools/smudge.py a/b\n[remote \"origin\"]\nurl = ../w\n[alias]\nx = !cd src && make\n",
        );
        write("more", "[diff]\nexternal = ~/differ\n");
        write(
            ".git/hooks/pre-commit",
            "#!/bin/sh\nexec $(git rev-parse --show-toplevel)/scripts/check \"$@\"\n",
        );
        write("husky/_/pre-push", "bash scripts/push\nARGS=(hook-impl --config=.checks.yaml --type=x)\n");
        std::os::unix::fs::symlink("../../w/linked", root.join(".git/hooks/post-merge")).unwrap();
        let Named { whole, surely, perhaps } = named(&[git], &[root.join("none")], &root);
        let has = |set: &BTreeSet<PathBuf>, path: &str| set.contains(&root.join(path));
        assert!(has(&whole, "husky/_") && has(&whole, "husky"), "{whole:#?}");
        for path in [
            ".git/../more",
            "./clean",
            "tools/smudge.py",
            "differ",
            "scripts/push",
            ".checks.yaml",
            ".git/hooks/post-merge",
        ] {
            assert!(has(&surely, path), "{path}: {surely:#?}");
        }
        for path in ["scripts/check", "a/b", "src", "make"] {
            assert!(!has(&surely, path) && has(&perhaps, path), "{path}: {perhaps:#?}");
        }
        assert!(!has(&surely, "w") && !has(&perhaps, "w") && !has(&perhaps, "../w"));
    }
}
