//! What is due. Computed from what is true, never remembered, so that a crash loses no intention.

use crate::protocol::{
    Args, CallId, CompactionReason, Delivery, GoalStatus, InputId, Intent, Limit, Moment, Outcome,
    ResponseId, SandboxMode, Snapshots, TurnId,
};

use super::{Call, CallState, HostQuestion, Session, Wanted, undo::Kept};

/// The next thing to do. Starting it records a fact that makes it not due.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Find out what a call would do, and whether it may.
    Judge(CallId),
    /// Keep the state of the workspace.
    Snapshot(TurnId, Moment),
    /// Let an allowed call begin.
    Run(CallId),
    /// Tell the model that a call may not run.
    Refuse(CallId, String),
    /// Let the model hear a message that came meanwhile.
    Deliver(InputId),
    /// Make the conversation smaller.
    Compact(Wanted),
    /// Ask the model for an answer.
    AskModel(ResponseId),
    /// Say that a limit of the budget is reached; end the turn, if it is a hard one.
    RunOut(Limit),
    /// Run the command that has to pass before the turn is done.
    Verify(String),
    /// Say how the goal stands, and why.
    Settle(GoalStatus, String),
    /// Begin a turn for the goal.
    Pursue,
    /// End the turn.
    EndTurn(TurnId, Outcome),
    /// Begin a turn with a message that waited.
    StartQueued(InputId),
}

impl Session {
    /// The next thing to do; nothing when something outside is owed: a person, a running job, a new message.
    #[must_use]
    pub fn next(&self) -> Option<Step> {
        if self.compacting.running.is_some() {
            return None;
        }
        let Some(turn) = &self.turn else {
            if self.undo.restoring.is_some() {
                return None;
            }
            if let Some(turn) = self.undo.after_due() {
                return Some(Step::Snapshot(turn, Moment::After));
            }
            if let Some(note) = self.compacting.asked.clone() {
                return Some(Step::Compact(Wanted { reason: CompactionReason::Asked, note }));
            }
            if let Some(queued) = self.queue.front() {
                return Some(Step::StartQueued(queued.input));
            }
            return self.pursues().then_some(Step::Pursue);
        };
        if turn.response.is_some() || self.verifying.running.is_some() {
            return None;
        }
        let goes_on = turn.due || turn.open().next().is_some();
        if goes_on
            && turn.failed.is_none()
            && self.spending.budget.hard
            && let Some(limit) = self.over_budget()
        {
            return Some(Step::RunOut(limit));
        }
        if let Some(step) = turn.calls.iter().enumerate().find_map(|(at, call)| self.due_of_call(at, call)) {
            return Some(step);
        }
        if turn.open().next().is_some() {
            return None;
        }
        let ends = turn.failed.is_some() || !turn.due && !self.steered();
        if ends {
            if turn.failed.is_none()
                && let Some(command) = self.verify_due()
            {
                return Some(Step::Verify(command.to_owned()));
            }
            if let Some((status, reason)) = self.goal_settled() {
                return Some(Step::Settle(status, reason));
            }
        }
        if ends && let Some(turn) = self.undo.after_due() {
            return Some(Step::Snapshot(turn, Moment::After));
        }
        if ends && self.undo.going.is_some() {
            return None;
        }
        if let Some((kind, message)) = &turn.failed {
            let outcome = Outcome::Failed { kind: kind.clone(), message: message.clone() };
            return Some(Step::EndTurn(turn.id, outcome));
        }
        if let Some(steer) = self.queue.iter().find(|queued| queued.delivery == Delivery::Steer) {
            return Some(Step::Deliver(steer.input));
        }
        if turn.due {
            if self.spending.reached.is_some() {
                return None;
            }
            if let Some(limit) = self.over_budget() {
                return Some(Step::RunOut(limit));
            }
            if let Some(reason) = self.goal_spent() {
                return Some(Step::Settle(GoalStatus::OutOfBudget, reason));
            }
            if self.hosts_asked().any(HostQuestion::hosted) {
                return None;
            }
            if let Some(wanted) = self.compaction_due() {
                return Some(Step::Compact(wanted));
            }
            return Some(Step::AskModel(ResponseId(self.responses + 1)));
        }
        Some(Step::EndTurn(turn.id, Outcome::Done))
    }

    fn due_of_call(&self, at: usize, call: &Call) -> Option<Step> {
        match &call.state {
            CallState::Proposed => self.may_judge(at, call).then(|| Step::Judge(call.id.clone())),
            CallState::Refused { reason } => Some(Step::Refuse(call.id.clone(), reason.clone())),
            CallState::Allowed { intent } if self.may_start(at, call) => self.due_of_allowed(call, intent),
            CallState::Allowed { .. } => None,
            CallState::Asked { .. } | CallState::Running { .. } | CallState::Done { .. } => None,
        }
    }

    /// Before anything changes files in a turn, what they are is kept.
    fn due_of_allowed(&self, call: &Call, intent: &Intent) -> Option<Step> {
        let run = Some(Step::Run(call.id.clone()));
        let (Some(settings), Some(turn)) = (&self.settings, &self.turn) else { return run };
        let sandboxed = matches!(intent, Intent::Command { escalated: false, .. } | Intent::Input { .. });
        let harmless = sandboxed && settings.sandbox == SandboxMode::ReadOnly;
        if settings.snapshots == Snapshots::Off || !intent.mutates() || harmless {
            return run;
        }
        match self.undo.before() {
            Kept::Not if self.undo.going.is_some() => None,
            Kept::Not => Some(Step::Snapshot(turn.id, Moment::Before)),
            Kept::Failed(reason) if settings.snapshots == Snapshots::Required => {
                let why = format!("not done: the state of the files before it could not be kept ({reason})");
                Some(Step::Refuse(call.id.clone(), why))
            }
            Kept::Failed(_) | Kept::As => run,
        }
    }

    /// Whether a message waits that belongs into this turn.
    fn steered(&self) -> bool {
        self.queue.iter().any(|queued| queued.delivery == Delivery::Steer)
    }

    /// What a call would do can't be said before the files are as it will find them: after a change to files,
    /// and (for free text, which fits the files or does not) after everything before it.
    fn may_judge(&self, at: usize, call: &Call) -> bool {
        let free_text = matches!(call.args, Args::Text(_));
        !self.behind(at, |earlier| free_text || alone(earlier))
    }

    /// Calls run side by side, but one that needs the workspace for itself waits for all before it, and all
    /// after it wait for it.
    fn may_start(&self, at: usize, call: &Call) -> bool {
        !self.behind(at, |earlier| alone(call) || alone(earlier))
    }

    /// Whether there is such a call without a result before position `at`.
    fn behind(&self, at: usize, such: impl Fn(&Call) -> bool) -> bool {
        let earlier = self.turn.iter().flat_map(|turn| turn.calls.iter().take(at));
        earlier.filter(|call| call.is_open()).any(such)
    }
}

/// Whether it needs the workspace for itself. Of free text that nobody has looked at that has to be assumed: it
/// waits for what stands before it, and what stands after it must not pass it meanwhile.
fn alone(call: &Call) -> bool {
    match &call.state {
        CallState::Proposed => matches!(call.args, Args::Text(_)),
        _ => call.intent().is_some_and(Intent::exclusive),
    }
}
