//! A terminal, as far as a screen makes use of one: whose rows are wrapped anew, or cut, when its width changes.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use super::Size;

#[expect(clippy::string_slice, reason = "the borders were found in the same text")]
fn split(text: &str, at: usize) -> (&str, &str) {
    (&text[..at], &text[at..])
}

/// What becomes of rows when the width changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Cuts,
    /// Wraps them anew. A cursor behind the end of its row goes to the end of the row's last piece, like in tmux.
    Wraps,
    /// Wraps them anew. A cursor behind the end of its row goes as many cells further as it stood.
    WrapsBlanks,
}

#[derive(Debug, Clone, Default)]
struct Physical {
    /// The second half of a wide character is empty.
    cells: Vec<String>,
    wrapped: bool,
}

#[derive(Debug)]
pub struct Model {
    size: Size,
    kind: Kind,
    rows: Vec<Physical>,
    top: usize,
    cursor: (usize, usize),
    pending: bool,
    wrap: bool,
    saved: Option<(Vec<Physical>, usize, (usize, usize))>,
}

impl Model {
    pub fn new(size: Size, kind: Kind) -> Self {
        let rows = vec![Physical::default(); usize::from(size.rows)];
        Self { size, kind, rows, top: 0, cursor: (0, 0), pending: false, wrap: true, saved: None }
    }

    /// All rows as the lines that they are pieces of, without blanks at their end.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = String::new();
        for row in &self.rows {
            line.extend(row.cells.iter().map(String::as_str));
            if !row.wrapped {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
            }
        }
        lines
    }

    /// The rows in the scrollback.
    pub fn above(&self) -> impl Iterator<Item = String> {
        self.rows.iter().take(self.top).map(|row| row.cells.concat())
    }

    pub fn feed(&mut self, text: &str) {
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            let length = match char {
                '\r' => {
                    (self.cursor.1, self.pending) = (0, false);
                    1
                }
                '\n' => {
                    self.down();
                    1
                }
                '\x1b' => self.escape(rest),
                _ => {
                    let end = rest.find(['\r', '\n', '\x1b']).unwrap_or(rest.len());
                    split(rest, end).0.graphemes(true).for_each(|cluster| self.put(cluster));
                    end
                }
            };
            rest = split(rest, length).1;
        }
    }

    fn escape(&mut self, text: &str) -> usize {
        if text.starts_with("\x1b]") {
            return text.find("\x1b\\").expect("a string ends") + 2;
        }
        let body = text.strip_prefix("\x1b[").expect("a control sequence");
        let end = body.find(|char: char| ('@'..='~').contains(&char)).expect("it ends");
        let (parameters, letter) = split(split(body, end + 1).0, end);
        let number = parameters.parse().unwrap_or(1);
        let (row, col) = self.cursor;
        let bottom = self.top + usize::from(self.size.rows) - 1;
        match (parameters, letter) {
            (_, "A") => self.cursor.0 = row.saturating_sub(number).max(self.top),
            (_, "B") => self.cursor.0 = (row + number).min(bottom),
            (_, "C") => self.cursor.1 = (col + number).min(usize::from(self.size.columns) - 1),
            (_, "G") => self.cursor.1 = (number - 1).min(usize::from(self.size.columns) - 1),
            ("", "K") => self.erase(row, col),
            ("", "J") => {
                self.erase(row, col);
                (row + 1..self.rows.len()).for_each(|row| self.erase(row, 0));
            }
            ("?7", "h") => self.wrap = true,
            ("?7", "l") => self.wrap = false,
            ("?1049", "h") => {
                let blank = vec![Physical::default(); self.rows.len()];
                self.saved = Some((std::mem::replace(&mut self.rows, blank), self.top, self.cursor));
            }
            ("?1049", "l") => (self.rows, self.top, self.cursor) = self.saved.take().expect("it was entered"),
            ("?2026" | "?25", "h" | "l") | (_, "m") => {}
            (_, "H") => {
                let mut numbers = parameters.split(';').map(|number| number.parse().unwrap_or(1));
                let row = self.top + numbers.next().unwrap_or(1) - 1;
                let col = numbers.next().unwrap_or(1) - 1;
                self.cursor = (row.min(bottom), col.min(usize::from(self.size.columns) - 1));
            }
            other => panic!("a sequence that a screen must not write: {other:?}"),
        }
        if letter != "m" && letter != "h" && letter != "l" {
            self.pending = false;
        }
        2 + end + 1
    }

    fn erase(&mut self, row: usize, col: usize) {
        self.rows[row].cells.truncate(col);
        // As in tmux: only a row that is erased as a whole isn't wrapped any more.
        self.rows[row].wrapped &= col > 0;
    }

    fn down(&mut self) {
        self.pending = false;
        self.cursor.0 += 1;
        if self.cursor.0 >= self.top + usize::from(self.size.rows) {
            self.top += 1;
            self.rows.push(Physical::default());
        }
    }

    fn put(&mut self, cluster: &str) {
        let (wide, columns) = (cluster.width(), usize::from(self.size.columns));
        if self.pending || self.cursor.1 + wide > columns {
            if self.wrap {
                self.rows[self.cursor.0].wrapped = true;
                self.down();
                self.cursor.1 = 0;
            } else {
                self.cursor.1 = columns - wide;
            }
        }
        let (row, col) = self.cursor;
        let cells = &mut self.rows[row].cells;
        cells.resize(cells.len().max(col + wide), " ".to_owned());
        cells[col] = cluster.to_owned();
        (1..wide).for_each(|half| cells[col + half].clear());
        self.cursor.1 += wide;
        self.pending = self.cursor.1 == columns;
        self.cursor.1 = self.cursor.1.min(columns - 1);
    }

    pub fn resize(&mut self, size: Size) {
        if let Some((rows, top, cursor)) = self.saved.take() {
            let mut main = Self { rows, top, cursor, saved: None, ..Self::new(self.size, self.kind) };
            main.resize(size);
            let blank = vec![Physical::default(); main.rows.len()];
            let saved = Some((main.rows, main.top, main.cursor));
            *self = Self { size, rows: blank, top: main.top, cursor: (main.top, 0), saved, ..*self };
            return;
        }
        self.resize_height(usize::from(size.rows));
        self.size.rows = size.rows;
        if size.columns != self.size.columns {
            match self.kind {
                Kind::Cuts => self.cut(usize::from(size.columns)),
                Kind::Wraps | Kind::WrapsBlanks => self.wrap_anew(usize::from(size.columns)),
            }
            self.size.columns = size.columns;
        }
        self.pending = false;
    }

    /// Rows below the cursor go first; then the top ones go into the scrollback, or come back from there.
    fn resize_height(&mut self, height: usize) {
        while self.rows.len() - self.top > height && self.rows.len() - 1 > self.cursor.0 {
            self.rows.pop();
            self.rows.last_mut().expect("the row of the cursor").wrapped = false;
        }
        self.top = self.rows.len().saturating_sub(height);
        self.rows.resize(self.rows.len().max(height), Physical::default());
    }

    /// The rows of the screen; those in the scrollback stay.
    fn cut(&mut self, columns: usize) {
        for row in self.rows.iter_mut().skip(self.top) {
            row.cells.truncate(columns);
        }
        self.cursor.1 = self.cursor.1.min(columns - 1);
    }

    fn wrap_anew(&mut self, columns: usize) {
        let (mut rows, mut cursor) = (Vec::new(), (0, 0));
        let mut line: Vec<String> = Vec::new();
        let mut mark = None;
        for (index, row) in self.rows.drain(..).enumerate() {
            if index == self.cursor.0 {
                let behind = self.cursor.1 >= row.cells.len();
                mark = Some(match self.kind {
                    Kind::Wraps if behind => line.len() + row.cells.len(),
                    _ => line.len() + self.cursor.1,
                });
            }
            line.extend(row.cells);
            if row.wrapped {
                continue;
            }
            let mark = mark.take();
            if let Some(mark) = mark
                && self.kind == Kind::WrapsBlanks
            {
                line.resize(line.len().max(mark + 1), " ".to_owned());
            }
            let first = rows.len();
            let mut piece = Physical::default();
            let mut place = None;
            for (at, cell) in line.iter().enumerate() {
                let wide = 1 + usize::from(line.get(at + 1).is_some_and(String::is_empty));
                if !cell.is_empty() && piece.cells.len() + wide > columns {
                    piece.wrapped = true;
                    rows.push(std::mem::take(&mut piece));
                }
                if mark == Some(at) {
                    place = Some((rows.len(), piece.cells.len()));
                }
                piece.cells.push(cell.clone());
            }
            if mark.is_some() {
                cursor = place.unwrap_or((rows.len(), piece.cells.len().min(columns - 1)));
            }
            rows.push(piece);
            assert!(rows.len() > first);
            line.clear();
        }
        self.rows = rows;
        let height = usize::from(self.size.rows);
        self.rows.resize(self.rows.len().max(height), Physical::default());
        self.top = self.rows.len() - height;
        self.cursor = if cursor.0 < self.top { (self.top, 0) } else { cursor };
    }
}
