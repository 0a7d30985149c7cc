//! How a turn goes and how it ended.

use ratatui::text::Line;

use crate::protocol::{Outcome, Usage};

use crate::tui::text::Text;

use super::view::{View, count, duration};

/// The end of a turn.
pub struct TurnEnd {
    pub outcome: Outcome,
    pub duration_ms: u64,
    pub usage: Usage,
}

impl TurnEnd {
    pub fn rows(&self, view: &View<'_>) -> Vec<Line<'static>> {
        let theme = view.theme;
        let time = duration(self.duration_ms);
        let (mut rows, words) = match &self.outcome {
            Outcome::Done => (Vec::new(), format!("Worked for {time}")),
            Outcome::Interrupted => {
                let mut text = Text::of("Interrupted", theme.warning);
                text.push(&format!(" after {time}{}", self.tokens()), theme.dim);
                return view.wrapped("■ ", theme.warning, &text);
            }
            Outcome::Failed { message, .. } => {
                (view.prose("✗ ", theme.bad, message, theme.bad), format!("Stopped after {time}"))
            }
            Outcome::Unknown => (Vec::new(), format!("Ended after {time}")),
        };
        rows.extend(view.prose("  ", theme.dim, &format!("{words}{}", self.tokens()), theme.dim));
        rows
    }

    fn tokens(&self) -> String {
        let Usage { input, cached, output, cost, .. } = self.usage;
        let cost = cost.map(|cost| format!(" · {cost}")).unwrap_or_default();
        match (input.saturating_add(output), cached) {
            (0, _) => String::new(),
            (all, 0) => format!(" · {} tokens{cost}", count(all)),
            (all, cached) => format!(" · {} tokens ({} cached){cost}", count(all), count(cached)),
        }
    }
}

/// That something goes on which has no cell of its own.
pub fn working(doing: Option<&str>, ms: i64, view: &View<'_>) -> Vec<Line<'static>> {
    let doing = doing.map_or_else(|| "Working".to_owned(), super::view::headline);
    let time = duration(u64::try_from(ms).unwrap_or(0) / 1000 * 1000);
    let time = if ms < 1000 { String::new() } else { format!(" · {time}") };
    vec![view.row(vec![("• ".to_owned(), view.theme.accent), (format!("{doing}{time}"), view.theme.dim)])]
}
