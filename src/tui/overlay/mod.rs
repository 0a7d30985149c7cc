//! Views on top of the conversation: a stack, of which the topmost is asked first and drawn.
//!
//! An overlay knows the session and the transcript only while it is asked; what it needs from outside comes as the
//! answer to a question that it had sent.

mod menu;
mod rewind;
mod sessions;
mod transcript;
mod trust;

use ratatui::text::Line;

use crate::session::Session;

use super::{
    app::Action,
    host::{Answer, Question},
    keymap::Key,
    status::Ground,
    term::Size,
    theme::Theme,
    transcript::Transcript,
};

pub(super) use rewind::Rewind;
pub(super) use sessions::Sessions;
pub(super) use transcript::Pager;
pub(super) use trust::Trust;

/// What an overlay may look at.
pub(super) struct Look<'a> {
    pub session: &'a Session,
    pub transcript: &'a Transcript,
    pub ground: &'a Ground,
    pub theme: &'a Theme,
    pub now_ms: u64,
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

    /// What it wants to know now that something was answered.
    fn wanted(&mut self) -> Option<Question> {
        None
    }

    /// At most `size.rows` rows. The last one tells what the keys do.
    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page;
}
