//! What was sent before: walking through it, searching it, and how it is written down.
//!
//! Pure: the app reads and writes the file. One entry is kept once, at its newest place.

use serde::{Deserialize, Serialize};

use super::buffer::Fragment;

/// How many entries are kept, and how large one may be in the file.
pub const MOST_ENTRIES: usize = 10_000;
pub const MOST_BYTES: usize = 64 << 10;

#[derive(Serialize, Deserialize)]
struct Line {
    text: String,
}

/// One entry as a line to append to the file, with its line end. Nothing for what is too large to keep.
#[must_use]
pub fn encode_line(text: &str) -> Option<String> {
    if text.trim().is_empty() || text.len() > MOST_BYTES {
        return None;
    }
    let mut line = serde_json::to_string(&Line { text: text.to_owned() }).ok()?;
    line.push('\n');
    Some(line)
}

/// The whole file, oldest entry first.
#[must_use]
pub fn encode(entries: &[String]) -> String {
    folded(entries.iter().cloned()).iter().filter_map(|text| encode_line(text)).collect()
}

/// The entries of a file, oldest first. Lines that are torn or not ours are passed over.
#[must_use]
pub fn decode(file: &[u8]) -> Vec<String> {
    let lines = file.split(|byte| *byte == b'\n');
    let entries = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok().map(|line| line.text));
    folded(entries.filter(|text| !text.trim().is_empty() && text.len() <= MOST_BYTES))
}

/// Whether a file has so many lines that it should be written anew with [`encode`].
#[must_use]
pub fn is_long(file: &[u8]) -> bool {
    file.iter().filter(|byte| **byte == b'\n').count() > 2 * MOST_ENTRIES
}

/// The newest entries, each once.
fn folded(entries: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = entries.collect();
    let mut seen = std::collections::HashSet::new();
    let newest: std::collections::HashSet<usize> = all
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, text)| seen.insert(text.as_str()))
        .map(|(index, _)| index)
        .take(MOST_ENTRIES)
        .collect();
    let mut index = 0;
    all.retain(|_| {
        index += 1;
        newest.contains(&(index - 1))
    });
    all
}

/// The past messages, and where in them the person is.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: Vec<Fragment>,
    /// The entry that is shown, and the draft that waits below the newest.
    at: Option<(usize, Fragment)>,
}

impl History {
    pub fn new(entries: Vec<String>) -> Self {
        let entries = folded(entries.into_iter());
        Self { entries: entries.iter().map(|text| text.as_str().into()).collect(), at: None }
    }

    /// Adds what was sent, as the newest.
    pub fn add(&mut self, entry: Fragment) {
        self.at = None;
        if entry.text.trim().is_empty() {
            return;
        }
        self.entries.retain(|old| *old != entry);
        self.entries.push(entry);
        if self.entries.len() > MOST_ENTRIES {
            self.entries.remove(0);
        }
    }

    /// Whether the text is an entry that was called up and not changed.
    pub fn shows(&self, text: &Fragment) -> bool {
        self.at.as_ref().is_some_and(|(at, _)| self.entries.get(*at) == Some(text))
    }

    /// The next older entry. The draft is kept for the way back.
    pub fn older(&mut self, draft: &Fragment) -> Option<Fragment> {
        let next = match &self.at {
            Some((at, _)) if self.shows(draft) => at.checked_sub(1)?,
            _ => self.entries.len().checked_sub(1)?,
        };
        let entry = self.entries.get(next)?.clone();
        match &mut self.at {
            Some((at, _)) if self.entries.get(*at) == Some(draft) => *at = next,
            at => *at = Some((next, draft.clone())),
        }
        Some(entry)
    }

    /// The next newer entry, and the draft behind the newest.
    pub fn newer(&mut self, shown: &Fragment) -> Option<Fragment> {
        if !self.shows(shown) {
            return None;
        }
        let (at, _) = self.at.as_mut()?;
        *at += 1;
        if let Some(entry) = self.entries.get(*at) {
            return Some(entry.clone());
        }
        self.at.take().map(|(_, draft)| draft)
    }

    /// Makes an entry the one that is shown.
    pub fn show(&mut self, index: usize, draft: Fragment) {
        self.at = Some((index, draft));
    }

    pub fn get(&self, index: usize) -> Option<&Fragment> {
        self.entries.get(index)
    }

    /// The next entry from `from` (which itself counts) whose text has `wanted`, with the place in it.
    pub fn find(&self, wanted: &str, from: usize, older: bool) -> Option<(usize, usize)> {
        let found = |index: usize| Some((index, place(&self.entries.get(index)?.text, wanted)?));
        if older {
            (0..self.entries.len().min(from + 1)).rev().find_map(found)
        } else {
            (from..self.entries.len()).find_map(found)
        }
    }
}

/// Where a text has what is wanted; capitals count only when there are some in what is wanted.
fn place(text: &str, wanted: &str) -> Option<usize> {
    if wanted.chars().any(char::is_uppercase) {
        return text.find(wanted);
    }
    let exact = text.find(wanted);
    // Small letters may be longer or shorter than capitals; then the place in the text is not known exactly.
    exact.or_else(|| text.to_lowercase().find(wanted).map(|at| at.min(text.len())))
}

/// A search that is going on (Ctrl-R).
#[derive(Debug, Default)]
pub(super) struct Search {
    pub wanted: String,
    /// The entry that is shown, and the place of the match in it.
    pub found: Option<(usize, usize)>,
    /// Nothing has what is wanted; the last entry that had it stays.
    pub failed: bool,
    /// What to go back to.
    pub draft: Fragment,
    pub cursor: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_file_keeps_each_entry_once_at_its_newest_place() {
        let entries = strings(&["a", "line\nline", "a", "\"q\"\u{1b}", " "]);
        let file = encode(&entries);
        assert_eq!(file.lines().count(), 3);
        assert_eq!(decode(file.as_bytes()), ["line\nline", "a", "\"q\"\u{1b}"]);
    }

    #[test]
    fn torn_and_foreign_lines_are_passed_over() {
        let file = b"{\"text\":\"a\"}\nnot json\n\xff\xfe\n{\"text\":\"b\",\"later\":1}\n\n{\"text\":\"tor";
        assert_eq!(decode(file), ["a", "b"]);
        assert!(!is_long(file));
    }

    #[test]
    fn ten_thousand_entries_are_kept_and_large_ones_are_not() {
        let many: Vec<String> = (0..MOST_ENTRIES + 5).map(|number| number.to_string()).collect();
        let kept = decode(encode(&many).as_bytes());
        assert_eq!((kept.len(), kept.first().unwrap().as_str()), (MOST_ENTRIES, "5"));
        assert_eq!(encode_line(&"x".repeat(MOST_BYTES + 1)), None);
    }

    #[test]
    fn the_draft_waits_below_the_newest() {
        let mut history = History::new(strings(&["one", "two"]));
        let draft = Fragment::from("draft");
        let two = history.older(&draft).unwrap();
        let one = history.older(&two).unwrap();
        assert_eq!((one.text.as_str(), two.text.as_str()), ("one", "two"));
        assert_eq!(history.older(&one), None);
        assert_eq!(history.newer(&one), Some(two.clone()));
        assert_eq!(history.newer(&two), Some(draft.clone()));
        assert_eq!(history.newer(&draft), None);
        // A changed entry is a draft of its own.
        let two = history.older(&draft).unwrap();
        let changed = Fragment::from("two!");
        assert_eq!(history.newer(&changed), None);
        assert_eq!(history.older(&changed), Some(two.clone()));
        assert_eq!(history.newer(&two), Some(changed));
    }

    #[test]
    fn search_minds_capitals_only_when_it_has_some() {
        let history = History::new(strings(&["Fix the Parser", "fix the lexer", "other"]));
        assert_eq!(history.find("fix", 2, true), Some((1, 0)));
        assert_eq!(history.find("fix", 0, true), Some((0, 0)));
        assert_eq!(history.find("Fix", 2, true), Some((0, 0)));
        assert_eq!(history.find("parser", 0, false), Some((0, 8)));
        assert_eq!(history.find("zzz", 2, true), None);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_and_what_is_encoded_comes_back(bytes: Vec<u8>, entries: Vec<String>) {
            let _ = decode(&bytes);
            let once = decode(encode(&entries).as_bytes());
            prop_assert_eq!(decode(encode(&once).as_bytes()), once);
        }
    }
}
