//! `sessions/ID.md`: what one session has given, as Markdown that a person can read and edit.

use std::path::Path;

use super::{Date, MemoryError, book::Book, note::Note, read_file};

/// What one session has given to one shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionNotes {
    /// The whole id.
    pub session: String,
    /// When the session was last written to.
    pub date: Date,
    /// A few words that name what it was about.
    pub slug: String,
    /// What came of it, in a sentence or two.
    pub summary: String,
    /// Topic and text of each note.
    pub notes: Vec<(String, String)>,
    /// Notes that it has shown to be wrong: the id, and what is true.
    pub wrong: Vec<(String, String)>,
}

/// Before each note that was shown to be wrong.
const WRONG: &str = "Not true any more";

impl SessionNotes {
    /// The file.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { session, date, slug, summary, notes, wrong } = self;
        let mut text = format!("# {slug}\n\nSession {session}, {date}\n\n{summary}\n");
        let mut topics: Vec<&str> = notes.iter().map(|(topic, _)| topic.as_str()).collect();
        topics.dedup();
        for (at, topic) in topics.iter().enumerate() {
            if topics.iter().take(at).any(|before| before == topic) {
                continue;
            }
            text += &format!("\n## {topic}\n\n");
            notes.iter().filter(|(of, _)| of == topic).for_each(|(_, note)| text += &format!("- {note}\n"));
        }
        if !wrong.is_empty() {
            text += &format!("\n## {WRONG}\n\n");
            wrong.iter().for_each(|(id, why)| text += &format!("- {id}: {why}\n"));
        }
        text
    }

    /// Reads a file, with its hash; nothing if there is none, or no session is named in it.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(path: &Path) -> Result<Option<(Self, String)>, MemoryError> {
        let Some(text) = read_file(path)? else { return Ok(None) };
        let Some((session, date)) = text.lines().find_map(|line| {
            let (session, date) = line.strip_prefix("Session ")?.split_once(", ")?;
            Some((session.to_owned(), date.trim().parse().ok()?))
        }) else {
            return Ok(None);
        };
        let slug = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# "))
            .unwrap_or_default()
            .trim()
            .to_owned();
        let words = text.lines().skip_while(|line| !line.starts_with("Session ")).skip(1);
        let words = words.take_while(|line| !line.starts_with("## "));
        let summary = words.collect::<Vec<_>>().join("\n").trim().to_owned();
        let (mut notes, mut wrong) = (Vec::new(), Vec::new());
        let book = Book::read(&text, date);
        for (topic, Note { text, .. }) in book.with_topics() {
            match text.split_once(": ") {
                Some((id, why)) if topic == WRONG => wrong.push((id.to_owned(), why.to_owned())),
                _ => notes.push((topic.to_owned(), text.clone())),
            }
        }
        let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
        Ok(Some((Self { session, date, slug, summary, notes, wrong }, hash)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::testing::date;

    #[test]
    fn what_a_session_gave_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.md");
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let notes = SessionNotes {
            session: "0199a2b3-c4d5-7000-8000-000000000000".into(),
            date: date(4),
            slug: "fix-the-login".into(),
            summary: "The login test was flaky.\nIt is mended.".into(),
            notes: vec![pair("Tests", "Need redis"), pair("Tests", "Use nextest")],
            wrong: vec![pair("3f2a", "the port is 5434 now")],
        };
        std::fs::write(&path, notes.text()).unwrap();
        assert_eq!(SessionNotes::read(&path).unwrap().unwrap().0, notes);
        assert_eq!(SessionNotes::read(&folder.path().join("none")).unwrap(), None);
        std::fs::write(&path, "my own file").unwrap();
        assert_eq!(SessionNotes::read(&path).unwrap(), None);
    }
}
