//! Tools that the provider runs: what it is told of them, what comes of them, and to whom that is sent back.

use agent::{
    model::{anthropic, chat, ollama},
    protocol::{HostedTool, Source},
};

use super::*;
use crate::support::{
    mock::text,
    wires,
    world::{Run, World},
};

pub fn all_tools() -> Vec<HostedTool> {
    vec![
        HostedTool::WebSearch,
        HostedTool::FileSearch { stores: vec!["vs_1".into()] },
        HostedTool::CodeInterpreter,
        HostedTool::Shell,
        HostedTool::Mcp {
            label: "docs".into(),
            url: "https://a.b/mcp".into(),
            ask: true,
            tools: vec!["find".into()],
        },
    ]
}

/// A prompt with a function, and these tools of the provider.
pub fn with_tools(items: Vec<Item>, hosted: Vec<HostedTool>) -> Prompt {
    let plain = prompt(items);
    let spec =
        |hosted| ToolSpec { name: "h".into(), description: String::new(), form: ToolForm::Hosted { hosted } };
    let tools = plain.tools.iter().take(1).cloned().chain(hosted.into_iter().map(spec)).collect();
    Prompt { tools, ..plain }
}

/// A search of the web as Responses tells of it.
fn searched() -> Value {
    json!({"type": "web_search_call", "id": "ws_1", "status": "completed",
           "action": {"type": "search", "query": "rust", "sources": [{"type": "url", "url": "https://a.b"}]}})
}

/// A text that rests on something.
fn cited(said: &str, url: &str) -> Value {
    let mut item = text(said);
    item["content"][0]["annotations"] = json!([
        {"type": "url_citation", "url": url, "title": "A", "start_index": 0, "end_index": 4},
        {"type": "url_citation", "url": url, "title": "A", "start_index": 5, "end_index": 9},
        {"type": "file_citation", "file_id": "file_1", "filename": "notes.md", "index": 3},
    ]);
    item
}

fn sources(url: &str) -> Item {
    Item::Sources {
        sources: vec![
            Source { title: "A".into(), url: url.into() },
            Source { title: "notes.md".into(), url: String::new() },
        ],
    }
}

#[test]
fn each_wire_is_told_of_the_tools_that_its_providers_have() {
    let prompt = with_tools(vec![Item::user("hi")], all_tools());
    let body: Value = serde_json::from_slice(&Encoder::default().request(&prompt)).unwrap();
    assert_eq!(
        body["tools"].as_array().unwrap()[1..],
        [
            json!({"type": "web_search"}),
            json!({"type": "file_search", "vector_store_ids": ["vs_1"]}),
            json!({"type": "code_interpreter", "container": {"type": "auto"}}),
            json!({"type": "shell", "environment": {"type": "container_auto"}}),
            json!({"type": "mcp", "server_label": "docs", "server_url": "https://a.b/mcp",
                   "require_approval": "always", "allowed_tools": ["find"]}),
        ]
    );
    assert_eq!(
        body["include"],
        json!([
            "reasoning.encrypted_content",
            "web_search_call.action.sources",
            "file_search_call.results",
            "code_interpreter_call.outputs"
        ])
    );
    let body: Value =
        serde_json::from_slice(&anthropic::encode::Encoder::new(32_000).request(&prompt)).unwrap();
    assert_eq!(
        body["tools"].as_array().unwrap()[1..],
        [json!({"type": "web_search_20250305", "name": "web_search"})]
    );
    let voice = ollama::Voice { window: 8_000, output: None, images: true };
    for body in [
        chat::encode::Encoder::new(chat::Dialect::default()).request(&prompt),
        ollama::encode::Encoder::new(voice).request(&prompt),
    ] {
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["tools"].as_array().unwrap().len(), 1, "{body}");
    }
}

#[tokio::test]
async fn what_responses_found_is_kept_as_it_came_and_goes_back_with_what_it_was_thought_for() {
    let found =
        [mock::reasoning(&["Search."], "c2VhbGVk"), searched(), cited("Rust is fine.", "https://a.b")];
    let (chunks, error) = ask_mock(Step::items(found)).await;
    assert_eq!(error, None);
    let made = items(&chunks);
    assert_eq!(
        made[1..],
        [Item::Unknown(searched()), assistant("msg_1_3", "Rust is fine."), sources("https://a.b")]
    );
    let conversation = [vec![Item::user("hi")], made, vec![Item::user("more")]].concat();
    let body: Value = serde_json::from_slice(&Encoder::default().request(&prompt(conversation))).unwrap();
    let kinds: Vec<&str> =
        body["input"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "reasoning", "web_search_call", "message", "message"]);
    assert_eq!(body["input"][2], searched());
    assert!(!body.to_string().contains("notes.md"), "sources are for people: {body}");
}

#[test]
fn a_question_of_a_hosted_server_is_a_call_that_is_answered_with_yes_or_no() {
    let asked = json!({"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "docs", "name": "find",
                       "arguments": "{\"q\":\"x\"}"});
    let step = Step::items([asked.clone()]);
    let (chunks, error) = wires::ALL[0].whole(step.events(1).concat().as_bytes());
    assert_eq!(error, None);
    let made = items(&chunks);
    let [Item::ToolCall { call, tool, args, .. }] = &made[..] else { panic!("{made:?}") };
    assert_eq!((call.as_str(), tool.as_str()), ("mcpr_1", "hosted_mcp"));
    assert_eq!(
        serde_json::from_str::<Value>(args.as_str()).unwrap(),
        json!({"server": "docs", "tool": "find", "arguments": "{\"q\":\"x\"}"})
    );
    for (said, answer) in [
        (
            "approved",
            json!({"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": true}),
        ),
        (
            "not this one",
            json!({"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": false, "reason": "not this one"}),
        ),
    ] {
        let conversation =
            [vec![Item::user("hi")], made.clone(), vec![result("mcpr_1", vec![Content::text(said)])]]
                .concat();
        let body: Value = serde_json::from_slice(&Encoder::default().request(&prompt(conversation))).unwrap();
        assert_eq!(body["input"].as_array().unwrap()[1..], [asked.clone(), answer]);
    }
    // Nobody has answered yet: that is no yes.
    let open = [vec![Item::user("hi")], made].concat();
    let body: Value = serde_json::from_slice(&Encoder::default().request(&prompt(open))).unwrap();
    assert_eq!(body["input"][2]["approve"], false);
}

/// A search of the web as Anthropic tells of it: that it began, and what it found.
pub fn messages_search() -> [Value; 2] {
    [
        json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "rust"}}),
        json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
            {"type": "web_search_result", "url": "https://a.b", "title": "A", "encrypted_content": "c2Vh", "page_age": null}]}),
    ]
}

#[test]
fn what_anthropic_found_goes_back_in_its_message_and_a_text_with_its_sources_is_one() {
    let [began, found] = messages_search();
    let step = Step::items([
        text("I look."),
        began.clone(),
        found.clone(),
        text("Rust "),
        cited("is fine", "https://a.b"),
        text("."),
    ]);
    let (chunks, error) = wires::ALL[2].whole(step.events_at("/messages", 1).concat().as_bytes());
    assert_eq!(error, None);
    let plain = |text: &str| Item::Assistant { id: None, text: text.into(), partial: false };
    let made = items(&chunks);
    assert_eq!(
        made,
        [
            plain("I look."),
            Item::Unknown(began.clone()),
            Item::Unknown(found.clone()),
            plain("Rust is fine."),
            sources("https://a.b"),
        ]
    );
    assert_eq!(text_of(&chunks), "I look.Rust is fine.");
    let conversation = [vec![Item::user("hi")], made, vec![Item::user("more")]].concat();
    let body: Value =
        serde_json::from_slice(&anthropic::encode::Encoder::new(32_000).request(&prompt(conversation)))
            .unwrap();
    assert_eq!(
        body["messages"][1]["content"],
        json!([{"type": "text", "text": "I look."}, began, found, {"type": "text", "text": "Rust is fine."}])
    );
}

/// A world whose provider speaks this wire, with lines for `[hosted]`.
async fn hosting(wire: &str, hosted: &str, steps: Vec<Step>) -> World {
    let world = World::new(steps).await;
    let config = std::fs::read_to_string(world.config_file()).unwrap();
    let config = config.replace("wire = 'responses'", &format!("wire = '{wire}'"));
    std::fs::write(world.config_file(), format!("{config}\n[hosted]\n{hosted}\n")).unwrap();
    world
}

fn outcome(run: &Run) -> Value {
    run.outcome()
}

#[tokio::test]
async fn a_search_is_off_until_one_line_turns_it_on_and_a_person_sees_what_was_found() {
    let answer = || Step::items([searched(), cited("Rust is fine.", "https://a.b")]).usage_all(100, 0, 20, 5);
    let steps = || vec![answer()];
    let world = hosting("responses", "", steps()).await;
    world.exec(&["task"]).await.expect(0);
    assert!(!world.mock.requests()[0].body["tools"].to_string().contains("web_search"));

    let world = hosting("responses", "web_search = true", steps()).await;
    let price = "models.m.price = { input = 5.0, output = 30.0 }";
    let run = world.exec(&["-c", price, "task"]).await.expect(0);
    assert!(world.mock.requests()[0].body["tools"].to_string().contains("web_search"));
    // The tokens are paid for by a price that is known, and the search by one that is not.
    assert!(run.stderr.contains("$0.0011+"), "{run:#?}");
    assert_eq!(run.stdout, "Rust is fine.\n");
    for words in ["Searched the web rust", "https://a.b", "A (https://a.b)"] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
}

#[tokio::test]
async fn a_provider_that_pauses_goes_on_where_it_was() {
    let [began, found] = messages_search();
    let steps = vec![
        Step::items([text("I look."), began.clone()]).incomplete("pause_turn"),
        Step::items([found.clone(), text("Rust is fine.")]),
    ];
    let world = hosting("anthropic", "web_search = true", steps).await;
    let run = world.exec(&["--json", "task"]).await.expect(0);
    assert_eq!(outcome(&run)["type"], "done", "{run:#?}");
    let requests = world.mock.requests();
    let messages = requests[1].body["messages"].as_array().unwrap();
    let last = messages.last().unwrap();
    assert_eq!(
        (&last["role"], last["content"].as_array().unwrap().last()),
        (&json!("assistant"), Some(&began))
    );
    let kinds: Vec<Value> = run
        .of("item_added")
        .iter()
        .map(|fact| fact["item"]["type"].clone())
        .filter(|kind| kind != "context")
        .collect();
    assert_eq!(kinds, ["user", "assistant", "server_tool_use", "web_search_tool_result", "assistant"]);
}

#[test]
fn searches_side_by_side_each_keep_what_they_found() {
    let [begun, found] = messages_search();
    let named = |mut block: Value, field: &str| {
        block[field] = json!("srvtoolu_2");
        block
    };
    let others = [named(begun.clone(), "id"), named(found.clone(), "tool_use_id")];
    let blocks = [&begun, &others[0], &found, &others[1]].map(|block| Item::Unknown(block.clone()));
    let items = [Item::user("look")].into_iter().chain(blocks).chain([Item::user("and?")]).collect();
    let body = agent::model::anthropic::encode::Encoder::new(32_000).request(&prompt(items));
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["messages"][1]["content"], json!([begun, found, others[0], others[1]]));
}

#[tokio::test]
async fn where_nobody_is_asked_a_hosted_server_that_asks_is_told_no_and_one_that_need_not_does_not_ask() {
    let asked = json!({"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "docs", "name": "find", "arguments": "{}"});
    let steps = vec![Step::items([asked]), Step::text("I can't look it up.")];
    let world = hosting("responses", "mcp.docs = { url = 'https://a.b/mcp' }", steps).await;
    world.exec(&["task"]).await.expect(0);
    let requests = world.mock.requests();
    let input = requests[1].body["input"].as_array().unwrap();
    let answer = input.last().unwrap();
    assert_eq!((&answer["type"], &answer["approve"]), (&json!("mcp_approval_response"), &json!(false)));
    assert!(answer["reason"].as_str().unwrap().contains("nobody is asked"), "{answer}");

    let called = json!({"type": "mcp_call", "id": "mcp_1", "name": "find", "server_label": "docs", "arguments": "{}",
                        "output": "found it", "error": null, "status": "completed"});
    let steps = vec![Step::items([called, text("It is there.")])];
    let world = hosting("responses", "mcp.docs = { url = 'https://a.b/mcp', ask = false }", steps).await;
    let run = world.exec(&["task"]).await.expect(0);
    let tools = world.mock.requests()[0].body["tools"].to_string();
    assert!(tools.contains("\"require_approval\":\"never\""), "{tools}");
    assert!(run.stderr.contains("Called find of docs") && run.stderr.contains("found it"), "{}", run.stderr);
}

#[tokio::test]
async fn what_a_provider_does_not_have_is_said_and_the_model_is_not_told_of_it() {
    let world = hosting("chat", "web_search = true\nshell = true", vec![Step::text("ok")]).await;
    let run = world.exec(&["task"]).await.expect(0);
    assert!(run.stderr.contains("mock has no web search, shell in a container"), "{}", run.stderr);
    assert!(!world.mock.requests()[0].body["tools"].to_string().contains("web_search"));
}
