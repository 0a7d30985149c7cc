//! The real program goes on with logs that were cut at a certain fact.

use std::fs;

use agent::{
    protocol::{Event, Fact, Item},
    session::Session,
};
use serde_json::json;

use super::pending;
use crate::support::{
    has_sandbox,
    scripted::{Scripted, exec, says},
};

/// A session of one turn, cut right after the first fact of this kind.
fn cut_after(such: fn(&Fact) -> bool) -> (Scripted, String) {
    let world = Scripted::new(&[says("First."), says("Second.")], "danger-full-access");
    assert_eq!(world.run(&["exec", "one"]).code, Some(0));
    let at = world.events().iter().position(|event| such(&event.fact)).unwrap() + 1;
    let log = world.log().unwrap();
    let text = fs::read_to_string(&log).unwrap();
    let kept: String = text.split_inclusive('\n').take(at).collect();
    fs::write(&log, kept).unwrap();
    let id = world.session().unwrap();
    (world, id)
}

fn opening(events: &[Event]) -> Vec<Item> {
    let session = Session::replay(events);
    let context = session.items.iter().filter(|item| matches!(***item, Item::Context { .. }));
    context.map(|item| (**item).clone()).collect()
}

#[test]
fn what_the_model_is_told_first_is_made_whole_when_it_was_cut() {
    let (world, id) = cut_after(|fact| matches!(fact, Fact::TurnStarted { .. }));
    let whole = opening(&world.events());
    assert!(whole.len() > 2);
    for kept in 2..2 + whole.len() {
        let log = world.log().unwrap();
        let text = fs::read_to_string(&log).unwrap();
        fs::write(&log, text.split_inclusive('\n').take(kept).collect::<String>()).unwrap();
        let ran = world.run(&["exec", "resume", &id, "one"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "First.\n"), "{ran:?}");
        assert_eq!(opening(&world.events()), whole, "after {kept} facts");
    }
}

#[test]
fn a_turn_without_its_message_is_not_taken_for_one_that_is_done() {
    let (world, id) = cut_after(|fact| matches!(fact, Fact::TurnStarted { .. }));
    let ran = world.run(&["exec", "resume", &id]);
    assert_eq!(ran.code, Some(130), "{ran:?}");
    let ran = world.run(&["exec", "resume", &id, "one"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "First.\n"), "{ran:?}");
}

#[test]
fn a_message_is_answered_also_when_the_turn_before_it_had_only_to_end() {
    let (world, id) = cut_after(|fact| matches!(fact, Fact::ResponseFinished { .. }));
    let ran = world.run(&["exec", "resume", &id, "two"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "Second.\n"), "{ran:?}");
}

#[test]
fn a_session_that_waits_for_a_person_says_so_again() {
    if has_sandbox() {
        let (world, _) = pending("workspace-write");
        let id = world.session().unwrap();
        let ran = world.run(&["exec", "resume", &id]);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.stderr.contains("c2"), "{ran:?}");
        let ran = world.run(&["exec", "resume", &id, "--deny", "c2"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "Thank you.\n"), "{ran:?}");
    }
}

#[test]
fn a_process_of_a_resumed_session_has_an_id_of_its_own() {
    let long = |call| exec(call, &json!({ "cmd": "sleep 600", "yield_time_ms": 250 }));
    let answers = [long("c1"), says("First."), long("c2"), says("Second.")];
    let world = Scripted::new(&answers, "danger-full-access");
    assert_eq!(world.run(&["exec", "one"]).code, Some(0));
    let id = world.session().unwrap();
    assert_eq!(world.run(&["exec", "resume", &id, "two"]).code, Some(0));
    let started: Vec<_> = world
        .events()
        .into_iter()
        .filter_map(|event| match event.fact {
            Fact::ProcessStarted { process, .. } => Some(process),
            _ => None,
        })
        .collect();
    assert!(started.len() == 2 && started[0] != started[1], "{started:?}");
    world.assert_no_process("after a resumed session");
}
