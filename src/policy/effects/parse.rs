//! The grammar of a shell, as far as commands of a model use it.
//!
//! Read strictly: what this does not know is an error, and an error means that nobody can tell what the command does.
//! Unlike [`super::super::command`] it reads expansions too, because here they are going to be followed.

use super::Dialect;

/// Longer texts are not read.
const MAX_BYTES: usize = 256 * 1024;
/// Nested deeper than this nothing is read.
const MAX_DEPTH: usize = 40;

/// Why a text can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unread(pub &'static str);

/// A command, simple or made of others.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Simple(Simple),
    /// Joined by `&&` and `||`; each with whether it runs when the one before failed.
    Chain(Vec<(bool, Self)>),
    Pipe(Vec<Self>),
    /// In a shell of its own: `( … )`, and what ends in `&`.
    Apart(Vec<Self>, Vec<Redirect>),
    /// `{ … }`.
    Group(Vec<Self>, Vec<Redirect>),
    /// What runs first, and parts of which some run then: `if`, `case`.
    Branches {
        first: Vec<Self>,
        branches: Vec<Vec<Self>>,
        redirects: Vec<Redirect>,
    },
    /// What runs again and again, or never: `while`, `until`.
    Loop(Vec<Self>, Vec<Redirect>),
    For {
        name: String,
        words: Option<Vec<Word>>,
        body: Vec<Self>,
        redirects: Vec<Redirect>,
    },
    Function {
        name: String,
        body: Box<Self>,
    },
    /// `[[ … ]]`: it only looks, but its words may run something.
    Test(Vec<Word>),
    /// `(( … ))`, which may set variables.
    Arithmetic(String),
}

/// A command with its words.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Simple {
    /// Name, whether it is added to what is there, and the value.
    pub assigns: Vec<(String, bool, Word)>,
    pub words: Vec<Word>,
    pub redirects: Vec<Redirect>,
}

/// Where a stream goes to or comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Redirect {
    pub to: Stream,
    pub word: Word,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Read,
    /// Emptied first.
    Write,
    Append,
    ReadWrite,
    /// Another descriptor.
    Duplicate,
    /// The word is the text itself.
    Text,
}

/// A word before its expansion.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Word {
    pub pieces: Vec<Piece>,
    /// As it is written.
    pub source: String,
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// A character, and whether it is quoted.
    Char(char, bool),
    /// `''`: nothing, but a word.
    Empty,
    Parameter {
        name: String,
        change: Option<(String, Word)>,
        quoted: bool,
        source: String,
    },
    /// `$( … )` and backticks.
    Output {
        script: Vec<Node>,
        quoted: bool,
        source: String,
    },
    /// `<( … )`: the name of a pipe.
    Process {
        script: Vec<Node>,
    },
    /// `$(( … ))`.
    Number {
        source: String,
    },
}

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

    /// Commands, until one of the words, a closing parenthesis or the end.
    fn nodes(&mut self, until: &[&str]) -> Result<Vec<Node>, Unread> {
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

    /// Reads the texts of the here-documents that the line announced, and puts them where they belong: to the last
    /// redirections that have none.
    fn bodies_into(&mut self, nodes: &mut [Node]) -> Result<(), Unread> {
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

    fn chain(&mut self) -> Result<Node, Unread> {
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

    fn pipe(&mut self) -> Result<Node, Unread> {
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

    /// What only bash and its like read so.
    fn extended(&self) -> Result<(), Unread> {
        if self.dialect == Dialect::Posix {
            return Err(Unread("the shells called `sh` read this in different ways"));
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Node, Unread> {
        self.deeper(Self::any_command)
    }

    fn any_command(&mut self) -> Result<Node, Unread> {
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

    fn body(&mut self) -> Result<Vec<Node>, Unread> {
        self.expect("do")?;
        let nodes = self.nodes(&["done"])?;
        self.expect("done")?;
        Ok(nodes)
    }

    fn for_loop(&mut self) -> Result<Node, Unread> {
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

    fn case(&mut self) -> Result<Node, Unread> {
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

    fn test(&mut self) -> Result<Node, Unread> {
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

    fn redirects(&mut self) -> Result<Vec<Redirect>, Unread> {
        let mut all = Vec::new();
        loop {
            self.blanks();
            match self.redirect()? {
                Some(redirect) => all.push(redirect),
                None => return Ok(all),
            }
        }
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, Unread> {
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

    fn here_document(&mut self) -> Result<Redirect, Unread> {
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

    fn simple(&mut self) -> Result<Node, Unread> {
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

    fn function(&mut self, from: usize) -> Result<Node, Unread> {
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

    fn name(&mut self) -> Option<String> {
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
    fn assignment(&mut self) -> Option<(String, bool)> {
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

    fn word(&mut self) -> Result<Option<Word>, Unread> {
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

    fn single(&mut self, pieces: &mut Vec<Piece>) -> Result<(), Unread> {
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
    fn double(&mut self, pieces: &mut Vec<Piece>, end: Option<char>) -> Result<(), Unread> {
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

    fn dollar(&mut self, pieces: &mut Vec<Piece>, quoted: bool) -> Result<(), Unread> {
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
    fn braced(&mut self, pieces: &mut Vec<Piece>, quoted: bool, from: usize) -> Result<(), Unread> {
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
    fn arithmetic(&mut self) -> Result<String, Unread> {
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

    fn backticks(&mut self, pieces: &mut Vec<Piece>, quoted: bool) -> Result<(), Unread> {
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

    /// The inside of `$'…'`.
    fn escapes(&mut self, pieces: &mut Vec<Piece>) -> Result<(), Unread> {
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

    fn number(&mut self, radix: u32, most: usize) -> Result<char, Unread> {
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

/// Whether arithmetic holds what a shell runs: in substitutions, or in the index of an array.
fn runs_something(inner: &str) -> bool {
    inner.contains(['`', '[', '"', '\'']) || inner.contains("$(")
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
