//! Ollama's own wire: what is asked for, lines that are split and damaged, and what servers leave out.

use std::collections::HashSet;

use agent::model::{
    ollama::{Voice, decode::Decoder as OllamaDecoder, encode::Encoder as OllamaEncoder},
    stream as answers,
};

use super::{requests::assert_golden, *};

fn decoder() -> OllamaDecoder {
    OllamaDecoder::new("host", HashSet::from([CallId::from("call_0")]), vec!["apply_patch".to_owned()])
}

fn sample() -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/wires/ollama/tools.ndjson", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn voice() -> Voice {
    Voice { window: 40_000, output: Some(4_000), images: true }
}

fn body(prompt: &Prompt) -> Value {
    serde_json::from_slice(&OllamaEncoder::new(voice()).request(prompt)).unwrap()
}

#[test]
fn an_answer_in_lines_is_understood_with_what_servers_leave_out() {
    let (chunks, error) = answers::read(&sample(), decoder());
    assert_eq!((error, text_of(&chunks).as_str()), (None, "I lóok."));
    let made = items(&chunks);
    assert_eq!(made[0], Item::Reasoning { id: None, summary: vec!["Let me look.".into()], encrypted: None });
    let calls: Vec<(&str, &Args)> = made
        .iter()
        .filter_map(|item| match item {
            Item::ToolCall { tool, args, .. } => Some((tool.as_str(), args)),
            _ => None,
        })
        .collect();
    assert_eq!(
        calls,
        [
            ("exec_command", &Args::Json("{\"cmd\":\"ls \\\"a\\\"\"}".into())),
            ("apply_patch", &Args::Text("*** Begin Patch".into())),
            ("update_plan", &Args::Json("{\"plan\": []}".into())),
        ]
    );
    // None was given, and one was there already.
    let ids: HashSet<_> = made.iter().filter_map(|item| item.call().cloned()).collect();
    assert!(ids.len() == 3 && !ids.contains(&CallId::from("call_0")), "{ids:?}");
    assert!(ids.contains(&CallId::from("call_x")), "{ids:?}");
    let usage = Usage { input: 26, output: 282, ..Usage::default() };
    assert_eq!(chunks.last(), Some(&Chunk::Finished { usage: Some(usage) }));
}

#[test]
fn a_document_in_the_place_of_lines_and_odd_ends() {
    let said = json!({"message": {"role": "assistant", "content": "hi"}, "done": false});
    let end = |reason: &str| json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": reason});
    for (lines, kind) in [
        (vec![said.clone()], Kind::Network),
        (vec![said.clone(), end("length")], Kind::Incomplete),
        (vec![end("stop")], Kind::Garbage),
        (vec![json!({"error": "llama runner has ended"})], Kind::Server),
        (vec![said.clone(), json!({"error": "prompt is too long"})], Kind::ContextWindow),
        (vec![json!({"message": {"tool_calls": [{"function": {"name": ""}}]}}), end("stop")], Kind::Garbage),
        (vec![json!({"message": {"tool_calls": 7}}), said, end("stop")], Kind::Garbage),
    ] {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let (_, error) = answers::read(text.as_bytes(), decoder());
        assert_eq!(error.unwrap_or_else(|| panic!("{text}")).kind, kind, "{text}");
    }
    let document =
        json!({"message": {"content": "whole"}, "done": true, "prompt_eval_count": 3, "eval_count": 1});
    let chunks: Vec<_> =
        decoder().document(document.to_string().as_bytes()).into_iter().map(Result::unwrap).collect();
    assert!(matches!(&items(&chunks)[..], [Item::Assistant { text, .. }] if text == "whole"));
    assert!(finished(&chunks));
}

#[test]
fn a_conversation_is_sent_as_the_api_wants_it_with_the_window_and_only_grows() {
    let thinks = Item::Reasoning { id: None, summary: vec!["I think.".into()], encrypted: None };
    let all = [conversation(), vec![Item::user("And now?"), thinks, assistant("msg_2", "Nothing.")]].concat();
    let mut encoder = OllamaEncoder::new(voice());
    for end in [5, 10, 11, 14, 16] {
        let grown = encoder.request(&prompt(all[..end].to_vec()));
        assert_eq!(grown, OllamaEncoder::new(voice()).request(&prompt(all[..end].to_vec())), "{end}");
    }
    assert_golden("ollama/everything", &encoder.request(&prompt(all)));
    let plain = Prompt { effort: None, ..prompt(vec![Item::user("hi")]) };
    assert!(body(&plain).get("think").is_none());
    let quiet =
        Prompt { effort: Some(Effort::None), output_schema: Some(json!({"type": "object"})), ..plain };
    let sent = body(&quiet);
    assert_eq!((&sent["think"], &sent["format"]), (&json!(false), &json!({"type": "object"})));
}

#[tokio::test]
async fn what_the_server_refuses_is_told_in_its_words() {
    let refusal = |status: u16, text: &str| Step::status(status).body(json!({ "error": text }).to_string());
    for (step, kind) in [
        (refusal(404, "model 'nope' not found"), Kind::Request),
        (refusal(400, "\"m\" does not support tools"), Kind::Request),
        (refusal(500, "llama runner process has terminated"), Kind::Server),
    ] {
        let mock = Mock::start([step]).await;
        let provider = Provider { wire: Wire::Ollama, ..provider(&mock) };
        let resolved = Catalog::builtin().resolve(&"ollama/nope".parse().unwrap()).unwrap();
        let model = catalog::open(&Resolved { provider, ..resolved }, None, None).unwrap();
        let (_, error) = ask(&*model, &prompt(vec![Item::user("hi")])).await;
        let error = error.unwrap();
        assert_eq!(error.kind, kind, "{error}");
        let request = &mock.requests()[0];
        assert_eq!(request.body["options"]["num_ctx"], 32_768 * 95 / 100);
        assert!(!request.headers.contains_key("authorization"));
    }
}
