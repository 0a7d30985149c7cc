//! What a command would touch, after all that a shell makes of it: variables, patterns, links, `cd`, scripts within
//! scripts, wrappers.
//!
//! It is told to the person who decides, and decides nothing by itself. Nothing is run: the text is gone through as a
//! shell would go through it, against the disk as it is before. Whatever can't be followed is said, and counts as
//! something outside the workspace.

mod expand;
mod files;
mod find;
mod git;
mod glob;
mod measure;
mod options;
mod parse;
mod programs;
mod run;
mod state;
mod wrappers;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::protocol::Effects;

use super::limits::Call;

use self::{run::Run, state::State};

/// The disk and the shell that a command would find. Looking changes nothing, and ends in time.
pub trait World {
    /// The language that the command is read in.
    fn dialect(&self) -> Dialect;

    /// A variable of the environment that commands get.
    fn variable(&self, name: &str) -> Variable;

    /// What lies there; of a link, the link.
    fn entry(&self, path: &Path) -> Entry;

    /// The names in a directory.
    ///
    /// # Errors
    /// Why they can't be had, in words.
    fn list(&self, path: &Path) -> Result<Vec<OsString>, String>;

    /// What git says to a question that changes nothing, asked in a directory.
    ///
    /// # Errors
    /// Why it says nothing, in words.
    fn git(&self, folder: &Path, question: &[&str]) -> Result<Vec<u8>, String>;

    /// Whether it has been looked at long enough.
    fn spent(&self) -> bool;
}

/// The language of a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Bash,
    Zsh,
    /// `sh`, which is another program on each system.
    Posix,
}

/// A variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    Set(String),
    Unset,
    Unknown,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Missing,
    /// With its size in bytes.
    File(u64),
    Directory,
    /// With where it leads.
    Link(PathBuf),
    /// A device, a pipe, a socket.
    Special,
    /// With the reason.
    Unreadable(String),
}

/// What a command would touch that begins in a directory. `roots` is what belongs to the workspace, links resolved.
#[must_use]
pub fn of(command: &str, workdir: &Path, roots: &[PathBuf], world: &dyn World) -> Effects {
    let mut run = Run::new(world);
    let mut state = State::new(programs::lexical(workdir), world.dialect());
    run.script(command, &mut state, &None);
    measure::effects(run, roots)
}

/// All that a command runs, as far as it can be followed: each with its words.
#[must_use]
pub fn calls(command: &str, workdir: &Path, world: &dyn World) -> Vec<Call> {
    let mut run = Run::new(world);
    let mut state = State::new(programs::lexical(workdir), world.dialect());
    run.script(command, &mut state, &None);
    run.calls
}
