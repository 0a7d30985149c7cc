//! The whole conversation, to be read: scrolled by rows, gone through cell by cell, folded, searched, copied.
//!
//! Only what is seen is laid out, and where the page begins is a place in a cell: how long the conversation is makes
//! no difference until it is searched. The whole output of a command has a view of its own.

mod fold;
mod laid;
mod page;
mod search;
#[cfg(test)]
mod tests;

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::{
    style::Modifier,
    text::{Line, Span},
};

use crate::protocol::printable;
use crate::tui::{action::Action, keymap::Key, term::Size, text::columns};

use super::{Look, Output, Overlay, Page, Place, Reaction, fit, hints};
use fold::Folds;
use laid::Laid;
use search::Search;

/// A row: of which cell, and which of its rows. The row behind the last one is the empty one that sets it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Spot {
    cell: usize,
    row: usize,
}

/// The transcript, at first showing its end.
#[derive(Default)]
pub(in crate::tui) struct Pager {
    /// The first row that is shown; nothing while the end is followed.
    top: Option<Spot>,
    /// The cell that keys are about; nothing for the first one that is seen, or at the end for the last one.
    cursor: Option<usize>,
    /// The cells that were seen last, the first and the last one.
    seen: (usize, usize),
    folds: Folds,
    laid: Laid,
    search: Search,
    page: usize,
}

impl Pager {
    pub(in crate::tui) fn new() -> Self {
        Self { page: 1, ..Self::default() }
    }

    /// The cell that keys are about.
    fn current(&self, look: &Look<'_>) -> usize {
        let last = look.transcript.len().saturating_sub(1);
        let seen = if self.top.is_none() { self.seen.1 } else { self.seen.0 };
        self.cursor.unwrap_or(seen).min(last)
    }

    fn search_key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        match key.code {
            KeyCode::Esc => self.search.forget(),
            KeyCode::Enter => self.search.typing = false,
            KeyCode::Char('c' | 'u') if key.modifiers.contains(KeyModifiers::CONTROL) => self.search.forget(),
            KeyCode::Backspace if self.search.query.is_empty() => self.search.forget(),
            KeyCode::Backspace => {
                let shorter = self.search.query.chars().count() - 1;
                let query = self.search.query.chars().take(shorter).collect();
                self.look_for(query, look);
            }
            KeyCode::Char(char) if key.modifiers.is_empty() => {
                let query = format!("{}{char}", self.search.query);
                self.look_for(query, look);
            }
            _ => {}
        }
        Reaction::Consumed
    }

    fn look_for(&mut self, query: String, look: &Look<'_>) {
        self.search.ask(query);
        self.search.scan(&mut self.laid, look);
        let from = self.first(look);
        if let Some(hit) = self.search.at_or_after(from) {
            self.show(hit, look);
        }
    }

    /// The next match, or the one before; from the end it begins anew.
    fn next_match(&mut self, back: bool, look: &Look<'_>) {
        self.search.scan(&mut self.laid, look);
        if let Some(hit) = self.search.step(back) {
            self.show(hit, look);
        }
    }

    /// Brings a match to be seen, unfolded.
    fn show(&mut self, spot: Spot, look: &Look<'_>) {
        self.folds.open(spot.cell);
        self.cursor = Some(spot.cell);
        let top = self.first(look);
        let seen = self.distance(top, spot, look);
        if seen.is_none_or(|rows| rows >= self.page) {
            let above = self.up(spot, self.page / 3, look);
            self.go(above, look);
        }
    }

    fn step(&mut self, back: bool, look: &Look<'_>) {
        let now = self.current(look);
        let mut cells: Box<dyn Iterator<Item = usize>> =
            if back { Box::new((0..now).rev()) } else { Box::new(now + 1..look.transcript.len()) };
        let Some(next) = cells.find(|cell| self.span(*cell, look) > 0) else { return };
        self.cursor = Some(next);
        let spot = Spot { cell: next, row: 0 };
        let rows = self.span(next, look).saturating_sub(1);
        let top = self.first(look);
        // A cell that fits is seen whole.
        let fits = self.distance(top, spot, look).is_some_and(|at| at + rows.min(self.page) <= self.page);
        if !fits {
            self.go(spot, look);
        }
    }

    fn fold(&mut self, look: &Look<'_>) {
        let cell = self.current(look);
        self.folds.toggle(cell);
        // What was looked at stays in sight.
        if self.top.is_some_and(|top| top.cell == cell) {
            self.go(Spot { cell, row: 0 }, look);
        }
    }

    fn footer(&mut self, width: u16, look: &Look<'_>) -> Page {
        if self.search.typing {
            let count = self.search.count();
            let gap = if count.is_empty() { "" } else { " " };
            let query = printable(&self.search.query);
            let room = usize::from(width).saturating_sub(columns(&count) + 3);
            let shown: String = query.chars().skip(query.chars().count().saturating_sub(room)).collect();
            let text = format!("{gap}/{shown}");
            let column = u16::try_from(columns(&count) + columns(&text)).unwrap_or(width);
            let line = Line::from(vec![Span::styled(count, look.theme.accent), Span::raw(text)]);
            return Page { rows: vec![fit(line, width)], cursor: Some((column, 0)) };
        }
        let place = format!("{}/{}", self.current(look) + 1, look.transcript.len());
        let found = format!("n N {}", self.search.count());
        let whole = self.laid.blob(self.current(look)).is_some();
        let parts = [
            Some(place.as_str()),
            self.search.on().then_some(found.as_str()),
            whole.then_some("o whole output"),
            Some("/ find"),
            Some("⏎ fold"),
            Some("y copy"),
            Some("q close"),
            Some("J K cells"),
            Some("f F fold all/none"),
            Some("↑↓ PgUp PgDn Home End"),
        ];
        let line = hints(parts.into_iter().flatten(), width, look.theme);
        Page { rows: vec![line], cursor: None }
    }
}

impl Overlay for Pager {
    fn place(&self) -> Place {
        Place::Full
    }

    fn key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        if self.search.typing {
            return self.search_key(key, look);
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc if self.search.on() => self.search.forget(),
            KeyCode::Esc => return Reaction::Close(Vec::new()),
            KeyCode::Char('t' | 'c') if control => return Reaction::Close(Vec::new()),
            KeyCode::Char('d') if control => self.scroll(self.page / 2, false, look),
            KeyCode::Char('u') if control => self.scroll(self.page / 2, true, look),
            _ if control => return Reaction::Ignored,
            KeyCode::Char('q') => return Reaction::Close(Vec::new()),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(1, true, look),
            KeyCode::Down | KeyCode::Char('j') => self.scroll(1, false, look),
            KeyCode::PageUp | KeyCode::Char('b') => self.scroll(self.page, true, look),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll(self.page, false, look),
            KeyCode::Home | KeyCode::Char('g') => {
                self.go(Spot::default(), look);
                self.cursor = Some(0);
            }
            KeyCode::End | KeyCode::Char('G') => (self.top, self.cursor) = (None, None),
            KeyCode::Char('J' | ']') => self.step(false, look),
            KeyCode::Char('K' | '[') => self.step(true, look),
            KeyCode::Enter | KeyCode::Tab => self.fold(look),
            KeyCode::Char('f') => self.folds.all(true),
            KeyCode::Char('F') => self.folds.all(false),
            KeyCode::Char('/') => self.search.begin(),
            KeyCode::Char('n') => self.next_match(false, look),
            KeyCode::Char('N') => self.next_match(true, look),
            KeyCode::Char('y') => {
                let text = look.transcript.source(self.current(look));
                return Reaction::Do(text.map(Action::Copy).into_iter().collect());
            }
            KeyCode::Char('o') => {
                return match self.laid.blob(self.current(look)) {
                    Some((blob, _)) => Reaction::Open(Box::new(Output::new(blob.clone()))),
                    None => Reaction::Ignored,
                };
            }
            _ => return Reaction::Ignored,
        }
        Reaction::Consumed
    }

    fn paste(&mut self, text: &str) {
        if self.search.typing {
            self.search.ask(format!("{}{}", self.search.query, text.lines().next().unwrap_or_default()));
        }
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        self.page = usize::from(size.rows).saturating_sub(1).max(1);
        self.laid.begin(size.columns);
        self.search.scan(&mut self.laid, look);
        let mut rows = self.rows(size.columns, look);
        rows.resize(self.page, Line::default());
        let footer = self.footer(size.columns, look);
        let cursor = footer.cursor.map(|(column, _)| (column, size.rows.saturating_sub(1)));
        rows.extend(footer.rows);
        Page { rows, cursor }
    }
}

/// How the first row of the cell is marked that keys are about.
const CURSOR: Modifier = Modifier::UNDERLINED;
