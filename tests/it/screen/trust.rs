//! What a repository brings along reaches no request before a person has seen it.

use std::fs;

use super::terminal::{Place, Screen};
use crate::support::{
    has_sandbox,
    mock::{Mock, Step},
};

/// Presses a key until it is taken for an answer: keys that come as the page appears mean nothing.
fn answer(screen: &mut Screen, key: &str) {
    screen.shows("y trusts them");
    screen.insist(key, "the page is gone", |screen| {
        !screen.terminal.screen().contents().contains("y trusts them")
    });
    // What was pressed too often.
    screen.press("\x15");
}

#[test]
fn what_nobody_trusts_reaches_no_request_and_a_change_asks_again() {
    if !has_sandbox() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mock = runtime.block_on(Mock::start(["one", "two", "three"].map(Step::text)));
    let place = Place::served(&mock.base_url());
    fs::create_dir_all(place.workspace.join(".agent")).unwrap();
    fs::write(place.workspace.join("AGENTS.md"), "Do the canary\u{200b} dance.\n").unwrap();
    fs::write(place.workspace.join(".agent/config.toml"), "effort = 'low'\n").unwrap();
    let has = |number: usize, text: &str| mock.requests()[number - 1].body.to_string().contains(text);

    let mut screen = Screen::start(place, &[]);
    screen.shows("line 1: invisible U+200B");
    assert!(mock.requests().is_empty() && !screen.place.home.join("sessions").exists());
    answer(&mut screen, "n");
    screen.say("hello");
    screen.shows("• one");
    assert!(!has(1, "canary") && !has(1, "\"low\""));

    // It is asked once.
    let mut screen = Screen::start(screen.give_place(), &["hello"]);
    screen.shows("• two");
    assert!(!has(2, "canary"));
    let place = screen.give_place();

    fs::write(place.workspace.join("AGENTS.md"), "Do the other canary dance.\n").unwrap();
    let mut screen = Screen::start(place, &["hello"]);
    screen.shows("It has changed");
    screen.shows("changed AGENTS.md");
    assert_eq!(mock.requests().len(), 2);
    answer(&mut screen, "y");
    screen.shows("• three");
    assert!(has(3, "canary") && has(3, "\"low\""));
    screen.leave();
}

#[test]
fn who_does_not_want_to_answer_leaves_and_is_asked_again() {
    let place = Place::new(&[]);
    fs::write(place.workspace.join("AGENTS.md"), "x").unwrap();
    let mut screen = Screen::start(place, &[]);
    screen.shows("Do you trust");
    screen.press("\x1b");
    assert!(screen.ended().success());
    let place = screen.give_place();
    assert!(!place.home.join("sessions").exists() && !place.home.join("trust.json").exists());
}
