//! The network of commands: none, or hosts that somebody listed or allows when asked, through a proxy.
//!
//! ```text
//! command ── loopback of the sandbox ── listener (made inside, held by the agent) ── proxy (here) ── host
//! ```
//!
//! The sandbox itself has no way out, and no resolver. A command names a host to the proxy, in one of three languages
//! (CONNECT, plain HTTP, SOCKS 5); the name is read by one grammar, judged, resolved here, and connected to at an
//! address that was looked at. What a connection came to is told, whatever it came to.
//!
//! Whether a person is asked, and what they said before, is for whoever takes the [`Reports`].

mod address;
mod body;
mod head;
mod hello;
mod host;
mod incoming;
mod ledger;
mod pattern;
mod proxy;
mod resolve;
mod rules;
mod settings;
mod socks;
mod tally;

use std::{
    collections::VecDeque,
    ffi::OsString,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::protocol::{CallId, Connection};

use self::{ledger::Ledger, rules::Ruling, tally::Book};
use super::env::Vars;

pub use host::{Host, NotAHost, Target};
pub use pattern::Pattern;
pub use resolve::{Resolve, System};
pub use rules::{Credential, Rules};
pub use settings::{CredentialSettings, Settings};

/// Connections at once, of all commands of a session. More of them wait.
const ROOM: usize = 256;
/// How long a connection waits for a person.
const LONGEST_QUESTION: Duration = Duration::from_secs(10 * 60);
/// Commands whose connections can be told apart.
const LEASES: usize = 1024;
/// How long connections may take to be told when all is over.
const CLOSING: Duration = Duration::from_secs(1);

/// Hosts that are named in one line.
const DESCRIBED: usize = 6;

/// Variables that programs read where a proxy is.
const PROXY_VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The network of one session's commands. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    inner: Arc<Inner>,
}

struct Inner {
    rules: Rules,
    resolver: Arc<dyn Resolve>,
    /// Who is told of questions and of connections.
    desk: Option<mpsc::UnboundedSender<Report>>,
    ledger: Mutex<Ledger>,
    /// Which address of the proxy was told to which command.
    leases: Mutex<VecDeque<(Ipv4Addr, CallId)>>,
    room: Arc<Semaphore>,
    questions: AtomicU64,
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What the network tells.
#[derive(Debug)]
pub enum Report {
    /// A connection waits for somebody to allow its target.
    Asked(Question),
    /// The connection of this question does not wait any more.
    Withdrawn(u64),
    Ended(Connection),
}

/// A connection to a host that is in no list.
#[derive(Debug)]
pub struct Question {
    pub number: u64,
    pub target: Target,
    pub call: Option<CallId>,
    /// Takes the answer: why not, for the command to read. Dropped, it is a no.
    pub answer: oneshot::Sender<Result<(), String>>,
}

/// What is told of one session's network, in order.
pub struct Reports {
    network: Network,
    reports: mpsc::UnboundedReceiver<Report>,
}

/// A listener that is served as long as this lives.
pub struct Served {
    pub port: u16,
    _stop: DropGuard,
}

impl Reports {
    /// What comes next. Safe to cancel.
    pub async fn recv(&mut self) -> Option<Report> {
        self.reports.recv().await
    }

    /// Ends all connections; those that were not told of yet.
    pub async fn finish(mut self) -> Vec<Connection> {
        let inner = &self.network.inner;
        inner.stop.cancel();
        inner.tasks.close();
        // What does not end in time is not told.
        let _ = timeout(CLOSING, inner.tasks.wait()).await;
        let mut ended = Vec::new();
        while let Ok(report) = self.reports.try_recv() {
            if let Report::Ended(connection) = report {
                ended.push(connection);
            }
        }
        ended.extend(lock(&inner.ledger).rest());
        ended
    }
}

impl Network {
    /// A network in which nobody is asked. Must be made where tasks can be run.
    #[must_use]
    pub fn unattended(rules: Rules, resolver: Arc<dyn Resolve>) -> Self {
        Self::new(rules, resolver, None)
    }

    /// A network whose questions go to whoever takes the reports, to be answered there. Must be made where tasks can
    /// be run.
    #[must_use]
    pub fn attended(rules: Rules, resolver: Arc<dyn Resolve>) -> (Self, Reports) {
        let (desk, reports) = mpsc::unbounded_channel();
        let network = Self::new(rules, resolver, Some(desk));
        (network.clone(), Reports { network, reports })
    }

    fn new(rules: Rules, resolver: Arc<dyn Resolve>, desk: Option<mpsc::UnboundedSender<Report>>) -> Self {
        Self {
            inner: Arc::new(Inner {
                rules,
                resolver,
                desk,
                ledger: Mutex::new(Ledger::new(Instant::now())),
                leases: Mutex::default(),
                room: Arc::new(Semaphore::new(ROOM)),
                questions: AtomicU64::new(0),
                runtime: Handle::current(),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
            }),
        }
    }

    /// Serves clients of a listener, which was made wherever they are.
    ///
    /// # Errors
    /// When the system does not let it be served.
    pub fn listen(&self, listener: TcpListener) -> io::Result<Served> {
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let stop = self.inner.stop.child_token();
        let network = self.clone();
        let stopped = stop.clone();
        let listener = {
            let _runtime = self.inner.runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let accepting = async move {
            loop {
                let Ok(permit) = Arc::clone(&network.inner.room).acquire_owned().await else { return };
                // One that has gone already is no reason to stop; nor is a lack of descriptors, which passes.
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                let call = stream.local_addr().ok().and_then(|local| network.call_at(local.ip()));
                let (serving, network) = (stopped.clone(), network.clone());
                let tasks = network.inner.tasks.clone();
                tasks.spawn(async move {
                    tokio::select! {
                        () = serving.cancelled() => {}
                        () = network.serve(stream, call) => {}
                    }
                    drop(permit);
                });
            }
        };
        let cancelled = stop.clone();
        self.inner.tasks.spawn_on(
            async move {
                tokio::select! {
                    () = cancelled.cancelled() => {}
                    () = accepting => {}
                }
            },
            &self.inner.runtime,
        );
        Ok(Served { port, _stop: stop.drop_guard() })
    }

    /// Serves one client that came to one of the proxy's addresses, beside the others, once there is room for it.
    pub fn take_in<S>(&self, stream: S, at: IpAddr)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (network, call) = (self.clone(), self.call_at(at));
        let serving = async move {
            let stop = network.inner.stop.clone();
            let serving = async {
                // It is never closed.
                let _permit = Arc::clone(&network.inner.room).acquire_owned().await;
                network.serve(stream, call).await;
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = serving => {}
            }
        };
        self.inner.tasks.spawn_on(serving, &self.inner.runtime);
    }

    /// Serves one client to the end, whatever its stream is made of. `call` is the call whose command it is.
    pub async fn serve<S>(&self, stream: S, call: Option<CallId>)
    where
        S: AsyncRead + AsyncWrite + Send,
    {
        proxy::serve(self, stream, call).await;
    }

    /// Where the commands of a call find the proxy, on the loopback that they have to themselves: each at another
    /// address, so that their connections can be told apart. That is for the book, and no border: commands of one
    /// session are not kept from one another.
    #[must_use]
    pub fn lease(&self, call: Option<&CallId>) -> Ipv4Addr {
        let [.., a, b, c] = uuid::Uuid::now_v7().into_bytes();
        let address = match call {
            Some(_) => Ipv4Addr::new(127, a | 1, b, c.clamp(1, 254)),
            None => Ipv4Addr::LOCALHOST,
        };
        if let Some(call) = call {
            let mut leases = lock(&self.inner.leases);
            leases.truncate(LEASES - 1);
            leases.push_front((address, call.clone()));
        }
        address
    }

    /// The call whose commands were told this address.
    #[must_use]
    pub fn call_at(&self, address: IpAddr) -> Option<CallId> {
        lock(&self.inner.leases).iter().find(|(leased, _)| *leased == address).map(|(_, call)| call.clone())
    }

    /// The environment of a command that finds the proxy there.
    #[must_use]
    pub fn vars(&self, mut env: Vars, proxy: SocketAddr) -> Vars {
        let mut set = |name: &str, value: &str| {
            env.retain(|(old, _)| old != name);
            env.push((name.into(), OsString::from(value)));
        };
        let url = format!("http://{proxy}");
        for name in PROXY_VARIABLES {
            set(name, &url);
        }
        // What is inside is reached directly; where this machine's own loopback is listed, its address means that.
        let outside = self.inner.rules.allow.iter().any(Pattern::is_loopback);
        let direct = if outside { "localhost" } else { "localhost,127.0.0.1,::1" };
        set("NO_PROXY", direct);
        set("no_proxy", direct);
        // Node reads the others only then.
        set("NODE_USE_ENV_PROXY", "1");
        env.retain(|(name, _)| name != super::env::NETWORK_DISABLED);
        env
    }

    /// What can be reached, in a part of a sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        let listed = &self.inner.rules.allow;
        let first: Vec<String> = listed.iter().take(DESCRIBED).map(ToString::to_string).collect();
        match (listed.len().saturating_sub(first.len()), first.is_empty()) {
            (_, true) => "no network but through a proxy, to hosts that the user allows".to_owned(),
            (0, false) => format!("network only through a proxy and to {}", first.join(", ")),
            (more, false) => {
                format!("network only through a proxy and to {}, and {more} more hosts", first.join(", "))
            }
        }
    }

    /// What the result of a call is to say of connections that did not come about. Said once.
    #[must_use]
    pub fn refusals(&self, call: Option<&CallId>) -> Vec<String> {
        lock(&self.inner.ledger).refusals(call)
    }

    /// Whether a connection may be made; why not, for the command to read.
    async fn admit(&self, target: &Target, call: Option<&CallId>) -> Result<(), String> {
        match self.inner.rules.judge(target) {
            Ruling::Allowed => return Ok(()),
            Ruling::Denied(reason) => return Err(reason),
            Ruling::Unlisted => {}
        }
        let unlisted = || "it is in no list of allowed hosts (network.allow)".to_owned();
        let Some(desk) = &self.inner.desk else { return Err(unlisted()) };
        let number = self.inner.questions.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let question = Question { number, target: target.clone(), call: call.cloned(), answer };
        if desk.send(Report::Asked(question)).is_err() {
            return Err(unlisted());
        }
        let _waiting = Waiting { desk, number };
        match timeout(LONGEST_QUESTION, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(unlisted()),
            Err(_) => Err("nobody answered in time whether it may be reached".to_owned()),
        }
    }

    fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    fn resolver(&self) -> &dyn Resolve {
        &*self.inner.resolver
    }

    fn book(&self) -> Book {
        let network = self.clone();
        Arc::new(move |connection| network.ended(connection))
    }

    fn ended(&self, connection: Connection) {
        let told = lock(&self.inner.ledger).ended(connection, Instant::now());
        for connection in told {
            // Without somebody who takes them they are told in results alone.
            let _ = self.inner.desk.as_ref().map(|desk| desk.send(Report::Ended(connection)));
        }
    }
}

/// A connection that waits for an answer, and tells when it does not any more, whether it got one or not.
struct Waiting<'a> {
    desk: &'a mpsc::UnboundedSender<Report>,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Whoever does not listen does not ask either.
        let _ = self.desk.send(Report::Withdrawn(self.number));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
