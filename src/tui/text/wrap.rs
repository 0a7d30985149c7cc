//! Styled text, wrapped to a width by what people see as characters.
//!
//! Words come first: a word that does not fit begins a row of its own, and is broken only when a whole row is
//! too short for it. No character is lost but the spaces at which a row ends. A row never depends on text that
//! comes after the next one, so that a stream can hand out all rows but the last.

use std::{ops::Range, sync::Arc};

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use crate::tui::term::Row as Linked;

/// With fewer columns than this beside it, a prefix is left out.
const LEAST: usize = 8;

/// Where a row may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Between words if possible: for prose and commands.
    Words,
    /// Anywhere, every space kept: for code and output.
    Anywhere,
}

/// What stands before the first row of a text, and before the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prefix {
    pub first: Vec<Span<'static>>,
    pub rest: Vec<Span<'static>>,
}

/// A text with styles. A line feed in it ends a row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Text {
    text: String,
    /// Where each style ends, and where its text leads.
    styles: Vec<(usize, Style, Option<Arc<str>>)>,
}

/// The columns that a text takes.
#[must_use]
pub fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

impl Prefix {
    /// The same two or so columns before every row.
    #[must_use]
    pub fn hanging(first: &str, style: Style) -> Self {
        let rest = " ".repeat(columns(first));
        Self { first: vec![Span::styled(first.to_owned(), style)], rest: vec![Span::raw(rest)] }
    }

    /// Nothing before any row.
    #[must_use]
    pub fn none() -> Self {
        Self { first: Vec::new(), rest: Vec::new() }
    }

    /// What is left of `width`, and whether there is room for the prefix at all.
    fn room(spans: &[Span<'_>], width: usize) -> (usize, bool) {
        let own: usize = spans.iter().map(|span| columns(&span.content)).sum();
        if own == 0 || own + LEAST <= width { (width.saturating_sub(own), true) } else { (width, false) }
    }
}

impl Text {
    /// A text in one style.
    #[must_use]
    pub fn of(text: &str, style: Style) -> Self {
        let mut all = Self::default();
        all.push(text, style);
        all
    }

    pub fn push(&mut self, text: &str, style: Style) {
        self.push_link(text, style, None);
    }

    /// Adds text that leads somewhere.
    pub fn push_link(&mut self, text: &str, style: Style, link: Option<&Arc<str>>) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(text);
        match self.styles.last_mut() {
            Some((end, last, to)) if *last == style && to.as_ref() == link => *end = self.text.len(),
            _ => self.styles.push((self.text.len(), style, link.cloned())),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// All rows; one at least.
    #[must_use]
    pub fn rows(&self, width: u16, breaks: Break, prefix: &Prefix) -> Vec<Line<'static>> {
        self.linked_rows(width, breaks, prefix).into_iter().map(|row| row.line).collect()
    }

    /// All rows, with where their parts lead.
    #[must_use]
    pub fn linked_rows(&self, width: u16, breaks: Break, prefix: &Prefix) -> Vec<Linked> {
        let (ranges, prefixes) = self.ranges(width, breaks, prefix);
        self.lines(&ranges, prefixes)
    }

    /// Takes all rows but the last, which more text may still change.
    pub fn take_rows(&mut self, width: u16, breaks: Break, prefix: &Prefix) -> Vec<Linked> {
        let (mut ranges, prefixes) = self.ranges(width, breaks, prefix);
        let Some(last) = ranges.pop() else { return Vec::new() };
        let rows = self.lines(&ranges, prefixes);
        self.text = self.text.split_off(last.start);
        self.styles.retain_mut(|(end, ..)| {
            let kept = *end > last.start;
            *end = end.saturating_sub(last.start);
            kept
        });
        rows
    }

    fn ranges<'a>(
        &self,
        width: u16,
        breaks: Break,
        prefix: &'a Prefix,
    ) -> (Vec<Range<usize>>, [&'a [Span<'static>]; 2]) {
        let width = usize::from(width).max(1);
        let (first, first_fits) = Prefix::room(&prefix.first, width);
        let (rest, rest_fits) = Prefix::room(&prefix.rest, width);
        let shown = |spans: &'a [Span<'static>], fits: bool| if fits { spans } else { &[] };
        let prefixes = [shown(&prefix.first, first_fits), shown(&prefix.rest, rest_fits)];
        let ranges = if self.text.is_ascii() {
            let bytes = (0..self.text.len()).filter_map(|at| Some((at, self.text.get(at..=at)?, 1)));
            ranges(bytes, [first, rest], breaks, self.text.len())
        } else {
            let graphemes = self.text.grapheme_indices(true).map(|(at, text)| (at, text, columns(text)));
            ranges(graphemes, [first, rest], breaks, self.text.len())
        };
        (ranges, prefixes)
    }

    fn lines(&self, ranges: &[Range<usize>], prefixes: [&[Span<'static>]; 2]) -> Vec<Linked> {
        let mut style = 0;
        let mut rows = Vec::with_capacity(ranges.len());
        for (index, range) in ranges.iter().enumerate() {
            let mut spans = prefixes[usize::from(index > 0)].to_vec();
            let mut links = Vec::new();
            let mut at = range.start;
            while at < range.end {
                let Some((end, look, link)) = self.styles.get(style) else { break };
                if *end <= at {
                    style += 1;
                    continue;
                }
                let until = (*end).min(range.end);
                let piece = self.text.get(at..until).unwrap_or_default();
                links.extend(link.as_ref().map(|to| (spans.len()..spans.len() + 1, Arc::clone(to))));
                spans.push(Span::styled(piece.to_owned(), *look));
                at = until;
            }
            if range.is_empty() {
                without_trailing_spaces(&mut spans);
            }
            rows.push(Linked { line: Line::from(spans), links });
        }
        rows
    }
}

/// An empty row is not to leave spaces in a selection.
fn without_trailing_spaces(spans: &mut Vec<Span<'static>>) {
    while let Some(last) = spans.last_mut() {
        let kept = last.content.trim_end().len();
        if kept > 0 {
            last.content.to_mut().truncate(kept);
            return;
        }
        spans.pop();
    }
}

/// The rows of a text as ranges of it, from its characters with their places and widths.
fn ranges<'a>(
    characters: impl Iterator<Item = (usize, &'a str, usize)>,
    rooms: [usize; 2],
    breaks: Break,
    len: usize,
) -> Vec<Range<usize>> {
    let mut row = Row {
        start: 0,
        end: 0,
        used: 0,
        gap: 0,
        room: rooms[0],
        rest: rooms[1],
        begun: false,
        word: None,
        done: Vec::new(),
    };
    let mut before = "";
    for (at, text, width) in characters {
        if text == "\n" {
            row.next(row.end, at + 1);
        } else if breaks == Break::Anywhere {
            if row.used + width > row.room && row.used > 0 {
                row.next(at, at);
            }
            row.used += width;
            row.end = at + text.len();
        } else if is_space(text) {
            row.space(at + text.len(), width);
        } else {
            if may_break_between(before, text) {
                row.word = None;
            }
            row.place(at, at + text.len(), width);
        }
        before = text;
    }
    row.done.push(row.start..row.end.min(len));
    row.done
}

/// The row that is being filled.
struct Row {
    start: usize,
    /// Where its last word ends.
    end: usize,
    /// Columns up to there.
    used: usize,
    /// Columns of the spaces after it.
    gap: usize,
    room: usize,
    /// Room of the rows to come.
    rest: usize,
    /// Whether a word stands in it. Spaces before the first one are indentation, and stay.
    begun: bool,
    word: Option<Word>,
    done: Vec<Range<usize>>,
}

/// The word that is being read.
struct Word {
    start: usize,
    width: usize,
    /// Where the row ended before it.
    before: usize,
    /// Whether it is the first of its row.
    first: bool,
}

impl Row {
    fn next(&mut self, end: usize, start: usize) {
        self.done.push(self.start..end);
        (self.start, self.end, self.used, self.gap, self.room) = (start, start, 0, 0, self.rest);
        self.begun = false;
        self.word = None;
    }

    fn space(&mut self, end: usize, width: usize) {
        self.word = None;
        if !self.begun && self.used + width <= self.room {
            self.used += width;
            self.end = end;
        } else {
            self.gap += width;
        }
    }

    fn place(&mut self, at: usize, end: usize, width: usize) {
        let (before, first) = (self.end, !self.begun);
        self.begun = true;
        let word = self.word.get_or_insert(Word { start: at, width: 0, before, first });
        if self.used + self.gap + width > self.room {
            if !word.first {
                self.done.push(self.start..word.before);
                self.room = self.rest;
            }
            // What stood before the word in this row was another row's, or indentation that has no room.
            (self.start, self.used, self.gap, word.first) = (word.start, word.width, 0, true);
            if self.used + width > self.room && self.used > 0 {
                self.done.push(self.start..at);
                (self.start, self.used, self.room) = (at, 0, self.rest);
                (word.start, word.width) = (at, 0);
            }
        }
        self.used += self.gap + width;
        self.gap = 0;
        self.end = end;
        word.width += width;
    }
}

fn is_space(text: &str) -> bool {
    text == " " || text == "\u{3000}" || text == "\t"
}

/// Whether a row may end between two characters that are not spaces: beside those of scripts without spaces,
/// but not before what closes and not after what opens.
fn may_break_between(before: &str, after: &str) -> bool {
    const CLOSING: &str = "，。、！？：；）」』】》〉…・ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ";
    const OPENING: &str = "（「『【《〈";
    let wide = |text: &str| !text.is_ascii() && columns(text) == 2;
    (wide(before) || wide(after)) && !CLOSING.contains(after) && !OPENING.contains(before)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str, width: u16, breaks: Break, first: &str) -> Vec<String> {
        let prefix = Prefix::hanging(first, Style::new());
        Text::of(text, Style::new()).rows(width, breaks, &prefix).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn words_come_first_and_are_broken_only_when_a_row_is_too_short() {
        let table: &[(&str, u16, &[&str])] = &[
            ("", 10, &[""]),
            ("one two three", 9, &["one two", "three"]),
            ("one two  three", 14, &["one two  three"]),
            ("see https://example.com/a/b now", 14, &["see", "https://exampl", "e.com/a/b now"]),
            ("  indented text that goes on", 14, &["  indented", "text that goes", "on"]),
            ("a\n\n  b", 10, &["a", "", "  b"]),
            ("漢字仮名交じり文。", 6, &["漢字仮", "名交じ", "り文。"]),
            ("漢字仮。名", 6, &["漢字", "仮。名"]),
            ("e\u{301}e\u{301}e\u{301}e\u{301}", 3, &["e\u{301}e\u{301}e\u{301}", "e\u{301}"]),
            ("🇩🇪🇩🇪 👍🏽", 5, &["🇩🇪🇩🇪", "👍🏽"]),
        ];
        for (text, width, expected) in table {
            assert_eq!(rows(text, *width, Break::Words, ""), *expected, "{text}");
        }
    }

    #[test]
    fn code_keeps_every_space() {
        assert_eq!(rows("a  b  c ", 4, Break::Anywhere, ""), ["a  b", "  c "]);
    }

    #[test]
    fn a_prefix_hangs_and_gives_way_when_there_is_no_room() {
        assert_eq!(rows("one two three", 10, Break::Words, "• "), ["• one two", "  three"]);
        assert_eq!(rows("one two", 5, Break::Words, "• "), ["one", "two"]);
    }

    #[test]
    fn styles_follow_their_text_over_rows() {
        let (plain, bold) = (Style::new(), Style::new().bold());
        let mut text = Text::of("one ", plain);
        text.push("two three", bold);
        text.push("!", plain);
        let rows = text.rows(8, Break::Words, &Prefix::default());
        assert_eq!(
            rows,
            [
                Line::from(vec![Span::styled("one ", plain), Span::styled("two", bold)]),
                Line::from(vec![Span::styled("three", bold), Span::styled("!", plain)]),
            ]
        );
    }

    #[test]
    fn a_link_goes_on_in_the_next_row_and_ends_where_it_ends() {
        let (plain, to) = (Style::new(), Arc::from("https://a.b"));
        let mut text = Text::of("see ", plain);
        text.push_link("the long docs", plain, Some(&to));
        text.push(" now", plain);
        let linked = |rows: Vec<Linked>| -> Vec<(String, Option<Range<usize>>)> {
            rows.into_iter()
                .map(|row| (row.line.to_string(), row.links.into_iter().map(|(range, _)| range).next()))
                .collect()
        };
        let prefix = Prefix::hanging("- ", plain);
        let expected = [("- see the", Some(2..3)), ("  long docs", Some(1..2)), ("  now", None)]
            .map(|(text, links)| (text.to_owned(), links));
        assert_eq!(linked(text.linked_rows(11, Break::Words, &prefix)), expected);
        let mut taken = linked(text.take_rows(11, Break::Words, &prefix));
        let rest = Prefix { first: prefix.rest.clone(), rest: prefix.rest.clone() };
        taken.extend(linked(text.linked_rows(11, Break::Words, &rest)));
        assert_eq!(taken, expected);
    }

    fn any_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-z]{1,12}",
            " {1,3}",
            "[漢字仮名。（]{1,5}",
            Just("e\u{301}".to_owned()),
            Just("👍🏽".to_owned()),
            Just("\n".to_owned())
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_character_is_lost_and_no_row_is_too_long(text in any_text(), width in 2u16..30) {
            let visible = |text: &str| text.chars().filter(|char| !char.is_whitespace()).collect::<String>();
            for breaks in [Break::Words, Break::Anywhere] {
                let rows = rows(&text, width, breaks, "");
                prop_assert_eq!(visible(&rows.concat()), visible(&text));
                prop_assert!(rows.iter().all(|row| columns(row) <= usize::from(width)), "{:?}", rows);
                if breaks == Break::Anywhere {
                    prop_assert_eq!(rows.concat(), text.replace('\n', ""));
                }
            }
        }

        #[test]
        fn rows_taken_early_are_those_of_the_whole_text(text in any_text(), cuts in proptest::collection::vec(0usize..100, 0..6), width in 2u16..30) {
            // A piece may end anywhere but within what people see as one character.
            let boundaries: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).collect();
            let mut cuts: Vec<usize> = cuts.iter().filter_map(|cut| boundaries.get(cut % boundaries.len().max(1)).copied()).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            for breaks in [Break::Words, Break::Anywhere] {
                let prefix = Prefix::default();
                let (mut stream, mut taken, mut from) = (Text::default(), Vec::new(), 0);
                for &cut in &cuts {
                    stream.push(text.get(from..cut).unwrap(), Style::new());
                    taken.extend(stream.take_rows(width, breaks, &prefix).into_iter().map(|row| row.line));
                    from = cut;
                }
                taken.extend(stream.rows(width, breaks, &prefix));
                prop_assert_eq!(taken, Text::of(&text, Style::new()).rows(width, breaks, &prefix));
            }
        }
    }
}
