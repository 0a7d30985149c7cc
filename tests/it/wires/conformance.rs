//! One suite for every wire, over real HTTP: whatever language a provider speaks, the same answer means the same.

use agent::model::chat::Dialect;

use super::{rules, *};
use crate::support::{
    mock::{custom_call, reasoning as thought, text},
    world::{World, shell},
};

/// All wires that go to a server.
const WIRES: [Wire; 4] = [Wire::Responses, Wire::Chat, Wire::Anthropic, Wire::Ollama];

fn open(wire: Wire, mock: &Mock) -> Arc<dyn Model> {
    seeing(wire, mock, true)
}

/// A model that takes pictures, or does not.
fn seeing(wire: Wire, mock: &Mock, images: bool) -> Arc<dyn Model> {
    let dialect = Dialect { images, ..Dialect::default() };
    let provider = Provider { wire, dialect, ..provider(mock) };
    let resolved =
        Resolved { provider, ..Catalog::builtin().resolve(&"openai/gpt-5.5".parse().unwrap()).unwrap() };
    catalog::open(&resolved, Some(&SecretString::from(KEY)), None).unwrap()
}

async fn ask_on(wire: Wire, step: Step) -> (Vec<Chunk>, Option<ModelError>) {
    let mock = Mock::start([step]).await;
    ask(&*open(wire, &mock), &prompt(vec![Item::user("hi")])).await
}

/// What an answer means: texts that came bit by bit, and items without what only their wire knows.
fn meaning(wire: Wire, chunks: &[Chunk]) -> Value {
    let (mut said, mut thought, mut arguments) = (String::new(), String::new(), String::new());
    let mut rest = Vec::new();
    for chunk in chunks {
        match chunk {
            Chunk::Text(text) => said.push_str(text),
            Chunk::Reasoning(text) => thought.push_str(text),
            // Those of a freeform tool are an object on some wires.
            Chunk::Arguments(text) => arguments.push_str(text),
            Chunk::Item(item) => {
                let mut item = serde_json::to_value(item).unwrap();
                for own in ["id", "encrypted"] {
                    item.as_object_mut().unwrap().remove(own);
                }
                rest.push(item);
            }
            Chunk::Note(text) => rest.push(json!({ "note": text })),
            Chunk::Finished { usage } => {
                let mut usage = json!(usage);
                // Not every wire tells how much of it was reasoning, or came from a cache.
                usage.as_object_mut().unwrap().remove("reasoning");
                if wire == Wire::Ollama {
                    assert_eq!(usage["cached"], 0);
                    usage["cached"] = json!(80);
                }
                rest.push(json!({ "finished": usage }));
            }
        }
    }
    json!({"said": said, "thought": thought, "arguments": !arguments.is_empty(), "items": rest})
}

#[tokio::test]
async fn an_answer_means_the_same_on_every_wire() {
    for split in [1, 7, 100_000] {
        let mut meanings = Vec::new();
        for wire in WIRES {
            let step = Step::items([
                thought(&["Think."], "c2VhbGVk"),
                text("Hello thére"),
                mock::call("exec_command", json!({"cmd": "ls"})),
                mock::call("exec_command", "{\"cmd\": bad"),
                custom_call("apply_patch", "*** Begin \"Patch\"\n"),
            ])
            .chunk(5)
            .split(split)
            .usage_all(100, 80, 20, 7);
            let (chunks, error) = ask_on(wire, step).await;
            assert_eq!(error, None, "{wire:?}");
            meanings.push((wire, meaning(wire, &chunks)));
        }
        let call = |id: &str, tool: &str, args: Value| json!({"type": "tool_call", "call": id, "tool": tool, "args": args});
        let expected = json!({"said": "Hello thére", "thought": "Think.", "arguments": true, "items": [
            {"type": "reasoning", "summary": ["Think."]},
            {"type": "assistant", "text": "Hello thére"},
            call("call_1_3", "exec_command", json!({"json": "{\"cmd\":\"ls\"}"})),
            call("call_1_4", "exec_command", json!({"json": "{\"cmd\": bad"})),
            call("call_1_5", "apply_patch", json!({"text": "*** Begin \"Patch\"\n"})),
            {"finished": {"input": 100, "cached": 80, "output": 20}},
        ]});
        for (wire, meaning) in meanings {
            assert_eq!(meaning, expected, "{wire:?}");
        }
    }
}

#[tokio::test]
async fn what_fails_fails_alike_on_every_wire() {
    let long = r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#;
    let s = Duration::from_secs;
    type Row = (fn() -> Step, Kind, Retry);
    let table: [Row; 13] = [
        (|| Step::status(401), Kind::Auth, Retry::No),
        (|| Step::status(400), Kind::Request, Retry::No),
        (|| Step::status(404), Kind::Request, Retry::No),
        (|| Step::status(429).header("retry-after", "2"), Kind::RateLimit, Retry::After(s(2))),
        (|| Step::status(500), Kind::Server, Retry::Backoff),
        (Step::hang_up, Kind::Network, Retry::Backoff),
        (
            || Step::text("cut off in the middle of what it says, and that is long").drop_after(3),
            Kind::Network,
            Retry::Backoff,
        ),
        (|| Step::text("never finished").unfinished(), Kind::Network, Retry::Backoff),
        (|| Step::text("x").fail("server_error", "oops"), Kind::Server, Retry::Backoff),
        (
            || Step::text("x").fail("rate_limit_exceeded", "Please try again in 3s."),
            Kind::RateLimit,
            Retry::After(s(3)),
        ),
        (|| Step::text("x").fail("context_length_exceeded", "too long"), Kind::ContextWindow, Retry::No),
        (|| Step::text("x").incomplete("max_output_tokens"), Kind::Incomplete, Retry::No),
        (|| Step::text("x").incomplete("content_filter"), Kind::Incomplete, Retry::No),
    ];
    for wire in WIRES {
        for (number, (step, kind, retry)) in table.iter().enumerate() {
            let (chunks, error) = ask_on(wire, step()).await;
            let error = error.unwrap_or_else(|| panic!("{wire:?}, row {number}: {chunks:?}"));
            assert_eq!((error.kind, error.retry), (*kind, *retry), "{wire:?}, row {number}: {error}");
            assert!(!error.message.contains(KEY) && !finished(&chunks), "{error}");
        }
        let (_, error) = ask_on(wire, Step::status(400).body(long)).await;
        assert_eq!(error.unwrap().kind, Kind::ContextWindow);
        let (_, error) = ask_on(wire, Step::raw("<html>").header("content-type", "text/html")).await;
        assert_eq!(error.unwrap().kind, Kind::Garbage);
    }
}

#[tokio::test]
async fn a_long_answer_and_one_that_nobody_waits_for() {
    for wire in WIRES {
        let long = "word ".repeat(40_000);
        let (chunks, error) = ask_on(wire, Step::text(long.clone()).chunk(20)).await;
        assert_eq!((error, text_of(&chunks) == long, finished(&chunks)), (None, true, true), "{wire:?}");
        let mock = Mock::start([Step::text("stays silent after this").stall_after(3)]).await;
        let stream = open(wire, &mock).respond(&prompt(vec![Item::user("hi")])).await.unwrap();
        drop(stream);
        mock.hung_up().await;
    }
}

#[tokio::test]
async fn a_picture_and_a_key_reach_the_provider_on_every_wire() {
    for wire in WIRES {
        let mock = Mock::start([Step::text("ok")]).await;
        ask(&*open(wire, &mock), &prompt(conversation())).await;
        let request = &mock.requests()[0];
        let body = String::from_utf8_lossy(&request.raw).into_owned();
        let picture = match wire {
            Wire::Anthropic => "\"media_type\":\"image/png\"",
            Wire::Ollama => "\"images\":[\"iVBORw==\"]",
            _ => "data:image/png;base64,",
        };
        assert_eq!(body.matches(picture).count(), 2, "{wire:?}");
        assert!(body.contains("can't be read any more"), "{wire:?}: the one that is gone is said in words");
        match wire {
            Wire::Anthropic => assert_eq!(request.headers["x-api-key"], KEY),
            _ => assert_eq!(request.headers["authorization"], format!("Bearer {KEY}")),
        }
        assert!(!body.contains(KEY));
    }
}

#[tokio::test]
async fn a_model_that_takes_no_pictures_is_told_so_in_words_on_every_wire() {
    for wire in WIRES {
        let mock = Mock::start([Step::text("ok")]).await;
        let items = vec![
            Item::User { content: vec![Content::text("Look:"), picture("p")], input: None },
            call("a", Args::Json("{}".into())),
            result("a", vec![picture("p")]),
        ];
        ask(&*seeing(wire, &mock, false), &prompt(items)).await;
        let body = String::from_utf8_lossy(&mock.requests()[0].raw).into_owned();
        let told = "[a picture of 1×1 pixels; this model takes no pictures]";
        assert_eq!(body.matches(told).count(), 2, "{wire:?}: {body}");
        assert!(!body.contains("iVBOR"), "{wire:?}: {body}");
    }
}

/// Pieces of conversations, in any order and with anything missing.
fn anything() -> impl Strategy<Value = Vec<Item>> {
    let id = || prop::sample::select(vec!["a", "b.c", "c"]);
    let sealed = prop::sample::select(vec![
        None,
        Some("c2VhbGVk"),
        Some("chat:[{\"type\":\"x\"}]"),
        Some("anthropic:signed:s"),
        Some("anthropic:redacted:r"),
        Some("other:x"),
    ]);
    let item = prop_oneof![
        Just(Item::user("hi")),
        Just(context(Context::System, "system")),
        Just(context(Context::Notice, "notice")),
        Just(context(Context::Environment, "here")),
        Just(assistant("msg_1", "said")),
        Just(Item::Assistant { id: None, text: String::new(), partial: true }),
        sealed.prop_map(|sealed| Item::Reasoning {
            id: None,
            summary: vec!["thought".into()],
            encrypted: sealed.map(str::to_owned),
        }),
        (id(), any::<bool>()).prop_map(|(id, text)| call(
            id,
            if text { Args::Text("patch".into()) } else { Args::Json("{broken".into()) }
        )),
        id().prop_map(|id| result(id, vec![Content::text("out"), picture("p")])),
        Just(Item::Unknown(json!({"type": "web_search_call", "id": "ws_1"}))),
    ];
    prop::collection::vec(item, 0..24)
}

proptest! {
    #[test]
    fn whatever_was_said_the_request_pairs_calls_with_results_and_holds_nothing_foreign(items in anything()) {
        let voice = agent::model::ollama::Voice { window: 8_000, output: None, images: true };
        for (wire, body, foreign) in [
            (
                Wire::Responses,
                Encoder::default().request(&prompt(items.clone())),
                &["chat:", "other:", "anthropic:"][..],
            ),
            (
                Wire::Chat,
                agent::model::chat::encode::Encoder::new(Dialect::default()).request(&prompt(items.clone())),
                &["c2VhbGVk", "other:", "anthropic:", "web_search"],
            ),
            (
                Wire::Anthropic,
                agent::model::anthropic::encode::Encoder::new(32_000).request(&prompt(items.clone())),
                &["c2VhbGVk", "other:", "chat:", "web_search"],
            ),
            (
                Wire::Ollama,
                agent::model::ollama::encode::Encoder::new(voice).request(&prompt(items)),
                &["c2VhbGVk", "other:", "chat:", "anthropic:", "web_search"],
            ),
        ] {
            let body: Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(rules::broken(wire, &body), Vec::<String>::new(), "{:?}: {:#}", wire, body);
            let text = body.to_string();
            let sent: Vec<&&str> = foreign.iter().filter(|word| text.contains(**word)).collect();
            prop_assert!(sent.is_empty(), "{:?} has {:?}: {}", wire, sent, text);
        }
    }
}

#[tokio::test]
async fn a_scripted_session_has_the_same_facts_on_every_wire() {
    let patch = "*** Begin Patch\n*** Add File: new.txt\n+new\n*** End Patch\n";
    let mut stories = Vec::new();
    for wire in ["responses", "chat", "anthropic", "ollama"] {
        let steps = [
            Step::items([thought(&["I think."], "c2VhbGVk"), text("I look."), shell("echo hi")]),
            Step::text("dropped in the middle of what it says, and that is long").drop_after(2),
            Step::items([custom_call("apply_patch", patch), mock::call("exec_command", "{\"cmd\": ")]),
            Step::text("Done."),
        ];
        let world = World::new(steps).await;
        let config = std::fs::read_to_string(world.config_file()).unwrap();
        std::fs::write(
            world.config_file(),
            config.replace("wire = 'responses'", &format!("wire = '{wire}'")),
        )
        .unwrap();
        let run = world.exec(&["--json", "the task"]).await.expect(0);
        assert_eq!(world.read("new.txt"), "new\n", "{wire}");
        assert_eq!(world.mock.requests().len(), 4, "{wire}");
        let here = world.workspace.display().to_string();
        let facts = run
            .facts()
            .into_iter()
            .filter(|fact| fact["item"]["type"] != "context" && fact["type"] != "noted")
            // Named by what is in the files, times included.
            .filter(|fact| !fact["type"].as_str().unwrap().starts_with("snapshot"));
        let mut story: Vec<String> = facts
            .map(|mut fact| {
                for field in ["at", "seq", "session", "workspace", "duration_ms"] {
                    fact.as_object_mut().unwrap().shift_remove(field);
                }
                if let Some(item) = fact["item"].as_object_mut() {
                    item.shift_remove("id");
                    item.shift_remove("encrypted");
                    if item["type"] == "tool_result" {
                        item.shift_remove("content");
                        item["shown"].as_object_mut().unwrap().remove("duration_ms");
                    }
                }
                fact.to_string().replace(&here, "/w")
            })
            .collect();
        // Calls of one answer take turns as they like.
        story.sort();
        stories.push(story);
    }
    for story in &stories {
        assert_eq!(*story, stories[0]);
    }
    assert!(stories[0].len() > 15, "{:#?}", stories[0]);
}
