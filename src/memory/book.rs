//! The notes of a project or of the person, by topic: `MEMORY.md`, read and written.
//!
//! What a person writes there beside notes stays where it stands, word for word.

use std::fmt::Write as _;

use super::{
    Date,
    note::{Note, Origin},
};

/// The first line begins so.
const TITLE: &str = "# Memory of ";
/// Stands at the top of every file, for whoever opens it.
const HEAD: &str = "Notes that agent has made of earlier sessions. Edit them as you like: what you change or add is kept as you wrote \
                    it, what you delete does not come back.";

/// Notes by topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Book {
    pub topics: Vec<Topic>,
}

/// Notes under one heading, which is empty for those above the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub entries: Vec<Entry>,
}

/// What stands under a heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Note(Note),
    /// A line that is no note.
    Free(String),
}

impl Book {
    /// Reads a file. Notes without an origin are the person's, of this day.
    #[must_use]
    pub fn read(text: &str, today: Date) -> Self {
        let mut book = Self::default();
        // Lines of a note that was wrapped.
        let mut open: Option<String> = None;
        let mut fenced = false;
        for (number, line) in text.lines().enumerate() {
            if let Some(note) = &mut open {
                if line.starts_with([' ', '\t']) && !line.trim().is_empty() && !is_item(line.trim_start()) {
                    note.push(' ');
                    note.push_str(line.trim());
                    continue;
                }
                let note = std::mem::take(note);
                book.push_read(&note, today);
                open = None;
            }
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if fenced {
                book.push(Entry::Free(line.to_owned()));
            } else if let Some(name) = line.strip_prefix("## ").map(str::trim).filter(|name| !name.is_empty())
            {
                book.topics.push(Topic { name: name.to_owned(), entries: Vec::new() });
            } else if is_item(line) {
                open = Some(line.get(2..).unwrap_or_default().trim().to_owned());
            } else if !(line == HEAD || number == 0 && line.starts_with(TITLE)) {
                book.push(Entry::Free(line.trim_end().to_owned()));
            }
        }
        if let Some(note) = open {
            book.push_read(&note, today);
        }
        book.topics.iter_mut().for_each(Topic::tidy);
        // A heading that a person has made stays, empty as it is; nothing above the first one is nothing.
        book.topics.retain(|topic| !topic.name.is_empty() || !topic.entries.is_empty());
        book
    }

    fn push_read(&mut self, line: &str, today: Date) {
        let note = match Note::read(line) {
            Ok(note) if self.get(&note.id).is_none() => note,
            // A copy of a line is another note.
            Ok(Note { text, .. }) | Err(text) => {
                if text.is_empty() {
                    return;
                }
                Note::new(&text, today, Origin::You, |id| self.get(id).is_some())
            }
        };
        self.push(Entry::Note(note));
    }

    fn push(&mut self, entry: Entry) {
        if self.topics.is_empty() {
            self.topics.push(Topic { name: String::new(), entries: Vec::new() });
        }
        if let Some(topic) = self.topics.last_mut() {
            topic.entries.push(entry);
        }
    }

    /// The file.
    #[must_use]
    pub fn text(&self, title: &str) -> String {
        let mut text = format!("{TITLE}{}\n\n{HEAD}\n", title.replace('\n', " "));
        for topic in &self.topics {
            // Writing to a string can't fail.
            if topic.name.is_empty() {
                text.push('\n');
            } else {
                let _ = write!(text, "\n## {}\n\n", topic.name);
            }
            for entry in &topic.entries {
                match entry {
                    Entry::Note(note) => text += &note.line(),
                    Entry::Free(line) => text += line,
                }
                text.push('\n');
            }
        }
        text
    }

    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        self.with_topics().map(|(_, note)| note)
    }

    /// The notes, each with its topic.
    pub fn with_topics(&self) -> impl Iterator<Item = (&str, &Note)> {
        self.topics.iter().flat_map(|topic| {
            topic.entries.iter().filter_map(|entry| match entry {
                Entry::Note(note) => Some((topic.name.as_str(), note)),
                Entry::Free(_) => None,
            })
        })
    }

    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Note> {
        self.notes().find(|note| note.id == id)
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut Note> {
        self.topics.iter_mut().flat_map(|topic| &mut topic.entries).find_map(|entry| match entry {
            Entry::Note(note) if note.id == id => Some(note),
            _ => None,
        })
    }

    /// Takes a note away.
    pub fn remove(&mut self, id: &str) -> Option<Note> {
        let note = self.get(id).cloned()?;
        for topic in &mut self.topics {
            topic.entries.retain(|entry| !matches!(entry, Entry::Note(note) if note.id == id));
        }
        self.topics.retain(|topic| !topic.entries.is_empty());
        Some(note)
    }

    /// Adds a note under a heading, which is made if there is none. The heading of the last note, where none is said.
    pub fn add(&mut self, topic: &str, note: Note) {
        let name = topic.split_whitespace().collect::<Vec<_>>().join(" ");
        let name =
            if name.is_empty() { "Notes".to_owned() } else { name.trim_start_matches(['#', ' ']).to_owned() };
        match self.topics.iter_mut().find(|known| known.name.eq_ignore_ascii_case(&name)) {
            Some(known) => known.entries.push(Entry::Note(note)),
            None => self.topics.push(Topic { name, entries: vec![Entry::Note(note)] }),
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.iter().all(|topic| topic.entries.is_empty())
    }
}

impl Topic {
    /// Takes blank lines away where they separate nothing.
    fn tidy(&mut self) {
        let blank =
            |entry: Option<&Entry>| matches!(entry, Some(Entry::Free(line)) if line.trim().is_empty());
        while blank(self.entries.first()) {
            self.entries.remove(0);
        }
        while blank(self.entries.last()) {
            self.entries.pop();
        }
    }
}

fn is_item(line: &str) -> bool {
    ["- ", "* "].iter().any(|mark| line.starts_with(mark) || line == mark.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::testing::date;

    fn note(id: &str, text: &str) -> Note {
        let from = Origin::session("0199a2b3-c4d5-7000");
        Note { id: id.to_owned(), text: text.to_owned(), date: date(3), from }
    }

    #[test]
    fn a_book_is_read_as_it_was_written() {
        let mut book = Book::default();
        book.add("Tests", note("aaaa", "Use nextest"));
        book.add("", note("bbbb", "No topic"));
        book.add("tests", note("cccc", "They need a database"));
        let text = book.text("/home/me/project");
        insta::assert_snapshot!(text, @r"
        # Memory of /home/me/project

        Notes that agent has made of earlier sessions. Edit them as you like: what you change or add is kept as you wrote it, what you delete does not come back.

        ## Tests

        - Use nextest (aaaa · 2026-11-03 · session 0199a2b3-c4d5)
        - They need a database (cccc · 2026-11-03 · session 0199a2b3-c4d5)

        ## Notes

        - No topic (bbbb · 2026-11-03 · session 0199a2b3-c4d5)
        ");
        assert_eq!(Book::read(&text, date(9)), book);
        assert_eq!(Book::read(&text, date(9)).text("/home/me/project"), text);
    }

    #[test]
    fn what_a_person_writes_stays_where_it_stands() {
        let text = "My own words.\n\n## Build\n\nIt takes long:\n\n```sh\n- make all\n```\n- Use make\n  -j8, never more (aaaa · \
                    2026-11-03 · session 0199a2b3-c4d5)\n* mine\n\n## Empty\n";
        let book = Book::read(text, date(9));
        let notes: Vec<(&str, &str, bool)> =
            book.notes().map(|note| (&*note.id, &*note.text, note.from == Origin::You)).collect();
        let mine = book.notes().last().unwrap().id.clone();
        assert_eq!(notes, [("aaaa", "Use make -j8, never more", false), (mine.as_str(), "mine", true)]);
        let written = book.text("x");
        for line in ["My own words.", "It takes long:", "```sh\n- make all\n```", "## Empty"] {
            assert!(written.contains(line), "{line}: {written}");
        }
        assert_eq!(Book::read(&written, date(9)), book);
    }

    #[test]
    fn a_line_that_was_copied_is_another_note() {
        let line = note("aaaa", "x").line();
        let book = Book::read(&format!("{line}\n{line}\n- \n"), date(9));
        let ids: Vec<&str> = book.notes().map(|note| note.id.as_str()).collect();
        assert_eq!(ids.len(), 2);
        assert_ne!(ids[0], ids[1]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            failure_persistence: None, ..proptest::prelude::ProptestConfig::with_cases(300)
        })]

        #[test]
        fn whatever_is_in_a_file_is_written_back_and_read_the_same(text in "[-a#` (·)\n]{0,60}") {
            let book = Book::read(&text, date(9));
            let written = book.text("x");
            let again = Book::read(&written, date(9));
            proptest::prop_assert_eq!(&again.text("x"), &written);
            for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
                proptest::prop_assert!(written.contains(word), "{} is lost: {}", word, written);
            }
        }
    }
}
