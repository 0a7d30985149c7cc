//! `git`: what of it throws work away.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::protocol::{Bound, Verb};

use super::{
    Entry,
    expand::Arg,
    options::Options,
    run::{Hit, Output, Run, silent},
    state::State,
};

/// What git says of a file that it could not bring back as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// It is known, and differs from what was committed.
    Changed,
    /// It is known, and no longer there.
    Gone,
    Untracked,
    Ignored,
}

/// A working tree, and all in it that is not as it was committed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    pub top: PathBuf,
    pub marks: BTreeMap<PathBuf, Mark>,
}

impl Tree {
    /// What is said of a file, by itself or by a directory above.
    pub(super) fn mark(&self, path: &Path) -> Option<Mark> {
        path.ancestors()
            .take_while(|above| above.starts_with(&self.top))
            .find_map(|above| self.marks.get(above).copied())
    }

    fn parse(top: PathBuf, status: &[u8]) -> Self {
        let mut marks = BTreeMap::new();
        for line in status.split(|byte| *byte == 0) {
            let (Some(state), Some(name)) = (line.get(..2), line.get(3..)) else { continue };
            let mark = match state {
                b"??" => Mark::Untracked,
                b"!!" => Mark::Ignored,
                [_, b'D'] | [b'D', b' '] => Mark::Gone,
                _ => Mark::Changed,
            };
            // A name that is no text is still one: it is not found, and counts as not committed.
            let name = String::from_utf8_lossy(name);
            marks.insert(top.join(name.trim_end_matches('/')), mark);
        }
        Self { top, marks }
    }
}

/// Subcommands that neither lose files nor run what was not meant.
const HARMLESS: &[&str] = &[
    "add",
    "annotate",
    "blame",
    "cat-file",
    "check-ignore",
    "count-objects",
    "describe",
    "diff",
    "diff-tree",
    "diff-index",
    "for-each-ref",
    "fsck",
    "grep",
    "help",
    "init",
    "log",
    "ls-files",
    "ls-tree",
    "ls-remote",
    "merge-base",
    "name-rev",
    "notes",
    "range-diff",
    "remote",
    "rev-list",
    "rev-parse",
    "shortlog",
    "show",
    "show-ref",
    "status",
    "symbolic-ref",
    "tag",
    "var",
    "version",
    "verify-commit",
    "whatchanged",
    "cherry",
    "show-branch",
    "write-tree",
    "hash-object",
    "bundle",
    "format-patch",
    "archive",
];

/// Those that change only what git refuses to change when it would be lost, but run hooks.
const HOOKED: &[&str] = &["am", "cherry-pick", "commit", "merge", "rebase", "revert"];

/// Settings of `-c` that have nothing run.
const PLAIN_SETTINGS: &[&str] = &[
    "user.",
    "color.",
    "advice.",
    "init.defaultbranch",
    "core.quotepath",
    "core.autocrlf",
    "commit.gpgsign=false",
    "core.pager=cat",
];

impl Run<'_> {
    pub(super) fn git(&mut self, args: &[Arg], state: &mut State) -> Output {
        let mut at = 0;
        let mut inner = state.clone();
        while let Some(text) = args.get(at).and_then(Arg::text) {
            match text {
                "-C" => {
                    let to = args.get(at + 1).and_then(Arg::text).map(str::to_owned);
                    inner.cwd = match to {
                        Some(to) => self.place(&to, &inner),
                        None => Err("`git -C` goes somewhere else".to_owned()),
                    };
                    at += 2;
                }
                "-c" | "--config-env" => {
                    let setting = args.get(at + 1).map_or("", Arg::shown).to_lowercase();
                    if !PLAIN_SETTINGS.iter().any(|plain| setting.starts_with(plain)) {
                        self.unknown(format!("what git runs by `-c {setting}`"));
                    }
                    at += 2;
                }
                "--no-pager"
                | "-P"
                | "--no-optional-locks"
                | "--literal-pathspecs"
                | "--no-replace-objects" => at += 1,
                "--version" | "--help" | "--exec-path" => return None,
                _ if text.starts_with('-') => {
                    self.unknown(format!("which repository or program `git {text}` means"));
                    at += if text.contains('=') || text == "-p" || text == "--bare" { 1 } else { 2 };
                }
                _ => break,
            }
        }
        let (command, args) = args.get(at..).unwrap_or_default().split_first()?;
        let Some(command) = command.text() else {
            self.unknown(format!("what `git` does: {}", command.shown()));
            return None;
        };
        self.subcommand(command, args, &inner)
    }

    fn subcommand(&mut self, command: &str, args: &[Arg], state: &State) -> Output {
        let options = Options::of(args, "s b B source m");
        let shown = || {
            let words: Vec<&str> = args.iter().map(Arg::shown).collect();
            format!("git {command} {}", words.join(" ")).trim_end().to_owned()
        };
        let first = options.operands.first().and_then(Arg::text).unwrap_or("").to_owned();
        match command {
            "rev-parse" => {
                let [Arg::Text(what)] = args else { return None };
                let top = (what == "--show-toplevel").then(|| self.tree_top(state))?;
                return Some(format!("{}\n", top.ok()?.to_str()?));
            }
            "ls-files" => return self.listed(args, state),
            "reset" if options.has("-", "hard") || options.has("-", "merge") || options.has("-", "keep") => {
                self.discards(&[], state);
                self.resets(&options, state);
            }
            "reset" => {}
            "clean" if options.has("n", "dry-run") => {}
            "clean" => self.cleans(&options, state),
            "checkout" | "restore" | "switch" => self.checks_out(command, args, &options, state),
            "rm" if options.has("-", "cached") || options.has("n", "dry-run") => {}
            "rm" => {
                let mut files = Vec::new();
                for arg in &options.operands {
                    match arg.text() {
                        Some(text) => files.extend(self.tracked(text, state)),
                        None => self.unknown(arg.shown()),
                    }
                }
                self.noted(Verb::Remove, files, Bound::Exact, state);
            }
            "mv" => {
                let mut inner = state.clone();
                self.mv(args, &mut inner);
            }
            "stash" => self.stash(&first, &options, state),
            "branch" if options.has("D", "delete") || options.has("d", "delete") => {
                for arg in &options.operands {
                    self.loses_branch(arg, state);
                }
            }
            "branch" if options.has("f", "force") || options.has("M", "") || options.has("C", "") => {
                self.besides(format!("Would move a branch: {}", shown()));
            }
            "branch" => {}
            "push" => {
                let forced = options.has("f", "force")
                    || options.has("d", "delete")
                    || options.has("-", "mirror")
                    || options.has("-", "prune")
                    || args
                        .iter()
                        .filter_map(Arg::text)
                        .any(|text| text.starts_with(['+', ':']) || text.starts_with("--force"));
                self.besides(match forced {
                    true => format!("Would overwrite or delete what others may have: {}", shown()),
                    false => format!("Would send commits to another repository: {}", shown()),
                });
                self.remote(args, &shown());
                self.hooks(command, state);
            }
            "fetch" | "pull" | "clone" => {
                self.remote(args, &shown());
                if command == "pull" {
                    self.hooks(command, state);
                }
            }
            "worktree" if first == "remove" => {
                if let Some(arg) = options.operands.get(1)
                    && let Some(path) = self.target(arg, state, true)
                {
                    self.hit(Verb::Remove, path, true);
                }
            }
            "worktree" => {}
            "reflog" if matches!(first.as_str(), "expire" | "delete") => {
                self.besides("Would make lost commits unrecoverable".to_owned());
            }
            "reflog" => {}
            "gc" | "prune" | "repack" | "maintenance" => {
                if command == "prune"
                    || args.iter().filter_map(Arg::text).any(|text| text.starts_with("--prune"))
                {
                    self.besides("Would make lost commits unrecoverable".to_owned());
                }
            }
            "update-ref" if options.has("d", "delete") => {
                self.besides(format!("Would delete a reference: {}", shown()));
            }
            "config" if options.operands.len() < 2 && !options.has("e", "edit") => {}
            _ if HOOKED.contains(&command) => {
                if options.has("x", "exec") && command == "rebase" {
                    self.unknown(format!("what `{}` runs", shown()));
                }
                self.hooks(command, state);
            }
            _ if HARMLESS.contains(&command) => {
                for arg in args {
                    match arg.text() {
                        Some(text) if text.starts_with("--output=") => {
                            let to = Arg::Text(text.trim_start_matches("--output=").to_owned());
                            self.write(Verb::Overwrite, &to, state);
                        }
                        Some(text)
                            if text.starts_with("-O")
                                || text.starts_with("--open-files")
                                || text.starts_with("--ext-diff")
                                || text.starts_with("--upload-pack")
                                || text.starts_with("--exec") =>
                        {
                            self.unknown(format!("what `{}` runs", shown()));
                        }
                        _ => {}
                    }
                }
                return None;
            }
            // An alias, or something of its own.
            _ => self.unknown(format!("what `{}` does", shown())),
        }
        silent()
    }

    /// The top of the working tree that a shell stands in.
    fn tree_top(&self, state: &State) -> Result<PathBuf, String> {
        let folder = self.real(state.cwd.as_ref()?)?;
        self.top_of(&folder)
    }

    pub(super) fn top_of(&self, folder: &Path) -> Result<PathBuf, String> {
        let output = self.world.git(folder, &["rev-parse", "--show-toplevel"])?;
        let text =
            String::from_utf8(output).map_err(|_| "the name of the repository is no text".to_owned())?;
        Ok(PathBuf::from(text.trim_end_matches('\n')))
    }

    /// A working tree, asked for once.
    pub(super) fn tree(&mut self, top: &Path) -> Result<Rc<Tree>, String> {
        if let Some(known) = self.trees.get(top) {
            return known.clone();
        }
        let status = [
            "status",
            "--porcelain=v1",
            "-z",
            "--untracked-files=all",
            "--ignored=matching",
            "--ignore-submodules=all",
            "--no-renames",
        ];
        let tree = self.world.git(top, &status).map(|output| Rc::new(Tree::parse(top.to_owned(), &output)));
        self.trees.insert(top.to_owned(), tree.clone());
        tree
    }

    /// The working tree that a shell stands in; or nothing, and said.
    fn own_tree(&mut self, state: &State) -> Option<Rc<Tree>> {
        let tree = self.tree_top(state).and_then(|top| self.tree(&top));
        tree.map_err(|why| self.unknown(format!("what git would lose: {why}"))).ok()
    }

    fn noted(&mut self, verb: Verb, files: Vec<PathBuf>, bound: Bound, state: &State) {
        if files.is_empty() {
            return;
        }
        let path = match &files[..] {
            [one] => one.clone(),
            _ => match self.tree_top(state) {
                Ok(top) => top,
                Err(why) => return self.unknown(why),
            },
        };
        self.hits.push(Hit { verb, path, deep: false, bound, files: Some(files) });
    }

    /// Throws away what was changed at or below places, or everywhere.
    fn discards(&mut self, places: &[PathBuf], state: &State) {
        let Some(tree) = self.own_tree(state) else { return };
        let meant = |path: &PathBuf| places.is_empty() || places.iter().any(|place| path.starts_with(place));
        let changed = tree.marks.iter().filter(|(path, mark)| **mark == Mark::Changed && meant(path));
        let files = changed.map(|(path, _)| path.clone()).collect();
        self.noted(Verb::Discard, files, Bound::Exact, state);
    }

    fn resets(&mut self, options: &Options, state: &State) {
        let to = match options.operands.first() {
            None => return,
            Some(Arg::Text(to)) => to.clone(),
            Some(arg) => return self.unknown(format!("where `git reset` goes: {}", arg.shown())),
        };
        let Ok(folder) = self.tree_top(state) else { return };
        let range = format!("{to}..HEAD");
        match self.world.git(&folder, &["rev-list", "--count", "--end-of-options", &range, "--"]) {
            Ok(count) => {
                let count = String::from_utf8_lossy(&count).trim().to_owned();
                if count != "0" {
                    self.besides(format!(
                        "Would take commits off the branch: {count} (the reflog keeps them for a while)"
                    ));
                }
            }
            Err(why) => self.unknown(format!("where `git reset` goes: {why}")),
        }
        // What is in the way goes without a word.
        self.in_the_way(&to, &[], state);
    }

    /// Files that git does not know, where a commit has others.
    fn in_the_way(&mut self, commit: &str, places: &[PathBuf], state: &State) {
        let Some(tree) = self.own_tree(state) else { return };
        let Ok(names) =
            self.world.git(&tree.top, &["ls-tree", "-r", "-z", "--name-only", "--end-of-options", commit])
        else {
            return;
        };
        let files: Vec<PathBuf> = names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| tree.top.join(&*String::from_utf8_lossy(name)))
            .filter(|path| places.is_empty() || places.iter().any(|place| path.starts_with(place)))
            .filter(|path| matches!(tree.mark(path), Some(Mark::Untracked | Mark::Ignored)))
            .filter(|path| matches!(self.world.entry(path), Entry::File(_) | Entry::Link(_)))
            .collect();
        self.noted(Verb::Overwrite, files, Bound::Exact, state);
    }

    fn cleans(&mut self, options: &Options, state: &State) {
        let Some(tree) = self.own_tree(state) else { return };
        let mut places = Vec::new();
        for arg in &options.operands {
            places.extend(self.target(arg, state, false));
        }
        if options.operands.is_empty() {
            places.extend(state.cwd.as_ref().ok().and_then(|cwd| self.real(cwd).ok()));
        }
        let (all, only) = (options.has("x", ""), options.has("X", ""));
        let wanted = |mark: Mark| match mark {
            Mark::Untracked => !only,
            Mark::Ignored => all || only,
            Mark::Changed | Mark::Gone => false,
        };
        let found = tree
            .marks
            .iter()
            .filter(|(path, mark)| wanted(**mark) && places.iter().any(|place| path.starts_with(place)));
        let paths: Vec<PathBuf> = found.map(|(path, _)| path.clone()).collect();
        // Without `-d` what lies in directories that are new altogether stays.
        let bound =
            if options.has("d", "") && !options.has("e", "exclude") { Bound::Exact } else { Bound::AtMost };
        let (folders, files): (Vec<_>, Vec<_>) =
            paths.into_iter().partition(|path| matches!(self.world.entry(path), Entry::Directory));
        self.noted(Verb::Remove, files, bound, state);
        for folder in folders {
            self.hit_bound(Verb::Remove, folder, true, bound);
        }
    }

    fn checks_out(&mut self, command: &str, args: &[Arg], options: &Options, state: &State) {
        if options.unsure {
            let what = args.iter().find(|arg| arg.text().is_none()).map_or("", Arg::shown);
            return self.unknown(format!("what `git {command}` changes: {what}"));
        }
        self.hooks(command, state);
        let all = options.has("f", "force") || options.has("-", "discard-changes");
        if command == "switch" || command == "checkout" && all {
            if all {
                self.discards(&[], state);
            }
            return;
        }
        if command == "checkout"
            && ["b", "B", "orphan", "detach", "t"].iter().any(|option| options.has(option, option))
        {
            return;
        }
        if command == "restore" && options.has("S", "staged") && !options.has("W", "worktree") {
            return;
        }
        if args.iter().filter_map(Arg::text).any(|text| text.starts_with("--pathspec-from")) {
            return self.unknown(format!("which files `git {command}` changes"));
        }
        let split = args.iter().position(|arg| arg.text() == Some("--"));
        let mut operands = options.operands.clone();
        let mut commit = options.value("s", "source").and_then(Arg::text).map(str::to_owned);
        if command == "checkout" {
            let before = split.map_or(operands.len(), |at| {
                args.iter().take(at).filter(|arg| !arg.shown().starts_with('-')).count()
            });
            let names_commit = before > 0
                && operands.first().and_then(Arg::text).is_some_and(|text| {
                    let text = format!("{text}^{{tree}}");
                    let folder = self.tree_top(state);
                    folder.is_ok_and(|folder| {
                        self.world
                            .git(&folder, &["rev-parse", "--verify", "--quiet", "--end-of-options", &text])
                            .is_ok()
                    })
                });
            if names_commit {
                commit = operands.remove(0).text().map(str::to_owned);
                if operands.is_empty() {
                    // Another branch: git refuses to lose anything.
                    return;
                }
            }
        }
        let mut places = Vec::new();
        for arg in &operands {
            match arg.text() {
                Some(text) if text.starts_with(':') || text.contains(['*', '?', '[']) => {
                    self.unknown(format!("which files `{text}` means to git"));
                }
                _ => places.extend(self.target(arg, state, false)),
            }
        }
        if !places.is_empty() {
            self.discards(&places, state);
            if let Some(commit) = commit {
                self.in_the_way(&commit, &places, state);
            }
        }
    }

    fn stash(&mut self, what: &str, options: &Options, state: &State) {
        let names: Vec<String> = match what {
            "clear" => {
                let folder = self.tree_top(state);
                let count = folder.and_then(|folder| {
                    self.world.git(&folder, &["rev-list", "-g", "--count", "refs/stash", "--"])
                });
                match count {
                    Ok(count) => {
                        let count = String::from_utf8_lossy(&count).trim().to_owned();
                        self.besides(format!("Would drop all stashes for good: {count}"));
                    }
                    Err(_) => self.besides(
                        "Would drop all stashes for good: there are none, or they can't be counted"
                            .to_owned(),
                    ),
                }
                return;
            }
            "drop" => match options.operands.get(1) {
                None => vec!["stash@{0}".to_owned()],
                Some(arg) => vec![arg.shown().to_owned()],
            },
            _ => return,
        };
        for name in names {
            let name =
                if name.chars().all(|c| c.is_ascii_digit()) { format!("stash@{{{name}}}") } else { name };
            let folder = self.tree_top(state);
            let parent = format!("{name}^1");
            let files = folder.and_then(|folder| {
                self.world.git(
                    &folder,
                    &["diff-tree", "-r", "-z", "--name-only", "--end-of-options", &parent, &name],
                )
            });
            match files {
                Ok(files) => {
                    let count = files.split(|byte| *byte == 0).filter(|name| !name.is_empty()).count();
                    self.besides(format!("Would drop {name} for good, with changes in files: {count}"));
                }
                Err(why) => self.unknown(format!("what is in `{name}`: {why}")),
            }
        }
    }

    fn loses_branch(&mut self, arg: &Arg, state: &State) {
        let Some(name) = arg.text() else {
            return self.unknown(format!("which branch goes: {}", arg.shown()));
        };
        let branch = format!("refs/heads/{name}");
        let others = format!("--exclude={name}");
        let folder = self.tree_top(state);
        let count = folder.and_then(|folder| {
            let question =
                ["rev-list", "--count", &branch, "--not", &others, "--branches", "--remotes", "--tags"];
            self.world.git(&folder, &question)
        });
        match count {
            Ok(count) => {
                let count = String::from_utf8_lossy(&count).trim().to_owned();
                self.besides(format!(
                    "Would delete the branch {name}, with commits that no other branch or tag has: {count}"
                ));
            }
            Err(why) => self.unknown(format!("what is on the branch `{name}`: {why}")),
        }
    }

    /// The files that git knows at or below a place.
    fn tracked(&mut self, place: &str, state: &State) -> Vec<PathBuf> {
        let Some(folder) = state.cwd.as_ref().ok().and_then(|cwd| self.real(cwd).ok()) else {
            self.unknown(format!("`{place}`"));
            return Vec::new();
        };
        match self.world.git(&folder, &["ls-files", "-z", "--", place]) {
            Ok(names) => {
                let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
                names.map(|name| folder.join(&*String::from_utf8_lossy(name))).collect()
            }
            Err(why) => {
                self.unknown(format!("`{place}`: {why}"));
                Vec::new()
            }
        }
    }

    fn listed(&mut self, args: &[Arg], state: &State) -> Output {
        let end = match args {
            [] => "\n",
            [Arg::Text(z)] if z == "-z" => "\0",
            _ => return None,
        };
        let folder = state.cwd.as_ref().ok().and_then(|cwd| self.real(cwd).ok())?;
        let names = String::from_utf8(self.world.git(&folder, &["ls-files", "-z"]).ok()?).ok()?;
        // Names that would be quoted.
        let plain = |name: &str| name.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'));
        if end == "\n" && !names.split_terminator('\0').all(plain) {
            return None;
        }
        Some(names.split_terminator('\0').map(|name| format!("{name}{end}")).collect())
    }

    /// Options that have another program run.
    fn remote(&mut self, args: &[Arg], shown: &str) {
        let runs = args.iter().any(|arg| {
            arg.text().is_none_or(|text| {
                ["--upload-pack", "--receive-pack", "--exec", "-u", "--config", "-c", "--template"]
                    .iter()
                    .any(|option| {
                        text.starts_with(option) && !(text == "-u" && shown.starts_with("git push"))
                    })
                    || text.starts_with("ext::")
                    || text.contains("ProxyCommand")
            })
        });
        if runs {
            self.unknown(format!("what `{shown}` runs"));
        }
    }

    /// The hooks that the repository has run.
    fn hooks(&mut self, command: &str, state: &State) {
        let Ok(top) = self.tree_top(state) else { return };
        let named = self.world.git(&top, &["config", "--get-all", "core.hooksPath"]).unwrap_or_default();
        let named = String::from_utf8_lossy(&named);
        let mut folders: Vec<PathBuf> =
            named.lines().filter(|line| *line != "/dev/null").map(|line| top.join(line)).collect();
        if folders.is_empty()
            && let Ok(own) = self.world.git(&top, &["rev-parse", "--git-common-dir"])
        {
            folders.push(top.join(String::from_utf8_lossy(&own).trim_end()).join("hooks"));
        }
        for folder in folders {
            let names = self.world.list(&folder).unwrap_or_default();
            let mut names: Vec<String> =
                names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
            names.retain(|name| !name.ends_with(".sample"));
            names.sort();
            if !names.is_empty() {
                self.unknown(format!("what the hooks do that `git {command}` may run: {}", names.join(", ")));
            }
        }
    }
}
