//! What is wrong with the settings, for the person who wrote them: what, where, and what to do.

use std::{
    fmt::{self, Write as _},
    ops::Range,
};

/// The widest part of a line that is shown.
const MAX_WIDTH: usize = 100;

/// A mistake in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    message: String,
    excerpt: Option<String>,
    hint: Option<String>,
}

impl ConfigError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), excerpt: None, hint: None }
    }

    pub(super) fn excerpt(mut self, excerpt: impl Into<Option<String>>) -> Self {
        self.excerpt = excerpt.into();
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.message.chars() {
            f.write_char(visible(c))?;
        }
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n{}{hint}", if self.excerpt.is_some() { "  = " } else { "hint: " })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Line and column of a byte, counted from 1.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at.min(text.len())).unwrap_or("");
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before.get(line_start..).unwrap_or("").chars().count() + 1)
}

/// The line of `span` with a caret below it. What may be a secret is not shown.
pub(super) fn excerpt(text: &str, span: &Range<usize>, secret: bool) -> String {
    let (number, _) = position(text, span.start);
    let start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or("");
    let (mut line, mut from) = (line, (span.start - start).min(line.len()));
    let mut to = (span.end.saturating_sub(start)).clamp(from, line.len());
    let mut hidden = "";
    if secret || may_be_secret(line) || in_providers(text, start) {
        (line, hidden) = line.split_once('=').map_or(("", "…"), |(key, _)| (key, "= …"));
        from = from.min(line.len());
        to = to.min(line.len()).max(from);
    }

    // A window around the caret: a line may be a megabyte long.
    let before: Vec<char> = line.get(..from).unwrap_or("").chars().rev().take(MAX_WIDTH / 2).collect();
    let cut_before = line.get(..from).is_some_and(|text| text.chars().nth(before.len()).is_some());
    let mut after = line.get(from..).unwrap_or("").chars();
    let shown_after: String = after.by_ref().take(MAX_WIDTH / 2).collect();
    let cut_after = after.next().is_some();
    let carets = line.get(from..to).unwrap_or("").chars().take(MAX_WIDTH / 2).count().max(1);

    let lead: String =
        cut_before.then_some('…').into_iter().chain(before.into_iter().rev()).map(visible).collect();
    let rest: String = shown_after.chars().map(visible).chain(cut_after.then_some('…')).collect();
    let gutter = number.to_string();
    let margin = " ".repeat(gutter.len());
    format!(
        "{margin} |\n{gutter} | {lead}{rest}{hidden}\n{margin} | {}{}",
        " ".repeat(lead.chars().count()),
        "^".repeat(carets)
    )
}

/// Whether the table that a place belongs to is a provider's: its headers may hold keys under any name.
fn in_providers(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let table = before.lines().rev().map(str::trim_start).find(|line| line.starts_with('['));
    table.is_some_and(|line| line.trim_start_matches(['[', ' ']).starts_with("providers"))
}

/// A terminal must not obey what a file says.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}') =>
        {
            '\u{fffd}'
        }
        c => c,
    }
}

/// Whether a line looks as if it held a key of a provider.
pub(super) fn may_be_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["key", "token", "secret", "auth", "bearer", "passw", "cookie", "header", "sk-"]
        .iter()
        .any(|word| line.contains(word))
}

/// The candidate that is most like `word`, if one is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // Who types that much wrong means something else, and comparing costs the product of the lengths.
    if word.len() > 64 {
        return None;
    }
    let alike = |candidate: &str| strsim::jaro_winkler(&word.to_lowercase(), candidate);
    let (score, best) = candidates
        .iter()
        .map(|candidate| (alike(candidate), *candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score > 0.8).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_what_is_meant() {
        assert_eq!(excerpt("a = 1\nbb = 'x'\n", &(11..14), false), "  |\n2 | bb = 'x'\n  |      ^^^");
        assert_eq!(excerpt("", &(0..0), false), "  |\n1 | \n  | ^");
        assert_eq!(excerpt("ä = 1", &(5..6), false), "  |\n1 | ä = 1\n  |     ^");
        assert_eq!(excerpt("a = 1\u{1b}[2J", &(4..5), false), "  |\n1 | a = 1\u{fffd}[2J\n  |     ^");
    }

    #[test]
    fn a_megabyte_of_line_is_shown_as_a_window() {
        let text = format!("{}X{}", "a".repeat(1 << 20), "b".repeat(1 << 20));
        let shown = excerpt(&text, &((1 << 20)..(1 << 20) + 1), false);
        assert!(shown.len() < 400, "{}", shown.len());
        assert!(shown.contains("…a") && shown.contains("aXb") && shown.contains("b…"), "{shown}");
    }

    #[test]
    fn what_may_be_a_key_is_not_shown() {
        for line in [
            "api_key = \"hunter2\"",
            "headers = { x = \"hunter2\" }",
            "Authorization = 'hunter2'",
            "'Bearer hunter2',",
        ] {
            let shown = excerpt(line, &(10..line.len()), false);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        let words = ["model", "sandbox", "approval", "workspace-write"];
        for (typed, meant) in [
            ("modle", Some("model")),
            ("Model", Some("model")),
            ("sandbx", Some("sandbox")),
            ("workspace_write", Some("workspace-write")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, &words), meant, "{typed}");
        }
        assert_eq!(nearest(&"m".repeat(1 << 20), &words), None);
    }
}
