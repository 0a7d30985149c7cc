//! A command with its words, what it sets and where its streams go.

use super::{Node, Parser, Redirect, Simple, Stream, Unread};

impl Parser {
    pub(super) fn simple(&mut self) -> Result<Node, Unread> {
        let mut simple = Simple::default();
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                simple.redirects.push(redirect);
                continue;
            }
            let from = self.at;
            if simple.words.is_empty()
                && let Some((name, added)) = self.assignment()
            {
                let value = match self.peek() {
                    Some('(') => return Err(Unread("it sets an array")),
                    _ => self.word()?.unwrap_or_default(),
                };
                simple.assigns.push((name, added, value));
                continue;
            }
            match self.word()? {
                Some(word) => simple.words.push(word),
                None => break,
            }
            if simple.words.len() == 1 && self.peek() == Some('(') && simple.assigns.is_empty() {
                return self.function(from);
            }
        }
        if simple == Simple::default() {
            Err(Unread("its grammar is not known here"))
        } else {
            Ok(Node::Simple(simple))
        }
    }

    pub(super) fn redirects(&mut self) -> Result<Vec<Redirect>, Unread> {
        let mut all = Vec::new();
        loop {
            self.blanks();
            match self.redirect()? {
                Some(redirect) => all.push(redirect),
                None => return Ok(all),
            }
        }
    }

    pub(super) fn redirect(&mut self) -> Result<Option<Redirect>, Unread> {
        let from = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        let numbered = self.at > from;
        if self.ahead("<(")
            || self.ahead(">(")
            || !(matches!(self.peek(), Some('<' | '>')) || !numbered && self.ahead("&>"))
        {
            self.at = from;
            return Ok(None);
        }
        let to = if self.take("&>>") {
            self.extended()?;
            Stream::Append
        } else if self.take("&>") {
            self.extended()?;
            Stream::Write
        } else if self.take(">>") {
            Stream::Append
        } else if self.take(">|") {
            Stream::Write
        } else if self.take(">&") {
            self.blanks();
            let word = self.word()?.ok_or(Unread("its grammar is not known here"))?;
            let number = word.source.trim_end_matches('-').chars().all(|c| c.is_ascii_digit());
            return Ok(Some(Redirect { to: if number { Stream::Duplicate } else { Stream::Write }, word }));
        } else if self.take(">") {
            Stream::Write
        } else if self.take("<<<") {
            self.extended()?;
            Stream::Text
        } else if self.ahead("<<") {
            return self.here_document().map(Some);
        } else if self.take("<&") {
            Stream::Duplicate
        } else if self.take("<>") {
            Stream::ReadWrite
        } else {
            self.at += 1;
            Stream::Read
        };
        self.blanks();
        let word = self.word()?.ok_or(Unread("its grammar is not known here"))?;
        Ok(Some(Redirect { to, word }))
    }

    pub(super) fn name(&mut self) -> Option<String> {
        let from = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.at += 1;
        }
        let name = self.text(from);
        let good = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !good {
            self.at = from;
        }
        good.then_some(name)
    }

    /// `NAME=` or `NAME+=`.
    pub(super) fn assignment(&mut self) -> Option<(String, bool)> {
        let from = self.at;
        if let Some(name) = self.name() {
            if self.take("=") {
                return Some((name, false));
            }
            if self.take("+=") {
                return Some((name, true));
            }
        }
        self.at = from;
        None
    }
}
