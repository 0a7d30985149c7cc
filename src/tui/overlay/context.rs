//! What fills the model's window, by kind.

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::text::{Line, Span};

use crate::protocol::{Command, grouped};
use crate::session::room::Fill;
use crate::tui::{action::Action, keymap::Key, term::Size};

use super::{Look, Overlay, Page, Place, Reaction, fit, hints};

/// Cells of the longest bar.
const BAR: u64 = 20;

/// The view. It follows the session.
pub(in crate::tui) struct Room;

impl Overlay for Room {
    fn place(&self) -> Place {
        Place::Full
    }

    fn key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
        match key.code {
            KeyCode::Esc | KeyCode::Enter => Reaction::Close(Vec::new()),
            KeyCode::Char('q') if plain => Reaction::Close(Vec::new()),
            KeyCode::Char('c') if plain && look.session.turns.0 > 0 => {
                Reaction::Close(vec![Action::Send(Command::Compact { note: String::new() })])
            }
            _ => Reaction::Ignored,
        }
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        let theme = look.theme;
        let mut rows =
            vec![Line::styled("What fills the model's window".to_owned(), theme.accent), Line::default()];
        for line in lines(&look.session.fill()) {
            rows.push(Line::from(Span::styled(line, theme.plain)));
        }
        let height = usize::from(size.rows).saturating_sub(1);
        let mut rows: Vec<Line<'static>> =
            rows.into_iter().take(height).map(|row| fit(row, size.columns)).collect();
        rows.resize(height, Line::default());
        rows.push(hints(["esc close", "c compact now"], size.columns, theme));
        Page { rows, cursor: None }
    }
}

/// The window in lines: each kind with its tokens, its share and a bar, then what is free, and what could be left out.
#[must_use]
pub fn lines(fill: &Fill) -> Vec<String> {
    let window = fill.window.max(1);
    let row = |name: &str, tokens: u64, note: &str| {
        let share = tokens.saturating_mul(100) / window;
        let bar = usize::try_from(tokens.min(window).saturating_mul(BAR).div_ceil(window)).unwrap_or(0);
        let line = format!("{name:<21} {:>9} {share:>3} %  {}{note}", grouped(tokens), "█".repeat(bar));
        line.trim_end().to_owned()
    };
    let mut lines = Vec::new();
    for (kind, tokens, items) in &fill.kinds {
        let note = if *items > 1 { format!("  ({items})") } else { String::new() };
        lines.push(row(kind.name(), *tokens, &note));
    }
    lines.push(row("free", fill.room.saturating_sub(fill.used), ""));
    lines.push(row("left for the answer", fill.window.saturating_sub(fill.room), ""));
    lines.push(String::new());
    let how = if fill.counted { "as the provider counts" } else { "estimated" };
    lines.push(format!("{} of {} tokens are used, {how}.", grouped(fill.used), grouped(fill.window)));
    if fill.droppable > 0 {
        lines.push(format!("Old results of tools come to {}; they are cut first.", grouped(fill.droppable)));
    }
    lines.push(format!("Above {} the conversation is compacted; /compact does it now.", grouped(fill.room)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::room::Kind;

    #[test]
    fn the_window_is_drawn_by_kind_and_says_what_is_free() {
        let fill = Fill {
            window: 100_000,
            room: 87_500,
            used: 51_234,
            kinds: vec![(Kind::Program, 1_234, 3), (Kind::User, 10_000, 1), (Kind::Results, 40_000, 12)],
            droppable: 30_000,
            counted: true,
        };
        insta::assert_snapshot!(lines(&fill).join("\n"), @r"
        program and tools         1,234   1 %  █  (3)
        your messages            10,000  10 %  ██
        results of tools         40,000  40 %  ████████  (12)
        free                     36,266  36 %  ████████
        left for the answer      12,500  12 %  ███

        51,234 of 100,000 tokens are used, as the provider counts.
        Old results of tools come to 30,000; they are cut first.
        Above 87,500 the conversation is compacted; /compact does it now.
        ");
    }
}
