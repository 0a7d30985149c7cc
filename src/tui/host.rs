//! What the screen needs of the program around it, which it does not know.

use std::path::Path;

use futures::future::BoxFuture;
use tokio::sync::mpsc::UnboundedSender;

use crate::protocol::{BlobId, Command, Content, Event, Update};

/// The program around the screen.
#[async_trait::async_trait]
pub trait Host: Send {
    /// Begins a session, or opens the one that was asked for when the screen was started.
    ///
    /// # Errors
    /// With a sentence for the person.
    async fn open(&mut self) -> Result<Connection, String>;

    /// Forgets the session that was asked for: the next one is new.
    fn forget(&mut self);

    /// A picture as a part of a message, kept with the session.
    ///
    /// # Errors
    /// With a sentence for the person.
    fn attach(&mut self, path: &Path) -> Result<Content, String>;

    /// Lets the person edit a text in the editor of their choice. The terminal is theirs meanwhile.
    ///
    /// # Errors
    /// With a sentence for the person.
    fn edit(&mut self, text: &str) -> Result<String, String>;

    /// Runs a command as the person, and gives what it printed. It ends when the future is dropped.
    fn shell(&mut self, command: &str) -> BoxFuture<'static, String>;

    /// Answers a view. It takes no time that a person would notice.
    async fn answer(&mut self, question: Question) -> Answer;

    /// Keeps what was said, for the history of later sessions.
    fn remember(&mut self, text: &str);
}

/// What a view wants to know from outside of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A part of an output that is kept: at most `length` bytes, from byte `from`.
    Blob { blob: BlobId, from: u64, length: usize },
}

/// What it is told. Each answer says what it is the answer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Blob {
        blob: BlobId,
        from: u64,
        bytes: Vec<u8>,
        /// Bytes of the whole.
        total: u64,
    },
    /// A sentence for the person.
    Failed { question: Question, problem: String },
}

/// An open session.
pub struct Connection {
    pub history: Vec<Event>,
    pub commands: UnboundedSender<Command>,
    pub updates: Box<dyn Updates>,
}

/// Where updates come from.
#[async_trait::async_trait]
pub trait Updates: Send {
    /// The next update; nothing when the session has ended. Safe to cancel.
    async fn next(&mut self) -> Option<Update>;

    /// One that is there already.
    fn ready(&mut self) -> Option<Update>;
}
