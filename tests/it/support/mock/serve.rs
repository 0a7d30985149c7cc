//! How the mock answers: the network's side.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, atomic::Ordering},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{
    Request, Shared,
    step::{Answer, Step, Stop},
};

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
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

type Io<T> = io::Result<T>;

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
            let path = request.path.clone();
            shared.requests.lock().expect("no one panics with it").push(request);
            shared.arrived.send_modify(|count| *count += 1);
            if !self.answer(step, (&path, number), shared).await? {
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
    async fn answer(&mut self, step: Step, asked: (&str, usize), shared: &Shared) -> Io<bool> {
        for (_, gate) in step.gates.iter().filter(|(after, _)| *after == 0) {
            gate.pass().await;
        }
        match &step.answer {
            Answer::Nothing => return Ok(false),
            Answer::Status(status, body) => {
                self.plain(*status, "application/json", &step.headers, body).await?;
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
            Answer::Items(_) => return self.stream_events(&step, asked, shared).await,
            Answer::Reply(_) => unreachable!("a reply has become a step"),
        }
        Ok(true)
    }

    async fn stream_events(
        &mut self,
        step: &Step,
        (path, number): (&str, usize),
        shared: &Shared,
    ) -> Io<bool> {
        let events = step.events_at(path, number);
        let stop_at = step.stop.map(|(after, _)| after.min(events.len()));
        self.head(&step.headers).await?;
        let mut pending = Vec::new();
        for (index, event) in events.iter().enumerate() {
            for (_, gate) in step.gates.iter().filter(|(after, _)| *after == index && index > 0) {
                self.write(&std::mem::take(&mut pending), step.split).await?;
                gate.pass().await;
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
