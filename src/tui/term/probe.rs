//! One question to the terminal before the first key is read, and its answers.
//!
//! The order of the question matters. Everything that answers does so in order, and every terminal answers the last
//! part (DA1): when that is there, nothing else will come. [`Session::enter`](super::Session::enter) asks, and
//! reads until then or for [`LIMIT`]. What a person typed meanwhile is among the bytes and is kept as keys.
//!
//! An answer that comes later is read by crossterm's event stream (0.29), which knows few of them: `CSI ? … u` and
//! `CSI ? … c` it drops; a `CSI ? … $ y` it takes as unfinished and swallows everything up to the next `u` or `c`,
//! which is why the question about modes stands right before DA1; strings (`OSC`, `DCS`) it turns into keys, as if
//! they had been typed, which [`Late`](super::Late) takes out again. Questions whose answers it would half drop
//! (DA2, `CSI > … c`) are not asked.

use std::time::Duration;

use super::{caps::Caps, late::Late};

/// How long the start may wait for the answers. Terminals need a few milliseconds.
pub const LIMIT: Duration = Duration::from_millis(200);

/// The question. It leaves the cursor and its row as they were, also where a terminal prints what it doesn't know.
#[must_use]
pub fn query(caps: &Caps) -> &'static str {
    match (caps.asks, caps.asks_modes) {
        (false, _) => "",
        (true, false) => "\x1b7\x1b]11;?\x1b\\\x1b[>q\x1b[6n\x1b[?u\x1b8\x1b[K\x1b[c",
        (true, true) => "\x1b7\x1b]11;?\x1b\\\x1b[>q\x1b[6n\x1b[?u\x1b[?2026$p\x1b8\x1b[K\x1b[c",
    }
}

/// What the terminal answered, as far as it has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers {
    /// It shows a frame as a whole.
    pub sync: bool,
    /// It knows the Kitty keyboard protocol.
    pub keyboard: bool,
    /// Its background, eight bits a colour.
    pub background: Option<(u8, u8, u8)>,
    /// Its name and version.
    pub name: Option<String>,
    /// The column of the cursor, from 0.
    pub column: Option<u16>,
    /// All answers are there.
    pub complete: bool,
    /// What was not an answer: typed by a person.
    pub typed: Vec<u8>,
    pending: Vec<u8>,
}

/// An answer is at most this long. What is longer is no answer.
const LONGEST: usize = 256;

impl Answers {
    /// Takes bytes from the terminal, in any pieces.
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.complete {
                self.typed.push(*byte);
                continue;
            }
            self.pending.push(*byte);
            match read(&self.pending) {
                Read::More if self.pending.len() < LONGEST => {}
                Read::More | Read::Other => self.typed.append(&mut self.pending),
                Read::Answer => {
                    let answer = std::mem::take(&mut self.pending);
                    self.take(&answer);
                }
            }
        }
        if self.complete {
            self.typed.append(&mut self.pending);
        }
    }

    /// Ends the wait: what is still to come is to be taken out of the keys by what this gives. `caps`: whether
    /// anything was asked.
    pub fn late(&mut self, caps: &Caps) -> Late {
        let pending = std::mem::take(&mut self.pending);
        if self.complete || !caps.asks {
            self.typed.extend(pending);
            return Late::nothing();
        }
        // A lone escape may be a key as well as the beginning of an answer.
        if pending.len() < 2 {
            self.typed.extend(&pending);
        }
        Late::after(&pending)
    }

    /// What is known with the answers.
    #[must_use]
    pub fn complete(&self, caps: Caps) -> Caps {
        let name = self.name.as_deref().unwrap_or_default();
        let reflows = [
            "kitty",
            "WezTerm",
            "foot",
            "iTerm2",
            "VTE",
            "ghostty",
            "tmux",
            "Konsole",
            "contour",
            "xterm.js",
            "WindowsTerminal",
            "rio",
        ];
        let cuts = ["XTerm", "screen"];
        let starts = |names: &[&str]| names.iter().any(|start| name.starts_with(start));
        Caps {
            sync: caps.sync || self.sync,
            keyboard: caps.keyboard || self.keyboard,
            reflow: (caps.reflow || starts(&reflows)) && !starts(&cuts),
            follows: caps.follows || (!caps.multiplexed && starts(&reflows) && !starts(&["tmux"])),
            dark: self.background.map(is_dark).or(caps.dark),
            ..caps
        }
    }

    fn take(&mut self, answer: &[u8]) {
        let text = String::from_utf8_lossy(answer);
        if let Some(mode) = inner(&text, "\x1b[?2026;", "$y") {
            // 1 and 2: set and unset; 3: always set; 0 and 4: unknown and never set.
            self.sync = matches!(mode, "1" | "2" | "3");
        } else if inner(&text, "\x1b[?", "u").is_some() {
            self.keyboard = true;
        } else if inner(&text, "\x1b[?", "c").is_some() {
            self.complete = true;
        } else if let Some(place) = inner(&text, "\x1b[", "R") {
            self.column =
                place.split(';').nth(1).and_then(|column| column.parse::<u16>().ok()?.checked_sub(1));
        } else if let Some(color) = inner(&text, "\x1b]11;", "") {
            self.background = color_of(color);
        } else if let Some(name) = inner(&text, "\x1bP>|", "") {
            let name = name.trim_end_matches(['\x1b', '\\', '\u{7}']);
            self.name = Some(name.chars().filter(|char| !char.is_control()).take(64).collect());
        }
    }
}

/// Whether a background is dark, by its luminance.
#[must_use]
pub fn is_dark((r, g, b): (u8, u8, u8)) -> bool {
    2126 * u32::from(r) + 7152 * u32::from(g) + 722 * u32::from(b) < 10_000 * 128
}

fn inner<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    text.strip_prefix(begin)?.strip_suffix(end)
}

/// `rgb:1e1e/1e1e/2e2e`, in one to four digits each.
pub(super) fn color_of(text: &str) -> Option<(u8, u8, u8)> {
    let digits = text.trim_end_matches(['\x1b', '\\', '\u{7}']);
    let digits = digits.strip_prefix("rgb:").or_else(|| digits.strip_prefix("rgba:"))?;
    let mut parts = digits.split('/').map(|part| {
        let most =
            16_u32.checked_pow(u32::try_from(part.len()).ok()?)?.checked_sub(1).filter(|most| *most > 0)?;
        u8::try_from(u32::from_str_radix(part, 16).ok()? * 255 / most).ok()
    });
    Some((parts.next()??, parts.next()??, parts.next()??))
}

enum Read {
    More,
    Answer,
    Other,
}

/// Whether bytes are an answer, the beginning of one, or neither.
fn read(bytes: &[u8]) -> Read {
    match bytes {
        [0x1b] => Read::More,
        [0x1b, b'[', rest @ ..] => match rest {
            [] | [b'?'] => Read::More,
            [b'?', inside @ .., last] => control(inside, *last, b"ucy"),
            [inside @ .., last] => control(inside, *last, b"R"),
        },
        [0x1b, b']', rest @ ..] => string(rest, b"11;"),
        [0x1b, b'P', rest @ ..] => string(rest, b">|"),
        _ => Read::Other,
    }
}

fn control(inside: &[u8], last: u8, finals: &[u8]) -> Read {
    let parameter = |byte: &u8| byte.is_ascii_digit() || b";$".contains(byte);
    if !inside.iter().all(parameter) {
        Read::Other
    } else if finals.contains(&last) && !inside.is_empty() {
        Read::Answer
    } else if parameter(&last) {
        Read::More
    } else {
        Read::Other
    }
}

fn string(rest: &[u8], begin: &[u8]) -> Read {
    match rest {
        _ if !rest.iter().zip(begin).all(|(got, wanted)| got == wanted) => Read::Other,
        [.., 0x07] | [.., 0x1b, b'\\'] => Read::Answer,
        _ => Read::More,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KITTY: &[u8] =
        b"\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\\x1bP>|kitty(0.36.0)\x1b\\\x1b[5;1R\x1b[?0u\x1b[?2026;2$y\x1b[?62;c";
    const TMUX: &[u8] = b"\x1b]11;rgb:ffff/ffff/ffff\x07\x1bP>|tmux 3.3a\x1b\\\x1b[24;4R\x1b[?1;2c";

    fn answers(bytes: &[u8]) -> Answers {
        let mut answers = Answers::default();
        answers.feed(bytes);
        answers
    }

    #[test]
    fn answers_are_read_in_any_pieces_and_keys_between_them_are_kept() {
        let kitty = Answers {
            sync: true,
            keyboard: true,
            background: Some((0x1e, 0x1e, 0x2e)),
            name: Some("kitty(0.36.0)".into()),
            column: Some(0),
            complete: true,
            ..Answers::default()
        };
        assert_eq!(answers(KITTY), kitty);
        for size in 1..12 {
            let mut pieces = Answers::default();
            KITTY.chunks(size).for_each(|piece| pieces.feed(piece));
            assert_eq!(pieces, kitty, "in pieces of {size}");
        }
        let mut typed = b"he\x1b[A".to_vec();
        typed.extend_from_slice(KITTY);
        typed.extend_from_slice("llö\r".as_bytes());
        assert_eq!(answers(&typed), Answers { typed: "he\x1b[Allö\r".into(), ..kitty });

        let tmux = answers(TMUX);
        assert_eq!((tmux.sync, tmux.keyboard, tmux.column), (false, false, Some(3)));
        let caps = tmux.complete(Caps::default());
        assert_eq!((caps.dark, caps.reflow, caps.sync), (Some(false), true, false));
    }

    #[test]
    fn whatever_comes_instead_of_answers_is_kept_as_typed_and_bounded() {
        for bytes in
            [&b"plain"[..], b"\x1b[200~x", b"\x1bOA", b"\x1b[1;5C", b"\x1b]52;c;AAAA\x07", b"\xff\xfe\x80"]
        {
            let mut answers = answers(bytes);
            let _ = answers.late(&Caps::default());
            assert_eq!(answers.typed, bytes);
        }
        let mut long = b"\x1b]11;".to_vec();
        long.resize(100_000, b'x');
        assert!(answers(&long).pending.len() < LONGEST);
    }

    #[test]
    fn colours_are_read_in_any_number_of_digits() {
        assert_eq!(color_of("rgb:f/0/8"), Some((255, 0, 136)));
        assert_eq!(color_of("rgb:ffff/8080/0000\x07"), Some((255, 128, 0)));
        for bad in ["", "rgb:", "rgb://", "rgb:zz/00/00", "rgb:123456789/0/0", "cmyk:1/2/3"] {
            assert_eq!(color_of(bad), None, "{bad}");
        }
    }
}
