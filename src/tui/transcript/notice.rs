//! Words of the program: notes by level, ends of processes, failures, and what only a newer version understands.

use ratatui::text::{Line, Span};

use crate::protocol::{Compaction, CompactionMeans as Means, CompactionReason as Reason, Level, ProcessId};

use crate::tui::{
    status,
    text::{Break, Prefix, Text, columns, plain::plain},
};

use super::{
    approval::{self, Decision},
    output,
    view::{View, headline},
};

/// Columns that the last one of a table takes at least.
const LAST_COLUMN: usize = 20;
/// Lines of a failure that are shown.
const SHOWN: usize = 8;

/// Words of the program.
pub enum Notice {
    Noted {
        level: Level,
        text: String,
    },
    ProcessEnded {
        process: ProcessId,
        exit: Option<i32>,
        command: String,
    },
    /// The name of something that a newer version wrote.
    Unknown(String),
    /// The conversation went back to before this message.
    Rewound(String),
    /// What a person said to a host that a command wanted to reach.
    HostDecided {
        host: String,
        decision: Decision,
    },
    /// The conversation was made smaller.
    Compacted(Box<Compaction>),
    /// What a person asked the program for.
    Said(Vec<String>),
}

impl Notice {
    pub fn rows(&self, view: &View<'_>) -> Vec<Line<'static>> {
        let theme = view.theme;
        match self {
            Self::Noted { level, text } => {
                let (mark, style) = match level {
                    Level::Info => ("· ", theme.dim),
                    Level::Warning => ("! ", theme.warning),
                    Level::Error => ("✗ ", theme.bad),
                };
                view.prose(mark, style, &output::cut(text, SHOWN), style)
            }
            Self::ProcessEnded { process, exit, command } => {
                let how = match exit {
                    Some(0) => "ended".to_owned(),
                    Some(code) => format!("ended with exit code {code}"),
                    None => "was ended".to_owned(),
                };
                let words = format!("process {process} {how}");
                let command =
                    if command.is_empty() { String::new() } else { format!(": {}", headline(command)) };
                vec![view.row(vec![("· ".to_owned(), theme.dim), (words, theme.dim), (command, theme.dim)])]
            }
            Self::Unknown(name) => unknown(name, view),
            Self::Rewound(said) => {
                let mark = ("‹ ".to_owned(), theme.accent);
                let what = ("back to before: ".to_owned(), theme.dim);
                vec![view.row(vec![mark, what, (headline(said), theme.plain)])]
            }
            Self::HostDecided { host, decision } => approval::rows(decision, host, view),
            Self::Compacted(compaction) => compacted(compaction, view),
            Self::Said(lines) => lines.iter().flat_map(|line| columned(line, view)).collect(),
        }
    }
}

/// From what to what, what stayed and what is gone.
fn compacted(compaction: &Compaction, view: &View<'_>) -> Vec<Line<'static>> {
    let theme = view.theme;
    let Compaction { reason, how, from, to, kept, dropped, shrunk, problem, .. } = compaction;
    let why = match reason {
        Reason::Full | Reason::Unknown => "",
        Reason::Overflow => ", as the provider found it too long",
        Reason::Asked => ", as you asked",
    };
    let head = format!("{} → {} tokens{why}", status::short(*from), status::short(*to));
    let mut rows = vec![view.row(vec![
        ("· ".to_owned(), theme.accent),
        ("Compacted ".to_owned(), theme.plain),
        (head, theme.dim),
    ])];
    let mut line = |text: String| rows.extend(view.prose("  ", theme.dim, &text, theme.dim));
    let all = kept.in_words();
    match how {
        Means::Shrunk => line(format!("cut to their beginning and end: {shrunk} old results of tools")),
        Means::Summary | Means::Digest | Means::Sealed | Means::Unknown => {
            line(format!(
                "kept: instructions, plan, changed files{}{all}",
                if all.is_empty() { "" } else { ", " }
            ));
            let by = match how {
                Means::Digest => "a list of what was done",
                Means::Sealed => "what the provider made of it and only it can read",
                Means::Shrunk | Means::Summary | Means::Unknown => "a summary of the model",
            };
            let dropped = dropped.in_words();
            if !dropped.is_empty() {
                line(format!("replaced by {by}: {dropped}"));
            }
        }
    }
    if let Some(problem) = problem {
        let what = match how {
            Means::Summary => "",
            Means::Digest | Means::Sealed | Means::Shrunk | Means::Unknown => {
                "there is no summary of the model: "
            }
        };
        line(format!("{what}{problem}"));
    }
    line("The log keeps all of it; the model finds it with recall.".to_owned());
    rows
}

/// A line, its last column wrapped below itself if there is room for that.
fn columned(line: &str, view: &View<'_>) -> Vec<Line<'static>> {
    let style = view.theme.plain;
    let line = plain(line.trim_end());
    let Some((above, last)) = line.rfind("  ").map(|at| line.split_at(at + 2)) else {
        return view.prose("  ", style, &line, style);
    };
    let mark = format!("  {above}");
    if columns(&mark) + LAST_COLUMN <= usize::from(view.width) {
        return Text::of(last, style).rows(view.width, Break::Words, &Prefix::hanging(&mark, style));
    }
    let prefix = Prefix { first: vec![Span::raw("  ")], rest: vec![Span::raw("      ")] };
    let line = format!("{}  {last}", above.trim_end());
    Text::of(&line, style).rows(view.width, Break::Words, &prefix)
}

/// That it did not work, and why.
pub fn failure(about: Option<&str>, text: &str, most: usize, view: &View<'_>) -> Vec<Line<'static>> {
    let bad = view.theme.bad;
    let text = output::cut(text, most);
    match about {
        None => view.prose("✗ ", bad, &text, view.theme.plain),
        Some(about) => {
            let head = view.row(vec![("✗ ".to_owned(), bad), (about.to_owned(), view.theme.plain)]);
            let mut rows = vec![head];
            rows.extend(view.prose("  ", bad, &text, view.theme.dim));
            rows
        }
    }
}

/// The usual number of lines of a failure.
pub fn short(about: Option<&str>, text: &str, view: &View<'_>) -> Vec<Line<'static>> {
    failure(about, text, SHOWN, view)
}

/// That there is something here which this version does not know.
pub fn unknown(name: &str, view: &View<'_>) -> Vec<Line<'static>> {
    vec![view.row(vec![(format!("· {} (of a newer version)", headline(name)), view.theme.dim)])]
}
