//! Commands one after the other, in chains and in pipes.

use super::{Node, Parser, Unread};

impl Parser {
    /// Commands, until one of the words, a closing parenthesis or the end.
    pub(super) fn nodes(&mut self, until: &[&str]) -> Result<Vec<Node>, Unread> {
        let mut nodes = Vec::new();
        loop {
            self.lines()?;
            let ends = self.reserved().is_some_and(|word| until.contains(&word));
            if ends || matches!(self.peek(), None | Some(')')) || self.ahead(";;") {
                return Ok(nodes);
            }
            let node = self.chain()?;
            self.blanks();
            match self.peek() {
                Some('&') => {
                    self.at += 1;
                    nodes.push(Node::Apart(vec![node], Vec::new()));
                }
                Some(';') if !self.ahead(";;") => {
                    self.at += 1;
                    nodes.push(node);
                }
                Some('\n' | ')' | ';') | None => nodes.push(node),
                Some(_) => return Err(Unread("its grammar is not known here")),
            }
            self.blanks();
            if self.peek() == Some('\n') && !self.bodies.is_empty() {
                self.bodies_into(&mut nodes)?;
            }
        }
    }

    pub(super) fn chain(&mut self) -> Result<Node, Unread> {
        let mut all = vec![(false, self.pipe()?)];
        loop {
            self.blanks();
            let otherwise = self.ahead("||");
            if !self.take("&&") && !self.take("||") {
                break;
            }
            self.lines()?;
            all.push((otherwise, self.pipe()?));
        }
        Ok(if all.len() == 1 { all.remove(0).1 } else { Node::Chain(all) })
    }

    pub(super) fn pipe(&mut self) -> Result<Node, Unread> {
        self.blanks();
        while self.reserved() == Some("!") {
            self.at += 1;
            self.blanks();
        }
        if self.reserved() == Some("time") {
            self.at += 4;
            self.blanks();
            if self.take("-p") {
                self.blanks();
            }
        }
        let mut all = vec![self.command()?];
        loop {
            self.blanks();
            if self.ahead("||") || self.peek() != Some('|') {
                break;
            }
            self.at += 1;
            if self.peek() == Some('&') {
                self.extended()?;
                self.at += 1;
            }
            self.lines()?;
            all.push(self.command()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Node::Pipe(all) })
    }
}
