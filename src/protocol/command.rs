//! What a front end may ask for, and what it hears.

use serde::{Deserialize, Serialize};

use super::{
    Budget, CallId, Content, Delta, Event, Goal, GoalStatus, Grant, Hidden, InputId, ProcessId, RequestId,
    Restore, Rule, Scope, Seq, Settings, Verify,
};

/// A wish of a person. It is refused, or becomes facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// Say something. While a turn runs, `delivery` says when the model hears it.
    Submit {
        content: Vec<Content>,
        delivery: Delivery,
    },
    /// Take back a message that is not delivered yet.
    Retract {
        input: InputId,
    },
    /// Stop whatever runs.
    Interrupt,
    /// Answer a pending approval.
    Decide {
        call: CallId,
        verdict: Verdict,
    },
    /// Answer the question whether commands may reach a host.
    DecideHost {
        request: RequestId,
        verdict: Verdict,
    },
    /// Run with other settings from the next request on.
    Configure {
        settings: Box<Settings>,
    },
    Rename {
        title: String,
    },
    /// Let a rule hold no longer, here and where it is kept.
    Revoke {
        rule: Rule,
    },
    /// Type into a process. The text is kept nowhere: it may be a password.
    WriteStdin {
        process: ProcessId,
        text: String,
    },
    /// Give a process the line that it asks for and does not echo, or leave it to the model. The line is kept nowhere.
    AnswerSecret {
        process: ProcessId,
        line: Option<Hidden>,
    },
    /// End a process, and all that it started.
    Kill {
        process: ProcessId,
    },
    /// Make the conversation smaller: now, or before the next request of the turn that goes on. The note says what
    /// matters.
    Compact {
        #[serde(default)]
        note: String,
    },
    /// Go on as if this message of the person, and all that came after it, had not been said.
    Rewind {
        to: Seq,
    },
    /// Put files back as they were. `from` is what they are now.
    Restore {
        restore: Restore,
    },
    /// Spend no more than this from now on, what was spent so far included.
    SetBudget {
        budget: Budget,
    },
    /// Go on although the budget is reached, with as much again.
    Extend,
    /// Let no turn count as done before this passes.
    SetVerify {
        verify: Option<Verify>,
    },
    /// Work on this, turn after turn.
    SetGoal {
        goal: Goal,
    },
    /// Pause the goal, let it go on, or clear it.
    ChangeGoal {
        status: GoalStatus,
    },
    /// End the session's process. Nothing is lost: what was going on goes on with the next resume.
    Shutdown,
}

/// When a message that comes during a turn is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// With the next request, after the results of the calls that run now.
    Steer,
    /// As a turn of its own, when this one has ended.
    AfterTurn,
}

/// A person's answer to an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Verdict {
    /// Yes, this once.
    Allow,
    /// Yes, and whatever else the grant covers.
    AllowAlways {
        grant: Grant,
        #[serde(default, skip_serializing_if = "Scope::is_session")]
        scope: Scope,
    },
    /// No; the note goes to the model.
    Deny {
        #[serde(default)]
        note: String,
    },
}

/// A command that could not be obeyed, and why. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the message is empty")]
    Empty,
    #[error("no turn is running")]
    Idle,
    #[error("call {0} is not waiting for an approval")]
    NotWaiting(CallId),
    #[error("call {0} was not offered that rule")]
    NotOffered(CallId),
    #[error("the connection does not wait any more")]
    NoRequest(RequestId),
    #[error("that rule was not offered")]
    NotOfferedForHost(RequestId),
    #[error("that message was delivered already, or never queued")]
    NotQueued(InputId),
    #[error("there is no such rule any more")]
    NoRule,
    #[error("nothing was changed: {0}")]
    NoSandbox(String),
    #[error("process {0} is not running")]
    NotRunning(ProcessId),
    #[error("process {0} has no terminal to type into")]
    NoTerminal(ProcessId),
    #[error("process {0} does not ask for a line any more")]
    NotAsking(ProcessId),
    #[error("a turn is running, or waits to; interrupt it first")]
    Busy,
    #[error("fact {} is not a message that the conversation can go back to", .0.0)]
    NoMessage(Seq),
    #[error("there is nothing to leave out yet")]
    NothingToCompact,
    #[error("the conversation is being compacted already")]
    Compacting,
    #[error("there is nothing to put back: no turn has changed files, or all of them are undone")]
    NothingToUndo,
    #[error("there is no undo to take back")]
    NothingToRedo,
    #[error("no state of the files was kept in this session")]
    NothingKept,
    #[error("no budget is reached")]
    WithinBudget,
    #[error("what {0} costs is not known, so that no budget in dollars can be kept")]
    Unpriced(String),
    #[error("there is no goal")]
    NoGoal,
    #[error("the goal is {0} already")]
    GoalIs(&'static str),
    #[error("it can't be recorded: {0}")]
    Unfit(String),
    #[error("the session can't be written, and takes no more work: {0}")]
    Unwritable(String),
}

/// What a front end hears, in order. Channels that carry events never drop one.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    Event(Event),
    Delta(Delta),
    Rejected(Rejection),
}
