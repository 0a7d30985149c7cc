//! A home, a workspace and a scripted model for the real program, and what a run of it gave.
//!
//! A run has a time in which it must end; a run that does not is killed, and the test fails with what it said.

#![allow(dead_code, reason = "each flow uses a part of it")]

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

use super::{
    has_sandbox,
    mock::{Mock, Request, Step},
};

/// Longer than any run takes, also on a busy machine.
const LONGEST: Duration = Duration::from_secs(60);

/// The key of the mock's provider. Nothing that the program writes may hold it.
pub const KEY: &str = "sk-canary-5b1d0f7e2c";

pub struct World {
    _folder: tempfile::TempDir,
    pub root: PathBuf,
    pub home: PathBuf,
    pub workspace: PathBuf,
    pub mock: Mock,
}

/// What a run gave.
#[derive(Debug)]
pub struct Run {
    /// As a shell tells it: 128 and the signal, for a run that a signal ended.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A run that goes on.
pub struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    read: String,
    stderr: JoinHandle<String>,
}

impl World {
    /// A world whose model answers with these steps, and whose commands run in a sandbox, if there is one.
    pub async fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let world = Self::bare(steps).await;
        let mode = if has_sandbox() { "workspace-write" } else { "danger-full-access" };
        world.configure(&format!("sandbox = '{mode}'"));
        world
    }

    /// The same without a word about a sandbox.
    pub async fn bare(steps: impl IntoIterator<Item = Step>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let [home, workspace] = ["home", "workspace"].map(|name| root.join(name));
        for folder in [&home, &workspace, &root.join("user"), &root.join("tmp")] {
            fs::create_dir(folder).unwrap();
        }
        let mock = Mock::start(steps).await;
        let config = format!(
            "[providers.mock]\nbase_url = '{}'\nwire = 'responses'\nenv_key = 'MOCK_KEY'\n\n\
             [models.m]\nwindow = 200000\neffort = 'medium'\n",
            mock.base_url()
        );
        let world = Self { _folder: folder, root, home, workspace, mock };
        fs::write(world.config_file(), config).unwrap();
        world.configure("model = 'mock/m'");
        world
    }

    pub fn config_file(&self) -> PathBuf {
        self.home.join("config.toml")
    }

    /// Puts lines before the tables of the configuration.
    pub fn configure(&self, lines: &str) {
        let before = fs::read_to_string(self.config_file()).unwrap();
        fs::write(self.config_file(), format!("{lines}\n{before}")).unwrap();
    }

    /// Writes a file of the workspace; its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.workspace.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Makes a named pipe in the workspace.
    pub fn fifo(&self, name: &str) -> PathBuf {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let path = self.workspace.join(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
        path
    }

    /// The text of a file of the workspace; empty when there is none.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.workspace.join(name)).unwrap_or_default()
    }

    /// `agent ARGS…`, in the workspace, with nothing but its own environment.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.program(super::program());
        command.args(args);
        command
    }

    /// Any program, in the same place and with the same environment.
    pub fn program(&self, name: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(name);
        command
            .current_dir(&self.workspace)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.root.join("user"))
            .env("TMPDIR", self.root.join("tmp"))
            .env("AGENT_HOME", &self.home)
            .env("MOCK_KEY", KEY)
            .envs(std::env::var_os("DOCKER_HOST").map(|host| ("DOCKER_HOST", host)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// `agent ARGS…` to its end.
    pub async fn agent<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        Running::spawn(self.command(args)).end().await
    }

    /// `agent exec ARGS…` to its end.
    pub async fn exec(&self, args: &[&str]) -> Run {
        self.agent(["exec"].iter().chain(args)).await
    }

    /// `agent exec --json ARGS…` that goes on.
    pub fn start(&self, args: &[&str]) -> Running {
        Running::spawn(self.command(["exec", "--json"].iter().chain(args)))
    }

    /// The ids of all sessions, the oldest first.
    pub fn sessions(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.home.join("sessions")) else { return Vec::new() };
        let mut ids: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        ids.sort();
        ids
    }

    /// The id of the only session.
    pub fn session(&self) -> String {
        let ids = self.sessions();
        assert_eq!(ids.len(), 1, "{ids:?}");
        ids.into_iter().next().unwrap()
    }

    /// The facts in the log of the only session, without their sums.
    pub fn log(&self) -> Vec<Value> {
        facts(&fs::read_to_string(self.log_file()).unwrap())
    }

    pub fn log_file(&self) -> PathBuf {
        self.home.join("sessions").join(self.session()).join("log.jsonl")
    }

    /// What request number N (from 1) brought besides the opening: the conversation.
    pub fn sent(&self, number: usize) -> Vec<Value> {
        sent(&self.mock.requests()[number - 1])
    }

    /// The results in request number N (from 1), with the ids of their calls, in the order of the request.
    pub fn results(&self, number: usize) -> Vec<(String, Value)> {
        results(&self.sent(number))
    }

    /// The only result in request number N (from 1), as text.
    pub fn result(&self, number: usize) -> String {
        let results = self.results(number);
        assert_eq!(results.len(), 1, "{results:?}");
        results[0].1.as_str().unwrap_or_else(|| panic!("{results:?}")).to_owned()
    }
}

/// The facts of JSON lines, without sums.
pub fn facts(lines: &str) -> Vec<Value> {
    let fact = |line: &str| {
        let mut fact: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        fact.as_object_mut().unwrap().remove("sum");
        fact
    };
    lines.lines().map(fact).collect()
}

/// The conversation of a request: everything from the first message of the user that is the task.
pub fn sent(request: &Request) -> Vec<Value> {
    let items = request.body["input"].as_array().unwrap_or_else(|| panic!("{}", request.body));
    let opening = items.iter().take_while(|item| {
        let text = item["content"][0]["text"].as_str().unwrap_or_default();
        item["role"] == "developer" || item["role"] == "system" || text.starts_with('<')
    });
    items[opening.count()..].to_vec()
}

/// The results among items of a request.
pub fn results(items: &[Value]) -> Vec<(String, Value)> {
    let is_result = |item: &&Value| item["type"].as_str().is_some_and(|kind| kind.ends_with("call_output"));
    let found = items.iter().filter(is_result);
    found.map(|item| (item["call_id"].as_str().unwrap().to_owned(), item["output"].clone())).collect()
}

/// The last part of the text of a command's result: its output.
pub fn output(result: &str) -> &str {
    result.split_once("Output:\n").unwrap_or_else(|| panic!("{result}")).1
}

/// The number after `session ID`.
pub fn process(result: &str) -> u32 {
    let (_, rest) = result.split_once("session ID ").unwrap_or_else(|| panic!("{result}"));
    rest.lines().next().unwrap().parse().unwrap()
}

impl Run {
    /// The facts of a run with `--json`.
    pub fn facts(&self) -> Vec<Value> {
        facts(&self.stdout)
    }

    /// The facts of one type.
    pub fn of(&self, kind: &str) -> Vec<Value> {
        of(&self.facts(), kind)
    }

    /// The notes to the person.
    pub fn notes(&self) -> Vec<String> {
        self.of("noted").iter().map(|fact| fact["text"].as_str().unwrap().to_owned()).collect()
    }

    /// How the last turn ended.
    pub fn outcome(&self) -> Value {
        self.of("turn_finished").last().map_or(Value::Null, |fact| fact["outcome"].clone())
    }

    /// Everything that was printed, for assertions about what was not.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// The facts of one type.
pub fn of(facts: &[Value], kind: &str) -> Vec<Value> {
    facts.iter().filter(|fact| fact["type"] == kind).cloned().collect()
}

/// Facts as short words, for assertions on their order.
pub fn story(facts: &[Value]) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // Which states of the files were kept is a story of its own.
    let told = |fact: &&Value| !fact["type"].as_str().is_some_and(|kind| kind.starts_with("snapshot_"));
    facts
        .iter()
        .filter(told)
        .map(|fact| match fact["type"].as_str().unwrap() {
            "item_added" => {
                let item = &fact["item"];
                match item["type"].as_str().unwrap() {
                    "tool_call" | "tool_result" => format!("{} {}", word(&item["type"]), word(&item["call"])),
                    "user" => format!("user {}", word(&item["content"][0]["text"])),
                    "assistant" => format!("assistant {}", word(&item["text"])),
                    other => other.to_owned(),
                }
            }
            kind @ ("tool_started" | "call_allowed" | "call_refused" | "approval_requested") => {
                format!("{kind} {}", word(&fact["call"]))
            }
            kind @ ("turn_finished" | "response_finished") => {
                format!("{kind} {}", word(&fact["outcome"]["type"]))
            }
            other => other.to_owned(),
        })
        .collect()
}

impl Running {
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let stderr = tokio::spawn(async move {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).await.unwrap();
            String::from_utf8(bytes).unwrap()
        });
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, stdout, read: String::new(), stderr }
    }

    pub fn pid(&self) -> i32 {
        self.child.id().unwrap().cast_signed()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    /// Reads on until a fact holds what is wanted; that fact.
    pub async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let reading = async {
            loop {
                let mut line = String::new();
                let stdout = self.stdout.as_mut().expect("standard output is still read");
                let bytes = stdout.read_line(&mut line).await.unwrap();
                assert!(bytes > 0, "it ended without that fact; there were: {}", self.read);
                self.read.push_str(&line);
                let fact = serde_json::from_str(&line).unwrap();
                if wanted(&fact) {
                    return fact;
                }
            }
        };
        timeout(LONGEST, reading).await.expect("the fact comes in time")
    }

    /// Closes our end of its standard output.
    pub fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Writes all of its standard input, and closes it.
    pub async fn type_in(&mut self, text: &str) {
        let mut stdin = self.child.stdin.take().expect("standard input is a pipe");
        stdin.write_all(text.as_bytes()).await.unwrap();
    }

    pub async fn end(mut self) -> Run {
        let ending = async {
            if let Some(stdout) = &mut self.stdout {
                let mut bytes = Vec::new();
                stdout.read_to_end(&mut bytes).await.unwrap();
                self.read += &String::from_utf8(bytes).unwrap();
            }
            self.child.wait().await.unwrap()
        };
        let status = timeout(LONGEST, ending).await;
        if status.is_err() {
            let _ = self.child.start_kill();
        }
        let stderr = (&mut self.stderr).await.unwrap();
        let Ok(status) = status else {
            panic!("the run did not end\nstdout: {}\nstderr: {stderr}", self.read)
        };
        Run { code: code(status), stdout: self.read, stderr }
    }
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap()
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.symlink_metadata().unwrap() {
            meta if meta.is_dir() => found.extend(files(&path)),
            meta if meta.is_file() => found.push(path),
            _ => {}
        }
    }
    found
}

/// A call of `exec_command` with only a command.
pub fn shell(cmd: &str) -> Value {
    super::mock::call("exec_command", json!({ "cmd": cmd }))
}
