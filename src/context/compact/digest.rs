//! What was done, as a list: the summary that needs no model.

use crate::protocol::{Args, Context, Item, Shown};
use crate::session::Session;

use super::{piece, state::headline, summary::PREFIX};

/// What was done before place `tail`, in so many tokens: what an earlier summary says, and a line for each call and
/// answer since, of which the last ones stay.
pub(super) fn of(session: &Session, tail: usize, budget: u64) -> String {
    let items = session.items.get(..tail).unwrap_or_default();
    let summary = items.iter().enumerate().rev().find_map(|(at, item)| Some((at, summary(item)?)));
    let (summary, before) = summary.unzip();
    let before = before.map(|text| text.strip_prefix(PREFIX).unwrap_or(text).trim());
    let since = items.get(summary.map_or(0, |at| at + 1)..).unwrap_or_default();
    let lines: Vec<String> = since.iter().filter_map(|item| line(item)).collect();
    let share = if lines.is_empty() { budget } else { budget / 2 };
    let before = before.map(|text| piece::within(text, share, session)).unwrap_or_default();
    let mut room = budget.saturating_sub(session.estimate(&Item::user(before.clone())));
    let mut kept = 0;
    for line in lines.iter().rev() {
        let cost = session.estimate(&Item::user(line.clone()));
        if cost > room {
            break;
        }
        room -= cost;
        kept += 1;
    }
    let mut text = before;
    if !lines.is_empty() {
        if !text.is_empty() {
            text += "\n\n";
        }
        text += "## Done since, the last at the end\n";
        if kept < lines.len() {
            text += &format!("- ({} earlier steps are left out; recall finds them)\n", lines.len() - kept);
        }
        text += &lines[lines.len() - kept..].join("\n");
    }
    text
}

/// What stands for what was left out earlier, as far as it can be read.
fn summary(item: &Item) -> Option<&str> {
    match item {
        Item::Context { context: Context::Summary, text } => Some(text),
        Item::Sealed { instead, .. } => Some(instead),
        _ => None,
    }
}

fn line(item: &Item) -> Option<String> {
    match item {
        Item::Assistant { text, .. } if !text.trim().is_empty() => {
            Some(format!("- said: {}", headline(text)))
        }
        Item::ToolResult { call, shown, .. } => Some(match shown {
            Shown::Command { command, exit, process, .. } => {
                let how = match (exit, process) {
                    (Some(code), _) => format!("exit {code}"),
                    (None, Some(process)) => format!("went on as session ID {process}"),
                    (None, None) => "was ended".to_owned(),
                };
                format!("- ran `{}`: {how} ({call})", headline(command))
            }
            Shown::Patch { files } => {
                let paths = files.iter().map(|file| file.moved_to.as_ref().unwrap_or(&file.path));
                let paths: Vec<String> = paths.map(|path| path.display().to_string()).collect();
                format!("- changed {}", headline(&paths.join(", ")))
            }
            Shown::Image { path, .. } => format!("- looked at {}", path.display()),
            Shown::Failure { text } => format!("- did not work: {} ({call})", headline(text)),
            // What is in use is told anew.
            Shown::Plan { .. } | Shown::Skill { .. } => return None,
            Shown::Goal { claim, note } => format!("- said: {} ({})", claim.in_words(), headline(note)),
            Shown::Text { text } => format!("- {} ({call})", headline(text)),
            Shown::Unknown(_) => format!("- did something ({call})"),
        }),
        Item::Context { context: Context::Notice, text } => Some(format!("- {}", headline(text))),
        Item::ToolCall { args: Args::Json(_) | Args::Text(_), .. }
        | Item::Assistant { .. }
        | Item::Context { .. }
        | Item::User { .. }
        | Item::Reasoning { .. }
        | Item::Sources { .. }
        | Item::Sealed { .. }
        | Item::Unknown(_) => None,
    }
}
