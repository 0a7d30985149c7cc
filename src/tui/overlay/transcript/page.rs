//! Where the page stands, and what is on it.

use ratatui::{
    style::Modifier,
    text::{Line, Span},
};

use crate::tui::overlay::{Look, fit};

use super::{CURSOR, Pager, Spot};

impl Pager {
    /// The first row of the page.
    pub(super) fn first(&mut self, look: &Look<'_>) -> Spot {
        let end = self.end(look);
        match self.top {
            Some(top) if top < end => self.settle(top, look),
            _ => end,
        }
    }

    /// Moves the page so that it begins here, or with the last row at its end.
    pub(super) fn go(&mut self, spot: Spot, look: &Look<'_>) {
        self.top = (spot < self.end(look)).then_some(spot);
    }

    pub(super) fn scroll(&mut self, rows: usize, back: bool, look: &Look<'_>) {
        let top = self.first(look);
        let to = if back { self.up(top, rows, look) } else { self.down(top, rows, look) };
        self.go(to, look);
        if self.top.is_none() && !back {
            self.cursor = None;
        }
    }

    /// Rows of a cell with the empty one behind them; none for a cell that shows nothing.
    pub(super) fn span(&mut self, cell: usize, look: &Look<'_>) -> usize {
        match self.laid.height(cell, look) {
            0 => 0,
            _ if self.folds.folded(cell) => 2,
            rows => rows + 1,
        }
    }

    /// So many rows up.
    pub(super) fn up(&mut self, from: Spot, mut rows: usize, look: &Look<'_>) -> Spot {
        let mut at = from;
        while rows > at.row {
            rows -= at.row;
            if at.cell == 0 {
                return Spot::default();
            }
            at.cell -= 1;
            at.row = self.span(at.cell, look);
        }
        Spot { row: at.row - rows, ..at }
    }

    /// So many rows down, at most behind the last cell.
    fn down(&mut self, from: Spot, rows: usize, look: &Look<'_>) -> Spot {
        let mut at = Spot { row: from.row + rows, ..from };
        while at.cell < look.transcript.len() {
            let span = self.span(at.cell, look);
            if at.row < span {
                break;
            }
            at = Spot { cell: at.cell + 1, row: at.row - span };
        }
        at
    }

    /// How many rows `to` is below `from`; nothing when it is above, or further away than anyone sees.
    pub(super) fn distance(&mut self, from: Spot, to: Spot, look: &Look<'_>) -> Option<usize> {
        if to < from {
            return None;
        }
        let mut rows = 0;
        for cell in from.cell..to.cell {
            rows += self.span(cell, look);
            if rows > from.row + self.page {
                return None;
            }
        }
        (rows + to.row).checked_sub(from.row)
    }

    /// Where the page begins that ends with the last row.
    fn end(&mut self, look: &Look<'_>) -> Spot {
        let behind = Spot { cell: look.transcript.len(), row: 0 };
        // The empty row behind the last cell is not shown.
        self.up(behind, self.page + 1, look)
    }

    /// The same row after a cell has become shorter than it was.
    fn settle(&mut self, spot: Spot, look: &Look<'_>) -> Spot {
        let last = self.span(spot.cell, look).saturating_sub(1);
        Spot { row: spot.row.min(last), ..spot }
    }

    /// The rows of the page.
    pub(super) fn rows(&mut self, width: u16, look: &Look<'_>) -> Vec<Line<'static>> {
        let top = self.first(look);
        let mut cells = Vec::new();
        let (mut at, mut room) = (top, self.page);
        while room > 0 && at.cell < look.transcript.len() {
            let span = self.span(at.cell, look);
            let seen = span.saturating_sub(at.row).min(room);
            if seen > 0 {
                cells.push((at.cell, at.row..at.row + seen));
            }
            room -= seen;
            at = Spot { cell: at.cell + 1, row: 0 };
        }
        let shown = cells.iter().filter(|(cell, range)| range.start < self.span(*cell, look) - 1);
        let seen: Vec<usize> = shown.map(|(cell, _)| *cell).collect();
        self.seen = (seen.first().copied().unwrap_or(0), seen.last().copied().unwrap_or(0));
        // Keys are about what is seen.
        self.cursor = self.cursor.map(|cell| cell.clamp(self.seen.0, self.seen.1));
        let current = self.current(look);
        let mut rows = Vec::new();
        for (cell, range) in cells {
            let marked = (cell == current).then_some(range.start);
            for row in range {
                let mut line = self.row(Spot { cell, row }, width, look);
                if marked == Some(row) {
                    line = line.patch_style(CURSOR);
                }
                rows.push(line);
            }
        }
        rows
    }

    fn row(&mut self, spot: Spot, width: u16, look: &Look<'_>) -> Line<'static> {
        let height = self.laid.height(spot.cell, look);
        let Some(line) = self.laid.row(spot.cell, spot.row) else { return Line::default() };
        if self.folds.folded(spot.cell) {
            if spot.row > 0 {
                return Line::default();
            }
            if height == 1 {
                return line.clone();
            }
            let more = format!(" +{}", height - 1);
            let room = width.saturating_sub(u16::try_from(more.len()).unwrap_or(width));
            let mut line = fit(line.clone(), room);
            line.push_span(Span::styled(more, look.theme.dim));
            return line;
        }
        let mut line = line.clone();
        for (bytes, current) in self.search.marks(spot) {
            line = mark(line, &bytes, current);
        }
        line
    }
}

/// Highlights bytes of a row.
fn mark(line: Line<'static>, bytes: &std::ops::Range<usize>, current: bool) -> Line<'static> {
    let look = if current { Modifier::REVERSED | Modifier::BOLD } else { Modifier::REVERSED };
    let mut spans = Vec::new();
    let mut from = 0;
    for span in line.spans {
        let text = span.content.as_ref();
        let local = |at: usize| at.saturating_sub(from).min(text.len());
        let (start, end) = (local(bytes.start), local(bytes.end));
        let parts = [(0, start, false), (start, end, true), (end, text.len(), false)];
        for (a, b, marked) in parts {
            let Some(part) = text.get(a..b).filter(|part| !part.is_empty()) else { continue };
            let style = if marked { span.style.add_modifier(look) } else { span.style };
            spans.push(Span::styled(part.to_owned(), style));
        }
        from += text.len();
    }
    Line { spans, ..line }
}
