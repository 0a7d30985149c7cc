//! A workspace, a home and the program's own places, in a directory that goes with the test.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{sandbox::missing::without_namespaces, support::program};

/// Where something runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// In the sandbox, with further arguments of `agent sandbox`.
    Inside(Vec<String>),
    /// The same on a machine without namespaces.
    Alone,
    /// Without any.
    Outside,
    /// Without any, in namespaces that end with it.
    ThrownAway,
}

pub struct Bare {
    _directory: tempfile::TempDir,
    pub root: PathBuf,
    pub workspace: PathBuf,
    pub home: PathBuf,
    /// The program's own settings and data.
    pub own: PathBuf,
}

impl Bare {
    pub fn new() -> Self {
        // Not in /tmp, of which the sandbox shows nothing: homes and the tools in them are shown in part.
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let root = directory.path().canonicalize().unwrap();
        let [workspace, home, own] = ["work", "home", "own"].map(|name| root.join(name));
        for path in [&workspace, &home, &own] {
            fs::create_dir(path).unwrap();
        }
        Self { _directory: directory, root, workspace, home, own }
    }

    /// One commit. What the tests put into the workspace is not git's.
    pub fn make_repository(&self) {
        let made = self.host(
            &self.workspace,
            "git init -q -b main . && git config user.name me && git config user.email me@example.org && \
             echo one > file && printf '/attack\\n/.attacks\\n/in\\n' > .git/info/exclude && git add file && \
             git commit -q -m one",
            &[],
        );
        assert!(made.0, "no repository: {}", made.1);
    }

    /// A program, to be started in the workspace.
    pub fn command(&self, place: &Where, words: &[&str]) -> Command {
        let (program, before): (PathBuf, Vec<String>) = match place {
            Where::Inside(arguments) => {
                let mut before = vec!["sandbox".to_owned()];
                before.extend(arguments.iter().cloned());
                before.push("--".into());
                (program(), before)
            }
            Where::Alone => (program(), ["sandbox", "--"].map(str::to_owned).into()),
            Where::Outside => ("env".into(), Vec::new()),
            Where::ThrownAway => {
                let namespaces = ["--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc"];
                ("unshare".into(), namespaces.map(str::to_owned).to_vec())
            }
        };
        let mut command = Command::new(program);
        command.args(before).args(words).current_dir(&self.workspace);
        self.surround(&mut command);
        if *place == Where::Alone {
            without_namespaces(&mut command);
        }
        command
    }

    /// This program with any arguments, in the workspace.
    pub fn agent(&self, place: &Where, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).current_dir(&self.workspace);
        self.surround(&mut command);
        if *place == Where::Alone {
            without_namespaces(&mut command);
        }
        command
    }

    /// A script on the host. Whether it succeeded, and what it said.
    pub fn host(&self, directory: &Path, script: &str, vars: &[(String, String)]) -> (bool, String) {
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", "20", "bash", "-c", script]).current_dir(directory);
        self.surround(&mut command);
        let output = command
            .env("AGENT", program())
            .envs(vars.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.success(), said.concat())
    }

    fn surround(&self, command: &mut Command) {
        let path = std::env::var_os("PATH").unwrap();
        command
            .env_clear()
            .envs([("PATH", path.as_os_str()), ("LC_ALL", OsStr::new("C.UTF-8"))])
            .envs([("HOME", &self.home), ("AGENT_HOME", &self.own)])
            .env("SHELL", "/bin/sh")
            .envs(std::env::var_os("DOCKER_HOST").map(|host| ("DOCKER_HOST", host)))
            .stdin(Stdio::null());
        // Tools of whoever runs the tests lie in another home.
        for (name, place) in [("RUSTUP_HOME", ".rustup"), ("CARGO_HOME", ".cargo"), ("PYENV_ROOT", ".pyenv")]
        {
            let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
            let place = std::env::var_os(name).map_or_else(|| home.join(place), PathBuf::from);
            if place.exists() {
                command.env(name, place);
            }
        }
    }
}
