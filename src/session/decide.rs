//! What a command becomes: facts, or a refusal. Here, and only here, commands are refused.

use crate::protocol::{
    By, CallId, Command, Content, Delivery, Fact, InputId, Item, Outcome, Rejection, ResponseOutcome, Shown,
    Time, TurnId, Verdict,
};

use super::{CallState, Session};

impl Session {
    /// The facts that obey a command, at the time `now`.
    ///
    /// # Errors
    /// When it makes no sense in this state; nothing has changed then.
    pub fn decide(&self, command: Command, now: Time) -> Result<Vec<Fact>, Rejection> {
        match command {
            Command::Submit { content, delivery } => self.submit(content, delivery),
            Command::Retract { input } => {
                if self.queue.iter().any(|queued| queued.input == input) {
                    Ok(vec![Fact::InputRetracted { input }])
                } else {
                    Err(Rejection::NotQueued(input))
                }
            }
            Command::Interrupt => self.interrupt(now),
            Command::Decide { call, verdict } => self.verdict(call, verdict),
            Command::Configure { settings } => Ok(vec![Fact::Configured { settings: *settings }]),
            Command::Rename { title } => Ok(vec![Fact::Renamed { title }]),
            Command::Rewind { to } => self.rewind(to),
            // The state stays as it is: that is what makes it resumable.
            Command::Shutdown => Ok(Vec::new()),
        }
    }

    fn submit(&self, content: Vec<Content>, delivery: Delivery) -> Result<Vec<Fact>, Rejection> {
        let empty = content.iter().all(|part| match part {
            Content::Text { text } => text.trim().is_empty(),
            Content::Image { .. } => false,
            Content::Unknown(_) => true,
        });
        if empty {
            return Err(Rejection::Empty);
        }
        if self.idle() {
            return Ok(vec![
                Fact::TurnStarted { turn: TurnId(self.turns.0 + 1) },
                Fact::item(Item::User { content, input: None }),
            ]);
        }
        Ok(vec![Fact::InputQueued { input: InputId(self.inputs + 1), content, delivery }])
    }

    fn verdict(&self, id: CallId, verdict: Verdict) -> Result<Vec<Fact>, Rejection> {
        let Some(CallState::Asked { intent, grants, .. }) = self.call(&id).map(|call| &call.state) else {
            return Err(Rejection::NotWaiting(id));
        };
        let intent = intent.clone();
        Ok(vec![match verdict {
            Verdict::Allow => Fact::CallAllowed { call: id, by: By::Person { grant: None }, intent },
            // Only what was shown can be allowed for longer.
            Verdict::AllowAlways { grant } if !grants.contains(&grant) => {
                return Err(Rejection::NotOffered(id));
            }
            Verdict::AllowAlways { grant } => {
                Fact::CallAllowed { call: id, by: By::Person { grant: Some(grant) }, intent }
            }
            Verdict::Deny { note } => {
                let reason = if note.trim().is_empty() {
                    "The user does not want this to be done. Do not try it in another way.".to_owned()
                } else {
                    format!("The user does not want this to be done, and says: {}", note.trim())
                };
                Fact::CallRefused { call: id, by: By::Person { grant: None }, reason }
            }
        }])
    }

    fn interrupt(&self, now: Time) -> Result<Vec<Fact>, Rejection> {
        let turn = self.turn.as_ref().ok_or(Rejection::Idle)?;
        let mut facts = Vec::new();
        if let Some(response) = turn.response {
            facts.push(Fact::ResponseFinished {
                response,
                outcome: ResponseOutcome::Interrupted,
                usage: None,
            });
        }
        for call in turn.open() {
            let text = match &call.state {
                CallState::Running { since, .. } => {
                    format!(
                        "aborted by user after {:.1}s; what it had done by then is done",
                        seconds(*since, now)
                    )
                }
                _ => "aborted by user; it did not run".to_owned(),
            };
            facts.push(result(&call.id, text));
        }
        facts.push(Fact::TurnFinished {
            turn: turn.id,
            outcome: Outcome::Interrupted,
            duration_ms: self.turn_duration_ms(now),
        });
        Ok(facts)
    }

    /// How long the turn has run, in milliseconds.
    #[must_use]
    pub fn turn_duration_ms(&self, now: Time) -> u64 {
        let started = self.turn.as_ref().map_or(now, |turn| turn.started);
        u64::try_from(now.as_millisecond() - started.as_millisecond()).unwrap_or(0)
    }
}

/// The result of a call that did not give one itself.
pub(super) fn result(call: &CallId, text: String) -> Fact {
    Fact::item(Item::ToolResult {
        call: call.clone(),
        content: vec![Content::text(text.clone())],
        shown: Shown::failure(text),
    })
}

fn seconds(from: Time, to: Time) -> f64 {
    (to.as_millisecond() - from.as_millisecond()).max(0) as f64 / 1000.0
}
