//! What no request may hold, on any wire: the rules for which servers refuse a whole conversation.

use super::*;

/// The rules of its wire that a request breaks.
pub fn broken(wire: Wire, body: &Value) -> Vec<String> {
    match wire {
        Wire::Responses => input(body),
        Wire::Chat => messages(body, |arguments| match arguments.as_str() {
            Some(text) => serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object()),
            None => false,
        }),
        Wire::Ollama => messages(body, Value::is_object),
        Wire::Anthropic => blocks(body),
        Wire::Replay => Vec::new(),
    }
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Responses: a result for each call, in its form, and behind it; and nothing that was thought for nothing.
fn input(body: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut open: Vec<(&Value, bool)> = Vec::new();
    let mut thought = false;
    for (at, item) in list(body, "input").iter().enumerate() {
        let kind = item["type"].as_str().unwrap();
        let custom = kind.starts_with("custom_");
        let said =
            !matches!(kind, "reasoning") && item["role"].as_str().is_none_or(|role| role == "assistant");
        match kind {
            "function_call" | "custom_tool_call" => open.push((&item["call_id"], custom)),
            "function_call_output" | "custom_tool_call_output" => {
                match open.iter().position(|one| *one == (&item["call_id"], custom)) {
                    Some(found) => drop(open.remove(found)),
                    None => faults.push(format!("{at}: a result without its call")),
                }
            }
            _ => {}
        }
        if thought && (!said || kind.ends_with("_output")) && kind != "reasoning" {
            faults.push(format!("{at}: a thought that led to nothing before it"));
        }
        thought = kind == "reasoning";
    }
    if thought {
        faults.push("the end: a thought that led to nothing".to_owned());
    }
    faults.extend(open.iter().map(|(call, _)| format!("the end: {call} has no result")));
    faults
}

/// Chat Completions and Ollama: one message of the system at the beginning, results right behind their calls, and
/// arguments of which `is_object` holds.
fn messages(body: &Value, is_object: fn(&Value) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    let mut before = "";
    for (at, message) in list(body, "messages").iter().enumerate() {
        let role = message["role"].as_str().unwrap();
        if role != "tool" && !open.is_empty() {
            faults.push(format!("{at}: {open:?} have no result"));
            open.clear();
        }
        match role {
            "system" if at > 0 => faults.push(format!("{at}: a system message in the middle")),
            "user" if before == "user" => faults.push(format!("{at}: two messages of the user")),
            "tool" => match open.iter().position(|id| message["tool_call_id"] == **id) {
                Some(found) => drop(open.remove(found)),
                None => faults.push(format!("{at}: a result without its call")),
            },
            "assistant" => {
                let calls = list(message, "tool_calls");
                open = calls.iter().map(|call| call["id"].as_str().unwrap()).collect();
                for call in calls {
                    let arguments = &call["function"]["arguments"];
                    if !is_object(arguments) {
                        faults.push(format!("{at}: arguments that are no object: {arguments}"));
                    }
                }
                if calls.is_empty() && message["content"].as_str().is_none_or(str::is_empty) {
                    faults.push(format!("{at}: an empty message"));
                }
            }
            _ => {}
        }
        before = role;
    }
    if !open.is_empty() {
        faults.push(format!("the end: {open:?} have no result"));
    }
    faults
}

/// Messages: roles that take turns, the user first and last, and all results at the beginning of the message behind
/// their calls.
fn blocks(body: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in list(body, "messages").iter().enumerate() {
        let role = if at % 2 == 0 { "user" } else { "assistant" };
        if message["role"] != role {
            faults.push(format!("{at}: not the turn of {}", message["role"]));
        }
        let blocks = list(message, "content");
        if blocks.is_empty() {
            faults.push(format!("{at}: an empty message"));
        }
        let of = |kind: &str, field: &str| -> Vec<&str> {
            let of_kind = blocks.iter().filter(|block| block["type"] == kind);
            let mut all: Vec<&str> = of_kind.map(|block| block[field].as_str().unwrap()).collect();
            all.sort_unstable();
            all
        };
        let answered = of("tool_result", "tool_use_id");
        if answered != open {
            faults.push(format!("{at}: results of {answered:?}, and calls of {open:?}"));
        }
        let other = blocks.iter().position(|block| block["type"] != "tool_result").unwrap_or(blocks.len());
        if other < answered.len() {
            faults.push(format!("{at}: something before a result"));
        }
        if blocks.last().is_some_and(|block| block["type"].as_str().unwrap().ends_with("thinking")) {
            faults.push(format!("{at}: a thought that led to nothing"));
        }
        let inputs = blocks.iter().filter(|block| block["type"] == "tool_use").map(|block| &block["input"]);
        faults.extend(
            inputs.filter(|input| !input.is_object()).map(|input| format!("{at}: no object: {input}")),
        );
        open = of("tool_use", "id");
    }
    if !open.is_empty() {
        faults.push(format!("the end: {open:?} have no result"));
    }
    faults
}
