//! What a model, a command or a file says can't act on the terminal, by whatever way it comes.

use std::fs;

use serde_json::{Value, json};

use super::{
    call, escalated, patch, say,
    terminal::{Place, Screen},
};
use crate::support::has_sandbox;

/// A clipboard write, a title, a cursor move, the alternate screen, a clear, a device string, a C1 control, text
/// that runs backwards, text that is not seen, a NUL. `x` and `y` are around each.
const HOSTILE: &str = "x\x1b]52;c;eA==\x07y x\x1b]2;HACKED\x1b\\y x\x1b]0;HACKED\x07y x\x1b[5;5Hy x\x1b[?1049hy \
                       x\x1b[2Jy x\x1bPq#0\x1b\\y x\u{9b}2Jy x\u{202e}y x\u{2066}y x\u{200b}y x\u{feff}y x\0y x\x08y";

fn tool(id: &str, tool: &str, args: &Value) -> Value {
    json!({"type": "tool_call", "call": id, "tool": tool, "args": {"json": args.to_string()}})
}

/// The terminal is as the program wanted it: nothing was cleared, entered, or named.
fn unharmed(screen: &Screen) {
    let raw = String::from_utf8_lossy(&screen.raw);
    assert!(!raw.contains("\x1b]2;HACKED") && !raw.contains("\x1b[5;5H") && !raw.contains("\x1b[?1049h"));
    assert!(!screen.terminal.screen().alternate_screen());
}

#[test]
fn what_the_model_says_is_only_text() {
    let thought = json!({"type": "reasoning", "summary": [HOSTILE]});
    let markdown = format!(
        "{HOSTILE}\n\n| {HOSTILE} | b |\n|---|---|\n| c | {HOSTILE} |\n\n```{HOSTILE}\n{HOSTILE}\n```\n\n\
         - [{HOSTILE}](https://x.org/{HOSTILE})\n\n# {HOSTILE}\n"
    );
    let steps = json!([{"step": HOSTILE, "status": "pending"}]);
    let answers = [
        json!([
            thought,
            say(&markdown),
            tool("c1", "update_plan", &json!({"explanation": HOSTILE, "plan": steps}))
        ]),
        json!([tool("c2", HOSTILE, &json!({})), tool("c3", "exec_command", &json!(HOSTILE))]),
        json!([tool("c4", "view_image", &json!({"path": HOSTILE})), patch("c5", HOSTILE)]),
        patch("c6", &format!("*** Add File: {}\n+{}", HOSTILE.replace('\0', ""), HOSTILE.replace('\0', ""))),
        say("THE END"),
    ];
    let mut screen = Screen::start(Place::new(&answers), &[&HOSTILE.replace('\0', "")]);
    screen.shows("THE END");
    unharmed(&screen);
    let rows = screen.leave();
    // Everywhere it can be read, and seen for what it is.
    assert!(rows.matches("]52;c;eA==").count() > 10, "{rows}");
}

#[test]
fn what_a_command_prints_is_only_text() {
    if !has_sandbox() {
        return;
    }
    let place = Place::new(&[
        call("c1", &json!({"cmd": "cat hostile; ls; cat hostile >&2"})),
        call(
            "c2",
            &json!({"cmd": "head -c 10485760 /dev/zero | tr '\\0' x; cat hostile; head -c 10485760 /dev/zero"}),
        ),
        call("c3", &json!({"cmd": "cat hostile; cat gate", "yield_time_ms": 30_000})),
        say("THE END"),
    ]);
    fs::write(place.workspace.join("hostile"), HOSTILE).unwrap();
    let name = HOSTILE.replace(['\0', '/'], "");
    fs::write(place.workspace.join(name), "").unwrap();
    let mut screen = Screen::start(place, &["go"]);
    screen.shows("THE END");
    unharmed(&screen);
    screen.leave();
}

#[test]
fn what_an_approval_shows_is_only_text_and_all_of_it() {
    let ask = |id: &str, text: &str| {
        tool(
            id,
            "exec_command",
            &json!({"cmd": text, "workdir": ".", "justification": text,
            "sandbox_permissions": "require_escalated", "prefix_rule": [text]}),
        )
    };
    let command = HOSTILE.replace('\0', "");
    let answers = [
        ask("c1", &format!("true {command}")),
        patch("c2", &format!("*** Add File: ../{}\n+{HOSTILE}", command.replace('/', ""))),
        escalated("c3", "printf '\u{200b}'"),
        say("THE END"),
    ];
    let mut screen = Screen::run(Place::new(&answers), &[env!("CARGO_BIN_EXE_agent"), "go"], 120, 60);
    for (question, hidden) in [
        ("Run this command", "\\u{202e}"),
        ("Make these changes?", "\\u{202e}"),
        ("Run this command", "\\u{200b}"),
    ] {
        screen.shows(question);
        screen.shows(hidden);
        screen.insist("n", "a place for the note", |screen| {
            screen.terminal.screen().contents().contains("instead?")
        });
        screen.press("\r");
        screen.until("the next", |screen| !screen.terminal.screen().contents().contains("instead?"));
    }
    screen.shows("THE END");
    unharmed(&screen);
    screen.leave();
}
