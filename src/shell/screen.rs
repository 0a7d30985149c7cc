//! The screen of a full-screen program: what a person would see, in the place of the escapes that draw it.
//!
//! Ordinary output passes through. A program takes the screen over with the alternate screen, or when it places the
//! cursor and reads single keys; then its bytes go into a model of a terminal, and nowhere else.

use std::{
    borrow::Cow,
    num::NonZeroU16,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::secrets::Secrets;

/// The longest escape that is looked at; a longer one is none that matters here.
const LONGEST: usize = 64;
const ESC: u8 = 0x1b;
/// The modes that show the alternate screen.
const ALTERNATE: [&[u8]; 3] = [b"1049", b"1047", b"47"];

/// Rows and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

/// A screen, looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// Lines without what is blank at their ends and below.
    pub text: String,
    pub size: Size,
    /// Row and column of the cursor, from 1.
    pub cursor: (u16, u16),
}

/// Parts full-screen programs from ordinary output.
pub(super) struct Screen {
    size: Size,
    secrets: Secrets,
    full: Option<Full>,
    /// The beginning of an escape.
    held: Vec<u8>,
    /// The model of a terminal has failed: everything passes.
    broken: bool,
}

/// A program that has taken the screen over.
struct Full {
    terminal: vt100::Parser,
    how: How,
}

/// How the screen was taken over, which tells when it is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Alternate,
    /// By placing the cursor while it reads single keys.
    Placing,
}

/// What an escape does that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Enter,
    Leave,
    Place,
    Other,
}

impl Size {
    /// What a command is told of its terminal: wide enough that tables and logs are not folded.
    pub(super) const USUAL: Self = Self { rows: 40, columns: 120 };

    /// This size, if it is one that programs can do with.
    #[must_use]
    pub fn sensible(self) -> Self {
        Self { rows: self.rows.clamp(4, 200), columns: self.columns.clamp(20, 400) }
    }
}

impl Screen {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self { size: Size::USUAL, secrets, full: None, held: Vec::new(), broken: false }
    }

    /// Takes output in, and gives what of it is ordinary. `keys` tells whether single keys are read.
    pub(super) fn push<'a>(&mut self, bytes: &'a [u8], keys: impl Fn() -> bool) -> Cow<'a, [u8]> {
        if self.broken {
            return Cow::Borrowed(bytes);
        }
        if self.held.is_empty() && self.full.is_none() && memchr::memchr(ESC, bytes).is_none() {
            return Cow::Borrowed(bytes);
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(bytes);
        let mut asked = None;
        let mut keys = || *asked.get_or_insert_with(&keys);
        let mut plain = Vec::new();
        if self.full.as_ref().is_some_and(|full| full.how == How::Placing) && !keys() {
            // Nothing takes away what it has drawn.
            plain.extend(self.give_back());
        }
        let (mut done, mut from, mut open) = (0, 0, None);
        while let Some(at) = memchr::memchr(ESC, text.get(from..).unwrap_or_default()).map(|at| from + at) {
            let rest = text.get(at..).unwrap_or_default();
            let Some((length, means)) = escape(rest) else {
                open = Some(at);
                break;
            };
            from = at + length;
            let takes = match (means, &self.full) {
                (Means::Enter, None) => Some(How::Alternate),
                (Means::Place, None) if keys() => Some(How::Placing),
                (Means::Enter, Some(full)) if full.how == How::Placing => Some(How::Alternate),
                (Means::Leave, Some(full)) if full.how == How::Alternate => {
                    self.draw(text.get(done..from).unwrap_or_default(), &mut plain);
                    (done, self.full) = (from, None);
                    None
                }
                _ => None,
            };
            if let Some(how) = takes {
                self.draw(text.get(done..at).unwrap_or_default(), &mut plain);
                done = at;
                let terminal = vt100::Parser::new(some(self.size.rows), some(self.size.columns), 0);
                self.full = Some(Full { terminal, how });
            }
        }
        // The model of a terminal takes whole characters only.
        let end = open.unwrap_or(text.len() - super::text::unfinished(&text, false));
        self.draw(text.get(done..end).unwrap_or_default(), &mut plain);
        self.held = text.get(end..).unwrap_or_default().to_vec();
        Cow::Owned(plain)
    }

    /// No more will come: what was held back of ordinary output.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// What a full-screen program shows.
    pub(super) fn shot(&self) -> Option<Shot> {
        let screen = self.full.as_ref()?.terminal.screen();
        let text = catch_unwind(AssertUnwindSafe(|| screen.contents())).ok()?;
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let text = lines.join("\n");
        let text = text.trim_end();
        let text = if text.is_empty() { String::new() } else { self.secrets.text(text).into_owned() + "\n" };
        let (row, column) = screen.cursor_position();
        Some(Shot { text, size: self.size, cursor: (row + 1, column + 1) })
    }

    /// The terminal has another size.
    pub(super) fn resize(&mut self, size: Size) {
        self.size = size;
        if let Some(full) = &mut self.full {
            let resize =
                AssertUnwindSafe(|| full.terminal.screen_mut().set_size(some(size.rows), some(size.columns)));
            if catch_unwind(resize).is_err() {
                (self.full, self.broken) = (None, true);
            }
        }
    }

    fn draw(&mut self, bytes: &[u8], plain: &mut Vec<u8>) {
        let Some(full) = &mut self.full else { return plain.extend_from_slice(bytes) };
        // The terminal's output processing is off, see `pty`; a carriage return more does no harm.
        let mut lines = Vec::with_capacity(bytes.len() + bytes.len() / 32);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(start) => lines.extend_from_slice(&[start, b"\r\n"].concat()),
                None => lines.extend_from_slice(line),
            }
        }
        // Whatever a program writes: the worst is that it is shown as it came.
        if catch_unwind(AssertUnwindSafe(|| full.terminal.process(&lines))).is_err() {
            (self.full, self.broken) = (None, true);
            plain.extend_from_slice(bytes);
        }
    }

    fn give_back(&mut self) -> Vec<u8> {
        let shot = self.shot();
        self.full = None;
        shot.map(|shot| shot.text.into_bytes()).unwrap_or_default()
    }
}

/// A terminal has at least one row and one column.
fn some(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap_or(NonZeroU16::MIN)
}

/// The escape at the beginning of `text`: its length, and what it does. Nothing when it is not whole.
fn escape(text: &[u8]) -> Option<(usize, Means)> {
    if *text.get(1)? != b'[' {
        return Some((1, Means::Other));
    }
    let body = text.get(2..text.len().min(LONGEST))?;
    let parameters = body.iter().take_while(|byte| (0x20..0x40).contains(*byte)).count();
    let Some(last) = body.get(parameters) else {
        // Too long to be one.
        return (text.len() >= LONGEST).then_some((1, Means::Other));
    };
    let parameters_text = body.get(..parameters).unwrap_or_default();
    let alternate = || {
        let modes = parameters_text.strip_prefix(b"?").unwrap_or_default();
        modes.split(|byte| *byte == b';').any(|mode| ALTERNATE.contains(&mode))
    };
    let means = match last {
        b'h' if alternate() => Means::Enter,
        b'l' if alternate() => Means::Leave,
        b'H' | b'f' if parameters_text.iter().all(|byte| byte.is_ascii_digit() || *byte == b';') => {
            Means::Place
        }
        _ => Means::Other,
    };
    // Another escape ends this one.
    Some((2 + parameters + usize::from(*last != ESC), means))
}

/// The size that a terminal is asked to have by this text alone (XTerm's `CSI 8 ; rows ; columns t`).
pub(super) fn wanted_size(text: &str) -> Option<Size> {
    let (rows, columns) = text.strip_prefix("\u{1b}[8;")?.strip_suffix('t')?.split_once(';')?;
    Some(Size { rows: rows.parse().ok()?, columns: columns.parse().ok()? }.sensible())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn screen() -> Screen {
        Screen::new(Secrets::default())
    }

    fn pushed(screen: &mut Screen, text: &str, keys: bool) -> String {
        String::from_utf8(screen.push(text.as_bytes(), || keys).into_owned()).unwrap()
    }

    #[test]
    fn ordinary_output_passes_as_it_is() {
        for keys in [false, true] {
            let mut screen = screen();
            let text = "a\u{1b}[1;31mred\u{1b}[0m\r\n\u{1b}]0;title\u{7}\u{1b}[?25h\u{1b}[2K\u{1b}[3Aup";
            assert_eq!(pushed(&mut screen, text, keys), text);
            assert_eq!(screen.shot(), None);
        }
        // `clear`, by a program that reads lines.
        let clear = "\u{1b}[H\u{1b}[2J\u{1b}[3Jhello\n";
        assert_eq!(pushed(&mut screen(), clear, false), clear);
    }

    #[test]
    fn the_alternate_screen_is_drawn_and_given_back() {
        let mut screen = screen();
        let first = "before\r\n\u{1b}[?1049h\u{1b}[2J\u{1b}[3;5Hthree five\u{1b}[1;1Htop";
        assert_eq!(pushed(&mut screen, first, true), "before\r\n");
        let shot = screen.shot().unwrap();
        assert_eq!((shot.text.as_str(), shot.cursor), ("top\n\n    three five\n", (1, 4)));
        assert_eq!(shot.size, Size::USUAL);
        assert_eq!(pushed(&mut screen, "\u{1b}[2Jgone\u{1b}[?1049", true), "");
        assert_eq!(pushed(&mut screen, "lafter\r\n", true), "after\r\n");
        assert_eq!(screen.shot(), None);
    }

    #[test]
    fn a_program_that_places_the_cursor_and_reads_keys_leaves_what_it_drew() {
        let mut screen = screen();
        assert_eq!(pushed(&mut screen, "\u{1b}[Htop - 12:00\nTasks\n\u{1b}[6;1H  PID", true), "");
        assert_eq!(screen.shot().unwrap().text, "top - 12:00\nTasks\n\n\n\n  PID\n");
        assert_eq!(pushed(&mut screen, "done\r\n", false), "top - 12:00\nTasks\n\n\n\n  PID\ndone\r\n");
    }

    #[test]
    fn a_screen_is_shown_without_secrets_and_takes_another_size() {
        let key = "AKIAIOSFODNN7EXAMPLE";
        let mut screen = screen();
        let (first, second) = key.split_at(7);
        pushed(&mut screen, &format!("\u{1b}[?1049h\u{1b}[2;1H{first}\u{1b}[1m{second}"), true);
        let text = screen.shot().unwrap().text;
        assert!(text.starts_with("\n[redacted:") && !text.contains(key), "{text}");
        screen.resize(Size { rows: 10, columns: 20 });
        assert_eq!(screen.shot().unwrap().size, Size { rows: 10, columns: 20 });
    }

    #[test]
    fn a_size_is_asked_for_by_what_terminals_know() {
        let size = |rows, columns| Some(Size { rows, columns });
        for (text, expected) in [
            ("\u{1b}[8;24;80t", size(24, 80)),
            ("\u{1b}[8;0;9999t", size(4, 400)),
            ("\u{1b}[8;24t", None),
            ("x\u{1b}[8;24;80t", None),
            ("\u{1b}[8;24;80tx", None),
        ] {
            assert_eq!(wanted_size(text), expected, "{text:?}");
        }
    }

    fn cut_anywhere_it_is_the_same(all: &str, size: usize, keys: bool) {
        let mut whole = screen();
        let mut plain = whole.push(all.as_bytes(), || keys).into_owned();
        plain.extend(whole.finish());
        let mut cut = screen();
        let mut pieces = Vec::new();
        for piece in all.as_bytes().chunks(size) {
            pieces.extend_from_slice(&cut.push(piece, || keys));
        }
        pieces.extend(cut.finish());
        assert_eq!(String::from_utf8_lossy(&pieces), String::from_utf8_lossy(&plain));
        assert_eq!(cut.shot(), whole.shot());
        if let Some(shot) = whole.shot() {
            assert!(!shot.text.chars().any(|char| char.is_control() && char != '\n'), "{:?}", shot.text);
        }
    }

    #[test]
    fn sequences_that_are_longer_than_any_are_cut_alike() {
        let (one, two) = ("0;".repeat(33), ";00".repeat(21));
        let three = "0;;0000".repeat(9);
        let all = format!(
            "A 😀€ 0 0\u{1b}[{one}\u{1b}[{two}\u{1b}[A\u{1b}\u{1b}[{three}\u{1b}[H\u{1b}[0;00;a0€ A\n\rAé €"
        );
        for size in 1..=64 {
            cut_anywhere_it_is_the_same(&all, size, true);
            cut_anywhere_it_is_the_same(&all, size, false);
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_output_is_cut_and_nothing_that_is_drawn_has_an_escape(
            parts in prop::collection::vec(
                prop_oneof![
                    "[ -~é€😀\r\n]{0,12}",
                    "\u{1b}\\[[0-9;?]{0,8}[A-Za-z@]",
                    Just("\u{1b}[?1049h".to_owned()),
                    Just("\u{1b}[?1049l".to_owned()),
                    Just("\u{1b}[?47h".to_owned()),
                    Just("\u{1b}[H".to_owned()),
                    Just("\u{1b}]0;title\u{7}".to_owned()),
                    "\u{1b}\\[[0-9;]{60,70}",
                    "\u{1b}",
                ],
                0..16,
            ),
            size in 1usize..20,
            keys in any::<bool>(),
        ) {
            cut_anywhere_it_is_the_same(&parts.concat(), size, keys);
        }
    }
}
