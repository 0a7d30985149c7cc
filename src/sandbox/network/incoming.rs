//! What a client says: read as far as somebody wants to understand it, and kept until it is passed on.

use std::{future::pending, io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::timeout,
};

/// How long a client may take for what it has to say first.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;

/// The reading half of a client's stream, with what was read and not taken.
pub(super) struct Incoming<R> {
    pub(super) source: R,
    pub(super) buffer: Vec<u8>,
}

/// Why there is nothing to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silent {
    /// The client has gone.
    Gone,
    /// It says nothing, or too much.
    Wrong(&'static str),
}

impl<R: AsyncRead + Unpin> Incoming<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, buffer: Vec::new() }
    }

    /// Reads on; false at the end.
    pub(super) async fn more(&mut self) -> io::Result<bool> {
        self.buffer.reserve(PIECE);
        Ok(self.source.read_buf(&mut self.buffer).await? > 0)
    }

    /// Reads until `understand` makes something of it, with at most `longest` bytes.
    pub(super) async fn until<T>(
        &mut self,
        longest: usize,
        mut understand: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<T, Silent> {
        let reading = async {
            loop {
                if let Some(understood) = understand(&self.buffer) {
                    return Ok(understood);
                }
                if self.buffer.len() >= longest {
                    return Err(Silent::Wrong("it says too much before it says what it wants"));
                }
                if !matches!(self.more().await, Ok(true)) {
                    return Err(Silent::Gone);
                }
            }
        };
        timeout(PATIENCE, reading).await.unwrap_or(Err(Silent::Wrong("it does not say what it wants")))
    }

    /// Takes the first bytes.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Ends when the client has gone. What it says meanwhile is kept, up to a limit.
    pub(super) async fn gone(&mut self, longest: usize) {
        while self.buffer.len() < longest {
            if !matches!(self.more().await, Ok(true)) {
                return;
            }
        }
        pending::<()>().await;
    }
}
