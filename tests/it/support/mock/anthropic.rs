//! The same script in the language of Anthropic's Messages.

use serde_json::{Value, json};

use super::step::{Answer, End, Step, pieces, with_ids};

impl Step {
    /// The events of the answer, for a request with this number.
    pub(super) fn anthropic_events(&self, number: usize) -> Vec<String> {
        let Answer::Items(items) = &self.answer else { return Vec::new() };
        let mut events = Vec::new();
        let mut push = |name: &str, mut event: Value| {
            event["type"] = json!(name);
            events.push(format!("event: {name}\ndata: {event}\n\n"));
        };
        let (cached, input) =
            (&self.usage["input_tokens_details"]["cached_tokens"], &self.usage["input_tokens"]);
        let fresh = input.as_u64().unwrap_or(0) - cached.as_u64().unwrap_or(0);
        let usage = json!({"input_tokens": fresh, "cache_read_input_tokens": cached,
                           "cache_creation_input_tokens": 0, "output_tokens": 1});
        let message = json!({"id": format!("msg_{number}"), "type": "message", "role": "assistant", "content": [],
                             "model": "m", "stop_reason": null, "stop_sequence": null, "usage": usage});
        push("message_start", json!({ "message": message }));
        push("ping", json!({}));
        let mut calls = false;
        for (index, item) in items.iter().enumerate() {
            let item = with_ids(item.clone(), number, index + 1);
            let field = |name: &str| item[name].as_str().unwrap_or_default();
            let call = |input: &str| {
                let block =
                    json!({"type": "tool_use", "id": item["call_id"], "name": item["name"], "input": {}});
                let parts = pieces(input, self.chunk).into_iter();
                (block, parts.map(|part| json!({"type": "input_json_delta", "partial_json": part})).collect())
            };
            let (block, deltas): (Value, Vec<Value>) = match field("type") {
                "message" => {
                    let parts = pieces(item["content"][0]["text"].as_str().unwrap_or_default(), self.chunk);
                    let deltas = parts.into_iter().map(|part| json!({"type": "text_delta", "text": part}));
                    let notes = item["content"][0]["annotations"].as_array().into_iter().flatten();
                    let notes = notes.map(|note| json!({"type": "citations_delta", "citation": note}));
                    (json!({"type": "text", "text": ""}), deltas.chain(notes).collect())
                }
                "reasoning" => {
                    let all: Vec<&str> = item["summary"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|part| part["text"].as_str())
                        .collect();
                    let mut deltas: Vec<Value> = pieces(&all.concat(), self.chunk)
                        .into_iter()
                        .map(|part| json!({"type": "thinking_delta", "thinking": part}))
                        .collect();
                    deltas.push(json!({"type": "signature_delta", "signature": item["encrypted_content"]}));
                    (json!({"type": "thinking", "thinking": "", "signature": ""}), deltas)
                }
                "function_call" => call(field("arguments")),
                "custom_tool_call" => call(&json!({"input": item["input"]}).to_string()),
                "server_tool_use" => {
                    let mut block = item.clone();
                    block["input"] = json!({});
                    let parts = pieces(&item["input"].to_string(), self.chunk).into_iter();
                    (
                        block,
                        parts.map(|part| json!({"type": "input_json_delta", "partial_json": part})).collect(),
                    )
                }
                "web_search_tool_result" => (item.clone(), Vec::new()),
                _ => continue,
            };
            calls |= block["type"] == "tool_use";
            push("content_block_start", json!({"index": index, "content_block": block}));
            for delta in deltas {
                push("content_block_delta", json!({"index": index, "delta": delta}));
            }
            push("content_block_stop", json!({"index": index}));
        }
        let stop = match &self.end {
            End::Completed => Some(if calls { "tool_use" } else { "end_turn" }),
            End::Incomplete(reason) if reason == "max_output_tokens" => Some("max_tokens"),
            End::Incomplete(reason) if reason == "pause_turn" => Some("pause_turn"),
            End::Incomplete(_) => Some("refusal"),
            End::Failed(error) => {
                push("error", json!({"error": {"type": error["code"], "message": error["message"]}}));
                None
            }
            End::Missing => None,
        };
        if let Some(stop) = stop {
            let delta = json!({"stop_reason": stop, "stop_sequence": null});
            push(
                "message_delta",
                json!({"delta": delta, "usage": {"output_tokens": self.usage["output_tokens"]}}),
            );
            push("message_stop", json!({}));
        }
        if let Some(after) = self.garbage_after {
            events
                .insert(after.min(events.len()), "event: content_block_delta\ndata: {broken\n\n".to_owned());
        }
        events
    }
}
