//! The latest output for people who watch: a few kilobytes, whatever the flood.

use std::mem;

use super::text;

/// Bytes that are shown at once, at most. More can't be read at twenty a second anyway.
const LATEST: usize = 8 * 1024;

/// Output that nobody was shown yet.
#[derive(Default)]
pub(super) struct Live {
    bytes: Vec<u8>,
    /// Something before `bytes` was thrown away.
    cut: bool,
}

impl Live {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if bytes.len() >= LATEST {
            self.cut |= bytes.len() > LATEST || !self.bytes.is_empty();
            self.bytes.clear();
            self.bytes.extend_from_slice(&bytes[bytes.len() - LATEST..]);
            return;
        }
        // Thrown away in large steps, so that many small pieces don't each move the rest.
        if self.bytes.len() + bytes.len() > 2 * LATEST {
            self.bytes.drain(..self.bytes.len() + bytes.len() - LATEST);
            self.cut = true;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The latest text since the last time, if there is any.
    pub(super) fn take(&mut self) -> Option<String> {
        let whole = self.bytes.len() - text::unfinished(&self.bytes, false);
        let rest = self.bytes.split_off(whole);
        let bytes = mem::replace(&mut self.bytes, rest);
        let cut = mem::take(&mut self.cut);
        Some(latest(&bytes, cut)).filter(|text| !text.is_empty())
    }

    /// The latest text, which stays.
    pub(super) fn peek(&self) -> String {
        let whole = self.bytes.len() - text::unfinished(&self.bytes, false);
        latest(self.bytes.get(..whole).unwrap_or_default(), self.cut)
    }
}

/// The end of what there is: from the start of a line, if something before it is gone.
fn latest(bytes: &[u8], cut: bool) -> String {
    let cut = cut || bytes.len() > LATEST;
    let latest = &bytes[bytes.len().saturating_sub(LATEST)..];
    if cut {
        let whole = latest.get(text::orphaned(latest)..).unwrap_or_default();
        return text::from_a_line_start(String::from_utf8_lossy(whole));
    }
    String::from_utf8_lossy(latest).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn everything_is_shown_once_while_it_is_little() {
        let mut live = Live::default();
        live.push(b"a\xE2\x82");
        assert_eq!(live.take().as_deref(), Some("a"));
        assert_eq!(live.take(), None);
        live.push(b"\xAC\n");
        assert_eq!(live.take().as_deref(), Some("€\n"));
    }

    #[test]
    fn a_peek_takes_nothing_away() {
        let mut live = Live::default();
        live.push("one\ntwé".as_bytes());
        assert_eq!((live.peek(), live.peek()), ("one\ntwé".into(), "one\ntwé".into()));
        live.push(&b"x\n".repeat(20_000));
        assert!(live.peek().starts_with("x\nx\n") && live.peek().len() <= LATEST);
        let latest = live.peek();
        assert_eq!(live.take(), Some(latest));
    }

    #[test]
    fn of_a_flood_only_the_latest_lines_are_shown() {
        for chunk in [10, 1000, 100_000] {
            let mut live = Live::default();
            let flood: Vec<u8> = (0..50_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
            for piece in flood.chunks(chunk) {
                live.push(piece);
                assert!(live.bytes.len() <= 2 * LATEST);
            }
            let shown = live.take().unwrap();
            assert!(shown.len() <= LATEST, "{}", shown.len());
            assert!(shown.starts_with("line ") && shown.ends_with("line 49999\n"), "{chunk}");
        }
    }

    proptest! {
        #[test]
        fn text_is_the_same_wherever_it_is_cut_and_looked_at(
            parts in prop::collection::vec(
                prop_oneof![
                    "[a-zé€😀\n\r\u{1b}\\[;0-9mJ]{1,6}".prop_map(String::into_bytes),
                    prop::collection::vec(any::<u8>(), 1..4),
                ],
                0..12,
            ),
            looks in prop::collection::vec(any::<bool>(), 64),
        ) {
            let all = parts.concat();
            let mut live = Live::default();
            let mut seen = String::new();
            for (byte, look) in all.iter().zip(looks.iter().cycle()) {
                live.push(&[*byte]);
                if *look {
                    seen.push_str(&live.take().unwrap_or_default());
                }
            }
            seen.push_str(&live.take().unwrap_or_default());
            // A character that never became whole is not shown live.
            let whole = all.len() - text::unfinished(&all, false);
            prop_assert_eq!(seen, String::from_utf8_lossy(&all[..whole]).into_owned());
        }
    }
}
