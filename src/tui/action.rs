//! What comes into the screen, and what it has done.

use std::path::PathBuf;

use crossterm::event::KeyEvent;

use crate::protocol::{Command, Delivery, Rule, Settings, Update};
use crate::session::Session;

use crate::tui::{
    composer::{Message, files::FileMatch},
    host::{Answer, Question, Switch},
    theme::Theme,
};

/// What comes in.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Key(KeyEvent),
    Paste(String),
    Update(Update),
    /// Files that were asked for with [`Action::Files`].
    Files {
        query: String,
        found: Vec<FileMatch>,
    },
    /// The text of a draft that was edited elsewhere.
    Edited(String),
    /// What a view had asked for.
    Answer(Answer),
    /// What a command of the person came to, for the model.
    Ran(String),
    /// The picture that was on the clipboard, or why there is none.
    Clipboard(Result<PathBuf, String>),
    /// Something that the person should know.
    Said(String),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Send(Command),
    /// Attach pictures to a message, and send it.
    Attach {
        message: Message,
        delivery: Delivery,
    },
    Quit,
    Suspend,
    /// Edit a draft in the editor of the person.
    Edit(String),
    /// Find files for the composer.
    Files(String),
    /// Run a command as the person, and show it to the model.
    Shell(String),
    /// End the command that the person runs.
    StopShell,
    Copy(String),
    /// Write a text to a file that is not there yet.
    Export {
        file: PathBuf,
        text: String,
    },
    /// Find out something for a view.
    Ask(Question),
    /// Draw everything anew.
    Redraw,
    /// Look whether these are pictures.
    Recognize(Vec<PathBuf>),
    /// Attach the picture on the clipboard.
    Clipboard,
    /// Write a file for a report.
    Feedback,
    /// Use another theme from now on, also in later sessions.
    Wear(String, Box<Theme>),
    /// Begin with this theme in later sessions.
    KeepTheme(String),
    /// Begin the next session with other settings.
    Prepare(Box<Settings>),
    /// Begin every new session with this model and effort.
    KeepModel(Box<Settings>),
    /// Keep a rule no longer; without a session.
    ForgetRule(Rule),
    /// Begin a new session in the place of this one.
    New,
    /// Open another session in the place of this one.
    Switch(Switch),
    /// Put a text into the composer.
    Write(String),
    /// What the repository brings along is trusted, or not.
    Trust(bool),
}

impl Action {
    /// Runs with other settings: this session, or else the next one.
    pub(super) fn configure(session: &Session, settings: Settings) -> Self {
        let settings = Box::new(settings);
        match session.settings {
            Some(_) => Self::Send(Command::Configure { settings }),
            None => Self::Prepare(settings),
        }
    }
}
