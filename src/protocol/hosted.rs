//! Tools that a provider runs itself, on its own machines: which ones there are, and what calls of them were.
//!
//! Such a call is no [`super::Item::ToolCall`]: nobody here runs it. It comes with the answer as an item of the provider,
//! is kept as it came, and goes back to providers of the same kind only. [`HostedCall`] is how people see it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The tool by which a hosted MCP server asks whether it may do something: a call of it is a question of the provider.
pub const MCP_APPROVAL: &str = "hosted_mcp";

/// The result that says yes to it.
pub const MCP_APPROVED: &str = "approved";

/// A tool that the provider runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tool", rename_all = "snake_case")]
pub enum HostedTool {
    /// Searches the web.
    WebSearch,
    /// Searches files that were given to the provider before.
    FileSearch { stores: Vec<String> },
    /// Runs Python.
    CodeInterpreter,
    /// Runs commands in a container of the provider.
    Shell,
    /// Calls the tools of an MCP server that the provider reaches.
    Mcp {
        label: String,
        url: String,
        /// A person is asked before each call.
        ask: bool,
        /// The only tools that may be called; empty: all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tools: Vec<String>,
    },
}

/// What a text of the model rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub title: String,
    /// Empty for a file of the provider.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// A call that the provider has made, in the words of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostedCall {
    /// What was done, such as "Searched the web".
    pub verb: String,
    /// For what, or with what; may be empty.
    pub what: String,
    /// What came of it, as far as the provider tells.
    pub output: String,
    pub failed: bool,
}

impl fmt::Display for HostedTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WebSearch => f.write_str("web search"),
            Self::FileSearch { stores } => write!(f, "file search in {}", stores.join(", ")),
            Self::CodeInterpreter => f.write_str("code interpreter"),
            Self::Shell => f.write_str("shell in a container of the provider"),
            Self::Mcp { label, url, .. } => write!(f, "MCP server {label} ({url})"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.title.is_empty(), self.url.is_empty()) {
            (true, _) => f.write_str(&self.url),
            (false, true) => f.write_str(&self.title),
            (false, false) => write!(f, "{} ({})", self.title, self.url),
        }
    }
}

impl HostedCall {
    /// What an item of a provider says of a hosted call. None for an item that is about none, or of a kind that this
    /// version does not know.
    #[must_use]
    pub fn of(item: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let call = |verb: &str, what: String, output: String| Self {
            verb: verb.to_owned(),
            what,
            output,
            failed: item["status"] == "failed",
        };
        Some(match item["type"].as_str()? {
            "web_search_call" => {
                let action = &item["action"];
                match action["type"].as_str().unwrap_or("search") {
                    "open_page" => call("Opened a page", text(&action["url"]), String::new()),
                    "find_in_page" | "find" => {
                        let what = format!("{} in {}", text(&action["pattern"]), text(&action["url"]));
                        call("Searched a page", what, String::new())
                    }
                    _ => {
                        let queries = words(&action["queries"], "; ");
                        let what = if queries.is_empty() { text(&action["query"]) } else { queries };
                        call("Searched the web", what, lines(&action["sources"], |one| text(&one["url"])))
                    }
                }
            }
            "file_search_call" => {
                let found = lines(&item["results"], |one| text(&one["filename"]));
                call("Searched files at the provider", words(&item["queries"], "; "), found)
            }
            "code_interpreter_call" => {
                let output = lines(&item["outputs"], |one| match one["type"].as_str() {
                    Some("logs") => text(&one["logs"]),
                    _ => "(a picture)".to_owned(),
                });
                call("Ran code at the provider", text(&item["code"]), output)
            }
            "shell_call" => {
                call("Ran at the provider", words(&item["action"]["commands"], "\n"), String::new())
            }
            "shell_call_output" => {
                let ends = list(&item["output"]);
                let output = lines(&item["output"], |one| {
                    format!("{}{}", text(&one["stdout"]), text(&one["stderr"])).trim_end().to_owned()
                });
                let failed = |one: &Value| {
                    one["outcome"]["type"] == "timeout"
                        || one["outcome"]["exit_code"].as_i64().is_some_and(|code| code != 0)
                };
                Self { failed: ends.iter().any(failed), ..call("It printed", String::new(), output) }
            }
            "mcp_list_tools" => {
                let server = text(&item["server_label"]);
                let names = lines(&item["tools"], |one| text(&one["name"])).replace('\n', ", ");
                let error = problem(&item["error"]);
                Self {
                    failed: !error.is_empty(),
                    ..call(&format!("Looked at what {server} can do"), names, error)
                }
            }
            "mcp_call" => {
                let error = problem(&item["error"]);
                let failed = !error.is_empty() || item["status"] == "failed";
                let output = if error.is_empty() { text(&item["output"]) } else { error };
                let verb = format!("Called {} of {}", text(&item["name"]), text(&item["server_label"]));
                Self { failed, ..call(&verb, text(&item["arguments"]), output) }
            }
            "server_tool_use" => match item["name"].as_str() {
                Some("web_search") => call("Searched the web", text(&item["input"]["query"]), String::new()),
                Some(name) => call(&format!("Used {name}"), item["input"].to_string(), String::new()),
                None => return None,
            },
            "web_search_tool_result" => match &item["content"] {
                Value::Array(_) => {
                    let found = lines(&item["content"], |one| text(&one["url"]));
                    call("Found", String::new(), found)
                }
                error => {
                    let why = text(&error["error_code"]);
                    Self { failed: true, ..call("Found nothing", String::new(), why) }
                }
            },
            _ => return None,
        })
    }
}

/// The arguments under which a question of a hosted MCP server is kept as a call of [`MCP_APPROVAL`].
#[must_use]
pub fn mcp_question(server: &str, tool: &str, arguments: &str) -> String {
    json!({"server": server, "tool": tool, "arguments": arguments}).to_string()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn words(value: &Value, between: &str) -> String {
    list(value).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(between)
}

fn lines(value: &Value, line: impl Fn(&Value) -> String) -> String {
    let all = list(value).iter().map(line).filter(|line| !line.is_empty());
    all.collect::<Vec<_>>().join("\n")
}

/// An error as a text: some servers send an object.
fn problem(error: &Value) -> String {
    match error {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => match other["message"].as_str().or(other["content"][0]["text"].as_str()) {
            Some(text) => text.to_owned(),
            None => other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(item: &Value) -> Option<(String, String, String, bool)> {
        HostedCall::of(item).map(|call| (call.verb, call.what, call.output, call.failed))
    }

    #[test]
    fn calls_of_providers_are_told_in_words() {
        let row = |verb: &str, what: &str, output: &str, failed| {
            Some((verb.to_owned(), what.to_owned(), output.to_owned(), failed))
        };
        for (item, expected) in [
            (
                json!({"type": "web_search_call", "id": "ws_1", "status": "completed",
                       "action": {"type": "search", "query": "rust", "sources": [{"type": "url", "url": "https://a.b"}]}}),
                row("Searched the web", "rust", "https://a.b", false),
            ),
            (
                json!({"type": "web_search_call", "status": "completed", "action": {"type": "open_page", "url": "https://a.b"}}),
                row("Opened a page", "https://a.b", "", false),
            ),
            (
                json!({"type": "file_search_call", "status": "failed", "queries": ["a", "b"], "results": null}),
                row("Searched files at the provider", "a; b", "", true),
            ),
            (
                json!({"type": "code_interpreter_call", "status": "completed", "code": "1+1",
                       "outputs": [{"type": "logs", "logs": "2"}, {"type": "image", "url": "u"}]}),
                row("Ran code at the provider", "1+1", "2\n(a picture)", false),
            ),
            (
                json!({"type": "shell_call", "status": "completed", "action": {"commands": ["ls", "pwd"]}}),
                row("Ran at the provider", "ls\npwd", "", false),
            ),
            (
                json!({"type": "shell_call_output", "output": [{"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 2}}]}),
                row("It printed", "", "a", true),
            ),
            (
                json!({"type": "mcp_call", "name": "search", "server_label": "docs", "arguments": "{}", "error": "no", "output": null}),
                row("Called search of docs", "{}", "no", true),
            ),
            (
                json!({"type": "mcp_list_tools", "server_label": "docs", "tools": [{"name": "a"}, {"name": "b"}]}),
                row("Looked at what docs can do", "a, b", "", false),
            ),
            (
                json!({"type": "server_tool_use", "name": "web_search", "input": {"query": "rust"}}),
                row("Searched the web", "rust", "", false),
            ),
            (
                json!({"type": "web_search_tool_result", "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}}),
                row("Found nothing", "", "max_uses_exceeded", true),
            ),
            (json!({"type": "dream"}), None),
            (json!(7), None),
        ] {
            assert_eq!(told(&item), expected, "{item}");
        }
    }
}
