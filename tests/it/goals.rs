//! The real program with what limits it and what it is to come to: budgets, a command that has to pass, goals.

use std::{fs, time::Instant};

use agent::protocol::{Content, Context, Event, Fact, GoalStatus, Item, Limit, Outcome, Shown};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    has_sandbox,
    scripted::{Ran, Scripted, exec, patch, says, signal_when},
};

fn world(answers: &[Value]) -> Scripted {
    Scripted::new(answers, if has_sandbox() { "workspace-write" } else { "danger-full-access" })
}

fn runs(call: &str, command: &str) -> Value {
    exec(call, &json!({ "cmd": command, "login": false, "yield_time_ms": 30_000 }))
}

fn goal_is(call: &str, status: &str, reason: &str) -> Value {
    let args = json!({ "status": status, "reason": reason }).to_string();
    json!({ "type": "tool_call", "call": call, "tool": "update_goal", "args": { "json": args } })
}

#[track_caller]
fn ends(ran: Ran, code: i32) -> Ran {
    assert_eq!(ran.code, Some(code), "{ran:#?}");
    ran
}

/// The results of a call.
fn results<'a>(events: &'a [Event], id: &str) -> Vec<&'a Shown> {
    let result = |event: &'a Event| match &event.fact {
        Fact::ItemAdded { item } => match &**item {
            Item::ToolResult { call, shown, .. } if call.as_str() == id => Some(shown),
            _ => None,
        },
        _ => None,
    };
    events.iter().filter_map(result).collect()
}

/// What the program told the model.
fn notices(events: &[Event]) -> Vec<&str> {
    fn notice(event: &Event) -> Option<&str> {
        let Fact::ItemAdded { item } = &event.fact else { return None };
        match &**item {
            Item::Context { context: Context::Notice, text } => Some(text),
            _ => None,
        }
    }
    events.iter().filter_map(notice).collect()
}

fn goal_statuses(events: &[Event]) -> Vec<(GoalStatus, String)> {
    let status = |event: &Event| match &event.fact {
        Fact::GoalChanged { status, reason } => Some((*status, reason.clone())),
        _ => None,
    };
    events.iter().filter_map(status).collect()
}

fn verified(events: &[Event]) -> Vec<(Option<i32>, bool)> {
    let finished = |event: &Event| match &event.fact {
        Fact::VerifyFinished { exit, stopped, .. } => Some((*exit, *stopped)),
        _ => None,
    };
    events.iter().filter_map(finished).collect()
}

#[test]
fn a_budget_pauses_a_run_which_goes_on_with_a_larger_one() {
    let world = world(&[runs("a", "echo one"), runs("b", "echo two"), says("done")]);
    let ran = ends(world.run(&["exec", "--max-turns", "2", "go"]), 4);
    let id = world.session().unwrap();
    assert!(ran.stderr.contains("the budget is used up: the model was asked 2 of 2 times"), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("agent exec resume {id} --max-usd")), "{}", ran.stderr);
    // What was begun came to its end.
    let events = world.events();
    assert!(matches!(results(&events, "b")[..], [Shown::Command { exit: Some(0), .. }]));
    // What was spent counts.
    let lines = world.lines();
    let again = ends(world.run(&["exec", "resume", &id]), 4);
    assert!(again.stderr.contains("2 of 2 times"), "{}", again.stderr);
    assert_eq!(world.lines(), lines, "nothing has become true");
    ends(world.run(&["exec", "resume", &id, "--max-turns", "1"]), 4);
    let ran = ends(world.run(&["exec", "resume", &id, "--max-turns", "3"]), 0);
    assert_eq!(ran.stdout, "done\n");
    // And for the next message as well.
    ends(world.run(&["exec", "resume", &id, "more"]), 4);
}

#[test]
fn a_hard_deadline_ends_what_runs_in_good_order() {
    let world = world(&[runs("a", "sleep 300"), says("done")]);
    let began = Instant::now();
    let ran = ends(world.run(&["exec", "--json", "--deadline", "2s", "--hard-budget", "go"]), 4);
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
    assert!(ran.stdout.contains(r#""type":"budget_reached","limit":"deadline""#), "{}", ran.stdout);
    let events = world.events();
    let [Shown::Failure { text }] = results(&events, "a")[..] else { panic!("{events:#?}") };
    assert!(text.starts_with("aborted because the budget is used up after "), "{text}");
    let last = events.iter().rev().find_map(|event| match &event.fact {
        Fact::TurnFinished { outcome, .. } => Some(outcome.clone()),
        _ => None,
    });
    assert!(matches!(last, Some(Outcome::Failed { kind, .. }) if kind == "budget"));
    world.assert_no_process("after the deadline");
}

#[test]
fn a_soft_deadline_lets_the_command_end_and_asks_nothing_more_of_the_model() {
    let world = world(&[runs("a", "sleep 2; echo over"), says("done")]);
    ends(world.run(&["exec", "--deadline", "1s", "go"]), 4);
    let events = world.events();
    let reached = |event: &&Event| {
        matches!(event.fact, Fact::BudgetReached { limit: Limit::Deadline, hard: false, .. })
    };
    assert_eq!(events.iter().filter(reached).count(), 1);
    let [Shown::Command { exit: Some(0), output, .. }] = results(&events, "a")[..] else {
        panic!("{events:#?}")
    };
    assert_eq!(output.head, "over\n");
    let id = world.session().unwrap();
    ends(world.run(&["exec", "resume", &id]), 4);
    ends(world.run(&["exec", "resume", &id, "--deadline", "5m"]), 0);
}

#[test]
fn dollars_of_a_model_without_prices_are_refused_in_words() {
    let world = world(&[says("done")]);
    let ran = ends(world.run(&["exec", "--max-usd", "2", "go"]), 2);
    for words in [
        "what play/m costs is not known",
        "a budget of $2.00 can't be kept",
        "[models.\"m\"]",
        "--max-tokens",
    ] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert_eq!(world.session(), None, "nothing was begun");
    for (option, value, words) in [
        ("--max-usd", "0", "0 dollars; expected more than 0"),
        ("--max-tokens", "lots", "expected one such as 50000, 50k or 1.5M"),
        ("--max-turns", "0", "expected at least 1"),
        ("--deadline", "soon", "expected a duration (30m, 1h30m)"),
    ] {
        let ran = ends(world.run(&["exec", option, value, "go"]), 2);
        assert!(ran.stderr.contains(words), "{option}: {}", ran.stderr);
    }
}

#[test]
fn done_means_that_the_command_passes() {
    let world = world(&[
        patch("p", "*** Add File: a\n+x\n"),
        says("done"),
        runs("t", "touch ok"),
        says("really done"),
    ]);
    let verify = "test -f ok || { echo no ok; exit 3; }";
    let ran = ends(world.run(&["exec", "--verify", verify, "go"]), 0);
    assert_eq!(ran.stdout, "really done\n");
    let events = world.events();
    assert_eq!(verified(&events), [(Some(3), false), (Some(0), false)]);
    let told = notices(&events);
    assert_eq!(told.len(), 1, "{told:#?}");
    for words in ["Not done yet (try 1 of 3)", "Process exited with code 3", "no ok\n"] {
        assert!(told[0].contains(words), "{}", told[0]);
    }
    // The person sees it as well, and what was checked.
    assert!(ran.stderr.contains("which has to pass, did not: exit 3"), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("checked after the last edit: {verify} ✓")), "{}", ran.stderr);
}

#[test]
fn work_that_never_passes_ends_with_its_own_code() {
    let world = world(&[says("done"), says("done now"), says("surely")]);
    let ran = ends(world.run(&["exec", "--verify", "exit 1", "--verify-tries", "2", "go"]), 7);
    assert_eq!(ran.stdout, "done now\n", "the answer is there all the same");
    assert!(ran.stderr.contains("not done: `exit 1` has to pass, and failed 2 times"), "{}", ran.stderr);
    assert_eq!(verified(&world.events()).len(), 2);
}

#[test]
fn a_command_that_has_to_pass_is_run_again_after_a_kill() {
    let world = world(&[says("done")]);
    let verify = "touch began; while ! test -f go; do sleep 0.05; done";
    let mut child = world.start(&["exec", "--verify", verify, "go"]);
    let began = world.workspace.join("began");
    assert!(signal_when(&mut child, Signal::KILL, || began.exists()));
    fs::write(world.workspace.join("go"), "").unwrap();
    let id = world.session().unwrap();
    let ran = ends(world.run(&["exec", "resume", &id]), 0);
    assert_eq!(ran.stdout, "done\n");
    assert_eq!(verified(&world.events()), [(None, true), (Some(0), false)]);
}

#[test]
fn a_goal_is_worked_on_until_its_command_passes() {
    let world = world(&[
        runs("a", "echo first"),
        says("a first step"),
        goal_is("g1", "complete", "it looks so"),
        says("done"),
        runs("b", "touch ok"),
        goal_is("g2", "complete", "seen"),
        says("really done"),
    ]);
    let ran = ends(world.run(&["exec", "--goal", "make it ok", "--verify", "test -f ok"]), 0);
    assert_eq!(ran.stdout, "really done\n");
    let events = world.events();
    assert_eq!(verified(&events), [(Some(1), false), (Some(0), false)]);
    assert_eq!(goal_statuses(&events), [(GoalStatus::Met, "seen".to_owned())]);
    let turns = events.iter().filter(|event| matches!(event.fact, Fact::GoalContinued { .. })).count();
    assert_eq!(turns, 2, "what the command says comes in the same turn");
    let told = notices(&events);
    assert!(told[1].starts_with("Go on with the goal:\nmake it ok"), "{told:#?}");
    assert!(told[1].contains("`test -f ok` is run then, and has to pass"), "{told:#?}");
    let said = |event: &&Event| {
        let Fact::ItemAdded { item } = &event.fact else { return false };
        matches!(&**item, Item::User { content, .. } if content[..] == [Content::text("make it ok")])
    };
    assert_eq!(events.iter().filter(said).count(), 1, "the person has said it once");
}

#[test]
fn a_goal_that_was_killed_goes_on_where_it_was() {
    let world = world(&[
        runs("a", "echo first"),
        says("a first step"),
        runs("b", "touch began; sleep 300"),
        says("stopped"),
        goal_is("g", "complete", ""),
        says("done"),
    ]);
    let mut child = world.start(&["exec", "--goal", "go far"]);
    let began = world.workspace.join("began");
    assert!(signal_when(&mut child, Signal::KILL, || began.exists()));
    let id = world.session().unwrap();
    let ran = ends(world.run(&["exec", "resume", &id]), 0);
    assert_eq!(ran.stdout, "done\n");
    let events = world.events();
    assert_eq!(results(&events, "b").len(), 1);
    assert_eq!(goal_statuses(&events), [(GoalStatus::Met, String::new())]);
    let ran = ends(world.run(&["exec", "resume", &id]), 2);
    assert!(ran.stderr.contains("nothing left to do"), "{}", ran.stderr);
}

#[test]
fn a_goal_that_is_blocked_or_out_of_budget_says_so_and_can_go_on() {
    let blocked = |call: &str| goal_is(call, "blocked", "there is no key");
    let world = world(&[
        blocked("1"),
        says("I need a key"),
        blocked("2"),
        says("I need a key"),
        blocked("3"),
        says("I need a key"),
        goal_is("4", "complete", ""),
        says("done"),
    ]);
    let ran = ends(world.run(&["exec", "--goal", "push it"]), 1);
    assert!(ran.stderr.contains("the goal is blocked: there is no key"), "{}", ran.stderr);
    let told = notices(&world.events()).join("\n");
    assert!(told.contains("You said that you are blocked (2 of 3): there is no key"), "{told}");
    let id = world.session().unwrap();
    let ran = ends(world.run(&["exec", "resume", &id, "--max-turns", "7"]), 4);
    assert!(ran.stderr.contains("asked 7 of 7 times"), "{}", ran.stderr);
    ends(world.run(&["exec", "resume", &id, "--max-turns", "9"]), 0);
}

#[test]
fn the_end_of_a_turn_says_which_checks_are_stale() {
    let world = world(&[
        runs("a", "make() { :; }; make check"),
        patch("p", "*** Add File: a\n+x\n"),
        runs("b", "cargo() { :; }; cargo test"),
        says("done"),
        says("nothing was done"),
    ]);
    let ran = ends(world.run(&["exec", "go"]), 0);
    let line = "· checked after the last edit: cargo test ✓; stale: make check\n";
    assert!(ran.stderr.contains(line), "{}", ran.stderr);
    let id = world.session().unwrap();
    let ran = ends(world.run(&["exec", "resume", &id, "--json", "well?"]), 0);
    assert!(!ran.stdout.contains(r#""type":"checked""#), "a turn of words says nothing: {}", ran.stdout);
    let checked = world.events().into_iter().find_map(|event| match event.fact {
        Fact::Checked(checked) => Some(checked),
        _ => None,
    });
    assert_eq!(checked.unwrap().fresh[0].name, "cargo test");
}
