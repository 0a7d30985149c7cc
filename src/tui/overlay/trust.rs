//! What a repository brings along, before any of it is read: each file, what hides in it, and whether to trust it.

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::text::{Line, Span};

use crate::tui::{
    action::Action,
    host::{News, Offer, Offered},
    keymap::Key,
    status::short,
    term::Size,
    text::{Break, Prefix, Text, plain::plain},
    theme::Theme,
};

use super::{Look, Overlay, Page, Place, Reaction};

/// Milliseconds after it appeared during which no key counts: they were meant for something else.
const SETTLE_MS: u64 = 300;

/// One page: the files above, the selected one below.
pub(in crate::tui) struct Trust {
    offer: Offer,
    /// Which file is selected.
    at: usize,
    /// The first file and the first row of the preview that are drawn.
    top: usize,
    scroll: usize,
    /// Rows of the preview that are drawn.
    page: usize,
    /// When it was first asked for a row or a key.
    since_ms: Option<u64>,
}

impl Trust {
    pub(in crate::tui) fn new(offer: Offer) -> Self {
        Self { offer, at: 0, top: 0, scroll: 0, page: 1, since_ms: None }
    }

    fn select(&mut self, at: usize) {
        self.at = at.min(self.offer.files.len().saturating_sub(1));
        self.scroll = 0;
    }

    fn head(&self, size: Size, theme: &Theme) -> Vec<Line<'static>> {
        let directory = plain(&self.offer.directory).into_owned();
        let hidden = self.offer.files.iter().filter(|file| !file.hidden.is_empty()).count();
        let text = match self.offer.again {
            false => format!("Do you trust {directory}?"),
            true => format!("Do you still trust {directory}? It has changed."),
        };
        let prose = |text: &str, style| {
            Text::of(text, style).rows(size.columns, Break::Words, &Prefix::hanging("  ", style))
        };
        let mut rows = prose(&text, theme.strong);
        if size.rows > 12 {
            rows.extend(prose(
                "These files would tell the model what to do, or the program how to run. Nothing of them has been \
                 read into a session.",
                theme.dim,
            ));
        }
        if hidden > 0 {
            let files = if hidden == 1 { "1 file has" } else { &format!("{hidden} files have") };
            rows.extend(prose(&format!("{files} text that people don't see."), theme.bad));
        }
        rows
    }

    fn row(&self, at: usize, file: &Offered, width: u16, theme: &Theme) -> Line<'static> {
        let selected = at == self.at;
        let style = if selected { theme.accent } else { theme.plain };
        let (news, news_style) = match file.news {
            None => ("", theme.dim),
            Some(News::Added) => ("new ", theme.added),
            Some(News::Changed) => ("changed ", theme.warning),
        };
        let hidden = if file.hidden.is_empty() { "" } else { "! " };
        let tail = match width {
            ..40 => String::new(),
            _ => format!("  {} · {}B", file.kind, short(file.size)),
        };
        let taken = 2 + news.len() + hidden.len() + tail.chars().count();
        let room = usize::from(width).saturating_sub(taken).max(8);
        let name = fitted(&plain(&file.name), room);
        Line::from(vec![
            Span::styled(if selected { "› " } else { "  " }.to_owned(), style),
            Span::styled(hidden.to_owned(), theme.bad),
            Span::styled(news.to_owned(), news_style),
            Span::styled(name, style),
            Span::styled(tail, theme.dim),
        ])
    }

    fn list(&mut self, size: Size, room: usize, theme: &Theme) -> Vec<Line<'static>> {
        let count = self.offer.files.len();
        let marked = count > room && room > 2;
        let shown = if marked { room - 1 } else { room }.max(1);
        self.top = self.top.clamp((self.at + 1).saturating_sub(shown), self.at);
        let files = self.offer.files.iter().enumerate().skip(self.top).take(shown);
        let mut rows: Vec<_> = files.map(|(at, file)| self.row(at, file, size.columns, theme)).collect();
        if marked {
            let end = (self.top + shown).min(count);
            rows.push(Line::styled(format!("  {}–{end} of {count} files", self.top + 1), theme.dim));
        }
        rows
    }

    fn preview(&mut self, size: Size, room: usize, theme: &Theme) -> Vec<Line<'static>> {
        let Some(file) = self.offer.files.get(self.at) else { return Vec::new() };
        let mut body = Vec::new();
        for hidden in &file.hidden {
            let text = Text::of(&plain(hidden), theme.bad);
            body.extend(text.rows(size.columns, Break::Words, &Prefix::hanging("! ", theme.bad)));
        }
        if file.text.is_empty() {
            body.push(Line::styled("  (no text)", theme.dim));
        }
        // A line with what hides in it made visible.
        for line in file.text.lines() {
            let text = Text::of(&plain(line), theme.plain);
            body.extend(text.rows(size.columns, Break::Words, &Prefix::hanging("  ", theme.plain)));
        }
        if (file.text.len() as u64) < file.size && !file.text.is_empty() {
            body.push(Line::styled(
                format!("  … the first {}B of it", short(file.text.len() as u64)),
                theme.dim,
            ));
        }
        self.page = room.saturating_sub(1).max(1);
        self.scroll = self.scroll.min(body.len().saturating_sub(self.page));
        let end = (self.scroll + self.page).min(body.len());
        let name = fitted(&plain(&file.name), usize::from(size.columns).saturating_sub(24).max(8));
        let rule = format!("── {name} · {}–{end} of {} ", (self.scroll + 1).min(end), body.len());
        let rest = usize::from(size.columns).saturating_sub(crate::tui::text::columns(&rule));
        let mut rows = vec![Line::styled(format!("{rule}{}", "─".repeat(rest)), theme.dim)];
        rows.extend(body.into_iter().skip(self.scroll).take(self.page));
        rows.truncate(room);
        rows
    }
}

/// The end of a text that fits, behind a mark if something is missing.
fn fitted(text: &str, room: usize) -> String {
    let wide = crate::tui::text::columns;
    if wide(text) <= room {
        return text.to_owned();
    }
    let mut rest = text;
    while wide(rest) + 1 > room {
        let mut chars = rest.chars();
        if chars.next().is_none() {
            break;
        }
        rest = chars.as_str();
    }
    format!("…{rest}")
}

impl Overlay for Trust {
    fn place(&self) -> Place {
        Place::Full
    }

    fn key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        let since = *self.since_ms.get_or_insert(look.now_ms);
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc => return Reaction::Close(vec![Action::Quit]),
            KeyCode::Char('c' | 'd') if control => return Reaction::Close(vec![Action::Quit]),
            _ if look.now_ms.saturating_sub(since) < SETTLE_MS => {}
            KeyCode::Up => self.select(self.at.saturating_sub(1)),
            KeyCode::Down => self.select(self.at + 1),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(self.page),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll = self.scroll.saturating_add(self.page),
            _ => match key.typed() {
                Some('y') => return Reaction::Close(vec![Action::Trust(true)]),
                Some('n') => return Reaction::Close(vec![Action::Trust(false)]),
                _ => return Reaction::Ignored,
            },
        }
        Reaction::Consumed
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        self.since_ms.get_or_insert(look.now_ms);
        let hint = match size.columns {
            ..60 => "y trusts them · n without them · Esc quits",
            _ => "y trusts them · n goes on without them · Esc quits · ↑↓ files · PgUp PgDn",
        };
        let style = look.theme.accent;
        let hint = Text::of(hint, style).rows(size.columns, Break::Words, &Prefix::hanging("  ", style));
        let mut rows = self.head(size, look.theme);
        // However small it is, a file is seen.
        rows.truncate(usize::from(size.rows).saturating_sub(hint.len() + 1));
        let room = usize::from(size.rows).saturating_sub(rows.len() + hint.len());
        let files = self.offer.files.len().min((room / 2).max(1));
        rows.extend(self.list(size, files, look.theme));
        let room = usize::from(size.rows).saturating_sub(rows.len() + hint.len());
        rows.extend(self.preview(size, room, look.theme));
        rows.resize(usize::from(size.rows).saturating_sub(hint.len()), Line::default());
        rows.extend(hint);
        Page { rows, cursor: None }
    }
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
