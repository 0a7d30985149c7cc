//! A session that is shown again on a terminal.

use std::fs;

use super::terminal::{Place, Screen};

const DEMO: &str = include_str!("../../data/sessions/v1-demo.jsonl");
const ID: &str = "01a1f8fc-1ac5-76e5-8c29-29ba913e56fe";

fn place() -> Place {
    let place = Place::new(&[]);
    let folder = place.home.join("sessions").join(ID);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("log.jsonl"), DEMO).unwrap();
    place
}

#[test]
fn a_session_is_shown_again_step_by_step_and_nothing_is_written() {
    let mut screen = Screen::start(place(), &["replay", ID]);
    screen.shows("replay · fact");
    screen.shows("space next");
    assert!(!screen.terminal.screen().contents().contains("Worked for"));
    let mut steps = 0;
    while !screen.terminal.screen().contents().contains("at its end") {
        let before = screen.terminal.screen().contents();
        screen.press(" ");
        screen.until("another step", |screen| screen.terminal.screen().contents() != before);
        steps += 1;
        assert!(steps < 100);
    }
    screen.shows("Worked for");
    // The whole conversation can be looked through, too.
    screen.press("\x14");
    screen.shows("q close");
    screen.press("q");
    screen.shows("at its end");
    screen.press("q");
    screen.shows("To go on with this session: agent resume");
    assert!(screen.ended().success() && screen.cooked());
    assert_eq!(screen.log(), DEMO);
    let all = screen.everything();
    assert_eq!(all.matches("› The test of this project fails").count(), 1, "{all}");
}

#[test]
fn a_simple_terminal_gets_the_same_steps_as_lines() {
    let program = ["/usr/bin/env", "TERM=dumb", env!("CARGO_BIN_EXE_agent"), "replay", ID];
    let mut screen = Screen::run(place(), &program, 80, 24);
    screen.shows("[replay · fact");
    screen.press("\r");
    screen.shows("› The test of this project fails");
    screen.press("e\r");
    screen.shows("[replay, at its end");
    screen.press("q\r");
    screen.shows("To go on with this session: agent resume");
    assert!(screen.ended().success());
    assert!(!String::from_utf8_lossy(&screen.raw).contains('\x1b'));
    assert_eq!(screen.log(), DEMO);
}

#[test]
fn it_plays_by_itself_at_a_speed() {
    let mut screen = Screen::start(place(), &["replay", "--last", "--speed", "500", "-C", "."]);
    screen.shows("there is no session yet");
    assert!(!screen.ended().success(), "it is about another directory");
    let mut screen = Screen::start(screen.give_place(), &["replay", ID, "--speed", "500"]);
    screen.shows("replay, at its end");
    screen.press("\x03");
    assert!(screen.ended().success());
}
