//! Results cut to their beginning and end, without a model.

use std::sync::Arc;

use crate::protocol::{
    CallId, Compaction, CompactionMeans as Means, Content, Excerpt, Item, PatchedFile, Shown,
};
use crate::session::{Session, Wanted, room};

use super::{
    Budget,
    piece::{self, Pieces},
};

/// A result of at most so many bytes stays as it is.
const SMALL: usize = 2_000;
/// What stays of a larger one, in bytes.
const ENDS: usize = 1_200;

/// The conversation with old results cut to their ends, if that makes enough room: so much that the model's cache is
/// not lost for little.
#[must_use]
pub fn shrink(session: &Session, wanted: &Wanted) -> Option<Compaction> {
    let tail = piece::tail(session, Budget::of(session, 0).tail);
    let mut pieces = Pieces::new(&session.items);
    for (at, item) in session.items.iter().enumerate() {
        match old(item).filter(|_| at < tail) {
            Some(shrunk) => pieces.add_for(at, shrunk),
            None => pieces.keep(at..at + 1),
        }
    }
    let built = pieces.finish(session, wanted.reason, Means::Shrunk);
    (built.shrunk > 0 && built.to <= session.limits().room() / 10 * 6).then_some(built)
}

/// A result that the model has answered to, cut to its ends; none where it is small.
pub(super) fn old(item: &Item) -> Option<Item> {
    // Of a skill that is in use nothing goes.
    if matches!(item, Item::ToolResult { shown: Shown::Skill { .. }, .. }) {
        return None;
    }
    cut(item, SMALL, ENDS)
}

/// A result of at most so many tokens; none where it is that small.
pub(super) fn result(item: &Item, session: &Session, tokens: u64) -> Option<Item> {
    let Item::ToolResult { content, .. } = item else { return None };
    // Its largest part says what its bytes weigh.
    let texts = content.iter().filter_map(|part| match part {
        Content::Text { text } => Some(text.as_str()),
        Content::Image { .. } | Content::Unknown(_) => None,
    });
    let text = texts.max_by_key(|text| text.len()).unwrap_or_default();
    let bytes = room::bytes_of(text, tokens, session.limits().tokens_per_kb);
    cut(item, bytes, bytes.saturating_sub(150).max(150))
}

fn cut(item: &Item, small: usize, bytes: usize) -> Option<Item> {
    let Item::ToolResult { call, content, shown } = item else { return None };
    let size: usize = content.iter().map(weight).sum();
    if size <= small {
        return None;
    }
    let texts = content.iter().filter(|part| matches!(part, Content::Text { .. })).count();
    let each = bytes / texts.max(1);
    let content = content.iter().map(|part| match part {
        Content::Text { text } => Content::text(piece::ends(text, each, |left_out| handle(call, left_out))),
        Content::Image { .. } => Content::text("[a picture was here; look at its file again if it matters]"),
        Content::Unknown(_) => Content::text(handle(call, weight(part))),
    });
    Some(Item::ToolResult { call: call.clone(), content: content.collect(), shown: outline(shown) })
}

/// How the model gets back what is left out.
fn handle(call: &CallId, left_out: usize) -> String {
    format!("[… {left_out} bytes are left out here; recall {{\"call\":\"{call}\"}} brings them back …]")
}

fn weight(part: &Content) -> usize {
    match part {
        Content::Text { text } => text.len(),
        // As much as the most that one costs.
        Content::Image { .. } => 6_000,
        Content::Unknown(value) => value.to_string().len(),
    }
}

/// What people see is in the log; here only what it was stays.
fn outline(shown: &Shown) -> Shown {
    match shown {
        Shown::Command { command, workdir, exit, process, duration_ms, output } => Shown::Command {
            command: command.clone(),
            workdir: workdir.clone(),
            exit: *exit,
            process: *process,
            duration_ms: *duration_ms,
            output: Excerpt {
                lines: output.lines,
                bytes: output.bytes,
                blob: output.blob.clone(),
                ..Excerpt::default()
            },
        },
        Shown::Patch { files } => {
            let bare = |file: &PatchedFile| PatchedFile { diff: String::new(), ..file.clone() };
            Shown::Patch { files: files.iter().map(bare).collect() }
        }
        Shown::Text { .. } => Shown::text(String::new()),
        same @ (Shown::Plan { .. }
        | Shown::Goal { .. }
        | Shown::Image { .. }
        | Shown::Skill { .. }
        | Shown::Failure { .. }
        | Shown::Unknown(_)) => same.clone(),
    }
}

/// All results cut to their ends, where they are not among the last.
pub(super) fn all(items: &[Arc<Item>], tail: usize) -> Vec<Arc<Item>> {
    let one = |(at, item): (usize, &Arc<Item>)| match old(item).filter(|_| at < tail) {
        Some(shrunk) => Arc::new(shrunk),
        None => Arc::clone(item),
    };
    items.iter().enumerate().map(one).collect()
}
