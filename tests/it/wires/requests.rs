//! What is sent.

use super::*;

/// Compares with a golden file; with `UPDATE_GOLDEN` set, writes it.
pub(super) fn assert_golden(name: &str, body: &[u8]) {
    let path = format!("{}/tests/data/wires/{name}.json", env!("CARGO_MANIFEST_DIR"));
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
    assert_golden("responses/everything", &request.raw);
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
        output_schema: Some(schema),
        ..prompt(vec![Item::user("hi")])
    };
    let body = Encoder::default().request(&plain);
    assert_golden("responses/schema", &body);
    let loose = Prompt { output_schema: Some(json!({"type": "object"})), ..plain };
    let body: Value = serde_json::from_slice(&Encoder::default().request(&loose)).unwrap();
    assert_eq!(body["text"]["format"]["strict"], false);
}

#[test]
fn a_request_begins_with_the_bytes_of_the_one_before() {
    let all = conversation();
    let mut encoder = Encoder::default();
    let mut before: Option<Bytes> = None;
    // Nothing is sent while a call has no result: then one would be made up, and taken back.
    let open = |count: &usize| {
        let (calls, results) = all[..*count].iter().fold((0, 0), |(calls, results), item| match item {
            Item::ToolCall { .. } => (calls + 1, results),
            Item::ToolResult { .. } => (calls, results + 1),
            _ => (calls, results),
        });
        calls > results
    };
    for count in (0..=all.len()).filter(|count| !open(count)) {
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
    let first = prompt(vec![Item::user("a"), Item::user("b")]);
    for changed in [
        Prompt { epoch: 1, ..prompt(vec![Item::user("x"), Item::user("b"), Item::user("c")]) },
        Prompt { cache_key: "other".into(), ..prompt(vec![Item::user("y"), Item::user("b")]) },
        prompt(vec![Item::user("a"), Item::user("z"), Item::user("c")]),
        prompt(vec![]),
    ] {
        let mut encoder = Encoder::default();
        encoder.request(&first);
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
        ["reasoning", "reasoning", "function_call", "function_call_output"]
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
