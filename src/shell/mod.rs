//! Commands that outlive one call: a table of processes, their output, and waiting for them (or seeing that they
//! wait for us).
//!
//! It does not know what may run, nor for whom: it is given command lines and a sandbox. Of a process it
//! signals only what it started itself, which is the sandbox's outer helper; that one passes signals on, and
//! everything inside dies with it.

mod asking;
#[cfg(test)]
mod asking_tests;
mod launch;
mod live;
mod login;
mod output;
mod process;
mod pty;
mod reader;
mod screen;
#[cfg(test)]
mod screen_tests;
mod spawn;
mod spill;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod until;
#[cfg(test)]
mod until_tests;
mod wait;
mod waiting;
#[cfg(test)]
mod waiting_tests;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::process::Pid;
use secrecy::SecretString;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use self::{
    asking::Asking,
    login::Logins,
    process::{About, Env, Glimpse, Kill, OnCancel, Process},
    reader::{Control, Reader},
    spawn::{Born, Spawner},
    spill::Spill,
    table::Table,
};

pub use self::{
    asking::{Answered, Ask},
    screen::{Shot, Size},
    until::{Pattern, Until},
    waiting::Waiting,
};

use crate::{
    protocol::{BlobId, CallId, Excerpt, ProcessId},
    sandbox::{CommandLine, SandboxError, SharedSandbox},
    secrets::{Filter, Secrets},
};

/// The processes of a session. Cheap to clone.
#[derive(Clone)]
pub struct Shell {
    inner: Arc<Inner>,
    /// The call that uses this handle: what its commands do with the network is told with it.
    call: Option<CallId>,
}

struct Inner {
    settings: Settings,
    place: Mutex<Arc<Place>>,
    exits: mpsc::UnboundedSender<Exit>,
    spawner: Result<Spawner, ShellError>,
    table: Mutex<Table>,
    /// The tasks that wait for the end of a process: one for each that was not reaped yet.
    tasks: TaskTracker,
    stop: CancellationToken,
    /// What still runs is killed with the last handle.
    _stop_on_drop: DropGuard,
}

/// Where commands begin.
struct Place {
    sandbox: SharedSandbox,
    env: Arc<Env>,
    /// What login files make of the environment there.
    logins: Logins,
}

/// What a shell is made of.
#[derive(Clone)]
pub struct Settings {
    /// Where whole outputs are kept: `<hash>` when finished, `tmp-*` while they are written.
    pub blobs: PathBuf,
    /// The directory that relative working directories start from.
    pub workspace: PathBuf,
    /// The whole environment of every command, before login files.
    pub env: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    /// Variables that login files must not bring, such as the keys of providers.
    pub forbidden: Vec<String>,
    /// The user's shell: absolute path of a POSIX-like shell.
    pub shell: PathBuf,
    /// Where commands run.
    pub sandbox: SharedSandbox,
    /// Where commands run that a person let out of the sandbox.
    pub outside: SharedSandbox,
    /// What is taken out of all that commands say.
    pub secrets: Secrets,
    /// Who can reach a person, to ask for what is typed and not echoed; nobody when there is no person.
    pub person: Option<mpsc::UnboundedSender<Ask>>,
    /// Processes at most; for one more an ended one goes, or the one that was not looked at for longest.
    pub max_processes: usize,
    /// Where the ids of processes begin. Another one each time that a session is opened, so that the model
    /// does not take a new process for one that it remembers.
    pub seed: u32,
}

/// A command to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Text for the shell.
    pub command: String,
    pub workdir: PathBuf,
    /// Another shell than the user's.
    pub shell: Option<PathBuf>,
    /// With the environment that the login files make.
    pub login: bool,
    pub tty: bool,
    /// Outside the sandbox. Whoever sets this has the permission of a person.
    pub outside: bool,
}

/// How long to look, and how much to bring back.
#[derive(Clone)]
pub struct Look {
    pub wait: Duration,
    /// Bytes of output at most; longer output keeps its head and its tail.
    pub max_bytes: usize,
    /// Live output as it comes, twenty times a second at most, and of a flood only the latest. Not called any
    /// more when the look ends: the rest is in what was seen. Line ends are as they came.
    pub sink: Arc<dyn Fn(&str) + Send + Sync>,
    /// Ends the look, and kills the process that this call started.
    pub cancel: CancellationToken,
    /// What ends the look besides the end of the process.
    pub until: Until,
}

/// What was seen of a process in one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What the process was started with.
    pub command: String,
    pub workdir: PathBuf,
    pub wall: Duration,
    pub state: State,
    /// What it waits for somebody to type, as far as the system tells.
    pub waiting: Option<Waiting>,
    /// What a full-screen program shows; it is in the output, too.
    pub screen: Option<Shot>,
    /// What came of asking a person for it, if one was asked meanwhile.
    pub answered: Option<Answered>,
    /// The look ended because what it waited for was there.
    pub met: bool,
    pub output: Captured,
    /// Processes that were ended to make room for this one.
    pub pruned: Vec<ProcessId>,
    /// What the sandbox kept back of what it changed, or wants to be looked at.
    pub warnings: Vec<String>,
}

/// Whether a process still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Running(ProcessId),
    /// With the code of the shell (128 + signal when it was killed by one).
    Exited(i32),
    /// Ended by us: it is dead, or will be in two seconds at most.
    Killed,
}

/// Output since the last look, as text, cut to what was asked for.
///
/// Secrets are taken out. The text has U+FFFD where the output was not UTF-8, and on a terminal CRLF at line ends;
/// blobs hold the bytes as they came otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// Everything, or the first part of it. Whole characters.
    pub head: String,
    /// The last part, when something between was left out.
    pub tail: String,
    /// Bytes since the last look, before anything was left out.
    pub bytes: u64,
    /// Lines since the last look.
    pub lines: u64,
    /// Bytes that were not even kept in memory (they are in the blob).
    pub dropped: u64,
    /// The whole output of the process, if it ended and was too long to be all in results.
    pub blob: Option<BlobId>,
}

impl Captured {
    /// Adds text at the end, as far as it fits into `max` bytes.
    fn add(&mut self, text: &str, max: usize) {
        let shown = text::first(text, max.saturating_sub(self.head.len() + self.tail.len()));
        let end = if self.tail.is_empty() { &mut self.head } else { &mut self.tail };
        end.push_str(shown);
        self.bytes += text.len() as u64;
        self.lines += text::line_feeds(text.as_bytes());
    }

    /// The beginning and the end, at most `max` bytes of them.
    #[must_use]
    pub fn excerpt(&self, max: usize) -> Excerpt {
        let Self { bytes, lines, .. } = *self;
        let blob = self.blob.clone();
        if self.tail.is_empty() && self.head.len() <= max {
            return Excerpt { head: self.head.clone(), tail: String::new(), lines, bytes, blob };
        }
        let end = if self.tail.is_empty() { &self.head } else { &self.tail };
        let (head, tail) = (text::first(&self.head, max / 2), text::last(end, max / 2));
        Excerpt { head: head.to_owned(), tail: tail.to_owned(), lines, bytes, blob }
    }
}

/// A process that outlived its call has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    pub process: ProcessId,
    /// Missing when it was killed by us.
    pub code: Option<i32>,
    pub blob: Option<BlobId>,
}

/// A live process, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub process: ProcessId,
    pub command: String,
    pub tty: bool,
    pub running_for: Duration,
}

/// What can be seen of a process without taking anything away from the next look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    /// Whether it can be typed into.
    pub tty: bool,
    /// Whether what is typed is not to be seen: its terminal takes lines and does not echo them, as for a password.
    pub hidden: bool,
    /// The latest output, some kilobytes of it; of a full-screen program what it shows.
    pub latest: String,
    /// The size of its terminal, while a full-screen program has it.
    pub full_screen: Option<Size>,
}

/// What a command would find around it.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The shell that reads it.
    pub shell: PathBuf,
    pub env: Arc<Env>,
    /// The environment is all that there is: login files have been asked, and add nothing to it.
    pub whole: bool,
}

/// Why a command did not start, or a process can't be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShellError {
    #[error("Unknown process id {0}")]
    Unknown(ProcessId),
    #[error("{0}")]
    Sandbox(#[from] SandboxError),
    #[error("{0}")]
    Spawn(String),
    #[error("stdin is closed for this session; rerun exec_command with tty=true to keep stdin open")]
    NoTerminal,
    #[error("the process is not reading its input: {waiting} bytes still wait to be read")]
    NotReading { waiting: usize },
    #[error("interrupted before the command was started")]
    Interrupted,
    #[error("the session has ended")]
    Stopped,
}

/// How long the login files of the user may take, once a session.
const LOGIN_LIMIT: Duration = Duration::from_secs(5);

impl Shell {
    /// A shell without processes. Ends of processes that outlived their call are told to `exits`.
    #[must_use]
    pub fn new(settings: Settings, exits: mpsc::UnboundedSender<Exit>) -> Self {
        let stop = CancellationToken::new();
        let inner = Inner {
            place: Mutex::new(Arc::new(Place::new(Arc::clone(&settings.sandbox), settings.env.clone()))),
            exits,
            spawner: Spawner::new(),
            table: Mutex::new(Table::new(settings.seed)),
            tasks: TaskTracker::new(),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
            settings,
        };
        Self { inner: Arc::new(inner), call: None }
    }

    /// A handle for the commands of a call.
    #[must_use]
    pub fn of(&self, call: &CallId) -> Self {
        Self { inner: Arc::clone(&self.inner), call: Some(call.clone()) }
    }

    /// Has commands run elsewhere from the next one on. What runs stays where it is: its sandbox must live on.
    pub fn move_to(&self, sandbox: SharedSandbox, env: Env) {
        *lock(&self.inner.place) = Arc::new(Place::new(sandbox, env));
    }

    /// What is taken out of all that commands say.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.inner.settings.secrets
    }

    /// What the next command would find around it, in the sandbox or outside. Starts nothing.
    #[must_use]
    pub fn surroundings(&self, outside: bool) -> Surroundings {
        let place = self.place();
        let shell = self.inner.settings.shell.clone();
        let login = place.logins.cell((shell.clone(), outside)).get().cloned();
        Surroundings { whole: login.is_some(), env: login.unwrap_or_else(|| Arc::clone(&place.env)), shell }
    }

    fn place(&self) -> Arc<Place> {
        Arc::clone(&lock(&self.inner.place))
    }

    /// Starts a command and looks at it for a while. When the call is interrupted, or this future is dropped,
    /// the command is ended.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn exec(&self, launch: Launch, look: Look) -> Result<Seen, ShellError> {
        let since = Instant::now();
        let (process, pruned) = tokio::select! {
            biased;
            () = look.cancel.cancelled() => return Err(ShellError::Interrupted),
            started = self.start(&launch) => started?,
        };
        let mut unfinished = Unfinished { inner: &self.inner, process: &process, finished: false };
        let glimpse = process.look(&look, since, OnCancel::Kill).await;
        unfinished.finished = true;
        drop(unfinished);
        Ok(self.seen(&process, since, glimpse, pruned))
    }

    /// Types into a process (nothing, to only look) and looks at it for a while. An interrupt ends the look and
    /// leaves the process. What asks a terminal for another size is not typed: its terminal has it then.
    ///
    /// # Errors
    /// When there is no such process, or it has no terminal to type into.
    pub async fn write(&self, process: ProcessId, text: &str, look: Look) -> Result<Seen, ShellError> {
        let since = Instant::now();
        let process = self.get(process)?;
        if !text.is_empty() && !process.is_ended() {
            match screen::wanted_size(text) {
                Some(size) => process.resize(size)?,
                None => process.control.type_in(text)?,
            }
        }
        let glimpse = process.look(&look, since, OnCancel::Leave).await;
        Ok(self.seen(&process, since, glimpse, Vec::new()))
    }

    /// Looks at several processes until something has happened that somebody should see: what the look waits for, the
    /// end of one of them (with `all`: of all), or one that waits for input. What each has said comes in the order in
    /// which they were named; of the bytes that the look may bring, each has an equal share.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn wait(
        &self,
        processes: &[ProcessId],
        all: bool,
        look: Look,
    ) -> Result<Vec<(ProcessId, Seen)>, ShellError> {
        let since = Instant::now();
        let found = processes.iter().map(|id| self.get(*id)).collect::<Result<Vec<_>, _>>()?;
        let stop = look.cancel.child_token();
        let max_bytes = look.max_bytes / found.len().max(1);
        let share = Look { cancel: stop.clone(), max_bytes, ..look };
        let looks = found.iter().map(|process| async {
            let glimpse = process.look(&share, since, OnCancel::Leave).await;
            let ended = !matches!(glimpse.state, State::Running(_));
            // Whoever waits for all is not woken by the first that ends.
            if !(all && ended && !glimpse.met) {
                stop.cancel();
            }
            self.seen(process, since, glimpse, Vec::new())
        });
        let seen = futures::future::join_all(looks).await;
        Ok(processes.iter().copied().zip(seen).collect())
    }

    /// Types into a process what a person wrote, and looks at nothing. What is not echoed is not to be seen later
    /// either.
    ///
    /// # Errors
    /// When there is no such process, or it does not take it.
    pub fn type_in(&self, process: ProcessId, text: &str) -> Result<(), ShellError> {
        let process = self.get(process)?;
        if process.is_ended() {
            return Ok(());
        }
        if process.hides() {
            self.secrets().know([SecretString::from(text)]);
        }
        process.control.type_in(text)
    }

    /// Gives a process the line that a person was asked for; nothing when they leave it to those who look at it.
    ///
    /// # Errors
    /// When there is no such process, or it does not take it.
    pub fn answer(&self, process: ProcessId, line: Option<&str>) -> Result<(), ShellError> {
        let process = self.get(process)?;
        let Some(line) = line else {
            process.asking.answered(Answered::Left);
            return Ok(());
        };
        self.secrets().know([SecretString::from(line)]);
        process.control.type_in(line)?;
        process.control.type_in("\r")?;
        process.asking.answered(Answered::Typed);
        Ok(())
    }

    /// What a process said last, for people: the next look brings it all the same.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn peek(&self, process: ProcessId) -> Result<Peek, ShellError> {
        let process = self.get(process)?;
        Ok(Peek {
            tty: process.about.tty,
            hidden: process.hides(),
            latest: process.latest(),
            full_screen: process.full_screen(),
        })
    }

    /// Gives the terminal of a process another size.
    ///
    /// # Errors
    /// When there is no such process, or it has no terminal.
    pub fn resize(&self, process: ProcessId, size: Size) -> Result<(), ShellError> {
        self.get(process)?.resize(size.sensible())
    }

    /// Has a process end, and everything that it started, without waiting for it.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn end(&self, process: ProcessId) -> Result<(), ShellError> {
        self.get(process)?.kill(Kill::Gently);
        Ok(())
    }

    /// The live processes, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let table = lock(&self.inner.table);
        let live = table.iter().filter(|process| !process.is_ended());
        live.map(|process| Listed {
            process: process.about.id,
            command: process.about.command.clone(),
            tty: process.about.tty,
            running_for: process.started.elapsed(),
        })
        .collect()
    }

    /// Ends a process and everything that it started, and returns when it has ended. Its last output can still
    /// be looked at.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn kill(&self, process: ProcessId) -> Result<(), ShellError> {
        let process = self.get(process)?;
        process.kill(Kill::Gently);
        process.ended().await;
        Ok(())
    }

    /// Ends all processes at once, and takes no more. Returns when none is left.
    pub async fn stop(&self) {
        lock(&self.inner.table).closed = true;
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    fn get(&self, id: ProcessId) -> Result<Arc<Process>, ShellError> {
        lock(&self.inner.table).get(id).cloned().ok_or(ShellError::Unknown(id))
    }

    async fn start(&self, launch: &Launch) -> Result<(Arc<Process>, Vec<ProcessId>), ShellError> {
        let inner = &self.inner;
        let program = launch::program(&inner.settings, launch.shell.as_deref())?;
        let place = self.place();
        let env = match launch.login {
            true => self.login_env(&place, &program, launch.outside).await,
            false => Arc::clone(&place.env),
        };
        let line = launch::command_line(launch, program, &env);
        if !launch.outside {
            place.sandbox.refresh().await?;
        }
        let born = self.spawn(&place, line, launch.outside).await?;
        let (control, bell) = control(launch.tty)?;
        let sandbox = (!launch.outside).then(|| Arc::clone(&place.sandbox));
        let (process, pruned) = {
            let mut table = lock(&inner.table);
            if table.closed {
                return Err(ShellError::Stopped);
            }
            let about = About {
                id: table.next_id(),
                command: launch.command.clone(),
                workdir: launch.workdir.clone(),
                tty: launch.tty,
                call: self.call.clone(),
            };
            let asking = Asking::new(about.id, inner.settings.person.clone());
            let process = Arc::new(Process::new(about, control, asking, sandbox));
            let pruned = table.insert(Arc::clone(&process), inner.settings.max_processes);
            (process, pruned)
        };
        for victim in &pruned {
            victim.kill(Kill::Gently);
        }
        let spill = Spill::new(Some(inner.settings.blobs.clone()));
        self.attend(&process, born, bell, spill, Some(inner.settings.secrets.filter()))
            .inspect_err(|_| lock(&inner.table).remove(process.about.id))?;
        Ok((process, pruned.iter().map(|victim| victim.about.id).collect()))
    }

    async fn spawn(&self, place: &Place, line: CommandLine, outside: bool) -> Result<Born, ShellError> {
        let sandbox = if outside { &self.inner.settings.outside } else { &place.sandbox };
        self.inner
            .spawner
            .as_ref()
            .map_err(Clone::clone)?
            .spawn(line, self.call.clone(), Arc::clone(sandbox))
            .await
    }

    /// Has a process read and waited for.
    fn attend(
        &self,
        process: &Arc<Process>,
        born: Born,
        bell: std::io::PipeReader,
        spill: Spill,
        filter: Option<Filter>,
    ) -> Result<(), ShellError> {
        let inner = &self.inner;
        if process.about.tty
            && let Some(helper) = born.child.id().and_then(|id| Pid::from_raw(id.cast_signed()))
            && let Ok(ours) = born.output.try_clone()
        {
            process.watch(ours, helper, self.secrets().clone());
        }
        let reader = Reader::start(Arc::clone(process), born.output, bell, spill, filter)?;
        let task = Arc::clone(process).supervise(born.child, reader, inner.stop.clone(), inner.exits.clone());
        inner.tasks.spawn(task);
        Ok(())
    }

    /// The environment that login files make; without them when they fail or take too long.
    async fn login_env(&self, place: &Place, shell: &Path, outside: bool) -> Arc<Env> {
        let cell = place.logins.cell((shell.to_owned(), outside));
        let capture = || async {
            let login = self.capture(place, shell, outside).await;
            login.map_or_else(
                || Arc::clone(&place.env),
                |login| Arc::new(login::merge(&place.env, login, &self.inner.settings.forbidden)),
            )
        };
        Arc::clone(cell.get_or_init(capture).await)
    }

    async fn capture(&self, place: &Place, shell: &Path, outside: bool) -> Option<Env> {
        let inner = &self.inner;
        let workdir = inner.settings.workspace.clone();
        let line = login::command_line(shell.to_owned(), &place.env, workdir.clone());
        let born = self.spawn(place, line, outside).await.ok()?;
        let (control, bell) = control(false).ok()?;
        let about = About { id: ProcessId(0), command: "login".into(), workdir, tty: false, call: None };
        let asking = Asking::new(about.id, None);
        let process = Arc::new(Process::new(about, control, asking, None));
        // What it says is for commands, and goes into no transcript.
        self.attend(&process, born, bell, Spill::new(None), None).ok()?;
        let _unfinished = Unfinished { inner, process: &process, finished: false };
        let look = Look {
            wait: LOGIN_LIMIT,
            max_bytes: output::BUDGET,
            sink: Arc::new(|_| {}),
            cancel: CancellationToken::new(),
            until: Until::End,
        };
        let Glimpse { state, output, .. } = process.look(&look, Instant::now(), OnCancel::Kill).await;
        // What login files print besides may be so much that only its end is there.
        let said = if output.tail.is_empty() { &output.head } else { &output.tail };
        if matches!(state, State::Exited(_)) { login::parse(said) } else { None }
    }

    fn seen(&self, process: &Process, since: Instant, glimpse: Glimpse, pruned: Vec<ProcessId>) -> Seen {
        let Glimpse { state, output, waiting, screen, answered, met, warnings } = glimpse;
        match state {
            State::Running(_) => {}
            State::Exited(_) | State::Killed => lock(&self.inner.table).remove(process.about.id),
        }
        let About { command, workdir, .. } = process.about.clone();
        Seen {
            command,
            workdir,
            wall: since.elapsed(),
            state,
            waiting,
            screen,
            answered,
            met,
            output,
            pruned,
            warnings,
        }
    }
}

impl Place {
    fn new(sandbox: SharedSandbox, env: Env) -> Self {
        Self { sandbox, env: Arc::new(env), logins: Logins::default() }
    }
}

/// A process whose call has not returned yet. It ends when the call is dropped.
struct Unfinished<'a> {
    inner: &'a Inner,
    process: &'a Process,
    finished: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.process.kill(Kill::Gently);
            lock(&self.inner.table).remove(self.process.about.id);
        }
    }
}

fn control(tty: bool) -> Result<(Control, std::io::PipeReader), ShellError> {
    Control::new(tty).map_err(|error| ShellError::Spawn(format!("can't make a pipe: {error}")))
}

/// Locks a mutex. A thread that panicked while it held one of ours has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
