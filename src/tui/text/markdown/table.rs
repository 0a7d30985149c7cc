//! Tables, drawn with lines and fitted to the width. Cells that do not fit are wrapped.
//!
//! The widths of the columns come from the first rows; a table that goes on and on keeps them.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use crate::tui::term::Row;
use crate::tui::text::{Break, Look, Prefix, Text, columns};
use crate::tui::theme::Theme;

use super::inline::{Root, Run, inline};

/// Bytes of rows that are waited for before columns are given their widths.
const LIMIT: usize = 8 * 1024;
/// No column is made narrower than this.
const NARROWEST: usize = 4;

/// A table, or a part of a long one.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    aligns: Vec<Align>,
    /// The first row is the head, if this is the first part.
    rows: Vec<Vec<Vec<Run>>>,
    /// Columns that each column would like to have.
    wanted: Vec<usize>,
    bytes: usize,
    root: Root,
    pub first: bool,
    last: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
    Centre,
}

impl Table {
    /// Reads the head of a table and the line below it, if that is what they are.
    pub fn begin(head: &str, line: &str, root: &Root) -> Option<Self> {
        if !line.contains('-') || !(line.contains('|') || head.contains('|')) {
            return None;
        }
        let aligns = cells(line).iter().map(|cell| Align::read(cell)).collect::<Option<Vec<_>>>()?;
        if cells(head).len() != aligns.len()
            || (aligns.len() == 1 && !(line.contains('|') && head.contains('|')))
        {
            return None;
        }
        let wanted = vec![0; aligns.len()];
        let root = root.clone();
        let mut table = Self { aligns, rows: Vec::new(), wanted, bytes: 0, root, first: true, last: false };
        table.row(head);
        Some(table)
    }

    /// Adds a row. Cells beyond those of the head are left out, as they have no column.
    pub fn row(&mut self, line: &str) {
        self.bytes += line.len();
        let mut row: Vec<Vec<Run>> = cells(line)
            .iter()
            .take(self.aligns.len())
            .map(|cell| inline(cell, Look::default(), &self.root))
            .collect();
        row.resize(self.aligns.len(), Vec::new());
        if self.first {
            for (wanted, cell) in self.wanted.iter_mut().zip(&row) {
                *wanted = (*wanted).max(cell.iter().map(|run| columns(&run.text)).sum());
            }
        }
        self.rows.push(row);
    }

    pub fn is_long(&self) -> bool {
        self.bytes > LIMIT
    }

    /// Takes what there is, as a part; rows to come have the same columns.
    pub fn take(&mut self, last: bool) -> Self {
        let rest = Self {
            aligns: self.aligns.clone(),
            rows: Vec::new(),
            wanted: self.wanted.clone(),
            bytes: 0,
            root: self.root.clone(),
            first: false,
            last: false,
        };
        Self { last, ..std::mem::replace(self, rest) }
    }

    /// The rows of the terminal.
    pub fn draw(&self, width: usize, theme: &Theme) -> Vec<Row> {
        let Some(widths) = fit(&self.wanted, width) else { return self.listed(width, theme) };
        let line = |left: &str, cross: &str, right: &str| {
            let parts: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
            Row::from(Line::styled(format!("{left}{}{right}", parts.join(cross)), theme.dim))
        };
        let drawn: Vec<Vec<Row>> = self
            .rows
            .iter()
            .enumerate()
            .map(|(index, row)| self.drawn(row, &widths, self.first && index == 0, theme))
            .collect();
        let wrapped = drawn.iter().skip(usize::from(self.first)).any(|rows| rows.len() > 1);
        let mut out = Vec::new();
        if self.first {
            out.push(line("┌", "┬", "┐"));
        }
        for (index, rows) in drawn.into_iter().enumerate() {
            let below_head = self.first && index == 1;
            if below_head || (wrapped && index > usize::from(self.first)) {
                out.push(line("├", "┼", "┤"));
            }
            out.extend(rows);
        }
        if self.last {
            out.push(line("└", "┴", "┘"));
        }
        out
    }

    fn drawn(&self, row: &[Vec<Run>], widths: &[usize], head: bool, theme: &Theme) -> Vec<Row> {
        let cells: Vec<Vec<Row>> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| {
                let mut text = Text::default();
                for run in cell {
                    let style = run.look.style(theme);
                    let style = if head { style.patch(theme.strong) } else { style };
                    text.push_link(&run.text, style, run.link.as_ref());
                }
                text.linked_rows(u16::try_from(*width).unwrap_or(u16::MAX), Break::Words, &Prefix::default())
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        (0..height)
            .map(|at| {
                let mut whole = Row::from(vec![Span::styled("│", theme.dim)]);
                for ((cell, width), align) in cells.iter().zip(widths).zip(&self.aligns) {
                    let content = cell.get(at).cloned().unwrap_or_default();
                    let spans = &content.line.spans;
                    let free = width.saturating_sub(spans.iter().map(|span| columns(&span.content)).sum());
                    let before = match align {
                        Align::Left => 0,
                        Align::Right => free,
                        Align::Centre => free / 2,
                    };
                    let Row { line, mut links } = whole;
                    let mut spans = line.spans;
                    spans.push(Span::styled(" ".repeat(before + 1), Style::new()));
                    whole = content.behind(spans);
                    links.append(&mut whole.links);
                    whole.links = links;
                    whole.line.spans.push(Span::styled(" ".repeat(free - before + 1), Style::new()));
                    whole.line.spans.push(Span::styled("│", theme.dim));
                }
                whole
            })
            .collect()
    }

    /// Where there is no room for lines: the cells of a row, one after the other.
    fn listed(&self, width: usize, theme: &Theme) -> Vec<Row> {
        let width = u16::try_from(width).unwrap_or(u16::MAX);
        let rows = self.rows.iter().flat_map(|row| {
            let mut text = Text::default();
            for (index, cell) in row.iter().enumerate() {
                text.push(if index > 0 { " · " } else { "" }, theme.dim);
                for run in cell {
                    text.push_link(&run.text, run.look.style(theme), run.link.as_ref());
                }
            }
            text.linked_rows(width, Break::Words, &Prefix::hanging("- ", theme.dim))
        });
        rows.collect()
    }
}

impl Align {
    fn read(cell: &str) -> Option<Self> {
        let marks = cell.trim_start_matches(':').trim_end_matches(':');
        if marks.is_empty() || marks.bytes().any(|byte| byte != b'-') || cell.len() > marks.len() + 2 {
            return None;
        }
        Some(match (cell.starts_with(':'), cell.ends_with(':')) {
            (true, true) => Self::Centre,
            (false, true) => Self::Right,
            (_, false) => Self::Left,
        })
    }
}

/// The cells of a line. A pipe behind a backslash is text.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim();
    let line = line.strip_prefix('|').unwrap_or(line);
    let mut cells = Vec::new();
    let mut cell = String::new();
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' if chars.next_if_eq(&'|').is_some() => cell.push('|'),
            '|' => cells.push(std::mem::take(&mut cell)),
            char => cell.push(char),
        }
    }
    // A pipe at the end closes the last cell, and opens none.
    if !cell.trim().is_empty() || cells.is_empty() {
        cells.push(cell);
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// Widths of columns so that all fit into `width`: the widest give way first.
fn fit(wanted: &[usize], width: usize) -> Option<Vec<usize>> {
    let lines = 3 * wanted.len() + 1;
    let room = width.checked_sub(lines)?;
    let mut widths: Vec<usize> = wanted.iter().map(|wanted| (*wanted).clamp(1, width)).collect();
    let least: usize = widths.iter().map(|width| (*width).min(NARROWEST)).sum();
    if least > room {
        return None;
    }
    let mut over = widths.iter().sum::<usize>().saturating_sub(room);
    while over > 0 {
        let widest = widths.iter().copied().max().unwrap_or(0);
        let next = widths.iter().copied().filter(|width| *width < widest).max().unwrap_or(0).max(NARROWEST);
        let many = widths.iter().filter(|width| **width == widest).count();
        let step = (over / many).clamp(1, widest.saturating_sub(next).max(1));
        for width in widths.iter_mut().filter(|width| **width == widest) {
            let less = step.min(over);
            *width -= less;
            over -= less;
        }
    }
    Some(widths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_what_stands_between_pipes() {
        assert_eq!(cells("| a | b\\|c |  |"), ["a", "b|c", ""]);
        assert_eq!(cells("a|b"), ["a", "b"]);
        assert_eq!(cells("a|b\\|"), ["a", "b|"]);
        assert_eq!(cells("|"), [""]);
    }

    #[test]
    fn the_widest_columns_give_way() {
        assert_eq!(fit(&[3, 50, 20], 50), Some(vec![3, 18, 19]));
        assert_eq!(fit(&[3, 5], 50), Some(vec![3, 5]));
        assert_eq!(fit(&[100, 100, 100], 22), Some(vec![4, 4, 4]));
        assert_eq!(fit(&[100, 100, 100], 21), None);
    }
}
