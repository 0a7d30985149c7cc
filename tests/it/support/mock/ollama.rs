//! The same script in the language of Ollama.

use serde_json::{Value, json};

use super::step::{Answer, End, Step, pieces, with_ids};

impl Step {
    /// The lines of the answer, for a request with this number.
    pub(super) fn ollama_lines(&self, number: usize) -> Vec<String> {
        let Answer::Items(items) = &self.answer else { return Vec::new() };
        let mut messages = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let item = with_ids(item.clone(), number, index + 1);
            let field = |name: &str| item[name].as_str().unwrap_or_default();
            let call = |arguments: Value| {
                let function = json!({"index": index, "name": item["name"], "arguments": arguments});
                json!({"content": "", "tool_calls": [{"id": item["call_id"], "function": function}]})
            };
            match field("type") {
                "message" => {
                    let text = item["content"][0]["text"].as_str().unwrap_or_default();
                    messages
                        .extend(pieces(text, self.chunk).into_iter().map(|part| json!({"content": part})));
                }
                "reasoning" => {
                    for summary in item["summary"].as_array().into_iter().flatten() {
                        let text = summary["text"].as_str().unwrap_or_default();
                        let parts = pieces(text, self.chunk).into_iter();
                        messages.extend(parts.map(|part| json!({"content": "", "thinking": part})));
                    }
                }
                // The object; what is none stays the text that it is.
                "function_call" => messages.push(call(
                    serde_json::from_str(field("arguments")).unwrap_or_else(|_| json!(field("arguments"))),
                )),
                "custom_tool_call" => messages.push(call(json!({"input": item["input"]}))),
                _ => {}
            }
        }
        let line = |message: Value, more: Value| {
            let mut line = json!({"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message});
            line["message"]["role"] = json!("assistant");
            line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            format!("{line}\n")
        };
        let mut lines: Vec<String> =
            messages.into_iter().map(|message| line(message, json!({"done": false}))).collect();
        let reason = match &self.end {
            End::Completed => Some("stop"),
            End::Incomplete(reason) if reason == "max_output_tokens" => Some("length"),
            End::Incomplete(reason) => Some(reason.as_str()),
            End::Failed(_) | End::Missing => None,
        };
        if let End::Failed(error) = &self.end {
            lines.push(format!("{}\n", json!({ "error": error })));
        }
        if let Some(reason) = reason {
            let counts = json!({
                "done": true, "done_reason": reason, "total_duration": 5_000_000, "eval_duration": 4_000_000,
                "prompt_eval_count": self.usage["input_tokens"], "eval_count": self.usage["output_tokens"],
            });
            lines.push(line(json!({"content": ""}), counts));
        }
        if let Some(after) = self.garbage_after {
            lines.insert(after.min(lines.len()), "{\"message\": broken\n".to_owned());
        }
        lines
    }
}
