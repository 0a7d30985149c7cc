//! Text that a terminal may see. Nothing that a model, a command or a file name says may act on it.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation as _;

/// The text with everything made visible that would act on a terminal or hide from the eye: control
/// characters (but for line ends and tabs), bidirectional overrides, zero-width and tag characters.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |_, _| false)
}

/// The same for what people and models say to each other: emoji that are one by being joined stay one. A joiner
/// anywhere else is made visible here, too.
#[must_use]
pub fn printable_speech(text: &str) -> Cow<'_, str> {
    escaped(text, joins)
}

/// `joined`: whether a joiner may stay, by what is before and after it.
fn escaped(text: &str, joined: impl Fn(&str, &str) -> bool) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let (before, after) = (text.len() - rest.len(), text.len() - rest.len() + char.len_utf8());
        rest = text.get(after..).unwrap_or_default();
        match char {
            '\r' if rest.starts_with('\n') => {}
            JOINER if joined(text.get(..before).unwrap_or_default(), rest) => out.push(char),
            char if acts(char) => out.extend(char.escape_unicode()),
            char => out.push(char),
        }
    }
    Cow::Owned(out)
}

const JOINER: char = '\u{200d}';

/// Whether a joiner stands between two emoji, the first perhaps with a skin tone or the sign that makes it one.
fn joins(before: &str, after: &str) -> bool {
    let modifier = |char: &char| matches!(char, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
    let mut before = before.chars().rev().peekable();
    before.next_if(modifier);
    before.next().is_some_and(pictographic) && after.chars().next().is_some_and(pictographic)
}

/// Whether a character has the property Extended_Pictographic: a joiner then ties it to an emoji, and to nothing
/// else (rule GB11 of the text segmentation).
fn pictographic(char: char) -> bool {
    let clusters = |first: char| [first, JOINER, char].iter().collect::<String>().graphemes(true).count();
    clusters('\u{1f468}') == 1 && clusters('a') == 2
}

fn acts(char: char) -> bool {
    match char {
        '\n' | '\t' => false,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        char => char.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_terminal_passes() {
        let table = [
            ("plain ünï 漢字 🎉\n\tline", "plain ünï 漢字 🎉\n\tline"),
            ("\x1b]52;c;eA==\x07", "\\u{1b}]52;c;eA==\\u{7}"),
            ("a\r\nb\rc", "a\nb\\u{d}c"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("rm \u{202e}fdp.txt", "rm \\u{202e}fdp.txt"),
            ("zero\u{200b}width\0", "zero\\u{200b}width\\u{0}"),
        ];
        for (text, shown) in table {
            assert_eq!(printable(text), shown);
            assert_eq!(printable_speech(text), shown);
        }
    }

    #[test]
    fn emoji_stay_joined_in_speech_and_nothing_else_does() {
        for whole in [
            "👨\u{200d}👩\u{200d}👧",
            "🏳\u{fe0f}\u{200d}🌈",
            "👩🏽\u{200d}🚀",
            "❤\u{fe0f}\u{200d}🔥",
            "🏴\u{200d}☠\u{fe0f}",
        ] {
            assert_eq!(printable_speech(whole), whole);
            assert!(printable(whole).contains("\\u{200d}"), "{whole}");
        }
        let stray = [
            "a\u{200d}b",
            "\u{200d}👩",
            "👩\u{200d}",
            "👩\u{200d}a",
            "a\u{200d}👩",
            "👩\u{200d}\u{200d}👩",
            "👩\u{200d}\u{fe0f}",
            "👩\u{200d}🏽",
            "rm\u{200d} -rf",
            "🇩\u{200d}🇪",
            "क\u{94d}\u{200d}ष",
            "👩\u{301}\u{200d}👩",
        ];
        for stray in stray {
            assert_eq!(printable_speech(stray), printable(stray));
        }
    }
}
