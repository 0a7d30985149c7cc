//! A note: one line of what was learnt, with where it came from and when.
//!
//! As a line of Markdown: `- Tests need the database on port 5433. (3f2a · 2026-11-20 · session 0199a2b3-c4d5)`. A line
//! without such an end was written by the person.

use super::{Date, Guard};

/// Characters of a note that a model writes, at most.
pub const LONGEST: usize = 300;
/// Characters of a session's id that name it: all of its time, so that they are those of one session.
const SESSION: usize = 13;

/// One line of what was learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// A few letters and digits, of this note alone.
    pub id: String,
    pub text: String,
    /// When it was learnt, or last corrected.
    pub date: Date,
    pub from: Origin,
}

/// Where a note comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The beginning of the session's id.
    Session(String),
    /// The person wrote it, or changed it by hand.
    You,
}

impl Origin {
    /// A session, by its id or the beginning of it.
    #[must_use]
    pub fn session(id: &str) -> Self {
        Self::Session(id.chars().take(SESSION).collect())
    }
}

impl Note {
    /// A note with an id that none of `others` has.
    pub fn new(text: &str, date: Date, from: Origin, mut taken: impl FnMut(&str) -> bool) -> Self {
        let hash = blake3::hash(format!("{text} {date} {from:?}").as_bytes()).to_hex();
        let id = (4..=hash.len()).filter_map(|length| hash.get(..length)).find(|id| !taken(id));
        Self { id: id.unwrap_or(hash.as_str()).to_owned(), text: text.to_owned(), date, from }
    }

    /// The line that it is in a file.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { id, text, date, from } = self;
        match from {
            Origin::Session(session) => format!("- {text} ({id} · {date} · session {session})"),
            Origin::You => format!("- {text} ({id} · {date} · you)"),
        }
    }

    /// What a line says behind its dash: the note, or its text alone if it has no such end.
    pub(super) fn read(line: &str) -> Result<Self, String> {
        let line = line.trim();
        let plain = || line.to_owned();
        let (text, end) = line.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')).ok_or_else(plain)?;
        let mut parts = end.split(" · ");
        let (Some(id), Some(date), Some(from), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(plain());
        };
        let known =
            id.len() >= 4 && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
        let from = match from.strip_prefix("session ") {
            Some(session) if is_session(session) => Origin::Session(session.to_owned()),
            None if from == "you" => Origin::You,
            _ => return Err(plain()),
        };
        match date.parse() {
            Ok(date) if known => Ok(Self { id: id.to_owned(), text: text.trim_end().to_owned(), date, from }),
            _ => Err(plain()),
        }
    }
}

fn is_session(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// The words of a text without case, signs and blanks: two that differ in nothing else are one.
#[must_use]
pub fn same(text: &str) -> String {
    text.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The text of a note as a model wrote it, on one line.
///
/// # Errors
/// When it can't be kept: why not.
pub fn checked(text: &str, guard: &dyn Guard) -> Result<String, String> {
    checked_within(text, LONGEST, guard)
}

/// The same for a text of at most so many characters.
pub(super) fn checked_within(text: &str, most: usize, guard: &dyn Guard) -> Result<String, String> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_start_matches(['-', '*', '#', ' ']).to_owned();
    if same(&line).is_empty() {
        return Err("it is empty".to_owned());
    }
    if line.chars().count() > most {
        return Err(format!("it is longer than {most} characters"));
    }
    if let Some(hidden) = guard.hidden(text) {
        return Err(format!("it has text that people don't see ({hidden})"));
    }
    if guard.redact(&line) != line || line.contains("[redacted:") {
        return Err("it holds a secret".to_owned());
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::testing::{Strict, date};

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let ours = Note::new(
            "Use `x (y)`",
            date(3),
            Origin::session("0199a2b3-c4d5-7000-8000-000000000000"),
            |_| false,
        );
        assert!(ours.line().ends_with(" · 2026-11-03 · session 0199a2b3-c4d5)"), "{}", ours.line());
        let yours = Note { from: Origin::You, ..ours.clone() };
        for note in [ours, yours] {
            assert_eq!(Note::read(note.line().strip_prefix("- ").unwrap()), Ok(note));
        }
        for plain in [
            "Use x",
            "Use x (3f2a)",
            "x (3F2A · 2026-11-03 · you)",
            "x (3f2a · then · you)",
            "x (a · b · c · d)",
        ] {
            assert_eq!(Note::read(plain), Err(plain.to_owned()));
        }
    }

    #[test]
    fn an_id_is_longer_where_another_note_has_it() {
        let first = Note::new("x", date(1), Origin::You, |_| false);
        let second = Note::new("x", date(1), Origin::You, |id| id == first.id);
        assert_eq!((first.id.len(), second.id.len()), (4, 5));
    }

    #[test]
    fn what_a_model_writes_is_one_visible_line_without_secrets() {
        assert_eq!(checked(" - Tests\n need  x ", &Strict), Ok("Tests need x".to_owned()));
        let long = "x".repeat(LONGEST + 1);
        for (text, why) in [
            ("", "empty"),
            ("- **", "empty"),
            (long.as_str(), "longer than 300"),
            ("a\u{200b}b", "people don't see"),
            ("the key is SECRET", "a secret"),
            ("the key is [redacted:3f2a]", "a secret"),
        ] {
            assert!(checked(text, &Strict).unwrap_err().contains(why), "{text}");
        }
    }
}
