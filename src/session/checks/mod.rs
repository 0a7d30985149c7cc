//! What was checked since files were last changed: tests, builds and linters among the commands that ran.
//!
//! It is told, and nothing is decided by it: a change that its words do not tell of is not known here.

mod line;
mod table;

use std::collections::BTreeMap;

use crate::protocol::{CallId, Check, Checked, Event, Fact, Intent, Item, ProcessId, Seq, Shown};

use super::Session;

/// Stale checks that are told of.
const TOLD: usize = 5;

/// The checks of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checks {
    /// Since when files are as they are.
    edited: Option<Seq>,
    /// Since when the turn goes on.
    turn: Seq,
    /// The last run of each check, by its name, and when it began.
    ran: BTreeMap<String, (Seq, Option<i32>)>,
    /// Commands that have begun, by their call.
    open: BTreeMap<CallId, (String, Seq)>,
    /// The calls of those that outlived them.
    processes: BTreeMap<ProcessId, CallId>,
    /// The command that has to pass, and when it began.
    verifying: Option<Seq>,
}

impl Checks {
    /// What there is to say at the end of a turn; nothing where nothing was changed and nothing was checked.
    pub(super) fn report(&self) -> Option<Checked> {
        let in_turn = |seq: Seq| seq > self.turn;
        let edited = self.edited.is_some_and(in_turn);
        let fresh = |began: Seq| self.edited.is_none_or(|edited| began >= edited);
        let check =
            |(name, (_, exit)): (&String, &(Seq, Option<i32>))| Check { name: name.clone(), exit: *exit };
        let told =
            |fresh_ones: bool| self.ran.iter().filter(move |(_, (began, _))| fresh(*began) == fresh_ones);
        if !edited && !self.ran.values().any(|(began, _)| in_turn(*began)) {
            return None;
        }
        Some(Checked {
            edited,
            fresh: told(true).filter(|(_, (began, _))| edited || in_turn(*began)).map(check).collect(),
            stale: told(false).map(check).take(TOLD).collect(),
        })
    }

    fn edited(&mut self, at: Seq) {
        self.edited = self.edited.max(Some(at));
    }

    /// A command has ended.
    fn ended(&mut self, call: &CallId, exit: Option<i32>, at: Seq) {
        let Some((command, began)) = self.open.remove(call) else { return };
        let line::Line { checks, edits } = line::read(&command);
        if let Some(before) = edits {
            // Checks behind the change are of what it made.
            let all_behind = before == 0 && !checks.is_empty();
            self.edited(if all_behind { began } else { at });
        }
        for (name, says) in checks {
            self.ran.insert(name, (began, says.exit(exit)));
        }
    }
}

impl Session {
    pub(super) fn check_fact(&mut self, event: &Event) {
        let checks = &mut self.checks;
        match &event.fact {
            Fact::TurnStarted { .. } => checks.turn = event.seq,
            Fact::ToolStarted { call } => {
                let call = self.turn.iter().flat_map(|turn| turn.open()).find(|open| open.id == *call);
                if let Some(Intent::Command { command, .. }) = call.and_then(|call| call.intent())
                    && let Some(call) = call
                {
                    checks.open.insert(call.id.clone(), (command.clone(), event.seq));
                }
            }
            Fact::ItemAdded { item } => match &**item {
                Item::ToolResult { call, shown: Shown::Patch { files }, .. } if !files.is_empty() => {
                    checks.open.remove(call);
                    checks.edited(event.seq);
                }
                Item::ToolResult { call, shown: Shown::Command { process: None, exit, .. }, .. } => {
                    checks.ended(call, *exit, event.seq);
                }
                Item::ToolResult { call, shown: Shown::Command { process: Some(process), .. }, .. }
                    if checks.open.contains_key(call) =>
                {
                    checks.processes.insert(*process, call.clone());
                }
                // It was interrupted, or did not begin.
                Item::ToolResult { call, .. } => drop(checks.open.remove(call)),
                Item::Context { .. }
                | Item::User { .. }
                | Item::Assistant { .. }
                | Item::Reasoning { .. }
                | Item::ToolCall { .. }
                | Item::Sources { .. }
                | Item::Sealed { .. }
                | Item::Unknown(_) => {}
            },
            Fact::ProcessExited { process, exit, .. } => {
                if let Some(call) = checks.processes.remove(process) {
                    checks.ended(&call, *exit, event.seq);
                }
            }
            Fact::VerifyStarted { .. } => checks.verifying = Some(event.seq),
            Fact::VerifyFinished { command, exit, stopped, .. } => {
                if let (Some(began), false) = (checks.verifying.take(), *stopped) {
                    checks.ran.insert(command.clone(), (began, *exit));
                }
            }
            // Files are others now than those that were checked.
            Fact::Restored { .. } => checks.edited(event.seq),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        Args, By, Excerpt, Outcome, PatchedFile, ResponseId, ResponseOutcome, Time, TurnId,
    };

    /// A session that is told what its calls did.
    #[derive(Default)]
    struct Told {
        session: Session,
        calls: u32,
    }

    impl Told {
        fn fact(&mut self, fact: Fact) {
            let seq = Seq(self.session.seq.0 + 1);
            self.session.apply(&Event { seq, at: Time::UNIX_EPOCH, fact });
        }

        fn turn(&mut self) -> &mut Self {
            let turn = TurnId(self.session.turns.0 + 1);
            if self.session.turn.is_some() {
                self.fact(Fact::TurnFinished { turn, outcome: Outcome::Done, duration_ms: 1 });
            }
            self.fact(Fact::TurnStarted { turn });
            self.fact(Fact::item(Item::user("go")));
            self
        }

        fn begin(&mut self, command: &str) -> CallId {
            self.calls += 1;
            let (call, response) = (CallId(format!("c{}", self.calls)), ResponseId(self.calls));
            let args = Args::Json("{}".into());
            self.fact(Fact::ResponseStarted { response });
            self.fact(Fact::item(Item::ToolCall { call: call.clone(), id: None, tool: "t".into(), args }));
            let outcome = ResponseOutcome::Completed;
            self.fact(Fact::ResponseFinished { response, outcome, usage: None });
            let intent = Intent::Command {
                command: command.into(),
                workdir: "/w".into(),
                escalated: false,
                justification: None,
                prefix: vec![],
                shell: None,
            };
            self.fact(Fact::CallAllowed { call: call.clone(), by: By::Policy, intent });
            self.fact(Fact::ToolStarted { call: call.clone() });
            call
        }

        fn result(&mut self, call: CallId, shown: Shown) {
            self.fact(Fact::item(Item::ToolResult { call, content: vec![], shown }));
        }

        fn ran(&mut self, command: &str, exit: i32) -> &mut Self {
            let call = self.begin(command);
            self.result(call, shown(command, Some(exit), None));
            self
        }

        fn edit(&mut self) -> &mut Self {
            let call = self.begin("x");
            let file = PatchedFile {
                path: "/w/a".into(),
                operation: crate::protocol::FileOperation::Update,
                moved_to: None,
                added: 1,
                removed: 0,
                diff: String::new(),
            };
            self.result(call, Shown::Patch { files: vec![file] });
            self
        }

        fn says(&self) -> String {
            self.session.checks.report().map(|checked| checked.in_words()).unwrap_or_default()
        }
    }

    fn shown(command: &str, exit: Option<i32>, process: Option<ProcessId>) -> Shown {
        Shown::Command {
            command: command.into(),
            workdir: "/w".into(),
            exit,
            process,
            duration_ms: 1,
            output: Excerpt::default(),
        }
    }

    #[test]
    fn checks_are_stale_from_the_next_edit_on() {
        let mut told = Told::default();
        assert_eq!(told.turn().says(), "", "nothing was changed and nothing was checked");
        assert_eq!(told.ran("ls", 0).says(), "");
        assert_eq!(told.ran("cargo test", 0).says(), "checked: cargo test ✓");
        assert_eq!(told.edit().says(), "not checked since the last edit; stale: cargo test");
        assert_eq!(
            told.ran("cargo clippy", 101).says(),
            "checked after the last edit: cargo clippy ✗ (exit 101); stale: cargo test"
        );
        told.ran("cargo test | tail", 0);
        assert_eq!(
            told.says(),
            "checked after the last edit: cargo clippy ✗ (exit 101), cargo test (its exit code is hidden)"
        );
        assert_eq!(told.turn().says(), "", "a turn of words says nothing of the one before");
        assert_eq!(told.ran("cargo clippy", 0).says(), "checked: cargo clippy ✓");
        assert_eq!(
            told.ran("sed -i s/a/b/ x", 0).says(),
            "not checked since the last edit; stale: cargo clippy, cargo test"
        );
        assert_eq!(
            told.ran("sed -i s/b/c/ x && cargo test", 0).says(),
            "checked after the last edit: cargo test ✓; stale: cargo clippy"
        );
    }

    #[test]
    fn a_check_that_outlives_its_call_counts_from_when_it_began() {
        let mut told = Told::default();
        told.turn();
        let process = ProcessId(7);
        for (edit, expected) in
            [(false, "checked: cargo test ✓"), (true, "not checked since the last edit; stale: cargo test")]
        {
            let call = told.begin("cargo test");
            told.fact(Fact::ProcessStarted { process, call: call.clone(), command: "cargo test".into() });
            told.result(call, shown("cargo test", None, Some(process)));
            if edit {
                told.edit();
            }
            // Whoever looks at it does not run it again.
            let look = told.begin("x");
            told.result(look, shown("cargo test", Some(0), None));
            told.fact(Fact::ProcessExited { process, exit: Some(0), output: None });
            assert_eq!(told.says(), expected);
        }
    }

    #[test]
    fn what_was_interrupted_says_nothing() {
        let mut told = Told::default();
        told.turn();
        let call = told.begin("cargo test");
        told.result(call, Shown::failure("aborted by user"));
        assert_eq!(told.says(), "");
    }
}
