//! Hosts that a command wants to reach, and the person's answer.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use serde_json::{Value, json};

use super::{
    call, say,
    terminal::{Place, Screen},
};
use crate::support::has_sandbox;

/// A host on this machine that says hello; its port.
fn host() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut piece = [0; 4096];
            let _ = stream.read(&mut piece);
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n");
        }
    });
    port
}

/// A session whose commands ask for a name that leads to that host, which this machine's own list has only by its
/// address. `keep` leaves a result of its own in the workspace.
fn asking(port: u16, commands: usize) -> Screen {
    let fetch = |number: usize| {
        let cmd = format!("curl -sS --noproxy '' http://localhost:{port}/ >> got; echo over {number}");
        call(&format!("c{number}"), &json!({"cmd": cmd, "yield_time_ms": 30_000}))
    };
    let mut answers: Vec<Value> = (1..=commands).map(fetch).collect();
    answers.push(say("that was it"));
    let place = Place::new(&answers);
    let file = place.home.join("config.toml");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("{before}\n[network]\nallow = ['127.0.0.1:{port}']\n")).unwrap();
    let mut screen = Screen::start(place, &[]);
    screen.shows("›");
    screen.say("go");
    screen.shows("Let this command reach another machine?");
    screen.shows(&format!("localhost:{port}"));
    screen
}

fn facts(screen: &Screen, kind: &str) -> Vec<Value> {
    let facts = screen.log();
    let facts = facts.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    facts.filter(|fact| fact["type"] == kind).collect()
}

fn got(screen: &Screen) -> String {
    fs::read_to_string(screen.place.workspace.join("got")).unwrap_or_default()
}

#[test]
fn a_yes_lets_the_command_through_and_the_next_one_asks_again() {
    if !has_sandbox() {
        return;
    }
    let mut screen = asking(host(), 2);
    screen.shows("yes, for this command");
    screen.shows("curl -sS");
    assert_eq!(got(&screen), "");
    screen.insist("y", "the first is allowed", |screen| screen.log().contains("host_allowed"));
    screen.shows("over 1");
    screen.insist("y", "the second is allowed", |screen| screen.log().matches("host_allowed").count() == 2);
    screen.shows("that was it");
    assert_eq!(got(&screen), "hello\nhello\n");
    let passages: Vec<Value> =
        facts(&screen, "connection_ended").iter().map(|fact| fact["passage"]["type"].clone()).collect();
    assert_eq!(passages, ["passed", "passed"]);
    // A key that was pressed once too often is in the composer.
    screen.press("\x15");
    screen.leave();
}

#[test]
fn a_yes_for_the_project_is_a_rule_that_is_kept_and_covers_the_next_one() {
    if !has_sandbox() {
        return;
    }
    let port = host();
    let mut screen = asking(port, 2);
    screen.insist("p", "it is allowed", |screen| screen.log().contains("host_allowed"));
    screen.shows("that was it");
    assert_eq!(got(&screen), "hello\nhello\n");
    assert_eq!((facts(&screen, "host_requested").len(), facts(&screen, "host_allowed").len()), (1, 1));
    let config = fs::read_to_string(screen.place.home.join("config.toml")).unwrap();
    assert!(config.contains(&format!("{{ host = \"localhost:{port}\" }}")), "{config}");
    screen.say("/permissions");
    screen.shows(&format!("Rule: connections to localhost:{port}"));
}

#[test]
fn a_no_is_told_to_the_command_and_not_asked_again_in_the_turn() {
    if !has_sandbox() {
        return;
    }
    let mut screen = asking(host(), 2);
    screen.insist("n", "a place for the note", |screen| {
        screen.terminal.screen().contents().contains("What should it do instead?")
    });
    screen.say("use the cache");
    screen.shows("that was it");
    assert!(got(&screen).contains("and says: use the cache"), "{}", got(&screen));
    assert!(!got(&screen).contains("hello"));
    assert_eq!((facts(&screen, "host_requested").len(), facts(&screen, "host_refused").len()), (1, 1));
    let results = screen.log();
    assert_eq!(results.matches("Warning: network: localhost").count(), 2, "{results}");
    screen.leave();
}

#[test]
fn esc_ends_the_turn_and_the_connection_with_it() {
    if !has_sandbox() {
        return;
    }
    let mut screen = asking(host(), 1);
    screen.press("\x1b");
    screen.shows("Interrupted");
    let refused = facts(&screen, "host_refused");
    assert_eq!((refused.len(), &refused[0]["by"]["type"]), (1, &json!("policy")), "{refused:?}");
    assert!(!got(&screen).contains("hello"));
    screen.leave();
}

#[test]
fn a_question_does_not_survive_the_program_and_its_session_goes_on() {
    if !has_sandbox() {
        return;
    }
    let place = asking(host(), 1).give_place();
    assert!(place.log().contains("host_requested") && !place.log().contains("host_refused"));
    let mut screen = Screen::start(place, &["resume", "--last"]);
    screen.shows("that was it");
    assert!(screen.log().contains("host_refused") && !got(&screen).contains("hello"));
    screen.leave();
}
