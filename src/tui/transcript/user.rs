//! What the person said.

use ratatui::text::Line;

use crate::protocol::{Content, Item};
use crate::tui::text::{Text, plain};

use super::view::{View, lines};

/// Lines of a message that are shown where it is not to take the whole screen.
pub const SHORT: usize = 40;
/// Lines of the end of a message that is not shown whole.
const END: usize = 5;
/// Bytes of one line that are shown.
const LONGEST: usize = 4096;

/// The message, in at most `most` of its lines.
pub fn rows(item: &Item, most: usize, view: &View<'_>) -> Vec<Line<'static>> {
    let Item::User { content, .. } = item else { return Vec::new() };
    let style = view.theme.user;
    let mut text = Text::default();
    for part in content {
        text.push(if text.is_empty() { "" } else { "\n" }, style);
        match part {
            Content::Text { text: words } => push(&mut text, words.trim_end(), most, view),
            Content::Image { width, height, .. } => {
                text.push(&format!("[image {width}×{height}]"), view.theme.dim);
            }
            Content::Unknown(_) => text.push("[something newer]", view.theme.dim),
        }
    }
    if text.is_empty() { Vec::new() } else { view.wrapped("› ", view.theme.accent, &text) }
}

fn push(text: &mut Text, words: &str, most: usize, view: &View<'_>) {
    let all: Vec<&str> = words.lines().collect();
    let cut = all.len().saturating_sub(most);
    let longest = if most == usize::MAX { usize::MAX } else { LONGEST };
    for (index, line) in all.iter().enumerate() {
        let hidden_from = most.saturating_sub(END);
        if cut > 0 && index >= hidden_from && index < hidden_from + cut {
            if index == hidden_from {
                text.push(&format!("\n… +{}", lines(cut)), view.theme.dim);
            }
            continue;
        }
        text.push(if index > 0 { "\n" } else { "" }, view.theme.user);
        let shown = plain::first(line, longest);
        text.push(&plain::speech(shown), view.theme.user);
        if shown.len() < line.len() {
            text.push(&format!("… +{} bytes", line.len() - shown.len()), view.theme.dim);
        }
    }
}
