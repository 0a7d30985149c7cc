//! A picture that the model looked at.

use std::path::Path;

use ratatui::text::Line;

use super::view::View;

pub fn rows(path: &Path, size: (u32, u32), view: &View<'_>) -> Vec<Line<'static>> {
    let theme = view.theme;
    let (width, height) = size;
    vec![view.row(vec![
        ("• ".to_owned(), theme.good),
        (format!("Looked at {}", view.path(path)), theme.plain),
        (format!(" ({width}×{height})"), theme.dim),
    ])]
}
