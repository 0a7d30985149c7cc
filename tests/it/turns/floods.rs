//! Output that is more, or odder, than anybody wants: the program stays small, and the result is the known one.
//!
//! The long form has 10 GB, and lines of 1 GB.

use std::fs;

use serde_json::json;

use crate::support::{
    chance::long,
    mock::{Gate, Request, Step, call},
    world::{World, output, process, results, sent},
};

/// What the program may have in memory at most, in KiB. It is built without optimisation here.
const MOST: u64 = 150 << 10;

/// The most that a process ever had in memory, in KiB.
fn peak(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// A command runs to its end, on pipes or a terminal. The text of its result.
async fn flood(cmd: &str, tty: bool) -> String {
    let gate = Gate::new();
    let args = json!({"cmd": cmd, "tty": tty, "yield_time_ms": 30_000});
    // A slow machine takes longer than the first look.
    let again = |request: &Request| {
        let results = results(&sent(request));
        let last = results.last().unwrap().1.as_str().unwrap().to_owned();
        let look = |id| call("write_stdin", json!({"session_id": id, "yield_time_ms": 300_000}));
        last.contains("Process running").then(|| Step::items([look(process(&last))]))
    };
    let ending = gate.clone();
    let world = World::new([
        Step::call("exec_command", args),
        Step::reply(move |request| again(request).unwrap_or_else(|| Step::text("over").gate(0, &ending))),
        Step::text("over").gate(0, &gate),
    ])
    .await;
    let mut run = world.start(&["go"]);
    run.until(|fact| fact["item"]["type"] == "tool_result" && !fact.to_string().contains("Process running"))
        .await;
    let most = peak(run.pid());
    gate.open();
    run.end().await.expect(0);
    assert!(most < MOST, "{cmd}, tty {tty}: {most} KiB");
    let results = world.results(world.mock.requests().len());
    results.last().unwrap().1.as_str().unwrap().to_owned()
}

fn size(short: &'static str, long_form: &'static str) -> &'static str {
    if long() { long_form } else { short }
}

#[tokio::test]
async fn a_flood_of_any_kind_takes_little_memory_and_keeps_its_beginning_and_its_end() {
    let much = size("100M", "10G");
    let line = size("100M", "1G");
    let escapes = size("300000", "30000000");
    let key = "ghp_Q1w2E3r4T5y6U7i8O9p0Q1w2E3r4T5y6U7i8";
    for (cmd, tty) in [
        (format!("echo begin; yes abcdefghijklmno | head -c {much}; echo; echo end"), false),
        (format!("echo begin; yes abcdefghijklmno | head -c {much}; echo; echo end"), true),
        (format!("echo begin; head -c {line} /dev/zero | tr '\\0' x; echo; echo end"), false),
        (format!("echo begin; head -c {line} /dev/zero; echo; echo end"), true),
        (format!("echo begin; head -c {line} /dev/urandom; echo; echo end"), false),
        (
            format!(
                "echo begin; yes \"$(printf '\\033[3;1m\\033]0;t\\007\\033[31mx')\" | head -n {escapes}; echo end"
            ),
            true,
        ),
        (format!("echo begin; yes {key} | head -n 100000; echo end"), false),
        ("echo begin; yes sk- | head -n 1000000; echo end".to_owned(), false),
    ] {
        let result = flood(&cmd, tty).await;
        let said = output(&result);
        assert!(result.contains("Process exited with code 0"), "{cmd}: {}", result.len());
        assert!(said.starts_with("Warning: truncated output") && said.contains("\nbegin"), "{cmd}");
        assert!(said.trim_end().ends_with("end") && !said.contains(key), "{cmd}");
    }
}
