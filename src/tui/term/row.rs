//! One terminal row as cells: what is written to the terminal, and what a repaint is compared with.
//!
//! This is the last gate. Whatever the content is, no cell holds a character that acts on a terminal, and no row
//! is wider than it was told to be. It does not wrap: rows come in ready.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

use ratatui::{
    style::{Color, Modifier, Style},
    text::{Line, Span},
};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::colour::Depth;

/// Where some spans of a line lead: their indices, and the address.
pub type Link = (Range<usize>, Arc<str>);

/// A line with links. A plain [`Line`] does wherever there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    pub line: Line<'static>,
    pub links: Vec<Link>,
}

impl Row {
    /// The row behind other spans.
    #[must_use]
    pub fn behind(self, mut spans: Vec<Span<'static>>) -> Self {
        let by = spans.len();
        let Line { style, spans: own, .. } = self.line;
        spans.extend(own.into_iter().map(|span| span.patch_style(style)));
        let links =
            self.links.into_iter().map(|(range, to)| (range.start + by..range.end + by, to)).collect();
        Self { line: Line::from(spans), links }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.line.fmt(f)
    }
}

impl<T: Into<Line<'static>>> From<T> for Row {
    fn from(line: T) -> Self {
        Self { line: line.into(), links: Vec::new() }
    }
}

/// What can be handed to the screen as a row.
pub trait AsRow {
    fn line(&self) -> &Line<'static>;
    fn links(&self) -> &[Link];
}

impl AsRow for Line<'static> {
    fn line(&self) -> &Line<'static> {
        self
    }

    fn links(&self) -> &[Link] {
        &[]
    }
}

impl AsRow for Row {
    fn line(&self) -> &Line<'static> {
        &self.line
    }

    fn links(&self) -> &[Link] {
        &self.links
    }
}

/// How cells look. Colours are already those that the terminal has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pen {
    pub fg: Option<Color>,
    pub bg: Option<Color>,
    pub underline: Option<Color>,
    pub modifier: Modifier,
    pub link: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    /// Where its text ends in the row's; it begins where that of the cell before ends.
    end: u32,
    columns: u8,
    pen: u16,
}

/// A row laid out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Laid {
    text: String,
    cells: Vec<Cell>,
    pens: Vec<Pen>,
    columns: u16,
    /// How many columns more a terminal may take that counts emoji in another way.
    pub doubt: u16,
}

/// A cluster takes at most as many bytes: a letter may carry accents, not a book of them.
const CLUSTER: usize = 64;

impl Laid {
    /// Lays a row out in at most `columns`. What is wider is cut before the edge.
    pub(super) fn new(row: &impl AsRow, columns: u16, depth: Depth, links: bool) -> Self {
        let mut laid = Self::default();
        let line = row.line();
        for (index, span) in line.spans.iter().enumerate() {
            let link = row.links().iter().find(|(range, _)| links && range.contains(&index));
            let pen = pen(line.style.patch(span.style), depth, link.and_then(|(_, to)| address(to)));
            let text = gate(head(&span.content, usize::from(columns) * CLUSTER));
            let whole = if text.is_ascii() {
                (0..text.len()).all(|at| laid.push(text.get(at..=at).unwrap_or(" "), 1, &pen, columns))
            } else {
                text.graphemes(true).all(|cluster| laid.cluster(cluster, &pen, columns))
            };
            if !whole {
                break;
            }
        }
        laid.trim();
        laid
    }

    fn cluster(&mut self, cluster: &str, pen: &Pen, columns: u16) -> bool {
        let cluster = head(cluster, CLUSTER);
        let wide = cluster.width().min(2);
        let apart: usize = cluster.chars().map(|char| char.width().unwrap_or(0)).sum();
        let flag = cluster.chars().any(|char| ('\u{1f1e6}'..='\u{1f1ff}').contains(&char));
        if wide == 0 {
            // An accent that stands alone belongs to what is before it, and to nothing at the start of a row.
            if let Some(cell) = self.cells.last_mut()
                && self.text.len() - usize::try_from(cell.end).unwrap_or(0) < CLUSTER
            {
                self.text.push_str(cluster);
                cell.end = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
            }
            return true;
        }
        let added = self.push(cluster, u8::try_from(wide).unwrap_or(2), pen, columns);
        if added && (apart != wide || flag) {
            let most = apart.max(2 * cluster.chars().count());
            self.doubt =
                self.doubt.saturating_add(u16::try_from(most.max(wide) - wide).unwrap_or(u16::MAX).max(1));
        }
        added
    }

    /// Adds a cell, or says that it has no room.
    fn push(&mut self, text: &str, wide: u8, pen: &Pen, columns: u16) -> bool {
        if self.columns + u16::from(wide) > columns {
            return false;
        }
        if self.pens.last() != Some(pen) {
            self.pens.push(pen.clone());
        }
        self.text.push_str(text);
        self.columns += u16::from(wide);
        self.cells.push(Cell {
            end: u32::try_from(self.text.len()).unwrap_or(u32::MAX),
            columns: wide,
            pen: u16::try_from(self.pens.len() - 1).unwrap_or(u16::MAX),
        });
        true
    }

    /// Takes away the blanks at the end: erasing does as well, and a selection in the terminal copies none.
    fn trim(&mut self) {
        while let Some(cell) = self.cells.last() {
            let pen = &self.pens[usize::from(cell.pen)];
            let marked = Modifier::UNDERLINED | Modifier::REVERSED | Modifier::CROSSED_OUT;
            if self.text_of(self.cells.len() - 1) != " "
                || pen.bg.is_some()
                || pen.link.is_some()
                || pen.modifier.intersects(marked)
            {
                break;
            }
            self.text.truncate(self.text.len() - 1);
            self.columns -= 1;
            self.cells.pop();
        }
        let used = self.cells.last().map_or(0, |cell| usize::from(cell.pen) + 1);
        self.pens.truncate(used);
    }

    /// Shows a cursor at a column, by an attribute.
    pub(super) fn mark(&mut self, column: u16) {
        let plain = Pen::default();
        let reversed = Pen { modifier: Modifier::REVERSED, ..Pen::default() };
        while self.columns < column {
            self.push(" ", 1, &plain, u16::MAX);
        }
        if self.columns == column {
            self.push(" ", 1, &reversed, u16::MAX);
            return;
        }
        let mut passed = 0;
        for cell in &mut self.cells {
            passed += u16::from(cell.columns);
            if passed > column {
                let mut pen = self.pens[usize::from(cell.pen)].clone();
                pen.modifier.toggle(Modifier::REVERSED);
                self.pens.push(pen);
                cell.pen = u16::try_from(self.pens.len() - 1).unwrap_or(u16::MAX);
                return;
            }
        }
    }

    pub(super) fn columns(&self) -> u16 {
        self.columns
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// The column in which a cell begins.
    pub(super) fn column_of(&self, cell: usize) -> u16 {
        self.cells.iter().take(cell).map(|cell| u16::from(cell.columns)).sum()
    }

    pub(super) fn text_of(&self, cell: usize) -> &str {
        let begin = cell.checked_sub(1).and_then(|before| self.cells.get(before)).map_or(0, |cell| cell.end);
        let end = self.cells.get(cell).map_or(begin, |cell| cell.end);
        let bytes = usize::try_from(begin).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
        self.text.get(bytes).unwrap_or_default()
    }

    pub(super) fn pen_of(&self, cell: usize) -> &Pen {
        &self.pens[usize::from(self.cells[cell].pen)]
    }

    fn same(&self, at: usize, other: &Self, there: usize) -> bool {
        self.cells[at].columns == other.cells[there].columns
            && self.text_of(at) == other.text_of(there)
            && self.pen_of(at) == other.pen_of(there)
    }

    /// How many cells two rows have in common at their begin and, where they are equally wide, at their end.
    pub(super) fn common(&self, other: &Self) -> (usize, usize) {
        let most = self.len().min(other.len());
        let begin = (0..most).take_while(|at| self.same(*at, other, *at)).count();
        let end = if self.columns == other.columns {
            (1..=most - begin)
                .take_while(|back| self.same(self.len() - back, other, other.len() - back))
                .count()
        } else {
            0
        };
        (begin, end)
    }

    /// How many rows it takes where a terminal wraps it anew at `columns`.
    pub(super) fn height(&self, columns: u16) -> u16 {
        self.rows_down(columns, u16::MAX) + 1
    }

    /// How many rows below its first one a column of it is then. Behind its end, that is its last row.
    pub(super) fn rows_down(&self, columns: u16, column: u16) -> u16 {
        let (mut rows, mut at, mut passed) = (0_u16, 0, 0);
        for cell in &self.cells {
            if passed > column {
                break;
            }
            let wide = u16::from(cell.columns);
            if at + wide > columns && at > 0 {
                rows = rows.saturating_add(1);
                at = 0;
            }
            at += wide;
            passed += wide;
        }
        rows
    }
}

fn pen(style: Style, depth: Depth, link: Option<Arc<str>>) -> Pen {
    let nearest = |color: Option<Color>| color.and_then(|color| depth.nearest(color));
    Pen {
        fg: nearest(style.fg),
        bg: nearest(style.bg),
        underline: nearest(style.underline_color),
        modifier: style.add_modifier - style.sub_modifier,
        link,
    }
}

/// An address that may stand in an escape sequence: of a harmless kind, printable, of bounded length.
fn address(to: &Arc<str>) -> Option<Arc<str>> {
    let known = ["https://", "http://", "file://", "mailto:"].iter().any(|scheme| to.starts_with(scheme));
    let clean = to.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    (known && clean && to.len() <= 2000).then(|| Arc::clone(to))
}

/// The first bytes of a text, up to a character's border.
fn head(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let border = (0..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..border).unwrap_or_default()
}

/// The text with every character replaced, by one of one column, that a terminal could act on or not show.
#[must_use]
pub fn gate(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) || !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|char| if acts(char) { picture(char) } else { char }).collect())
}

/// Joiners stay, unlike in what comes from a model: emoji and some scripts that a person types need them.
fn acts(char: char) -> bool {
    match char {
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' => true,
        '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => true,
        '\u{e0000}'..='\u{e007f}' => true,
        char => char.is_control(),
    }
}

fn picture(char: char) -> char {
    match char {
        '\t' => ' ',
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(char)).unwrap_or('▯'),
        '\u{7f}' => '␡',
        _ => '▯',
    }
}
