//! A scripted model server: real HTTP over loopback, in this process, with every fault that a network has.
//!
//! ```ignore
//! let mock = Mock::start([
//!     Step::items([call("exec_command", json!({"cmd": "ls"}))]),
//!     Step::text("all done").usage(100, 5),
//!     Step::status(429).header("retry-after", "1"),
//!     Step::text("never finished").drop_after(4),
//!     Step::reply(|request| Step::text(format!("you sent {} bytes", request.raw.len()))),
//! ])
//! .await;
//! // … talk to mock.base_url() …
//! assert_eq!(mock.requests().len(), 5);
//! ```
//!
//! One request takes one step, in order; a request beyond the last step is answered with status 400, which
//! nobody tries again. Nothing here sleeps: a step that must wait waits for a [`Gate`].

#![allow(dead_code, reason = "each flow uses a part of it")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A server with a script. It ends when it is dropped.
pub struct Mock {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What was asked.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as it came.
    pub raw: Vec<u8>,
    /// The body as JSON; null if it is none.
    pub body: Value,
    /// Counts connections from 1: equal numbers came over the same one.
    pub connection: usize,
}

/// How one request is answered. Made by a constructor, refined by the methods.
pub struct Step {
    answer: Answer,
    headers: Vec<(String, String)>,
    usage: Value,
    end: End,
    chunk: usize,
    split: Option<usize>,
    garbage_after: Option<usize>,
    stop: Option<(usize, Stop)>,
    gate: Option<(usize, Gate)>,
    quiet: bool,
    listed: bool,
}

/// Opens once. A step waits for it, or a test waits for the step to arrive at it.
#[derive(Clone)]
pub struct Gate {
    open: Arc<watch::Sender<bool>>,
    reached: Arc<watch::Sender<bool>>,
}

enum Answer {
    Items(Vec<Value>),
    Status(u16, Vec<u8>),
    /// The bytes of the body, not further prepared.
    Raw(Vec<u8>),
    Json(Value),
    /// Closes the connection without a word.
    Nothing,
    Reply(Box<dyn FnOnce(&Request) -> Step + Send + Sync>),
}

enum End {
    Completed,
    Failed(Value),
    Incomplete(String),
    /// No last event, but an orderly end of the body.
    Missing,
}

#[derive(Clone, Copy)]
enum Stop {
    Drop,
    Reset,
    Stall,
}

struct Shared {
    steps: Mutex<Vec<Option<Step>>>,
    next: AtomicUsize,
    requests: Mutex<Vec<Request>>,
    arrived: watch::Sender<usize>,
    hung_up: watch::Sender<usize>,
}

/// A call of a function tool.
pub fn call(tool: &str, arguments: Value) -> Value {
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
    pub fn call(tool: &str, arguments: Value) -> Self {
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
            gate: None,
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
            "input_tokens": input, "input_tokens_details": {"cached_tokens": cached},
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

    /// Waits for the gate after so many events; with 0, before the answer begins.
    pub fn gate(mut self, events: usize, gate: &Gate) -> Self {
        self.gate = Some((events, gate.clone()));
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

    /// The events of the answer, for a request with this number.
    pub fn events(&self, number: usize) -> Vec<String> {
        let Answer::Items(items) = &self.answer else { return Vec::new() };
        let mut out = Events { sequence: 0, lines: Vec::new() };
        let response = json!({"id": format!("resp_{number}"), "object": "response", "status": "in_progress"});
        out.push("response.created", json!({"response": response}));
        out.push("response.in_progress", json!({"response": response}));
        let items: Vec<Value> =
            items.iter().enumerate().map(|(k, item)| with_ids(item.clone(), number, k + 1)).collect();
        for (index, item) in items.iter().enumerate() {
            self.item_events(index, item, &mut out);
        }
        let output = if self.listed { items } else { Vec::new() };
        let mut done = json!({"id": format!("resp_{number}"), "object": "response"});
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
        out.push(
            "response.output_item.added",
            json!({"output_index": index, "item": {"type": item["type"], "id": item["id"]}}),
        );
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
                deltas("response.output_text.delta", text, json!({"content_index": 0}), out);
                out.push("response.output_text.done", at(json!({"content_index": 0, "text": text})));
            }
            "reasoning" => {
                for (part, summary) in item["summary"].as_array().into_iter().flatten().enumerate() {
                    let fields = json!({"summary_index": part});
                    out.push("response.reasoning_summary_part.added", at(fields.clone()));
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

fn merge(into: &mut Value, fields: Value) {
    if let (Some(into), Value::Object(fields)) = (into.as_object_mut(), fields) {
        into.extend(fields);
    }
}

fn with_ids(mut item: Value, number: usize, index: usize) -> Value {
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

fn pieces(text: &str, characters: usize) -> Vec<String> {
    if characters == 0 {
        return Vec::new();
    }
    let all: Vec<char> = text.chars().collect();
    all.chunks(characters).map(|piece| piece.iter().collect()).collect()
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self { open: Arc::new(watch::Sender::new(false)), reached: Arc::new(watch::Sender::new(false)) }
    }

    /// Lets the step go on.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until a step stands before the gate.
    pub async fn reached(&self) {
        self.reached.subscribe().wait_for(|reached| *reached).await.expect("the gate holds its own sender");
    }

    async fn pass(&self) {
        self.reached.send_replace(true);
        self.open.subscribe().wait_for(|open| *open).await.expect("the gate holds its own sender");
    }
}

impl Mock {
    /// A server with these steps.
    pub async fn start(steps: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            steps: Mutex::new(steps.into_iter().map(Some).collect()),
            next: AtomicUsize::new(0),
            requests: Mutex::default(),
            arrived: watch::Sender::new(0),
            hung_up: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, task }
    }

    /// What belongs into a provider's `base_url`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The host as it is named in messages.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no one panics with it").clone()
    }

    /// Request number N, counted from 1; waits until it has come.
    pub async fn request(&self, number: usize) -> Request {
        let mut arrived = self.shared.arrived.subscribe();
        arrived.wait_for(|count| *count >= number).await.expect("the server holds the sender");
        self.requests()[number - 1].clone()
    }
}

impl Mock {
    /// Waits until a client has hung up on a step that stalls.
    pub async fn hung_up(&self) {
        let mut hung_up = self.shared.hung_up.subscribe();
        hung_up.wait_for(|count| *count > 0).await.expect("the server holds the sender");
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    for connection in 1.. {
        let Ok((stream, _)) = listener.accept().await else { return };
        // A client that hangs up is what half of the tests are about.
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let _ = Connection { stream, buffer: Vec::new(), number: connection }.serve(&shared).await;
        });
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    number: usize,
}

type Io<T> = std::io::Result<T>;

impl Connection {
    async fn serve(mut self, shared: &Shared) -> Io<()> {
        self.stream.set_nodelay(true)?;
        loop {
            let Some(request) = self.read().await? else { return Ok(()) };
            let number = shared.next.fetch_add(1, Ordering::SeqCst) + 1;
            let mut step = {
                let mut steps = shared.steps.lock().expect("no one panics with it");
                steps.get_mut(number - 1).and_then(Option::take)
            }
            .unwrap_or_else(|| Step::status(400).body("the mock's script has no more steps"));
            if let Answer::Reply(reply) = step.answer {
                step = reply(&request);
            }
            shared.requests.lock().expect("no one panics with it").push(request);
            shared.arrived.send_modify(|count| *count += 1);
            if !self.answer(step, number, shared).await? {
                return Ok(());
            }
        }
    }

    /// The next request, or nothing when the client is gone.
    async fn read(&mut self) -> Io<Option<Request>> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        while self.buffer.len() < length {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
        let raw: Vec<u8> = self.buffer.drain(..length).collect();
        let body = serde_json::from_slice(&raw).unwrap_or(Value::Null);
        Ok(Some(Request { path, headers, raw, body, connection: self.number }))
    }

    /// Answers. Whether the connection can take another request.
    async fn answer(&mut self, step: Step, number: usize, shared: &Shared) -> Io<bool> {
        if let Some((0, gate)) = &step.gate {
            gate.pass().await;
        }
        match &step.answer {
            Answer::Nothing => return Ok(false),
            Answer::Status(status, body) => {
                self.plain(*status, "application/json", &step.headers, body).await?
            }
            Answer::Json(document) => {
                let body = document.to_string().into_bytes();
                self.plain(200, "application/json", &step.headers, &body).await?;
            }
            Answer::Raw(body) => {
                self.head(&step.headers).await?;
                self.write(body, step.split).await?;
                self.stream.write_all(b"0\r\n\r\n").await?;
            }
            Answer::Items(_) => return self.stream_events(&step, number, shared).await,
            Answer::Reply(_) => unreachable!("a reply has become a step"),
        }
        Ok(true)
    }

    async fn stream_events(&mut self, step: &Step, number: usize, shared: &Shared) -> Io<bool> {
        let events = step.events(number);
        let gate_at = step.gate.as_ref().map(|(after, _)| *after);
        let stop_at = step.stop.map(|(after, _)| after.min(events.len()));
        self.head(&step.headers).await?;
        let mut pending = Vec::new();
        for (index, event) in events.iter().enumerate() {
            if gate_at == Some(index) && index > 0 {
                self.write(&std::mem::take(&mut pending), step.split).await?;
                if let Some((_, gate)) = &step.gate {
                    gate.pass().await;
                }
            }
            if stop_at == Some(index) {
                break;
            }
            pending.extend_from_slice(event.as_bytes());
        }
        self.write(&pending, step.split).await?;
        match step.stop {
            None => {
                self.stream.write_all(b"0\r\n\r\n").await?;
                Ok(true)
            }
            Some((_, Stop::Drop)) => Ok(false),
            Some((_, Stop::Reset)) => {
                self.stream.set_zero_linger()?;
                Ok(false)
            }
            Some((_, Stop::Stall)) => {
                // Ends when the client hangs up.
                let mut byte = [0];
                let _ = self.stream.read(&mut byte).await;
                shared.hung_up.send_modify(|count| *count += 1);
                Ok(false)
            }
        }
    }

    async fn plain(&mut self, status: u16, kind: &str, headers: &[(String, String)], body: &[u8]) -> Io<()> {
        let mut head = format!("HTTP/1.1 {status} Mock\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| name == "content-type") {
            head += &format!("content-type: {kind}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut all = (head + "\r\n").into_bytes();
        all.extend_from_slice(body);
        self.stream.write_all(&all).await
    }

    async fn head(&mut self, headers: &[(String, String)]) -> Io<()> {
        let mut head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n".to_owned();
        if !headers.iter().any(|(name, _)| name == "content-type") {
            head += "content-type: text/event-stream\r\n";
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        self.stream.write_all((head + "\r\n").as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8], split: Option<usize>) -> Io<()> {
        for piece in bytes.chunks(split.unwrap_or(bytes.len()).max(1)) {
            let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
            chunk.extend_from_slice(piece);
            chunk.extend_from_slice(b"\r\n");
            self.stream.write_all(&chunk).await?;
        }
        self.stream.flush().await
    }
}
