//! The demo on a terminal: a newcomer watches, answers a question, and leaves.

use super::terminal::{Place, Screen};
use crate::support::has_sandbox;

/// The demo up to its question.
pub fn play(columns: u16, rows: u16) -> Screen {
    let place = Place::new(&[]);
    let folder = place.root.join("demo").display().to_string();
    let program = [env!("CARGO_BIN_EXE_agent"), "demo", "--keep", &folder];
    let mut screen = Screen::run(place, &program, columns, rows);
    screen.shows("I'll run the test");
    // Any key hurries it; this one does nothing else.
    screen.insist("\x1b[C", "the question", |screen| {
        screen.terminal.screen().contents().contains("../released, outside of the workspace?")
    });
    screen.shows("demo/scripted ·");
    screen
}

fn leave(mut screen: Screen) {
    screen.shows("Worked for");
    screen.press("\x04");
    screen.shows("To begin with a project of yours:");
    assert!(screen.ended().success() && screen.cooked());
    let all = screen.everything();
    assert!(all.contains("the model's answers are scripted"), "{all}");
    assert!(!all.contains("agent resume"), "what can't be gone on with is not offered:\n{all}");
}

#[test]
fn a_newcomer_says_yes() {
    if !has_sandbox() {
        return;
    }
    let mut screen = play(80, 40);
    let released = screen.place.root.join("demo/released/sum.sh");
    assert!(!released.exists());
    screen.insist("y", "it is released", |_| released.exists());
    screen.shows("The mended script is released");
    leave(screen);
}

#[test]
fn a_newcomer_says_no_and_something_unforeseen() {
    if !has_sandbox() {
        return;
    }
    let mut screen = play(80, 40);
    screen.insist("n", "a place for the note", |screen| {
        screen.terminal.screen().contents().contains("instead?")
    });
    screen.say("leave it here");
    screen.shows("It is not released");
    screen.shows("Worked for");
    screen.say("and what else?");
    screen.shows("The script of this demo has no answer to that.");
    assert!(!screen.place.root.join("demo/released").exists());
    leave(screen);
}

#[test]
fn esc_at_the_question_leaves_a_demo_that_can_be_gone_on_with() {
    if !has_sandbox() {
        return;
    }
    let mut screen = play(80, 40);
    screen.press("\x1b");
    screen.shows("Interrupted");
    screen.say("go on");
    screen.shows("It is not released");
    leave(screen);
}
