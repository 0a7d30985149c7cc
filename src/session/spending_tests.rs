//! Budgets, commands that have to pass, and goals: what is due, and what the facts make of it.

use super::*;
use crate::protocol::{
    Args, Budget, Claim, Command, Cost, Goal, GoalStatus, Intent, Limit, Rejection, ResponseOutcome, Verify,
};

/// A session whose model does as it is told. A second passes with each fact.
#[derive(Default)]
struct World {
    session: Session,
    calls: u32,
}

impl World {
    fn now(&self) -> Time {
        Time::from_second(i64::try_from(self.session.seq.0).unwrap()).unwrap()
    }

    fn facts(&mut self, facts: Vec<Fact>) {
        for fact in facts {
            let at = self.now();
            self.session.apply(&Event { seq: Seq(self.session.seq.0 + 1), at, fact });
        }
    }

    fn command(&mut self, command: Command) -> Result<(), Rejection> {
        let facts = self.session.decide(command, self.now())?;
        self.facts(facts);
        Ok(())
    }

    fn say(&mut self, text: &str) {
        let content = vec![Content::text(text)];
        self.command(Command::Submit { content, delivery: Delivery::Steer }).unwrap();
    }

    /// Does what is due, until something outside is owed; what it is: `ask`, `verify`, or nothing.
    fn run(&mut self) -> &'static str {
        for _ in 0..100 {
            match self.session.next() {
                None => return if self.session.out_of_budget().is_some() { "paused" } else { "idle" },
                Some(Step::AskModel(response)) => {
                    self.facts(vec![Fact::ResponseStarted { response }]);
                    return "ask";
                }
                Some(Step::Verify(command)) => {
                    self.facts(vec![Fact::VerifyStarted { command }]);
                    return "verify";
                }
                Some(Step::RunOut(limit)) => {
                    let facts = self.session.run_out(limit, self.now());
                    self.facts(facts);
                }
                Some(Step::Settle(status, reason)) => self.facts(vec![Fact::GoalChanged { status, reason }]),
                Some(Step::Pursue) => {
                    let facts = self.session.pursue();
                    self.facts(facts);
                }
                Some(Step::EndTurn(turn, outcome)) => {
                    let duration_ms = self.session.turn_duration_ms(self.now());
                    self.facts(vec![Fact::TurnFinished { turn, outcome, duration_ms }]);
                }
                Some(Step::Judge(call)) => {
                    self.facts(vec![Fact::CallAllowed { call, by: By::Policy, intent: Intent::None }]);
                }
                Some(Step::Run(call)) => self.facts(vec![Fact::ToolStarted { call }]),
                Some(step) => panic!("{step:?}"),
            }
        }
        panic!("the same step is due for ever: {:?}", self.session.next());
    }

    /// The model answers: with a call, if one is named.
    fn answers(&mut self, call: Option<Shown>) {
        let response = self.session.turn.as_ref().unwrap().response.unwrap();
        let mut usage = Usage { input: 90, output: 10, ..Usage::default() };
        usage.cost = Cost::try_from(0.5).ok();
        let id = CallId(format!("c{}", self.calls));
        let mut facts = Vec::new();
        if call.is_some() {
            self.calls += 1;
            let (call, args) = (id.clone(), Args::Json("{}".into()));
            facts.push(Fact::item(Item::ToolCall { call, id: None, tool: "t".into(), args }));
        }
        let outcome = ResponseOutcome::Completed;
        facts.push(Fact::ResponseFinished { response, outcome, usage: Some(usage) });
        self.facts(facts);
        if let Some(shown) = call {
            let next = self.run();
            if self.session.call(&id).is_some() {
                assert_eq!(next, "idle", "the call runs");
                self.facts(vec![Fact::item(Item::ToolResult { call: id, content: vec![], shown })]);
            }
        }
    }

    fn verified(&mut self, exit: i32) {
        let command = self.session.verifying.running.clone().unwrap();
        self.facts(vec![Fact::VerifyFinished { command, exit: Some(exit), duration_ms: 1, stopped: false }]);
    }

    fn budget(&mut self, budget: Budget) {
        self.facts(vec![Fact::Budgeted { budget }]);
    }

    fn goal(&mut self, tokens: Option<u64>, seconds: Option<u64>, verify: Option<&str>) {
        let verify = verify.map(str::to_owned);
        let goal = Goal { text: "all is well".into(), tokens, seconds, verify };
        self.command(Command::SetGoal { goal }).unwrap();
    }

    fn status(&self) -> (GoalStatus, &str) {
        let goal = self.session.goal.as_ref().unwrap();
        (goal.status, &goal.reason)
    }

    fn outcome(&self) -> String {
        match &self.session.outcome {
            Some(Outcome::Failed { kind, message }) => format!("{kind}: {message}"),
            other => format!("{other:?}"),
        }
    }
}

fn did() -> Option<Shown> {
    Some(Shown::text("done"))
}

fn claims(claim: Claim, note: &str) -> Option<Shown> {
    Some(Shown::Goal { claim, note: note.into() })
}

fn usd(usd: f64) -> Option<Cost> {
    Cost::try_from(usd).ok()
}

#[test]
fn a_soft_budget_waits_for_a_person_before_the_next_request() {
    for (budget, limit, reason) in [
        (Budget { max_usd: usd(1.0), ..Budget::default() }, Limit::Usd, "$1.00 of $1.00 spent"),
        (Budget { max_tokens: Some(200), ..Budget::default() }, Limit::Tokens, "200 of 200 tokens used"),
        (
            Budget { max_turns: Some(2), ..Budget::default() },
            Limit::Turns,
            "the model was asked 2 of 2 times",
        ),
    ] {
        let mut world = World::default();
        world.budget(budget);
        world.say("go");
        assert_eq!(world.run(), "ask");
        world.answers(did());
        assert_eq!(world.run(), "ask");
        // What was begun comes to its end.
        world.answers(did());
        assert_eq!(world.run(), "paused");
        assert_eq!(world.session.out_of_budget(), Some(&(limit, reason.to_owned())));
        assert!(!world.session.idle());
        // A message alone changes nothing, and as much again does.
        world.command(Command::Extend).unwrap();
        assert_eq!(world.command(Command::Extend), Err(Rejection::WithinBudget));
        assert_eq!(world.run(), "ask");
        world.answers(None);
        assert_eq!((world.run(), world.outcome().as_str()), ("idle", "Some(Done)"));
    }
}

#[test]
fn a_turn_that_is_done_when_the_budget_is_reached_is_done() {
    for hard in [false, true] {
        let mut world = World::default();
        world.budget(Budget { max_turns: Some(1), hard, ..Budget::default() });
        world.say("go");
        assert_eq!(world.run(), "ask");
        world.answers(None);
        assert_eq!((world.run(), world.outcome().as_str()), ("idle", "Some(Done)"));
        // What was spent counts for the next turn.
        world.say("again");
        assert_eq!(world.run(), if hard { "idle" } else { "paused" });
    }
}

#[test]
fn a_hard_budget_ends_the_turn_and_each_call_has_its_result() {
    let mut world = World::default();
    world.budget(Budget { max_tokens: Some(100), hard: true, ..Budget::default() });
    world.say("go");
    assert_eq!(world.run(), "ask");
    world.answers(did());
    assert_eq!(world.outcome(), "budget: the budget is used up: 100 of 100 tokens used");
    let Some(Item::ToolResult { shown: Shown::Failure { text }, .. }) =
        world.session.items.last().map(|item| &**item)
    else {
        panic!("{:?}", world.session.items)
    };
    assert_eq!(text, "aborted because the budget is used up; it did not run");
    assert!(world.session.idle() && world.session.calls().next().is_none());
}

#[test]
fn a_deadline_is_told_by_whoever_knows_the_time_and_only_while_a_turn_goes_on() {
    for hard in [false, true] {
        let mut world = World::default();
        let deadline = Time::from_second(5).unwrap();
        world.budget(Budget { deadline: Some(deadline), hard, ..Budget::default() });
        assert_eq!(world.session.alarm(), None, "nothing goes on");
        world.say("go");
        assert_eq!(world.session.alarm(), Some(deadline));
        assert_eq!(world.run(), "ask");
        assert_eq!(world.session.time_is_up(Time::from_second(4).unwrap()), None);
        let (facts, ends) = world.session.time_is_up(deadline).unwrap();
        assert_eq!(ends, hard);
        world.facts(facts);
        assert_eq!(world.session.time_is_up(Time::MAX), None, "it is told once");
        if hard {
            assert!(
                world.outcome().starts_with("budget: the budget is used up: the 1 min"),
                "{}",
                world.outcome()
            );
            assert!(world.session.idle());
            continue;
        }
        world.answers(did());
        assert_eq!(world.run(), "paused");
        let now = world.now();
        world.command(Command::Extend).unwrap();
        assert!(world.session.alarm().unwrap() > now, "there is time again");
        assert_eq!(world.run(), "ask");
    }
}

#[test]
fn a_budget_in_dollars_needs_prices() {
    let mut world = World::default();
    let settings = super::tests::settings();
    world.facts(vec![Fact::Configured { settings: settings.clone() }]);
    let budget = Budget { max_usd: usd(1.0), ..Budget::default() };
    let unpriced = Err(Rejection::Unpriced("mock/m".into()));
    assert_eq!(world.command(Command::SetBudget { budget: budget.clone() }), unpriced);
    let priced =
        Settings { price: serde_json::from_str(r#"{"input":1,"output":2}"#).unwrap(), ..settings.clone() };
    world.facts(vec![Fact::Configured { settings: priced }]);
    world.command(Command::SetBudget { budget }).unwrap();
    assert_eq!(world.command(Command::Configure { settings: Box::new(settings) }), unpriced);
}

#[test]
fn done_means_that_the_command_passes_after_the_last_answer() {
    let verify = || Some(Verify { command: "make check".into(), tries: 2 });
    let mut world = World::default();
    world.command(Command::SetVerify { verify: verify() }).unwrap();
    world.say("go");
    assert_eq!(world.run(), "ask");
    world.answers(None);
    assert_eq!(world.run(), "verify");
    assert_eq!(world.session.next(), None, "nothing else happens meanwhile");
    world.verified(1);
    assert_eq!(world.run(), "ask", "the model hears of it");
    world.answers(did());
    assert_eq!(world.run(), "ask");
    world.answers(None);
    assert_eq!(world.run(), "verify", "once more, after what was done since");
    world.verified(0);
    assert_eq!((world.run(), world.outcome().as_str()), ("idle", "Some(Done)"));

    world.say("go on");
    for _ in 0..2 {
        assert_eq!(world.run(), "ask");
        world.answers(None);
        assert_eq!(world.run(), "verify");
        world.verified(2);
    }
    assert_eq!(world.run(), "idle");
    assert_eq!(world.outcome(), "verify: not done: `make check` has to pass, and failed 2 times");
}

#[test]
fn a_command_that_was_stopped_says_nothing_and_runs_again() {
    let mut world = World::default();
    let verify = Some(Verify { command: "make check".into(), tries: 1 });
    world.command(Command::SetVerify { verify }).unwrap();
    world.say("go");
    assert_eq!(world.run(), "ask");
    world.answers(None);
    assert_eq!(world.run(), "verify");
    // The program was killed.
    let facts = world.session.reconcile();
    world.facts(facts);
    assert_eq!(world.run(), "verify");
    world.command(Command::Interrupt).unwrap();
    assert_eq!((world.run(), world.outcome().as_str()), ("idle", "Some(Interrupted)"));
    assert_eq!(world.session.verifying.running, None);
}

#[test]
fn a_goal_goes_on_turn_after_turn_until_it_is_met() {
    let mut world = World::default();
    world.goal(None, None, None);
    for _ in 0..5 {
        assert_eq!(world.run(), "ask");
        world.answers(did());
        assert_eq!(world.run(), "ask");
        world.answers(None);
    }
    assert_eq!(world.run(), "ask");
    assert_eq!((world.session.goal.as_ref().unwrap().turns, world.session.turns), (6, TurnId(6)));
    world.answers(claims(Claim::Complete, "I looked"));
    assert_eq!(world.run(), "ask");
    world.answers(None);
    assert_eq!((world.run(), world.status()), ("idle", (GoalStatus::Met, "I looked")));
    assert_eq!(
        world.command(Command::ChangeGoal { status: GoalStatus::Active }),
        Err(Rejection::GoalIs("met"))
    );
}

#[test]
fn a_goal_is_met_only_when_its_command_passes() {
    let mut world = World::default();
    world.goal(None, None, Some("make check"));
    assert_eq!(world.run(), "ask");
    world.answers(did());
    assert_eq!(world.run(), "ask");
    world.answers(None);
    assert_eq!(world.run(), "ask", "nobody said that it is met, and the next turn begins");
    assert_eq!(world.session.turns, TurnId(2));
    world.answers(claims(Claim::Complete, ""));
    assert_eq!(world.run(), "ask");
    world.answers(None);
    assert_eq!(world.run(), "verify");
    world.verified(1);
    assert_eq!(world.run(), "ask", "the same turn goes on");
    assert_eq!((world.session.turns, world.status().0), (TurnId(2), GoalStatus::Active));
    world.answers(claims(Claim::Complete, ""));
    assert_eq!(world.run(), "ask");
    world.answers(None);
    assert_eq!(world.run(), "verify");
    world.verified(0);
    assert_eq!((world.run(), world.status().0), ("idle", GoalStatus::Met));
}

#[test]
fn a_goal_is_blocked_after_three_turns_that_led_nowhere() {
    for says in [true, false] {
        let mut world = World::default();
        world.goal(None, None, None);
        // One turn with work between them begins the count anew.
        for (turn, work) in [(1, false), (2, true), (3, false), (4, false), (5, false)] {
            assert_eq!(world.run(), "ask", "turn {turn}");
            if work {
                world.answers(did());
                assert_eq!(world.run(), "ask");
            } else if says {
                world.answers(claims(Claim::Blocked, "no key"));
                assert_eq!(world.run(), "ask");
            }
            world.answers(None);
        }
        assert_eq!(world.run(), "idle");
        let why = if says { "no key" } else { "nothing was done in 3 turns in a row" };
        assert_eq!(world.status(), (GoalStatus::Blocked, why));
        world.command(Command::ChangeGoal { status: GoalStatus::Active }).unwrap();
        assert_eq!(world.run(), "ask");
    }
}

#[test]
fn a_goal_ends_with_what_may_be_spent_on_it_and_goes_on_with_as_much_again() {
    let mut world = World::default();
    world.say("before");
    assert_eq!(world.run(), "ask");
    world.answers(None);
    assert_eq!(world.run(), "idle");
    // What was spent before is no part of it.
    world.goal(Some(200), None, None);
    for _ in 0..2 {
        assert_eq!(world.run(), "ask");
        world.answers(did());
    }
    assert_eq!(world.run(), "idle");
    let spent = "the goal's budget is used up: 200 of 200 tokens used";
    assert_eq!(world.status(), (GoalStatus::OutOfBudget, spent));
    assert_eq!(world.outcome(), format!("budget: {spent}"));
    world.command(Command::ChangeGoal { status: GoalStatus::Active }).unwrap();
    assert_eq!(world.run(), "ask");
    assert_eq!(world.session.goal_tokens(), 0);

    let mut world = World::default();
    world.goal(None, Some(60), None);
    assert_eq!(world.run(), "ask");
    let alarm = world.session.alarm().unwrap();
    let (facts, ends) = world.session.time_is_up(alarm).unwrap();
    assert!(!ends, "what runs comes to its end");
    world.facts(facts);
    world.answers(did());
    assert_eq!(world.run(), "idle");
    assert_eq!(world.status(), (GoalStatus::OutOfBudget, "the goal's budget is used up: 1 min are over"));
}

#[test]
fn a_hard_budget_ends_the_goal_as_well() {
    let mut world = World::default();
    world.budget(Budget { max_turns: Some(1), hard: true, ..Budget::default() });
    world.goal(None, None, None);
    assert_eq!(world.run(), "ask");
    world.answers(None);
    assert_eq!(world.run(), "idle");
    assert_eq!(world.status().0, GoalStatus::OutOfBudget);
    assert!(world.outcome().starts_with("budget: "), "{}", world.outcome());
    world.command(Command::ChangeGoal { status: GoalStatus::Active }).unwrap();
    assert_eq!((world.run(), world.status().0), ("idle", GoalStatus::OutOfBudget));
}

#[test]
fn a_goal_is_paused_by_an_interrupt_or_a_failure_and_a_message_goes_before_it() {
    let mut world = World::default();
    world.goal(None, None, None);
    assert_eq!(world.run(), "ask");
    world.command(Command::Interrupt).unwrap();
    assert_eq!((world.run(), world.status()), ("idle", (GoalStatus::Paused, "you interrupted it")));
    world.command(Command::ChangeGoal { status: GoalStatus::Active }).unwrap();
    assert_eq!(world.run(), "ask");
    let response = world.session.turn.as_ref().unwrap().response.unwrap();
    let outcome = ResponseOutcome::Failed { kind: "server".into(), message: "503".into() };
    world.facts(vec![Fact::ResponseFinished { response, outcome, usage: None }]);
    assert_eq!((world.run(), world.status()), ("idle", (GoalStatus::Paused, "503")));
    world.command(Command::ChangeGoal { status: GoalStatus::Cleared }).unwrap();
    assert_eq!(world.session.goal, None);
    assert_eq!(world.command(Command::ChangeGoal { status: GoalStatus::Active }), Err(Rejection::NoGoal));
}

#[test]
fn a_turn_for_the_goal_that_did_not_get_to_the_disk_is_begun_anew() {
    let mut world = World::default();
    world.goal(None, None, None);
    assert_eq!(world.session.next(), Some(Step::Pursue));
    let mut facts = world.session.pursue();
    facts.truncate(1);
    world.facts(facts);
    let facts = world.session.reconcile();
    world.facts(facts);
    assert_eq!(world.run(), "ask");
    assert_eq!(world.session.said().count(), 1);
    assert_eq!(world.session.responses, 1);
}
