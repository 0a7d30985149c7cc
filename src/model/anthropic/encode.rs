//! From a prompt to the bytes of a request.
//!
//! Roles take turns, a message is blocks, and the results of calls come first in the message behind them. So what follows
//! each other in one role is one message, which is written when the next one begins.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::model::{
    Prompt, ReadBlob, content,
    freeform::{self, function},
    grown::{Grown, NO_RESULT, Offered, Write, note},
    hosted,
};
use crate::protocol::{CallId, Content, Context, Effort, Item, ToolForm, ToolSpec};

/// What is sealed in a reasoning of this wire: the signature of the thought,
pub(super) const SIGNED: &str = "anthropic:signed:";
/// or all of a thought that nobody may read.
pub(super) const REDACTED: &str = "anthropic:redacted:";
/// The least that can be given for thinking.
const LEAST_THOUGHT: u64 = 1024;

/// Builds requests, and keeps what it has encoded for the next one.
pub struct Encoder {
    grown: Grown<Messages>,
    output: u64,
    tools: Offered,
}

impl Encoder {
    /// For a model whose answers have so many tokens at most.
    #[must_use]
    pub fn new(output: u64) -> Self {
        Self {
            grown: Grown::new(Messages { images: true, ..Messages::default() }),
            output,
            tools: Offered::default(),
        }
    }

    /// The same for a model that takes pictures, or does not.
    #[must_use]
    pub fn with_images(self, images: bool) -> Self {
        Self { grown: Grown::new(Messages { images, ..Messages::default() }), ..self }
    }

    /// The body of a request.
    pub fn request(&mut self, prompt: &Prompt) -> Bytes {
        let tools = self.tools.encode(&prompt.tools, tools);
        let (items, tail, writer) = self.grown.items_of(prompt);
        let mut head = Map::new();
        head.insert("model".to_owned(), json!(prompt.model));
        head.insert("max_tokens".to_owned(), json!(self.output));
        head.insert("stream".to_owned(), json!(true));
        let budget = prompt.effort.and_then(|effort| budget(effort, self.output));
        if let Some(budget) = budget.filter(|_| writer.may_think()) {
            head.insert("thinking".to_owned(), json!({"type": "enabled", "budget_tokens": budget}));
        }
        let text = |text: &str| json!({"type": "text", "text": text});
        let mut system: Vec<Value> = writer.system.iter().map(|said| text(said)).collect();
        if let Some(schema) = &prompt.output_schema {
            system.push(text(&format!(
                "Your last message, and only that, is JSON that follows this JSON Schema, without anything around it: {schema}"
            )));
        }
        if let Some(last) = system.last_mut() {
            last["cache_control"] = json!({"type": "ephemeral"});
            head.insert("system".to_owned(), json!(system));
        }
        let mut head = Value::Object(head).to_string().into_bytes();
        head.pop();
        let mut body = Vec::with_capacity(head.len() + tools.len() + items.len() + tail.len() + 64);
        body.append(&mut head);
        if !prompt.tools.is_empty() {
            body.extend_from_slice(b",\"tools\":");
            body.extend_from_slice(tools);
        }
        for part in [&b",\"messages\":["[..], items, &tail, b"]}"] {
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

/// Tokens for thinking. They are a part of the answer's.
fn budget(effort: Effort, output: u64) -> Option<u64> {
    let share = match effort {
        Effort::None => return None,
        Effort::Minimal => 16,
        Effort::Low => 8,
        Effort::Medium => 4,
        Effort::High => 2,
        Effort::Xhigh => return Some((output / 4 * 3).max(LEAST_THOUGHT)),
    };
    (output > LEAST_THOUGHT).then(|| (output / share).max(LEAST_THOUGHT))
}

fn tools(tools: &[ToolSpec]) -> Value {
    let form = |tool: &ToolSpec| {
        match (&tool.form, function(tool)) {
        (ToolForm::Hosted { hosted }, _) => hosted::of_anthropic(hosted),
        (_, function) => function.map(|(name, description, schema)| {
            json!({"name": name, "description": description, "input_schema": schema})
        }),
    }
    };
    tools.iter().filter_map(form).collect()
}

/// The messages of a conversation.
#[derive(Clone, Default)]
struct Messages {
    /// What is said outside of the conversation, before it.
    system: Vec<String>,
    begun: bool,
    open: Option<Open>,
    /// What was thought and has led to nothing yet.
    thoughts: Blocks,
    /// Calls that have no result yet.
    calls: VecDeque<CallId>,
    /// The model has asked for calls in this turn without a thought: another model's. Then it can't think on.
    unthought: bool,
    /// Calls of tools of the provider, of which nothing has come yet.
    searching: Vec<Value>,
    /// Whether the model takes pictures.
    images: bool,
}

/// The message that is not written yet.
#[derive(Clone)]
struct Open {
    role: Role,
    blocks: Blocks,
    /// Whether a thought is among them.
    thought: bool,
    /// Whether the last of them is what a tool of the provider found: it may go on from there.
    hosted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Assistant,
}

/// Bytes that a block takes beside its text, about.
const AROUND: usize = 128;

/// Blocks as they are written, with commas between them.
#[derive(Clone, Default)]
struct Blocks(Vec<u8>);

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
    },
    Image {
        source: Source<'a>,
    },
    Thinking {
        thinking: String,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: String,
        name: &'a str,
        input: &'a RawValue,
    },
    /// Its content follows, see [`Blocks::answer`].
    ToolResult {
        tool_use_id: String,
    },
    #[serde(untagged)]
    AsItCame(&'a Value),
}

#[derive(Serialize)]
struct Source<'a> {
    r#type: &'static str,
    media_type: &'a str,
    data: String,
}

impl Blocks {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, block: &Block<'_>) {
        // Every block ends with a brace; a bracket opens the list that this one is the first of.
        if self.0.last().is_some_and(|last| *last != b'[') {
            self.0.push(b',');
        }
        into_vec(block, &mut self.0);
    }

    /// A result, whose content is written where it belongs.
    fn answer(&mut self, call: &CallId, is_error: bool, content: impl FnOnce(&mut Self)) {
        self.push(&Block::ToolResult { tool_use_id: id(call) });
        if self.0.pop().is_none() {
            return;
        }
        let without = self.0.len();
        self.0.extend_from_slice(b",\"content\":[");
        content(self);
        if self.0.last() == Some(&b'[') {
            self.0.truncate(without);
        } else {
            self.0.push(b']');
        }
        if is_error {
            self.0.extend_from_slice(b",\"is_error\":true");
        }
        self.0.push(b'}');
    }

    fn append(&mut self, more: &mut Self) {
        if !self.is_empty() && !more.is_empty() {
            self.0.push(b',');
        }
        self.0.append(&mut more.0);
    }

    /// Says that all up to here is worth being cached.
    fn mark(&mut self) {
        if self.0.pop().is_some() {
            self.0.extend_from_slice(b",\"cache_control\":{\"type\":\"ephemeral\"}}");
        }
    }

    /// The parts of a message. An empty text is refused.
    fn parts(&mut self, content: &[Content], images: bool, blobs: &dyn ReadBlob) {
        for part in content {
            match content::part(part, images, blobs) {
                content::Part::Text(text) if text.trim().is_empty() => {}
                content::Part::Text(text) => {
                    self.0.reserve(text.len() + text.len() / 8 + AROUND);
                    self.push(&Block::Text { text: &text });
                }
                content::Part::Picture { mime, base64 } => self.push(&Block::Image {
                    source: Source { r#type: "base64", media_type: mime, data: base64 },
                }),
            }
        }
    }

    fn text(text: &str) -> Self {
        let mut blocks = Self::default();
        blocks.push(&Block::Text { text });
        blocks
    }
}

impl Write for Messages {
    fn push(&mut self, item: &Arc<Item>, blobs: &dyn ReadBlob, out: &mut Vec<u8>) {
        match &**item {
            Item::Context { context: Context::System | Context::Permissions, text }
                if !self.begun && self.open.is_none() =>
            {
                self.system.push(text.clone());
            }
            Item::Context { context, text } if !context.is_programs() => {
                self.user(Blocks::text(text), out);
            }
            Item::Context { text, .. } => self.user(Blocks::text(&note(text)), out),
            Item::User { content, .. } => {
                self.unthought = false;
                let mut blocks = Blocks::default();
                blocks.parts(content, self.images, blobs);
                self.user(blocks, out);
            }
            Item::Reasoning { summary, encrypted: Some(sealed), .. } => {
                if let Some(thought) = thought(summary, sealed) {
                    self.thoughts.push(&thought);
                }
            }
            Item::Assistant { text, .. } if text.trim().is_empty() => {}
            Item::Assistant { text, .. } => self.assistant(&Block::Text { text }, out),
            Item::ToolCall { call, tool, args, .. } => {
                self.searching.clear();
                let input = freeform::object(args);
                let input = serde_json::from_str(&input).unwrap_or(RawValue::NULL);
                self.assistant(&Block::ToolUse { id: id(call), name: tool, input }, out);
                self.unthought |= !self.open.as_ref().is_some_and(|open| open.thought);
                self.calls.push_back(call.clone());
            }
            Item::ToolResult { call, content, .. } => {
                // Its call is not in the conversation any more, or was answered.
                let Some(at) = self.calls.iter().position(|open| open == call) else { return };
                self.calls.remove(at);
                self.thoughts = Blocks::default();
                let images = self.images;
                let answers = self.open(Role::User, out);
                answers.blocks.answer(call, false, |blocks| blocks.parts(content, images, blobs));
            }
            Item::Sealed { instead, .. } => self.user(Blocks::text(instead), out),
            Item::Unknown(value) if hosted::is_of_anthropic(value) => self.hosted(value, out),
            // A summary of another wire is for people, as sources are; and items of another wire are its own.
            Item::Reasoning { encrypted: None, .. } | Item::Sources { .. } | Item::Unknown(_) => {}
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.settle(out);
        if !self.searching.is_empty() {
            // The provider paused in the middle of it: it goes on where its message ends.
            for begun in std::mem::take(&mut self.searching) {
                self.assistant(&Block::AsItCame(&begun), out);
            }
        } else if self.open.as_ref().is_some_and(|open| open.role == Role::Assistant && !open.hosted) {
            // Words can't be put into the model's mouth.
            self.user(Blocks::text(&note("Your answer broke off here. Go on with it.")), out);
        }
        if let Some(Open { role: Role::User, blocks, .. }) = &mut self.open {
            blocks.mark();
        }
        self.flush(out);
    }
}

impl Messages {
    fn may_think(&self) -> bool {
        !self.unthought
    }

    /// The blocks of the message that is open, which is a new one if that is another role's.
    fn open(&mut self, role: Role, out: &mut Vec<u8>) -> &mut Open {
        if self.open.as_ref().is_some_and(|open| open.role != role) {
            self.flush(out);
        }
        let fresh = || Open { role, blocks: Blocks::default(), thought: false, hosted: false };
        self.open.get_or_insert_with(fresh)
    }

    fn user(&mut self, mut more: Blocks, out: &mut Vec<u8>) {
        if more.is_empty() {
            return;
        }
        // The answer broke off while it thought, or searched.
        self.thoughts = Blocks::default();
        self.searching.clear();
        self.settle(out);
        self.open(Role::User, out).blocks.append(&mut more);
    }

    fn assistant(&mut self, block: &Block<'_>, out: &mut Vec<u8>) {
        if !self.open.as_ref().is_some_and(|open| open.role == Role::Assistant) {
            self.settle(out);
            self.flush(out);
            if !self.begun {
                let begins = Blocks::text(&note("The conversation begins here."));
                self.open(Role::User, out).blocks = begins;
            }
        }
        let mut thoughts = std::mem::take(&mut self.thoughts);
        let open = self.open(Role::Assistant, out);
        open.thought |= !thoughts.is_empty();
        open.blocks.append(&mut thoughts);
        open.blocks.push(block);
        open.hosted = false;
    }

    /// A block of a tool that the provider runs. One that began it waits for what was found: without it, the provider
    /// refuses the conversation.
    fn hosted(&mut self, value: &Value, out: &mut Vec<u8>) {
        if value["type"] == "server_tool_use" {
            self.searching.push(value.clone());
            return;
        }
        let Some(at) = self.searching.iter().position(|begun| begun["id"] == value["tool_use_id"]) else {
            return;
        };
        let begun = self.searching.remove(at);
        self.assistant(&Block::AsItCame(&begun), out);
        self.assistant(&Block::AsItCame(value), out);
        if let Some(open) = &mut self.open {
            open.hosted = true;
        }
    }

    /// Answers the calls that nobody answered.
    fn settle(&mut self, out: &mut Vec<u8>) {
        for call in std::mem::take(&mut self.calls) {
            let none = |blocks: &mut Blocks| blocks.push(&Block::Text { text: NO_RESULT });
            self.open(Role::User, out).blocks.answer(&call, true, none);
        }
    }

    /// Writes the message that is open.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let Some(open) = self.open.take() else { return };
        self.begun = true;
        let role: &[u8] = match open.role {
            Role::User => b",{\"role\":\"user\",\"content\":[",
            Role::Assistant => b",{\"role\":\"assistant\",\"content\":[",
        };
        out.extend_from_slice(role);
        out.extend_from_slice(&open.blocks.0);
        out.extend_from_slice(b"]}");
    }
}

/// A thought as it came, if it came over this wire.
fn thought<'a>(summary: &[String], sealed: &'a str) -> Option<Block<'a>> {
    if let Some(data) = sealed.strip_prefix(REDACTED) {
        return Some(Block::RedactedThinking { data });
    }
    let signature = sealed.strip_prefix(SIGNED)?;
    Some(Block::Thinking { thinking: summary.concat(), signature })
}

/// The id of a call, in the letters that the API takes.
fn id(call: &CallId) -> String {
    let letter = |char: char| if char.is_ascii_alphanumeric() || char == '_' { char } else { '-' };
    call.as_str().chars().map(letter).collect()
}

fn into_vec<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("these types have string keys, and a vector takes every byte");
}
