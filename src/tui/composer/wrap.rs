//! Where the text breaks into rows. Rows are kept between keys; an edit wraps again only what it touched.
//!
//! A row depends on nothing but the text from its start on. So wrapping may begin a few rows above an edit,
//! and stop as soon as a row starts where one started before.

use std::{borrow::Cow, ops::Range};

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use crate::protocol::printable;

use super::buffer::{Fragment, simple, simple_step};

const TAB: &str = "    ";

/// A cluster as it is drawn: what is invisible or would act on the terminal is spelled out.
pub(super) fn shown(cluster: &str, columns: usize) -> (Cow<'_, str>, usize) {
    if matches!(cluster.as_bytes(), [b' '..=b'~']) {
        return (Cow::Borrowed(cluster), 1);
    }
    let text = match printable(cluster) {
        _ if cluster == "\t" => Cow::Borrowed(TAB),
        Cow::Owned(_) if joins(cluster) => Cow::Borrowed(cluster),
        text => text,
    };
    match text.width() {
        0 if text.is_empty() => (text, 0),
        0 => (Cow::Owned(format!("◌{text}")), 1),
        width if width > columns => (Cow::Borrowed("…"), 1),
        width => (text, width),
    }
}

/// Whether what is invisible in a cluster is how the script or the emoji is written: joiners behind a visible
/// character, and the letters of a regional flag.
fn joins(cluster: &str) -> bool {
    let mut chars = cluster.chars();
    let first = chars.next().unwrap_or_default();
    let flag = first == '\u{1f3f4}';
    let visible = |char: char| matches!(printable(char.encode_utf8(&mut [0; 4])), Cow::Borrowed(_));
    visible(first)
        && chars.all(|char| {
            matches!(char, '\u{200c}' | '\u{200d}')
                || (flag && ('\u{e0020}'..='\u{e007f}').contains(&char))
                || visible(char)
        })
}

/// One step of drawing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub cluster: &'a str,
    pub end: usize,
    pub width: usize,
    /// Part of an element.
    pub held: bool,
}

/// The clusters of the text from a position on. Inside an element they are the clusters of its label.
pub(super) struct Pieces<'a> {
    body: &'a Fragment,
    at: usize,
    columns: usize,
    element: usize,
}

impl<'a> Pieces<'a> {
    pub fn new(body: &'a Fragment, at: usize, columns: usize) -> Self {
        let element = body.elements.partition_point(|element| element.end() <= at);
        Self { body, at, columns, element }
    }

    /// The element that comes next, if not there already, or the end: how far plain text goes.
    fn plain_end(&self) -> usize {
        self.body.elements.get(self.element).map_or(self.body.text.len(), |element| element.at)
    }

    /// Passes over characters that need no tables, as far as they fit into some columns. Gives the columns
    /// that they take, and the last place beside a wide one.
    fn pass_simple(&mut self, columns: usize) -> (usize, Option<usize>) {
        let (mut used, mut place) = (0, None);
        let text = self.body.text.get(self.at..self.plain_end()).unwrap_or_default();
        let mut chars = text.chars();
        let mut next = chars.next();
        while let Some(char) = next.filter(|char| *char != ' ' && simple(*char)) {
            next = chars.next().filter(|char| simple(*char));
            let width = if char.is_ascii() { 1 } else { 2 };
            if next.is_none() || used + width > columns {
                break;
            }
            if width == 2 {
                place = Some(self.at + char.len_utf8());
            }
            used += width;
            self.at += char.len_utf8();
        }
        (used, place)
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let (held, limit) = match self.body.elements.get(self.element) {
            Some(element) if element.at <= self.at => (true, element.end()),
            _ => (false, self.plain_end()),
        };
        let rest = self.body.slice(self.at..limit);
        let cluster = match simple_step(rest.chars()) {
            Some(len) => rest.get(..len)?,
            None => rest.graphemes(true).next()?,
        };
        let width = match cluster {
            "\n" => 0,
            cluster => shown(cluster, self.columns).1,
        };
        self.at += cluster.len();
        if held && self.at >= limit {
            self.element += 1;
        }
        Some(Piece { cluster, end: self.at, width, held })
    }
}

/// How many bytes at the start are drawn as the mark: the `!` of a shell command.
pub(super) fn hidden(text: &str) -> usize {
    usize::from(text.starts_with('!'))
}

/// The start of each row, for one width.
#[derive(Debug, Default)]
pub(super) struct Layout {
    starts: Vec<usize>,
    columns: usize,
    /// The length of the text that was laid out.
    len: usize,
    /// How much of that text stands unchanged at both ends.
    same: Option<(usize, usize)>,
    /// The first row on the screen.
    pub top: usize,
}

impl Layout {
    /// Notes an edit: how many bytes before and behind it are as they were.
    pub fn edited(&mut self, before: usize, behind: usize) {
        let (old_before, old_behind) = self.same.unwrap_or((before, behind));
        self.same = Some((before.min(old_before), behind.min(old_behind)));
    }

    /// Brings the rows up to date.
    pub fn refresh(&mut self, body: &Fragment, columns: usize) {
        let columns = columns.max(1);
        if columns != self.columns || self.starts.is_empty() {
            self.columns = columns;
            self.starts.clear();
            self.wrap_from(body, 0, &[], 0);
        } else if let Some((before, behind)) = self.same {
            self.rewrap(body, before, behind);
        }
        self.same = None;
        self.len = body.text.len();
    }

    fn rewrap(&mut self, body: &Fragment, before: usize, behind: usize) {
        // The break of a row depends on the word behind it, which may reach into the next row; one more for
        // marks that join the last cluster.
        let first = self.row_of(before).saturating_sub(3);
        let old_behind = self.len - behind;
        let kept = self.starts.partition_point(|start| *start < old_behind).max(first + 1);
        let tail = self.starts.split_off(kept.min(self.starts.len()));
        let from = self.starts.get(first).copied().unwrap_or(0);
        self.starts.truncate(first);
        self.wrap_from(body, from, &tail, self.len);
    }

    /// Adds rows from a row start on, until the end, or until the old rows (of a text of `old_len` bytes) meet.
    fn wrap_from(&mut self, body: &Fragment, from: usize, tail: &[usize], old_len: usize) {
        let len = body.text.len();
        let moved = |start: usize| (start + len).checked_sub(old_len);
        let mut tail = tail.iter().copied().peekable();
        let mut at = from;
        loop {
            self.starts.push(at);
            let (end, open) = row_end(body, at, self.columns);
            if !open {
                return;
            }
            while tail.next_if(|start| moved(*start).is_none_or(|start| start < end)).is_some() {}
            if tail.peek().is_some_and(|start| moved(*start) == Some(end)) {
                self.starts.extend(tail.filter_map(moved));
                return;
            }
            at = end;
        }
    }

    pub fn rows(&self) -> usize {
        self.starts.len()
    }

    /// The row that a position is shown in.
    pub fn row_of(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// What stands in a row, with its line end.
    pub fn range(&self, row: usize, len: usize) -> Range<usize> {
        let start = self.starts.get(row).copied().unwrap_or(len);
        start..self.starts.get(row + 1).copied().unwrap_or(len)
    }

    /// The column of a position.
    pub fn column_of(&self, body: &Fragment, at: usize) -> usize {
        let row = self.range(self.row_of(at), body.text.len());
        let start = if row.start == 0 { hidden(&body.text) } else { row.start };
        let pieces = Pieces::new(body, start, self.columns);
        pieces.take_while(|piece| piece.end <= at).map(|piece| piece.width).sum()
    }

    /// The position in a row that is nearest to a column.
    pub fn at_column(&self, body: &Fragment, row: usize, column: usize) -> usize {
        let range = self.range(row, body.text.len());
        let mut at = if range.start == 0 { hidden(&body.text) } else { range.start };
        let mut seen = 0;
        let last_row = row + 1 >= self.rows();
        for piece in Pieces::new(body, at, self.columns) {
            // The end of a row that goes on is the start of the next one.
            let over = if last_row { piece.end > range.end } else { piece.end >= range.end };
            if over || piece.cluster == "\n" || seen + piece.width > column {
                break;
            }
            seen += piece.width;
            at = piece.end;
        }
        // Inside an element there is no place; its start is in the row, or in one above.
        body.element_over(at).map_or(at, |element| element.at)
    }
}

/// Where the row that starts at `start` ends, and whether another one follows.
fn row_end(body: &Fragment, start: usize, columns: usize) -> (usize, bool) {
    let first = if start == 0 { hidden(&body.text) } else { start };
    let mut pieces = Pieces::new(body, first, columns);
    let mut in_element = body.element_over(first).is_some_and(|element| element.at < first);
    // The last place where the row may end.
    let mut place = None;
    let mut column = 0;
    loop {
        let (used, beside) = pieces.pass_simple(columns - column);
        column += used;
        place = beside.or(place);
        let at = pieces.at;
        let Some(piece) = pieces.next() else { return (at, false) };
        if piece.cluster == "\n" && !piece.held {
            return (piece.end, true);
        }
        let blank = !piece.held && matches!(piece.cluster, " " | "\t");
        let wide = !piece.held && piece.width == 2;
        let enters = piece.held && !in_element;
        if (wide || enters) && at > first {
            place = Some(at);
        }
        if column + piece.width > columns {
            // One blank hangs over the edge, with the line end behind it.
            if blank {
                let newline = body.text.as_bytes().get(piece.end) == Some(&b'\n');
                return (piece.end + usize::from(newline), true);
            }
            return match place {
                Some(place) => (place, true),
                None if at > first => (at, true),
                None => (piece.end, piece.end < body.text.len()),
            };
        }
        column += piece.width;
        let leaves = piece.held && body.element_over(piece.end).is_none_or(|element| element.at == piece.end);
        in_element = piece.held && !leaves;
        if blank || wide || leaves {
            place = Some(piece.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffer::{Buffer, Held};
    use super::*;
    use proptest::prelude::*;

    fn rows(body: &Fragment, columns: usize) -> Vec<String> {
        let mut layout = Layout::default();
        layout.refresh(body, columns);
        (0..layout.rows()).map(|row| body.slice(layout.range(row, body.text.len())).to_owned()).collect()
    }

    #[test]
    fn words_stay_whole_where_they_fit_and_one_blank_hangs() {
        let table: &[(&str, usize, &[&str])] = &[
            ("", 5, &[""]),
            ("abc", 3, &["abc"]),
            ("abc ", 3, &["abc ", ""]),
            ("abc \nd", 3, &["abc \n", "d"]),
            ("ab cd", 3, &["ab ", "cd"]),
            ("abcdef gh", 3, &["abc", "def ", "gh"]),
            ("a  b", 2, &["a  ", "b"]),
            ("a   b", 2, &["a  ", " b"]),
            ("a\n\nb\n", 4, &["a\n", "\n", "b\n", ""]),
            ("漢字漢", 4, &["漢字", "漢"]),
            ("a漢字", 4, &["a漢", "字"]),
            ("a bb漢", 5, &["a bb", "漢"]),
            ("漢", 1, &["漢"]),
            ("!ls", 2, &["!ls"]),
        ];
        for (text, columns, expected) in table {
            assert_eq!(rows(&(*text).into(), *columns), *expected, "{text:?} at {columns}");
        }
    }

    #[test]
    fn a_label_goes_to_the_next_row_rather_than_apart() {
        let mut buffer = Buffer::default();
        buffer.replace(0..0, &"see".into());
        buffer.replace(3..3, &Fragment::element("[a b]", Held::Paste("x".into())));
        assert_eq!(rows(buffer.body(), 6), ["see", "[a b]"]);
        assert_eq!(rows(buffer.body(), 4), ["see", "[a b", "]"]);
    }

    #[test]
    fn what_acts_or_hides_is_spelled_out_and_what_joins_is_not() {
        let table = [
            ("\t", "    ", 4),
            ("\u{1b}", "\\u{1b}", 6),
            ("\u{202e}", "\\u{202e}", 8),
            ("a\u{e0041}", "a\\u{e0041}", 10),
            ("\u{200b}", "\\u{200b}", 8),
            ("👩\u{200d}👧", "👩\u{200d}👧", 2),
            ("🏴\u{e0067}\u{e0062}\u{e007f}", "🏴\u{e0067}\u{e0062}\u{e007f}", 2),
            ("\u{301}", "◌\u{301}", 1),
        ];
        for (cluster, text, width) in table {
            let (drawn, columns) = shown(cluster, 20);
            assert_eq!((drawn.as_ref(), columns), (text, width), "{cluster:?}");
        }
        assert_eq!(shown("\t", 3).0, "…");
    }

    proptest! {
        #[test]
        fn wrapping_after_an_edit_is_wrapping_anew(
            text in "(a|b|!|cd ef|漢|👩\u{200d}👧|\u{301}| |  |\n|\t|🇩🇪){0,60}",
            edits in prop::collection::vec((0usize..200, 0usize..12, "(x|y | |\n|漢|\u{301}|🇫|!|long word){0,4}", any::<bool>()), 1..6),
            columns in 1usize..14,
            often in any::<bool>(),
        ) {
            let mut buffer = Buffer::default();
            buffer.replace(0..0, &text.as_str().into());
            buffer.layout.borrow_mut().refresh(&buffer.body().clone(), columns);
            for (at, len, new, label) in edits {
                let at = buffer.body().snap(at);
                let end = buffer.body().snap(at + len);
                let new = if label { Fragment::element("[p q]", Held::Paste("x".into())) } else { new.as_str().into() };
                buffer.replace(at..end, &new);
                if often {
                    buffer.layout.borrow_mut().refresh(&buffer.body().clone(), columns);
                }
            }
            let mut layout = buffer.layout.take();
            layout.refresh(buffer.body(), columns);
            let mut fresh = Layout::default();
            fresh.refresh(buffer.body(), columns);
            prop_assert_eq!(&layout.starts, &fresh.starts);
            // Nothing is lost, and nothing stands beyond the width but one hanging blank.
            prop_assert_eq!(rows(buffer.body(), columns).concat(), buffer.text());
            for row in 0..fresh.rows() {
                let range = fresh.range(row, buffer.len());
                let pieces: Vec<_> = Pieces::new(buffer.body(), range.start, columns)
                    .take_while(|piece| piece.end <= range.end).collect();
                let mut width: usize = pieces.iter().map(|piece| piece.width).sum();
                let shown = pieces.iter().rev().find(|piece| piece.cluster != "\n");
                if range.start == 0 { width -= hidden(buffer.text()); }
                if let Some(blank) = shown.filter(|piece| width > columns && matches!(piece.cluster, " " | "\t")) {
                    width -= blank.width;
                }
                prop_assert!(width <= columns, "row {} of {:?}", row, buffer.text());
            }
        }
    }
}
