//! What is looked for, and where it is. A match may go on in the next row; case counts when the query has capitals.

use std::ops::Range;

use ratatui::text::Line;

use crate::tui::{overlay::Look, text::columns};

use super::{Spot, laid::Laid};

/// A search, and all that it has found so far.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// The query is being typed.
    pub(super) typing: bool,
    pub(super) query: String,
    hits: Vec<Hit>,
    /// The hit that was gone to.
    at: Option<usize>,
    /// Cells before this one have been searched.
    scanned: usize,
    /// The cells that can have a match at all, if that is known: those that had one for a shorter query.
    among: Option<(usize, Vec<usize>)>,
    width: u16,
}

/// A match: the first row of it, and the bytes of each row.
#[derive(Debug, PartialEq, Eq)]
struct Hit {
    spot: Spot,
    parts: Vec<(usize, Range<usize>)>,
}

impl Search {
    pub(super) fn begin(&mut self) {
        self.forget();
        self.typing = true;
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn on(&self) -> bool {
        !self.query.is_empty()
    }

    /// Looks for something else from now on.
    pub(super) fn ask(&mut self, query: String) {
        let narrower = self.on() && query.starts_with(&self.query);
        let among = narrower.then(|| {
            let mut cells: Vec<usize> = self.hits.iter().map(|hit| hit.spot.cell).collect();
            cells.dedup();
            (self.scanned, cells)
        });
        *self = Self { typing: self.typing, query, among, width: self.width, ..Self::default() };
    }

    /// Searches the cells that were not searched yet and don't change any more.
    pub(super) fn scan(&mut self, laid: &mut Laid, look: &Look<'_>) {
        if self.query.is_empty() {
            return;
        }
        if self.width != laid.width() {
            // Rows are others now. What is open is found again by its order.
            let at = self.at;
            *self =
                Self { typing: self.typing, query: std::mem::take(&mut self.query), at, ..Self::default() };
            self.width = laid.width();
        }
        let query = Query::new(&self.query);
        while self.scanned < look.transcript.len() && look.transcript.settled(self.scanned) {
            let cell = self.scanned;
            self.scanned += 1;
            if let Some((known, cells)) = &self.among
                && cell < *known
                && cells.binary_search(&cell).is_err()
            {
                continue;
            }
            let height = laid.height(cell, look);
            let rows = (0..height).filter_map(|row| laid.row(cell, row));
            for parts in query.find(rows, laid.width()) {
                let Some((row, _)) = parts.first() else { continue };
                self.hits.push(Hit { spot: Spot { cell, row: *row }, parts });
            }
            laid.spare();
        }
    }

    /// The first match from here on, or else the first of all.
    pub(super) fn at_or_after(&mut self, from: Spot) -> Option<Spot> {
        let next = self.hits.partition_point(|hit| hit.spot < from);
        self.at = if next < self.hits.len() { Some(next) } else { (!self.hits.is_empty()).then_some(0) };
        self.at.and_then(|at| self.hits.get(at)).map(|hit| hit.spot)
    }

    pub(super) fn step(&mut self, back: bool) -> Option<Spot> {
        let count = self.hits.len();
        let now = self.at.filter(|at| *at < count);
        let next = match (now, back) {
            _ if count == 0 => return None,
            (None, _) => 0,
            (Some(at), false) => (at + 1) % count,
            (Some(at), true) => (at + count - 1) % count,
        };
        self.at = Some(next);
        self.hits.get(next).map(|hit| hit.spot)
    }

    /// `3/17`, in words where there is none.
    pub(super) fn count(&self) -> String {
        match (self.hits.len(), self.at) {
            (0, _) if self.query.is_empty() => String::new(),
            (0, _) => "no match".to_owned(),
            (count, at) => format!("{}/{count}", at.map_or(0, |at| at + 1)),
        }
    }

    /// The bytes of a row that match, and whether they are of the match that was gone to.
    pub(super) fn marks(&self, spot: Spot) -> Vec<(Range<usize>, bool)> {
        let from = self.hits.partition_point(|hit| hit.spot.cell < spot.cell);
        let of_cell =
            self.hits.iter().enumerate().skip(from).take_while(|(_, hit)| hit.spot.cell == spot.cell);
        let mut marks = Vec::new();
        for (index, hit) in of_cell {
            let here = hit.parts.iter().filter(|(row, _)| *row == spot.row);
            marks.extend(here.map(|(_, bytes)| (bytes.clone(), self.at == Some(index))));
        }
        marks
    }
}

/// What is looked for.
struct Query {
    chars: Vec<char>,
    exact: bool,
}

/// A character, its row and its bytes there; none for what stands between two rows.
struct Letter {
    char: char,
    row: usize,
    bytes: Option<(usize, usize)>,
}

/// Where a row goes on in the next one at once: a space may have stood there.
const JOINT: char = '\0';

impl Query {
    fn new(text: &str) -> Self {
        let exact = text.chars().any(char::is_uppercase);
        Self { chars: text.chars().collect(), exact }
    }

    /// All matches in the rows of a cell, which don't overlap.
    fn find<'a>(
        &self,
        rows: impl Iterator<Item = &'a Line<'static>>,
        width: u16,
    ) -> Vec<Vec<(usize, Range<usize>)>> {
        let mut all: Vec<Letter> = Vec::new();
        for (row, line) in rows.enumerate() {
            let text: String = line.spans.iter().map(|span| span.content.as_ref()).collect();
            let inset = if row > 0 { text.len() - text.trim_start().len() } else { 0 };
            for (at, char) in text.char_indices().skip_while(|(at, _)| *at < inset) {
                let folded = if self.exact { char } else { char.to_lowercase().next().unwrap_or(char) };
                all.push(Letter { char: folded, row, bytes: Some((at, at + char.len_utf8())) });
            }
            let joint = if columns(&text) + 1 >= usize::from(width) { JOINT } else { ' ' };
            all.push(Letter { char: joint, row, bytes: None });
        }
        let mut found = Vec::new();
        let mut at = 0;
        while at < all.len() {
            match self.ends(&all, at) {
                Some(end) => {
                    found.push(parts(all.get(at..end).unwrap_or_default()));
                    at = end;
                }
                None => at += 1,
            }
        }
        found
    }

    /// Where a match ends that begins at `at`.
    fn ends(&self, all: &[Letter], at: usize) -> Option<usize> {
        let mut end = at;
        for (index, wanted) in self.chars.iter().enumerate() {
            while index > 0 && *wanted != ' ' && all.get(end)?.char == JOINT {
                end += 1;
            }
            let letter = all.get(end)?;
            let joint = *wanted == ' ' && letter.char == JOINT;
            if (letter.char != *wanted && !joint) || (index == 0 && letter.bytes.is_none()) {
                return None;
            }
            end += 1;
        }
        Some(end)
    }
}

/// The bytes of each row.
fn parts(letters: &[Letter]) -> Vec<(usize, Range<usize>)> {
    let mut parts: Vec<(usize, Range<usize>)> = Vec::new();
    for letter in letters {
        let Some((from, to)) = letter.bytes else { continue };
        match parts.last_mut() {
            Some((last, bytes)) if *last == letter.row => bytes.end = to,
            _ => parts.push((letter.row, from..to)),
        }
    }
    parts
}
