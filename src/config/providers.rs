//! How a provider of models is reached, as far as a person sets it.

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;

/// A provider of models. What is not set comes from the built-in catalogue.
#[derive(Clone, PartialEq, Eq, Default, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct ProviderSettings {
    /// Where its API begins, such as `https://api.openai.com/v1`.
    pub base_url: Option<String>,
    /// The protocol that it speaks.
    pub wire: Option<Wire>,
    /// Name of the environment variable that holds the key. Never the key itself.
    pub env_key: Option<String>,
    /// Further headers of every request.
    pub headers: BTreeMap<String, String>,
}

/// A protocol of model providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Wire {
    Responses,
    Chat,
    Anthropic,
    Ollama,
    /// Answers from a script file.
    Replay,
}

/// Without the values of headers: some of them are secrets.
impl fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderSettings")
            .field("base_url", &self.base_url)
            .field("wire", &self.wire)
            .field("env_key", &self.env_key)
            .field("headers", &self.headers.keys())
            .finish()
    }
}
