//! Undo and redo on the screen.

use std::fs;

use serde_json::json;

use super::{call, say, terminal::Screen};
use crate::support::has_sandbox;

#[test]
fn an_undo_shows_what_would_change_and_asks_first() {
    if !has_sandbox() {
        return;
    }
    let command = json!({"cmd": "echo new > new.txt; echo two > old.txt"});
    let mut screen = Screen::new(&[call("c1", &command), say("done with it"), say("I see")]);
    let workspace = screen.place.workspace.clone();
    let read = |name: &str| fs::read_to_string(workspace.join(name)).unwrap_or_default();
    fs::write(workspace.join("old.txt"), "one\n").unwrap();
    screen.shows("›");
    screen.say("/undo");
    screen.shows("there is nothing to put back");
    screen.say("go");
    screen.shows("done with it");
    screen.until("the end of the turn", |screen| screen.log().contains("turn_finished"));
    screen.say("/undo");
    screen.shows("Put these files back?");
    screen.shows("- new.txt");
    screen.press("\r");
    screen.say("/undo 9");
    screen.shows("there is nothing to put back");
    assert_eq!(
        (read("new.txt"), read("old.txt")),
        ("new\n".into(), "two\n".into()),
        "Enter alone changes nothing"
    );
    screen.say("/undo");
    screen.shows("Put 2 paths back");
    screen.press("\x1b[B\r");
    screen.shows("Undone: 2 paths changed.");
    assert_eq!((read("new.txt"), read("old.txt")), (String::new(), "one\n".into()));
    fs::write(workspace.join("old.txt"), "three\n").unwrap();
    screen.say("/redo");
    screen.shows("Put 1 path back");
    screen.press("\x1b[B\x1b[B\r");
    screen.shows("Redone: 2 paths changed.");
    assert_eq!((read("new.txt"), read("old.txt")), ("new\n".into(), "two\n".into()));
    screen.say("what now?");
    screen.shows("I see");
    let log = screen.log();
    assert!(log.contains("The user has taken back the last undo."), "{log}");
    screen.leave();
}

#[test]
fn going_back_to_a_message_offers_the_files_as_well() {
    if !has_sandbox() {
        return;
    }
    let command = json!({"cmd": "echo two > old.txt; echo new > new.txt"});
    let mut screen = Screen::new(&[call("c1", &command), say("done with it"), say("I see")]);
    let workspace = screen.place.workspace.clone();
    let read = |name: &str| fs::read_to_string(workspace.join(name)).unwrap_or_default();
    fs::write(workspace.join("old.txt"), "one\n").unwrap();
    screen.shows("›");
    screen.say("change it");
    screen.shows("done with it");
    screen.until("the end of the turn", |screen| screen.log().contains("turn_finished"));
    // The log knows it before the screen does.
    screen.shows("Worked for");
    fs::write(workspace.join("old.txt"), "three\n").unwrap();
    let back = |screen: &mut Screen| {
        screen.press("\x1b");
        screen.shows("Esc again goes back");
        screen.press("\x1b");
        screen.shows("Go back to before which message?");
        screen.press("\r");
        screen.shows("What is to go back?");
    };
    back(&mut screen);
    screen.shows("- new.txt");
    screen.shows("Changed since by you");
    screen.shows("Conversation and files: 1 path; what was changed since stays");
    screen.press("\x1b");
    screen.until("the question is gone", |screen| {
        !screen.terminal.screen().contents().contains("What is to go back?")
    });
    assert_eq!((read("old.txt"), read("new.txt")), ("three\n".into(), "new\n".into()));
    assert!(!screen.log().contains("\"rewound\""), "Esc alone changes nothing");
    back(&mut screen);
    // The third entry: the conversation, and all files.
    screen.press("\x1b[B\x1b[B\r");
    screen.shows("Undone: 2 paths changed.");
    screen.shows("back to before: change it");
    assert_eq!((read("old.txt"), read("new.txt")), ("one\n".into(), String::new()));
    screen.press(", please");
    screen.shows("› change it, please");
    screen.press("\x03");
    screen.say("/redo");
    screen.shows("Put 2 paths back");
    screen.press("\x1b[B\r");
    screen.shows("Redone: 2 paths changed.");
    assert_eq!((read("old.txt"), read("new.txt")), ("three\n".into(), "new\n".into()));
    let log = screen.log();
    assert!(!log.contains("took back what followed"), "the model has nothing to hear of it: {log}");
    screen.leave();
}
