//! What a screen may write to a terminal, and nothing else: a recogniser for all of it.

#![expect(clippy::string_slice, reason = "the borders were found in the same text")]

use std::fmt::Write as _;

/// Control sequences without numbers of their own, behind `ESC [`.
const FIXED: &[&str] = &[
    // A frame as a whole; the cursor; wrapping; the alternate screen.
    "?2026h", "?2026l", "?25h", "?25l", "?7h", "?7l", "?1049h", "?1049l", "H",
    // Erasing to the end of a row; what is below is erased by `K`, `C`, `J` only.
    "K", "A", // Keys, pastes, focus, and the title that is kept.
    ">5u", "<u", "?2004h", "?2004l", "?1004h", "?1004l", "22;0t", "23;0t", // Questions.
    ">q", "6n", "?u", "?2026$p", "c",
];

/// Control sequences with numbers: what stands behind them.
const COUNTED: &[char] = &['A', 'G', 'H', 'm'];

/// What is wrong with bytes that a program wrote, if anything is: where, and what stands there.
pub fn fault(bytes: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The last character may not have come whole.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap()
        }
        Err(error) => return Some(format!("not UTF-8 at byte {}", error.valid_up_to())),
    };
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let length = match char {
            '\x1b' => sequence(rest),
            '\r' | '\n' => Some(1),
            char => shown(char).then(|| char.len_utf8()),
        };
        let Some(length) = length else {
            let mut what = format!("at byte {}: ", text.len() - rest.len());
            let _ = write!(what, "{:?}", rest.chars().take(60).collect::<String>());
            return Some(what);
        };
        rest = &rest[length..];
    }
    None
}

/// Whether a character only takes its place. Joiners do: emoji and some scripts need them.
fn shown(char: char) -> bool {
    let invisible = matches!(char, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}');
    !char.is_control() && !invisible
}

/// The length of the escape sequence at the beginning of a text, if it is one of ours. One that has not come whole
/// is.
fn sequence(text: &str) -> Option<usize> {
    let rest = &text[1..];
    let Some(kind) = rest.chars().next() else { return Some(1) };
    match kind {
        // The cursor kept and brought back, around the questions; the end of whatever was cut off.
        '7' | '8' | '\\' => Some(2),
        '[' => {
            let body = &rest[1..];
            // Erasing downwards never begins in the first column, see `encode.rs`.
            if text.starts_with("\x1b[C\x1b[J\r") {
                return Some("\x1b[C\x1b[J\r".len());
            }
            if "\x1b[C\x1b[J\r".starts_with(text) {
                return Some(text.len());
            }
            let Some(end) = body.find(|char: char| ('@'..='~').contains(&char)) else {
                return body.chars().all(|char| (' '..'@').contains(&char)).then_some(text.len());
            };
            let (parameters, last) = (&body[..end], body[end..].chars().next()?);
            let numbers = parameters.chars().all(|char| char.is_ascii_digit() || ";:".contains(char));
            (FIXED.contains(&&body[..=end]) || numbers && COUNTED.contains(&last)).then_some(2 + end + 1)
        }
        ']' => {
            let body = &rest[1..];
            // Ours end with a string terminator; a bell would not do.
            let Some(end) = body.find(char::is_control) else {
                return Some(text.len());
            };
            if !"\x1b\\".starts_with(&body[end..(end + 2).min(body.len())]) {
                return None;
            }
            string(&body[..end]).then_some((2 + end + 2).min(text.len()))
        }
        _ => None,
    }
}

/// Links, the title, and the question about the background.
fn string(body: &str) -> bool {
    let link = || {
        let (id, address) = body.strip_prefix("8;id=")?.split_once(';')?;
        let known =
            ["https://", "http://", "file://", "mailto:"].iter().any(|scheme| address.starts_with(scheme));
        Some(known && id.chars().all(|char| char.is_ascii_hexdigit()))
    };
    body.chars().all(shown)
        && (matches!(body, "8;;" | "11;?") || body.starts_with("2;") || link() == Some(true))
}

#[test]
fn our_own_words_are_known_and_others_are_not() {
    let ours = "\x1b7\x1b]11;?\x1b\\\x1b[>q\x1b[6n\x1b[?u\x1b[?2026$p\x1b8\x1b[K\x1b[c\x1b[22;0t\x1b]2;é · x\x1b\\\x1b[?2004h\
                \x1b[?2026h\r\x1b[K\x1b[C\x1b[J\r\x1b[38;5;4;1mé 漢 👨\u{200d}👩\x1b[m\x1b]8;id=1f;https://x.org/\x1b\\x\
                \x1b]8;;\x1b\\\n\x1b[3A\x1b[5G\x1b[?2026l\x1b[?25h";
    assert_eq!(fault(ours.as_bytes()), None);
    for (at, _) in ours.char_indices() {
        assert_eq!(fault(&ours.as_bytes()[..at]), None, "cut at {at}");
    }
    let theirs = [
        "\x1b[2J",
        "\x1b[3J",
        "\x1b[J",
        "\x1b[1J",
        "\x1bc",
        "\x1b]52;c;eA==\x1b\\",
        "\x1b]52;c;eA==\x07",
        "\x1b]2;t\x07",
        "\x1b]2;t\u{202e}\x1b\\",
        "\x1bPq\x1b\\",
        "\x1b_x\x1b\\",
        "\x1b[?1000h",
        "\x1b[?1048h",
        "\x1b[5B",
        "\x1b[s",
        "\x1b(0",
        "\x1b[6 q",
        "\x1b[1;5r",
        "\u{9b}2J",
        "\0",
        "\x07",
        "\x08",
        "\t",
        "\u{202e}",
        "\u{200b}",
        "\u{feff}",
        "\x1b]8;;javascript:x\x1b\\",
        "\x1b]8;id=1;javascript:x\x1b\\",
        "\x1b]9;4;1\x1b\\",
    ];
    for sequence in theirs {
        assert!(fault(format!("a{sequence}b").as_bytes()).is_some(), "{sequence:?}");
    }
    assert!(fault(b"a\xffb").is_some());
}
