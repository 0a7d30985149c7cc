//! The inline screen: rows that are finished go up into the scrollback, the live ones below are repainted.
//!
//! The cursor is tracked, never asked for. All motion is relative to the first live row: its distance from the
//! cursor is known, whatever row of the terminal it stands in. A frame is one write, inside a synchronized update
//! where there are such, and holds only what has changed.
//!
//! # When the width changes
//!
//! Some terminals then wrap all rows anew, the live ones too, and some cut them ([`Caps::reflow`]). And a program
//! learns of it late: frames are painted for a width that the terminal has no longer (tmux tells up to a quarter of
//! a second later). Three things keep every printed line where it is, once:
//!
//! - Live rows are painted with the terminal's own wrapping off, and motion down is by line feeds. So a frame takes
//!   the rows that it is thought to take, at any width and height. Printed rows are wrapped, and lose nothing.
//! - A parked cursor ([`Screen::park`]) rests in the first column of the first live row. Whatever becomes of the rows
//!   below it, there is where the next frame begins: nothing has to be known.
//! - A cursor that rests elsewhere stands below rows that may have been wrapped anew. How many they have become is
//!   counted if no frame was painted lately, and else taken for the least that it can be: a fragment of an old frame
//!   may stay in the scrollback then, but nothing printed is erased.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use super::{
    caps::Caps,
    encode::{
        ERASE_BELOW, ERASE_LINE, HIDE, SHOW, SYNC_BEGIN, SYNC_END, WRAP_OFF, WRAP_ON, cells, column, vertical,
    },
    modes::Keep,
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

/// A terminal may tell of another size this late, and somewhat more.
const QUIET: Duration = Duration::from_millis(300);

/// The rows below what is printed, and the views over them.
pub struct Screen<W> {
    out: W,
    pub(super) size: Size,
    pub(super) caps: Caps,
    pub(super) keep: Keep,
    /// Printed rows that are not written yet, encoded, and how many they are.
    queue: String,
    queued: usize,
    /// The live rows as they stand in the terminal. None: nothing is there, and the cursor is in the first column
    /// of the row where they will begin.
    live: Vec<Painted>,
    /// Where the cursor stands: column, and row within the live ones.
    pub(super) cursor: (u16, u16),
    pub(super) shown: bool,
    /// The cursor is to rest at the first live row.
    park: bool,
    /// The terminal wraps what is too wide.
    wraps: bool,
    /// The terminal has another size than when the live rows were painted.
    resized: bool,
    /// And they were painted while it still had the size that they were painted for.
    settled: bool,
    /// When the last frame was written, and how long it must be ago to have been before a change of the size.
    wrote: Option<Instant>,
    quiet: Duration,
    /// The rows of the alternate screen, while it is shown.
    pub(super) full: Option<Vec<Painted>>,
    pub(super) frame: String,
}

/// A row in the terminal: what was handed in, with the column of a cursor that is shown in it, and what became of it.
pub(super) struct Painted {
    pub row: Row,
    mark: Option<u16>,
    pub laid: Laid,
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
            park: false,
            wraps: true,
            resized: false,
            settled: true,
            wrote: None,
            quiet: QUIET,
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
        let mark = cursor.filter(|_| self.park);
        let rests = cursor.filter(|_| !self.park);
        self.begin();
        let at = if self.queued > 0 || self.resized || self.live.is_empty() {
            self.repaint(rows, mark)
        } else {
            self.update(rows, mark, rests.map_or(0, |(_, row)| row))
        };
        self.rest(at, rests);
        self.end()
    }

    /// Lets the cursor rest, from the next draw on, hidden in the first column of the first live row; the cell where
    /// it is wanted is shown reversed. For while frames come by themselves and nobody writes: a change of the
    /// terminal's size then leaves nothing behind, whenever it comes. Else the cursor should stand where it is
    /// wanted, since that is where an input method shows what is being composed.
    pub fn park(&mut self, park: bool) {
        self.park = park;
    }

    /// Tells that the terminal has another size. The next draw repaints the live region.
    pub fn resize(&mut self, size: Size) {
        let size = size.at_least_one();
        if size == self.size {
            return;
        }
        self.size = size;
        self.resized = true;
        self.settled &= self.wrote.is_none_or(|at| at.elapsed() >= self.quiet);
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
        self.write_queue();
        self.show(true);
        self.end()
    }

    /// Whether the alternate screen is shown.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full.is_some()
    }

    pub(super) fn lay(&self, row: &impl AsRow) -> Laid {
        Laid::new(row, self.size.columns, self.caps.depth, self.caps.links)
    }

    #[cfg(test)]
    pub(super) fn set_quiet(&mut self, quiet: Duration) {
        self.quiet = quiet;
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
    fn repaint<R: AsRow>(&mut self, rows: &[R], mark: Option<(u16, u16)>) -> u16 {
        let queued = self.queued;
        self.go_to_first_row();
        // Else rows are erased one by one when they are written again: nothing is seen to vanish. That is not enough
        // where a row may come to stand on two without the program knowing, as it may for long in a multiplexer.
        let erase = self.resized || self.live.is_empty() || self.caps.sync || self.caps.multiplexed;
        if erase {
            self.frame.push_str(ERASE_BELOW);
        }
        self.write_queue();
        self.wrap(false);
        let kept = if self.resized { Vec::new() } else { std::mem::take(&mut self.live) };
        let (old, mut kept) = (kept.len(), kept.into_iter());
        self.live.clear();
        let count = rows.len().max(1);
        for index in 0..count {
            let (row, mark) = (rows.get(index), mark_in(mark, index));
            let same = |old: &Painted| old.mark == mark && row.is_some_and(|row| same(&old.row, row));
            let painted = kept.next().filter(same).unwrap_or_else(|| self.painted(row, mark));
            if index > 0 {
                self.frame.push_str("\r\n");
            }
            if index + 1 == count && !erase && old > queued + count {
                self.frame.push_str(ERASE_BELOW);
            }
            self.whole(&painted.laid, !erase);
            self.live.push(painted);
        }
        (self.resized, self.settled) = (false, true);
        to_u16(count - 1)
    }

    /// Paints the rows that differ, for a cursor that will rest in the row `rests`. Gives the row in which it is left.
    fn update<R: AsRow>(&mut self, rows: &[R], mark: Option<(u16, u16)>, rests: u16) -> u16 {
        let count = rows.len().max(1);
        let mut at = self.cursor.1;
        // A terminal that has become narrower without telling may have wrapped a row of old into several, over which
        // the cursor must not go down: were it wider again, there would be fewer, and the cursor above where it is
        // thought to be. Rows that are written now stand on one each.
        let from = at;
        let passed = |index: usize| rests > from && (from..=rests).contains(&to_u16(index));
        for index in 0..count.min(self.live.len()) {
            let (row, mark) = (rows.get(index), mark_in(mark, index));
            let old = &self.live[index];
            if old.mark == mark && row.is_some_and(|row| same(&old.row, row)) && !passed(index) {
                continue;
            }
            let new = self.painted(row, mark);
            let old = std::mem::take(&mut self.live[index].laid);
            if passed(index) {
                vertical(&mut self.frame, at, to_u16(index));
                at = to_u16(index);
                self.frame.push('\r');
                self.whole(&new.laid, true);
            } else if old != new.laid {
                vertical(&mut self.frame, at, to_u16(index));
                at = to_u16(index);
                self.change(&old, &new.laid);
            }
            self.live[index] = new;
        }
        if count < self.live.len() {
            vertical(&mut self.frame, at, to_u16(count));
            self.frame.push('\r');
            self.frame.push_str(ERASE_BELOW);
            self.live.truncate(count);
            return to_u16(count);
        }
        if count > self.live.len() {
            vertical(&mut self.frame, at, to_u16(self.live.len() - 1));
            for index in self.live.len()..count {
                self.frame.push_str("\r\n");
                let painted = self.painted(rows.get(index), mark_in(mark, index));
                self.whole(&painted.laid, false);
                self.live.push(painted);
            }
            return to_u16(count - 1);
        }
        at
    }

    pub(super) fn painted<R: AsRow>(&self, row: Option<&R>, mark: Option<u16>) -> Painted {
        let row = row
            .map_or_else(Row::default, |row| Row { line: row.line().clone(), links: row.links().to_vec() });
        let mut laid = self.lay(&row);
        if let Some(column) = mark {
            laid.mark(column);
        }
        Painted { row, mark, laid }
    }

    /// Appends what turns a row into another, with the cursor anywhere in it.
    pub(super) fn change(&mut self, old: &Laid, new: &Laid) {
        // A row that gets shorter may stand in a terminal that has become narrower without telling, wrapped into the
        // next row: it must forget that.
        if old.doubt > 0 || new.doubt > 0 || new.columns() < old.columns() {
            self.frame.push('\r');
            self.whole(new, true);
            return;
        }
        let (begin, end) = old.common(new);
        column(&mut self.frame, new.column_of(begin));
        cells(&mut self.frame, new, begin..new.len() - end);
    }

    /// Appends a whole row from its first column on. `over`: something may stand there. It is erased before and not
    /// behind: so the terminal also forgets that it had wrapped that row into the next, and will not join them again.
    pub(super) fn whole(&mut self, laid: &Laid, over: bool) {
        if over {
            self.frame.push_str(ERASE_LINE);
        }
        cells(&mut self.frame, laid, 0..laid.len());
    }

    /// Appends the motion from where the cursor stands to the first column of the first live row.
    fn go_to_first_row(&mut self) {
        let distance = self.distance();
        vertical(&mut self.frame, distance, 0);
        self.frame.push('\r');
    }

    /// How many rows the cursor stands below the first live row.
    fn distance(&self) -> u16 {
        let (column, row) = self.cursor;
        if !(self.resized && self.settled && self.caps.reflow) {
            return row;
        }
        let columns = self.size.columns;
        let above = self.live.iter().take(usize::from(row)).map(|painted| painted.laid.height(columns));
        let beside =
            self.live.get(usize::from(row)).map_or(0, |painted| painted.laid.rows_down(columns, column));
        above.fold(beside, u16::saturating_add)
    }

    /// Appends the erasure of the live rows; the cursor is then where the first one was.
    pub(super) fn erase_live(&mut self) {
        if !self.live.is_empty() {
            self.go_to_first_row();
            self.frame.push_str(ERASE_BELOW);
            self.live.clear();
            self.cursor = (0, 0);
        }
        self.wrap(true);
        (self.resized, self.settled) = (false, true);
    }

    /// Appends what lets the cursor rest at a column and row, or hidden at the first row. It is in the row `at` now.
    fn rest(&mut self, at: u16, cursor: Option<(u16, u16)>) {
        let to = cursor.unwrap_or((0, 0));
        if self.frame.len() > self.opening() || to != self.cursor {
            vertical(&mut self.frame, at, to.1);
            column(&mut self.frame, to.0);
            self.cursor = to;
        }
        self.show(cursor.is_some());
    }

    pub(super) fn show(&mut self, show: bool) {
        if self.shown != show {
            self.frame.push_str(if show { SHOW } else { HIDE });
            self.shown = show;
        }
    }

    pub(super) fn wrap(&mut self, wrap: bool) {
        if self.wraps != wrap {
            self.frame.push_str(if wrap { WRAP_ON } else { WRAP_OFF });
            self.wraps = wrap;
        }
    }

    fn write_queue(&mut self) {
        if self.queued > 0 {
            self.wrap(true);
            self.frame.push_str(&self.queue);
            self.queue.clear();
            self.queue.shrink_to(1 << 16);
            self.queued = 0;
        }
    }

    pub(super) fn opening(&self) -> usize {
        if self.caps.sync { SYNC_BEGIN.len() } else { 0 }
    }

    pub(super) fn begin(&mut self) {
        self.frame.clear();
        self.frame.shrink_to(1 << 16);
        if self.caps.sync {
            self.frame.push_str(SYNC_BEGIN);
        }
    }

    /// Writes the frame, if there is anything in it, at once.
    pub(super) fn end(&mut self) -> io::Result<()> {
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
        self.wrote = Some(Instant::now());
        self.out.write_all(self.frame.as_bytes())?;
        self.out.flush()
    }
}

fn mark_in(mark: Option<(u16, u16)>, row: usize) -> Option<u16> {
    mark.filter(|(_, in_row)| usize::from(*in_row) == row).map(|(column, _)| column)
}

fn to_u16(row: usize) -> u16 {
    u16::try_from(row).unwrap_or(u16::MAX)
}

fn same(row: &Row, other: &impl AsRow) -> bool {
    row.line == *other.line() && row.links == other.links()
}
