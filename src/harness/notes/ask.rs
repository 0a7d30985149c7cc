//! One question to the model that makes notes: asked once more where the answer can't be used, paid from the memory's own
//! budget.

use std::{io, sync::Arc};

use futures::StreamExt as _;
use serde_json::Value;

use crate::memory::spent::{Ledger, Phase, Spent};
use crate::model::{Chunk, Model, ModelError, ModelErrorKind as Kind, Prompt, ReadBlob};
use crate::protocol::{BlobId, Content, Context, Item, Usage};

use super::{Notes, Stop};

/// Answers that are asked for, the first one included.
const TRIES: usize = 2;
/// Bytes of an answer: more is no answer.
const LONGEST: usize = 64 << 10;

/// What is asked.
pub(super) struct Asked<'a> {
    pub(super) phase: Phase,
    /// What it is about, for the ledger.
    pub(super) of: String,
    pub(super) instructions: &'a str,
    pub(super) message: &'a str,
    pub(super) schema: Value,
}

/// Why there is nothing to go on with.
pub(super) enum Failure {
    /// The model answers, but not what can be used.
    Answer(String),
    /// Nothing more can be asked.
    Stop(Stop),
}

/// There are no pictures.
struct NoBlobs;

impl ReadBlob for NoBlobs {
    fn read(&self, _: &BlobId) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

impl Notes {
    pub(super) async fn ask<T>(
        &self,
        asked: Asked<'_>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let stop = |problem: String| Failure::Stop(Stop::Problem(problem));
        let memory = |error| Failure::Stop(Stop::Memory(error));
        let ledger = Ledger::new(self.memory.folder());
        let opened = (self.models)(&self.model)
            .map_err(|error| stop(format!("{} can't be asked for notes: {error}", self.model.model)))?;
        let mut items = vec![
            Arc::new(Item::Context { context: Context::System, text: asked.instructions.to_owned() }),
            Arc::new(Item::user(asked.message)),
        ];
        let mut why = String::new();
        for number in 1..=TRIES {
            if let Some(problem) = ledger.exhausted(&self.settings, (self.clock)()).map_err(memory)? {
                return Err(stop(problem));
            }
            let prompt = Prompt {
                model: opened.name.clone(),
                cache_key: "memory".to_owned(),
                effort: self.model.effort,
                verbosity: self.model.verbosity,
                output_schema: Some(asked.schema.clone()),
                tools: Arc::new([]),
                epoch: number as u64,
                items: Arc::new(items.clone()),
                left_out: 0,
                kept: Vec::new(),
                blobs: Arc::new(NoBlobs),
            };
            let (answer, usage) =
                match tokio::time::timeout(self.patience, answer(&*opened.model, &prompt)).await {
                    Ok(answered) => answered,
                    Err(_) => (Err(ModelError::new(Kind::Network, "it took too long")), None),
                };
            // What an answer that never came has cost is not known: its message was sent all the same.
            let sent = (asked.message.len() / 4) as u64;
            let mut usage = usage.unwrap_or(Usage { input: sent, ..Usage::default() });
            usage.cost = usage.cost.or_else(|| self.model.price.map(|price| price.of(&usage)));
            let (at, phase, of, model) =
                ((self.clock)(), asked.phase, asked.of.clone(), self.model.model.clone());
            ledger.add(&Spent { at, phase, of, model, usage }).map_err(memory)?;
            let text = match answer {
                Ok(text) => text,
                Err(error)
                    if matches!(error.kind, Kind::Incomplete | Kind::ContextWindow | Kind::Garbage) =>
                {
                    return Err(Failure::Answer(error.message));
                }
                Err(error) => {
                    return Err(stop(format!("{} can't be asked for notes: {error}", self.model.model)));
                }
            };
            match check(&text) {
                Ok(found) => return Ok(found),
                Err(problem) => why = problem,
            }
            let said: String = text.chars().take(2_000).collect();
            if !said.trim().is_empty() {
                items.push(Arc::new(Item::Assistant { id: None, text: said, partial: false }));
            }
            items.push(Arc::new(Item::User {
                content: vec![Content::text(format!(
                    "That can't be used: {why}. Answer with the JSON object alone."
                ))],
                input: None,
            }));
        }
        Err(Failure::Answer(why))
    }
}

/// The text of an answer, and what it has used.
async fn answer(model: &dyn Model, prompt: &Prompt) -> (Result<String, ModelError>, Option<Usage>) {
    let mut stream = match model.respond(prompt).await {
        Ok(stream) => stream,
        Err(error) => {
            // Nothing was read of it, so nothing is paid, unless it says so.
            let usage = error.usage.unwrap_or_default();
            return (Err(error), Some(usage));
        }
    };
    let (mut said, mut bytes) = (Vec::new(), 0);
    loop {
        match stream.next().await {
            Some(Ok(Chunk::Item(Item::Assistant { text, .. }))) => said.push(text),
            Some(Ok(Chunk::Text(part))) => {
                bytes += part.len();
                if bytes > LONGEST {
                    return (Err(ModelError::new(Kind::Incomplete, "the answer was too long")), None);
                }
            }
            Some(Ok(Chunk::Finished { usage })) => {
                let said = said.join("\n");
                if said.len() > LONGEST {
                    return (Err(ModelError::new(Kind::Incomplete, "the answer was too long")), usage);
                }
                return (Ok(said), usage);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let usage = error.usage;
                return (Err(error), usage);
            }
            None => return (Err(ModelError::new(Kind::Network, "the answer just stopped")), None),
        }
    }
}
