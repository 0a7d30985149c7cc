//! The shape of a result, for people. The screen draws by this shape and never by the name of a tool.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{BlobId, Claim, FileOperation, ProcessId};

/// What a person sees of a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Shown {
    /// Plain words.
    Text { text: String },
    /// A command, or more output of one that went on.
    Command {
        command: String,
        workdir: PathBuf,
        /// Missing while the process still runs, or when it was lost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<i32>,
        /// Set when the process goes on after the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<ProcessId>,
        /// Time spent in this call, in milliseconds.
        duration_ms: u64,
        output: Excerpt,
    },
    /// Files that were changed.
    Patch { files: Vec<PatchedFile> },
    /// The plan as it now stands.
    Plan {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        explanation: Option<String>,
        steps: Vec<PlanStep>,
    },
    /// A picture.
    Image { path: PathBuf, blob: BlobId, width: u32, height: u32 },
    /// What the model says of the goal.
    Goal {
        claim: Claim,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// Instructions for a task were taken up. The place is their folder, as commands see it.
    Skill { name: String, place: PathBuf },
    /// It did not work, or was not allowed; the text says why.
    Failure { text: String },
    /// Written by a newer version.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// The beginning and the end of an output; all of it is in the blob when it was longer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Excerpt {
    pub head: String,
    /// Empty when `head` is everything.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tail: String,
    /// Lines of the whole output.
    pub lines: u64,
    /// Bytes of the whole output.
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<BlobId>,
}

/// One file of a patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchedFile {
    pub path: PathBuf,
    pub operation: FileOperation,
    /// Where it was moved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<PathBuf>,
    /// Lines added and removed.
    pub added: u32,
    pub removed: u32,
    /// Unified diff hunks, without the file header. Cut at 64 KiB with a line that says so.
    pub diff: String,
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    pub step: String,
    pub status: StepStatus,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    Pending,
    InProgress,
    Completed,
}

impl Shown {
    /// Plain words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// Words that say why it did not work.
    pub fn failure(text: impl Into<String>) -> Self {
        Self::Failure { text: text.into() }
    }
}
