//! The hot paths of talking to a model: building a request, and reading a long answer.

use std::{collections::HashSet, io, sync::Arc};

use agent::{
    model::{
        Prompt, ReadBlob, anthropic, chat, ollama, responses,
        stream::{self, Decode},
    },
    protocol::{Args, BlobId, CallId, Content, Effort, Item, Shown},
};
use bytes::Bytes;
use divan::{Bencher, counter::BytesCount};
use serde_json::{Value, json};

/// All wires that go to a server.
const WIRES: [&str; 4] = ["responses", "chat", "anthropic", "ollama"];

fn main() {
    divan::main();
}

struct NoBlobs;

impl ReadBlob for NoBlobs {
    fn read(&self, _: &BlobId) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A conversation of calls and results, one kilobyte each.
fn prompt(items: usize) -> Prompt {
    let item = |n: usize| {
        let call = CallId::from(format!("call_{}", n / 2).as_str());
        Arc::new(match n % 2 {
            0 => Item::ToolCall {
                call,
                id: None,
                tool: "exec_command".into(),
                args: Args::Json(format!("{{\"cmd\":\"echo {n}\"}}")),
            },
            _ => Item::ToolResult {
                call,
                content: vec![Content::text("line of \"output\"\n".repeat(60))],
                shown: Shown::text(""),
            },
        })
    };
    Prompt {
        model: "m".into(),
        cache_key: "k".into(),
        effort: Some(Effort::Medium),
        verbosity: None,
        output_schema: None,
        tools: Arc::new([]),
        epoch: 0,
        items: Arc::new((0..items).map(item).collect()),
        left_out: 0,
        kept: Vec::new(),
        blobs: Arc::new(NoBlobs),
    }
}

/// An encoder of any wire.
enum Encoder {
    Responses(responses::encode::Encoder),
    Chat(chat::encode::Encoder),
    Anthropic(anthropic::encode::Encoder),
    Ollama(ollama::encode::Encoder),
}

impl Encoder {
    fn new(wire: &str) -> Self {
        match wire {
            "responses" => Self::Responses(responses::encode::Encoder::new(true)),
            "chat" => Self::Chat(chat::encode::Encoder::new(chat::Dialect::default())),
            "anthropic" => Self::Anthropic(anthropic::encode::Encoder::new(32_000)),
            _ => Self::Ollama(ollama::encode::Encoder::new(ollama::Voice {
                window: 32_000,
                output: None,
                images: true,
            })),
        }
    }

    fn request(&mut self, prompt: &Prompt) -> Bytes {
        match self {
            Self::Responses(encoder) => encoder.request(prompt),
            Self::Chat(encoder) => encoder.request(prompt),
            Self::Anthropic(encoder) => encoder.request(prompt),
            Self::Ollama(encoder) => encoder.request(prompt),
        }
    }
}

/// The request after the last of so many items came; the others are encoded already.
#[divan::bench(args = WIRES, consts = [10, 1000, 10_000])]
fn next_request<const ITEMS: usize>(bencher: Bencher<'_, '_>, wire: &str) {
    let whole = prompt(ITEMS);
    let shorter = Prompt { items: Arc::new(whole.items[..ITEMS - 1].to_vec()), ..whole.clone() };
    bencher
        .with_inputs(|| {
            let mut encoder = Encoder::new(wire);
            encoder.request(&shorter);
            encoder
        })
        .bench_values(|mut encoder| (encoder.request(&whole), encoder));
}

/// The first request of a resumed session: everything is encoded.
#[divan::bench(args = WIRES, consts = [10, 1000])]
fn first_request<const ITEMS: usize>(bencher: Bencher<'_, '_>, wire: &str) {
    let prompt = prompt(ITEMS);
    bencher.bench(|| Encoder::new(wire).request(&prompt));
}

/// An answer in so many deltas of this text, in the language of a wire.
fn answer(wire: &str, deltas: usize, text: &str) -> Vec<u8> {
    let named = |name: &str, mut event: Value| {
        event["type"] = json!(name);
        format!("event: {name}\ndata: {event}\n\n")
    };
    let (delta, end) = match wire {
        "responses" => {
            let message = json!({"type": "message", "id": "msg_1",
                                 "content": [{"type": "output_text", "text": text.repeat(deltas)}]});
            let delta = named(
                "response.output_text.delta",
                json!({"sequence_number": 1, "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text}),
            );
            let end = named("response.output_item.done", json!({ "item": message }))
                + &named("response.completed", json!({"response": {"output": [message]}}));
            (delta, end)
        }
        "chat" => {
            let event = |delta: Value, finish: Value| {
                let event = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                                   "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
                format!("data: {event}\n\n")
            };
            let end = event(json!({}), json!("stop")) + "data: [DONE]\n\n";
            (event(json!({ "content": text }), Value::Null), end)
        }
        "anthropic" => {
            let delta = json!({"index": 0, "delta": {"type": "text_delta", "text": text}});
            let stop = json!({"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}});
            let end = named("content_block_stop", json!({"index": 0}))
                + &named("message_delta", stop)
                + &named("message_stop", json!({}));
            (named("content_block_delta", delta), end)
        }
        _ => {
            let line = |done: bool, text: &str| {
                let line = json!({"model": "m", "created_at": "2026-11-01T10:00:00.1Z",
                                  "message": {"role": "assistant", "content": text}, "done": done});
                format!("{line}\n")
            };
            (line(false, text), line(true, ""))
        }
    };
    let begin = match wire {
        "anthropic" => {
            let block = json!({"index": 0, "content_block": {"type": "text", "text": ""}});
            named("content_block_start", block)
        }
        _ => String::new(),
    };
    (begin + &delta.repeat(deltas) + &end).into_bytes()
}

/// Reads an answer in the pieces in which a socket gives it.
fn decode(wire: &str, bytes: &[u8]) -> usize {
    fn read<D: Decode>(bytes: &[u8], decoder: D) -> usize {
        let (chunks, error) = stream::read(bytes, decoder);
        assert_eq!(error, None);
        chunks.len()
    }
    match wire {
        "responses" => read(bytes, responses::decode::Decoder::new("host")),
        "chat" => read(bytes, chat::decode::Decoder::new("host", HashSet::new(), Vec::new())),
        "anthropic" => read(bytes, anthropic::decode::Decoder::new("host", Vec::new())),
        _ => read(bytes, ollama::decode::Decoder::new("host", HashSet::new(), Vec::new())),
    }
}

/// Bytes of a stream to chunks and items: short deltas, middling and long ones, as bytes of the stream a second.
#[divan::bench(args = WIRES, consts = [4, 64, 8000])]
fn stream_to_items<const LENGTH: usize>(bencher: Bencher<'_, '_>, wire: &str) {
    let deltas = (1_000_000 / LENGTH).min(20_000);
    let bytes = answer(wire, deltas, &"word".repeat(LENGTH / 4));
    bencher.counter(BytesCount::new(bytes.len())).bench(|| decode(wire, &bytes));
}
