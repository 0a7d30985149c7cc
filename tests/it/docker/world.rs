//! A workspace with a container beside it, on a real engine.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, OnceLock},
};

use agent::{
    protocol::SandboxMode,
    sandbox::{CommandLine, DockerSettings, Settings, SharedSandbox, contain, env, network::Network},
};

use crate::{
    sandbox::world::{Gave, gave, settings, spawn},
    support::skip,
};

/// Programs in the image of the tests.
const PROGRAMS: &str = "sh bash cat chmod cp cut date dd diff echo env false find git grep head id ln ls mkdir mkfifo \
                        mktemp mv nohup od perl printf ps rm sed seq setsid sleep sort stat stty tail tar tee \
                        timeout touch tr true truncate tty uname uniq wc yes";

pub struct World {
    directory: tempfile::TempDir,
    pub settings: Settings,
    pub sandbox: SharedSandbox,
}

/// The image of the tests, made once on this machine; nothing where there is no engine, which is said.
pub fn image() -> Option<&'static str> {
    static IMAGE: OnceLock<Option<String>> = OnceLock::new();
    IMAGE.get_or_init(|| make_image("")).as_deref()
}

/// One with further programs and directories.
pub fn image_with(more: &'static str) -> Option<&'static str> {
    static IMAGES: Mutex<BTreeMap<&str, Option<&'static str>>> = Mutex::new(BTreeMap::new());
    let make = || make_image(more).map(|name| &*name.leak());
    *IMAGES.lock().unwrap().entry(more).or_insert_with(make)
}

fn make_image(more: &str) -> Option<String> {
    let answers = Command::new("docker").arg("info").output().is_ok_and(|output| output.status.success());
    if !answers {
        skip("containers: no engine answers");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/docker/rootfs.sh");
    let programs = format!("{PROGRAMS} {more}");
    let made_of = [std::fs::read(&script).unwrap(), programs.as_bytes().to_vec()].concat();
    let name = format!("agent-test:{}", blake3::hash(&made_of).to_hex().get(..12).unwrap());
    // Other processes make it as well.
    let lock = std::fs::File::create(std::env::temp_dir().join("agent-test-image.lock")).unwrap();
    lock.lock().unwrap();
    if !docker(&["image", "inspect", &name]).status.success() {
        let made = Command::new("sh")
            .args(["-c", r#"script=$1 name=$2; shift 2; sh "$script" "$@" | docker import - "$name""#, "sh"])
            .arg(&script)
            .arg(&name)
            .args(programs.split_whitespace())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    Some(name)
}

/// The engine that these tests are of, where it is not the one of this machine.
pub fn host() -> Option<String> {
    std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty())
}

/// Whether that is Podman.
pub fn podman() -> bool {
    static PODMAN: OnceLock<bool> = OnceLock::new();
    *PODMAN.get_or_init(|| String::from_utf8_lossy(&docker(&["version"]).stdout).contains("Podman"))
}

/// Containers of an image on the engine that these tests are of.
pub fn of_image(image: &str) -> DockerSettings {
    DockerSettings { image: Some(image.to_owned()), host: host(), ..DockerSettings::default() }
}

pub fn docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).output().unwrap()
}

/// What the engine says, a line each.
pub fn lines(args: &[&str]) -> BTreeSet<String> {
    let output = docker(args);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Volumes of the engine.
pub fn volumes() -> BTreeSet<String> {
    lines(&["volume", "ls", "-q"])
}

impl World {
    pub fn new(mode: SandboxMode) -> Option<Self> {
        Self::with(mode, |_| {})
    }

    /// With files in the workspace before the container is made.
    pub fn with(mode: SandboxMode, prepare: impl FnOnce(&Path)) -> Option<Self> {
        Self::online(mode, None, prepare)
    }

    /// The same with a network.
    pub fn online(mode: SandboxMode, network: Option<Network>, prepare: impl FnOnce(&Path)) -> Option<Self> {
        let image = image()?;
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let settings = settings(&root, mode);
        std::fs::create_dir(&settings.workspace).unwrap();
        prepare(&settings.workspace);
        let docker = of_image(image);
        let sandbox = contain(settings.clone(), docker, network, &|_| {}).unwrap();
        Some(Self { directory, settings, sandbox })
    }

    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.settings.workspace.join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Every name in the workspace outside.
    pub fn names(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.settings.workspace.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
                let name = entry.path().strip_prefix(&self.settings.workspace).unwrap().display().to_string();
                found.push(name);
            }
        }
        found.sort();
        found
    }

    pub fn line(&self, script: &str, tty: bool) -> CommandLine {
        CommandLine {
            program: "bash".into(),
            args: ["-c".into(), script.into()].into(),
            env: self.sandbox.environment(env::for_commands(self.settings.mode)),
            cwd: self.settings.workspace.clone(),
            tty,
        }
    }

    /// Starts a script, without what comes before and after a command.
    pub fn start(&self, script: &str) -> Child {
        spawn(&self.sandbox.wrap(self.line(script, false)).unwrap())
    }

    /// Runs a script as the shell does: what changed outside goes in before, and what it changed comes out after.
    pub fn run(&self, script: &str) -> Gave {
        self.refresh();
        let gave = gave(self.start(script));
        self.publish();
        gave
    }

    pub fn refresh(&self) {
        block(self.sandbox.refresh()).unwrap();
    }

    pub fn publish(&self) -> Vec<String> {
        block(self.sandbox.publish()).warnings
    }

    /// Runs a script, and gives what is said of what it changed.
    pub fn told(&self, script: &str) -> Vec<String> {
        self.refresh();
        let gave = gave(self.start(script));
        assert_eq!(gave.code, Some(0), "{gave:?}");
        self.publish()
    }

    /// The container that commands run in just now.
    pub fn container(&self) -> String {
        let line = self.sandbox.wrap(self.line("true", false)).unwrap();
        line.args.get(2).unwrap().to_str().unwrap().to_owned()
    }

    /// What the engine knows of the container.
    pub fn inspect(&self) -> serde_json::Value {
        let output = docker(&["inspect", &self.container()]);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()[0].take()
    }
}

pub fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Whether the engine still has a container.
pub fn exists(container: &str) -> bool {
    docker(&["inspect", container]).status.success()
}

/// A script of `agent sandbox`, in a home of its own.
pub fn agent_sandbox(world: &Path, workspace: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(crate::support::program());
    command
        .args(["--backend", &format!("docker:{}", image().unwrap()), "sandbox", "--"])
        .args(args)
        .current_dir(workspace)
        .env("AGENT_HOME", world.join("home"))
        .stdin(Stdio::null());
    command
}
