//! The command line, one file per command.

use std::{ffi::OsString, process::ExitCode};

/// Runs the program as a person or a script called it.
#[must_use]
pub fn main(_args: &[OsString]) -> ExitCode {
    ExitCode::from(2)
}
