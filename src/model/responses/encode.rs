//! From a prompt to the bytes of a request.
//!
//! Each item is encoded once. The bytes before the last item never change while a conversation only grows.

use std::{borrow::Cow, collections::VecDeque, sync::Arc};

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::model::{
    Prompt, ReadBlob, content,
    grown::{Grown, NO_RESULT, Offered, Write},
    hosted, is_foreign,
};
use crate::protocol::{Args, CallId, Content, Effort, Item, ToolForm, ToolSpec, Verbosity};

/// Builds requests, and keeps what it has encoded for the next one.
pub struct Encoder {
    grown: Grown<State>,
    tools: Offered,
}

/// What must be known of earlier items to encode the next one.
#[derive(Default, Clone)]
struct State {
    /// Reasoning whose outcome has not come yet.
    reasoning: Vec<Arc<Item>>,
    /// Calls that are not answered, each in its form.
    calls: VecDeque<(CallId, Form)>,
    /// Whether the model takes pictures.
    images: bool,
    /// The host that the conversation goes to.
    host: Arc<str>,
}

#[derive(Clone, Copy)]
enum Form {
    Function,
    Custom,
    /// A hosted MCP server asks whether it may do something.
    Question,
}

impl Form {
    /// Writes what a call in this form came to.
    fn answer(self, call_id: &str, output: Output<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Function => write(&Input::FunctionCallOutput { call_id, output }, out),
            Self::Custom => write(&Input::CustomToolCallOutput { call_id, output }, out),
            Self::Question => write(&hosted::answer(&CallId::from(call_id), &[]), out),
        }
    }
}

/// The request up to its tools. The order of the fields is the order on the wire: what changes least comes
/// first.
#[derive(Serialize)]
struct Head<'a> {
    model: &'a str,
    stream: bool,
    store: bool,
    include: Vec<&'static str>,
    prompt_cache_key: &'a str,
    tool_choice: &'static str,
    parallel_tool_calls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
}

/// The same of a request to make a conversation smaller.
#[derive(Serialize)]
struct Compact<'a> {
    model: &'a str,
    prompt_cache_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
}

#[derive(Serialize)]
struct Reasoning {
    effort: Effort,
    summary: &'static str,
}

#[derive(Serialize)]
struct Text<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<Verbosity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
}

#[derive(Serialize)]
struct Format<'a> {
    r#type: &'static str,
    name: &'static str,
    strict: bool,
    schema: &'a Value,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Input<'a> {
    Message {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        role: &'static str,
        content: Vec<Part<'a>>,
    },
    Reasoning {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        summary: Vec<Part<'a>>,
        encrypted_content: &'a str,
    },
    FunctionCall {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
    CustomToolCall {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        call_id: &'a str,
        name: &'a str,
        input: &'a str,
    },
    FunctionCallOutput {
        call_id: &'a str,
        output: Output<'a>,
    },
    CustomToolCallOutput {
        call_id: &'a str,
        output: Output<'a>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    InputText { text: Cow<'a, str> },
    OutputText { text: &'a str },
    SummaryText { text: &'a str },
    InputImage { image_url: String, detail: &'static str },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Output<'a> {
    Text(&'a str),
    Parts(Vec<Part<'a>>),
}

impl Encoder {
    /// For a model that takes pictures, or does not.
    #[must_use]
    pub fn new(images: bool) -> Self {
        let state = State { images, ..State::default() };
        Self { grown: Grown::new(state), tools: Offered::default() }
    }

    /// The same for a conversation that goes to this host: what it has sealed itself goes along.
    #[must_use]
    pub fn at(self, host: &str) -> Self {
        let state = State { host: host.into(), ..self.grown.fresh().clone() };
        Self { grown: Grown::new(state), ..self }
    }

    /// The body of a request.
    pub fn request(&mut self, prompt: &Prompt) -> Bytes {
        let head = encode_head(prompt);
        let tools = self.tools.encode(&prompt.tools, tools);
        let (items, tail) = self.grown.items(prompt);
        const TOOLS: &[u8] = b",\"tools\":";
        const INPUT: &[u8] = b",\"input\":[";
        let length = head.len() + TOOLS.len() + tools.len() + INPUT.len() + items.len() + tail.len() + 2;
        let mut body = Vec::with_capacity(length);
        for part in [&head[..], TOOLS, tools, INPUT, items, &tail, b"]}"] {
            body.extend_from_slice(part);
        }
        body.into()
    }

    /// The body of a request to make a conversation smaller, where `note` says what matters.
    pub fn compaction(&mut self, prompt: &Prompt, note: &str) -> Bytes {
        let instructions = (!note.is_empty()).then(|| format!("The user says what matters: {note}"));
        let head = Compact {
            model: &prompt.model,
            prompt_cache_key: &prompt.cache_key,
            instructions: instructions.as_deref(),
        };
        let mut body = to_vec(&head);
        body.pop();
        let (items, tail) = self.grown.items(prompt);
        for part in [b",\"input\":[", items, &tail, b"]}"] {
            body.extend_from_slice(part);
        }
        body.into()
    }

    /// How many items have been encoded so far, kept or not.
    #[must_use]
    pub fn encoded(&self) -> u64 {
        self.grown.encoded()
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new(true)
    }
}

impl Write for State {
    fn push(&mut self, item: &Arc<Item>, blobs: &dyn ReadBlob, out: &mut Vec<u8>) {
        match &**item {
            Item::Reasoning { .. } => return self.reasoning.push(Arc::clone(item)),
            // Nothing is there to be sent, and so nothing for reasoning to lead to.
            Item::Assistant { text, .. } if text.is_empty() => return,
            Item::User { content, .. } if content.is_empty() => return,
            Item::Sources { .. } => return,
            Item::Unknown(value) if !hosted::is_of_responses(value) => return,
            Item::Assistant { partial: false, .. } | Item::ToolCall { .. } | Item::Unknown(_) => {
                for reasoning in std::mem::take(&mut self.reasoning) {
                    write_reasoning(&reasoning, out);
                }
            }
            // Reasoning without its outcome is refused by the provider: the answer had broken off.
            Item::Context { .. }
            | Item::User { .. }
            | Item::Assistant { .. }
            | Item::ToolResult { .. }
            | Item::Sealed { .. } => {
                self.reasoning.clear();
            }
        }
        self.write(item, blobs, out);
    }

    /// Reasoning without its outcome is refused by the provider, and so is a call without a result.
    fn close(&mut self, out: &mut Vec<u8>) {
        for (call, form) in std::mem::take(&mut self.calls) {
            form.answer(call.as_str(), Output::Text(NO_RESULT), out);
        }
    }
}

impl State {
    fn write(&mut self, item: &Item, blobs: &dyn ReadBlob, out: &mut Vec<u8>) {
        match item {
            Item::Context { context, text } => {
                let role = if context.is_programs() { "developer" } else { "user" };
                let content = vec![Part::InputText { text: text.into() }];
                write(&Input::Message { id: None, role, content }, out);
            }
            Item::User { content, .. } => {
                write(
                    &Input::Message { id: None, role: "user", content: parts(content, self.images, blobs) },
                    out,
                );
            }
            Item::Assistant { id, text, .. } => {
                let content = vec![Part::OutputText { text }];
                write(&Input::Message { id: own(id, "msg_"), role: "assistant", content }, out);
            }
            Item::Reasoning { .. } | Item::Sources { .. } => {}
            Item::ToolCall { call, id, tool, args } => {
                if let Some(question) = hosted::question(tool, id.as_deref(), args) {
                    write(&question, out);
                    return self.calls.push_back((call.clone(), Form::Question));
                }
                let (call_id, name) = (call.as_str(), tool.as_str());
                let (form, input) = match args {
                    Args::Json(arguments) => {
                        let id = own(id, "fc_");
                        (Form::Function, Input::FunctionCall { id, call_id, name, arguments })
                    }
                    Args::Text(input) => {
                        let id = own(id, "ctc_");
                        (Form::Custom, Input::CustomToolCall { id, call_id, name, input })
                    }
                };
                write(&input, out);
                self.calls.push_back((call.clone(), form));
            }
            Item::ToolResult { call, content, .. } => {
                let output = match &content[..] {
                    [] => Output::Text(""),
                    [Content::Text { text }] => Output::Text(text),
                    _ => Output::Parts(parts(content, self.images, blobs)),
                };
                // Without its call in the conversation, the provider would refuse the request.
                let Some(at) = self.calls.iter().position(|(open, _)| open == call) else { return };
                match self.calls.remove(at) {
                    Some((_, Form::Question)) => write(&hosted::answer(call, content), out),
                    Some((_, form)) => form.answer(call.as_str(), output, out),
                    None => {}
                }
            }
            Item::Sealed { by, item, .. } if **by == *self.host => write(item, out),
            Item::Sealed { instead, .. } => {
                let content = vec![Part::InputText { text: instead.into() }];
                write(&Input::Message { id: None, role: "user", content }, out);
            }
            // An item of the provider that this program does not know goes back as it came.
            Item::Unknown(value) => write(value, out),
        }
    }
}

fn write_reasoning(item: &Item, out: &mut Vec<u8>) {
    let Item::Reasoning { id, summary, encrypted: Some(encrypted_content) } = item else {
        // With nothing sealed in it, the provider would look for it in its own store, where it is not.
        return;
    };
    if is_foreign(encrypted_content) {
        return;
    }
    let summary = summary.iter().map(|text| Part::SummaryText { text }).collect();
    write(&Input::Reasoning { id: own(id, "rs_"), summary, encrypted_content }, out);
}

/// The item's id, if this kind of provider gave it: a foreign one would be refused.
fn own<'a>(id: &'a Option<String>, prefix: &str) -> Option<&'a str> {
    id.as_deref().filter(|id| id.starts_with(prefix) && id.len() <= 64)
}

fn parts<'a>(content: &'a [Content], images: bool, blobs: &dyn ReadBlob) -> Vec<Part<'a>> {
    let part = |part: &'a Content| match content::part(part, images, blobs) {
        content::Part::Text(text) => Part::InputText { text },
        content::Part::Picture { mime, base64 } => {
            Part::InputImage { image_url: format!("data:{mime};base64,{base64}"), detail: "high" }
        }
    };
    content.iter().map(part).collect()
}

fn encode_head(prompt: &Prompt) -> Vec<u8> {
    let text = (prompt.verbosity.is_some() || prompt.output_schema.is_some()).then(|| Text {
        verbosity: prompt.verbosity,
        format: prompt.output_schema.as_ref().map(|schema| Format {
            r#type: "json_schema",
            name: "answer",
            strict: is_strict(schema),
            schema,
        }),
    });
    let reasoning = prompt.effort.map(|_| "reasoning.encrypted_content");
    let head = Head {
        model: &prompt.model,
        stream: true,
        store: false,
        // A model that does not reason refuses to be asked for its reasoning.
        include: reasoning.into_iter().chain(hosted::included(&prompt.tools)).collect(),
        prompt_cache_key: &prompt.cache_key,
        tool_choice: "auto",
        parallel_tool_calls: true,
        reasoning: prompt.effort.map(|effort| Reasoning { effort, summary: "auto" }),
        text,
    };
    let mut out = to_vec(&head);
    // The object goes on with tools and input.
    out.pop();
    out
}

fn tools(tools: &[ToolSpec]) -> Value {
    tools
        .iter()
        .map(|tool| match &tool.form {
            ToolForm::Function { parameters } => json!({
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "strict": false,
                "parameters": parameters,
            }),
            ToolForm::Hosted { hosted } => hosted::of_responses(hosted),
            ToolForm::Freeform { grammar } => json!({
                "type": "custom",
                "name": tool.name,
                "description": tool.description,
                "format": { "type": "grammar", "syntax": "lark", "definition": grammar },
            }),
        })
        .collect()
}

/// Whether the provider can be held to a schema: every object closed, and every property required.
fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            let closed = match map.get("properties").and_then(Value::as_object) {
                Some(properties) => {
                    let required = map.get("required").and_then(Value::as_array);
                    map.get("additionalProperties") == Some(&Value::Bool(false))
                        && required.is_some_and(|required| {
                            properties.keys().all(|name| required.iter().any(|word| word == name))
                        })
                }
                None => map.get("type").is_none_or(|kind| kind != "object"),
            };
            closed && map.values().all(is_strict)
        }
        Value::Array(values) => values.iter().all(is_strict),
        _ => true,
    }
}

fn write<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    out.push(b',');
    into_vec(value, out);
}

fn to_vec<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    into_vec(value, &mut out);
    out
}

fn into_vec<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("these types have string keys, and a vector takes every byte");
}
