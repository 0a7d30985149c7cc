//! From the events of an answer to chunks.
//!
//! An answer is blocks, each of which begins, grows and ends; it is given out when it has ended. Blocks of unknown types are
//! passed over.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::encode::{REDACTED, SIGNED};
use crate::model::{
    Chunk, ModelError, ModelErrorKind as Kind, Retry,
    fault::{self, Broken, Words},
    freeform,
    hosted::{self, DEPTH_LIMIT, nesting},
    sse::Event,
    stream::{Decode, Flow},
    text::Text,
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
    /// What was said and not given out yet, and what it rests on.
    said: String,
    sources: Vec<Value>,
    /// The provider has used tools of its own.
    searched: bool,
    broken: Broken,
}

/// A block that is coming.
enum Block {
    Text {
        text: String,
        sources: Vec<Value>,
    },
    Thinking {
        text: String,
        signature: String,
    },
    Redacted(String),
    Call {
        id: String,
        name: String,
        input: Value,
        json: String,
    },
    /// Of a tool that the provider runs: the block as it came, and the parts of its input.
    Hosted {
        block: Value,
        json: String,
    },
    Unknown,
}

/// The fields of all events, each of them read only for the events that need it.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
}

/// More of a block, or how the answer ends.
#[derive(Deserialize, Default)]
struct Delta<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
    #[serde(borrow)]
    partial_json: Option<Text<'a>>,
    citation: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
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
            said: String::new(),
            sources: Vec::new(),
            searched: false,
            broken: Broken::default(),
        }
    }

    fn frame(
        &mut self,
        kind: &str,
        frame: &Frame<'_>,
        chunks: &mut VecDeque<Chunk>,
    ) -> Result<Flow, ModelError> {
        let index = frame.index.unwrap_or(0);
        match kind {
            "message_start" => self.count(&value(frame.message)["usage"]),
            "content_block_start" => {
                let block = self.begin(&value(frame.content_block), chunks);
                self.blocks.insert(index, block);
            }
            "content_block_delta" => {
                if let Some(delta) = &frame.delta {
                    self.grow(index, delta, chunks);
                }
            }
            "content_block_stop" => {
                // Whether a call is whole is known at the end; what follows it stays behind it.
                let behind_call =
                    self.blocks.range(..=index).any(|(_, block)| matches!(block, Block::Call { .. }));
                if !behind_call && let Some(block) = self.blocks.remove(&index) {
                    self.give(block, chunks)?;
                }
            }
            "message_delta" => {
                self.count(&value(frame.usage));
                let stop = frame.delta.as_ref().and_then(|delta| delta.stop_reason.as_deref());
                self.stop = stop.map(str::to_owned).or(self.stop.take());
            }
            "message_stop" => return self.finished(chunks),
            "error" => return Err(self.failed(json!({"error": value(frame.error)}))),
            _ => {}
        }
        Ok(Flow::More)
    }

    fn failed(&self, error: Value) -> ModelError {
        ModelError { usage: self.usage, ..fault::of_event(&self.host, &Words::of_json(error)) }
    }

    fn begin(&mut self, block: &Value, chunks: &mut VecDeque<Chunk>) -> Block {
        let field = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
        match block["type"].as_str().unwrap_or_default() {
            "text" => {
                let text = field("text");
                if !text.is_empty() {
                    chunks.push_back(Chunk::Text(text.clone()));
                }
                Block::Text { text, sources: block["citations"].as_array().cloned().unwrap_or_default() }
            }
            "thinking" => Block::Thinking { text: field("thinking"), signature: field("signature") },
            "redacted_thinking" => Block::Redacted(field("data")),
            "tool_use" => Block::Call {
                id: field("id"),
                name: field("name"),
                input: block["input"].clone(),
                json: String::new(),
            },
            _ if hosted::is_of_anthropic(block) => {
                Block::Hosted { block: block.clone(), json: String::new() }
            }
            _ => Block::Unknown,
        }
    }

    fn grow(&mut self, index: u64, delta: &Delta<'_>, chunks: &mut VecDeque<Chunk>) {
        let grown = match self.blocks.get_mut(&index) {
            Some(Block::Text { text, sources }) => {
                sources.extend(delta.citation.map(|citation| value(Some(citation))));
                (text, &delta.text, Chunk::Text as fn(String) -> Chunk)
            }
            Some(Block::Thinking { text, signature }) => {
                signature.push_str(delta.signature.as_deref().unwrap_or_default());
                (text, &delta.thinking, Chunk::Reasoning as _)
            }
            Some(Block::Call { json, .. } | Block::Hosted { json, .. }) => {
                (json, &delta.partial_json, Chunk::Arguments as _)
            }
            Some(Block::Redacted(_) | Block::Unknown) | None => return,
        };
        let (text, Some(more), chunk) = grown else { return };
        if !more.is_empty() {
            text.push_str(more);
            chunks.push_back(chunk(more.to_string()));
        }
    }

    /// Gives out a block that has ended.
    fn give(&mut self, block: Block, chunks: &mut VecDeque<Chunk>) -> Result<(), ModelError> {
        if let Block::Text { text, sources } = block {
            self.said.push_str(&text);
            self.sources.extend(sources);
            // What rests on a search comes in pieces, of which each is a block of its own.
            if !self.searched {
                self.spoken(chunks);
            }
            return Ok(());
        }
        self.spoken(chunks);
        let item = match block {
            Block::Text { .. } | Block::Unknown => return Ok(()),
            Block::Hosted { block, json } => {
                self.searched = true;
                let item = hosted_item(block, &json)
                    .ok_or_else(|| self.garbage("a call of its own tools that can't be understood"))?;
                chunks.push_back(Chunk::Item(item));
                return Ok(());
            }
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

    /// Gives out what was said.
    fn spoken(&mut self, chunks: &mut VecDeque<Chunk>) {
        let (text, sources) = (std::mem::take(&mut self.said), std::mem::take(&mut self.sources));
        if text.is_empty() {
            return;
        }
        self.given = true;
        chunks.push_back(Chunk::Item(Item::Assistant { id: None, text, partial: false }));
        chunks.extend(hosted::sources(&sources).map(Chunk::Item));
    }

    fn finished(&mut self, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError> {
        let with_usage = |error: ModelError, usage| ModelError { usage, ..error };
        if self.broken.count() > 0 {
            return Err(with_usage(self.broken.lost(&self.host), self.usage));
        }
        for (_, block) in std::mem::take(&mut self.blocks) {
            self.give(block, chunks)?;
        }
        self.spoken(chunks);
        let incomplete = |why: &str| fault::incomplete(&self.host, why);
        let error = match self.stop.as_deref() {
            Some("max_tokens") => incomplete("it reached the limit of its length (max_tokens)"),
            Some("refusal") => incomplete("the model refused to go on (refusal)"),
            Some("model_context_window_exceeded") => {
                let what = format!("{} finds the conversation too long for the model", self.host);
                ModelError::new(Kind::ContextWindow, what)
            }
            // It took long, and goes on when it is asked again with what there is.
            Some("pause_turn") => {
                let what = format!("{} paused in the middle of its answer (pause_turn)", self.host);
                ModelError::new(Kind::Incomplete, what).with_retry(Retry::After(Duration::ZERO))
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
        fault::garbage(&self.host, what)
    }
}

impl Decode for Decoder {
    fn event(&mut self, event: &Event, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError> {
        match serde_json::from_str::<Frame<'_>>(&event.data) {
            Ok(frame) => {
                let kind = frame.kind.as_deref().unwrap_or(&event.name);
                self.frame(kind, &frame, chunks)
            }
            Err(_) => self.broken.pass(&self.host, &event.data),
        }
    }

    fn ended(&mut self, _: &mut VecDeque<Chunk>) -> Result<(), ModelError> {
        Err(self.broken.cut(&self.host))
    }

    fn document(mut self, bytes: &[u8]) -> Vec<Result<Chunk, ModelError>> {
        let mut chunks = VecDeque::new();
        let read = match serde_json::from_slice::<Value>(bytes) {
            Ok(value) if value["type"] == "error" => Err(self.failed(value)),
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

/// A block of a tool that the provider runs, with its whole input.
fn hosted_item(mut block: Value, json: &str) -> Option<Item> {
    if block["type"] == "server_tool_use" && !json.trim().is_empty() {
        block["input"] = serde_json::from_str(json).ok()?;
    }
    // It would come back from a log as something else than it is, or not at all.
    (nesting(&block) <= DEPTH_LIMIT).then_some(Item::Unknown(block))
}

/// A value that was passed over at first.
fn value(raw: Option<&RawValue>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}
