//! What the model is told about a tool.

use serde::{Deserialize, Serialize};

use super::HostedTool;

/// A tool as it is described to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    pub name: String,
    pub description: String,
    pub form: ToolForm,
}

/// How the model writes the arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToolForm {
    /// A JSON object that follows this JSON Schema.
    Function { parameters: serde_json::Value },
    /// Free text that follows a Lark grammar. On a wire without such tools it is offered as a function
    /// with the single string field `input`.
    Freeform { grammar: String },
    /// No form of ours: the provider runs it. On a wire that has no such tools it is not offered.
    Hosted { hosted: HostedTool },
}
