//! What the mock answers: the script's side.

use serde_json::{Value, json};

use super::{Gate, Request};

/// How one request is answered. Made by a constructor, refined by the methods.
pub struct Step {
    pub(super) answer: Answer,
    pub(super) headers: Vec<(String, String)>,
    pub(super) usage: Value,
    pub(super) end: End,
    pub(super) chunk: usize,
    pub(super) split: Option<usize>,
    pub(super) garbage_after: Option<usize>,
    pub(super) stop: Option<(usize, Stop)>,
    pub(super) gates: Vec<(usize, Gate)>,
    pub(super) quiet: bool,
    pub(super) listed: bool,
}

pub(super) enum Answer {
    Items(Vec<Value>),
    Status(u16, Vec<u8>),
    /// The bytes of the body, not further prepared.
    Raw(Vec<u8>),
    Json(Value),
    /// Closes the connection without a word.
    Nothing,
    Reply(Box<dyn FnOnce(&Request) -> Step + Send + Sync>),
}

pub(super) enum End {
    Completed,
    Failed(Value),
    Incomplete(String),
    /// No last event, but an orderly end of the body.
    Missing,
}

#[derive(Clone, Copy)]
pub(super) enum Stop {
    Drop,
    Reset,
    Stall,
}

/// A call of a function tool. The arguments may be JSON, or any text that should have been.
pub fn call(tool: &str, arguments: impl ToString) -> Value {
    json!({"type": "function_call", "name": tool, "arguments": arguments.to_string(), "status": "completed"})
}

/// A call of a freeform tool.
pub fn custom_call(tool: &str, input: &str) -> Value {
    json!({"type": "custom_tool_call", "name": tool, "input": input, "status": "completed"})
}

/// A message of the model.
pub fn text(text: impl Into<String>) -> Value {
    let text = text.into();
    json!({
        "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    })
}

/// A reasoning with its summary in parts and its sealed original.
pub fn reasoning(summary: &[&str], encrypted: &str) -> Value {
    let summary: Vec<Value> =
        summary.iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
    json!({"type": "reasoning", "summary": summary, "encrypted_content": encrypted})
}

impl Step {
    /// Answers with these items: [`text`], [`call`], [`custom_call`], [`reasoning`], or any other object, which
    /// is sent as it is. Missing ids are filled in: `call_N_K` for item K of request N.
    pub fn items(items: impl IntoIterator<Item = Value>) -> Self {
        Self::new(Answer::Items(items.into_iter().collect()))
    }

    /// Answers with one message.
    pub fn text(content: impl Into<String>) -> Self {
        Self::items([text(content)])
    }

    /// Answers with one call of a function tool.
    pub fn call(tool: &str, arguments: impl ToString) -> Self {
        Self::items([call(tool, arguments)])
    }

    /// Refuses with a status, and a body made of it.
    pub fn status(status: u16) -> Self {
        let body = json!({"error": {"message": format!("mock status {status}"), "type": "mock_error", "code": null}});
        Self::new(Answer::Status(status, body.to_string().into_bytes()))
    }

    /// Sends these bytes as the body of an event stream.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Answer::Raw(bytes.into()))
    }

    /// Answers with one JSON document, as a server does that knows no streams.
    pub fn json(document: Value) -> Self {
        Self::new(Answer::Json(document))
    }

    /// Hangs up without an answer.
    pub fn hang_up() -> Self {
        Self::new(Answer::Nothing)
    }

    /// Decides when the request is there.
    pub fn reply(reply: impl FnOnce(&Request) -> Self + Send + Sync + 'static) -> Self {
        Self::new(Answer::Reply(Box::new(reply)))
    }

    fn new(answer: Answer) -> Self {
        Self {
            answer,
            headers: Vec::new(),
            usage: json!({"input_tokens": 10, "output_tokens": 5}),
            end: End::Completed,
            chunk: 16,
            split: None,
            garbage_after: None,
            stop: None,
            gates: Vec::new(),
            quiet: false,
            listed: true,
        }
    }

    /// With another body of the refusal.
    pub fn body(mut self, body: impl ToString) -> Self {
        if let Answer::Status(_, bytes) = &mut self.answer {
            *bytes = body.to_string().into_bytes();
        }
        self
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this count of tokens; see [`Step::usage_all`] for cached and reasoning tokens.
    pub fn usage(self, input: u64, output: u64) -> Self {
        self.usage_all(input, 0, output, 0)
    }

    /// With these counts of tokens.
    pub fn usage_all(mut self, input: u64, cached: u64, output: u64, reasoning: u64) -> Self {
        self.usage = json!({
            "input_tokens": input, "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens": output, "output_tokens_details": {"reasoning_tokens": reasoning},
            "total_tokens": input + output,
        });
        self
    }

    /// With so many characters in a delta (16 if not said).
    pub fn chunk(mut self, characters: usize) -> Self {
        self.chunk = characters.max(1);
        self
    }

    /// Items come whole, without deltas.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// The last event does not list the items once more.
    pub fn unlisted(mut self) -> Self {
        self.listed = false;
        self
    }

    /// Sends the body in pieces of so many bytes, each in a write of its own.
    pub fn split(mut self, bytes: usize) -> Self {
        self.split = Some(bytes.max(1));
        self
    }

    /// Puts an event that is not JSON after the first so many events.
    pub fn garbage_after(mut self, events: usize) -> Self {
        self.garbage_after = Some(events);
        self
    }

    /// Closes the connection after so many events.
    pub fn drop_after(mut self, events: usize) -> Self {
        self.stop = Some((events, Stop::Drop));
        self
    }

    /// Resets the connection after so many events.
    pub fn reset_after(mut self, events: usize) -> Self {
        self.stop = Some((events, Stop::Reset));
        self
    }

    /// Falls silent after so many events, until the client hangs up.
    pub fn stall_after(mut self, events: usize) -> Self {
        self.stop = Some((events, Stop::Stall));
        self
    }

    /// Waits for the gate after so many events; with 0, before the answer begins. There may be several, in order.
    pub fn gate(mut self, events: usize, gate: &Gate) -> Self {
        self.gates.push((events, gate.clone()));
        self
    }

    /// Ends with `response.failed`.
    pub fn fail(mut self, code: &str, message: &str) -> Self {
        self.end = End::Failed(json!({"code": code, "message": message}));
        self
    }

    /// Ends with `response.incomplete`.
    pub fn incomplete(mut self, reason: &str) -> Self {
        self.end = End::Incomplete(reason.to_owned());
        self
    }

    /// Ends in good order, but without `response.completed`.
    pub fn unfinished(mut self) -> Self {
        self.end = End::Missing;
        self
    }

    /// The events of the answer in the language of the address that was asked.
    pub fn events_at(&self, path: &str, number: usize) -> Vec<String> {
        match path {
            _ if path.ends_with("/chat/completions") => self.chat_events(number),
            _ if path.ends_with("/messages") => self.anthropic_events(number),
            _ if path.ends_with("/api/chat") => self.ollama_lines(number),
            _ => self.events(number),
        }
    }

    /// The events of the answer, for a request with this number.
    pub fn events(&self, number: usize) -> Vec<String> {
        let Answer::Items(items) = &self.answer else { return Vec::new() };
        let mut out = Events { sequence: 0, lines: Vec::new() };
        let response = whole_response(number);
        out.push("response.created", json!({"response": response}));
        out.push("response.in_progress", json!({"response": response}));
        let items: Vec<Value> =
            items.iter().enumerate().map(|(k, item)| with_ids(item.clone(), number, k + 1)).collect();
        for (index, item) in items.iter().enumerate() {
            self.item_events(index, item, &mut out);
        }
        let output = if self.listed { items } else { Vec::new() };
        let mut done = whole_response(number);
        match &self.end {
            End::Completed => {
                done["status"] = json!("completed");
                done["output"] = json!(output);
                done["usage"] = self.usage.clone();
                out.push("response.completed", json!({"response": done}));
            }
            End::Failed(error) => {
                done["status"] = json!("failed");
                done["error"] = error.clone();
                out.push("response.failed", json!({"response": done}));
            }
            End::Incomplete(reason) => {
                done["status"] = json!("incomplete");
                done["incomplete_details"] = json!({"reason": reason});
                done["output"] = json!(output);
                done["usage"] = self.usage.clone();
                out.push("response.incomplete", json!({"response": done}));
            }
            End::Missing => {}
        }
        if let Some(after) = self.garbage_after {
            let garbage = "event: response.output_text.delta\ndata: {\"type\": broken\n\n".to_owned();
            out.lines.insert(after.min(out.lines.len()), garbage);
        }
        out.lines
    }

    fn item_events(&self, index: usize, item: &Value, out: &mut Events) {
        let at = |fields: Value| {
            let mut base = json!({"item_id": item["id"], "output_index": index});
            merge(&mut base, fields);
            base
        };
        out.push("response.output_item.added", json!({"output_index": index, "item": begun(item)}));
        let deltas = |name: &str, text: &str, fields: Value, out: &mut Events| {
            for delta in pieces(text, if self.quiet { 0 } else { self.chunk }) {
                let mut event = at(fields.clone());
                merge(&mut event, json!({"delta": delta}));
                out.push(name, event);
            }
        };
        let field = |name: &str| item[name].as_str().unwrap_or_default();
        match field("type") {
            "message" => {
                let text = item["content"][0]["text"].as_str().unwrap_or_default();
                let fields = json!({"content_index": 0, "logprobs": []});
                deltas("response.output_text.delta", text, fields.clone(), out);
                let mut done = at(fields);
                merge(&mut done, json!({"text": text}));
                out.push("response.output_text.done", done);
            }
            "reasoning" => {
                for (part, summary) in item["summary"].as_array().into_iter().flatten().enumerate() {
                    let fields = json!({"summary_index": part});
                    let mut added = at(fields.clone());
                    merge(&mut added, json!({"part": {"type": "summary_text", "text": ""}}));
                    out.push("response.reasoning_summary_part.added", added);
                    let text = summary["text"].as_str().unwrap_or_default();
                    deltas("response.reasoning_summary_text.delta", text, fields, out);
                }
            }
            "function_call" => {
                deltas("response.function_call_arguments.delta", field("arguments"), json!({}), out);
            }
            "custom_tool_call" => {
                deltas("response.custom_tool_call_input.delta", field("input"), json!({}), out);
            }
            _ => {}
        }
        out.push("response.output_item.done", json!({"output_index": index, "item": item}));
    }
}

/// Events that are being written.
struct Events {
    sequence: usize,
    lines: Vec<String>,
}

impl Events {
    fn push(&mut self, name: &str, fields: Value) {
        let mut event = json!({"type": name, "sequence_number": self.sequence});
        self.sequence += 1;
        merge(&mut event, fields);
        self.lines.push(format!("event: {name}\ndata: {event}\n\n"));
    }
}

/// A response that has only begun.
fn whole_response(number: usize) -> Value {
    json!({"id": format!("resp_{number}"), "object": "response", "created_at": 1, "status": "in_progress", "model": "m",
           "output": [], "parallel_tool_calls": true, "tool_choice": "auto", "tools": []})
}

/// An item of which nothing has come yet but what it is: whose it is and by what name has to be said with that.
fn begun(item: &Value) -> Value {
    let mut begun = item.clone();
    for (name, empty) in [
        ("status", json!("in_progress")),
        ("content", json!([])),
        ("summary", json!([])),
        ("arguments", json!("")),
        ("input", json!("")),
    ] {
        if let Some(field) = begun.get_mut(name) {
            *field = empty;
        }
    }
    begun
}

fn merge(into: &mut Value, fields: Value) {
    if let (Some(into), Value::Object(fields)) = (into.as_object_mut(), fields) {
        into.extend(fields);
    }
}

pub(super) fn with_ids(mut item: Value, number: usize, index: usize) -> Value {
    let (prefix, is_call) = match item["type"].as_str() {
        Some("message") => ("msg", false),
        Some("reasoning") => ("rs", false),
        Some("function_call") => ("fc", true),
        Some("custom_tool_call") => ("ctc", true),
        _ => return item,
    };
    if let Some(fields) = item.as_object_mut() {
        fields.entry("id").or_insert_with(|| json!(format!("{prefix}_{number}_{index}")));
        if is_call {
            fields.entry("call_id").or_insert_with(|| json!(format!("call_{number}_{index}")));
        }
    }
    item
}

pub(super) fn pieces(text: &str, characters: usize) -> Vec<String> {
    if characters == 0 {
        return Vec::new();
    }
    let all: Vec<char> = text.chars().collect();
    all.chunks(characters).map(|piece| piece.iter().collect()).collect()
}
