//! What the provider did with tools of its own, and what a message rests on.

use ratatui::text::Line;

use crate::protocol::{HostedCall, Source};
use crate::tui::text::Text;

use super::{
    output,
    view::{View, headline},
};

/// Lines of what came of it that are shown.
const SHOWN: usize = 5;

/// A call in a few rows, or whole.
pub fn rows(call: &HostedCall, whole: bool, view: &View<'_>) -> Vec<Line<'static>> {
    let theme = view.theme;
    let HostedCall { verb, what, output, failed } = call;
    let (mark, style) = if *failed { ("✗ ", theme.bad) } else { ("• ", theme.accent) };
    let most = if whole { usize::MAX } else { SHOWN };
    let mut rows = if whole {
        let mut text = Text::of(&headline(verb), theme.plain);
        text.push(" ", theme.plain);
        let mut rows = view.wrapped(mark, style, &text);
        rows.extend(view.prose("  ", theme.dim, what, theme.plain));
        rows
    } else {
        let words = vec![
            (mark.to_owned(), style),
            (format!("{} ", headline(verb)), theme.plain),
            (headline(what), theme.dim),
        ];
        vec![view.row(words)]
    };
    if !output.is_empty() {
        rows.extend(view.prose("  ", theme.dim, &output::cut(output, most), theme.dim));
    }
    rows
}

/// What a message rests on.
pub fn sources(sources: &[Source], whole: bool, view: &View<'_>) -> Vec<Line<'static>> {
    let theme = view.theme;
    let most = if whole { usize::MAX } else { SHOWN };
    let all: Vec<String> = sources.iter().map(ToString::to_string).collect();
    let mut rows = vec![view.row(vec![("  Sources".to_owned(), theme.dim)])];
    rows.extend(view.prose("  ", theme.dim, &output::cut(&all.join("\n"), most), theme.dim));
    rows
}
