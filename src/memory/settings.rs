//! What a person sets about the memory.

use serde::{Deserialize, de};

use crate::protocol::ModelRef;

/// What later sessions remember of earlier ones.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Whether sessions are told what earlier ones have learnt.
    pub read: bool,
    /// Whether notes are made of sessions, in the background, with requests to a model.
    pub write: bool,
    /// The model that makes them, as PROVIDER/MODEL; a cheap one will do. Unset: the one of `model`.
    #[schemars(with = "Option<String>", regex(pattern = "^[^/]+/.+$"))]
    pub model: Option<ModelRef>,
    /// Tokens of the notes that a session begins with, at most.
    pub told_tokens: usize,
    /// Tokens of a session's log that the model is shown to make notes of it, at most.
    pub log_tokens: usize,
    /// Minutes without a word after which notes are made of a session that is still open.
    pub idle_minutes: u64,
    /// Days after which a session is too old for notes to be made of it.
    pub max_age_days: u64,
    /// Sessions that notes are made of each time, at most.
    pub sessions_at_once: usize,
    /// Sessions whose notes have to gather before they are put together with what is remembered.
    pub gather_sessions: usize,
    /// Days after which they are put together, however few they are.
    pub gather_days: u64,
    /// Days after which a note that no session had a use for is given up. 0: never.
    pub unused_days: u64,
    /// Tokens of requests for notes in 24 hours, at most.
    pub daily_tokens: u64,
    /// US dollars of requests for notes in 24 hours, at most, as far as prices are known.
    #[serde(deserialize_with = "dollars")]
    #[schemars(range(min = 0))]
    pub daily_usd: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            read: false,
            write: false,
            model: None,
            told_tokens: 1_500,
            log_tokens: 16_000,
            idle_minutes: 30,
            max_age_days: 14,
            sessions_at_once: 4,
            gather_sessions: 3,
            gather_days: 3,
            unused_days: 90,
            daily_tokens: 300_000,
            daily_usd: 0.5,
        }
    }
}

fn dollars<'de, D: de::Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    let dollars = f64::deserialize(source)?;
    if dollars.is_finite() && dollars >= 0.0 {
        return Ok(dollars);
    }
    Err(de::Error::custom(format!("{dollars} is no amount of US dollars")))
}
