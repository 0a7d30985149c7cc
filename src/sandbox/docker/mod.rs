//! Commands in a container: a copy of the workspace at the same path, without network, without rights.
//!
//! A session has one warm container; each command is started in it by a helper process of its own, which the shell
//! treats like any other. What the user changes goes in before a command, and what commands change comes out after
//! it, file by file: the engine is never given a directory of this machine.
//!
//! ```text
//! agent ──life line──> first process of the container
//!   ├─ control ──────> a shell there: lists and packs files
//!   └─ __docker ─────> the command there (one helper for each)
//! ```
//!
//! A container can be lost at any time: nothing in it is the only one of its kind, but what commands changed since
//! the last time that it was brought out.

mod border;
mod bridge;
mod carry;
mod container;
mod control;
mod endpoint;
mod engine;
mod helper;
mod hijack;
mod history;
mod image;
mod inside;
mod judge;
mod labels;
mod listing;
mod manifest;
mod mirror;
mod mount;
mod order;
mod outgoing;
mod pack;
mod place;
mod podman;
mod porter;
pub(super) mod probe;
mod scan;
mod script;
mod seccomp;
mod shown;
mod streams;
mod tls;
mod trial;
mod tunnel;
mod underway;
mod walls;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, mpsc},
    time::Duration,
};

use bollard::{Docker as Client, errors::Error};
use tokio::{runtime::Runtime, sync::Mutex, time::timeout};

use self::{
    carry::{Carrier, When},
    container::{Blueprint, Container},
    endpoint::{Endpoint, Way},
    engine::Engine,
    image::Image,
    inside::Inside,
    order::Order,
    pack::Owner,
    porter::Porter,
    scan::Unseen,
};
use super::{CommandLine, Published, Sandbox, SandboxError, Settings, env, network::Network};
use crate::protocol::{CallId, SandboxMode};

/// What a container's sandbox is made of, beside what every sandbox is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DockerSettings {
    /// The default one if nothing is said.
    pub image: Option<String>,
    /// Where the engine is, as in `DOCKER_HOST`.
    pub host: Option<String>,
    /// A folder of `ca.pem`, `cert.pem` and `key.pem`, for an engine that is reached by a port with TLS.
    pub certificates: Option<PathBuf>,
    /// The container goes on when the session ends, for when it is resumed.
    pub keep: bool,
}

/// Commands of root, and of users whose number is taken by the first process, go by this number.
const NEUTRAL: (u32, u32) = (1000, 1000);
/// Who commands are where they may only read.
const READER: (u32, u32) = (1001, 1001);
/// Characters of what an engine says, at most.
const LONGEST_REASON: usize = 600;
/// How long the end of a container is waited for.
const END: Duration = Duration::from_secs(3);
/// How long an engine may take to say what it is.
const HELLO: Duration = Duration::from_secs(10);
/// What must be there inside, beside a shell.
const TOOLS: &str =
    "for tool in find stat tar grep rm date wc; do command -v $tool >/dev/null || echo $tool; done";

/// Runs as a helper, if `args` (without the program's name) say so.
pub(super) fn helper(args: &[OsString]) -> Option<ExitCode> {
    let (role, rest) = args.split_first()?;
    (role == helper::ROLE).then(|| helper::main(rest))
}

/// The sandbox of one session.
pub(super) struct Docker {
    inner: Arc<Inner>,
    /// Of our own: what is asked of us comes from threads with and without one.
    runtime: Option<Runtime>,
}

struct Inner {
    settings: Settings,
    client: Client,
    endpoint: Endpoint,
    /// The way to the engine, where it is on another machine.
    _way: Option<Way>,
    image: Image,
    blueprint: Blueprint,
    shell: PathBuf,
    network: Option<Network>,
    /// Why there is no porter in containers of this engine.
    no_porter: Option<String>,
    state: Mutex<State>,
}

struct State {
    /// Nothing when it was lost, or stopped.
    room: Option<Room>,
    carrier: Carrier,
    stopped: bool,
    /// Whether a container that was kept has been looked for.
    resumed: bool,
}

/// What a command finds.
struct Ready {
    container: String,
    /// Where the proxy is reached.
    port: Option<u16>,
    /// Whether it is seen who waits at its terminal.
    watched: bool,
}

/// A container, and the way into it.
struct Room {
    container: Container,
    inside: Inside,
    /// Brought in when it is needed.
    porter: Option<Porter>,
    /// What it has of the directories that commands read beside the workspace.
    shown: BTreeSet<PathBuf>,
}

impl Docker {
    /// The sandbox of a session, started and tried. `say` is told of what takes long.
    pub(super) fn start(
        settings: Settings,
        docker: DockerSettings,
        network: Option<Network>,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, SandboxError> {
        if settings.mode == SandboxMode::DangerFullAccess {
            return Err(SandboxError {
                message: "a container is a sandbox: `danger-full-access` means none. Choose --sandbox workspace-write, \
                          or --backend local"
                    .into(),
            });
        }
        refuse_places(&settings.workspace)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("docker")
            .enable_all()
            .build()
            .map_err(|error| SandboxError { message: format!("no sandbox: {error}") })?;
        // The progress is told on the thread that waits for it.
        let (lines, told) = mpsc::channel::<String>();
        let (reply, answer) = mpsc::channel();
        runtime.spawn(async move {
            let say = move |line: &str| drop(lines.send(line.to_owned()));
            let _ = reply.send(Inner::start(settings, docker, network, &say).await);
        });
        for line in told {
            say(&line);
        }
        let lost = |_| SandboxError { message: "no sandbox: its thread is gone".into() };
        let inner = answer.recv().map_err(lost).flatten().map(Arc::new);
        match inner {
            Ok(inner) => Ok(Self { inner, runtime: Some(runtime) }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Has something done on our own threads, and waits for it there where no other waiting is possible.
    fn block<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (reply, answer) = mpsc::channel();
        self.runtime.as_ref()?.spawn(async move {
            let _ = reply.send(work.await);
        });
        answer.recv().ok()
    }

    async fn off<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.runtime.as_ref()?.spawn(work).await.ok()
    }
}

#[async_trait::async_trait]
impl Sandbox for Docker {
    fn wrap(&self, command: CommandLine) -> Result<CommandLine, SandboxError> {
        self.wrap_for(command, None)
    }

    fn wrap_for(&self, command: CommandLine, call: Option<&CallId>) -> Result<CommandLine, SandboxError> {
        let (inner, tty) = (Arc::clone(&self.inner), command.tty);
        let ready = self.block(async move { inner.ready_for(tty).await }).unwrap_or_else(|| Err(gone()))?;
        let Ready { container, port, watched } = ready;
        let vars = match (&self.inner.network, port) {
            (Some(network), Some(port)) => network.vars(command.env, (network.lease(call), port).into()),
            _ => command.env,
        };
        let (user, group) = self.inner.blueprint.runner;
        let order = Order {
            endpoint: self.inner.endpoint.clone(),
            container,
            user: format!("{user}:{group}"),
            mark: uuid::Uuid::new_v4().simple().to_string(),
            tty: command.tty,
            token: watched.then(|| uuid::Uuid::new_v4().simple().to_string()),
            cwd: command.cwd,
            program: command.program,
            args: command.args,
        };
        let mut args: Vec<OsString> = vec![helper::ROLE.into()];
        args.extend(order.into_args());
        Ok(CommandLine {
            program: self.inner.settings.helper.clone().into(),
            args,
            env: env::shielded(vars),
            cwd: "/".into(),
            tty: command.tty,
        })
    }

    fn describe(&self) -> String {
        let writes = match self.inner.settings.mode {
            SandboxMode::ReadOnly => "only /tmp and HOME (both private) are writable",
            _ => "only the workspace, /tmp and HOME (the last two private) are writable",
        };
        let network = match (&self.inner.network, &self.inner.no_porter) {
            (Some(_), Some(why)) => format!("no network ({why})"),
            (Some(network), None) => network.describe(),
            (None, _) => "no network".to_owned(),
        };
        format!(
            "{} (container of the image {}): commands see a copy of the workspace at the same path, in which files with \
             secrets (such as .env) are hidden, and nothing else of this machine; {writes}; what they change in the workspace is brought out when they end, but for files \
             that other programs obey (.git: only its history comes out); {network}; programs are those of the image",
            self.inner.settings.mode, self.inner.image.name
        )
    }

    fn refusals(&self, call: Option<&CallId>) -> Vec<String> {
        self.inner.network.as_ref().map(|network| network.refusals(call)).unwrap_or_default()
    }

    fn environment(&self, env: env::Vars) -> env::Vars {
        env::elsewhere(env, &self.inner.image.env, &self.inner.shell)
    }

    fn shell(&self) -> Option<PathBuf> {
        Some(self.inner.shell.clone())
    }

    async fn refresh(&self) -> Result<(), SandboxError> {
        let inner = Arc::clone(&self.inner);
        self.off(async move { inner.refresh().await }).await.unwrap_or_else(|| Err(gone()))
    }

    async fn publish(&self) -> Published {
        let inner = Arc::clone(&self.inner);
        let warnings = self.off(async move { inner.publish().await }).await.unwrap_or_default();
        Published { warnings }
    }

    async fn stop(&self) {
        let inner = Arc::clone(&self.inner);
        let _ = self.off(async move { inner.stop().await }).await;
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let inner = Arc::clone(&self.inner);
        // A container that does not end in time ends by its life line.
        let _ = self.block(async move { timeout(END, inner.stop()).await });
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Inner {
    async fn start(
        settings: Settings,
        docker: DockerSettings,
        network: Option<Network>,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, SandboxError> {
        let (endpoint, way) = endpoint::find(&docker).await?;
        let client = endpoint.client().map_err(|error| unreachable(&error))?;
        let info = timeout(HELLO, client.info())
            .await
            .map_err(|_| SandboxError {
                message: format!("the container engine at {endpoint} does not answer. {ENGINE}"),
            })?
            .map_err(|error| unreachable(&error))?;
        let engine = Engine::of(&client).await.map_err(|error| unreachable(&error))?;
        labels::sweep(&client, &endpoint).await.map_err(|error| unreachable(&error))?;
        let image = image::find(&client, docker.image.as_deref(), say).await?;
        let architecture = info.architecture.unwrap_or_default();
        let (owner, runner) = who(&settings);
        let blueprint = Blueprint {
            engine,
            scratch: settings.scratch.clone(),
            image: image.id.clone(),
            labels: labels::labels(&label(&settings), docker.keep),
            workspace: settings.workspace.clone(),
            home: env::home(),
            owner,
            runner,
            memory: info.mem_total.unwrap_or(4 << 30),
            seccomp: seccomp::profile(&architecture),
            keep: docker.keep,
            shown: settings.shown.clone(),
        };
        let no_porter = porter::missing(&architecture);
        let unseen = Unseen { own: settings.own.clone(), reveal: settings.reveal.clone() };
        let carrier = Carrier::new(settings.workspace.clone(), settings.scratch.join("kept"), unseen);
        let mut inner = Self {
            settings,
            client,
            endpoint,
            _way: way,
            image,
            blueprint,
            shell: PathBuf::from("/bin/sh"),
            network,
            no_porter,
            state: Mutex::new(State { room: None, carrier, stopped: false, resumed: false }),
        };
        let begun = inner.begin().await;
        if begun.is_err() {
            inner.stop().await;
        }
        begun.map(|()| inner)
    }

    /// The first container, and what is in it.
    async fn begin(&mut self) -> Result<(), SandboxError> {
        self.ready().await?;
        let mut state = self.state.lock().await;
        let Some(room) = &mut state.room else { return Err(gone()) };
        let missing = said(&mut room.inside, TOOLS).await?;
        if !missing.trim().is_empty() {
            let missing = missing.split_whitespace().collect::<Vec<_>>().join(", ");
            return Err(SandboxError {
                message: format!(
                    "the image {} has no {missing}: without it, files can't be brought out",
                    self.image.name
                ),
            });
        }
        let shell = said(
            &mut room.inside,
            "for shell in /bin/bash /usr/bin/bash; do [ -x $shell ] && echo $shell; done; true",
        )
        .await?;
        if let Some(shell) = shell.lines().next() {
            self.shell = shell.into();
        }
        Ok(())
    }

    /// A container in which a command can run, with what it needs there.
    async fn ready_for(&self, tty: bool) -> Result<Ready, SandboxError> {
        let mut state = self.state.lock().await;
        let container = self.ready_in(&mut state).await?;
        let wanted = (tty || self.network.is_some()) && self.no_porter.is_none();
        let Some(room) = state.room.as_mut().filter(|_| wanted) else {
            return Ok(Ready { container, port: None, watched: false });
        };
        let here = match room.porter.take().filter(|porter| !porter.is_over()) {
            Some(porter) => porter,
            None => {
                Porter::start(&self.client, &self.endpoint, &container, self.network.as_ref()).await.map_err(
                    |error| SandboxError { message: format!("the container is not as it must be: {error}") },
                )?
            }
        };
        let port = here.port;
        room.porter = Some(here);
        Ok(Ready { container, port, watched: tty })
    }

    /// A container in which commands can run: the one there is, or a new one with the workspace as it is.
    async fn ready(&self) -> Result<String, SandboxError> {
        let mut state = self.state.lock().await;
        self.ready_in(&mut state).await
    }

    async fn ready_in(&self, state: &mut State) -> Result<String, SandboxError> {
        if state.stopped {
            return Err(gone());
        }
        if let Some(room) = &state.room {
            if room.container.lives().await {
                return Ok(room.container.id.clone());
            }
            self.lost(state);
            // Somebody may have removed the container alone. What stays is removed by the next start.
            let _ = labels::sweep_volumes(&self.client).await;
        }
        let no_container =
            |error: &Error| SandboxError { message: format!("no container: {}. {ENGINE}", reason(error)) };
        // One that was kept when the session ended is as good as new, and has what is in HOME and /tmp.
        let kept = if state.resumed {
            None
        } else {
            let label = label(&self.settings);
            labels::kept(&self.endpoint, &label, &self.image.id)
                .await
                .map_err(|error| no_container(&error))?
        };
        state.resumed = true;
        let found = kept.is_some();
        let container = match kept {
            Some(id) => {
                let volumes = match self.blueprint.engine {
                    Engine::Docker => Vec::new(),
                    Engine::Podman => podman::volumes_of(&self.client, &id).await,
                };
                Container::again(&self.client, id, volumes)
            }
            None => Container::start(&self.client, &self.endpoint, &self.blueprint)
                .await
                .map_err(|error| no_container(&error))?,
        };
        let id = container.id.clone();
        let mut inside = Inside::new(
            self.client.clone(),
            self.endpoint.clone(),
            id.clone(),
            self.settings.workspace.clone(),
            self.owner(),
        );
        if let Err(error) = walls::stand(&mut inside, &self.blueprint).await {
            let _ = container.end().await;
            return Err(error);
        }
        let emptied = if found { inside.empty().await } else { Ok(()) };
        let filled = match emptied {
            Ok(()) => state.carrier.fill(&mut inside).await,
            failed => failed,
        };
        if let Err(error) = filled {
            let _ = container.end().await;
            return Err(SandboxError {
                message: format!(
                    "the workspace can't be copied into a container: {error}. It must fit into half of the memory of the \
                     engine's machine"
                ),
            });
        }
        state.room = Some(Room { container, inside, porter: None, shown: BTreeSet::new() });
        self.show(state).await;
        Ok(id)
    }

    fn owner(&self) -> Owner {
        Owner { ids: self.blueprint.owner, only_read: self.settings.mode == SandboxMode::ReadOnly }
    }

    /// Brings in what commands read beside the workspace. Without it they run all the same.
    async fn show(&self, state: &mut State) {
        let State { room: Some(room), carrier, .. } = state else { return };
        let (id, folders) = (room.container.id.clone(), &self.settings.shown);
        if let Err(error) = shown::bring(&self.client, &self.endpoint, &id, folders, &mut room.shown).await {
            carrier.warn(format!("skills can't be brought into the container: {error}"));
        }
    }

    fn lost(&self, state: &mut State) {
        if let Some(Room { container, .. }) = state.room.take() {
            // What is left of it goes beside what comes next.
            tokio::spawn(async move {
                // What stays is removed by the next start.
                let _ = container.end().await;
            });
        }
        state.carrier.warn_again(
            "the container was lost (killed, stopped, paused or removed by somebody, or the engine was). What commands \
             changed and was not brought out yet is lost with it; there is a fresh one now, with the workspace as it is \
             outside"
                .into(),
        );
    }

    async fn refresh(&self) -> Result<(), SandboxError> {
        let mut state = self.state.lock().await;
        let before = state.room.as_ref().map(|room| room.container.id.clone());
        let now = self.ready_in(&mut state).await?;
        if before.as_ref() != Some(&now) {
            return Ok(());
        }
        self.show(&mut state).await;
        let State { room: Some(room), carrier, .. } = &mut *state else { return Err(gone()) };
        let brought = match self.settings.mode {
            SandboxMode::ReadOnly => carrier.bring_in(&mut room.inside).await,
            _ => carrier.carry(&mut room.inside, When::Outside).await,
        };
        brought.map_err(|error| SandboxError {
            message: format!("what you changed can't be brought into the container: {error}"),
        })
    }

    async fn publish(&self) -> Vec<String> {
        let mut state = self.state.lock().await;
        if let State { room: Some(room), carrier, .. } = &mut *state
            && self.settings.mode != SandboxMode::ReadOnly
        {
            let lives = room.container.lives().await;
            let carried = if lives { carrier.carry(&mut room.inside, When::Inside).await } else { Ok(()) };
            if !lives || (carried.is_err() && !room.container.lives().await) {
                self.lost(&mut state);
            } else if let Err(error) = carried {
                carrier.warn_again(format!(
                    "what commands changed can't be brought out of the container: {error}"
                ));
            }
        }
        state.carrier.warnings()
    }

    async fn stop(&self) {
        let mut state = self.state.lock().await;
        state.stopped = true;
        if let Some(Room { container, .. }) = state.room.take() {
            if self.blueprint.keep && container.lives().await {
                return;
            }
            // What stays is removed by the next start.
            let _ = container.end().await;
        }
    }
}

/// What a container is known by when it was kept: the session, and what it may do.
fn label(settings: &Settings) -> PathBuf {
    settings.scratch.join(settings.mode.to_string())
}

/// What an engine needs to be there.
const ENGINE: &str = "Is it started, and may you use it? `docker info` says; DOCKER_HOST says where it is";

/// Who owns the workspace in the container, and who commands are there. Never root.
fn who(settings: &Settings) -> ((u32, u32), (u32, u32)) {
    use std::os::unix::fs::MetadataExt as _;

    let us = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let theirs = std::fs::metadata(&settings.workspace).map_or(NEUTRAL, |meta| (meta.uid(), meta.gid()));
    let (user, group) = if us.0 == 0 { theirs } else { us };
    let owner = if user == 0 { NEUTRAL } else { (user, group) };
    match settings.mode {
        SandboxMode::ReadOnly if owner == READER => (owner, NEUTRAL),
        SandboxMode::ReadOnly => (owner, READER),
        _ => (owner, owner),
    }
}

/// Places in which a container keeps its own files.
fn refuse_places(workspace: &Path) -> Result<(), SandboxError> {
    const THEIRS: &[&str] = &["/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"];
    let taken = workspace == Path::new("/") || THEIRS.iter().any(|place| workspace.starts_with(place));
    let odd = workspace.to_str().is_none_or(|path| path.contains([',', ':']));
    if taken || odd {
        let why = if taken {
            "a container has its own files there"
        } else {
            "the engine does not take such a name"
        };
        return Err(SandboxError {
            message: format!("can't work in {} with Docker: {why}", workspace.display()),
        });
    }
    Ok(())
}

/// What a script of ours says.
async fn said(inside: &mut Inside, script: &str) -> Result<String, SandboxError> {
    let mut text = Vec::new();
    inside
        .run(script.as_bytes(), &mut text, 1 << 20)
        .await
        .map_err(|error| SandboxError { message: format!("the container does not answer: {error}") })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn gone() -> SandboxError {
    SandboxError { message: "the container is gone: the session has ended".into() }
}

fn unreachable(error: &Error) -> SandboxError {
    SandboxError { message: format!("no container engine: {}. {ENGINE}", reason(error)) }
}

/// What an engine said, without who says it.
fn reason(error: &Error) -> String {
    match error {
        // An engine may say all that it was told.
        Error::DockerResponseServerError { message, .. } => {
            message.trim().chars().take(LONGEST_REASON).collect()
        }
        other => {
            let mut text = other.to_string();
            let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(other);
            while let Some(inner) = cause {
                let more = inner.to_string();
                if !text.contains(&more) {
                    text = format!("{text}: {more}");
                }
                cause = inner.source();
            }
            text
        }
    }
}
