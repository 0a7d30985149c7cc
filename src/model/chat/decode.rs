//! From the events of an answer to chunks.
//!
//! Text and reasoning are told while they come; whole items follow at the end, which is where this wire says that they are
//! whole. What servers leave out (ids, indexes, types, the last event) is made up for as long as it is clear what they mean.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
};

use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json, value::RawValue};

use super::encode::{DETAILS, EXTRA};
use crate::model::{
    CALL_LIMIT, Chunk, ModelError,
    fault::{self, Broken, Words},
    freeform,
    sse::Event,
    stream::{Decode, Flow},
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
    reasoning: String,
    details: Vec<Value>,
    calls: Vec<Call>,
    usage: Option<Usage>,
    /// How the answer ended, as far as it was said.
    finish: Option<String>,
    broken: Broken,
}

/// A call that is coming.
#[derive(Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    extra: Option<Value>,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    choices: Option<First<Choice<'a>>>,
    usage: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    /// Where Groq puts the usage.
    x_groq: Option<&'a RawValue>,
}

/// The first choice. Others are alternatives that nobody asked for.
struct First<T>(Option<T>);

impl<'de: 'a, 'a> Deserialize<'de> for First<Choice<'a>> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = First<Choice<'de>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of choices")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
                let mut first = None;
                while let Some(choice) = all.next_element::<Choice<'de>>()? {
                    if first.is_none() && choice.index.unwrap_or(0) == 0 {
                        first = Some(choice);
                    }
                }
                Ok(First(first))
            }
        }

        from.deserialize_seq(Visitor)
    }
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    /// Of a stream. On the heap, like that of a document: it is moved a dozen times before it is read.
    #[serde(borrow)]
    delta: Option<Box<Message<'a>>>,
    /// Of a document.
    #[serde(borrow)]
    message: Option<Box<Message<'a>>>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
    error: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Said<'a>>,
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
    /// DeepSeek, vLLM, llama.cpp and others.
    #[serde(borrow)]
    reasoning_content: Option<Text<'a>>,
    /// OpenRouter, Groq, newer vLLM.
    reasoning: Option<&'a RawValue>,
    reasoning_details: Option<Vec<Value>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<WireCall<'a>>>,
}

/// What is said: a text, or parts.
enum Said<'a> {
    Text(Text<'a>),
    Parts(Vec<Value>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Said<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Said<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or a list of parts")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Said::Text(Text::borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Said::Text(Text::owned(text)))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = all.next_element()? {
                    parts.push(part);
                }
                Ok(Said::Parts(parts))
            }

            // What else there is says nothing.
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Said::Parts(Vec::new()))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Said::Parts(Vec::new()))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Said::Parts(Vec::new()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Said::Parts(Vec::new()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
                while all.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
                Ok(Said::Parts(Vec::new()))
            }
        }

        from.deserialize_any(Visitor)
    }
}

#[derive(Deserialize)]
struct WireCall<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
    /// Where Gemini puts what it wants back with the call.
    extra_content: Option<Value>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    /// A text, or the object itself.
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
            reasoning: String::new(),
            details: Vec::new(),
            calls: Vec::new(),
            usage: None,
            finish: None,
            broken: Broken::default(),
        }
    }

    fn frame(&mut self, frame: Frame<'_>, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError> {
        if let Some(error) = frame.error {
            return Err(self.failed(&value(error)));
        }
        let groq = || frame.x_groq.and_then(|groq| value(groq).get_mut("usage").map(Value::take));
        let usage = frame.usage.map(value).or_else(groq);
        self.usage = usage.as_ref().and_then(read_usage).or(self.usage);
        if let Some(First(Some(choice))) = frame.choices {
            if let Some(error) = choice.error {
                return Err(self.failed(&value(error)));
            }
            if let Some(message) = choice.delta.or(choice.message) {
                self.message(*message, chunks)?;
            }
            self.finish = choice.finish_reason.map(|reason| reason.to_string()).or(self.finish.take());
        }
        if self.finish.is_some() && self.usage.is_some() { self.finished(chunks) } else { Ok(Flow::More) }
    }

    fn message(&mut self, message: Message<'_>, chunks: &mut VecDeque<Chunk>) -> Result<(), ModelError> {
        let reasoning = message.reasoning_content.filter(|text| !text.is_empty());
        if let Some(reasoning) = reasoning.or_else(|| message.reasoning.and_then(Text::of)) {
            self.think(&reasoning, chunks);
        }
        for part in message.reasoning_details.into_iter().flatten() {
            self.detail(part);
        }
        match message.content {
            Some(Said::Text(text)) => self.say(&text, chunks),
            // Mistral sends parts, and what it thinks among them.
            Some(Said::Parts(parts)) => {
                for part in &parts {
                    match part["type"].as_str() {
                        Some("thinking") => self.think(&texts(&part["thinking"]), chunks),
                        _ => self.say(part["text"].as_str().unwrap_or_default(), chunks),
                    }
                }
            }
            None => {}
        }
        if let Some(refusal) = message.refusal {
            self.say(&refusal, chunks);
        }
        for call in message.tool_calls.into_iter().flatten() {
            self.call(call, chunks)?;
        }
        Ok(())
    }

    fn say(&mut self, text: &str, chunks: &mut VecDeque<Chunk>) {
        if !text.is_empty() {
            self.text.push_str(text);
            chunks.push_back(Chunk::Text(text.to_owned()));
        }
    }

    fn think(&mut self, text: &str, chunks: &mut VecDeque<Chunk>) {
        if !text.is_empty() {
            self.reasoning.push_str(text);
            chunks.push_back(Chunk::Reasoning(text.to_owned()));
        }
    }

    /// Puts a part of the sealed reasoning behind the one that it goes on with.
    fn detail(&mut self, part: Value) {
        let same = |other: &Value| other["type"] == part["type"] && other["index"] == part["index"];
        let Some(Value::Object(open)) = self.details.last_mut().filter(|last| same(last)) else {
            return self.details.push(part);
        };
        let Value::Object(fields) = part else { return };
        for (name, value) in fields {
            match (open.get_mut(&name), value) {
                (Some(Value::String(before)), Value::String(more))
                    if ["text", "summary", "data"].contains(&name.as_str()) =>
                {
                    before.push_str(&more);
                }
                (_, Value::Null) => {}
                (_, value) => drop(open.insert(name, value)),
            }
        }
    }

    fn call(&mut self, wire: WireCall<'_>, chunks: &mut VecDeque<Chunk>) -> Result<(), ModelError> {
        let WireCall { index, id, function, extra_content } = wire;
        let id = id.as_deref().unwrap_or_default();
        let (name, arguments) = function.map_or((None, None), |function| (function.name, function.arguments));
        let name = name.as_deref().unwrap_or_default();
        // Some servers count all calls as the first, or none at all: another id, or a further name, begins another call.
        let goes_on = |call: &Call| {
            let named = name.is_empty() || call.name == name && call.arguments.is_empty();
            match (index, call.index) {
                (Some(index), Some(of)) if index != of => false,
                _ if !id.is_empty() && !call.id.is_empty() => call.id == id,
                _ => named,
            }
        };
        // A part that only has an index belongs to that call, also when others have come since.
        let by_index = index.and_then(|index| self.calls.iter().rposition(|call| call.index == Some(index)));
        let at = by_index.or(self.calls.len().checked_sub(1));
        let at = at.filter(|at| self.calls.get(*at).is_some_and(goes_on)).unwrap_or_else(|| {
            self.calls.push(Call { index, ..Call::default() });
            self.calls.len() - 1
        });
        if self.calls.len() > CALL_LIMIT {
            return Err(self.garbage(&format!("more than {CALL_LIMIT} calls in one answer")));
        }
        let Some(call) = self.calls.get_mut(at) else { return Ok(()) };
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        if call.name.is_empty() {
            name.clone_into(&mut call.name);
        }
        call.extra = extra_content.or(call.extra.take());
        let more = match arguments {
            // The object itself.
            Some(object) if !object.get().starts_with('"') => value(object).to_string(),
            Some(text) => Text::of(text).as_deref().unwrap_or_default().to_owned(),
            None => String::new(),
        };
        if !more.is_empty() {
            call.arguments.push_str(&more);
            chunks.push_back(Chunk::Arguments(more));
        }
        Ok(())
    }

    /// The end of the answer: gives out its items.
    fn finished(&mut self, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError> {
        let reason = self.finish.clone().unwrap_or_default();
        let short = match reason.as_str() {
            "length" | "max_tokens" | "model_length" => {
                Some("it reached the limit of its length (length)".to_owned())
            }
            "content_filter" => Some("the provider's filter stopped it (content_filter)".to_owned()),
            "error" => {
                let error = fault::of_event(&self.host, &Words::default());
                return Err(ModelError { usage: self.usage, ..error });
            }
            _ => None,
        };
        if self.broken.count() > 0 {
            return Err(ModelError { usage: self.usage, ..self.broken.lost(&self.host) });
        }
        if self.calls.iter().any(|call| call.name.is_empty()) {
            return Err(ModelError {
                usage: self.usage,
                ..self.garbage("a call without the name of a tool")
            });
        }
        if !self.reasoning.is_empty() || !self.details.is_empty() {
            let summary = std::mem::take(&mut self.reasoning);
            let summary = if summary.is_empty() { Vec::new() } else { vec![summary] };
            let details = std::mem::take(&mut self.details);
            let sealed = (!details.is_empty()).then(|| format!("{DETAILS}{}", json!(details)));
            chunks.push_back(Chunk::Item(Item::Reasoning { id: None, summary, encrypted: sealed }));
        }
        let text = std::mem::take(&mut self.text);
        let said = !text.is_empty();
        if said {
            chunks.push_back(Chunk::Item(Item::Assistant { id: None, text, partial: false }));
        }
        if let Some(why) = short {
            // Calls that are cut off are none.
            return Err(ModelError { usage: self.usage, ..fault::incomplete(&self.host, &why) });
        }
        let calls = std::mem::take(&mut self.calls);
        if !said && calls.is_empty() {
            return Err(ModelError { usage: self.usage, ..self.garbage("an answer without a word") });
        }
        for call in calls {
            let arguments = if call.arguments.trim().is_empty() { "{}".to_owned() } else { call.arguments };
            let id = call.extra.map(|extra| format!("{EXTRA}{extra}"));
            let mut item = Item::ToolCall {
                call: unique(&mut self.known, &call.id),
                id,
                tool: call.name,
                args: Args::Json(arguments),
            };
            freeform::restore(&mut item, &self.freeform);
            chunks.push_back(Chunk::Item(item));
        }
        chunks.push_back(Chunk::Finished { usage: self.usage });
        Ok(Flow::Done)
    }

    fn failed(&self, error: &Value) -> ModelError {
        let status = error["code"].as_u64();
        let mut words = Words::of_json(json!({ "error": error }));
        // Gateways repeat the status of whoever stands behind them.
        if words.code.is_empty() {
            words.code = match status {
                Some(429) => "rate_limit_exceeded",
                Some(401 | 403) => "permission_error",
                Some(400 | 402 | 404 | 413 | 422) => "invalid_request_error",
                _ => "",
            }
            .to_owned();
        }
        ModelError { usage: self.usage, ..fault::of_event(&self.host, &words) }
    }

    fn garbage(&self, what: &str) -> ModelError {
        fault::garbage(&self.host, what)
    }
}

impl Decode for Decoder {
    fn event(&mut self, event: &Event, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError> {
        if event.data.trim() == "[DONE]" {
            // Not every server says why it ends.
            self.finish.get_or_insert_default();
            return match self.ended(chunks) {
                Ok(()) => Ok(Flow::Done),
                Err(error) => Err(error),
            };
        }
        match serde_json::from_str::<Frame<'_>>(&event.data) {
            Ok(frame) => self.frame(frame, chunks),
            Err(_) => self.broken.pass(&self.host, &event.data),
        }
    }

    fn ended(&mut self, chunks: &mut VecDeque<Chunk>) -> Result<(), ModelError> {
        match &self.finish {
            Some(_) => self.finished(chunks).map(drop),
            None => Err(self.broken.cut(&self.host)),
        }
    }

    fn document(mut self, bytes: &[u8]) -> Vec<Result<Chunk, ModelError>> {
        let mut chunks = VecDeque::new();
        let read = match serde_json::from_slice::<Frame<'_>>(bytes) {
            Ok(frame) if frame.choices.is_some() || frame.error.is_some() => {
                match self.frame(frame, &mut chunks) {
                    Ok(Flow::More) => {
                        self.finish.get_or_insert_default();
                        self.finished(&mut chunks)
                    }
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

/// A value that was passed over at first.
fn value(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

fn texts(parts: &Value) -> String {
    match parts {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// What was used. An account that can't be read is none, and costs nobody the answer.
fn read_usage(value: &Value) -> Option<Usage> {
    let input = value["prompt_tokens"].as_u64()?;
    let number = |value: &Value| value.as_u64();
    let cached = number(&value["prompt_tokens_details"]["cached_tokens"])
        // DeepSeek's word for it.
        .or_else(|| number(&value["prompt_cache_hit_tokens"]));
    Some(Usage {
        input,
        cached: cached.unwrap_or(0),
        output: number(&value["completion_tokens"]).unwrap_or(0),
        reasoning: number(&value["completion_tokens_details"]["reasoning_tokens"]).unwrap_or(0),
        ..Usage::default()
    })
}
