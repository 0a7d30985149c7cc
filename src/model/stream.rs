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
    Chunk, ModelError, ModelErrorKind as Kind,
    fault::Words,
    http::{Answer, Form, Secrets},
    lines,
    sse::{self, Event},
};

/// How long the end of a connection is waited for when the answer is already complete.
const FAREWELL: Duration = Duration::from_millis(100);

/// How the events of an answer are told from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Events,
    /// Each line is one.
    Lines,
}

/// What a wire does with the events of one answer.
pub trait Decode: Send + 'static {
    const FRAMING: Framing = Framing::Events;

    /// Reads one event. Chunks that are pushed before an error still count.
    ///
    /// # Errors
    /// When the answer failed, or can't be understood.
    fn event(&mut self, event: &Event, chunks: &mut VecDeque<Chunk>) -> Result<Flow, ModelError>;

    /// What it means that the events ended here.
    ///
    /// # Errors
    /// When the answer was not complete.
    fn ended(&mut self, chunks: &mut VecDeque<Chunk>) -> Result<(), ModelError>;

    /// Reads an answer that came as one document, because the server does not stream.
    fn document(self, bytes: &[u8]) -> Vec<Result<Chunk, ModelError>>;
}

/// The chunks of an answer, in whatever form it comes.
///
/// # Errors
/// When it is none.
pub async fn answer<D: Decode>(
    answer: Answer,
    host: &str,
    decoder: D,
    secrets: Secrets,
) -> Result<BoxStream<'static, Result<Chunk, ModelError>>, ModelError> {
    let Answer { form, bytes } = answer;
    match form {
        Form::Events => Ok(chunks(bytes, decoder, secrets)),
        Form::Json => {
            let document = whole(bytes).await?;
            let chunks = decoder.document(&document).into_iter();
            let scrubbed = chunks.map(move |chunk| match chunk {
                Ok(Chunk::Note(text)) => Ok(Chunk::Note(secrets.scrub_text(text))),
                chunk => chunk.map_err(|error| secrets.scrub(error)),
            });
            Ok(stream::iter(scrubbed).boxed())
        }
        Form::Page => {
            let page = Words::of_body(&whole(bytes).await?).text;
            let what = format!("{host} answered with a web page instead of a model's answer: {page}");
            Err(secrets.scrub(ModelError::new(Kind::Garbage, what)))
        }
    }
}

/// All bytes of an answer that is no stream.
async fn whole(mut bytes: BoxStream<'static, Result<Bytes, ModelError>>) -> Result<Vec<u8>, ModelError> {
    let mut all = Vec::new();
    while let Some(part) = bytes.next().await {
        let part = part?;
        if all.len() + part.len() > sse::EVENT_LIMIT {
            let what = format!("the server sent a document of more than {} MiB", sse::EVENT_LIMIT >> 20);
            return Err(ModelError::new(Kind::Garbage, what));
        }
        all.extend_from_slice(&part);
    }
    Ok(all)
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
        events: Some(events::<S, D>(bytes, sse::EVENT_LIMIT)),
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
    // As a socket gives them.
    let pieces: Vec<_> = bytes.chunks(16 << 10).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let mut events = events::<_, D>(stream::iter(pieces), usize::MAX);
    while let Some(event) = events.next().now_or_never().flatten() {
        match event.and_then(|event| decoder.event(&event, &mut chunks)) {
            Ok(Flow::More) => {}
            Ok(Flow::Done) => return (chunks.into(), None),
            Err(error) => return (chunks.into(), Some(error)),
        }
    }
    let error = decoder.ended(&mut chunks).err();
    (chunks.into(), error)
}

/// The events in the bytes of an answer.
pub fn events<S, D>(bytes: S, limit: usize) -> BoxStream<'static, Result<Event, ModelError>>
where
    S: Stream<Item = Result<Bytes, ModelError>> + Send + Unpin + 'static,
    D: Decode,
{
    match D::FRAMING {
        Framing::Events => sse::events(bytes, limit).boxed(),
        Framing::Lines => lines::events(bytes, limit),
    }
}

struct Reading<D> {
    /// Gone when there is nothing more to read.
    events: Option<BoxStream<'static, Result<Event, ModelError>>>,
    decoder: D,
    secrets: Secrets,
    chunks: VecDeque<Chunk>,
    /// Comes after the chunks.
    error: Option<ModelError>,
}

impl<D: Decode> Reading<D> {
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
                None => match self.decoder.ended(&mut self.chunks) {
                    Ok(()) => {
                        self.events = None;
                        continue;
                    }
                    Err(error) => Err(error),
                },
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
