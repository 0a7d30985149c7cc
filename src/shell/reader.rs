//! The thread of a process that moves bytes: its output to memory and disk, what is typed to its terminal.
//!
//! It waits for nothing but the process and the disk: neither a model nor a screen can hold it up.

use std::{
    borrow::Cow,
    collections::VecDeque,
    io::{self, Read as _},
    num::NonZeroU64,
    os::fd::{AsFd as _, OwnedFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, ioctl_fionbio, read, write},
    thread::set_current_timer_slack,
};
use tokio::sync::oneshot;

use super::{
    ShellError, lock,
    process::Process,
    spill::{Kept, Spill},
};
use crate::secrets::Filter;

/// Bytes read at once. Grows to the larger one in a flood.
const READ: usize = 64 * 1024;
const READ_IN_FLOOD: usize = 256 * 1024;
/// Bytes that are still read after the end of a process whose output others hold open: all that a pipe and a
/// terminal can hold, so that nothing is lost that was written before the end.
const STILL_READ: usize = 2 << 20;
/// What the kernel holds of a terminal's output for its reader (`N_TTY_BUF_SIZE`), but for the byte it may keep free.
const TERMINAL_HOLDS: usize = 4095;
/// A breath after a full read of a terminal, in which a worker of the kernel refills it. To sleep until there is
/// something instead costs a wake-up for each 4 KiB: twice the time of a flood.
const LET_REFILL: Duration = Duration::from_micros(1);
/// After so long without more, the short beginning of what might have become a secret is shown.
const HELD_BACK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Typed bytes that may wait for a process that doesn't read.
const TYPED_AHEAD: usize = 256 * 1024;

/// How others reach the thread.
pub(super) struct Control {
    stop: AtomicBool,
    /// One byte here ends a `poll`.
    wake: io::PipeWriter,
    /// What waits to be typed; `None` when there is nothing to type into.
    typed: Mutex<Option<VecDeque<u8>>>,
}

/// Has the thread stop when it is dropped, whatever becomes of its process.
pub(super) struct Reader {
    process: Arc<Process>,
    done: oneshot::Receiver<Kept>,
}

/// What a round of reading met at its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Met {
    /// The buffer is full; there may be more.
    More,
    /// There is nothing just now.
    Nothing,
    /// There will be no more.
    End,
}

impl Control {
    /// A control, and the other end of its bell.
    pub(super) fn new(tty: bool) -> io::Result<(Self, io::PipeReader)> {
        let (bell, wake) = io::pipe()?;
        ioctl_fionbio(&wake, true)?;
        ioctl_fionbio(&bell, true)?;
        let typed = Mutex::new(tty.then(VecDeque::new));
        Ok((Self { stop: AtomicBool::new(false), wake, typed }, bell))
    }

    /// Queues text for the terminal. It is typed as fast as the process takes it.
    ///
    /// An interrupt character overtakes what still waits, as it does on any terminal.
    pub(super) fn type_in(&self, text: &str) -> Result<(), ShellError> {
        {
            let mut typed = lock(&self.typed);
            let Some(waiting) = typed.as_mut() else { return Err(ShellError::NoTerminal) };
            if text.contains('\u{3}') {
                waiting.clear();
            }
            if waiting.len() + text.len() > TYPED_AHEAD {
                return Err(ShellError::NotReading { waiting: waiting.len() });
            }
            waiting.extend(text.as_bytes());
        }
        self.ring();
        Ok(())
    }

    /// Whether typed text still waits for the process to take it.
    pub(super) fn is_typing(&self) -> bool {
        lock(&self.typed).as_ref().is_some_and(|waiting| !waiting.is_empty())
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.ring();
    }

    fn ring(&self) {
        // A full pipe has woken the thread already; a closed one has no thread any more.
        let _ = write(&self.wake, &[0]);
    }
}

impl Reader {
    /// Starts the thread that reads `output` for `process`.
    pub(super) fn start(
        process: Arc<Process>,
        output: OwnedFd,
        bell: io::PipeReader,
        spill: Spill,
        filter: Option<Filter>,
    ) -> Result<Self, ShellError> {
        let failed = |what: &str, error: io::Error| ShellError::Spawn(format!("can't {what}: {error}"));
        ioctl_fionbio(&output, true).map_err(|error| failed("read its output", error.into()))?;
        let (sender, done) = oneshot::channel();
        let terminal = lock(&process.control.typed).is_some();
        let reader = Self { process: Arc::clone(&process), done };
        let work = move || {
            let kept = Pump { process, output, terminal, bell, spill, filter }.run();
            // Nobody waits for it when the runtime is gone.
            drop(sender.send(kept));
        };
        thread::Builder::new()
            .name("output".into())
            .stack_size(256 * 1024)
            .spawn(work)
            .map_err(|error| failed("start a thread", error))?;
        Ok(reader)
    }

    /// Waits until all output is there, but not for those who only hold the other end open.
    pub(super) async fn finish(mut self, grace: Duration) -> Kept {
        if let Ok(kept) = tokio::time::timeout(grace, &mut self.done).await {
            return kept.unwrap_or_default();
        }
        self.process.control.stop();
        (&mut self.done).await.unwrap_or_default()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.process.control.stop();
    }
}

/// The thread's own.
struct Pump {
    process: Arc<Process>,
    output: OwnedFd,
    terminal: bool,
    bell: io::PipeReader,
    spill: Spill,
    /// Takes out what nobody is to be told. It stands in front of everything that keeps or shows the output.
    filter: Option<Filter>,
}

impl Pump {
    fn run(mut self) -> Kept {
        // Or the breath is fifty times as long as it is meant to be. A kernel that refuses only makes it slower.
        let _ = set_current_timer_slack(NonZeroU64::new(1));
        let mut buffer = vec![0; READ];
        let mut read_after_stop = 0;
        loop {
            let stopping = self.process.control.stop.load(Ordering::Acquire);
            let typing = self.type_some();
            let (count, met) = self.fill(&mut buffer);
            if let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) {
                let passed = self.filter.as_mut().map_or(Cow::Borrowed(bytes), |filter| filter.push(bytes));
                Self::pass(&self.process, &mut self.spill, &passed);
            }
            if stopping {
                read_after_stop += count;
            }
            match met {
                Met::End => break,
                Met::Nothing if stopping => break,
                Met::Nothing => self.wait(typing),
                Met::More if read_after_stop >= STILL_READ => break,
                Met::More if buffer.len() < READ_IN_FLOOD => buffer.resize(READ_IN_FLOOD, 0),
                Met::More => {}
            }
        }
        *lock(&self.process.control.typed) = None;
        let rest = self.filter.as_mut().map(Filter::finish).unwrap_or_default();
        Self::pass(&self.process, &mut self.spill, &rest);
        self.spill.finish()
    }

    fn pass(process: &Process, spill: &mut Spill, bytes: &[u8]) {
        if !bytes.is_empty() {
            process.arrived(bytes);
            spill.push(bytes);
        }
    }

    fn fill(&self, buffer: &mut [u8]) -> (usize, Met) {
        let mut count = 0;
        loop {
            let Some(room) = buffer.get_mut(count..).filter(|room| !room.is_empty()) else {
                return (count, Met::More);
            };
            match read(&self.output, room) {
                Ok(0) => return (count, Met::End),
                Ok(read) => {
                    count += read;
                    if self.terminal && read >= TERMINAL_HOLDS {
                        thread::sleep(LET_REFILL);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return (count, Met::Nothing),
                // On a terminal: nobody has the other end open any more.
                Err(_) => return (count, Met::End),
            }
        }
    }

    /// Types what the terminal takes. Tells whether something is left.
    fn type_some(&self) -> bool {
        let mut typed = lock(&self.process.control.typed);
        let Some(waiting) = typed.as_mut() else { return false };
        while !waiting.is_empty() {
            match write(&self.output, waiting.as_slices().0) {
                Ok(count) => drop(waiting.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => waiting.clear(),
            }
        }
        false
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self, typing: bool) {
        let wanted = if typing { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let mut fds = [
            PollFd::from_borrowed_fd(self.output.as_fd(), wanted),
            PollFd::from_borrowed_fd(self.bell.as_fd(), PollFlags::IN),
        ];
        let filter = self.filter.as_mut().filter(|filter| filter.can_release());
        let limit = filter.is_some().then_some(&HELD_BACK);
        // An interrupted wait only looks once more.
        if poll(&mut fds, limit) == Ok(0) {
            let held = filter.map(Filter::release).unwrap_or_default();
            return Self::pass(&self.process, &mut self.spill, &held);
        }
        if fds[1].revents().contains(PollFlags::IN) {
            // What was rung for is in the control.
            let _ = self.bell.read(&mut [0; 64]);
        }
    }
}
