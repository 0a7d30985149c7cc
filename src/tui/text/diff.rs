//! Unified hunks as numbered, coloured rows.
//!
//! The lines come from files: they are cleaned here. Nothing is cut but single lines that nobody reads to their
//! end; what a cell leaves out is its own affair.

use ratatui::text::Line;

use crate::tui::theme::Theme;

use super::{
    Break, Prefix, Text,
    plain::{first, plain},
};

/// Bytes that are shown of one line.
const LONGEST: usize = 600;

/// A line of a diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row<'a> {
    /// Between two hunks.
    Gap,
    Same(u32, &'a str),
    Added(u32, &'a str),
    Removed(u32, &'a str),
    /// Words about the diff.
    Note(&'a str),
}

/// The lines of unified hunks, with the numbers that they have in their file: removed ones in the old, all
/// others in the new.
pub fn read(diff: &str) -> impl Iterator<Item = Row<'_>> {
    let (mut old, mut new) = (1u32, 1u32);
    let mut begun = false;
    diff.lines().filter_map(move |line| {
        if let Some((from, to)) = header(line) {
            (old, new) = (from, to);
            return std::mem::replace(&mut begun, true).then_some(Row::Gap);
        }
        let mut next = |number: &mut u32| {
            begun = true;
            let this = *number;
            *number = this.saturating_add(1);
            this
        };
        Some(match line.split_at_checked(1) {
            Some(("+", text)) => Row::Added(next(&mut new), text),
            Some(("-", text)) => Row::Removed(next(&mut old), text),
            Some((" ", text)) => {
                next(&mut old);
                Row::Same(next(&mut new), text)
            }
            None => {
                next(&mut old);
                Row::Same(next(&mut new), "")
            }
            Some(_) => Row::Note(line.strip_prefix("\\ ").unwrap_or(line)),
        })
    })
}

/// Rows of the first `most` lines, and how many lines were left out.
#[must_use]
pub fn rows(diff: &str, most: usize, width: u16, theme: &Theme) -> (Vec<Line<'static>>, usize) {
    let lines: Vec<Row<'_>> = read(diff).collect();
    let highest = lines.iter().map(|row| match row {
        Row::Same(number, _) | Row::Added(number, _) | Row::Removed(number, _) => *number,
        Row::Gap | Row::Note(_) => 0,
    });
    let digits = highest.max().unwrap_or(0).to_string().len().max(2);
    let shown = lines.iter().take(most).flat_map(|row| one(*row, digits, width, theme)).collect();
    (shown, lines.len().saturating_sub(most))
}

fn one(row: Row<'_>, digits: usize, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let (number, sign, text, style) = match row {
        Row::Gap => (String::new(), '⋮', "", theme.dim),
        Row::Note(text) => (String::new(), ' ', text, theme.dim),
        Row::Same(number, text) => (number.to_string(), ' ', text, theme.plain),
        Row::Added(number, text) => (number.to_string(), '+', text, theme.added),
        Row::Removed(number, text) => (number.to_string(), '-', text, theme.removed),
    };
    let mut shown = first(text, LONGEST).to_owned();
    if shown.len() < text.len() {
        shown.push('…');
    }
    let mut prefix = Prefix::hanging(&format!("{number:>digits$} "), theme.dim);
    prefix.first.push(ratatui::text::Span::styled(sign.to_string(), style));
    prefix.rest.push(ratatui::text::Span::raw(" "));
    Text::of(&plain(&shown), style).rows(width, Break::Anywhere, &prefix)
}

/// The first lines of both sides, from `@@ -1,2 +3,4 @@`. A side without lines begins after its number.
fn header(line: &str) -> Option<(u32, u32)> {
    let (old, rest) = line.strip_prefix("@@ -")?.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let begin = |side: &str| -> Option<u32> {
        let (line, count) = side.split_once(',').unwrap_or((side, "1"));
        let line: u32 = line.parse().ok()?;
        Some(if count == "0" { line.saturating_add(1) } else { line })
    };
    Some((begin(old)?, begin(new)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "@@ -9,3 +9,4 @@\n nine\n-ten\n+TEN\n+and\n eleven\n@@ -99 +100,0 @@\n-gone\n\\ No newline at end of file\n";

    fn text(most: usize, width: u16) -> (String, usize) {
        let (rows, left) = rows(DIFF, most, width, &Theme::ansi());
        (rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), left)
    }

    #[test]
    fn lines_carry_the_numbers_of_their_file() {
        insta::assert_snapshot!(text(99, 80).0, @r"
         9  nine
        10 -ten
        10 +TEN
        11 +and
        12  eleven
           ⋮
        99 -gone
            No newline at end of file
        ");
    }

    #[test]
    fn what_is_left_out_is_counted() {
        assert_eq!(text(3, 80).1, 5);
    }

    #[test]
    fn long_lines_hang_and_are_cut() {
        let diff = format!("@@ -0,0 +1 @@\n+{}\n", "é".repeat(5000));
        let (rows, left) = rows(&diff, 10, 40, &Theme::ansi());
        assert_eq!((rows.len(), left), (9, 0));
        assert_eq!(rows[1].to_string(), format!("    {}", "é".repeat(36)));
        assert!(rows[8].to_string().ends_with("é…"));
    }

    #[test]
    fn a_file_that_plays_the_terminal_does_not() {
        let (rows, _) = rows("+\x1b[2J\u{202e}\0\n\x1bnote\n", 9, 80, &Theme::ansi());
        assert_eq!(rows[0].to_string(), " 1 +\\u{1b}[2J\\u{202e}\\u{0}");
        assert_eq!(rows[1].to_string(), "    \\u{1b}note");
    }
}
