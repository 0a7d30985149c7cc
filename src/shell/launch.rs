//! From a launch to a command line: which shell, with which environment.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{Launch, Settings, ShellError, process::Env};
use crate::sandbox::CommandLine;

/// Shells whose language the rest of the program understands when it judges a command.
const SHELLS: [&str; 4] = ["bash", "zsh", "sh", "dash"];
/// Where they are looked for. Never in a place that a command may have written.
const PLACES: [&str; 5] =
    ["/bin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/run/current-system/sw/bin"];

/// The program that reads the command: the user's shell, or the one that was asked for by name or path.
pub(super) fn program(settings: &Settings, wanted: Option<&Path>) -> Result<PathBuf, ShellError> {
    let Some(wanted) = wanted.filter(|wanted| *wanted != settings.shell) else {
        return Ok(settings.shell.clone());
    };
    let refuse = |why: &str| ShellError::Spawn(format!("can't use `{}` as shell: {why}", wanted.display()));
    let name = wanted.file_name().and_then(OsStr::to_str).unwrap_or_default();
    if !SHELLS.contains(&name) {
        return Err(refuse("choose bash, zsh, sh or dash"));
    }
    if wanted.components().count() > 1 {
        let known =
            wanted.parent().is_some_and(|parent| PLACES.iter().any(|place| parent == Path::new(place)));
        return match known && wanted.is_file() {
            true => Ok(wanted.to_owned()),
            false => Err(refuse("there is no such shell in the system's directories; give its name only")),
        };
    }
    if settings.shell.file_name() == Some(OsStr::new(name)) {
        return Ok(settings.shell.clone());
    }
    PLACES
        .iter()
        .map(|place| Path::new(place).join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| refuse("it is not installed"))
}

/// The command line of a launch.
pub(super) fn command_line(launch: &Launch, program: PathBuf, env: &Env) -> CommandLine {
    CommandLine {
        program: program.into(),
        args: vec!["-c".into(), launch.command.clone().into()],
        env: with_terminal(env, launch.tty),
        cwd: launch.workdir.clone(),
        tty: launch.tty,
    }
}

/// The environment with the terminal that there is.
fn with_terminal(env: &Env, tty: bool) -> Env {
    let term = if tty { "xterm-256color" } else { "dumb" };
    let others = env.iter().filter(|(name, _)| name != "TERM").cloned();
    others.chain([("TERM".into(), term.into())]).collect()
}
