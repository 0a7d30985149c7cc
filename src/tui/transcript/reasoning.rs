//! What the model thinks about: a headline, while it thinks and afterwards.

use ratatui::text::Line;

use crate::protocol::Item;
use crate::tui::text::{Markdown, plain};

use super::view::{View, headline};

/// Bytes of a stream that are looked at for a headline.
const KEPT: usize = 4096;

/// The reasoning that is being received.
#[derive(Default)]
pub struct Thinking {
    text: String,
    headline: Option<String>,
}

impl Thinking {
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        if self.text.len() > 2 * KEPT {
            self.text = plain::last(&self.text, KEPT).to_owned();
        }
        if let Some(found) = bold(&self.text) {
            self.headline = Some(headline(found));
        } else if self.headline.is_none() {
            // The first line stands for all until there is a headline, or something better.
            let line = self.text.trim_start().split('\n').next().unwrap_or_default();
            self.headline =
                (line.len() < self.text.trim_start().len()).then(|| headline(line.trim_matches('*')));
        }
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn headline(&self) -> Option<&str> {
        self.headline.as_deref()
    }
}

/// The headlines of finished reasoning, in a row.
pub fn rows(item: &Item, view: &View<'_>) -> Vec<Line<'static>> {
    let Item::Reasoning { summary, .. } = item else { return Vec::new() };
    let headlines: Vec<String> = summary
        .iter()
        .filter(|part| !part.trim().is_empty())
        .take(20)
        .map(|part| headline(bold(plain::first(part, KEPT)).unwrap_or(part)))
        .collect();
    if headlines.is_empty() {
        return Vec::new();
    }
    let style = view.theme.dim.patch(view.theme.emphasis);
    vec![view.row(vec![("  ".to_owned(), style), (headlines.join(" · "), style)])]
}

/// All of it.
pub fn full(item: &Item, view: &View<'_>) -> Vec<Line<'static>> {
    let Item::Reasoning { summary, .. } = item else { return Vec::new() };
    let mut markdown = Markdown::with_margin("  ");
    for part in summary {
        markdown.push(part);
        markdown.push("\n\n");
    }
    markdown.end();
    let rows = markdown.finished(view.width, view.theme);
    rows.into_iter().map(|row| row.patch_style(view.theme.dim)).collect()
}

/// The last line that is bold as a whole.
fn bold(text: &str) -> Option<&str> {
    text.lines().rev().find_map(|line| line.trim().strip_prefix("**")?.strip_suffix("**"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_is_the_last_bold_line() {
        let mut thinking = Thinking::default();
        for (text, expected) in [
            ("**Looking ", None),
            ("around**", Some("Looking around")),
            ("\n\nI should", Some("Looking around")),
            (" list.\n\n**Fix\x1bing**\n", Some("Fix\\u{1b}ing")),
        ] {
            thinking.push(text);
            assert_eq!(thinking.headline(), expected);
        }
        let mut plain = Thinking::default();
        plain.push("no bold");
        assert_eq!(plain.headline(), None);
        plain.push(" line\nand more");
        assert_eq!(plain.headline(), Some("no bold line"));
    }

    #[test]
    fn endless_thoughts_are_not_kept() {
        let mut thinking = Thinking::default();
        for _ in 0..10_000 {
            thinking.push("word word word ");
        }
        assert!(thinking.text.len() <= 2 * KEPT);
    }
}
