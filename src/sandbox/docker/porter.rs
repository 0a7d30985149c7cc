//! The porter: a small program of ours in a container, which carries connections of commands to the proxy here.
//!
//! It needs nothing of the image and no network of the engine: connections to the loopback inside go over its standard
//! streams, which lead here however far away the engine is. Both sides say pieces with a head of eight bytes: a kind,
//! the generation and the number of a connection, and a length.
//!
//! | kind | says |
//! |---|---|
//! | `H` | the porter: it listens, at the port that follows |
//! | `O` | the porter: a connection came, to the address that follows |
//! | `D` | bytes of a connection |
//! | `C` | so many bytes (in the place of the length) were taken, and as many more may come |
//! | `E` | no more comes in this direction |
//! | `S` | no more is taken |
//!
//! A connection is over when each side has said `E`. What is said of it after that bears an old generation, and is
//! nobody's. The program itself is `assets/docker/porter.rs`.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use bollard::Docker;
use futures::future::join;
use tokio::{
    io::{
        AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadHalf, duplex, split,
    },
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    container::PORTER,
    endpoint::Endpoint,
    hijack::{self, Attached, Frames, Which},
};
use crate::sandbox::network::Network;

/// For the machines that this program is made for; empty where it could not be compiled.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/porter"));

/// Bytes of one direction of a connection that are on their way at once. The other side knows it too.
const WINDOW: usize = 64 << 10;
/// Bytes of one piece at most.
const PIECE: usize = 16 << 10;
const HEAD: usize = 8;
/// Pieces that wait to be sent.
const BACKLOG: usize = 64;
/// How long the porter may take to come.
const LIMIT: Duration = Duration::from_secs(20);

/// What it says last when it has tried everything.
const TRIED: &str = "tried";

const HELLO: u8 = b'H';
const OPEN: u8 = b'O';
const DATA: u8 = b'D';
const CREDIT: u8 = b'C';
const END: u8 = b'E';
const STOP: u8 = b'S';

/// A porter that is there.
#[derive(Debug)]
pub(super) struct Porter {
    /// Where it listens, if it carries connections.
    pub(super) port: Option<u16>,
    /// Cancelled when it does not any more.
    over: CancellationToken,
    _stop: DropGuard,
}

impl Porter {
    /// Brings the porter into a container, and has it carry connections to `network`, if there is one.
    pub(super) async fn start(
        docker: &Docker,
        endpoint: &Endpoint,
        container: &str,
        network: Option<&Network>,
    ) -> io::Result<Self> {
        let coming = async {
            let attached = bring(docker, endpoint, container, network.map_or("", |_| "serve")).await?;
            let mut heard = Heard::new(Frames::new(attached.output, false));
            let mut input = attached.input;
            let over = CancellationToken::new();
            let Some(network) = network else {
                input.shutdown().await?;
                return match heard.next().await? {
                    None if heard.said.is_empty() => {
                        Ok(Self { port: None, _stop: over.clone().drop_guard(), over })
                    }
                    _ => Err(heard.failed()),
                };
            };
            let port = match heard.next().await? {
                Some(Piece { kind: HELLO, bytes, .. }) => {
                    bytes.iter().fold(0, |port, byte| port << 8 | u16::from(*byte))
                }
                _ => return Err(heard.failed()),
            };
            let (network, stop) = (network.clone(), over.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = serve(heard, input, &network, &stop) => {}
                }
                // Connections end with who carries them.
                stop.cancel();
            });
            Ok(Self { port: Some(port), _stop: over.clone().drop_guard(), over })
        };
        timeout(LIMIT, coming).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Whether it is gone: somebody killed it.
    pub(super) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }
}

/// Why there can be no porter on a machine of this architecture (as the engine calls it).
pub(super) fn missing(architecture: &str) -> Option<String> {
    let there = match architecture {
        "arm64" => "aarch64",
        "amd64" => "x86_64",
        other => other,
    };
    let here = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };
    if PROGRAM.is_empty() {
        return Some("its helper in containers was left out when this program was built".into());
    }
    (!there.is_empty() && there != here)
        .then(|| format!("the engine's machine is {there}, and this program is for {here}"))
}

/// What the porter can do in a container that it should not be able to.
pub(super) async fn attack(docker: &Docker, endpoint: &Endpoint, container: &str) -> io::Result<Vec<String>> {
    let trying = async {
        let attached = bring(docker, endpoint, container, "try").await?;
        let mut output = Frames::new(attached.output, false);
        let (mut said, mut wrong) = (Vec::new(), Vec::new());
        while let Some((which, piece)) = output.next().await? {
            let to = if which == Which::Out { &mut said } else { &mut wrong };
            if to.len() < PIECE {
                to.extend_from_slice(piece);
            }
        }
        let lines = String::from_utf8_lossy(&said).into_owned();
        let mut lines: Vec<String> = lines.lines().map(str::to_owned).collect();
        // What did not come to its end has tried nothing.
        match lines.pop() {
            Some(last) if last == TRIED => Ok(lines),
            _ => Err(failed(&wrong)),
        }
    };
    timeout(LIMIT, trying).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// A command in the container that takes the program in, and becomes it in a role, if there is one.
async fn bring(docker: &Docker, endpoint: &Endpoint, container: &str, role: &str) -> io::Result<Attached> {
    let then = if role.is_empty() { String::new() } else { format!("&& exec ./porter {role}") };
    let script = format!(
        "cd {PORTER} && rm -f porter && head -c {} >porter && chmod 755 porter {then}",
        PROGRAM.len()
    );
    let mut attached = hijack::run_script(docker, endpoint, container, &script).await?;
    attached.input.write_all(PROGRAM).await?;
    attached.input.flush().await?;
    Ok(attached)
}

fn failed(said: &[u8]) -> io::Error {
    let said = String::from_utf8_lossy(said);
    io::Error::other(format!("its helper did not start in the container: {}", said.trim()))
}

/// What one piece says.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    kind: u8,
    /// Its generation and its number.
    of: [u8; 3],
    /// Of a credit, and of nothing else.
    credit: usize,
    bytes: Vec<u8>,
}

/// What the porter says, taken apart.
struct Heard<R> {
    frames: Frames<R>,
    bytes: Vec<u8>,
    /// In words, on its standard error.
    said: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Heard<R> {
    fn new(frames: Frames<R>) -> Self {
        Self { frames, bytes: Vec::new(), said: Vec::new() }
    }

    /// The next piece; nothing at the end. Not to be dropped in the middle.
    async fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if let Some((piece, used)) = first(&self.bytes)? {
                self.bytes.drain(..used);
                return Ok(Some(piece));
            }
            match self.frames.next().await? {
                Some((Which::Out, bytes)) => self.bytes.extend_from_slice(bytes),
                Some((Which::Err, bytes)) if self.said.len() < PIECE => self.said.extend_from_slice(bytes),
                Some((Which::Err, _)) => {}
                None => return Ok(None),
            }
        }
    }

    fn failed(&self) -> io::Error {
        failed(&self.said)
    }
}

/// The first piece, if it is whole, and its length.
fn first(bytes: &[u8]) -> io::Result<Option<(Piece, usize)>> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let [kind, generation, high, low, length @ ..] = *head;
    let length = u32::from_be_bytes(length) as usize;
    let of = [generation, high, low];
    if kind == CREDIT {
        return Ok(Some((Piece { kind, of, credit: length, bytes: Vec::new() }, HEAD)));
    }
    if length > PIECE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(rest.get(..length).map(|bytes| (Piece { kind, of, credit: 0, bytes: bytes.to_vec() }, HEAD + length)))
}

fn piece(kind: u8, of: [u8; 3], length: usize) -> Vec<u8> {
    let [generation, high, low] = of;
    let mut piece = vec![kind, generation, high, low];
    piece.extend(u32::try_from(length).unwrap_or(0).to_be_bytes());
    piece
}

/// A connection, as who hears the porter knows it.
struct Carried {
    /// Takes what the client says. Bounded by what the porter was allowed to say.
    said: Option<mpsc::UnboundedSender<Vec<u8>>>,
    /// Bytes that the client takes.
    credit: Arc<Semaphore>,
    stop: CancellationToken,
}

/// Carries all connections, until the porter is gone.
async fn serve<R, W>(mut heard: Heard<R>, mut input: W, network: &Network, stop: &CancellationToken)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (say, mut pieces) = mpsc::channel::<Vec<u8>>(BACKLOG);
    let saying = async {
        while let Some(mut piece) = pieces.recv().await {
            // What waits goes along.
            while let Ok(more) = pieces.try_recv() {
                piece.extend(more);
            }
            if input.write_all(&piece).await.is_err() || input.flush().await.is_err() {
                return;
            }
        }
    };
    let hearing = async {
        let mut all: HashMap<[u8; 3], Carried> = HashMap::new();
        while let Ok(Some(Piece { kind, of, credit, bytes })) = heard.next().await {
            match kind {
                OPEN => {
                    let address: [u8; 4] = bytes.try_into().unwrap_or_default();
                    // The place had others before.
                    all.retain(|[_, high, low], _| [*high, *low] != of[1..]);
                    let (near, far) = duplex(WINDOW);
                    network.take_in(near, IpAddr::V4(Ipv4Addr::from(address)));
                    let (said, saying) = mpsc::unbounded_channel();
                    let carried = Carried {
                        said: Some(said),
                        credit: Arc::new(Semaphore::new(WINDOW)),
                        stop: stop.child_token(),
                    };
                    tokio::spawn(carry(
                        far,
                        of,
                        saying,
                        Arc::clone(&carried.credit),
                        carried.stop.clone(),
                        say.clone(),
                    ));
                    all.insert(of, carried);
                }
                _ => {
                    let Some(carried) = all.get_mut(&of) else { continue };
                    match kind {
                        DATA => {
                            // Whoever does not hear any more has said so.
                            let _ = carried.said.as_ref().map(|said| said.send(bytes));
                        }
                        CREDIT => carried.credit.add_permits(credit.min(WINDOW)),
                        END => carried.said = None,
                        STOP => carried.stop.cancel(),
                        _ => return,
                    }
                }
            }
        }
    };
    tokio::select! {
        () = saying => {}
        () = hearing => {}
    }
}

/// Carries one connection: what its client said, and what is said to it.
async fn carry(
    far: DuplexStream,
    of: [u8; 3],
    mut said: mpsc::UnboundedReceiver<Vec<u8>>,
    credit: Arc<Semaphore>,
    stop: CancellationToken,
    say: mpsc::Sender<Vec<u8>>,
) {
    let (mut from, mut to) = split(far);
    let inward = async {
        while let Some(bytes) = said.recv().await {
            let words = match to.write_all(&bytes).await {
                Ok(()) => piece(CREDIT, of, bytes.len()),
                Err(_) => piece(STOP, of, 0),
            };
            let goes_on = words.first() == Some(&CREDIT);
            if say.send(words).await.is_err() || !goes_on {
                return;
            }
        }
        // Who has gone needs not hear it.
        let _ = to.shutdown().await;
    };
    let outward = async {
        let mut buffer = vec![0; PIECE];
        while let Some(count) = next(&mut from, &mut buffer, &credit).await {
            let mut words = piece(DATA, of, count);
            words.extend_from_slice(buffer.get(..count).unwrap_or_default());
            if say.send(words).await.is_err() {
                return;
            }
        }
        // What was refused is heard as an end, also by who goes on speaking.
        let _ = say.send(piece(END, of, 0)).await;
    };
    tokio::select! {
        _ = join(inward, outward) => {}
        () = stop.cancelled() => {
            let _ = say.send(piece(END, of, 0)).await;
        }
    }
}

/// Reads as much as the client takes; nothing at the end.
async fn next(from: &mut ReadHalf<DuplexStream>, buffer: &mut [u8], credit: &Semaphore) -> Option<usize> {
    let least = credit.acquire().await.ok()?;
    let more = credit.available_permits().min(buffer.len() - 1);
    let more = credit.try_acquire_many(u32::try_from(more).ok()?).ok()?;
    let most = 1 + more.num_permits();
    least.forget();
    more.forget();
    let count = from.read(buffer.get_mut(..most)?).await.ok()?;
    credit.add_permits(most - count);
    (count > 0).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_are_put_together_however_they_are_cut() {
        let whole = [&piece(OPEN, [1, 0, 2], 4)[..], &[127, 0, 0, 9], &piece(CREDIT, [1, 0, 2], 70_000), b""]
            .concat();
        for size in 1..=whole.len() {
            let framed: Vec<u8> = whole
                .chunks(size)
                .flat_map(|chunk| {
                    let length = u8::try_from(chunk.len()).unwrap();
                    [&[1, 0, 0, 0, 0, 0, 0, length], chunk].concat()
                })
                .collect();
            let mut heard = Heard::new(Frames::new(&framed[..], false));
            let open = Piece { kind: OPEN, of: [1, 0, 2], credit: 0, bytes: vec![127, 0, 0, 9] };
            let credit = Piece { kind: CREDIT, of: [1, 0, 2], credit: 70_000, bytes: Vec::new() };
            assert_eq!(heard.next().await.unwrap(), Some(open), "{size}");
            assert_eq!(heard.next().await.unwrap(), Some(credit), "{size}");
            assert_eq!(heard.next().await.unwrap(), None);
        }
        assert!(first(&piece(DATA, [0; 3], PIECE + 1)).is_err());
    }

    #[test]
    fn engines_name_machines_in_their_own_way() {
        let (same, other) =
            if cfg!(target_arch = "aarch64") { ("arm64", "x86_64") } else { ("amd64", "aarch64") };
        assert_eq!(missing(same), None);
        assert!(missing(other).is_some_and(|why| why.contains(other)));
    }
}
