//! What went to a provider and what came back, kept in a file, so that a run can be repeated without the provider.
//!
//! A line of JSON each: the request with its body as it was sent, and the answer with its bytes as they came. Headers
//! are not kept, and the values of keys are taken out of the rest. The wire `replay` answers from such a file.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    ModelError, ModelErrorKind as Kind, Retry,
    catalog::Wire,
    http::{Form, Secrets},
};

/// The version of the file.
const VERSION: u32 = 1;
/// The most that is kept of one answer. What is longer is cut there, and its line says so.
const LIMIT: usize = 64 << 20;

/// A line of the file.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Line {
    Recording {
        recording: u32,
        /// Version of the program.
        agent: String,
    },
    Request {
        /// Counted from 1 in the file.
        request: u64,
        provider: String,
        wire: Wire,
        /// Below the address of the provider.
        path: String,
        body: Box<RawValue>,
    },
    Response {
        /// The number of its request.
        response: u64,
        /// Missing when none came.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        form: Option<Form>,
        #[serde(skip_serializing_if = "String::is_empty")]
        body: String,
        /// Why there is no answer, or no end of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

/// The fields of all lines.
#[derive(Deserialize)]
struct Fields {
    recording: Option<u32>,
    agent: Option<String>,
    request: Option<u64>,
    provider: Option<String>,
    wire: Option<Wire>,
    path: Option<String>,
    body: Option<Box<RawValue>>,
    response: Option<u64>,
    status: Option<u16>,
    form: Option<Form>,
    error: Option<String>,
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// When it is none of a recording that this program can read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Fields { recording, agent, request, provider, wire, path, body, response, status, form, error } =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        match (recording, request, response) {
            (Some(VERSION), None, None) => {
                Ok(Self::Recording { recording: VERSION, agent: agent.unwrap_or_default() })
            }
            (Some(version), None, None) => {
                Err(format!("the recording is of version {version}; this program knows {VERSION}"))
            }
            (None, Some(request), None) => {
                let (Some(wire), Some(body)) = (wire, body) else {
                    return Err("a request has `wire` and `body`".to_owned());
                };
                let (provider, path) = (provider.unwrap_or_default(), path.unwrap_or_default());
                Ok(Self::Request { request, provider, wire, path, body })
            }
            (None, None, Some(response)) => {
                let body = body.map(|body| serde_json::from_str(body.get())).transpose();
                let body = body.map_err(|_| "the `body` of a response is a text")?.unwrap_or_default();
                Ok(Self::Response { response, status, form, body, error })
            }
            _ => Err("neither a request nor a response".to_owned()),
        }
    }
}

/// A file that exchanges are written to.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    file: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    requests: u64,
    /// Why a line could not be written.
    failed: Option<String>,
}

/// A request whose answer is awaited.
pub(super) struct Exchange {
    recorder: Arc<Recorder>,
    number: u64,
    secrets: Secrets,
    answer: Option<(u16, Form)>,
    bytes: Vec<u8>,
    cut: bool,
    done: bool,
}

impl Recorder {
    /// Records into a new file, which only its owner can read, or behind what an earlier run has recorded.
    ///
    /// # Errors
    /// When it can't be written, or is no recording.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no ordinary file"));
        }
        let requests = match recorded(&file)? {
            Some(requests) => requests,
            None => {
                let head =
                    Line::Recording { recording: VERSION, agent: env!("CARGO_PKG_VERSION").to_owned() };
                file.write_all(&text(&head)?)?;
                0
            }
        };
        Ok(Self { path: path.to_owned(), file: Mutex::new(Open { file, requests, failed: None }) })
    }

    /// Why what came lately is not in the file, if so.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        open.failed.as_ref().map(|why| format!("can't record to {}: {why}", self.path.display()))
    }

    /// Keeps a request before it is sent.
    ///
    /// # Errors
    /// When it can't be kept: what is not recorded is not to be asked.
    pub(super) fn request(
        self: &Arc<Self>,
        (provider, wire): (&str, Wire),
        path: &str,
        body: &Bytes,
        secrets: Secrets,
    ) -> Result<Exchange, ModelError> {
        let body = secrets.scrub_text(String::from_utf8_lossy(body).into_owned());
        let number = {
            let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            open.requests += 1;
            open.requests
        };
        if let Ok(body) = RawValue::from_string(body) {
            let (provider, path) = (provider.to_owned(), path.to_owned());
            self.write(&Line::Request { request: number, provider, wire, path, body });
        }
        match self.problem() {
            Some(problem) => Err(ModelError::new(Kind::Request, problem).with_retry(Retry::No)),
            None => Ok(Exchange {
                recorder: Arc::clone(self),
                number,
                secrets,
                answer: None,
                bytes: Vec::new(),
                cut: false,
                done: false,
            }),
        }
    }

    fn write(&self, line: &Line) {
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if open.failed.is_none()
            && let Err(error) = text(line).and_then(|text| open.file.write_all(&text))
        {
            open.failed = Some(error.to_string());
        }
    }
}

impl Exchange {
    /// An answer has begun.
    pub(super) fn begun(&mut self, status: u16, form: Form) {
        self.answer = Some((status, form));
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let room = LIMIT.saturating_sub(self.bytes.len());
        self.cut |= bytes.len() > room;
        self.bytes.extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
    }

    /// Keeps what came of it.
    pub(super) fn end(&mut self, error: Option<&str>) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let cut = self.cut.then(|| format!("what came after {} MiB is not here", LIMIT >> 20));
        let body = String::from_utf8_lossy(&self.bytes).into_owned();
        self.recorder.write(&Line::Response {
            response: self.number,
            status: self.answer.map(|(status, _)| status),
            form: self.answer.map(|(_, form)| form),
            body: self.secrets.scrub_text(body),
            error: cut.or_else(|| error.map(|error| self.secrets.scrub_text(error.to_owned()))),
        });
    }

    /// The same bytes, kept while they pass.
    pub(super) fn passing(
        self,
        bytes: BoxStream<'static, Result<Bytes, ModelError>>,
    ) -> BoxStream<'static, Result<Bytes, ModelError>> {
        stream::unfold((self, bytes), async |(mut exchange, mut bytes)| {
            let next = bytes.next().await;
            match &next {
                Some(Ok(bytes)) => exchange.bytes(bytes),
                Some(Err(error)) => exchange.end(Some(&error.message)),
                None => exchange.end(None),
            }
            Some((next?, (exchange, bytes)))
        })
        .boxed()
    }
}

impl Drop for Exchange {
    /// Whoever read it had enough, or was interrupted.
    fn drop(&mut self) {
        self.end(None);
    }
}

fn text(line: &Line) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(text)
}

/// How many requests a recording holds. Nothing of a new file.
fn recorded(file: &File) -> io::Result<Option<u64>> {
    let no_recording = || io::Error::other("it is there already, and is no recording; it was left as it is");
    let mut lines = BufReader::new(file).lines();
    let Some(head) = lines.next() else { return Ok(None) };
    match Line::parse(&head?) {
        Ok(Line::Recording { .. }) => {}
        _ => return Err(no_recording()),
    }
    let mut requests = 0;
    for line in lines {
        if let Ok(Line::Request { request, .. }) = Line::parse(&line?) {
            requests = request;
        }
    }
    Ok(Some(requests))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn exchange(recorder: &Arc<Recorder>) -> Exchange {
        let body = Bytes::from_static(b"{\"input\": [1]}");
        recorder.request(("acme", Wire::Responses), "responses", &body, Secrets::default()).unwrap()
    }

    #[test]
    fn a_recording_is_gone_on_with_and_another_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        for _ in 0..2 {
            let recorder = Arc::new(Recorder::open(&path).unwrap());
            let mut exchange = exchange(&recorder);
            exchange.begun(200, Form::Events);
            exchange.bytes(b"data: 1\n\n");
            // Dropped by whoever read enough.
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[1].ends_with(r#""path":"responses","body":{"input": [1]}}"#), "{text}");
        assert_eq!(lines[4], r#"{"response":2,"status":200,"form":"events","body":"data: 1\n\n"}"#);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let other = folder.path().join("notes.txt");
        for content in ["my notes\n", "{}\n", "{\"recording\":2,\"agent\":\"9\"}\n"] {
            fs::write(&other, content).unwrap();
            let error = Recorder::open(&other).unwrap_err().to_string();
            assert!(error.contains("left as it is") && fs::read_to_string(&other).unwrap() == content);
        }
    }

    #[test]
    fn what_can_not_be_recorded_is_not_asked() {
        if !fs::exists("/dev/full").unwrap_or(false) {
            return;
        }
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let open = Open { file, requests: 0, failed: None };
        let recorder = Arc::new(Recorder { path: "run.jsonl".into(), file: Mutex::new(open) });
        let body = Bytes::from_static(b"{}");
        let asked = recorder.request(("acme", Wire::Responses), "responses", &body, Secrets::default());
        let error = asked.err().unwrap();
        assert!(error.retry == Retry::No && error.message.contains("can't record to run.jsonl"), "{error}");
    }
}
