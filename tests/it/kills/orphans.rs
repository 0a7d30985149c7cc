//! No process outlives the agent, whatever it did to get away.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    chance::cases,
    has_sandbox,
    scripted::{Scripted, exec, says, signal_when},
};

/// Three kinds of processes that stay: a child, one in a session of its own, and a daemon that heeds no signal.
/// Each makes a file when it is there.
const STAYS: &str = "sh -c 'echo > up1; exec sleep 600' & setsid sh -c 'echo > up2; exec sleep 600' & \
                     (setsid sh -c 'trap \"\" TERM HUP INT; (exec sleep 600) & echo > up3; wait' &); sleep 600";

#[test]
fn nothing_survives_a_killed_agent_in_the_sandbox() {
    if has_sandbox() {
        killed("workspace-write", &json!({ "cmd": STAYS }));
    }
}

#[test]
fn nothing_survives_a_killed_agent_without_a_sandbox() {
    killed("danger-full-access", &json!({ "cmd": STAYS }));
}

#[test]
fn nothing_survives_a_killed_agent_on_a_terminal() {
    for mode in ["workspace-write", "danger-full-access"] {
        if mode == "danger-full-access" || has_sandbox() {
            killed(mode, &json!({ "cmd": STAYS, "tty": true }));
        }
    }
}

fn killed(mode: &str, args: &Value) {
    for round in 0..cases(3, 20) {
        let world = Scripted::new(&[exec("c1", args), says("never")], mode);
        let mut child = world.start(&["exec", "go"]);
        let up = || (1..=3).all(|n| world.workspace.join(format!("up{n}")).exists());
        let mut seen = Vec::new();
        let alive = signal_when(&mut child, Signal::KILL, || {
            let now = up();
            if now {
                seen = world.processes();
            }
            now
        });
        assert!(alive, "{mode}: it ended by itself");
        let sleeping = seen.iter().filter(|line| line.ends_with(" sleep 600 ")).count();
        assert!(sleeping >= 3, "{mode}: the test does not see the processes: {seen:#?}");
        world.assert_no_process(&format!("{mode}, round {round}"));
    }
}
