//! What a conversation is shown on, apart from what is shown: a terminal that is repainted, or one that takes lines.

use std::io;

use super::{
    term::{Screen, Session as Terminal, Size, Tty},
    text::link::Follow,
};

/// What the conversation is shown on.
pub(super) trait Surface {
    /// Gives the terminal to somebody else for a while.
    fn hand_over(&mut self) -> io::Result<()>;

    /// Takes it again.
    fn take_back(&mut self) -> io::Result<()>;

    /// Stops the program as Ctrl-Z does, and goes on when the shell lets it.
    fn stop(&mut self) -> io::Result<()>;

    /// Puts a text into the clipboard; says what came of it.
    fn copy(&mut self, text: &str) -> io::Result<&'static str>;

    /// Forgets what is shown, so that it is drawn anew.
    fn clear(&mut self) -> io::Result<()>;

    /// What it can do, for a report.
    fn describe(&self) -> String;
}

/// A terminal that rows are repainted on.
pub(super) struct Glass {
    pub terminal: Terminal,
    pub screen: Screen<Tty>,
    /// The title that the window has.
    pub titled: String,
}

impl Surface for Glass {
    fn hand_over(&mut self) -> io::Result<()> {
        self.screen.finish()?;
        self.terminal.suspend();
        Ok(())
    }

    fn take_back(&mut self) -> io::Result<()> {
        self.titled.clear();
        self.terminal.resume()
    }

    fn stop(&mut self) -> io::Result<()> {
        self.titled.clear();
        self.screen.finish()?;
        self.terminal.stop()
    }

    fn copy(&mut self, text: &str) -> io::Result<&'static str> {
        Ok(if self.terminal.copy(text)? { "copied" } else { "too long for the clipboard" })
    }

    fn clear(&mut self) -> io::Result<()> {
        self.screen.clear_live()
    }

    fn describe(&self) -> String {
        let Size { columns, rows } = self.screen.size();
        format!("{columns}x{rows}\n{:#?}", self.terminal.caps())
    }
}

/// What the terminal is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abilities {
    pub colours: bool,
    pub dark: Option<bool>,
    pub links: Follow,
}
