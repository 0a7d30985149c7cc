//! `find`, and what it does with what it finds.

use std::path::{Path, PathBuf};

use crate::protocol::{Bound, Verb};

use super::{
    Entry,
    expand::Arg,
    glob::{self, Marked},
    run::{Hit, Output, Run, silent},
    state::State,
    wrappers::put,
};

/// Files that a `find` is followed to.
const MOST_FOUND: usize = 50_000;
/// Commands that one of them has run, each by itself.
const MOST_RUN: usize = 300;
/// Programs that do the same to many files at once as to one after the other.
const ONE_BY_ONE: &[&str] = &[
    "rm",
    "unlink",
    "rmdir",
    "shred",
    "truncate",
    "sed",
    "chmod",
    "chown",
    "chgrp",
    "touch",
    "cat",
    "grep",
    "egrep",
    "ls",
    "head",
    "tail",
    "wc",
    "stat",
    "file",
    "echo",
    "basename",
    "dirname",
    "du",
    "md5sum",
    "sha256sum",
];

/// What a file has to be.
#[derive(Debug, Clone)]
enum Test {
    Name(Vec<Marked>, bool),
    Path(Vec<Marked>),
    Type(String),
}

/// What is found, in which directories.
#[derive(Debug, Clone)]
struct Search {
    /// Each with whether it has to fail.
    tests: Vec<(bool, Test)>,
    least: usize,
    most: usize,
    bound: Bound,
}

/// Something that was found.
struct Found {
    /// As `find` prints it.
    shown: String,
    path: PathBuf,
    directory: bool,
}

impl Run<'_> {
    pub(super) fn find(&mut self, args: &[Arg], state: &mut State) -> Output {
        let Some(words) = args.iter().map(|arg| arg.text().map(str::to_owned)).collect::<Option<Vec<_>>>()
        else {
            let why = args.iter().find(|arg| arg.text().is_none()).map_or("", Arg::shown).to_owned();
            self.unknown(format!("what `find` finds: {why}"));
            return None;
        };
        let begins = |word: &String| word.starts_with('-') && word.len() > 1 || word == "(" || word == "!";
        let options = words.iter().take_while(|word| matches!(word.as_str(), "-H" | "-L" | "-P")).count();
        let places = words.iter().skip(options).take_while(|word| !begins(word)).count();
        let follows =
            words.iter().take(options).any(|word| word == "-L") || words.iter().any(|word| word == "-follow");
        let mut roots: Vec<String> = words.iter().skip(options).take(places).cloned().collect();
        if roots.is_empty() {
            roots.push(".".to_owned());
        }
        let expression = words.get(options + places..).unwrap_or_default();
        // These hold for all, wherever they stand.
        let depth = |name: &str| {
            let at = expression.iter().position(|word| word == name)?;
            expression.get(at + 1)?.parse::<usize>().ok()
        };
        let mut search = Search {
            tests: Vec::new(),
            least: depth("-mindepth").unwrap_or(0),
            most: depth("-maxdepth").unwrap_or(usize::MAX),
            bound: if follows { Bound::Unknown } else { Bound::Exact },
        };
        // With a choice in it, everything may be meant.
        let chooses = expression
            .iter()
            .any(|word| matches!(word.as_str(), "-o" | "-or" | "(" | "," | "-prune" | "-quit"));
        if chooses {
            search.bound = Bound::AtMost;
        }
        let mut output = None;
        let (mut acts, mut negated) = (false, false);
        let mut rest = expression.iter();
        while let Some(word) = rest.next() {
            let mut test = None;
            match word.as_str() {
                "!" | "-not" => {
                    negated = !negated;
                    continue;
                }
                "-name" => test = rest.next().map(|text| Test::Name(glob::marked(text), false)),
                "-iname" => {
                    test = rest.next().map(|text| Test::Name(glob::marked(&text.to_lowercase()), true));
                }
                "-path" | "-wholename" => test = rest.next().map(|text| Test::Path(glob::marked(text))),
                "-type" => test = rest.next().map(|text| Test::Type(text.clone())),
                "-delete" => {
                    acts = true;
                    self.deleted(&roots, &search, state);
                }
                "-exec" | "-execdir" | "-ok" | "-okdir" => {
                    acts = true;
                    let mut command = Vec::new();
                    for word in rest.by_ref() {
                        if word == ";" || word == "+" && command.last().is_some_and(|last| last == "{}") {
                            break;
                        }
                        command.push(word.clone());
                    }
                    self.fed_with(&command, &roots, &search, state);
                }
                "-fprint" | "-fprint0" | "-fls" | "-fprintf" => {
                    acts = true;
                    if let Some(to) = rest.next() {
                        self.write(Verb::Overwrite, &Arg::Text(to.clone()), state);
                    }
                    if word == "-fprintf" {
                        rest.next();
                    }
                }
                "-print" | "-print0" => {
                    acts = true;
                    output = self.printed(&roots, &search, state, if word == "-print" { '\n' } else { '\0' });
                }
                "-printf" => {
                    acts = true;
                    rest.next();
                }
                "-maxdepth" | "-mindepth" => drop(rest.next()),
                "-depth"
                | "-d"
                | "-xdev"
                | "-mount"
                | "-a"
                | "-and"
                | "-o"
                | "-or"
                | "("
                | ")"
                | ","
                | "-true"
                | "-follow"
                | "-noleaf"
                | "-daystart"
                | "-warn"
                | "-nowarn"
                | "-ls"
                | "-ignore_readdir_race" => {}
                "-prune" | "-quit" | "-empty" | "-readable" | "-writable" | "-executable" | "-nouser"
                | "-nogroup" | "-false" => {
                    search.bound = Bound::AtMost;
                }
                "-files0-from" => self.unknown("where `find -files0-from` looks"),
                _ => {
                    // All the other tests have one value.
                    rest.next();
                    search.bound = Bound::AtMost;
                }
            }
            if let Some(test) = test
                && !chooses
            {
                search.tests.push((negated, test));
            }
            negated = false;
        }
        if acts { output } else { self.printed(&roots, &search, state, '\n') }
    }

    /// All that is found; or nothing, and said, when that can't be told.
    fn found(&mut self, roots: &[String], search: &Search, state: &State) -> Option<(Vec<Found>, Bound)> {
        let mut all = Vec::new();
        let mut bound = search.bound;
        if bound == Bound::Unknown {
            self.unknown("what `find` finds behind links");
            return None;
        }
        for root in roots {
            let path = self.target(&Arg::Text(root.clone()), state, false)?;
            let mut work = vec![(root.clone(), path, 0)];
            while let Some((shown, path, depth)) = work.pop() {
                let entry = self.world.entry(&path);
                let directory = matches!(entry, Entry::Directory);
                if matches!(entry, Entry::Missing) {
                    continue;
                }
                if directory && depth < search.most {
                    match self.world.list(&path) {
                        Ok(names) => {
                            for name in names {
                                let text = name.to_string_lossy();
                                let shown = format!("{}/{text}", shown.trim_end_matches('/'));
                                work.push((shown, path.join(&name), depth + 1));
                            }
                        }
                        Err(_) => bound = Bound::AtLeast,
                    }
                }
                if depth >= search.least
                    && search.tests.iter().all(|(not, test)| test.holds(&shown, &entry) != *not)
                {
                    all.push(Found { shown, path, directory });
                }
                if all.len() + work.len() > MOST_FOUND || self.world.spent() {
                    bound = Bound::AtLeast;
                    break;
                }
            }
        }
        Some((all, bound))
    }

    fn printed(&mut self, roots: &[String], search: &Search, state: &State, end: char) -> Output {
        if search.bound != Bound::Exact {
            return None;
        }
        // Whoever is fed with it does not get what is not there.
        let before = self.unknown.len();
        let found = self.found(roots, search, state);
        self.unknown.truncate(before);
        let (all, bound) = found?;
        let known = bound == Bound::Exact && all.iter().all(|found| !found.shown.contains('\u{fffd}'));
        known.then(|| all.iter().map(|found| format!("{}{end}", found.shown)).collect())
    }

    fn deleted(&mut self, roots: &[String], search: &Search, state: &State) {
        let Some((all, bound)) = self.found(roots, search, state) else { return };
        let files: Vec<PathBuf> =
            all.into_iter().filter(|found| !found.directory).map(|found| found.path).collect();
        self.together(Verb::Remove, roots, &files, bound, state);
    }

    /// One line for many files.
    fn together(&mut self, verb: Verb, roots: &[String], files: &[PathBuf], bound: Bound, state: &State) {
        for root in roots {
            let Some(path) = self.target(&Arg::Text(root.clone()), state, false) else { continue };
            let below: Vec<PathBuf> = files.iter().filter(|file| file.starts_with(&path)).cloned().collect();
            self.hits.push(Hit { verb, path, deep: false, bound, files: Some(below) });
        }
    }

    /// Runs a command with all that is found.
    fn fed_with(&mut self, command: &[String], roots: &[String], search: &Search, state: &mut State) {
        let Some((all, bound)) = self.found(roots, search, state) else { return };
        let Some(program) = command.first() else { return };
        let words: Vec<Arg> = command.iter().cloned().map(Arg::Text).collect();
        let apart = command.iter().all(|word| word == "{}" || !word.contains("{}"));
        let name = program.rsplit('/').next().unwrap_or(program);
        let from = self.hits.len();
        if all.is_empty() {
            self.calls.push(words.iter().map(|word| word.text().map(str::to_owned)).collect());
            return;
        }
        let path = |found: &Found| Arg::Text(found.path.to_string_lossy().into_owned());
        if apart && ONE_BY_ONE.contains(&name) {
            let mut line = Vec::new();
            for word in &words {
                match word.text() {
                    Some("{}") => line.extend(all.iter().map(path)),
                    _ => line.push(word.clone()),
                }
            }
            self.apart(&line, state, silent());
        } else {
            for found in all.iter().take(MOST_RUN) {
                let line: Vec<Arg> = words.iter().map(|word| put(word, "{}", &path(found))).collect();
                self.apart(&line, state, silent());
                // What can't be told of one can't be told of the others.
                if self.unknown.len() > 3 {
                    break;
                }
            }
            if all.len() > MOST_RUN {
                self.unknown(format!(
                    "what `{}` does to {} of {} files",
                    command.join(" "),
                    all.len() - MOST_RUN,
                    all.len()
                ));
            }
        }
        self.gathered(from, roots, bound, state);
    }

    /// Makes one line of what was noted file by file.
    fn gathered(&mut self, from: usize, roots: &[String], bound: Bound, state: &State) {
        let new = self.hits.split_off(from);
        let (single, deep): (Vec<Hit>, Vec<Hit>) =
            new.into_iter().partition(|hit| !hit.deep && hit.files.is_none());
        for verb in [Verb::Remove, Verb::Overwrite, Verb::Change, Verb::Permissions, Verb::Move, Verb::Create]
        {
            let of_verb = single.iter().filter(|hit| hit.verb == verb);
            let files: Vec<PathBuf> = of_verb.map(|hit| hit.path.clone()).collect();
            let (below, beside): (Vec<PathBuf>, Vec<PathBuf>) = files.into_iter().partition(|file| {
                roots.iter().any(|root| self.place(root, state).is_ok_and(|root| self.below(file, &root)))
            });
            if !below.is_empty() {
                self.together(verb, roots, &below, bound, state);
            }
            for path in beside {
                self.hit_bound(verb, path, false, bound);
            }
        }
        for hit in deep {
            let bound = if hit.bound == Bound::Exact { bound } else { hit.bound };
            self.hit_bound(hit.verb, hit.path, hit.deep, bound);
        }
    }

    fn below(&self, file: &Path, root: &Path) -> bool {
        self.real(root).is_ok_and(|root| file.starts_with(root))
    }
}

impl Test {
    fn holds(&self, shown: &str, entry: &Entry) -> bool {
        let name = shown.trim_end_matches('/').rsplit('/').next().unwrap_or(shown);
        match self {
            Self::Name(pattern, folded) => match folded {
                true => glob::matches(pattern, &name.to_lowercase()),
                false => glob::matches(pattern, name),
            },
            Self::Path(pattern) => glob::matches(pattern, shown),
            Self::Type(types) => types.split(',').any(|kind| match kind {
                "f" => matches!(entry, Entry::File(_)),
                "d" => matches!(entry, Entry::Directory),
                "l" => matches!(entry, Entry::Link(_)),
                _ => matches!(entry, Entry::Special),
            }),
        }
    }
}
