//! Ollama's own wire, `/api/chat`.
//!
//! Its compatible endpoint cuts a conversation without a word when the model was loaded with a smaller window; here the
//! window is asked for with each request (`num_ctx`). Answers are lines of JSON.

pub mod decode;
pub mod encode;

use futures::stream::BoxStream;

use self::{decode::Decoder, encode::Encoder};
use super::{Chunk, Model, ModelError, Prompt, freeform, grown::Kept, http::Http, stream};

/// A model behind Ollama's API.
pub struct Ollama {
    http: Http,
    voice: Voice,
    encoder: Kept<Encoder>,
}

/// What has to be known of the model beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// Tokens of a request and its answer together: the model is loaded with a window of this size.
    pub window: u64,
    /// Tokens of an answer at most, where that is set.
    pub output: Option<u64>,
    /// The model takes pictures.
    pub images: bool,
}

impl Ollama {
    /// A model at this host, of which so much is known.
    #[must_use]
    pub fn new(http: Http, voice: Voice) -> Self {
        Self { http, voice, encoder: Kept::default() }
    }
}

#[async_trait::async_trait]
impl Model for Ollama {
    async fn respond(
        &self,
        prompt: &Prompt,
    ) -> Result<BoxStream<'static, Result<Chunk, ModelError>>, ModelError> {
        let fresh = || Encoder::new(self.voice.clone());
        let body = self.encoder.with(fresh, |encoder| encoder.request(prompt));
        let known = prompt.items.iter().chain(&prompt.kept).filter_map(|item| item.call().cloned());
        let decoder = Decoder::new(self.http.host(), known.collect(), freeform::names(&prompt.tools));
        let answer = self.http.post("api/chat", body).await?;
        stream::answer(answer, self.http.host(), decoder, self.http.secrets()).await
    }
}
