//! Views that take the whole terminal: the alternate screen, painted by the same rows.
//!
//! The main screen is left without live rows meanwhile, so that whatever a resize does to it, hidden, there is nothing
//! to be found again. What is printed meanwhile waits.

use std::io::{self, Write};

use super::{
    encode::{FULL_ENTER, FULL_LEAVE, place},
    modes::{KEYS_POP, KEYS_PUSH},
    row::{AsRow, Row},
    screen::Screen,
};

impl<W: Write> Screen<W> {
    /// Shows the alternate screen. Prints wait until it is left.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub fn enter_full(&mut self) -> io::Result<()> {
        if self.full.is_some() {
            return Ok(());
        }
        self.begin();
        self.erase_live();
        self.frame.push_str(FULL_ENTER);
        if self.caps.keyboard {
            self.frame.push_str(KEYS_PUSH);
        }
        self.wrap(false);
        self.show(false);
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
        let blank = Row::default();
        for at in 0..self.size.rows {
            let index = usize::from(at);
            let (line, links) =
                rows.get(index).map_or((&blank.line, &[][..]), |row| (row.line(), row.links()));
            let old = painted.get(index);
            if old.is_some_and(|old| old.row.line == *line && old.row.links == links) {
                continue;
            }
            let row = Row { line: line.clone(), links: links.to_vec() };
            let new = self.painted(Some(&row), None);
            match old {
                Some(old) if old.laid == new.laid => {}
                Some(old) => {
                    place(&mut self.frame, at, 0);
                    self.change(&old.laid, &new.laid);
                }
                None => {
                    place(&mut self.frame, at, 0);
                    self.whole(&new.laid, true);
                }
            }
            match painted.get_mut(index) {
                Some(old) => *old = new,
                None => painted.push(new),
            }
        }
        self.full = Some(painted);
        if let Some((column, row)) = cursor {
            let to = (column.min(self.size.columns - 1), row.min(self.size.rows - 1));
            if self.frame.len() > self.opening() || !self.shown || self.cursor != to {
                place(&mut self.frame, to.1, to.0);
                self.cursor = to;
            }
        }
        self.show(cursor.is_some());
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
        self.wrap(true);
        if self.caps.keyboard {
            self.frame.push_str(KEYS_POP);
        }
        self.frame.push_str(FULL_LEAVE);
        self.cursor = (0, 0);
        self.keep.set_full(false);
        self.end()
    }
}
