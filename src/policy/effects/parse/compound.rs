//! Commands that are made of others.

use super::{Dialect, Node, Parser, Unread, dollar::runs_something};

impl Parser {
    /// What only bash and its like read so.
    pub(super) fn extended(&self) -> Result<(), Unread> {
        if self.dialect == Dialect::Posix {
            return Err(Unread("the shells called `sh` read this in different ways"));
        }
        Ok(())
    }

    pub(super) fn command(&mut self) -> Result<Node, Unread> {
        self.deeper(Self::any_command)
    }

    pub(super) fn any_command(&mut self) -> Result<Node, Unread> {
        self.blanks();
        if self.ahead("((") {
            self.extended()?;
            let inner = self.arithmetic()?;
            return if runs_something(&inner) {
                Err(Unread("arithmetic that runs commands"))
            } else {
                Ok(Node::Arithmetic(inner))
            };
        }
        if self.take("(") {
            let nodes = self.nodes(&[])?;
            if !self.take(")") {
                return Err(Unread("its grammar is not known here"));
            }
            return Ok(Node::Apart(nodes, self.redirects()?));
        }
        let Some(word) = self.reserved() else { return self.simple() };
        match word {
            "{" => {
                self.at += 1;
                let nodes = self.nodes(&["}"])?;
                self.expect("}")?;
                Ok(Node::Group(nodes, self.redirects()?))
            }
            "if" => {
                self.at += 2;
                let first = self.nodes(&["then"])?;
                self.expect("then")?;
                let mut branches = Vec::new();
                let mut branch = Vec::new();
                loop {
                    branch.extend(self.nodes(&["else", "elif", "fi"])?);
                    branches.push(std::mem::take(&mut branch));
                    self.lines()?;
                    if self.reserved() == Some("elif") {
                        self.at += 4;
                        branch = self.nodes(&["then"])?;
                        self.expect("then")?;
                    } else if self.reserved() == Some("else") {
                        self.at += 4;
                    } else {
                        break;
                    }
                }
                self.expect("fi")?;
                Ok(Node::Branches { first, branches, redirects: self.redirects()? })
            }
            "while" | "until" => {
                self.at += 5;
                let mut all = self.nodes(&["do"])?;
                all.extend(self.body()?);
                Ok(Node::Loop(all, self.redirects()?))
            }
            "for" => self.for_loop(),
            "case" => self.case(),
            "function" => {
                self.extended()?;
                self.at += 8;
                self.blanks();
                let name = self.name().ok_or(Unread("its grammar is not known here"))?;
                self.blanks();
                if self.take("(") {
                    self.blanks();
                    if !self.take(")") {
                        return Err(Unread("its grammar is not known here"));
                    }
                }
                self.lines()?;
                Ok(Node::Function { name, body: Box::new(self.command()?) })
            }
            "[[" => {
                self.extended()?;
                self.at += 2;
                self.test()
            }
            _ => Err(Unread("its grammar is not known here")),
        }
    }

    pub(super) fn body(&mut self) -> Result<Vec<Node>, Unread> {
        self.expect("do")?;
        let nodes = self.nodes(&["done"])?;
        self.expect("done")?;
        Ok(nodes)
    }

    pub(super) fn for_loop(&mut self) -> Result<Node, Unread> {
        self.at += 3;
        self.blanks();
        let name = self.name().ok_or(Unread("its grammar is not known here"))?;
        self.lines()?;
        let words = if self.reserved() == Some("in") {
            self.at += 2;
            let mut words = Vec::new();
            loop {
                self.blanks();
                match self.word()? {
                    Some(word) => words.push(word),
                    None => break,
                }
            }
            Some(words)
        } else {
            None
        };
        self.blanks();
        self.take(";");
        let body = self.body()?;
        Ok(Node::For { name, words, body, redirects: self.redirects()? })
    }

    pub(super) fn case(&mut self) -> Result<Node, Unread> {
        self.at += 4;
        self.blanks();
        let word = self.word()?.ok_or(Unread("its grammar is not known here"))?;
        let mut first = vec![Node::Test(vec![word])];
        let mut branches = Vec::new();
        self.expect("in")?;
        loop {
            self.lines()?;
            if self.reserved() == Some("esac") {
                self.at += 4;
                return Ok(Node::Branches { first, branches, redirects: self.redirects()? });
            }
            self.take("(");
            loop {
                self.blanks();
                let pattern = self.word()?.ok_or(Unread("its grammar is not known here"))?;
                first.push(Node::Test(vec![pattern]));
                self.blanks();
                if !self.take("|") {
                    break;
                }
            }
            if !self.take(")") {
                return Err(Unread("its grammar is not known here"));
            }
            branches.push(self.nodes(&["esac"])?);
            if !self.take(";;&") && !self.take(";;") && !self.take(";&") {
                self.lines()?;
            }
        }
    }

    pub(super) fn test(&mut self) -> Result<Node, Unread> {
        let mut words = Vec::new();
        loop {
            self.lines()?;
            if self.ahead("]]") {
                self.at += 2;
                return Ok(Node::Test(words));
            }
            match self.peek() {
                None => return Err(Unread("its grammar is not known here")),
                Some('(' | ')' | '<' | '>' | '&' | '|') => self.at += 1,
                Some(_) => words.push(self.word()?.ok_or(Unread("its grammar is not known here"))?),
            }
        }
    }

    pub(super) fn function(&mut self, from: usize) -> Result<Node, Unread> {
        let name = self.text(from);
        self.at += 1;
        self.blanks();
        if !self.take(")") || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        {
            return Err(Unread("its grammar is not known here"));
        }
        self.lines()?;
        Ok(Node::Function { name, body: Box::new(self.command()?) })
    }
}
