//! From the command to a prompt that takes a key: a new session, one of 50,000 facts, and a list of 10,000 sessions. The
//! real program in a real terminal; the log of a session alone as well.
//!
//! `cargo bench --bench resume -- 50000 10000` says how many facts and how many sessions.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may say so by panicking")]

mod figures;

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use agent::{
    protocol::{Event, Fact, SessionId, Time},
    session::Session,
    store::Log,
};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use figures::{median, report, timed};

const ROUNDS: usize = 7;
const AGENT: &str = env!("CARGO_BIN_EXE_agent");

struct Place {
    _folder: tempfile::TempDir,
    home: PathBuf,
    workspace: PathBuf,
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let (facts, sessions) = match numbers[..] {
        [facts, sessions] => (facts, sessions),
        _ => (50_000, 10_000),
    };
    let place = Place::new();
    let empty = median(ROUNDS, || place.prompt(&[]));
    report(&format!("a new session: {:.0} ms to a prompt that takes a key", empty * 1e3));

    let id = SessionId(uuid::Uuid::from_u128(1));
    let log = place.session(id, facts);
    let bytes = log.metadata().unwrap().len();
    let read = median(ROUNDS, || timed(|| Log::open(&log).unwrap()).0);
    let (_, events) = Log::open(&log).unwrap();
    let fold = median(ROUNDS, || timed(|| Session::replay(&events)).0);
    report(&format!(
        "{} facts, {:.1} MB: read and checked in {:.0} ms, folded in {:.0} ms",
        events.len(),
        bytes as f64 / 1e6,
        read * 1e3,
        fold * 1e3
    ));
    let resumed = median(ROUNDS, || place.prompt(&["resume", &id.to_string()]));
    report(&format!("resumed: {:.0} ms to a prompt that takes a key", resumed * 1e3));

    let short = place.session(SessionId(uuid::Uuid::from_u128(2)), 40);
    let text = fs::read(&short).unwrap();
    for number in 3..=sessions as u128 {
        let id = SessionId(uuid::Uuid::from_u128(number));
        let folder = place.home.join("sessions").join(id.to_string());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("log.jsonl"), &text).unwrap();
    }
    let list = || {
        timed(|| {
            let args = ["sessions", "list", "--all"];
            let run = place.command(&args).stdout(Stdio::piped()).output().unwrap();
            assert!(run.status.success(), "{run:?}");
            run.stdout.iter().filter(|byte| **byte == b'\n').count()
        })
    };
    let (first, lines) = list();
    assert!(lines >= sessions.saturating_sub(2), "{lines} lines");
    let again = median(ROUNDS, || list().0);
    report(&format!("list of {sessions}: {:.0} ms the first time, {:.0} ms again", first * 1e3, again * 1e3));
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let [home, workspace] = ["home", "workspace"].map(|name| root.join(name));
        fs::create_dir(&home).unwrap();
        fs::create_dir(&workspace).unwrap();
        fs::write(home.join("script.jsonl"), "").unwrap();
        let script = home.join("script.jsonl");
        let config = format!(
            "model = 'demo/scripted'\n[providers.demo]\nwire = 'replay'\nscript = '{}'\n",
            script.display()
        );
        fs::write(home.join("config.toml"), config).unwrap();
        Self { _folder: folder, home, workspace }
    }

    fn variables(&self) -> [(&'static str, String); 4] {
        let own = |path: &Path| path.display().to_string();
        [
            ("PATH", std::env::var("PATH").unwrap()),
            ("TERM", "xterm-256color".to_owned()),
            ("HOME", own(&self.home)),
            ("AGENT_HOME", own(&self.home)),
        ]
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(AGENT);
        command.args(args).current_dir(&self.workspace).env_clear().envs(self.variables());
        command
    }

    /// A session of turns with commands, as they are: a message, six commands with their outputs, an answer.
    fn session(&self, id: SessionId, facts: usize) -> PathBuf {
        let path = self.home.join("sessions").join(id.to_string()).join("log.jsonl");
        let mut log = Log::create(&path).unwrap();
        let fact = |text: String| -> Fact { serde_json::from_str(&text).unwrap() };
        let workspace = self.workspace.display();
        let mut all = vec![
            fact(format!(
                r#"{{"type":"session_started","session":"{id}","version":1,"agent":"0","workspace":"{workspace}"}}"#
            )),
            fact(r#"{"type":"configured","settings":{"model":"demo/scripted","approval":"on-request","sandbox":"workspace-write","backend":"local","limits":{"window":200000,"tool_output":10000}}}"#.to_owned()),
            fact(r#"{"type":"item_added","item":{"type":"context","context":"system","text":"You work."}}"#.to_owned()),
        ];
        let mut response = 0;
        for turn in 1.. {
            if all.len() >= facts {
                break;
            }
            all.push(fact(format!(r#"{{"type":"turn_started","turn":{turn}}}"#)));
            all.push(fact(format!(r#"{{"type":"item_added","item":{{"type":"user","content":[{{"type":"text","text":"Mend number {turn}, and say what it was."}}]}}}}"#)));
            for call in 0..=6 {
                response += 1;
                all.push(fact(format!(r#"{{"type":"response_started","response":{response}}}"#)));
                if call == 6 {
                    all.push(fact(format!(r#"{{"type":"item_added","item":{{"type":"assistant","text":"It was a **missing** check in `src/lib.rs`.\n\n- one\n- two {turn}"}}}}"#)));
                } else {
                    all.push(fact(format!(r#"{{"type":"item_added","item":{{"type":"tool_call","call":"c{response}","tool":"exec_command","args":{{"json":"{{\"cmd\":\"cargo test --lib part{call}\"}}"}}}}}}"#)));
                }
                all.push(fact(format!(r#"{{"type":"response_finished","response":{response},"outcome":{{"type":"completed"}},"usage":{{"input":18500,"output":20}}}}"#)));
                if call < 6 {
                    all.push(fact(format!(r#"{{"type":"call_allowed","call":"c{response}","by":{{"type":"policy"}},"intent":{{"type":"none"}}}}"#)));
                    all.push(fact(format!(r#"{{"type":"tool_started","call":"c{response}"}}"#)));
                    let output = format!("running part{call}\\ntest a::b ... ok\\n").repeat(8);
                    all.push(fact(format!(r#"{{"type":"item_added","item":{{"type":"tool_result","call":"c{response}","content":[{{"type":"text","text":"{output}"}}],"shown":{{"type":"text","text":"{output}"}}}}}}"#)));
                }
            }
            all.push(fact(format!(
                r#"{{"type":"turn_finished","turn":{turn},"outcome":{{"type":"done"}},"duration_ms":5}}"#
            )));
        }
        let _: Vec<Event> = log.append(all, Time::UNIX_EPOCH).unwrap();
        log.sync().unwrap();
        path
    }

    /// Seconds until a letter that was typed at the prompt is seen there.
    fn prompt(&self, args: &[&str]) -> f64 {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(AGENT);
        command.args(args);
        command.cwd(&self.workspace);
        command.env_clear();
        for (name, value) in self.variables() {
            command.env(name, value);
        }
        let began = Instant::now();
        let mut child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut keys = pair.master.take_writer().unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (told, bytes) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(size @ 1..) = reader.read(&mut buffer) {
                if told.send(buffer[..size].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mut screen = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
        let mut shows = |text: &str, keys: &mut dyn std::io::Write| {
            while !screen.screen().contents().contains(text) {
                let more = bytes.recv_timeout(Duration::from_secs(30));
                let more = more.unwrap_or_else(|_| panic!("{}", screen.screen().contents()));
                screen.process(&more);
                // What a terminal answers.
                if more.windows(3).any(|window| window == b"\x1b[c") {
                    keys.write_all(b"\x1b[?2026;2$y\x1b[?62;c").unwrap();
                }
            }
        };
        shows("Say what to do", &mut keys);
        keys.write_all(b"qx").unwrap();
        shows("› qx", &mut keys);
        let seconds = began.elapsed().as_secs_f64();
        child.kill().unwrap();
        child.wait().unwrap();
        // Nobody begins anything beside the next one.
        for place in ["drafts", "state"] {
            let _ = fs::remove_dir_all(self.home.join(place));
        }
        seconds
    }
}
