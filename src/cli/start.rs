//! Building a session's harness from what was typed, the configuration and the machine.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use secrecy::SecretString;
use tokio::sync::mpsc;

use crate::config::{Backend, Config, Home};
use crate::context::{self, Network, Opening, Person, instructions};
use crate::harness::{self, Handle, OpenedModel, Parts};
use crate::model::auth::{self, AuthFile};
use crate::model::catalog::{self, Catalog, Resolved};
use crate::model::{ModelError, ModelErrorKind};
use crate::protocol::{
    Approval, Command, Event, FORMAT_VERSION, Fact, Level, ModelRef, SandboxMode, SessionId, Settings, Time,
    TurnId,
};
use crate::sandbox::{self, SharedSandbox};
use crate::session::Session;
use crate::shell::{self, Shell};
use crate::store::{Blobs, Log, LogError, Sessions};
use crate::tools::{Toolbox, Workspace};

use super::error::{CliError, Kind};

/// Live processes of a session at most.
const MAX_PROCESSES: usize = 64;

/// What was typed and configured, ready to start sessions.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) config: Config,
    pub(super) home: Home,
    pub(super) workspace: PathBuf,
    pub(super) typed: Typed,
    /// When a person is asked in new sessions.
    pub(super) approval: Approval,
    /// Whether somebody is there to be asked.
    pub(super) person: Person,
}

/// What was typed on the command line for this run. It goes before what a resumed session ran with.
#[derive(Debug, Clone, Default)]
pub(super) struct Typed {
    pub(super) model: Option<ModelRef>,
    pub(super) sandbox: Option<SandboxMode>,
    pub(super) approval: Option<Approval>,
}

/// Whether a session is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Kept,
    Ephemeral,
}

/// A session as it was left. Nobody else can write it meanwhile.
pub(super) struct Kept {
    id: SessionId,
    log: Log,
    history: Vec<Event>,
    pub(super) session: Session,
    /// What it ran with last.
    settings: Settings,
}

/// A session with a running harness.
pub(super) struct Open {
    pub(super) id: SessionId,
    /// What the log told before the harness started.
    pub(super) history: Vec<Event>,
    pub(super) handle: Handle,
    pub(super) blobs: Blobs,
    /// One line for a person: what runs, where, with what.
    pub(super) headline: String,
    /// The whole session, when it is not to be kept.
    ephemeral: Option<tempfile::TempDir>,
}

impl Open {
    pub(super) fn command(&self, command: Command) {
        // A harness that has ended says so through its updates.
        let _ = self.handle.commands.send(command);
    }

    /// Whether the session can be gone on with later.
    pub(super) fn kept(&self) -> bool {
        self.ephemeral.is_none()
    }
}

impl Start {
    pub(super) fn sessions(&self) -> Sessions {
        Sessions::new(self.home.sessions())
    }

    /// The session that was named by its id or the beginning of it, or else the last one of this directory.
    pub(super) fn find(&self, id: Option<&str>) -> Result<SessionId, CliError> {
        match id {
            Some(id) => self.sessions().find(id),
            None => self.sessions().last(Some(&self.workspace)),
        }
        .map_err(|error| CliError::usage(error.to_string()))
    }

    /// Begins a session.
    pub(super) fn new_session(
        &self,
        place: Place,
        output_schema: Option<serde_json::Value>,
        deltas: bool,
    ) -> Result<Open, CliError> {
        let (settings, notes) = self.settings(output_schema)?;
        let id = SessionId(uuid::Uuid::now_v7());
        let ephemeral = match place {
            Place::Kept => None,
            Place::Ephemeral => Some(tempfile::tempdir().map_err(CliError::failed)?),
        };
        let sessions = match &ephemeral {
            None => self.sessions(),
            Some(folder) => Sessions::new(folder.path()),
        };
        // First of all, so that a home that can't be written is not taken for a missing sandbox.
        let folder = sessions.folder(id);
        fs::create_dir_all(&folder)
            .map_err(|error| log_error(id, &LogError::Io { path: folder.clone(), error }))?;
        let sandbox = self.sandbox(&settings, &folder).inspect_err(|_| {
            // The error counts; an empty folder that stays harms nobody.
            let _ = fs::remove_dir_all(&folder);
        })?;
        let log = Log::create(&sessions.log(id)).map_err(|error| log_error(id, &error))?;
        let mut begin = vec![
            Fact::SessionStarted {
                session: id,
                version: FORMAT_VERSION,
                agent: env!("CARGO_PKG_VERSION").to_owned(),
                workspace: self.workspace.clone(),
            },
            Fact::Configured { settings: settings.clone() },
        ];
        begin.extend(notes.into_iter().map(|text| Fact::Noted { level: Level::Warning, text }));
        let (opening, said) = self.opening(&settings, &sandbox);
        begin.extend(opening.into_iter().map(Fact::item));
        begin.extend(said.into_iter().map(|text| Fact::Noted { level: Level::Warning, text }));
        self.open(id, &sessions, log, Vec::new(), begin, &settings, sandbox, deltas, ephemeral)
    }

    /// Opens a session that is kept, and leaves it as it is.
    pub(super) fn reopen(&self, id: SessionId) -> Result<Kept, CliError> {
        let (log, history) = Log::open(&self.sessions().log(id)).map_err(|error| log_error(id, &error))?;
        let session = Session::replay(&history);
        let Some(settings) = session.settings.clone() else {
            return Err(CliError::failed(format!("session {id} ended before it had begun"))
                .hint(format!("agent sessions rm {id}")));
        };
        Ok(Kept { id, log, history, session, settings })
    }

    /// Lets a session go on.
    pub(super) fn resume(
        &self,
        kept: Kept,
        output_schema: Option<serde_json::Value>,
        deltas: bool,
    ) -> Result<Open, CliError> {
        let Kept { id, log, history, session, settings: before } = kept;
        let sessions = self.sessions();
        if !session.workspace.is_dir() {
            return Err(CliError::failed(format!(
                "the directory of session {id} is gone: {}",
                session.workspace.display()
            ))
            .hint(
                "bring it back, or look at the session with: agent sessions show ".to_owned()
                    + &id.to_string(),
            ));
        }
        // A link there may have been made by a command of the session.
        let now = session.workspace.canonicalize().map_err(CliError::failed)?;
        if now != session.workspace {
            return Err(CliError::failed(format!(
                "the directory of session {id} leads to another place now: {} is {}",
                session.workspace.display(),
                now.display()
            ))
            .hint("bring it back, or begin a new session in the other one"));
        }
        let mut settings = before.clone();
        self.overrides(&mut settings)?;
        if output_schema.is_some() {
            settings.output_schema = output_schema;
        }
        let mut begin = if settings == before {
            Vec::new()
        } else {
            vec![Fact::Configured { settings: settings.clone() }]
        };
        let of_session = Self { workspace: session.workspace, ..self.clone() };
        let sandbox = of_session.sandbox(&settings, &sessions.folder(id))?;
        if session.turns == TurnId::default() {
            // It may have been killed while this was written.
            let (opening, _) = of_session.opening(&settings, &sandbox);
            let missing = opening.into_iter().filter(|item| !session.items.iter().any(|had| **had == *item));
            begin.extend(missing.map(Fact::item));
        }
        of_session.open(id, &sessions, log, history, begin, &settings, sandbox, deltas, None)
    }

    /// The settings of a new session, and what the person should know about them.
    fn settings(
        &self,
        output_schema: Option<serde_json::Value>,
    ) -> Result<(Settings, Vec<String>), CliError> {
        let resolved = self.resolve(&self.config.model)?;
        let mut limits = resolved.limits;
        if let Some(window) = self.config.context_window {
            limits.window = window;
        }
        let settings = Settings {
            model: resolved.model,
            effort: self.config.effort.or(resolved.effort),
            verbosity: self.config.verbosity.or(resolved.verbosity),
            approval: self.approval,
            sandbox: self.config.sandbox,
            backend: self.config.backend.to_string(),
            limits,
            output_schema,
        };
        let notes = self.config.notices.iter().cloned().chain(resolved.notes).collect();
        Ok((settings, notes))
    }

    /// What was typed for this run goes before what the session ran with; the configuration does not.
    fn overrides(&self, settings: &mut Settings) -> Result<(), CliError> {
        let typed = &self.typed;
        if let Some(model) = &typed.model {
            let resolved = self.resolve(model)?;
            settings.limits = resolved.limits;
            settings.effort = resolved.effort;
            settings.verbosity = resolved.verbosity;
            settings.model = resolved.model;
        }
        if let Some(sandbox) = typed.sandbox {
            settings.sandbox = sandbox;
        }
        if let Some(approval) = typed.approval {
            settings.approval = approval;
        }
        Ok(())
    }

    pub(super) fn resolve(&self, model: &ModelRef) -> Result<Resolved, CliError> {
        self.catalog().resolve(model).map_err(|error| CliError::usage(error.to_string()))
    }

    /// The file with keys that are not in the environment.
    pub(super) fn keys(&self) -> AuthFile {
        AuthFile::new(self.home.keys())
    }

    fn catalog(&self) -> Catalog {
        Catalog::builtin()
            .idle_timeout(Duration::from_secs(self.config.idle_timeout))
            .with(&self.config.providers)
            .with_models(&self.config.models)
    }

    /// Opens models by the settings of a session, with keys from the environment or the key file.
    fn models(&self) -> harness::OpenModel {
        let catalog = self.catalog();
        let keys = self.keys();
        Arc::new(move |settings: &Settings| {
            let resolved = catalog
                .resolve(&settings.model)
                .map_err(|error| ModelError::new(ModelErrorKind::Request, error.to_string()))?;
            let key: Option<SecretString> =
                auth::key(&resolved.provider, |name| std::env::var(name).ok(), &keys)?;
            Ok(OpenedModel {
                model: catalog::open(&resolved, key.as_ref())?,
                name: settings.model.model.clone(),
            })
        })
    }

    /// Where the commands of a session run.
    fn sandbox(&self, settings: &Settings, folder: &Path) -> Result<SharedSandbox, CliError> {
        if settings.backend != Backend::Local.to_string() {
            return Err(CliError::usage(format!("backend `{}` is not there yet", settings.backend))
                .hint("use --backend local"));
        }
        self.local_sandbox(settings.sandbox, folder)
    }

    /// A sandbox on this machine, or why there is none.
    pub(super) fn local_sandbox(&self, mode: SandboxMode, folder: &Path) -> Result<SharedSandbox, CliError> {
        sandbox::pick(self.sandbox_settings(mode, folder)?).map_err(|error| {
            CliError::new(Kind::Sandbox, format!("commands can't be run in a sandbox here: {error}")).hint(
                "agent doctor says more; --sandbox danger-full-access runs without one, at your own risk",
            )
        })
    }

    /// Further directories that may be written, by their own names. What can't be resolved is told of by the sandbox.
    fn writable_roots(&self) -> Vec<PathBuf> {
        let roots = self.config.writable_roots.iter();
        roots.map(|root| root.canonicalize().unwrap_or_else(|_| root.clone())).collect()
    }

    /// Where this program keeps its settings, keys and sessions: for neither commands nor file tools.
    fn own_places(&self) -> Vec<PathBuf> {
        let Home { config, data, state, cache } = &self.home;
        [config, data, state, cache].map(|place| crate::tools::resolved(place)).into()
    }

    /// The environment of commands.
    pub(super) fn environment(&self, mode: SandboxMode) -> sandbox::env::Vars {
        sandbox::env::with_allowed(sandbox::env::for_commands(mode), &self.config.shell.env_allow)
    }

    pub(super) fn sandbox_settings(
        &self,
        mode: SandboxMode,
        scratch: &Path,
    ) -> Result<sandbox::Settings, CliError> {
        let lost = |error: io::Error| CliError::failed(format!("this program can't find itself: {error}"));
        let writable = self.writable_roots();
        let program = std::env::current_exe().map_err(lost)?;
        let written: Vec<PathBuf> = writable.iter().chain([&self.workspace]).cloned().collect();
        Ok(sandbox::Settings {
            mode,
            workspace: self.workspace.clone(),
            writable,
            scratch: scratch.join("scratch"),
            own: self.own_places(),
            helper: sandbox::itself(&program, &written).map_err(lost)?,
            program,
        })
    }

    /// What the model is told at the beginning, and what of it the person should know.
    fn opening(
        &self,
        settings: &Settings,
        sandbox: &SharedSandbox,
    ) -> (Vec<crate::protocol::Item>, Vec<String>) {
        let user = [self.home.config.clone()];
        let places = instructions::candidates(repository(&self.workspace).as_deref(), &self.workspace, &user);
        let within = repository(&self.workspace).unwrap_or_else(|| self.workspace.clone());
        let read = |path: &Path| {
            let own = path.starts_with(&self.home.config);
            read_text(path, (!own).then_some(within.as_path()))
        };
        let (files, mut said) = instructions::gather(&places, read);
        let instructions = instructions::build(&files, self.config.instructions.max_bytes);
        said.extend(instructions.left_out.iter().map(|left_out| left_out.to_string()));
        let now = jiff::Zoned::now();
        let opening = context::opening(&Opening {
            cwd: self.workspace.clone(),
            shell: shell().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            date: now.strftime("%Y-%m-%d").to_string(),
            timezone: now.time_zone().iana_name().unwrap_or("UTC").to_owned(),
            sandbox: settings.sandbox,
            approval: settings.approval,
            network: match settings.sandbox {
                SandboxMode::DangerFullAccess => Network::On,
                SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite => Network::Off,
            },
            writable: self.writable_roots(),
            backend: sandbox.describe(),
            person: self.person,
            instructions,
        });
        (opening, said)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the two callers have each of them at hand, and nobody else"
    )]
    fn open(
        &self,
        id: SessionId,
        sessions: &Sessions,
        log: Log,
        history: Vec<Event>,
        begin: Vec<Fact>,
        settings: &Settings,
        sandbox: SharedSandbox,
        deltas: bool,
        ephemeral: Option<tempfile::TempDir>,
    ) -> Result<Open, CliError> {
        let folder = sessions.folder(id);
        let blobs = Blobs::new(folder.join("blobs"));
        let workspace = Workspace {
            root: self.workspace.clone(),
            writable: self.writable_roots(),
            own: self.own_places(),
        };
        let outside = sandbox::pick(self.sandbox_settings(SandboxMode::DangerFullAccess, &folder)?)
            .map_err(|error| CliError::new(Kind::Sandbox, error.to_string()))?;
        let (exits_told, exits) = mpsc::unbounded_channel();
        let shell = Shell::new(
            shell::Settings {
                blobs: folder.join("blobs"),
                workspace: self.workspace.clone(),
                env: self.environment(settings.sandbox),
                shell: shell(),
                sandbox,
                outside,
                max_processes: MAX_PROCESSES,
                seed: seed(id, &history),
            },
            exits_told,
        );
        let headline = format!(
            "agent {} · {id} · {} · {} · {}",
            env!("CARGO_PKG_VERSION"),
            settings.model,
            settings.sandbox,
            self.workspace.display()
        );
        let handle = harness::start(Parts {
            log,
            session: Session::replay(&history),
            begin,
            blobs: blobs.clone(),
            models: self.models(),
            tools: Toolbox::builtin(),
            workspace,
            shell,
            exits,
            clock: Arc::new(now),
            deltas,
        });
        Ok(Open { id, history, handle, blobs, headline, ephemeral })
    }
}

/// Why a log can't be used, and what to do.
fn log_error(id: SessionId, error: &LogError) -> CliError {
    let failed = CliError::failed(format!("session {id} can't be opened: {error}"));
    match error {
        LogError::Locked => failed.hint("end the other one first, or begin a new session"),
        LogError::Damaged { .. } => {
            failed.hint(format!("agent sessions show {id} prints what can be read; nothing was changed"))
        }
        LogError::Io { .. } => failed,
    }
}

/// Where the ids of processes begin: elsewhere each time that a session is opened.
fn seed(id: SessionId, history: &[Event]) -> u32 {
    let chance = u32::from_ne_bytes(id.0.as_bytes().last_chunk().copied().unwrap_or_default());
    // A process is never started without a fact, so that this is another number for another process.
    let facts = u32::try_from(history.len()).unwrap_or_default();
    chance.wrapping_add(facts.wrapping_mul(0x9e37_79b1))
}

/// The time, to the millisecond: what the log keeps.
fn now() -> Time {
    Time::from_millisecond(Time::now().as_millisecond()).unwrap_or(Time::UNIX_EPOCH)
}

/// The user's shell, if it is one that reads POSIX commands.
pub(super) fn shell() -> PathBuf {
    let known = ["bash", "zsh", "sh", "dash", "ksh"];
    let own = std::env::var_os("SHELL").map(PathBuf::from).filter(|path| {
        path.is_absolute() && path.file_name().is_some_and(|name| known.iter().any(|known| name == *known))
    });
    let standard = ["/bin/bash", "/usr/bin/bash", "/bin/sh"].map(PathBuf::from);
    own.into_iter().chain(standard).find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("/bin/sh"))
}

/// The root of the repository that a directory is in.
fn repository(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().find(|dir| dir.join(".git").exists()).map(Path::to_owned)
}

/// More than this is no instruction file. 1 MiB.
const LONGEST_INSTRUCTIONS: u64 = 1 << 20;
const NO_INSTRUCTIONS: &str = "it is not a text file of at most 1 MiB";

/// Reads a text file, if there is one. What a repository has must lie in it: a link of its to somewhere else would
/// show the model a file that the person did not choose.
fn read_text(path: &Path, within: Option<&Path>) -> io::Result<Option<String>> {
    let path = match path.canonicalize() {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        path => path?,
    };
    if let Some(root) = within
        && !path.starts_with(root.canonicalize()?)
    {
        return Err(io::Error::other("it is a link to a place outside of the repository"));
    }
    if !path.metadata()?.is_file() {
        return Err(io::Error::other(NO_INSTRUCTIONS));
    }
    let mut text = String::new();
    // Not by its size alone: special files have none.
    fs::File::open(path)?.take(LONGEST_INSTRUCTIONS + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST_INSTRUCTIONS {
        return Err(io::Error::other(NO_INSTRUCTIONS));
    }
    Ok(Some(text))
}
