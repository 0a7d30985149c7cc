//! Answers that are legal, and odd.

use serde_json::{Value, json};

use crate::support::{
    mock::{Step, call},
    world::{World, output, shell},
};

#[tokio::test]
async fn bad_arguments_are_told_in_the_words_that_models_know() {
    let cases = [
        ("{}", "failed to parse function arguments: missing field `cmd` at line 1 column 2"),
        ("", "failed to parse function arguments: missing field `cmd` at line 1 column 2"),
        ("{\"cmd\"", "failed to parse function arguments: EOF while parsing an object at line 1 column 6"),
    ];
    let world = World::new([
        Step::items(cases.map(|(arguments, _)| call("exec_command", arguments))),
        Step::text("ok"),
    ])
    .await;
    world.exec(&["go"]).await.expect(0);
    let results: Vec<Value> = world.results(2).into_iter().map(|(_, text)| text).collect();
    assert_eq!(results, cases.map(|(_, told)| json!(told)));
    // What the model wrote goes back as it wrote it.
    let sent: Vec<Value> = world
        .sent(2)
        .iter()
        .filter(|item| item["type"] == "function_call")
        .map(|item| item["arguments"].clone())
        .collect();
    assert_eq!(sent, cases.map(|(arguments, _)| json!(arguments)));
}

#[tokio::test]
async fn calls_with_one_id_are_two_calls() {
    let with_id = |cmd: &str| {
        let mut call = shell(cmd);
        call["call_id"] = json!("same");
        call
    };
    let world = World::new([
        Step::items([with_id("echo a >> ran"), with_id("echo b >> ran")]),
        Step::items([with_id("echo c >> ran; cat ran | wc -l")]),
        Step::text("ok"),
    ])
    .await;
    let run = world.exec(&["--json", "go"]).await.expect(0);
    let results = world.results(3);
    let ids: Vec<&str> = results.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["same", "same_2", "same_3"]);
    assert_eq!(output(results[2].1.as_str().unwrap()).trim(), "3");
    assert_eq!(run.of("tool_started").len(), 3);
}

#[tokio::test]
async fn a_call_without_an_id_gets_one() {
    let mut nameless = shell("echo hi");
    nameless["call_id"] = Value::Null;
    let world = World::new([Step::items([nameless]), Step::text("ok")]).await;
    world.exec(&["go"]).await.expect(0);
    let results = world.results(2);
    assert!(!results[0].0.is_empty(), "{results:?}");
    assert_eq!(output(results[0].1.as_str().unwrap()), "hi\n");
}

#[tokio::test]
async fn an_empty_answer_ends_the_turn() {
    let world = World::new([Step::items([])]).await;
    let run = world.exec(&["--json", "go"]).await.expect(0);
    assert_eq!(run.outcome(), json!({"type": "done"}));
}

#[tokio::test]
async fn an_item_of_a_kind_that_nobody_knows_goes_back_as_it_came() {
    let odd = json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"q": 1}});
    let world = World::new([Step::items([odd.clone(), shell("true")]), Step::text("ok")]).await;
    world.exec(&["go"]).await.expect(0);
    assert!(world.sent(2).contains(&odd), "{:#?}", world.sent(2));
}

#[tokio::test]
async fn an_answer_in_tiny_pieces_and_one_that_is_no_stream_are_the_same_answer() {
    let message = json!({"id": "r", "object": "response", "status": "completed", "output": [
        {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "hellö"}]}
    ], "usage": {"input_tokens": 1, "output_tokens": 1}});
    for step in [Step::text("hellö").split(1), Step::text("hellö").quiet(), Step::json(message)] {
        let world = World::new([step]).await;
        assert_eq!(world.exec(&["go"]).await.expect(0).stdout, "hellö\n");
    }
}
