//! All of one output, read from where it is kept part by part: a few hundred kilobytes are held, however long it is.
//!
//! A line that is very long is shown in pieces, which begin at fixed places, so that neither its end nor its
//! beginning has to be looked for. It is not searched.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::text::Line;

use crate::protocol::BlobId;
use crate::tui::{
    host::{Answer, Question},
    keymap::Key,
    term::Size,
    text::{Break, Prefix, Text, plain},
    theme::Theme,
};

use super::{Look, Overlay, Page, Place, Reaction, fit, hints};

/// Bytes that are read at once.
const PART: u64 = 64 << 10;
/// Parts that are held.
const HELD: usize = 5;
/// In so many bytes there is a line end, or a piece of a line begins.
const PIECE: u64 = 4096;

/// A view of one output.
pub(super) struct Output {
    blob: BlobId,
    /// Bytes of the whole, once they are known.
    total: Option<u64>,
    parts: BTreeMap<u64, Vec<u8>>,
    /// Parts that were asked for.
    asked: Vec<u64>,
    /// Where the first row of the page is.
    top: Top,
    /// The page is to end with the last row, as soon as that is here.
    ending: bool,
    problem: Option<String>,
    width: u16,
    page: usize,
}

/// Where a row is: the byte where its line begins, and which row of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Top {
    line: u64,
    row: usize,
}

impl Output {
    pub(super) fn new(blob: BlobId) -> Self {
        Self {
            blob,
            total: None,
            parts: BTreeMap::new(),
            asked: Vec::new(),
            top: Top { line: 0, row: 0 },
            ending: false,
            problem: None,
            width: 80,
            page: 1,
        }
    }

    fn total(&self) -> u64 {
        self.total.unwrap_or(0)
    }

    fn byte(&self, at: u64) -> Option<u8> {
        let part = self.parts.get(&(at / PART))?;
        part.get(usize::try_from(at % PART).ok()?).copied()
    }

    /// The bytes from one place to another, if they are here.
    fn bytes(&self, from: u64, to: u64) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        let mut at = from;
        while at < to {
            let part = self.parts.get(&(at / PART))?;
            let start = usize::try_from(at % PART).ok()?;
            let end = part.len().min(start + usize::try_from(to - at).ok()?);
            let piece = part.get(start..end).filter(|piece| !piece.is_empty())?;
            all.extend_from_slice(piece);
            at += piece.len() as u64;
        }
        Some(all)
    }

    /// Whether a line, or a piece of one, begins here. Decided by the bytes right before.
    fn begins(&self, at: u64) -> Option<bool> {
        if at == 0 || self.byte(at - 1)? == b'\n' {
            return Some(true);
        }
        // A piece begins at the first whole character at or behind a fixed place.
        let place = at / PIECE * PIECE;
        if place == 0 || at - place > 3 {
            return Some(false);
        }
        for before in place..at {
            if !continues(self.byte(before)?) {
                return Some(false);
            }
        }
        if continues(self.byte(at)?) && at - place < 3 {
            return Some(false);
        }
        Some(!self.bytes(place - PIECE, place)?.contains(&b'\n'))
    }

    /// Where the next line begins; the end of the output for the last one.
    fn next(&self, line: u64) -> Option<u64> {
        let total = self.total?;
        let mut at = line + 1;
        while at < total && !self.begins(at)? {
            at += 1;
        }
        Some(at.min(total))
    }

    /// Where the line before begins.
    fn previous(&self, line: u64) -> Option<u64> {
        let mut at = line.checked_sub(1)?;
        while !self.begins(at)? {
            at -= 1;
        }
        Some(at)
    }

    fn rows(&self, line: u64, theme: &Theme) -> Option<Vec<Line<'static>>> {
        let end = self.next(line)?;
        let bytes = self.bytes(line, end)?;
        let text = String::from_utf8_lossy(&bytes);
        let text = Text::of(&plain::output(&text), theme.plain);
        Some(text.rows(self.width.max(1), Break::Anywhere, &Prefix::default()))
    }

    /// Goes down by rows, as far as is known.
    fn down(&mut self, rows: usize, theme: &Theme) {
        for _ in 0..rows {
            let Some(of_line) = self.rows(self.top.line, theme) else { return };
            if self.top.row + 1 < of_line.len() {
                self.top.row += 1;
                continue;
            }
            match self.next(self.top.line) {
                Some(next) if next < self.total() => self.top = Top { line: next, row: 0 },
                _ => return,
            }
        }
    }

    fn up(&mut self, rows: usize, theme: &Theme) {
        for _ in 0..rows {
            if self.top.row > 0 {
                self.top.row -= 1;
                continue;
            }
            let Some(before) = self.previous(self.top.line) else { return };
            let Some(of_line) = self.rows(before, theme) else { return };
            self.top = Top { line: before, row: of_line.len().saturating_sub(1) };
        }
    }

    /// Goes to the line at or before a byte. When it is not here, it is gone to when it comes.
    fn go(&mut self, byte: u64) {
        self.ending = false;
        self.top = Top { line: byte, row: 0 };
        self.settle();
    }

    /// The top is the start of a line.
    fn settle(&mut self) {
        if self.begins(self.top.line) == Some(false)
            && let Some(line) = self.previous(self.top.line)
        {
            self.top = Top { line, row: 0 };
        }
    }

    /// The parts around the page.
    fn near(&self) -> Vec<u64> {
        let here = self.top.line / PART;
        let last = self.total.map_or(0, |total| total.saturating_sub(1) / PART);
        (here.saturating_sub(1)..=(here + 2).min(last)).collect()
    }

    /// The rows of the page, and where the byte behind them is; nothing when they are not here yet.
    fn visible(&self, theme: &Theme) -> Option<(Vec<Line<'static>>, u64)> {
        self.total?;
        let (mut rows, mut line, mut skip) = (Vec::new(), self.top.line, self.top.row);
        while rows.len() < self.page && line < self.total() {
            rows.extend(self.rows(line, theme)?.into_iter().skip(skip));
            (line, skip) = (self.next(line)?, 0);
        }
        rows.truncate(self.page);
        Some((rows, line))
    }
}

impl Overlay for Output {
    fn place(&self) -> Place {
        Place::Full
    }

    fn key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let theme = look.theme;
        match key.code {
            KeyCode::Char('c') if control => return Reaction::Close(Vec::new()),
            _ if control => return Reaction::Ignored,
            KeyCode::Esc | KeyCode::Char('q') => return Reaction::Close(Vec::new()),
            KeyCode::Up | KeyCode::Char('k') => self.up(1, theme),
            KeyCode::Down | KeyCode::Char('j') => self.down(1, theme),
            KeyCode::PageUp | KeyCode::Char('b') => self.up(self.page, theme),
            KeyCode::PageDown | KeyCode::Char(' ') => self.down(self.page, theme),
            KeyCode::Home | KeyCode::Char('g') => self.go(0),
            KeyCode::End | KeyCode::Char('G') => {
                self.go(self.total().saturating_sub(1));
                self.ending = true;
            }
            // By the tenth part, as in a film.
            KeyCode::Char(digit @ '1'..='9') => {
                let tenth = u64::from(u32::from(digit) - u32::from('0'));
                self.go(self.total() / 10 * tenth);
            }
            _ => return Reaction::Ignored,
        }
        Reaction::Consumed
    }

    fn wants(&mut self, _look: &Look<'_>) -> Vec<Question> {
        if self.problem.is_some() {
            return Vec::new();
        }
        let near = self.near();
        // Of what is held the furthest goes.
        while self.parts.len() > HELD {
            let here = self.top.line / PART;
            let Some(far) = self.parts.keys().copied().max_by_key(|part| part.abs_diff(here)) else { break };
            self.parts.remove(&far);
        }
        let missing =
            near.into_iter().filter(|part| !self.parts.contains_key(part) && !self.asked.contains(part));
        let missing: Vec<u64> = missing.collect();
        self.asked.extend(&missing);
        let length = usize::try_from(PART).unwrap_or(usize::MAX);
        let question = |part| Question::Blob { blob: self.blob.clone(), from: part * PART, length };
        missing.into_iter().map(question).collect()
    }

    fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Blob { blob, from, bytes, total } if *blob == self.blob => {
                let part = from / PART;
                self.asked.retain(|asked| *asked != part);
                self.total = Some(*total);
                self.parts.insert(part, bytes.clone());
                self.settle();
            }
            Answer::Failed { question: Question::Blob { blob, .. }, problem } if *blob == self.blob => {
                self.problem = Some(problem.clone());
            }
            _ => {}
        }
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        if self.width != size.columns {
            self.width = size.columns;
            self.top.row = 0;
        }
        self.page = usize::from(size.rows).saturating_sub(1).max(1);
        let theme = look.theme;
        if self.ending
            && let Some(rows) = self.rows(self.top.line, theme)
        {
            self.ending = false;
            self.top.row = rows.len().saturating_sub(1);
            self.up(self.page - 1, theme);
        }
        let (mut rows, end) = match (&self.problem, self.visible(theme)) {
            (Some(problem), _) => {
                let text = Text::of(&plain::plain(problem), theme.bad);
                (text.rows(size.columns, Break::Words, &Prefix::default()), 0)
            }
            (None, Some(seen)) => seen,
            (None, None) => (vec![Line::styled("reading…", theme.dim)], 0),
        };
        rows.resize(self.page, Line::default());
        let place = format!("{} of {}", weight(end), weight(self.total()));
        let hint =
            hints([place.as_str(), "q back", "Home End", "1-9 tenths", "not searched"], size.columns, theme);
        rows.push(fit(hint, size.columns));
        Page { rows, cursor: None }
    }
}

/// Whether a byte goes on with a character that has begun before it.
fn continues(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// A count of bytes as people say it.
pub(super) fn weight(bytes: u64) -> String {
    let of = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{} kB", of(1000)),
        1_000_000..1_000_000_000 => format!("{} MB", of(1_000_000)),
        _ => format!("{} GB", of(1_000_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tui::overlay::testing::Stage;

    fn blob() -> BlobId {
        BlobId("ab".repeat(32))
    }

    /// Answers all that the view wants to know, from content of which each byte is computed.
    fn serve(stage: &Stage, view: &mut Output, total: u64, byte: impl Fn(u64) -> u8) {
        loop {
            let wanted = view.wants(&stage.look());
            if wanted.is_empty() {
                return;
            }
            for question in wanted {
                let Question::Blob { from, length, .. } = question else { panic!() };
                let bytes = (from..total.min(from + length as u64)).map(&byte).collect();
                view.answer(&Answer::Blob { blob: blob(), from, bytes, total });
            }
            assert!(view.parts.len() <= HELD + 4, "{} parts are held", view.parts.len());
        }
    }

    /// Numbered lines of sixteen bytes.
    fn numbered(at: u64) -> u8 {
        let line = format!("line {:010}\n", at / 16);
        line.as_bytes()[usize::try_from(at % 16).unwrap()]
    }

    #[test]
    fn a_gigabyte_opens_at_once_and_is_scrolled_with_little_in_memory() {
        const TOTAL: u64 = 1 << 30;
        let stage = Stage::new();
        for (columns, rows) in [(80, 24), (40, 12)] {
            let mut view = Output::new(blob());
            assert!(stage.draw(&mut view, columns, rows).starts_with("reading…"));
            let mut go = |keys: &str| {
                stage.press(&mut view, keys);
                serve(&stage, &mut view, TOTAL, numbered);
                let held: usize = view.parts.values().map(Vec::len).sum();
                assert!(held <= 600_000, "{held} bytes are held");
                stage.draw(&mut view, columns, rows)
            };
            assert!(go("").starts_with("line 0000000000\nline 0000000001\n"));
            assert!(go("  ").starts_with(&format!("line {:010}\n", 2 * (rows - 1))));
            let middle = go("5");
            assert!(middle.starts_with("line 0033554431\n"), "{middle}");
            assert!(go("↑").starts_with("line 0033554430\n"));
            let end = go("G");
            assert!(end.contains("line 0067108863\n") && end.contains("1.0 GB of 1.0 GB"), "{end}");
            assert!(go("g").starts_with("line 0000000000\n"));
        }
    }

    #[test]
    fn a_line_without_an_end_is_read_in_pieces() {
        const TOTAL: u64 = 10 << 20;
        let stage = Stage::new();
        let mut view = Output::new(blob());
        serve(&stage, &mut view, TOTAL, |_| b'x');
        let drawn = stage.draw(&mut view, 40, 12);
        assert_eq!(drawn.lines().filter(|line| *line == "x".repeat(40)).count(), 11, "{drawn}");
        stage.press(&mut view, "G");
        serve(&stage, &mut view, TOTAL, |_| b'x');
        let end = stage.draw(&mut view, 40, 12);
        assert!(end.contains("10.4 MB of 10.4 MB"), "{end}");
        assert_eq!(end.lines().filter(|line| line.starts_with('x')).count(), 11, "{end}");
    }

    #[test]
    fn what_can_not_be_read_says_so() {
        let stage = Stage::new();
        let mut view = Output::new(blob());
        let question = view.wants(&stage.look()).remove(0);
        view.answer(&Answer::Failed { question, problem: "can't read the output: gone\x1b[2J".into() });
        assert!(stage.draw(&mut view, 40, 12).starts_with("can't read the output: gone\\u{1b}[2J"));
        assert_eq!(view.wants(&stage.look()), []);
    }

    proptest! {
        #[test]
        fn lines_begin_at_the_same_places_up_and_down(
            pieces in prop::collection::vec(prop_oneof!["[aé漢\n]{0,20}", Just("é".repeat(5000)), Just("x".repeat(9001))], 0..8),
            columns in 8u16..200,
        ) {
            let content = pieces.concat().into_bytes();
            let total = content.len() as u64;
            let stage = Stage::new();
            let mut view = Output::new(blob());
            view.width = columns;
            serve(&stage, &mut view, total, |at| content[usize::try_from(at).unwrap()]);
            let mut starts = vec![0];
            while let Some(next) = view.next(*starts.last().unwrap()).filter(|next| *next < total) {
                prop_assert!(next - starts.last().unwrap() <= 2 * PIECE + 3);
                starts.push(next);
            }
            for pair in starts.windows(2) {
                prop_assert_eq!(view.previous(pair[1]), Some(pair[0]));
            }
            let shown: String = starts.iter().filter(|_| total > 0)
                .flat_map(|line| view.rows(*line, &stage.theme).unwrap())
                .map(|row| row.to_string()).collect();
            let expected = String::from_utf8(content).unwrap().replace('\n', "");
            prop_assert_eq!(shown, expected);
        }
    }
}
