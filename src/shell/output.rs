//! Output of a process between two looks: its head and its tail, within a fixed budget.
//!
//! It holds bytes and knows no processes, no files and no tokens.

use std::{collections::VecDeque, mem};

use super::{Captured, text};

/// Bytes of one process that are kept in memory at most, between two looks.
pub(super) const BUDGET: usize = 1 << 20;

/// The first and the last bytes since the last look.
pub(super) struct Buffer {
    /// Most bytes in either half.
    half: usize,
    tty: bool,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// Bytes between head and tail that are gone.
    dropped: u64,
    line_feeds: u64,
}

impl Buffer {
    pub(super) fn new(budget: usize, tty: bool) -> Self {
        Self { half: budget / 2, tty, head: Vec::new(), tail: VecDeque::new(), dropped: 0, line_feeds: 0 }
    }

    /// Adds output. The oldest of the tail goes when there is no more room.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.line_feeds += text::line_feeds(bytes);
        let room = self.half.saturating_sub(self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        self.head.extend_from_slice(head);
        let kept = &rest[rest.len().saturating_sub(self.half)..];
        let excess = (self.tail.len() + kept.len()).saturating_sub(self.half);
        self.tail.drain(..excess);
        self.tail.extend(kept);
        self.dropped += (rest.len() - kept.len() + excess) as u64;
    }

    /// Takes the output out, cut to `max` bytes of text. Unless the stream has `ended`, a character that is
    /// not whole yet stays for the next time.
    pub(super) fn take(&mut self, max: usize, ended: bool) -> Captured {
        let mut head = mem::take(&mut self.head);
        let mut tail = Vec::from(mem::take(&mut self.tail));
        let mut dropped = mem::take(&mut self.dropped);
        let line_feeds = mem::take(&mut self.line_feeds);
        if dropped == 0 {
            head.append(&mut tail);
        }
        let end = if tail.is_empty() { &mut head } else { &mut tail };
        if !ended {
            let whole = end.len() - text::unfinished(end, self.tty);
            self.head = end.split_off(whole);
        }
        let lines = line_feeds + u64::from(end.last().is_some_and(|&byte| byte != b'\n'));
        if dropped > 0 {
            let cut = head.split_off(head.len() - text::unfinished(&head, false));
            let orphans = text::orphaned(&tail);
            tail.drain(..orphans);
            dropped += (cut.len() + orphans) as u64;
        }
        let captured = cut(&text::text(&head, self.tty), &text::text(&tail, self.tty), dropped, max);
        Captured { lines, ..captured }
    }

    /// What there is, in order: all of it, or parts with something missing between the first and the others.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        let (tail, rest) = self.tail.as_slices();
        [&self.head, tail, rest]
    }

    #[cfg(test)]
    fn held(&self) -> usize {
        self.head.len() + self.tail.len()
    }
}

/// Cuts what is in memory to `max` bytes, half of them head and half tail.
fn cut(head: &str, tail: &str, dropped: u64, max: usize) -> Captured {
    let bytes = (head.len() + tail.len()) as u64 + dropped;
    if dropped == 0 && head.len() <= max {
        return Captured { head: head.to_owned(), bytes, ..Captured::default() };
    }
    let end = if dropped == 0 { head } else { tail };
    Captured {
        head: text::first(head, max / 2).to_owned(),
        tail: text::last(end, max - max / 2).to_owned(),
        bytes,
        dropped,
        ..Captured::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn buffer(budget: usize) -> Buffer {
        Buffer::new(budget, false)
    }

    #[test]
    fn short_output_is_all_in_the_head() {
        let mut buffer = buffer(100);
        buffer.push(b"one\ntwo");
        let expected = Captured { head: "one\ntwo".into(), bytes: 7, lines: 2, ..Captured::default() };
        assert_eq!(buffer.take(100, true), expected);
        assert_eq!(buffer.take(100, true), Captured::default(), "taken once");
    }

    #[test]
    fn longer_output_keeps_head_and_tail_and_counts_the_rest() {
        let mut buffer = buffer(100);
        buffer.push(b"0123456789\n");
        let expected =
            Captured { head: "01".into(), tail: "9\n".into(), bytes: 11, lines: 1, ..Captured::default() };
        assert_eq!(buffer.take(4, true), expected);
    }

    #[test]
    fn what_does_not_fit_into_memory_is_counted_as_dropped() {
        let mut buffer = buffer(8);
        buffer.push(b"abcdefghijklmnop");
        let expected = Captured {
            head: "abcd".into(),
            tail: "mnop".into(),
            bytes: 16,
            lines: 1,
            dropped: 8,
            ..Captured::default()
        };
        assert_eq!(buffer.take(100, true), expected);
    }

    #[test]
    fn a_character_cut_by_the_border_of_head_and_tail_is_left_out_whole() {
        let mut buffer = buffer(8);
        buffer.push("abcéfghijklmnéop".as_bytes());
        let captured = buffer.take(100, true);
        assert_eq!((captured.head.as_str(), captured.tail.as_str()), ("abc", "éop"));
        assert_eq!(captured.bytes, 18);
        let mut buffer = self::buffer(6);
        buffer.push("abcdefghéop".as_bytes());
        assert_eq!(buffer.take(100, true).tail, "op");
    }

    #[test]
    fn a_terminal_shows_line_ends_as_terminals_do_also_across_looks() {
        let mut buffer = Buffer::new(100, true);
        buffer.push(b"one\ntwo\r");
        assert_eq!(buffer.take(100, false).head, "one\r\ntwo");
        buffer.push(b"\nthree");
        let captured = buffer.take(100, true);
        assert_eq!((captured.head.as_str(), captured.lines), ("\r\nthree", 2));
    }

    proptest! {
        #[test]
        fn memory_stays_in_its_budget_and_head_and_tail_are_kept(
            chunks in prop::collection::vec(prop::collection::vec(b'a'..=b'z', 0..40), 0..40),
            budget in 2usize..64,
            max in 0usize..80,
        ) {
            let mut buffer = buffer(budget);
            for chunk in &chunks {
                buffer.push(chunk);
                prop_assert!(buffer.held() <= budget);
            }
            let all = String::from_utf8(chunks.concat()).unwrap();
            let seen = buffer.take(max, true);
            prop_assert_eq!(seen.bytes, all.len() as u64);
            prop_assert!(seen.head.len() + seen.tail.len() <= max);
            prop_assert!(all.starts_with(&seen.head) && all.ends_with(&seen.tail));
            let room = max.min(budget / 2 * 2);
            prop_assert!(seen.head.len() + seen.tail.len() >= all.len().min(room.saturating_sub(1)));
        }

        #[test]
        fn text_is_the_same_wherever_the_stream_is_split(
            parts in prop::collection::vec(
                prop_oneof![
                    "[a-zé€😀\n\r]{1,4}".prop_map(String::into_bytes),
                    prop::collection::vec(any::<u8>(), 1..4),
                ],
                0..12,
            ),
            tty in any::<bool>(),
        ) {
            let all = parts.concat();
            let mut whole = Buffer::new(BUDGET, tty);
            whole.push(&all);
            let expected = whole.take(BUDGET, true);
            for at in 0..=all.len() {
                let mut buffer = Buffer::new(BUDGET, tty);
                buffer.push(&all[..at]);
                let first = buffer.take(BUDGET, false);
                buffer.push(&all[at..]);
                let second = buffer.take(BUDGET, true);
                prop_assert_eq!(format!("{}{}", first.head, second.head), expected.head.clone());
            }
        }
    }
}
