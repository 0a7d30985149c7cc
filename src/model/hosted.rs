//! Tools that a provider runs itself, in the forms of the wires that have them.
//!
//! Responses has all of them, Anthropic's Messages a search of the web; others have none, and are not told of any. What a
//! call of one was comes back as an item of the provider ([`Item::Unknown`]), and is sent to its own kind only.

use serde_json::{Value, json};

use crate::protocol::{
    Args, CallId, Content, HostedTool, Item, MCP_APPROVAL, MCP_APPROVED, Source, ToolForm, ToolSpec,
    mcp_question, words,
};

/// Blocks of Anthropic's Messages. What else a provider sends, that this program does not know, is of Responses.
const OF_ANTHROPIC: [&str; 2] = ["server_tool_use", "web_search_tool_result"];

/// The tool of Anthropic's Messages that searches the web.
const WEB_SEARCH: &str = "web_search_20250305";

/// Before the id of a question of a hosted MCP server.
const QUESTION: &str = "mcpr_";

/// How deeply an item of a provider may be nested, so that it can be written into a log and read back.
pub const DEPTH_LIMIT: usize = 64;

/// How deeply a value is nested. The parser has bounded it already.
#[must_use]
pub fn nesting(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(nesting).max().unwrap_or_default(),
        Value::Object(map) => 1 + map.values().map(nesting).max().unwrap_or_default(),
        _ => 0,
    }
}

fn kind(item: &Value) -> Option<&str> {
    item.get("type").and_then(Value::as_str)
}

/// Whether an item came over Responses.
#[must_use]
pub fn is_of_responses(item: &Value) -> bool {
    kind(item).is_some_and(|kind| !OF_ANTHROPIC.contains(&kind))
}

/// Whether an item came over Anthropic's Messages.
#[must_use]
pub fn is_of_anthropic(item: &Value) -> bool {
    kind(item).is_some_and(|kind| OF_ANTHROPIC.contains(&kind))
}

/// A tool as Responses is told of it.
#[must_use]
pub fn of_responses(tool: &HostedTool) -> Value {
    match tool {
        HostedTool::WebSearch => json!({"type": "web_search"}),
        HostedTool::FileSearch { stores } => json!({"type": "file_search", "vector_store_ids": stores}),
        HostedTool::CodeInterpreter => json!({"type": "code_interpreter", "container": {"type": "auto"}}),
        HostedTool::Shell => json!({"type": "shell", "environment": {"type": "container_auto"}}),
        HostedTool::Mcp { label, url, ask, tools } => {
            let asks = if *ask { "always" } else { "never" };
            let mut tool =
                json!({"type": "mcp", "server_label": label, "server_url": url, "require_approval": asks});
            if !tools.is_empty() {
                tool["allowed_tools"] = json!(tools);
            }
            tool
        }
    }
}

/// What Responses is to add to its items, so that a person sees what came of these tools.
pub fn included(tools: &[ToolSpec]) -> impl Iterator<Item = &'static str> {
    tools.iter().filter_map(|tool| match &tool.form {
        ToolForm::Hosted { hosted: HostedTool::WebSearch } => Some("web_search_call.action.sources"),
        ToolForm::Hosted { hosted: HostedTool::FileSearch { .. } } => Some("file_search_call.results"),
        ToolForm::Hosted { hosted: HostedTool::CodeInterpreter } => Some("code_interpreter_call.outputs"),
        ToolForm::Hosted { .. } | ToolForm::Function { .. } | ToolForm::Freeform { .. } => None,
    })
}

/// A tool as Anthropic's Messages is told of it, if it has such a tool.
#[must_use]
pub fn of_anthropic(tool: &HostedTool) -> Option<Value> {
    match tool {
        HostedTool::WebSearch => Some(json!({"type": WEB_SEARCH, "name": "web_search"})),
        HostedTool::FileSearch { .. }
        | HostedTool::CodeInterpreter
        | HostedTool::Shell
        | HostedTool::Mcp { .. } => None,
    }
}

/// A question of a hosted MCP server as a call, which a person is asked about like about any other one.
#[must_use]
pub fn asked(item: &Value) -> Option<Item> {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    let id = text("id")?;
    let arguments = mcp_question(text("server_label")?, text("name")?, text("arguments").unwrap_or_default());
    Some(Item::ToolCall {
        call: CallId::from(id),
        id: Some(id.to_owned()),
        tool: MCP_APPROVAL.to_owned(),
        args: Args::Json(arguments),
    })
}

/// The same as it is sent back.
#[must_use]
pub fn question(tool: &str, id: Option<&str>, args: &Args) -> Option<Value> {
    let id = id.filter(|id| tool == MCP_APPROVAL && id.starts_with(QUESTION))?;
    let asked: Value = serde_json::from_str(args.as_str()).ok()?;
    Some(
        json!({"type": "mcp_approval_request", "id": id, "server_label": asked["server"], "name": asked["tool"],
                "arguments": asked["arguments"]}),
    )
}

/// What came of it: yes, or no and why.
#[must_use]
pub fn answer(call: &CallId, content: &[Content]) -> Value {
    let said = words(content);
    let mut answer = json!({"type": "mcp_approval_response", "approval_request_id": call.as_str(),
                            "approve": said == MCP_APPROVED});
    if said != MCP_APPROVED && !said.is_empty() {
        answer["reason"] = json!(said);
    }
    answer
}

/// What a message rests on, by the notes that its provider put to it: each place once, in their order.
#[must_use]
pub fn sources<'a>(notes: impl IntoIterator<Item = &'a Value>) -> Option<Item> {
    let mut sources: Vec<Source> = Vec::new();
    for note in notes {
        let text = |name: &str| note.get(name).and_then(Value::as_str).unwrap_or_default();
        let title = [text("title"), text("filename")].into_iter().find(|title| !title.is_empty());
        let source = Source { title: title.unwrap_or_default().to_owned(), url: text("url").to_owned() };
        let empty = source.title.is_empty() && source.url.is_empty();
        let known = sources.iter().any(|known| match source.url.is_empty() {
            true => known.title == source.title,
            false => known.url == source.url,
        });
        if !empty && !known {
            sources.push(source);
        }
    }
    (!sources.is_empty()).then_some(Item::Sources { sources })
}
