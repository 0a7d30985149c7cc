//! Markdown as it streams: rows that can't change any more are handed out once, the rest is shown as it stands.
//!
//! What is handed out depends on the text and the width alone, and never on the pieces in which the text came.
//! Prose stands behind a margin. Code stands at the left edge with nothing before it, so that what is selected
//! on the screen is the code. Nothing the text says can act on the terminal.

mod blocks;
mod inline;
mod marks;
mod table;
#[cfg(test)]
mod tests;

use ratatui::text::{Line, Span};

use crate::tui::{term::Row, theme::Theme};

use super::{Break, Prefix, Text, columns, plain::first};
use blocks::{Blocks, LIMIT, Marks, Piece};
use inline::Run;

pub use inline::{Links, Root};

/// Pieces that may be laid out again for a look at the open end.
const TAIL: usize = 100;

/// A text in Markdown that grows.
#[derive(Debug, Clone, Default)]
pub struct Markdown {
    blocks: Blocks,
    /// The line that has no end yet.
    line: String,
    /// Bytes of it that have been searched for one.
    searched: usize,
    margin: Margin,
    /// The row that more text may still join.
    flow: Option<Flow>,
}

/// What stands before prose.
#[derive(Debug, Clone, Default)]
struct Margin {
    first: String,
    rest: String,
    used: bool,
}

#[derive(Debug, Clone)]
struct Flow {
    text: Text,
    prefix: Prefix,
    breaks: Break,
}

impl Markdown {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With `first` before the first row of prose, and as many spaces before the others.
    #[must_use]
    pub fn with_margin(first: &str) -> Self {
        let margin = Margin { first: first.to_owned(), rest: " ".repeat(columns(first)), used: false };
        Self { margin, ..Self::default() }
    }

    /// With links.
    #[must_use]
    pub fn linked(mut self, links: Root) -> Self {
        self.blocks.root = links;
        self
    }

    /// Takes in more text.
    pub fn push(&mut self, text: &str) {
        self.line.push_str(text);
        let mut from = 0;
        let mut searched = self.searched;
        loop {
            let rest = self.line.get(from..).unwrap_or_default();
            if let Some(end) =
                rest.get(searched..).and_then(|unseen| unseen.find('\n')).filter(|at| at + searched <= LIMIT)
            {
                let end = end + searched;
                self.blocks.line(rest.get(..end).unwrap_or_default());
                from += end + 1;
                searched = 0;
            } else if rest.len() > LIMIT {
                let part = first(rest, LIMIT);
                self.blocks.part(part);
                from += part.len();
                searched = 0;
            } else {
                self.searched = rest.len();
                break;
            }
        }
        self.line.drain(..from);
    }

    /// Nothing more will come: everything is finished.
    pub fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.searched = 0;
        if !line.is_empty() {
            self.blocks.line(&line);
        }
        self.blocks.end();
    }

    /// The rows that can't change any more and were not handed out before.
    pub fn finished(&mut self, width: u16, theme: &Theme) -> Vec<Line<'static>> {
        self.finished_rows(width, theme).into_iter().map(|row| row.line).collect()
    }

    /// The same, with where their parts lead.
    pub fn finished_rows(&mut self, width: u16, theme: &Theme) -> Vec<Row> {
        let mut rows = Vec::new();
        for piece in std::mem::take(&mut self.blocks.pieces) {
            self.lay_out(piece, width, theme, &mut rows);
        }
        rows
    }

    /// What is still open, as it stands, after the rows that were handed out.
    #[must_use]
    pub fn tail(&self, width: u16, theme: &Theme) -> Vec<Line<'static>> {
        let mut copy = Self {
            blocks: self.blocks.tail(TAIL),
            line: if only_marks(&self.line) { String::new() } else { self.line.clone() },
            ..Self { searched: 0, margin: self.margin.clone(), flow: self.flow.clone(), ..Self::default() }
        };
        copy.end();
        let mut rows = copy.finished(width, theme);
        // A row that joins one that is not finished closes it; without one it stands for itself.
        if let Some(flow) = copy.flow.take() {
            rows.extend(flow.text.rows(width, flow.breaks, &flow.prefix));
        }
        rows
    }

    fn lay_out(&mut self, piece: Piece, width: u16, theme: &Theme, rows: &mut Vec<Row>) {
        match piece {
            Piece::Blank(quotes) => {
                let margin = if quotes.is_empty() { "" } else { &self.margin.rest };
                rows.push(vec![Span::raw(margin.to_owned()), Span::styled(quotes, theme.dim)].into());
            }
            Piece::Text { prefix, runs, joins, more } => {
                let begins = (!joins).then(|| Flow::new(Break::Words, self.margin.before(&prefix, theme)));
                rows.extend(self.flow(&runs, begins, more, width, theme));
            }
            Piece::Code { runs, more } => {
                self.margin.used = true;
                let begins = self.flow.is_none().then(|| Flow::new(Break::Anywhere, Prefix::default()));
                rows.extend(self.flow(&runs, begins, more, width, theme));
            }
            Piece::Table { prefix, table } => {
                let prefix = self.margin.before(&prefix, theme);
                let own: usize = prefix.rest.iter().map(|span| columns(&span.content)).sum();
                let drawn = table.draw(usize::from(width).saturating_sub(own), theme);
                rows.extend(drawn.into_iter().enumerate().map(|(index, row)| {
                    row.behind(if index == 0 { prefix.first.clone() } else { prefix.rest.clone() })
                }));
            }
            Piece::Rule(prefix) => {
                let prefix = self.margin.before(&prefix, theme);
                let own: usize = prefix.first.iter().map(|span| columns(&span.content)).sum();
                let mut spans = prefix.first;
                let long = usize::from(width).saturating_sub(own).min(40);
                spans.push(Span::styled("─".repeat(long), theme.dim));
                rows.push(spans.into());
            }
        }
    }

    /// Begins rows, or goes on with the one that is open.
    fn flow(
        &mut self,
        runs: &[Run],
        begins: Option<Flow>,
        more: bool,
        width: u16,
        theme: &Theme,
    ) -> Vec<Row> {
        let open = self.flow.take();
        let mut flow = begins.or(open).unwrap_or_else(|| Flow::new(Break::Words, Prefix::default()));
        for run in runs {
            flow.text.push_link(&run.text, run.look.style(theme), run.link.as_ref());
        }
        if !more {
            return flow.text.linked_rows(width, flow.breaks, &flow.prefix);
        }
        let rows = flow.text.take_rows(width, flow.breaks, &flow.prefix);
        if !rows.is_empty() {
            flow.prefix.first.clone_from(&flow.prefix.rest);
        }
        self.flow = Some(flow);
        rows
    }
}

impl Flow {
    fn new(breaks: Break, prefix: Prefix) -> Self {
        Self { text: Text::default(), prefix, breaks }
    }
}

impl Margin {
    fn before(&mut self, marks: &Marks, theme: &Theme) -> Prefix {
        let first = if std::mem::replace(&mut self.used, true) { &self.rest } else { &self.first };
        let spans = |margin: &str, marks: &str| {
            let both = [Span::raw(margin.to_owned()), Span::styled(marks.to_owned(), theme.dim)];
            both.into_iter().filter(|span| !span.content.is_empty()).collect()
        };
        Prefix { first: spans(first, &marks.first), rest: spans(&self.rest, &marks.rest) }
    }
}

/// Whether a line that has just begun may still become anything: it is not shown yet.
fn only_marks(line: &str) -> bool {
    line.len() < 8 && line.chars().all(|char| " -=*_#>+`~|.)".contains(char) || char.is_ascii_digit())
}
