//! A terminal with the program in it, looked at and typed into by a test.

use std::{
    fs,
    io::{Read as _, Write},
    num::NonZeroU16,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::mpsc,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::vocabulary;

/// How long is waited for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A home and a workspace.
pub struct Place {
    _folder: tempfile::TempDir,
    pub root: PathBuf,
    pub home: PathBuf,
    pub workspace: PathBuf,
    /// Further variables, which go before the usual ones.
    pub set: Vec<(&'static str, String)>,
}

impl Place {
    /// A place whose model gives these answers.
    pub fn new(answers: &[Value]) -> Self {
        let place = Self::empty();
        let script: String = answers.iter().map(|answer| format!("{answer}\n")).collect();
        fs::write(place.home.join("script.jsonl"), script).unwrap();
        let script = place.home.join("script.jsonl");
        place.configure(&format!(
            "model = 'demo/scripted'\n[providers.demo]\nwire = 'replay'\nscript = '{}'\n",
            script.display()
        ));
        place
    }

    /// A place whose model is at an address.
    pub fn served(base_url: &str) -> Self {
        let place = Self::empty();
        place.configure(&format!(
            "model = 'mock/m'\n[providers.mock]\nbase_url = '{base_url}'\nwire = 'responses'\n\
             env_key = 'MOCK_KEY'\n[models.m]\nwindow = 200000\n"
        ));
        place
    }

    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let [home, workspace] = ["home", "workspace"].map(|name| root.join(name));
        fs::create_dir(&home).unwrap();
        fs::create_dir(&workspace).unwrap();
        Self { _folder: folder, root, home, workspace, set: Vec::new() }
    }

    fn configure(&self, text: &str) {
        fs::write(self.home.join("config.toml"), text).unwrap();
    }

    /// The variables that the program sees.
    pub fn variables(&self) -> Vec<(String, String)> {
        let own = |path: &PathBuf| path.display().to_string();
        let usual = [
            ("PATH", std::env::var("PATH").unwrap()),
            ("TERM", "xterm-256color".to_owned()),
            ("HOME", own(&self.root)),
            ("AGENT_HOME", own(&self.home)),
            ("MOCK_KEY", "a-key".to_owned()),
        ];
        let all = usual.into_iter().chain(self.set.iter().cloned());
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Puts a script of the shell before all other programs of its name. It begins in the root of the place.
    pub fn program(&mut self, name: &str, script: &str) {
        let folder = self.root.join("bin");
        fs::create_dir_all(&folder).unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        if self.set.iter().all(|(name, _)| *name != "PATH") {
            self.set.push(("PATH", path));
        }
        let file = folder.join(name);
        fs::write(&file, format!("#!/bin/sh\ncd '{}' || exit 9\n{script}\n", self.root.display())).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A pipe with a name in the root: whoever reads it waits for somebody who writes.
    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.root.join(name);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        path
    }

    /// The log of the only session, as far as it is written.
    pub fn log(&self) -> String {
        let sessions = fs::read_dir(self.home.join("sessions")).into_iter().flatten();
        let logs = sessions.map(|session| session.unwrap().path().join("log.jsonl"));
        logs.map(|log| fs::read_to_string(log).unwrap_or_default()).collect()
    }
}

pub struct Screen {
    pub place: Place,
    pub master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    pub child: Box<dyn Child + Send + Sync>,
    bytes: mpsc::Receiver<(Instant, Vec<u8>)>,
    /// When each end of a synchronized update was read.
    frames: Vec<Instant>,
    pub terminal: vt100::Parser,
    /// Everything that the program wrote.
    pub raw: Vec<u8>,
    /// What it may write besides the vocabulary of the screen.
    pub asked_for: Vec<&'static str>,
}

impl Screen {
    /// The program at 80x24, with a model that gives these answers.
    pub fn new(answers: &[Value]) -> Self {
        Self::start(Place::new(answers), &[])
    }

    pub fn start(place: Place, args: &[&str]) -> Self {
        let mut program = vec![env!("CARGO_BIN_EXE_agent")];
        program.extend(args);
        Self::run(place, &program, 80, 24)
    }

    /// Any program in a terminal of any size.
    pub fn run(place: Place, program: &[&str], columns: u16, rows: u16) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program[0]);
        command.args(&program[1..]);
        command.cwd(&place.workspace);
        command.env_clear();
        for (name, value) in place.variables() {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (told, bytes) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(size) = reader.read(&mut buffer) {
                if size == 0 || told.send((Instant::now(), buffer[..size].to_vec())).is_err() {
                    break;
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        let terminal = vt100::Parser::new(some(rows), some(columns), 10_000);
        Self {
            place,
            master: pair.master,
            keys,
            child,
            bytes,
            frames: vec![],
            terminal,
            raw: vec![],
            asked_for: vec![],
        }
    }

    /// Waits until the screen shows a text.
    pub fn shows(&mut self, text: &str) {
        self.until(text, |screen| screen.terminal.screen().contents().contains(text));
    }

    pub fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            // What holds may be told by something else than the screen.
            match self.bytes.recv_timeout(Duration::from_millis(20)) {
                Ok(bytes) => self.take(bytes),
                Err(_) if Instant::now() < deadline => {}
                Err(_) => panic!("did not come: {what}\n{}", self.terminal.screen().contents()),
            }
        }
    }

    /// Takes in what comes until the program has ended and all is read.
    pub fn ended(&mut self) -> portable_pty::ExitStatus {
        self.until("the end", |screen| {
            let pid = screen.pid();
            let mut out = None;
            // Looked at without reaping it.
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
            if stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with('Z') || rest.is_empty()) {
                out = Some(());
            }
            out.is_some()
        });
        while let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(100)) {
            self.take(bytes);
        }
        self.child.wait().unwrap()
    }

    fn take(&mut self, (at, bytes): (Instant, Vec<u8>)) {
        // An update whose end is cut in two is not counted twice, and seldom missed.
        let ends = bytes.windows(8).filter(|window| window == b"\x1b[?2026l").count();
        self.frames.extend(std::iter::repeat_n(at, ends));
        self.raw.extend_from_slice(&bytes);
        self.terminal.process(&bytes);
        // What a terminal answers to the question that is asked at the start.
        if bytes.windows(3).any(|window| window == b"\x1b[c") {
            self.press("\x1b[?2026;2$y\x1b[?62;c");
        }
    }

    /// When each frame came.
    pub fn frames(&self) -> &[Instant] {
        &self.frames
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Types a line as a person does: the line end comes when the line is seen.
    pub fn say(&mut self, text: &str) {
        self.press(text);
        self.shows(text);
        self.press("\r");
    }

    /// Presses a key until something holds: keys that come as a question appears mean nothing.
    pub fn insist(&mut self, key: &str, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "did not come: {what}\n{}", self.terminal.screen().contents());
            self.press(key);
            // A question does not hear a key until there was none for a second.
            let again = Instant::now() + Duration::from_millis(1_200);
            while !holds(self) && Instant::now() < again {
                if let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(20)) {
                    self.take(bytes);
                }
            }
        }
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.master.resize(PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }).unwrap();
        self.terminal.screen_mut().set_size(some(rows), some(columns));
    }

    /// Closes the window.
    pub fn hang_up(&mut self) {
        let (_, nothing) = mpsc::channel();
        self.bytes = nothing;
        self.keys = Box::new(std::io::sink());
        self.master = native_pty_system().openpty(PtySize::default()).unwrap().master;
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.process_id().unwrap().cast_signed()).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// All rows, those that were scrolled out first.
    pub fn everything(&mut self) -> String {
        self.terminal.screen_mut().set_scrollback(usize::MAX);
        let above = self.terminal.screen().scrollback();
        let mut rows = Vec::new();
        for offset in (1..=above).rev() {
            self.terminal.screen_mut().set_scrollback(offset);
            rows.extend(self.terminal.screen().rows(0, 300).next());
        }
        self.terminal.screen_mut().set_scrollback(0);
        rows.extend(self.terminal.screen().rows(0, 300));
        rows.join("\n")
    }

    pub fn log(&self) -> String {
        self.place.log()
    }

    /// Whether the terminal takes lines and signals from keys, as it did before.
    pub fn cooked(&self) -> bool {
        let flags = self.master.get_termios().unwrap().local_flags.bits();
        let cooked = libc::ICANON | libc::ECHO | libc::ISIG;
        flags & cooked == cooked
    }

    /// Leaves as a person does; all rows.
    pub fn leave(mut self) -> String {
        self.press("\x04");
        self.shows("To go on with this session: agent resume");
        assert!(self.ended().success());
        assert!(self.cooked(), "the terminal is not as it was");
        self.everything()
    }

    /// Leaves before anything was said: there is no session to go on with.
    pub fn leave_unsaid(mut self) {
        self.press("\x04");
        assert!(self.ended().success());
        assert!(self.cooked(), "the terminal is not as it was");
    }

    /// The place, with the program gone in whatever way.
    pub fn give_place(mut self) -> Place {
        let _ = self.child.kill();
        let _ = self.child.wait();
        std::mem::replace(&mut self.place, Place::empty())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            return;
        }
        let raw = self
            .asked_for
            .iter()
            .fold(String::from_utf8_lossy(&self.raw).into_owned(), |raw, asked| raw.replace(asked, ""));
        let raw = if self.asked_for.is_empty() { &self.raw } else { raw.as_bytes() };
        if let Some(fault) = vocabulary::fault(raw) {
            panic!("the program wrote what no screen of ours writes, {fault}");
        }
    }
}

fn some(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}
