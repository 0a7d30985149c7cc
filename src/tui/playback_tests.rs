//! A session that is shown again, against the same session live.

use crossterm::event::KeyCode;
use serde_json::json;

use super::{action::Action, app::Recorded, stage_tests::Stage};
use crate::protocol::Event;
use crate::session::Session;

const DEMO: &str = include_str!("../../tests/data/sessions/v1-demo.jsonl");
const PENDING: &str = include_str!("../../tests/data/sessions/v1-pending-approval.jsonl");

fn events(log: &str) -> Vec<Event> {
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn recorded(log: &str) -> Recorded {
    Recorded { events: events(log), speed: None, damage: None }
}

/// A session of which a fact becomes true every ten seconds.
fn slow(count: u32) -> Vec<Event> {
    let event = |number: u32| {
        let fact = json!({"seq": number, "at": format!("2026-01-01T00:{:02}:{:02}Z", number / 6, number % 6 * 10),
                          "type": "noted", "level": "info", "text": format!("note {number}")});
        serde_json::from_value(fact).unwrap()
    };
    (1..=count).map(event).collect()
}

fn shows(stage: &mut Stage, text: &str) -> bool {
    stage.everything().iter().any(|row| row.contains(text))
}

/// All that was printed, up to the end of the last turn.
fn printed(stage: &mut Stage) -> Vec<String> {
    let mut rows = stage.everything();
    let end = rows.iter().rposition(|row| row.contains("Worked for")).expect("a turn has ended");
    rows.truncate(end + 1);
    rows
}

#[test]
fn a_session_that_is_shown_again_stands_there_as_it_did_live() {
    let mut live = Stage::new(80, 24);
    for event in &events(DEMO) {
        live.event(event);
    }
    let expected = printed(&mut live);
    for key in [KeyCode::Char(' '), KeyCode::Char('t'), KeyCode::Char('e')] {
        let mut stage = Stage::new(80, 24);
        stage.play(recorded(DEMO));
        for _ in 0..events(DEMO).len() {
            stage.press(key);
        }
        assert_eq!(printed(&mut stage), expected, "{key:?}");
        assert_eq!(stage.app().session, Session::replay(&events(DEMO)), "{key:?}");
        assert!(shows(&mut stage, "replay, at its end"));
    }
}

#[test]
fn each_step_shows_something_and_the_end_is_the_end() {
    let mut stage = Stage::new(80, 24);
    stage.play(recorded(DEMO));
    let (mut before, mut steps) = (stage.everything(), 0);
    while !shows(&mut stage, "at its end") {
        stage.press(KeyCode::Enter);
        let now = stage.everything();
        assert_ne!(now, before);
        before = now;
        steps += 1;
        assert!(steps < events(DEMO).len());
    }
    assert!(steps > 10, "{steps}");
    stage.press(KeyCode::Enter);
    assert_eq!(stage.everything(), before);
    assert_eq!(stage.press(KeyCode::Char('q')), [Action::Quit]);
}

#[test]
fn no_key_does_anything_to_a_session_that_is_only_shown() {
    let mut stage = Stage::new(80, 24);
    stage.play(recorded(PENDING));
    stage.press(KeyCode::Char('e'));
    assert!(stage.app().session.asked().next().is_some(), "it waits for an approval");
    stage.wait(5_000);
    let keys = (' '..='~').map(KeyCode::Char);
    let keys = keys.chain([KeyCode::Enter, KeyCode::Tab, KeyCode::Backspace, KeyCode::Up, KeyCode::F(1)]);
    for key in keys.filter(|key| *key != KeyCode::Char('q')) {
        assert_eq!(stage.press(key), [], "{key:?}");
    }
    assert_eq!(stage.app().session, Session::replay(&events(PENDING)));
}

#[test]
fn it_plays_as_fast_as_is_wished_and_cuts_long_pauses() {
    let mut stage = Stage::new(80, 24);
    stage.play(Recorded { events: slow(6), speed: Some(2.0), damage: Some("line 7 is damaged".into()) });
    // Ten seconds are three, and twice as fast one and a half.
    for note in 1..=6 {
        assert!(shows(&mut stage, &format!("note {note}")), "note {note}");
        assert!(!shows(&mut stage, &format!("note {}", note + 1)));
        stage.wait(1_400);
        assert!(!shows(&mut stage, &format!("note {}", note + 1)));
        if note == 3 {
            stage.press(KeyCode::Char('p'));
            stage.wait(60_000);
            assert!(!shows(&mut stage, "note 4"), "it was stopped");
            stage.press(KeyCode::Char('p'));
            stage.wait(1_400);
        }
        stage.wait(100);
    }
    assert!(shows(&mut stage, "what comes next can't be read: line 7 is damaged"));
}

#[test]
fn the_clock_is_that_of_the_session() {
    let mut stage = Stage::new(80, 24);
    let fact = |second: u32, fact: serde_json::Value| {
        let mut fact = fact;
        fact["seq"] = json!(second + 1);
        fact["at"] = json!(format!("2020-01-01T00:00:{second:02}Z"));
        serde_json::from_value(fact).unwrap()
    };
    let said = json!({"type": "user", "content": [{"type": "text", "text": "go"}]});
    let events = vec![
        fact(0, json!({"type": "turn_started", "turn": 1})),
        fact(1, json!({"type": "item_added", "item": said})),
        fact(8, json!({"type": "noted", "level": "info", "text": "a note"})),
    ];
    stage.play(Recorded { events, speed: None, damage: None });
    stage.press(KeyCode::Enter);
    stage.wait(60_000);
    assert!(shows(&mut stage, "Working · 8s"), "{:#?}", stage.everything());
}
