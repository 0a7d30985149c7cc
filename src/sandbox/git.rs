//! Git, with everything off that a repository could have run: for questions that the program itself asks.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::env;

/// Settings that would have programs run, or other places believed.
const OFF: &[&str] = &[
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.untrackedCache=false",
    "protocol.ext.allow=never",
    "safe.bareRepository=explicit",
];

/// The git of this machine.
#[derive(Debug, Clone)]
pub struct Git {
    program: PathBuf,
    /// Programs that a repository's configuration names for content, switched off by name.
    off: Vec<(OsString, OsString)>,
}

impl Git {
    /// The first one on the search path that the workspace does not bring itself.
    #[must_use]
    pub fn find(workspace: &Path) -> Option<Self> {
        let own = |folder: &PathBuf| folder.is_absolute() && !folder.starts_with(workspace);
        let program = env::search_path().into_iter().filter(own).map(|folder| folder.join("git"));
        Some(Self { program: program.into_iter().find(|git| git.is_file())?, off: Vec::new() })
    }

    /// The question whose answer [`Git::without_filters`] reads. It fails when there are none.
    pub const FILTERS: &[&str] = &["config", "--name-only", "-z", "--get-regexp", r"^filter\."];

    /// The same with the filters off that were answered to [`Git::FILTERS`].
    #[must_use]
    pub fn without_filters(mut self, answer: &[u8]) -> Self {
        for name in answer.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let off: &[u8] = if name.ends_with(b".required") { b"false" } else { b"" };
            self.off.push((OsString::from_vec(name.to_vec()), OsString::from_vec(off.to_vec())));
        }
        self
    }

    /// A question, asked in a directory.
    #[must_use]
    pub fn command(&self, folder: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--no-pager", "--no-optional-locks", "--literal-pathspecs"]);
        for setting in OFF {
            command.args(["-c", setting]);
        }
        command.args(args).current_dir(folder).env_clear();
        command.envs(env::kept(&["HOME", "XDG_CONFIG_HOME", "TMPDIR"]));
        command.envs([
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
        ]);
        command.env("GIT_CONFIG_COUNT", self.off.len().to_string());
        for (at, (name, value)) in self.off.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{at}"), name).env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}
