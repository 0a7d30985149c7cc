//! Answers: text, reasoning, usage, and requests that only grow.

use serde_json::{Value, json};

use crate::support::{
    mock::{Step, custom_call, reasoning, text},
    world::{World, shell, story},
};

#[tokio::test]
async fn a_text_turn_prints_the_answer_and_nothing_else_as_data() {
    let world = World::new([Step::text("It is *done*.")]).await;
    let run = world.exec(&["do it"]).await.expect(0);
    assert_eq!(run.stdout, "It is *done*.\n");
    assert!(run.stderr.contains("› do it") && run.stderr.contains("10 tokens in"), "{run:#?}");
    let body = &world.mock.requests()[0].body;
    assert_eq!((&body["model"], &body["store"], &body["stream"]), (&json!("m"), &json!(false), &json!(true)));
    assert_eq!(body["prompt_cache_key"], json!(world.session()));
    assert_eq!(world.sent(1)[0]["content"][0]["text"], "do it");
}

#[tokio::test]
async fn a_turn_is_told_by_its_facts() {
    let world = World::new([Step::items([shell("echo hi")]), Step::text("ok")]).await;
    let run = world.exec(&["--json", "go"]).await.expect(0);
    let facts = run.facts();
    let begin = facts.iter().position(|fact| fact["type"] == "turn_started").unwrap();
    assert_eq!(
        story(&facts[begin..]),
        [
            "turn_started",
            "user go",
            "response_started",
            "tool_call call_1_1",
            "response_finished completed",
            "call_allowed call_1_1",
            "tool_started call_1_1",
            "tool_result call_1_1",
            "response_started",
            "assistant ok",
            "response_finished completed",
            "turn_finished done",
        ]
    );
    assert_eq!(world.log(), facts);
}

#[tokio::test]
async fn sealed_reasoning_goes_back_as_it_came_and_before_its_call() {
    let world = World::new([
        Step::items([reasoning(&["**Looking**\nat it"], "gAAAA-sealed"), shell("true")]),
        Step::text("ok"),
    ])
    .await;
    world.exec(&["go"]).await.expect(0);
    assert_eq!(world.mock.requests()[0].body["include"], json!(["reasoning.encrypted_content"]));
    let sent = world.sent(2);
    let kinds: Vec<&str> = sent.iter().filter_map(|item| item["type"].as_str()).collect();
    assert_eq!(kinds, ["message", "reasoning", "function_call", "function_call_output"]);
    assert_eq!(
        (&sent[1]["encrypted_content"], &sent[1]["summary"][0]["text"]),
        (&json!("gAAAA-sealed"), &json!("**Looking**\nat it"))
    );
}

#[tokio::test]
async fn usage_and_cost_are_summed_over_the_answers_of_a_turn() {
    let world = World::new([
        Step::items([shell("true")]).usage_all(100, 0, 20, 5),
        Step::text("ok").usage_all(150, 90, 7, 0),
    ])
    .await;
    let price = "models.m.price = { input = 5.0, cached = 0.5, output = 30.0 }";
    let run = world.exec(&["-c", price, "go"]).await.expect(0);
    assert!(run.stderr.contains("250 tokens in (90 cached), 27 out · $0.0017"), "{run:#?}");
    let usages: Vec<Value> = world
        .log()
        .iter()
        .filter(|fact| fact["type"] == "response_finished")
        .map(|fact| fact["usage"].clone())
        .collect();
    assert_eq!(
        usages,
        [
            json!({"input": 100, "cached": 0, "output": 20, "reasoning": 5, "cost_usd": 0.0011}),
            json!({"input": 150, "cached": 90, "output": 7, "reasoning": 0, "cost_usd": 0.000_555}),
        ]
    );
}

#[tokio::test]
async fn each_request_begins_with_the_bytes_of_the_one_before() {
    let patch = "*** Begin Patch\n*** Add File: a.txt\n+ünï\n*** End Patch\n";
    let world = World::new([
        Step::items([text("First I look."), shell("echo one; printf '\\033[1mbold\\033[0m \\t\\\"'")]),
        Step::items([reasoning(&["Think"], "sealed"), custom_call("apply_patch", patch)]),
        Step::items([shell("cat a.txt"), shell("no-such-program")]),
        Step::text("First part.").usage(7, 8),
        Step::text("Second part."),
    ])
    .await;
    world.exec(&["go"]).await.expect(0);
    // A resumed session is another process, and must send the same bytes all the same.
    world.exec(&["resume", &world.session(), "go on"]).await.expect(0);
    let items = |raw: &[u8]| {
        let body = std::str::from_utf8(raw).unwrap().to_owned();
        let from = body.find("\"input\":[").unwrap();
        let (head, rest) = body.split_at(from);
        let mut depth = 0;
        let mut quoted = false;
        let mut escaped = false;
        let end = rest.bytes().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'[' | b'{' if !quoted => depth += 1,
                b']' | b'}' if !quoted => depth -= 1,
                _ => return false,
            }
            depth == 0 && byte == b']'
        });
        let (items, tail) = rest.split_at(end.unwrap());
        (head.to_owned(), items.to_owned(), tail.to_owned())
    };
    let sent: Vec<_> = world.mock.requests().iter().map(|request| items(&request.raw)).collect();
    assert_eq!(sent.len(), 5);
    for pair in sent.windows(2) {
        let [(head, items, tail), (next_head, next_items, next_tail)] = pair else { unreachable!() };
        assert!(next_items.starts_with(items), "{items}\n\n{next_items}");
        assert!(next_items.len() > items.len());
        assert_eq!((head, tail), (next_head, next_tail));
    }
}
