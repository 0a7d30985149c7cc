//! What the model can do: one file a tool.
//!
//! A tool says what it would do before it does it. It never asks for permission, never sees the session, and
//! never draws.

pub mod apply_patch;
mod args;
mod command;
pub mod exec_command;
pub mod hosted;
pub mod load_skill;
mod opened;
mod places;
pub mod recall;
pub mod remember;
#[cfg(test)]
mod shell_tests;
pub mod style;
#[cfg(test)]
mod testing;
mod toolbox;
pub mod update_goal;
pub mod update_plan;
pub mod view_image;
pub mod wait;
pub mod write_stdin;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{Args, BlobId, CallId, Content, Intent, Shown, ToolSpec},
    shell::Shell,
};

pub use command::output;
pub use places::resolved;
pub use recall::Past;
pub use toolbox::Toolbox;

/// Something that the model can do.
#[async_trait::async_trait]
pub trait Tool: Send + Sync {
    /// How it is described to the model.
    fn spec(&self) -> ToolSpec;

    /// From when on it is offered.
    fn offered(&self) -> Offered {
        Offered::AtOnce
    }

    /// What a call would do. Looks, and changes nothing.
    ///
    /// # Errors
    /// When the arguments make no sense; the text goes to the model.
    fn intent(&self, args: &Args, workspace: &Workspace) -> Result<Intent, ToolError>;

    /// Does it. The call has been allowed with the intent that [`Tool::intent`] gave.
    ///
    /// # Errors
    /// When it did not work; the text goes to the model.
    async fn run(&self, args: &Args, cx: ToolCx) -> Result<Output, ToolError>;
}

/// From when on a tool is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    AtOnce,
    /// When the conversation was compacted.
    Compacted,
    /// When there was a goal.
    Goal,
    /// To nobody: the provider calls it.
    Never,
}

/// All that a running tool may reach.
#[derive(Clone)]
pub struct ToolCx {
    pub call: CallId,
    pub workspace: Workspace,
    pub shell: Shell,
    /// Where live output goes.
    pub output: OutputSink,
    /// Cancelled when the call is interrupted.
    pub cancel: CancellationToken,
    /// The most tokens that a result may bring.
    pub output_limit: u64,
    /// What the session has kept of itself.
    pub past: Arc<dyn Past>,
}

/// Takes live output of a running tool. May be slow to show it, never to take it.
pub type OutputSink = Arc<dyn Fn(&str) + Send + Sync>;

/// The files that a session is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Absolute, links resolved.
    pub root: PathBuf,
    /// Further directories that may be written, links resolved.
    pub writable: Vec<PathBuf>,
    /// Directories of this program, links resolved: its settings, keys and sessions. No tool touches them.
    pub own: Vec<PathBuf>,
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// For the model.
    pub content: Vec<Content>,
    /// For people.
    pub shown: Shown,
    /// Content to be kept beside the log, before the result is recorded.
    pub blobs: Vec<(BlobId, Vec<u8>)>,
}

/// Why a call did not work: text that helps the model to do better.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ToolError(pub String);

impl Workspace {
    /// A path as the model wrote it, made absolute against the workspace. Not yet checked for anything.
    #[must_use]
    pub fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }
}
