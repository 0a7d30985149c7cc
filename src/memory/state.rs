//! What is known of the notes beside their words, and how edits by hand are taken over.
//!
//! Each version of the memory keeps what was written with it. What stands in the files now and was not written is the
//! work of a person, and goes before whatever a model thinks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::protocol::Time;

use super::{
    Book, Date,
    note::{Note, Origin, same},
};

/// Deletions of a person that are remembered, the last ones.
const FORGOTTEN: usize = 200;

/// One version, beside the words of its notes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct State {
    /// When it was made.
    pub at: Option<Time>,
    /// The version before it, if there is one.
    pub before: Option<u64>,
    /// What was done, in words for the person.
    pub what: String,
    /// Nobody asked for it: notes were made in the background.
    pub by_itself: bool,
    /// The notes as they were written, by id.
    pub wrote: BTreeMap<String, String>,
    /// The same of `memory_summary.md`: the whole text.
    pub summary: String,
    /// The notes that are worth most, first.
    pub order: Vec<String>,
    /// Notes that a person has taken out of the summary.
    pub unlisted: BTreeSet<String>,
    /// When a session last had a use for a note.
    pub used: BTreeMap<String, Date>,
    /// The sessions whose notes have been taken over, with the hash of their files.
    pub taken: BTreeMap<String, String>,
    /// What a person does not want to be remembered.
    pub forgotten: Vec<String>,
}

/// What a person has done to the files since they were written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edits {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

impl Edits {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl State {
    /// The book that the two files come to, with what a person did to them taken over. Notes that a person has changed
    /// or written are that person's from now on.
    pub fn absorb(&mut self, memory: &str, summary: &str, today: Date) -> (Book, Edits) {
        let mut book = Book::read(memory, today);
        let mut edits = Edits::default();
        let ids: Vec<String> = book.notes().map(|note| note.id.clone()).collect();
        for id in ids {
            let Some(note) = book.get_mut(&id) else { continue };
            match self.wrote.get(&id) {
                Some(text) if *text == note.text => continue,
                Some(_) => edits.changed.push(id.clone()),
                None => edits.added.push(id.clone()),
            }
            (note.from, note.date) = (Origin::You, today);
        }
        let gone: Vec<(String, String)> = self
            .wrote
            .iter()
            .filter(|(id, _)| book.get(id).is_none())
            .map(|(id, text)| (id.clone(), text.clone()))
            .collect();
        for (id, text) in gone {
            self.forget(&text);
            edits.removed.push(id);
        }
        if summary != self.summary {
            self.absorb_summary(&mut book, summary, today, &mut edits);
        }
        (book, edits)
    }

    fn absorb_summary(&mut self, book: &mut Book, summary: &str, today: Date, edits: &mut Edits) {
        let written = Book::read(&self.summary, today);
        let found = Book::read(summary, today);
        for note in found.notes() {
            match written.get(&note.id) {
                Some(before) if before.text == note.text => {}
                // Changed in both files: what stands in the larger one holds.
                Some(before) => {
                    if let Some(ours) = book.get_mut(&note.id).filter(|ours| ours.text == before.text) {
                        *ours = Note { from: Origin::You, date: today, ..note.clone() };
                        edits.changed.push(note.id.clone());
                    }
                }
                None => {
                    if !book.notes().any(|known| same(&known.text) == same(&note.text)) {
                        let new = Note::new(&note.text, today, Origin::You, |id| book.get(id).is_some());
                        edits.added.push(new.id.clone());
                        book.add("Yours", new);
                    }
                }
            }
        }
        let gone = written.notes().filter(|note| found.get(&note.id).is_none());
        self.unlisted.extend(gone.map(|note| note.id.clone()));
    }

    /// Keeps a text from being remembered again.
    pub fn forget(&mut self, text: &str) {
        let text = text.to_owned();
        if !self.is_forgotten(&text) {
            self.forgotten.push(text);
        }
        let over = self.forgotten.len().saturating_sub(FORGOTTEN);
        self.forgotten.drain(..over);
    }

    /// Whether a person does not want this to be remembered.
    #[must_use]
    pub fn is_forgotten(&self, text: &str) -> bool {
        self.forgotten.iter().any(|forgotten| same(forgotten) == same(text))
    }

    /// When a note was last of use, or else learnt.
    #[must_use]
    pub fn last_use(&self, note: &Note) -> Date {
        self.used.get(&note.id).copied().unwrap_or(note.date).max(note.date)
    }

    /// Takes away the notes that no session had a use for in so many days. What a person wrote stays.
    pub fn expire(&self, book: &mut Book, today: Date, days: u64) -> Vec<Note> {
        if days == 0 {
            return Vec::new();
        }
        let old = |note: &&Note| {
            let unused = (today - self.last_use(note)).get_days();
            note.from != Origin::You && u64::try_from(unused).is_ok_and(|unused| unused > days)
        };
        let ids: Vec<String> = book.notes().filter(old).map(|note| note.id.clone()).collect();
        ids.iter().filter_map(|id| book.remove(id)).collect()
    }

    /// Notes down what is written now, and drops what is known of notes that are no more.
    pub(super) fn written(&mut self, book: &Book, summary: &str) {
        self.wrote = book.notes().map(|note| (note.id.clone(), note.text.clone())).collect();
        summary.clone_into(&mut self.summary);
        let wrote = &self.wrote;
        self.order.retain(|id| wrote.contains_key(id));
        self.unlisted.retain(|id| wrote.contains_key(id));
        self.used.retain(|id, _| wrote.contains_key(id));
    }

    /// The notes in the order of their worth: the person's, then those that the model put first, then the newest.
    #[must_use]
    pub fn by_worth<'a>(&self, book: &'a Book) -> Vec<&'a Note> {
        let mut notes: Vec<&Note> = book.notes().filter(|note| !self.unlisted.contains(&note.id)).collect();
        let place = |note: &Note| self.order.iter().position(|id| *id == note.id).unwrap_or(usize::MAX);
        notes.sort_by_key(|note| {
            (note.from != Origin::You, place(note), std::cmp::Reverse(self.last_use(note)))
        });
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::testing::date;

    fn book() -> (Book, State) {
        let mut book = Book::default();
        for (text, day) in [("Tests need redis", 1), ("Use nextest", 2), ("Deploys on Friday", 3)] {
            let note = Note::new(text, date(day), Origin::session("0199"), |_| false);
            book.add("Notes", note);
        }
        let mut state = State::default();
        state.written(&book, &book.text("summary"));
        (book, state)
    }

    fn texts(book: &Book) -> Vec<(&str, bool)> {
        book.notes().map(|note| (note.text.as_str(), note.from == Origin::You)).collect()
    }

    #[test]
    fn files_as_they_were_written_are_no_edits() {
        let (book, mut state) = book();
        let before = state.clone();
        let (read, edits) = state.absorb(&book.text("x"), &state.summary.clone(), date(9));
        assert_eq!((read, edits, state), (book, Edits::default(), before));
    }

    #[test]
    fn what_a_person_did_by_hand_is_that_person_s_and_what_was_deleted_stays_away() {
        let (book, mut state) = book();
        let text = book.text("x").replace("Tests need redis", "Tests need valkey");
        let text: String =
            text.lines().filter(|line| !line.contains("nextest")).map(|line| format!("{line}\n")).collect();
        let summary = state.summary.clone();
        let (read, edits) = state.absorb(&format!("{text}- Ask before deploying\n"), &summary, date(9));
        assert_eq!(
            texts(&read),
            [("Tests need valkey", true), ("Deploys on Friday", false), ("Ask before deploying", true)]
        );
        assert_eq!((edits.added.len(), edits.changed.len(), edits.removed.len()), (1, 1, 1));
        assert!(state.is_forgotten("use NEXTEST!") && !state.is_forgotten("Use make"));
    }

    #[test]
    fn edits_of_the_summary_reach_the_notes() {
        let (book, mut state) = book();
        let lines = state.summary.clone().replace("Deploys on Friday", "Deploys on Monday");
        let lines: String =
            lines.lines().filter(|line| !line.contains("redis")).map(|line| format!("{line}\n")).collect();
        let (read, _) = state.absorb(&book.text("x"), &format!("{lines}- Be brief\n"), date(9));
        assert_eq!(
            texts(&read),
            [
                ("Tests need redis", false),
                ("Use nextest", false),
                ("Deploys on Monday", true),
                ("Be brief", true)
            ]
        );
        let listed: Vec<&str> = state.by_worth(&read).iter().map(|note| note.text.as_str()).collect();
        assert_eq!(
            listed,
            ["Deploys on Monday", "Be brief", "Use nextest"],
            "out of the summary, and still known"
        );
    }

    #[test]
    fn notes_without_a_use_are_given_up_and_a_person_s_are_not() {
        let (mut book, mut state) = book();
        let used = book.notes().next().unwrap().id.clone();
        state.used.insert(used, date(20));
        let second = book.notes().nth(1).unwrap().id.clone();
        book.get_mut(&second).unwrap().from = Origin::You;
        let gone = state.expire(&mut book, date(28), 10);
        assert_eq!(gone.iter().map(|note| note.text.as_str()).collect::<Vec<_>>(), ["Deploys on Friday"]);
        assert_eq!(state.expire(&mut book, date(30), 0), []);
    }
}
