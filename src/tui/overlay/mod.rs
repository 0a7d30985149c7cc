//! Views on top of the conversation: a stack, of which the topmost is asked first and drawn.
//!
//! An overlay knows the session and the transcript only while it is asked; what it needs from outside comes as the
//! answer to a question that it had sent.

mod back;
mod budget;
mod context;
mod diff;
mod menu;
mod models;
mod output;
mod permissions;
mod processes;
mod reveal;
mod rewind;
mod secret;
mod sessions;
mod skills;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod themes;
mod transcript;
mod trust;
mod undo;

use std::path::Path;

use ratatui::text::{Line, Span};

use crate::protocol::Settings;
use crate::session::Session;

use super::{
    action::Action,
    host::{Answer, Question},
    keymap::Key,
    status::Ground,
    term::Size,
    text::{Break, Prefix, Text, columns},
    theme::Theme,
    transcript::Transcript,
};

pub(super) use back::{Back, conversation};
pub(super) use budget::OverBudget;
pub(super) use context::Room;
pub use context::lines as context_lines;
pub(super) use diff::Changes;
pub(super) use models::Models;
use output::Output;
pub(super) use permissions::Permissions;
pub(super) use processes::Processes;
pub(super) use reveal::Reveal;
pub(super) use rewind::Rewind;
pub(super) use secret::Secret;
pub(super) use sessions::Sessions;
pub(super) use skills::Skills;
pub(super) use themes::Themes;
pub(super) use transcript::Pager;
pub(super) use trust::Trust;
pub(super) use undo::Undo;

/// What an overlay may look at.
pub(super) struct Look<'a> {
    pub session: &'a Session,
    pub transcript: &'a Transcript,
    pub ground: &'a Ground,
    pub theme: &'a Theme,
    pub now_ms: u64,
}

impl Look<'_> {
    /// What the session runs with, or else what the next one will.
    fn settings(&self) -> &Settings {
        self.ground.settings_of(self.session)
    }

    /// The directory of the session, also before there is one.
    fn workspace(&self) -> &Path {
        let own = &self.session.workspace;
        if own.as_os_str().is_empty() { &self.ground.workspace } else { own }
    }
}

/// Where an overlay is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the place of the composer.
    Below,
    /// On the whole terminal.
    Full,
}

/// What a key did.
pub(super) enum Reaction {
    Consumed,
    /// The key means nothing here. Whoever is below is not asked, but for the keys that leave the program.
    Ignored,
    Do(Vec<Action>),
    /// The overlay ends with these.
    Close(Vec<Action>),
    Open(Box<dyn Overlay>),
}

/// What is drawn: rows, and the place of the cursor in them.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub rows: Vec<Line<'static>>,
    pub cursor: Option<(u16, u16)>,
}

/// A view that takes the keys.
pub(super) trait Overlay: Send {
    fn place(&self) -> Place;

    fn key(&mut self, key: Key, look: &Look<'_>) -> Reaction;

    /// Text that was pasted: never a command.
    fn paste(&mut self, _text: &str) {}

    /// What was asked for, by this view or another one.
    fn answer(&mut self, _answer: &Answer) {}

    /// What it wants to know now, and has not asked for.
    fn wants(&mut self, _look: &Look<'_>) -> Vec<Question> {
        Vec::new()
    }

    /// Whether what it is about is over, and it is to go.
    fn is_over(&self, _session: &Session) -> bool {
        false
    }

    /// Whether it shows something that changes with time alone.
    fn lives(&self) -> bool {
        false
    }

    /// At most `size.rows` rows. The last one tells what the keys do.
    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page;
}

/// A row cut to a width, with a mark where something is missing.
fn fit(line: Line<'static>, width: u16) -> Line<'static> {
    let mut room = usize::from(width);
    if line.width() <= room {
        return line;
    }
    room = room.saturating_sub(1);
    let mut spans: Vec<Span<'static>> = Vec::new();
    for span in line.spans {
        let wide = columns(&span.content);
        if wide <= room {
            room -= wide;
            spans.push(span);
            continue;
        }
        if let (Ok(width @ 1..), text) = (u16::try_from(room), Text::of(&span.content, span.style)) {
            let first = text.rows(width, Break::Anywhere, &Prefix::default()).into_iter().next();
            spans.extend(first.into_iter().flat_map(|row| row.spans));
        }
        spans.push(Span::styled("…", span.style));
        break;
    }
    if width == 0 { Line::default() } else { Line { spans, ..Line::default().style(line.style) } }
}

/// What the keys do, in one row: as many of the parts, in the order of their worth, as there is room for.
fn hints<'a>(parts: impl IntoIterator<Item = &'a str>, width: u16, theme: &Theme) -> Line<'static> {
    let mut text = String::new();
    for part in parts {
        let gap = if text.is_empty() { "" } else { " · " };
        if columns(&text) + columns(gap) + columns(part) > usize::from(width) {
            break;
        }
        text.push_str(gap);
        text.push_str(part);
    }
    Line::styled(text, theme.dim)
}
