//! The block structure of Markdown, read line by line as it comes.
//!
//! Each line is looked at once, and becomes pieces as soon as nothing after it can change them; so a stream costs
//! its length, in whatever pieces it comes. Where CommonMark needs the end of a document to understand its
//! beginning (link definitions, HTML blocks), text is shown as it was written.

use crate::tui::text::{Ink, Look, highlight::Highlighter, plain::speech};

use super::{
    inline::{self, BREAK, Root, Run, inline},
    marks::{self, Fence, Marker},
    table::Table,
};

/// Bytes of a paragraph or of a line that are waited for. What is longer is handed out in parts: about a screen.
pub const LIMIT: usize = 2048;
/// Quotes and lists within each other. What is deeper is text.
const DEEPEST: usize = 12;

/// Something to lay out. It does not change any more.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// An empty row, behind the marks of the quotes around it.
    Blank(String),
    /// Prose. `joins` what came before it in the same row; `more` will join it.
    Text {
        prefix: Marks,
        runs: Vec<Run>,
        joins: bool,
        more: bool,
    },
    /// A line of code, or a part of a very long one.
    Code {
        runs: Vec<Run>,
        more: bool,
    },
    Table {
        prefix: Marks,
        table: Table,
    },
    Rule(Marks),
}

/// Marks of quotes and list items, before the first row and before the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    pub first: String,
    pub rest: String,
}

/// The structure that is open, and the pieces that are ready.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    containers: Vec<Container>,
    /// The list at each depth: how its items are marked, and the number of the last.
    lists: Vec<Option<Marker>>,
    leaf: Leaf,
    /// Within a line of which the beginning was taken in already.
    within: bool,
    spacing: Spacing,
    pub root: Root,
    pub pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Container {
    Quote,
    Item {
        /// Columns before its content in the source.
        indent: usize,
        /// What is shown before its first row, until it is.
        marker: Option<String>,
        /// Columns of it.
        wide: usize,
    },
}

#[derive(Debug, Clone, Default)]
enum Leaf {
    #[default]
    None,
    Paragraph {
        text: String,
        heading: bool,
        /// A part was handed out already.
        joins: bool,
    },
    Code {
        /// Missing for code that is only indented.
        fence: Option<Fence>,
        highlighter: Highlighter,
        /// Empty lines of indented code that may turn out to come after it.
        blanks: usize,
        begun: bool,
    },
    Table(Box<Table>),
}

/// Empty rows between blocks: as in the source, and around what stands out.
#[derive(Debug, Clone, Default)]
struct Spacing {
    begun: bool,
    blank: bool,
    after: bool,
    /// Containers that go on since the last piece.
    shared: usize,
}

impl Blocks {
    /// Takes in a whole line, or the rest of one.
    pub fn line(&mut self, line: &str) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if std::mem::take(&mut self.within) {
            self.rest(line, false);
        } else {
            self.begin(&speech(line), false);
        }
    }

    /// Takes in a part of a line that is too long to be waited for.
    pub fn part(&mut self, part: &str) {
        if std::mem::replace(&mut self.within, true) {
            self.rest(part, true);
        } else {
            self.begin(&speech(part), true);
        }
    }

    /// The open structure, and the last `most` pieces.
    pub fn tail(&self, most: usize) -> Self {
        let from = self.pieces.len().saturating_sub(most);
        Self {
            containers: self.containers.clone(),
            lists: self.lists.clone(),
            leaf: self.leaf.clone(),
            within: self.within,
            spacing: self.spacing.clone(),
            root: self.root.clone(),
            pieces: self.pieces.get(from..).unwrap_or_default().to_vec(),
        }
    }

    /// Nothing more will come.
    pub fn end(&mut self) {
        self.close(0);
    }

    fn rest(&mut self, text: &str, more: bool) {
        let text = speech(text);
        match &mut self.leaf {
            Leaf::Code { .. } => {
                self.pieces
                    .push(Piece::Code { runs: vec![(text.into_owned(), Look::default()).into()], more });
            }
            Leaf::Paragraph { text: paragraph, heading, .. } => {
                paragraph.push_str(if more { &text } else { text.trim_end() });
                let ends = *heading && !more;
                self.hand_out();
                if ends {
                    self.close_leaf();
                }
            }
            Leaf::None | Leaf::Table(_) => {}
        }
    }

    fn begin(&mut self, line: &str, partial: bool) {
        let (matched, mut rest) = self.matched(line);
        let whole = matched == self.containers.len();
        if let Leaf::Code { fence: Some(fence), .. } = &self.leaf {
            if whole {
                let fence = *fence;
                return match !partial && fence.closes(rest) {
                    true => self.close_leaf(),
                    false => self.code(marks::without_indent(rest, fence.indent), partial),
                };
            }
            self.close_leaf();
        }
        if !partial && marks::is_blank(rest) {
            return self.blank(matched);
        }
        let mut depth = matched;
        let mut paragraph = matches!(self.leaf, Leaf::Paragraph { .. });
        loop {
            let indent = marks::indent(rest);
            let body = rest.get(indent..).unwrap_or_default();
            if indent >= 4 {
                if paragraph {
                    break;
                }
                self.close(depth);
                return self.indented(rest.get(4..).unwrap_or_default(), partial);
            }
            if let Some(inner) = body.strip_prefix('>')
                && depth < DEEPEST
            {
                rest = inner.strip_prefix(' ').unwrap_or(inner);
                self.open(depth, Container::Quote);
            } else if let Some(text) = marks::heading(body) {
                self.close(depth);
                return self.heading(text, partial);
            } else if let Some((fence, info)) = Fence::open(body, indent).filter(|_| !partial) {
                self.close(depth);
                return self.fenced(fence, info);
            } else if paragraph && whole && !partial && marks::underline(body) && self.underlined() {
                return;
            } else if !partial && marks::rule(body) {
                self.close(depth);
                self.space(true);
                let prefix = self.prefix();
                return self.pieces.push(Piece::Rule(prefix));
            } else if let Some((marker, inner)) = Marker::read(body).filter(|(marker, inner)| {
                depth < DEEPEST && (!paragraph || depth < self.containers.len() || marker.interrupts(inner))
            }) {
                let wide = body.len() - inner.len();
                self.item(depth, marker, indent + wide);
                rest = inner;
            } else {
                break;
            }
            depth += 1;
            paragraph = false;
            if marks::is_blank(rest) && !partial {
                return;
            }
        }
        self.text(rest.trim_start(), depth, partial);
    }

    /// How many of the open containers a line goes on with, and what is left of it.
    fn matched<'a>(&self, line: &'a str) -> (usize, &'a str) {
        let mut rest = line;
        for (index, container) in self.containers.iter().enumerate() {
            let indent = marks::indent(rest);
            let inner = match container {
                Container::Quote if indent < 4 => rest
                    .get(indent..)
                    .and_then(|body| body.strip_prefix('>'))
                    .map(|body| body.strip_prefix(' ').unwrap_or(body)),
                Container::Item { .. } if marks::is_blank(rest) => Some(rest),
                Container::Item { indent: own, .. } if indent >= *own => rest.get(*own..),
                Container::Quote | Container::Item { .. } => None,
            };
            match inner {
                Some(inner) => rest = inner,
                None => return (index, rest),
            }
        }
        (self.containers.len(), rest)
    }

    fn blank(&mut self, matched: usize) {
        match &mut self.leaf {
            Leaf::Code { blanks, .. } => *blanks += 1,
            Leaf::Paragraph { .. } | Leaf::Table(_) => self.close_leaf(),
            Leaf::None => {}
        }
        // Items go on over empty lines; quotes do not.
        self.close(matched);
        self.spacing.blank = true;
    }

    fn text(&mut self, line: &str, depth: usize, partial: bool) {
        let line = if partial { line } else { line.trim_end() };
        match &mut self.leaf {
            Leaf::Paragraph { text, heading: false, .. } => {
                if !partial
                    && depth == self.containers.len()
                    && let Some(table) =
                        Table::begin(text.rsplit(BREAK).next().unwrap_or_default(), line, &self.root)
                {
                    let before = text.rfind(BREAK).unwrap_or(0);
                    text.truncate(before);
                    return self.table(table);
                }
                if text.ends_with('\\') && !text.ends_with("\\\\") {
                    text.pop();
                }
                if !text.is_empty() || matches!(self.leaf, Leaf::Paragraph { joins: true, .. }) {
                    self.append(BREAK.encode_utf8(&mut [0; 4]));
                }
                self.append(line);
            }
            Leaf::Table(table) if !partial && depth == self.containers.len() => {
                table.row(line);
                if table.is_long() {
                    self.hand_out_table(false);
                }
                return;
            }
            _ => {
                self.close(depth);
                self.close_leaf();
                self.lists.truncate(self.containers.len());
                self.leaf = Leaf::Paragraph { text: line.to_owned(), heading: false, joins: false };
            }
        }
        self.hand_out();
    }

    fn append(&mut self, more: &str) {
        if let Leaf::Paragraph { text, .. } = &mut self.leaf {
            text.push_str(more);
        }
    }

    /// Hands out the beginning of a paragraph that has become long.
    fn hand_out(&mut self) {
        while let Leaf::Paragraph { text, heading, joins } = &mut self.leaf {
            if text.len() <= LIMIT {
                return;
            }
            let rest = text.split_off(inline::split(text, LIMIT));
            let head = std::mem::replace(text, rest);
            let (joins, ink) = (std::mem::replace(joins, true), ink(*heading));
            self.prose(&head, ink, joins, true);
        }
    }

    fn prose(&mut self, text: &str, ink: Ink, joins: bool, more: bool) {
        let prefix = if joins {
            Marks::default()
        } else {
            self.space(false);
            self.prefix()
        };
        self.pieces.push(Piece::Text { prefix, runs: inline(text, ink.into(), &self.root), joins, more });
    }

    fn heading(&mut self, text: &str, partial: bool) {
        self.lists.truncate(self.containers.len());
        self.spacing.blank = true;
        let text = if partial { text.to_owned() } else { marks::without_closing(text).to_owned() };
        self.leaf = Leaf::Paragraph { text, heading: true, joins: false };
        self.hand_out();
        if !partial {
            self.close_leaf();
        }
    }

    /// Makes the open paragraph a heading, unless a part of it was handed out already.
    fn underlined(&mut self) -> bool {
        let Leaf::Paragraph { heading, joins: false, .. } = &mut self.leaf else { return false };
        *heading = true;
        self.spacing.blank = true;
        self.close_leaf();
        true
    }

    fn fenced(&mut self, fence: Fence, info: &str) {
        self.lists.truncate(self.containers.len());
        let name = info.split([' ', ',', '{', ':']).next().unwrap_or_default();
        let highlighter = Highlighter::new(name);
        self.leaf = Leaf::Code { fence: Some(fence), highlighter, blanks: 0, begun: false };
    }

    fn indented(&mut self, line: &str, partial: bool) {
        if !matches!(self.leaf, Leaf::Code { .. }) {
            self.close_leaf();
            self.lists.truncate(self.containers.len());
            self.leaf =
                Leaf::Code { fence: None, highlighter: Highlighter::default(), blanks: 0, begun: false };
        }
        self.code(line, partial);
    }

    fn code(&mut self, line: &str, partial: bool) {
        let Leaf::Code { highlighter, blanks, begun, .. } = &mut self.leaf else { return };
        let blanks = std::mem::take(blanks);
        let first = !std::mem::replace(begun, true);
        let runs = match partial {
            true => vec![(line.to_owned(), Look::default()).into()],
            false => highlighter.line(line).into_iter().map(Run::from).collect(),
        };
        if first {
            self.space(true);
            // The mark of an item that begins with code stands alone: nothing is to stand before code.
            if self
                .containers
                .iter()
                .any(|container| matches!(container, Container::Item { marker: Some(_), .. }))
            {
                let prefix = self.prefix();
                self.pieces.push(Piece::Text { prefix, runs: Vec::new(), joins: false, more: false });
            }
        }
        self.pieces.extend((0..blanks).map(|_| Piece::Code { runs: Vec::new(), more: false }));
        self.pieces.push(Piece::Code { runs, more: partial });
    }

    fn table(&mut self, table: Table) {
        match &self.leaf {
            // What stood before the head of the table is a paragraph of its own.
            Leaf::Paragraph { text, joins, .. } if !text.is_empty() || *joins => self.close_leaf(),
            _ => {}
        }
        self.lists.truncate(self.containers.len());
        self.leaf = Leaf::Table(Box::new(table));
    }

    fn hand_out_table(&mut self, last: bool) {
        let Leaf::Table(table) = &mut self.leaf else { return };
        let part = table.take(last);
        if part.first {
            self.space(true);
        }
        let prefix = self.prefix();
        self.pieces.push(Piece::Table { prefix, table: part });
    }

    fn item(&mut self, depth: usize, mut marker: Marker, indent: usize) {
        self.close(depth);
        self.lists.resize(depth + 1, None);
        if let Some(Some(before)) = self.lists.get(depth) {
            marker.follows(before);
        }
        if let Some(list) = self.lists.get_mut(depth) {
            *list = Some(marker);
        }
        let shown = marker.to_string();
        let wide = shown.len();
        self.push(Container::Item { indent, marker: Some(shown), wide });
    }

    fn open(&mut self, depth: usize, container: Container) {
        self.close(depth);
        self.lists.truncate(depth);
        self.push(container);
    }

    fn push(&mut self, container: Container) {
        self.close_leaf();
        self.containers.push(container);
    }

    /// Closes all containers from `depth` on, and the leaf in them.
    fn close(&mut self, depth: usize) {
        if depth < self.containers.len() {
            self.close_leaf();
            // An item without content is still an item.
            if self
                .containers
                .iter()
                .skip(depth)
                .any(|container| matches!(container, Container::Item { marker: Some(_), .. }))
            {
                self.prose("", Ink::Plain, false, false);
            }
            self.containers.truncate(depth);
            self.spacing.shared = self.spacing.shared.min(depth);
        } else if !matches!(self.leaf, Leaf::Code { fence: None, .. }) {
            self.close_leaf();
        }
    }

    fn close_leaf(&mut self) {
        match &mut self.leaf {
            Leaf::None => return,
            Leaf::Code { .. } => {}
            Leaf::Paragraph { text, heading, joins } => {
                let (text, ink, joins) = (std::mem::take(text), ink(*heading), *joins);
                self.prose(&text, ink, joins, false);
            }
            Leaf::Table(_) => self.hand_out_table(true),
        }
        if matches!(self.leaf, Leaf::Code { .. }) {
            self.spacing.after = true;
        }
        self.leaf = Leaf::None;
    }

    /// The empty row before a block. What is `set_off` has one on both sides, others where the source has one.
    fn space(&mut self, set_off: bool) {
        let Spacing { begun, blank, after, shared } = self.spacing.clone();
        if begun && (blank || after || set_off) {
            let quotes = self.containers.iter().take(shared).map(Container::mark).collect::<String>();
            self.pieces.push(Piece::Blank(quotes.trim_end().to_owned()));
        }
        self.spacing = Spacing { begun: true, blank: false, after: set_off, shared: self.containers.len() };
    }

    fn prefix(&mut self) -> Marks {
        let rest = self.containers.iter().map(Container::mark).collect();
        let first = self.containers.iter_mut().map(|container| match container {
            Container::Item { marker, .. } if marker.is_some() => marker.take().unwrap_or_default(),
            container => container.mark(),
        });
        Marks { first: first.collect(), rest }
    }
}

impl Container {
    fn mark(&self) -> String {
        match self {
            Self::Quote => "│ ".to_owned(),
            Self::Item { wide, .. } => " ".repeat(*wide),
        }
    }
}

fn ink(heading: bool) -> Ink {
    if heading { Ink::Heading } else { Ink::Plain }
}
