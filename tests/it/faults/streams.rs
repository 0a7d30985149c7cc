//! Answers that break off, fall silent, or are nonsense.

use serde_json::{Value, json};

use crate::support::{
    mock::{Step, reasoning, text},
    world::{Run, World, of, output, shell, story},
};

/// Everything but the last event.
fn all_but_the_end(step: Step) -> Step {
    let events = step.events(1).len();
    step.drop_after(events - 1)
}

/// What the model said, as the log has it.
fn said(world: &World) -> Vec<String> {
    story(&world.log()).iter().filter_map(|word| word.strip_prefix("assistant ").map(str::to_owned)).collect()
}

fn failed(run: &Run) -> String {
    let outcome = run.outcome();
    assert_eq!(outcome["type"], "failed", "{run:#?}");
    outcome["kind"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_answer_that_broke_off_in_its_text_is_there_once() {
    let long = "a long answer that goes on for a while and is cut somewhere in the middle";
    let broken: [fn(Step) -> Step; 3] =
        [|step| step.drop_after(5), |step| step.reset_after(5), |step| step.drop_after(0)];
    for (at, broken) in broken.into_iter().enumerate() {
        let world = World::new([broken(Step::text(long)), Step::text(long)]).await;
        let run = world.exec(&["--json", "--deltas", "go"]).await.expect(0);
        assert_eq!(said(&world), [long], "{at}");
        assert_eq!(world.mock.requests().len(), 2, "{at}");
        assert_eq!(world.mock.requests()[0].raw, world.mock.requests()[1].raw, "{at}");
        // What was shown of the first try is taken back before the second one is shown.
        let shown =
            run.facts().iter().fold(String::new(), |shown, line| match line["delta"]["type"].as_str() {
                Some("text") => shown + line["delta"]["text"].as_str().unwrap(),
                Some("restarted") => String::new(),
                _ => shown,
            });
        assert_eq!(shown, long, "{at}");
    }
}

#[tokio::test]
async fn a_whole_message_before_a_drop_is_kept_and_not_said_twice() {
    for (second, expected) in [
        // Servers differ: the same again, what was missing, or nothing more.
        (vec![text("First."), text("Second.")], vec!["First.", "Second."]),
        (vec![text("Second.")], vec!["First.", "Second."]),
        (vec![], vec!["First."]),
    ] {
        let first = Step::items([text("First."), text("Second, cut off")]).drop_after(9);
        let world = World::new([first, Step::items(second)]).await;
        world.exec(&["go"]).await.expect(0);
        assert_eq!(said(&world), expected);
        let kept = world.sent(2);
        assert_eq!(kept.last().unwrap()["content"][0]["text"], "First.", "{kept:?}");
    }
}

#[tokio::test]
async fn thoughts_that_come_anew_do_not_make_a_message_come_twice() {
    let kept = |world: &World| -> Vec<String> {
        let kinds = story(&world.log());
        kinds
            .into_iter()
            .filter(|word| word.starts_with("assistant") || word.starts_with("reasoning"))
            .collect()
    };
    let first = || {
        Step::items([reasoning(&["Hm."], "seal-1"), text("First."), text("Second, cut off")]).drop_after(13)
    };
    let again = Step::items([
        reasoning(&["Hm again."], "seal-2"),
        text("First."),
        reasoning(&["So."], "seal-3"),
        text("Second."),
    ]);
    let world = World::new([first(), again]).await;
    world.exec(&["go"]).await.expect(0);
    assert_eq!(said(&world), ["First.", "Second."]);
    let reasons = kept(&world).iter().filter(|word| word.starts_with("reasoning")).count();
    assert_eq!(reasons, 2, "{:?}", kept(&world));

    let other = Step::items([reasoning(&["No."], "seal-2"), text("Something else.")]);
    let world = World::new([first(), other]).await;
    world.exec(&["go"]).await.expect(0);
    assert_eq!(said(&world), ["First.", "Something else."]);
    assert_eq!(kept(&world).len(), 4, "the thought behind it is kept: {:?}", kept(&world));
}

#[tokio::test]
async fn an_answer_that_is_whole_but_for_its_end_is_there_once() {
    let world = World::new([all_but_the_end(Step::text("Whole.")), Step::text("Whole.")]).await;
    let run = world.exec(&["go"]).await.expect(0);
    assert_eq!((run.stdout.as_str(), said(&world)), ("Whole.\n", vec!["Whole.".to_owned()]));
}

#[tokio::test]
async fn a_whole_call_before_a_drop_runs_once_and_the_model_goes_on_from_its_result() {
    let world = World::new([
        all_but_the_end(Step::items([text("I run it."), shell("echo ran >> ran; echo out")])),
        Step::text("ok"),
    ])
    .await;
    let run = world.exec(&["--json", "go"]).await.expect(0);
    assert_eq!(world.read("ran"), "ran\n");
    assert_eq!(world.mock.requests().len(), 2, "the answer is not asked for again");
    assert_eq!(output(&world.result(2)), "out\n");
    assert_eq!(run.of("tool_started").len(), 1);
    let outcomes: Vec<Value> =
        run.of("response_finished").iter().map(|fact| fact["outcome"]["type"].clone()).collect();
    assert_eq!(outcomes, ["cut", "completed"]);
    assert_eq!(run.notes().len(), 1, "{:?}", run.notes());
}

#[tokio::test]
async fn of_two_calls_only_the_whole_one_runs() {
    let step = Step::items([shell("echo one >> ran"), shell("echo two >> ran")]);
    let step = {
        let events = step.events(1).len();
        step.drop_after(events - 3)
    };
    let world = World::new([step, Step::text("ok")]).await;
    world.exec(&["go"]).await.expect(0);
    assert_eq!(world.read("ran"), "one\n");
    assert_eq!(world.results(2).len(), 1);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_hung_up_on_and_asked_again() {
    for after in [0, 4] {
        let world =
            World::new([Step::text("never to be finished").stall_after(after), Step::text("ok")]).await;
        world.configure("idle_timeout = 1");
        let run = world.exec(&["--json", "go"]).await.expect(0);
        assert_eq!(said(&world), ["ok"]);
        let host = world.mock.host();
        assert!(run.notes()[0].contains(&format!("nothing came from {host} for 1 s")), "{:?}", run.notes());
        world.mock.hung_up().await;
    }
}

#[tokio::test]
async fn a_failure_inside_an_answer_is_asked_again_where_that_can_help() {
    for (code, message) in [
        ("server_error", "The server had an error"),
        ("server_is_overloaded", "Come back later"),
        ("rate_limit_exceeded", "Rate limit reached. Please try again in 100ms."),
    ] {
        let world = World::new([Step::text("half").fail(code, message), Step::text("whole")]).await;
        let run = world.exec(&["--json", "go"]).await.expect(0);
        let notes = run.notes();
        assert_eq!(notes.len(), 1, "{code}: {notes:?}");
        assert!(notes[0].contains(message), "{code}: {notes:?}");
        assert_eq!(said(&world).last().unwrap(), "whole", "{code}");
        if code.starts_with("rate") {
            assert!(notes[0].contains("trying again in 0.1 s"), "{notes:?}");
        }
    }
    for (code, kind, exit) in [
        ("invalid_prompt", "request", 1),
        ("insufficient_quota", "rate_limit", 1),
        ("invalid_api_key", "auth", 5),
        ("context_length_exceeded", "context", 1),
    ] {
        let world = World::new([Step::items([]).fail(code, "No, never."), Step::text("asked again")]).await;
        let run = world.exec(&["--json", "go"]).await.expect(exit);
        assert_eq!((failed(&run).as_str(), world.mock.requests().len()), (kind, 1), "{code}");
        assert!(run.stderr.contains("No, never."), "{code}: {run:#?}");
    }
}

#[tokio::test]
async fn an_incomplete_answer_is_kept_and_says_why_it_is_incomplete() {
    for reason in ["max_output_tokens", "content_filter"] {
        let world =
            World::new([Step::text("As far as it").incomplete(reason), Step::text("asked again")]).await;
        let run = world.exec(&["--json", "go"]).await.expect(1);
        assert_eq!((failed(&run).as_str(), world.mock.requests().len()), ("incomplete", 1), "{reason}");
        assert!(run.stderr.contains(reason), "{run:#?}");
        assert_eq!(said(&world), ["As far as it"]);
        assert_eq!(run.of("response_finished")[0]["usage"]["output"], 5, "it was paid for");
    }
}

#[tokio::test]
async fn an_event_that_can_not_be_read_does_not_spoil_a_whole_answer() {
    let world = World::new([Step::text("All there.").garbage_after(4)]).await;
    let run = world.exec(&["--json", "go"]).await.expect(0);
    assert_eq!(said(&world), ["All there."]);
    assert!(
        run.notes()[0].contains("can't be read") && run.notes()[0].contains("broken"),
        "{:?}",
        run.notes()
    );
}

#[tokio::test]
async fn an_end_without_the_last_event_is_a_broken_answer() {
    let events = |step: Step| step.unfinished();
    let world = World::new([events(Step::text("Seems whole.")), Step::text("Seems whole.")]).await;
    let run = world.exec(&["--json", "go"]).await.expect(0);
    assert_eq!(said(&world), ["Seems whole."]);
    assert!(run.notes()[0].contains("ended before it was complete"), "{:?}", run.notes());
    // The same when nothing at all came.
    let world = World::new([Step::raw(""), Step::text("ok")]).await;
    let run = world.exec(&["--json", "go"]).await.expect(0);
    assert!(run.notes()[0].contains("ended before it was complete"), "{:?}", run.notes());
}

#[tokio::test]
async fn what_is_no_stream_at_all_is_an_error_and_not_an_answer() {
    for nonsense in ["<<<>>>", "data: {\"type\": broken\n\n", "data: 7\n\n", "{\"detail\": \"no\"}"] {
        let world = World::new([Step::raw(nonsense), Step::text("ok")]).await;
        let run = world.exec(&["--json", "go"]).await.expect(0);
        assert_eq!(said(&world), ["ok"], "{nonsense}");
        assert_eq!(run.notes().len(), 1, "{nonsense}");
    }
    let world =
        World::new([Step::json(json!({"detail": "it is closed on Fridays"})), Step::text("ok")]).await;
    let run = world.exec(&["--json", "go"]).await;
    assert!(run.all().contains("closed on Fridays"), "{run:#?}");
    assert!(of(&run.facts(), "turn_finished").len() == 1);
}
