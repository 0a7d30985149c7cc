//! The whole conversation, to be scrolled.

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::text::Line;

use crate::tui::{keymap::Key, term::Size};

use super::{Look, Overlay, Page, Place, Reaction};

/// The transcript from its first cell, at first showing its end.
pub(in crate::tui) struct Pager {
    /// First row that is shown; nothing while the end is followed.
    top: Option<usize>,
    rows: usize,
    page: usize,
}

impl Pager {
    pub(in crate::tui) fn new() -> Self {
        Self { top: None, rows: 0, page: 1 }
    }

    fn scroll(&mut self, down: isize) {
        let last = self.rows.saturating_sub(self.page);
        let top = self.top.unwrap_or(last).saturating_add_signed(down).min(last);
        self.top = (top < last).then_some(top);
    }
}

impl Overlay for Pager {
    fn place(&self) -> Place {
        Place::Full
    }

    fn key(&mut self, key: Key, _look: &Look<'_>) -> Reaction {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let page = isize::try_from(self.page).unwrap_or(isize::MAX);
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Reaction::Close(Vec::new()),
            KeyCode::Char('t' | 'c') if control => return Reaction::Close(Vec::new()),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(-1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll(1),
            KeyCode::PageUp => self.scroll(-page),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll(page),
            KeyCode::Home | KeyCode::Char('g') => self.scroll(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.top = None,
            _ => return Reaction::Ignored,
        }
        Reaction::Consumed
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        let mut all = Vec::new();
        for whole in look.transcript.full(size.columns, look.theme) {
            if !all.is_empty() {
                all.push(Line::default());
            }
            all.extend(whole.rows);
        }
        self.rows = all.len();
        self.page = usize::from(size.rows).saturating_sub(1).max(1);
        let top = self.top.unwrap_or(usize::MAX).min(self.rows.saturating_sub(self.page));
        let mut rows: Vec<Line<'static>> = all.into_iter().skip(top).take(self.page).collect();
        rows.resize(self.page, Line::default());
        let end = (top + self.page).min(self.rows);
        let text = format!("{end} of {} · ↑↓ PgUp PgDn Home End · q closes", self.rows);
        rows.push(Line::styled(text, look.theme.dim));
        Page { rows, cursor: None }
    }
}
