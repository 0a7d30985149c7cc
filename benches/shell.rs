//! What commands cost: starting one, and a flood of output with all of it kept on disk.
//!
//! Wanted: 200 MB in at most 0.5 s through pipes and 2.5 s through a terminal, in at most 30 MB of memory.

use std::{path::Path, sync::Arc, time::Duration};

use agent::{
    sandbox::{CommandLine, Sandbox, SandboxError},
    shell::{Launch, Look, Settings, Shell, State, Until},
};
use divan::Bencher;
use tokio::{runtime::Runtime, sync::mpsc::unbounded_channel};
use tokio_util::sync::CancellationToken;

const FLOOD: u64 = 200_000_000;

struct Plain;

#[async_trait::async_trait]
impl Sandbox for Plain {
    fn wrap(&self, command: CommandLine) -> Result<CommandLine, SandboxError> {
        Ok(command)
    }

    fn describe(&self) -> String {
        "none".into()
    }

    async fn stop(&self) {}
}

#[expect(clippy::print_stdout, reason = "a figure that divan does not measure")]
fn main() {
    divan::main();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(peak) = status.lines().find(|line| line.starts_with("VmHWM")) {
        println!("peak memory of all: {peak}");
    }
}

struct World {
    dir: tempfile::TempDir,
    runtime: Runtime,
    shell: Shell,
}

fn world() -> World {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let runtime = Runtime::new().expect("a runtime");
    let settings = Settings {
        blobs: dir.path().join("blobs"),
        workspace: dir.path().to_owned(),
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        shell: "/bin/bash".into(),
        sandbox: Arc::new(Plain),
        outside: Arc::new(Plain),
        forbidden: Vec::new(),
        secrets: Default::default(),
        person: None,
        max_processes: 64,
        seed: 0,
    };
    let shell = Shell::new(settings, unbounded_channel().0);
    World { dir, runtime, shell }
}

impl World {
    fn run(&self, command: &str, tty: bool) -> u64 {
        let launch = Launch {
            command: command.into(),
            workdir: self.dir.path().to_owned(),
            shell: None,
            login: true,
            tty,
            outside: false,
        };
        let look = Look {
            wait: Duration::from_secs(60),
            max_bytes: 40_000,
            sink: Arc::new(|text| {
                divan::black_box(text.len());
            }),
            cancel: CancellationToken::new(),
            until: Until::End,
        };
        let seen = self.runtime.block_on(self.shell.exec(launch, look)).expect("it runs");
        assert_eq!(seen.state, State::Exited(0));
        if let Some(blob) = &seen.output.blob {
            let path = self.dir.path().join("blobs").join(Path::new(blob.as_str()));
            let kept = std::fs::metadata(path).expect("it is kept").len();
            assert!(tty || kept == seen.output.bytes);
        }
        seen.output.bytes
    }
}

#[divan::bench(args = [false, true], sample_count = 5, sample_size = 1)]
fn flood(bencher: Bencher<'_, '_>, tty: bool) {
    let world = world();
    let command = format!("yes abcdefghijklmno | head -c {FLOOD}");
    bencher.bench_local(|| assert!(world.run(&command, tty) >= FLOOD));
}

#[divan::bench(args = [false, true], sample_count = 100, sample_size = 1)]
fn spawn(bencher: Bencher<'_, '_>, tty: bool) {
    let world = world();
    bencher.bench_local(|| world.run("echo hello", tty));
}
