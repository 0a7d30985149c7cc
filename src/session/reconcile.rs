//! Closing what a dead process left open. Once, after replay, before anything else is done.

use crate::protocol::{Fact, Outcome, ResponseOutcome, SecretAnswer};

use super::{CallState, ProcessState, Session, decide::result};

impl Session {
    /// The facts that bring the log back to the truth: the answer that was being received is not coming, no connection
    /// waits any more, a call
    /// that had begun will not tell how it ended, and no process survived.
    ///
    /// A turn whose message did not get to the disk has nothing to do, and is not taken for one that did it.
    ///
    /// A call that was allowed and had not begun simply runs; one that waits for a person goes on waiting.
    #[must_use]
    pub fn reconcile(&self) -> Vec<Fact> {
        let mut facts: Vec<Fact> = self.close_hosts("the agent was stopped while this waited").collect();
        facts.extend(self.stop_compaction("the agent was stopped while it went on"));
        facts.extend(self.stop_verify());
        if let Some(response) = self.turn.as_ref().and_then(|turn| turn.response) {
            facts.push(Fact::ResponseFinished {
                response,
                outcome: ResponseOutcome::Interrupted,
                usage: None,
            });
        }
        if let Some(turn) = self.turn.as_ref().filter(|turn| !turn.begun) {
            facts.push(Fact::TurnFinished { turn: turn.id, outcome: Outcome::Interrupted, duration_ms: 0 });
        }
        for call in self.calls() {
            if matches!(call.state, CallState::Running { .. }) {
                let text = "The agent was stopped while this ran, and its output is lost. It may have had all, \
                            some or none of its effects: look before you do it again.";
                facts.push(result(&call.id, text.to_owned()));
            }
        }
        for process in self.secrets.keys() {
            facts.push(Fact::SecretAnswered { process: *process, answer: SecretAnswer::Gone });
        }
        for (process, known) in &self.processes {
            if known.state == ProcessState::Running {
                facts.push(Fact::ProcessExited { process: *process, exit: None, output: None });
            }
        }
        facts.extend(self.undo.reconcile(self.turn.as_ref().is_some_and(|turn| turn.begun)));
        facts
    }
}
