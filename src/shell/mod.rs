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
mod seen;
mod spawn;
mod spill;
mod start;
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
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use secrecy::SecretString;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use self::{
    login::Logins,
    process::{About, Env, Glimpse, Kill, OnCancel, Process},
    spawn::Spawner,
    start::Unfinished,
    table::Table,
};

pub use self::{
    asking::{Answered, Ask},
    screen::{Shot, Size},
    seen::{Captured, Exit, Launch, Listed, Look, Peek, Seen, State, Surroundings},
    until::{Pattern, Until},
    waiting::Waiting,
};

use crate::{
    protocol::{CallId, ProcessId},
    sandbox::{SandboxError, SharedSandbox},
    secrets::Secrets,
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

/// Locks a mutex. A thread that panicked while it held one of ours has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
