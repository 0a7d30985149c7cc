//! What holds beside the conversation, told anew after each compaction.

use std::fmt::Write as _;

use crate::protocol::{StepStatus, printable};
use crate::session::{ProcessState, Session};

use super::piece;

/// Running commands and changed files that are named.
const NAMED: usize = 40;
/// Characters of a command.
const SHOWN: usize = 200;

/// What only a look at the machine tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Files that calls have changed, the last one first, each with the beginning of its hash, or why there is none.
    pub files: Vec<(String, String)>,
}

impl State {
    /// In words for the model; nothing where nothing holds.
    pub(super) fn text(&self, session: &Session, budget: u64) -> Option<String> {
        let mut text = session.goal_pinned().map(|goal| goal + "\n").unwrap_or_default();
        if !session.plan.is_empty() {
            text += "The plan:\n";
            for step in &session.plan {
                let mark = match step.status {
                    StepStatus::Pending => ' ',
                    StepStatus::InProgress => '>',
                    StepStatus::Completed => 'x',
                };
                let _ = writeln!(text, "- [{mark}] {}", step.step);
            }
        }
        // The goal and the plan are whole in any case: what follows has what is left.
        let plan = text;
        let mut rest = String::new();
        if !self.files.is_empty() {
            rest += "Files that were changed in this session, the last one first, with the hash of what they hold now:\n";
            for (path, hash) in self.files.iter().take(NAMED) {
                let _ = writeln!(rest, "- {path} ({hash})");
            }
            if let Some(more) = self.files.len().checked_sub(NAMED).filter(|more| *more > 0) {
                let _ = writeln!(rest, "- and {more} more");
            }
        }
        let running: Vec<String> = session
            .processes
            .iter()
            .filter(|(_, process)| process.state == ProcessState::Running)
            .map(|(id, process)| format!("- session ID {id}: `{}`\n", headline(&process.command)))
            .collect();
        if !running.is_empty() {
            rest += "Commands that still run:\n";
            rest.extend(running.iter().take(NAMED).map(String::as_str));
        }
        let rest = piece::within(&rest, budget, session);
        let all = plan + &rest;
        (!all.is_empty()).then(|| format!("<state>\n{}\n</state>", all.trim_end()))
    }
}

/// The beginning of a command, on one line.
pub(super) fn headline(command: &str) -> String {
    let line = printable(command).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
