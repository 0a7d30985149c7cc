//! The terminal taken and given back: raw mode and the modes that come with it, undone however the program ends.
//!
//! Dropping gives it back; so do a panic (by a hook) and [`restore`], which is for signals that end the program.
//! It draws nothing.

use std::{
    fs::File,
    io::{self, Read as _, Write},
    os::fd::{AsFd as _, BorrowedFd},
    sync::{Mutex, MutexGuard, Once, PoisonError},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use crossterm::{event::Event, terminal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    caps::{Caps, Notices},
    late::Late,
    modes::{self, Keep},
    probe::{Answers, LIMIT, query},
    screen::{Screen, Size},
    typed::typed,
};

/// The terminal, written without a buffer: a frame is one write.
#[derive(Debug)]
pub struct Tty(File);

impl Tty {
    fn open() -> io::Result<Self> {
        Ok(Self(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }
}

impl Write for Tty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal that is to be given back, for the panic hook and for signals, and the thread that draws on it.
static TAKEN: Mutex<Option<(Keep, ThreadId)>> = Mutex::new(None);

fn taken() -> MutexGuard<'static, Option<(Keep, ThreadId)>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the terminal back, now and once. For what ends the program without unwinding.
pub fn restore() {
    let keep = taken().clone();
    if let Some((keep, _)) = keep {
        give_back(&keep);
    }
}

fn give_back(keep: &Keep) {
    let bytes = keep.leave();
    if bytes.is_empty() {
        return;
    }
    // The terminal may be gone (a hang-up): then there is nothing to give back.
    let _ = Tty::open().and_then(|mut tty| tty.write_all(bytes.as_bytes()));
    let _ = terminal::disable_raw_mode();
}

/// A panic where the screen is drawn ends the program: it speaks to a terminal that is as it was. A panic of another
/// thread is the business of whoever waits for that thread, and must not be written into the middle of the screen.
fn restore_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let elsewhere = taken()
                .as_ref()
                .is_some_and(|(keep, drawing)| keep.is_on() && *drawing != thread::current().id());
            if !elsewhere {
                restore();
                before(panic);
            }
        }));
    });
}

/// The program's time at the terminal.
#[derive(Debug)]
pub struct Session {
    tty: Tty,
    caps: Caps,
    keep: Keep,
    typed: Vec<Event>,
    late: Late,
}

impl Session {
    /// Takes the terminal: raw mode, then the question and its answers, then the modes. To be called before the
    /// event stream is made, on the thread that draws. It takes [`LIMIT`] at most, and as a rule a few milliseconds.
    ///
    /// # Errors
    /// When there is no terminal.
    pub fn enter(variables: impl Fn(&str) -> Option<String>) -> io::Result<Self> {
        let caps = Caps::from_variables(variables);
        let mut session =
            Self { tty: Tty::open()?, caps, keep: Keep::default(), typed: Vec::new(), late: Late::nothing() };
        terminal::enable_raw_mode()?;
        *taken() = Some((session.keep.clone(), thread::current().id()));
        restore_on_panic();
        // From here on dropping it undoes what was done.
        let modes = |session: &mut Self| {
            let bytes = session.keep.enter(&session.caps);
            session.tty.write_all(bytes.as_bytes())
        };
        if !caps.asks {
            modes(&mut session)?;
            return Ok(session);
        }
        let mut answers = Answers::default();
        if let Err(error) = ask(&mut session.tty, &caps, &mut answers) {
            let _ = terminal::disable_raw_mode();
            return Err(error);
        }
        session.caps = answers.complete(caps);
        session.late = answers.late(&caps);
        session.typed = typed(&answers.typed);
        modes(&mut session)?;
        if answers.column.is_some_and(|column| column > 0) {
            session.tty.write_all(b"\r\n")?;
        }
        Ok(session)
    }

    #[must_use]
    pub fn caps(&self) -> Caps {
        self.caps
    }

    /// What was typed while the terminal was asked. It comes before all that the event stream gives.
    pub fn take_typed(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.typed)
    }

    /// The filter for the events that come now: answers that came too late are no keys.
    pub fn take_late(&mut self) -> Late {
        std::mem::replace(&mut self.late, Late::nothing())
    }

    /// How large the terminal is now.
    ///
    /// # Errors
    /// When there is no terminal.
    pub fn size() -> io::Result<Size> {
        let (columns, rows) = terminal::size()?;
        Ok(Size { columns, rows })
    }

    /// The screen of this terminal.
    ///
    /// # Errors
    /// When there is no terminal.
    pub fn screen(&self) -> io::Result<Screen<Tty>> {
        Ok(Screen::new(Tty::open()?, Self::size()?, self.caps).kept_by(self.keep.clone()))
    }

    /// Gives the terminal back for a while, to an editor. The screen must be finished before, and the event stream
    /// dropped: it would go on reading.
    pub fn suspend(&self) {
        give_back(&self.keep);
    }

    /// Takes it again. The screen must be told the size, which may be another.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resume(&mut self) -> io::Result<()> {
        terminal::enable_raw_mode()?;
        let bytes = self.keep.enter(&self.caps);
        self.tty.write_all(bytes.as_bytes())
    }

    /// Stops the program as Ctrl-Z does, and goes on when the shell lets it. The screen must be finished before.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn stop(&mut self) -> io::Result<()> {
        self.suspend();
        // The whole group, like the terminal itself does: a script that runs this program stops as well.
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
        // Another thread may be the one that is told; nothing may be written before it is.
        thread::sleep(Duration::from_millis(20));
        self.resume()
    }

    /// Sets the title of the window. What it was comes back at the end.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub fn set_title(&mut self, text: &str) -> io::Result<()> {
        self.tty.write_all(modes::title(text).as_bytes())
    }

    /// How to tell of what happened, where the person knows better than the environment.
    pub fn notify_by(&mut self, how: Option<Notices>) {
        self.caps.notices = how.unwrap_or(self.caps.notices);
    }

    /// Tells the person that something happened. For when the terminal has not the focus.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub fn notify(&mut self, text: &str) -> io::Result<()> {
        let bytes = modes::notice(&self.caps, text);
        self.tty.write_all(bytes.as_bytes())
    }

    /// Puts a text into the clipboard of the terminal. False: it is too much.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub fn copy(&mut self, text: &str) -> io::Result<bool> {
        match modes::copy(text) {
            Some(bytes) => self.tty.write_all(bytes.as_bytes()).map(|()| true),
            None => Ok(false),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        give_back(&self.keep);
        *taken() = None;
    }
}

/// Asks, and reads until all answers are there or the time is over.
fn ask(tty: &mut Tty, caps: &Caps, answers: &mut Answers) -> io::Result<()> {
    let begun = Instant::now();
    tty.write_all(query(caps).as_bytes())?;
    // The same as crossterm reads from.
    let mut input = match rustix::termios::isatty(rustix::stdio::stdin()) {
        true => File::from(rustix::stdio::stdin().try_clone_to_owned()?),
        false => File::open("/dev/tty")?,
    };
    let mut bytes = [0; 1024];
    while !answers.complete && begun.elapsed() < LIMIT {
        if !ready(input.as_fd(), LIMIT.saturating_sub(begun.elapsed()))? {
            continue;
        }
        match input.read(&mut bytes)? {
            0 => break,
            count => answers.feed(bytes.get(..count).unwrap_or_default()),
        }
    }
    Ok(())
}

fn ready(input: BorrowedFd<'_>, limit: Duration) -> io::Result<bool> {
    let limit = Timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() };
    match poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&limit)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
