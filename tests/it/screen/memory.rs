//! What earlier sessions have noted: turned on, looked at, and changed with a key.

use std::fs;

use serde_json::{Value, json};

use super::{
    say,
    terminal::{Place, Screen},
};

fn remember(id: &str, args: &Value) -> Value {
    json!({"type": "tool_call", "call": id, "tool": "remember", "args": {"json": args.to_string()}})
}

fn on(place: &Place) {
    let file = place.home.join("config.toml");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("memory.read = true\n{before}")).unwrap();
}

#[test]
fn a_note_is_kept_when_the_person_says_yes_and_the_next_session_begins_with_it() {
    let place = Place::new(&[
        remember("c1", &json!({"action": "add", "text": "Tests need the database on port 5433"})),
        say("It is noted."),
    ]);
    on(&place);
    let mut screen = Screen::start(place, &[]);
    screen.shows("›");
    screen.say("remember the port");
    screen.shows("Remember this for later sessions?");
    screen.shows("+ Tests need the database on port 5433");
    screen.insist("y", "it is allowed", |screen| screen.log().contains("call_allowed"));
    screen.shows("It is noted.");
    screen.say("/memory");
    screen.shows("reading is on, writing is off");
    screen.shows("- Tests need the database on port 5433 (");
    let mut screen = Screen::start(screen.give_place(), &["hello"]);
    screen.until("the session is told", |screen| screen.log().matches("<memory>").count() == 1);
    screen.shows("It is noted.");
    screen.leave();
}

#[test]
fn what_notes_have_cost_stands_beside_what_the_session_has() {
    let place = Place::new(&[say("It is done.")]);
    let mut screen = Screen::start(place, &["go"]);
    screen.shows("It is done.");
    screen.say("/cost");
    screen.shows("this session: ");
    assert!(!screen.everything().contains("Making notes"), "nothing was ever noted");
    let request = json!({
        "at": "2026-01-02T03:04:05Z", "phase": "extract", "of": "s", "model": "a/b",
        "usage": {"input": 1200, "output": 34, "cost_usd": 0.25},
    });
    let folder = screen.place.home.join("memory");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("spent.jsonl"), format!("{request}\n")).unwrap();
    screen.say("/cost");
    screen.shows("Making notes has cost, apart from sessions: 1200 tokens in, 34 out, $0.2");
    screen.leave();
}

#[test]
fn memory_is_turned_on_and_off_in_the_settings() {
    let mut screen = Screen::new(&[]);
    screen.shows("›");
    screen.say("/memory on");
    screen.shows("reading is on, writing is on");
    let config = |screen: &Screen| fs::read_to_string(screen.place.home.join("config.toml")).unwrap();
    assert!(config(&screen).contains("[memory]\nread = true\nwrite = true\n"), "{}", config(&screen));
    screen.say("/memory write off");
    screen.shows("reading is on, writing is off");
    screen.say("/memory off");
    screen.shows("reading is off, writing is off");
    screen.say("/memory nothing of that");
    screen.shows("Nothing is remembered of that.");
    screen.leave_unsaid();
}
