//! Logs of real runs: each beginning of them can be gone on with, and old ones can be read for ever.

mod cut;
mod files;
mod golden;
mod prefixes;
mod story;
mod whole;

use serde_json::json;

use crate::support::scripted::{Ran, Scripted, exec, says};

/// Runs the demonstration; its files, and the log.
fn demo() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().canonicalize().unwrap().join("demo");
    let world = Scripted::new(&[], "workspace-write");
    let ran = world.run(&["demo", "--keep", keep.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut sessions = std::fs::read_dir(keep.join("home/sessions")).unwrap();
    let log = sessions.next().unwrap().unwrap().path().join("log.jsonl");
    (folder, log)
}

/// A session that waits for a person: one call has run, one asks to leave the sandbox.
fn pending(mode: &str) -> (Scripted, Ran) {
    let asks = json!({
        "cmd": "touch ../outside", "sandbox_permissions": "require_escalated",
        "justification": "The file belongs outside of the workspace.", "prefix_rule": ["touch"],
    });
    let answer = json!([
        says("I need to leave the workspace for this."),
        exec("c1", &json!({ "cmd": "echo inside" })),
        exec("c2", &asks),
    ]);
    let world = Scripted::new(&[answer, says("Thank you.")], mode);
    let ran = world.run(&["exec", "--json", "--ask-for-approval", "on-request", "Make the file outside."]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    (world, ran)
}
