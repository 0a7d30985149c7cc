//! Whole screens at three sizes, as a person sees them. The pictures are in `tests/data/screens`.

use crossterm::event::KeyCode;
use serde_json::{Value, json};

use super::stage_tests::Stage;
use crate::protocol::{CallId, Delta, ResponseId};

const ANSWER: &str = "\
I looked at the three places where dates are parsed.

## What is wrong

The **second** one takes `2026-02-30` for a date, because it never asks for the length of the month:

```rust
fn day(text: &str) -> Option<u8> {
    let day: u8 = text.parse().ok()?;
    (1..=31).contains(&day).then_some(day) // February?
}
```

| Place | Input | Result |
|:------|:-----:|-------:|
| `parse.rs` | `2026-02-30` | accepted |
| `check.rs` | `2026-02-30` | refused, with a message that is rather long and has to be wrapped somewhere |
| `漢字.rs` | 🎉 | ok |

1. ask for the length of the month
2. add a test
   - for leap years, too
3. see the [notes](https://example.org/notes) about the calendar 👩\u{200d}🚀

> It was like that from the beginning.
";

const DIFF: &str = "@@ -10,4 +10,5 @@\n fn day(text: &str, month: u8) -> Option<u8> {\n     let day: u8 = \
                    text.parse().ok()?;\n-    (1..=31).contains(&day).then_some(day)\n+    let last = \
                    length_of(month);\n+    (1..=last).contains(&day).then_some(day)\n }\n";

const SIZES: [(u16, u16); 3] = [(80, 24), (40, 12), (220, 50)];

fn screens(name: &str, flow: impl Fn(&mut Stage)) {
    for (columns, rows) in SIZES {
        let mut stage = Stage::begun(columns, rows);
        flow(&mut stage);
        compare(name, (columns, rows), stage);
    }
}

fn compare(name: &str, (columns, rows): (u16, u16), stage: Stage) {
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/screens"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(format!("{name}-{columns}x{rows}"), stage.shots());
    });
}

fn command(text: &str) -> Value {
    json!({"type": "command", "command": text, "workdir": "/home/me/project", "escalated": true,
           "justification": "May I push the fix to the branch that you named?", "prefix": []})
}

fn changed(files: &[(&str, &str)]) -> Value {
    let files = files.iter().map(|(path, operation)| {
        json!({"path": path, "operation": operation, "added": 2, "removed": 1, "diff": DIFF})
    });
    json!({"type": "patch", "files": files.collect::<Vec<_>>()})
}

#[test]
fn start() {
    screens("start", |stage| {
        stage.shot("nothing is said yet");
        stage.types(
            "find out why the test of the date parser is flaky, and mend it, but leave the rest alone",
        );
        stage.shot("a message is typed");
    });
}

#[test]
fn answer() {
    screens("answer", |stage| {
        stage.turn("what is wrong with the dates?");
        stage.shot("it is asked");
        stage.delta(Delta::Reasoning {
            response: ResponseId(1),
            text: "**Reading the parser**\n\nI should".into(),
        });
        stage.wait(3000);
        stage.shot("it thinks");
        let (begin, rest) = ANSWER.split_at(ANSWER.find("(1..=31)").unwrap());
        stage.text(begin);
        stage.shot("in the middle of the code");
        let (table, rest) = rest.split_at(rest.find("| `check.rs`").unwrap());
        stage.text(table);
        stage.shot("in the middle of the table");
        stage.text(rest);
        stage.said(ANSWER);
        stage.answered();
        stage.ends(&json!({"type": "done"}));
        stage.shot("the end of the turn");
    });
}

#[test]
fn commands() {
    screens("commands", |stage| {
        stage.turn("run the tests");
        stage.said("I run them.");
        let line = "cargo test --workspace --all-features -- --nocapture dates::parser::leap_years";
        stage.runs("c1", line);
        stage.wait(2000);
        stage.shot("it runs");
        let output: String = (1..=30).map(|n| format!("test dates::case_{n} ... ok\n")).collect();
        stage.delta(Delta::Output { call: CallId("c1".into()), text: output.clone() });
        stage.wait(4000);
        stage.shot("it prints");
        stage.ran("c1", line, 101, &output);
        stage.runs("c2", "cat src/parse.rs src/check.rs && rg -n 'fn day' src");
        stage.ran("c2", "cat src/parse.rs src/check.rs && rg -n 'fn day' src", 0, "x\n");
        stage.runs("c3", "true");
        stage.ran("c3", "true", 0, "");
        stage.said("One of them fails.");
        stage.ends(&json!({"type": "done"}));
        stage.shot("the end of the turn");
    });
}

#[test]
fn patch_and_plan() {
    screens("patch", |stage| {
        stage.turn("mend it");
        stage.call("c1");
        stage.result("c1", &json!({"type": "plan", "explanation": "Three steps.", "steps": [
            {"step": "Find the place", "status": "completed"},
            {"step": "Ask for the length of the month, in the one place where all three parsers come together", "status": "in_progress"},
            {"step": "Add a test", "status": "pending"}]}));
        stage.shot("a plan");
        stage.call("c2");
        stage.result("c2", &changed(&[("/home/me/project/src/parse.rs", "update")]));
        stage.call("c3");
        stage.result("c3", &changed(&[("/home/me/project/src/check.rs", "update"), ("/etc/hosts", "add")]));
        stage.shot("patches");
    });
}

#[test]
fn approvals() {
    screens("approval", |stage| {
        stage.turn("push it");
        stage.said("It is mended. I push it now.");
        let line = "git push --force-with-lease origin HEAD:fix/dates && gh pr create --fill --label 'bug' --reviewer somebody-else";
        stage.asks("c1", &command(line), "`git push` reaches the network", &json!([]));
        stage.shot("a command");
        stage.press(KeyCode::Char('n'));
        stage.types("not before the tests pass");
        stage.shot("a no, with a note");
        stage.fact(json!({"type": "call_refused", "call": "c1", "by": {"type": "person"},
            "reason": "The user does not want this to be done, and says: not before the tests pass"}));
        stage.result("c1", &json!({"type": "failure", "text": "refused"}));
        let grant = json!([{"type": "write_below", "path": "/etc/agent"}]);
        let files = json!({"type": "write", "files": [
            {"path": "/etc/agent/dates.toml", "operation": "update", "diff": DIFF, "outside": true}]});
        stage.asks("c2", &files, "it is outside of the workspace", &grant);
        stage.shot("a patch");
        (0..30).for_each(|_| drop(stage.press(KeyCode::Down)));
        stage.shot("read to its end");
    });
}

#[test]
fn messages_that_wait() {
    screens("waiting", |stage| {
        stage.turn("run the tests");
        stage.runs("c1", "cargo test");
        let queued = |input: u64, delivery: &str, text: &str| json!({"type": "input_queued", "input": input, "delivery": delivery, "content": [{"type": "text", "text": text}]});
        stage.fact(queued(
            1,
            "steer",
            "only those of the parser, please, since the others take half an hour on this machine",
        ));
        stage.fact(queued(2, "after_turn", "then write the\nchangelog"));
        stage.types("and anoth");
        stage.shot("one steers, one waits, one is typed");
        stage.ran("c1", "cargo test", 0, "ok\n");
        stage.item(&json!({"type": "user", "input": 1, "content": [{"type": "text", "text": "only those of the parser, please"}]}));
        stage.shot("the first is heard");
    });
}

#[test]
fn errors() {
    screens("errors", |stage| {
        stage.turn("go on");
        stage.delta(Delta::Status { text: "no connection; trying again in 4 s (2 of 6)".into() });
        stage.wait(2000);
        stage.shot("it is tried again");
        stage.fact(json!({"type": "noted", "level": "warning", "text": "api.example.com: 503 Service Unavailable (try 2 of 6)"}));
        stage.fact(json!({"type": "noted", "level": "error", "text": "the snapshot could not be taken: the disk is full"}));
        stage.text("half an ans");
        stage.fact(json!({"type": "response_finished", "response": 1, "outcome": {"type": "interrupted"}}));
        stage.ends(&json!({"type": "failed", "kind": "network", "message": "cannot reach api.example.com: connection refused. Check the network, or say it again to go on."}));
        stage.shot("the turn has failed");
        stage.turn("again");
        stage.text("half an ans");
        stage.item(&json!({"type": "assistant", "text": "half an ans", "partial": true}));
        stage.fact(json!({"type": "response_finished", "response": 1, "outcome": {"type": "interrupted"}}));
        stage.ends(&json!({"type": "interrupted"}));
        stage.shot("the turn is interrupted");
    });
}

#[test]
fn resumed() {
    for (columns, rows) in SIZES {
        let mut stage = Stage::new(columns, rows);
        for line in include_str!("../../tests/data/sessions/v1-pending-approval.jsonl").lines() {
            stage.fact(serde_json::from_str(line).unwrap());
        }
        stage.wait(400);
        stage.shot("a session that waits for an answer is opened again");
        compare("resumed", (columns, rows), stage);
    }
}
