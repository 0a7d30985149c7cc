//! The wire `replay`: a model that answers from a file.
//!
//! For tests, demonstrations and bug reports. It has no memory: which answer comes next is told by how much of
//! the conversation models have made, so that it goes on correctly in a resumed session.
//!
//! The file has one JSON value a line:
//! - an item (`assistant`, `reasoning`, `tool_call`) is one answer; an array of items is one answer with all of
//!   them. A call without an id gets one.
//! - `{"delay_ms": 200}` delays the next answer.
//! - `{"summary": "…"}` is the answer to a compaction, each time that there is one.
//! - the lines of a session's log work as they are, which makes every log a script.
//! - the lines of a [recording](super::record) work as well: the bytes that came once are read by their wire again. What
//!   failed then, and was tried again, is not repeated.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream::BoxStream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Chunk, Model, ModelError, ModelErrorKind as Kind, Prompt, anthropic,
    catalog::Wire,
    chat, freeform,
    http::Form,
    ollama,
    record::Line,
    responses::{self, decode::Decoder},
    stream::{self, Decode},
};
use crate::protocol::{Event, Fact, HostedCall, Item, Usage};

/// A model that answers from a script.
#[derive(Debug, Clone)]
pub struct Replay {
    name: String,
    answers: Arc<[Answer]>,
    summary: Option<Answer>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Answer {
    items: Vec<Item>,
    usage: Option<Usage>,
    delay: Duration,
    /// All of it as it came, where that is known.
    chunks: Vec<Chunk>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delay {
    delay_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    summary: String,
}

impl Replay {
    /// The script in a file.
    ///
    /// # Errors
    /// When it can't be read or understood; the message names the line.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| {
            ModelError::new(Kind::Request, format!("cannot read the script {name}: {error}"))
        })?;
        Self::parse(&name, &text)
    }

    /// The script in a text. The name is for messages.
    ///
    /// # Errors
    /// When it can't be understood.
    pub fn parse(name: &str, text: &str) -> Result<Self, ModelError> {
        let mut script = Script::default();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            script.line(line).map_err(|reason| {
                ModelError::new(Kind::Request, format!("{name}, line {}: {reason}", index + 1))
            })?;
        }
        script.close(None);
        Ok(Self { name: name.to_owned(), answers: script.answers.into(), summary: script.summary })
    }

    /// What comes next in a conversation that holds this many items made by models.
    fn next(&self, mut made: usize) -> Result<Answer, ModelError> {
        for answer in &*self.answers {
            match made.checked_sub(answer.items.len()) {
                Some(rest) => made = rest,
                None if made == 0 => return Ok(answer.clone()),
                None => {
                    let items = answer.items[made..].to_vec();
                    return Ok(Answer { items, chunks: Vec::new(), ..answer.clone() });
                }
            }
        }
        let what = format!("the script {} has no more answers (it has {})", self.name, self.answers.len());
        Err(ModelError::new(Kind::Request, what))
    }
}

/// A script that is being read.
#[derive(Default)]
struct Script {
    answers: Vec<Answer>,
    summary: Option<Answer>,
    /// The answer of a log that is not finished yet.
    open: Vec<Item>,
    delay: Duration,
    /// Ids of calls, which must not come twice.
    calls: HashSet<String>,
    /// The languages of the requests of a recording, and what has come of an answer that is not finished yet.
    wires: HashMap<u64, (String, Wire)>,
    /// Requests whose answers are none to the conversation.
    aside: HashSet<u64>,
    chunks: Vec<Chunk>,
}

impl Script {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        match value {
            Value::Object(ref map) if map.contains_key("seq") => {
                let event = serde_json::from_value(value).map_err(|error| error.to_string())?;
                self.event(event);
                Ok(())
            }
            Value::Object(ref map) if map.contains_key("delay_ms") => {
                let delay: Delay = serde_json::from_value(value).map_err(|error| error.to_string())?;
                self.delay += Duration::from_millis(delay.delay_ms);
                Ok(())
            }
            Value::Object(ref map) if map.contains_key("summary") => {
                let summary: Summary = serde_json::from_value(value).map_err(|error| error.to_string())?;
                let item = Item::Assistant { id: None, text: summary.summary, partial: false };
                let delay = std::mem::take(&mut self.delay);
                self.summary = Some(Answer { items: vec![item], usage: None, delay, chunks: Vec::new() });
                Ok(())
            }
            Value::Object(ref map)
                if ["recording", "request", "response"].iter().any(|key| map.contains_key(*key)) =>
            {
                // Read from its text: a body is kept byte for byte.
                self.exchange(Line::parse(line)?)
            }
            Value::Object(_) => self.answer(vec![value]),
            Value::Array(values) => self.answer(values),
            _ => Err("neither an item nor an array of items".to_owned()),
        }
    }

    fn answer(&mut self, values: Vec<Value>) -> Result<(), String> {
        if values.is_empty() {
            return Err("an answer without items".to_owned());
        }
        for value in values {
            let item = self.item(value)?;
            self.open.push(item);
        }
        self.close(None);
        Ok(())
    }

    fn item(&mut self, mut value: Value) -> Result<Item, String> {
        let is_call = value.get("type").is_some_and(|kind| kind == "tool_call");
        if let (true, Some(map)) = (is_call, value.as_object_mut())
            && !map.contains_key("call")
        {
            let id = format!("call_{}_{}", self.answers.len() + 1, self.open.len() + 1);
            map.insert("call".to_owned(), json!(id));
        }
        let item: Item = serde_json::from_value(value).map_err(|error| error.to_string())?;
        match &item {
            Item::ToolCall { call, .. } if !self.calls.insert(call.to_string()) => {
                Err(format!("call {call} is there twice"))
            }
            Item::Assistant { .. }
            | Item::Reasoning { .. }
            | Item::ToolCall { .. }
            | Item::Sources { .. } => Ok(item),
            // What its provider did with tools of its own.
            Item::Unknown(value) if HostedCall::of(value).is_some() => Ok(item),
            Item::Unknown(value) if value.get("type").is_some_and(|kind| kind == "tool_call") => {
                Err("a tool_call has `tool`, and `args` such as {\"json\":\"{}\"} or {\"text\":\"…\"}"
                    .to_owned())
            }
            _ => Err("a model makes only assistant, reasoning and tool_call".to_owned()),
        }
    }

    fn event(&mut self, event: Event) {
        match event.fact {
            Fact::ItemAdded { item } if item.is_made() => self.open.push((*item).clone()),
            Fact::ResponseFinished { usage, .. } => self.close(usage),
            _ => {}
        }
    }

    fn exchange(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Recording { .. } => {}
            // It is no answer; the conversation is made smaller without it.
            Line::Request { request, path, .. } if path == responses::compact::PATH => {
                self.aside.insert(request);
            }
            Line::Response { response, .. } if self.aside.remove(&response) => {}
            Line::Request { request, provider, wire, .. } => {
                self.wires.insert(request, (provider, wire));
            }
            Line::Response { response, status: Some(200..=299), form, body, .. } => {
                let (provider, wire) = self.wires.remove(&response).ok_or("its request is not there")?;
                self.answered(wire_chunks(wire, &provider, form, body.as_bytes())?);
            }
            // It was tried again, or the run ended with it.
            Line::Response { .. } => {}
        }
        Ok(())
    }

    /// Takes in what came of one request. An answer that broke off is gone on with by the next one, unless it had brought
    /// a call: that was answered.
    fn answered(&mut self, chunks: Vec<Chunk>) {
        let mut finished = None;
        for chunk in &chunks {
            match chunk {
                Chunk::Item(item) => self.open.push(item.clone()),
                Chunk::Finished { usage } => finished = Some(*usage),
                _ => {}
            }
        }
        let called = self.open.iter().any(|item| matches!(item, Item::ToolCall { .. }));
        if finished.is_some() {
            self.chunks.extend(chunks);
            self.close(finished.flatten());
        } else if called {
            self.chunks.clear();
            self.close(None);
        } else {
            // Only whole items are gone on with.
            self.chunks.extend(chunks.into_iter().filter(|chunk| matches!(chunk, Chunk::Item(_))));
        }
    }

    fn close(&mut self, usage: Option<Usage>) {
        let chunks = std::mem::take(&mut self.chunks);
        if !self.open.is_empty() {
            let items = std::mem::take(&mut self.open);
            self.answers.push(Answer { items, usage, delay: std::mem::take(&mut self.delay), chunks });
        }
    }
}

/// What the bytes of an answer say in the language of their provider. What is freeform is known when the prompt is there.
fn wire_chunks(wire: Wire, host: &str, form: Option<Form>, body: &[u8]) -> Result<Vec<Chunk>, String> {
    Ok(match wire {
        Wire::Responses => said(Decoder::new(host), form, body),
        Wire::Chat => said(chat::decode::Decoder::new(host, HashSet::new(), Vec::new()), form, body),
        Wire::Anthropic => said(anthropic::decode::Decoder::new(host, Vec::new()), form, body),
        Wire::Ollama => said(ollama::decode::Decoder::new(host, HashSet::new(), Vec::new()), form, body),
        Wire::Replay => return Err("nothing comes from a script over a wire".to_owned()),
    })
}

fn said(decoder: impl Decode, form: Option<Form>, body: &[u8]) -> Vec<Chunk> {
    match form {
        None | Some(Form::Page) => Vec::new(),
        Some(Form::Events) => stream::read(body, decoder).0,
        Some(Form::Json) => decoder.document(body).into_iter().filter_map(Result::ok).collect(),
    }
}

#[async_trait::async_trait]
impl Model for Replay {
    async fn respond(
        &self,
        prompt: &Prompt,
    ) -> Result<BoxStream<'static, Result<Chunk, ModelError>>, ModelError> {
        let mut answer = if prompt.kept.last().is_some_and(|item| matches!(**item, Item::User { .. })) {
            // The conversation is to be summed up.
            self.summary.clone().ok_or_else(|| {
                let what = format!("the script {} has no summary", self.name);
                ModelError::new(Kind::Request, what)
            })?
        } else {
            let made = prompt.items.iter().chain(&prompt.kept).filter(|item| item.is_made()).count();
            self.next(prompt.left_out + made)?
        };
        let freeform = freeform::names(&prompt.tools);
        let given = answer.chunks.iter_mut().filter_map(|chunk| match chunk {
            Chunk::Item(item) => Some(item),
            _ => None,
        });
        given.chain(&mut answer.items).for_each(|item| freeform::restore(item, &freeform));
        if !answer.delay.is_zero() {
            tokio::time::sleep(answer.delay).await;
        }
        let chunks = match answer.chunks.is_empty() {
            false => answer.chunks,
            true => {
                let finished = Chunk::Finished { usage: answer.usage };
                answer.items.into_iter().flat_map(chunks).chain([finished]).collect()
            }
        };
        Ok(futures::stream::iter(chunks.into_iter().map(Ok)).boxed())
    }
}

/// An item as it would come: word by word, then whole.
fn chunks(item: Item) -> Vec<Chunk> {
    let words = |text: &str, chunk: fn(String) -> Chunk| -> Vec<Chunk> {
        text.split_inclusive(char::is_whitespace).map(|word| chunk(word.to_owned())).collect()
    };
    let mut chunks = match &item {
        Item::Assistant { text, .. } => words(text, Chunk::Text),
        Item::Reasoning { summary, .. } => words(&summary.join("\n\n"), Chunk::Reasoning),
        Item::ToolCall { args, .. } => words(args.as_str(), Chunk::Arguments),
        _ => Vec::new(),
    };
    chunks.push(Chunk::Item(item));
    chunks
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::protocol::Args;

    struct NoBlobs;

    impl crate::model::ReadBlob for NoBlobs {
        fn read(&self, _: &crate::protocol::BlobId) -> std::io::Result<Vec<u8>> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    const SCRIPT: &str = r#"
        [{"type":"reasoning","summary":["hm"]},{"type":"tool_call","tool":"t","args":{"json":"{}"}}]
        {"type":"assistant","text":"all done"}
    "#;

    fn prompt(items: Vec<Item>, kept: Vec<Item>) -> Prompt {
        let arcs = |items: Vec<Item>| items.into_iter().map(Arc::new).collect::<Vec<_>>();
        Prompt {
            model: "m".into(),
            cache_key: "k".into(),
            effort: None,
            verbosity: None,
            output_schema: None,
            tools: Arc::new([]),
            epoch: 0,
            items: Arc::new(arcs(items)),
            left_out: 0,
            kept: arcs(kept),
            blobs: Arc::new(NoBlobs),
        }
    }

    fn ask(replay: &Replay, prompt: &Prompt) -> Result<Vec<Chunk>, ModelError> {
        let chunks = replay.respond(prompt).now_or_never().expect("there is no delay")?;
        chunks.map(Result::unwrap).collect::<Vec<_>>().map(Ok).now_or_never().expect("nor here")
    }

    fn items(chunks: &[Chunk]) -> Vec<Item> {
        chunks
            .iter()
            .filter_map(|chunk| match chunk {
                Chunk::Item(item) => Some(item.clone()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn what_a_provider_has_made_smaller_is_no_answer_of_a_recording() {
        let exchange = |number: u64, path: &str, output: Value| {
            let request =
                json!({"request": number, "provider": "p", "wire": "responses", "path": path, "body": {}});
            let body = json!({"status": "completed", "output": output}).to_string();
            let response = json!({"response": number, "status": 200, "form": "json", "body": body});
            format!("{request}\n{response}\n")
        };
        let says =
            |text: &str| json!({"type": "message", "content": [{"type": "output_text", "text": text}]});
        let sealed = json!({"type": "compaction", "encrypted_content": "x"});
        let text = exchange(1, "responses", json!([says("one")]))
            + &exchange(2, "responses/compact", json!([says("of the person"), sealed]))
            + &exchange(3, "responses", json!([says("two")]));
        let replay = Replay::parse("recording", &text).unwrap();
        let said: Vec<&Item> = replay.answers.iter().flat_map(|answer| &answer.items).collect();
        let assistant = |text: &str| Item::Assistant { id: None, text: text.to_owned(), partial: false };
        assert_eq!(said, [&assistant("one"), &assistant("two")]);
    }

    #[test]
    fn a_script_is_followed_from_answer_to_answer_and_ends_with_an_error() {
        let replay = Replay::parse("script", SCRIPT).unwrap();
        let mut conversation = vec![Item::user("go")];
        let first = ask(&replay, &prompt(conversation.clone(), vec![])).unwrap();
        conversation.extend(items(&first));
        assert_eq!(conversation.len(), 3);
        assert_eq!(conversation[2].call().unwrap().as_str(), "call_1_2");
        let second = ask(&replay, &prompt(conversation.clone(), vec![])).unwrap();
        let text = |text: &str| Chunk::Text(text.to_owned());
        let item = Item::Assistant { id: None, text: "all done".into(), partial: false };
        assert_eq!(
            second,
            [text("all "), text("done"), Chunk::Item(item.clone()), Chunk::Finished { usage: None }]
        );
        conversation.push(item);
        let error = ask(&replay, &prompt(conversation, vec![])).unwrap_err();
        assert!(error.message.contains("no more answers"), "{error}");
    }

    #[test]
    fn an_answer_goes_on_after_the_items_that_were_kept() {
        let replay = Replay::parse("script", SCRIPT).unwrap();
        let kept = Item::Reasoning { id: None, summary: vec!["hm".into()], encrypted: None };
        let rest = items(&ask(&replay, &prompt(vec![Item::user("go")], vec![kept])).unwrap());
        assert!(matches!(&rest[..], [Item::ToolCall { args: Args::Json(_), .. }]), "{rest:?}");
    }

    #[test]
    fn a_sessions_log_is_a_script() {
        let log = r#"
            {"seq":1,"at":"2026-11-20T10:00:00Z","type":"item_added","item":{"type":"user","content":[]}}
            {"seq":2,"at":"2026-11-20T10:00:00Z","type":"response_started","response":1}
            {"seq":3,"at":"2026-11-20T10:00:00Z","type":"item_added","item":{"type":"assistant","text":"a"}}
            {"seq":4,"at":"2026-11-20T10:00:00Z","type":"item_added","item":{"type":"tool_call","call":"c","tool":"t","args":{"text":"x"}}}
            {"seq":5,"at":"2026-11-20T10:00:00Z","type":"response_finished","response":1,"outcome":{"type":"completed"},"usage":{"input":7,"output":2}}
            {"seq":6,"at":"2026-11-20T10:00:00Z","type":"dreamt"}
            {"seq":7,"at":"2026-11-20T10:00:00Z","type":"item_added","item":{"type":"assistant","text":"b"}}
        "#;
        let replay = Replay::parse("log", log).unwrap();
        let sizes: Vec<usize> = replay.answers.iter().map(|answer| answer.items.len()).collect();
        assert_eq!(sizes, [2, 1]);
        assert_eq!(replay.answers[0].usage, Some(Usage { input: 7, output: 2, ..Usage::default() }));
    }

    #[test]
    fn a_delay_belongs_to_the_next_answer() {
        let script = "{\"type\":\"assistant\",\"text\":\"a\"}\n{\"delay_ms\":20}\n{\"type\":\"assistant\",\"text\":\"b\"}";
        let delays: Vec<u128> = Replay::parse("s", script)
            .unwrap()
            .answers
            .iter()
            .map(|answer| answer.delay.as_millis())
            .collect();
        assert_eq!(delays, [0, 20]);
    }

    #[test]
    fn a_mistake_in_a_script_is_told_with_its_line() {
        let table = [
            ("{", "line 2: EOF"),
            ("[]", "line 2: an answer without items"),
            ("7", "line 2: neither"),
            (r#"{"type":"user","content":[]}"#, "line 2: a model makes only"),
            (r#"{"type":"tool_call","tool":"t"}"#, "line 2: a tool_call has"),
            (r#"{"delay_ms":1,"text":"x"}"#, "line 2: unknown field"),
            (
                r#"{"type":"tool_call","call":"c","tool":"t","args":{"json":"{}"}}"#,
                "line 2: call c is there twice",
            ),
        ];
        for (line, expected) in table {
            let first = r#"{"type":"tool_call","call":"c","tool":"t","args":{"json":"{}"}}"#;
            let error = Replay::parse("s", &format!("{first}\n{line}")).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
