//! The one door: only here does something become true. Written, then folded, then shown.
//!
//! What is written survives the end of this program at any moment. What somebody relies on survives the end of the
//! machine as well.

use crate::protocol::{By, Context, Fact, Item, Rejection};
use crate::store::LogError;

use super::Harness;

impl Harness {
    /// Records facts, all or none. When they can't be written the harness takes no more work, and says why;
    /// what was recorded before stays.
    pub(super) fn record(&mut self, facts: Vec<Fact>) {
        if let Err(why) = self.try_record(facts) {
            self.give_up(why);
        }
    }

    /// The same for facts with words or paths from outside, which may be such that no log can hold them.
    ///
    /// # Errors
    /// Why they can't be held. Nothing has become true then, and something else can be recorded in their place.
    pub(super) fn try_record(&mut self, facts: Vec<Fact>) -> Result<(), String> {
        if facts.is_empty() || self.unwritable.is_some() {
            return Ok(());
        }
        match self.log.append(facts, (self.clock)()) {
            Ok(events) => {
                let promised = events.iter().any(|event| is_promise(&event.fact));
                if promised && let Err(error) = self.log.sync() {
                    self.give_up(error.to_string());
                    return Ok(());
                }
                for event in events {
                    self.session.apply(&event);
                    self.answer_knock(&event.fact);
                    self.fanout.event(event);
                }
            }
            Err(LogError::Unfit(why)) => return Err(why),
            Err(error) => self.give_up(error.to_string()),
        }
        Ok(())
    }

    pub(super) fn give_up(&mut self, reason: String) {
        self.turn.cancel();
        self.fanout.rejected(Rejection::Unwritable(reason.clone()));
        self.unwritable = Some(reason);
    }
}

/// Whether somebody relies on it from the moment that it is shown, or that what it announces begins: it is on the disk
/// before that, also should the power fail. All others follow with the next of these.
fn is_promise(fact: &Fact) -> bool {
    match fact {
        // What a person said, and that the model may be asked about it.
        Fact::InputQueued { .. } | Fact::InputRetracted { .. } => true,
        Fact::ItemAdded { item } => {
            // A notice tells of what a person did to a process, which begins then.
            matches!(**item, Item::User { .. } | Item::Context { context: Context::Notice, .. })
        }
        // What has side effects, and what a person decides or has decided.
        Fact::ToolStarted { .. } | Fact::ApprovalRequested { .. } => true,
        Fact::HostAllowed { by, .. } | Fact::HostRefused { by, .. } => matches!(by, By::Person { .. }),
        Fact::CallAllowed { by, .. } | Fact::CallRefused { by, .. } => matches!(by, By::Person { .. }),
        Fact::Revoked { .. } | Fact::Rewound { .. } => true,
        // What it is about is about to be changed, or was.
        Fact::RestoreStarted { .. } | Fact::Restored { .. } => true,
        Fact::TurnFinished { .. } => true,
        // What a person wants from now on.
        Fact::Budgeted { .. } | Fact::VerifyWanted { .. } => true,
        Fact::GoalSet { .. } | Fact::GoalChanged { .. } => true,
        _ => false,
    }
}
