//! Streams that the engine hands over: the standard streams of a container, or of a command in one.
//!
//! Our client crate does this too, but guesses by the first byte of each piece whether a stream has frames: a
//! terminal's output that begins with a control character is then lost. Here who asks says which it is.

use std::{fmt::Write as _, io, time::Duration};

use bollard::{Docker, models::ExecConfig};
use serde_json::Value;
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader, ReadHalf,
        WriteHalf, split,
    },
    time::timeout,
};

use super::{
    container::FIRST_USER,
    endpoint::{Endpoint, Stream},
};

/// Both directions of a stream that was handed over.
pub(super) struct Attached {
    pub(super) output: ReadHalf<BufReader<Box<dyn Stream>>>,
    pub(super) input: WriteHalf<BufReader<Box<dyn Stream>>>,
}

/// Lines of an answer's head at most, and bytes of each.
const HEAD_LINES: usize = 100;
/// Bytes of an answer at most.
const ANSWER: u64 = 16 << 20;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// Starts a command that was created, and is connected to it.
pub(super) async fn start_exec(endpoint: &Endpoint, exec: &str, tty: bool) -> io::Result<Attached> {
    let body = format!(r#"{{"Detach":false,"Tty":{tty}}}"#);
    ask(endpoint, &format!("/exec/{exec}/start"), &body).await
}

/// Starts a script in a container as the user whom commands are not, and is connected to it.
pub(super) async fn run_script(
    docker: &Docker,
    endpoint: &Endpoint,
    container: &str,
    script: &str,
) -> io::Result<Attached> {
    let config = ExecConfig {
        cmd: Some(["sh", "-c", script].map(str::to_owned).into()),
        user: Some(FIRST_USER.to_owned()),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ExecConfig::default()
    };
    let created = docker.create_exec(container, config).await;
    let exec = created.map_err(|error| io::Error::other(super::reason(&error)))?;
    start_exec(endpoint, &exec.id, false).await
}

/// Is connected to the first process of a container.
pub(super) async fn attach(endpoint: &Endpoint, container: &str) -> io::Result<Attached> {
    ask(endpoint, &format!("/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1"), "").await
}

/// Asks for what our client crate has no words for, and gives the answer.
pub(super) async fn get(endpoint: &Endpoint, path: &str) -> io::Result<Value> {
    exchange(endpoint, "GET", path, "").await
}

/// The same with something to be done.
pub(super) async fn post(endpoint: &Endpoint, path: &str, body: &Value) -> io::Result<Value> {
    exchange(endpoint, "POST", path, &body.to_string()).await
}

async fn exchange(endpoint: &Endpoint, verb: &str, path: &str, body: &str) -> io::Result<Value> {
    let mut stream = BufReader::with_capacity(PIECE, endpoint.connect().await?);
    // The older version, in which an answer comes in one piece and ends with the connection.
    let head = format!(
        "{verb} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let said = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        stream.flush().await?;
        let Head { code, .. } = read_head(&mut stream).await?;
        let mut said = Vec::new();
        stream.take(ANSWER).read_to_end(&mut said).await?;
        match code {
            Some(200..300) => Ok(serde_json::from_slice(&said)?),
            _ => Err(refused(&said)),
        }
    };
    timeout(PATIENCE, said).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// A text as a part of an address.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

async fn ask(endpoint: &Endpoint, path: &str, body: &str) -> io::Result<Attached> {
    let mut stream = BufReader::with_capacity(PIECE, endpoint.connect().await?);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    let Head { code, length } = read_head(&mut stream).await?;
    match code {
        Some(101 | 200) => {
            let (output, input) = split(stream);
            Ok(Attached { output, input })
        }
        _ => {
            let mut said = Vec::new();
            stream.take(length.min(PIECE as u64)).read_to_end(&mut said).await?;
            Err(refused(&said))
        }
    }
}

/// How an answer begins.
struct Head {
    code: Option<u16>,
    /// Bytes that follow, if it says so.
    length: u64,
}

async fn read_head(stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<Head> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let code: Option<u16> = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let mut length = 0;
    for _ in 0..HEAD_LINES {
        line.clear();
        stream.read_line(&mut line).await?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    Ok(Head { code, length })
}

/// What an engine says when it does not do what it is asked for.
fn refused(said: &[u8]) -> io::Error {
    let said = String::from_utf8_lossy(said);
    let message = serde_json::from_str::<Value>(&said)
        .ok()
        .and_then(|value| value.get("message")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| said.trim().to_owned());
    io::Error::other(if message.is_empty() { "the engine did not answer".into() } else { message })
}

/// Which stream a piece of output belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Out,
    Err,
}

/// Output as the engine packs it.
pub(super) struct Frames<R> {
    reader: R,
    /// A terminal has one stream, without frames.
    tty: bool,
    /// What the frame being read still has to bring.
    rest: Option<(Which, usize)>,
    piece: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(reader: R, tty: bool) -> Self {
        Self { reader, tty, rest: None, piece: vec![0; PIECE] }
    }

    /// The next piece; nothing at the end. Not to be dropped in the middle.
    pub(super) async fn next(&mut self) -> io::Result<Option<(Which, &[u8])>> {
        let (which, most) = if self.tty {
            (Which::Out, PIECE)
        } else {
            loop {
                match self.rest {
                    Some((which, rest @ 1..)) => break (which, rest.min(PIECE)),
                    _ => match self.head().await? {
                        None => return Ok(None),
                        some => self.rest = some,
                    },
                }
            }
        };
        let room = self.piece.get_mut(..most).unwrap_or_default();
        let count = self.reader.read(room).await?;
        if count == 0 {
            return Ok(None);
        }
        if let Some((_, rest)) = &mut self.rest {
            *rest -= count;
        }
        Ok(self.piece.get(..count).map(|piece| (which, piece)))
    }

    async fn head(&mut self) -> io::Result<Option<(Which, usize)>> {
        let mut head = [0; 8];
        match self.reader.read_exact(&mut head).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let [kind, _, _, _, length @ ..] = head;
        let which = if kind == 2 { Which::Err } else { Which::Out };
        Ok(Some((which, u32::from_be_bytes(length) as usize)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8], tty: bool) -> Vec<(Which, Vec<u8>)> {
        let mut frames = Frames::new(bytes, tty);
        let mut found: Vec<(Which, Vec<u8>)> = Vec::new();
        while let Some((which, piece)) = frames.next().await.unwrap() {
            found.push((which, piece.to_vec()));
        }
        found
    }

    #[test]
    fn whatever_is_part_of_an_address_is_no_end_of_it() {
        assert_eq!(encoded(r#"{"a":["b=1&c"]}"#), "%7B%22a%22%3A%5B%22b%3D1%26c%22%5D%7D");
    }

    #[tokio::test]
    async fn frames_are_taken_apart_and_a_terminals_bytes_are_left_as_they_are() {
        let packed = b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x03two\x01\0\0";
        assert_eq!(read(packed, false).await, [(Which::Out, b"one".to_vec()), (Which::Err, b"two".to_vec())]);
        assert_eq!(read(packed, true).await, [(Which::Out, packed.to_vec())]);
    }
}
