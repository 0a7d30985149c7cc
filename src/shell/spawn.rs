//! Starting processes, on one thread of its own.
//!
//! Sandboxes tie the life of a command to the *thread* that started it (so that none survives a killed
//! program), and starting a sandbox may block: both want a thread that does nothing else and lives as long as
//! the session.

use std::{
    io,
    os::fd::OwnedFd,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use tokio::{process::Child, runtime::Handle, sync::oneshot};

use super::{ShellError, pty::Terminal};
use crate::protocol::CallId;
use crate::sandbox::{CommandLine, SharedSandbox};

/// Room in a pipe, so that a flood and its reader seldom wait for one another.
#[cfg(target_os = "linux")]
const PIPE_SIZE: usize = 1 << 20;

/// The thread that starts processes.
pub(super) struct Spawner {
    births: mpsc::Sender<Birth>,
}

/// A process just started. Dropping it kills it.
pub(super) struct Born {
    pub child: Child,
    /// Our end of its terminal, or of the pipe that its stdout and stderr share.
    pub output: OwnedFd,
}

struct Birth {
    command: CommandLine,
    call: Option<CallId>,
    sandbox: SharedSandbox,
    /// Where the child is waited for.
    runtime: Handle,
    reply: oneshot::Sender<Result<Born, ShellError>>,
}

impl Spawner {
    pub(super) fn new() -> Result<Self, ShellError> {
        let (births, orders) = mpsc::channel::<Birth>();
        let work = move || {
            for birth in orders {
                let result = birth.spawn();
                // Whoever does not wait any more wants no process: it is killed by being dropped.
                drop(birth.reply.send(result));
            }
        };
        thread::Builder::new()
            .name("spawner".into())
            .spawn(work)
            .map_err(|error| ShellError::Spawn(format!("can't start a thread: {error}")))?;
        Ok(Self { births })
    }

    /// Starts `command` in `sandbox`.
    pub(super) async fn spawn(
        &self,
        command: CommandLine,
        call: Option<CallId>,
        sandbox: SharedSandbox,
    ) -> Result<Born, ShellError> {
        let gone = || ShellError::Spawn("the thread that starts processes is gone".into());
        let (reply, born) = oneshot::channel();
        let birth = Birth { command, call, sandbox, runtime: Handle::current(), reply };
        self.births.send(birth).map_err(|_| gone())?;
        born.await.map_err(|_| gone())?
    }
}

impl Birth {
    fn spawn(&self) -> Result<Born, ShellError> {
        if self.reply.is_closed() {
            return Err(ShellError::Interrupted);
        }
        let tty = self.command.tty;
        let line = self.sandbox.wrap_for(self.command.clone(), self.call.as_ref())?;
        let wrong = |error: io::Error| {
            let reason = if line.cwd.is_dir() {
                format!("can't run `{}`: {error}", line.program.display())
            } else {
                format!("workdir `{}` is not a directory, or does not exist", line.cwd.display())
            };
            ShellError::Spawn(reason)
        };
        let mut command = Command::new(&line.program);
        command
            .args(&line.args)
            .env_clear()
            .envs(line.env.iter().map(|(k, v)| (k, v)))
            .current_dir(&line.cwd);
        let output =
            if tty { onto_terminal(&mut command) } else { onto_pipe(&mut command) }.map_err(wrong)?;
        let mut command = tokio::process::Command::from(command);
        let _runtime = self.runtime.enter();
        let child = command.kill_on_drop(true).spawn().map_err(wrong)?;
        Ok(Born { child, output })
    }
}

/// One pipe for stdout and stderr, so that their order is kept; no stdin.
fn onto_pipe(command: &mut Command) -> io::Result<OwnedFd> {
    use std::os::unix::process::CommandExt as _;

    let (ours, theirs) = io::pipe()?;
    #[cfg(target_os = "linux")]
    // Only faster: a user with many pipes already is refused the room.
    let _ = rustix::pipe::fcntl_setpipe_size(&ours, PIPE_SIZE);
    command.stdin(Stdio::null()).stdout(theirs.try_clone()?).stderr(theirs).process_group(0);
    Ok(ours.into())
}

/// A terminal as all three streams, in a session of its own. Taking it as the controlling terminal is left to
/// the sandbox's helper, which stands between us and the command.
fn onto_terminal(command: &mut Command) -> io::Result<OwnedFd> {
    let Terminal { ours, theirs } = Terminal::open()?;
    command.stdin(theirs.try_clone()?).stdout(theirs.try_clone()?).stderr(theirs);
    own_session(command);
    Ok(ours)
}

#[expect(unsafe_code, reason = "the standard library has no safe way to give a child a session of its own")]
fn own_session(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;

    let setsid = || rustix::process::setsid().map(drop).map_err(io::Error::from);
    // SAFETY: between fork and exec the closure makes one system call, and neither allocates nor locks.
    unsafe { command.pre_exec(setsid) };
}
