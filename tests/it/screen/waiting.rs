//! What a person does while a turn runs: interrupts, steers, says what comes afterwards.

use std::{fs, path::Path};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use super::{
    call, say,
    terminal::{Place, Screen},
};
use crate::support::{
    has_sandbox,
    mock::{Gate, Mock, Step},
};

/// A command that runs until the test opens its gate.
fn waits() -> Value {
    call("c1", &json!({"cmd": "echo begun; cat gate", "yield_time_ms": 30_000}))
}

fn make_gate(workspace: &Path) {
    mknodat(CWD, workspace.join("gate"), FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
}

/// The texts of the log's items in their order, each with its kind.
fn items(log: &str) -> Vec<String> {
    let facts = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let items = facts.filter(|fact| fact["type"] == "item_added").map(|fact| fact["item"].clone());
    let told = items.filter(|item| item["type"] != "context").map(|item| {
        let text = item["text"].as_str().or_else(|| item["content"][0]["text"].as_str());
        let text = text.filter(|_| item["type"] != "tool_result").unwrap_or_default();
        format!("{} {text}", item["type"].as_str().unwrap()).trim_end().to_owned()
    });
    told.collect()
}

#[test]
fn a_running_command_is_interrupted_and_the_session_goes_on() {
    if !has_sandbox() {
        return;
    }
    let mut screen =
        Screen::new(&[call("c1", &json!({"cmd": "echo begun; exec sleep 600"})), say("second answer")]);
    screen.shows("›");
    screen.say("go");
    screen.shows("begun");
    screen.press("\x1b");
    screen.shows("Interrupted");
    screen.say("and now");
    screen.shows("second answer");
    let log = screen.log();
    assert_eq!(log.matches("\"tool_result\"").count(), 1, "{log}");
    screen.leave();
}

#[test]
fn an_answer_that_does_not_come_is_interrupted() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mock =
        runtime.block_on(Mock::start([Step::text("never whole").stall_after(4), Step::text("the next one")]));
    let mut screen = Screen::start(Place::served(&mock.base_url()), &["go"]);
    screen.shows("never");
    screen.press("\x1b");
    screen.shows("Interrupted");
    screen.say("again");
    screen.shows("the next one");
    screen.leave();
}

#[test]
fn enter_steers_and_is_heard_after_the_step_that_runs() {
    if !has_sandbox() {
        return;
    }
    let place = Place::new(&[waits(), say("heard")]);
    make_gate(&place.workspace);
    let mut screen = Screen::start(place, &["go"]);
    screen.shows("begun");
    screen.say("rather look at b");
    screen.shows("↳ after this step: rather look at b");
    fs::write(screen.place.workspace.join("gate"), "open\n").unwrap();
    screen.shows("heard");
    screen.shows("Worked for");
    let all = ["user go", "tool_call", "tool_result", "user rather look at b", "assistant heard"];
    assert_eq!(items(&screen.log()), all);
    let rows = screen.leave();
    assert_eq!(rows.matches("rather look at b").count(), 1, "{rows}");
}

#[test]
fn tab_queues_for_afterwards_and_can_be_taken_back() {
    if !has_sandbox() {
        return;
    }
    let place = Place::new(&[waits(), say("first done"), say("second done")]);
    make_gate(&place.workspace);
    let mut screen = Screen::start(place, &["go"]);
    screen.shows("begun");
    screen.press("then the docs");
    screen.shows("› then the docs");
    screen.press("\t");
    screen.shows("↳ next: then the docs");
    screen.press("\x1b[1;3A");
    screen.until("the message is taken back", |screen| screen.log().contains("input_retracted"));
    screen.shows("› then the docs");
    screen.press(", please");
    screen.shows("› then the docs, please");
    screen.press("\t");
    screen.shows("↳ next: then the docs, please");
    fs::write(screen.place.workspace.join("gate"), "open\n").unwrap();
    screen.shows("second done");
    let all = [
        "user go",
        "tool_call",
        "tool_result",
        "assistant first done",
        "user then the docs, please",
        "assistant second done",
    ];
    screen.until("the second turn has ended", |screen| screen.log().matches("turn_finished").count() == 2);
    assert_eq!(items(&screen.log()), all);
    screen.leave();
}

#[test]
fn an_error_is_told_while_it_is_tried_again() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gate = Gate::new();
    let steps = [Step::status(503).header("retry-after", "0"), Step::text("at last").gate(0, &gate)];
    let mock = runtime.block_on(Mock::start(steps));
    let mut screen = Screen::start(Place::served(&mock.base_url()), &["go"]);
    screen.shows("503");
    gate.open();
    screen.shows("at last");
    screen.leave();
}
