//! Skills: folders with a `SKILL.md`, which says in a line what it is for and below that how it is done.
//!
//! Here they are found, read, laid out where commands see them, and taken from git repositories. What of them the model
//! is told, and when, is decided elsewhere; whether a repository's may be read at all, too.
//!
//! The format is the open one of [agentskills.io](https://agentskills.io/specification).

mod find;
mod front;
pub mod git;
mod installed;
mod shelf;
mod shipped;

use std::{
    fmt,
    path::{Path, PathBuf},
};

pub use find::{Found, Place, find};
pub use front::{LONGEST, SKILL, body};
pub use installed::{Change, Installed, Version};
pub use shelf::Shelf;
pub use shipped::shipped;

/// What the beginning of a `SKILL.md` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skill {
    pub name: String,
    /// What it is for and when, on one line.
    pub description: String,
    /// Its folder.
    pub folder: PathBuf,
    pub origin: Origin,
    /// Of one from a git repository, the beginning of the commit.
    pub version: Option<String>,
    /// Calls that it says it needs (`allowed-tools`), such as `Bash(git log:*)`.
    pub allowed: Vec<String>,
    pub license: Option<String>,
    /// What it needs to be there, in words.
    pub compatibility: Option<String>,
    /// Only a person calls for it: the model is not told of it.
    pub only_person: bool,
}

/// Where a skill comes from. What comes first goes before the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The repository that the session is about.
    Project,
    /// A folder of the person's own.
    Person,
    /// A git repository, by `agent skills add`.
    Installed,
    /// The program brings it along.
    Shipped,
}

/// What is wrong with a skill. The others are none the worse for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub path: PathBuf,
    /// Counted from 1.
    pub line: Option<usize>,
    pub reason: String,
    /// It can be used all the same.
    pub harmless: bool,
}

impl Skill {
    /// The file that says how it is done.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join(SKILL)
    }
}

impl Origin {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Person => "user",
            Self::Installed => "git",
            Self::Shipped => "shipped",
        }
    }
}

impl Problem {
    fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, reason: reason.into(), harmless: false }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        let used = if self.harmless { "" } else { "; the skill is not used" };
        write!(f, ": {}{used}", self.reason)
    }
}
