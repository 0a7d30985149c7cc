//! Which models a provider has, by its own list.
//!
//! Each list has its own shape; what is not understood in one is left out. Asks only when it is told to.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    ModelError, ModelErrorKind as Kind,
    catalog::{Provider, Wire},
    http::Http,
};

/// How long a list may take.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The most models of a list that are taken.
const MOST: usize = 2_000;

/// A model as its provider lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listed {
    pub name: String,
    /// Tokens of a request and its answer together, where the provider says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// What it is, to the byte, where the provider says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// The models of a provider, by name.
///
/// # Errors
/// When it can't be reached, refuses, or answers something else than a list.
pub async fn models(
    provider: &Provider,
    key: Option<&SecretString>,
    patience: Duration,
) -> Result<Vec<Listed>, ModelError> {
    let http = Http::new(provider, key)?;
    let path = match provider.wire {
        Wire::Responses | Wire::Chat | Wire::Anthropic => "models",
        Wire::Ollama => "api/tags",
        Wire::Replay => {
            let what = format!("provider {} answers from a script, and has no list", provider.name);
            return Err(ModelError::new(Kind::Request, what));
        }
    };
    let bytes = http.fetch(path, None, patience).await?;
    read(&bytes).ok_or_else(|| {
        let what = format!("{} sent something else than a list of models", http.host());
        ModelError::new(Kind::Garbage, what)
    })
}

/// What a server of Ollama's wire knows of one of its models: its largest window, in tokens.
///
/// # Errors
/// When it can't be reached, or knows no such model.
pub async fn largest_window(
    provider: &Provider,
    key: Option<&SecretString>,
    model: &str,
) -> Result<Option<u64>, ModelError> {
    let http = Http::new(provider, key)?;
    let asked = json!({ "model": model }).to_string();
    let bytes = http.fetch("api/show", Some(asked.into()), PATIENCE).await?;
    let shown: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let info = shown["model_info"].as_object().into_iter().flatten();
    Ok(info
        .filter(|(name, _)| name.ends_with(".context_length"))
        .find_map(|(_, length)| length.as_u64().filter(|length| *length > 0)))
}

/// The models of a list in any of the usual shapes.
fn read(bytes: &[u8]) -> Option<Vec<Listed>> {
    let list: Value = serde_json::from_slice(bytes).ok()?;
    let entries = [&list["data"], &list["models"], &list].into_iter().find_map(Value::as_array)?;
    let mut models: Vec<Listed> = entries.iter().take(MOST).filter_map(entry).collect();
    models.sort_by(|a, b| a.name.cmp(&b.name));
    models.dedup_by(|a, b| a.name == b.name);
    Some(models)
}

fn entry(entry: &Value) -> Option<Listed> {
    let name = [&entry["id"], &entry["name"], &entry["model"]].into_iter().find_map(Value::as_str)?;
    // A name that would not fit on a line is none.
    let fit = !name.is_empty() && name.len() <= 200 && !name.chars().any(|c| c.is_control() || c == ' ');
    let window = [
        // vLLM, OpenRouter, Groq, LM Studio, llama.cpp.
        &entry["max_model_len"],
        &entry["context_length"],
        &entry["context_window"],
        &entry["loaded_context_length"],
        &entry["meta"]["n_ctx"],
        // Of Anthropic and Gemini, without the answer.
        &entry["max_input_tokens"],
        &entry["inputTokenLimit"],
    ];
    fit.then(|| Listed {
        name: name.to_owned(),
        window: window.into_iter().find_map(Value::as_u64).filter(|window| *window > 0),
        digest: entry["digest"].as_str().map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_every_usual_shape() {
        let plain = |name: &str| Listed { name: name.to_owned(), ..Listed::default() };
        for (list, expected) in [
            (
                json!({"object": "list", "data": [{"id": "b"}, {"id": "a", "object": "model"}]}),
                vec![plain("a"), plain("b")],
            ),
            (
                json!({"data": [{"id": "q", "max_model_len": 4096}]}),
                vec![Listed { window: Some(4096), ..plain("q") }],
            ),
            (
                json!({"models": [{"name": "qwen3:8b", "model": "qwen3:8b", "digest": "abc", "size": 1}]}),
                vec![Listed { digest: Some("abc".into()), ..plain("qwen3:8b") }],
            ),
            (
                json!([{"id": "x", "context_length": 0}, {"id": "bad\u{1b}name"}, {"odd": 1}, 7]),
                vec![plain("x")],
            ),
            (json!({"data": []}), vec![]),
        ] {
            assert_eq!(read(list.to_string().as_bytes()), Some(expected), "{list}");
        }
        for odd in ["", "<html>", "{}", "7", "{\"data\": 7}"] {
            assert_eq!(read(odd.as_bytes()), None, "{odd}");
        }
    }
}
