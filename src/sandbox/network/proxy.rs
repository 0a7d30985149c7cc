//! One connection of a command, from its first byte to its last: read what it wants, have it judged, connect to the
//! address that was checked, and pass on nothing that is for another host.

use std::{future::pending, time::Duration};

use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use super::{
    Network, body,
    head::{self, Head, Wanted},
    hello::{self, Hello},
    host::{Host, Target},
    incoming::{Incoming, Silent},
    socks,
    tally::{Tally, Way},
};
use crate::protocol::{CallId, Passage};

/// How long one address is tried.
const CONNECTING: Duration = Duration::from_secs(10);
const RESOLVING: Duration = Duration::from_secs(15);
/// Bytes of a TLS hello, in its records.
const LONGEST_HELLO: usize = 80 * 1024;
/// Bytes that are kept of a client that waits for a person.
const LONGEST_WAIT: usize = 64 * 1024;

/// "Unrecognized name", as TLS says it.
const ALERT: &[u8] = &[0x15, 3, 3, 0, 2, 2, 112];

/// A client's stream.
struct Client<S> {
    from: Incoming<ReadHalf<S>>,
    to: WriteHalf<S>,
    speaks: Speaks,
}

/// The language that refusals are told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Http,
    Socks,
}

/// Why there is no connection.
enum No {
    Refused(String),
    Failed(String),
}

/// Serves a client to the end.
pub(super) async fn serve<S>(network: &Network, stream: S, call: Option<CallId>)
where
    S: AsyncRead + AsyncWrite + Send,
{
    let (source, to) = split(stream);
    let mut client = Client { from: Incoming::new(source), to, speaks: Speaks::Http };
    let wanted = match client.wanted().await {
        Ok(wanted) => wanted,
        Err(Silent::Gone) => return,
        Err(Silent::Wrong(why)) => {
            let tally = Tally::nameless(network.book(), call);
            tally.became(Passage::Refused { reason: why.to_owned() });
            return client.refuse("400 Bad Request", why, socks::NOT_KNOWN).await;
        }
    };
    let (target, page) = match wanted {
        (Wanted::Tunnel(target), _) => (target, None),
        (Wanted::Page { target, path }, head) => (target, head.map(|head| (head, path))),
    };
    let tally = Tally::new(network.book(), &target, call.clone());
    let admitted = tokio::select! {
        admitted = network.admit(&target, call.as_ref()) => admitted,
        () = client.from.gone(LONGEST_WAIT) => return,
    };
    let connected = match admitted {
        Ok(()) => connect(network, &target).await,
        Err(reason) => Err(No::Refused(reason)),
    };
    let server = match connected {
        Ok(server) => server,
        Err(No::Refused(reason)) => {
            tally.became(Passage::Refused { reason: reason.clone() });
            let text = format!("{target} was refused: {reason}");
            return client.refuse("403 Forbidden by the sandbox", &text, socks::NOT_ALLOWED).await;
        }
        Err(No::Failed(reason)) => {
            tally.became(Passage::Failed { reason: reason.clone() });
            let text = format!("{target} could not be reached: {reason}");
            return client.refuse("502 Bad Gateway", &text, socks::UNREACHABLE).await;
        }
    };
    tally.became(Passage::Passed);
    let (server_from, server_to) = server.into_split();
    let line = Line { network, target: &target, tally: &tally };
    match page {
        Some((head, path)) => line.page(&mut client, server_from, server_to, &head, &path).await,
        None => {
            if client.welcome().await.is_ok() {
                line.tunnel(&mut client, server_from, server_to).await;
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite> Client<S> {
    /// Where it wants to go; with the request for a page.
    async fn wanted(&mut self) -> Result<(Wanted, Option<Head>), Silent> {
        let first = self.from.until(1, |bytes| bytes.first().copied()).await?;
        if first == socks::VERSION {
            self.speaks = Speaks::Socks;
            return self.socks().await.map(|target| (Wanted::Tunnel(target), None));
        }
        let head = self.from.head(None).await?;
        Ok((head.wanted.clone(), Some(head)))
    }

    async fn socks(&mut self) -> Result<Target, Silent> {
        let (used, fits) = self.from.until(socks::LONGEST, socks::greeting).await?;
        self.from.take(used);
        let answer = if fits { socks::GREETED } else { socks::NO_METHOD };
        self.say(&answer).await?;
        if !fits {
            return Err(Silent::Wrong("it wants to authenticate itself, and nobody does here"));
        }
        let (used, target) = self.from.until(socks::LONGEST, socks::request).await?;
        self.from.take(used);
        target.map_err(|error| Silent::Wrong(error.0))
    }

    async fn say(&mut self, bytes: &[u8]) -> Result<(), Silent> {
        self.to.write_all(bytes).await.map_err(|_| Silent::Gone)
    }

    /// The way is free.
    async fn welcome(&mut self) -> Result<(), Silent> {
        match self.speaks {
            Speaks::Http => self.say(b"HTTP/1.1 200 Connection established\r\n\r\n").await,
            Speaks::Socks => self.say(&socks::CONNECTED).await,
        }
    }

    /// Says no, and why, as far as the language has words for it.
    async fn refuse(&mut self, status: &str, why: &str, code: [u8; 10]) {
        // Who has gone needs no answer.
        let _ = match self.speaks {
            Speaks::Http => self.say(&page_of(status, why)).await,
            Speaks::Socks => self.say(&code).await,
        };
        let _ = self.to.shutdown().await;
    }
}

/// A page that says why.
fn page_of(status: &str, why: &str) -> Vec<u8> {
    let text = format!("agent: {why}\n");
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
    .into_bytes()
}

impl<R: AsyncRead + Unpin> Incoming<R> {
    /// Reads and takes the head of a request.
    async fn head(&mut self, tunnel: Option<&Target>) -> Result<Head, Silent> {
        let end = self.until(head::LONGEST, head::end).await?;
        Head::parse(&self.take(end), tunnel).map_err(Silent::Wrong)
    }
}

/// Connects to an address of the target that was looked at, and to no other.
async fn connect(network: &Network, target: &Target) -> Result<TcpStream, No> {
    let addresses = match &target.host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => {
            let found = timeout(RESOLVING, network.resolver().resolve(name)).await;
            match found {
                Ok(Ok(found)) if !found.is_empty() => {
                    network.rules().usable(target, &found).map_err(No::Refused)?
                }
                Ok(Ok(_)) => return Err(No::Failed("it has no address".to_owned())),
                Ok(Err(error)) => return Err(No::Failed(format!("its address is not known: {error}"))),
                Err(_) => return Err(No::Failed("its address was not found in time".to_owned())),
            }
        }
    };
    let mut last = "it has no address".to_owned();
    for address in addresses {
        match timeout(CONNECTING, TcpStream::connect((address, target.port))).await {
            Ok(Ok(stream)) => {
                // Small words are not kept back; where that can't be had, they are.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = "it did not answer in time".to_owned(),
        }
    }
    Err(No::Failed(last))
}

/// What the first words in a tunnel were found to be.
enum Opening {
    /// To be passed on as they are.
    Fine,
    Page(Box<Head>),
}

/// A connection that was made.
struct Line<'a> {
    network: &'a Network,
    target: &'a Target,
    tally: &'a Tally,
}

impl Line<'_> {
    /// Asks for one page. The answer ends with the connection.
    async fn page<S: AsyncRead + AsyncWrite>(
        &self,
        client: &mut Client<S>,
        mut server_from: OwnedReadHalf,
        mut server_to: OwnedWriteHalf,
        head: &Head,
        path: &str,
    ) {
        let asking = async {
            // Without its end the server does not answer, and is waited for no longer than for others.
            let _ = self.ask(&mut client.from, &mut server_to, head, path).await;
            pending::<()>().await;
        };
        tokio::select! {
            () = asking => {}
            // The end of the one or the other is the end.
            _ = self.tally.copy(&mut server_from, &mut client.to, Way::In) => {}
        }
    }

    async fn ask<R: AsyncRead + Unpin>(
        &self,
        from: &mut Incoming<R>,
        to: &mut OwnedWriteHalf,
        head: &Head,
        path: &str,
    ) -> std::io::Result<()> {
        let credential = self.network.rules().credential(self.target, &head.method);
        let credential = credential.map(|known| (known.header.as_str(), known.value.expose_secret()));
        self.tally.write(to, &head.for_server(self.target, path, credential), Way::Out).await?;
        body::forward(head.body, from, to, self.tally).await
    }

    /// Passes on what is said, once its first words have been found to be for the host that was asked for.
    async fn tunnel<S: AsyncRead + AsyncWrite>(
        &self,
        client: &mut Client<S>,
        mut server_from: OwnedReadHalf,
        mut server_to: OwnedWriteHalf,
    ) {
        let Client { from, to, .. } = client;
        let out = async {
            match self.opening(from).await {
                Ok(Opening::Fine) => {
                    let first = std::mem::take(&mut from.buffer);
                    let sent = self.tally.write(&mut server_to, &first, Way::Out).await;
                    if sent.is_ok() {
                        // The answer may come long after the last word.
                        let _ = self.tally.copy(&mut from.source, &mut server_to, Way::Out).await;
                    }
                }
                Ok(Opening::Page(head)) => {
                    if let Wanted::Page { path, .. } = &head.wanted {
                        let _ = self.ask(from, &mut server_to, &head, path).await;
                    }
                }
                Err(Silent::Gone) => {}
                Err(Silent::Wrong(why)) => return why,
            }
            pending().await
        };
        let wrong = tokio::select! {
            wrong = out => wrong,
            _ = self.tally.copy(&mut server_from, to, Way::In) => return,
        };
        self.tally.became(Passage::Refused { reason: wrong.to_owned() });
        let said = from.buffer.first() == Some(&0x16);
        let answer = if said { ALERT.to_vec() } else { page_of("403 Forbidden by the sandbox", wrong) };
        // Who has gone needs no answer.
        let _ = to.write_all(&answer).await;
        let _ = to.shutdown().await;
    }

    /// Looks at the first words. Nothing of them has been passed on.
    async fn opening<R: AsyncRead + Unpin>(&self, from: &mut Incoming<R>) -> Result<Opening, Silent> {
        let usual = matches!(self.target.port, 80 | 443);
        if !usual && from.buffer.is_empty() {
            // On other ports it may be the server that speaks first, and nothing is known of what is spoken.
            from.more().await.map_err(|_| Silent::Gone)?;
        }
        if from.buffer.is_empty() && !usual {
            return Ok(Opening::Fine);
        }
        let read = from
            .until(LONGEST_HELLO, |bytes| match hello::read(bytes) {
                hello::Read::More => None,
                read => Some(read),
            })
            .await?;
        match (read, self.target.port) {
            (hello::Read::Hello(hello), _) => self.is_meant(&hello).map(|()| Opening::Fine),
            (hello::Read::Bad(why), _) => Err(Silent::Wrong(why)),
            (hello::Read::NotTls, 443) => Err(Silent::Wrong("only TLS is spoken on port 443")),
            (_, 80) => Ok(Opening::Page(Box::new(from.head(Some(self.target)).await?))),
            (hello::Read::NotTls | hello::Read::More, _) => Ok(Opening::Fine),
        }
    }

    fn is_meant(&self, hello: &Hello) -> Result<(), Silent> {
        if hello.encrypted {
            return Err(Silent::Wrong("the TLS hello hides which host it is for (ECH)"));
        }
        let server = hello.server.as_deref().map(Host::parse);
        match (server, &self.target.host) {
            (Some(Ok(name)), host) if name == *host => Ok(()),
            // An address has no name to be sent.
            (None, host) if !head::is_name(host) => Ok(()),
            (None, _) => Err(Silent::Wrong("the TLS hello names no host")),
            (Some(_), _) => Err(Silent::Wrong("the TLS hello is for another host")),
        }
    }
}
