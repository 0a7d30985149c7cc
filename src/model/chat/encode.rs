//! From a prompt to the bytes of a request.
//!
//! Servers with templates want one system message at the beginning, roles that take turns, and all results right behind
//! the calls that they answer. So what follows each other in one role is one message, and a message is written when the
//! next one begins.

use std::{collections::VecDeque, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Dialect;
use crate::model::{
    Prompt, ReadBlob,
    freeform::{self, function},
    grown::{self, Grown, Write},
};
use crate::protocol::{CallId, Content, Context, Item, ToolSpec};

/// What is sealed in a reasoning of this wire: the parts that a gateway wants back as they came.
pub(super) const DETAILS: &str = "chat:";
/// What stands in the id of a call of this wire that wants something back with it.
pub(super) const EXTRA: &str = "chat:";
/// The result of a call that has none: without one, servers refuse the whole conversation.
const NO_RESULT: &str = "(there is no result of this call)";

/// Builds requests, and keeps what it has encoded for the next one.
pub struct Encoder {
    grown: Grown<Messages>,
    ask_usage: bool,
    tools: Option<(Arc<[ToolSpec]>, Vec<u8>)>,
}

impl Encoder {
    /// For requests in this dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        let ask_usage = dialect.ask_usage;
        Self { grown: Grown::new(Messages { dialect, ..Messages::default() }), ask_usage, tools: None }
    }

    /// The body of a request.
    pub fn request(&mut self, prompt: &Prompt) -> Bytes {
        let head = self.head(prompt);
        let (items, tail) = self.grown.items(prompt);
        const MESSAGES: &[u8] = b",\"messages\":[";
        let mut body = Vec::with_capacity(head.len() + MESSAGES.len() + items.len() + tail.len() + 2);
        for part in [&head[..], MESSAGES, items, &tail, b"]}"] {
            body.extend_from_slice(part);
        }
        body.into()
    }

    /// How many items have been encoded so far, kept or not.
    #[must_use]
    pub fn encoded(&self) -> u64 {
        self.grown.encoded()
    }

    /// Everything before the messages: what changes least comes first.
    fn head(&mut self, prompt: &Prompt) -> Vec<u8> {
        let mut head = Map::new();
        head.insert("model".to_owned(), json!(prompt.model));
        head.insert("stream".to_owned(), json!(true));
        if self.ask_usage {
            head.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
        if let Some(effort) = prompt.effort {
            head.insert("reasoning_effort".to_owned(), json!(effort));
        }
        if let Some(verbosity) = prompt.verbosity {
            head.insert("verbosity".to_owned(), json!(verbosity));
        }
        if let Some(schema) = &prompt.output_schema {
            let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
            head.insert("response_format".to_owned(), format);
        }
        let mut text = to_vec(&head);
        text.pop();
        // Some servers refuse an empty list.
        if !prompt.tools.is_empty() {
            text.extend_from_slice(b",\"tools\":");
            text.extend_from_slice(self.tools(&prompt.tools));
        }
        text
    }

    fn tools(&mut self, specs: &Arc<[ToolSpec]>) -> &[u8] {
        let known = self.tools.take().filter(|(known, _)| Arc::ptr_eq(known, specs));
        let tools = known.unwrap_or_else(|| {
            let functions = specs.iter().map(|tool| {
                let (name, description, parameters) = function(tool);
                let function = json!({"name": name, "description": description, "parameters": parameters});
                json!({"type": "function", "function": function})
            });
            (Arc::clone(specs), to_vec(&functions.collect::<Vec<_>>()))
        });
        &self.tools.insert(tools).1
    }
}

/// The messages of a conversation.
#[derive(Clone, Default)]
struct Messages {
    dialect: Dialect,
    /// Whether anything was written. The system's words can only stand before everything else.
    begun: bool,
    open: Open,
    /// Calls that have no result yet.
    calls: VecDeque<CallId>,
    /// What was thought and has led to nothing yet, as text and as it was sealed.
    thoughts: Vec<String>,
    details: Option<String>,
    /// Pictures of results: a result holds text only, so that they follow behind the last one.
    pictures: Vec<Value>,
}

/// The message that is not written yet.
#[derive(Clone, Default)]
enum Open {
    #[default]
    None,
    System(Vec<String>),
    User(Vec<Value>),
    Assistant {
        text: String,
        reasoning: Vec<String>,
        details: Option<String>,
        calls: Vec<Value>,
    },
}

impl Write for Messages {
    fn push(&mut self, item: &Arc<Item>, blobs: &dyn ReadBlob, out: &mut Vec<u8>) {
        match &**item {
            Item::Context { context: Context::System | Context::Permissions, text } if !self.begun => {
                match &mut self.open {
                    Open::System(texts) => texts.push(text.clone()),
                    Open::None => self.open = Open::System(vec![text.clone()]),
                    // Something else was said before.
                    Open::User(_) | Open::Assistant { .. } => self.user(vec![note(text)], out),
                }
            }
            Item::Context {
                context:
                    Context::Instructions
                    | Context::Environment
                    | Context::Memory
                    | Context::Summary
                    | Context::Skill
                    | Context::Unknown,
                text,
            } => {
                self.user(vec![text_part(text)], out);
            }
            Item::Context { text, .. } => self.user(vec![note(text)], out),
            Item::User { content, .. } if content.is_empty() => {}
            Item::User { content, .. } => {
                let parts = self.parts(content, blobs);
                self.user(parts, out);
            }
            Item::Reasoning { summary, encrypted, .. } => self.reasoning(summary, encrypted.as_deref()),
            Item::Assistant { text, .. } if text.is_empty() => {}
            Item::Assistant { text, .. } => {
                if let Open::Assistant { text: before, .. } = self.assistant(out) {
                    if !before.is_empty() {
                        before.push_str("\n\n");
                    }
                    before.push_str(text);
                }
            }
            Item::ToolCall { call, id, tool, args } => {
                let mut object = json!({
                    "id": self.id(call), "type": "function",
                    "function": {"name": tool, "arguments": freeform::object(args)},
                });
                let extra = id.as_deref().and_then(|id| id.strip_prefix(EXTRA));
                if let Some(extra) = extra.and_then(|extra| serde_json::from_str::<Value>(extra).ok()) {
                    object["extra_content"] = extra;
                }
                if let Open::Assistant { calls, .. } = self.assistant(out) {
                    calls.push(object);
                }
                self.calls.push_back(call.clone());
            }
            Item::ToolResult { call, content, .. } => {
                // Its call is not in the conversation any more, or was answered.
                let Some(at) = self.calls.iter().position(|open| open == call) else { return };
                self.forget_thoughts();
                self.flush(out);
                self.calls.remove(at);
                let parts = self.parts(content, blobs);
                let (pictures, texts): (Vec<_>, Vec<_>) =
                    parts.into_iter().partition(|part| part["type"] == "image_url");
                let mut text = joined(&texts);
                if !pictures.is_empty() {
                    text.push_str(if text.is_empty() { "" } else { "\n" });
                    text.push_str("(the picture follows)");
                }
                self.pictures.extend(pictures);
                self.write(&json!({"role": "tool", "tool_call_id": self.id(call), "content": text}), out);
            }
            // Another wire's.
            Item::Unknown(_) => {}
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.settle(out);
        self.flush(out);
    }
}

impl Messages {
    /// A message of the person, or what is said in their place.
    fn user(&mut self, parts: Vec<Value>, out: &mut Vec<u8>) {
        self.forget_thoughts();
        if let Open::User(open) = &mut self.open {
            open.extend(parts);
            return;
        }
        self.settle(out);
        match &mut self.open {
            // The pictures of results.
            Open::User(open) => open.extend(parts),
            _ => {
                self.flush(out);
                self.open = Open::User(parts);
            }
        }
    }

    /// The model's message that is open, or a new one.
    fn assistant(&mut self, out: &mut Vec<u8>) -> &mut Open {
        // A new thought after something was said is a message of its own, but for one between calls that belong together.
        let thinks = !self.thoughts.is_empty() || self.details.is_some();
        if !matches!(self.open, Open::Assistant { .. }) || thinks && self.calls.is_empty() {
            self.settle(out);
            self.flush(out);
            self.open = Open::Assistant {
                text: String::new(),
                reasoning: Vec::new(),
                details: None,
                calls: Vec::new(),
            };
        }
        let (thoughts, sealed) = (std::mem::take(&mut self.thoughts), self.details.take());
        if let Open::Assistant { reasoning, details, .. } = &mut self.open {
            reasoning.extend(thoughts);
            *details = sealed.or(details.take());
        }
        &mut self.open
    }

    /// Remembers a thought until it has led to something.
    fn reasoning(&mut self, summary: &[String], sealed: Option<&str>) {
        let own = sealed.and_then(|sealed| sealed.strip_prefix(DETAILS)).map(str::to_owned);
        // What another wire has sealed belongs to a model that thought it; its summary is for people.
        if sealed.is_some() && own.is_none() {
            return;
        }
        if self.dialect.reasoning_field.is_some() {
            self.thoughts.extend(summary.iter().cloned());
        }
        self.details = own.filter(|own| !own.is_empty()).or(self.details.take());
    }

    /// What was thought has led nowhere: the answer broke off.
    fn forget_thoughts(&mut self) {
        self.thoughts.clear();
        self.details = None;
    }

    /// Ends what the model asked for: calls that nobody answered, and the pictures of those that somebody did.
    fn settle(&mut self, out: &mut Vec<u8>) {
        if !self.calls.is_empty() {
            self.flush(out);
        }
        for call in std::mem::take(&mut self.calls) {
            self.write(&json!({"role": "tool", "tool_call_id": self.id(&call), "content": NO_RESULT}), out);
        }
        let pictures = std::mem::take(&mut self.pictures);
        if !pictures.is_empty() {
            self.flush(out);
            let mut parts = vec![note("The pictures of the results above:")];
            parts.extend(pictures);
            self.open = Open::User(parts);
        }
    }

    /// Writes the message that is open.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let message = match std::mem::take(&mut self.open) {
            Open::None => return,
            Open::System(texts) => json!({"role": "system", "content": texts.join("\n\n")}),
            Open::User(parts) if parts.iter().all(|part| part["type"] == "text") => {
                json!({"role": "user", "content": joined(&parts)})
            }
            Open::User(parts) => json!({"role": "user", "content": parts}),
            Open::Assistant { text, reasoning, details, calls, .. } => {
                let mut message = json!({"role": "assistant", "content": text});
                if text.is_empty() {
                    message["content"] = Value::Null;
                }
                if let (Some(field), false) = (&self.dialect.reasoning_field, reasoning.is_empty()) {
                    message[field] = json!(reasoning.join("\n\n"));
                }
                if let Some(details) =
                    details.and_then(|details| serde_json::from_str::<Value>(&details).ok())
                {
                    message["reasoning_details"] = details;
                }
                if !calls.is_empty() {
                    message["tool_calls"] = json!(calls);
                }
                message
            }
        };
        self.write(&message, out);
    }

    fn write(&mut self, message: &Value, out: &mut Vec<u8>) {
        self.begun = true;
        out.push(b',');
        out.extend_from_slice(&to_vec(message));
    }

    /// The id of a call, as the provider takes it. What it gave itself stays as it is.
    fn id(&self, call: &CallId) -> String {
        let id = call.as_str();
        let short = id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !self.dialect.short_call_ids || short {
            return id.to_owned();
        }
        blake3::hash(id.as_bytes()).to_hex().chars().take(9).collect()
    }

    fn parts(&self, content: &[Content], blobs: &dyn ReadBlob) -> Vec<Value> {
        let part = |part: &Content| match part {
            Content::Text { text } => text_part(text),
            Content::Image { width, height, .. } if !self.dialect.images => {
                text_part(&format!("[a picture of {width}×{height} pixels; this model takes no pictures]"))
            }
            Content::Image { blob, mime, .. } => match blobs.read(blob) {
                Ok(bytes) => {
                    let url = format!("data:{mime};base64,{}", BASE64_STANDARD.encode(bytes));
                    json!({"type": "image_url", "image_url": {"url": url}})
                }
                Err(error) => text_part(&format!("[a picture that can't be read any more: {error}]")),
            },
            Content::Unknown(_) => text_part("[a part that this version of the program does not know]"),
        };
        content.iter().map(part).collect()
    }
}

fn text_part(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn note(text: &str) -> Value {
    text_part(&grown::note(text))
}

fn joined(parts: &[Value]) -> String {
    parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n\n")
}

fn to_vec<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("these types have string keys")
}
