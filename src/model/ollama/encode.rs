//! From a prompt to the bytes of a request.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, json, value::RawValue};

use super::Voice;
use crate::model::{
    Prompt, freeform,
    grown::{Grown, Offered},
    turns::{self, Asked, Message, Part, Turns, joined},
};
use crate::protocol::Effort;

/// Builds requests, and keeps what it has encoded for the next one.
pub struct Encoder {
    grown: Grown<Turns<Voice>>,
    window: u64,
    output: Option<u64>,
    tools: Offered,
}

impl Encoder {
    /// For a model of which so much is known.
    #[must_use]
    pub fn new(voice: Voice) -> Self {
        let (window, output) = (voice.window, voice.output);
        Self { grown: Grown::new(Turns::new(voice)), window, output, tools: Offered::default() }
    }

    /// The body of a request.
    pub fn request(&mut self, prompt: &Prompt) -> Bytes {
        let mut head = self.head(prompt);
        head.pop();
        if !prompt.tools.is_empty() {
            head.extend_from_slice(b",\"tools\":");
            head.extend_from_slice(self.tools.encode(&prompt.tools, freeform::functions));
        }
        let (items, tail) = self.grown.items(prompt);
        let mut body = Vec::with_capacity(head.len() + items.len() + tail.len() + 16);
        for part in [&head[..], b",\"messages\":[", items, &tail, b"]}"] {
            body.extend_from_slice(part);
        }
        body.into()
    }

    /// How many items have been encoded so far, kept or not.
    #[must_use]
    pub fn encoded(&self) -> u64 {
        self.grown.encoded()
    }

    /// Everything before tools and messages: what changes least comes first.
    fn head(&self, prompt: &Prompt) -> Vec<u8> {
        let mut head = Map::new();
        head.insert("model".to_owned(), json!(prompt.model));
        head.insert("stream".to_owned(), json!(true));
        let mut options = json!({"num_ctx": self.window});
        if let Some(output) = self.output {
            options["num_predict"] = json!(output);
        }
        head.insert("options".to_owned(), options);
        // A model that does not think refuses to be told how hard.
        if let Some(effort) = prompt.effort {
            let think = match effort {
                Effort::None => json!(false),
                Effort::Minimal | Effort::Low => json!("low"),
                Effort::Medium => json!("medium"),
                Effort::High | Effort::Xhigh => json!("high"),
            };
            head.insert("think".to_owned(), think);
        }
        if let Some(schema) = &prompt.output_schema {
            head.insert("format".to_owned(), schema.clone());
        }
        serde_json::Value::Object(head).to_string().into_bytes()
    }
}

/// A message as it is written.
#[derive(Serialize, Default)]
struct Sent<'a> {
    role: &'static str,
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<SentCall<'a>>,
    /// Which call a result is of: older servers know the name of the tool only.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
struct SentCall<'a> {
    id: &'a str,
    function: SentFunction<'a>,
}

#[derive(Serialize)]
struct SentFunction<'a> {
    name: &'a str,
    /// The object itself, and not its text.
    arguments: &'a RawValue,
}

impl turns::Voice for Voice {
    fn images(&self) -> bool {
        self.images
    }

    fn thoughts(&self) -> bool {
        true
    }

    /// Nothing is sealed on this wire.
    fn own<'a>(&self, _: &'a str) -> Option<&'a str> {
        None
    }

    fn write(&self, message: &Message, out: &mut Vec<u8>) {
        match message {
            Message::System(text) => write(&Sent { role: "system", content: text, ..Sent::default() }, out),
            Message::User(parts) => {
                let images = parts.iter().filter_map(|part| match part {
                    Part::Picture { base64, .. } => Some(base64.as_str()),
                    Part::Text(_) => None,
                });
                let content = joined(parts);
                let images = images.collect();
                write(&Sent { role: "user", content: &content, images, ..Sent::default() }, out);
            }
            Message::Assistant(spoken) => {
                let sent = Sent {
                    role: "assistant",
                    content: &spoken.text,
                    thinking: (!spoken.thoughts.is_empty()).then(|| spoken.thoughts.join("\n\n")),
                    tool_calls: spoken.calls.iter().map(call).collect(),
                    ..Sent::default()
                };
                write(&sent, out);
            }
            Message::Result { call, tool, text } => {
                let sent = Sent {
                    role: "tool",
                    content: text,
                    tool_name: Some(tool),
                    tool_call_id: Some(call.as_str()),
                    ..Sent::default()
                };
                write(&sent, out);
            }
        }
    }
}

fn call(asked: &Asked) -> SentCall<'_> {
    let arguments = serde_json::from_str(&asked.arguments).unwrap_or(RawValue::NULL);
    SentCall { id: asked.call.as_str(), function: SentFunction { name: &asked.tool, arguments } }
}

fn write<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("these types have string keys, and a vector takes every byte");
}
