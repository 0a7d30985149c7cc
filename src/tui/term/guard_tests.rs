//! The terminal taken and given back, seen from the other side: this test runs itself in a terminal that it holds.

use std::{
    io::{Read as _, Write as _},
    sync::mpsc,
    thread,
    time::Duration,
};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use ratatui::text::Line;

use super::{Session, restore};

/// Names what the inner process does.
const ROLE: &str = "AGENT_TERM_TEST";

/// Not a test by itself: what the others run in a terminal.
#[test]
fn inner() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut session = Session::enter(|name| std::env::var(name).ok()).unwrap();
    let mut screen = session.screen().unwrap();
    let caps = session.caps();
    let typed = session.take_typed().len();
    screen
        .draw(&[Line::from(format!("sync {} keys {} typed {typed}", caps.sync, caps.keyboard))], None)
        .unwrap();
    match role.as_str() {
        "drop" => screen.finish().unwrap(),
        "panic" => {
            screen.enter_full().unwrap();
            panic!("on purpose");
        }
        "thread" => {
            thread::spawn(|| panic!("elsewhere")).join().unwrap_err();
            screen.draw(&[Line::from("goes on")], None).unwrap();
            screen.finish().unwrap();
        }
        "signal" => {
            restore();
            // Without unwinding, as the end by a signal is.
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
        "suspend" => {
            screen.finish().unwrap();
            session.suspend();
            session.resume().unwrap();
            screen.draw(&[Line::from("again")], None).unwrap();
            screen.finish().unwrap();
        }
        other => panic!("{other}"),
    }
}

struct Outer {
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn std::io::Write + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    output: mpsc::Receiver<Vec<u8>>,
    seen: String,
}

impl Outer {
    fn run(role: &str) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "tui::term::guard_tests::inner", "--nocapture", "--test-threads=1", "-q"]);
        command.env(ROLE, role);
        command.env("TERM", "xterm-256color");
        for outer in ["TMUX", "NO_COLOR", "COLORTERM", "TERM_PROGRAM"] {
            command.env_remove(outer);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Self { master: pair.master, writer, child, output, seen: String::new() }
    }

    /// Reads until a text has come.
    fn until(&mut self, wanted: &str) {
        while !self.seen.contains(wanted) {
            let bytes = self.output.recv_timeout(Duration::from_secs(20));
            let bytes = bytes.unwrap_or_else(|_| panic!("{wanted:?} did not come: {:?}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    fn answer(&mut self, bytes: &[u8]) {
        self.until("\x1b[c");
        self.writer.write_all(bytes).unwrap();
    }

    /// Waits for the end, with all that was written until then.
    fn end(mut self) -> String {
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_secs(20)) {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        self.child.wait().unwrap();
        let flags = self.master.get_termios().unwrap().local_flags.bits();
        let cooked = libc::ICANON | libc::ECHO | libc::ISIG;
        assert_eq!(flags & cooked, cooked, "the terminal is as it was");
        self.seen
    }
}

const ANSWERS: &[u8] = b"\x1b]11;rgb:0000/0000/0000\x1b\\ab\x1b[1;1R\x1b[?0u\x1b[?2026;2$y\x1b[?62;c";
const TAKE: &str = "\x1b[22;0t\x1b[?2004h\x1b[?1004h\x1b[>5u";
const BACK: &str = "\x1b[<u\x1b[?1004l\x1b[?2004l\x1b[23;0t\x1b[?25h";

#[test]
fn dropping_gives_the_terminal_back() {
    let mut outer = Outer::run("drop");
    outer.answer(ANSWERS);
    let seen = outer.end();
    let (_, after) = seen.split_once(TAKE).expect("the modes are switched on");
    let (screen, rest) =
        after.split_once("sync true keys true typed 2").unwrap_or_else(|| panic!("{seen:?}"));
    assert!(!screen.contains("\r\n"), "the cursor stood in the first column");
    assert!(rest.contains(BACK), "{seen:?}");
    assert_eq!(seen.matches(BACK).count(), 1);
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_speaks() {
    let mut outer = Outer::run("panic");
    outer.answer(ANSWERS);
    let seen = outer.end();
    let (before, _) = seen.split_once("on purpose").expect("the panic is seen");
    assert!(before.contains(&format!("\x1b[?2026l\x1b[m\x1b[?7h\x1b[<u\x1b[?1049l{BACK}")), "{seen:?}");
    assert_eq!(seen.matches(BACK).count(), 1);
}

#[test]
fn a_panic_of_another_thread_leaves_the_screen_alone() {
    let mut outer = Outer::run("thread");
    outer.answer(ANSWERS);
    let seen = outer.end();
    let (before, after) = seen.split_once("goes on").unwrap_or_else(|| panic!("{seen:?}"));
    assert!(!before.contains(BACK) && after.contains(BACK), "{seen:?}");
    assert!(!seen.contains("elsewhere"), "{seen:?}");
}

#[test]
fn a_signal_that_ends_the_program_can_give_it_back() {
    let mut outer = Outer::run("signal");
    outer.answer(ANSWERS);
    assert!(outer.end().trim_end().ends_with(BACK));
}

#[test]
fn it_is_given_away_for_a_while_and_taken_again() {
    let mut outer = Outer::run("suspend");
    outer.answer(ANSWERS);
    let seen = outer.end();
    assert_eq!((seen.matches(TAKE).count(), seen.matches(BACK).count()), (2, 2), "{seen:?}");
    let (_, again) = seen.split_once("again").expect("it is drawn again");
    assert!(again.contains(BACK));
}

#[test]
fn a_terminal_that_answers_nothing_keeps_nobody_waiting() {
    let seen = Outer::run("drop").end();
    assert!(seen.contains("sync false keys false typed 0"), "{seen:?}");
    assert!(!seen.contains("\x1b[>5u"), "it is not told what it may not know");
}

#[test]
fn a_line_that_was_begun_is_left_alone() {
    let mut outer = Outer::run("drop");
    outer.answer(b"\x1b[1;9R\x1b[?62;c");
    let seen = outer.end();
    let (_, after) = seen.split_once("\x1b[?1004h").unwrap();
    assert!(after.starts_with("\r\n"), "{seen:?}");
}
