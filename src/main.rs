//! The program `agent`: pick the role that it was started in, run it, and exit with its code.

use std::{ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    // The helpers come first: they are started for every command, and need nothing of the rest.
    agent::sandbox::helper(&args)
        .or_else(|| agent::tools::apply_patch::program(&args))
        .unwrap_or_else(|| agent::cli::main(&args))
}
