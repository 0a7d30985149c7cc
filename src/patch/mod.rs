//! The `apply_patch` language: reading a patch, and working out what it would do to files.
//!
//! Pure: files are reached through [`Tree`], and nothing is written. A patch is verified whole and becomes a
//! [`Plan`]; making the plan true is the work of whoever has hands. Where paths may lie is not known here.

mod apply;
mod diff;
pub mod edit;
mod miss;
mod parse;
mod seek;
mod shell;
mod text;
mod update;

pub use apply::{Change, ChangeKind, Mismatch, Node, Place, Plan, Step, Tree, plan};
pub use diff::{DIFF_LIMIT, Diff};
pub use parse::{Action, Chunk, Line, Operation, ParseError, Patch};
pub use shell::{Typed, typed};

#[cfg(test)]
mod properties;
