//! Approvals, answered with each of their keys.

use std::fs;

use serde_json::{Value, json};

use super::{call, escalated, patch, say, terminal::Screen};
use crate::support::has_sandbox;

#[test]
fn an_approval_is_answered_with_a_key_and_survives_a_kill() {
    if !has_sandbox() {
        return;
    }
    let mut screen = Screen::new(&[escalated("c1", "echo line >> ../outside"), say("written")]);
    screen.shows("›");
    screen.say("go");
    screen.shows("Run this command outside the sandbox?");
    screen.shows("yes, this once");
    let place = screen.give_place();
    assert!(place.log().contains("approval_requested") && !place.log().contains("call_allowed"));

    let mut screen = Screen::start(place, &["resume", "--last"]);
    screen.shows("yes, this once");
    screen.insist("y", "it is allowed", |screen| screen.log().contains("call_allowed"));
    screen.shows("written");
    assert_eq!(fs::read_to_string(screen.place.root.join("outside")).unwrap(), "line\n");
}

/// Facts of a kind.
fn facts(screen: &Screen, kind: &str) -> Vec<Value> {
    let facts = screen.log();
    let facts = facts.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    facts.filter(|fact| fact["type"] == kind).collect()
}

#[test]
fn a_yes_for_the_session_covers_the_next_one_of_its_kind() {
    if !has_sandbox() {
        return;
    }
    let touch = |id: &str, file: &str| {
        let args = json!({"cmd": format!("touch ../{file}"), "sandbox_permissions": "require_escalated",
                          "justification": "May I?", "prefix_rule": ["touch"]});
        call(id, &args)
    };
    let mut screen = Screen::new(&[touch("c1", "one"), touch("c2", "two"), say("both are there")]);
    screen.shows("›");
    screen.say("go");
    screen.shows("Run this command outside the sandbox?");
    screen.insist("s", "the first is allowed", |screen| screen.log().contains("call_allowed"));
    screen.shows("both are there");
    let by: Vec<_> = facts(&screen, "call_allowed").iter().map(|fact| fact["by"]["type"].clone()).collect();
    assert_eq!(by, ["person", "grant"]);
    assert!(["one", "two"].iter().all(|file| screen.place.root.join(file).exists()));
    screen.leave();
}

#[test]
fn a_no_with_a_note_lets_the_turn_go_on() {
    if !has_sandbox() {
        return;
    }
    let mut screen = Screen::new(&[escalated("c1", "touch ../never"), say("as you wish")]);
    screen.shows("›");
    screen.say("go");
    screen.shows("Run this command outside the sandbox?");
    screen.insist("n", "a place for the note", |screen| {
        screen.terminal.screen().contents().contains("What should it do instead?")
    });
    screen.say("not before the tests pass");
    screen.shows("as you wish");
    let refused = facts(&screen, "call_refused");
    assert!(refused[0]["reason"].as_str().unwrap().ends_with("not before the tests pass"), "{refused:?}");
    assert!(!screen.place.root.join("never").exists());
    let rows = screen.leave();
    assert!(rows.contains("not before the tests pass"), "{rows}");
}

#[test]
fn esc_ends_the_turn_and_nothing_has_run() {
    if !has_sandbox() {
        return;
    }
    let mut screen = Screen::new(&[escalated("c1", "touch ../never"), say("and on")]);
    screen.shows("›");
    screen.say("go");
    screen.shows("Run this command outside the sandbox?");
    screen.press("\x1b");
    screen.shows("Interrupted");
    screen.say("something else");
    screen.shows("and on");
    assert!(facts(&screen, "call_allowed").is_empty() && !screen.place.root.join("never").exists());
    screen.leave();
}

#[test]
fn a_patch_shows_what_it_changes_before_it_may() {
    let mut screen =
        Screen::new(&[patch("c1", "*** Add File: ../beside.txt\n+written beside"), say("patched")]);
    screen.shows("›");
    screen.say("go");
    screen.shows("Make these changes?");
    screen.shows("+written beside");
    screen.insist("y", "it is allowed", |screen| screen.log().contains("call_allowed"));
    screen.shows("patched");
    assert_eq!(fs::read_to_string(screen.place.root.join("beside.txt")).unwrap(), "written beside\n");
    screen.leave();
}
