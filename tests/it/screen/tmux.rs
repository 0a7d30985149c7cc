//! The same in a real multiplexer, which wraps rows anew and tells late of another size.

use std::{process::Command, thread, time::Instant};

use serde_json::json;

use super::{
    call, escalated, say,
    sizes::gated,
    terminal::{PATIENCE, Place},
};
use crate::support::{
    has_sandbox,
    mock::{Gate, Mock},
    skip,
};

/// A server of its own with the program in its only pane.
struct Pane {
    place: Place,
}

impl Pane {
    fn open(place: Place, args: &str) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            skip("there is no tmux here");
            return None;
        }
        let pane = Self { place };
        let settings = pane.place.root.join("settings");
        let lines = "set -g history-limit 50000\nset -g status off\nset -g default-shell /bin/sh\n\
                     set -g default-terminal tmux-256color\nset -g remain-on-exit on\n";
        std::fs::write(&settings, lines).unwrap();
        let program = format!("exec '{}' {args}", env!("CARGO_BIN_EXE_agent"));
        pane.tmux(&[
            "-f",
            &settings.display().to_string(),
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            &program,
        ]);
        Some(pane)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.place.root.join("socket")).args(arguments);
        command.current_dir(&self.place.workspace).env_clear().envs(self.place.variables());
        let output = command.env("LC_ALL", "C.UTF-8").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn press(&self, keys: &str) {
        self.tmux(&["send-keys", "-l", keys]);
    }

    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(
                Instant::now() < deadline,
                "did not come: {what}\n{}",
                self.tmux(&["capture-pane", "-p"])
            );
            thread::yield_now();
        }
    }

    fn shows(&self, text: &str) {
        self.until(text, |pane| pane.tmux(&["capture-pane", "-p", "-J"]).contains(text));
    }

    fn tells(&self, format: &str) -> String {
        self.tmux(&["display-message", "-p", format]).trim().to_owned()
    }

    /// Leaves; scrollback and screen, lines that were wrapped joined.
    fn leave(self) -> String {
        self.press("\x04");
        self.shows("To go on with this session: agent resume");
        // Its exit code is looked at elsewhere: tmux 3.3 does not always come to know it.
        self.until("the end", |pane| pane.tells("#{pane_dead}") == "1");
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-"])
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn a_conversation_and_an_approval_in_a_multiplexer() {
    if !has_sandbox() {
        return;
    }
    let long: String = (0..60).map(|n| format!("Line {n:03}.\n\n")).collect();
    let place = Place::new(&[
        json!([
            say("I look."),
            call("c1", &json!({"cmd": "echo seen"})),
            escalated("c2", "echo line >> ../outside")
        ]),
        say(&long),
    ]);
    let Some(pane) = Pane::open(place, "") else { return };
    pane.shows("›");
    pane.press("do it");
    pane.shows("› do it");
    pane.press("\r");
    pane.shows("Run this command outside the sandbox?");
    let pressed = std::cell::Cell::new(None::<Instant>);
    pane.until("it is allowed", |pane| {
        // A question does not hear a key until there was none for a second.
        if pressed.get().is_none_or(|at| at.elapsed() > std::time::Duration::from_millis(1_200)) {
            pane.press("y");
            pressed.set(Some(Instant::now()));
        }
        pane.place.log().contains("\"person\"")
    });
    pane.shows("Worked for");
    assert_eq!(std::fs::read_to_string(pane.place.root.join("outside")).unwrap(), "line\n");
    // What was pressed too often is in the composer.
    pane.press("\x15");
    pane.shows("› Say what to do");
    let rows = pane.leave();
    for once in
        (0..60).map(|n| format!("Line {n:03}.")).chain(["› do it".into(), "I look.".into(), "seen".into()])
    {
        assert_eq!(rows.matches(&once).count(), if once == "seen" { 2 } else { 1 }, "{once}\n{rows}");
    }
}

#[test]
fn fifty_resizes_in_a_multiplexer_leave_every_line_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gates: Vec<Gate> = (0..50).map(|_| Gate::new()).collect();
    let mock = runtime.block_on(Mock::start([gated(&gates)]));
    let Some(pane) = Pane::open(Place::served(&mock.base_url()), "go") else { return };
    pane.shows("Line 003.");
    // Nobody has written for a while: the cursor rests where changes of the size do no harm.
    pane.until("the cursor rests", |pane| pane.tells("#{cursor_flag}") == "0");
    for (at, gate) in gates.iter().enumerate() {
        let (columns, rows) = ((24 + at * 53 % 170).to_string(), (20 + at * 17 % 30).to_string());
        pane.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
        gate.open();
        pane.shows(&format!("Line {:03}.", at * 4 + 7));
    }
    pane.tmux(&["resize-window", "-x", "100", "-y", "30"]);
    pane.shows("Worked for");
    let rows = pane.leave();
    for n in 0..204 {
        let line = format!("Line {n:03}.");
        assert_eq!(rows.matches(&line).count(), 1, "{line}\n{rows}");
    }
    assert_eq!(rows.matches("› go").count(), 1, "{rows}");
}
