//! From a prompt to the bytes of a request.

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, json, value::RawValue};

use super::Dialect;
use crate::model::{
    Prompt, freeform,
    grown::{Grown, Offered},
    turns::{Asked, Message, Part, Spoken, Turns, Voice, joined},
};
use crate::protocol::CallId;

/// What is sealed in a reasoning of this wire: the parts that a gateway wants back as they came.
pub(super) const DETAILS: &str = "chat:";
/// What stands in the id of a call of this wire that wants something back with it.
pub(super) const EXTRA: &str = "chat:";

/// Builds requests, and keeps what it has encoded for the next one.
pub struct Encoder {
    grown: Grown<Turns<Dialect>>,
    ask_usage: bool,
    tools: Offered,
}

impl Encoder {
    /// For requests in this dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        let ask_usage = dialect.ask_usage;
        Self { grown: Grown::new(Turns::new(dialect)), ask_usage, tools: Offered::default() }
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
            text.extend_from_slice(self.tools.encode(&prompt.tools, freeform::functions));
        }
        text
    }
}

/// A message as it is written.
#[derive(Serialize)]
struct Sent<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<SentPart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum SentPart<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: Url },
}

#[derive(Serialize)]
struct Url {
    url: String,
}

#[derive(Serialize)]
struct SentCall<'a> {
    id: String,
    r#type: &'static str,
    function: SentFunction<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct SentFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl Voice for Dialect {
    fn images(&self) -> bool {
        self.images
    }

    fn thoughts(&self) -> bool {
        self.reasoning_field.is_some()
    }

    fn own<'a>(&self, sealed: &'a str) -> Option<&'a str> {
        sealed.strip_prefix(DETAILS)
    }

    fn write(&self, message: &Message, out: &mut Vec<u8>) {
        match message {
            Message::System(text) => say("system", Content::Text(text), out),
            Message::User(parts) if parts.iter().all(|part| matches!(part, Part::Text(_))) => {
                say("user", Content::Text(&joined(parts)), out);
            }
            Message::User(parts) => {
                let parts = parts.iter().map(|part| match part {
                    Part::Text(text) => SentPart::Text { text },
                    Part::Picture { mime, base64 } => {
                        SentPart::ImageUrl { image_url: Url { url: format!("data:{mime};base64,{base64}") } }
                    }
                });
                say("user", Content::Parts(parts.collect()), out);
            }
            Message::Assistant(spoken) => into_vec(&Said(self, spoken), out),
            Message::Result { call, text, .. } => {
                let id = self.id(call);
                let sent = Sent { role: "tool", tool_call_id: Some(&id), content: Content::Text(text) };
                into_vec(&sent, out);
            }
        }
    }
}

/// What the model said. What stands under which name is the provider's choice.
struct Said<'a>(&'a Dialect, &'a Spoken);

impl Serialize for Said<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(dialect, spoken) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", "assistant")?;
        map.serialize_entry("content", &Some(&spoken.text).filter(|text| !text.is_empty()))?;
        if let (Some(name), false) = (&dialect.reasoning_field, spoken.thoughts.is_empty()) {
            map.serialize_entry(name, &spoken.thoughts.join("\n\n"))?;
        }
        if let Some(details) = spoken.sealed.as_deref().and_then(raw) {
            map.serialize_entry("reasoning_details", details)?;
        }
        if !spoken.calls.is_empty() {
            let calls = spoken.calls.iter().map(|asked| dialect.call(asked));
            map.serialize_entry("tool_calls", &calls.collect::<Vec<_>>())?;
        }
        map.end()
    }
}

impl Dialect {
    fn call<'a>(&self, asked: &'a Asked) -> SentCall<'a> {
        SentCall {
            id: self.id(&asked.call),
            r#type: "function",
            function: SentFunction { name: &asked.tool, arguments: &asked.arguments },
            extra_content: asked.id.as_deref().and_then(|id| id.strip_prefix(EXTRA)).and_then(raw),
        }
    }

    /// The id of a call, as the provider takes it. What it gave itself stays as it is.
    fn id(&self, call: &CallId) -> String {
        let id = call.as_str();
        let short = id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !self.short_call_ids || short {
            return id.to_owned();
        }
        blake3::hash(id.as_bytes()).to_hex().chars().take(9).collect()
    }
}

fn say(role: &'static str, content: Content<'_>, out: &mut Vec<u8>) {
    into_vec(&Sent { role, tool_call_id: None, content }, out);
}

/// JSON that goes back as it came, unless it was damaged meanwhile.
fn raw(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

fn to_vec<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    into_vec(value, &mut out);
    out
}

fn into_vec<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("these types have string keys, and a vector takes every byte");
}
