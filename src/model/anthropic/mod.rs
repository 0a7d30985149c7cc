//! The Anthropic Messages wire.
//!
//! What the model thinks comes signed, and goes back as it came. Where the provider's cache pays is marked: behind what
//! never changes, and at the end of the conversation.

pub mod decode;
pub mod encode;

use std::sync::{Mutex, PoisonError};

use futures::stream::BoxStream;

use self::{decode::Decoder, encode::Encoder};
use super::{Chunk, Model, ModelError, Prompt, freeform, http::Http, stream};

/// The version of the API that is spoken here.
pub const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");
/// Where the key goes.
pub const KEY: &str = "x-api-key";
/// Tokens of an answer at most, where the model says nothing else. The API wants a number.
pub const OUTPUT: u64 = 32_000;

/// A model behind the Messages API.
pub struct Anthropic {
    http: Http,
    /// Tokens of an answer at most.
    output: u64,
    /// What is encoded already. It only saves work: any two conversations may take turns.
    encoder: Mutex<Option<Encoder>>,
}

impl Anthropic {
    /// A model at this host, whose answers have so many tokens at most.
    #[must_use]
    pub fn new(http: Http, output: u64) -> Self {
        Self { http, output, encoder: Mutex::default() }
    }

    fn encode(&self, prompt: &Prompt) -> bytes::Bytes {
        let lock = || self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out, so that a panic leaves nothing half-made behind.
        let mut encoder = lock().take().unwrap_or_else(|| Encoder::new(self.output));
        let body = encoder.request(prompt);
        *lock() = Some(encoder);
        body
    }
}

#[async_trait::async_trait]
impl Model for Anthropic {
    async fn respond(
        &self,
        prompt: &Prompt,
    ) -> Result<BoxStream<'static, Result<Chunk, ModelError>>, ModelError> {
        let body = self.encode(prompt);
        let decoder = Decoder::new(self.http.host(), freeform::names(&prompt.tools));
        let answer = self.http.post("messages", body).await?;
        stream::answer(answer, self.http.host(), decoder, self.http.secrets()).await
    }
}
