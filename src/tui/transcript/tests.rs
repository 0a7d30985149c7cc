use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::protocol::printable;
use crate::tui::text::columns;

/// A session as it is told: each fact a second after the one before.
struct Told {
    transcript: Transcript,
    seq: u64,
    theme: Theme,
    width: u16,
}

const START: &str = "2026-11-20T10:00:00Z";

impl Told {
    fn new(width: u16) -> Self {
        let mut told = Self { transcript: Transcript::new(), seq: 0, theme: Theme::ansi(), width };
        told.fact(json!({"type": "session_started", "session": "01936f3e-7a10-7000-8000-000000000001",
            "version": 1, "agent": "0.1.0", "workspace": "/w"}));
        told
    }

    fn fact(&mut self, mut fact: Value) {
        self.seq += 1;
        let at: crate::protocol::Time = START.parse().unwrap();
        let at = at + std::time::Duration::from_secs(self.seq);
        fact["seq"] = json!(self.seq);
        fact["at"] = json!(at);
        // As a log has it: one line of JSON.
        let event: Event = serde_json::from_str(&fact.to_string()).unwrap();
        self.transcript.apply(&event);
    }

    fn item(&mut self, item: &Value) {
        self.fact(json!({"type": "item_added", "item": item}));
    }

    fn user(&mut self, text: &str) {
        self.item(&json!({"type": "user", "content": [{"type": "text", "text": text}]}));
    }

    fn said(&mut self, text: &str) {
        self.item(&json!({"type": "assistant", "text": text}));
    }

    fn thought(&mut self, text: &str) {
        self.item(&json!({"type": "reasoning", "summary": [text]}));
    }

    fn begin(&mut self) {
        self.fact(json!({"type": "turn_started", "turn": 1}));
        self.fact(json!({"type": "response_started", "response": 1}));
    }

    fn end(&mut self) {
        self.fact(json!({"type": "response_finished", "response": 1, "outcome": {"type": "completed"},
            "usage": {"input": 12_000, "cached": 9_000, "output": 340}}));
        self.fact(
            json!({"type": "turn_finished", "turn": 1, "outcome": {"type": "done"}, "duration_ms": 4200}),
        );
    }

    fn call(&mut self, call: &str) {
        self.item(&json!({"type": "tool_call", "call": call, "tool": "whatever", "args": {"json": "{}"}}));
    }

    fn allowed(&mut self, call: &str, intent: &Value) {
        self.call(call);
        self.fact(json!({"type": "call_allowed", "call": call, "by": {"type": "policy"}, "intent": intent}));
        self.fact(json!({"type": "tool_started", "call": call}));
    }

    fn result(&mut self, call: &str, shown: &Value) {
        self.item(&json!({"type": "tool_result", "call": call, "content": [], "shown": shown}));
    }

    fn runs(&mut self, call: &str, command: &str) {
        self.allowed(call, &intent(command));
    }

    fn ran(&mut self, call: &str, command: &str, exit: i32, output: &str) {
        self.result(call, &ran(command, exit, output));
    }

    fn text(&mut self, text: &str) {
        self.transcript.delta(&Delta::Text { response: ResponseId(1), text: text.to_owned() });
    }

    fn restarted(&mut self) {
        self.transcript.delta(&Delta::Restarted { response: ResponseId(1) });
    }

    fn take(&mut self) -> String {
        let rows = self.transcript.take_finished(self.width, &self.theme);
        checked(&rows, self.width)
    }

    fn live(&self) -> String {
        let now: crate::protocol::Time = START.parse().unwrap();
        let now = now.as_millisecond() + i64::try_from(self.seq).unwrap() * 1000 + 3000;
        checked(&self.transcript.live(self.width, 20, &self.theme, now), self.width)
    }

    fn full(&self) -> String {
        let whole = |cell| self.transcript.whole(cell, self.width, &self.theme, 0).rows;
        let cells = (0..self.transcript.len()).map(whole).filter(|rows| !rows.is_empty());
        cells.map(|rows| checked(&rows, self.width)).collect::<Vec<_>>().join("\n--\n")
    }
}

fn intent(command: &str) -> Value {
    json!({"type": "command", "command": command, "workdir": "/w"})
}

fn ran(command: &str, exit: i32, output: &str) -> Value {
    json!({"type": "command", "command": command, "workdir": "/w", "exit": exit, "duration_ms": 1234,
        "output": {"head": output, "lines": output.lines().count(), "bytes": output.len()}})
}

/// The rows as text. No row is too wide, and none can do anything.
fn checked(rows: &[impl ToString], width: u16) -> String {
    let rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
    for row in &rows {
        assert!(columns(row) <= usize::from(width), "{row:?} is wider than {width}");
        assert_eq!(printable(row), row.as_str());
        assert!(!row.contains(['\n', '\t']), "{row:?}");
    }
    rows.join("\n")
}

/// Everything that is printed at 80 and at 40 columns.
fn printed(story: impl Fn(&mut Told)) -> [String; 2] {
    [80, 40].map(|width| {
        let mut told = Told::new(width);
        story(&mut told);
        told.take()
    })
}

#[test]
fn of_very_much_only_the_end_is_printed_again_and_the_whole_stays() {
    let mut told = Told::new(80);
    let all = PRINTED + 500;
    for n in 0..all {
        told.user(&format!("message {n}."));
    }
    told.transcript.pass_over_old();
    let printed = told.take();
    assert!(printed.starts_with("  500 earlier parts are not printed again"), "{printed}");
    let has = |text: &str, n: usize| text.contains(&format!("› message {n}."));
    assert!(!has(&printed, 499) && has(&printed, 500) && has(&printed, all - 1));
    assert!(has(&told.full(), 0) && told.take().is_empty());
    // What is little is printed whole.
    let mut told = Told::new(80);
    told.user("message 0.");
    told.transcript.pass_over_old();
    assert_eq!(told.take(), "› message 0.");
}

#[test]
fn a_turn_from_question_to_answer() {
    let [wide, narrow] = printed(|told| {
        told.begin();
        told.user("look around and fix\nthe thing that is broken in the parser of dates");
        told.thought("**Looking around**\n\nI should list the files.");
        told.said("I'll look around **first**, and then I will see what there is to do.");
        told.runs("1", "cargo test --lib");
        told.ran("1", "cargo test --lib", 101, &(1..=30).map(|n| format!("line {n}\n")).collect::<String>());
        told.said("Done.");
        told.end();
    });
    insta::assert_snapshot!(wide, @r"
    › look around and fix
      the thing that is broken in the parser of dates

      Looking around

    • I'll look around first, and then I will see what there is to do.

    • Ran cargo test --lib · exit 101 · 1s
    line 1
    line 2
    … +25 lines
    line 28
    line 29
    line 30

    • Done.

      Worked for 4s · 12.3k tokens (9k cached)
    ");
    insta::assert_snapshot!(narrow, @r"
    › look around and fix
      the thing that is broken in the parser
      of dates

      Looking around

    • I'll look around first, and then I
      will see what there is to do.

    • Ran cargo test --lib · exit 101 · 1s
    line 1
    line 2
    … +25 lines
    line 28
    line 29
    line 30

    • Done.

      Worked for 4s · 12.3k tokens (9k
      cached)
    ");
}

#[test]
fn commands_running_and_ended() {
    let mut told = Told::new(60);
    told.begin();
    told.runs("1", "make -j8 && ./run --with some --long options that do not fit into one row");
    told.transcript.delta(&Delta::Output {
        call: "1".into(),
        text: (1..=9).map(|n| format!("\x1b[32mout {n}\x1b[0m\r\n")).collect(),
    });
    assert_eq!(told.take(), "");
    insta::assert_snapshot!(told.live(), @r"
    • Running make -j8 && ./run --with some --long options that
    do not fit into one row · 3s
    out 5
    out 6
    out 7
    out 8
    out 9
    ");
    told.ran("1", "make", 0, "");
    told.runs("2", "npm start");
    told.result("2", &json!({"type": "command", "command": "npm start", "workdir": "/w", "process": 77, "duration_ms": 10_000,
        "output": {"head": "listening\n", "lines": 1, "bytes": 10}}));
    told.fact(json!({"type": "process_started", "process": 77, "call": "2", "command": "npm start"}));
    told.allowed("3", &json!({"type": "input", "process": 77, "text": "y\n\u{3}"}));
    told.ran("3", "npm start", 130, "bye\n");
    told.fact(json!({"type": "process_exited", "process": 77, "exit": 130}));
    told.runs("4", "cat <<EOF > x\n1\n2\n3\n4\n5\nEOF");
    told.ran("4", "cat <<EOF > x\n1\n2\n3\n4\n5\nEOF", 0, "a\nb\nc\nd\ne\n");
    insta::assert_snapshot!(told.take(), @r"
    • Ran make · 1s
    (no output)

    • Ran npm start · goes on as process 77 · 10s
    listening

    • Typed `y⏎^C` into process 77 · exit 130 · 1s
    bye

    · process 77 ended with exit code 130: npm start

    • Ran cat <<EOF > x
    1
    2
    3
    4
    … +2 lines · 1s
    a
    b
    c
    d
    e
    ");
}

#[test]
fn looks_at_files_are_folded() {
    let mut told = Told::new(60);
    told.begin();
    told.runs("1", "cat Cargo.toml src/lib.rs");
    told.ran("1", "cat", 0, "x\n");
    told.thought("**Looking further**");
    told.runs("2", "rg -n foo src");
    told.runs("3", "ls /w/src");
    insta::assert_snapshot!(told.live(), @r"
    • Exploring
      Read Cargo.toml, src/lib.rs
      Search foo in src
      List src
    ");
    told.ran("3", "ls", 0, "x\n");
    told.ran("2", "rg", 1, "");
    assert_eq!(told.take(), "", "more may join it");
    told.runs("4", "cargo test");
    insta::assert_snapshot!(told.take(), @r"
    • Explored
      Read Cargo.toml, src/lib.rs
      Search foo in src (nothing found)
      List src
    ");
    told.ran("4", "cargo test", 0, "ok\n");
    insta::assert_snapshot!(told.take(), @r"
    • Ran cargo test · 1s
    ok
    ");
    insta::assert_snapshot!(told.full(), @r"
    • Ran cat · 1s
    x
    --
      Looking further
    --
    • Ran rg · exit 1 · 1s
    (no output)
    --
    • Ran ls · 1s
    x
    --
    • Ran cargo test · 1s
    ok
    ");
}

#[test]
fn patches_show_what_changed() {
    let [wide, narrow] = printed(|told| {
        told.begin();
        told.allowed("1", &json!({"type": "write", "files": []}));
        let many: String = (1..=70).map(|n| format!("+line {n}\n")).collect();
        told.result("1", &json!({"type": "patch", "files": [
            {"path": "/w/src/a.rs", "operation": "update", "added": 2, "removed": 1,
             "diff": "@@ -1,3 +1,4 @@\n fn main() {\n-\told(\"a long line that does not fit into forty columns\");\n+    new();\n+    extra();\n }\n"},
            {"path": "/w/old.txt", "operation": "delete", "added": 0, "removed": 9, "diff": "@@ -1 +0,0 @@\n-x\n"},
            {"path": "/w/b.rs", "moved_to": "/else/c.rs", "operation": "update", "added": 0, "removed": 0, "diff": ""},
            {"path": "/w/new.txt", "operation": "add", "added": 70, "removed": 0, "diff": format!("@@ -0,0 +1,70 @@\n{many}")},
        ]}));
    });
    let short = |text: &str| {
        let rows: Vec<&str> = text.lines().collect();
        [&rows[..15], &["..."], &rows[rows.len() - 2..]].concat().join("\n")
    };
    insta::assert_snapshot!(short(&wide), @r#"
    • Edited src/a.rs (+2 -1)
     1  fn main() {
     2 -    old("a long line that does not fit into forty columns");
     2 +    new();
     3 +    extra();
     4  }

    • Deleted old.txt (+0 -9)
    • Moved b.rs → /else/c.rs (+0 -0)
    • Added new.txt (+70 -0)
     1 +line 1
     2 +line 2
     3 +line 3
     4 +line 4
     5 +line 5
    ...
    55 +line 55
       … +15 lines
    "#);
    insta::assert_snapshot!(short(&narrow), @r#"
    • Edited src/a.rs (+2 -1)
     1  fn main() {
     2 -    old("a long line that does not f
        it into forty columns");
     2 +    new();
     3 +    extra();
     4  }

    • Deleted old.txt (+0 -9)
    • Moved b.rs → /else/c.rs (+0 -0)
    • Added new.txt (+70 -0)
     1 +line 1
     2 +line 2
     3 +line 3
     4 +line 4
    ...
    54 +line 54
       … +16 lines
    "#);
}

#[test]
fn plans_pictures_words_and_what_is_unknown() {
    let [wide, narrow] = printed(|told| {
        told.begin();
        for (call, shown) in [
            (
                "1",
                json!({"type": "plan", "explanation": "First the tests.", "steps": [
                {"step": "Write the tests for all the things that may ever happen", "status": "completed"},
                {"step": "Fix it", "status": "in_progress"}, {"step": "Tell", "status": "pending"}]}),
            ),
            ("2", json!({"type": "image", "path": "/w/pic.png", "blob": "00", "width": 640, "height": 480})),
            ("3", json!({"type": "text", "text": "Some words\nof a result"})),
            ("4", json!({"type": "failure", "text": "no line matches \"fn main\"\nnearest is line 12"})),
            ("5", json!({"type": "hologram", "of": "\u{1b}[2J"})),
        ] {
            told.call(call);
            told.result(call, &shown);
        }
        told.item(&json!({"type": "dream", "of": "sheep"}));
        told.fact(json!({"type": "dreamt", "of": ["sheep"]}));
        for level in ["info", "warning", "error"] {
            told.fact(json!({"type": "noted", "level": level, "text": format!("a note: {level}, and some words more")}));
        }
    });
    insta::assert_snapshot!(wide, @r#"
    • First the tests.
      ✓ Write the tests for all the things that may ever happen
      ▸ Fix it
      ○ Tell

    • Looked at pic.png (640×480)

    • Some words
      of a result

    ✗ no line matches "fn main"
      nearest is line 12

    · hologram (of a newer version)

    · dream (of a newer version)

    · dreamt (of a newer version)

    · a note: info, and some words more

    ! a note: warning, and some words more

    ✗ a note: error, and some words more
    "#);
    insta::assert_snapshot!(narrow, @r#"
    • First the tests.
      ✓ Write the tests for all the things
        that may ever happen
      ▸ Fix it
      ○ Tell

    • Looked at pic.png (640×480)

    • Some words
      of a result

    ✗ no line matches "fn main"
      nearest is line 12

    · hologram (of a newer version)

    · dream (of a newer version)

    · dreamt (of a newer version)

    · a note: info, and some words more

    ! a note: warning, and some words more

    ✗ a note: error, and some words more
    "#);
}

#[test]
fn decisions_of_people_are_kept_in_sight() {
    let mut told = Told::new(70);
    told.begin();
    let ask = |told: &mut Told, call: &str, intent: &Value| {
        told.call(call);
        told.fact(json!({"type": "approval_requested", "call": call, "intent": intent, "reason": "leaves the sandbox"}));
    };
    ask(&mut told, "1", &intent("rm -rf build"));
    assert_eq!(
        (told.take(), told.live()),
        (String::new(), String::new()),
        "the approval itself is shown elsewhere"
    );
    told.fact(json!({"type": "call_allowed", "call": "1", "by": {"type": "person"}, "intent": intent("rm -rf build")}));
    told.fact(json!({"type": "tool_started", "call": "1"}));
    told.ran("1", "rm -rf build", 0, "");
    ask(&mut told, "2", &intent("npm install left-pad"));
    told.fact(json!({"type": "call_allowed", "call": "2", "intent": intent("npm install left-pad"),
        "by": {"type": "person", "grant": {"type": "command_prefix", "words": ["npm", "install"]}}}));
    told.ran("2", "npm install left-pad", 0, "added 1 package\n");
    ask(&mut told, "3", &json!({"type": "write", "files": [{"path": "/w/a.rs", "operation": "update"}]}));
    let reason = "The user does not want this to be done, and says: use the other file";
    told.fact(json!({"type": "call_refused", "call": "3", "by": {"type": "person"}, "reason": reason}));
    told.result("3", &json!({"type": "failure", "text": reason}));
    told.call("4");
    told.fact(json!({"type": "call_refused", "call": "4", "by": {"type": "policy"}, "reason": "unsupported call: x"}));
    told.result("4", &json!({"type": "failure", "text": "unsupported call: x"}));
    told.call("5");
    let rule = json!({"grant": {"type": "write_below", "path": "/notes"}, "scope": "project"});
    told.fact(json!({"type": "call_allowed", "call": "5", "intent": {"type": "write", "files": []},
        "by": {"type": "grant", "grant": rule["grant"], "scope": rule["scope"]}}));
    told.result("5", &json!({"type": "text", "text": "done"}));
    told.fact(json!({"type": "revoked", "rule": rule}));
    insta::assert_snapshot!(told.take(), @r"
    ✓ You allowed $ rm -rf build once
    • Ran rm -rf build · 1s
    (no output)

    ✓ You allowed $ npm install left-pad, and until this session ends
      commands that begin with `npm install`, outside the sandbox too
    • Ran npm install left-pad · 1s
    added 1 package

    ✗ You refused changes to a.rs
      use the other file

    ✗ unsupported call: x

    · Allowed by a rule (always in this project): changes at or below
      /notes
    • done

      No longer allowed (always in this project): changes at or below
      /notes
    ");
}

#[test]
fn an_interrupt_leaves_its_mark() {
    let mut told = Told::new(60);
    told.begin();
    told.text("I was going to say");
    told.item(&json!({"type": "assistant", "text": "I was going to say", "partial": true}));
    told.runs("1", "sleep 100");
    told.result(
        "1",
        &json!({"type": "failure", "text": "aborted by user after 3.0s; what it had done by then is done"}),
    );
    told.fact(json!({"type": "turn_finished", "turn": 1, "outcome": {"type": "interrupted"}, "duration_ms": 61_000}));
    told.fact(json!({"type": "turn_started", "turn": 2}));
    told.fact(json!({"type": "turn_finished", "turn": 2, "duration_ms": 900,
        "outcome": {"type": "failed", "kind": "network", "message": "cannot reach api.example.com"}}));
    insta::assert_snapshot!(told.take(), @r"
    • I was going to say
      … cut off

    ✗ $ sleep 100
      aborted by user after 3.0s; what it had done by then is
      done

    ■ Interrupted after 1m 01s

    ✗ cannot reach api.example.com
      Stopped after 0.9s
    ");
    assert_eq!(told.live(), "");
}

#[test]
fn an_answer_streams_and_is_printed_once() {
    let mut told = Told::new(60);
    told.begin();
    insta::assert_snapshot!(told.live(), @"• Working · 4s");
    told.transcript.delta(&Delta::Reasoning { response: ResponseId(1), text: "**Thinking hard**\n".into() });
    insta::assert_snapshot!(told.live(), @"• Thinking hard · 4s");
    told.text("First block.\n\nSecond ");
    assert_eq!(told.take(), "• First block.");
    assert_eq!(told.live(), "\n  Second");
    told.text("block.\n\n```\ncode\n");
    assert_eq!(told.take(), "\n  Second block.\n\ncode");
    told.said("First block.\n\nSecond block.\n\n```\ncode\n```\nend");
    assert_eq!(told.take(), "\n  end");
    told.end();
    assert_eq!(told.take(), "\n  Worked for 4s · 12.3k tokens (9k cached)");
    assert_eq!(told.live(), "");
}

#[test]
fn an_answer_behind_a_running_command_waits_for_it() {
    let mut told = Told::new(60);
    told.begin();
    told.runs("1", "sleep 1");
    told.text("Meanwhile.\n\nMore");
    assert_eq!(told.take(), "");
    insta::assert_snapshot!(told.live(), @r"
    • Running sleep 1 · 3s

    • Meanwhile.

      More
    ");
    told.said("Meanwhile.\n\nMore");
    told.ran("1", "sleep 1", 0, "");
    insta::assert_snapshot!(told.take(), @r"
    • Ran sleep 1 · 1s
    (no output)

    • Meanwhile.

      More
    ");
}

#[test]
fn what_was_not_printed_of_a_broken_answer_is_void() {
    let mut told = Told::new(60);
    told.begin();
    told.text("A fa");
    told.restarted();
    told.fact(json!({"type": "noted", "level": "warning", "text": "503; trying again"}));
    told.text("An answer");
    told.said("An answer");
    assert_eq!(told.take(), "! 503; trying again\n\n• An answer");
}

#[test]
fn what_was_printed_of_a_broken_answer_stays_and_is_said_to_be() {
    let mut told = Told::new(60);
    told.begin();
    told.text("Printed.\n\nNot prin");
    assert_eq!(told.take(), "• Printed.");
    told.restarted();
    told.text("Anew.");
    told.said("Anew.");
    assert_eq!(told.take(), "  the answer broke off and starts again\n\n• Anew.");
}

#[test]
fn a_whole_message_that_comes_again_is_not_said_twice() {
    let mut told = Told::new(60);
    told.begin();
    told.text("First message.");
    told.said("First message.");
    told.text("Second, bro");
    assert_eq!(told.take(), "• First message.");
    told.restarted();
    for part in ["First ", "message.", "Second", ", whole."] {
        told.text(part);
        assert!(!told.live().contains("First"), "{}", told.live());
    }
    told.said("Second, whole.");
    assert_eq!(told.take(), "\n• Second, whole.");
    // Or it says something else this time.
    told.restarted();
    told.text("First thing");
    assert!(told.live().contains("First thing"));
    told.said("First thing.");
    assert_eq!(told.take(), "\n• First thing.");
}

#[test]
fn an_answer_of_which_parts_were_lost_is_shown_whole() {
    let mut told = Told::new(60);
    told.begin();
    told.text("One.\n\nTwo.");
    told.said("One. Lost. Two.");
    assert_eq!(told.take(), "• One. Lost. Two.", "nobody saw the parts");
    told.text("One.\n\nTwo.");
    assert_eq!(told.take(), "\n• One.");
    told.said("One.\n\nLost.\n\nTwo.");
    insta::assert_snapshot!(told.take(), @r"
      Two.
      parts were not shown while this came; here it is whole

    • One.

      Lost.

      Two.
    ");
}

#[test]
fn messages_that_wait_are_shown_until_they_are_delivered() {
    let mut told = Told::new(40);
    told.begin();
    let queue = |told: &mut Told, input: u32, delivery: &str, text: &str| {
        told.fact(json!({"type": "input_queued", "input": input, "delivery": delivery,
            "content": [{"type": "text", "text": text}]}));
    };
    queue(&mut told, 1, "steer", "not that file but the other one, please");
    queue(&mut told, 2, "after_turn", "then commit\nand push");
    queue(&mut told, 3, "after_turn", "never mind");
    insta::assert_snapshot!(told.live(), @r"
    • Working · 7s

    ↳ after this step: not that file but th…
    ↳ next: then commit …
    ↳ next: never mind
    ");
    told.fact(json!({"type": "input_retracted", "input": 3}));
    told.item(&json!({"type": "user", "input": 1, "content": [{"type": "text", "text": "not that file"}]}));
    assert_eq!(told.take(), "› not that file");
    insta::assert_snapshot!(told.live(), @r"
    • Working · 9s

    ↳ next: then commit …
    ");
}

#[test]
fn a_resumed_session_reads_like_the_live_one() {
    let story = |told: &mut Told, live: bool| {
        let mut out = String::new();
        let mut look = |told: &mut Told| {
            if live {
                let part = told.take();
                out.push_str(&part);
                out.push_str(if part.is_empty() { "" } else { "\n" });
                told.live();
            }
        };
        told.begin();
        told.user("go");
        look(told);
        for part in ["Some ", "text.\n\n", "- a\n- b", "\n\n| x | y |\n|--|--|\n| 1 |", " 2 |"] {
            if live {
                told.text(part);
            }
            look(told);
        }
        told.said("Some text.\n\n- a\n- b\n\n| x | y |\n|--|--|\n| 1 | 2 |");
        look(told);
        told.runs("1", "cat a");
        look(told);
        told.ran("1", "cat a", 0, "x");
        told.runs("2", "cat b");
        look(told);
        told.ran("2", "cat b", 0, "x");
        told.runs("3", "make");
        told.runs("4", "make b");
        told.ran("4", "make b", 0, "second\n");
        look(told);
        told.ran("3", "make", 0, "first\n");
        look(told);
        told.end();
        look(told);
        if !live {
            out = told.take() + "\n";
        }
        out
    };
    let live = story(&mut Told::new(60), true);
    let resumed = story(&mut Told::new(60), false);
    assert_eq!(live, resumed);
}

#[test]
fn lines_of_ten_megabytes_cost_nothing() {
    let long = "é".repeat(5 << 20);
    let mut told = Told::new(80);
    told.begin();
    told.runs("1", "x");
    told.transcript.delta(&Delta::Output { call: "1".into(), text: long.clone() });
    assert!(told.live().lines().count() < 10);
    told.ran("1", &long, 0, &long);
    told.call("2");
    told.result("2", &json!({"type": "failure", "text": long}));
    told.user(&long);
    let rows = told.take().lines().count();
    assert!(rows < 300, "{rows}");
}

/// Text that tries to be more than text.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\x1b]52;c;eA==\x07".to_owned()),
        Just("\x1b[2J\x1b[?1049h\x1bP+q\x1b\\".to_owned()),
        Just("\u{9b}31m\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}".to_owned()),
        Just("\0\x08\x7f\r".to_owned()),
        Just("\n\n```\n".to_owned()),
        Just("&#27;&#x9b;&#x202e;**`".to_owned()),
        Just("| a | b |\n|---|---|\n| \x1b |".to_owned()),
        "[a-z 漢\u{301}\t\n]{1,20}",
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn nothing_from_outside_reaches_a_row_as_it_came(evil in hostile(), width in prop_oneof![10u16..20, Just(80)]) {
        let mut told = Told::new(width);
        told.begin();
        told.user(&evil);
        told.text(&evil);
        told.live();
        told.take();
        told.said(&evil);
        told.thought(&evil);
        told.transcript.delta(&Delta::Reasoning { response: ResponseId(1), text: format!("**{evil}**\n") });
        told.transcript.delta(&Delta::Status { text: evil.clone() });
        told.live();
        told.runs("1", &evil);
        told.transcript.delta(&Delta::Output { call: "1".into(), text: evil.clone() });
        told.live();
        told.ran("1", &evil, 1, &evil);
        told.runs("2", &format!("cat 'a{}'", evil.replace(['\'', '\n'], "")));
        told.ran("2", "cat", 0, &evil);
        told.allowed("3", &json!({"type": "input", "process": 1, "text": evil}));
        told.live();
        told.result("3", &json!({"type": "text", "text": evil}));
        told.allowed("4", &json!({"type": "write", "files": [{"path": evil, "operation": "add"}]}));
        told.live();
        told.result("4", &json!({"type": "patch", "files": [
            {"path": evil, "moved_to": evil, "operation": "update", "added": 1, "removed": 0, "diff": format!("+{evil}")}]}));
        told.call("5");
        told.fact(json!({"type": "call_allowed", "call": "5", "intent": intent(&evil),
            "by": {"type": "person", "grant": {"type": "command_prefix", "words": [evil]}}}));
        told.result("5", &json!({"type": "failure", "text": evil}));
        told.call("6");
        told.fact(json!({"type": "call_refused", "call": "6", "by": {"type": "policy"}, "reason": evil}));
        told.result("6", &json!({"type": "plan", "explanation": evil, "steps": [{"step": evil, "status": "pending"}]}));
        told.call("7");
        told.result("7", &json!({"type": "image", "path": evil, "blob": "0", "width": 1, "height": 1}));
        told.call("8");
        told.result("8", &json!({"type": evil}));
        told.fact(json!({"type": format!("x{evil}")}));
        told.fact(json!({"type": "noted", "level": "error", "text": evil}));
        told.fact(json!({"type": "process_started", "process": 1, "call": "1", "command": evil}));
        told.fact(json!({"type": "process_exited", "process": 1}));
        told.fact(json!({"type": "input_queued", "input": 1, "delivery": "steer", "content": [{"type": "text", "text": evil}]}));
        told.live();
        told.fact(json!({"type": "turn_finished", "turn": 1, "duration_ms": 1,
            "outcome": {"type": "failed", "kind": "x", "message": evil}}));
        told.take();
        told.full();
    }
}

#[test]
fn links_lead_somewhere_in_the_scrollback_and_say_where_in_the_full_view() {
    let mut told = Told::new(24);
    told.transcript = std::mem::take(&mut told.transcript).linked(crate::tui::text::link::Follow::Yes);
    told.text("See [the docs](https://a.b/c), [a.b](https://evil.example) and `x/y.rs:3`.\n\n| t |\n|---|\n| https://a.b |\n\n");
    let rows = told.transcript.take_finished(24, &told.theme);
    let linked: Vec<(String, &str)> = rows
        .iter()
        .flat_map(|row| {
            row.links.iter().map(|(range, to)| {
                (row.line.spans[range.clone()].iter().map(ToString::to_string).collect(), &**to)
            })
        })
        .collect();
    let file = format!("file://{}/x/y.rs", told.transcript.workspace.display());
    let expected = [
        ("the docs", "https://a.b/c"),
        ("a.b", "https://evil.example"),
        ("x/y.rs:3", file.as_str()),
        ("https://a.b", "https://a.b"),
    ];
    assert_eq!(linked, expected.map(|(text, to)| (text.to_owned(), to)));
    assert_eq!(
        checked(&rows, 24),
        "• See the docs, a.b\n  (https://evil.example)\n  and x/y.rs:3.\n\n  ┌─────────────┐\n  │ t           │\n  \
         ├─────────────┤\n  │ https://a.b │\n  └─────────────┘"
    );
    assert!(told.full().contains("the docs\n  (https://a.b/c)"), "{}", told.full());
}

#[test]
fn a_conversation_is_exported_as_markdown_in_which_nothing_acts() {
    let mut told = Told::new(80);
    told.user("do **it**\x1b[2J");
    told.begin();
    told.thought("**Thinking**");
    told.runs("1", "ls");
    told.ran("1", "ls", 2, "a\n```\nb\n");
    told.call("2");
    told.result(
        "2",
        &json!({"type": "patch", "files": [{"path": "/w/a`b.rs", "operation": "update", "added": 1,
        "removed": 0, "diff": "@@ -0,0 +1 @@\n+x\n"}]}),
    );
    told.call("3");
    told.result(
        "3",
        &json!({"type": "plan", "steps": [{"step": "one", "status": "completed"},
        {"step": "two", "status": "pending"}]}),
    );
    told.item(&json!({"type": "context", "context": "notice", "text": "The user ended session ID 7."}));
    told.said("Done.");
    told.end();
    told.transcript.say(vec!["not a part of it".into()]);
    insta::assert_snapshot!(told.transcript.markdown(), @r"
    ## You

    do **it**\u{1b}[2J

    > **Thinking**

    ````console
    $ ls
    a
    ```
    b
    ````

    *exit 2*

    Edited `` a`b.rs `` (+1 -0)

    ```diff
    @@ -0,0 +1 @@
    +x
    ```

    - [x] one
    - [ ] two

    *The user ended session ID 7.*

    Done.
    ");
    assert_eq!(told.transcript.source(2).as_deref(), Some("$ ls\na\n```\nb"));
    assert_eq!(told.transcript.patches().count(), 1);
}

#[test]
fn that_the_files_are_being_kept_is_told_while_a_command_waits_for_it() {
    let mut told = Told::new(60);
    told.begin();
    told.user("go");
    told.call("c1");
    let command = intent("make");
    told.fact(json!({"type": "call_allowed", "call": "c1", "by": {"type": "policy"}, "intent": command}));
    told.fact(json!({"type": "snapshot_started", "turn": 1, "moment": "before"}));
    assert!(told.live().contains("Keeping the files as they are now, for /undo · "), "{}", told.live());
    told.fact(json!({"type": "snapshot_taken", "turn": 1, "moment": "before", "snapshot": "s"}));
    assert!(!told.live().contains("Keeping"), "{}", told.live());
}
