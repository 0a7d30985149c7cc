//! Secrets and the person: those that were taken out of the transcript, and those that a command asks for.

use serde_json::json;

use super::{
    call, say,
    terminal::{Place, Screen},
};
use crate::support::{
    has_sandbox,
    mock::{self, Mock, Step},
};

const TOKEN: &str = "ghp_Q1w2E3r4T5y6U7i8O9p0Q1w2E3r4T5y6U7i8";

#[test]
fn a_handle_is_revealed_to_the_person_by_the_run_that_made_it_and_by_no_other() {
    if !has_sandbox() {
        return;
    }
    let mut screen = Screen::new(&[
        call("c1", &json!({"cmd": "true; base64 token | base64 -d"})),
        say("read"),
        say("seen"),
    ]);
    std::fs::write(screen.place.workspace.join("token"), format!("a {TOKEN}\n")).unwrap();
    screen.shows("›");
    screen.say("go");
    screen.shows("a [redacted:");
    screen.shows("read");
    let shown = screen.terminal.screen().contents();
    let handle = shown.split_once("[redacted:").unwrap().1.split_once(']').unwrap().0.to_owned();
    screen.say(&format!("/reveal {handle}"));
    screen.shows(TOKEN);
    screen.press("q");
    screen.until("the view closes", |screen| !screen.terminal.screen().contents().contains(TOKEN));
    assert!(!screen.everything().contains(TOKEN), "it stays on no line that can be scrolled back to");
    assert!(!screen.log().contains(TOKEN));
    screen.press("!cat token");
    screen.shows("! cat token");
    screen.press("\r");
    screen.until("the handle comes again", |screen| {
        screen.terminal.screen().contents().matches(&format!("[redacted:{handle}]")).count() >= 2
    });
    assert!(!screen.log().contains(TOKEN));
    screen.shows("seen");
    let place = screen.give_place();
    let mut screen = Screen::start(place, &["resume", "--last"]);
    screen.shows(&format!("[redacted:{handle}]"));
    screen.say(&format!("/reveal {handle}"));
    screen.shows(&format!("Nobody knows what {handle} stands for."));
    screen.press("q");
    screen.leave();
}

/// A command that asks for a password, and says how long it was.
const ASKS: &str =
    "stty -echo; printf 'Password for the vault: '; read x; stty echo; echo; echo \"${#x} letters\"";

#[test]
fn a_person_types_a_password_that_reaches_the_command_and_nobody_else() {
    if !has_sandbox() {
        return;
    }
    let asks = json!({"cmd": ASKS, "tty": true});
    let mut screen = Screen::new(&[call("c1", &asks), say("It is unlocked.")]);
    screen.shows("\u{203a}");
    screen.say("open the vault");
    screen.shows("A command waits for something that is not shown");
    screen.shows("Password for the vault:");
    screen.shows("(not shown)");
    let password = "correct-horse-9";
    // Keys count when nothing was pressed for a while.
    screen.insist("\u{15}correct-horse-9\r", "the result", |screen| {
        screen.terminal.screen().contents().contains("15 letters")
    });
    screen.shows("It is unlocked.");
    let log = screen.log();
    assert!(log.contains("\"secret_asked\"") && log.contains("\"answer\":\"typed\""), "{log}");
    assert!(log.contains("The user was asked for what is not echoed, and typed it"), "{log}");
    assert!(!log.contains(password), "{log}");
    assert!(!String::from_utf8_lossy(&screen.raw).contains(password), "it was drawn");
    screen.leave();
}

#[test]
fn a_password_that_a_person_leaves_is_the_models_to_deal_with() {
    if !has_sandbox() {
        return;
    }
    let asks = json!({"cmd": ASKS, "tty": true});
    let mut screen = Screen::new(&[call("c1", &asks), say("I can't know it")]);
    screen.shows("\u{203a}");
    screen.say("open the vault");
    screen.shows("(not shown)");
    screen.insist("\u{1b}", "the model's answer", |screen| {
        screen.terminal.screen().contents().contains("I can't know it")
    });
    let log = screen.log();
    assert!(log.contains("The user was asked for it, and did not type it"), "{log}");
    assert!(log.contains("\"answer\":\"left\""), "{log}");
    screen.leave();
}

#[cfg(target_os = "linux")]
#[test]
fn a_password_reaches_a_command_in_a_container_and_nobody_else() {
    let Some(image) = crate::docker::world::image() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let asks = mock::call("exec_command", json!({"cmd": ASKS, "tty": true, "shell": "bash"}));
    let mock = runtime.block_on(Mock::start([Step::items([asks]), Step::text("open")]));
    let backend = format!("docker:{image}");
    let mut screen = Screen::start(Place::served(&mock.base_url()), &["--backend", &backend]);
    screen.shows("\u{203a}");
    screen.say("open the vault");
    screen.shows("Password for the vault:");
    screen.shows("(not shown)");
    let password = "correct-horse-9";
    screen.insist("\u{15}correct-horse-9\r", "the result", |screen| {
        screen.terminal.screen().contents().contains("15 letters")
    });
    screen.shows("open");
    let request = runtime.block_on(mock.request(2)).body.to_string();
    assert!(request.contains("15 letters") && !request.contains(password), "{request}");
    let log = screen.log();
    assert!(log.contains("\"answer\":\"typed\"") && !log.contains(password), "{log}");
    assert!(!String::from_utf8_lossy(&screen.raw).contains(password), "it was drawn");
    screen.leave();
}
