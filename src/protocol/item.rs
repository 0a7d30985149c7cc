//! A piece of conversation: the one type used by the log, the session, the request and the screen.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{BlobId, CallId, InputId, Shown, Source};

/// A piece of conversation, in the order in which the model sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item {
    /// What the program tells the model: instructions, rules, facts about the machine.
    Context { context: Context, text: String },
    /// What the person said.
    User {
        content: Vec<Content>,
        /// The queued message that this delivers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<InputId>,
    },
    /// What the model said to the person.
    Assistant {
        /// The provider's own id, sent back with the item.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        text: String,
        /// Cut off by an interrupt: the rest was never received.
        #[serde(default, skip_serializing_if = "is_false")]
        partial: bool,
    },
    /// The model's reasoning: a summary that people may read, and the sealed original.
    Reasoning {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        #[serde(default)]
        summary: Vec<String>,
        /// Sent back to the same provider as it came; nobody else can read it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        encrypted: Option<String>,
    },
    /// The model wants a tool to run.
    ToolCall {
        call: CallId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        tool: String,
        args: Args,
    },
    /// What came of a tool call. Exactly one for each call.
    ToolResult { call: CallId, content: Vec<Content>, shown: Shown },
    /// What the message before it rests on. For people: it is not sent back.
    Sources { sources: Vec<Source> },
    /// What stands for the part of the conversation that was left out, made by the provider and sealed.
    Sealed {
        /// The host that sealed it: there it goes back as it came. Nobody else can read it.
        by: String,
        item: serde_json::Value,
        /// What everybody else is told in its place.
        instead: String,
    },
    /// An item that only its provider understands, such as a call of a tool that it runs itself; or written by a newer
    /// version.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// Which part of the program's own words a context item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// The system prompt.
    System,
    /// What may be done: sandbox, network, approvals, in words.
    Permissions,
    /// Instruction files (`AGENTS.md`).
    Instructions,
    /// Facts about the machine: directory, shell, date.
    Environment,
    /// Notes of earlier sessions.
    Memory,
    /// Something that the model should know and that nobody said, such as a pruned process.
    Notice,
    /// What stands for the part of the conversation that was left out.
    Summary,
    /// What holds beside it: the plan, files that were changed, commands that run.
    State,
    /// Which skills there are.
    Skills,
    /// A skill that was called for, whole.
    Skill,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

impl Context {
    /// Whether it is the program that speaks. Everything else stands there as if the person had said it.
    #[must_use]
    pub fn is_programs(self) -> bool {
        match self {
            Self::System | Self::Permissions | Self::Notice | Self::State | Self::Skills => true,
            Self::Instructions
            | Self::Environment
            | Self::Memory
            | Self::Summary
            | Self::Skill
            | Self::Unknown => false,
        }
    }
}

/// A part of a message or of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    Text {
        text: String,
    },
    /// A picture, kept as a blob of the session. Sizes in pixels.
    Image {
        blob: BlobId,
        mime: String,
        width: u32,
        height: u32,
    },
    /// Written by a newer version: kept, so that what it is a part of keeps its meaning. A result with such a
    /// part is still the result of its call.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// The arguments of a tool call, byte for byte as the model wrote them.
///
/// They are parsed by the tool, so that wrong ones become a result that the model can learn from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Args {
    /// Of a function tool: meant to be a JSON object, but nobody has checked.
    Json(String),
    /// Of a freeform tool.
    Text(String),
}

impl Args {
    /// The arguments as they were written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Json(text) | Self::Text(text) => text,
        }
    }

    /// The arguments as JSON, if that is what they are.
    #[must_use]
    pub fn raw(&self) -> Option<&RawValue> {
        match self {
            Self::Json(text) => serde_json::from_str(text).ok(),
            Self::Text(_) => None,
        }
    }
}

impl Content {
    /// A text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

/// The words of a message, without its pictures.
#[must_use]
pub fn words(content: &[Content]) -> String {
    let text = |part: &Content| match part {
        Content::Text { text } => Some(text.clone()),
        Content::Image { .. } | Content::Unknown(_) => None,
    };
    content.iter().filter_map(text).collect::<Vec<_>>().join("\n")
}

impl Item {
    /// A plain message of the person.
    pub fn user(text: impl Into<String>) -> Self {
        Self::User { content: vec![Content::text(text)], input: None }
    }

    /// Whether models make such items.
    #[must_use]
    pub fn is_made(&self) -> bool {
        match self {
            Self::Assistant { .. } | Self::Reasoning { .. } | Self::ToolCall { .. } | Self::Unknown(_) => {
                true
            }
            Self::Context { .. }
            | Self::User { .. }
            | Self::ToolResult { .. }
            | Self::Sources { .. }
            | Self::Sealed { .. } => false,
        }
    }

    /// The call that this item makes or answers.
    #[must_use]
    pub fn call(&self) -> Option<&CallId> {
        match self {
            Self::ToolCall { call, .. } | Self::ToolResult { call, .. } => Some(call),
            Self::Context { .. }
            | Self::User { .. }
            | Self::Assistant { .. }
            | Self::Reasoning { .. }
            | Self::Sources { .. }
            | Self::Sealed { .. }
            | Self::Unknown(_) => None,
        }
    }
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}
