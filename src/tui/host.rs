//! What the screen needs of the program around it, which it does not know.

use std::path::{Path, PathBuf};

use futures::future::BoxFuture;
use tokio::sync::mpsc::UnboundedSender;

use crate::protocol::{
    BlobId, Command, Content, Effort, Event, Limits, ModelRef, PatchedFile, Price, ProcessId, Rule, Seq,
    SessionId, Settings, SnapshotId, ToolStyle, Update, Verbosity,
};
use crate::session::Undoable;

use super::{prompts::Prompt, status::Ground};

/// The program around the screen.
#[async_trait::async_trait]
pub trait Host: Send {
    /// Begins a session, or opens the one that was asked for when the screen was started.
    ///
    /// # Errors
    /// With a sentence for the person.
    async fn open(&mut self) -> Result<Connection, String>;

    /// Makes sure that another session can be opened in the place of this one, before this one is closed. Something
    /// comes back when the repository that it works in is to be asked about first.
    ///
    /// # Errors
    /// With a sentence for the person. This session goes on.
    fn prepare(&mut self, next: Switch) -> Result<Ready, String>;

    /// Keeps what the person decided about the repository. Something comes back when it has changed meanwhile, and
    /// is asked again.
    ///
    /// # Errors
    /// With a sentence for the person, when the settings can't be read then.
    fn trust(&mut self, trusted: bool) -> Result<Option<Offer>, String>;

    /// Forgets the session that was asked for: the next one is new. Something comes back when the repository has
    /// changed meanwhile, and is to be asked about.
    fn forget(&mut self) -> Option<Offer>;

    /// The texts that are commands where it works, and what the person should know of files that are none.
    fn prompts(&mut self) -> (Vec<Prompt>, Vec<String>);

    /// The branch that is checked out where it works.
    fn branch(&mut self) -> Option<String>;

    /// A key was pressed, whatever it is for. For a host that plays something and can be hurried.
    fn pressed(&mut self) {}

    /// A picture as a part of a message, kept with the session.
    ///
    /// # Errors
    /// With a sentence for the person.
    fn attach(&mut self, path: &Path) -> Result<Content, String>;

    /// Looks whether there is a picture that could be attached.
    ///
    /// # Errors
    /// With a sentence for the person.
    fn recognize(&mut self, path: &Path) -> Result<(), String>;

    /// Puts the picture on the clipboard into a file. What has the clipboard may be long in answering; nobody asks it
    /// any more when the future is dropped.
    ///
    /// # Errors
    /// With a sentence for the person.
    fn clipboard(&mut self) -> BoxFuture<'static, Result<PathBuf, String>>;

    /// Keeps what is being written, until it is sent: an empty text. It may be lost, and must not take long.
    fn keep_draft(&mut self, text: &str);

    /// Writes a file for a report, without anything private, and says where. `terminal` describes the terminal.
    ///
    /// # Errors
    /// With a sentence for the person.
    fn feedback(&mut self, terminal: &str, last_error: Option<&str>) -> Result<PathBuf, String>;

    /// Lets the person edit a text in the editor of their choice. The terminal is theirs meanwhile.
    ///
    /// # Errors
    /// With a sentence for the person.
    fn edit(&mut self, text: &str) -> Result<String, String>;

    /// Runs a command as the person, and gives what it printed. It ends when the future is dropped.
    fn shell(&mut self, command: &str) -> BoxFuture<'static, String>;

    /// Answers a view: at once, or with a future that is waited for while the screen goes on.
    fn answer(&mut self, question: Question) -> BoxFuture<'static, Answer>;

    /// Has the next session begin with these settings.
    fn start_with(&mut self, settings: &Settings);

    /// Makes the model and the effort those that every new session begins with. Gives what to tell the person.
    ///
    /// # Errors
    /// With a sentence for the person.
    fn keep_model(&mut self, settings: &Settings) -> Result<String, String>;

    /// Begins later sessions with a theme. Gives what to tell the person.
    ///
    /// # Errors
    /// With a sentence for the person.
    fn keep_theme(&mut self, name: &str) -> Result<String, String>;

    /// Keeps a rule no longer, where there is no session that could be asked to.
    ///
    /// # Errors
    /// With a sentence for the person.
    fn forget_rule(&mut self, rule: &Rule) -> Result<(), String>;

    /// Writes a text to a new file, and gives its name. A file that is there is left alone: another name is taken.
    ///
    /// # Errors
    /// With a sentence for the person.
    fn export(&mut self, file: &Path, text: &str) -> Result<PathBuf, String>;

    /// Keeps what was said, for the history of later sessions.
    fn remember(&mut self, text: &str);
}

/// What a view wants to know from outside of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A part of an output that is kept: at most `length` bytes, from byte `from`.
    Blob { blob: BlobId, from: u64, length: usize },
    /// The person's own themes.
    Themes,
    /// The skills that can be called for.
    Skills,
    /// The models to choose from.
    Models,
    /// A model by a name that a person typed, with the provider of this one if it has none.
    Model { name: String, like: ModelRef },
    /// The rules that the next session begins with.
    Rules,
    /// What a process said last.
    Process {
        process: ProcessId,
        /// Rows and columns that there are for a program that draws the whole screen.
        size: Option<(u16, u16)>,
    },
    /// The value that was taken out of the transcript, by its handle.
    Reveal { handle: String },
    /// What is remembered of earlier sessions; with words, what these ask for.
    Memory(String),
    /// What making notes of sessions has cost.
    MemoryCost,
    /// What differs in a work tree, below this directory, from what was committed.
    WorkTree { folder: PathBuf },
    /// What an undo or a redo would come to.
    WouldRestore(Undoable),
    /// What it would come to if files went back to what they were before message `to`, whose words are `text`.
    WouldRewind { to: Seq, text: String, known: Undoable },
    /// The sessions that are kept.
    Sessions,
    /// The last messages of a session.
    Words(SessionId),
    /// Another name for a session that is not open; the answer is the sessions.
    Rename { session: SessionId, title: String },
    /// Put a session away or bring it back; the answer is the sessions.
    Archive { session: SessionId, away: bool },
    /// Delete a session; the answer is the sessions.
    Delete(SessionId),
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
    /// Their names and what their files say, or why those can't be read.
    Themes(Vec<(String, Result<String, String>)>),
    Skills {
        skills: Vec<KnownSkill>,
        /// What is wrong with others, a sentence each.
        problems: Vec<String>,
    },
    Models(Vec<ModelChoice>),
    Model(ModelChoice),
    Rules(Vec<Rule>),
    Process {
        process: ProcessId,
        /// Some kilobytes at most.
        latest: String,
        /// Whether it can be typed into.
        tty: bool,
        /// Whether what is typed is not to be seen, such as a password.
        hidden: bool,
    },
    Revealed {
        handle: String,
        /// Missing when this run of the program has not taken it out.
        value: Option<String>,
    },
    /// Lines for the person.
    Memory(Vec<String>),
    WorkTree(WorkTree),
    WouldRestore(Prospect),
    WouldRewind {
        to: Seq,
        text: String,
        prospect: Prospect,
    },
    Sessions {
        /// The one that was written to last comes first.
        known: Vec<Known>,
        now_ms: u64,
    },
    Words {
        session: SessionId,
        /// Whether the person said it, and what was said.
        words: Vec<(bool, String)>,
    },
    /// A sentence for the person.
    Failed {
        question: Question,
        problem: String,
    },
}

/// What an undo or a redo would come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prospect {
    pub known: Undoable,
    /// What the files are now.
    pub from: SnapshotId,
    /// What would change and what would not, for the person.
    pub lines: Vec<String>,
    /// Paths that would change, and that nobody else has changed since.
    pub ours: usize,
    /// Paths that would change, and that somebody else has changed since.
    pub theirs: usize,
}

/// A model to choose, with what a session would run it with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelChoice {
    pub model: ModelRef,
    /// A sentence about it; may be empty.
    pub about: String,
    pub limits: Limits,
    /// What its tokens cost, where that is known.
    pub price: Option<Price>,
    /// Under which names and in which forms it is offered tools.
    pub tools: ToolStyle,
    /// What it thinks with when nobody says.
    pub effort: Option<Effort>,
    /// What it can think with; may be empty.
    pub efforts: Vec<Effort>,
    pub verbosity: Option<Verbosity>,
}

/// A skill that can be called for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSkill {
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Where it comes from, in a word or two.
    pub origin: String,
}

/// A work tree, and what differs in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkTree {
    /// What it is compared with, in a word or two.
    pub base: String,
    pub files: Vec<PatchedFile>,
    /// Files that differ as well, and are too many to be shown.
    pub left_out: usize,
}

/// Another session in the place of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switch {
    Resume(SessionId),
    /// One that begins with the conversation of this one.
    Fork(SessionId, Apart),
}

/// Where a fork works. A directory of its own is made; without a name, beside the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Apart {
    /// In the same directory.
    No,
    Copy(Option<PathBuf>),
    /// In a further work tree of the git repository.
    WorkTree(Option<PathBuf>),
}

/// A session that can be gone on with.
#[derive(Debug, Default)]
pub struct Ready {
    pub offer: Option<Offer>,
    /// What a person should know, a line each.
    pub notes: Vec<String>,
}

/// A session that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub id: SessionId,
    /// Its name, or the beginning of the first message.
    pub title: String,
    pub directory: String,
    /// It is about the directory that the program was started in.
    pub here: bool,
    /// When it was last written to.
    pub changed_ms: u64,
    /// Bytes on disk.
    pub size: u64,
    pub turns: Option<u32>,
    pub archived: bool,
    /// It began with the conversation of another one.
    pub fork: bool,
}

/// What a repository brings along, to be trusted or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub directory: String,
    pub files: Vec<Offered>,
    /// It was decided before, about other contents.
    pub again: bool,
}

/// A file that would be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    pub name: String,
    /// What it is, in a word.
    pub kind: &'static str,
    pub size: u64,
    pub news: Option<News>,
    /// What hides in it, a line each.
    pub hidden: Vec<String>,
    /// The beginning of its text.
    pub text: String,
}

/// What has become of a file since it was last decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    Added,
    Changed,
}

/// An open session.
pub struct Connection {
    /// Where it works.
    pub ground: Ground,
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
