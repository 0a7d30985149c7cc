//! From the events of an answer to chunks.
//!
//! An answer is blocks, each of which begins, grows and ends; it is given out when it has ended. Blocks of unknown types are
//! passed over.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::encode::{REDACTED, SIGNED};
use crate::model::{
    Chunk, ModelError, ModelErrorKind as Kind,
    fault::{self, Words},
    freeform,
    sse::Event,
    stream::{Decode, Flow},
};
use crate::protocol::{Args, CallId, Item, Usage};

/// Reads one answer.
pub struct Decoder {
    host: String,
    /// Tools whose calls hold a text.
    freeform: Vec<String>,
    blocks: BTreeMap<u64, Block>,
    usage: Option<Usage>,
    stop: Option<String>,
    given: bool,
    broken: Option<String>,
}

/// A block that is coming.
enum Block {
    Text(String),
    Thinking { text: String, signature: String },
    Redacted(String),
    Call { id: String, name: String, input: Value, json: String },
    Unknown,
}

impl Decoder {
    /// For an answer of this host.
    #[must_use]
    pub fn new(host: impl Into<String>, freeform: Vec<String>) -> Self {
        Self {
            host: host.into(),
            freeform,
            blocks: BTreeMap::new(),
            usage: None,
            stop: None,
            given: false,
            broken: None,
        }
    }

    fn value(&mut self, kind: &str, value: &Value, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError> {
        let index = || value["index"].as_u64().unwrap_or(0);
        match kind {
            "message_start" => self.count(&value["message"]["usage"]),
            "content_block_start" => {
                let block = self.begin(&value["content_block"], chunks);
                self.blocks.insert(index(), block);
            }
            "content_block_delta" => self.grow(index(), &value["delta"], chunks),
            "content_block_stop" => {
                // Whether a call is whole is known at the end; what follows it stays behind it.
                let behind_call =
                    self.blocks.range(..=index()).any(|(_, block)| matches!(block, Block::Call { .. }));
                if !behind_call && let Some(block) = self.blocks.remove(&index()) {
                    self.give(block, chunks)?;
                }
            }
            "message_delta" => {
                self.count(&value["usage"]);
                let stop = value["delta"]["stop_reason"].as_str().map(str::to_owned);
                self.stop = stop.or(self.stop.take());
            }
            "message_stop" => return self.finished(chunks),
            "error" => {
                let words = Words::of_json(value.clone());
                return Err(ModelError { usage: self.usage, ..fault::of_event(&self.host, &words) });
            }
            _ => {}
        }
        Ok(Flow::More)
    }

    fn begin(&mut self, block: &Value, chunks: &mut VecDeque<Chunk>) -> Block {
        let field = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
        match block["type"].as_str().unwrap_or_default() {
            "text" => {
                let text = field("text");
                if !text.is_empty() {
                    chunks.push_back(Chunk::Text(text.clone()));
                }
                Block::Text(text)
            }
            "thinking" => Block::Thinking { text: field("thinking"), signature: field("signature") },
            "redacted_thinking" => Block::Redacted(field("data")),
            "tool_use" => Block::Call {
                id: field("id"),
                name: field("name"),
                input: block["input"].clone(),
                json: String::new(),
            },
            _ => Block::Unknown,
        }
    }

    fn grow(&mut self, index: u64, delta: &Value, chunks: &mut VecDeque<Chunk>) {
        let field = |name: &str| delta[name].as_str().unwrap_or_default().to_owned();
        match self.blocks.get_mut(&index) {
            Some(Block::Text(text)) => {
                let more = field("text");
                text.push_str(&more);
                if !more.is_empty() {
                    chunks.push_back(Chunk::Text(more));
                }
            }
            Some(Block::Thinking { text, signature }) => {
                signature.push_str(&field("signature"));
                let more = field("thinking");
                text.push_str(&more);
                if !more.is_empty() {
                    chunks.push_back(Chunk::Reasoning(more));
                }
            }
            Some(Block::Call { json, .. }) => {
                let more = field("partial_json");
                json.push_str(&more);
                if !more.is_empty() {
                    chunks.push_back(Chunk::Arguments(more));
                }
            }
            Some(Block::Redacted(_) | Block::Unknown) | None => {}
        }
    }

    /// Gives out a block that has ended.
    fn give(&mut self, block: Block, chunks: &mut VecDeque<Chunk>) -> Result<(), ModelError> {
        let item = match block {
            Block::Text(text) if text.is_empty() => return Ok(()),
            Block::Unknown => return Ok(()),
            Block::Text(text) => Item::Assistant { id: None, text, partial: false },
            Block::Thinking { text, signature } => Item::Reasoning {
                id: None,
                summary: if text.is_empty() { Vec::new() } else { vec![text] },
                encrypted: (!signature.is_empty()).then(|| format!("{SIGNED}{signature}")),
            },
            Block::Redacted(data) => Item::Reasoning {
                id: None,
                summary: Vec::new(),
                encrypted: Some(format!("{REDACTED}{data}")),
            },
            Block::Call { id, name, .. } if id.is_empty() || name.is_empty() => {
                return Err(self.garbage("a call without an id or the name of a tool"));
            }
            // What was cut off is no call.
            Block::Call { .. } if self.stop.as_deref() == Some("max_tokens") => return Ok(()),
            Block::Call { id, name, input, json } => {
                let arguments = match json.trim().is_empty() {
                    false => json,
                    true if input.is_object() => input.to_string(),
                    true => "{}".to_owned(),
                };
                let args = Args::Json(arguments);
                let mut item = Item::ToolCall { call: CallId(id), id: None, tool: name, args };
                freeform::restore(&mut item, &self.freeform);
                item
            }
        };
        self.given |= !matches!(item, Item::Reasoning { .. });
        chunks.push_back(Chunk::Item(item));
        Ok(())
    }

    fn finished(&mut self, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError> {
        let with_usage = |error: ModelError, usage| ModelError { usage, ..error };
        if let Some(broken) = &self.broken {
            let error = self.garbage(&format!("what can't be read: {broken}"));
            return Err(with_usage(error, self.usage));
        }
        for (_, block) in std::mem::take(&mut self.blocks) {
            self.give(block, chunks)?;
        }
        let incomplete = |why: &str| {
            ModelError::new(Kind::Incomplete, format!("the answer of {} is incomplete: {why}", self.host))
        };
        let error = match self.stop.as_deref() {
            Some("max_tokens") => incomplete("it reached the limit of its length (max_tokens)"),
            Some("refusal") => incomplete("the model refused to go on (refusal)"),
            Some("model_context_window_exceeded") => {
                let what = format!("{} finds the conversation too long for the model", self.host);
                ModelError::new(Kind::ContextWindow, what)
            }
            _ if !self.given => self.garbage("an answer without a word"),
            _ => {
                chunks.push_back(Chunk::Finished { usage: self.usage });
                return Ok(Flow::Done);
            }
        };
        Err(with_usage(error, self.usage))
    }

    /// Takes over the numbers that are there. Later ones are of the whole answer.
    fn count(&mut self, value: &Value) {
        let number = |name: &str| value[name].as_u64();
        let mut usage = self.usage.unwrap_or_default();
        if let Some(fresh) = number("input_tokens") {
            let cached = number("cache_read_input_tokens").unwrap_or(0);
            let written = number("cache_creation_input_tokens").unwrap_or(0);
            usage.input = fresh.saturating_add(cached).saturating_add(written);
            usage.cached = cached;
        }
        usage.output = number("output_tokens").unwrap_or(usage.output);
        if value.is_object() {
            self.usage = Some(usage);
        }
    }

    fn garbage(&self, what: &str) -> ModelError {
        ModelError::new(Kind::Garbage, format!("{} sent {what}", self.host))
    }
}

impl Decode for Decoder {
    fn event(&mut self, event: &Event, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError> {
        match serde_json::from_str::<Value>(&event.data) {
            Ok(value) => {
                let kind = value["type"].as_str().unwrap_or(&event.name).to_owned();
                self.value(&kind, &value, chunks)
            }
            Err(_) => {
                let start: String = event.data.chars().take(200).collect();
                self.broken.get_or_insert(fault::printable(&start));
                Ok(Flow::More)
            }
        }
    }

    fn ended(&mut self, _: &mut VecDeque<Chunk>) -> Result<(), ModelError> {
        Err(match &self.broken {
            None => fault::cut(&self.host),
            Some(broken) => self.garbage(&format!("what can't be read: {broken}")),
        })
    }

    fn document(mut self, bytes: &[u8]) -> Vec<Result<Chunk, ModelError>> {
        let mut chunks = VecDeque::new();
        let read = match serde_json::from_slice::<Value>(bytes) {
            Ok(value) if value["type"] == "error" => self.value("error", &value, &mut chunks),
            Ok(value) if value["content"].is_array() => {
                self.count(&value["usage"]);
                self.stop = value["stop_reason"].as_str().map(str::to_owned);
                for (index, block) in (0..).zip(value["content"].as_array().into_iter().flatten()) {
                    let block = self.begin(block, &mut chunks);
                    self.blocks.insert(index, block);
                }
                // A document was not told bit by bit.
                chunks.clear();
                self.finished(&mut chunks)
            }
            _ => {
                let words = Words::of_json(json!({"message": Words::of_body(bytes).text})).text;
                Err(self.garbage(&format!("a document that is no answer: {words}")))
            }
        };
        let error = read.err().map(Err);
        chunks.into_iter().map(Ok).chain(error).collect()
    }
}
