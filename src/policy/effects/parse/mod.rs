//! The grammar of a shell, as far as commands of a model use it.
//!
//! Read strictly: what this does not know is an error, and an error means that nobody can tell what the command does.
//! Unlike [`super::super::command`] it reads expansions too, because here they are going to be followed.

mod compound;
mod dollar;
mod here;
mod list;
mod node;
mod simple;
mod word;

use super::Dialect;

pub(super) use node::{Node, Piece, Redirect, Simple, Stream, Word};

/// Longer texts are not read.
const MAX_BYTES: usize = 256 * 1024;
/// Nested deeper than this nothing is read.
const MAX_DEPTH: usize = 40;

/// Why a text can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unread(pub &'static str);

/// Reads a script.
pub(super) fn parse(text: &str, dialect: Dialect) -> Result<Vec<Node>, Unread> {
    parse_at(text, dialect, 0)
}

fn parse_at(text: &str, dialect: Dialect, depth: usize) -> Result<Vec<Node>, Unread> {
    if text.len() > MAX_BYTES {
        return Err(Unread("it is too long"));
    }
    if text.contains('\0') {
        return Err(Unread("it holds a NUL"));
    }
    let chars = text.chars().collect();
    let mut parser = Parser { chars, at: 0, depth, dialect, bodies: Vec::new() };
    let nodes = parser.nodes(&[])?;
    match parser.peek() {
        None if parser.bodies.is_empty() => Ok(nodes),
        None => Err(Unread("a here-document does not end")),
        Some(_) => Err(Unread("its grammar is not known here")),
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
    dialect: Dialect,
    /// Here-documents whose text begins after the line: delimiter, whether it is literal, whether tabs go.
    bodies: Vec<(String, bool, bool)>,
}

const RESERVED: &[&str] = &[
    "if",
    "then",
    "else",
    "elif",
    "fi",
    "do",
    "done",
    "while",
    "until",
    "for",
    "case",
    "esac",
    "{",
    "}",
    "!",
    "[[",
    "function",
    "select",
    "time",
    "coproc",
    "in",
    "foreach",
    "repeat",
    "end",
    "noglob",
    "nocorrect",
    "always",
];

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn ahead(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(index, c)| self.chars.get(self.at + index) == Some(&c))
    }

    fn take(&mut self, text: &str) -> bool {
        let here = self.ahead(text);
        if here {
            self.at += text.chars().count();
        }
        here
    }

    fn text(&self, from: usize) -> String {
        self.chars.get(from..self.at).unwrap_or_default().iter().collect()
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Unread>) -> Result<T, Unread> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Unread("it is nested too deeply"));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn blanks(&mut self) {
        loop {
            if matches!(self.peek(), Some(' ' | '\t')) {
                self.at += 1;
            } else if self.ahead("\\\n") {
                self.at += 2;
            } else if self.peek() == Some('#') {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            } else {
                return;
            }
        }
    }

    /// Blanks and line ends. At a line end the texts of here-documents are read, into their redirections.
    fn lines(&mut self) -> Result<(), Unread> {
        loop {
            self.blanks();
            if self.peek() != Some('\n') {
                return Ok(());
            }
            if !self.bodies.is_empty() {
                // Their texts are read where they are announced.
                return Err(Unread("a here-document in an unusual place"));
            }
            self.at += 1;
        }
    }

    /// A reserved word, if one is next.
    fn reserved(&self) -> Option<&'static str> {
        RESERVED.iter().copied().find(|word| {
            self.ahead(word)
                && self
                    .chars
                    .get(self.at + word.chars().count())
                    .is_none_or(|c| matches!(c, ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>'))
        })
    }

    fn expect(&mut self, word: &str) -> Result<(), Unread> {
        self.lines()?;
        if self.reserved() == Some(word) && self.take(word) {
            Ok(())
        } else {
            Err(Unread("its grammar is not known here"))
        }
    }
}
