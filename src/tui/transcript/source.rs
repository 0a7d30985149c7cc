//! What cells say, as text to be copied, and the whole conversation as Markdown.

use std::fmt::Write as _;

use crate::protocol::{
    Content, Excerpt, FileOperation, HostedCall, Item, Outcome, PatchedFile, Shown, StepStatus, printable,
};
use crate::tui::text::Markdown;

use super::{
    Cell, Transcript, Whole, approval::Decision, assistant, call::Call, notice::Notice, sources_of,
    view::View,
};
use crate::tui::theme::Theme;

impl Transcript {
    /// How many cells there are. Some of them show nothing.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Whether a cell stays as it is.
    #[must_use]
    pub fn settled(&self, cell: usize) -> bool {
        self.cells.get(cell).is_none_or(Cell::finished)
    }

    /// What came so far of a message that still comes.
    #[must_use]
    pub fn streams(&self, cell: usize) -> Option<&str> {
        match self.cells.get(cell) {
            Some(Cell::Assistant(answer)) => answer.streamed(),
            _ => None,
        }
    }

    /// What lays a message out as it comes.
    #[must_use]
    pub fn reader() -> Markdown {
        assistant::markdown(&None)
    }

    /// A cell in full, at a moment by the clock of the events.
    #[must_use]
    pub fn whole(&self, cell: usize, width: u16, theme: &Theme, now: i64) -> Whole {
        let view = View { width, theme, workspace: &self.workspace, links: self.links };
        self.cells.get(cell).map_or_else(Whole::default, |cell| cell.full(&view, now))
    }

    /// The text of a cell as it was written.
    #[must_use]
    pub fn source(&self, cell: usize) -> Option<String> {
        let cell = self.cells.get(cell)?;
        let text = match cell {
            Cell::User(item) | Cell::Reasoning(item) => words(item),
            Cell::Assistant(answer) => answer.words(),
            Cell::Call(call) => match call.shown() {
                Some(Shown::Command { command, output, .. }) => {
                    format!("$ {}\n{}", command.trim_end(), said(output))
                }
                Some(Shown::Text { text } | Shown::Failure { text }) => text.clone(),
                _ => self.markdown_of(cell),
            },
            Cell::Hosted(_) | Cell::Sources(_) | Cell::Notice(_) | Cell::TurnEnd(_) | Cell::Void => {
                self.markdown_of(cell)
            }
        };
        let text = text.trim_end();
        (!text.is_empty()).then(|| printable(text).into_owned())
    }

    /// The files that calls changed, in the order in which they did.
    pub fn patches(&self) -> impl Iterator<Item = &PatchedFile> {
        let calls =
            self.cells.iter().filter_map(|cell| if let Cell::Call(call) = cell { Some(call) } else { None });
        calls
            .filter_map(
                |call| if let Some(Shown::Patch { files }) = call.shown() { Some(files) } else { None },
            )
            .flatten()
    }

    /// The conversation as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let cells = self.cells.iter().map(|cell| self.markdown_of(cell));
        let all: Vec<String> = cells.filter(|text| !text.trim().is_empty()).collect();
        let all = all.iter().map(|text| text.trim_end()).collect::<Vec<_>>().join("\n\n");
        printable(&all).into_owned()
    }

    fn markdown_of(&self, cell: &Cell) -> String {
        match cell {
            Cell::User(item) => format!("## You\n\n{}", words(item)),
            Cell::Assistant(answer) => answer.words(),
            Cell::Reasoning(item) => {
                words(item).trim().lines().map(|line| format!("> {line}\n")).collect::<String>()
            }
            Cell::Call(call) => self.call(call),
            Cell::Hosted(call) => {
                let HostedCall { verb, what, output, .. } = &**call;
                let head = format!("*{verb}* {}", what.trim());
                if output.is_empty() {
                    head
                } else {
                    format!("{}\n\n{}", head.trim_end(), fenced("", output))
                }
            }
            Cell::Sources(item) => {
                sources_of(item).iter().map(|source| format!("- {source}\n")).collect::<String>()
            }
            Cell::Notice(Notice::Noted { text, .. }) => format!("*{}*", text.trim()),
            Cell::Notice(Notice::Rewound(said)) => {
                format!("*went back to before: {}*", said.trim().lines().next().unwrap_or_default())
            }
            Cell::Notice(Notice::ProcessEnded { process, exit, .. }) => match exit {
                Some(code) => format!("*process {process} ended with exit code {code}*"),
                None => format!("*process {process} was ended*"),
            },
            Cell::Notice(Notice::HostDecided { host, decision }) => match decision {
                Decision::Refused { .. } => format!("*refused {host}*"),
                Decision::Allowed(_) | Decision::ForSession | Decision::Ruled(_) => {
                    format!("*allowed {host}*")
                }
            },
            Cell::Notice(Notice::Compacted(compaction)) => format!("*compacted: {}*", compaction.in_words()),
            Cell::TurnEnd(end) => match &end.outcome {
                Outcome::Interrupted => "*interrupted*".to_owned(),
                Outcome::Failed { message, .. } => format!("*failed: {}*", message.trim()),
                Outcome::Done | Outcome::Unknown => String::new(),
            },
            // What was asked of the program is no part of the conversation.
            Cell::Notice(Notice::Said(_) | Notice::Unknown(_)) | Cell::Void => String::new(),
        }
    }

    fn call(&self, call: &Call) -> String {
        let path = |path: &std::path::Path| {
            path.strip_prefix(&self.workspace).unwrap_or(path).to_string_lossy().into_owned()
        };
        match call.shown() {
            None => String::new(),
            Some(Shown::Command { command, exit, output, .. }) => {
                let text = format!("$ {}\n{}", command.trim_end(), said(output));
                let exit = exit.filter(|code| *code != 0).map(|code| format!("\n*exit {code}*\n"));
                fenced("console", &text) + &exit.unwrap_or_default()
            }
            Some(Shown::Patch { files }) => {
                let mut out = String::new();
                for file in files {
                    let verb = match file.operation {
                        FileOperation::Add => "Added",
                        FileOperation::Delete => "Deleted",
                        FileOperation::Overwrite => "Overwrote",
                        FileOperation::Update | FileOperation::Unknown => "Edited",
                    };
                    let to = file.moved_to.as_ref().map(|to| format!(", now {}", code(&path(to))));
                    // Writing to a string can't fail.
                    let _ = write!(
                        out,
                        "{verb} {}{} (+{} -{})\n\n{}\n",
                        code(&path(&file.path)),
                        to.unwrap_or_default(),
                        file.added,
                        file.removed,
                        fenced("diff", &file.diff)
                    );
                }
                out
            }
            Some(Shown::Plan { explanation, steps }) => {
                let mut out = explanation.as_ref().map(|text| format!("{text}\n\n")).unwrap_or_default();
                for step in steps {
                    let mark = if step.status == StepStatus::Completed { 'x' } else { ' ' };
                    let _ = writeln!(out, "- [{mark}] {}", step.step);
                }
                out
            }
            Some(Shown::Image { path: at, width, height, .. }) => {
                format!("*image {} ({width}×{height})*", code(&path(at)))
            }
            Some(Shown::Skill { name, .. }) => format!("*skill {}*", code(name)),
            Some(Shown::Text { text }) => fenced("", text),
            Some(Shown::Failure { text }) => format!("*It did not work:*\n\n{}", fenced("", text)),
            Some(Shown::Goal { claim, note }) => format!("*{}* {note}", claim.in_words()),
            Some(Shown::Unknown(_)) => String::new(),
        }
    }
}

/// What a person or the model wrote.
fn words(item: &Item) -> String {
    match item {
        Item::User { content, .. } => {
            let part = |part: &Content| match part {
                Content::Text { text } => text.clone(),
                Content::Image { width, height, .. } => format!("[image {width}×{height}]"),
                Content::Unknown(_) => "[something newer]".to_owned(),
            };
            content.iter().map(part).collect::<Vec<_>>().join("\n")
        }
        Item::Reasoning { summary, .. } => summary.join("\n\n"),
        _ => String::new(),
    }
}

/// What is known of an output.
fn said(output: &Excerpt) -> String {
    if output.tail.is_empty() {
        return output.head.clone();
    }
    let shown = output.head.lines().count() + output.tail.lines().count();
    let left_out = usize::try_from(output.lines).unwrap_or(usize::MAX).saturating_sub(shown);
    format!("{}\n… +{left_out} lines\n{}", output.head.trim_end(), output.tail)
}

/// A block of code whose fence is longer than any in it.
fn fenced(language: &str, text: &str) -> String {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end().replace('\r', ""))
}

/// A few words as code.
fn code(text: &str) -> String {
    let fence = "`".repeat(longest_run(text) + 1);
    let pad = if text.contains('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

fn longest_run(text: &str) -> usize {
    text.split(|char| char != '`').map(str::len).max().unwrap_or(0)
}
