//! What a session may spend before it stops, as a person sets it.

use serde::{Deserialize, de};

/// What each session may spend. At its end you are asked whether it goes on; `agent exec` ends with exit code 4.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct BudgetSettings {
    /// US dollars. The prices of the model have to be known.
    #[serde(deserialize_with = "usd")]
    #[schemars(range(min = 0))]
    pub max_usd: Option<f64>,
    /// Tokens, sent and received.
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(range(min = 1))]
    pub max_tokens: Option<u64>,
    /// Requests to the model.
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(range(min = 1))]
    pub max_turns: Option<u32>,
    /// How long it may go on (`30m`, `1h30m`), or until when (`18:30`, `2026-11-22 08:00`).
    pub deadline: Option<String>,
    /// At its end the turn ends and what runs is stopped, and nobody is asked.
    pub hard: bool,
    /// US dollars: before a request that costs so much because the provider's cache has little of it, you are told.
    #[serde(deserialize_with = "dollars")]
    #[schemars(range(min = 0))]
    pub warn_usd: f64,
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self { max_usd: None, max_tokens: None, max_turns: None, deadline: None, hard: false, warn_usd: 0.50 }
    }
}

fn dollars<'de, D: de::Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    usd(source)?.ok_or_else(|| de::Error::custom("nothing; expected dollars"))
}

fn usd<'de, D: de::Deserializer<'de>>(source: D) -> Result<Option<f64>, D::Error> {
    match Option::<f64>::deserialize(source)? {
        Some(usd) if !(usd.is_finite() && usd > 0.0 && usd <= 1e6) => {
            Err(de::Error::custom(format!("{usd} dollars; expected more than 0")))
        }
        usd => Ok(usd),
    }
}

fn at_least_one<'de, T, D>(source: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de> + PartialEq + Default,
    D: de::Deserializer<'de>,
{
    match Option::<T>::deserialize(source)? {
        Some(none) if none == T::default() => Err(de::Error::custom("0; expected at least 1")),
        some => Ok(some),
    }
}
