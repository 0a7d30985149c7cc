//! `agent sandbox`: any command, under the policy of the model's commands.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitCode},
};

use crate::sandbox::CommandLine;

use super::{
    error::{CliError, Kind},
    start::Start,
    temporary::Temporary,
};

pub(super) async fn run(start: &Start, command: &[OsString]) -> Result<ExitCode, CliError> {
    let [program, args @ ..] = command else { return Err(CliError::usage("no command was given")) };
    let scratch = Temporary::new(&start.home)
        .map_err(|error| CliError::failed(format!("can't make a folder for the sandbox: {error}")))?;
    let mode = start.config.sandbox;
    let network = start.listed_network();
    let sandbox = start.sandbox_in(&start.config.backend, mode, scratch.path(), network)?;
    let line = CommandLine {
        program: program.clone(),
        args: args.to_vec(),
        env: sandbox.environment(start.environment(mode)),
        cwd: start.workspace.clone(),
        // It has the terminal of whoever called, and does not get one of its own.
        tty: false,
    };
    let none = |error| CliError::new(Kind::Sandbox, format!("no sandbox, so not run: {error}"));
    sandbox.refresh().await.map_err(none)?;
    let wrapped = sandbox.wrap(line).map_err(none)?;
    let child = Command::new(&wrapped.program)
        .args(&wrapped.args)
        .env_clear()
        .envs(wrapped.env)
        .current_dir(&wrapped.cwd)
        .spawn();
    // Not waited for where the proxy is served.
    let status = match child {
        Ok(mut child) => tokio::task::spawn_blocking(move || child.wait()).await.map_err(CliError::failed)?,
        Err(error) => Err(error),
    };
    let mut warnings = sandbox.publish().await.warnings;
    warnings.extend(sandbox.refusals(None));
    for warning in &warnings {
        // A closed stream is nobody's concern: the command ran.
        let _ = writeln!(io::stderr(), "! {warning}");
    }
    sandbox.stop().await;
    drop(sandbox);
    // What was kept aside lies there, and a warning names it.
    let there = scratch.path().to_string_lossy().into_owned();
    if warnings.iter().any(|warning| warning.contains(&there)) {
        scratch.keep().map_err(CliError::failed)?;
    }
    drop(scratch);
    match status {
        Ok(status) => {
            let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
            Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(CliError::failed(format!("{}: not found", program.to_string_lossy())))
        }
        Err(error) => Err(CliError::failed(format!("{}: {error}", program.to_string_lossy()))),
    }
}
