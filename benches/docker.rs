//! What commands in a container cost: a warm one, a whole session of one command, its end, and 300 files on their way in
//! and out.
//!
//! Needs an engine, and an image with bash as the only argument: `cargo bench --bench docker -- IMAGE`.

mod figures;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use agent::{
    protocol::SandboxMode,
    sandbox::{CommandLine, DockerSettings, Settings, SharedSandbox, contain, env},
};

use figures::report;

const ROUNDS: usize = 30;

fn main() {
    let Some(image) = std::env::args().nth(1).filter(|image| !image.starts_with('-')) else {
        report("no image was given: cargo bench --bench docker -- IMAGE");
        return;
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let helper = PathBuf::from(env!("CARGO_BIN_EXE_agent"));
    let settings = Settings {
        mode: SandboxMode::WorkspaceWrite,
        workspace: directory.path().join("workspace"),
        writable: Vec::new(),
        reveal: Vec::new(),
        disk: agent::sandbox::DISK,
        scratch: directory.path().join("scratch"),
        own: Vec::new(),
        shown: Vec::new(),
        helper: helper.clone(),
        program: helper,
    };
    std::fs::create_dir(&settings.workspace).expect("a workspace");
    let start = || {
        let docker =
            DockerSettings { image: Some(image.clone()), host: None, certificates: None, keep: false };
        contain(settings.clone(), docker, None, &|_| {}).expect("a container")
    };

    let sandbox = start();
    median("warm command (wanted: at most 80 ms)", || run(&sandbox, &settings));
    median("the same with what comes before and after it", || {
        block(sandbox.refresh()).expect("a container");
        run(&sandbox, &settings);
        block(sandbox.publish());
    });
    for n in 0..300 {
        std::fs::write(settings.workspace.join(format!("file-{n}")), vec![b'x'; 4096]).expect("a file");
    }
    let since = Instant::now();
    block(sandbox.refresh()).expect("a container");
    report(&format!("300 files of 4 KiB in: {:.0?} (wanted: under 1 s)", since.elapsed()));
    script(&sandbox, &settings, "for file in file-*; do echo more >> $file; done");
    let since = Instant::now();
    block(sandbox.publish());
    report(&format!("the same 300 files, changed, out: {:.0?}", since.elapsed()));
    block(sandbox.stop());
    drop(sandbox);

    let mut ends = Vec::new();
    median("a session of one command, from nothing to gone (wanted: under 1.5 s)", || {
        let sandbox = start();
        run(&sandbox, &settings);
        block(sandbox.publish());
        let since = Instant::now();
        block(sandbox.stop());
        ends.push(since.elapsed());
    });
    ends.sort();
    report(&format!(
        "its end alone: {:.1?}, at most {:.1?} (wanted: under 1 s)",
        ends[ROUNDS / 2],
        ends[ROUNDS - 1]
    ));
}

fn median(what: &str, mut work: impl FnMut()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let since = Instant::now();
            work();
            since.elapsed()
        })
        .collect();
    times.sort();
    report(&format!("{what}: {:.1?} (median of {ROUNDS})", times[ROUNDS / 2]));
}

fn run(sandbox: &SharedSandbox, settings: &Settings) {
    script(sandbox, settings, "true");
}

fn script(sandbox: &SharedSandbox, settings: &Settings, script: &str) {
    let line = CommandLine {
        program: "bash".into(),
        args: vec!["-c".into(), script.into()],
        env: sandbox.environment(env::for_commands(settings.mode)),
        cwd: settings.workspace.clone(),
        tty: false,
    };
    let line = sandbox.wrap(line).expect("a container");
    let status = Command::new(&line.program)
        .args(&line.args)
        .env_clear()
        .envs(line.env)
        .stdin(Stdio::null())
        .status()
        .expect("a command");
    assert!(status.success(), "{status}");
}

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}
