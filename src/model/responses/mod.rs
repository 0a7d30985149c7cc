//! The `OpenAI` Responses wire.
//!
//! The whole conversation goes out with every request (`store: false`), in bytes that only ever grow at their
//! end, so that the provider's cache hits. Nothing is kept at the provider.

pub mod decode;
pub mod encode;

use std::sync::{Mutex, PoisonError};

use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};

use self::{decode::Decoder, encode::Encoder};
use super::{
    Chunk, Model, ModelError, ModelErrorKind as Kind, Prompt,
    fault::Words,
    http::{Answer, Form, Http},
    sse::EVENT_LIMIT,
    stream::chunks,
};

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
        let Answer { form, bytes } = self.http.post("responses", body).await?;
        let decoder = Decoder::new(self.http.host());
        let secrets = self.http.secrets();
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
                let what = format!(
                    "{} answered with a web page instead of a model's answer: {page}",
                    self.http.host()
                );
                Err(secrets.scrub(ModelError::new(Kind::Garbage, what)))
            }
        }
    }
}

/// All bytes of an answer that is no stream.
async fn whole(
    mut bytes: BoxStream<'static, Result<bytes::Bytes, ModelError>>,
) -> Result<Vec<u8>, ModelError> {
    let mut all = Vec::new();
    while let Some(part) = bytes.next().await {
        let part = part?;
        if all.len() + part.len() > EVENT_LIMIT {
            let what = format!("the server sent a document of more than {} MiB", EVENT_LIMIT >> 20);
            return Err(ModelError::new(Kind::Garbage, what));
        }
        all.extend_from_slice(&part);
    }
    Ok(all)
}
