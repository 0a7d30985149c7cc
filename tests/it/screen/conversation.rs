//! A conversation, and how it stands in the scrollback afterwards.

use serde_json::json;

use super::{call, say, terminal::Screen};
use crate::support::has_sandbox;

#[test]
fn a_conversation_stands_in_the_scrollback_once() {
    if !has_sandbox() {
        return;
    }
    let long: String = (0..60).map(|n| format!("Line number {n}.\n\n")).collect();
    let mut screen = Screen::new(&[
        json!([say("I look."), call("c1", &json!({"cmd": "echo out; printf '\\033]52;c;eA==\\007'"}))]),
        say(&long),
    ]);
    screen.shows("›");
    screen.say("do it");
    screen.shows("Line number 59.");
    screen.shows("Worked for");
    screen.resize(60, 20);
    // A key that is pressed at the same moment may be read only with the next one (crossterm 0.29).
    screen.shows("for th…");
    let raw = String::from_utf8_lossy(&screen.raw).into_owned();
    let all = screen.leave();
    for n in 0..60 {
        let line = format!("Line number {n}.");
        assert_eq!(all.matches(&line).count(), 1, "{line}\n{all}");
    }
    assert_eq!(all.matches("› do it").count(), 1, "{all}");
    assert!(!raw.contains("\x1b[?1049h"), "the alternate screen was taken");
}
