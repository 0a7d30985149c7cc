//! From the lines of an answer to chunks.
//!
//! Text and thoughts are told while they come. Calls come whole, each in one line; they are given out with everything else
//! at the end, where it is known whether the answer was cut off.

use std::collections::{HashSet, VecDeque};

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::model::{
    CALL_LIMIT, Chunk, ModelError,
    fault::{self, Broken, Words},
    freeform,
    sse::Event,
    stream::{Decode, Flow, Framing},
    text::Text,
    unique, whole,
};
use crate::protocol::{Args, CallId, Item, Usage};

/// Reads one answer.
pub struct Decoder {
    host: String,
    /// Ids of calls that are in the conversation already.
    known: HashSet<CallId>,
    /// Tools whose calls hold a text.
    freeform: Vec<String>,
    text: String,
    thoughts: String,
    calls: Vec<Item>,
    broken: Broken,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
    done: Option<bool>,
    #[serde(borrow)]
    done_reason: Option<Text<'a>>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<WireCall<'a>>>,
}

#[derive(Deserialize)]
struct WireCall<'a> {
    /// Newer servers give one.
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Decoder {
    /// For an answer of this host to a conversation with these calls.
    #[must_use]
    pub fn new(host: impl Into<String>, known: HashSet<CallId>, freeform: Vec<String>) -> Self {
        Self {
            host: host.into(),
            known,
            freeform,
            text: String::new(),
            thoughts: String::new(),
            calls: Vec::new(),
            broken: Broken::default(),
        }
    }

    fn frame(&mut self, frame: Frame<'_>, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError> {
        let usage = frame.prompt_eval_count.or(frame.eval_count).map(|_| Usage {
            input: frame.prompt_eval_count.unwrap_or(0),
            output: frame.eval_count.unwrap_or(0),
            ..Usage::default()
        });
        if let Some(error) = frame.error {
            let error: Value = serde_json::from_str(error.get()).unwrap_or_default();
            let words = Words::of_json(json!({ "error": error }));
            return Err(ModelError { usage, ..fault::of_event(&self.host, &words) });
        }
        if let Some(message) = frame.message {
            self.message(message, chunks)?;
        }
        match frame.done {
            Some(true) => self.finished(frame.done_reason.as_deref().unwrap_or_default(), usage, chunks),
            _ => Ok(Flow::More),
        }
    }

    fn message(&mut self, message: Message<'_>, chunks: &mut VecDeque<Chunk>) -> Result<(), ModelError> {
        if let Some(thinking) = message.thinking.filter(|text| !text.is_empty()) {
            self.thoughts.push_str(&thinking);
            chunks.push_back(Chunk::Reasoning(thinking.to_string()));
        }
        if let Some(content) = message.content.filter(|text| !text.is_empty()) {
            self.text.push_str(&content);
            chunks.push_back(Chunk::Text(content.to_string()));
        }
        for WireCall { id, function } in message.tool_calls.into_iter().flatten() {
            if self.calls.len() == CALL_LIMIT {
                return Err(self.garbage(&format!("more than {CALL_LIMIT} calls in one answer")));
            }
            if function.name.is_empty() {
                return Err(self.garbage("a call without the name of a tool"));
            }
            let arguments = arguments(function.arguments);
            chunks.push_back(Chunk::Arguments(arguments.clone()));
            let mut item = Item::ToolCall {
                call: unique(&mut self.known, id.as_deref().unwrap_or_default()),
                id: None,
                tool: function.name.to_string(),
                args: Args::Json(arguments),
            };
            freeform::restore(&mut item, &self.freeform);
            self.calls.push(item);
        }
        Ok(())
    }

    /// The end of the answer: gives out its items.
    fn finished(
        &mut self,
        reason: &str,
        usage: Option<Usage>,
        chunks: &mut VecDeque<Chunk>,
    ) -> Result<Flow, ModelError> {
        let failed = |error: ModelError| Err(ModelError { usage, ..error });
        if self.broken.count() > 0 {
            return failed(self.broken.lost(&self.host));
        }
        let (thoughts, text) = (std::mem::take(&mut self.thoughts), std::mem::take(&mut self.text));
        if !thoughts.is_empty() {
            chunks.push_back(Chunk::Item(Item::Reasoning {
                id: None,
                summary: vec![thoughts],
                encrypted: None,
            }));
        }
        let said = !text.is_empty();
        if said {
            chunks.push_back(Chunk::Item(Item::Assistant { id: None, text, partial: false }));
        }
        let incomplete = |why: &str| fault::incomplete(&self.host, why);
        match reason {
            "length" => return failed(incomplete("it reached the limit of its length (length)")),
            "" | "stop" | "tool_calls" => {}
            // Of a gateway: no reason of the server itself.
            other => return failed(incomplete(&fault::printable(other))),
        }
        if !said && self.calls.is_empty() {
            return failed(self.garbage("an answer without a word"));
        }
        chunks.extend(self.calls.drain(..).map(Chunk::Item));
        chunks.push_back(Chunk::Finished { usage });
        Ok(Flow::Done)
    }

    fn garbage(&self, what: &str) -> ModelError {
        fault::garbage(&self.host, what)
    }
}

impl Decode for Decoder {
    const FRAMING: Framing = Framing::Lines;

    fn event(&mut self, event: &Event, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError> {
        match serde_json::from_str::<Frame<'_>>(&event.data) {
            Ok(frame) => self.frame(frame, chunks),
            Err(_) => self.broken.pass(&self.host, &event.data),
        }
    }

    fn ended(&mut self, _: &mut VecDeque<Chunk>) -> Result<(), ModelError> {
        Err(self.broken.cut(&self.host))
    }

    fn document(mut self, bytes: &[u8]) -> Vec<Result<Chunk, ModelError>> {
        let mut chunks = VecDeque::new();
        let read = match serde_json::from_slice::<Frame<'_>>(bytes) {
            Ok(frame) if frame.message.is_some() || frame.error.is_some() => {
                match self.frame(frame, &mut chunks) {
                    Ok(Flow::More) => Err(fault::cut(&self.host)),
                    read => read,
                }
            }
            _ => {
                let words = Words::of_body(bytes).text;
                Err(self.garbage(&format!("a document that is no answer: {words}")))
            }
        };
        whole(chunks, read)
    }
}

/// The arguments as text. The object itself stands there, as a rule; small models give its text.
fn arguments(raw: Option<&RawValue>) -> String {
    let Some(raw) = raw else { return "{}".to_owned() };
    let text = match Text::of(raw) {
        Some(text) => text.to_string(),
        None => raw.get().to_owned(),
    };
    if text.trim().is_empty() { "{}".to_owned() } else { text }
}
