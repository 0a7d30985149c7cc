//! What a command becomes: facts, or a refusal. Here, and only here, commands are refused.

use crate::protocol::{
    By, CallId, Command, Content, Context, Delivery, Fact, InputId, Item, Outcome, ProcessId, Rejection,
    ResponseOutcome, Scope, SecretAnswer, Shown, Time, TurnId, Verdict,
};

use super::{CallState, ProcessState, Session};

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
            Command::DecideHost { request, verdict } => self.host_verdict(request, verdict),
            Command::Configure { settings }
                if settings.price.is_none() && self.spending.budget.max_usd.is_some() =>
            {
                Err(Rejection::Unpriced(settings.model.to_string()))
            }
            Command::Configure { settings } => Ok(vec![Fact::Configured { settings: *settings }]),
            Command::Rename { title } => Ok(vec![Fact::Renamed { title }]),
            Command::Revoke { rule } if self.rules.contains(&rule) => Ok(vec![Fact::Revoked { rule }]),
            Command::Revoke { .. } => Err(Rejection::NoRule),
            Command::WriteStdin { text, .. } if text.is_empty() => Err(Rejection::Empty),
            Command::WriteStdin { process, text } if text == "\u{3}" => {
                self.by_hand(process, "pressed Ctrl-C in")
            }
            Command::WriteStdin { process, .. } => self.by_hand(process, "typed into"),
            Command::AnswerSecret { process, .. } if !self.secrets.contains_key(&process) => {
                Err(Rejection::NotAsking(process))
            }
            Command::AnswerSecret { process, line } => {
                let answer = if line.is_some() { SecretAnswer::Typed } else { SecretAnswer::Left };
                Ok(vec![Fact::SecretAnswered { process, answer }])
            }
            Command::Kill { process } => self.by_hand(process, "ended"),
            Command::Compact { note } => self.compact(note.trim().to_owned()),
            Command::Rewind { to } => self.rewind(to),
            Command::Restore { .. } if !self.idle() => Err(Rejection::Busy),
            Command::Restore { restore } => {
                if self.undo.of(&restore)?.to != restore.to {
                    return Err(Rejection::NothingToUndo);
                }
                if let Some(to) = restore.rewind.filter(|to| self.said_at(*to).is_none()) {
                    return Err(Rejection::NoMessage(to));
                }
                Ok(vec![Fact::RestoreStarted { restore }])
            }
            Command::SetBudget { budget } => {
                let priced = self.settings.as_ref().filter(|settings| settings.price.is_none());
                match priced.filter(|_| budget.max_usd.is_some()) {
                    Some(settings) => Err(Rejection::Unpriced(settings.model.to_string())),
                    None => Ok(vec![Fact::Budgeted { budget }]),
                }
            }
            Command::Extend => self.extended(now),
            Command::SetVerify { verify } => Ok(vec![Fact::VerifyWanted { verify }]),
            Command::SetGoal { goal } => self.set_goal(goal),
            Command::ChangeGoal { status } => self.change_goal(status),
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
        let by = |grant, scope| By::Person { grant, scope };
        Ok(vec![match verdict {
            Verdict::Allow => Fact::CallAllowed { call: id, by: by(None, Scope::Session), intent },
            // Only what was shown can be allowed for longer.
            Verdict::AllowAlways { grant, scope } if !grants.contains(&grant) || !grant.fits(scope) => {
                return Err(Rejection::NotOffered(id));
            }
            Verdict::AllowAlways { grant, scope } => {
                Fact::CallAllowed { call: id, by: by(Some(grant), scope), intent }
            }
            Verdict::Deny { note } => {
                let reason = if note.trim().is_empty() {
                    "The user does not want this to be done. Do not try it in another way.".to_owned()
                } else {
                    format!("The user does not want this to be done, and says: {}", note.trim())
                };
                Fact::CallRefused { call: id, by: by(None, Scope::Session), reason }
            }
        }])
    }

    /// What a person did to a process. The model hears that it was done, once until it hears something else, and not
    /// what was typed: what of it is no secret is echoed in the output.
    fn by_hand(&self, id: ProcessId, did: &str) -> Result<Vec<Fact>, Rejection> {
        let process = self.processes.get(&id).filter(|process| process.state == ProcessState::Running);
        let process = process.ok_or(Rejection::NotRunning(id))?;
        let text = format!("The user {did} session ID {id} (`{}`) by hand.", short(&process.command));
        let notices = self.items.iter().rev().map_while(|item| match &**item {
            Item::Context { context: Context::Notice, text } => Some(text),
            _ => None,
        });
        let held = self.held.iter().filter_map(|item| match &**item {
            Item::Context { text, .. } => Some(text),
            _ => None,
        });
        if notices.chain(held).any(|told| *told == text) {
            return Ok(Vec::new());
        }
        Ok(vec![Fact::item(Item::Context { context: Context::Notice, text })])
    }

    fn interrupt(&self, now: Time) -> Result<Vec<Fact>, Rejection> {
        if self.turn.is_none() {
            let stopped = self.stop_compaction("the user interrupted it").into_iter();
            let facts: Vec<Fact> = stopped.chain(self.goal_interrupted()).collect();
            return if facts.is_empty() { Err(Rejection::Idle) } else { Ok(facts) };
        }
        let paused = self.goal_interrupted();
        let closed = self.closed("aborted by user", Outcome::Interrupted, now);
        Ok(paused.into_iter().chain(closed).collect())
    }

    /// The facts that end the turn now, each call with its result. `how` is what these begin with.
    pub(super) fn closed(&self, how: &str, outcome: Outcome, now: Time) -> Vec<Fact> {
        let Some(turn) = &self.turn else { return Vec::new() };
        let (hosts, compaction) = match outcome {
            Outcome::Interrupted => {
                ("the user interrupted while this waited for an answer", "the user interrupted it")
            }
            _ => ("the turn was ended while this waited for an answer", "the turn was ended"),
        };
        let mut facts: Vec<Fact> = self.close_hosts(hosts).collect();
        facts.extend(self.stop_compaction(compaction));
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
                    format!("{how} after {:.1}s; what it had done by then is done", seconds(*since, now))
                }
                _ => format!("{how}; it did not run"),
            };
            facts.push(result(&call.id, text));
        }
        facts.extend(self.stop_verify());
        facts.push(Fact::TurnFinished { turn: turn.id, outcome, duration_ms: self.turn_duration_ms(now) });
        facts
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

/// The beginning of a command, enough to know it by.
fn short(command: &str) -> String {
    let line = command.trim().lines().next().unwrap_or_default();
    let cut: String = line.chars().take(80).collect();
    if cut.len() < command.trim().len() { cut + "…" } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Event, Seq};

    /// A session after these facts, a second apart.
    fn told(facts: impl IntoIterator<Item = Fact>) -> Session {
        let mut session = Session::default();
        for (index, fact) in facts.into_iter().enumerate() {
            let at = Time::from_second(i64::try_from(index).unwrap()).unwrap();
            session.apply(&Event { seq: Seq(index as u64 + 1), at, fact });
        }
        session
    }

    fn started(id: u32, command: &str) -> Fact {
        Fact::ProcessStarted { process: ProcessId(id), call: "c".into(), command: command.into() }
    }

    fn exited(id: u32) -> Fact {
        Fact::ProcessExited { process: ProcessId(id), exit: Some(0), output: None }
    }

    fn typed(id: u32, text: &str) -> Command {
        Command::WriteStdin { process: ProcessId(id), text: text.into() }
    }

    #[test]
    fn what_a_person_does_to_a_process_is_refused_or_told_to_the_model() {
        let kill = |id| Command::Kill { process: ProcessId(id) };
        let session = told([started(1, "npm\nrun"), started(2, "old"), exited(2)]);
        for (command, expected) in [
            (typed(1, "hunter2\r"), Ok("The user typed into session ID 1 (`npm…`) by hand.")),
            (typed(1, "\u{3}"), Ok("The user pressed Ctrl-C in session ID 1 (`npm…`) by hand.")),
            (kill(1), Ok("The user ended session ID 1 (`npm…`) by hand.")),
            (typed(1, ""), Err(Rejection::Empty)),
            (typed(2, "y"), Err(Rejection::NotRunning(ProcessId(2)))),
            (kill(2), Err(Rejection::NotRunning(ProcessId(2)))),
            (kill(3), Err(Rejection::NotRunning(ProcessId(3)))),
        ] {
            let notice = |text: &str| Item::Context { context: Context::Notice, text: text.to_owned() };
            let expected = expected.map(|text| vec![Fact::item(notice(text))]);
            assert_eq!(session.decide(command.clone(), Time::UNIX_EPOCH), expected, "{command:?}");
        }
    }

    #[test]
    fn a_line_that_is_not_echoed_is_given_once_and_only_where_it_is_asked_for() {
        let asked = || Fact::SecretAsked {
            process: ProcessId(1),
            command: "sudo true".into(),
            prompt: "Password:".into(),
        };
        let answered = |answer| Fact::SecretAnswered { process: ProcessId(1), answer };
        let answer = |line: Option<&str>| Command::AnswerSecret {
            process: ProcessId(1),
            line: line.map(|line| line.to_owned().into()),
        };
        let typed = told([asked()]).decide(answer(Some("hunter2")), Time::UNIX_EPOCH);
        assert_eq!(typed, Ok(vec![answered(SecretAnswer::Typed)]));
        assert!(!format!("{typed:?} {:?}", answer(Some("hunter2"))).contains("hunter2"));
        let left = told([asked()]).decide(answer(None), Time::UNIX_EPOCH);
        assert_eq!(left, Ok(vec![answered(SecretAnswer::Left)]));
        for over in
            [vec![], vec![asked(), answered(SecretAnswer::Typed)], vec![started(1, "x"), asked(), exited(1)]]
        {
            let refused = told(over).decide(answer(Some("x")), Time::UNIX_EPOCH);
            assert_eq!(refused, Err(Rejection::NotAsking(ProcessId(1))));
        }
        assert_eq!(told([asked()]).reconcile(), [answered(SecretAnswer::Gone)]);
    }

    #[test]
    fn the_model_is_told_once_until_it_hears_something_else() {
        let mut facts = vec![started(1, "cat")];
        let decide =
            |facts: &[Fact], command| told(facts.to_vec()).decide(command, Time::UNIX_EPOCH).unwrap();
        facts.extend(decide(&facts, typed(1, "a")));
        assert_eq!(decide(&facts, typed(1, "b")), []);
        facts.extend(decide(&facts, typed(1, "\u{3}")));
        assert_eq!(decide(&facts, typed(1, "c")), []);
        facts.push(Fact::item(Item::user("go on")));
        assert_eq!(decide(&facts, typed(1, "d")).len(), 1);
    }

    #[test]
    fn a_notice_stands_behind_the_answer_that_is_worked_off_when_it_comes() {
        let response = crate::protocol::ResponseId(1);
        let call = |id: &str| {
            let args = crate::protocol::Args::Json("{}".into());
            Fact::item(Item::ToolCall { call: id.into(), id: None, tool: "t".into(), args })
        };
        let notice = |text: &str| Fact::item(Item::Context { context: Context::Notice, text: text.into() });
        let finished = Fact::ResponseFinished { response, outcome: ResponseOutcome::Completed, usage: None };
        let session = told([
            notice("before"),
            Fact::TurnStarted { turn: TurnId(1) },
            Fact::item(Item::user("go")),
            Fact::ResponseStarted { response },
            call("a"),
            notice("one"),
            call("b"),
            finished,
            result(&"b".into(), "second".into()),
            notice("two"),
            result(&"a".into(), "first".into()),
            notice("three"),
        ]);
        let shown: Vec<String> = session
            .items
            .iter()
            .map(|item| match &**item {
                Item::Context { text, .. } => text.clone(),
                Item::ToolCall { call, .. } => format!("call {call}"),
                Item::ToolResult { call, .. } => format!("result {call}"),
                _ => "user".into(),
            })
            .collect();
        let expected = ["before", "user", "call a", "call b", "result a", "result b", "one", "two", "three"];
        assert_eq!(shown, expected);
    }
}
