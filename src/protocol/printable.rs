//! Text that a terminal may see. Nothing that a model, a command or a file name says may act on it.

use std::borrow::Cow;

/// The text with everything made visible that would act on a terminal or hide from the eye: control
/// characters (but for line ends and tabs), bidirectional overrides, zero-width and tag characters.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\r' if chars.peek() == Some(&'\n') => {}
            char if acts(char) => out.extend(char.escape_unicode()),
            char => out.push(char),
        }
    }
    Cow::Owned(out)
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
        }
    }
}
