//! The `OpenAI` Responses wire.
//!
//! The whole conversation goes out with every request (`store: false`), in bytes that only ever grow at their
//! end, so that the provider's cache hits. Nothing is kept at the provider.

pub mod decode;
pub mod encode;

use std::sync::{Mutex, PoisonError};

use futures::stream::BoxStream;

use self::{decode::Decoder, encode::Encoder};
use super::{Chunk, Model, ModelError, Prompt, http::Http, stream};

/// A model behind the Responses API.
pub struct Responses {
    http: Http,
    /// What is encoded already. It only saves work: any two conversations may take turns.
    encoder: Mutex<Encoder>,
}

impl Responses {
    /// A model at this host.
    #[must_use]
    pub fn new(http: Http) -> Self {
        Self { http, encoder: Mutex::default() }
    }

    fn encode(&self, prompt: &Prompt) -> bytes::Bytes {
        let lock = || self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out, so that a panic leaves nothing half-made behind.
        let mut encoder = std::mem::take(&mut *lock());
        let body = encoder.request(prompt);
        *lock() = encoder;
        body
    }
}

#[async_trait::async_trait]
impl Model for Responses {
    async fn respond(
        &self,
        prompt: &Prompt,
    ) -> Result<BoxStream<'static, Result<Chunk, ModelError>>, ModelError> {
        let body = self.encode(prompt);
        let answer = self.http.post("responses", body).await?;
        let decoder = Decoder::new(self.http.host());
        stream::answer(answer, self.http.host(), decoder, self.http.secrets()).await
    }
}
