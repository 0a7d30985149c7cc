//! Each wire over real HTTP: requests against golden files, recorded streams, and every way to fail.

mod answers;
mod conformance;
mod dialects;
mod failures;
mod fallback;
mod gateway;
mod hosted;
mod ollama;
mod requests;
mod rules;
mod schemas;
mod streams;
mod switching;
mod thinking;

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use agent::{
    model::{
        Chunk, Model, ModelError, ModelErrorKind as Kind, Prompt, ReadBlob, Retry,
        catalog::{self, Catalog, Provider, Resolved, Wire},
        http::Http,
        responses::{Responses, encode::Encoder},
        stream::Decode as _,
    },
    protocol::{
        Args, BlobId, CallId, Content, Context, Effort, Item, Shown, ToolForm, ToolSpec, Usage, Verbosity,
    },
};
use bytes::Bytes;
use futures::StreamExt as _;
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
        left_out: 0,
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
