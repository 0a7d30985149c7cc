//! The output of commands in a few rows: its beginning and its end.

use ratatui::text::Line;

use crate::protocol::Excerpt;
use crate::tui::text::{Break, Prefix, Text, plain};

use super::view::{View, lines};

/// Lines of an output that are shown.
pub const SHOWN: usize = 5;
/// How many of them are of its beginning, when there are more.
const HEAD: usize = 2;
/// Rows that one line may take.
const ROWS: usize = 2;
/// Bytes of a line that are looked at.
const LONGEST: usize = 4096;
/// Bytes of a running command's output that are kept.
const KEPT: usize = 16 * 1024;

/// The latest output of a command that runs.
#[derive(Default)]
pub struct Tail(String);

impl Tail {
    pub fn push(&mut self, text: &str) {
        self.0.push_str(plain::last(text, KEPT));
        if self.0.len() > 2 * KEPT {
            self.0 = plain::last(&self.0, KEPT).to_owned();
        }
    }

    pub fn rows(&self, view: &View<'_>) -> Vec<Line<'static>> {
        let text = self.0.trim_end_matches(['\n', '\r']);
        let mut last: Vec<&str> = text.rsplit('\n').take(SHOWN).collect();
        last.reverse();
        if text.is_empty() {
            Vec::new()
        } else {
            last.iter().flat_map(|line| line_rows(line, view)).collect()
        }
    }
}

/// The first and the last lines of an output.
pub fn rows(excerpt: &Excerpt, view: &View<'_>) -> Vec<Line<'static>> {
    let Excerpt { head, tail, .. } = excerpt;
    let all = usize::try_from(excerpt.lines).unwrap_or(usize::MAX).max(1);
    let whole = tail.is_empty() && head.lines().nth(SHOWN).is_none();
    if whole {
        return head.lines().flat_map(|line| line_rows(line, view)).collect();
    }
    let mut rows: Vec<_> = head.lines().take(HEAD).flat_map(|line| line_rows(line, view)).collect();
    let end = if tail.is_empty() { head } else { tail };
    let mut last: Vec<&str> = end.trim_end_matches(['\n', '\r']).rsplit('\n').take(SHOWN - HEAD).collect();
    last.reverse();
    let left_out = all.saturating_sub(HEAD + last.len());
    if left_out > 0 {
        rows.push(view.row(vec![(format!("… +{}", lines(left_out)), view.theme.dim)]));
    }
    rows.extend(last.iter().flat_map(|line| line_rows(line, view)));
    rows
}

/// All that is known of an output.
pub fn full(excerpt: &Excerpt, view: &View<'_>) -> Vec<Line<'static>> {
    let part = |text: &str| -> Vec<Line<'static>> {
        let whole = |line| Text::of(&plain::output(line), view.theme.plain);
        text.lines()
            .flat_map(|line| whole(line).rows(view.width, Break::Anywhere, &Prefix::default()))
            .collect()
    };
    let mut rows = part(&excerpt.head);
    if !excerpt.tail.is_empty() {
        let shown = excerpt.head.lines().count() + excerpt.tail.lines().count();
        let left_out = usize::try_from(excerpt.lines).unwrap_or(usize::MAX).saturating_sub(shown);
        rows.push(view.row(vec![(format!("… +{}", lines(left_out)), view.theme.dim)]));
        rows.extend(part(&excerpt.tail));
    }
    rows
}

/// The first `most` lines of words of the program or the model, each of them not too long.
pub fn cut(text: &str, most: usize) -> String {
    let text = text.trim_end();
    let mut all = text.lines();
    let mut out = Vec::new();
    for line in all.by_ref().take(most) {
        let shown = plain::first(line, LONGEST);
        out.push(if shown.len() < line.len() { format!("{shown}…") } else { shown.to_owned() });
    }
    let left_out = all.count();
    if left_out > 0 {
        out.push(format!("… +{}", lines(left_out)));
    }
    out.join("\n")
}

fn line_rows(line: &str, view: &View<'_>) -> Vec<Line<'static>> {
    let shown = plain::output(plain::first(line, LONGEST));
    let mut rows = Text::of(&shown, view.theme.dim).rows(view.width, Break::Anywhere, &Prefix::default());
    if rows.len() > ROWS {
        rows.truncate(ROWS - 1);
        let rest: String =
            shown.chars().skip(rows.iter().map(|row| row.to_string().chars().count()).sum()).collect();
        rows.push(view.row(vec![(rest, view.theme.dim)]));
    }
    rows
}
