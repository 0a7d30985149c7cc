//! What a tool would do, said before it does it. Policy judges it, people approve it, the log keeps it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ProcessId;

/// What a tool call would do to the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Intent {
    /// Nothing outside the conversation (a plan, say).
    None,
    /// Look at files.
    Read { paths: Vec<PathBuf> },
    /// Change files, with the harness's own hands.
    Write { files: Vec<FileChange> },
    /// Run a command. The text is byte for byte what the shell is given.
    Command {
        command: String,
        workdir: PathBuf,
        /// Asked to run outside the sandbox.
        #[serde(default, skip_serializing_if = "super::item::is_false")]
        escalated: bool,
        /// Why, in the model's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        justification: Option<String>,
        /// The argv prefix that the model proposes to allow from now on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        prefix: Vec<String>,
    },
    /// Type into a process that was allowed before, or look at it.
    Input { process: ProcessId, text: String },
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// A change to one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Absolute.
    pub path: PathBuf,
    pub operation: FileOperation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<PathBuf>,
    /// Lies, links resolved, outside the places that may be written.
    #[serde(default, skip_serializing_if = "super::item::is_false")]
    pub outside: bool,
    /// Unified diff hunks, so that a person sees what would change.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileOperation {
    Add,
    /// An add or a move over an existing file.
    Overwrite,
    Update,
    Delete,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// A permission that outlives the call it was given for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Grant {
    /// Commands whose words begin with exactly these, outside the sandbox, until the session ends.
    CommandPrefix { words: Vec<String> },
    /// Changes to files at or below this path, until the session ends.
    WriteBelow { path: PathBuf },
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

impl Intent {
    /// Whether the workspace may differ afterwards.
    #[must_use]
    pub fn mutates(&self) -> bool {
        match self {
            Self::None | Self::Read { .. } => false,
            Self::Write { .. } | Self::Command { .. } | Self::Input { .. } | Self::Unknown => true,
        }
    }

    /// Whether the call must have the workspace for itself while it runs.
    #[must_use]
    pub fn exclusive(&self) -> bool {
        match self {
            Self::Write { .. } => true,
            Self::None | Self::Read { .. } | Self::Command { .. } | Self::Input { .. } | Self::Unknown => {
                false
            }
        }
    }
}
