//! The Anthropic Messages wire.
//!
//! What the model thinks comes signed, and goes back as it came. Where the provider's cache pays is marked: behind what
//! never changes, and at the end of the conversation.

pub mod decode;
pub mod encode;

use futures::stream::BoxStream;

use self::{decode::Decoder, encode::Encoder};
use super::{Chunk, Model, ModelError, Prompt, freeform, grown::Kept, http::Http, stream};

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
    /// Whether the model takes pictures.
    images: bool,
    encoder: Kept<Encoder>,
}

impl Anthropic {
    /// A model at this host, whose answers have so many tokens at most.
    #[must_use]
    pub fn new(http: Http, output: u64) -> Self {
        Self { http, output, encoder: Kept::default(), images: true }
    }

    /// The same for a model that takes pictures, or does not.
    #[must_use]
    pub fn with_images(self, images: bool) -> Self {
        Self { images, ..self }
    }
}

#[async_trait::async_trait]
impl Model for Anthropic {
    async fn respond(
        &self,
        prompt: &Prompt,
    ) -> Result<BoxStream<'static, Result<Chunk, ModelError>>, ModelError> {
        let fresh = || Encoder::new(self.output).with_images(self.images);
        let body = self.encoder.with(fresh, |encoder| encoder.request(prompt));
        let decoder = Decoder::new(self.http.host(), freeform::names(&prompt.tools));
        let answer = self.http.post("messages", body).await?;
        stream::answer(answer, self.http.host(), decoder, self.http.secrets()).await
    }
}
