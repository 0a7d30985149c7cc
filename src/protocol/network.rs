//! Connections of commands to other machines, as far as they can be had at all.

use serde::{Deserialize, Serialize};

use super::CallId;

/// A connection that has come to its end, or several that were alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// As the command named it. What was no host's name is not repeated.
    pub host: String,
    pub port: u16,
    /// The call whose command it was, as far as that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    pub passage: Passage,
    /// Bytes to the host, and from it.
    #[serde(default)]
    pub sent: u64,
    #[serde(default)]
    pub received: u64,
    /// How many they were. A flood is told as one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u64,
}

/// How far a connection came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Passage {
    /// It was made, and carried what was said.
    Passed,
    /// It was not allowed. The reason is what the command was told.
    Refused { reason: String },
    /// It was allowed, and could not be made.
    Failed { reason: String },
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_one(count: &u64) -> bool {
    *count == 1
}
