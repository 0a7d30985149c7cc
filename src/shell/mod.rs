//! Commands that outlive one call: a table of processes, their output, and waiting for them.
//!
//! It does not know what may run, nor for whom: it is given command lines and a sandbox.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{BlobId, ProcessId},
    sandbox::{SandboxError, SharedSandbox},
};

/// The processes of a session. Cheap to clone.
#[derive(Clone)]
pub struct Shell {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
}

/// What a shell is made of.
#[derive(Clone)]
pub struct Settings {
    /// Where whole outputs are kept: `<hash>` when finished, `tmp-*` while they are written.
    pub blobs: PathBuf,
    /// The directory that relative working directories start from.
    pub workspace: PathBuf,
    /// The whole environment of every command, before login files.
    pub env: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    /// The user's shell: absolute path of a POSIX-like shell.
    pub shell: PathBuf,
    /// Where commands run.
    pub sandbox: SharedSandbox,
    /// Where commands run that a person let out of the sandbox.
    pub outside: SharedSandbox,
    /// Live processes at most; one more and the oldest quiet one is ended.
    pub max_processes: usize,
}

/// A command to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Text for the shell.
    pub command: String,
    pub workdir: PathBuf,
    /// Another shell than the user's.
    pub shell: Option<PathBuf>,
    /// With the environment that the login files make.
    pub login: bool,
    pub tty: bool,
    /// Outside the sandbox. Whoever sets this has the permission of a person.
    pub outside: bool,
}

/// How long to look, and how much to bring back.
#[derive(Clone)]
pub struct Look {
    pub wait: Duration,
    /// Bytes of output at most; longer output keeps its head and its tail.
    pub max_bytes: usize,
    /// Live output, as it comes.
    pub sink: Arc<dyn Fn(&str) + Send + Sync>,
    /// Ends the look, and kills the process that this call started.
    pub cancel: CancellationToken,
}

/// What was seen of a process in one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub wall: Duration,
    pub state: State,
    pub output: Captured,
    /// Processes that were ended to make room for this one.
    pub pruned: Vec<ProcessId>,
}

/// Whether a process still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Running(ProcessId),
    /// With the code of the shell (128 + signal when it was killed by one).
    Exited(i32),
}

/// Output since the last look, cut to what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// Everything, or the first part of it. Whole characters.
    pub head: String,
    /// The last part, when something between was left out.
    pub tail: String,
    /// Bytes since the last look, before anything was left out.
    pub bytes: u64,
    /// Lines since the last look.
    pub lines: u64,
    /// Bytes that were not even kept in memory (they are in the blob).
    pub dropped: u64,
    /// The whole output of the process, if it ended and was too long to be all in results.
    pub blob: Option<BlobId>,
}

/// A process that outlived its call has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    pub process: ProcessId,
    /// Missing when it was killed by us.
    pub code: Option<i32>,
    pub blob: Option<BlobId>,
}

/// A live process, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub process: ProcessId,
    pub command: String,
    pub tty: bool,
    pub running_for: Duration,
}

/// Why a command did not start, or a process can't be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShellError {
    #[error("Unknown process id {0}")]
    Unknown(ProcessId),
    #[error("{0}")]
    Sandbox(#[from] SandboxError),
    #[error("{0}")]
    Spawn(String),
    #[error("stdin is closed for this session; rerun exec_command with tty=true to keep stdin open")]
    NoTerminal,
}

impl Shell {
    /// A shell without processes. Ends of processes that outlived their call are told to `exits`.
    #[must_use]
    pub fn new(settings: Settings, exits: mpsc::UnboundedSender<Exit>) -> Self {
        let _ = exits;
        Self { inner: Arc::new(Inner { settings }) }
    }

    /// Starts a command and looks at it for a while.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn exec(&self, launch: Launch, look: Look) -> Result<Seen, ShellError> {
        todo!("{launch:?} {} {:?}", look.max_bytes, self.inner.settings.workspace)
    }

    /// Types into a process (nothing, to only look) and looks at it for a while.
    ///
    /// # Errors
    /// When there is no such process, or it has no terminal to type into.
    pub async fn write(&self, process: ProcessId, text: &str, look: Look) -> Result<Seen, ShellError> {
        todo!("{process} {text} {}", look.max_bytes)
    }

    /// The live processes, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        Vec::new()
    }

    /// Ends a process and everything that it started.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn kill(&self, process: ProcessId) -> Result<(), ShellError> {
        Err(ShellError::Unknown(process))
    }

    /// Ends all processes. Returns when none is left.
    pub async fn stop(&self) {}
}
