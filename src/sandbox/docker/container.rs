//! One container: what it is made of, its life line, and its end.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bollard::{
    Docker,
    errors::Error,
    models::{
        ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
        MountVolumeOptionsDriverConfig, ResourcesUlimits,
    },
    query_parameters::{RemoveContainerOptionsBuilder, RemoveVolumeOptions},
};
use futures::StreamExt as _;
use tokio::{
    io::AsyncReadExt as _,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    endpoint::Endpoint,
    engine::Engine,
    hijack::{self, Attached},
    podman, script, shown,
};

/// Who the first process is: nobody that commands could signal.
pub(super) const FIRST: (u32, u32) = (65534, 65534);
/// The same, in an engine's words.
pub(super) const FIRST_USER: &str = "65534:65534";
/// Where the porter lies, which belongs to the same user.
pub(super) const PORTER: &str = "/.agent";
/// What its machine is called.
pub(super) const HOST: &str = "agent";
/// Processes of a session at most, as in the local sandbox.
pub(super) const PROCESSES: i64 = 512;
pub(super) const FILES: i64 = 8192;
/// Bytes of a file at most: what is not written of it takes no room, and all the time of who reads it.
pub(super) const FILE_SIZE: i64 = 16 << 30;
/// Memory at most, and at least; in between half of what the engine's machine has.
const MEMORY: (i64, i64) = (1 << 30, 8 << 30);
/// Bytes of HOME and of /tmp at most.
const SCRATCH: i64 = 2 << 30;
/// What /dev/shm takes at most.
const SHARED: i64 = 64 << 20;
/// What the porter takes at most.
const PORTER_SIZE: i64 = 1 << 20;
/// How much likelier it is ended than others when the machine has no memory left.
pub(super) const OOM_SCORE: i64 = 500;

/// What is empty inside: what engines cover themselves, and all that there is to be read of the machine.
pub(super) const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/buddyinfo",
    "/proc/bus",
    "/proc/cgroups",
    "/proc/cmdline",
    "/proc/config.gz",
    "/proc/consoles",
    "/proc/crypto",
    "/proc/devices",
    "/proc/diskstats",
    "/proc/dma",
    "/proc/driver",
    "/proc/dynamic_debug",
    "/proc/execdomains",
    "/proc/fs",
    "/proc/interrupts",
    "/proc/iomem",
    "/proc/ioports",
    "/proc/irq",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/locks",
    "/proc/misc",
    "/proc/modules",
    "/proc/mtrr",
    "/proc/pagetypeinfo",
    "/proc/partitions",
    "/proc/pressure",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/slabinfo",
    "/proc/softirqs",
    "/proc/swaps",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
    "/proc/zoneinfo",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys",
];

/// What a container is made from.
#[derive(Debug, Clone)]
pub(super) struct Blueprint {
    pub(super) engine: Engine,
    /// A directory of the session on this machine.
    pub(super) scratch: PathBuf,
    /// By its content, and not by a name that may come to mean another one.
    pub(super) image: String,
    pub(super) labels: HashMap<String, String>,
    pub(super) workspace: PathBuf,
    pub(super) home: PathBuf,
    /// Who owns the workspace.
    pub(super) owner: (u32, u32),
    /// Who commands are.
    pub(super) runner: (u32, u32),
    /// Of the engine's machine.
    pub(super) memory: i64,
    /// The rules for system calls, in the engine's words.
    pub(super) seccomp: String,
    /// It goes on when nobody is connected to it any more.
    pub(super) keep: bool,
    /// Directories that commands read beside the workspace.
    pub(super) shown: Vec<PathBuf>,
}

/// A directory that lives in the container's memory: programs can be run from there, but neither as somebody else nor
/// with devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Private {
    pub(super) path: PathBuf,
    pub(super) owner: (u32, u32),
    pub(super) mode: &'static str,
    /// Bytes at most.
    pub(super) size: i64,
}

impl Private {
    fn options(&self) -> String {
        let Self { owner: (user, group), mode, size, .. } = self;
        format!("rw,nosuid,nodev,exec,size={size},uid={user},gid={group},mode={mode}")
    }
}

/// How long a container that is being removed is waited for, and the time between two looks.
const GOING: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(20);

const SHARED_MODE: &str = "1777";

impl Blueprint {
    /// Bytes of memory at most, with those of the directories that live there.
    pub(super) fn most_memory(&self) -> i64 {
        (self.memory / 2).clamp(MEMORY.0, MEMORY.1)
    }

    /// Directories in memory beside the workspace.
    pub(super) fn private(&self) -> Vec<Private> {
        let scratch = SCRATCH.min(self.most_memory() / 2);
        let read = i64::try_from(shown::MOST).unwrap_or(0) + (16 << 20);
        let shown = self.shown.iter().filter(|path| !path.starts_with(&self.workspace));
        let of = |path: &Path, owner, mode, size| Private { path: path.to_path_buf(), owner, mode, size };
        [
            of(Path::new("/tmp"), self.runner, SHARED_MODE, scratch),
            of(Path::new("/var/tmp"), self.runner, SHARED_MODE, scratch),
            of(&self.home, self.runner, "0711", scratch),
        ]
        .into_iter()
        .filter(|private| private.path != self.workspace)
        // The engine's own has other rights: programs that were just written don't run from there.
        .chain([
            of(Path::new(PORTER), FIRST, "0755", PORTER_SIZE),
            of(Path::new("/dev/shm"), FIRST, SHARED_MODE, SHARED),
        ])
        .chain(shown.map(|path| of(path, FIRST, "0755", read)))
        .collect()
    }

    /// The copy of the workspace, which also lives in memory.
    pub(super) fn copy(&self) -> Private {
        let path = self.workspace.clone();
        Private { path, owner: self.owner, mode: "0755", size: self.most_memory() }
    }
}

/// A container that runs.
pub(super) struct Container {
    pub(super) id: String,
    /// What does not go with it by itself.
    volumes: Vec<String>,
    docker: Docker,
    ended: Arc<AtomicBool>,
    /// Holds the life line, and sees when it breaks.
    watch: JoinHandle<()>,
}

impl Container {
    /// A new container, running.
    pub(super) async fn start(
        docker: &Docker,
        endpoint: &Endpoint,
        blueprint: &Blueprint,
    ) -> Result<Self, Error> {
        match Self::start_with(docker, endpoint, blueprint, true).await {
            // A machine without version 6 of the protocol has none of its settings either.
            Err(error) if error.to_string().contains("ipv6") => {
                Self::start_with(docker, endpoint, blueprint, false).await
            }
            done => done,
        }
    }

    async fn start_with(
        docker: &Docker,
        endpoint: &Endpoint,
        blueprint: &Blueprint,
        version_6: bool,
    ) -> Result<Self, Error> {
        let (id, volumes) = match blueprint.engine {
            Engine::Docker => {
                (docker.create_container(None, body(blueprint, version_6)).await?.id, Vec::new())
            }
            Engine::Podman => podman::create(docker, endpoint, blueprint, version_6).await?,
        };
        let begun = async {
            // The life line first: without one it would end at once, or never. Podman ends a container with whoever
            // was connected to it last, so that nobody may be to one that goes on.
            let line = match blueprint.engine {
                Engine::Podman if blueprint.keep => None,
                _ => Some(hijack::attach(endpoint, &id).await?),
            };
            docker.start_container(&id, None).await?;
            Ok(Self::watched(docker, id.clone(), volumes.clone(), line))
        };
        let begun: Result<Self, Error> = begun.await;
        if begun.is_err() {
            // It never ran; what of it stays is found by the next start.
            let _ = remove(docker, &id, &volumes).await;
        }
        begun
    }

    /// One that runs already.
    pub(super) fn again(docker: &Docker, id: String, volumes: Vec<String>) -> Self {
        Self::watched(docker, id, volumes, None)
    }

    fn watched(docker: &Docker, id: String, volumes: Vec<String>, line: Option<Attached>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let watch =
            tokio::spawn(watch(docker.clone(), id.clone(), volumes.clone(), line, Arc::clone(&ended)));
        Self { id, volumes, docker: docker.clone(), ended, watch }
    }

    /// Whether commands can run there.
    pub(super) async fn lives(&self) -> bool {
        if self.ended.load(Ordering::Acquire) {
            return false;
        }
        let state = self.docker.inspect_container(&self.id, None).await.ok().and_then(|found| found.state);
        state.is_some_and(|state| state.running == Some(true) && state.paused != Some(true))
    }

    /// Ends it, and everything that it holds.
    pub(super) async fn end(self) -> Result<(), Error> {
        // The life line last: without it the container would be going already.
        let removed = remove(&self.docker, &self.id, &self.volumes).await;
        self.watch.abort();
        removed
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The life line goes with it.
        self.watch.abort();
    }
}

/// Removes a container with its volumes, whatever state it is in; and those that don't go with it.
pub(super) async fn remove(docker: &Docker, id: &str, volumes: &[String]) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    let removed = match docker.remove_container(id, Some(options)).await {
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        // Going: by itself, or because somebody else saw to it.
        Err(error) => match (timeout(GOING, gone(docker, id)).await, &error) {
            (Ok(()), _) | (_, Error::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
            _ => Err(error),
        },
        done => done,
    };
    for volume in volumes {
        let away = async {
            // In use until the container is wholly gone.
            while let Err(Error::DockerResponseServerError { status_code: 409, .. }) =
                docker.remove_volume(volume, None::<RemoveVolumeOptions>).await
            {
                sleep(AGAIN).await;
            }
        };
        // What stays is removed by the next start.
        let _ = timeout(GOING, away).await;
    }
    removed
}

/// Waits until an engine does not know a container any more.
async fn gone(docker: &Docker, id: &str) {
    while !matches!(
        docker.inspect_container(id, None).await,
        Err(Error::DockerResponseServerError { status_code: 404, .. })
    ) {
        sleep(AGAIN).await;
    }
}

/// Holds the life line. A container that is stopped or paused by somebody is no use any more: it is removed, so that
/// whoever waits for a command there hears of it.
async fn watch(
    docker: Docker,
    id: String,
    volumes: Vec<String>,
    line: Option<Attached>,
    ended: Arc<AtomicBool>,
) {
    let filters = HashMap::from([
        ("container".to_owned(), vec![id.clone()]),
        ("event".to_owned(), ["pause", "die", "destroy"].map(str::to_owned).into()),
    ]);
    let options = bollard::query_parameters::EventsOptionsBuilder::default().filters(&filters).build();
    let mut events = Box::pin(docker.events(Some(options)));
    let broken = async {
        match line {
            Some(Attached { mut output, input: _input }) => {
                let mut buffer = [0; 256];
                while let Ok(1..) = output.read(&mut buffer).await {}
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = broken => {}
        _ = events.next() => {}
    }
    ended.store(true, Ordering::Release);
    // An engine that is gone takes its containers along, or they end by their life line.
    let _ = remove(&docker, &id, &volumes).await;
}

fn body(blueprint: &Blueprint, version_6: bool) -> ContainerCreateBody {
    let Blueprint { image, labels, seccomp, keep, .. } = blueprint;
    let memory = blueprint.most_memory();
    let tmpfs: HashMap<String, String> = blueprint
        .private()
        .into_iter()
        .map(|private| (private.path.to_string_lossy().into_owned(), private.options()))
        .collect();
    let ulimit = |name: &str, most: i64| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(most),
        hard: Some(most),
    };
    ContainerCreateBody {
        image: Some(image.clone()),
        labels: Some(labels.clone()),
        user: Some(FIRST_USER.to_owned()),
        entrypoint: Some(["sh", "-c", script::FIRST].map(str::to_owned).into()),
        cmd: Some(Vec::new()),
        working_dir: Some("/".to_owned()),
        hostname: Some(HOST.to_owned()),
        open_stdin: Some(true),
        stdin_once: Some(!keep),
        attach_stdin: Some(true),
        host_config: Some(HostConfig {
            // Only the loopback, which is found by its name; and not the addresses of the machine's own name servers.
            network_mode: Some("none".to_owned()),
            dns: Some(vec!["127.0.0.1".to_owned()]),
            dns_search: Some(vec![".".to_owned()]),
            extra_hosts: Some(vec![format!("{HOST}:127.0.0.1")]),
            sysctls: version_6
                .then(|| HashMap::from([("net.ipv6.conf.lo.disable_ipv6".to_owned(), "0".to_owned())])),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned(), format!("seccomp={seccomp}")]),
            readonly_rootfs: Some(true),
            auto_remove: Some(true),
            privileged: Some(false),
            ipc_mode: Some("private".to_owned()),
            pids_limit: Some(PROCESSES),
            memory: Some(memory),
            memory_swap: Some(memory),
            oom_score_adj: Some(OOM_SCORE),
            // One byte of a core is none, and no program of the machine is run with it.
            ulimits: Some(vec![ulimit("nofile", FILES), ulimit("core", 1), ulimit("fsize", FILE_SIZE)]),
            masked_paths: Some(MASKED.iter().map(|path| (*path).to_owned()).collect()),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            tmpfs: Some(tmpfs),
            mounts: Some(vec![workspace_volume(&blueprint.copy(), labels)]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// The workspace as a volume that lives in memory: it has an owner and a size from the beginning, and is gone with
/// the container. Unlike a plain tmpfs, the engine can write archives into it.
fn workspace_volume(copy: &Private, labels: &HashMap<String, String>) -> Mount {
    let options = [("type", "tmpfs".to_owned()), ("device", "tmpfs".to_owned()), ("o", copy.options())];
    Mount {
        target: Some(copy.path.to_string_lossy().into_owned()),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            labels: Some(labels.clone()),
            driver_config: Some(MountVolumeOptionsDriverConfig {
                name: Some("local".to_owned()),
                options: Some(options.map(|(name, value)| (name.to_owned(), value)).into()),
            }),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}
