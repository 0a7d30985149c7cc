//! Text from outside as one line that is safe to draw: nothing in it acts, nothing in it hides.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar as _;

use crate::protocol::{printable, printable_speech};

/// Columns from one tab stop to the next, in prose and code.
const CODE_TAB: usize = 4;
/// The same in the output of commands, which was made for terminals.
const OUTPUT_TAB: usize = 8;

/// One line of prose or code: printable, without tabs and line ends.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    flat(printable(text), CODE_TAB)
}

/// The same for what people and models say: emoji that are joined stay so.
#[must_use]
pub fn speech(text: &str) -> Cow<'_, str> {
    flat(printable_speech(text), CODE_TAB)
}

/// One line of a command's output, as a terminal would have left it: colours are gone, and of a line that was
/// written over only the last state is kept.
#[must_use]
pub fn output(line: &str) -> Cow<'_, str> {
    let line = line.trim_end_matches(['\r', '\n']);
    let last = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    match without_colours(last) {
        Cow::Borrowed(text) => flat(printable(text), OUTPUT_TAB),
        Cow::Owned(text) => Cow::Owned(flat(printable(&text), OUTPUT_TAB).into_owned()),
    }
}

/// The longest beginning of `text` with at most `max` bytes.
#[must_use]
pub fn first(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The longest end of `text` with at most `max` bytes.
#[must_use]
pub fn last(text: &str, max: usize) -> &str {
    let mut start = text.len().saturating_sub(max);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..).unwrap_or_default()
}

fn flat(text: Cow<'_, str>, tab: usize) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'\t' | b'\n')) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut column = 0;
    for char in text.chars() {
        match char {
            '\t' => {
                let wide = tab - column % tab;
                out.extend(std::iter::repeat_n(' ', wide));
                column += wide;
            }
            '\n' => {
                out.push(' ');
                column += 1;
            }
            char => {
                out.push(char);
                column += char.width().unwrap_or(0);
            }
        }
    }
    Cow::Owned(out)
}

/// Without what sets colours and erases lines. All other sequences stay, to be made visible.
fn without_colours(text: &str) -> Cow<'_, str> {
    if !text.contains("\x1b[") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, sequence)) = rest.split_once("\x1b[") {
        out.push_str(before);
        let end =
            sequence.find(|char: char| !matches!(char, '0'..='9' | ';' | ':')).unwrap_or(sequence.len());
        let (_, tail) = sequence.split_at(end);
        match tail.strip_prefix(['m', 'K']) {
            Some(after) => rest = after,
            None => {
                out.push_str("\x1b[");
                rest = sequence;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_flat_and_can_do_nothing() {
        assert_eq!(plain("a\tb\n"), "a   b ");
        assert_eq!(plain("漢\tb\x1b[2J"), "漢  b\\u{1b}[2J");
        assert_eq!(plain("plain"), "plain");
    }

    #[test]
    fn output_loses_its_colours_and_what_was_written_over() {
        assert_eq!(output("\x1b[1;31merror\x1b[0m: x\x1b[K\r\n"), "error: x");
        assert_eq!(output("10%\r50%\r100%\n"), "100%");
        assert_eq!(output("\x1b]52;c;eA==\x07\x1b[2J"), "\\u{1b}]52;c;eA==\\u{7}\\u{1b}[2J");
        assert_eq!(output("a\tb"), "a       b");
        assert_eq!(output("\r\r"), "");
    }

    #[test]
    fn cuts_fall_between_characters() {
        assert_eq!((first("aé", 2), last("éa", 2)), ("a", "a"));
        assert_eq!((first("ab", 9), last("ab", 9)), ("ab", "ab"));
    }
}
