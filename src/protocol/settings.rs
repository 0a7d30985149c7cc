//! What a session runs with. A change is a fact, so that every request can be understood later.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use super::Price;

/// The settings of a session. The environment they came from does not matter any more.
///
/// A word of a newer version does not make the session unreadable: how hard to think and how much to say are then
/// left to the provider, and of what is allowed only the least.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub model: ModelRef,
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub verbosity: Option<Verbosity>,
    #[serde(deserialize_with = "approval")]
    pub approval: Approval,
    #[serde(deserialize_with = "sandbox")]
    pub sandbox: SandboxMode,
    /// `local`, `docker` or `docker:IMAGE`.
    pub backend: String,
    pub limits: Limits,
    /// Under which names and in which forms it is offered tools.
    #[serde(default, deserialize_with = "style", skip_serializing_if = "ToolStyle::is_codex")]
    pub tools: ToolStyle,
    /// What the model's tokens cost, where that is known.
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Whether the state of the workspace is kept before and after each turn that may change it.
    #[serde(default, deserialize_with = "snapshots", skip_serializing_if = "Snapshots::is_off")]
    pub snapshots: Snapshots,
    /// JSON Schema that the last answer must follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<serde_json::Value>,
}

/// Whether snapshots of the workspace are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshots {
    /// None.
    #[default]
    Off,
    /// One that can't be taken is told, and the turn goes on.
    On,
    /// Without one, nothing is done that may change files.
    Required,
}

impl Snapshots {
    /// Whether none are taken.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// What the model can take, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Everything that one request and its answer may hold.
    pub window: u64,
    /// The most that one tool result may bring in.
    pub tool_output: u64,
    /// What of the window is left free for the answer. A request that would reach into it is made smaller before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve: Option<u64>,
    /// Tokens that 1000 bytes of plain words come to, until the provider's own counts say better.
    #[serde(default = "tokens_per_kb", skip_serializing_if = "is_usual")]
    pub tokens_per_kb: u64,
}

/// Of a model of which nothing is known: four bytes a token.
pub const TOKENS_PER_KB: u64 = 250;

fn tokens_per_kb() -> u64 {
    TOKENS_PER_KB
}

fn is_usual(tokens_per_kb: &u64) -> bool {
    *tokens_per_kb == TOKENS_PER_KB
}

impl Limits {
    /// Limits of which only the two sizes are known.
    #[must_use]
    pub const fn new(window: u64, tool_output: u64) -> Self {
        Self { window, tool_output, reserve: None, tokens_per_kb: TOKENS_PER_KB }
    }

    /// What a request may hold: the window without what is left free for the answer.
    #[must_use]
    pub fn room(&self) -> u64 {
        // An eighth does for a long answer where the window is large, and leaves most of it where it is small.
        let reserve = self.reserve.unwrap_or((self.window / 8).min(32_000));
        self.window.saturating_sub(reserve.min(self.window / 2)).max(1)
    }
}

/// `PROVIDER/MODEL`. The model's name may itself contain slashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelRef {
    pub provider: String,
    pub model: String,
}

/// How hard the model should think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
}

/// How much the model should say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verbosity {
    Low,
    Medium,
    High,
}

/// Under which names and in which forms a model is offered the same tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolStyle {
    /// A shell, and patches as free text.
    #[default]
    Codex,
    /// A shell, and an editor that replaces texts.
    Claude,
    /// Small functions with few arguments: for models that know neither.
    Plain,
}

impl ToolStyle {
    /// Whether it is the usual one.
    #[must_use]
    pub fn is_codex(&self) -> bool {
        *self == Self::Codex
    }
}

/// When a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Approval {
    /// For everything that is not known to be harmless.
    Untrusted,
    /// When something would leave the sandbox.
    OnRequest,
    /// Never: what would need a person is refused.
    Never,
}

/// What commands may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// Nothing outside their own scratch space.
    ReadOnly,
    /// The workspace and their own scratch space.
    WorkspaceWrite,
    /// Everything that you may touch yourself. No sandbox.
    DangerFullAccess,
}

/// A value, or nothing for one that this version does not know.
pub(super) fn known<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(serde_json::Value::deserialize(from)?).ok())
}

fn approval<'de, D: Deserializer<'de>>(from: D) -> Result<Approval, D::Error> {
    Ok(known(from)?.unwrap_or(Approval::Never))
}

fn style<'de, D: Deserializer<'de>>(from: D) -> Result<ToolStyle, D::Error> {
    Ok(known(from)?.unwrap_or_default())
}

fn snapshots<'de, D: Deserializer<'de>>(from: D) -> Result<Snapshots, D::Error> {
    Ok(known(from)?.unwrap_or(Snapshots::On))
}

fn sandbox<'de, D: Deserializer<'de>>(from: D) -> Result<SandboxMode, D::Error> {
    Ok(known(from)?.unwrap_or(SandboxMode::ReadOnly))
}

impl FromStr for ModelRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((provider, model)) if !provider.is_empty() && !model.is_empty() => {
                Ok(Self { provider: provider.to_owned(), model: model.to_owned() })
            }
            _ => Err(format!("`{text}` is not PROVIDER/MODEL, such as openai/gpt-5.5")),
        }
    }
}

impl TryFrom<String> for ModelRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ModelRef> for String {
    fn from(model: ModelRef) -> Self {
        model.to_string()
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
        })
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Untrusted => "untrusted",
            Self::OnRequest => "on-request",
            Self::Never => "never",
        })
    }
}

impl fmt::Display for SandboxMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "read-only",
            Self::WorkspaceWrite => "workspace-write",
            Self::DangerFullAccess => "danger-full-access",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(effort: &str, approval: &str, sandbox: &str) -> Settings {
        serde_json::from_value(serde_json::json!({
            "model": "a/b", "effort": effort, "approval": approval, "sandbox": sandbox, "backend": "local",
            "limits": { "window": 1, "tool_output": 1 }, "newer": true,
        }))
        .unwrap()
    }

    #[test]
    fn words_of_a_newer_version_allow_the_least() {
        let known = settings("high", "on-request", "danger-full-access");
        assert_eq!(
            (known.effort, known.approval, known.sandbox),
            (Some(Effort::High), Approval::OnRequest, SandboxMode::DangerFullAccess)
        );
        let newer = settings("fierce", "by-committee", "moon");
        assert_eq!(
            (newer.effort, newer.approval, newer.sandbox),
            (None, Approval::Never, SandboxMode::ReadOnly)
        );
    }
}
