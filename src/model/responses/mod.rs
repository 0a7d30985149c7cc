//! The `OpenAI` Responses wire.
//!
//! The whole conversation goes out with every request (`store: false`), in bytes that only ever grow at their
//! end, so that the provider's cache hits. Nothing is kept at the provider.

pub mod compact;
pub mod decode;
pub mod encode;

use futures::stream::BoxStream;

use self::{decode::Decoder, encode::Encoder};
use super::{Chunk, Model, ModelError, Prompt, Sealed, grown::Kept, http::Http, stream};

/// A model behind the Responses API.
pub struct Responses {
    http: Http,
    encoder: Kept<Encoder>,
    /// Whether the model takes pictures.
    images: bool,
    /// Whether the provider makes conversations smaller itself.
    compacts: bool,
}

impl Responses {
    /// A model at this host.
    #[must_use]
    pub fn new(http: Http) -> Self {
        Self { http, encoder: Kept::default(), images: true, compacts: false }
    }

    /// The same for a model that takes pictures, or does not.
    #[must_use]
    pub fn with_images(self, images: bool) -> Self {
        Self { images, ..self }
    }

    /// The same where the provider itself makes conversations smaller, or does not.
    #[must_use]
    pub fn with_compaction(self, compacts: bool) -> Self {
        Self { compacts, ..self }
    }

    fn encoder(&self) -> Encoder {
        Encoder::new(self.images).at(self.http.host())
    }
}

#[async_trait::async_trait]
impl Model for Responses {
    async fn respond(
        &self,
        prompt: &Prompt,
    ) -> Result<BoxStream<'static, Result<Chunk, ModelError>>, ModelError> {
        let body = self.encoder.with(|| self.encoder(), |encoder| encoder.request(prompt));
        let answer = self.http.post("responses", body).await?;
        let decoder = Decoder::new(self.http.host());
        stream::answer(answer, self.http.host(), decoder, self.http.secrets()).await
    }

    async fn compact(&self, prompt: &Prompt, note: &str) -> Result<Option<Sealed>, ModelError> {
        if !self.compacts {
            return Ok(None);
        }
        // It is none of the conversation whose bytes are kept.
        let answer = self.http.post(compact::PATH, self.encoder().compaction(prompt, note)).await?;
        compact::read(answer, self.http.host()).await.map(Some)
    }
}
