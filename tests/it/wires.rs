//! Each wire over real HTTP: requests against golden files, recorded streams, and every way to fail.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use agent::{
    model::{
        Chunk, Model, ModelError, ModelErrorKind as Kind, Prompt, ReadBlob, Retry,
        catalog::{self, Catalog, Provider, Resolved},
        http::Http,
        responses::{Responses, decode::Decoder, encode::Encoder},
        sse::{self, Event},
        stream::{Decode, Flow},
    },
    protocol::{
        Args, BlobId, CallId, Content, Context, Effort, Item, Shown, ToolForm, ToolSpec, Usage, Verbosity,
    },
};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, stream};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::mock::{self, Gate, Mock, Step};

const KEY: &str = "sk-test-0123456789";

struct Blobs;

impl ReadBlob for Blobs {
    fn read(&self, blob: &BlobId) -> io::Result<Vec<u8>> {
        match blob.as_str() {
            "missing" => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(b"\x89PNG".to_vec()),
        }
    }
}

fn prompt(items: Vec<Item>) -> Prompt {
    Prompt {
        model: "gpt-5.5".into(),
        cache_key: "session-1".into(),
        effort: Some(Effort::Medium),
        verbosity: Some(Verbosity::Low),
        output_schema: None,
        tools: Arc::new([
            ToolSpec {
                name: "exec_command".into(),
                description: "Runs a command.".into(),
                form: ToolForm::Function {
                    parameters: json!({"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]}),
                },
            },
            ToolSpec {
                name: "apply_patch".into(),
                description: "Edits files.".into(),
                form: ToolForm::Freeform { grammar: "start: /.+/".into() },
            },
        ]),
        epoch: 0,
        items: Arc::new(items.into_iter().map(Arc::new).collect()),
        kept: Vec::new(),
        blobs: Arc::new(Blobs),
    }
}

fn context(context: Context, text: &str) -> Item {
    Item::Context { context, text: text.into() }
}

fn assistant(id: &str, text: &str) -> Item {
    Item::Assistant { id: Some(id.into()), text: text.into(), partial: false }
}

fn reasoning(id: &str) -> Item {
    Item::Reasoning {
        id: Some(id.into()),
        summary: vec!["First.".into(), "Then.".into()],
        encrypted: Some("c2VhbGVk".into()),
    }
}

fn call(id: &str, args: Args) -> Item {
    let tool = match args {
        Args::Json(_) => "exec_command",
        Args::Text(_) => "apply_patch",
    };
    Item::ToolCall { call: CallId::from(id), id: Some(format!("fc_{id}")), tool: tool.into(), args }
}

fn result(id: &str, content: Vec<Content>) -> Item {
    Item::ToolResult { call: CallId::from(id), content, shown: Shown::text("") }
}

fn picture(blob: &str) -> Content {
    Content::Image { blob: BlobId::from(blob), mime: "image/png".into(), width: 1, height: 1 }
}

/// One of everything.
fn conversation() -> Vec<Item> {
    vec![
        context(Context::System, "You are an agent."),
        context(Context::Permissions, "You may write."),
        context(Context::Instructions, "# AGENTS.md\nUse tabs."),
        context(Context::Environment, "cwd: /w"),
        Item::User {
            content: vec![Content::text("Look: \"é\""), picture("p"), picture("missing")],
            input: None,
        },
        reasoning("rs_1"),
        call("a", Args::Json("{\"cmd\": \"ls\"}".into())),
        call("b", Args::Text("*** Begin Patch".into())),
        result("a", vec![Content::text("out")]),
        result("b", vec![Content::text("see"), picture("p")]),
        context(Context::Notice, "A process was pruned."),
        Item::Unknown(json!({"type": "web_search_call", "id": "ws_1", "status": "completed"})),
        assistant("msg_1", "Done."),
    ]
}

fn provider(mock: &Mock) -> Provider {
    Provider { name: "mock".into(), base_url: mock.base_url(), ..Provider::default() }
}

fn model(mock: &Mock) -> Responses {
    with_idle(mock, Duration::from_secs(60))
}

fn with_idle(mock: &Mock, idle_timeout: Duration) -> Responses {
    let provider = Provider { idle_timeout, ..provider(mock) };
    Responses::new(Http::new(&provider, Some(&SecretString::from(KEY))).unwrap())
}

/// All that comes of one request: the chunks, and the error that ended them.
async fn ask(model: &dyn Model, prompt: &Prompt) -> (Vec<Chunk>, Option<ModelError>) {
    let mut chunks = Vec::new();
    match model.respond(prompt).await {
        Ok(mut stream) => {
            while let Some(chunk) = stream.next().await {
                match chunk {
                    Ok(chunk) => chunks.push(chunk),
                    Err(error) => {
                        assert!(stream.next().await.is_none(), "nothing follows an error");
                        return (chunks, Some(error));
                    }
                }
            }
            (chunks, None)
        }
        Err(error) => (chunks, Some(error)),
    }
}

async fn ask_mock(step: Step) -> (Vec<Chunk>, Option<ModelError>) {
    let mock = Mock::start([step]).await;
    ask(&model(&mock), &prompt(vec![Item::user("hi")])).await
}

fn items(chunks: &[Chunk]) -> Vec<Item> {
    chunks
        .iter()
        .filter_map(|chunk| match chunk {
            Chunk::Item(item) => Some(item.clone()),
            _ => None,
        })
        .collect()
}

fn text_of(chunks: &[Chunk]) -> String {
    chunks
        .iter()
        .filter_map(|chunk| match chunk {
            Chunk::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

fn finished(chunks: &[Chunk]) -> bool {
    matches!(chunks.last(), Some(Chunk::Finished { .. }))
}

// --- requests ---------------------------------------------------------------------------------------------

/// Compares with a golden file; with `UPDATE_GOLDEN` set, writes it.
fn assert_golden(name: &str, body: &[u8]) {
    let path = format!("{}/tests/data/wires/responses/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let value: Value = serde_json::from_slice(body).unwrap();
    let pretty = format!("{value:#}\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &pretty).unwrap();
    }
    assert_eq!(pretty, std::fs::read_to_string(&path).unwrap(), "{path} (UPDATE_GOLDEN=1 writes it)");
}

#[tokio::test]
async fn a_conversation_is_sent_as_the_api_wants_it() {
    let mock = Mock::start([Step::text("ok")]).await;
    let (chunks, error) = ask(&model(&mock), &prompt(conversation())).await;
    assert!(finished(&chunks), "{error:?}");
    let request = &mock.requests()[0];
    assert_golden("everything", &request.raw);
    assert_eq!(request.path, "/v1/responses");
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(request.headers["accept"], "text/event-stream");
    assert_eq!(request.headers["content-length"], request.raw.len().to_string());
}

#[test]
fn a_schema_and_a_model_that_does_not_reason_change_the_head() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let plain = Prompt {
        effort: None,
        verbosity: None,
        tools: Arc::new([]),
        output_schema: Some(schema.clone()),
        ..prompt(vec![Item::user("hi")])
    };
    let body = Encoder::default().request(&plain);
    assert_golden("schema", &body);
    let loose = Prompt { output_schema: Some(json!({"type": "object"})), ..plain };
    let body: Value = serde_json::from_slice(&Encoder::default().request(&loose)).unwrap();
    assert_eq!(body["text"]["format"]["strict"], false);
}

#[test]
fn a_request_begins_with_the_bytes_of_the_one_before() {
    let all = conversation();
    let mut encoder = Encoder::default();
    let mut before: Option<Bytes> = None;
    for count in 0..=all.len() {
        let body = encoder.request(&prompt(all[..count].to_vec()));
        assert!(serde_json::from_slice::<Value>(&body).is_ok());
        if let Some(before) = &before {
            let prefix = &before[..before.len() - "]}".len()];
            assert!(body.starts_with(prefix), "request {count} changed what was sent before");
        }
        before = Some(body);
    }
    let at_once = Encoder::default().request(&prompt(all));
    assert_eq!(before.unwrap(), at_once, "piece by piece and at once are the same");
}

#[test]
fn each_item_is_encoded_once_however_long_the_conversation_is() {
    let mut encoder = Encoder::default();
    let mut all = Vec::new();
    for n in 0..1000 {
        all.push(Arc::new(Item::user(format!("message {n}"))));
        let prompt = Prompt { items: Arc::new(all.clone()), ..prompt(vec![]) };
        encoder.request(&prompt);
        assert_eq!(encoder.encoded(), n + 1);
    }
}

#[test]
fn another_epoch_or_another_conversation_starts_afresh() {
    let mut encoder = Encoder::default();
    let first = prompt(vec![Item::user("a"), Item::user("b")]);
    encoder.request(&first);
    for changed in [
        Prompt { epoch: 1, ..prompt(vec![Item::user("x"), Item::user("b"), Item::user("c")]) },
        Prompt { cache_key: "other".into(), ..prompt(vec![Item::user("y"), Item::user("b")]) },
        prompt(vec![Item::user("a"), Item::user("z"), Item::user("c")]),
        prompt(vec![]),
    ] {
        assert_eq!(encoder.request(&changed), Encoder::default().request(&changed));
    }
}

#[test]
fn reasoning_without_its_outcome_is_not_sent() {
    let sent = |items: Vec<Item>| -> Vec<String> {
        let body: Value = serde_json::from_slice(&Encoder::default().request(&prompt(items))).unwrap();
        let kind = |item: &Value| item["type"].as_str().unwrap().to_owned();
        body["input"].as_array().unwrap().iter().map(kind).collect()
    };
    let user = || Item::user("hi");
    let partial = || Item::Assistant { id: None, text: "I wa".into(), partial: true };
    let open = || Item::Reasoning { id: Some("rs_2".into()), summary: vec![], encrypted: None };
    let json = || Args::Json("{}".into());
    assert_eq!(sent(vec![user(), reasoning("rs_1")]), ["message"]);
    assert_eq!(sent(vec![user(), reasoning("rs_1"), user()]), ["message", "message"]);
    assert_eq!(sent(vec![user(), reasoning("rs_1"), partial()]), ["message", "message"]);
    assert_eq!(sent(vec![user(), open(), assistant("msg_1", "x")]), ["message", "message"]);
    assert_eq!(sent(vec![reasoning("rs_1"), assistant("msg_1", "")]), [""; 0]);
    assert_eq!(
        sent(vec![reasoning("rs_1"), assistant("msg_1", ""), reasoning("rs_2"), call("a", json())]),
        ["reasoning", "reasoning", "function_call"]
    );
}

#[test]
fn foreign_ids_and_orphaned_results_are_not_sent() {
    let items = vec![
        Item::Assistant { id: Some("chatcmpl-7".into()), text: "x".into(), partial: false },
        result("nobody", vec![Content::text("x")]),
    ];
    let body: Value = serde_json::from_slice(&Encoder::default().request(&prompt(items))).unwrap();
    assert_eq!(
        body["input"],
        json!([{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}])
    );
}

#[test]
fn kept_items_are_sent_after_the_conversation_and_do_not_stay() {
    let mut encoder = Encoder::default();
    let kept = vec![Arc::new(reasoning("rs_1")), Arc::new(assistant("msg_1", "so far"))];
    let retry = Prompt { kept, ..prompt(vec![Item::user("hi")]) };
    let body: Value = serde_json::from_slice(&encoder.request(&retry)).unwrap();
    assert_eq!(body["input"].as_array().unwrap().len(), 3);
    let empty = Prompt { items: Arc::default(), ..retry.clone() };
    let body: Value = serde_json::from_slice(&encoder.request(&empty)).unwrap();
    assert_eq!(body["input"].as_array().unwrap().len(), 2);
    let next = prompt(vec![Item::user("hi"), Item::user("again")]);
    assert_eq!(encoder.request(&next), Encoder::default().request(&next));
}

// --- answers ----------------------------------------------------------------------------------------------

#[tokio::test]
async fn an_answer_comes_in_deltas_and_whole_items() {
    let step = Step::items([
        mock::reasoning(&["Think.", "More."], "c2VhbGVk"),
        mock::text("Hello there"),
        mock::call("exec_command", json!({"cmd": "ls"})),
        mock::custom_call("apply_patch", "*** Begin"),
    ])
    .chunk(6)
    .usage_all(100, 80, 20, 7);
    let (chunks, error) = ask_mock(step).await;
    assert_eq!(error, None);
    let expected = [
        Chunk::Reasoning("Think.".into()),
        Chunk::Reasoning("\n\n".into()),
        Chunk::Reasoning("More.".into()),
        Chunk::Item(Item::Reasoning {
            id: Some("rs_1_1".into()),
            summary: vec!["Think.".into(), "More.".into()],
            encrypted: Some("c2VhbGVk".into()),
        }),
        Chunk::Text("Hello ".into()),
        Chunk::Text("there".into()),
        Chunk::Item(assistant("msg_1_2", "Hello there")),
        Chunk::Arguments("{\"cmd\"".into()),
        Chunk::Arguments(":\"ls\"}".into()),
        Chunk::Item(Item::ToolCall {
            call: CallId::from("call_1_3"),
            id: Some("fc_1_3".into()),
            tool: "exec_command".into(),
            args: Args::Json("{\"cmd\":\"ls\"}".into()),
        }),
        Chunk::Arguments("*** Be".into()),
        Chunk::Arguments("gin".into()),
        Chunk::Item(Item::ToolCall {
            call: CallId::from("call_1_4"),
            id: Some("ctc_1_4".into()),
            tool: "apply_patch".into(),
            args: Args::Text("*** Begin".into()),
        }),
        Chunk::Finished { usage: Some(Usage { input: 100, cached: 80, output: 20, reasoning: 7 }) },
    ];
    assert_eq!(chunks, expected);
}

#[tokio::test]
async fn requests_one_after_the_other_share_a_connection() {
    let mock = Mock::start([Step::text("a"), Step::text("b"), Step::status(500), Step::text("c")]).await;
    let model = model(&mock);
    for _ in 0..4 {
        ask(&model, &prompt(vec![Item::user("hi")])).await;
    }
    let connections: Vec<usize> = mock.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1; 4]);
}

#[tokio::test]
async fn items_of_unknown_types_are_kept_and_odd_shapes_understood() {
    let step = Step::items([
        json!({"type": "web_search_call", "id": "ws_1", "action": {"query": "q"}}),
        json!({"type": "message", "id": "msg_1", "content": [{"type": "refusal", "refusal": "No."}]}),
        json!({"type": "function_call", "id": "fc_1", "call_id": null, "name": "t", "arguments": {"a": 1}}),
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "open"}]}),
    ]);
    let (chunks, error) = ask_mock(step).await;
    assert_eq!(error, None);
    assert_eq!(
        items(&chunks),
        [
            Item::Unknown(json!({"type": "web_search_call", "id": "ws_1", "action": {"query": "q"}})),
            assistant("msg_1", "No."),
            Item::ToolCall {
                call: CallId::from("fc_1"),
                id: Some("fc_1".into()),
                tool: "t".into(),
                args: Args::Json("{\"a\":1}".into()),
            },
            Item::Reasoning { id: Some("rs_1".into()), summary: vec!["open".into()], encrypted: None },
        ]
    );
}

#[tokio::test]
async fn an_item_that_would_not_survive_a_log_is_garbage() {
    let mut deep = json!({"type": "odd"});
    for _ in 0..70 {
        deep = json!({"type": "odd", "inner": deep});
    }
    for item in [deep, json!({"type": "user", "content": []}), json!({"type": 7}), json!("text")] {
        let (chunks, error) = ask_mock(Step::items([item])).await;
        assert_eq!((chunks, error.unwrap().kind), (vec![], Kind::Garbage));
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let document = json!({
        "status": "completed",
        "output": [{"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "whole"}]}],
        "usage": {"input_tokens": 3, "output_tokens": 1},
    });
    let (chunks, error) = ask_mock(Step::json(document)).await;
    let usage = Usage { input: 3, output: 1, ..Usage::default() };
    let expected = [Chunk::Item(assistant("msg_1", "whole")), Chunk::Finished { usage: Some(usage) }];
    assert_eq!((&chunks[..], error), (&expected[..], None));
    let failed = json!({"status": "failed", "error": {"code": "server_error", "message": "oops"}});
    let (_, error) = ask_mock(Step::json(failed)).await;
    assert_eq!(error.map(|error| (error.kind, error.retry)), Some((Kind::Server, Retry::Backoff)));
}

#[tokio::test]
async fn items_that_only_the_last_event_lists_are_taken_from_there() {
    let body = "data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"type\":\"message\",\"id\":\"msg_1\",\
                \"content\":[{\"type\":\"output_text\",\"text\":\"late\"}]}]}}\n\n";
    let (chunks, error) = ask_mock(Step::raw(body)).await;
    assert_eq!(error, None);
    assert_eq!(chunks, [Chunk::Item(assistant("msg_1", "late")), Chunk::Finished { usage: None }]);
}

#[tokio::test]
async fn a_stream_without_type_fields_is_read_by_its_event_names() {
    let body = "event: response.output_text.delta\r\ndata: {\"delta\":\"x\"}\r\n\r\nevent: response.output_item.done\r\n\
                data: {\"item\":{\"type\":\"message\",\"content\":[{\"text\":\"x\"}]}}\r\n\r\n\
                event: response.completed\r\ndata: {}\r\n\r\ndata: [DONE]\r\n\r\n";
    let (chunks, error) = ask_mock(Step::raw(body)).await;
    assert_eq!((text_of(&chunks), finished(&chunks), error), ("x".to_owned(), true, None));
}

// --- failures ---------------------------------------------------------------------------------------------

/// An answer that fails, and what is wanted of it.
async fn fails(step: Step, kind: Kind, retry: Retry) -> (Vec<Chunk>, ModelError) {
    let (chunks, error) = ask_mock(step).await;
    let error = error.unwrap_or_else(|| panic!("{kind:?} was expected; chunks: {chunks:?}"));
    assert_eq!((error.kind, error.retry), (kind, retry), "{error}");
    (chunks, error)
}

#[tokio::test]
async fn a_status_is_told_with_the_servers_words() {
    for (status, kind) in [(500, Kind::Server), (503, Kind::Server)] {
        let step = Step::status(status).body(json!({"error": {"message": "the engine is warm"}}));
        let (_, error) = fails(step, kind, Retry::Backoff).await;
        assert!(error.message.starts_with("127.0.0.1:"), "{error}");
        assert!(error.message.ends_with("the engine is warm"), "{error}");
    }
    let (_, error) = fails(Step::status(400).body("no\u{7} such\nthing"), Kind::Request, Retry::No).await;
    assert!(error.message.ends_with("no such thing"), "{error}");
    fails(Step::status(404), Kind::Request, Retry::No).await;
    let long = json!({"error": {"message": "too long", "code": "context_length_exceeded"}});
    fails(Step::status(400).body(long), Kind::ContextWindow, Retry::No).await;
}

#[tokio::test]
async fn a_rate_limit_waits_as_long_as_the_server_says() {
    let after = |ms| Retry::After(Duration::from_millis(ms));
    fails(Step::status(429).header("retry-after", "1"), Kind::RateLimit, after(1000)).await;
    fails(Step::status(429).header("retry-after-ms", "40"), Kind::RateLimit, after(40)).await;
    fails(Step::status(429), Kind::RateLimit, Retry::Backoff).await;
    let step = Step::text("x").fail("rate_limit_exceeded", "Rate limit reached, please try again in 1.5s.");
    fails(step, Kind::RateLimit, after(1500)).await;
}

#[tokio::test]
async fn a_refused_key_is_not_tried_again_and_never_shown() {
    for status in [401, 403] {
        let body = json!({"error": {"message": format!("Incorrect API key provided: {KEY}")}});
        let (_, error) = fails(Step::status(status).body(body), Kind::Auth, Retry::No).await;
        assert!(error.message.contains("[secret]"), "{error}");
        assert!(!format!("{error:?}").contains(KEY), "{error:?}");
    }
    let (_, error) =
        fails(Step::text("x").fail("odd", &format!("see {KEY}")), Kind::Request, Retry::No).await;
    assert!(!format!("{error:?}").contains(KEY), "{error:?}");
}

#[tokio::test]
async fn a_failed_response_is_told_by_its_code() {
    let table = [
        ("server_error", Kind::Server, Retry::Backoff),
        ("server_is_overloaded", Kind::Server, Retry::Backoff),
        ("rate_limit_exceeded", Kind::RateLimit, Retry::Backoff),
        ("insufficient_quota", Kind::RateLimit, Retry::No),
        ("context_length_exceeded", Kind::ContextWindow, Retry::No),
        ("invalid_prompt", Kind::Request, Retry::No),
        ("something_new", Kind::Request, Retry::No),
    ];
    for (code, kind, retry) in table {
        let (chunks, error) = fails(Step::text("so far").fail(code, "own words"), kind, retry).await;
        assert!(error.message.contains("own words"), "{error}");
        assert_eq!(items(&chunks), [assistant("msg_1_1", "so far")], "what was completed is kept");
    }
}

#[tokio::test]
async fn an_error_event_is_told_in_each_of_its_shapes() {
    for data in [
        r#"{"type":"error","code":"server_error","message":"own words","param":null}"#,
        r#"{"type":"error","error":{"type":"server_error","code":null,"message":"own words"}}"#,
        r#"{"error":{"code":"server_error","message":"own words"}}"#,
    ] {
        let (_, error) = fails(Step::raw(format!("data: {data}\n\n")), Kind::Server, Retry::Backoff).await;
        assert!(error.message.contains("own words"), "{error}");
    }
}

#[tokio::test]
async fn an_incomplete_answer_says_why_and_what_it_cost() {
    let step = Step::text("half").incomplete("max_output_tokens").usage(9, 4);
    let (chunks, error) = fails(step, Kind::Incomplete, Retry::No).await;
    assert!(error.message.contains("max_output_tokens"), "{error}");
    assert_eq!(error.usage, Some(Usage { input: 9, output: 4, ..Usage::default() }));
    assert_eq!(items(&chunks).len(), 1);
}

#[tokio::test]
async fn a_stream_that_ends_early_is_a_lost_connection() {
    let (chunks, error) = fails(Step::text("all of it").unfinished(), Kind::Network, Retry::Backoff).await;
    assert!(error.message.contains("ended before it was complete"), "{error}");
    assert_eq!(items(&chunks), [assistant("msg_1_1", "all of it")], "what was completed is kept");
    let (chunks, error) =
        fails(Step::text("half of it").chunk(4).drop_after(4), Kind::Network, Retry::Backoff).await;
    assert!(error.message.contains("lost in the middle"), "{error}");
    assert_eq!(text_of(&chunks), "half");
    fails(Step::text("half of it").reset_after(4), Kind::Network, Retry::Backoff).await;
    fails(Step::hang_up(), Kind::Network, Retry::Backoff).await;
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    for after in [0, 4] {
        let mock = Mock::start([Step::text("half of it").chunk(4).stall_after(after)]).await;
        let model = with_idle(&mock, Duration::from_millis(60));
        let (_, error) = ask(&model, &prompt(vec![Item::user("hi")])).await;
        let error = error.unwrap();
        assert_eq!((error.kind, error.retry), (Kind::Network, Retry::Backoff));
        assert!(error.message.contains("nothing came from"), "{error}");
    }
    let gate = Gate::new();
    let mock = Mock::start([Step::text("x").gate(0, &gate)]).await;
    let (_, error) = ask(&with_idle(&mock, Duration::from_millis(60)), &prompt(vec![])).await;
    assert!(error.unwrap().message.contains("nothing came from"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_network_error() {
    let url = Mock::start([]).await.base_url();
    let provider = Provider { base_url: url, ..Provider::default() };
    let model = Responses::new(Http::new(&provider, None).unwrap());
    // The mock's socket closes with its task.
    for _ in 0..1000 {
        let (_, error) = ask(&model, &prompt(vec![])).await;
        let error = error.unwrap();
        assert_eq!((error.kind, error.retry), (Kind::Network, Retry::Backoff), "{error}");
        if error.message.contains("refused") {
            return assert!(error.message.starts_with("cannot reach 127.0.0.1:"), "{error}");
        }
    }
    panic!("the port stayed open");
}

#[tokio::test]
async fn an_unreadable_event_is_passed_over_aloud_if_nothing_was_lost() {
    let (chunks, error) = ask_mock(Step::text("fine").garbage_after(3)).await;
    assert_eq!(error, None);
    assert_eq!(items(&chunks), [assistant("msg_1_1", "fine")]);
    let [.., Chunk::Note(note), Chunk::Finished { .. }] = &chunks[..] else { panic!("{chunks:?}") };
    assert!(note.contains("an event that can't be read") && note.contains("broken"), "{note}");
}

#[tokio::test]
async fn an_unreadable_event_is_an_error_if_something_may_be_lost() {
    let unlisted = Step::text("fine").garbage_after(3).unlisted();
    let (_, error) = fails(unlisted, Kind::Garbage, Retry::Backoff).await;
    assert!(error.message.contains("an event that can't be read"), "{error}");
    fails(Step::text("fine").garbage_after(3).unfinished(), Kind::Garbage, Retry::Backoff).await;
    fails(Step::raw("data: 7\n\n".repeat(1000)), Kind::Garbage, Retry::Backoff).await;
    fails(Step::raw(b"data: \xff\n\n".to_vec()), Kind::Garbage, Retry::Backoff).await;
}

#[tokio::test]
async fn a_web_page_is_no_answer() {
    let page =
        Step::raw("<html>Log in to the network</html>").header("content-type", "text/html; charset=utf-8");
    let (_, error) = fails(page, Kind::Garbage, Retry::Backoff).await;
    assert!(error.message.contains("Log in to the network"), "{error}");
    let (_, error) = fails(Step::status(302).header("location", "/login"), Kind::Request, Retry::No).await;
    assert!(error.message.contains("base_url"), "{error}");
}

#[tokio::test]
async fn dropping_an_answer_hangs_up() {
    let mock = Mock::start([Step::text("never seen").stall_after(3)]).await;
    let stream = model(&mock).respond(&prompt(vec![])).await.unwrap();
    drop(stream);
    mock.hung_up().await;
}

#[tokio::test]
async fn a_model_from_the_catalog_speaks_to_its_server() {
    let mock = Mock::start([Step::text("hello")]).await;
    let settings = format!("[acme]\nbase_url = '{}'\nheaders = {{ 'x-team' = 'blue' }}", mock.base_url());
    let catalog = Catalog::builtin().with(&toml::from_str(&settings).unwrap());
    let resolved: Resolved = catalog.resolve(&"acme/big".parse().unwrap()).unwrap();
    let model = catalog::open(&resolved, None).unwrap();
    let (chunks, error) = ask(&*model, &prompt(vec![])).await;
    assert_eq!((text_of(&chunks), error), ("hello".to_owned(), None));
    let headers = &mock.requests()[0].headers;
    assert_eq!((headers["x-team"].as_str(), headers.get("authorization")), ("blue", None));
}

// --- any bytes --------------------------------------------------------------------------------------------

/// What a stream of bytes decodes to, without a network.
fn decode(pieces: Vec<Bytes>) -> (Vec<Chunk>, Option<ModelError>) {
    let mut events = sse::events(stream::iter(pieces.into_iter().map(Ok)), 1 << 20);
    let mut decoder = Decoder::new("host");
    let mut chunks = VecDeque::new();
    let error = loop {
        let read = match events.next().now_or_never().expect("all bytes are there") {
            Some(Ok(event)) => decoder.event(&event, &mut chunks),
            Some(Err(error)) => Err(error),
            None => Err(decoder.cut()),
        };
        match read {
            Ok(Flow::More) => {}
            Ok(Flow::Done) => break None,
            Err(error) => break Some(error),
        }
    };
    (chunks.into(), error)
}

fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/wires/responses/{name}.sse", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn a_recorded_stream_gives_the_same_chunks_wherever_it_is_split() {
    for name in ["tools", "incomplete"] {
        let bytes = recorded(name);
        let whole = decode(vec![Bytes::copy_from_slice(&bytes)]);
        insta::with_settings!({snapshot_path => "../data/wires/responses", prepend_module_to_snapshot => false}, {
            insta::assert_debug_snapshot!(name, whole);
        });
        for at in 0..bytes.len() {
            let (a, b) = bytes.split_at(at);
            let split = decode(vec![Bytes::copy_from_slice(a), Bytes::copy_from_slice(b)]);
            assert!(split == whole, "{name} split at {at}: {split:?}");
        }
        assert_eq!(decode(bytes.iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect()), whole);
    }
}

#[tokio::test]
async fn an_answer_may_come_byte_by_byte() {
    let (chunks, error) = ask_mock(Step::text("héllo 🦀").chunk(1).split(1)).await;
    assert_eq!((text_of(&chunks), finished(&chunks), error), ("héllo 🦀".to_owned(), true, None));
}

/// Bytes with a good chance to get beyond the first brace.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let bytes = recorded("tools");
    let length = bytes.len();
    prop::collection::vec((0..length, any::<u8>()), 0..12).prop_map(move |changes| {
        let mut bytes = bytes.clone();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn damage_to_a_stream_is_read_the_same_wherever_it_is_split(bytes in streams(), at in 0usize..4000) {
        let (a, b) = bytes.split_at(at.min(bytes.len()));
        let split = decode(vec![Bytes::copy_from_slice(a), Bytes::copy_from_slice(b)]);
        prop_assert_eq!(split, decode(vec![Bytes::copy_from_slice(&bytes)]));
    }

    #[test]
    fn no_data_of_an_event_makes_it_panic(data in "\\PC{0,80}|\\{\"type\":\"response\\.[a-z_.]{0,30}\",\"(item|delta|response|error)\":\\PC{0,40}\\}") {
        let mut chunks = VecDeque::new();
        let _ = Decoder::new("h").event(&Event { name: String::new(), data: data.clone() }, &mut chunks);
        let _ = Decoder::new("h").document(data.as_bytes());
    }
}

#[test]
fn a_long_answer_is_no_quadratic_work() {
    let step = Step::text("word ".repeat(20_000)).chunk(5);
    let bytes = Bytes::from(step.events(1).concat());
    let pieces: Vec<Bytes> = bytes.chunks(1400).map(Bytes::copy_from_slice).collect();
    let begun = Instant::now();
    let (chunks, error) = decode(pieces);
    assert_eq!((chunks.len(), error), (20_002, None));
    // A debug build takes a fraction of a second; work that grows with the square would take minutes.
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn two_conversations_may_share_a_model() {
    let mock = Mock::start((0..6).map(|_| Step::text("ok"))).await;
    let model = Arc::new(model(&mock));
    let sent = Mutex::new(Vec::new());
    for round in 0..3 {
        for name in ["one", "two"] {
            let items = (0..=round).map(|n| Item::user(format!("{name} {n}"))).collect();
            let prompt = Prompt { cache_key: name.into(), ..prompt(items) };
            ask(&*model, &prompt).await;
            sent.lock().unwrap().push(Encoder::default().request(&prompt));
        }
    }
    let received: Vec<Vec<u8>> = mock.requests().into_iter().map(|request| request.raw).collect();
    assert_eq!(received, *sent.lock().unwrap());
}
