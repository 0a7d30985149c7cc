//! Bytes of a command as text: whole characters, and the line ends of a terminal.
//!
//! It keeps nothing between calls. Whoever cuts a stream into pieces holds back [`unfinished`] bytes.

use std::borrow::Cow;

/// How many bytes at the end are the beginning of something that may still become whole: a character, or
/// (on a terminal, where it may belong to a line feed) a carriage return.
pub(super) fn unfinished(bytes: &[u8], tty: bool) -> usize {
    if tty && bytes.last() == Some(&b'\r') {
        return 1;
    }
    let from = bytes.len().saturating_sub(3);
    let Some(last) = bytes.get(from..) else { return 0 };
    let Some(lead) = last.iter().rposition(|&byte| byte >= 0xC0) else { return 0 };
    let Some(character) = last.get(lead..) else { return 0 };
    match std::str::from_utf8(character) {
        Err(error) if error.error_len().is_none() => character.len(),
        _ => 0,
    }
}

/// How many bytes at the beginning are the end of a character that was cut.
pub(super) fn orphaned(bytes: &[u8]) -> usize {
    bytes.iter().take(3).take_while(|&&byte| byte & 0xC0 == 0x80).count()
}

/// The text of `bytes`; what is not UTF-8 becomes U+FFFD.
///
/// A terminal's output processing is off, because it would cost more than all the rest; what it would have
/// done to line feeds is done here.
pub(super) fn text(bytes: &[u8], tty: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    if tty { carriage_returns(&text) } else { text.into_owned() }
}

fn carriage_returns(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    for line in text.split_inclusive('\n') {
        match line.strip_suffix('\n') {
            Some(start) if !start.ends_with('\r') => {
                out.push_str(start);
                out.push_str("\r\n");
            }
            _ => out.push_str(line),
        }
    }
    out
}

/// The longest beginning of `text` that has at most `max` bytes.
pub(super) fn first(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The longest end of `text` that has at most `max` bytes.
pub(super) fn last(text: &str, max: usize) -> &str {
    let mut start = text.len().saturating_sub(max);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..).unwrap_or_default()
}

/// Line feeds in `bytes`.
pub(super) fn line_feeds(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// The last lines of `text`, without a first one that was cut.
pub(super) fn from_a_line_start(text: Cow<'_, str>) -> String {
    match text.split_once('\n') {
        Some((_, rest)) if !rest.is_empty() => rest.to_owned(),
        _ => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_still_become_whole_is_unfinished() {
        for (bytes, tty, expected) in [
            (&b""[..], false, 0),
            (b"abc", false, 0),
            ("é".as_bytes(), false, 0),
            (b"a\xC3", false, 1),
            (b"a\xE2\x82", false, 2),
            (b"\xF0\x9F\x98", false, 3),
            (b"\xF0\x9F", false, 2),
            (b"\xFF", false, 0),
            (b"\xE2\xFF", false, 0),
            (b"\x80\x80", false, 0),
            (b"a\r", false, 0),
            (b"a\r", true, 1),
        ] {
            assert_eq!(unfinished(bytes, tty), expected, "{bytes:?} {tty}");
        }
    }

    #[test]
    fn a_lone_line_feed_on_a_terminal_gets_its_carriage_return() {
        assert_eq!(text(b"a\nb\r\n\nc", true), "a\r\nb\r\n\r\nc");
        assert_eq!(text(b"a\nb\r\n", false), "a\nb\r\n");
    }

    #[test]
    fn cuts_never_split_a_character() {
        assert_eq!((first("aé", 2), first("aé", 3), first("aé", 9)), ("a", "aé", "aé"));
        assert_eq!((last("éa", 2), last("éa", 3), last("éa", 0)), ("a", "éa", ""));
    }

    #[test]
    fn line_feeds_are_counted_across_blocks() {
        let bytes = b"x\n".repeat(1000);
        assert_eq!(line_feeds(&bytes), 1000);
        assert_eq!(line_feeds(&vec![b'\n'; 513]), 513);
    }
}
