//! Looking for words in all that is remembered.

use super::{Date, MemoryError, Origin, Shelf};

/// Places that a search gives.
const MOST: usize = 30;

/// What was found: lines, the notes first, and which notes these are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    pub lines: Vec<String>,
    /// Those that did not fit.
    pub more: usize,
}

/// The notes that hold all words of a query, in any case, and the sessions that do. An empty query finds every note.
///
/// # Errors
/// When something can't be read.
pub fn search(shelves: &[Shelf], query: &str, today: Date) -> Result<Found, MemoryError> {
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let holds = |text: &str| {
        let text = text.to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    let mut found = Found::default();
    let mut take = |line: String| {
        if found.lines.len() < MOST { found.lines.push(line) } else { found.more += 1 }
    };
    for shelf in shelves {
        let Some(kept) = shelf.read()? else { continue };
        let (book, ..) = kept.book(today);
        let mut used = Vec::new();
        for (topic, note) in
            book.with_topics().filter(|(topic, note)| holds(&format!("{topic} {}", note.text)))
        {
            take(format!("{} [{topic}]", note.line()));
            if note.from != Origin::You {
                used.push(note.id.as_str());
            }
        }
        if !words.is_empty() {
            shelf.used(used, today);
        }
    }
    if !words.is_empty() {
        for (notes, _) in shelves.iter().flat_map(|shelf| shelf.sessions().into_iter().rev()) {
            if holds(&format!("{} {}", notes.slug, notes.summary)) {
                take(format!(
                    "Session {} ({}), {}: {}",
                    notes.session, notes.date, notes.slug, notes.summary
                ));
            }
        }
    }
    let guard =
        |line: &String| shelves.first().map_or_else(|| line.clone(), |shelf| shelf.guard().redact(line));
    found.lines = found.lines.iter().map(guard).collect();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{
        Change, Note,
        session::SessionNotes,
        testing::{date, memory},
    };
    use crate::protocol::Time;

    #[test]
    fn notes_and_sessions_are_found_by_all_their_words_and_count_as_used() {
        let (_folder, memory) = memory();
        let shelves = memory.shelves("/p".as_ref());
        let change = Change { at: Time::UNIX_EPOCH, today: date(1), told_tokens: 500 };
        let filled = shelves[1].change(change, |book, _| {
            for (topic, text) in [("Tests", "Need a database"), ("Build", "Takes long")] {
                book.add(topic, Note::new(text, date(1), Origin::session("0199"), |_| false));
            }
            Ok::<_, MemoryError>(Some("filled".into()))
        });
        filled.unwrap();
        let session = SessionNotes {
            session: "0199a2b3-c4d5-7000-8000-000000000000".into(),
            date: date(2),
            slug: "mend-the-database".into(),
            summary: "It was down.".into(),
            notes: Vec::new(),
            wrong: Vec::new(),
        };
        shelves[1].keep(&session).unwrap();
        let found = search(&shelves, "DATABASE tests", date(8)).unwrap().lines;
        assert!(
            found.len() == 1 && found[0].starts_with("- Need a database (") && found[0].ends_with("[Tests]"),
            "{found:?}"
        );
        let found = search(&shelves, "database", date(8)).unwrap().lines;
        assert_eq!(
            found[1],
            "Session 0199a2b3-c4d5-7000-8000-000000000000 (2026-11-02), mend-the-database: It was down."
        );
        assert_eq!(search(&shelves, "", date(8)).unwrap().lines.len(), 2);
        assert_eq!(search(&shelves, "nowhere", date(8)).unwrap(), Found::default());
        shelves[1].change(change, |_, _| Ok::<_, MemoryError>(Some("again".into()))).unwrap();
        let used = shelves[1].read().unwrap().unwrap().state.used;
        assert_eq!(used.values().collect::<Vec<_>>(), [&date(8)]);
    }
}
