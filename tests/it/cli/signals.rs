//! Being stopped.

use std::{cell::Cell, process::Stdio};

use rustix::process::Signal;

use serde_json::json;

use crate::support::{
    has_sandbox,
    mock::{Gate, Step, call, text},
    world::{Running, World, of, results, shell, story},
};

#[tokio::test]
async fn an_interrupt_ends_the_turn_in_order_and_every_call_has_its_result() {
    let world = World::new([
        Step::items([shell("echo begun > begun; cat gate"), shell("cat gate")]),
        Step::text("ok"),
    ])
    .await;
    world.fifo("gate");
    let mut run = world.start(&["go"]);
    run.until(|fact| fact["type"] == "tool_started" && fact["call"] == "call_1_2").await;
    run.signal(Signal::INT);
    let run = run.end().await.expect(130);
    assert!(run.stderr.contains("agent exec resume"), "{run:#?}");
    let log = world.log();
    let story = story(&log);
    let tail: Vec<&str> = story[story.len() - 3..].iter().map(String::as_str).collect();
    assert_eq!(tail, ["tool_result call_1_1", "tool_result call_1_2", "turn_finished interrupted"]);
    let last = log.iter().rfind(|fact| fact["type"] == "item_added").unwrap();
    assert!(last["item"]["content"][0]["text"].as_str().unwrap().starts_with("aborted by user"));
    // The next turn begins with both results, and with what is said now.
    world.exec(&["resume", &world.session(), "try again"]).await.expect(0);
    let sent = world.sent(2);
    assert_eq!(results(&sent).len(), 2);
    assert_eq!(sent.last().unwrap()["content"][0]["text"], "try again");
}

#[tokio::test]
async fn an_interrupt_in_the_middle_of_an_answer_keeps_what_was_said() {
    let gate = Gate::new();
    let world =
        World::new([Step::text("Half of it is here, the rest is not").gate(5, &gate), Step::text("ok")])
            .await;
    let mut run = world.start(&["--deltas", "go"]);
    run.until(|line| line["delta"]["type"] == "text").await;
    run.signal(Signal::INT);
    run.end().await.expect(130);
    let log = world.log();
    let partial = log.iter().find(|fact| fact["item"]["type"] == "assistant").unwrap();
    assert_eq!(partial["item"]["partial"], true);
    assert!("Half of it is here, the rest is not".starts_with(partial["item"]["text"].as_str().unwrap()));
    assert_eq!(of(&log, "turn_finished")[0]["outcome"]["type"], "interrupted");
    drop(gate);
}

#[tokio::test]
async fn an_interrupt_while_a_server_is_waited_for_ends_at_once() {
    let world = World::new([Step::status(429).header("retry-after", "600")]).await;
    let mut run = world.start(&["go"]);
    run.until(|fact| fact["type"] == "noted").await;
    run.signal(Signal::INT);
    run.end().await.expect(130);
    assert_eq!(world.mock.requests().len(), 1);
}

#[tokio::test]
async fn a_terminated_session_goes_on_where_it_was() {
    for signal in [Signal::TERM, Signal::HUP] {
        let world = World::new([
            Step::items([text("I run it."), shell("echo ran >> ran; cat gate")]),
            Step::text("ok"),
        ])
        .await;
        world.fifo("gate");
        let mut run = world.start(&["go"]);
        run.until(|fact| fact["type"] == "tool_started").await;
        // Until the command has really begun.
        while world.read("ran").is_empty() {
            tokio::task::yield_now().await;
        }
        run.signal(signal);
        let run = run.end().await.expect(143);
        assert!(run.stderr.contains("agent exec resume"), "{run:#?}");
        assert!(of(&world.log(), "turn_finished").is_empty(), "it is not over");
        let run = world.exec(&["resume", &world.session()]).await.expect(0);
        assert_eq!(run.stdout, "ok\n");
        assert_eq!(world.read("ran"), "ran\n", "it did not run twice");
        assert!(world.result(2).starts_with("The agent was stopped while this ran"), "{}", world.result(2));
    }
}

#[tokio::test]
async fn an_answer_that_was_being_received_is_asked_for_again() {
    let gate = Gate::new();
    let world = World::new([Step::text("never").gate(0, &gate), Step::text("ok")]).await;
    let run = world.start(&["go"]);
    gate.reached().await;
    run.signal(Signal::TERM);
    run.end().await.expect(143);
    let run = world.exec(&["resume", "--last"]).await.expect(0);
    assert_eq!(run.stdout, "ok\n");
    assert_eq!(world.sent(1), world.sent(2));
}

#[tokio::test]
async fn nothing_is_left_running_by_a_program_that_was_killed() {
    let world = World::new([Step::items([shell("echo up > up; cat gate; echo on > on")])]).await;
    let gate = world.fifo("gate");
    let mut command = world.command(["exec", "--json", "go"]);
    command.stdin(Stdio::null());
    let run = Running::spawn(command);
    while world.read("up").is_empty() {
        tokio::task::yield_now().await;
    }
    run.signal(Signal::KILL);
    run.end().await.expect(137);
    // As soon as nobody reads the pipe any more, the command is gone.
    use rustix::fs::{Mode, OFlags, open};
    let gone = tokio::task::spawn_blocking(move || {
        crate::sandbox::world::becomes_true(|| {
            open(&gate, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).is_err()
        })
    });
    assert!(gone.await.unwrap());
    assert_eq!(world.read("on"), "");
}

#[tokio::test]
async fn an_interrupt_takes_back_what_waits_to_be_said() {
    let (first, second) = (Gate::new(), Gate::new());
    let world = World::new([
        Step::text("never").gate(0, &first),
        Step::text("never").gate(0, &second),
        Step::text("nobody asked for this"),
    ])
    .await;
    let run = world.start(&["go"]);
    first.reached().await;
    run.signal(Signal::TERM);
    run.end().await.expect(143);
    let mut run = world.start(&["resume", &world.session(), "and this"]);
    run.until(|fact| fact["type"] == "input_queued").await;
    run.signal(Signal::INT);
    run.end().await.expect(130);
    let story = story(&world.log());
    assert_eq!(
        story[story.len() - 4..],
        ["input_queued", "input_retracted", "response_finished interrupted", "turn_finished interrupted"]
    );
}

/// One call that runs until the pipe `gate` is opened, and one that a person has to decide about.
fn one_runs_and_one_waits() -> Step {
    let asks = json!({
        "cmd": "echo outside", "sandbox_permissions": "require_escalated", "justification": "it has to",
    });
    Step::items([shell("cat gate"), call("exec_command", asks)])
}

#[tokio::test]
async fn an_interrupt_ends_a_turn_with_a_waiting_approval_and_a_waiting_message() {
    if !has_sandbox() {
        return;
    }
    let gate = Gate::new();
    let world = World::new([Step::text("never").gate(0, &gate), one_runs_and_one_waits()]).await;
    world.fifo("gate");
    let run = world.start(&["-a", "on-request", "go"]);
    gate.reached().await;
    run.signal(Signal::TERM);
    run.end().await.expect(143);
    let mut run = world.start(&["resume", &world.session(), "and this"]);
    run.until(|fact| fact["type"] == "approval_requested").await;
    run.signal(Signal::INT);
    let run = run.end().await.expect(130);
    let story = story(&run.facts());
    assert!(story.contains(&"input_retracted".to_owned()), "{story:?}");
    assert_eq!(
        story[story.len() - 3..],
        ["tool_result call_2_1", "tool_result call_2_2", "turn_finished interrupted"]
    );
}

#[tokio::test]
async fn a_waiting_approval_and_a_waiting_message_survive_the_end_of_the_program() {
    if !has_sandbox() {
        return;
    }
    for (signal, code) in [(Signal::TERM, 143), (Signal::KILL, 137)] {
        let gate = Gate::new();
        let world =
            World::new([Step::text("never").gate(0, &gate), one_runs_and_one_waits(), Step::text("ok")])
                .await;
        world.fifo("gate");
        let run = world.start(&["-a", "on-request", "go"]);
        gate.reached().await;
        run.signal(Signal::TERM);
        run.end().await.expect(143);
        let id = world.session();
        let mut run = world.start(&["resume", &id, "and this"]);
        let (asked, begun) = (Cell::new(false), Cell::new(false));
        run.until(|fact| {
            asked.set(asked.get() || fact["type"] == "approval_requested");
            begun.set(begun.get() || fact["type"] == "tool_started");
            asked.get() && begun.get()
        })
        .await;
        run.signal(signal);
        run.end().await.expect(code);
        let run = world.exec(&["resume", &id]).await.expect(3);
        assert!(run.stderr.contains("call_2_2  $ echo outside"), "{run:#?}");
        world.exec(&["resume", &id, "--deny", "call_2_2", "not now"]).await.expect(0);
        let results = world.results(3);
        assert!(results[0].1.as_str().unwrap().starts_with("The agent was stopped while this ran"));
        assert!(results[1].1.as_str().unwrap().ends_with("says: not now"), "{results:?}");
        assert_eq!(world.sent(3).last().unwrap()["content"][0]["text"], "and this");
    }
}
