//! Finding words in what was said in sessions.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader},
};

use regex::bytes::{Regex, RegexBuilder};

use crate::protocol::{Fact, Item, SessionId, Time, words};

use super::{
    Sessions,
    listing::{ASSISTANT, USER, kind},
    read,
};

/// Characters before and after what was found that are shown with it.
const AROUND: usize = 40;

/// Where words were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub at: Time,
    /// It was a person who said it.
    pub person: bool,
    /// What was found with what is around it, on one line.
    pub text: String,
}

impl Sessions {
    /// Where `text` was said in a session, at most `most` times, the first first. Upper and lower case are the same.
    ///
    /// # Errors
    /// When its log can't be read.
    pub fn search(&self, id: SessionId, text: &str, most: usize) -> io::Result<Vec<Hit>> {
        let (Some(written), Some(said)) = (pattern(&escaped(text)), pattern(text)) else {
            return Ok(Vec::new());
        };
        let mut reader = BufReader::with_capacity(256 << 10, File::open(self.log(id))?);
        let (mut line, mut hits) = (Vec::new(), Vec::new());
        while hits.len() < most && reader.read_until(b'\n', &mut line)? > 0 {
            let kind = kind(&line);
            // Most lines are passed over without being read as JSON.
            if (kind.starts_with(USER) || kind.starts_with(ASSISTANT))
                && written.is_match(&line)
                && let Ok(event) = read::decode(&line)
                && let Fact::ItemAdded { item } = &event.fact
            {
                let (person, text) = match &**item {
                    Item::User { content, .. } => (true, words(content)),
                    Item::Assistant { text, .. } => (false, text.clone()),
                    _ => (false, String::new()),
                };
                hits.extend(around(&said, &text).map(|text| Hit { at: event.at, person, text }));
            }
            line.clear();
        }
        Ok(hits)
    }
}

fn pattern(text: &str) -> Option<Regex> {
    RegexBuilder::new(&regex::escape(text)).case_insensitive(true).build().ok().filter(|_| !text.is_empty())
}

/// As it stands in a log.
fn escaped(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap_or_default();
    json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or_default().to_owned()
}

fn around(pattern: &Regex, text: &str) -> Option<String> {
    let found = pattern.find(text.as_bytes())?;
    let (before, rest) = text.split_at_checked(found.start())?;
    let (found, after) = rest.split_at_checked(found.len())?;
    let start: String = before.chars().rev().take(AROUND).collect::<Vec<_>>().into_iter().rev().collect();
    let end: String = after.chars().take(AROUND).collect();
    let cut = |part: &str, whole: &str| if part.len() < whole.len() { "…" } else { "" };
    let all = format!("{}{start}{found}{end}{}", cut(&start, before), cut(&end, after));
    Some(all.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::listing::tests::begin;

    #[test]
    fn words_are_found_in_what_was_said_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(folder.path());
        let id = SessionId(uuid::Uuid::from_u128(1));
        let mut log = begin(&sessions, 1, "mend the \"Login\" page\nof the ÄRGER shop");
        let said = Fact::item(Item::Assistant {
            id: None,
            text: "x ".repeat(60) + "The login is mended",
            partial: false,
        });
        log.append(vec![said], Time::UNIX_EPOCH).unwrap();
        let found = |text: &str| -> Vec<(bool, String)> {
            sessions.search(id, text, 9).unwrap().into_iter().map(|hit| (hit.person, hit.text)).collect()
        };
        let whole = "mend the \"Login\" page of the ÄRGER shop";
        assert_eq!(found("ärger"), [(true, whole.to_owned())]);
        assert_eq!(found("\"login\" page\nof"), [(true, whole.to_owned())]);
        let both = found("LOGIN");
        assert_eq!(both.len(), 2);
        assert!(both[1].1.starts_with('…') && both[1].1.ends_with("The login is mended"), "{both:?}");
        assert_eq!(sessions.search(id, "login", 1).unwrap().len(), 1);
        // Instructions and the names of fields are not what was said.
        for nowhere in ["type", "item_added", "user\"", ""] {
            assert_eq!(found(nowhere), [], "{nowhere}");
        }
    }
}
