//! Files that were changed: what happened to each, and the lines.

use ratatui::text::Line;

use crate::protocol::{FileOperation, PatchedFile};
use crate::tui::text::diff;

use super::view::{View, lines};

/// Lines of diffs that are shown of one patch.
pub const SHORT: usize = 60;

pub fn rows(files: &[PatchedFile], most: usize, view: &View<'_>) -> Vec<Line<'static>> {
    let mut room = most;
    let mut rows = Vec::new();
    let mut set_off = false;
    for file in files {
        if std::mem::take(&mut set_off) {
            rows.push(Line::default());
        }
        rows.push(head(file, view));
        // What is gone says little line by line.
        let shown = if file.operation == FileOperation::Delete && most != usize::MAX { 0 } else { room };
        let (drawn, left) = diff::rows(&file.diff, shown, view.width, view.theme);
        let all = drawn.len();
        // The next file is not to be taken for a line of this one.
        set_off = !drawn.is_empty();
        rows.extend(drawn);
        room = room.saturating_sub(all);
        if left > 0 && file.operation != FileOperation::Delete {
            rows.push(view.row(vec![(format!("   … +{}", lines(left)), view.theme.dim)]));
        }
    }
    rows
}

fn head(file: &PatchedFile, view: &View<'_>) -> Line<'static> {
    let theme = view.theme;
    let verb = match (file.operation, &file.moved_to) {
        (FileOperation::Add, _) => "Added",
        (FileOperation::Delete, _) => "Deleted",
        (FileOperation::Overwrite, None) => "Overwrote",
        (FileOperation::Overwrite | FileOperation::Update, Some(_)) => "Moved",
        (FileOperation::Update, None) => "Edited",
        (FileOperation::Unknown, _) => "Changed",
    };
    let to = file.moved_to.as_ref().map(|to| format!(" → {}", view.path(to))).unwrap_or_default();
    view.row(vec![
        ("• ".to_owned(), theme.good),
        (format!("{verb} {}{to} (", view.path(&file.path)), theme.plain),
        (format!("+{}", file.added), theme.added),
        (" ".to_owned(), theme.plain),
        (format!("-{}", file.removed), theme.removed),
        (")".to_owned(), theme.plain),
    ])
}
