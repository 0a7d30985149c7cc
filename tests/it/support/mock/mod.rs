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
#![allow(clippy::needless_pass_by_value, reason = "a script reads better with values than with borrows")]

mod anthropic;
mod chat;
mod ollama;
mod serve;
mod step;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicUsize},
};

use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

pub use step::{Step, call, custom_call, reasoning, text};

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

/// Opens once. A step waits for it, or a test waits for the step to arrive at it.
#[derive(Clone)]
pub struct Gate {
    open: Arc<watch::Sender<bool>>,
    reached: Arc<watch::Sender<bool>>,
}

struct Shared {
    steps: Mutex<Vec<Option<Step>>>,
    next: AtomicUsize,
    requests: Mutex<Vec<Request>>,
    arrived: watch::Sender<usize>,
    hung_up: watch::Sender<usize>,
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
        let task = tokio::spawn(serve::accept(listener, Arc::clone(&shared)));
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

    pub(super) async fn pass(&self) {
        self.reached.send_replace(true);
        self.open.subscribe().wait_for(|open| *open).await.expect("the gate holds its own sender");
    }
}
