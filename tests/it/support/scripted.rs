//! The real program with a model that answers from a script, and what stays of it: its log, its processes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use agent::{
    protocol::Event,
    store::{Log, LogError},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// No run takes longer, also on a busy machine.
const LONGEST: Duration = Duration::from_secs(60);

/// How long anything may stay of a process that was killed.
const GONE: Duration = Duration::from_secs(3);

/// A home with a script, and a workspace.
pub struct Scripted {
    _folder: Option<tempfile::TempDir>,
    pub root: PathBuf,
    pub home: PathBuf,
    pub workspace: PathBuf,
}

/// What a run gave.
#[derive(Debug)]
pub struct Ran {
    /// Missing when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Scripted {
    /// A world whose model gives these answers (and delays), one a line.
    pub fn new(answers: &[Value], sandbox: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let home = root.join("home");
        fs::create_dir(&home).unwrap();
        Self { _folder: Some(folder), ..Self::at(root, home, answers, sandbox) }
    }

    /// The same with a home that is there.
    pub fn at(root: PathBuf, home: PathBuf, answers: &[Value], sandbox: &str) -> Self {
        let workspace = root.join("workspace");
        for folder in [&workspace, &root.join("user")] {
            fs::create_dir(folder).unwrap();
        }
        let script = root.join("script.jsonl");
        fs::write(&script, answers.iter().map(|answer| format!("{answer}\n")).collect::<String>()).unwrap();
        let config = format!(
            "model = 'play/m'\nsandbox = '{sandbox}'\n[providers.play]\nwire = 'replay'\nscript = '{}'\n",
            script.display()
        );
        fs::write(home.join("config.toml"), config).unwrap();
        Self { _folder: None, root, home, workspace }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
        command
            .args(args)
            .env("AGENT_HOME", &self.home)
            .env("HOME", self.root.join("user"))
            .current_dir(&self.workspace)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        ended(self.command(args).spawn().unwrap())
    }

    /// Starts a run that nobody reads.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The only session, if there is one.
    pub fn session(&self) -> Option<String> {
        let entries = fs::read_dir(self.home.join("sessions")).ok()?;
        let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let name = names.next()?;
        assert_eq!(names.next(), None, "there is more than one session");
        Some(name)
    }

    /// The log of the only session.
    pub fn log(&self) -> Option<PathBuf> {
        Some(self.home.join("sessions").join(self.session()?).join("log.jsonl"))
    }

    /// The facts of the only session.
    pub fn events(&self) -> Vec<Event> {
        self.log()
            .filter(|log| log.exists())
            .map(|log| agent::store::read_events(&log).unwrap())
            .unwrap_or_default()
    }

    /// Whole lines of the log.
    pub fn lines(&self) -> usize {
        let bytes = self.log().and_then(|log| fs::read(log).ok()).unwrap_or_default();
        bytes.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Processes that belong to this world: its path is in their arguments or their environment.
    pub fn processes(&self) -> Vec<String> {
        let marker = self.root.file_name().unwrap().as_encoded_bytes();
        marked(marker)
    }

    /// Fails when a process of this world stays for longer than it may.
    pub fn assert_no_process(&self, when: &str) {
        let since = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            assert!(since.elapsed() < GONE, "{when}: {} processes are left: {left:#?}", left.len());
            // Nobody is told of the end of processes that are not known by number; a look costs a walk over /proc.
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Opens a log that this test has closed a moment ago. A process that another test is starting just then holds the
/// lock until it runs its program.
pub fn open_log(path: &Path) -> Result<(Log, Vec<Event>), LogError> {
    let since = Instant::now();
    loop {
        match Log::open(path) {
            Err(LogError::Locked) if since.elapsed() < GONE => thread::sleep(Duration::from_micros(100)),
            opened => return opened,
        }
    }
}

/// A call of `exec_command`.
pub fn exec(call: &str, args: &Value) -> Value {
    json!({ "type": "tool_call", "call": call, "tool": "exec_command", "args": { "json": args.to_string() } })
}

/// A call of `apply_patch`.
pub fn patch(call: &str, body: &str) -> Value {
    let text = format!("*** Begin Patch\n{body}*** End Patch\n");
    json!({ "type": "tool_call", "call": call, "tool": "apply_patch", "args": { "text": text } })
}

pub fn says(text: &str) -> Value {
    json!({ "type": "assistant", "text": text })
}

pub fn delay(ms: u64) -> Value {
    json!({ "delay_ms": ms })
}

/// Waits for the end of a run.
pub fn ended(child: Child) -> Ran {
    let pid = pid(&child);
    let (told, end) = std::sync::mpsc::channel();
    let reader = thread::spawn(move || {
        let output = child.wait_with_output();
        // Nobody waits any more when it took too long.
        let _ = told.send(());
        output
    });
    if end.recv_timeout(LONGEST).is_err() {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("a run did not end: {:?}", reader.join().unwrap());
    }
    let output = reader.join().unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Sends a signal when `now` says so; false when the run ended before. The run has ended afterwards.
pub fn signal_when(child: &mut Child, signal: Signal, mut now: impl FnMut() -> bool) -> bool {
    let since = Instant::now();
    while !now() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(since.elapsed() < LONGEST, "the moment did not come");
        // A moment is what a file holds just then, looked at more often than a fact takes to be written.
        thread::sleep(Duration::from_micros(300));
    }
    let alive = child.try_wait().unwrap().is_none();
    if alive {
        kill_process(pid(child), signal).unwrap();
    }
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if since.elapsed() > LONGEST {
            child.kill().unwrap();
            panic!("{signal:?} did not end it");
        }
        thread::sleep(Duration::from_micros(300));
    }
    alive
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Live processes that have these bytes in their arguments or their environment.
fn marked(marker: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let read = |file: &str| -> io::Result<Vec<u8>> { fs::read(entry.path().join(file)) };
        let arguments = read("cmdline").unwrap_or_default();
        let environment = read("environ").unwrap_or_default();
        if holds(&arguments, marker) || holds(&environment, marker) {
            let line = String::from_utf8_lossy(&arguments).replace('\0', " ");
            found.push(format!("{} {line}", Path::new(&name).display()));
        }
    }
    found
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
