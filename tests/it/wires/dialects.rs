//! Chat Completions as different servers speak it, after what they publish.

use std::collections::HashSet;

use agent::model::{
    chat::{Dialect, decode::Decoder as ChatDecoder, encode::Encoder as ChatEncoder},
    stream as answers,
};

use super::{requests::assert_golden, *};

fn decoder() -> ChatDecoder {
    ChatDecoder::new("host", HashSet::from([CallId::from("call_0")]), vec!["apply_patch".to_owned()])
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/wires/chat/{name}.sse", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn read(bytes: &[u8]) -> (Vec<Chunk>, Option<ModelError>) {
    answers::read(bytes, decoder())
}

/// Calls as their tools and arguments.
fn calls(chunks: &[Chunk]) -> Vec<(String, Args)> {
    let found = items(chunks).into_iter().filter_map(|item| match item {
        Item::ToolCall { tool, args, .. } => Some((tool, args)),
        _ => None,
    });
    found.collect()
}

fn json_args(tool: &str, arguments: &str) -> (String, Args) {
    (tool.to_owned(), Args::Json(arguments.to_owned()))
}

fn thought(chunks: &[Chunk]) -> Vec<Item> {
    items(chunks).into_iter().filter(|item| matches!(item, Item::Reasoning { .. })).collect()
}

fn usage(chunks: &[Chunk]) -> Usage {
    let Some(Chunk::Finished { usage }) = chunks.last() else { panic!("{chunks:?}") };
    usage.unwrap_or_default()
}

#[test]
fn deepseek_thinks_aloud_and_counts_its_cache_in_its_own_words() {
    let (chunks, error) = read(&sample("deepseek"));
    assert_eq!(error, None);
    assert_eq!(calls(&chunks), [json_args("exec_command", "{\"cmd\": \"ls\"}")]);
    let expected = Item::Reasoning { id: None, summary: vec!["Let me look.".into()], encrypted: None };
    assert_eq!(thought(&chunks), [expected]);
    assert_eq!(
        usage(&chunks),
        Usage { input: 120, cached: 64, output: 30, reasoning: 12, ..Usage::default() }
    );
}

#[test]
fn openrouter_comments_while_it_waits_and_wants_its_details_back() {
    let (chunks, error) = read(&sample("openrouter"));
    assert_eq!((error, text_of(&chunks).as_str()), (None, "Done."));
    let [Item::Reasoning { encrypted: Some(sealed), summary, .. }] = &thought(&chunks)[..] else {
        panic!("{chunks:?}")
    };
    assert_eq!(summary, &["I see."]);
    let details = json!([{"type": "reasoning.text", "text": "I see.", "format": "anthropic-claude-v1", "index": 0, "signature": "c2ln"}]);
    assert_eq!(sealed, &format!("chat:{details}"));
    let items = [vec![Item::user("hi")], items(&chunks)].concat();
    let body: Value =
        serde_json::from_slice(&ChatEncoder::new(Dialect::default()).request(&prompt(items))).unwrap();
    assert_eq!(body["messages"][1]["reasoning_details"], details);
}

#[test]
fn gemini_counts_all_calls_as_the_first_and_wants_a_signature_back_with_them() {
    let (chunks, error) = read(&sample("gemini"));
    assert_eq!(error, None);
    assert_eq!(
        calls(&chunks),
        [json_args("exec_command", "{\"cmd\":\"ls\"}"), json_args("exec_command", "{\"cmd\":\"pwd\"}")]
    );
    let body = ChatEncoder::new(Dialect::default()).request(&prompt(items(&chunks)));
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["messages"][0]["tool_calls"][0]["extra_content"]["google"]["thought_signature"], "c2ln");
}

#[test]
fn mistral_thinks_in_parts_and_takes_short_ids_only() {
    let (chunks, error) = read(&sample("mistral"));
    assert_eq!((error, text_of(&chunks).as_str()), (None, "Hello."));
    assert!(matches!(&thought(&chunks)[..], [Item::Reasoning { summary, .. }] if summary == &["Hm."]));
    assert_eq!(usage(&chunks).input, 9);
    let dialect = Dialect { short_call_ids: true, ask_usage: false, ..Dialect::default() };
    let items = vec![
        call("call_from_elsewhere", Args::Json("{}".into())),
        result("call_from_elsewhere", vec![]),
        call("D681PevKs", Args::Json("{}".into())),
        result("D681PevKs", vec![]),
    ];
    let body: Value = serde_json::from_slice(&ChatEncoder::new(dialect).request(&prompt(items))).unwrap();
    assert!(body.get("stream_options").is_none());
    let messages = body["messages"].as_array().unwrap();
    let id = messages[0]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(
        id.len() == 9
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && messages[1]["tool_call_id"] == id
    );
    assert_eq!(messages[3]["tool_call_id"], "D681PevKs");
}

#[test]
fn a_local_server_leaves_out_ids_and_indexes_sends_objects_and_no_end() {
    let (chunks, error) = read(&sample("local"));
    assert_eq!(error, None);
    assert_eq!(
        calls(&chunks),
        [
            json_args("exec_command", "{\"cmd\":\"ls\"}"),
            ("apply_patch".to_owned(), Args::Text("*** Begin Patch".to_owned())),
            json_args("update_plan", "{}"),
        ]
    );
    // No id, and one that is in the conversation already.
    let ids: HashSet<_> = items(&chunks).iter().filter_map(|item| item.call().cloned()).collect();
    assert!(ids.len() == 3 && !ids.contains(&CallId::from("call_0")), "{ids:?}");
}

#[test]
fn a_thought_that_led_nowhere_is_not_sent_and_parts_nothing() {
    let thinks = Item::Reasoning { id: None, summary: vec!["thought".into()], encrypted: None };
    let dialect = Dialect { reasoning_field: Some("reasoning".into()), ..Dialect::default() };
    let sent = |items: Vec<Item>| -> Value {
        let body: Value =
            serde_json::from_slice(&ChatEncoder::new(dialect.clone()).request(&prompt(items))).unwrap();
        body["messages"].clone()
    };
    let broken_off = sent(vec![Item::user("hi"), thinks.clone(), Item::user("again")]);
    assert_eq!(broken_off, json!([{"role": "user", "content": "hi\n\nagain"}]));
    let led = sent(vec![Item::user("hi"), thinks, assistant("msg_1", "said")]);
    assert_eq!(led[1], json!({"role": "assistant", "content": "said", "reasoning": "thought"}));
}

#[tokio::test]
async fn a_document_in_the_place_of_a_stream_and_odd_ends() {
    let message = json!({"role": "assistant", "content": "whole", "tool_calls": [
        {"id": "call_9", "type": "function", "function": {"name": "apply_patch", "arguments": "{\"input\":\"*** Begin\"}"}},
    ]});
    let document = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                          "usage": {"prompt_tokens": 3, "completion_tokens": 1}});
    let chunks: Vec<_> =
        decoder().document(document.to_string().as_bytes()).into_iter().map(Result::unwrap).collect();
    assert_eq!(calls(&chunks), [("apply_patch".to_owned(), Args::Text("*** Begin".into()))]);
    assert_eq!(usage(&chunks), Usage { input: 3, output: 1, ..Usage::default() });

    let chunk = |choice: &str| format!("data: {{\"choices\":[{choice}]}}\n\n");
    let said = chunk(r#"{"index":0,"delta":{"content":"hi"}}"#);
    for (text, kind) in [
        (said.clone(), Kind::Network),
        (
            said.clone() + &chunk(r#"{"index":0,"delta":{},"finish_reason":"length"}"#) + "data: [DONE]\n\n",
            Kind::Incomplete,
        ),
        (
            said.clone() + &chunk(r#"{"index":0,"delta":{},"finish_reason":"error"}"#) + "data: [DONE]\n\n",
            Kind::Server,
        ),
        (said.clone() + "data: {\"error\":{\"code\":429,\"message\":\"slow\"}}\n\n", Kind::RateLimit),
        (said.clone() + "data: {\"error\":{\"code\":502,\"message\":\"upstream\"}}\n\n", Kind::Server),
        (said.clone() + "data: {oops\n\ndata: [DONE]\n\n", Kind::Garbage),
        ("data: [DONE]\n\n".to_owned(), Kind::Garbage),
        (
            chunk(r#"{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x"}]},"finish_reason":"stop"}"#)
                + "data: [DONE]\n\n",
            Kind::Garbage,
        ),
    ] {
        let (_, error) = read(text.as_bytes());
        assert_eq!(error.unwrap_or_else(|| panic!("{text}")).kind, kind, "{text}");
    }
    // A server that only ends.
    let (chunks, error) = read((said + "data: [DONE]\n\n").as_bytes());
    assert_eq!((error, finished(&chunks)), (None, true));
}

#[test]
fn a_conversation_is_sent_as_the_api_wants_it_and_only_grows() {
    let thinks = Item::Reasoning { id: None, summary: vec!["I think.".into()], encrypted: None };
    let all = [conversation(), vec![Item::user("And now?"), thinks, assistant("msg_2", "Nothing.")]].concat();
    let dialect = Dialect { reasoning_field: Some("reasoning_content".into()), ..Dialect::default() };
    let mut encoder = ChatEncoder::new(dialect.clone());
    // Up to each message of the person and each result: a request never ends elsewhere.
    let ends = [5, 10, 11, 14, 16];
    let mut before: Option<Bytes> = None;
    for end in ends {
        let body = encoder.request(&prompt(all[..end].to_vec()));
        if let Some(before) = &before {
            let kept = before.strip_suffix(b"\"}]}").or(before.strip_suffix(b"]}]}")).unwrap();
            assert!(body.starts_with(kept), "the request of {end} items changed what was sent before");
        }
        before = Some(body);
    }
    assert_eq!(
        encoder.request(&prompt(all.clone())),
        ChatEncoder::new(dialect).request(&prompt(all.clone()))
    );
    assert_golden("chat/everything", &encoder.request(&prompt(all.clone())));
    let blind = Dialect { images: false, ..Dialect::default() };
    let body = String::from_utf8(ChatEncoder::new(blind).request(&prompt(all)).to_vec()).unwrap();
    assert!(!body.contains("base64") && body.contains("this model takes no pictures"), "{body}");
}
