//! The inline screen: rows that are finished go up into the scrollback, the live ones below are repainted.
//!
//! The cursor is tracked, never asked for. All motion is relative to the first live row: its distance from the
//! cursor is known, whatever row of the terminal it stands in. A frame is one write, inside a synchronized update
//! where there are such, and holds only what has changed.
//!
//! When the width changes, some terminals wrap all rows anew and some cut them ([`Caps::reflow`]). Where
//! they are wrapped anew, the distance is counted in the rows that the old live rows have become. Both counts are
//! the lower bound where there is doubt: a fragment of an old frame may stay, but nothing printed is ever erased.

use std::io::{self, Write};

use super::{
    caps::Caps,
    encode::{
        ERASE_BELOW, ERASE_LINE, FULL_ENTER, FULL_LEAVE, HIDE, SHOW, SYNC_BEGIN, SYNC_END, WRAP_OFF, WRAP_ON,
        cells, column, place, vertical,
    },
    modes::{KEYS_POP, KEYS_PUSH, Keep},
    row::{AsRow, Laid, Row},
};

/// How large the terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

impl Size {
    fn at_least_one(self) -> Self {
        Self { columns: self.columns.max(1), rows: self.rows.max(1) }
    }
}

/// A frame of more bytes is written without a cursor, where it isn't shown as a whole.
const CALM: usize = 256;

/// The rows below what is printed, and the views over them.
pub struct Screen<W> {
    out: W,
    size: Size,
    caps: Caps,
    keep: Keep,
    /// Printed rows that are not written yet, encoded, and how many they are.
    queue: String,
    queued: usize,
    /// The live rows as they stand in the terminal. None: nothing is there, and the cursor is in the first column
    /// of the row where they will begin.
    live: Vec<Painted>,
    /// Where the cursor stands: column, and row within the live ones.
    cursor: (u16, u16),
    shown: bool,
    /// The terminal has another size than when the live rows were painted.
    resized: bool,
    /// The rows of the alternate screen, while it is shown.
    full: Option<Vec<Option<Painted>>>,
    frame: String,
}

/// A row in the terminal: what was handed in, and what became of it.
struct Painted {
    row: Row,
    laid: Laid,
}

impl<W: Write> Screen<W> {
    /// A screen whose first row is the one in which the cursor stands. It must stand in the first column.
    pub fn new(out: W, size: Size, caps: Caps) -> Self {
        Self {
            out,
            size: size.at_least_one(),
            caps,
            keep: Keep::default(),
            queue: String::new(),
            queued: 0,
            live: Vec::new(),
            cursor: (0, 0),
            shown: true,
            resized: false,
            full: None,
            frame: String::new(),
        }
    }

    /// The same, telling the guard which screen is shown, so that it is left however the program ends.
    #[must_use]
    pub fn kept_by(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }

    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    #[must_use]
    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// What is written to.
    pub fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// Queues finished rows for the scrollback. The next draw writes them, above the live region.
    pub fn print<R: AsRow>(&mut self, rows: &[R]) {
        for row in rows {
            let laid = self.lay(row);
            self.queue.push_str(ERASE_LINE);
            cells(&mut self.queue, &laid, 0..laid.len());
            self.queue.push_str("\r\n");
        }
        self.queued += rows.len();
    }

    /// Brings the terminal to show these live rows, with the cursor at a column and row of them (or hidden), below
    /// all that was printed. Rows in excess of the terminal's height but one are left out at the top.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub fn draw<R: AsRow>(&mut self, live: &[R], cursor: Option<(u16, u16)>) -> io::Result<()> {
        if self.full.is_some() {
            return Ok(());
        }
        let (rows, cursor) = self.window(live, cursor);
        self.begin();
        let at = if self.queued > 0 || self.resized || self.live.is_empty() {
            self.repaint(rows)
        } else {
            self.update(rows)
        };
        self.show_cursor(at, cursor);
        self.end()
    }

    /// Tells that the terminal has another size. The next draw repaints the live region.
    pub fn resize(&mut self, size: Size) {
        let size = size.at_least_one();
        if size == self.size {
            return;
        }
        self.size = size;
        self.resized = true;
        if let Some(rows) = &mut self.full {
            rows.clear();
        }
    }

    /// Erases the live region, for others to write where it was. What is queued stays queued.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub fn clear_live(&mut self) -> io::Result<()> {
        if self.full.is_some() {
            return Ok(());
        }
        self.begin();
        self.erase_live();
        self.end()
    }

    /// Writes what is queued, erases the live region and leaves a visible cursor below. A later draw begins there.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.leave_full()?;
        self.begin();
        self.erase_live();
        self.frame.push_str(&self.queue);
        self.forget_queue();
        if !self.shown {
            self.frame.push_str(SHOW);
            self.shown = true;
        }
        self.end()
    }

    /// Shows the alternate screen, for a view that takes all of the terminal. Prints wait until it is left.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub fn enter_full(&mut self) -> io::Result<()> {
        if self.full.is_some() {
            return Ok(());
        }
        self.begin();
        // Nothing live stays below: a resize of the hidden screen then moves nothing that has to be found again.
        self.erase_live();
        self.frame.push_str(FULL_ENTER);
        if self.caps.keyboard {
            self.frame.push_str(KEYS_PUSH);
        }
        self.frame.push_str(HIDE);
        self.shown = false;
        self.full = Some(Vec::new());
        self.keep.set_full(true);
        self.end()
    }

    /// Brings the alternate screen to show these rows, without a cursor.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub fn draw_full<R: AsRow>(&mut self, rows: &[R]) -> io::Result<()> {
        self.draw_full_at(rows, None)
    }

    /// The same with the cursor at a column and row.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub fn draw_full_at<R: AsRow>(&mut self, rows: &[R], cursor: Option<(u16, u16)>) -> io::Result<()> {
        let Some(mut painted) = self.full.take() else { return Ok(()) };
        self.begin();
        let height = usize::from(self.size.rows);
        let blank = Row::default();
        let fresh = painted.is_empty();
        painted.resize_with(height, || None);
        for (index, old) in painted.iter_mut().enumerate() {
            let row = rows.get(index).map(|row| (row.line(), row.links())).unwrap_or((&blank.line, &[]));
            if old.as_ref().is_some_and(|old| old.row.line == *row.0 && old.row.links == row.1) {
                continue;
            }
            let row = Row { line: row.0.clone(), links: row.1.to_vec() };
            let laid = self.lay(&row);
            let at = u16::try_from(index).unwrap_or(u16::MAX);
            match old {
                Some(old) if old.laid == laid => {}
                Some(old) if old.laid.doubt == 0 && laid.doubt == 0 => {
                    let (begin, end) = old.laid.common(&laid);
                    place(&mut self.frame, at, laid.column_of(begin));
                    cells(&mut self.frame, &laid, begin..laid.len() - end);
                    if laid.columns() < old.laid.columns() {
                        self.frame.push_str(ERASE_LINE);
                    }
                }
                _ => {
                    place(&mut self.frame, at, 0);
                    self.whole(&laid, !fresh || laid.columns() == 0);
                }
            }
            *old = Some(Painted { row, laid });
        }
        let wrote = self.frame.len() > self.opening();
        let cursor =
            cursor.map(|(column, row)| (column.min(self.size.columns - 1), row.min(self.size.rows - 1)));
        match cursor {
            Some((column, row)) if wrote || !self.shown || self.cursor != (column, row) => {
                place(&mut self.frame, row, column);
                if !self.shown {
                    self.frame.push_str(SHOW);
                }
                self.cursor = (column, row);
                self.shown = true;
            }
            None if self.shown => {
                self.frame.push_str(HIDE);
                self.shown = false;
            }
            _ => {}
        }
        self.full = Some(painted);
        self.end()
    }

    /// Goes back to the main screen, which is as it was but for its live rows: the next draw paints them.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub fn leave_full(&mut self) -> io::Result<()> {
        if self.full.take().is_none() {
            return Ok(());
        }
        self.begin();
        if self.caps.keyboard {
            self.frame.push_str(KEYS_POP);
        }
        self.frame.push_str(FULL_LEAVE);
        self.cursor = (0, 0);
        self.keep.set_full(false);
        self.end()
    }

    /// Whether the alternate screen is shown.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full.is_some()
    }

    fn lay(&self, row: &impl AsRow) -> Laid {
        Laid::new(row, self.size.columns, self.caps.depth, self.caps.links)
    }

    /// The rows that there is room for, and the cursor among them.
    fn window<'a, R>(&self, live: &'a [R], cursor: Option<(u16, u16)>) -> (&'a [R], Option<(u16, u16)>) {
        let most = usize::from(self.size.rows.saturating_sub(1).max(1));
        let row = cursor.map(|(_, row)| usize::from(row).min(live.len().saturating_sub(1)));
        let from = live.len().saturating_sub(most).min(row.unwrap_or(usize::MAX));
        let rows = live.get(from..live.len().min(from + most)).unwrap_or_default();
        let cursor = cursor.zip(row).map(|((column, _), row)| {
            (column.min(self.size.columns - 1), u16::try_from(row - from).unwrap_or(0))
        });
        (rows, cursor)
    }

    /// Paints all live rows anew, with what is queued above them. Gives the row in which the cursor is left.
    fn repaint<R: AsRow>(&mut self, rows: &[R]) -> u16 {
        let old = self.live.len();
        let (queued, gone) = (self.queued, self.resized || old == 0);
        self.go_go_to_first_row();
        if gone {
            self.frame.push_str(ERASE_BELOW);
        }
        self.frame.push_str(&self.queue);
        self.forget_queue();
        self.live.clear();
        let count = rows.len().max(1);
        for index in 0..count {
            let painted = self.painted(rows.get(index));
            if index > 0 {
                self.frame.push_str("\r\n");
            }
            if index + 1 == count && !gone && old > queued + count {
                self.frame.push_str(ERASE_BELOW);
            }
            self.whole(&painted.laid, !gone);
            self.live.push(painted);
        }
        self.resized = false;
        u16::try_from(count - 1).unwrap_or(u16::MAX)
    }

    /// Paints the rows that differ. Gives the row in which the cursor is left.
    fn update<R: AsRow>(&mut self, rows: &[R]) -> u16 {
        let count = rows.len().max(1);
        let mut at = self.cursor.1;
        for index in 0..count.min(self.live.len()) {
            let row = rows.get(index);
            if row.is_some_and(|row| same(&self.live[index].row, row)) {
                continue;
            }
            let next = self.painted(row);
            let old = std::mem::replace(&mut self.live[index], next);
            let new = &self.live[index].laid;
            if old.laid == *new {
                continue;
            }
            let here = u16::try_from(index).unwrap_or(u16::MAX);
            if old.laid.doubt == 0 && new.doubt == 0 {
                let (begin, end) = old.laid.common(new);
                column(&mut self.frame, new.column_of(begin));
                vertical(&mut self.frame, at, here);
                cells(&mut self.frame, new, begin..new.len() - end);
                if new.columns() < old.laid.columns() {
                    self.frame.push_str(ERASE_LINE);
                }
            } else {
                column(&mut self.frame, 0);
                vertical(&mut self.frame, at, here);
                let new = new.clone();
                self.whole(&new, true);
            }
            at = here;
        }
        let last = |rows: usize| u16::try_from(rows.saturating_sub(1)).unwrap_or(u16::MAX);
        if count < self.live.len() {
            column(&mut self.frame, 0);
            vertical(&mut self.frame, at, last(count) + 1);
            self.frame.push_str(ERASE_BELOW);
            at = last(count) + 1;
            self.live.truncate(count);
        } else if count > self.live.len() {
            vertical(&mut self.frame, at, last(self.live.len()));
            for index in self.live.len()..count {
                self.frame.push_str("\r\n");
                let painted = self.painted(rows.get(index));
                self.whole(&painted.laid, false);
                self.live.push(painted);
            }
            at = last(count);
        }
        at
    }

    fn painted<R: AsRow>(&self, row: Option<&R>) -> Painted {
        let row = row
            .map_or_else(Row::default, |row| Row { line: row.line().clone(), links: row.links().to_vec() });
        let laid = self.lay(&row);
        Painted { row, laid }
    }

    /// Appends a whole row from its first column on. `over`: something may stand there.
    fn whole(&mut self, laid: &Laid, over: bool) {
        let doubtful = laid.doubt > 0;
        let may_wrap = doubtful && laid.columns().saturating_add(laid.doubt) > self.size.columns;
        if over && doubtful {
            self.frame.push_str(ERASE_LINE);
        }
        if may_wrap {
            self.frame.push_str(WRAP_OFF);
        }
        cells(&mut self.frame, laid, 0..laid.len());
        if may_wrap {
            self.frame.push_str(WRAP_ON);
        }
        // Behind the last column an erase would take the last cell.
        if over && !doubtful && laid.columns() < self.size.columns {
            self.frame.push_str(ERASE_LINE);
        }
    }

    /// Appends the motion from where the cursor stands to the first column of the first live row.
    fn go_go_to_first_row(&mut self) {
        column(&mut self.frame, 0);
        let distance = self.distance();
        vertical(&mut self.frame, distance, 0);
    }

    /// How many rows the cursor stands below the first live row.
    fn distance(&self) -> u16 {
        let (column, row) = self.cursor;
        if !(self.resized && self.caps.reflow) {
            return row;
        }
        let columns = self.size.columns;
        let above = self.live.iter().take(usize::from(row)).map(|painted| painted.laid.height(columns));
        let beside =
            self.live.get(usize::from(row)).map_or(0, |painted| painted.laid.rows_down(columns, column));
        above.fold(beside, u16::saturating_add)
    }

    /// Appends the erasure of the live rows; the cursor is then where the first one was.
    fn erase_live(&mut self) {
        if !self.live.is_empty() {
            self.go_go_to_first_row();
            self.frame.push_str(ERASE_BELOW);
            self.live.clear();
            self.cursor = (0, 0);
        }
        self.resized = false;
    }

    fn show_cursor(&mut self, at: u16, cursor: Option<(u16, u16)>) {
        let wrote = self.frame.len() > self.opening();
        match cursor {
            Some(to) if wrote || !self.shown || to != self.cursor => {
                column(&mut self.frame, to.0);
                vertical(&mut self.frame, at, to.1);
                if !self.shown {
                    self.frame.push_str(SHOW);
                    self.shown = true;
                }
                self.cursor = to;
            }
            Some(_) => {}
            None => {
                if wrote {
                    column(&mut self.frame, 0);
                    self.cursor = (0, at);
                }
                if self.shown {
                    self.frame.push_str(HIDE);
                    self.shown = false;
                }
            }
        }
    }

    fn forget_queue(&mut self) {
        self.queue.clear();
        self.queue.shrink_to(1 << 16);
        self.queued = 0;
    }

    fn opening(&self) -> usize {
        if self.caps.sync { SYNC_BEGIN.len() } else { 0 }
    }

    fn begin(&mut self) {
        self.frame.clear();
        self.frame.shrink_to(1 << 16);
        if self.caps.sync {
            self.frame.push_str(SYNC_BEGIN);
        }
    }

    /// Writes the frame, if there is anything in it, at once.
    fn end(&mut self) -> io::Result<()> {
        if self.frame.len() == self.opening() {
            return Ok(());
        }
        if self.caps.sync {
            self.frame.push_str(SYNC_END);
        } else if self.shown && self.frame.len() > CALM && self.full.is_none() {
            // At least the cursor must not be seen running about.
            self.frame.insert_str(0, HIDE);
            self.frame.push_str(SHOW);
        }
        self.out.write_all(self.frame.as_bytes())?;
        self.out.flush()
    }
}

fn same(row: &Row, other: &impl AsRow) -> bool {
    row.line == *other.line() && row.links == other.links()
}
