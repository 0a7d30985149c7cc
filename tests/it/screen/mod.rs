//! The real program on a real terminal, as a person uses it: few flows, looked at through a terminal model. Every
//! byte that it writes meanwhile must be of the vocabulary of the screen.

mod approvals;
mod clipboard;
mod conversation;
mod demo;
mod ends;
mod hosted;
mod hostile;
mod hosts;
mod memory;
mod picture;
mod plain;
mod processes;
mod replay;
mod rules;
mod secrets;
mod sessions;
mod sizes;
mod skills;
mod terminal;
mod themes;
mod tmux;
mod trust;
mod undo;
mod vocabulary;
mod waiting;
mod worktree;
mod writing;

use serde_json::{Value, json};

fn say(text: &str) -> Value {
    json!({"type": "assistant", "text": text})
}

fn call(id: &str, args: &Value) -> Value {
    json!({"type": "tool_call", "call": id, "tool": "exec_command", "args": {"json": args.to_string()}})
}

fn patch(id: &str, patch: &str) -> Value {
    let text = format!("*** Begin Patch\n{patch}\n*** End Patch\n");
    json!({"type": "tool_call", "call": id, "tool": "apply_patch", "args": {"text": text}})
}

/// A command that asks to leave the sandbox.
fn escalated(id: &str, command: &str) -> Value {
    call(id, &json!({"cmd": command, "sandbox_permissions": "require_escalated", "justification": "May I?"}))
}
