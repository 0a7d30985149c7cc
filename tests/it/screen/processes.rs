//! Processes, looked at and handled by a person.

use std::{fs, path::PathBuf};

use serde_json::json;

use super::{call, say, terminal::Screen};
use crate::support::has_sandbox;

#[test]
fn a_person_types_into_a_process_ends_it_and_the_model_is_told() {
    if !has_sandbox() {
        return;
    }
    let command =
        json!({"cmd": "read line; echo got $line; exec sleep 600", "tty": true, "yield_time_ms": 250});
    let mut screen = Screen::new(&[call("c1", &command), say("it waits for you"), say("I see")]);
    screen.shows("›");
    screen.say("go");
    screen.shows("it waits for you");
    screen.say("/ps");
    screen.shows("Processes: 1 running, 0 ended");
    screen.press("\r");
    screen.shows("Esc back");
    screen.say("swordfish");
    screen.shows("got swordfish");
    screen.press("\x1b");
    screen.shows("Processes: 1 running");
    screen.press("k");
    screen.shows("y yes");
    screen.press("y");
    screen.shows("Processes: 0 running, 1 ended");
    screen.press("q");
    screen.say("what happened?");
    screen.shows("I see");
    let log = screen.log();
    let notices: Vec<&str> = log.lines().filter(|line| line.contains("\"notice\"")).collect();
    let told = ["The user typed into session ID ", "The user ended session ID "];
    assert_eq!(notices.len(), 2, "{log}");
    assert!(notices.iter().zip(told).all(|(notice, told)| notice.contains(told)), "{notices:?}");
    let asked = log.find("what happened?").unwrap();
    assert!(log.find(told[1]).unwrap() < asked, "{log}");
    assert!(!log.contains("swordfish"), "what is typed may be a password: {log}");
    screen.say("/export");
    screen.shows("written to ");
    let written = fs::read_dir(&screen.place.workspace).unwrap().map(|entry| entry.unwrap().path());
    let written: Vec<PathBuf> =
        written.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    let text = fs::read_to_string(&written[0]).unwrap();
    assert!(text.contains("## You\n\nwhat happened?\n\nI see\n"), "{text}");
    screen.leave();
}
