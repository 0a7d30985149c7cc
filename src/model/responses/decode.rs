//! From the events of an answer to chunks.
//!
//! Reads of each event only what is needed. Unknown events are passed over; unknown items are kept as they
//! came, to be sent back.
//!
//! An event that is not JSON does not end the answer at once: what it held may not matter. If the answer then
//! completes with all the items that it lists, it is good, and a note tells what was passed over; if not, the
//! error says so.

use std::{borrow::Cow, collections::VecDeque};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::model::{
    Chunk, ModelError,
    fault::{self, Broken, Words},
    hosted::{self, DEPTH_LIMIT, nesting},
    sse::Event,
    stream::{Decode, Flow},
};
use crate::protocol::{Args, CallId, Item, Usage};

/// Reads one answer.
pub struct Decoder {
    host: String,
    /// Items that were given out.
    items: usize,
    /// Text was given out that no item has confirmed.
    loose_text: bool,
    broken: Broken,
}

/// The fields of all events, each of them read only for the events that need it.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    summary_index: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

/// The response object, in the events that end an answer and as a document of its own.
#[derive(Deserialize, Default)]
struct Response<'a> {
    status: Option<String>,
    #[serde(borrow, default)]
    output: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    incomplete_details: Option<IncompleteDetails>,
}

impl Response<'_> {
    /// What was used. An account that can't be read is none, and costs nobody the answer.
    fn usage(&self) -> Option<Usage> {
        let usage: WireUsage = serde_json::from_str(self.usage?.get()).ok()?;
        Some(Usage::from(&usage))
    }
}

#[derive(Deserialize)]
struct IncompleteDetails {
    reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct WireUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize)]
struct InputDetails {
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Kinded<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Message {
    id: Option<String>,
    #[serde(default)]
    content: Vec<Part>,
}

#[derive(Deserialize)]
struct ReasoningItem {
    id: Option<String>,
    summary: Option<Vec<Part>>,
    content: Option<Vec<Part>>,
    encrypted_content: Option<String>,
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    id: Option<String>,
    call_id: Option<String>,
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CustomCall {
    id: Option<String>,
    call_id: Option<String>,
    name: String,
    #[serde(default)]
    input: String,
}

/// A part of a message: said, refused or thought.
#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
    /// What it rests on.
    #[serde(default)]
    annotations: Option<Vec<Value>>,
}

impl Decoder {
    /// For an answer of this host.
    pub fn new(host: impl Into<String>) -> Self {
        Self { host: host.into(), items: 0, loose_text: false, broken: Broken::default() }
    }

    fn frame(&mut self, event: &Event, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError> {
        let frame = match serde_json::from_str::<Frame<'_>>(&event.data) {
            Ok(frame) => frame,
            Err(_) if event.data.trim() == "[DONE]" => return Ok(Flow::More),
            Err(_) => return self.broken(&event.data),
        };
        let kind = match &frame.kind {
            Some(kind) => kind,
            None if !event.name.is_empty() => event.name.as_str(),
            None if frame.error.is_some() => "error",
            None => return self.broken(&event.data),
        };
        match kind {
            "response.output_text.delta" | "response.refusal.delta" => {
                self.loose_text = true;
                return self.delta(&frame, event, chunks, Chunk::Text);
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                return self.delta(&frame, event, chunks, Chunk::Reasoning);
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                return self.delta(&frame, event, chunks, Chunk::Arguments);
            }
            "response.reasoning_summary_part.added"
                if frame.summary_index.is_some_and(|index| index.get() != "0") =>
            {
                chunks.push_back(Chunk::Reasoning("\n\n".to_owned()));
            }
            "response.output_item.done" => match frame.item {
                Some(item) => self.item(item, chunks)?,
                None => return self.broken(&event.data),
            },
            "response.completed" => {
                let response = self.response(frame.response)?;
                return self.completed(&response, chunks);
            }
            "response.incomplete" => {
                let response = self.response(frame.response)?;
                return self.incomplete(&response, chunks);
            }
            "response.failed" | "response.cancelled" => {
                let response = self.response(frame.response)?;
                return Err(self.failed(&response));
            }
            "error" => {
                let words = match frame.error.or(frame.message) {
                    Some(_) => words(&event.data),
                    None => Words::default(),
                };
                return Err(fault::of_event(&self.host, &words));
            }
            _ => {}
        }
        Ok(Flow::More)
    }

    fn delta(
        &mut self,
        frame: &Frame<'_>,
        event: &Event,
        chunks: &mut VecDeque<Chunk>,
        chunk: fn(String) -> Chunk,
    ) -> Result<Flow, ModelError> {
        match frame.delta.map(|delta| serde_json::from_str::<String>(delta.get())) {
            Some(Ok(text)) => {
                if !text.is_empty() {
                    chunks.push_back(chunk(text));
                }
                Ok(Flow::More)
            }
            _ => self.broken(&event.data),
        }
    }

    /// Gives out a whole item.
    fn item(&mut self, raw: &RawValue, chunks: &mut VecDeque<Chunk>) -> Result<(), ModelError> {
        let (item, sources) = read_item(raw.get())
            .map_err(|reason| self.garbage(&format!("an item that can't be understood ({reason})")))?;
        self.items += 1;
        if matches!(item, Item::Assistant { .. }) {
            self.loose_text = false;
        }
        chunks.push_back(Chunk::Item(item));
        chunks.extend(sources.map(Chunk::Item));
        Ok(())
    }

    fn completed(
        &mut self,
        response: &Response<'_>,
        chunks: &mut VecDeque<Chunk>,
    ) -> Result<Flow, ModelError> {
        let listed = self.late_items(response, chunks)?;
        let usage = response.usage();
        if self.broken.count() > 0 && listed != Some(self.items) {
            return Err(ModelError { usage, ..self.lost() });
        }
        if self.loose_text {
            let what = "the text of a message, but not the message itself";
            return Err(ModelError { usage, ..self.garbage(what) });
        }
        if self.broken.count() > 0 {
            let what = format!(
                "{} sent {} that can't be read, but the answer is complete: {}",
                self.host,
                events(self.broken.count()),
                self.broken.first()
            );
            chunks.push_back(Chunk::Note(what));
        }
        chunks.push_back(Chunk::Finished { usage });
        Ok(Flow::Done)
    }

    fn incomplete(
        &mut self,
        response: &Response<'_>,
        chunks: &mut VecDeque<Chunk>,
    ) -> Result<Flow, ModelError> {
        self.late_items(response, chunks)?;
        let reason = response.incomplete_details.as_ref().and_then(|details| details.reason.as_deref());
        let why = match reason {
            Some("max_output_tokens") => "it reached the limit of its length (max_output_tokens)".to_owned(),
            Some("content_filter") => "the provider's filter stopped it (content_filter)".to_owned(),
            Some(reason) => fault::printable(reason),
            None => "the provider gives no reason".to_owned(),
        };
        let usage = response.usage();
        Err(ModelError { usage, ..fault::incomplete(&self.host, &why) })
    }

    fn failed(&self, response: &Response<'_>) -> ModelError {
        let words = response.error.map(|error| words(error.get())).unwrap_or_default();
        let usage = response.usage();
        ModelError { usage, ..fault::of_event(&self.host, &words) }
    }

    /// Gives out the listed items that did not come on their own, and says how many are listed. Where events could
    /// not be read nobody knows which ones these are.
    fn late_items(
        &mut self,
        response: &Response<'_>,
        chunks: &mut VecDeque<Chunk>,
    ) -> Result<Option<usize>, ModelError> {
        let Some(output) = &response.output else { return Ok(None) };
        if self.items == 0 || self.broken.count() == 0 {
            for item in output.iter().skip(self.items) {
                self.item(item, chunks)?;
            }
        }
        Ok(Some(output.len()))
    }

    fn response<'a>(&self, raw: Option<&'a RawValue>) -> Result<Response<'a>, ModelError> {
        let Some(raw) = raw else { return Ok(Response::default()) };
        serde_json::from_str(raw.get())
            .map_err(|error| self.garbage(&format!("an end that can't be understood ({error})")))
    }

    /// Passes over an event that can't be read.
    fn broken(&mut self, data: &str) -> Result<Flow, ModelError> {
        match self.broken.add(data) {
            false => Ok(Flow::More),
            true => Err(self.lost()),
        }
    }

    /// Events could not be read, and they mattered.
    fn lost(&self) -> ModelError {
        self.garbage(&format!("{} that can't be read: {}", events(self.broken.count()), self.broken.first()))
    }

    fn garbage(&self, what: &str) -> ModelError {
        fault::garbage(&self.host, what)
    }
}

impl Decode for Decoder {
    fn event(&mut self, event: &Event, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError> {
        self.frame(event, chunks)
    }

    fn ended(&mut self, _: &mut VecDeque<Chunk>) -> Result<(), ModelError> {
        Err(match self.broken.count() {
            0 => fault::cut(&self.host),
            _ => self.lost(),
        })
    }

    fn document(mut self, bytes: &[u8]) -> Vec<Result<Chunk, ModelError>> {
        let mut chunks = VecDeque::new();
        let read = match serde_json::from_slice::<Response<'_>>(bytes) {
            Ok(response) => match response.status.as_deref() {
                Some("failed") => Err(self.failed(&response)),
                Some("incomplete") => self.incomplete(&response, &mut chunks),
                None if response.output.is_none() => {
                    let words = Words::of_body(bytes).text;
                    Err(self.garbage(&format!("a document that is no answer: {words}")))
                }
                _ => self.completed(&response, &mut chunks),
            },
            Err(error) => {
                let words = Words::of_body(bytes).text;
                Err(self.garbage(&format!("a document that is no answer ({error}): {words}")))
            }
        };
        let error = read.err().map(Err);
        chunks.into_iter().map(Ok).chain(error).collect()
    }
}

impl From<&WireUsage> for Usage {
    fn from(usage: &WireUsage) -> Self {
        Self {
            input: usage.input_tokens.unwrap_or(0),
            cached: usage.input_tokens_details.as_ref().and_then(|of| of.cached_tokens).unwrap_or(0),
            output: usage.output_tokens.unwrap_or(0),
            reasoning: usage.output_tokens_details.as_ref().and_then(|of| of.reasoning_tokens).unwrap_or(0),
            ..Usage::default()
        }
    }
}

fn events(count: u32) -> String {
    match count {
        1 => "an event".to_owned(),
        _ => format!("{count} events"),
    }
}

fn words(json: &str) -> Words {
    serde_json::from_str(json).map(Words::of_json).unwrap_or_default()
}

/// An item of the provider as one of ours, and what it rests on.
fn read_item(json: &str) -> Result<(Item, Option<Item>), String> {
    let text = |error: serde_json::Error| error.to_string();
    let kind = serde_json::from_str::<Kinded<'_>>(json).map_err(text)?.kind;
    let mut sources = None;
    let item = match &*kind {
        "message" => {
            let message: Message = serde_json::from_str(json).map_err(text)?;
            sources =
                hosted::sources(message.content.iter().flat_map(|part| part.annotations.iter().flatten()));
            let text = message.content.into_iter().filter_map(|part| part.text.or(part.refusal)).collect();
            Item::Assistant { id: message.id, text, partial: false }
        }
        "reasoning" => {
            let item: ReasoningItem = serde_json::from_str(json).map_err(text)?;
            // Servers of open models show the reasoning itself, and no summary of it.
            let parts = item.summary.filter(|summary| !summary.is_empty()).or(item.content);
            let summary = parts.into_iter().flatten().filter_map(|part| part.text).collect();
            Item::Reasoning { id: item.id, summary, encrypted: item.encrypted_content }
        }
        "function_call" => {
            let item: FunctionCall<'_> = serde_json::from_str(json).map_err(text)?;
            let arguments = item.arguments.map_or(String::new(), |raw| {
                // Some servers send the object itself, and not its text.
                serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned())
            });
            let call = call_id(item.call_id.as_deref(), item.id.as_deref())?;
            Item::ToolCall { call, id: item.id, tool: item.name, args: Args::Json(arguments) }
        }
        "custom_tool_call" => {
            let item: CustomCall = serde_json::from_str(json).map_err(text)?;
            let call = call_id(item.call_id.as_deref(), item.id.as_deref())?;
            Item::ToolCall { call, id: item.id, tool: item.name, args: Args::Text(item.input) }
        }
        "mcp_approval_request" => {
            let question = serde_json::from_str(json).map_err(text)?;
            hosted::asked(&question)
                .ok_or_else(|| "a question without an id, a server or a tool".to_owned())?
        }
        kind => match serde_json::from_str(json).map_err(text)? {
            Item::Unknown(value) if nesting(&value) <= DEPTH_LIMIT => Item::Unknown(value),
            Item::Unknown(_) => return Err(format!("`{kind}` is nested too deeply")),
            // It would come back from a log as something else than it is.
            _ => return Err(format!("`{}` is no item of this protocol", fault::printable(kind))),
        },
    };
    Ok((item, sources))
}

fn call_id(call: Option<&str>, item: Option<&str>) -> Result<CallId, String> {
    let usable = |id: &&str| !id.is_empty();
    let id = call.filter(usable).or(item.filter(usable));
    id.map(CallId::from).ok_or_else(|| "a call without an id".to_owned())
}
