//! Properties of the fold: a session driven by a random model, random tools and a random person.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::protocol::{
    Approval, Args, Budget, CallId, Claim, Command, Compaction, CompactionMeans, CompactionReason, Context,
    Counts, Goal, GoalStatus, Grant, Intent, Limits, Moment, Part, Rejection, ResponseId, ResponseOutcome,
    SandboxMode, SnapshotId, Snapshots, StepStatus, Time, Verdict, Verify,
};

/// A whole world that follows the contract of the harness, with chance as its only input.
struct World {
    session: Session,
    log: Vec<Event>,
    calls: u32,
    running: Vec<CallId>,
    streaming: Option<ResponseId>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            session: Session::default(),
            log: Vec::new(),
            calls: 0,
            running: Vec::new(),
            streaming: None,
        };
        world.record(vec![
            Fact::SessionStarted {
                session: SessionId(uuid::Uuid::nil()),
                version: 1,
                agent: "test".into(),
                workspace: "/w".into(),
                parent: None,
            },
            Fact::Configured { settings: settings() },
        ]);
        world
    }

    fn record(&mut self, facts: Vec<Fact>) {
        for fact in facts {
            let seq = Seq(self.log.len() as u64 + 1);
            let event = Event { seq, at: Time::UNIX_EPOCH, fact };
            self.session.apply(&event);
            self.log.push(event);
        }
    }

    fn command(&mut self, command: Command) {
        if let Ok(facts) = self.session.decide(command, Time::UNIX_EPOCH) {
            self.record(facts);
        }
        self.forget();
    }

    /// What the harness does when a turn has been closed under a job.
    fn forget(&mut self) {
        self.running.retain(|call| self.session.call(call).is_some());
        let response = self.session.turn.as_ref().and_then(|turn| turn.response);
        self.streaming = self.streaming.filter(|streaming| Some(*streaming) == response);
    }

    /// Does all that is due. Returns how many steps that took.
    fn settle(&mut self, mut chance: impl FnMut() -> u8) -> usize {
        let mut steps = 0;
        while let Some(step) = self.session.next() {
            steps += 1;
            assert!(steps < 1000, "the same step is due for ever: {step:?}");
            self.begin(step, chance());
        }
        steps
    }

    fn begin(&mut self, step: Step, chance: u8) {
        let intent = match chance % 3 {
            0 => Intent::Write { files: vec![] },
            1 => Intent::None,
            _ => Intent::Read { paths: vec![] },
        };
        match step {
            Step::Judge(call) => self.record(vec![match chance % 5 {
                0 => Fact::ApprovalRequested {
                    call,
                    intent,
                    reason: "r".into(),
                    grants: vec![],
                    effects: None,
                },
                1 => Fact::CallRefused { call, by: By::Policy, reason: "no".into() },
                _ => Fact::CallAllowed { call, by: By::Policy, intent },
            }]),
            Step::Snapshot(turn, moment) => {
                let snapshot = SnapshotId(format!("s{chance}"));
                let taken = Fact::SnapshotTaken { turn, moment, snapshot, files: 0, bytes: 0, stored: 0 };
                let failed = Fact::SnapshotFailed { turn, moment, reason: "full".into() };
                let started = Fact::SnapshotStarted { turn, moment };
                self.record(vec![started, if chance.is_multiple_of(5) { failed } else { taken }]);
            }
            Step::Run(call) => {
                let intent = self.session.call(&call).unwrap().intent().unwrap();
                let kept = *self.session.undo.before() != super::undo::Kept::Not;
                assert!(kept || !intent.mutates(), "files may change before their state is kept");
                let alone = intent.exclusive();
                assert!(!alone || self.running.is_empty(), "an exclusive call was started beside others");
                self.running.push(call.clone());
                self.record(vec![Fact::ToolStarted { call }]);
            }
            Step::Refuse(call, reason) => self.record(vec![result(&call, &reason)]),
            Step::Deliver(input) => {
                self.record(vec![Fact::item(Item::User { content: vec![], input: Some(input) })]);
            }
            Step::AskModel(response) => {
                assert_eq!(
                    self.session.calls().count(),
                    0,
                    "the model is asked before its calls are answered"
                );
                self.streaming = Some(response);
                self.record(vec![Fact::ResponseStarted { response }]);
            }
            Step::RunOut(limit) => {
                self.record(self.session.run_out(limit, Time::UNIX_EPOCH));
                self.forget();
            }
            Step::Verify(command) => self.record(vec![Fact::VerifyStarted { command }]),
            Step::Settle(status, reason) => self.record(vec![Fact::GoalChanged { status, reason }]),
            Step::Pursue => {
                assert!(self.session.queue.is_empty(), "the goal goes on before what a person said");
                self.record(self.session.pursue());
            }
            Step::EndTurn(turn, outcome) => {
                let checked = self.session.checked().map(Fact::Checked);
                self.record(checked.into_iter().collect());
                self.record(vec![Fact::TurnFinished { turn, outcome, duration_ms: 0 }]);
            }
            Step::Compact(Wanted { reason, note }) => {
                assert_eq!(
                    self.session.calls().count(),
                    0,
                    "the conversation is cut between a call and its result"
                );
                match chance % 3 {
                    0 => self.compacted(reason, chance),
                    1 => self.record(vec![Fact::CompactionFailed {
                        reason,
                        problem: "p".into(),
                        stopped: false,
                    }]),
                    _ => self.record(vec![Fact::CompactionStarted { reason, note }]),
                }
            }
            Step::StartQueued(input) => self.record(vec![
                Fact::TurnStarted { turn: TurnId(self.session.turns.0 + 1) },
                Fact::item(Item::User { content: vec![], input: Some(input) }),
            ]),
        }
    }

    /// Something from outside: a person, the model, or a tool that is done.
    fn happen(&mut self, what: u8, which: u8) {
        match what % 14 {
            11 => self.command(match which % 6 {
                0 | 1 => goal(which),
                2 => Command::ChangeGoal { status: GoalStatus::Paused },
                3 | 4 => Command::ChangeGoal { status: GoalStatus::Active },
                _ => Command::ChangeGoal { status: GoalStatus::Cleared },
            }),
            12 => match which % 5 {
                0 => self.command(Command::SetBudget { budget: Budget::default() }),
                1 | 2 => self.command(Command::Extend),
                3 => self.command(Command::SetBudget { budget: budget(which) }),
                _ => {
                    if let Some((facts, _)) = self.session.time_is_up(Time::MAX) {
                        self.record(facts);
                        self.forget();
                    }
                }
            },
            13 => {
                if let Some(command) = self.session.verifying.running.clone() {
                    let exit = Some(i32::from(which % 3));
                    let finished = Fact::VerifyFinished { command, exit, duration_ms: 1, stopped: false };
                    self.record(vec![finished]);
                } else {
                    let verify = Verify { command: "make check".into(), tries: 1 + u32::from(which % 3) };
                    self.command(Command::SetVerify { verify: (!which.is_multiple_of(4)).then_some(verify) });
                }
            }
            8 => self.rewind(which),
            9 => self.command(Command::Compact { note: String::new() }),
            10 => {
                if let Some((_, Wanted { reason, .. })) = self.session.compacting.running.clone() {
                    self.compacted(reason, which);
                }
            }
            0 => self.command(submit(Delivery::Steer)),
            1 => self.command(submit(Delivery::AfterTurn)),
            2 if which.is_multiple_of(4) => self.command(Command::Interrupt),
            3 => {
                let asked: Vec<CallId> = self.session.asked().map(|call| call.id.clone()).collect();
                if let Some(call) = asked.get(usize::from(which) % asked.len().max(1)) {
                    let verdict = if which.is_multiple_of(2) {
                        Verdict::Allow
                    } else {
                        Verdict::Deny { note: "n".into() }
                    };
                    self.command(Command::Decide { call: call.clone(), verdict });
                }
            }
            4 | 5 => {
                if let Some(response) = self.streaming {
                    self.answer(response, which);
                }
            }
            6 if which.is_multiple_of(3) => {
                let notice = Item::Context { context: Context::Notice, text: "told".into() };
                self.record(vec![Fact::item(notice)]);
            }
            _ if !self.running.is_empty() => {
                let call = self.running.swap_remove(usize::from(which) % self.running.len());
                self.record(vec![match which % 4 {
                    0 => planned(&call, which),
                    1 => claimed(&call, which),
                    _ => result(&call, "done"),
                }]);
            }
            _ => {}
        }
    }

    /// Leaves out a part of the conversation.
    fn compacted(&mut self, reason: CompactionReason, which: u8) {
        let all = self.session.items.len();
        // No call is cut off from its result.
        let mut open = 0;
        let mut seams = vec![0];
        for (at, item) in self.session.items.iter().enumerate() {
            open += i32::from(matches!(**item, Item::ToolCall { .. }));
            open -= i32::from(matches!(**item, Item::ToolResult { .. }));
            seams.extend((open == 0).then_some(at + 1));
        }
        let seam = |which: u8| seams[usize::from(which) % seams.len()];
        let (from, to) = (seam(which), seam(which / 3));
        let text = Item::Context { context: Context::Summary, text: "s".into() };
        let compaction = Compaction {
            reason,
            how: CompactionMeans::Digest,
            parts: vec![
                Part::Keep(0, from.min(to)),
                Part::Item(Arc::new(text)),
                Part::Keep(from.max(to), all),
            ],
            from: 2,
            to: 1,
            kept: Counts::default(),
            dropped: Counts::default(),
            shrunk: 0,
            usage: None,
            problem: None,
        };
        let before = self.session.clone();
        self.record(vec![Fact::Compacted(Box::new(compaction))]);
        let (was, is) = (before.items.len(), self.session.items.len());
        assert_eq!(is, was - (from.max(to) - from.min(to)) + 1);
        assert!(self.session.epoch > before.epoch);
        assert!(self.session.said().eq(before.said()), "what the person said is known as before");
        let made = |session: &Session| session.left_out + answers(&session.items);
        assert_eq!(made(&self.session), made(&before));
    }

    /// Goes back to before one of the messages. All that belongs to the conversation is as it was then; all that
    /// belongs to the world is as it was now.
    fn rewind(&mut self, which: u8) {
        let said: Vec<Seq> = self.session.said().map(|(seq, _)| seq).collect();
        let Some(to) = said.get(usize::from(which) % said.len().max(1)).copied() else { return };
        let now = self.session.clone();
        let then = Session::replay(&self.log[..usize::try_from(to.0).unwrap() - 1]);
        if let Ok(mut facts) = self.session.decide(Command::Rewind { to }, Time::UNIX_EPOCH) {
            // What the harness reads from the log.
            if let Some(Fact::Rewound { items, .. }) = facts.first_mut().filter(|_| now.only_in_log(to)) {
                *items = Some(then.items.to_vec());
            }
            self.record(facts);
        }
        if !now.idle() {
            assert_eq!(self.session, now, "rewound under a turn");
            return;
        }
        let is = &self.session;
        let (kept, told) = is.items.split_at(then.items.len());
        assert_eq!(kept, &then.items[..]);
        assert!(told.iter().all(|item| matches!(**item, Item::Context { context: Context::Notice, .. })));
        assert!(told.len() <= 1 && is.epoch > now.epoch && is.idle());
        assert_eq!((&is.plan, is.counted, is.left_out), (&then.plan, then.counted, then.left_out));
        assert_eq!(
            (&is.rules, is.usage, &is.processes, is.turns),
            (&now.rules, now.usage, &now.processes, now.turns)
        );
        assert!(is.decide(Command::Rewind { to }, Time::UNIX_EPOCH).is_err(), "a message that is gone");
    }

    fn answer(&mut self, response: ResponseId, which: u8) {
        let usage = Some(Usage { input: u64::from(which), output: 1, ..Usage::default() });
        let finished = |outcome| Fact::ResponseFinished { response, outcome, usage };
        match which % 4 {
            0 | 1 => {
                self.calls += 1;
                let call = CallId(format!("c{}", self.calls));
                let item = Item::ToolCall { call, id: None, tool: "t".into(), args: Args::Json("{}".into()) };
                self.record(vec![Fact::item(item)]);
            }
            2 => {
                self.streaming = None;
                self.record(vec![finished(ResponseOutcome::Completed)]);
            }
            _ => {
                self.streaming = None;
                let kind = if which.is_multiple_of(3) { "context" } else { "server" };
                let failed = ResponseOutcome::Failed { kind: kind.into(), message: "m".into() };
                self.record(vec![finished(if which < 20 { failed } else { ResponseOutcome::Cut })]);
            }
        }
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        model: "mock/m".parse().unwrap(),
        effort: None,
        verbosity: None,
        approval: Approval::OnRequest,
        sandbox: SandboxMode::WorkspaceWrite,
        backend: "local".into(),
        limits: Limits::new(2700, 100),
        tools: crate::protocol::ToolStyle::Codex,
        price: None,
        snapshots: Snapshots::On,
        output_schema: None,
    }
}

fn submit(delivery: Delivery) -> Command {
    Command::Submit { content: vec![Content::text("hi")], delivery }
}

fn result(call: &CallId, text: &str) -> Fact {
    super::decide::result(call, text.to_owned())
}

fn goal(which: u8) -> Command {
    let verify = which.is_multiple_of(2).then(|| "make check".to_owned());
    let (tokens, seconds) = (Some(u64::from(which) * 7), which.is_multiple_of(7).then_some(5));
    Command::SetGoal { goal: Goal { text: "all is well".into(), tokens, seconds, verify } }
}

fn budget(which: u8) -> Budget {
    let deadline = which.is_multiple_of(2).then_some(Time::UNIX_EPOCH);
    let max_turns = Some(u32::from(which % 16) + 1);
    Budget { max_turns, deadline, hard: which.is_multiple_of(3), ..Budget::default() }
}

/// A result that says how the goal stands.
fn claimed(call: &CallId, which: u8) -> Fact {
    let claim = if which.is_multiple_of(3) { Claim::Blocked } else { Claim::Complete };
    let shown = Shown::Goal { claim, note: "n".into() };
    Fact::item(Item::ToolResult { call: call.clone(), content: vec![], shown })
}

/// A result that changes the plan.
fn planned(call: &CallId, which: u8) -> Fact {
    let steps = vec![PlanStep { step: which.to_string(), status: StepStatus::Pending }];
    let shown = Shown::Plan { steps, explanation: None };
    Fact::item(Item::ToolResult { call: call.clone(), content: vec![], shown })
}

/// Each call of the conversation has at most one result, none without its call, and results stand in the order
/// of their calls, with nothing of the program's own words between them.
fn check_pairing(session: &Session) {
    let mut calls = Vec::new();
    let mut results = Vec::new();
    for item in session.items.iter() {
        match &**item {
            Item::ToolCall { call, .. } => calls.push(call.clone()),
            Item::ToolResult { call, .. } => results.push(call.clone()),
            Item::Context { .. } => assert_eq!(calls, results, "a notice between calls and their results"),
            _ => {}
        }
    }
    assert_eq!(
        results.as_slice(),
        &calls[..results.len()],
        "results out of order, doubled or without a call"
    );
    if session.turn.is_none() {
        assert_eq!(results.len(), calls.len(), "a turn ended with calls unanswered");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(400), ..ProptestConfig::default() })]

    #[test]
    fn every_prefix_of_every_log_resumes_to_something_due_or_owed(
        script in prop::collection::vec((any::<u8>(), any::<u8>()), 1..120),
        dice in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut world = World::new();
        let mut thrown = 0;
        let mut throw = || { thrown += 1; dice[thrown % dice.len()] };
        world.command(submit(Delivery::Steer));
        for (what, which) in script {
            world.settle(&mut throw);
            world.happen(what, which);
            check_pairing(&world.session);
        }
        world.settle(&mut throw);

        prop_assert_eq!(&Session::replay(&world.log), &world.session, "a replay is not the live session");

        for end in 1..=world.log.len() {
            let mut resumed = World::new();
            resumed.session = Session::replay(&world.log[..end]);
            resumed.log = world.log[..end].to_vec();
            let closing = resumed.session.reconcile();
            resumed.record(closing);
            prop_assert!(resumed.session.reconcile().is_empty(), "reconciling twice finds something");
            resumed.settle(&mut throw);
            check_pairing(&resumed.session);
            let session = &resumed.session;
            let finished = session.turn.is_none() && session.queue.is_empty();
            let owed = resumed.streaming.is_some()
                || !resumed.running.is_empty()
                || session.compacting.running.is_some()
                || session.verifying.running.is_some()
                || session.out_of_budget().is_some()
                || session.asked().next().is_some();
            prop_assert!(finished || owed, "stuck after {} events: {:?}", end, session.turn);
            resumed.rewind(dice[end % dice.len()]);
            check_pairing(&resumed.session);
            prop_assert_eq!(&Session::replay(&resumed.log), &resumed.session);
        }
    }
}

#[test]
fn a_decision_for_a_call_that_is_not_waiting_is_refused() {
    let mut world = World::new();
    world.command(submit(Delivery::Steer));
    world.settle(|| 2);
    world.answer(ResponseId(1), 0);
    world.answer(ResponseId(1), 2);
    world.settle(|| 0);
    let allow = Command::Decide { call: "c1".into(), verdict: Verdict::Allow };
    let facts = world.session.decide(allow.clone(), Time::UNIX_EPOCH).unwrap();
    world.record(facts);
    assert!(world.session.decide(allow, Time::UNIX_EPOCH).is_err(), "allowed twice");
}

#[test]
fn a_message_during_calls_comes_after_their_results() {
    let mut world = World::new();
    world.command(submit(Delivery::Steer));
    world.settle(|| 2);
    for answer in [0, 0, 2] {
        world.answer(ResponseId(1), answer);
    }
    world.settle(|| 4);
    world.command(submit(Delivery::Steer));
    world.record(vec![result(&"c2".into(), "second"), result(&"c1".into(), "first")]);
    world.settle(|| 2);
    let kinds: Vec<String> = world
        .session
        .items
        .iter()
        .map(|item| match &**item {
            Item::User { .. } => "user".into(),
            Item::ToolCall { call, .. } => format!("call {call}"),
            Item::ToolResult { call, .. } => format!("result {call}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["user", "call c1", "call c2", "result c1", "result c2", "user"]);
}

#[test]
fn nothing_passes_free_text_that_waits_to_be_looked_at() {
    let mut world = World::new();
    world.command(submit(Delivery::Steer));
    let response = ResponseId(1);
    let call = |id: &str, args: Args| {
        Fact::item(Item::ToolCall { call: CallId::from(id), id: None, tool: "t".into(), args })
    };
    let ran = |id: &str, intent: Intent| {
        let id = CallId::from(id);
        vec![
            Fact::CallAllowed { call: id.clone(), by: By::Policy, intent },
            Fact::ToolStarted { call: id.clone() },
            result(&id, "done"),
        ]
    };
    world.record(vec![
        Fact::ResponseStarted { response },
        call("first", Args::Json("{}".into())),
        call("patch", Args::Text("…".into())),
        call("last", Args::Json("{}".into())),
        Fact::ResponseFinished { response, outcome: ResponseOutcome::Completed, usage: None },
    ]);
    let mut first = ran("first", Intent::None);
    let done = first.split_off(2);
    assert_eq!(world.session.next(), Some(Step::Judge("first".into())));
    world.record(first);
    assert_eq!(
        world.session.next(),
        None,
        "the patch waits for the first call, and the last one for the patch"
    );
    world.record(done);
    assert_eq!(world.session.next(), Some(Step::Judge("patch".into())));
    world.record(ran("patch", Intent::Write { files: vec![] }));
    assert_eq!(world.session.next(), Some(Step::Judge("last".into())));
}

#[test]
fn a_call_that_has_begun_is_never_run_again_whatever_was_not_understood_before() {
    let mut world = World::new();
    world.command(submit(Delivery::Steer));
    world.settle(|| 2);
    world.answer(ResponseId(1), 0);
    let newer = serde_json::json!({ "type": "call_allowed_by_committee", "call": "c1" });
    let newer = newer.as_object().unwrap().clone();
    world.record(vec![Fact::Unknown(newer), Fact::ToolStarted { call: "c1".into() }]);
    let closing = world.session.reconcile();
    world.record(closing);
    assert!(matches!(world.session.next(), Some(Step::AskModel(_))), "{:?}", world.session.next());
}

#[test]
fn what_was_taken_back_can_be_said_otherwise_and_the_model_is_told_that_files_may_differ() {
    let mut world = World::new();
    let say = |world: &mut World, text: &str| {
        let content = vec![Content::text(text)];
        world.command(Command::Submit { content, delivery: Delivery::Steer });
        world.settle(|| 2);
        let response = world.streaming.unwrap();
        (response, world.session.said().last().unwrap().0)
    };
    let (response, _) = say(&mut world, "one");
    world.answer(response, 2);
    world.settle(|| 2);
    let (response, second) = say(&mut world, "two");
    world.answer(response, 0);
    world.answer(response, 2);
    world.settle(|| 2);
    world.record(vec![result(&"c1".into(), "done")]);
    world.settle(|| 2);
    let to = Command::Rewind { to: second };
    assert_eq!(world.session.decide(to.clone(), Time::UNIX_EPOCH), Err(Rejection::Busy));
    world.command(Command::Interrupt);
    world.command(to);
    let (response, again) = say(&mut world, "two, otherwise");
    let words = |session: &Session| -> Vec<String> {
        let words = |item: &Arc<Item>| match &**item {
            Item::User { content, .. } => crate::protocol::words(content),
            Item::Context { text, .. } => text.split(',').next().unwrap().to_owned(),
            other => panic!("{other:?}"),
        };
        session.items.iter().map(words).collect()
    };
    let told = "The user took back what followed here";
    assert_eq!(words(&world.session), ["one", told, "two, otherwise"]);
    // The same place again: it is told once.
    world.answer(response, 0);
    world.command(Command::Interrupt);
    world.command(Command::Rewind { to: again });
    say(&mut world, "three");
    assert_eq!(words(&world.session), ["one", told, "three"]);
    let none = Command::Rewind { to: second };
    world.command(Command::Interrupt);
    assert_eq!(world.session.decide(none, Time::UNIX_EPOCH), Err(Rejection::NoMessage(second)));
}

#[test]
fn all_steps_that_can_be_due_are_seen_by_the_random_world() {
    // A property over a world that never gets anywhere would hold of nothing.
    let mut seen: HashMap<&'static str, u32> = HashMap::new();
    let mut state: u32 = 7;
    let mut chance = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for _ in 0..200 {
        let mut world = World::new();
        world.command(submit(Delivery::Steer));
        for _ in 0..60 {
            while let Some(step) = world.session.next() {
                *seen
                    .entry(match step {
                        Step::Judge(_) => "judge",
                        Step::Snapshot(_, Moment::Before) => "before",
                        Step::Snapshot(..) => "after",
                        Step::Run(_) => "run",
                        Step::Refuse(..) => "refuse",
                        Step::Deliver(_) => "deliver",
                        Step::Compact(_) => "compact",
                        Step::AskModel(_) => "ask",
                        Step::EndTurn(..) => "end",
                        Step::StartQueued(_) => "queued",
                        Step::RunOut(_) => "out of budget",
                        Step::Verify(_) => "verify",
                        Step::Settle(..) => "settle",
                        Step::Pursue => "pursue",
                    })
                    .or_default() += 1;
                world.begin(step, chance());
            }
            world.happen(chance(), chance());
        }
        if world.session.epoch > 0 {
            *seen.entry("rewound").or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 15, "{seen:?}");
}

fn rule(word: &str, scope: Scope) -> Rule {
    Rule { grant: Grant::CommandPrefix { words: vec![word.into()] }, scope }
}

/// A world with a call that waits for a person, who is offered these grants.
fn asked(grants: &[Grant]) -> World {
    let mut world = World::new();
    world.command(Command::Submit { content: vec![Content::text("x")], delivery: Delivery::Steer });
    let call = CallId::from("c");
    let args = Args::Json("{}".into());
    world.record(vec![
        Fact::item(Item::ToolCall { id: None, call: call.clone(), tool: "t".into(), args }),
        Fact::ApprovalRequested {
            call,
            intent: Intent::None,
            reason: "r".into(),
            grants: grants.to_vec(),
            effects: None,
        },
    ]);
    world
}

#[test]
fn a_grant_holds_as_a_rule_of_the_scope_that_the_person_chose_until_it_is_taken_back() {
    for scope in [Scope::Session, Scope::Project, Scope::Everywhere] {
        let rule = rule("npm", scope);
        let mut world = asked(std::slice::from_ref(&rule.grant));
        let verdict = Verdict::AllowAlways { grant: rule.grant.clone(), scope };
        world.command(Command::Decide { call: "c".into(), verdict });
        assert_eq!(world.session.rules, std::slice::from_ref(&rule));
        assert_eq!(Session::replay(&world.log), world.session);
        world.command(Command::Revoke { rule: rule.clone() });
        assert_eq!(world.session.rules, []);
        let again = world.session.decide(Command::Revoke { rule }, Time::UNIX_EPOCH);
        assert_eq!(again, Err(Rejection::NoRule));
    }
}

#[test]
fn a_scope_that_a_grant_does_not_fit_is_refused() {
    let script = rule("./deploy", Scope::Everywhere);
    let world = asked(std::slice::from_ref(&script.grant));
    for scope in [Scope::Everywhere, Scope::Unknown] {
        let verdict = Verdict::AllowAlways { grant: script.grant.clone(), scope };
        let refused = world.session.decide(Command::Decide { call: "c".into(), verdict }, Time::UNIX_EPOCH);
        assert_eq!(refused, Err(Rejection::NotOffered("c".into())));
    }
}

#[test]
fn rules_that_are_read_take_the_place_of_those_read_before_and_leave_those_of_the_session() {
    let mut world = World::new();
    let of_session = rule("a", Scope::Session);
    let by = By::Person { grant: Some(of_session.grant.clone()), scope: Scope::Session };
    world.record(vec![
        Fact::RulesRead { rules: vec![rule("b", Scope::Project), rule("c", Scope::Everywhere)] },
        Fact::CallAllowed { call: "x".into(), by, intent: Intent::None },
        Fact::RulesRead { rules: vec![rule("c", Scope::Everywhere)] },
    ]);
    assert_eq!(world.session.rules, [of_session, rule("c", Scope::Everywhere)]);
}
