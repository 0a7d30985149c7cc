//! Git, as this program itself runs it: with everything off that a repository could have run.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use super::env;

/// Settings that go before all those of a repository.
const OFF: &[&str] = &[
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.untrackedCache=false",
    "protocol.ext.allow=never",
    "safe.bareRepository=explicit",
];

/// Git with `args`, in a directory of `workspace`; nothing when there is none on this machine. A program that the
/// workspace brings is none of this machine.
#[must_use]
pub fn hardened(workspace: &Path, args: &[&str]) -> Option<Command> {
    let mut command = Command::new(env::git(workspace)?);
    command.args(["--no-pager", "--no-optional-locks", "--literal-pathspecs"]);
    command.args(OFF.iter().flat_map(|setting| ["-c", setting])).args(args);
    command.current_dir(workspace).env_clear().envs(env::for_git()).envs([
        ("LC_ALL", "C"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_NO_LAZY_FETCH", "1"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(command)
}
