//! What a `$` or a backtick begins.

use super::{Dialect, MAX_DEPTH, Parser, Piece, Unread, Word, parse_at};

impl Parser {
    pub(super) fn dollar(&mut self, pieces: &mut Vec<Piece>, quoted: bool) -> Result<(), Unread> {
        let from = self.at;
        self.at += 1;
        match self.peek() {
            Some('\'') if !quoted => {
                self.extended()?;
                self.at += 1;
                self.escapes(pieces)
            }
            Some('"') if !quoted => {
                self.extended()?;
                Ok(())
            }
            Some('(') if self.ahead("((") => {
                let inner = self.arithmetic()?;
                if runs_something(&inner) {
                    return Err(Unread("arithmetic that runs commands"));
                }
                pieces.push(Piece::Number { source: self.text(from) });
                Ok(())
            }
            Some('(') => {
                self.at += 1;
                let script = self.deeper(|parser| parser.nodes(&[]))?;
                if !self.take(")") {
                    return Err(Unread("its grammar is not known here"));
                }
                pieces.push(Piece::Output { script, quoted, source: self.text(from) });
                Ok(())
            }
            Some('[') => Err(Unread("arithmetic in square brackets")),
            Some('{') => self.deeper(|parser| parser.braced(pieces, quoted, from)),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let name = self.name().ok_or(Unread("its grammar is not known here"))?;
                // zsh reads more of it than a name.
                if self.dialect == Dialect::Zsh && matches!(self.peek(), Some('[' | ':')) {
                    return Err(Unread("zsh reads more of a variable than its name"));
                }
                pieces.push(Piece::Parameter { name, change: None, quoted, source: self.text(from) });
                Ok(())
            }
            Some(c) if c.is_ascii_digit() || "@*#?$!-".contains(c) => {
                self.at += 1;
                pieces.push(Piece::Parameter {
                    name: c.to_string(),
                    change: None,
                    quoted,
                    source: self.text(from),
                });
                Ok(())
            }
            _ => {
                pieces.push(Piece::Char('$', quoted));
                Ok(())
            }
        }
    }

    /// `${ … }`.
    pub(super) fn braced(
        &mut self,
        pieces: &mut Vec<Piece>,
        quoted: bool,
        from: usize,
    ) -> Result<(), Unread> {
        self.at += 1;
        let name = match self.name() {
            Some(name) => name,
            None => {
                let start = self.at;
                while self.peek().is_some_and(|c| c.is_ascii_digit()) {
                    self.at += 1;
                }
                if self.at == start && self.peek().is_some_and(|c| "@*".contains(c)) {
                    self.at += 1;
                }
                self.text(start)
            }
        };
        if name.is_empty() {
            return Err(Unread("an unusual `${…}`"));
        }
        let start = self.at;
        while self.peek().is_some_and(|c| ":-=+?#%/^,@[".contains(c)) && self.at < start + 2 {
            self.at += 1;
        }
        let operator = self.text(start);
        let mut rest = Vec::new();
        loop {
            match self.peek().ok_or(Unread("its grammar is not known here"))? {
                '}' => break,
                '\'' if !quoted => {
                    self.at += 1;
                    self.single(&mut rest)?;
                }
                '"' => {
                    self.at += 1;
                    self.double(&mut rest, Some('"'))?;
                }
                '$' => self.dollar(&mut rest, quoted)?,
                '`' => self.backticks(&mut rest, quoted)?,
                '\\' => {
                    self.at += 1;
                    let c = self.peek().ok_or(Unread("its grammar is not known here"))?;
                    rest.push(Piece::Char(c, true));
                    self.at += 1;
                }
                c => {
                    rest.push(Piece::Char(c, quoted));
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        let source = self.text(from);
        let change = (!operator.is_empty() || !rest.is_empty())
            .then(|| (operator, Word { pieces: rest, source: source.clone() }));
        pieces.push(Piece::Parameter { name, change, quoted, source });
        Ok(())
    }

    /// The text between `((` and `))`.
    pub(super) fn arithmetic(&mut self) -> Result<String, Unread> {
        self.at += 2;
        let from = self.at;
        let mut open = 0;
        loop {
            match self.peek().ok_or(Unread("its grammar is not known here"))? {
                '(' => open += 1,
                ')' if open > 0 => open -= 1,
                ')' => break,
                _ => {}
            }
            self.at += 1;
        }
        let inner = self.text(from);
        if self.take("))") { Ok(inner) } else { Err(Unread("its grammar is not known here")) }
    }

    pub(super) fn backticks(&mut self, pieces: &mut Vec<Piece>, quoted: bool) -> Result<(), Unread> {
        let from = self.at;
        self.at += 1;
        let mut inner = String::new();
        loop {
            let c = self.peek().ok_or(Unread("a backtick does not end"))?;
            self.at += 1;
            match c {
                '`' => break,
                '\\' => match self.peek() {
                    Some(next) if matches!(next, '$' | '`' | '\\') || quoted && next == '"' => {
                        inner.push(next);
                        self.at += 1;
                    }
                    _ => inner.push('\\'),
                },
                c => inner.push(c),
            }
        }
        if self.depth >= MAX_DEPTH {
            return Err(Unread("it is nested too deeply"));
        }
        let script = parse_at(&inner, self.dialect, self.depth + 1)?;
        pieces.push(Piece::Output { script, quoted, source: self.text(from) });
        Ok(())
    }
}

/// Whether arithmetic holds what a shell runs: in substitutions, or in the index of an array.
pub(super) fn runs_something(inner: &str) -> bool {
    inner.contains(['`', '[', '"', '\'']) || inner.contains("$(")
}
