//! A session with every kind of tool, in which each call leaves its name behind.

use std::process::Child;

use agent::session::Session;
use serde_json::{Value, json};

use crate::support::{
    has_sandbox,
    scripted::{Scripted, delay, exec, patch, says},
};

/// What is said to begin with.
const TASK: &str = "do it all";

/// Each command adds its name to this file.
pub const EFFECTS: &str = "effects";

/// Each patch adds its name to this one.
pub const PATCHED: &str = "patched.txt";

/// Ends the command that outlives its call.
pub const STOP: &str = "stop";

/// Calls that leave their name in [`EFFECTS`].
pub const COMMANDS: &[&str] = &["c1", "c2", "c3", "c5", "c8", "c10", "c11", "c12"];

/// Calls that leave their name in [`PATCHED`].
pub const PATCHES: &[&str] = &["c4", "c9"];

/// All calls, in the model's order.
pub const CALLS: &[&str] = &["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12"];

/// A world in which the story has not begun.
pub fn world() -> Scripted {
    let mode = if has_sandbox() { "workspace-write" } else { "danger-full-access" };
    Scripted::new(&script(), mode)
}

fn script() -> Vec<Value> {
    let leaves =
        |call: &str, then: &str| exec(call, &json!({ "cmd": format!("echo {call} >> {EFFECTS}; {then}") }));
    let long = json!({ "cmd": format!("echo c5 >> {EFFECTS}; while [ ! -e {STOP} ]; do sleep 0.02; done"), "yield_time_ms": 250 });
    let terminal = json!({ "cmd": format!("echo c11 >> {EFFECTS}; sleep 0.05; tty"), "tty": true });
    let plan = json!({ "plan": [{ "step": "all", "status": "in_progress" }] });
    let stdin = json!({ "session_id": 7, "chars": "x\n", "yield_time_ms": 250 });
    let call = |call: &str, tool: &str, args: &Value| json!({ "type": "tool_call", "call": call, "tool": tool, "args": { "json": args.to_string() } });
    vec![
        json!([
            says("Three at once."),
            leaves("c1", "sleep 0.05"),
            leaves("c2", "seq 1 3000"),
            leaves("c3", "exit 3"),
        ]),
        delay(40),
        json!([patch("c4", &format!("*** Add File: {PATCHED}\n+c4\n"))]),
        json!([exec("c5", &long), call("c6", "update_plan", &plan)]),
        json!([call("c7", "write_stdin", &stdin), leaves("c8", "setsid sleep 0.3 & sleep 0.1")]),
        delay(40),
        json!([
            patch("c9", &format!("*** Update File: {PATCHED}\n@@\n c4\n+c9\n")),
            leaves("c10", &format!("cat {PATCHED}")),
        ]),
        json!([exec("c11", &terminal)]),
        json!([leaves("c12", &format!("touch {STOP}; sleep 0.05"))]),
        says("All is done."),
    ]
}

/// Starts the story, or goes on with it; nothing when it has come to its end.
pub fn go_on(world: &Scripted) -> Option<Child> {
    let Some(id) = world.session() else { return Some(world.start(&["exec", TASK])) };
    let session = Session::replay(&world.events());
    if session.settings.is_none() {
        // It was killed before it had begun, and says so.
        let ran = world.run(&["exec", "resume", &id]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_eq!(world.run(&["sessions", "rm", &id]).code, Some(0));
        return Some(world.start(&["exec", TASK]));
    }
    if session.last_answer() == Some("All is done.") && session.idle() {
        return None;
    }
    Some(match session.idle() {
        // Nothing was asked, or a person stopped it: it waits for a word.
        true => world.start(&["exec", "resume", &id, TASK]),
        false => world.start(&["exec", "resume", &id]),
    })
}
