//! The real program on a real terminal, as a person uses it: few flows, looked at through a terminal model.

use std::{
    fs,
    io::{Read as _, Write},
    num::NonZeroU16,
    path::PathBuf,
    sync::mpsc,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use serde_json::{Value, json};

use crate::support::has_sandbox;

/// How long is waited for something that must come.
const PATIENCE: Duration = Duration::from_secs(20);

struct Screen {
    _folder: tempfile::TempDir,
    home: PathBuf,
    workspace: PathBuf,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    bytes: mpsc::Receiver<Vec<u8>>,
    terminal: vt100::Parser,
    /// Everything that the program wrote.
    raw: Vec<u8>,
}

impl Screen {
    /// The program, with a model that gives these answers.
    fn new(answers: &[Value]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let [home, workspace] = ["home", "workspace"].map(|name| root.join(name));
        fs::create_dir(&home).unwrap();
        fs::create_dir(&workspace).unwrap();
        let script: String = answers.iter().map(|answer| format!("{answer}\n")).collect();
        fs::write(home.join("script.jsonl"), script).unwrap();
        let config = format!(
            "model = 'demo/scripted'\n[providers.demo]\nwire = 'replay'\nscript = '{}'\n",
            home.join("script.jsonl").display()
        );
        fs::write(home.join("config.toml"), config).unwrap();
        Self::start(folder, home, workspace, &[])
    }

    fn start(folder: tempfile::TempDir, home: PathBuf, workspace: PathBuf, args: &[&str]) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_agent"));
        command.args(args);
        command.cwd(&workspace);
        command.env_clear();
        for (name, value) in [("PATH", std::env::var("PATH").unwrap()), ("TERM", "xterm-256color".into())] {
            command.env(name, value);
        }
        command.env("HOME", folder.path());
        command.env("AGENT_HOME", &home);
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (told, bytes) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(size) = reader.read(&mut buffer) {
                if size == 0 || told.send(buffer[..size].to_vec()).is_err() {
                    break;
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        let terminal = vt100::Parser::new(rows(24), rows(80), 10_000);
        Self {
            _folder: folder,
            home,
            workspace,
            master: pair.master,
            keys,
            child,
            bytes,
            terminal,
            raw: vec![],
        }
    }

    /// Waits until the screen shows a text.
    fn shows(&mut self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    fn until(&mut self, what: &str, holds: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self.terminal.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => {
                    self.answer(&bytes);
                    self.raw.extend_from_slice(&bytes);
                    self.terminal.process(&bytes);
                }
                Err(_) => panic!("not on the screen: {what}\n{}", self.terminal.screen().contents()),
            }
        }
    }

    /// Takes in what comes within a time.
    fn look(&mut self, time: Duration) {
        while let Ok(bytes) = self.bytes.recv_timeout(time) {
            self.raw.extend_from_slice(&bytes);
            self.terminal.process(&bytes);
        }
    }

    /// What a terminal answers to the question that is asked at the start.
    fn answer(&mut self, bytes: &[u8]) {
        if bytes.windows(3).any(|window| window == b"\x1b[c") {
            self.press("\x1b[?62;c");
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Types a line as a person does: the line end comes when the line is seen.
    fn say(&mut self, text: &str) {
        self.press(text);
        self.shows(text);
        self.press("\r");
    }

    /// All rows, those that were scrolled out first.
    fn everything(&mut self) -> String {
        self.terminal.screen_mut().set_scrollback(usize::MAX);
        let above = self.terminal.screen().scrollback();
        let mut rows = Vec::new();
        for offset in (1..=above).rev() {
            self.terminal.screen_mut().set_scrollback(offset);
            rows.extend(self.terminal.screen().rows(0, 200).next());
        }
        self.terminal.screen_mut().set_scrollback(0);
        rows.extend(self.terminal.screen().rows(0, 200));
        rows.join("\n")
    }

    fn log(&self) -> String {
        let session = fs::read_dir(self.home.join("sessions")).unwrap().next().unwrap().unwrap();
        fs::read_to_string(session.path().join("log.jsonl")).unwrap()
    }

    fn leave(mut self) -> String {
        self.press("\x04");
        self.shows("To go on with this session: agent resume");
        assert!(self.child.wait().unwrap().success());
        self.everything()
    }
}

fn rows(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

fn say(text: &str) -> Value {
    json!({"type": "assistant", "text": text})
}

fn call(id: &str, args: &Value) -> Value {
    json!({"type": "tool_call", "call": id, "tool": "exec_command", "args": {"json": args.to_string()}})
}

#[test]
fn a_conversation_stands_in_the_scrollback_once() {
    if !has_sandbox() {
        return;
    }
    let long: String = (0..60).map(|n| format!("Line number {n}.\n\n")).collect();
    let mut screen = Screen::new(&[
        json!([say("I look."), call("c1", &json!({"cmd": "echo out; printf '\\033]52;c;eA==\\007'"}))]),
        say(&long),
    ]);
    screen.shows("›");
    screen.say("do it");
    screen.shows("Line number 59.");
    screen.shows("Worked for");
    screen.master.resize(PtySize { rows: 20, cols: 60, pixel_width: 0, pixel_height: 0 }).unwrap();
    screen.terminal.screen_mut().set_size(rows(20), rows(60));
    let raw = String::from_utf8_lossy(&screen.raw).into_owned();
    let all = screen.leave();
    for n in 0..60 {
        let line = format!("Line number {n}.");
        assert_eq!(all.matches(&line).count(), 1, "{line}\n{all}");
    }
    assert_eq!(all.matches("› do it").count(), 1, "{all}");
    for forbidden in ["\x1b[2J", "\x1b[3J", "\x1b[?1049h", "\x1b]52"] {
        assert!(!raw.contains(forbidden), "{forbidden:?} was written");
    }
}

#[test]
fn an_approval_is_answered_with_a_key_and_survives_a_kill() {
    if !has_sandbox() {
        return;
    }
    let escalated = json!({"cmd": "echo line >> ../outside", "sandbox_permissions": "require_escalated",
                           "justification": "May I write outside?"});
    let mut screen = Screen::new(&[call("c1", &escalated), say("written")]);
    screen.shows("›");
    screen.say("go");
    screen.shows("Run this command outside the sandbox?");
    screen.shows("yes, this once");
    screen.child.kill().unwrap();
    screen.child.wait().unwrap();
    assert!(screen.log().contains("approval_requested") && !screen.log().contains("call_allowed"));

    let Screen { _folder, home, workspace, .. } = screen;
    let mut screen = Screen::start(_folder, home, workspace, &["resume", "--last"]);
    screen.shows("yes, this once");
    // Keys that come as the question appears mean nothing: it is pressed until it counts.
    let deadline = Instant::now() + PATIENCE;
    while !screen.log().contains("call_allowed") {
        assert!(
            Instant::now() < deadline,
            "the approval was not taken:\n{}",
            screen.terminal.screen().contents()
        );
        screen.press("y");
        screen.look(Duration::from_millis(50));
    }
    screen.shows("written");
    assert_eq!(fs::read_to_string(screen.workspace.join("../outside")).unwrap(), "line\n");
}

#[test]
fn a_running_command_is_interrupted_and_the_session_goes_on() {
    if !has_sandbox() {
        return;
    }
    let mut screen =
        Screen::new(&[call("c1", &json!({"cmd": "echo begun; exec sleep 600"})), say("second answer")]);
    screen.shows("›");
    screen.say("go");
    screen.shows("begun");
    screen.press("\x1b");
    screen.shows("Interrupted");
    screen.say("and now");
    screen.shows("second answer");
    let log = screen.log();
    assert_eq!(log.matches("\"tool_result\"").count(), 1, "{log}");
    screen.leave();
}

#[test]
fn a_person_types_into_a_process_ends_it_and_the_model_is_told() {
    if !has_sandbox() {
        return;
    }
    let command =
        json!({"cmd": "read line; echo got $line; exec sleep 600", "tty": true, "yield_time_ms": 250});
    let mut screen = Screen::new(&[call("c1", &command), say("it waits for you"), say("I see")]);
    screen.shows("›");
    screen.say("go");
    screen.shows("it waits for you");
    screen.say("/ps");
    screen.shows("Processes: 1 running, 0 ended");
    screen.press("\r");
    screen.shows("Esc back");
    screen.say("swordfish");
    screen.shows("got swordfish");
    screen.press("\x1b");
    screen.shows("Processes: 1 running");
    screen.press("k");
    screen.shows("y yes");
    screen.press("y");
    screen.shows("Processes: 0 running, 1 ended");
    screen.press("q");
    screen.say("what happened?");
    screen.shows("I see");
    let log = screen.log();
    let notices: Vec<&str> = log.lines().filter(|line| line.contains("\"notice\"")).collect();
    let told = ["The user typed into session ID ", "The user ended session ID "];
    assert_eq!(notices.len(), 2, "{log}");
    assert!(notices.iter().zip(told).all(|(notice, told)| notice.contains(told)), "{notices:?}");
    let asked = log.find("what happened?").unwrap();
    assert!(log.find(told[1]).unwrap() < asked, "{log}");
    assert!(!log.contains("swordfish"), "what is typed may be a password: {log}");
    screen.say("/export");
    screen.shows("written to ");
    let written = fs::read_dir(&screen.workspace).unwrap().map(|entry| entry.unwrap().path());
    let written: Vec<PathBuf> =
        written.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    let text = fs::read_to_string(&written[0]).unwrap();
    assert!(text.contains("## You\n\nwhat happened?\n\nI see\n"), "{text}");
    screen.leave();
}
