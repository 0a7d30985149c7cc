//! The local sandbox of Linux: namespaces with a private root, Landlock and seccomp, made by this program itself.
//!
//! A session has one *holder*, whose namespaces are made once; each command *enters* them, with a process
//! namespace of its own, which costs about as much as starting one more program.
//!
//! ```text
//! agent ──life line──> holder (pid 1 of the session)
//!   └─ enter ──life line──> init (pid 1 of the command, confined) ──> the command
//! ```
//!
//! Nothing here reads the command: what it may touch is decided by what it can see.
//!
//! Where this program may not make namespaces and bubblewrap may, that makes them, for each command anew: see
//! `bubblewrap`. Where none can be had at all, what is left is `alone`. Which way it is, is decided in `ways`.

mod aftermath;
mod alone;
mod bubblewrap;
mod disk;
mod enter;
pub(super) mod explain;
pub(super) mod filter;
pub(super) mod guard;
mod hold;
mod identity;
mod init;
mod landlock;
pub(super) mod launch;
mod limits;
mod listener;
mod mounts;
mod obeyed;
mod overlay;
mod place;
mod plan;
mod probe;
mod processes;
pub(super) mod relay;
mod report;
mod repositories;
pub(super) mod seccomp;
pub(super) mod secrets;
mod sockets;
mod supervise;
pub(super) mod sys;
pub(super) mod ways;

use std::{
    ffi::{OsStr, OsString},
    net::TcpListener,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use self::{
    hold::Failure,
    obeyed::Known,
    plan::{Entry, Plan},
    report::Report,
    repositories::Repositories,
    secrets::Secrets,
    ways::{Way, explain},
};
use super::{
    CommandLine, Published, Sandbox, SandboxError, Settings, env,
    network::{Network, Served},
};
use crate::protocol::{CallId, SandboxMode};

/// How long the end of a session's sandbox is waited for.
const STOP_LIMIT: Timespec = Timespec { tv_sec: 3, tv_nsec: 0 };

/// How long a command may take from when it is wrapped to its beginning.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The first argument of the helper in the roles of this sandbox.
const ROLE: &str = "__sandbox";

/// Runs as a helper, if `args` (without the program's name) say so.
pub(super) fn helper(args: &[OsString]) -> Option<ExitCode> {
    let (role, rest) = args.split_first()?;
    if role == guard::ROLE {
        return Some(guard::main(rest));
    }
    if role != ROLE {
        return None;
    }
    Some(match rest.split_first() {
        Some((part, rest)) if part == "hold" => hold::main(rest),
        Some((part, rest)) if part == "enter" => enter::main(rest),
        Some((part, rest)) if part == alone::HOLD => alone::hold(rest),
        Some((part, rest)) if part == alone::ENTER => alone::enter(rest),
        Some((part, rest)) if part == bubblewrap::KEEP => bubblewrap::keep::main(rest),
        Some((part, rest)) if part == bubblewrap::ENTER => bubblewrap::enter::main(rest),
        Some((part, rest)) if part == bubblewrap::INSIDE => bubblewrap::inside::main(rest),
        _ => ExitCode::from(2),
    })
}

/// The sandbox of one session.
pub(super) struct Linux {
    settings: Settings,
    /// How commands get inside.
    way: Way,
    plan: Plan,
    known: Arc<Mutex<Known>>,
    /// The commands that are to begin, or have.
    begun: Arc<Mutex<Begun>>,
    secrets: Mutex<Secrets>,
    /// Those that have a layer for commands; nothing where there can be none, or none is needed.
    repositories: Option<Arc<Mutex<Repositories>>>,
    network: Option<Network>,
    holder: Arc<Mutex<Option<Holder>>>,
    /// Whoever sees to it that the session's own directories don't fill the disk. Nothing until the first command.
    watch: Mutex<Option<disk::Watch>>,
    /// The limits of all commands together, or why there are only those of each process. Goes after the holder.
    group: Result<limits::Group, String>,
    /// What is to be told with the next command.
    said: Arc<Mutex<Vec<String>>>,
}

/// How many commands there should be, for one that was wrapped may not have begun yet.
struct Begun {
    wanted: u64,
    last: Instant,
}

impl Begun {
    /// Whether one is still to begin. One that could not be started is not waited for for ever.
    fn is_pending(&self, layers: &Path) -> bool {
        overlay::begun(layers) < self.wanted && self.last.elapsed() < START_LIMIT
    }
}

/// A running holder. Its life line is the standard input of `child`.
struct Holder {
    child: Child,
    ready: Ready,
    /// The proxy's end of the network inside.
    served: Option<Serving>,
}

/// What the proxy listens on.
enum Serving {
    /// One listener, in the network of the session.
    Session(Served),
    /// One in the network of each command.
    Commands(#[expect(dead_code, reason = "it is served as long as this lives")] bubblewrap::Listeners),
}

/// What a holder said when it was ready.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ready {
    holder: i32,
    started: u64,
    user: Option<u32>,
    landlock: u32,
    /// Why repositories can't have a layer that commands write.
    layers: Result<(), String>,
}

impl Linux {
    /// The sandbox of a session whose holder is there, and was tried.
    fn held(settings: Settings, plan: Plan, network: Option<Network>, way: Way, holder: Holder) -> Self {
        let layered = plan.write && holder.ready.layers.is_ok();
        let mut repositories = layered.then(|| Repositories::new(plan.repositories(), &plan.scratch));
        let known = match aftermath::left(&plan) {
            Some(known) => known,
            None => Known::of(plan.repositories(), aftermath::except(&plan)),
        };
        let mut said: Vec<String> = way.notice().into_iter().collect();
        said.extend(repositories.as_mut().map(|all| all.refresh(known.repositories())).unwrap_or_default());
        let roots = plan.shared().map(Path::to_owned).collect();
        let secrets = Secrets::of(roots, settings.reveal.clone());
        let wanted = overlay::begun(&overlay::place(&plan.scratch));
        let begun = Begun { wanted, last: Instant::now() };
        Self {
            settings,
            way,
            secrets: Mutex::new(secrets),
            known: Arc::new(Mutex::new(known)),
            begun: Arc::new(Mutex::new(begun)),
            plan,
            repositories: repositories.map(|all| Arc::new(Mutex::new(all))),
            network,
            holder: Arc::new(Mutex::new(Some(holder))),
            watch: Mutex::new(None),
            group: limits::Group::new().map_err(|error| error.to_string()),
            said: Arc::new(Mutex::new(said)),
        }
    }

    /// Does what may take a moment away from the tasks that wait for input.
    async fn with_repositories<T: Send + 'static>(
        &self,
        work: impl FnOnce(Option<&mut Repositories>, &mut Known) -> T + Send + 'static,
    ) -> Option<T> {
        let (repositories, known) = (self.repositories.clone(), Arc::clone(&self.known));
        let work = move || {
            let mut repositories = repositories.as_ref().map(|all| lock(all));
            work(repositories.as_deref_mut(), &mut lock(&known))
        };
        // It does not panic, and is not cancelled but with the program.
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// The holder, started again if somebody killed it, and where commands find the proxy.
    fn ready(&self) -> Result<(Ready, Option<u16>), SandboxError> {
        let mut slot = lock(&self.holder);
        if let Some(holder) = slot.as_mut()
            && matches!(holder.child.try_wait(), Ok(None))
        {
            return Ok((holder.ready.clone(), holder.port()));
        }
        let network = self.network.as_ref().filter(|_| self.plan.network);
        let holder = Holder::start(self.way, &self.settings, &self.plan, network)
            .map_err(|failure| explain(&failure))?;
        let holder = slot.insert(holder);
        Ok((holder.ready.clone(), holder.port()))
    }

    /// Has the session's own directories watched from now on.
    fn watch(&self) -> Result<(), SandboxError> {
        let mut watch = lock(&self.watch);
        if watch.is_none() {
            let (holder, said) = (Arc::clone(&self.holder), Arc::clone(&self.said));
            let end = move || {
                let ended = lock(&holder).take();
                drop(ended);
            };
            let tell = move |sentence| lock(&said).push(sentence);
            let new = disk::Watch::new(&self.plan.scratch, self.settings.disk, end, tell);
            *watch = Some(new.map_err(|error| SandboxError {
                message: format!("no sandbox: the session's own directories can't be watched: {error}"),
            })?);
        }
        watch.iter().for_each(disk::Watch::begin);
        Ok(())
    }

    fn env(&self, vars: env::Vars, port: Option<u16>, call: Option<&CallId>) -> env::Vars {
        if self.way == Way::Alone {
            return alone::environment(vars, &self.plan.scratch);
        }
        let vars = env::with_programs(vars, Path::new(env::PROGRAMS));
        match (&self.network, port) {
            (Some(network), Some(port)) => network.vars(vars, (network.lease(call), port).into()),
            _ => vars,
        }
    }
}

#[async_trait::async_trait]
impl Sandbox for Linux {
    fn wrap(&self, command: CommandLine) -> Result<CommandLine, SandboxError> {
        self.wrap_for(command, None)
    }

    fn wrap_for(&self, command: CommandLine, call: Option<&CallId>) -> Result<CommandLine, SandboxError> {
        let (ready, port) = self.ready()?;
        self.watch()?;
        let protected = {
            // As one with the note that a command runs, for whoever looks whether one does.
            let mut known = lock(&self.known);
            let mut begun = lock(&self.begun);
            begun.wanted += 1;
            begun.last = Instant::now();
            if !known.ran {
                aftermath::leave(&known, &self.plan.scratch).map_err(|error| SandboxError {
                    message: format!("the session's own directory can't be written: {error}"),
                })?;
            }
            known.ran = true;
            known.protected()
        };
        let entry = Entry {
            hidden: lock(&self.secrets).paths(),
            groups: self.group.as_ref().map(limits::Group::directories).unwrap_or_default(),
            layers: overlay::place(&self.plan.scratch),
            overlays: self.repositories.as_ref().map(|all| lock(all).overlays()).unwrap_or_default(),
            holder: ready.holder,
            started: ready.started,
            user: ready.user,
            tty: command.tty,
            cwd: command.cwd,
            written: self.plan.written(),
            protected,
            file_size: self.settings.disk,
            sockets: sockets::below(&self.plan.seen()),
        };
        let mut args: Vec<OsString> = vec![ROLE.into()];
        args.extend(self.way.enter(&self.plan));
        args.extend(entry.to_args());
        args.push("--".into());
        args.push(command.program);
        args.extend(command.args);
        Ok(CommandLine {
            program: self.settings.helper.clone().into(),
            args,
            env: env::shielded(self.env(command.env, port, call)),
            cwd: "/".into(),
            tty: command.tty,
        })
    }

    fn describe(&self) -> String {
        let slot = lock(&self.holder);
        if self.way == Way::Alone {
            let landlock = slot.as_ref().map_or(0, |holder| holder.ready.landlock);
            return alone::describe(self.settings.mode, landlock, self.group.is_ok(), self.network.is_some());
        }
        let writes = match self.settings.mode {
            SandboxMode::ReadOnly => "only /tmp and HOME (both private) are writable",
            _ => "only the workspace, /tmp and HOME (the last two private) are writable",
        };
        let landlock = slot.as_ref().is_none_or(|holder| holder.ready.landlock > 0);
        let notes = if landlock { "" } else { ", without Landlock (not in this kernel)" };
        let git = match (self.settings.mode, &self.repositories) {
            (SandboxMode::ReadOnly, _) => "",
            (_, Some(_)) => {
                ", commits, branches and the stash go out of the .git there but its settings don't"
            }
            (_, None) => ", the .git there is read-only",
        };
        let limits =
            if self.group.is_ok() { "" } else { ", with limits of each process alone (no control group)" };
        format!(
            "{} (local sandbox{}): {writes}{git}, files with secrets there (such as .env) are hidden, {}{notes}{limits}",
            self.settings.mode,
            self.way.in_words(),
            self.network.as_ref().map_or_else(|| "no network".to_owned(), Network::describe),
        )
    }

    fn weakness(&self) -> Option<String> {
        (self.way == Way::Alone && self.plan.write).then(alone::question)
    }

    fn can_reach(&self) -> bool {
        self.way != Way::Alone
    }

    fn keeps_root(&self) -> bool {
        self.way == Way::Alone && rustix::process::geteuid().is_root()
    }

    fn attacker(&self) -> Option<PathBuf> {
        let programs = match self.way {
            Way::Own | Way::Bubblewrap => PathBuf::from(env::PROGRAMS),
            Way::Alone => alone::programs(&self.plan.scratch),
        };
        Some(programs.join("apply_patch"))
    }

    fn refusals(&self, call: Option<&CallId>) -> Vec<String> {
        self.network.as_ref().map(|network| network.refusals(call)).unwrap_or_default()
    }

    async fn refresh(&self) -> Result<(), SandboxError> {
        if !lock(&self.known).ran {
            lock(&self.secrets).look();
        }
        let said = self
            .with_repositories(|repositories, known| {
                let mut said = known.look();
                said.extend(repositories.map(|all| all.refresh(known.repositories())).unwrap_or_default());
                said
            })
            .await;
        lock(&self.said).extend(said.unwrap_or_default());
        Ok(())
    }

    async fn publish(&self) -> Published {
        let layers = overlay::place(&self.plan.scratch);
        let (begun, scratch) = (Arc::clone(&self.begun), self.plan.scratch.clone());
        let ending = lock(&self.watch).as_ref().map(disk::Watch::ending);
        let said = self
            .with_repositories(move |repositories, known| {
                // Should it be the disk that ended the command, that is told with it.
                drop(ending.as_ref().map(|ending| lock(ending)));
                let mut said = repositories.map(Repositories::publish).unwrap_or_default();
                // Asked first: what begins to run now has nothing to do with what is found.
                let alone = overlay::alone(&layers);
                let is_alone = matches!(alone, Ok(Some(_))) && !lock(&begun).is_pending(&layers);
                said.extend(known.quarantine(is_alone));
                if is_alone {
                    aftermath::take_away(&scratch);
                } else if let Err(error) = aftermath::leave(known, &scratch) {
                    said.push(format!("{} can't be written: {error}", scratch.display()));
                }
                (said, is_alone)
            })
            .await;
        let (said, alone) = said.unwrap_or_default();
        if alone {
            lock(&self.watch).iter().for_each(disk::Watch::rest);
        }
        let mut warnings = std::mem::take(&mut *lock(&self.said));
        warnings.extend(said);
        Published { warnings }
    }

    async fn stop(&self) {
        let watch = lock(&self.watch).take();
        let holder = lock(&self.holder).take();
        // Waits until the kernel has ended everything inside: milliseconds.
        let _ = tokio::task::spawn_blocking(move || drop((watch, holder))).await;
        let scratch = self.plan.scratch.clone();
        self.with_repositories(move |repositories, known| {
            repositories.map(Repositories::finish);
            if known.ran {
                // Nobody hears of it any more.
                known.quarantine(true);
                aftermath::take_away(&scratch);
            }
        })
        .await;
    }
}

impl Holder {
    /// Where commands find the proxy.
    fn port(&self) -> Option<u16> {
        self.served.as_ref().map(|served| match served {
            Serving::Session(served) => served.port,
            Serving::Commands(_) => bubblewrap::PORT,
        })
    }

    fn start(way: Way, settings: &Settings, plan: &Plan, network: Option<&Network>) -> Result<Self, Failure> {
        let process = |error: std::io::Error| Failure { layer: "process", reason: error.to_string() };
        let (ours, theirs) = UnixStream::pair().map_err(process)?;
        let mut child = Command::new(&settings.helper)
            .args([OsStr::new(ROLE), OsStr::new(way.hold())])
            .args(plan.to_args())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stderr(Stdio::null())
            .spawn()
            .map_err(process)?;
        let heard = listener::hear(&ours)
            .map(|(text, listener)| (Report::parse(&text), listener.map(TcpListener::from)));
        let failure = match heard {
            Ok((Some(Report::Ready { holder, started, user, landlock, layers }), listener)) => {
                match serve(way, plan, network, listener) {
                    Ok(served) => {
                        let ready = Ready { holder, started, user, landlock, layers };
                        return Ok(Self { child, ready, served });
                    }
                    Err(failure) => failure,
                }
            }
            Ok((Some(Report::Failed(failure)), _)) => failure,
            Ok((None, _)) => Failure { layer: "process", reason: "the helper did not answer".into() },
            Err(error) => process(error),
        };
        drop(child.stdin.take());
        // It has said its last word, or hears that nobody listens.
        let _ = child.wait();
        Err(failure)
    }
}

/// Has the proxy serve what was made inside for it.
fn serve(
    way: Way,
    plan: &Plan,
    network: Option<&Network>,
    listener: Option<TcpListener>,
) -> Result<Option<Serving>, Failure> {
    let Some(network) = network else { return Ok(None) };
    let failed = |reason: String| Failure { layer: "network namespace", reason };
    if way == Way::Bubblewrap {
        let listeners = bubblewrap::Listeners::serve(&plan.scratch, network);
        return listeners
            .map(|served| Some(Serving::Commands(served)))
            .map_err(|error| failed(error.to_string()));
    }
    let listener =
        listener.ok_or_else(|| failed("nothing was made for the proxy to listen on".to_owned()))?;
    network
        .listen(listener)
        .map(|served| Some(Serving::Session(served)))
        .map_err(|error| failed(error.to_string()))
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It ends at once, for its life line is cut. Not to be a zombie for the rest of the session. What is inside
        // and was orphaned must be reaped first, by the machine's first process: that is not waited for for ever.
        if ends_within(&self.child, STOP_LIMIT) {
            let _ = self.child.wait();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a child ends within a time.
fn ends_within(child: &Child, time: Timespec) -> bool {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return false };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return true };
    matches!(poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&time)), Ok(1..))
}

/// One layer of the sandbox, as found by trying it.
pub(super) fn layers(settings: &Settings) -> Vec<super::Layer> {
    let layer = |name: &str, ok: bool, detail: String| super::Layer { name: name.into(), ok, detail };
    match ways::holder(settings, None) {
        Ok((Way::Alone, plan, holder)) => alone::layers(&plan, holder.ready.landlock),
        Ok((way, _, holder)) => {
            let Ready { landlock, user, layers, .. } = holder.ready.clone();
            let identity = match user {
                Some(_) => "you are root, commands are not",
                None => "commands run as you, without any rights of yours elsewhere",
            };
            vec![
                layer(
                    "namespaces",
                    true,
                    format!("user, mount, pid, network, ipc, uts, cgroup{}", way.of_whom()),
                ),
                layer("identity", true, identity.into()),
                layer("private root", true, "the system is read-only, your home is hidden".into()),
                layer("network", true, "none but a loopback of its own".into()),
                layer(
                    "landlock",
                    landlock > 0,
                    if landlock > 0 { format!("version {landlock}") } else { "not in this kernel".into() },
                ),
                layer("seccomp", true, "kernel interfaces are refused".into()),
                match limits::Group::new() {
                    Ok(_) => layer("limits", true, limits::describe()),
                    Err(why) => layer(
                        "limits",
                        false,
                        format!("of each process alone, for there is no control group: {why}"),
                    ),
                },
                match layers {
                    Ok(()) => layer("git", true, "commits go out of a layer of the session's own".into()),
                    Err(why) => layer("git", false, format!("no overlay, so that .git is read-only: {why}")),
                },
            ]
        }
        Err(missing) => vec![layer(missing.layer, false, missing.error.message)],
    }
}
