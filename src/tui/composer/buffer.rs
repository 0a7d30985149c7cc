//! The text under edit: clusters of characters as a person sees them, and elements that are one whole.
//!
//! Every position that leaves this file stands between two clusters and never inside an element. It knows
//! nothing of keys, and keeps no past.

use std::{cell::RefCell, ops::Range, path::PathBuf, sync::Arc};

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation as _};

use super::wrap::Layout;

/// What an element stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// A large paste, shown as a label.
    Paste(Arc<str>),
    /// An image file, with the text that it was pasted as.
    Image { path: PathBuf, typed: String },
}

/// A label in the text that moves and goes as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub at: usize,
    pub len: usize,
    pub held: Held,
}

impl Element {
    pub fn end(&self) -> usize {
        self.at + self.len
    }
}

/// Whether a character is a cluster of its own beside another one of which this is true. Most text is made of
/// these, and needs no tables.
pub(super) fn simple(char: char) -> bool {
    matches!(char, ' '..='~' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{4e00}'..='\u{9fff}')
}

/// The length of the first of two simple characters.
pub(super) fn simple_step(mut chars: impl Iterator<Item = char>) -> Option<usize> {
    let first = chars.next().filter(|char| simple(*char))?;
    chars.next().is_some_and(simple).then(|| first.len_utf8())
}

/// Text with the elements in it, sorted by position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fragment {
    pub text: String,
    pub elements: Vec<Element>,
}

impl From<&str> for Fragment {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), elements: Vec::new() }
    }
}

impl Fragment {
    /// A label that stands for something.
    pub fn element(label: &str, held: Held) -> Self {
        let element = Element { at: 0, len: label.len(), held };
        Self { text: label.to_owned(), elements: vec![element] }
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub fn slice(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    /// A part of it, with the elements that lie in it.
    pub fn part(&self, range: Range<usize>) -> Self {
        let first = self.elements.partition_point(|element| element.at < range.start);
        let inside = self.elements.iter().skip(first).take_while(|element| element.end() <= range.end);
        let elements = inside.map(|element| Element { at: element.at - range.start, ..element.clone() });
        Self { text: self.slice(range.clone()).to_owned(), elements: elements.collect() }
    }

    pub fn append(&mut self, other: &Self) {
        let shift = self.text.len();
        self.text.push_str(&other.text);
        let moved = other.elements.iter().cloned();
        self.elements.extend(moved.map(|element| Element { at: element.at + shift, ..element }));
    }

    /// The first element that begins at a position or behind it.
    pub fn element_from(&self, at: usize) -> usize {
        self.elements.partition_point(|element| element.at < at)
    }

    /// The element that a position is inside of, or that begins there.
    pub fn element_over(&self, at: usize) -> Option<&Element> {
        let index = self.elements.partition_point(|element| element.at <= at).checked_sub(1)?;
        self.elements.get(index).filter(|element| element.end() > at)
    }

    fn element_before(&self, at: usize) -> Option<&Element> {
        self.elements.get(self.element_from(at).checked_sub(1)?)
    }

    /// Where the run of plain text around a position ends: clusters do not reach into elements.
    fn plain_end(&self, at: usize) -> usize {
        self.elements.get(self.element_from(at)).map_or(self.text.len(), |element| element.at)
    }

    /// The position one step forward.
    pub fn next(&self, at: usize) -> usize {
        if let Some(element) = self.element_over(at) {
            return element.end();
        }
        if let Some(len) = simple_step(self.text.get(at..).unwrap_or_default().chars()) {
            return at + len;
        }
        let rest = self.slice(at..self.plain_end(at));
        at + rest.graphemes(true).next().map_or(0, str::len)
    }

    /// The position one step back.
    pub fn prev(&self, at: usize) -> usize {
        let floor = match self.element_before(at) {
            Some(element) if element.end() >= at => return element.at,
            Some(element) => element.end(),
            None => 0,
        };
        if let Some(len) = simple_step(self.slice(floor..at).chars().rev()) {
            return at - len;
        }
        at - self.slice(floor..at).graphemes(true).next_back().map_or(0, str::len)
    }

    /// The nearest position at or behind `at` where the cursor may stand.
    pub fn snap(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at += 1;
        }
        if let Some(element) = self.element_over(at) {
            return if element.at == at { at } else { element.end() };
        }
        let floor = self.element_before(at).map_or(0, Element::end);
        let plain = self.slice(floor..self.plain_end(at));
        let mut cursor = GraphemeCursor::new(at - floor, plain.len(), true);
        match cursor.is_boundary(plain, 0) {
            Ok(false) => floor + cursor.next_boundary(plain, 0).ok().flatten().unwrap_or(plain.len()),
            _ => at,
        }
    }

    pub fn line_start(&self, at: usize) -> usize {
        self.slice(0..at).rfind('\n').map_or(0, |newline| newline + 1)
    }

    pub fn line_end(&self, at: usize) -> usize {
        self.text.get(at..).and_then(|rest| rest.find('\n')).map_or(self.text.len(), |newline| at + newline)
    }

    /// The text with every paste in place of its label, and images by `name` (of the path, and of what was pasted).
    pub fn expanded(&self, mut name: impl FnMut(&PathBuf, &str) -> String) -> String {
        let mut out = String::with_capacity(self.text.len());
        let mut done = 0;
        for element in &self.elements {
            out.push_str(self.slice(done..element.at));
            match &element.held {
                Held::Paste(text) => out.push_str(text),
                Held::Image { path, typed } => out.push_str(&name(path, typed)),
            }
            done = element.end();
        }
        out.push_str(self.slice(done..self.text.len()));
        out
    }
}

/// The text, the cursor, and how the text breaks into rows.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    body: Fragment,
    cursor: usize,
    /// Rows of the last drawing, brought up to date when they are asked for.
    pub layout: RefCell<Layout>,
}

impl Buffer {
    pub fn body(&self) -> &Fragment {
        &self.body
    }

    pub fn text(&self) -> &str {
        &self.body.text
    }

    pub fn len(&self) -> usize {
        self.body.text.len()
    }

    pub fn cursor(&self) -> usize {
        self.cursor
    }

    pub fn set_cursor(&mut self, at: usize) {
        self.cursor = self.body.snap(at);
    }

    /// Puts a fragment in place of a range, and gives what was there and where it began. A range that cuts an
    /// element takes all of it. The cursor goes behind what was put in.
    pub fn replace(&mut self, range: Range<usize>, new: &Fragment) -> (usize, Fragment) {
        let range = self.whole(range);
        let removed = self.body.part(range.clone());
        let first = self.body.element_from(range.start);
        let inserted = new.elements.iter().map(|e| Element { at: e.at + range.start, ..e.clone() });
        self.body.elements.splice(first..first + removed.elements.len(), inserted);
        for element in self.body.elements.iter_mut().skip(first + new.elements.len()) {
            element.at = element.at - removed.text.len() + new.text.len();
        }
        self.layout.get_mut().edited(range.start, self.body.text.len() - range.end);
        self.body.text.replace_range(range.clone(), &new.text);
        self.set_cursor(range.start + new.text.len());
        (range.start, removed)
    }

    fn whole(&self, range: Range<usize>) -> Range<usize> {
        let boundary = |mut at: usize| {
            at = at.min(self.len());
            while !self.text().is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (boundary(range.start), boundary(range.end.max(range.start)));
        let cut = |at| self.body.element_over(at).filter(|element| element.at < at);
        match (start == end, cut(start), cut(end)) {
            (true, Some(element), _) => element.end()..element.end(),
            (false, first, last) => first.map_or(start, |e| e.at)..last.map_or(end, Element::end),
            (true, None, _) => start..end,
        }
    }
}

/// Text and cursor written as one string: `ab|c`.
#[cfg(test)]
pub(super) fn marked(buffer: &Buffer) -> String {
    let mut text = buffer.text().to_owned();
    text.insert(buffer.cursor(), '|');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_the_clusters_that_a_person_sees() {
        let table: &[&[&str]] = &[
            &["a", "b"],
            &["e\u{301}", "x"],
            &["👩\u{200d}👩\u{200d}👧\u{200d}👦", "!"],
            &["🇩🇪", "🇫🇷"],
            &["👍🏽", "漢", "字"],
            &["ש\u{5b8}", "ל", "ו", "ם"],
            &["कि", "त"],
            &["각", "\n", "ᄀ\u{1161}\u{11a8}"],
            &["\u{301}", "a"],
            &["❤\u{fe0f}", "1\u{fe0f}\u{20e3}"],
        ];
        for clusters in table {
            let body = Fragment::from(clusters.concat().as_str());
            let mut forward = vec![0];
            while *forward.last().unwrap() < body.text.len() {
                forward.push(body.next(*forward.last().unwrap()));
            }
            let mut back = vec![body.text.len()];
            while *back.last().unwrap() > 0 {
                back.push(body.prev(*back.last().unwrap()));
            }
            back.reverse();
            let mut expected = vec![0];
            expected.extend(clusters.iter().scan(0, |at, cluster| {
                *at += cluster.len();
                Some(*at)
            }));
            assert_eq!(forward, expected, "{clusters:?}");
            assert_eq!(back, expected, "{clusters:?}");
            for at in 0..=body.text.len() {
                let snapped = expected.iter().find(|place| **place >= at).unwrap();
                assert_eq!(body.snap(at), *snapped, "{clusters:?} at {at}");
            }
        }
    }

    #[test]
    fn an_element_is_one_step_and_goes_as_a_whole() {
        let mut buffer = Buffer::default();
        buffer.replace(0..0, &"ab".into());
        buffer.replace(1..1, &Fragment::element("[P]", Held::Paste("x\ny".into())));
        assert_eq!(marked(&buffer), "a[P]|b");
        assert_eq!((buffer.body().next(1), buffer.body().prev(4), buffer.body().snap(2)), (4, 1, 4));
        assert_eq!(buffer.body().expanded(|_, _| String::new()), "ax\nyb");

        // A mark behind an element does not join it.
        buffer.replace(4..4, &"\u{301}".into());
        assert_eq!(buffer.body().prev(6), 4);
        // What is put in the middle goes behind.
        buffer.replace(2..2, &"-".into());
        assert_eq!(buffer.text(), "a[P]-\u{301}b");
        // A range that cuts it takes all.
        let (at, removed) = buffer.replace(2..3, &"".into());
        assert_eq!((at, removed.text.as_str(), removed.elements.len()), (1, "[P]", 1));
        assert_eq!((buffer.text(), buffer.body().elements.len()), ("a-\u{301}b", 0));
        buffer.replace(1..1, &removed);
        assert_eq!(buffer.body().elements, [Element { at: 1, len: 3, held: Held::Paste("x\ny".into()) }]);
    }

    #[test]
    fn typing_between_two_halves_leaves_the_cursor_between_clusters() {
        let mut buffer = Buffer::default();
        buffer.replace(0..0, &"👩👧".into());
        buffer.replace(4..4, &"\u{200d}".into());
        assert_eq!(buffer.cursor(), buffer.len(), "the three have become one");
    }
}
