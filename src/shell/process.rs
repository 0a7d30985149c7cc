//! One process: what it has said, how it ends, and looking at it.

use std::{
    borrow::Cow,
    ffi::OsString,
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::{
    process::{Pid, Signal, kill_process},
    termios::{Winsize, tcsetwinsize},
};
use tokio::{
    process::Child,
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Answered, Captured, Exit, Look, ShellError, State,
    asking::{Asking, Question},
    live::Live,
    lock,
    output::{BUDGET, Buffer},
    reader::{Control, Reader},
    screen::{Screen, Shot, Size},
    spill::Kept,
    until::{Until, Watcher},
    wait::{self, Moment, Verdict},
    waiting::{self, Waiting},
};
use crate::{
    protocol::{CallId, ProcessId},
    sandbox::{Published, SharedSandbox},
    secrets::Secrets,
};

/// Between two pieces of live output.
const LIVE_EVERY: Duration = Duration::from_millis(50);
/// For those who hold the output of an ended process open.
const DRAIN: Duration = Duration::from_millis(50);
/// Between asking a process to end and ending it.
const GRACE: Duration = Duration::from_secs(2);
/// What has been told to end at once and in order has so long to do it. As a rule it takes a millisecond; on a
/// machine that is busy it may take long, and forcing it then leaves orphans for others to reap.
const ORDER: Duration = Duration::from_secs(5);

/// A terminal that said nothing for so long is asked whether somebody waits for input there, twice.
const QUIET: Duration = Duration::from_millis(150);

/// How long a person may take to answer: a year.
const PERSON: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// What a person is shown of a prompt at most, in bytes.
const PROMPT: usize = 400;

/// An environment, whole.
pub(super) type Env = Vec<(OsString, OsString)>;

/// What a process is for those who list it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub id: ProcessId,
    pub command: String,
    pub workdir: PathBuf,
    pub tty: bool,
    pub call: Option<CallId>,
}

/// A process that was started, until it has ended and was looked at.
pub(super) struct Process {
    pub about: About,
    pub started: Instant,
    pub control: Control,
    /// The way to the person, for what is typed and not echoed.
    pub asking: Arc<Asking>,
    progress: Mutex<Progress>,
    /// Output has come.
    more: Notify,
    ended: watch::Sender<bool>,
    kill: watch::Sender<Kill>,
    /// Where it runs, if what it changes is to be brought out from there.
    sandbox: Option<SharedSandbox>,
}

struct Progress {
    buffer: Buffer,
    live: Live,
    /// The latest output for those who watch between looks. It is never taken.
    recent: Live,
    end: Option<End>,
    /// Some result has left out a part of the output.
    left_out: bool,
    /// The call that started it has returned, and it went on.
    outlived: bool,
    /// What looks wait for in the output.
    watchers: Vec<Arc<Watcher>>,
    /// Looks going on.
    looks: usize,
    last_look: Instant,
    /// What is known of the terminal, while it lives.
    terminal: Option<Terminal>,
    /// What a full-screen program shows on it.
    screen: Option<Screen>,
    /// What the sandbox said of what was changed, and nobody was told.
    warnings: Vec<String>,
}

/// A terminal of which we want to know who waits there.
struct Terminal {
    ours: Arc<OwnedFd>,
    helper: Pid,
    /// What was told of it, with no output since.
    told: Option<Waiting>,
}

struct End {
    /// Missing when we killed it.
    code: Option<i32>,
    kept: Kept,
}

/// How urgently a process is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kill {
    Not,
    /// It is asked to, and forced two seconds later.
    Gently,
    AtOnce,
}

/// Whether a look may end the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnCancel {
    Kill,
    Leave,
}

/// How a process compares when one must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub ended: bool,
    pub watched: bool,
    pub last_look: Instant,
}

/// What one look has seen.
pub(super) struct Glimpse {
    pub state: State,
    pub output: Captured,
    /// What a process that runs waits for somebody to type.
    pub waiting: Option<Waiting>,
    /// What a full-screen program shows; it is in the output, too.
    pub screen: Option<Shot>,
    /// What came of asking a person for it.
    pub answered: Option<Answered>,
    /// What was waited for is there.
    pub met: bool,
    /// What the sandbox said of what was changed.
    pub warnings: Vec<String>,
}

impl Process {
    pub(super) fn new(
        about: About,
        control: Control,
        asking: Arc<Asking>,
        sandbox: Option<SharedSandbox>,
    ) -> Self {
        let now = Instant::now();
        let progress = Progress {
            buffer: Buffer::new(BUDGET, about.tty),
            live: Live::default(),
            recent: Live::default(),
            end: None,
            left_out: false,
            outlived: false,
            watchers: Vec::new(),
            looks: 0,
            last_look: now,
            terminal: None,
            screen: None,
            warnings: Vec::new(),
        };
        Self {
            about,
            started: now,
            control,
            asking,
            progress: Mutex::new(progress),
            more: Notify::new(),
            ended: watch::Sender::new(false),
            kill: watch::Sender::new(Kill::Not),
            sandbox,
        }
    }

    /// Has it known who waits for input at its terminal, and what is on it.
    pub(super) fn watch(&self, ours: OwnedFd, helper: Pid, secrets: Secrets) {
        let mut progress = lock(&self.progress);
        progress.terminal = Some(Terminal { ours: Arc::new(ours), helper, told: None });
        progress.screen = Some(Screen::new(secrets));
    }

    /// Gives its terminal another size.
    pub(super) fn resize(&self, size: Size) -> Result<(), ShellError> {
        let mut progress = lock(&self.progress);
        let Progress { terminal: Some(terminal), screen, .. } = &mut *progress else {
            return Err(ShellError::NoTerminal);
        };
        let window = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&*terminal.ours, window)
            .map_err(|error| ShellError::Spawn(format!("can't resize the terminal: {error}")))?;
        if let Some(screen) = screen {
            screen.resize(size);
        }
        Ok(())
    }

    /// The size of its terminal, while a full-screen program has it.
    pub(super) fn full_screen(&self) -> Option<Size> {
        let progress = lock(&self.progress);
        progress.screen.as_ref().and_then(Screen::shot).map(|shot| shot.size)
    }

    /// Output has come.
    pub(super) fn arrived(&self, bytes: &[u8]) {
        {
            let mut progress = lock(&self.progress);
            let Progress { terminal, screen, .. } = &mut *progress;
            if let Some(terminal) = terminal {
                terminal.told = None;
            }
            let keys =
                || terminal.as_ref().is_some_and(|terminal| waiting::takes_keys(terminal.ours.as_fd()));
            let plain = screen.as_mut().map_or(Cow::Borrowed(bytes), |screen| screen.push(bytes, keys));
            progress.buffer.push(&plain);
            progress.live.push(&plain);
            progress.recent.push(&plain);
            progress.watchers.iter().for_each(|watcher| watcher.saw(bytes));
        }
        self.asking.went_on();
        self.more.notify_one();
    }

    /// What it said last, from the start of a line; of a full-screen program what it shows.
    pub(super) fn latest(&self) -> String {
        let progress = lock(&self.progress);
        let shot = progress.screen.as_ref().and_then(Screen::shot);
        shot.map_or_else(|| progress.recent.peek(), |shot| shot.text)
    }

    /// Has the process end. A later call may only be more urgent.
    pub(super) fn kill(&self, kill: Kill) {
        self.kill.send_if_modified(|now| {
            let more = kill > *now;
            *now = kill.max(*now);
            more
        });
    }

    pub(super) fn standing(&self) -> Standing {
        let progress = lock(&self.progress);
        Standing { ended: progress.end.is_some(), watched: progress.looks > 0, last_look: progress.last_look }
    }

    /// Returns when the process has ended, and its output is there.
    pub(super) async fn ended(&self) {
        // The sender is our own and can't be gone.
        drop(self.ended.subscribe().wait_for(|ended| *ended).await);
    }

    /// Looks until the process ends, or the time is over, or the call is interrupted.
    pub(super) async fn look(&self, look: &Look, since: Instant, on_cancel: OnCancel) -> Glimpse {
        let _watching = Watching::begin(self);
        let end = self.ended();
        tokio::pin!(end);
        let mut ended = false;
        let mut cancelled = None;
        let mut next_live = since + LIVE_EVERY;
        let mut waiting_live = false;
        let mut quiet = since + QUIET;
        let mut seen = None;
        let mut wait = look.wait;
        let watcher = self.watched(&look.until);
        let mut question: Option<Question> = None;
        let mut answered = None;
        loop {
            let kills = on_cancel == OnCancel::Kill;
            // A person takes as long as they need.
            let wait_now = if question.is_some() { PERSON } else { wait };
            let moment = Moment { now: since.elapsed(), wait: wait_now, ended, cancelled, kills };
            let Verdict::Until(until) = wait::judge(moment) else { break };
            if watcher.met() {
                break;
            }
            tokio::select! {
                () = &mut end => ended = true,
                () = look.cancel.cancelled(), if cancelled.is_none() => {
                    cancelled = Some(since.elapsed());
                    if kills {
                        self.kill(Kill::Gently);
                    }
                }
                () = sleep_until(since + until) => {}
                () = watcher.wait() => break,
                () = self.more.notified(), if !waiting_live => {
                    waiting_live = true;
                    quiet = Instant::now() + QUIET;
                    seen = None;
                }
                () = sleep_until(quiet), if self.about.tty && !waiting_live && !ended => {
                    let now = self.waiting();
                    if now == seen && now != Some(Waiting::Secret) && question.take().is_some() {
                        // It went on by itself: to look at it begins anew.
                        wait = since.elapsed() + look.wait;
                    }
                    if now.is_some() && now == seen && question.is_none() {
                        if now == Some(Waiting::Secret) {
                            question = self.asking.begin(&self.about.command, self.prompt());
                        }
                        if question.is_none() && self.is_news(now) {
                            break;
                        }
                    }
                    seen = now;
                    quiet = Instant::now() + QUIET;
                }
                answer = answer(&mut question), if question.is_some() => {
                    answered = Some(answer);
                    question = None;
                    if answer == Answered::Left {
                        break;
                    }
                    wait = since.elapsed() + look.wait;
                    seen = None;
                    quiet = Instant::now() + QUIET;
                }
                () = sleep_until(next_live), if waiting_live => {
                    waiting_live = false;
                    next_live = Instant::now() + LIVE_EVERY;
                    let text = lock(&self.progress).live.take();
                    if let Some(text) = text {
                        (look.sink)(&text);
                    }
                }
            }
        }
        if !self.is_ended() {
            self.publish().await;
        }
        let glimpse = self.take(look.max_bytes, cancelled.is_some() && on_cancel == OnCancel::Kill);
        Glimpse { answered, met: watcher.met(), ..glimpse }
    }

    /// Has the output looked at for what is waited for, from that on which nobody has looked at yet.
    fn watched(&self, until: &Until) -> Watched<'_> {
        let watcher = Arc::new(Watcher::new(until.clone()));
        if !matches!(until, Until::End) {
            let mut progress = lock(&self.progress);
            progress.buffer.parts().iter().for_each(|part| watcher.saw(part));
            progress.watchers.push(Arc::clone(&watcher));
        }
        Watched { process: self, watcher }
    }

    /// The last line that it said.
    fn prompt(&self) -> String {
        let latest = self.latest();
        let line = latest.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        super::text::last(line.trim(), PROMPT).to_owned()
    }

    /// Has what commands changed brought out of the sandbox.
    async fn publish(&self) {
        if let Some(sandbox) = &self.sandbox {
            let Published { warnings } = sandbox.publish().await;
            let refusals = sandbox.refusals(self.about.call.as_ref());
            lock(&self.progress).warnings.extend(warnings.into_iter().chain(refusals));
        }
    }

    /// What is waited for at the terminal just now, once all that was typed has been taken.
    fn waiting(&self) -> Option<Waiting> {
        if self.control.is_typing() {
            return None;
        }
        // Not under the lock: the thread that reads must not wait for a look at many processes.
        let (ours, helper) = {
            let progress = lock(&self.progress);
            let Terminal { ours, helper, .. } = progress.terminal.as_ref()?;
            (Arc::clone(ours), *helper)
        };
        waiting::observe(ours.as_fd(), helper)
    }

    /// Whether what is typed into it is not to be seen.
    pub(super) fn hides(&self) -> bool {
        lock(&self.progress).terminal.as_ref().is_some_and(|terminal| waiting::hides(terminal.ours.as_fd()))
    }

    /// Whether it is worth the end of a look: for lines always, for keys only once, since programs that work on
    /// may take keys as well.
    fn is_news(&self, waiting: Option<Waiting>) -> bool {
        let told = lock(&self.progress).terminal.as_ref().and_then(|terminal| terminal.told);
        waiting != Some(Waiting::Keys) || told != waiting
    }

    fn take(&self, max_bytes: usize, killed: bool) -> Glimpse {
        let waiting = self.waiting();
        let mut progress = lock(&self.progress);
        if let Some(terminal) = &mut progress.terminal {
            terminal.told = waiting;
        }
        let ended = progress.end.is_some();
        let shot = progress.screen.as_ref().and_then(Screen::shot);
        let room = max_bytes.saturating_sub(shot.as_ref().map_or(0, |shot| shot.text.len()));
        let mut captured = progress.buffer.take(room, ended);
        if let Some(shot) = &shot {
            captured.add(&shot.text, max_bytes);
        }
        // What the result brings does not come live with the next look.
        drop(progress.live.take());
        progress.left_out |= captured.dropped > 0 || !captured.tail.is_empty();
        let left_out = progress.left_out;
        let state = match &mut progress.end {
            Some(end) => {
                captured.blob = end.blob(left_out);
                end.code.map_or(State::Killed, State::Exited)
            }
            None if killed => State::Killed,
            None => {
                progress.outlived = true;
                State::Running(self.about.id)
            }
        };
        let waiting = waiting.filter(|_| matches!(state, State::Running(_)));
        Glimpse {
            state,
            output: captured,
            waiting,
            screen: shot,
            answered: None,
            met: false,
            warnings: std::mem::take(&mut progress.warnings),
        }
    }

    /// Waits for the end of the process, and brings it about when that is wanted. Runs once, as a task.
    pub(super) async fn supervise(
        self: Arc<Self>,
        mut child: Child,
        reader: Reader,
        stop: CancellationToken,
        exits: mpsc::UnboundedSender<Exit>,
    ) {
        let mut kill = self.kill.subscribe();
        // What was asked for before this task ran counts too.
        kill.mark_changed();
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        // The process is not reaped yet where this is called, so that the id is still its own. It may be gone
        // all the same, which is what was wanted.
        let signal = |signal| {
            if let Some(pid) = pid {
                let _ = kill_process(pid, signal);
            }
        };
        let mut forced_at = None;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                () = stop.cancelled(), if *kill.borrow() != Kill::AtOnce => self.kill(Kill::AtOnce),
                Ok(()) = kill.changed() => match *kill.borrow_and_update() {
                    Kill::Not => {}
                    Kill::Gently => {
                        signal(Signal::TERM);
                        forced_at = Some(Instant::now() + GRACE);
                    }
                    Kill::AtOnce => {
                        // The sandbox's helper then ends all that is inside, and reaps it.
                        signal(Signal::ALARM);
                        forced_at = Some(Instant::now() + ORDER);
                    }
                },
                () = sleep_until(forced_at.unwrap_or_else(Instant::now)), if forced_at.is_some() => {
                    forced_at = None;
                    if *kill.borrow() == Kill::AtOnce {
                        signal(Signal::KILL);
                    } else {
                        self.kill(Kill::AtOnce);
                    }
                }
            }
        };
        let killed = *kill.borrow() != Kill::Not;
        let code = status.ok().and_then(code).filter(|_| !killed);
        let kept = reader.finish(DRAIN).await;
        self.publish().await;
        if let Some(exit) = self.end(code, kept) {
            // Nobody listens any more when the session is over.
            drop(exits.send(exit));
        }
    }

    /// The process has ended. Gives what is to be told if it had outlived its call.
    fn end(&self, code: Option<i32>, kept: Kept) -> Option<Exit> {
        let exit = {
            let mut progress = lock(&self.progress);
            let left_out = progress.left_out;
            progress.terminal = None;
            let rest = progress.screen.as_mut().map(Screen::finish).unwrap_or_default();
            progress.buffer.push(&rest);
            let end = progress.end.insert(End { code, kept });
            let blob = end.blob(left_out);
            progress.outlived.then_some(Exit { process: self.about.id, code, blob })
        };
        self.ended.send_replace(true);
        exit
    }

    /// Whether all that there is to say has been said.
    pub(super) fn is_ended(&self) -> bool {
        lock(&self.progress).end.is_some()
    }
}

impl End {
    fn blob(&mut self, left_out: bool) -> Option<crate::protocol::BlobId> {
        if left_out { self.kept.on_disk() } else { self.kept.blob.clone() }
    }
}

/// The answer to a question, if there is one.
async fn answer(question: &mut Option<Question>) -> Answered {
    match question {
        Some(question) => question.answer().await,
        None => std::future::pending().await,
    }
}

/// The exit code as a shell would give it.
fn code(status: std::process::ExitStatus) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt as _;

    status.code().or_else(|| status.signal().map(|signal| 128 + signal))
}

/// A watcher, while a look goes on.
struct Watched<'a> {
    process: &'a Process,
    watcher: Arc<Watcher>,
}

impl std::ops::Deref for Watched<'_> {
    type Target = Watcher;

    fn deref(&self) -> &Watcher {
        &self.watcher
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        lock(&self.process.progress).watchers.retain(|other| !Arc::ptr_eq(other, &self.watcher));
    }
}

/// Counts a look while it goes on.
struct Watching<'a>(&'a Process);

impl<'a> Watching<'a> {
    fn begin(process: &'a Process) -> Self {
        lock(&process.progress).looks += 1;
        Self(process)
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let mut progress = lock(&self.0.progress);
        progress.looks -= 1;
        progress.last_look = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_look_has_brought_does_not_come_live_again() {
        let about = About {
            id: ProcessId(1),
            command: String::new(),
            workdir: PathBuf::new(),
            tty: false,
            call: None,
        };
        let process =
            Process::new(about, Control::new(false).unwrap().0, Asking::new(ProcessId(1), None), None);
        process.arrived(b"one\xE2\x82");
        assert_eq!(process.take(100, false).output.head, "one");
        process.arrived(b"\xACtwo");
        assert_eq!(lock(&process.progress).live.take().as_deref(), Some("\u{20AC}two"));
        assert_eq!(process.take(100, false).output.head, "\u{20AC}two");
    }
}
