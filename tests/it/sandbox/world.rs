//! A workspace, something outside of it to be hurt, and ways to run commands.

use std::{
    ffi::OsString,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use agent::{
    protocol::SandboxMode,
    sandbox::{CommandLine, Settings, SharedSandbox, env, outside, pick},
};

use super::refused::{NOTICE, over_bubblewrap};
use crate::support::{program, skip};

/// A marker that nobody inside may find anywhere.
pub const CANARY: &str = "canary-7f3a91";

pub struct World {
    _directory: tempfile::TempDir,
    pub settings: Settings,
    pub sandbox: SharedSandbox,
}

/// What a command gave.
#[derive(Debug)]
pub struct Gave {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl World {
    /// Nothing where no sandbox can be had; that is said.
    pub fn new(mode: SandboxMode) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for name in ["workspace", "outside", "workspace/.git"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        std::fs::write(root.join("outside/secret"), CANARY).unwrap();
        std::fs::write(root.join("outside/victim"), "whole").unwrap();
        std::fs::write(root.join("workspace/.git/config"), "whole").unwrap();
        Self::at(directory, settings(&root, mode))
    }

    /// In a directory that is made already.
    pub fn at(directory: tempfile::TempDir, settings: Settings) -> Option<Self> {
        match pick(settings.clone()) {
            Ok(sandbox) => Some(Self { _directory: directory, settings, sandbox }),
            Err(error) => {
                skip(&format!("no sandbox on this machine: {error}"));
                None
            }
        }
    }

    pub fn outside(&self) -> PathBuf {
        self.settings.workspace.with_file_name("outside")
    }

    /// Runs a script for bash in the sandbox, to its end.
    pub fn run(&self, script: &str) -> Gave {
        block_on(self.sandbox.refresh()).unwrap();
        gave(self.spawn(&self.sandbox, script))
    }

    /// Runs it without a sandbox.
    pub fn run_outside(&self, script: &str) -> Gave {
        gave(self.spawn(&outside(program()), script))
    }

    /// What is said of what commands changed: the beginning of each sentence.
    pub fn published(&self) -> Vec<String> {
        let published = self.publish();
        let begun = |warning: String| warning.split(',').next().unwrap_or_default().to_owned();
        published.into_iter().map(begun).collect()
    }

    /// Has what commands changed brought out, and gives what is said of it. Which way the sandbox is comes first in a
    /// session, and is not of that.
    pub fn publish(&self) -> Vec<String> {
        let mut said = block_on(self.sandbox.publish()).warnings;
        said.retain(|said| !over_bubblewrap() || !said.starts_with(NOTICE));
        said
    }

    /// Starts a script in the sandbox.
    pub fn start(&self, script: &str) -> Child {
        self.spawn(&self.sandbox, script)
    }

    pub fn spawn(&self, sandbox: &SharedSandbox, script: &str) -> Child {
        spawn(&sandbox.wrap(self.script(script, false)).unwrap())
    }

    pub fn script(&self, script: &str, tty: bool) -> CommandLine {
        let mut env = env::for_commands(self.settings.mode);
        env.push(("OUTSIDE".into(), self.outside().into_os_string()));
        CommandLine {
            program: "bash".into(),
            args: ["-c", script].map(OsString::from).into(),
            env,
            cwd: self.settings.workspace.clone(),
            tty,
        }
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub fn settings(root: &Path, mode: SandboxMode) -> Settings {
    Settings {
        mode,
        workspace: root.join("workspace"),
        writable: Vec::new(),
        reveal: Vec::new(),
        disk: agent::sandbox::DISK,
        scratch: root.join("scratch"),
        own: Vec::new(),
        shown: vec![root.join("shown")],
        helper: program(),
        program: program(),
    }
}

pub fn spawn(line: &CommandLine) -> Child {
    Command::new(&line.program)
        .args(&line.args)
        .env_clear()
        .envs(line.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&line.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads everything, then waits.
pub fn gave(mut child: Child) -> Gave {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        stderr.read_to_end(&mut err).unwrap();
        err
    });
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    let err = reader.join().unwrap();
    Gave {
        code: child.wait().unwrap().code(),
        out: String::from_utf8_lossy(&out).into_owned(),
        err: String::from_utf8_lossy(&err).into_owned(),
    }
}

/// Waits until `fact` holds; false when it has not for long.
pub fn becomes_true(fact: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if fact() {
            return true;
        }
        // A look may cost a walk over /proc, and what is looked for wants the processor as well.
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

/// Host processes that have `marker` among their arguments.
pub fn running(marker: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let is = line.split(|byte| *byte == 0).any(|arg| arg == marker.as_bytes());
        let dead = std::fs::read_to_string(entry.path().join("stat"))
            .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')));
        if is && !dead {
            found.push(pid);
        }
    }
    found
}

/// A number of seconds for `sleep` that no other test sleeps.
pub fn marker() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{}{next:03}", 10_000_000 + std::process::id())
}
