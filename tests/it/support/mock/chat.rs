//! The same script in the language of Chat Completions.

use serde_json::{Value, json};

use super::step::{Answer, End, Step, pieces, with_ids};

impl Step {
    /// The events of the answer, for a request with this number.
    pub(super) fn chat_events(&self, number: usize) -> Vec<String> {
        let Answer::Items(items) = &self.answer else { return Vec::new() };
        let mut deltas = vec![json!({"role": "assistant", "content": ""})];
        let mut calls = 0;
        for (index, item) in items.iter().enumerate() {
            let item = with_ids(item.clone(), number, index + 1);
            let field = |name: &str| item[name].as_str().unwrap_or_default();
            match field("type") {
                "message" => {
                    let text = item["content"][0]["text"].as_str().unwrap_or_default();
                    deltas.extend(pieces(text, self.chunk).into_iter().map(|part| json!({"content": part})));
                }
                "reasoning" => {
                    for summary in item["summary"].as_array().into_iter().flatten() {
                        let text = summary["text"].as_str().unwrap_or_default();
                        let parts = pieces(text, self.chunk).into_iter();
                        deltas.extend(parts.map(|part| json!({"reasoning_content": part})));
                    }
                }
                "function_call" => self.chat_call(calls, &item, field("arguments"), &mut deltas, &mut calls),
                "custom_tool_call" => {
                    let arguments = json!({"input": item["input"]}).to_string();
                    self.chat_call(calls, &item, &arguments, &mut deltas, &mut calls);
                }
                _ => {}
            }
        }
        let chunk = |delta: &Value, finish: Value| {
            json!({"id": format!("chatcmpl_{number}"), "object": "chat.completion.chunk", "created": 1, "model": "m",
                   "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        };
        let mut events: Vec<Value> = deltas.iter().map(|delta| chunk(delta, Value::Null)).collect();
        let finish = match &self.end {
            End::Completed if calls > 0 => Some("tool_calls"),
            End::Completed => Some("stop"),
            End::Incomplete(reason) if reason == "max_output_tokens" => Some("length"),
            End::Incomplete(reason) => Some(reason.as_str()),
            End::Failed(_) | End::Missing => None,
        };
        if let End::Failed(error) = &self.end {
            events.push(json!({"error": error}));
        }
        if let Some(finish) = finish {
            events.push(chunk(&json!({}), json!(finish)));
            let usage = &self.usage;
            events.push(json!({
                "id": format!("chatcmpl_{number}"), "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [],
                "usage": {
                    "prompt_tokens": usage["input_tokens"], "completion_tokens": usage["output_tokens"],
                    "total_tokens": usage["total_tokens"],
                    "prompt_tokens_details": usage["input_tokens_details"],
                    "completion_tokens_details": usage["output_tokens_details"],
                },
            }));
        }
        let mut lines: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        if finish.is_some() {
            lines.push("data: [DONE]\n\n".to_owned());
        }
        if let Some(after) = self.garbage_after {
            lines.insert(after.min(lines.len()), "data: {\"choices\": broken\n\n".to_owned());
        }
        lines
    }

    fn chat_call(
        &self,
        index: usize,
        item: &Value,
        arguments: &str,
        deltas: &mut Vec<Value>,
        calls: &mut usize,
    ) {
        *calls += 1;
        deltas.push(json!({"tool_calls": [{"index": index, "id": item["call_id"], "type": "function",
                           "function": {"name": item["name"], "arguments": ""}}]}));
        let parts = pieces(arguments, self.chunk).into_iter();
        deltas.extend(
            parts.map(|part| json!({"tool_calls": [{"index": index, "function": {"arguments": part}}]})),
        );
    }
}
