//! Characters in a text that people don't see and a model reads: where they are, and what they are.
//!
//! What ordinary writing needs is let pass: joiners within emoji and scripts, the flags of regions, a byte order
//! mark at the beginning.

use std::fmt;

/// Hidden characters of one kind in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// Counted from 1.
    pub line: usize,
    pub kind: Kind,
    /// The first of them.
    pub first: char,
    pub count: usize,
    /// What they spell, if they spell something.
    pub spells: String,
}

/// What hidden characters do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They change the order in which text is shown.
    Direction,
    /// They take no room.
    Invisible,
    /// They are letters that are never shown.
    Tags,
    /// They act on a terminal.
    Control,
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Direction => "text direction",
            Kind::Invisible => "invisible",
            Kind::Tags => "hidden letters",
            Kind::Control => "terminal control",
        };
        write!(f, "line {}: {what} U+{:04X}", self.line, u32::from(self.first))?;
        if self.count > 1 {
            write!(f, " ×{}", self.count)?;
        }
        if !self.spells.is_empty() {
            write!(f, " spelling {:?}", self.spells)?;
        }
        Ok(())
    }
}

/// All hidden characters of a text, by line and kind.
#[must_use]
pub fn find(text: &str) -> Vec<Hidden> {
    let mut found: Vec<Hidden> = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let from = found.len();
        let mut before = None;
        let mut flag = false;
        let mut chars = line.chars().peekable();
        while let Some(char) = chars.next() {
            flag = char == '\u{1f3f4}' || flag && is_tag(char);
            let first = number == 0 && before.is_none();
            if !flag
                && let Some(kind) = kind(char)
                && !ordinary(char, before, chars.peek().copied(), first)
            {
                let same = found.iter_mut().skip(from).find(|hidden| hidden.kind == kind);
                let spelled = spelled(char);
                match same {
                    Some(hidden) => {
                        hidden.count += 1;
                        hidden.spells.extend(spelled);
                    }
                    None => found.push(Hidden {
                        line: number + 1,
                        kind,
                        first: char,
                        count: 1,
                        spells: spelled.into_iter().collect(),
                    }),
                }
            }
            before = Some(char);
        }
    }
    found
}

fn kind(char: char) -> Option<Kind> {
    Some(match char {
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Kind::Direction
        }
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200d}' => {
            Kind::Invisible
        }
        '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' => Kind::Invisible,
        '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' => {
            Kind::Invisible
        }
        '\u{e0100}'..='\u{e01ef}' => Kind::Invisible,
        char if is_tag(char) => Kind::Tags,
        '\t' => return None,
        char if char.is_control() => Kind::Control,
        _ => return None,
    })
}

fn is_tag(char: char) -> bool {
    ('\u{e0000}'..='\u{e007f}').contains(&char)
}

/// Whether writing needs it here.
fn ordinary(char: char, before: Option<char>, after: Option<char>, first: bool) -> bool {
    let foreign = |char: Option<char>| char.is_some_and(|char| !char.is_ascii() && kind(char).is_none());
    let joined = |char: Option<char>| foreign(char) || char == Some('\u{fe0f}');
    match char {
        '\u{feff}' => first,
        '\u{200c}' | '\u{200d}' => joined(before) && foreign(after),
        // How a character is drawn; a second one in a row draws nothing. Keycaps begin with a digit.
        '\u{fe00}'..='\u{fe0f}' => foreign(before) || before.is_some_and(|char| char.is_ascii_graphic()),
        _ => false,
    }
}

fn spelled(char: char) -> Option<char> {
    let letter = char::from_u32(u32::from(char).checked_sub(0xe0000)?)?;
    (is_tag(char) && letter.is_ascii_graphic() || letter == ' ').then_some(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_found_with_its_place() {
        let tags: String =
            "run it".chars().map(|char| char::from_u32(0xe0000 + char as u32).unwrap()).collect();
        for (text, found) in [
            ("plain\n\ttext\r\nünï 漢字", ""),
            ("a\n\u{202e}b\u{202c}", "line 2: text direction U+202E ×2"),
            ("a\u{200b}b", "line 1: invisible U+200B"),
            ("\x1b]0;x\x07", "line 1: terminal control U+001B ×2"),
            ("a\rb", "line 1: terminal control U+000D"),
            (&format!("hi{tags}"), "line 1: hidden letters U+E0072 ×6 spelling \"run it\""),
            ("x\u{feff}\n\u{feff}", "line 1: invisible U+FEFF, line 2: invisible U+FEFF"),
            ("a\u{200d}b", "line 1: invisible U+200D"),
            ("😀\u{fe0f}\u{fe01}\u{fe02}", "line 1: invisible U+FE01 ×2"),
            ("a\u{e0101}", "line 1: invisible U+E0101"),
            ("a\u{200b}\u{202e}", "line 1: invisible U+200B, line 1: text direction U+202E"),
        ] {
            let said: Vec<String> = find(text).iter().map(ToString::to_string).collect();
            assert_eq!(said.join(", "), found, "{text:?}");
        }
    }

    #[test]
    fn what_writing_needs_is_let_pass() {
        for text in [
            "\u{feff}begins with a mark",
            "👩\u{200d}💻 and ❤\u{fe0f} and ❤\u{fe0f}\u{200d}🔥 and 1\u{fe0f}\u{20e3}",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "می\u{200c}خواهم",
        ] {
            assert_eq!(find(text), [], "{text:?}");
        }
    }
}
