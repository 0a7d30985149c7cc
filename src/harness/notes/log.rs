//! What of a session's log is shown to the model that makes notes of it.

use std::{collections::HashSet, io, path::Path};

use crate::memory::sample::{Sample, Speaker};
use crate::protocol::{Fact, Item, words};
use crate::store;

/// Bytes of anything that are looked at; the sample takes less.
const MOST: usize = 16 << 10;
/// Its results are what is remembered already.
const REMEMBER: &str = "remember";

/// Reads a log, one fact at a time.
pub(super) fn sample(log: &Path) -> io::Result<Sample> {
    let mut sample = Sample::default();
    let mut own = HashSet::new();
    store::visit_events(log, |event| {
        let Fact::ItemAdded { item } = event.fact else { return };
        match &*item {
            Item::User { content, .. } => sample.push(Speaker::User, start(&words(content))),
            Item::Assistant { text, .. } => sample.push(Speaker::Agent, start(text)),
            Item::ToolCall { call, tool, .. } if tool == REMEMBER => {
                own.insert(call.clone());
            }
            Item::ToolCall { tool, args, .. } => {
                let command =
                    args.raw().and_then(|raw| serde_json::from_str::<serde_json::Value>(raw.get()).ok());
                let command = command.and_then(|args| args.get("cmd")?.as_str().map(str::to_owned));
                let text = command.unwrap_or_else(|| start(args.as_str()).to_owned());
                sample.push(Speaker::Call, &format!("{tool} {text}"));
            }
            Item::ToolResult { call, content, .. } => {
                if !own.remove(call) {
                    sample.push(Speaker::Result, start(&words(content)));
                }
            }
            Item::Context { .. }
            | Item::Reasoning { .. }
            | Item::Sources { .. }
            | Item::Sealed { .. }
            | Item::Unknown(_) => {}
        }
    })?;
    Ok(sample)
}

fn start(text: &str) -> &str {
    (0..=MOST.min(text.len())).rev().find_map(|at| text.get(..at)).unwrap_or_default()
}
