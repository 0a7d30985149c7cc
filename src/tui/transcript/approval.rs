//! What a person decided about a call.

use ratatui::text::Line;

use crate::protocol::Grant;

use crate::tui::text::Text;

use super::view::{View, headline};

/// A person's decision.
pub enum Decision {
    /// For this once, or from now on.
    Allowed(Option<Grant>),
    Refused {
        note: String,
    },
}

/// One line that says so.
pub fn rows(decision: &Decision, about: &str, view: &View<'_>) -> Vec<Line<'static>> {
    let theme = view.theme;
    match decision {
        Decision::Allowed(grant) => {
            let until = match grant {
                None => " once".to_owned(),
                Some(Grant::CommandPrefix { words }) => {
                    format!(" and whatever begins with `{}`", headline(&words.join(" ")))
                }
                Some(Grant::WriteBelow { path }) => format!(" and changes below {}", view.path(path)),
                Some(Grant::Unknown) => " and more like it".to_owned(),
            };
            let mut text = Text::of(&format!("You allowed {about}"), theme.plain);
            text.push(&until, theme.dim);
            view.wrapped("✓ ", theme.good, &text)
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
