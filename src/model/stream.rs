//! From an answer's bytes to chunks: the loop that every wire with an event stream shares.
//!
//! What an event means is the wire's own business; here is only when to read, when to stop, and that nothing
//! follows an error.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use futures::{
    FutureExt as _, Stream, StreamExt as _,
    stream::{self, BoxStream},
};

use super::{
    Chunk, ModelError,
    http::Secrets,
    sse::{self, Event},
};

/// How long the end of a connection is waited for when the answer is already complete.
const FAREWELL: Duration = Duration::from_millis(100);

/// What a wire does with the events of one answer.
pub trait Decode: Send + 'static {
    /// Reads one event. Chunks that are pushed before an error still count.
    ///
    /// # Errors
    /// When the answer failed, or can't be understood.
    fn event(&mut self, event: &Event, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError>;

    /// What it means that the events ended here.
    fn cut(&mut self) -> ModelError;
}

/// Whether the answer goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    More,
    Done,
}

/// The chunks of an answer.
pub fn chunks<S, D>(bytes: S, decoder: D, secrets: Secrets) -> BoxStream<'static, Result<Chunk, ModelError>>
where
    S: Stream<Item = Result<Bytes, ModelError>> + Send + Unpin + 'static,
    D: Decode,
{
    let reading = Reading {
        events: Some(sse::events(bytes, sse::EVENT_LIMIT)),
        decoder,
        secrets,
        chunks: VecDeque::new(),
        error: None,
    };
    stream::unfold(reading, async |mut reading| {
        let next = reading.next().await?;
        Some((next, reading))
    })
    .boxed()
}

/// The chunks of an answer that is there as a whole, and the error that it ended with.
#[must_use]
pub fn read<D: Decode>(bytes: &[u8], mut decoder: D) -> (Vec<Chunk>, Option<ModelError>) {
    let mut chunks = VecDeque::new();
    let bytes = stream::iter([Ok(Bytes::copy_from_slice(bytes))]);
    let events = sse::events(bytes, usize::MAX).collect::<Vec<_>>().now_or_never();
    for event in events.into_iter().flatten() {
        match event.and_then(|event| decoder.event(&event, &mut chunks)) {
            Ok(Flow::More) => {}
            Ok(Flow::Done) => return (chunks.into(), None),
            Err(error) => return (chunks.into(), Some(error)),
        }
    }
    let cut = decoder.cut();
    (chunks.into(), Some(cut))
}

struct Reading<E, D> {
    /// Gone when there is nothing more to read.
    events: Option<E>,
    decoder: D,
    secrets: Secrets,
    chunks: VecDeque<Chunk>,
    /// Comes after the chunks.
    error: Option<ModelError>,
}

impl<E, D> Reading<E, D>
where
    E: Stream<Item = Result<Event, ModelError>> + Unpin,
    D: Decode,
{
    async fn next(&mut self) -> Option<Result<Chunk, ModelError>> {
        loop {
            match self.chunks.pop_front() {
                Some(Chunk::Note(text)) => return Some(Ok(Chunk::Note(self.secrets.scrub_text(text)))),
                Some(chunk) => return Some(Ok(chunk)),
                None => {}
            }
            if let Some(error) = self.error.take() {
                return Some(Err(error));
            }
            let events = self.events.as_mut()?;
            let read = match events.next().await {
                Some(Ok(event)) => self.decoder.event(&event, &mut self.chunks),
                Some(Err(error)) => Err(error),
                None => Err(self.decoder.cut()),
            };
            match read {
                Ok(Flow::More) => {}
                Ok(Flow::Done) => {
                    // A connection is used again only if it was read to its end. What still comes is no part
                    // of the answer.
                    let rest = async { while let Some(Ok(_)) = events.next().await {} };
                    let _ = tokio::time::timeout(FAREWELL, rest).await;
                    self.events = None;
                }
                Err(error) => {
                    self.error = Some(self.secrets.scrub(error));
                    self.events = None;
                }
            }
        }
    }
}
