//! A session's log as the model is shown it: its beginning and its end, within a budget, what the person said before all
//! else.

/// Characters of a message of the person, and of anything else, at most.
const SAID: usize = 2_000;
const OTHER: usize = 600;
/// Parts of a log that are looked at, from each end.
const PARTS: usize = 3_000;
/// Bytes to a token.
const BYTES: usize = 4;

/// Who says a part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The person.
    User,
    /// The model.
    Agent,
    /// A command or another call.
    Call,
    /// What came of it: anybody may have written that.
    Result,
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub speaker: Speaker,
    pub text: String,
}

/// Takes parts in, and keeps no more than it can show.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    head: Vec<Part>,
    tail: std::collections::VecDeque<Part>,
    dropped: usize,
}

impl Sample {
    pub fn push(&mut self, speaker: Speaker, text: &str) {
        let most = if speaker == Speaker::User { SAID } else { OTHER };
        let part = Part { speaker, text: ends(text.trim(), most) };
        if self.head.len() < PARTS {
            self.head.push(part);
            return;
        }
        if self.tail.len() == PARTS {
            self.tail.pop_front();
            self.dropped += 1;
        }
        self.tail.push_back(part);
    }

    /// Whether somebody has asked something and was answered.
    #[must_use]
    pub fn is_worth_it(&self) -> bool {
        let has = |speaker| self.head.iter().any(|part| part.speaker == speaker && !part.text.is_empty());
        has(Speaker::User) && has(Speaker::Agent)
    }

    /// The parts that fit into so many tokens, in their order. Where some are left out, nothing stands.
    #[must_use]
    pub fn within(&self, tokens: usize) -> Vec<Option<&Part>> {
        let parts: Vec<&Part> = self.head.iter().chain(&self.tail).collect();
        let mut room = tokens.saturating_mul(BYTES);
        let mut taken = vec![false; parts.len()];
        // Half of the room is the person's, if they have said that much.
        let half = room / 2;
        for (only, floor) in [(true, half), (false, 0)] {
            for at in from_both_ends(parts.len()) {
                let Some(part) = parts.get(at) else { continue };
                let size = part.text.len() + 16;
                let fits = size <= room && room - size >= floor.min(room);
                if !taken[at] && fits && (!only || part.speaker == Speaker::User) {
                    taken[at] = true;
                    room -= size;
                }
            }
        }
        let mut shown: Vec<Option<&Part>> = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let gap = self.dropped > 0 && at == self.head.len();
            if (gap || !taken[at]) && !matches!(shown.last(), Some(None)) {
                shown.push(None);
            }
            if taken[at] {
                shown.push(Some(part));
            }
        }
        shown
    }
}

/// 0, last, 1, last but one, …
fn from_both_ends(length: usize) -> impl Iterator<Item = usize> {
    (0..length).map(move |step| if step % 2 == 0 { step / 2 } else { length - 1 - step / 2 })
}

/// A text, or its beginning and its end.
fn ends(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let half = most / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(count - half).collect();
    format!("{head} […] {tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sample: &Sample, tokens: usize) -> Vec<String> {
        let word = |part: &Option<&Part>| part.map_or("…".to_owned(), |part| part.text.clone());
        sample.within(tokens).iter().map(word).collect()
    }

    #[test]
    fn a_short_log_is_shown_whole() {
        let mut sample = Sample::default();
        sample.push(Speaker::User, "  mend it ");
        assert!(!sample.is_worth_it());
        sample.push(Speaker::Agent, "done");
        assert!(sample.is_worth_it());
        assert_eq!(shown(&sample, 100), ["mend it", "done"]);
    }

    #[test]
    fn of_a_long_log_both_ends_are_shown_and_the_person_s_words_first() {
        let mut sample = Sample::default();
        for number in 0..100 {
            let speaker = if number == 50 { Speaker::User } else { Speaker::Result };
            sample.push(speaker, &format!("part {number}"));
        }
        let shown = shown(&sample, 60);
        assert_eq!(shown.first().unwrap(), "part 0");
        assert_eq!(shown.last().unwrap(), "part 99");
        let at = shown.iter().position(|text| text == "part 50").unwrap();
        assert_eq!((shown[at - 1].as_str(), shown[at + 1].as_str()), ("…", "…"));
        let bytes: usize = shown.iter().map(String::len).sum();
        assert!(bytes <= 240, "{bytes}");
    }

    #[test]
    fn a_log_of_any_length_takes_little_room() {
        let mut sample = Sample::default();
        let long = "x".repeat(1_000);
        (0..7_000).for_each(|_| sample.push(Speaker::Result, &long));
        sample.push(Speaker::User, "the end");
        assert!(sample.head.len() + sample.tail.len() <= 2 * PARTS);
        let shown = shown(&sample, 4_000);
        assert_eq!(shown.last().unwrap(), "the end");
        assert_eq!(shown.iter().filter(|text| *text == "…").count(), 1);
        assert!(shown.iter().all(|text| text.chars().count() <= OTHER + 8));
    }
}
