//! What a compaction did to the conversation, so that folding it needs nothing else.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Item, Usage};

/// The conversation was made smaller. The log keeps what it was before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compaction {
    pub reason: CompactionReason,
    pub how: CompactionMeans,
    /// The new conversation, in order.
    pub parts: Vec<Part>,
    /// Estimated tokens of the next request before and after.
    pub from: u64,
    pub to: u64,
    /// What of the old conversation is there as it was.
    #[serde(default)]
    pub kept: Counts,
    /// What is gone from it. The log has it, and the tool `recall` finds it.
    #[serde(default)]
    pub dropped: Counts,
    /// Results that were cut to their beginning and end.
    #[serde(default)]
    pub shrunk: u64,
    /// What the model's summary cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Why there is no summary by the model, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A part of the new conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Items of the old one, from the first place up to before the second.
    Keep(usize, usize),
    Item(Arc<Item>),
}

/// Pieces of conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Messages of the person.
    #[serde(default)]
    pub messages: u64,
    /// Calls with their results.
    #[serde(default)]
    pub calls: u64,
    /// Messages of the model.
    #[serde(default)]
    pub answers: u64,
}

/// Why the conversation is made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompactionReason {
    /// The next request and its answer would not fit.
    Full,
    /// The provider said that the conversation is too long.
    Overflow,
    /// A person wants it.
    Asked,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// How it was made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompactionMeans {
    /// Old results were cut to their beginning and end.
    Shrunk,
    /// By a summary of the model.
    Summary,
    /// By a list of what was done, without the model.
    Digest,
    /// By the provider, which has sealed what it made.
    Sealed,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

impl Counts {
    /// Counts one more item.
    pub fn add(&mut self, item: &Item) {
        match item {
            Item::User { .. } => self.messages += 1,
            Item::ToolCall { .. } => self.calls += 1,
            Item::Assistant { .. } => self.answers += 1,
            Item::Context { .. }
            | Item::Reasoning { .. }
            | Item::ToolResult { .. }
            | Item::Sources { .. }
            | Item::Sealed { .. }
            | Item::Unknown(_) => {}
        }
    }

    /// In words, such as `3 messages, 12 calls`; empty for nothing.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self { messages, calls, answers } = *self;
        let all = [(messages, "message"), (calls, "call"), (answers, "answer")];
        let some = all.into_iter().filter(|(count, _)| *count > 0);
        let one = |(count, what): (u64, &str)| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        some.map(one).collect::<Vec<_>>().join(", ")
    }
}

impl Compaction {
    /// In one line for people, such as `215000 → 38000 tokens, by a summary · kept 4 messages`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let how = match self.how {
            CompactionMeans::Shrunk => format!(", {} old results cut to their ends", self.shrunk),
            CompactionMeans::Summary => ", by a summary of the model".to_owned(),
            CompactionMeans::Digest => ", by a list of what was done".to_owned(),
            CompactionMeans::Sealed => ", by the provider".to_owned(),
            CompactionMeans::Unknown => String::new(),
        };
        let mut line = format!("{} → {} tokens{how}", self.from, self.to);
        for (what, counts) in [("kept", &self.kept), ("dropped", &self.dropped)] {
            let counts = counts.in_words();
            if !counts.is_empty() {
                line += &format!(" · {what} {counts}");
            }
        }
        line
    }
}
