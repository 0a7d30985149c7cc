//! From a prompt to the bytes of a request.
//!
//! Roles take turns, a message is blocks, and the results of calls come first in the message behind them. So what follows
//! each other in one role is one message, which is written when the next one begins.

use std::{collections::VecDeque, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::model::{
    Prompt, ReadBlob,
    freeform::{self, function},
    grown::{Grown, Write, note},
};
use crate::protocol::{CallId, Content, Context, Effort, Item, ToolSpec};

/// What is sealed in a reasoning of this wire: the signature of the thought,
pub(super) const SIGNED: &str = "anthropic:signed:";
/// or all of a thought that nobody may read.
pub(super) const REDACTED: &str = "anthropic:redacted:";
/// The result of a call that has none: without one, the whole conversation is refused.
const NO_RESULT: &str = "(there is no result of this call)";
/// The least that can be given for thinking.
const LEAST_THOUGHT: u64 = 1024;

/// Builds requests, and keeps what it has encoded for the next one.
pub struct Encoder {
    grown: Grown<Messages>,
    output: u64,
    tools: Option<(Arc<[ToolSpec]>, Vec<u8>)>,
}

impl Encoder {
    /// For a model whose answers have so many tokens at most.
    #[must_use]
    pub fn new(output: u64) -> Self {
        Self { grown: Grown::new(Messages::default()), output, tools: None }
    }

    /// The body of a request.
    pub fn request(&mut self, prompt: &Prompt) -> Bytes {
        let tools = self.tools(&prompt.tools).to_vec();
        let (items, tail) = self.grown.items(prompt);
        let (items, writer) = (items.to_vec(), self.grown.writer());
        let mut head = Map::new();
        head.insert("model".to_owned(), json!(prompt.model));
        head.insert("max_tokens".to_owned(), json!(self.output));
        head.insert("stream".to_owned(), json!(true));
        if let Some(budget) =
            prompt.effort.and_then(|effort| self.budget(effort)).filter(|_| writer.may_think())
        {
            head.insert("thinking".to_owned(), json!({"type": "enabled", "budget_tokens": budget}));
        }
        let mut system: Vec<Value> = writer.system.iter().map(|text| text_block(text)).collect();
        if let Some(schema) = &prompt.output_schema {
            system.push(text_block(&format!(
                "Your last message, and only that, is JSON that follows this JSON Schema, without anything around it: {schema}"
            )));
        }
        if let Some(last) = system.last_mut() {
            last["cache_control"] = json!({"type": "ephemeral"});
            head.insert("system".to_owned(), json!(system));
        }
        let mut body = to_vec(&head);
        body.pop();
        if !prompt.tools.is_empty() {
            body.extend_from_slice(b",\"tools\":");
            body.extend_from_slice(&tools);
        }
        for part in [&b",\"messages\":["[..], &items, &tail, b"]}"] {
            body.extend_from_slice(part);
        }
        body.into()
    }

    /// How many items have been encoded so far, kept or not.
    #[must_use]
    pub fn encoded(&self) -> u64 {
        self.grown.encoded()
    }

    /// Tokens for thinking. They are a part of the answer's.
    fn budget(&self, effort: Effort) -> Option<u64> {
        let share = match effort {
            Effort::None => return None,
            Effort::Minimal => 16,
            Effort::Low => 8,
            Effort::Medium => 4,
            Effort::High => 2,
            Effort::Xhigh => return Some((self.output / 4 * 3).max(LEAST_THOUGHT)),
        };
        (self.output > LEAST_THOUGHT).then(|| (self.output / share).max(LEAST_THOUGHT))
    }

    fn tools(&mut self, specs: &Arc<[ToolSpec]>) -> &[u8] {
        let known = self.tools.take().filter(|(known, _)| Arc::ptr_eq(known, specs));
        let tools = known.unwrap_or_else(|| {
            let tools = specs.iter().map(|tool| {
                let (name, description, schema) = function(tool);
                json!({"name": name, "description": description, "input_schema": schema})
            });
            (Arc::clone(specs), to_vec(&tools.collect::<Vec<_>>()))
        });
        &self.tools.insert(tools).1
    }
}

/// The messages of a conversation.
#[derive(Clone, Default)]
struct Messages {
    /// What is said outside of the conversation, before it.
    system: Vec<String>,
    begun: bool,
    open: Open,
    /// What was thought and has led to nothing yet.
    thoughts: Vec<Value>,
    /// Calls that have no result yet.
    calls: VecDeque<CallId>,
    /// The model has asked for calls in this turn without a thought: another model's. Then it can't think on.
    unthought: bool,
}

/// The message that is not written yet.
#[derive(Clone, Default)]
enum Open {
    #[default]
    None,
    User(Vec<Value>),
    Assistant(Vec<Value>),
}

impl Write for Messages {
    fn push(&mut self, item: &Arc<Item>, blobs: &dyn ReadBlob, out: &mut Vec<u8>) {
        match &**item {
            Item::Context { context: Context::System | Context::Permissions, text }
                if !self.begun && matches!(self.open, Open::None) =>
            {
                self.system.push(text.clone());
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
                self.user(vec![text_block(text)], out);
            }
            Item::Context { text, .. } => self.user(vec![text_block(&note(text))], out),
            Item::User { content, .. } => {
                self.unthought = false;
                self.user(blocks(content, blobs), out);
            }
            Item::Reasoning { summary, encrypted: Some(sealed), .. } => {
                self.thoughts.extend(thought(summary, sealed));
            }
            Item::Assistant { text, .. } if text.trim().is_empty() => {}
            Item::Assistant { text, .. } => self.assistant(text_block(text), out),
            Item::ToolCall { call, tool, args, .. } => {
                let input: Value =
                    serde_json::from_str(&freeform::object(args)).unwrap_or_else(|_| json!({}));
                self.assistant(
                    json!({"type": "tool_use", "id": id(call), "name": tool, "input": input}),
                    out,
                );
                if let Open::Assistant(blocks) = &self.open {
                    self.unthought |= !blocks.iter().any(is_thought);
                }
                self.calls.push_back(call.clone());
            }
            Item::ToolResult { call, content, .. } => {
                // Its call is not in the conversation any more, or was answered.
                let Some(at) = self.calls.iter().position(|open| open == call) else { return };
                self.calls.remove(at);
                self.thoughts.clear();
                let content = blocks(content, blobs);
                let mut result = json!({"type": "tool_result", "tool_use_id": id(call)});
                if !content.is_empty() {
                    result["content"] = json!(content);
                }
                self.answer(result, out);
            }
            // A summary of another wire is for people; and items of another wire are its own.
            Item::Reasoning { encrypted: None, .. } | Item::Unknown(_) => {}
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.settle(out);
        if matches!(self.open, Open::Assistant(_)) {
            // Words can't be put into the model's mouth.
            self.user(vec![text_block(&note("Your answer broke off here. Go on with it."))], out);
        }
        if let Open::User(blocks) = &mut self.open
            && let Some(last) = blocks.last_mut()
        {
            last["cache_control"] = json!({"type": "ephemeral"});
        }
        self.flush(out);
    }
}

impl Messages {
    fn may_think(&self) -> bool {
        !self.unthought
    }

    fn user(&mut self, more: Vec<Value>, out: &mut Vec<u8>) {
        if more.is_empty() {
            return;
        }
        // The answer broke off while it thought.
        self.thoughts.clear();
        self.settle(out);
        match &mut self.open {
            Open::User(blocks) => blocks.extend(more),
            _ => {
                self.flush(out);
                self.open = Open::User(more);
            }
        }
    }

    fn assistant(&mut self, block: Value, out: &mut Vec<u8>) {
        let mut thoughts = std::mem::take(&mut self.thoughts);
        if let Open::Assistant(blocks) = &mut self.open {
            blocks.append(&mut thoughts);
            return blocks.push(block);
        }
        self.settle(out);
        self.flush(out);
        if !self.begun {
            self.open = Open::User(vec![text_block(&note("The conversation begins here."))]);
            self.flush(out);
        }
        thoughts.push(block);
        self.open = Open::Assistant(thoughts);
    }

    /// A result, in the message behind the calls.
    fn answer(&mut self, result: Value, out: &mut Vec<u8>) {
        match &mut self.open {
            Open::User(blocks) => blocks.push(result),
            _ => {
                self.flush(out);
                self.open = Open::User(vec![result]);
            }
        }
    }

    /// Answers the calls that nobody answered.
    fn settle(&mut self, out: &mut Vec<u8>) {
        for call in std::mem::take(&mut self.calls) {
            let result = json!({"type": "tool_result", "tool_use_id": id(&call), "content": NO_RESULT, "is_error": true});
            self.answer(result, out);
        }
    }

    /// Writes the message that is open.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let message = match std::mem::take(&mut self.open) {
            Open::None => return,
            Open::User(blocks) => json!({"role": "user", "content": blocks}),
            Open::Assistant(blocks) => json!({"role": "assistant", "content": blocks}),
        };
        self.begun = true;
        out.push(b',');
        out.extend_from_slice(&to_vec(&message));
    }
}

/// A thought as it came, if it came over this wire.
fn thought(summary: &[String], sealed: &str) -> Option<Value> {
    if let Some(data) = sealed.strip_prefix(REDACTED) {
        return Some(json!({"type": "redacted_thinking", "data": data}));
    }
    let signature = sealed.strip_prefix(SIGNED)?;
    Some(json!({"type": "thinking", "thinking": summary.concat(), "signature": signature}))
}

fn is_thought(block: &Value) -> bool {
    block["type"] == "thinking" || block["type"] == "redacted_thinking"
}

/// The id of a call, in the letters that the API takes.
fn id(call: &CallId) -> String {
    let letter = |char: char| if char.is_ascii_alphanumeric() || char == '_' { char } else { '-' };
    call.as_str().chars().map(letter).collect()
}

fn blocks(content: &[Content], blobs: &dyn ReadBlob) -> Vec<Value> {
    let block = |part: &Content| match part {
        // An empty text is refused.
        Content::Text { text } => (!text.trim().is_empty()).then(|| text_block(text)),
        Content::Image { blob, mime, .. } => Some(match blobs.read(blob) {
            Ok(bytes) => {
                let data = BASE64_STANDARD.encode(bytes);
                json!({"type": "image", "source": {"type": "base64", "media_type": mime, "data": data}})
            }
            Err(error) => text_block(&format!("[a picture that can't be read any more: {error}]")),
        }),
        Content::Unknown(_) => Some(text_block("[a part that this version of the program does not know]")),
    };
    content.iter().filter_map(block).collect()
}

fn text_block(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn to_vec<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("these types have string keys")
}
