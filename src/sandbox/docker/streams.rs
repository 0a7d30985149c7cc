//! The standard streams of a helper: what a command says goes out, what is typed goes in.

use std::{io, os::fd::BorrowedFd, thread};

use tokio::{
    io::AsyncRead,
    sync::{mpsc, oneshot, watch},
};

use super::{
    hijack::{Frames, Which},
    mirror::{Seen, Words},
};

/// Pieces that wait to be written or sent.
const BACKLOG: usize = 16;
/// Bytes of typed text that are read at once.
const PIECE: usize = 16 << 10;
/// What a terminal makes of the line end that it echoes.
const ECHO: &[u8] = b"\r\n";
/// The longest first line: a number.
const FIRST_LINE: usize = 32;

/// How the output came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Said,
    /// Nobody reads it any more.
    Unread,
}

/// Where what is told beside the output of a command goes.
pub(super) struct Told {
    /// The number of its process group, which is its first line.
    pub(super) group: oneshot::Sender<i32>,
    /// What the porter says of the terminal, which is taken out.
    pub(super) terminal: Option<(Words, watch::Sender<Option<Seen>>)>,
}

/// Carries the output of a command out, to its end.
pub(super) async fn carry_out(output: impl AsyncRead + Unpin, tty: bool, told: Told) -> io::Result<End> {
    let Told { group: greet, mut terminal } = told;
    let (pieces, queue) = mpsc::channel::<(Which, Vec<u8>)>(BACKLOG);
    let writer = thread::Builder::new().name("output".into()).spawn(move || write_all(queue))?;
    let mut frames = Frames::new(output, tty);
    let mut first: Vec<u8> = Vec::new();
    let mut greet = Some(greet);
    let mut skip: &[u8] = if tty { ECHO } else { &[] };
    while let Some((which, piece)) = frames.next().await? {
        let mut piece = match &mut terminal {
            Some((words, show)) => {
                let (plain, seen) = words.take(piece);
                if seen.is_some() {
                    show.send_replace(seen);
                }
                plain
            }
            None => piece.to_vec(),
        };
        // The two streams come in any order.
        if greet.is_some() && which == Which::Out {
            first.append(&mut piece);
            let end = first.iter().position(|byte| *byte == b'\n');
            if end.is_none() && first.len() <= FIRST_LINE {
                continue;
            }
            let group = end.and_then(|end| number(first.get(..end)?));
            if let (Some(group), Some(end)) = (group, end) {
                first.drain(..=end);
                if let Some(greet) = greet.take() {
                    // Nobody waits any more when all is over.
                    let _ = greet.send(group);
                }
            } else {
                // Not our script: what could not be started says why.
                greet = None;
                skip = &[];
            }
            piece = std::mem::take(&mut first);
        }
        while let (Some(expected), Some(found)) = (skip.first(), piece.first())
            && expected == found
        {
            skip = skip.get(1..).unwrap_or_default();
            piece.remove(0);
        }
        if !piece.is_empty() && pieces.send((which, piece)).await.is_err() {
            return Ok(End::Unread);
        }
    }
    if let Some(rest) = terminal.map(|(mut words, _)| words.finish()).filter(|rest| !rest.is_empty()) {
        let _ = pieces.send((Which::Out, rest)).await;
    }
    if !first.is_empty() {
        let _ = pieces.send((Which::Err, first)).await;
    }
    drop(pieces);
    tokio::task::spawn_blocking(move || writer.join()).await.map_err(io::Error::other)?.ok();
    Ok(End::Said)
}

fn number(line: &[u8]) -> Option<i32> {
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}

/// Writes until nothing more comes. Who reads us may have gone: the rest is then nobody's.
fn write_all(mut queue: mpsc::Receiver<(Which, Vec<u8>)>) {
    while let Some((which, bytes)) = queue.blocking_recv() {
        let stream = match which {
            Which::Out => rustix::stdio::stdout(),
            Which::Err => rustix::stdio::stderr(),
        };
        if write(stream, &bytes).is_err() {
            return;
        }
    }
}

fn write(stream: BorrowedFd<'_>, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(stream, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What is typed, or comes through a pipe. A thread of its own reads it, which may wait for ever: it ends with the
/// process.
pub(super) struct Typed {
    pieces: mpsc::Receiver<Vec<u8>>,
}

impl Typed {
    pub(super) fn start() -> Self {
        let (send, pieces) = mpsc::channel(BACKLOG);
        let read = move || {
            let mut buffer = vec![0; PIECE];
            loop {
                match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
                    Ok(count @ 1..) => {
                        let piece = buffer.get(..count).unwrap_or_default().to_vec();
                        if send.blocking_send(piece).is_err() {
                            return;
                        }
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Ok(_) | Err(_) => return,
                }
            }
        };
        // Without the thread the sender is gone, which is the end of all input.
        let _ = thread::Builder::new().name("input".into()).spawn(read);
        Self { pieces }
    }

    /// The next piece; nothing at the end. Waits for ever when there is no input.
    pub(super) async fn next(typed: &mut Option<Self>) -> Option<Vec<u8>> {
        match typed {
            Some(typed) => typed.pieces.recv().await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_number_on_a_line() {
        assert_eq!(number(b"123"), Some(123));
        assert_eq!(number(b"123\r"), Some(123));
        assert_eq!(number(b"sh: not found"), None);
    }
}
