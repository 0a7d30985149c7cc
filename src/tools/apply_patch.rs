//! The tool `apply_patch`, and the program of that name.

use std::{ffi::OsString, process::ExitCode};

/// Runs as the program `apply_patch`, if that is the name it was called by (or the first argument is
/// `--agent-run-as-apply-patch`): the patch from the argument or stdin; 0, 1 on failure, 2 on wrong usage.
#[must_use]
pub fn program(_args: &[OsString]) -> Option<ExitCode> {
    None
}
