//! What a shell knows while it runs a command: where it stands, its variables, functions and arguments.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{Dialect, expand::Arg, parse::Node};

/// A variable that the command itself has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    pub value: Value,
    /// Programs that are started see it.
    pub exported: bool,
}

/// What a variable holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Set(String),
    Unset,
    Unknown,
}

impl Value {
    pub(super) fn of(arg: &Arg) -> Self {
        arg.text().map_or(Self::Unknown, |text| Self::Set(text.to_owned()))
    }
}

/// A shell at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    pub dialect: Dialect,
    /// Where it stands, or why nobody can tell.
    pub cwd: Result<PathBuf, String>,
    pub variables: BTreeMap<String, Own>,
    /// All other variables are those of the environment.
    pub environment: bool,
    /// `$1`, `$2`, …, where they are known.
    pub parameters: Option<Vec<Arg>>,
    /// Names that mean something else than a program. Without a body nobody can tell what.
    pub functions: BTreeMap<String, Option<Rc<Node>>>,
    /// Patterns mean what they mean by default.
    pub patterns: bool,
    /// Words are split at blanks and line ends, as by default.
    pub separators: bool,
    /// What the command has made before: what lies there is not what is on the disk now.
    pub made: Vec<PathBuf>,
}

impl State {
    pub(super) fn new(cwd: PathBuf, dialect: Dialect) -> Self {
        Self {
            dialect,
            cwd: Ok(cwd),
            variables: BTreeMap::new(),
            environment: true,
            parameters: Some(Vec::new()),
            functions: BTreeMap::new(),
            patterns: true,
            separators: true,
            made: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        if name == "IFS" {
            self.separators = false;
        }
        let exported = self.variables.get(name).is_some_and(|own| own.exported);
        self.variables.insert(name.to_owned(), Own { value, exported });
    }

    /// The same for the programs that are started as well.
    pub(super) fn export(&mut self, name: &str, value: Value) {
        self.set(name, value);
        if let Some(own) = self.variables.get_mut(name) {
            own.exported = true;
        }
    }

    /// What a shell begins with that this one starts.
    pub(super) fn child(&self, dialect: Dialect, parameters: Vec<Arg>) -> Self {
        let mut child = self.clone();
        child.dialect = dialect;
        child.functions.clear();
        child.patterns = true;
        child.separators = true;
        child.parameters = Some(parameters);
        for own in child.variables.values_mut().filter(|own| !own.exported) {
            // It was perhaps in the environment before, with another value.
            own.value = Value::Unknown;
        }
        child
    }

    /// Where this goes on after something that may have run or not.
    pub(super) fn perhaps(&mut self, after: Self) {
        if self.cwd != after.cwd {
            self.cwd = Err("nobody can tell where it stands then".to_owned());
        }
        for (name, own) in &after.variables {
            if self.variables.get(name) != Some(own) {
                self.variables.insert(name.clone(), Own { value: Value::Unknown, exported: true });
            }
        }
        for name in after.functions.keys() {
            if self.functions.get(name) != after.functions.get(name) {
                self.functions.insert(name.clone(), None);
            }
        }
        if self.parameters != after.parameters {
            self.parameters = None;
        }
        self.environment &= after.environment;
        self.patterns &= after.patterns;
        self.separators &= after.separators;
        self.made = after.made;
    }

    /// Nothing that was known of it is.
    pub(super) fn lose(&mut self, why: &str) {
        self.cwd = Err(why.to_owned());
        self.variables.clear();
        self.environment = false;
        self.parameters = None;
        self.patterns = false;
        self.separators = false;
    }

    /// What the command has made at or above that place.
    pub(super) fn made_at(&self, path: &Path) -> Option<&PathBuf> {
        self.made.iter().find(|made| path.starts_with(made))
    }

    /// What the command has made at, above or right below that place.
    pub(super) fn made_near(&self, path: &Path) -> Option<&PathBuf> {
        self.made.iter().find(|made| path.starts_with(made) || made.parent() == Some(path))
    }
}
