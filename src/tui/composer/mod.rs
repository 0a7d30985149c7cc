//! The composer: where a person writes.
//!
//! Keys and pastes go in; text, commands and wishes come out as a [`Reaction`]. It reads no file, looks at no
//! clock but the one that it is handed, and knows nothing of the session.

mod buffer;
mod burst;
mod complete;
mod draw;
mod edit;
pub mod files;
pub mod history;
mod kill;
mod paste;
mod placeholder;
mod search;
mod submit;
#[cfg(test)]
mod tests;
mod undo;
mod vim;
#[cfg(test)]
mod vim_tests;
mod words;
mod wrap;

use std::{cell::Cell, path::PathBuf};

use crate::tui::keymap::{Action, Key, Keymap, Layer};

use buffer::{Buffer, Fragment};
use burst::Burst;
use complete::Popup;
use edit::Last;
use history::{History, Search};
use kill::KillRing;
use placeholder::Labels;
use undo::{Cause, Undo};
use vim::Vim;

pub use complete::CommandSpec;
pub use draw::Drawn;
pub use files::FileMatch;

/// What a composer starts with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Earlier messages, oldest first.
    pub history: Vec<String>,
    pub commands: Vec<CommandSpec>,
    /// Whether the keys of vim are on.
    pub vim: bool,
}

/// What was written, as it goes to the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// With every paste in its place. Images stand in it as `[Image #1]`, counted from one.
    pub text: String,
    /// The images, in the order of their numbers.
    pub images: Vec<PathBuf>,
}

/// What came of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// It was the composer's; draw again.
    Consumed,
    /// It means nothing here: it is the screen's.
    Ignored,
    /// Send this.
    Submit(Message),
    /// Send this when the turn is over (Tab while a turn runs).
    Queue(Message),
    /// Run this as the person (`!cmd`).
    Shell(String),
    /// Do this (`/name args`).
    Command { name: String, args: String },
    /// Open the text in the external editor.
    Editor,
    /// Look for files; the answer goes to [`Composer::set_files`].
    WantFiles(String),
    /// Look which skills there are; the answer goes to [`Composer::set_skills`].
    WantSkills,
}

/// What the hints depend on beside the composer itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Idle,
    Running,
}

/// The text under edit and everything around it.
#[derive(Debug)]
pub struct Composer {
    buffer: Buffer,
    undo: Undo,
    kills: KillRing,
    history: History,
    /// What was sent and is not yet in the file.
    unsaved: Vec<String>,
    labels: Labels,
    commands: Vec<CommandSpec>,
    /// Names of skills, with what they are for.
    skills: Vec<(String, String)>,
    keymap: Keymap,
    popup: Option<Popup>,
    /// Where a popup was closed: it stays closed for that word.
    dismissed: Option<usize>,
    search: Option<Search>,
    vim: Option<Vim>,
    burst: Burst,
    notice: Option<String>,
    placeholder: String,
    running: bool,
    /// Columns for text when it was drawn last: rows are what up and down go by.
    columns: Cell<usize>,
    revision: u64,
    /// The last change was not typed: no popup opens for it.
    quiet: bool,
    last: Last,
    next_last: Last,
}

impl Composer {
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            buffer: Buffer::default(),
            undo: Undo::default(),
            kills: KillRing::default(),
            history: History::new(options.history),
            unsaved: Vec::new(),
            labels: Labels::default(),
            commands: options.commands,
            skills: Vec::new(),
            keymap: Keymap::default(),
            popup: None,
            dismissed: None,
            search: None,
            vim: options.vim.then(Vim::default),
            burst: Burst::default(),
            notice: None,
            placeholder: "Say what to do, or / for commands, @ for files, ! for the shell".to_owned(),
            running: false,
            columns: Cell::new(77),
            revision: 0,
            quiet: false,
            last: Last::Other,
            next_last: Last::Other,
        }
    }

    /// Other keys than the defaults.
    pub fn set_keymap(&mut self, keymap: Keymap) {
        self.keymap = keymap;
    }

    /// Whether a turn runs: then Tab queues.
    pub fn set_running(&mut self, running: bool) {
        self.running = running;
    }

    /// The commands that can be typed now.
    pub fn set_commands(&mut self, commands: Vec<CommandSpec>) {
        self.commands = commands;
    }

    /// The words that stand in an empty composer.
    pub fn set_placeholder(&mut self, text: &str) {
        text.clone_into(&mut self.placeholder);
    }

    /// A key past the detection of pastes.
    fn press(&mut self, key: Key) -> Reaction {
        let before = (self.revision, self.buffer.cursor());
        let asked = self.file_query().map(str::to_owned);
        let dollar = self.dollar();
        self.notice = None;
        self.quiet = false;
        self.next_last = Last::Other;
        let reaction = match self.popup_key(key) {
            _ if self.search.is_some() => self.search_key(key),
            Some(reaction) => reaction,
            None if self.is_normal() => self.normal_key(key),
            None => self.plain_key(key),
        };
        self.last = self.next_last;
        let after = (self.revision, self.buffer.cursor());
        if self.quiet || self.is_normal() || self.search.is_some() {
            self.popup = None;
        } else if before.0 != after.0 {
            self.refresh_popup();
        } else if before != after {
            self.popup = None;
        }
        match reaction {
            Reaction::Consumed if dollar.is_none() && self.dollar().is_some() && !self.is_normal() => {
                Reaction::WantSkills
            }
            Reaction::Consumed => self.wanted_files(asked.as_deref()).unwrap_or(Reaction::Consumed),
            reaction => reaction,
        }
    }

    fn plain_key(&mut self, key: Key) -> Reaction {
        match (self.keymap.action(Layer::Composer, key), key.typed()) {
            (Some(action), _) => self.act(action),
            (None, Some(char)) if !char.is_control() => {
                self.insert(char.encode_utf8(&mut [0; 4]));
                Reaction::Consumed
            }
            _ => Reaction::Ignored,
        }
    }

    fn wanted_files(&self, asked: Option<&str>) -> Option<Reaction> {
        let query = self.file_query()?;
        (Some(query) != asked).then(|| Reaction::WantFiles(query.to_owned()))
    }

    /// The text as it is seen: large pastes and images are labels in it.
    #[must_use]
    pub fn text(&self) -> &str {
        self.buffer.text()
    }

    /// The text with every paste in its place and images as their paths: what to keep of a draft.
    #[must_use]
    pub fn draft(&self) -> String {
        self.buffer.body().expanded(|path, _| path.to_string_lossy().into_owned())
    }

    /// Puts another text in place of the whole. Labels that still stand in it keep what they stand for. It is
    /// one step of undo.
    pub fn set_text(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut new = Fragment { text, elements: Vec::new() };
        let mut from = 0;
        let body = self.buffer.body();
        for element in &body.elements {
            let label = body.slice(element.at..element.end());
            let Some(found) = new.text.get(from..).and_then(|rest| rest.find(label)) else { continue };
            new.elements.push(buffer::Element { at: from + found, ..element.clone() });
            from += found + label.len();
        }
        (self.search, self.popup, self.dismissed) = (None, None, None);
        self.burst.end();
        self.undo.close();
        self.edit(0..self.buffer.len(), new, Cause::Other);
        self.rest_on_line();
        self.last = Last::Other;
    }

    /// Whether nothing is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.body().is_empty()
    }

    /// What there is to say about the last key.
    #[must_use]
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Whether a popup or the search of earlier messages has the keys.
    #[must_use]
    pub fn is_choosing(&self) -> bool {
        self.search.is_some() || self.popup.is_some()
    }

    /// What the keys do now, for the line of hints.
    #[must_use]
    pub fn hints(&self, state: State) -> Vec<(String, &'static str)> {
        let hint = |action, what| self.keymap.hint_as(action, what);
        let typed = |key: &str, what| Some((key.to_owned(), what));
        let hints = if self.search.is_some() {
            vec![
                hint(Action::Submit, "take"),
                hint(Action::Search, "earlier"),
                hint(Action::Down, "later"),
                hint(Action::Close, "back"),
            ]
        } else if self.popup.is_some() {
            vec![
                hint(Action::Submit, "choose"),
                hint(Action::Queue, "complete"),
                hint(Action::Close, "close"),
            ]
        } else if self.is_empty() && state == State::Running {
            Vec::new()
        } else if self.is_empty() {
            vec![
                typed("/", "commands"),
                typed("@", "files"),
                typed("!", "shell"),
                hint(Action::Search, "search"),
            ]
        } else {
            match state {
                State::Idle => vec![
                    hint(Action::Submit, "send"),
                    hint(Action::Newline, "new line"),
                    hint(Action::Editor, "editor"),
                ],
                State::Running => vec![hint(Action::Submit, "steer"), hint(Action::Queue, "queue")],
            }
        };
        hints.into_iter().flatten().collect()
    }
}
