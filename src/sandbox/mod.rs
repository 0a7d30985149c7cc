//! Where commands run: a sandbox turns one command line into another.
//!
//! It knows nothing of terminals, tools or sessions, so that every backend shares one path for output and input.

pub mod attempt;
mod configured;
#[cfg(target_os = "linux")]
mod docker;
pub mod env;
mod git;
#[cfg(target_os = "linux")]
mod linux;
pub mod network;
mod none;
mod program;
mod publish;
#[cfg(any(target_os = "macos", test))]
mod seatbelt;

use std::{ffi::OsString, path::PathBuf, process::ExitCode, sync::Arc};

use crate::protocol::{CallId, SandboxMode};

use self::network::Network;

pub use configured::obeyed;
#[cfg(target_os = "linux")]
pub use docker::DockerSettings;
pub use git::Git;
pub use program::itself;

/// A program to start, whole: nothing is inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    pub program: OsString,
    pub args: Vec<OsString>,
    /// The whole environment of the child.
    pub env: Vec<(OsString, OsString)>,
    /// Absolute. Inside the sandbox it has the same path.
    pub cwd: PathBuf,
    /// The command gets a terminal as its standard streams (else pipes).
    pub tty: bool,
}

/// What the sandbox is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub mode: SandboxMode,
    /// The directory that the session is about. Absolute, links resolved.
    pub workspace: PathBuf,
    /// Further directories that may be written. They must exist.
    pub writable: Vec<PathBuf>,
    /// A directory of this session's own, made on first use and removed by whoever made the session's folder.
    pub scratch: PathBuf,
    /// Files that commands may see although they look like secrets: absolute, or below any of the directories.
    pub reveal: Vec<PathBuf>,
    /// Bytes that the session's own HOME, /tmp and /var/tmp may take of the disk together; and a single file at most.
    pub disk: u64,
    /// Directories of this program: its settings, keys and sessions. Commands neither read nor write them.
    pub own: Vec<PathBuf>,
    /// Directories that commands may read, at the same path, although they may lie in one of these: copies of skills.
    /// What comes into them later is seen as well. One that is not there is none.
    pub shown: Vec<PathBuf>,
    /// What starts this program again, as the sandbox's helper: see [`itself`].
    pub helper: PathBuf,
    /// Where this program lies, for commands that call it by another name. May be gone, or another one.
    pub program: PathBuf,
}

/// What a session's own directories take at most, unless the settings say something else: bytes.
pub const DISK: u64 = 10 << 30;

/// A place where commands run.
#[async_trait::async_trait]
pub trait Sandbox: Send + Sync {
    /// The command line that runs `command` inside. Starts what must be started, once.
    ///
    /// Whoever runs it signals only the process that it starts. HUP, INT, QUIT, TERM, USR1, USR2, CONT and WINCH
    /// reach the command; ALRM ends everything that it started, at once and in order; KILL does so too.
    ///
    /// # Errors
    /// When the sandbox can't be had; the command must then not run.
    fn wrap(&self, command: CommandLine) -> Result<CommandLine, SandboxError>;

    /// The same for the command of a call, so that what it does with the network is told with that.
    ///
    /// # Errors
    /// As [`Sandbox::wrap`].
    fn wrap_for(&self, command: CommandLine, call: Option<&CallId>) -> Result<CommandLine, SandboxError> {
        let _ = call;
        self.wrap(command)
    }

    /// What the result of a call is to say of connections that its command did not get: a sentence each, said once.
    fn refusals(&self, call: Option<&CallId>) -> Vec<String> {
        let _ = call;
        Vec::new()
    }

    /// In one line, what holds: for the status line, `doctor`, and the model.
    fn describe(&self) -> String;

    /// What a command that may change the workspace could do to it, because this sandbox can't hold it: why each one is
    /// asked for. Nothing where it can.
    fn weakness(&self) -> Option<String> {
        None
    }

    /// Whether commands here can be let reach other machines at all, whatever is allowed.
    fn can_reach(&self) -> bool {
        true
    }

    /// Whether commands of root stay root here, if without its rights; then that is said, and nothing else promised.
    fn keeps_root(&self) -> bool {
        false
    }

    /// What starts this program inside, to make an [`attempt`]; nothing where it is not there.
    fn attacker(&self) -> Option<PathBuf> {
        None
    }

    /// The environment of commands there, from what it would be on this machine.
    fn environment(&self, env: env::Vars) -> env::Vars {
        env
    }

    /// The shell that commands have there, when it is not the user's own.
    fn shell(&self) -> Option<PathBuf> {
        None
    }

    /// Brings in what the person changed since the last command. Called before each command.
    ///
    /// # Errors
    /// When it can't be brought in; the command must then not run.
    async fn refresh(&self) -> Result<(), SandboxError> {
        Ok(())
    }

    /// Brings out what commands changed, as far as it is theirs to change. Called when a command has ended, before
    /// anyone hears of it, and after each look at one that goes on.
    async fn publish(&self) -> Published {
        Published::default()
    }

    /// Ends everything inside.
    async fn stop(&self);
}

/// What came of bringing out what commands changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published {
    /// What was kept back or is to be looked at first: a sentence each, for the model and the person.
    pub warnings: Vec<String>,
}

/// Why there is no sandbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SandboxError {
    /// What is missing, and how to get it.
    pub message: String,
}

/// A sandbox, shared by all that runs commands.
pub type SharedSandbox = Arc<dyn Sandbox>;

/// One layer of a sandbox, as found by trying it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    pub name: String,
    pub ok: bool,
    /// What it does, or what is missing and how to get it.
    pub detail: String,
}

/// A sentence of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// What it is about, in a word or two.
    pub about: &'static str,
    pub text: String,
}

/// What commands may do under these settings, in words.
///
/// # Errors
/// When there can be no such sandbox.
pub fn policy(settings: &Settings) -> Result<Vec<Article>, SandboxError> {
    if settings.mode == SandboxMode::DangerFullAccess {
        let text = "everything that you may: there is no sandbox".to_owned();
        return Ok(vec![Article { about: "do", text }]);
    }
    #[cfg(target_os = "linux")]
    return linux::explain::policy(settings);
    #[cfg(target_os = "macos")]
    return Ok(seatbelt::policy(settings));
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    local(settings.clone()).map(|_| Vec::new())
}

/// The sandbox that `settings` ask for, started and tried. Never a weaker one.
///
/// # Errors
/// When a layer of it can't be had. The text says which, and how to get it.
pub fn pick(settings: Settings) -> Result<SharedSandbox, SandboxError> {
    pick_with(settings, None)
}

/// The same, whose commands reach what `network` lets them reach.
///
/// # Errors
/// As [`pick`].
pub fn pick_with(settings: Settings, network: Option<Network>) -> Result<SharedSandbox, SandboxError> {
    match settings.mode {
        SandboxMode::DangerFullAccess => {
            let links = Some((settings.program, settings.scratch.join("bin")));
            Ok(Arc::new(none::Unconfined { helper: settings.helper, links }))
        }
        SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite => local(settings, network),
    }
}

/// The same in a container, with a network if there is one. `say` is told of what takes long.
///
/// # Errors
/// As [`pick`]; and when there is no engine, or no image.
#[cfg(target_os = "linux")]
pub fn contain(
    settings: Settings,
    docker: DockerSettings,
    network: Option<Network>,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<SharedSandbox, SandboxError> {
    Ok(Arc::new(docker::Docker::start(settings, docker, network, say)?))
}

/// What there is of a container engine, found by asking it.
#[cfg(target_os = "linux")]
#[must_use]
pub fn engine(docker: DockerSettings) -> Vec<Layer> {
    docker::probe::layers(docker)
}

/// No sandbox: for what a person let out. Processes still end with the agent.
#[must_use]
pub fn outside(helper: PathBuf) -> SharedSandbox {
    Arc::new(none::Unconfined { helper, links: None })
}

/// What there is of a sandbox on this machine, each layer found by a real attempt.
#[must_use]
pub fn probe(settings: &Settings) -> Vec<Layer> {
    #[cfg(target_os = "linux")]
    return linux::layers(settings);
    #[cfg(not(target_os = "linux"))]
    match local(settings.clone(), None) {
        Ok(sandbox) => vec![Layer { name: "local".into(), ok: true, detail: sandbox.describe() }],
        Err(error) => vec![Layer { name: "local".into(), ok: false, detail: error.message }],
    }
}

#[cfg(target_os = "linux")]
fn local(settings: Settings, network: Option<Network>) -> Result<SharedSandbox, SandboxError> {
    linux::ways::start(settings, network)
}

#[cfg(target_os = "macos")]
fn local(settings: Settings, _: Option<Network>) -> Result<SharedSandbox, SandboxError> {
    Ok(Arc::new(seatbelt::Seatbelt::start(settings)?))
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn local(_: Settings, _: Option<Network>) -> Result<SharedSandbox, SandboxError> {
    Err(SandboxError {
        message: "no sandbox: there is none for this system yet. To run without one, at your own risk: \
                  --sandbox danger-full-access"
            .into(),
    })
}

/// Runs as the sandbox's helper process, if `args` say so. Called before anything else of the program: it
/// runs once for every command, without threads and without a runtime.
#[must_use]
pub fn helper(args: &[OsString]) -> Option<ExitCode> {
    let args = args.get(1..)?;
    #[cfg(target_os = "linux")]
    if let Some(code) = linux::helper(args).or_else(|| docker::helper(args)) {
        return Some(code);
    }
    attempt::main(args)
}
