//! Here-documents: their text begins after the line that announces them.

use super::{Node, Parser, Piece, Redirect, Stream, Unread, Word};

impl Parser {
    /// Reads the texts of the here-documents that the line announced, and puts them where they belong: to the last
    /// redirections that have none.
    pub(super) fn bodies_into(&mut self, nodes: &mut [Node]) -> Result<(), Unread> {
        self.at += 1;
        let mut texts = Vec::new();
        for (delimiter, literal, tabs) in std::mem::take(&mut self.bodies) {
            let mut body = String::new();
            loop {
                let from = self.at;
                if self.peek().is_none() {
                    return Err(Unread("a here-document does not end"));
                }
                while self.peek().is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
                let line = self.text(from);
                self.at += usize::from(self.peek().is_some());
                let line = if tabs { line.trim_start_matches('\t') } else { &line };
                if line == delimiter {
                    break;
                }
                body.push_str(line);
                body.push('\n');
            }
            let pieces = if literal {
                body.chars().map(|c| Piece::Char(c, true)).collect()
            } else {
                let chars = body.chars().collect();
                let mut inner =
                    Self { chars, at: 0, depth: self.depth, dialect: self.dialect, bodies: Vec::new() };
                let mut pieces = Vec::new();
                inner.double(&mut pieces, None)?;
                pieces
            };
            texts.push(Word { pieces, source: "<<".to_owned() });
        }
        let mut texts = texts.into_iter();
        for node in nodes {
            fill(node, &mut texts);
        }
        if texts.next().is_some() { Err(Unread("a here-document in an unusual place")) } else { Ok(()) }
    }

    pub(super) fn here_document(&mut self) -> Result<Redirect, Unread> {
        self.at += 2;
        let tabs = self.take("-");
        self.blanks();
        let word = self.word()?.ok_or(Unread("its grammar is not known here"))?;
        let mut delimiter = String::new();
        let mut literal = false;
        for piece in &word.pieces {
            match piece {
                Piece::Char(c, quoted) => {
                    delimiter.push(*c);
                    literal |= quoted;
                }
                Piece::Empty => literal = true,
                _ => return Err(Unread("a here-document with an unusual end")),
            }
        }
        self.bodies.push((delimiter, literal, tabs));
        // Its text comes with the end of the line.
        Ok(Redirect { to: Stream::Text, word: Word { pieces: Vec::new(), source: String::new() } })
    }
}

/// Gives the redirections that wait for them the texts of here-documents, in order.
fn fill(node: &mut Node, texts: &mut std::vec::IntoIter<Word>) {
    let redirects = match node {
        Node::Simple(simple) => &mut simple.redirects,
        Node::Chain(all) => {
            all.iter_mut().for_each(|(_, node)| fill(node, texts));
            return;
        }
        Node::Pipe(all) => {
            all.iter_mut().for_each(|node| fill(node, texts));
            return;
        }
        Node::Branches { first, branches, redirects } => {
            first.iter_mut().chain(branches.iter_mut().flatten()).for_each(|node| fill(node, texts));
            redirects
        }
        Node::Apart(all, redirects) | Node::Group(all, redirects) | Node::Loop(all, redirects) => {
            all.iter_mut().for_each(|node| fill(node, texts));
            redirects
        }
        Node::For { body, redirects, .. } => {
            body.iter_mut().for_each(|node| fill(node, texts));
            redirects
        }
        Node::Function { body, .. } => return fill(body, texts),
        Node::Test(_) | Node::Arithmetic(_) => return,
    };
    for redirect in redirects {
        if redirect.to == Stream::Text
            && redirect.word.source.is_empty()
            && redirect.word.pieces.is_empty()
            && let Some(text) = texts.next()
        {
            redirect.word = text;
        }
    }
}
