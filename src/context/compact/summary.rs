//! Whether what the model gave is a summary that the work can go on from.

use std::collections::HashSet;

use crate::protocol::{Content, Item, Shown, words};
use crate::session::{Session, room::tokens_of};

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
    let size = tokens_of(text, checks.per_kb);
    if size > checks.most {
        return Err(format!("it was too long: {size} tokens where {} are the most", checks.most));
    }
    // Where the task has no words that could be told from others, there is nothing to look for.
    let goal: HashSet<String> = spoken(section(text, "Goal").unwrap_or_default()).collect();
    if checks.task.len() >= 3 && goal.is_disjoint(&checks.task) {
        return Err("what it says of the goal has nothing to do with what the user said".to_owned());
    }
    let next = section(text, "Next step").unwrap_or_default();
    let again = next
        .split('`')
        .skip(1)
        .step_by(2)
        .find(|word| checks.passed.iter().any(|command| command == word.trim()));
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
        if spaced { vec![word.to_lowercase()] } else { word.chars().map(String::from).collect() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Event, Excerpt, Fact, PatchedFile, Seq, Time};

    const GOOD: &str =
        "## Goal\nMend the parser.\n\n### Decisions\nnone\n\n## State\nHalf.\n\n## Next step\nRun `make`.";

    fn checks(items: Vec<Item>) -> Checks {
        let mut session = Session::default();
        for (at, item) in items.into_iter().enumerate() {
            let event = Event { seq: Seq(at as u64 + 1), at: Time::UNIX_EPOCH, fact: Fact::item(item) };
            session.apply(&event);
        }
        Checks::of(&session, 200)
    }

    fn ran(command: &str, exit: i32) -> Item {
        let shown = Shown::Command {
            command: command.into(),
            workdir: "/w".into(),
            exit: Some(exit),
            process: None,
            duration_ms: 1,
            output: Excerpt::default(),
        };
        Item::ToolResult { call: "c".into(), content: vec![], shown }
    }

    fn edited() -> Item {
        Item::ToolResult {
            call: "c".into(),
            content: vec![],
            shown: Shown::Patch { files: Vec::<PatchedFile>::new() },
        }
    }

    #[test]
    fn a_summary_is_refused_for_a_reason_that_the_next_try_can_mend() {
        let task = || Item::user("Please mend the parser so that it takes comments");
        let task_only = checks(vec![task()]);
        assert_eq!(check(&format!("\n{GOOD}\n"), &task_only), Ok(GOOD.to_owned()));
        for (text, why) in [
            (" \n".to_owned(), "it was empty"),
            (GOOD.replace("## State\nHalf.", "## State\n"), "under the heading `## State`"),
            ("Sure, I will go on with the work.".to_owned(), "under the heading `## Goal`"),
            (GOOD.replace("Mend the parser.", "Write a poem."), "nothing to do with what the user said"),
            (format!("{GOOD}{}", " on".repeat(400)), "it was too long"),
        ] {
            let refused = check(&text, &task_only).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn a_command_that_has_passed_is_not_asked_for_again_unless_files_were_changed() {
        let task = || Item::user("Please mend the parser so that it takes comments");
        let passed = checks(vec![task(), ran("make", 0)]);
        assert!(check(GOOD, &passed).unwrap_err().contains("`make`, which has passed"));
        for stale in [vec![task(), ran("make", 0), edited()], vec![task(), ran("make", 2)]] {
            assert!(check(GOOD, &checks(stale)).is_ok());
        }
    }

    #[test]
    fn a_task_in_a_language_without_spaces_is_told_from_another_one() {
        let task = checks(vec![Item::user("修复解析器中的错误")]);
        assert!(check(&GOOD.replace("Mend the parser.", "修复解析器"), &task).is_ok());
        assert!(check(&GOOD.replace("Mend the parser.", "写一首诗"), &task).is_err());
        assert!(check(GOOD, &checks(vec![Item::user("ok?")])).is_ok(), "nothing to compare with");
    }
}
