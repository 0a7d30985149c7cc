//! What the sandbox costs: `/bin/true` plain, under the guard alone, and in the local sandbox, interleaved. The last one
//! in a git repository, with what is done before and after each command.
//!
//! Wall time is the median of a start-to-end; CPU is the mean of all processes that took part, the kernel's share
//! included.

mod figures;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use agent::{
    protocol::SandboxMode,
    sandbox::{CommandLine, Settings, env, outside, pick},
};

use figures::report;

const ROUNDS: usize = 200;

fn main() {
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
        program: helper.clone(),
    };
    std::fs::create_dir(&settings.workspace).expect("a workspace");
    for args in [&["init", "-q"][..], &["commit", "-q", "--allow-empty", "-m", "x"]] {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x@example.com"])
            .args(args)
            .current_dir(&settings.workspace);
        assert!(git.status().expect("git").success(), "git {args:?}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let command = CommandLine {
        program: "/bin/true".into(),
        args: Vec::new(),
        env: env::for_commands(settings.mode),
        cwd: settings.workspace.clone(),
        tty: false,
    };
    let started = Instant::now();
    let sandbox = pick(settings).expect("a sandbox");
    let start = started.elapsed();
    let guard = outside(helper);

    let wraps: [(&str, &dyn Fn() -> CommandLine); 3] = [
        ("plain", &|| command.clone()),
        ("guarded", &|| guard.wrap(command.clone()).expect("a guard")),
        ("sandboxed", &|| {
            runtime.block_on(sandbox.refresh()).expect("a sandbox");
            sandbox.wrap(command.clone()).expect("a sandbox")
        }),
    ];
    let mut walls = [const { Vec::new() }; 3];
    let mut cpus = [Duration::ZERO; 3];
    for _ in 0..ROUNDS {
        for ((walls, cpu), (name, wrap)) in walls.iter_mut().zip(&mut cpus).zip(&wraps) {
            let (before, started) = (children_cpu(), Instant::now());
            run(&wrap());
            if *name == "sandboxed" {
                assert!(runtime.block_on(sandbox.publish()).warnings.is_empty(), "something to be told");
            }
            walls.push(started.elapsed());
            *cpu += children_cpu().saturating_sub(before);
        }
    }
    report(&format!("start of the session's sandbox: {start:.2?}"));
    for ((walls, cpu), (name, _)) in walls.iter_mut().zip(cpus).zip(&wraps) {
        walls.sort();
        let at = |part: usize| walls.get(walls.len() * part / 100).copied().unwrap_or_default();
        let cpu = cpu / u32::try_from(ROUNDS).unwrap_or(1);
        report(&format!("{name:10} median {:.2?}, 95th {:.2?}, CPU {cpu:.2?}", at(50), at(95)));
    }
}

fn run(line: &CommandLine) {
    let status = Command::new(&line.program)
        .args(&line.args)
        .env_clear()
        .envs(line.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&line.cwd)
        .stdin(Stdio::null())
        .status()
        .expect("it starts");
    assert!(status.success(), "{status}");
}

/// CPU time of all children that have been waited for, and of theirs.
#[expect(unsafe_code, reason = "getrusage has no safe form in our crates")]
fn children_cpu() -> Duration {
    // SAFETY: the structure is plain numbers, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let micros =
        |time: libc::timeval| Duration::from_micros((time.tv_sec * 1_000_000 + time.tv_usec).unsigned_abs());
    micros(usage.ru_utime) + micros(usage.ru_stime)
}
