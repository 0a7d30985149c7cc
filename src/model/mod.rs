//! Talking to models: one trait, one file a wire.
//!
//! A model turns a prompt into a stream of chunks. It does not retry, does not know the session, and keeps
//! nothing but what makes the next request cheaper.
//!
//! - [`catalog`]: which providers and models there are, and how to open one
//! - [`auth`], [`keyring`], [`token`]: where a provider's key comes from
//! - [`http`], [`sse`], [`lines`], [`stream`], [`text`], [`fault`]: what wires over HTTP share
//! - [`grown`], [`turns`], [`content`], [`freeform`]: what wires share that send a conversation
//! - [`hosted`]: tools that providers run themselves
//! - [`responses`]: the OpenAI Responses wire
//! - [`chat`]: the Chat Completions wire, in its dialects
//! - [`anthropic`]: the Anthropic Messages wire
//! - [`ollama`]: Ollama's own wire
//! - [`listing`], [`measure`], [`found`]: which models there are, what they really do, and what is kept of that
//! - [`record`]: what went over the wire, kept in a file
//! - [`replay`]: a model that answers from a file, also from such a one

pub mod anthropic;
pub mod auth;
pub mod catalog;
pub mod chat;
pub mod content;
pub mod fault;
pub mod found;
pub mod freeform;
pub mod grown;
pub mod hosted;
pub mod http;
pub mod keyring;
pub mod lines;
pub mod listing;
pub mod measure;
pub mod ollama;
pub mod record;
pub mod replay;
pub mod responses;
pub mod sse;
pub mod stream;
pub mod text;
pub mod token;
pub mod turns;

use std::{
    collections::{HashSet, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use futures::stream::BoxStream;
use stream::Flow;

use crate::protocol::{BlobId, CallId, Effort, Item, ToolSpec, Usage, Verbosity};

/// A model behind some wire.
#[async_trait::async_trait]
pub trait Model: Send + Sync {
    /// Asks for one answer. The request is on its way when this returns; chunks follow as they come.
    ///
    /// # Errors
    /// When no answer began. Errors after that are in the stream, which ends with [`Chunk::Finished`] or an error.
    async fn respond(
        &self,
        prompt: &Prompt,
    ) -> Result<BoxStream<'static, Result<Chunk, ModelError>>, ModelError>;

    /// Has the provider itself make something smaller of a conversation, for which `note` says what matters. Nothing
    /// where the wire has no such thing, or is not set to use it.
    ///
    /// # Errors
    /// When the provider can't be reached, refuses, or gives something else.
    async fn compact(&self, prompt: &Prompt, note: &str) -> Result<Option<Sealed>, ModelError> {
        let _ = (prompt, note);
        Ok(None)
    }
}

/// What a provider has made of a conversation, for itself alone to read.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// The host that can read it.
    pub by: String,
    /// It goes back as it is.
    pub item: serde_json::Value,
    pub usage: Option<Usage>,
}

/// All that a request is made of.
#[derive(Clone)]
pub struct Prompt {
    /// The model's name at its provider.
    pub model: String,
    /// Stable name of the conversation, for the provider's prompt cache.
    pub cache_key: String,
    pub effort: Option<Effort>,
    pub verbosity: Option<Verbosity>,
    /// JSON Schema that the answer must follow.
    pub output_schema: Option<serde_json::Value>,
    pub tools: Arc<[ToolSpec]>,
    /// Changes whenever `items` changed otherwise than by growing at its end, so that a wire can keep what it
    /// has encoded.
    pub epoch: u64,
    pub items: Arc<Vec<Arc<Item>>>,
    /// How many items that models made a compaction has left out.
    pub left_out: usize,
    /// Items that an earlier try of this same answer completed before it broke off.
    pub kept: Vec<Arc<Item>>,
    pub blobs: Arc<dyn ReadBlob>,
}

/// Where the bytes of pictures come from.
pub trait ReadBlob: Send + Sync {
    /// The whole content of a blob.
    ///
    /// # Errors
    /// When it can't be read.
    fn read(&self, blob: &BlobId) -> io::Result<Vec<u8>>;
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Chunk {
    /// More text of the message that is being written.
    Text(String),
    /// More of the summary of the reasoning.
    Reasoning(String),
    /// More of the arguments of a call.
    Arguments(String),
    /// A whole item: a message, a reasoning, a call.
    Item(Item),
    /// The answer is good, but something about it should be told to the person.
    Note(String),
    /// The answer is complete.
    Finished { usage: Option<Usage> },
}

/// Why there is no answer, or only a part of one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    pub kind: ModelErrorKind,
    /// For people, with the server's own words. Never holds a key.
    pub message: String,
    pub retry: Retry,
    /// Tokens were counted although the answer failed.
    pub usage: Option<Usage>,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelErrorKind {
    /// No key, or a wrong one (401, 403).
    Auth,
    /// The request itself is wrong (400, 404, 413, 422).
    Request,
    /// Too many requests (429).
    RateLimit,
    /// The server's fault (5xx, `response.failed`).
    Server,
    /// No connection, or it was lost, or nothing came for too long.
    Network,
    /// The conversation does not fit into the model's window.
    ContextWindow,
    /// The answer stopped early, by the provider's decision (`response.incomplete`).
    Incomplete,
    /// The server sent what is not in its protocol.
    Garbage,
    /// This program has a bug.
    Internal,
}

/// Whether to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    No,
    /// After a time of our own choice.
    Backoff,
    /// After the time that the server named.
    After(Duration),
}

/// Before what other wires than [`responses`] seal into a reasoning: the name of the wire. What is sealed there has no
/// such mark, and no colon either.
const MARK: char = ':';

/// Whether what is sealed in a reasoning is of another wire than Responses.
fn is_foreign(sealed: &str) -> bool {
    sealed.contains(MARK)
}

/// Calls in one answer at most.
const CALL_LIMIT: usize = 256;

/// What an answer gives that came as one document: it was not told bit by bit.
fn whole(mut chunks: VecDeque<Chunk>, read: Result<Flow, ModelError>) -> Vec<Result<Chunk, ModelError>> {
    chunks.retain(|chunk| matches!(chunk, Chunk::Item(_) | Chunk::Note(_) | Chunk::Finished { .. }));
    chunks.into_iter().map(Ok).chain(read.err().map(Err)).collect()
}

/// An id that no other call of the conversation has: some servers give none, or count anew with each answer.
fn unique(known: &mut HashSet<CallId>, id: &str) -> CallId {
    let mut id = CallId::from(id);
    while id.as_str().is_empty() || !known.insert(id.clone()) {
        id = CallId(format!("call_{}", uuid::Uuid::new_v4().simple()));
    }
    id
}

impl ModelError {
    /// An error of a kind, to be tried again or not as is usual for that kind.
    pub fn new(kind: ModelErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ModelErrorKind::Auth
            | ModelErrorKind::Request
            | ModelErrorKind::ContextWindow
            | ModelErrorKind::Incomplete
            | ModelErrorKind::Internal => Retry::No,
            ModelErrorKind::RateLimit
            | ModelErrorKind::Server
            | ModelErrorKind::Network
            | ModelErrorKind::Garbage => Retry::Backoff,
        };
        Self { kind, message: message.into(), retry, usage: None }
    }

    /// The same error, to be tried again like this.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

impl ModelErrorKind {
    /// The word for it in logs and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Request => "request",
            Self::RateLimit => "rate_limit",
            Self::Server => "server",
            Self::Network => "network",
            Self::ContextWindow => "context",
            Self::Incomplete => "incomplete",
            Self::Garbage => "garbage",
            Self::Internal => "internal",
        }
    }
}
