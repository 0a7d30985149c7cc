//! The Chat Completions wire, which many servers speak, each in its own way.
//!
//! Asks only for what nearly all of them know, and understands what they are known to answer. What differs and has to be
//! known beforehand is a [`Dialect`], set for a provider.

pub mod decode;
pub mod encode;

use futures::stream::BoxStream;

use self::{decode::Decoder, encode::Encoder};
use super::{Chunk, Model, ModelError, Prompt, freeform, grown::Kept, http::Http, stream};

/// In what a provider differs from others on this wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// The field of a message in which the model's reasoning is sent back as text. None: it is not sent back.
    pub reasoning_field: Option<String>,
    /// Ids of calls have to be nine letters or digits.
    pub short_call_ids: bool,
    /// Tokens have to be asked for, with `stream_options`.
    pub ask_usage: bool,
    /// The model takes pictures.
    pub images: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { reasoning_field: None, short_call_ids: false, ask_usage: true, images: true }
    }
}

/// A model behind Chat Completions.
pub struct Chat {
    http: Http,
    dialect: Dialect,
    encoder: Kept<Encoder>,
}

impl Chat {
    /// A model at this host, which speaks like this.
    #[must_use]
    pub fn new(http: Http, dialect: Dialect) -> Self {
        Self { http, dialect, encoder: Kept::default() }
    }
}

#[async_trait::async_trait]
impl Model for Chat {
    async fn respond(
        &self,
        prompt: &Prompt,
    ) -> Result<BoxStream<'static, Result<Chunk, ModelError>>, ModelError> {
        let fresh = || Encoder::new(self.dialect.clone());
        let body = self.encoder.with(fresh, |encoder| encoder.request(prompt));
        let known = prompt.items.iter().chain(&prompt.kept).filter_map(|item| item.call().cloned());
        let decoder = Decoder::new(self.http.host(), known.collect(), freeform::names(&prompt.tools));
        let answer = self.http.post("chat/completions", body).await?;
        stream::answer(answer, self.http.host(), decoder, self.http.secrets()).await
    }
}
