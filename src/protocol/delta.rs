//! Deltas: live only. Each is superseded by a later fact, so all of them may be lost.

use serde::{Deserialize, Serialize};

use super::{CallId, ResponseId};

/// A part of something that is not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Delta {
    /// More of the model's answer.
    Text { response: ResponseId, text: String },
    /// More of the summary of its reasoning.
    Reasoning { response: ResponseId, text: String },
    /// More of the arguments of a call.
    Arguments { response: ResponseId, text: String },
    /// More output of a running tool. Only the latest part of a flood is sent.
    Output { call: CallId, text: String },
    /// What goes on, in words: connecting, waiting, trying again.
    Status { text: String },
    /// An answer broke off and is asked for again: what was shown of it is void.
    Restarted { response: ResponseId },
}
