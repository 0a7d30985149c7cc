//! What a person decided about a call, or had decided before.

use ratatui::text::Line;

use crate::protocol::Rule;

use crate::tui::text::Text;

use super::view::{View, headline};

/// A person's decision.
pub enum Decision {
    /// For this once, or from now on.
    Allowed(Option<Rule>),
    /// For as long as the session goes on.
    ForSession,
    /// By a rule that was given before.
    Ruled(Rule),
    Refused {
        note: String,
    },
}

/// One line that says so.
pub fn rows(decision: &Decision, about: &str, view: &View<'_>) -> Vec<Line<'static>> {
    let theme = view.theme;
    match decision {
        Decision::Allowed(rule) => {
            let until = match rule {
                None => " once".to_owned(),
                Some(Rule { grant, scope }) => format!(", and {scope} {}", headline(&grant.to_string())),
            };
            let mut text = Text::of(&format!("You allowed {about}"), theme.plain);
            text.push(&until, theme.dim);
            view.wrapped("✓ ", theme.good, &text)
        }
        Decision::ForSession => {
            let mut text = Text::of(&format!("You allowed {about}"), theme.plain);
            text.push(" for this session", theme.dim);
            view.wrapped("✓ ", theme.good, &text)
        }
        Decision::Ruled(Rule { grant, scope }) => {
            let words = format!("Allowed by a rule ({scope}): {}", headline(&grant.to_string()));
            view.prose("· ", theme.dim, &words, theme.dim)
        }
        Decision::Refused { note } => {
            let mut rows = view.prose("✗ ", theme.bad, &format!("You refused {about}"), theme.plain);
            if !note.trim().is_empty() {
                rows.extend(view.prose("  ", theme.dim, &super::output::cut(note, 8), theme.dim));
            }
            rows
        }
    }
}
