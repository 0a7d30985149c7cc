//! Done means that a command passes: when it is due, and what it comes to.

use crate::protocol::{Claim, Fact, Seq, Verify};

use super::Session;

/// The command that has to pass, and how often it did not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verifying {
    /// What has to pass before a turn counts as done.
    pub wanted: Option<Verify>,
    /// The command that runs.
    pub running: Option<String>,
    /// The fact that it was begun.
    pub began: Seq,
    /// How often it failed in this turn.
    pub failed: u32,
    /// It passed, and the model has not been asked since.
    pub(super) passed: bool,
}

impl Session {
    /// The command that is to be run before the turn ends.
    pub(super) fn verify_due(&self) -> Option<&str> {
        if self.verifying.passed {
            return None;
        }
        match &self.goal {
            Some(goal) if goal.is_active() => {
                goal.claims(Claim::Complete).then_some(goal.goal.verify.as_deref()).flatten()
            }
            _ => self.verifying.wanted.as_ref().map(|verify| verify.command.as_str()),
        }
    }

    /// What the model is told when it did not pass. `output` has how it ended and what it said.
    #[must_use]
    pub fn not_verified(&self, command: &str, output: &str) -> String {
        let most = self.verifying.wanted.as_ref().map(|verify| verify.tries);
        let of = match (&self.goal, most) {
            (Some(goal), _) if goal.is_active() => "The goal is not met yet".to_owned(),
            (_, Some(most)) => format!("Not done yet (try {} of {most})", self.verifying.failed + 1),
            (_, None) => "Not done yet".to_owned(),
        };
        format!("{of}: `{command}`, which has to pass, did not.\n{output}")
    }

    /// That the command that runs says nothing any more.
    pub(super) fn stop_verify(&self) -> Option<Fact> {
        let command = self.verifying.running.clone()?;
        Some(Fact::VerifyFinished { command, exit: None, duration_ms: 0, stopped: true })
    }

    pub(super) fn verified(&mut self, command: &str, exit: Option<i32>, stopped: bool) {
        self.verifying.running = None;
        if stopped {
            return;
        }
        if exit == Some(0) {
            self.verifying.passed = true;
            return;
        }
        self.verifying.failed += 1;
        let failed = self.verifying.failed;
        let Some(turn) = &mut self.turn else { return };
        match &mut self.goal {
            Some(goal) if goal.is_active() => {
                goal.refuted();
                turn.due = true;
            }
            _ if self.verifying.wanted.as_ref().is_some_and(|verify| failed < verify.tries) => {
                turn.due = true;
            }
            _ => {
                let times = if failed == 1 { "once".to_owned() } else { format!("{failed} times") };
                let message = format!("not done: `{command}` has to pass, and failed {times}");
                turn.failed = Some(("verify".to_owned(), message));
            }
        }
    }
}
