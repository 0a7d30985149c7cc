//! A conversation as messages that take turns: what the wires share that have a system, a user, an assistant and tools.
//!
//! Servers with templates want one system message at the beginning, roles that take turns, and all results right behind
//! the calls that they answer. So what follows each other in one role is one message, and a message is written when the
//! next one begins. How a message is written is the wire's own business ([`Voice`]).

use std::{collections::VecDeque, sync::Arc};

use super::{
    ReadBlob, content, freeform,
    grown::{self, NO_RESULT, Write},
};
use crate::protocol::{CallId, Content, Context, Item};

/// A message that is whole.
#[derive(Debug)]
pub enum Message {
    System(String),
    User(Vec<Part>),
    Assistant(Spoken),
    /// What a call came to.
    Result {
        call: CallId,
        tool: String,
        text: String,
    },
}

/// A part of a message of the user.
#[derive(Debug, Clone)]
pub enum Part {
    Text(String),
    Picture { mime: String, base64: String },
}

/// What the model said in one message.
#[derive(Debug, Clone, Default)]
pub struct Spoken {
    pub text: String,
    /// What it thought before, if that is sent back as text.
    pub thoughts: Vec<String>,
    /// The same as the wire itself has sealed it.
    pub sealed: Option<String>,
    pub calls: Vec<Asked>,
}

/// A call that the model made.
#[derive(Debug, Clone)]
pub struct Asked {
    pub call: CallId,
    /// What the wire itself wants back with it.
    pub id: Option<String>,
    pub tool: String,
    /// A JSON object.
    pub arguments: String,
}

/// How a wire says messages.
pub trait Voice: Clone {
    /// Whether the model takes pictures.
    fn images(&self) -> bool;

    /// Whether what the model thought is sent back as text.
    fn thoughts(&self) -> bool;

    /// What is sealed in a reasoning, if this wire has sealed it.
    fn own<'a>(&self, sealed: &'a str) -> Option<&'a str>;

    /// Writes a message.
    fn write(&self, message: &Message, out: &mut Vec<u8>);
}

/// The messages of a conversation.
#[derive(Clone)]
pub struct Turns<V> {
    voice: V,
    /// Whether anything was written. The system's words can only stand before everything else.
    begun: bool,
    open: Open,
    /// What the model has said; then nothing else is open.
    spoken: Option<Spoken>,
    /// Calls that have no result yet, and their tools.
    calls: VecDeque<(CallId, String)>,
    /// What was thought and has led to nothing yet, as text and as it was sealed.
    thoughts: Vec<String>,
    sealed: Option<String>,
    /// Pictures of results: a result holds text only, so that they follow behind the last one.
    pictures: Vec<Part>,
}

/// The message of others than the model that is not written yet.
#[derive(Clone, Default)]
enum Open {
    #[default]
    None,
    System(Vec<String>),
    User(Vec<Part>),
}

impl<V: Voice> Write for Turns<V> {
    fn push(&mut self, item: &Arc<Item>, blobs: &dyn ReadBlob, out: &mut Vec<u8>) {
        match &**item {
            Item::Context { context: Context::System | Context::Permissions, text } if !self.begun => {
                match &mut self.open {
                    Open::System(texts) => texts.push(text.clone()),
                    Open::None if self.spoken.is_none() => self.open = Open::System(vec![text.clone()]),
                    // Something else was said before.
                    Open::User(_) | Open::None => self.user(vec![note(text)], out),
                }
            }
            Item::Context { context, text } if !context.is_programs() => {
                self.user(vec![Part::Text(text.clone())], out);
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
                let said = &mut self.assistant(out).text;
                if !said.is_empty() {
                    said.push_str("\n\n");
                }
                said.push_str(text);
            }
            Item::ToolCall { call, id, tool, args } => {
                let asked = Asked {
                    call: call.clone(),
                    id: id.clone(),
                    tool: tool.clone(),
                    arguments: freeform::object(args),
                };
                self.assistant(out).calls.push(asked);
                self.calls.push_back((call.clone(), tool.clone()));
            }
            Item::ToolResult { call, content, .. } => {
                // Its call is not in the conversation any more, or was answered.
                let Some(at) = self.calls.iter().position(|(open, _)| open == call) else { return };
                self.forget_thoughts();
                self.flush(out);
                let tool = self.calls.remove(at).map(|(_, tool)| tool).unwrap_or_default();
                let parts = self.parts(content, blobs);
                let (mut texts, pictures): (Vec<_>, Vec<_>) =
                    parts.into_iter().partition(|part| matches!(part, Part::Text(_)));
                // Nearly always there is one, and it is long.
                let mut text = match &mut texts[..] {
                    [Part::Text(text)] => std::mem::take(text),
                    texts => joined(texts),
                };
                if !pictures.is_empty() {
                    text.push_str(if text.is_empty() { "" } else { "\n" });
                    text.push_str("(the picture follows)");
                }
                self.pictures.extend(pictures);
                self.write(&Message::Result { call: call.clone(), tool, text }, out);
            }
            Item::Sealed { instead, .. } => self.user(vec![Part::Text(instead.clone())], out),
            // Another wire's; and what is for people.
            Item::Unknown(_) | Item::Sources { .. } => {}
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.settle(out);
        self.flush(out);
    }
}

impl<V: Voice> Turns<V> {
    /// No message yet.
    #[must_use]
    pub fn new(voice: V) -> Self {
        Self {
            voice,
            begun: false,
            open: Open::None,
            spoken: None,
            calls: VecDeque::new(),
            thoughts: Vec::new(),
            sealed: None,
            pictures: Vec::new(),
        }
    }

    /// A message of the person, or what is said in their place.
    fn user(&mut self, parts: Vec<Part>, out: &mut Vec<u8>) {
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
    fn assistant(&mut self, out: &mut Vec<u8>) -> &mut Spoken {
        // A new thought after something was said is a message of its own, but for one between calls that belong together.
        let thinks = !self.thoughts.is_empty() || self.sealed.is_some();
        if self.spoken.is_none() || thinks && self.calls.is_empty() {
            self.settle(out);
            self.flush(out);
        }
        let spoken = self.spoken.get_or_insert_default();
        spoken.thoughts.append(&mut self.thoughts);
        spoken.sealed = self.sealed.take().or(spoken.sealed.take());
        spoken
    }

    /// Remembers a thought until it has led to something.
    fn reasoning(&mut self, summary: &[String], sealed: Option<&str>) {
        let own = sealed.and_then(|sealed| self.voice.own(sealed)).map(str::to_owned);
        // What another wire has sealed belongs to a model that thought it; its summary is for people.
        if sealed.is_some() && own.is_none() {
            return;
        }
        if self.voice.thoughts() {
            self.thoughts.extend(summary.iter().cloned());
        }
        self.sealed = own.filter(|own| !own.is_empty()).or(self.sealed.take());
    }

    /// What was thought has led nowhere: the answer broke off.
    fn forget_thoughts(&mut self) {
        self.thoughts.clear();
        self.sealed = None;
    }

    /// Ends what the model asked for: calls that nobody answered, and the pictures of those that somebody did.
    fn settle(&mut self, out: &mut Vec<u8>) {
        if !self.calls.is_empty() {
            self.flush(out);
        }
        for (call, tool) in std::mem::take(&mut self.calls) {
            self.write(&Message::Result { call, tool, text: NO_RESULT.to_owned() }, out);
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
        if let Some(spoken) = self.spoken.take() {
            self.write(&Message::Assistant(spoken), out);
        }
        match std::mem::take(&mut self.open) {
            Open::None => {}
            Open::System(texts) => self.write(&Message::System(texts.join("\n\n")), out),
            Open::User(parts) => self.write(&Message::User(parts), out),
        }
    }

    fn write(&mut self, message: &Message, out: &mut Vec<u8>) {
        self.begun = true;
        out.push(b',');
        self.voice.write(message, out);
    }

    fn parts(&self, content: &[Content], blobs: &dyn ReadBlob) -> Vec<Part> {
        let part = |part: &Content| match content::part(part, self.voice.images(), blobs) {
            content::Part::Text(text) => Part::Text(text.into_owned()),
            content::Part::Picture { mime, base64 } => Part::Picture { mime: mime.to_owned(), base64 },
        };
        content.iter().map(part).collect()
    }
}

/// The texts among the parts of a message, as one.
#[must_use]
pub fn joined(parts: &[Part]) -> String {
    // Nearly always there is one.
    let mut texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Picture { .. } => None,
    });
    let mut all = texts.next().unwrap_or_default().to_owned();
    for text in texts {
        all.push_str("\n\n");
        all.push_str(text);
    }
    all
}

fn note(text: &str) -> Part {
    Part::Text(grown::note(text))
}
