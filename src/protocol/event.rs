//! Facts: durable, numbered, logged, replayed.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    BlobId, Budget, CallId, Checked, Compaction, CompactionReason, Connection, Content, Cost, Delivery,
    Effects, Goal, GoalStatus, Grant, InputId, Intent, Item, Limit, ProcessId, RequestId, ResponseId, Rule,
    Scope, Seq, SessionId, Settings, SnapshotId, TurnId, Verify, settings::known,
};

/// Version of the log format, carried by the first line.
pub const FORMAT_VERSION: u32 = 1;

/// A moment, in milliseconds precision, written as RFC 3339.
pub type Time = jiff::Timestamp;

/// A fact with its place in the log and its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub seq: Seq,
    pub at: Time,
    #[serde(flatten)]
    pub fact: Fact,
}

/// Something that has become true. Few a turn; never changed, never taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Fact {
    SessionStarted {
        session: SessionId,
        /// [`FORMAT_VERSION`] of the writer.
        version: u32,
        /// Version of the program.
        agent: String,
        workspace: PathBuf,
        /// The session whose conversation this one began with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<SessionId>,
    },
    Configured {
        settings: Settings,
    },
    Renamed {
        title: String,
    },
    /// The rules that are kept for this project and for everywhere, as they were read. They take the place of
    /// those that were read before.
    RulesRead {
        rules: Vec<Rule>,
    },
    /// A person wants a rule to hold no longer.
    Revoked {
        rule: Rule,
    },
    /// Something worth telling the person, such as a retry.
    Noted {
        level: Level,
        text: String,
    },
    TurnStarted {
        turn: TurnId,
    },
    TurnFinished {
        turn: TurnId,
        outcome: Outcome,
        duration_ms: u64,
    },
    /// A message that came while a turn ran. It becomes an item when it is delivered.
    InputQueued {
        input: InputId,
        content: Vec<Content>,
        /// A moment that this version does not know is after the turn: the message is not lost.
        #[serde(deserialize_with = "delivery")]
        delivery: Delivery,
    },
    /// The person took a queued message back.
    InputRetracted {
        input: InputId,
    },
    ItemAdded {
        item: Arc<Item>,
    },
    ResponseStarted {
        response: ResponseId,
    },
    ResponseFinished {
        response: ResponseId,
        outcome: ResponseOutcome,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
    },
    ApprovalRequested {
        call: CallId,
        intent: Intent,
        reason: String,
        /// What may be allowed from now on, instead of this call alone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        grants: Vec<Grant>,
        /// What a command would touch. Missing where nobody looked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        effects: Option<Box<Effects>>,
    },
    CallAllowed {
        call: CallId,
        by: By,
        intent: Intent,
    },
    CallRefused {
        call: CallId,
        by: By,
        /// What the model is told.
        reason: String,
    },
    /// The tool begins. On disk before it does, so that a crash can tell what may have happened.
    ToolStarted {
        call: CallId,
    },
    /// A command outlived its call.
    ProcessStarted {
        process: ProcessId,
        call: CallId,
        command: String,
    },
    ProcessExited {
        process: ProcessId,
        /// Missing when it was killed or lost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<i32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<BlobId>,
    },
    /// A process reads a line that is not echoed, such as a password, and a person is asked for it.
    SecretAsked {
        process: ProcessId,
        command: String,
        /// What the process said last.
        prompt: String,
    },
    /// It is not asked for any more. What was typed is kept nowhere.
    SecretAnswered {
        process: ProcessId,
        answer: SecretAnswer,
    },
    /// A command wants to reach a host, and nothing says whether it may. Its connection waits for a person; it does
    /// not survive the program, and neither does the question.
    HostRequested {
        request: RequestId,
        /// The call whose command it is, as far as that can be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<CallId>,
        intent: Intent,
        reason: String,
        /// What may be allowed from now on, instead of this command alone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        grants: Vec<Grant>,
    },
    /// The answer: the connection is made, or refused.
    HostAllowed {
        request: RequestId,
        by: By,
    },
    HostRefused {
        request: RequestId,
        by: By,
        /// What the command, and so the model, is told.
        reason: String,
    },
    /// A connection of a command was refused, could not be made, or is over.
    ConnectionEnded(Connection),
    /// The conversation goes on from before a message, which was fact `to`. Files and processes stay as they are.
    Rewound {
        to: Seq,
        /// The conversation before that message, where a compaction has made another one of it since.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        items: Option<Vec<Arc<Item>>>,
    },
    /// A person wants the conversation to be made smaller. The note says what matters.
    CompactionAsked {
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// The model is asked for a summary, in place of the conversation.
    CompactionStarted {
        reason: CompactionReason,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    Compacted(Box<Compaction>),
    /// The conversation stays as it is.
    CompactionFailed {
        reason: CompactionReason,
        /// Why.
        problem: String,
        /// It was stopped, and may be tried again.
        #[serde(default, skip_serializing_if = "super::item::is_false")]
        stopped: bool,
    },
    /// A snapshot of the workspace is about to be taken.
    SnapshotStarted {
        turn: TurnId,
        moment: Moment,
    },
    SnapshotTaken {
        turn: TurnId,
        moment: Moment,
        snapshot: SnapshotId,
        #[serde(default)]
        files: u64,
        /// Of all files.
        #[serde(default)]
        bytes: u64,
        /// Bytes that are kept because of it, and were not before.
        #[serde(default)]
        stored: u64,
    },
    SnapshotFailed {
        turn: TurnId,
        moment: Moment,
        reason: String,
    },
    /// A person wants files to be as they were. On disk before the first of them is changed.
    RestoreStarted {
        restore: Restore,
    },
    /// Files were put back.
    Restored {
        restore: Restore,
        /// What came of it.
        result: SnapshotId,
        /// How many paths were changed.
        count: u64,
        /// The first of them, below the workspace.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        paths: Vec<String>,
        /// What stayed as it was, and why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<(String, String)>,
    },
    /// Nothing was put back.
    RestoreFailed {
        reason: String,
    },
    /// What the session may spend from now on.
    Budgeted {
        budget: Budget,
    },
    /// The model is not asked any more until there is a larger budget. A turn that a hard one ends says so itself.
    BudgetReached {
        limit: Limit,
        /// Of how much of it was how much used.
        reason: String,
        #[serde(default, skip_serializing_if = "super::item::is_false")]
        hard: bool,
    },
    /// The command that has to pass before a turn counts as done; none, if nothing has to.
    VerifyWanted {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verify: Option<Verify>,
    },
    /// The model says that it is done, and the command is run.
    VerifyStarted {
        command: String,
    },
    /// What came of it. When it did not pass, an item that tells the model follows.
    VerifyFinished {
        command: String,
        /// Missing when it was ended, or could not be run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<i32>,
        duration_ms: u64,
        /// It was stopped, and says nothing.
        #[serde(default, skip_serializing_if = "super::item::is_false")]
        stopped: bool,
    },
    /// What was checked since files were last changed, at the end of a turn.
    Checked(Checked),
    /// A goal, in the place of one that there was.
    GoalSet {
        goal: Goal,
    },
    /// A turn goes on with the goal. Stands behind what the model is told.
    GoalContinued {
        turn: TurnId,
    },
    GoalChanged {
        status: GoalStatus,
        /// Why, for a person.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// Written by a newer version: kept, and folded to nothing.
    #[serde(untagged)]
    Unknown(serde_json::Map<String, serde_json::Value>),
}

/// When a snapshot is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before the first call of a turn that may change files.
    Before,
    /// After the turn.
    After,
    /// When the program ends in the middle of a turn: what comes until it goes on is not the agent's work.
    Paused,
    /// When a session goes on, and its files are not as they were left.
    Resumed,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// Files that are put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// What they were just before: what a redo puts back.
    pub from: SnapshotId,
    pub to: SnapshotId,
    /// The turn that is undone, with all that came after it. None: an undo is taken back, unless `left` says else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnId>,
    /// They are put back as the session left them, whoever changed them since.
    #[serde(default, skip_serializing_if = "super::item::is_false")]
    pub left: bool,
    /// The message that the conversation goes back to before, once the files are back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewind: Option<Seq>,
    /// What a person changed in between as well.
    #[serde(default, skip_serializing_if = "super::item::is_false")]
    pub all: bool,
}

/// How loud a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Info,
    Warning,
    Error,
}

/// What came of asking a person for a line that is not echoed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretAnswer {
    /// They typed it.
    Typed,
    /// They left it to the model.
    Left,
    /// The process did not wait for it any more.
    Gone,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Outcome {
    Done,
    Interrupted,
    Failed {
        /// `auth`, `network`, `provider`, `context`, `sandbox`, `internal`.
        kind: String,
        message: String,
    },
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// How an answer of the model ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseOutcome {
    /// The model said all that it wanted to say.
    Completed,
    /// The connection was lost after a whole tool call had come: the call is answered, and the model goes on.
    Cut,
    /// A person interrupted, or the program died.
    Interrupted,
    Failed {
        kind: String,
        message: String,
    },
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// Who decided about a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum By {
    Policy,
    /// A grant that was given before, and where it holds.
    Grant {
        grant: Grant,
        #[serde(default, skip_serializing_if = "Scope::is_session")]
        scope: Scope,
    },
    /// A person, for this once or (with a grant) from now on, as far as its scope reaches.
    Person {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant: Option<Grant>,
        #[serde(default, skip_serializing_if = "Scope::is_session")]
        scope: Scope,
    },
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// Tokens of one answer, as the provider counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// All that was sent, cached or not.
    pub input: u64,
    /// The part of `input` that came from the provider's cache.
    #[serde(default)]
    pub cached: u64,
    /// All that was received, reasoning included.
    pub output: u64,
    /// The part of `output` that was reasoning.
    #[serde(default)]
    pub reasoning: u64,
    /// What all of it cost, where the model's prices are known.
    #[serde(default, rename = "cost_usd", skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The provider ran tools of its own meanwhile, which it charges for by the call: that is not in `cost`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unpriced: bool,
}

fn delivery<'de, D: Deserializer<'de>>(from: D) -> Result<Delivery, D::Error> {
    Ok(known(from)?.unwrap_or(Delivery::AfterTurn))
}

impl Fact {
    /// The fact that a piece of conversation was added.
    #[must_use]
    pub fn item(item: Item) -> Self {
        Self::ItemAdded { item: Arc::new(item) }
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        let free = |usage: &Self| usage.input == 0 && usage.output == 0;
        self.cost = match (self.cost, other.cost) {
            (Some(mut cost), Some(more)) => {
                cost += more;
                Some(cost)
            }
            (Some(cost), None) if !free(&other) => Some(cost.at_least()),
            (None, Some(cost)) if !free(self) => Some(cost.at_least()),
            (cost, other) => cost.or(other),
        };
        self.unpriced |= other.unpriced;
        self.cost = self.cost.map(|cost| if self.unpriced { cost.at_least() } else { cost });
        self.input = self.input.saturating_add(other.input);
        self.cached = self.cached.saturating_add(other.cached);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_says_that_something_in_it_has_no_price() {
        let cost = Cost::try_from(0.5).ok();
        let paid = Usage { input: 9, cost, ..Usage::default() };
        for (more, sum) in [
            (paid, "$1.00"),
            (Usage { unpriced: true, ..paid }, "$1.00+"),
            (Usage { cost: None, ..paid }, "$0.500+"),
            (Usage { unpriced: true, ..Usage::default() }, "$0.500+"),
        ] {
            for (mut first, second) in [(paid, more), (more, paid)] {
                first += second;
                assert_eq!(first.cost.map(|cost| cost.to_string()).as_deref(), Some(sum), "{more:?}");
            }
        }
    }

    #[test]
    fn a_fact_of_a_newer_version_is_kept_and_written_back() {
        let line = r#"{"seq":3,"at":"2026-11-20T10:00:00Z","type":"dreamt","of":["sheep"]}"#;
        let event: Event = serde_json::from_str(line).unwrap();
        assert!(matches!(event.fact, Fact::Unknown(_)), "{event:?}");
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
    }

    #[test]
    fn an_item_of_a_newer_version_is_kept_and_written_back() {
        let line =
            r#"{"seq":3,"at":"2026-11-20T10:00:00Z","type":"item_added","item":{"type":"dream","of":1}}"#;
        let event: Event = serde_json::from_str(line).unwrap();
        let Fact::ItemAdded { item } = &event.fact else { panic!("{event:?}") };
        assert!(matches!(**item, Item::Unknown(_)), "{item:?}");
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
    }

    #[test]
    fn a_part_of_a_newer_version_is_kept_and_its_item_keeps_its_meaning() {
        let line = r#"{"seq":3,"at":"2026-11-20T10:00:00Z","type":"item_added","item":{"type":"tool_result","call":"c","content":[{"type":"text","text":"a"},{"type":"smell","of":"smoke"}],"shown":{"type":"text","text":"a"}}}"#;
        let event: Event = serde_json::from_str(line).unwrap();
        let Fact::ItemAdded { item } = &event.fact else { panic!("{event:?}") };
        let Item::ToolResult { content, .. } = &**item else { panic!("{item:?}") };
        assert!(matches!(content[..], [Content::Text { .. }, Content::Unknown(_)]), "{content:?}");
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
    }

    #[test]
    fn a_message_that_is_to_be_heard_at_an_unknown_moment_is_not_lost() {
        let line = r#"{"type":"input_queued","input":1,"content":[],"delivery":"at_dawn"}"#;
        let fact: Fact = serde_json::from_str(line).unwrap();
        assert!(matches!(fact, Fact::InputQueued { delivery: Delivery::AfterTurn, .. }), "{fact:?}");
    }
}
