//! What cells are drawn with, and how they say times, sizes and paths.

use std::path::Path;

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use crate::tui::text::{
    Break, Prefix, Text, columns,
    link::Follow,
    markdown::{Links, Root},
    plain,
};
use crate::tui::theme::Theme;

/// What cells are drawn with.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub width: u16,
    pub theme: &'a Theme,
    pub workspace: &'a Path,
    pub links: Follow,
}

impl View<'_> {
    /// How links are made, if they are.
    pub fn root(&self) -> Root {
        root(self.links, self.workspace)
    }

    /// Prose behind a mark of two columns.
    pub fn prose(&self, mark: &str, mark_style: Style, text: &str, style: Style) -> Vec<Line<'static>> {
        let mut all = Text::default();
        for (index, line) in text.trim_end().lines().enumerate() {
            all.push(if index > 0 { "\n" } else { "" }, style);
            all.push(&plain::plain(line), style);
        }
        self.wrapped(mark, mark_style, &all)
    }

    /// Text that is clean, behind a mark of two columns.
    pub fn wrapped(&self, mark: &str, mark_style: Style, text: &Text) -> Vec<Line<'static>> {
        text.rows(self.width, Break::Words, &Prefix::hanging(mark, mark_style))
    }

    /// One row of words, cut where it does not fit.
    pub fn row(&self, spans: Vec<(String, Style)>) -> Line<'static> {
        let mut room = usize::from(self.width);
        let mut out: Vec<Span<'static>> = Vec::new();
        for (text, style) in spans {
            let wide = columns(&text);
            if wide <= room {
                room -= wide;
                out.push(Span::styled(text, style));
                continue;
            }
            let cut = u16::try_from(room.saturating_sub(1)).unwrap_or(u16::MAX);
            let mut first = Text::of(&text, style).rows(cut.max(1), Break::Anywhere, &Prefix::default());
            if room > 1 && !first.is_empty() {
                out.extend(first.swap_remove(0).spans);
            }
            if room > 0 {
                out.push(Span::styled("…", style));
            }
            break;
        }
        Line::from(out)
    }

    /// A path as people know it: from the workspace, if it is in there.
    pub fn path(&self, path: &Path) -> String {
        let short = path.strip_prefix(self.workspace).unwrap_or(path);
        let shown = if short.as_os_str().is_empty() { ".".into() } else { short.to_string_lossy() };
        plain::plain(&shown).into_owned()
    }
}

/// How links are made in a workspace, if they are.
pub fn root(links: Follow, workspace: &Path) -> Root {
    (links != Follow::No).then(|| Links { root: workspace.into(), certain: links == Follow::Yes })
}

/// The first line of a text, clean and not long.
pub fn headline(text: &str) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    let cut = plain::first(line, 400);
    let more = cut.len() < line.len() || text.trim().lines().nth(1).is_some();
    let end = if more { " …" } else { "" };
    format!("{}{end}", plain::plain(cut.trim_end()))
}

/// A time span as people say it.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{:.1}s", ms as f64 / 1000.0),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A count as people say it.
pub fn count(count: u64) -> String {
    match count {
        0..1000 => count.to_string(),
        1000..1_000_000 => short(count as f64 / 1000.0, 'k'),
        _ => short(count as f64 / 1_000_000.0, 'M'),
    }
}

fn short(number: f64, unit: char) -> String {
    let text = format!("{number:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// `1 line`, `2 lines`.
pub fn lines(count: usize) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_people_say_them() {
        assert_eq!(
            [90, 999, 1000, 59_999, 61_000, 3_720_000].map(duration),
            ["0.1s", "1.0s", "1s", "59s", "1m 01s", "1h 02m"]
        );
        assert_eq!(
            [0, 999, 1000, 12_340, 1_000_000, 2_550_000].map(count),
            ["0", "999", "1k", "12.3k", "1M", "2.5M"]
        );
    }

    #[test]
    fn a_headline_is_short_and_clean() {
        assert_eq!(headline("\n one\ntwo"), "one …");
        assert_eq!(headline("a\tb\x1b[m"), "a   b\\u{1b}[m");
        assert!(headline(&"é".repeat(1 << 20)).len() < 500);
    }

    #[test]
    fn a_row_is_cut_to_the_width() {
        let theme = Theme::ansi();
        let view = View { width: 8, theme: &theme, workspace: Path::new("/w"), links: Follow::No };
        let row = |texts: &[&str]| {
            view.row(texts.iter().map(|text| ((*text).to_owned(), Style::new())).collect()).to_string()
        };
        assert_eq!(row(&["abc", "defgh"]), "abcdefgh");
        assert_eq!(row(&["abc", "defghi", "x"]), "abcdefg…");
        assert_eq!(row(&["漢字漢字漢"]), "漢字漢…");
        assert_eq!(row(&["abcdefgh", "x"]), "abcdefgh");
        assert_eq!(
            (view.path(Path::new("/w/a/b")), view.path(Path::new("/w")), view.path(Path::new("/x"))),
            ("a/b".into(), ".".into(), "/x".into())
        );
    }
}
