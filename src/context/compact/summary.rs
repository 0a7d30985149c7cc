//! Whether what the model gave is a summary that the work can go on from.

use std::collections::HashSet;

use crate::protocol::{Content, Item, Shown, words};
use crate::session::{Session, room::tokens};

use super::request;

/// What the model is told that a summary is.
pub const PREFIX: &str = "The conversation before was too long and is replaced by this summary of it. What it names can be \
                          looked up with the tool `recall`. Go on from here, and do not repeat what is done.";

/// What a summary is held against.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checks {
    /// The tokens that it may take.
    most: u64,
    per_kb: u64,
    /// Words of what the person said.
    task: HashSet<String>,
    /// Commands that ended well, with no change of files after them.
    passed: Vec<String>,
}

impl Checks {
    /// What a summary of this conversation, of at most `most` tokens, has to stand up to.
    #[must_use]
    pub fn of(session: &Session, most: u64) -> Self {
        let said = session.said().flat_map(|(_, content)| content_words(content));
        let mut passed = Vec::new();
        for item in session.items.iter() {
            match &**item {
                Item::ToolResult { shown: Shown::Patch { .. }, .. } => passed.clear(),
                Item::ToolResult { shown: Shown::Command { command, exit: Some(0), .. }, .. } => {
                    passed.push(command.trim().to_owned());
                }
                _ => {}
            }
        }
        Self { most, per_kb: session.limits().tokens_per_kb, task: said.collect(), passed }
    }
}

/// The summary, trimmed.
///
/// # Errors
/// What is wrong with it, for the next try.
pub fn check(text: &str, checks: &Checks) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it was empty".to_owned());
    }
    if request::echoes(text) {
        return Err("it repeated the question".to_owned());
    }
    for heading in ["Goal", "State", "Next step"] {
        if section(text, heading).is_none_or(|body| body.trim().is_empty()) {
            return Err(format!("there was nothing under the heading `## {heading}`"));
        }
    }
    let size = tokens(text.len(), checks.per_kb);
    if size > checks.most {
        return Err(format!("it was too long: {size} tokens where {} are the most", checks.most));
    }
    // Where the task has no words that could be told from others, there is nothing to look for.
    let goal: HashSet<String> = spoken(section(text, "Goal").unwrap_or_default()).collect();
    if checks.task.len() >= 3 && goal.is_disjoint(&checks.task) {
        return Err("what it says of the goal has nothing to do with what the user said".to_owned());
    }
    let next = section(text, "Next step").unwrap_or_default();
    let again = next.split('`').skip(1).step_by(2).find(|word| {
        checks.passed.iter().any(|command| command == word.trim())
    });
    if let Some(command) = again {
        return Err(format!("its next step is `{command}`, which has passed, and nothing was changed since"));
    }
    Ok(text.to_owned())
}

/// What stands under a heading.
fn section<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let is_it = |line: &str| {
        let name = line.trim().trim_start_matches('#').trim().trim_matches(['*', ':']).trim();
        line.trim_start().starts_with('#') && name.eq_ignore_ascii_case(heading)
    };
    let mut from = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let heads = line.trim_start().starts_with('#');
        match from {
            None if is_it(line) => from = Some(at + line.len()),
            Some(from) if heads => return text.get(from..at),
            _ => {}
        }
        at += line.len();
    }
    text.get(from?..)
}

fn content_words(content: &[Content]) -> impl Iterator<Item = String> {
    spoken(&words(content)).collect::<Vec<_>>().into_iter()
}

/// The words that say something: those of four letters and more, or of any length where they are not Latin.
fn spoken(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|char: char| !char.is_alphanumeric());
    let saying = words.filter(|word| word.chars().count() >= 4 || !word.is_ascii() && !word.is_empty());
    // Where words are not set apart, each character says something.
    saying.flat_map(|word| {
        let spaced = word.chars().all(|char| (char as u32) < 0x2E80);
        if spaced {
            vec![word.to_lowercase()]
        } else {
            word.chars().map(String::from).collect()
        }
    })
}
