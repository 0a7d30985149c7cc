//! Hosts on this machine's loopback that keep what they heard, and a resolver that knows what it is told.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use agent::{
    protocol::Connection,
    sandbox::network::{Pattern, Report, Reports, Resolve, Rules},
};
use tokio::sync::mpsc;

/// What a host answers with.
pub const HELLO: &str = "hello from the host\n";

/// A host that answers each request with [`HELLO`], and each other first line with `you said …`.
pub struct Host {
    pub port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    pub met: Arc<AtomicUsize>,
}

impl Host {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, met) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let host = Self { port, heard: Arc::clone(&heard), met: Arc::clone(&met) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                met.fetch_add(1, Ordering::SeqCst);
                let heard = Arc::clone(&heard);
                thread::spawn(move || answer(stream, &heard));
            }
        });
        host
    }

    /// What was said to it, a text for each connection that said anything.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub fn met(&self) -> usize {
        self.met.load(Ordering::SeqCst)
    }

    pub fn at(&self, name: &str) -> String {
        format!("{name}:{}", self.port)
    }
}

/// Whoever sees this host closes its side first hears all that was said.
fn answer(mut stream: TcpStream, heard: &Mutex<Vec<String>>) {
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    let mut answered = false;
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        said.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&said).into_owned();
        if answered {
            break;
        }
        let http = text.contains(" HTTP/1.");
        let whole = match text.split_once("\r\n\r\n") {
            Some((head, body)) if http => {
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                let chunked = head.contains("Transfer-Encoding: chunked") && !body.ends_with("0\r\n\r\n");
                !chunked && body.len() >= length.map_or(0, |length| length.parse().unwrap())
            }
            _ => !http && text.ends_with('\n'),
        };
        if whole {
            answered = true;
            // First, so that who has the answer finds what was heard.
            heard.lock().unwrap().push(text.clone());
            let reply = match http {
                true => format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{HELLO}",
                    HELLO.len()
                ),
                false => format!("you said {text}"),
            };
            let _ = stream.write_all(reply.as_bytes());
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

/// Knows these names and no others.
pub struct Names(pub HashMap<String, Vec<IpAddr>>);

#[async_trait::async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.0.get(name).cloned().ok_or_else(|| io::Error::other("no such name"))
    }
}

/// All of these names are at this machine's loopback.
pub fn names(names: &[&str]) -> Arc<Names> {
    let local = || vec!["127.0.0.1".parse().unwrap()];
    Arc::new(Names(names.iter().map(|name| ((*name).to_owned(), local())).collect()))
}

pub fn rules<S: AsRef<str>>(allow: &[S], deny: &[&str]) -> Rules {
    let read = |entry: &str| Pattern::read(entry).unwrap();
    Rules {
        allow: allow.iter().flat_map(|entry| read(entry.as_ref())).collect(),
        deny: deny.iter().flat_map(|entry| read(entry)).map(Pattern::of_every_port).collect(),
        credentials: Vec::new(),
    }
}

/// Says no to all questions; the connections that are told of.
pub fn refusing(mut reports: Reports) -> mpsc::UnboundedReceiver<Connection> {
    let (told, ended) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(report) = reports.recv().await {
            // A question that is dropped is a no.
            if let Report::Ended(connection) = report
                && told.send(connection).is_err()
            {
                return;
            }
        }
    });
    ended
}
