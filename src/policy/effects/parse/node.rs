//! What a script consists of.

/// A command, simple or made of others.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::policy::effects) enum Node {
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
pub(in crate::policy::effects) struct Simple {
    /// Name, whether it is added to what is there, and the value.
    pub assigns: Vec<(String, bool, Word)>,
    pub words: Vec<Word>,
    pub redirects: Vec<Redirect>,
}

/// Where a stream goes to or comes from.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::policy::effects) struct Redirect {
    pub to: Stream,
    pub word: Word,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::policy::effects) enum Stream {
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
pub(in crate::policy::effects) struct Word {
    pub pieces: Vec<Piece>,
    /// As it is written.
    pub source: String,
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::policy::effects) enum Piece {
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
