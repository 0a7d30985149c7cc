//! A turn: what a message set going, and the calls that it has open.

use std::{collections::VecDeque, sync::Arc};

use crate::protocol::{
    Args, CallId, Effects, Grant, Intent, Item, ResponseId, ResponseOutcome, Time, TurnId, Usage,
};

/// The turn that is going on.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    pub id: TurnId,
    pub started: Time,
    /// The answer that is being received.
    pub response: Option<ResponseId>,
    /// A message stands at its beginning. Without one it was cut off while it was written.
    pub begun: bool,
    /// The model has something to hear: a message or a result that it has not seen.
    pub due: bool,
    /// Why no further answer can be had.
    pub failed: Option<(String, String)>,
    /// Tokens of this turn.
    pub usage: Usage,
    /// What a person decided in it, oldest first: each with whether it was allowed.
    pub decided: Vec<(Intent, bool)>,
    /// Calls in the model's order, from the first one without a result on.
    pub(super) calls: VecDeque<Call>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub id: CallId,
    pub tool: String,
    pub args: Args,
    pub state: CallState,
}

/// How far a call is.
#[derive(Debug, Clone, PartialEq)]
pub enum CallState {
    /// Nobody has looked at it.
    Proposed,
    /// A person is owed an answer.
    Asked { intent: Intent, reason: String, grants: Vec<Grant>, effects: Option<Box<Effects>> },
    /// It may run, and has not begun.
    Allowed { intent: Intent },
    /// It may not run, and the model has not been told.
    Refused { reason: String },
    /// It has begun. What it did is not known yet.
    Running { intent: Intent, since: Time },
    /// Its result waits for those of earlier calls.
    Done { result: Arc<Item> },
}

impl Turn {
    pub(super) fn new(id: TurnId, started: Time) -> Self {
        Self {
            id,
            started,
            response: None,
            begun: false,
            due: false,
            failed: None,
            usage: Usage::default(),
            decided: Vec::new(),
            calls: VecDeque::new(),
        }
    }

    /// The calls without a result.
    pub fn open(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.is_open())
    }

    pub(super) fn call_mut(&mut self, id: &CallId) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.id == *id && call.is_open())
    }

    /// Takes in a result, and gives all results that are now in order.
    pub(super) fn finish(&mut self, id: &CallId, result: &Arc<Item>) -> Vec<Arc<Item>> {
        if let Some(call) = self.call_mut(id) {
            call.state = CallState::Done { result: Arc::clone(result) };
        }
        let mut ready = Vec::new();
        while let Some(Call { state: CallState::Done { result }, .. }) = self.calls.front() {
            ready.push(Arc::clone(result));
            self.calls.pop_front();
        }
        self.due |= !ready.is_empty();
        ready
    }

    /// An answer is over. `mended`: what made it fail will not be there at the next try.
    pub(super) fn answered(&mut self, outcome: &ResponseOutcome, usage: Option<Usage>, mended: bool) {
        self.response = None;
        if let Some(usage) = usage {
            self.usage += usage;
        }
        match outcome {
            ResponseOutcome::Completed | ResponseOutcome::Unknown => {}
            // What was lost has to be asked for again; answered calls make it due as well.
            ResponseOutcome::Cut | ResponseOutcome::Interrupted => self.due = true,
            ResponseOutcome::Failed { .. } if mended => self.due = true,
            ResponseOutcome::Failed { kind, message } => self.failed = Some((kind.clone(), message.clone())),
        }
    }
}

impl Call {
    pub(super) fn new(id: CallId, tool: String, args: Args) -> Self {
        Self { id, tool, args, state: CallState::Proposed }
    }

    /// Whether it has no result yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.state, CallState::Done { .. })
    }

    /// What it would do, once somebody has looked.
    #[must_use]
    pub fn intent(&self) -> Option<&Intent> {
        match &self.state {
            CallState::Asked { intent, .. }
            | CallState::Allowed { intent }
            | CallState::Running { intent, .. } => Some(intent),
            CallState::Proposed | CallState::Refused { .. } | CallState::Done { .. } => None,
        }
    }

    /// It has begun, whatever this version made of the facts before: a call that may have had effects is never
    /// taken for one that has not.
    pub(super) fn start(&mut self, since: Time) {
        let intent = self.intent().cloned().unwrap_or(Intent::Unknown);
        self.state = CallState::Running { intent, since };
    }
}
