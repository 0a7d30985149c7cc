//! An engine of the tests' own: stopped and started in the middle, reached by a socket and by a port.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use agent::{
    protocol::SandboxMode,
    sandbox::{DockerSettings, SharedSandbox, contain, env},
};

use super::world::{block, docker, image};
use crate::{
    sandbox::world::{becomes_true, gave, settings, spawn},
    support::skip,
};

/// An engine with a place of its own.
pub struct Engine {
    folder: PathBuf,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Engine {
    /// Nothing where none can be started, which is said.
    fn start(root: &Path) -> Option<Self> {
        Self::with(root, &[])
    }

    /// With further arguments.
    pub fn with(root: &Path, arguments: &[String]) -> Option<Self> {
        let folder = root.join("engine");
        std::fs::create_dir(&folder).unwrap();
        let mut engine = Self { folder, arguments: arguments.to_vec(), process: None };
        if !rustix::process::geteuid().is_root() {
            skip("an engine that is stopped and started: only root starts one");
            return None;
        }
        engine.up();
        Some(engine)
    }

    fn socket(&self) -> String {
        format!("unix://{}/socket", self.folder.display())
    }

    fn up(&mut self) {
        let place = |name: &str| self.folder.join(name);
        let log = std::fs::File::create(place("log")).unwrap();
        let process = Command::new("dockerd")
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false", "-H"])
            .arg(self.socket())
            .arg("--data-root")
            .arg(place("data"))
            .arg("--exec-root")
            .arg(place("run"))
            .arg("--pidfile")
            .arg(place("pid"))
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        assert!(
            becomes_true(|| docker(&["-H", &self.socket(), "info"]).status.success()),
            "{}",
            std::fs::read_to_string(place("log")).unwrap()
        );
    }

    /// Gives it an image that the usual one has.
    pub fn load(&self, image: &str) {
        let copy = format!("docker save {image} | docker -H {} load", self.socket());
        assert!(Command::new("sh").args(["-c", &copy]).stdout(Stdio::null()).status().unwrap().success());
    }

    fn down(&mut self) {
        if let Some(mut process) = self.process.take() {
            let pid = rustix::process::Pid::from_child(&process);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.down();
    }
}

fn sandbox(root: &Path, host: &str, image: &str) -> SharedSandbox {
    let docker = DockerSettings {
        image: Some(image.to_owned()),
        host: Some(host.to_owned()),
        certificates: None,
        keep: false,
    };
    contain(settings(root, SandboxMode::WorkspaceWrite), docker, None, &|_| {}).unwrap()
}

#[test]
fn an_engine_that_is_stopped_and_started_costs_one_command() {
    let Some(image) = image() else { return };
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let Some(mut engine) = Engine::start(&root) else { return };
    engine.load(image);
    std::fs::create_dir(root.join("workspace")).unwrap();
    let sandbox = sandbox(&root, &engine.socket(), image);
    let line = |script: &str| agent::sandbox::CommandLine {
        program: "bash".into(),
        args: ["-c".into(), script.into()].into(),
        env: sandbox.environment(env::for_commands(SandboxMode::WorkspaceWrite)),
        cwd: root.join("workspace"),
        tty: false,
    };
    let run = |script: &str| {
        block(sandbox.refresh()).unwrap();
        let gave = gave(spawn(&sandbox.wrap(line(script)).unwrap()));
        (gave, block(sandbox.publish()).warnings)
    };
    assert_eq!(run("echo kept > kept").1, Vec::<String>::new());
    let mut child = spawn(&sandbox.wrap(line("echo up; sleep 600")).unwrap());
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 3]).unwrap();
    engine.down();
    let lost = gave(child);
    assert_eq!(lost.code, Some(137), "{lost:?}");
    let refused = block(sandbox.refresh()).unwrap_err();
    assert!(refused.message.contains("DOCKER_HOST"), "{refused}");
    engine.up();
    let (gave, warnings) = run("cat kept");
    assert_eq!(gave.out, "kept\n");
    assert!(warnings.iter().any(|warning| warning.starts_with("the container was lost")), "{warnings:?}");
    block(sandbox.stop());
    let left = docker(&["-H", &engine.socket(), "ps", "-aq"]);
    assert!(left.stdout.is_empty(), "{left:?}");
}

#[test]
fn an_engine_behind_a_port_works_as_well() {
    let Some(image) = image() else { return };
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("workspace")).unwrap();
    // The engine's own socket, carried to a port.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let near = near.unwrap();
            let far = std::os::unix::net::UnixStream::connect("/var/run/docker.sock").unwrap();
            let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Write);
            });
            std::thread::spawn(move || {
                let (mut far, mut near) = (far, near);
                let _ = std::io::copy(&mut far, &mut near);
                let _ = near.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    let sandbox = sandbox(&root, &host, image);
    let line = agent::sandbox::CommandLine {
        program: "bash".into(),
        args: ["-c".into(), "echo through > file; exit 5".into()].into(),
        env: sandbox.environment(env::for_commands(SandboxMode::WorkspaceWrite)),
        cwd: root.join("workspace"),
        tty: false,
    };
    let gave = gave(spawn(&sandbox.wrap(line).unwrap()));
    assert_eq!(gave.code, Some(5), "{gave:?}");
    assert_eq!(block(sandbox.publish()).warnings, Vec::<String>::new());
    assert_eq!(std::fs::read_to_string(root.join("workspace/file")).unwrap(), "through\n");
}

#[test]
fn the_engine_of_a_context_is_used_unless_a_host_is_named() {
    use sha2::Digest as _;

    if image().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let (settings, workspace) = (root.join("docker"), root.join("workspace"));
    std::fs::create_dir(&workspace).unwrap();
    for (name, host) in [("here", "unix:///var/run/docker.sock"), ("gone", "unix:///nowhere/engine.sock")] {
        let id: String = sha2::Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = settings.join("contexts/meta").join(id);
        std::fs::create_dir_all(&folder).unwrap();
        let meta = serde_json::json!({"Name": name, "Endpoints": {"docker": {"Host": host}}});
        std::fs::write(folder.join("meta.json"), meta.to_string()).unwrap();
    }
    std::fs::write(settings.join("config.json"), r#"{"currentContext":"gone"}"#).unwrap();
    let run = |vars: &[(&str, &str)]| {
        let mut command = super::world::agent_sandbox(&root, &workspace, &["echo", "ran"]);
        for name in ["DOCKER_HOST", "DOCKER_CONTEXT"] {
            command.env_remove(name);
        }
        let output = command.env("DOCKER_CONFIG", &settings).envs(vars.iter().copied()).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), said.concat())
    };
    assert_eq!(run(&[("DOCKER_CONTEXT", "here")]), (Some(0), "ran\n".to_owned()));
    assert_eq!(run(&[("DOCKER_HOST", "unix:///var/run/docker.sock")]), (Some(0), "ran\n".to_owned()));
    for (vars, told) in
        [(&[][..], "no container engine"), (&[("DOCKER_CONTEXT", "other")], "there is none in")]
    {
        let (code, said) = run(vars);
        assert!(code == Some(6) && said.contains(told), "{vars:?}: {said}");
    }
}
