//! Reading the text of a patch. Knows nothing of files: a patch that parses may still not apply.

/// A patch as it was written, borrowed from its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch<'a> {
    /// The `*** Environment ID:` line, which models may write and which means nothing here.
    pub environment: Option<&'a str>,
    /// At least one, in order.
    pub operations: Vec<Operation<'a>>,
}

/// What a patch does with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation<'a> {
    pub path: &'a str,
    pub action: Action<'a>,
}

/// The three things that can be done with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// The lines of the new file.
    Add(Vec<&'a str>),
    Delete,
    Update {
        moved_to: Option<&'a str>,
        chunks: Vec<Chunk<'a>>,
    },
}

/// A change at one place of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chunk<'a> {
    /// Where it starts in the patch, counted from 1.
    pub row: usize,
    /// Texts of the `@@` lines before it, each of which moves the search on.
    pub anchors: Vec<&'a str>,
    /// Never empty.
    pub lines: Vec<Line<'a>>,
    /// It must end where the file ends.
    pub end_of_file: bool,
}

/// A line of a chunk, without its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    Context(&'a str),
    Removed(&'a str),
    Added(&'a str),
}

/// Why a text is not a patch. The first words are those that models know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("invalid patch: {0}")]
    Patch(String),
    #[error("invalid hunk at line {row}, {message}")]
    Hunk { row: usize, message: String },
}

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
const END_OF_FILE: &str = "*** End of File";
const ENVIRONMENT: &str = "*** Environment ID:";
const ADD: &str = "*** Add File:";
const DELETE: &str = "*** Delete File:";
const UPDATE: &str = "*** Update File:";
const MOVE: &str = "*** Move to:";

impl<'a> Patch<'a> {
    /// Reads a patch.
    ///
    /// # Errors
    /// When the text is not one patch, and nothing but one patch.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let rows = envelope(text)?;
        let mut rows = Rows { rows: &rows };
        let environment =
            rows.peek().and_then(|row| row.text.trim().strip_prefix(ENVIRONMENT)).map(str::trim);
        if environment.is_some() {
            rows.next();
        }
        let mut operations = Vec::new();
        while let Some(row) = rows.next() {
            if !row.is_blank() {
                operations.push(operation(row, &mut rows)?);
            }
        }
        if operations.is_empty() {
            return Err(ParseError::Patch(format!(
                "it changes no file: put '{ADD} PATH', '{UPDATE} PATH' or '{DELETE} PATH' between '{BEGIN}' and \
                 '{END}'"
            )));
        }
        Ok(Self { environment, operations })
    }
}

impl<'a> Chunk<'a> {
    /// The lines that the file must have, in order.
    #[must_use]
    pub fn old(&self) -> Vec<&'a str> {
        self.lines.iter().filter_map(Line::old).collect()
    }

    /// Whether the file would differ afterwards.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.lines.iter().any(|line| !matches!(line, Line::Context(_)))
    }
}

impl<'a> Line<'a> {
    /// The text that the file must have for this line.
    #[must_use]
    pub fn old(&self) -> Option<&'a str> {
        match self {
            Self::Context(text) | Self::Removed(text) => Some(text),
            Self::Added(_) => None,
        }
    }
}

/// A line of the patch's text.
#[derive(Debug, Clone, Copy)]
struct Row<'a> {
    number: usize,
    text: &'a str,
}

impl Row<'_> {
    fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    fn wrong(&self, message: impl Into<String>) -> ParseError {
        ParseError::Hunk { row: self.number, message: message.into() }
    }
}

/// The lines that are still to be read.
struct Rows<'r, 'a> {
    rows: &'r [Row<'a>],
}

impl<'a> Rows<'_, 'a> {
    fn peek(&self) -> Option<Row<'a>> {
        self.rows.first().copied()
    }

    fn next(&mut self) -> Option<Row<'a>> {
        let (first, rest) = self.rows.split_first()?;
        self.rows = rest;
        Some(*first)
    }
}

/// The lines between the Begin and End markers.
fn envelope(text: &str) -> Result<Vec<Row<'_>>, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let all: Vec<Row<'_>> =
        text.lines().enumerate().map(|(index, text)| Row { number: index + 1, text }).collect();
    let mut rows = without_blank_ends(&all);
    if let [first, inner @ .., last] = rows
        && let Some(word) = heredoc_word(first.text.trim())
        && last.text.trim() == word
    {
        rows = without_blank_ends(inner);
    }
    match rows {
        [first, ..] if first.text.trim() != BEGIN => Err(ParseError::Patch(format!(
            "The first line of the patch must be '{BEGIN}', but it is {}",
            quoted(first.text)
        ))),
        [] => Err(ParseError::Patch(format!(
            "The first line of the patch must be '{BEGIN}', but the patch is empty"
        ))),
        [_, inner @ .., last] if last.text.trim() == END => Ok(inner.to_vec()),
        [.., last] => Err(ParseError::Patch(format!(
            "The last line of the patch must be '{END}', but it is {}",
            quoted(last.text)
        ))),
    }
}

fn without_blank_ends<'r, 'a>(mut rows: &'r [Row<'a>]) -> &'r [Row<'a>] {
    while let [first, rest @ ..] = rows
        && first.is_blank()
    {
        rows = rest;
    }
    while let [rest @ .., last] = rows
        && last.is_blank()
    {
        rows = rest;
    }
    rows
}

/// The word that ends a heredoc which starts with this line.
fn heredoc_word(line: &str) -> Option<&str> {
    let word = line.strip_prefix("<<")?.trim_start();
    let word = ['\'', '"']
        .into_iter()
        .find_map(|quote| word.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(word);
    let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain.then_some(word)
}

/// Reads the operation that `header` begins.
fn operation<'a>(header: Row<'a>, rows: &mut Rows<'_, 'a>) -> Result<Operation<'a>, ParseError> {
    let line = header.text.trim();
    let (path, verb) = if let Some(path) = line.strip_prefix(ADD) {
        (path, ADD)
    } else if let Some(path) = line.strip_prefix(DELETE) {
        (path, DELETE)
    } else if let Some(path) = line.strip_prefix(UPDATE) {
        (path, UPDATE)
    } else if line == BEGIN || line == END {
        return Err(ParseError::Patch(format!(
            "line {} is a second {}: send one patch, with all its files between one '{BEGIN}' and one '{END}'",
            header.number,
            quoted(line)
        )));
    } else {
        return Err(header.wrong(format!(
            "{} is not a valid hunk header. Valid hunk headers: '{ADD} PATH', '{DELETE} PATH', '{UPDATE} PATH'",
            quoted(header.text)
        )));
    };
    let path = path.trim();
    if path.is_empty() {
        return Err(header.wrong(format!("'{verb}' names no file")));
    }
    let action = match verb {
        ADD => Action::Add(added(rows)?),
        DELETE => Action::Delete,
        _ => update(header, path, rows)?,
    };
    Ok(Operation { path, action })
}

/// The `+` lines of a new file.
fn added<'a>(rows: &mut Rows<'_, 'a>) -> Result<Vec<&'a str>, ParseError> {
    let mut lines = Vec::new();
    let mut gap: Option<Row<'a>> = None;
    while let Some(row) = rows.peek() {
        if row.is_blank() {
            gap = gap.or(Some(row));
        } else if let Some(text) = row.text.strip_prefix('+') {
            if let Some(gap) = gap {
                return Err(gap.wrong("every line of a new file must start with '+', an empty one as well"));
            }
            lines.push(text);
        } else if row.text.trim_start().starts_with("***") {
            break;
        } else {
            return Err(row.wrong(format!(
                "Unexpected line found in a new file: {}. Every line of it must start with '+'",
                quoted(row.text)
            )));
        }
        rows.next();
    }
    Ok(lines)
}

/// The body of an update: where it moves the file, and its chunks.
fn update<'a>(header: Row<'a>, path: &str, rows: &mut Rows<'_, 'a>) -> Result<Action<'a>, ParseError> {
    let mut moved_to = None;
    if let Some(row) = rows.peek()
        && let Some(target) = row.text.strip_prefix(MOVE)
    {
        let target = target.trim();
        if target.is_empty() {
            return Err(row.wrong(format!("'{MOVE}' names no file")));
        }
        moved_to = Some(target);
        rows.next();
    }
    let mut body = Body::default();
    while let Some(row) = rows.peek() {
        if !body.take(row)? {
            break;
        }
        rows.next();
    }
    body.close(Blanks::Drop)?;
    if body.chunks.is_empty() {
        return Err(header.wrong(match moved_to {
            Some(_) => format!(
                "the move of '{path}' has no change: after '{MOVE}' write at least one line of the file as context"
            ),
            None => format!("Update file hunk for path '{path}' is empty"),
        }));
    }
    Ok(Action::Update { moved_to, chunks: body.chunks })
}

/// The chunks read so far, and the one that is being read.
#[derive(Default)]
struct Body<'a> {
    chunks: Vec<Chunk<'a>>,
    open: Option<Chunk<'a>>,
    /// Blank lines at the end of the open chunk: context, or just a gap before what follows.
    blanks: usize,
}

/// What the blank lines at the end of a chunk are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blanks {
    Drop,
    Keep,
}

impl<'a> Body<'a> {
    /// Takes a line, or says that the body has ended before it.
    fn take(&mut self, row: Row<'a>) -> Result<bool, ParseError> {
        let mut chars = row.text.chars();
        let line = match chars.next() {
            Some(' ') => Line::Context(chars.as_str()),
            Some('-') => Line::Removed(chars.as_str()),
            Some('+') => Line::Added(chars.as_str()),
            _ if row.is_blank() => {
                if let Some(chunk) = &mut self.open {
                    chunk.lines.push(Line::Context(""));
                    self.blanks += 1;
                }
                return Ok(true);
            }
            _ if row.text.starts_with("@@") => {
                self.anchor(row)?;
                return Ok(true);
            }
            _ => return self.marker(row),
        };
        let first = self.chunks.is_empty();
        let chunk = match &mut self.open {
            Some(chunk) => chunk,
            None if first => self.open.insert(Chunk { row: row.number, ..Chunk::default() }),
            None => {
                return Err(row.wrong(format!(
                    "Expected update hunk to start with a @@ context marker, got: {}",
                    quoted(row.text)
                )));
            }
        };
        chunk.lines.push(line);
        self.blanks = 0;
        Ok(true)
    }

    /// Takes a line that starts with `@@`: it begins a chunk, or narrows the one that is about to begin.
    fn anchor(&mut self, row: Row<'a>) -> Result<(), ParseError> {
        let text = match row.text.trim_end() {
            "@@" => None,
            _ => Some(row.text.strip_prefix("@@ ").ok_or_else(|| {
                row.wrong(format!(
                    "{} is neither '@@' nor '@@ ' and a whole line of the file: put a space after '@@'",
                    quoted(row.text)
                ))
            })?),
        };
        if self.open.as_ref().is_some_and(|chunk| chunk.lines.len() > self.blanks) {
            self.close(Blanks::Keep)?;
        }
        let chunk = self.open.get_or_insert_with(|| Chunk { row: row.number, ..Chunk::default() });
        chunk.lines.clear();
        chunk.anchors.extend(text);
        self.blanks = 0;
        Ok(())
    }

    /// Takes a line without a sign: the end of the file, or of the body.
    fn marker(&mut self, row: Row<'a>) -> Result<bool, ParseError> {
        let line = row.text.trim();
        if line == END_OF_FILE {
            let Some(chunk) = self.open.as_mut().filter(|chunk| chunk.lines.len() > self.blanks) else {
                return Err(row.wrong("Update hunk does not contain any lines"));
            };
            chunk.end_of_file = true;
            self.close(Blanks::Keep)?;
            Ok(true)
        } else if line.starts_with(MOVE) {
            Err(row.wrong(format!("'{MOVE}' must be the line after '{UPDATE} PATH'")))
        } else if line.starts_with("***") {
            Ok(false)
        } else {
            Err(row.wrong(format!(
                "Unexpected line found in update hunk: {}. Every line should start with ' ' (context line), \
                 '+' (added line), or '-' (removed line)",
                quoted(row.text)
            )))
        }
    }

    fn close(&mut self, blanks: Blanks) -> Result<(), ParseError> {
        let Some(mut chunk) = self.open.take() else { return Ok(()) };
        if blanks == Blanks::Drop {
            chunk.lines.truncate(chunk.lines.len() - self.blanks);
        }
        self.blanks = 0;
        if chunk.lines.is_empty() {
            return Err(ParseError::Hunk {
                row: chunk.row,
                message: "Update hunk does not contain any lines".to_owned(),
            });
        }
        self.chunks.push(chunk);
        Ok(())
    }
}

/// A line of the patch as an error shows it.
fn quoted(line: &str) -> String {
    const MOST: usize = 200;
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("'{}…'", line.get(..end).unwrap_or_default()),
        None => format!("'{line}'"),
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
