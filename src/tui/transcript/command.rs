//! A command: running, with its latest output; and finished, with how it ended.

use ratatui::{style::Style, text::Line};

use crate::protocol::{Excerpt, ProcessId};
use crate::tui::text::{Break, Prefix, Text, plain};

use super::{
    output::{self, Tail},
    view::{View, duration, lines},
};

/// Lines of a command that are shown.
const SHOWN: usize = 5;
/// Bytes of one of them.
const LONGEST: usize = 2048;
/// What takes less time than this is not timed.
const QUICK: u64 = 100;

/// How a command ended, or did not.
pub struct Ended<'a> {
    pub command: &'a str,
    pub exit: Option<i32>,
    pub process: Option<ProcessId>,
    pub duration_ms: u64,
    pub output: &'a Excerpt,
}

/// A command that runs.
pub fn running(
    verb: &str,
    command: &str,
    since: i64,
    now: i64,
    tail: &Tail,
    view: &View<'_>,
) -> Vec<Line<'static>> {
    let ms = u64::try_from(now - since).unwrap_or(0);
    let time = if ms < 1000 { String::new() } else { format!(" · {}", duration(ms)) };
    let mut rows = head(verb, command, SHOWN, view.theme.accent, &time, view);
    rows.extend(tail.rows(view));
    rows
}

/// A command that has ended, or goes on without being waited for.
pub fn ended(verb: &str, ended: &Ended<'_>, whole: bool, view: &View<'_>) -> Vec<Line<'static>> {
    let Ended { command, exit, process, duration_ms, output } = ended;
    let theme = view.theme;
    let (how, mark) = match (exit, process) {
        (Some(0), _) => (String::new(), theme.good),
        (Some(code), _) => (format!(" · exit {code}"), theme.bad),
        (None, Some(process)) => (format!(" · goes on as process {process}"), theme.accent),
        (None, None) => (" · ended without an exit code".to_owned(), theme.warning),
    };
    let time = if *duration_ms < QUICK { String::new() } else { format!(" · {}", duration(*duration_ms)) };
    let most = if whole { usize::MAX } else { SHOWN };
    let mut rows = head(verb, command, most, mark, &format!("{how}{time}"), view);
    let shown = if whole { output::full(output, view) } else { output::rows(output, view) };
    match shown.is_empty() {
        true if process.is_none() => rows.push(view.row(vec![("(no output)".to_owned(), theme.dim)])),
        _ => rows.extend(shown),
    }
    rows
}

/// The command itself, at the left edge from its second row on, so that it can be selected.
fn head(
    verb: &str,
    command: &str,
    most: usize,
    mark: Style,
    after: &str,
    view: &View<'_>,
) -> Vec<Line<'static>> {
    let theme = view.theme;
    let mut text = Text::default();
    let command = command.trim();
    let mut all = command.lines();
    for (index, line) in all.by_ref().take(most).enumerate() {
        text.push(if index > 0 { "\n" } else { "" }, theme.plain);
        let shown = if most == usize::MAX { line } else { plain::first(line, LONGEST) };
        text.push(&plain::plain(shown), theme.strong);
        text.push(if shown.len() < line.len() { "…" } else { "" }, theme.dim);
    }
    let left_out = all.count();
    if left_out > 0 {
        text.push(&format!("\n… +{}", lines(left_out)), theme.dim);
    }
    text.push(after, theme.dim);
    let mut prefix = Prefix::hanging("• ", mark);
    prefix.first.push(ratatui::text::Span::styled(format!("{verb} "), theme.plain));
    prefix.rest.clear();
    text.rows(view.width, Break::Words, &prefix)
}
