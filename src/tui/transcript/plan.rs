//! The plan as a checklist.

use ratatui::text::Line;

use crate::protocol::{PlanStep, StepStatus};

use super::{output, view::View};

/// Steps that are shown.
const SHOWN: usize = 30;

pub fn rows(explanation: Option<&str>, steps: &[PlanStep], view: &View<'_>) -> Vec<Line<'static>> {
    let theme = view.theme;
    let mut rows = match explanation.filter(|text| !text.trim().is_empty()) {
        Some(text) => view.prose("• ", theme.accent, &output::cut(text, 5), theme.plain),
        None => vec![view.row(vec![("• ".to_owned(), theme.accent), ("Plan".to_owned(), theme.plain)])],
    };
    for step in steps.iter().take(SHOWN) {
        let (mark, mark_style, style) = match step.status {
            StepStatus::Completed => ("  ✓ ", theme.good, theme.dim),
            StepStatus::InProgress => ("  ▸ ", theme.accent, theme.strong),
            StepStatus::Pending => ("  ○ ", theme.dim, theme.plain),
        };
        rows.extend(view.prose(mark, mark_style, &output::cut(&step.step, 3), style));
    }
    if steps.len() > SHOWN {
        rows.push(view.row(vec![(format!("    … +{} steps", steps.len() - SHOWN), theme.dim)]));
    }
    rows
}
