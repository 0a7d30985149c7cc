//! How the program leaves a terminal: for a while, at a signal, killed.

use rustix::process::Signal;
use serde_json::json;

use super::{
    call, say,
    terminal::{Place, Screen},
};
use crate::support::has_sandbox;

const TAKE: &str = "\x1b[22;0t\x1b[?2004h\x1b[?1004h";
const BACK: &str = "\x1b[?1004l\x1b[?2004l\x1b[23;0t\x1b[?25h";

fn count(screen: &Screen, what: &str) -> usize {
    String::from_utf8_lossy(&screen.raw).matches(what).count()
}

#[test]
fn it_is_suspended_and_comes_back() {
    // A shell with job control: what nobody could continue is not stopped.
    let place = Place::new(&[say("the answer")]);
    let mut screen = Screen::run(place, &["/bin/sh", "-i"], 80, 24);
    screen.press(&format!("{}\r", env!("CARGO_BIN_EXE_agent")));
    screen.shows("›");
    screen.press("a draft");
    screen.shows("› a draft");
    screen.press("\x1a");
    screen.shows("Stopped");
    assert!(screen.cooked(), "the terminal is not as it was");
    assert_eq!((count(&screen, TAKE), count(&screen, BACK)), (1, 1));
    screen.press("echo still $((40 + 2))\r");
    screen.shows("still 42");
    screen.press("fg\r");
    screen.until("the modes are taken again", |screen| count(screen, TAKE) == 2);
    screen.until("the draft is there", |screen| {
        screen.terminal.screen().contents().matches("› a draft").count() == 1 && !screen.cooked()
    });
    screen.press("\r");
    screen.shows("the answer");
    screen.press("\x04");
    screen.shows("agent resume");
    screen.until("the terminal is given back", |screen| count(screen, BACK) == 2);
    screen.press("exit\r");
    assert!(screen.ended().success());
}

#[test]
fn signals_end_it_in_order() {
    if !has_sandbox() {
        return;
    }
    for signal in [Signal::TERM, Signal::HUP] {
        let command = call("c1", &json!({"cmd": "echo begun; exec sleep 600"}));
        let mut screen = Screen::start(Place::new(&[command, say("gone on")]), &["go"]);
        screen.shows("begun");
        screen.signal(signal);
        screen.ended();
        assert!(screen.cooked(), "{signal:?}: the terminal is not as it was");
        assert_eq!((count(&screen, TAKE), count(&screen, BACK)), (1, 1), "{signal:?}");
        let mut screen = Screen::start(screen.give_place(), &["resume", "--last"]);
        screen.shows("gone on");
        screen.leave();
    }
}

#[test]
fn after_a_kill_it_goes_on_where_it_was() {
    if !has_sandbox() {
        return;
    }
    let answers = [
        say("the first answer"),
        json!([say("I begin."), call("c1", &json!({"cmd": "echo begun; exec sleep 600"}))]),
        say("gone on"),
    ];
    let mut screen = Screen::start(Place::new(&answers), &["one"]);
    screen.shows("Worked for");
    screen.say("two");
    screen.shows("begun");
    let mut screen = Screen::start(screen.give_place(), &["resume", "--last"]);
    screen.shows("gone on");
    let rows = screen.leave();
    for once in ["› one", "the first answer", "› two", "I begin.", "gone on"] {
        assert_eq!(rows.matches(once).count(), 1, "{once}\n{rows}");
    }
}

#[test]
fn a_terminal_that_goes_away_ends_it_though_nobody_says_so() {
    // In a session of its own it has no controlling terminal, and hears of no end of one.
    let program = ["setsid", "--wait", env!("CARGO_BIN_EXE_agent")];
    let mut screen = Screen::run(Place::new(&[say("the answer")]), &program, 80, 24);
    screen.shows("›");
    screen.say("go");
    screen.shows("the answer");
    let agents = |screen: &Screen| {
        let home = format!("AGENT_HOME={}", screen.place.home.display());
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let environments = processes.map(|process| process.path().join("environ"));
        let own = environments.filter(|path| {
            let text = std::fs::read(path).unwrap_or_default();
            text.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes())
        });
        own.count()
    };
    assert!(agents(&screen) > 0);
    screen.hang_up();
    let since = std::time::Instant::now();
    while agents(&screen) > 0 {
        assert!(since.elapsed() < super::terminal::PATIENCE, "it lives on without a terminal");
        std::thread::yield_now();
    }
}

#[test]
fn an_interrupt_at_the_question_for_a_key_gives_the_echo_back() {
    let place = Place::new(&[]);
    let line = format!("{} login; echo ended $?", env!("CARGO_BIN_EXE_agent"));
    let mut screen = Screen::run(place, &["/bin/sh", "-c", &format!("{line}; cat")], 80, 24);
    screen.shows("it is not shown");
    screen.until("the terminal is silent", |screen| !screen.cooked());
    screen.press("half a k\x03");
    screen.shows("ended 130");
    assert!(screen.cooked(), "the terminal is not as it was");
    assert!(!screen.terminal.screen().contents().contains("half a k"));
    screen.press("\x04");
    screen.ended();
}
