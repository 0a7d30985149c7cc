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
        let (folder, home, workspace) = Self::places(answers);
        Self::start(folder, home, workspace, &[])
    }

    /// A home with a model that gives these answers, and a workspace.
    fn places(answers: &[Value]) -> (tempfile::TempDir, PathBuf, PathBuf) {
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
        (folder, home, workspace)
    }

    fn start(folder: tempfile::TempDir, home: PathBuf, workspace: PathBuf, args: &[&str]) -> Self {
        Self::start_on("xterm-256color", folder, home, workspace, args)
    }

    fn start_on(
        term: &str,
        folder: tempfile::TempDir,
        home: PathBuf,
        workspace: PathBuf,
        args: &[&str],
    ) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_agent"));
        command.args(args);
        command.cwd(&workspace);
        command.env_clear();
        for (name, value) in [("PATH", std::env::var("PATH").unwrap()), ("TERM", term.into())] {
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
fn a_simple_terminal_gets_plain_lines_and_no_escape_at_all() {
    if !has_sandbox() {
        return;
    }
    let escalated = json!({"cmd": "echo line >> ../outside", "sandbox_permissions": "require_escalated",
                           "justification": "May I write outside?"});
    let answers = [
        json!([
            say("I **look**, [here](https://example.com/x)."),
            call("c1", &json!({"cmd": "printf '\\033[31mred\\007\\n'"}))
        ]),
        call("c2", &escalated),
        say("All is written."),
    ];
    let (folder, home, workspace) = Screen::places(&answers);
    let mut screen = Screen::start_on("dumb", folder, home, workspace, &[]);
    screen.shows("> ");
    screen.say("go");
    screen.shows("? ");
    screen.say("sure");
    screen.shows("answer with one letter");
    let deadline = Instant::now() + PATIENCE;
    while !screen.log().contains("call_allowed\",\"call\":\"c2") {
        assert!(Instant::now() < deadline, "not taken:\n{}", screen.terminal.screen().contents());
        screen.say("y");
        screen.look(Duration::from_millis(200));
    }
    screen.shows("Worked for");
    screen.press("\x04");
    screen.shows("To go on with this session: agent resume");
    assert!(screen.child.wait().unwrap().success());
    let all = String::from_utf8_lossy(&screen.raw).into_owned();
    assert!(!all.contains('\x1b') && !all.contains('\x07'), "{all:?}");
    for line in ["[runs: printf", "• I look, here (https://example.com/x).", "• All is written."] {
        assert_eq!(all.matches(line).count(), 1, "{line}\n{all}");
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
fn a_yes_for_the_project_is_kept_there_and_asked_for_elsewhere() {
    if !has_sandbox() {
        return;
    }
    let touch = json!({"cmd": "touch ../made", "sandbox_permissions": "require_escalated",
                       "justification": "May I?", "prefix_rule": ["touch", "../made"]});
    let mut screen = Screen::new(&[call("c1", &touch), say("it is there")]);
    screen.shows("›");
    screen.say("go");
    screen.shows("always in ~/workspace (kept in ~/home/config.toml)");
    let deadline = Instant::now() + PATIENCE;
    while !screen.log().contains("call_allowed") {
        assert!(Instant::now() < deadline, "{}", screen.terminal.screen().contents());
        screen.press("p");
        screen.look(Duration::from_millis(50));
    }
    screen.shows("it is there");
    let kept = fs::read_to_string(screen.home.join("config.toml")).unwrap();
    let rule = format!(
        "[projects.\"{}\"]\nallow = [\n    {{ command = [\"touch\", \"../made\"] }},\n]\n",
        screen.workspace.display()
    );
    assert!(kept.starts_with("model = 'demo/scripted'\n") && kept.ends_with(&rule), "{kept}");
    let Screen { _folder, home, workspace, .. } = screen;

    // The next session, in a directory of the project.
    let mut screen = Screen::start(_folder, home, workspace, &["go"]);
    screen.shows("Allowed by a rule (always in this project)");
    screen.shows("it is there");
    let Screen { _folder, home, workspace, .. } = screen;

    let elsewhere = workspace.with_file_name("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let project = workspace;
    let mut screen = Screen::start(_folder, home, elsewhere, &["go"]);
    screen.shows("Run this command outside the sandbox?");
    let Screen { _folder, home, .. } = screen;

    // Taken back without a session, it is asked for again.
    let mut screen = Screen::start(_folder, home, project, &[]);
    screen.shows("›");
    screen.say("/permissions");
    screen.shows("Rule: commands that begin with `touch ../made`");
    screen.press("\x1b[F");
    screen.shows("d revokes the rule");
    screen.press("d");
    screen.until("the rule is gone", |screen| !screen.contents().contains("Rule:"));
    screen.press("\x1b");
    screen.until("the view is gone", |screen| !screen.contents().contains("What may happen"));
    screen.say("go");
    screen.shows("Run this command outside the sandbox?");
    assert_eq!(
        fs::read_to_string(screen.home.join("config.toml")).unwrap(),
        kept.replace(&format!("\n{rule}"), "")
    );
}
