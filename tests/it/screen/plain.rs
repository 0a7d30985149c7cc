//! Terminals that can't be painted, and readers of screens: plain lines.

use serde_json::json;

use super::{
    call, say,
    terminal::{Place, Screen},
};
use crate::support::has_sandbox;

#[test]
fn a_simple_terminal_gets_plain_lines_and_no_escape_at_all() {
    if !has_sandbox() {
        return;
    }
    let escalated = json!({"cmd": "echo line >> ../outside", "sandbox_permissions": "require_escalated",
                           "justification": "May I write outside?"});
    let answers = [
        json!([
            say("I **look**, [here](https://example.com/x)."),
            call("c1", &json!({"cmd": "printf '\\033[31mred\\007\\n'"}))
        ]),
        call("c2", &escalated),
        say("All is written."),
    ];
    let program = ["/usr/bin/env", "TERM=dumb", env!("CARGO_BIN_EXE_agent")];
    let mut screen = Screen::run(Place::new(&answers), &program, 80, 24);
    screen.shows("> ");
    screen.say("go");
    screen.shows("? ");
    screen.say("sure");
    screen.shows("answer with one letter");
    screen.insist("y\r", "it is allowed", |screen| screen.log().contains("call_allowed\",\"call\":\"c2"));
    screen.shows("Worked for");
    screen.press("\x04");
    screen.shows("To go on with this session: agent resume");
    assert!(screen.ended().success());
    let all = String::from_utf8_lossy(&screen.raw).into_owned();
    assert!(!all.contains('\x1b') && !all.contains('\x07'), "{all:?}");
    for line in ["[runs: printf", "• I look, here (https://example.com/x).", "• All is written."] {
        assert_eq!(all.matches(line).count(), 1, "{line}\n{all}");
    }
}
