//! The vocabulary: every type that the log, the harness and the front ends share.
//!
//! Plain data with serde derives. No IO, no clock, and nothing imported from the rest of the program.
//! Rules for changing it: only add; never rename or reuse a tag; new fields have defaults; what an older
//! program does not know it keeps as `Unknown` and folds to nothing.

mod budget;
mod command;
mod compaction;
mod confidential;
mod delta;
mod effects;
mod event;
mod exact;
mod goal;
mod hidden;
mod hosted;
mod id;
mod intent;
mod item;
mod network;
mod obeyed;
mod price;
mod printable;
mod settings;
mod shown;
mod told;
mod tool;

pub use budget::{Budget, Limit, count, deadline, grouped, seconds, span};
pub use command::{Command, Delivery, Rejection, Update, Verdict};
pub use compaction::{Compaction, CompactionMeans, CompactionReason, Counts, Part};
pub use confidential::is_secret;
pub use delta::Delta;
pub use effects::{Bound, Effects, Tally, Touched, Verb};
pub use event::{
    By, Event, FORMAT_VERSION, Fact, Level, Moment, Outcome, ResponseOutcome, Restore, SecretAnswer, Time,
    Usage,
};
pub use exact::{Exact, exact, exact_parts};
pub use goal::{Check, Checked, Claim, Goal, GoalStatus, Verify};
pub use hidden::Hidden;
pub use hosted::{HostedCall, HostedTool, MCP_APPROVAL, MCP_APPROVED, Source, mcp_question};
pub use id::{BlobId, CallId, InputId, ProcessId, RequestId, ResponseId, Seq, SessionId, SnapshotId, TurnId};
pub use intent::{FileChange, FileOperation, Grant, Intent, Rule, Scope, quoted};
pub use item::{Args, Content, Context, Item, words};
pub use network::{Connection, Passage};
pub use obeyed::{is_obeyed, obeyed_by, obeyed_names};
pub use price::{Cost, Price, Rate};
pub use printable::{printable, printable_speech};
pub use settings::{
    Approval, Effort, Limits, ModelRef, SandboxMode, Settings, Snapshots, TOKENS_PER_KB, ToolStyle, Verbosity,
};
pub use shown::{Excerpt, PatchedFile, PlanStep, Shown, StepStatus};
pub use tool::{ToolForm, ToolSpec};
