//! Cells laid out, each once for a width. A message that streams only grows.

use std::collections::HashMap;

use ratatui::text::Line;

use crate::protocol::BlobId;
use crate::tui::{
    overlay::{Look, fit, output::weight},
    text::Markdown,
    transcript::{Transcript, Whole},
};

/// Rows that are kept at most. A page needs a hundred.
const KEPT: usize = 20_000;

/// Cells laid out.
#[derive(Default)]
pub(super) struct Laid {
    width: u16,
    cells: HashMap<usize, Rows>,
    /// Rows of all of them.
    rows: usize,
    frame: u64,
}

/// The rows of a cell.
#[derive(Default)]
struct Rows {
    rows: Vec<Line<'static>>,
    /// More rows, that may still change.
    tail: Vec<Line<'static>>,
    /// Where all of an output is kept, and its bytes.
    blob: Option<(BlobId, u64)>,
    kind: Kind,
}

#[derive(Default)]
enum Kind {
    /// It stays as it is.
    #[default]
    Settled,
    /// It was laid out for this frame.
    Open(u64),
    /// A message of which so many bytes have been laid out.
    Streams { markdown: Box<Markdown>, fed: usize },
}

impl Laid {
    /// A frame begins. What is laid out for another width is forgotten.
    pub(super) fn begin(&mut self, width: u16) {
        self.frame += 1;
        self.spare();
        if self.width != width {
            *self = Self { width, frame: self.frame, ..Self::default() };
        }
    }

    #[cfg(test)]
    pub(super) fn cells(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn width(&self) -> u16 {
        self.width
    }

    /// How many rows a cell has.
    pub(super) fn height(&mut self, cell: usize, look: &Look<'_>) -> usize {
        self.prepare(cell, look);
        self.cells.get(&cell).map_or(0, Rows::len)
    }

    /// A row of a cell that was asked for its height.
    pub(super) fn row(&self, cell: usize, row: usize) -> Option<&Line<'static>> {
        let rows = self.cells.get(&cell)?;
        rows.rows.get(row).or_else(|| rows.tail.get(row.checked_sub(rows.rows.len())?))
    }

    /// Where the output of a cell that was laid out is kept, and its bytes.
    pub(super) fn blob(&self, cell: usize) -> Option<&(BlobId, u64)> {
        self.cells.get(&cell)?.blob.as_ref()
    }

    /// Forgets what is laid out, if that is much.
    pub(super) fn spare(&mut self) {
        if self.rows > KEPT {
            self.cells.clear();
            self.rows = 0;
        }
    }

    fn prepare(&mut self, cell: usize, look: &Look<'_>) {
        let had = match self.cells.get_mut(&cell) {
            Some(Rows { kind: Kind::Settled, .. }) => return,
            Some(Rows { kind: Kind::Open(frame), .. }) if *frame == self.frame => return,
            Some(rows) => Some(rows),
            None => None,
        };
        let before = had.as_ref().map_or(0, |rows| rows.len());
        let streams = look.transcript.streams(cell);
        match (had, streams) {
            (Some(rows), Some(text)) if matches!(rows.kind, Kind::Streams { .. }) => {
                rows.feed(text, self.width, look);
            }
            (_, Some(text)) => {
                let markdown = Box::new(Transcript::reader());
                let mut rows = Rows { kind: Kind::Streams { markdown, fed: 0 }, ..Rows::default() };
                rows.feed(text, self.width, look);
                self.cells.insert(cell, rows);
            }
            (_, None) => {
                let now = i64::try_from(look.now_ms).unwrap_or(i64::MAX);
                let Whole { mut rows, blob } = look.transcript.whole(cell, self.width, look.theme, now);
                if let Some((_, bytes)) = &blob {
                    let text = format!("  o opens all of its output, {}", weight(*bytes));
                    rows.push(fit(Line::styled(text, look.theme.accent), self.width));
                }
                let kind = if look.transcript.settled(cell) { Kind::Settled } else { Kind::Open(self.frame) };
                self.cells.insert(cell, Rows { rows, tail: Vec::new(), blob, kind });
            }
        }
        let after = self.cells.get(&cell).map_or(0, Rows::len);
        self.rows = (self.rows + after).saturating_sub(before);
    }
}

impl Rows {
    fn len(&self) -> usize {
        self.rows.len() + self.tail.len()
    }

    fn feed(&mut self, text: &str, width: u16, look: &Look<'_>) {
        let Kind::Streams { markdown, fed } = &mut self.kind else { return };
        let Some(new) = text.get(*fed..).filter(|new| !new.is_empty()) else { return };
        markdown.push(new);
        *fed = text.len();
        self.rows.extend(markdown.finished(width, look.theme));
        self.tail = markdown.tail(width, look.theme);
    }
}
