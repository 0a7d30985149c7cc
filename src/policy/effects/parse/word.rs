//! A word and its quotes.

use super::{Dialect, Parser, Piece, Unread, Word};

impl Parser {
    pub(super) fn word(&mut self) -> Result<Option<Word>, Unread> {
        let from = self.at;
        let mut pieces = Vec::new();
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' | ';' | '&' | '|' | ')' => break,
                '<' | '>' if self.chars.get(self.at + 1) == Some(&'(') => {
                    self.extended()?;
                    self.at += 2;
                    let script = self.deeper(|parser| parser.nodes(&[]))?;
                    if !self.take(")") {
                        return Err(Unread("its grammar is not known here"));
                    }
                    pieces.push(Piece::Process { script });
                }
                '<' | '>' => break,
                // Of a function, or a pattern that only some shells know.
                '(' if pieces.is_empty() => return Err(Unread("its grammar is not known here")),
                '(' => break,
                '\'' => {
                    self.at += 1;
                    self.single(&mut pieces)?;
                }
                '"' => {
                    self.at += 1;
                    let before = pieces.len();
                    self.double(&mut pieces, Some('"'))?;
                    if pieces.len() == before {
                        pieces.push(Piece::Empty);
                    }
                }
                '\\' => {
                    self.at += 1;
                    match self.peek() {
                        Some('\n') => {}
                        Some(next) => pieces.push(Piece::Char(next, true)),
                        None => pieces.push(Piece::Char('\\', true)),
                    }
                    self.at += usize::from(self.peek().is_some());
                }
                '$' => self.dollar(&mut pieces, false)?,
                '`' => self.backticks(&mut pieces, false)?,
                '=' if pieces.is_empty() && self.dialect == Dialect::Zsh => {
                    return Err(Unread("zsh reads `=` in its own way"));
                }
                c => {
                    self.at += 1;
                    pieces.push(Piece::Char(c, false));
                }
            }
        }
        if self.at == from {
            return Ok(None);
        }
        Ok(Some(Word { pieces, source: self.text(from) }))
    }

    pub(super) fn single(&mut self, pieces: &mut Vec<Piece>) -> Result<(), Unread> {
        let from = self.at;
        loop {
            let c = self.peek().ok_or(Unread("a quote does not end"))?;
            self.at += 1;
            if c == '\'' {
                break;
            }
            pieces.push(Piece::Char(c, true));
        }
        if self.at == from + 1 {
            pieces.push(Piece::Empty);
        }
        Ok(())
    }

    /// The inside of double quotes, or with no end the text of a here-document.
    pub(super) fn double(&mut self, pieces: &mut Vec<Piece>, end: Option<char>) -> Result<(), Unread> {
        loop {
            match self.peek() {
                None if end.is_none() => return Ok(()),
                None => return Err(Unread("a quote does not end")),
                Some(c) if Some(c) == end => {
                    self.at += 1;
                    return Ok(());
                }
                Some('\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some('\n') => self.at += 1,
                        Some(c) if matches!(c, '$' | '`' | '\\') || Some(c) == end => {
                            pieces.push(Piece::Char(c, true));
                            self.at += 1;
                        }
                        _ => pieces.push(Piece::Char('\\', true)),
                    }
                }
                Some('$') if matches!(self.chars.get(self.at + 1), Some('\'' | '"')) => {
                    pieces.push(Piece::Char('$', true));
                    self.at += 1;
                }
                Some('$') => self.dollar(pieces, true)?,
                Some('`') => self.backticks(pieces, true)?,
                Some(c) => {
                    pieces.push(Piece::Char(c, true));
                    self.at += 1;
                }
            }
        }
    }

    /// The inside of `$'…'`.
    pub(super) fn escapes(&mut self, pieces: &mut Vec<Piece>) -> Result<(), Unread> {
        let from = self.at;
        loop {
            let c = self.peek().ok_or(Unread("a quote does not end"))?;
            self.at += 1;
            let decoded = match c {
                '\'' => break,
                '\\' => {
                    let next = self.peek().ok_or(Unread("a quote does not end"))?;
                    self.at += 1;
                    match next {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        'a' => '\u{7}',
                        'b' => '\u{8}',
                        'e' | 'E' => '\u{1b}',
                        'f' => '\u{c}',
                        'v' => '\u{b}',
                        '\\' | '\'' | '"' | '?' => next,
                        'x' => self.number(16, 2)?,
                        'u' => self.number(16, 4)?,
                        'U' => self.number(16, 8)?,
                        '0'..='7' => {
                            self.at -= 1;
                            self.number(8, 3)?
                        }
                        _ => return Err(Unread("an unusual escape in `$'…'`")),
                    }
                }
                c => c,
            };
            pieces.push(Piece::Char(decoded, true));
        }
        if self.at == from + 1 {
            pieces.push(Piece::Empty);
        }
        Ok(())
    }

    pub(super) fn number(&mut self, radix: u32, most: usize) -> Result<char, Unread> {
        let mut number = 0;
        let mut digits = 0;
        while digits < most
            && let Some(digit) = self.peek().and_then(|c| c.to_digit(radix))
        {
            number = number * radix + digit;
            digits += 1;
            self.at += 1;
        }
        // Bytes that are no characters by themselves, and the end of a string.
        let whole = most > 3 || number < 0x80;
        match char::from_u32(number) {
            Some(c) if digits > 0 && whole && c != '\0' => Ok(c),
            _ => Err(Unread("an unusual escape in `$'…'`")),
        }
    }
}
