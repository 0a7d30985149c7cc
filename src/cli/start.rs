//! Building a session's harness from what was typed, the configuration and the machine.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use secrecy::SecretString;
use tokio::sync::mpsc;

use crate::config::{self, Backend, Config, ConfigError, Home, Inputs, TarballAt};
use crate::context::Person;
use crate::harness::{self, Handle, OpenedModel, Parts};
use crate::model::auth::{self, AuthFile};
use crate::model::catalog::{self, Catalog, Resolved};
use crate::model::found::Found;
use crate::model::record::Recorder;
use crate::model::token::Learned;
use crate::model::{ModelError, ModelErrorKind};
use crate::protocol::{
    Approval, Command, Effort, Event, FORMAT_VERSION, Fact, Level, ModelRef, Rule, SandboxMode, SessionId,
    Settings, Time, ToolStyle, TurnId, Verbosity,
};
use crate::sandbox::{self, SharedSandbox, network::Network};
use crate::secrets::Secrets;
use crate::session::Session;
use crate::shell::{self, Shell};
use crate::snapshot::{self, Snapshots};
use crate::store::{Blobs, Log, LogError, Sessions};
use crate::tools::{Toolbox, Workspace, load_skill::LoadSkill};

use super::{
    around::Around,
    error::{CliError, Kind},
    newer,
    online::Online,
    rehydrate,
    skills::Library,
    temporary::Temporary,
};

/// Live processes of a session at most.
const MAX_PROCESSES: usize = 64;

/// What was typed and configured, ready to start sessions.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) config: Config,
    /// What the configuration was read from.
    pub(super) inputs: Inputs,
    pub(super) home: Home,
    pub(super) workspace: PathBuf,
    pub(super) typed: Typed,
    /// When a person is asked in new sessions.
    pub(super) approval: Approval,
    /// Whether somebody is there to be asked.
    pub(super) person: Person,
    /// Models that answer in the place of those of the catalog.
    pub(super) models: Option<harness::OpenModel>,
    /// What is to stay out of transcripts, and what was taken out of those of this run.
    pub(super) secrets: Secrets,
    /// Hosts that were allowed on the command line, beside those of the configuration.
    pub(super) allow_hosts: Vec<String>,
    /// Keeps what goes to the provider and what comes back.
    pub(super) recorder: Option<Arc<Recorder>>,
}

/// What was typed on the command line for this run. It goes before what a resumed session ran with.
#[derive(Debug, Clone, Default)]
pub(super) struct Typed {
    model: Option<ModelRef>,
    effort: Option<Effort>,
    verbosity: Option<Verbosity>,
    context_window: Option<u64>,
    sandbox: Option<SandboxMode>,
    approval: Option<Approval>,
    backend: Option<Backend>,
}

impl Typed {
    /// What of the configuration was typed, with `-c` or an option of its own.
    pub(super) fn of(config: &Config) -> Self {
        let typed = |key| config.is_typed(key);
        Self {
            model: typed("model").then(|| config.model.clone()),
            effort: config.effort.filter(|_| typed("effort")),
            verbosity: config.verbosity.filter(|_| typed("verbosity")),
            context_window: config.context_window.filter(|_| typed("context_window")),
            sandbox: typed("sandbox").then_some(config.sandbox),
            approval: config.approval.filter(|_| typed("approval")),
            backend: typed("backend").then(|| config.backend.clone()),
        }
    }
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
    pub(super) log: Log,
    pub(super) history: Vec<Event>,
    pub(super) session: Session,
    /// What it ran with last.
    settings: Settings,
}

/// A session with a running harness.
pub(super) struct Open {
    pub(super) id: SessionId,
    pub(super) workspace: PathBuf,
    /// What the log told before the harness started.
    pub(super) history: Vec<Event>,
    pub(super) handle: Handle,
    pub(super) blobs: Blobs,
    /// The processes, for those who look at them.
    pub(super) shell: Shell,
    /// One line for a person: what runs, where, with what.
    pub(super) headline: String,
    /// The whole session, when it is not to be kept.
    ephemeral: Option<Temporary>,
}

impl Kept {
    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    /// What it ran with last.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }
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
        Sessions::new(self.home.sessions()).known_in(self.home.data.join("sessions.index"))
    }

    /// The session that was named by its id or the beginning of it, or else the last one of this directory.
    pub(super) fn find(&self, id: Option<&str>) -> Result<SessionId, CliError> {
        match id {
            Some(id) => self.sessions().find(id),
            None => self.sessions().last(Some(&self.workspace)),
        }
        .map_err(|error| CliError::usage(error.to_string()))
    }

    /// Whether a session can begin here.
    pub(super) fn can_begin(&self) -> Result<(), CliError> {
        match self.workspace.to_str() {
            Some(_) => Ok(()),
            None => Err(CliError::usage(format!(
                "can't work in {}: its path is not UTF-8, and can't be recorded",
                self.workspace.display()
            ))
            .hint("rename the directory")),
        }
    }

    /// Begins a session.
    pub(super) fn new_session(
        &self,
        place: Place,
        output_schema: Option<serde_json::Value>,
        deltas: bool,
    ) -> Result<Open, CliError> {
        self.can_begin()?;
        let (mut settings, notes) = self.settings(output_schema)?;
        let budget = self.budget(None, &settings)?;
        if place == Place::Ephemeral {
            // They would outlive it.
            settings.snapshots = crate::protocol::Snapshots::Off;
        }
        let id = SessionId(uuid::Uuid::now_v7());
        let ephemeral = match place {
            Place::Kept => None,
            Place::Ephemeral => Some(Temporary::new(&self.home).map_err(|error| {
                CliError::failed(format!("can't make a folder for the session: {error}"))
            })?),
        };
        let sessions = match &ephemeral {
            None => self.sessions(),
            Some(folder) => Sessions::new(folder.path()),
        };
        // First of all, so that a home that can't be written is not taken for a missing sandbox.
        let folder = sessions.folder(id);
        fs::create_dir_all(&folder)
            .map_err(|error| log_error(id, &LogError::Io { path: folder.clone(), error }))?;
        let online = self.online();
        let sandbox = self.sandbox(&settings, &folder, &online.network).inspect_err(|_| {
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
                parent: None,
            },
            Fact::Configured { settings: settings.clone() },
        ];
        begin.extend(budget);
        begin.extend(notes.into_iter().map(|text| Fact::Noted { level: Level::Warning, text }));
        begin.extend(self.rules_read(&Session::default()));
        let (opening, said) = self.opening(&settings, &sandbox);
        begin.extend(opening.into_iter().map(Fact::item));
        begin.extend(said.into_iter().map(|text| Fact::Noted { level: Level::Warning, text }));
        begin.extend(self.memory_news().map(|text| Fact::Noted { level: Level::Info, text }));
        let past = (Vec::new(), Session::default());
        self.open(id, &sessions, log, past, begin, &settings, (sandbox, online), deltas, ephemeral)
    }

    /// Keeps what a person decided about the repository, and reads the configuration anew.
    pub(super) fn trust(&mut self, trusted: bool) -> Result<(), CliError> {
        let file = self.home.trust_file();
        self.config.trust.decide(&file, trusted).map_err(|error| {
            CliError::failed(format!("what you decided can't be kept in {}: {error}", file.display()))
        })?;
        self.read()
    }

    /// The same in the directory of a session, with the configuration of that one.
    pub(super) fn of(&self, kept: &Kept) -> Result<Self, CliError> {
        let workspace = &kept.session.workspace;
        if !workspace.is_dir() {
            return Err(rehydrate::gone(kept, self));
        }
        // A link there may have been made by a command of the session.
        let now = workspace.canonicalize().map_err(CliError::failed)?;
        if now != *workspace {
            return Err(CliError::failed(format!(
                "the directory of session {} leads to another place now: {} is {}",
                kept.id,
                workspace.display(),
                now.display()
            ))
            .hint(format!("bring it back, or go on in the other one: agent resume {} --into DIR", kept.id)));
        }
        let mut there = self.clone();
        if *workspace != self.workspace {
            there.inputs.cwd.clone_from(workspace);
            there.workspace.clone_from(workspace);
            there.read()?;
        }
        Ok(there)
    }

    /// Reads the configuration anew.
    pub(super) fn read(&mut self) -> Result<(), CliError> {
        self.config = config::load(&self.inputs).map_err(CliError::usage)?;
        self.approval = approval(&self.config, self.person);
        Ok(())
    }

    /// Opens a session that is kept, and leaves it as it is.
    pub(super) fn reopen(&self, id: SessionId) -> Result<Kept, CliError> {
        let sessions = self.sessions();
        let (log, history) = Log::open(&sessions.log(id)).map_err(|error| log_error(id, &error))?;
        self.blobs(&sessions, id).remove_unfinished();
        let session = Session::replay(&history);
        let Some(settings) = session.settings.clone() else {
            return Err(CliError::failed(format!("session {id} ended before it had begun"))
                .hint(format!("agent sessions rm {id}")));
        };
        Ok(Kept { id, log, history, session, settings })
    }

    fn blobs(&self, sessions: &Sessions, id: SessionId) -> Blobs {
        Blobs::new(sessions.folder(id).join("blobs"))
    }

    /// Lets a session go on.
    pub(super) fn resume(
        &self,
        kept: Kept,
        output_schema: Option<serde_json::Value>,
        deltas: bool,
    ) -> Result<Open, CliError> {
        let of_session = self.of(&kept)?;
        let Kept { id, log, history, session, settings: before } = kept;
        let sessions = self.sessions();
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
        begin.extend(self.budget(Some(&session.spending.budget), &settings)?);
        // Whoever goes on with it wants to see it again.
        sessions.archive(id, false).map_err(|error| {
            CliError::failed(format!("session {id} can't be brought back from the archive: {error}"))
        })?;
        begin.extend(newer::note(&history));
        begin.extend(of_session.rules_read(&session));
        let online = of_session.online();
        let sandbox = of_session.sandbox(&settings, &sessions.folder(id), &online.network)?;
        if session.turns == TurnId::default() {
            // It may have been killed while this was written.
            let (opening, _) = of_session.opening(&settings, &sandbox);
            let missing = opening.into_iter().filter(|item| !session.items.iter().any(|had| **had == *item));
            begin.extend(missing.map(Fact::item));
        }
        let past = (history, session);
        of_session.open(id, &sessions, log, past, begin, &settings, (sandbox, online), deltas, None)
    }

    /// The configuration as it stands now: it may have been changed since, by this program as well.
    pub(super) fn config_now(&self) -> Result<Config, ConfigError> {
        config::load(&self.inputs)
    }

    /// The rules that are kept now: only the person's own settings hold any.
    pub(super) fn rules_now(&self) -> Result<Vec<Rule>, ConfigError> {
        config::own(&self.inputs).map(|config| config.rules(&self.workspace))
    }

    /// What the model can do.
    fn toolbox(&self, session: SessionId) -> Toolbox {
        let library = Library(Arc::new(self.clone()));
        let tools = Toolbox::builtin().with(Arc::new(LoadSkill { skills: Arc::new(library) }));
        self.with_memory(tools, session)
    }

    /// The rules that are kept, if the session knows of others.
    fn rules_read(&self, session: &Session) -> Vec<Fact> {
        let (rules, note) = match self.rules_now() {
            Ok(rules) => (rules, None),
            Err(error) => (
                self.config.rules(&self.workspace),
                Some(Fact::Noted {
                    level: Level::Warning,
                    text: format!("rules are those from before the configuration was changed: {error}"),
                }),
            ),
        };
        let known = session.rules.iter().filter(|rule| !rule.scope.is_session());
        let read = (!known.eq(&rules)).then_some(Fact::RulesRead { rules });
        note.into_iter().chain(read).collect()
    }

    /// The settings of a new session, and what the person should know about them.
    fn settings(
        &self,
        output_schema: Option<serde_json::Value>,
    ) -> Result<(Settings, Vec<String>), CliError> {
        let Resolved { model, limits, price, tools, effort, verbosity, notes, .. } =
            self.resolve(&self.config.model)?;
        let hosted = self.hosted_notes(&model);
        let settings = Settings {
            model,
            effort,
            verbosity,
            approval: self.approval,
            sandbox: self.config.sandbox,
            backend: self.config.backend.to_string(),
            limits,
            tools,
            price,
            snapshots: self.config.snapshots.mode,
            output_schema,
        };
        let notes = self
            .config
            .notices
            .iter()
            .cloned()
            .chain(notes)
            .chain(self.network_notes())
            .chain(hosted)
            .collect();
        Ok((settings, notes))
    }

    /// What a session would begin with. Where that can't be had, such as with an unknown provider, it comes near.
    pub(super) fn prospect(&self) -> Settings {
        self.settings(None).map_or_else(
            |_| Settings {
                model: self.config.model.clone(),
                effort: self.config.effort,
                verbosity: self.config.verbosity,
                approval: self.approval,
                sandbox: self.config.sandbox,
                backend: self.config.backend.to_string(),
                limits: catalog::UNKNOWN_LIMITS,
                tools: ToolStyle::default(),
                price: None,
                snapshots: self.config.snapshots.mode,
                output_schema: None,
            },
            |(settings, _)| settings,
        )
    }

    /// Takes over what the next session is to begin with.
    pub(super) fn prepare(&mut self, settings: &Settings) {
        let Settings { model, effort, approval, sandbox, .. } = settings.clone();
        self.config.model = model;
        self.config.effort = effort;
        self.config.sandbox = sandbox;
        self.approval = approval;
    }

    /// What was typed for this run goes before what the session ran with; the configuration does not.
    fn overrides(&self, settings: &mut Settings) -> Result<(), CliError> {
        let typed = &self.typed;
        if let Some(model) = typed.model.as_ref().filter(|model| **model != settings.model) {
            let resolved = self.resolve(model)?;
            settings.limits = resolved.limits;
            settings.price = resolved.price;
            settings.tools = resolved.tools;
            settings.effort = resolved.effort;
            settings.verbosity = resolved.verbosity;
            settings.model = resolved.model;
        }
        settings.effort = typed.effort.or(settings.effort);
        settings.verbosity = typed.verbosity.or(settings.verbosity);
        settings.limits.window = typed.context_window.unwrap_or(settings.limits.window);
        settings.sandbox = typed.sandbox.unwrap_or(settings.sandbox);
        settings.approval = typed.approval.unwrap_or(settings.approval);
        settings.snapshots = self.config.snapshots.mode;
        if let Some(backend) = &typed.backend {
            settings.backend = backend.to_string();
        }
        Ok(())
    }

    /// The settings with the next model of `fallback`: behind the one that runs, or else the first.
    pub(super) fn instead(&self, settings: &Settings) -> Option<Settings> {
        let chain = &self.config.fallback;
        let at = chain.iter().rposition(|model| *model == settings.model).map_or(0, |at| at + 1);
        // One that can't be had now, such as for want of a key, is passed over.
        let usable = |model: &&ModelRef| {
            let resolved = self.resolve(model);
            resolved.is_ok_and(|resolved| {
                auth::key(&resolved.provider, |name| std::env::var(name).ok(), &self.keys()).is_ok()
            })
        };
        let resolved = self.resolve(chain.iter().skip(at).find(usable)?).ok()?;
        Some(Settings {
            model: resolved.model,
            limits: resolved.limits,
            tools: resolved.tools,
            price: resolved.price,
            effort: resolved.effort,
            verbosity: resolved.verbosity,
            ..settings.clone()
        })
    }

    /// What is known of a model, and what the person has set for whichever model it is.
    pub(super) fn resolve(&self, model: &ModelRef) -> Result<Resolved, CliError> {
        let mut resolved =
            self.catalog().resolve(model).map_err(|error| CliError::usage(error.to_string()))?;
        resolved.limits.window = self.config.context_window.unwrap_or(resolved.limits.window);
        resolved.effort = self.config.effort.or(resolved.effort);
        resolved.verbosity = self.config.verbosity.or(resolved.verbosity);
        Ok(resolved)
    }

    /// The file with keys that are not in the environment.
    pub(super) fn keys(&self) -> AuthFile {
        AuthFile::new(self.home.keys()).with_person(self.person == Person::Present)
    }

    pub(super) fn catalog(&self) -> Catalog {
        Catalog::builtin()
            .idle_timeout(Duration::from_secs(self.config.idle_timeout))
            .with(&self.config.providers)
            .with_models(&self.config.models)
            .with_found(Found::read(&self.home.models()))
    }

    /// Opens models by the settings of a session, with keys from the environment or the key file.
    pub(super) fn models(&self) -> harness::OpenModel {
        if let Some(models) = &self.models {
            return Arc::clone(models);
        }
        let catalog = self.catalog();
        let keys = self.keys();
        let secrets = self.secrets.clone();
        let recorder = self.recorder.clone();
        Arc::new(move |settings: &Settings| {
            let resolved = catalog
                .resolve(&settings.model)
                .map_err(|error| ModelError::new(ModelErrorKind::Request, error.to_string()))?;
            // A session may have been told another window.
            let resolved = Resolved { limits: settings.limits, ..resolved };
            let key: Option<SecretString> =
                auth::key(&resolved.provider, |name| std::env::var(name).ok(), &keys)?;
            // It may have been kept since the session began.
            secrets.know(key.clone());
            let knowing = secrets.clone();
            let learned: Learned = Arc::new(move |token| knowing.know([token]));
            Ok(OpenedModel {
                model: catalog::open_telling(&resolved, key.as_ref(), recorder.as_ref(), &learned)?,
                name: settings.model.model.clone(),
            })
        })
    }

    /// Where the commands of a session run.
    pub(super) fn sandbox(
        &self,
        settings: &Settings,
        folder: &Path,
        network: &Network,
    ) -> Result<SharedSandbox, CliError> {
        let backend = settings.backend.parse().map_err(CliError::usage)?;
        let network = self.has_network(settings).then(|| network.clone());
        self.sandbox_in(&backend, settings.sandbox, folder, network)
    }

    /// A sandbox of one kind, or why there is none.
    pub(super) fn sandbox_in(
        &self,
        backend: &Backend,
        mode: SandboxMode,
        folder: &Path,
        network: Option<Network>,
    ) -> Result<SharedSandbox, CliError> {
        let settings = self.sandbox_settings(mode, folder)?;
        match backend {
            Backend::Local => sandbox::pick_with(settings, network).map_err(|error| {
                CliError::new(Kind::Sandbox, format!("commands can't be run in a sandbox here: {error}")).hint(
                    "agent doctor says more; --sandbox danger-full-access runs without one, at your own risk",
                )
            }),
            Backend::Docker(image) => super::docker::start(&self.config, settings, image.clone(), network),
        }
    }

    /// Further directories that may be written, by their own names. What can't be resolved is told of by the sandbox.
    pub(super) fn writable_roots(&self) -> Vec<PathBuf> {
        let roots = self.config.writable_roots.iter();
        roots.map(|root| root.canonicalize().unwrap_or_else(|_| root.clone())).collect()
    }

    /// The snapshots of the workspace, or why there can be none.
    pub(super) fn snapshots(&self) -> Result<Arc<Snapshots>, String> {
        let settings = self.snapshot_settings(&self.workspace);
        Snapshots::open(settings).map(Arc::new).map_err(|error| error.to_string())
    }

    /// Where the states of a directory are kept, and what is a part of them.
    pub(super) fn snapshot_settings(&self, workspace: &Path) -> snapshot::Settings {
        snapshot::Settings {
            folder: self.home.snapshots(),
            workspace: workspace.to_owned(),
            own: self.own_places(),
            limits: self.config.snapshots.limits.clone(),
            remote: super::remote::remote(&self.config.snapshots),
        }
    }

    /// Where this program keeps its settings, keys and sessions: for neither commands nor file tools.
    fn own_places(&self) -> Vec<PathBuf> {
        let Home { config, data, state, .. } = &self.home;
        [config, data, state].map(|place| crate::tools::resolved(place)).into()
    }

    /// The environment of commands. Whatever is allowed: a provider's key is not.
    pub(super) fn environment(&self, mode: SandboxMode) -> sandbox::env::Vars {
        let keys = self.key_names();
        let mut env =
            sandbox::env::with_allowed(sandbox::env::for_commands(mode), &self.config.shell.env_allow);
        env.retain(|(name, _)| keys.iter().all(|key| *name != **key));
        env
    }

    /// What this program knows and no transcript may hold: keys, and the credentials in headers and variables.
    pub(super) fn know_secrets(&self) {
        let catalog = self.catalog();
        let keys =
            catalog.key_names().chain(self.credential_names()).filter_map(|name| std::env::var(name).ok());
        // A file that can't be read is told of when a key of it is wanted.
        let kept = self.keys().all().unwrap_or_default();
        let others = keys.chain(sandbox::env::secret_values()).chain(catalog.header_secrets());
        let others = others.chain(super::remote::secrets(&self.config.snapshots));
        self.secrets.know(others.map(SecretString::from).chain(kept));
    }

    /// The variables that hold the keys of providers, and secrets that only the proxy knows.
    pub(super) fn key_names(&self) -> Vec<String> {
        self.catalog().key_names().chain(self.credential_names()).map(str::to_owned).collect()
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
            reveal: self.config.reveal.clone(),
            disk: self.config.session_disk << 20,
            scratch: scratch.join("scratch"),
            own: self.own_places(),
            shown: self.shelf_place(),
            helper: sandbox::itself(&program, &written).map_err(lost)?,
            program,
        })
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
        (history, session): (Vec<Event>, Session),
        begin: Vec<Fact>,
        settings: &Settings,
        (sandbox, online): (SharedSandbox, Online),
        deltas: bool,
        ephemeral: Option<Temporary>,
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
        let (person, asks) = mpsc::unbounded_channel();
        self.know_secrets();
        let shell = Shell::new(
            shell::Settings {
                blobs: folder.join("blobs"),
                workspace: self.workspace.clone(),
                env: sandbox.environment(self.environment(settings.sandbox)),
                forbidden: self.key_names(),
                secrets: self.secrets.clone(),
                person: (self.person == Person::Present).then_some(person),
                shell: sandbox.shell().unwrap_or_else(shell),
                sandbox: SharedSandbox::clone(&sandbox),
                outside,
                max_processes: MAX_PROCESSES,
                seed: seed(id, &history),
            },
            exits_told,
        );
        let place = match settings.backend.as_str() {
            "local" => settings.sandbox.to_string(),
            backend => format!("{} in {backend}", settings.sandbox),
        };
        let headline = format!(
            "agent {} · {id} · {} · {place} · {}",
            env!("CARGO_PKG_VERSION"),
            settings.model,
            self.workspace.display()
        );
        let snapshots = if settings.snapshots.is_off() { None } else { Some(self.snapshots()) };
        let handle = harness::start(Parts {
            log,
            session,
            begin,
            blobs: blobs.clone(),
            snapshots,
            tarball: (self.config.snapshots.tarball == TarballAt::Turn && ephemeral.is_none())
                .then(|| folder.join(super::workspace::TARBALL)),
            models: self.models(),
            tools: self.toolbox(id),
            workspace,
            shell: shell.clone(),
            exits,
            asks,
            network: Some(online.reports),
            clock: Arc::new(now),
            permissions: self.permissions(settings, &sandbox),
            surroundings: Arc::new(Around::new(self.clone(), folder, settings, sandbox, online.network)),
            deltas,
            patience: harness::PATIENCE,
        });
        let workspace = self.workspace.clone();
        Ok(Open { id, workspace, history, handle, blobs, shell, headline, ephemeral })
    }
}

/// When a person is asked in new sessions. Without a screen nobody is there to be asked, unless whoever called says
/// so.
pub(super) fn approval(config: &Config, person: Person) -> Approval {
    match person {
        Person::Present => config.approval.unwrap_or(Approval::OnRequest),
        Person::Absent => config.approval.unwrap_or(Approval::Never),
    }
}

/// Why a log can't be used, and what to do.
pub(super) fn log_error(id: SessionId, error: &LogError) -> CliError {
    let failed = CliError::failed(format!("session {id} can't be opened: {error}"));
    match error {
        LogError::Locked => failed.hint("end the other one first, or begin a new session"),
        LogError::Damaged { .. } => {
            failed.hint(format!("agent sessions show {id} prints what can be read; nothing was changed"))
        }
        LogError::Io { .. } | LogError::Unfit(_) => failed,
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
pub(super) fn now() -> Time {
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
