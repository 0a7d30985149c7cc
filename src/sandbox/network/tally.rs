//! What one connection comes to: how far it got, and how many bytes went each way. It is told when it is dropped,
//! however that comes about.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use crate::protocol::{CallId, Connection, Passage};

use super::host::Target;

/// How long nothing may be said in either direction.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// Takes a connection that is over.
pub(super) type Book = Arc<dyn Fn(Connection) + Send + Sync>;

/// One connection.
pub(super) struct Tally {
    book: Book,
    host: String,
    port: u16,
    call: Option<CallId>,
    passage: Mutex<Passage>,
    sent: AtomicU64,
    received: AtomicU64,
}

/// Where bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To the host.
    Out,
    /// To the command.
    In,
}

impl Tally {
    pub(super) fn new(book: Book, target: &Target, call: Option<CallId>) -> Self {
        Self::of(book, target.host.to_string(), target.port, call)
    }

    /// Of a connection to nobody knows whom. What the command wrote is not repeated.
    pub(super) fn nameless(book: Book, call: Option<CallId>) -> Self {
        Self::of(book, "(unreadable)".to_owned(), 0, call)
    }

    fn of(book: Book, host: String, port: u16, call: Option<CallId>) -> Self {
        let passage = Passage::Failed { reason: "the command did not wait for it".to_owned() };
        Self { book, host, port, call, passage: passage.into(), sent: 0.into(), received: 0.into() }
    }

    pub(super) fn became(&self, passage: Passage) {
        *self.passage.lock().unwrap_or_else(PoisonError::into_inner) = passage;
    }

    /// Writes, and counts what was written.
    pub(super) async fn write<W: AsyncWrite + Unpin>(
        &self,
        to: &mut W,
        bytes: &[u8],
        way: Way,
    ) -> io::Result<()> {
        timeout(IDLE, to.write_all(bytes)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let counter = if way == Way::Out { &self.sent } else { &self.received };
        counter.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    /// Passes on whatever comes, to its end or until nobody says anything any more.
    pub(super) async fn copy<R, W>(&self, from: &mut R, to: &mut W, way: Way) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut piece = vec![0; 32 * 1024];
        loop {
            let before = self.total();
            match timeout(IDLE, from.read(&mut piece)).await {
                Ok(Ok(0)) => return to.shutdown().await,
                Ok(read) => self.write(to, piece.get(..read?).unwrap_or_default(), way).await?,
                // The other direction is alive.
                Err(_) if self.total() != before => {}
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    fn total(&self) -> u64 {
        self.sent.load(Relaxed) + self.received.load(Relaxed)
    }

    #[cfg(test)]
    pub(super) fn unseen() -> Self {
        Self::nameless(Arc::new(|_| {}), None)
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let passage = self.passage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.book)(Connection {
            host: std::mem::take(&mut self.host),
            port: self.port,
            call: self.call.take(),
            passage,
            sent: self.sent.load(Relaxed),
            received: self.received.load(Relaxed),
            count: 1,
        });
    }
}
