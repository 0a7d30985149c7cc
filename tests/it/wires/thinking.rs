//! Anthropic's Messages: thoughts that are carried back, what its cache is told, and streams that are damaged.

use agent::model::{
    anthropic::{decode::Decoder as AnthropicDecoder, encode::Encoder as AnthropicEncoder},
    stream as answers,
};

use super::{requests::assert_golden, *};

fn body(items: Vec<Item>) -> Value {
    serde_json::from_slice(&AnthropicEncoder::new(32_000).request(&prompt(items))).unwrap()
}

fn thought(sealed: &str) -> Item {
    Item::Reasoning { id: None, summary: vec!["I think.".into()], encrypted: Some(sealed.into()) }
}

fn decoder() -> AnthropicDecoder {
    AnthropicDecoder::new("host", vec!["apply_patch".to_owned()])
}

fn sample() -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/wires/anthropic/thinking.sse", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn a_thought_goes_back_as_it_came_and_those_of_others_do_not() {
    let (chunks, error) = answers::read(&sample(), decoder());
    assert_eq!(error, None);
    let made = items(&chunks);
    let [thought_1, hidden, said, called] = &made[..] else { panic!("{made:#?}") };
    assert_eq!(
        thought_1,
        &Item::Reasoning {
            id: None,
            summary: vec!["Let me look.".into()],
            encrypted: Some("anthropic:signed:c2lnMQ==".into()),
        }
    );
    assert!(matches!(hidden, Item::Reasoning { summary, .. } if summary.is_empty()));
    assert!(matches!(said, Item::Assistant { text, .. } if text == "I look."));
    assert!(matches!(called, Item::ToolCall { args: Args::Json(args), .. } if args == "{\"cmd\": \"ls\"}"));
    let Some(Chunk::Finished { usage: Some(usage) }) = chunks.last() else { panic!("{chunks:?}") };
    assert_eq!((usage.input, usage.cached, usage.output), (2_000 + 100 + 12, 2_000, 89));

    let conversation =
        [vec![Item::user("hi")], made, vec![result("toolu_01", vec![Content::text("out")])]].concat();
    let sent = body(conversation);
    assert_eq!(
        sent["messages"][1]["content"],
        json!([
            {"type": "thinking", "thinking": "Let me look.", "signature": "c2lnMQ=="},
            {"type": "redacted_thinking", "data": "aGlkZGVu"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_01", "name": "exec_command", "input": {"cmd": "ls"}},
        ])
    );
    for foreign in ["c2VhbGVk", "chat:[]"] {
        let sent = body(vec![Item::user("hi"), thought(foreign), assistant("msg_1", "x")]).to_string();
        assert!(!sent.contains(foreign) && !sent.contains("I think."), "{sent}");
    }
    // And not to others.
    let mine = vec![
        Item::user("hi"),
        thought("anthropic:signed:c2lnMQ=="),
        assistant("msg_1", "x"),
        Item::user("go"),
    ];
    let sent = String::from_utf8(Encoder::default().request(&prompt(mine)).to_vec()).unwrap();
    assert!(!sent.contains("c2lnMQ=="), "{sent}");
}

#[test]
fn after_calls_of_another_model_it_is_not_asked_to_think_until_the_person_speaks() {
    let foreign = vec![Item::user("hi"), call("a", Args::Json("{}".into())), result("a", vec![])];
    assert_eq!(body(vec![Item::user("hi")])["thinking"], json!({"type": "enabled", "budget_tokens": 8_000}));
    assert!(body(foreign.clone()).get("thinking").is_none());
    let mut next = foreign;
    next.extend([assistant("msg_1", "done"), Item::user("go on")]);
    assert!(body(next).get("thinking").is_some());
}

#[test]
fn a_conversation_is_sent_as_the_api_wants_it_and_the_cache_is_told_its_ends() {
    let all = [conversation(), vec![Item::user("And now?")]].concat();
    let mut encoder = AnthropicEncoder::new(32_000);
    for end in [5, 10, 11, 14] {
        let piece = encoder.request(&prompt(all[..end].to_vec()));
        assert_eq!(piece, AnthropicEncoder::new(32_000).request(&prompt(all[..end].to_vec())), "{end}");
        let marks = String::from_utf8_lossy(&piece).matches("cache_control").count();
        assert_eq!(marks, 2, "the end of what never changes, and the end");
    }
    assert_golden("anthropic/everything", &encoder.request(&prompt(all)));
}

#[test]
fn an_answer_that_broke_off_is_gone_on_with_by_the_program() {
    let kept = vec![Arc::new(assistant("msg_1", "so far"))];
    let retry = Prompt { kept, ..prompt(vec![Item::user("hi")]) };
    let sent: Value = serde_json::from_slice(&AnthropicEncoder::new(32_000).request(&retry)).unwrap();
    let roles: Vec<&str> =
        sent["messages"].as_array().unwrap().iter().map(|one| one["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
}

#[test]
fn a_thought_that_led_nowhere_is_not_sent_and_parts_nothing() {
    let sent = body(vec![
        thought("anthropic:signed:s"),
        Item::user("hi"),
        thought("anthropic:signed:s"),
        Item::user("again"),
    ]);
    let texts: Vec<&Value> =
        sent["messages"][0]["content"].as_array().unwrap().iter().map(|block| &block["text"]).collect();
    assert_eq!((texts, sent["messages"].as_array().unwrap().len()), (vec![&json!("hi"), &json!("again")], 1));
}

#[test]
fn a_call_that_was_cut_off_is_none() {
    let cut = String::from_utf8(sample())
        .unwrap()
        .replace("\"stop_reason\":\"tool_use\"", "\"stop_reason\":\"max_tokens\"");
    let (chunks, error) = answers::read(cut.as_bytes(), decoder());
    assert_eq!(error.unwrap().kind, Kind::Incomplete);
    assert!(items(&chunks).iter().all(|item| item.call().is_none()), "{chunks:?}");
}

#[test]
fn a_document_in_the_place_of_a_stream_is_read() {
    let document = json!({"type": "message", "role": "assistant", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "whole"}], "usage": {"input_tokens": 3, "output_tokens": 1}});
    let chunks: Vec<_> =
        decoder().document(document.to_string().as_bytes()).into_iter().map(Result::unwrap).collect();
    assert!(
        matches!(&items(&chunks)[..], [Item::Assistant { text, .. }] if text == "whole") && finished(&chunks)
    );
}
