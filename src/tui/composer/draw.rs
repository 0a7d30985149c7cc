//! The composer and its popups as rows of the terminal: already wrapped, nothing that acts.

use ratatui::{
    style::{Modifier, Style},
    text::{Line, Span},
};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use super::{
    Composer,
    buffer::Fragment,
    complete::{Kind, Popup},
    wrap::{Pieces, hidden, shown},
};
use crate::tui::theme::Theme;

/// How many rows a popup shows at once.
const POPUP_ROWS: usize = 8;

/// What is to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// The composer, at least one row and at most as many as asked for.
    pub lines: Vec<Line<'static>>,
    /// Column and row of the cursor, within `lines`.
    pub cursor: (u16, u16),
    /// The rows above it or below it, when there is something to choose or to say.
    pub popup: Vec<Line<'static>>,
}

/// How the columns are given out: the mark, the text, and one for the cursor behind a full row.
struct Columns {
    mark: usize,
    text: usize,
}

impl Columns {
    fn of(width: usize) -> Self {
        match width {
            0..=3 => Self { mark: 0, text: width.max(1) },
            width => Self { mark: 2, text: width - 3 },
        }
    }
}

impl Composer {
    /// The rows for a width. Rows that do not fit scroll, so that the cursor is always seen.
    #[must_use]
    pub fn draw(&self, width: u16, max_rows: u16, theme: &Theme) -> Drawn {
        let columns = Columns::of(usize::from(width));
        self.columns.set(columns.text);
        let body = self.buffer.body();
        let at = self.buffer.cursor();
        let mut layout = self.buffer.layout.borrow_mut();
        layout.refresh(body, columns.text);

        let height = usize::from(max_rows.max(1)).min(layout.rows());
        let row = layout.row_of(at);
        let top = layout.top.min(layout.rows() - height).clamp((row + 1).saturating_sub(height), row);
        layout.top = top;

        let shell = hidden(body.text.as_str()) > 0;
        let mark = if shell { ("! ", theme.warning) } else { ("› ", theme.accent) };
        let base = if shell { theme.warning } else { theme.plain };
        let found = self.found_range();
        let mut lines = Vec::with_capacity(height);
        for row in top..top + height {
            let mut spans = Vec::new();
            match (columns.mark, row) {
                (0, _) => {}
                (_, 0) => spans.push(Span::styled(mark.0, mark.1)),
                _ => spans.push(Span::raw("  ")),
            }
            let mut range = layout.range(row, body.text.len());
            if row == 0 {
                range.start = hidden(&body.text);
            }
            let styles = Styles { base, held: theme.accent, found: found.clone() };
            text_spans(body, range, columns.text, &styles, &mut spans);
            if body.is_empty() {
                spans.push(Span::styled(fit(&self.placeholder, columns.text), theme.dim));
            }
            lines.push(Line::from(spans));
        }
        let x = match (shell && at == 0, columns.mark) {
            (true, _) => 0,
            (false, mark) => mark + layout.column_of(body, at),
        };
        let x = x.min(usize::from(width).saturating_sub(1));
        let cursor = (u16::try_from(x).unwrap_or(0), u16::try_from(row - top).unwrap_or(0));
        Drawn { lines, cursor, popup: self.popup_lines(usize::from(width), theme) }
    }

    fn found_range(&self) -> Option<std::ops::Range<usize>> {
        let search = self.search.as_ref()?;
        let (_, at) = search.found?;
        Some(at..at + search.wanted.len())
    }

    fn popup_lines(&self, width: usize, theme: &Theme) -> Vec<Line<'static>> {
        if let Some(search) = &self.search {
            let failed = if search.failed {
                ("nothing earlier has: ", theme.warning)
            } else {
                ("search: ", theme.accent)
            };
            let head = fit(failed.0, width);
            let rest = width - head.width();
            return vec![Line::from(vec![
                Span::styled(head, failed.1),
                Span::raw(fit(&search.wanted, rest)),
            ])];
        }
        if let Some(notice) = &self.notice {
            return vec![Line::styled(fit(notice, width), theme.warning)];
        }
        self.popup.as_ref().map_or_else(Vec::new, |popup| popup_lines(popup, width, theme))
    }
}

struct Styles {
    base: Style,
    held: Style,
    found: Option<std::ops::Range<usize>>,
}

/// A row of the text, a span for each run of one style.
fn text_spans(
    body: &Fragment,
    range: std::ops::Range<usize>,
    columns: usize,
    styles: &Styles,
    spans: &mut Vec<Span<'static>>,
) {
    let mut run = String::new();
    let mut run_style = styles.base;
    let mut width = 0;
    let mut start = range.start;
    for piece in Pieces::new(body, range.start, columns) {
        if piece.end > range.end || piece.cluster == "\n" {
            break;
        }
        // The blank that hangs over the edge is not drawn.
        if width + piece.width > columns {
            break;
        }
        let mut style = if piece.held { styles.held } else { styles.base };
        if styles.found.as_ref().is_some_and(|found| found.contains(&start)) {
            style = style.add_modifier(Modifier::REVERSED);
        }
        if style != run_style && !run.is_empty() {
            spans.push(Span::styled(std::mem::take(&mut run), run_style));
        }
        run_style = style;
        run.push_str(&shown(piece.cluster, columns).0);
        width += piece.width;
        start = piece.end;
    }
    if !run.is_empty() {
        spans.push(Span::styled(run, run_style));
    }
}

/// As much of a text as fits into some columns, safe to draw; what is cut ends with `…`.
fn fit(text: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let mut safe = 0;
    for cluster in text.graphemes(true) {
        let cluster = if matches!(cluster, "\n" | "\r\n" | "\t") { " " } else { cluster };
        let (drawn, width) = shown(cluster, columns.max(12));
        if used + width > columns {
            out.truncate(safe);
            if columns > 0 {
                out.push('…');
            }
            return out;
        }
        out.push_str(&drawn);
        used += width;
        if used < columns {
            safe = out.len();
        }
    }
    out
}

fn popup_lines(popup: &Popup, width: usize, theme: &Theme) -> Vec<Line<'static>> {
    if popup.rows.is_empty() {
        let text = match popup.kind {
            Kind::Files { waiting: true, .. } => "  looking for files…",
            _ => "  no file matches",
        };
        return vec![Line::styled(fit(text, width), theme.dim)];
    }
    let top = popup.selected.saturating_sub(POPUP_ROWS / 2).min(popup.rows.len().saturating_sub(POPUP_ROWS));
    let seen = popup.rows.iter().enumerate().skip(top).take(POPUP_ROWS);
    let widest = seen.clone().map(|(_, row)| row.label.width()).max().unwrap_or(0);
    let room = width.saturating_sub(2);
    // Labels line up; a description gets what they leave, if that is worth reading.
    let described = popup.rows.iter().any(|row| !row.about.is_empty());
    let label_columns = if described { widest.min(room / 2) } else { room };
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (index, row) in seen {
        let chosen = index == popup.selected;
        let base = if chosen { theme.accent } else { theme.plain };
        let mut spans = vec![Span::styled(fit(if chosen { "▸ " } else { "  " }, width), base)];
        let label = fit(&row.label, label_columns);
        let pad = label_columns.saturating_sub(label.width());
        marked_spans(&label, &row.marks, base, &mut spans);
        let rest = room.saturating_sub(label_columns + 2);
        if !row.about.is_empty() && rest >= 8 {
            spans.push(Span::raw(" ".repeat(pad + 2)));
            spans.push(Span::styled(fit(&row.about, rest), if chosen { base } else { theme.dim }));
        }
        lines.push(Line::from(spans));
    }
    if popup.rows.len() > POPUP_ROWS {
        let count = format!("  {} of {}", popup.selected + 1, popup.rows.len());
        lines.push(Line::styled(fit(&count, width), theme.dim));
    }
    lines
}

/// A label with the matched characters in bold.
fn marked_spans(label: &str, marks: &[u32], base: Style, spans: &mut Vec<Span<'static>>) {
    let mut run = String::new();
    let mut bold = false;
    // Combining marks count as characters of a match; a cluster is bold when its first one is.
    let style = |bold: bool| if bold { base.add_modifier(Modifier::BOLD) } else { base };
    for (index, cluster) in (0u32..).zip(label.graphemes(true)) {
        let marked = marks.binary_search(&index).is_ok();
        if marked != bold && !run.is_empty() {
            spans.push(Span::styled(std::mem::take(&mut run), style(bold)));
        }
        bold = marked;
        run.push_str(cluster);
    }
    spans.push(Span::styled(run, style(bold)));
}
