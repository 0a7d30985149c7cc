//! What a session's model is told while it works: instruction files of directories that it comes to, and what became of
//! those that it knows.
//!
//! What was told stands in the conversation and is read from there, so that going back in it, a compaction and a restart
//! need nothing else. Here is only kept what makes looking cheap.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::config::{Stamp, trust::Verdict};
use crate::context::{Person, instructions};
use crate::patch::Diff;
use crate::policy::command;
use crate::protocol::{Context, Fact, Item, Level, Shown};
use crate::session::Session;

use super::start::Start;

/// Words of one command that are looked at.
const WORDS: usize = 60;
/// Directories that are remembered.
const DIRECTORIES: usize = 5_000;

/// What has been looked at.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Items that were looked at, of a conversation that only grew.
    epoch: u64,
    seen: usize,
    /// Directories that were touched.
    touched: BTreeSet<PathBuf>,
    /// Touched since the last look.
    fresh: Vec<PathBuf>,
    /// Files that the model knows, as they were when they were last looked at.
    known: BTreeMap<PathBuf, (Stamp, String)>,
    /// What may be an instruction file between the root and the working directory, as it was at the last look.
    chain: BTreeMap<PathBuf, Vec<Stamp>>,
    /// Files that the person was told of, by what they held.
    said: BTreeSet<(PathBuf, String)>,
}

impl News {
    /// What the model is to be told now.
    pub(super) fn of(&mut self, start: &Start, session: &Session) -> Vec<Fact> {
        self.follow(start, session);
        let told = instructions::told(&session.items);
        let mut facts = self.changes(start, &told);
        // What the model has made was made before this run, where nothing was looked at yet.
        let resumed = session.items.iter().any(|item| item.is_made());
        facts.extend(self.nested(start, &told, resumed));
        facts
    }

    /// Notes which directories the session has touched since the last time.
    fn follow(&mut self, start: &Start, session: &Session) {
        if self.epoch != session.epoch || self.seen > session.items.len() {
            // The conversation is another one: what was told of a directory may be gone from it.
            self.epoch = session.epoch;
            self.seen = 0;
            self.fresh.extend(self.touched.iter().cloned());
        }
        let root = &start.workspace;
        let mut found: Vec<PathBuf> = Vec::new();
        if self.seen == 0 {
            // Of these the conversation may hold nothing any more.
            found.extend(session.touched.keys().map(|path| root.join(path)));
        }
        for item in session.items.iter().skip(self.seen) {
            let Item::ToolResult { shown, .. } = &**item else { continue };
            match shown {
                Shown::Patch { files } => found.extend(files.iter().map(|file| root.join(&file.path))),
                Shown::Image { path, .. } => found.push(root.join(path)),
                Shown::Command { command, workdir, .. } => {
                    let at = root.join(workdir);
                    let words = command::plain(command).unwrap_or_default();
                    let named = words.iter().flatten().filter(|word| !word.starts_with('-'));
                    found.extend(named.take(WORDS).map(|word| at.join(word)).filter(|path| path.exists()));
                    found.push(at.join("."));
                }
                _ => {}
            }
        }
        self.seen = session.items.len();
        for path in found {
            let folder = if path.is_dir() { Some(path.as_path()) } else { path.parent() };
            let Some(folder) = folder.and_then(|folder| folder.canonicalize().ok()) else { continue };
            let inside = folder.starts_with(&start.config.trust.root);
            if inside && self.touched.len() < DIRECTORIES && self.touched.insert(folder.clone()) {
                self.fresh.push(folder);
            }
        }
    }

    /// What has become of the files that the model knows.
    fn changes(&mut self, start: &Start, told: &BTreeMap<PathBuf, instructions::Told>) -> Vec<Fact> {
        let mut facts = Vec::new();
        for (path, told) in told {
            let stamp = Stamp::of(path);
            let before = self.known.get(path).cloned();
            if before.as_ref().is_some_and(|(known, _)| *known == stamp) {
                continue;
            }
            // One that can't be read for the moment is not gone.
            let Ok(now) = start.instruction_text(path) else { continue };
            let now = now.unwrap_or_default();
            let old = told.text.clone().or_else(|| before.as_ref().map(|(_, text)| text.clone()));
            let mark = if now.trim().is_empty() { String::new() } else { instructions::mark(&now) };
            let first_look = before.is_none();
            // Of what was cut nobody knows what it was before this run.
            let same = mark == told.mark
                || (told.mark.is_empty() && told.text.is_none() && first_look && old.is_none());
            self.known.insert(path.clone(), (stamp, now.clone()));
            if same || before.as_ref().is_some_and(|(_, text)| text.trim_end() == now.trim_end()) {
                continue;
            }
            if !mark.is_empty() && !self.believed(start, path, &now, &mut facts) {
                continue;
            }
            facts.extend(difference(path, &mark, old.as_deref(), &now));
        }
        facts
    }

    /// Whether a file may be read as it is now. Where nobody was asked, the person is told, once.
    fn believed(&mut self, start: &Start, path: &Path, text: &str, facts: &mut Vec<Fact>) -> bool {
        let trust = &start.config.trust;
        if !path.starts_with(&trust.root) || path.starts_with(&start.home.config) {
            return true;
        }
        match (trust.verdict(path, text.as_bytes()), start.person) {
            (Verdict::Read, _) | (Verdict::Unasked, Person::Absent) => true,
            (Verdict::Leave, _) => false,
            (Verdict::Unasked, Person::Present) => {
                if self.said.insert((path.to_owned(), instructions::mark(text))) {
                    let text = format!(
                        "{} is not as you have seen it: the model is not told of it. A new session asks you about it.",
                        path.display()
                    );
                    facts.push(Fact::Noted { level: Level::Warning, text });
                }
                false
            }
        }
    }

    /// The files of directories that the session came to, and those that are new where it works.
    fn nested(
        &mut self,
        start: &Start,
        told: &BTreeMap<PathBuf, instructions::Told>,
        resumed: bool,
    ) -> Vec<Fact> {
        let root = &start.config.trust.root;
        let fresh = std::mem::take(&mut self.fresh);
        let mut places: Vec<instructions::Place> = Vec::new();
        for folder in &fresh {
            for place in instructions::candidates(Some(root), folder, &[]) {
                let here = start.workspace.starts_with(&place.dir);
                if !here && !places.iter().any(|known| known.dir == place.dir) {
                    places.push(place);
                }
            }
        }
        // Nothing of these is known: else what became of it is told as a difference.
        places.retain(|place| !place.files.iter().any(|file| told.contains_key(file)));
        for place in
            instructions::candidates(Some(root), &start.workspace, std::slice::from_ref(&start.home.config))
        {
            let stamps: Vec<Stamp> = place.files.iter().map(|file| Stamp::of(file)).collect();
            let before = self.chain.insert(place.dir.clone(), stamps.clone());
            // What was there when the session began is in the opening, or was left out of it with a word.
            let new = before.map_or(resumed, |before| before != stamps);
            let first = place.files.iter().zip(&stamps).find(|(_, stamp)| **stamp != Stamp::default());
            if new && first.is_some_and(|(file, _)| !told.contains_key(file)) {
                places.push(place);
            }
        }
        if places.is_empty() {
            return Vec::new();
        }
        let (files, said) = start.instructions_of(&places);
        let mut facts: Vec<Fact> = Vec::new();
        for text in said {
            if self.said.insert((PathBuf::new(), text.clone())) {
                facts.push(Fact::Noted { level: Level::Warning, text });
            }
        }
        let files: Vec<instructions::File> =
            files.into_iter().filter(|file| !told.contains_key(&file.path)).collect();
        if files.is_empty() {
            return facts;
        }
        let built = instructions::build(&files, start.config.instructions.max_bytes);
        facts.extend(
            built.left_out.iter().map(|left| Fact::Noted { level: Level::Warning, text: left.to_string() }),
        );
        let names: Vec<String> = files.iter().map(|file| file.path.display().to_string()).collect();
        facts.push(Fact::Noted {
            level: Level::Info,
            text: format!("the model was told of {}", names.join(", ")),
        });
        for file in files {
            self.known.insert(file.path.clone(), (Stamp::of(&file.path), file.text));
        }
        facts.push(Fact::item(Item::Context { context: Context::Instructions, text: built.text }));
        facts
    }
}

/// What the model and the person are told of a file that has become another one.
fn difference(path: &Path, mark: &str, old: Option<&str>, now: &str) -> [Fact; 2] {
    let name = path.display();
    let (said, what) = match old {
        _ if mark.is_empty() => (
            format!("{name} is gone or empty; the model was told that it holds no longer"),
            format!("{name} is gone or empty. What it said holds no longer."),
        ),
        Some(old) => {
            let diff = Diff::between(old.as_bytes(), now.as_bytes(), now.len() + 200);
            let text = if diff.text.len() < now.len() { diff.text } else { format!("It says now:\n{now}") };
            (
                format!("{name} has changed; the model was told the difference"),
                format!("{name} has changed since you were told of it, and holds as it is now:\n{text}"),
            )
        }
        None => (
            format!("{name} has changed; the model was told all of it"),
            format!("{name} has changed since you were told of it, and holds as it is now. It says:\n{now}"),
        ),
    };
    let text = instructions::changed(path, mark, &what);
    [
        Fact::Noted { level: Level::Info, text: said },
        Fact::item(Item::Context { context: Context::Instructions, text }),
    ]
}
