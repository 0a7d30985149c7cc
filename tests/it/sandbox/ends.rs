//! Gone means gone: whatever ends, nothing of it stays.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use agent::{
    protocol::SandboxMode,
    sandbox::{outside, pick},
};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::program;

use super::world::{World, becomes_true, gave, marker, running, settings};

/// Leaves three kinds of processes behind: a child, one in a session of its own, and an orphan.
fn leaves_behind(marker: &str) -> String {
    format!(
        "sh -c 'echo > r1; exec sleep {marker}' & \
         setsid sh -c 'echo > r2; exec sleep {marker}' & \
         (setsid sh -c 'trap \"\" TERM HUP INT; (exec sleep {marker}) & echo > r3; wait' &); \
         until [ -e r1 -a -e r2 -a -e r3 ]; do :; done; rm r1 r2 r3; echo started"
    )
}

fn signal(child: &std::process::Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

fn read_line(child: &mut std::process::Child) -> String {
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.as_mut().unwrap());
    reader.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    for sandbox in [&world.sandbox, &outside(program())] {
        let marker = marker();
        let gave = gave(world.spawn(sandbox, &leaves_behind(&marker)));
        assert_eq!((gave.code, gave.out.as_str()), (Some(0), "started\n"), "{gave:?}");
        assert_eq!(running(&marker), [] as [i32; 0], "{}", sandbox.describe());
    }
}

#[test]
fn a_command_that_is_killed_takes_everything_along() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let outside = outside(program());
    let sandboxes = [&world.sandbox, &outside];
    for (sandbox, how) in
        sandboxes.iter().flat_map(|sandbox| [(sandbox, Signal::KILL), (sandbox, Signal::ALARM)])
    {
        let marker = marker();
        let mut child = world.spawn(sandbox, &format!("{}; sleep {marker}", leaves_behind(&marker)));
        assert_eq!(read_line(&mut child), "started");
        signal(&child, how);
        child.wait().unwrap();
        // In order: what was inside has been reaped by the helper, and by nobody else.
        assert!(how != Signal::ALARM || running(&marker).is_empty(), "{}", sandbox.describe());
        assert!(
            becomes_true(|| running(&marker).is_empty()),
            "{}: {:?}",
            sandbox.describe(),
            running(&marker)
        );
    }
}

#[test]
fn a_command_hears_the_signals_that_its_outer_process_gets() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    for sandbox in [&world.sandbox, &outside(program())] {
        for (sent, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::HUP, "HUP")] {
            let script =
                format!("trap 'echo heard {name}; exit 5' {name}; echo ready; while :; do sleep 0.01; done");
            let mut child = world.spawn(sandbox, &script);
            let mut reader = BufReader::new(child.stdout.take().unwrap());
            let mut lines = String::new();
            reader.read_line(&mut lines).unwrap();
            signal(&child, sent);
            reader.read_line(&mut lines).unwrap();
            assert_eq!(lines, format!("ready\nheard {name}\n"));
            assert_eq!(child.wait().unwrap().code(), Some(5), "{}", sandbox.describe());
        }
        let mut child = world.spawn(sandbox, "echo ready; sleep 600");
        read_line(&mut child);
        signal(&child, Signal::TERM);
        assert_eq!(child.wait().unwrap().code(), Some(143), "{}", sandbox.describe());
    }
}

#[tokio::test]
async fn a_stopped_sandbox_ends_everything_inside() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let marker = marker();
    let mut child = world.start(&format!("{}; sleep {marker}", leaves_behind(&marker)));
    assert_eq!(read_line(&mut child), "started");
    world.sandbox.stop().await;
    assert_eq!(child.wait().unwrap().code(), Some(137));
    assert_eq!(running(&marker), [] as [i32; 0]);
    let holder = format!("workspace={}", world.settings.workspace.display());
    assert_eq!(running(&holder), [] as [i32; 0]);
}

/// Not a test: the process that the next test kills. It acts as the agent.
#[test]
#[ignore = "a part of the test below, which starts it"]
fn agent_to_be_killed() {
    let (Ok(root), Ok(mode)) = (std::env::var("AGENT_TEST_ROOT"), std::env::var("AGENT_TEST_MODE")) else {
        return;
    };
    let marker = std::env::var("AGENT_TEST_MARKER").unwrap();
    let mode =
        if mode == "workspace-write" { SandboxMode::WorkspaceWrite } else { SandboxMode::DangerFullAccess };
    let world = settings(root.as_ref(), mode);
    let sandbox = pick(world.clone()).unwrap();
    let line = sandbox
        .wrap(agent::sandbox::CommandLine {
            program: "bash".into(),
            args: vec!["-c".into(), format!("{}; sleep {marker}", leaves_behind(&marker)).into()],
            env: agent::sandbox::env::for_commands(world.mode),
            cwd: world.workspace,
            tty: false,
        })
        .unwrap();
    // From a thread that ends at once, as the pool of a runtime may do with its own.
    let child = std::thread::spawn(move || {
        Command::new(&line.program)
            .args(&line.args)
            .env_clear()
            .envs(line.env)
            .current_dir(&line.cwd)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    })
    .join()
    .unwrap();
    child.wait_with_output().unwrap();
}

#[test]
fn nothing_survives_the_agent_when_it_is_killed() {
    for mode in ["workspace-write", "danger-full-access"] {
        for _ in 0..5 {
            let directory = tempfile::tempdir().unwrap();
            std::fs::create_dir(directory.path().join("workspace")).unwrap();
            let marker = marker();
            let mut agent = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "sandbox::ends::agent_to_be_killed", "--ignored", "--nocapture"])
                .env("AGENT_TEST_ROOT", directory.path())
                .env("AGENT_TEST_MODE", mode)
                .env("AGENT_TEST_MARKER", &marker)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let lines = BufReader::new(agent.stdout.take().unwrap()).lines();
            assert!(
                lines.map_while(Result::ok).any(|line| line.ends_with("started")),
                "{mode}: it did not start"
            );
            agent.kill().unwrap();
            agent.wait().unwrap();
            let left = || {
                let mut left = running(&marker);
                left.extend(running(&format!("workspace={}/workspace", directory.path().display())));
                left
            };
            assert!(becomes_true(|| left().is_empty()), "{mode}: {:?}", left());
            let names = std::fs::read_dir(directory.path().join("workspace")).unwrap().count();
            assert_eq!(names, 0, "something was left in the workspace");
        }
    }
}

#[test]
fn a_guard_that_is_killed_from_inside_still_takes_everything_along() {
    let Some(world) = World::new(SandboxMode::DangerFullAccess) else { return };
    let marker = marker();
    let gave =
        gave(world.spawn(&world.sandbox, &format!("setsid sleep {marker} & kill -9 $PPID; sleep {marker}")));
    assert_eq!(gave.code, Some(137));
    assert_eq!(running(&marker), [] as [i32; 0]);
}

#[test]
fn a_guard_does_not_wait_for_what_it_may_not_end() {
    use std::os::unix::fs::PermissionsExt as _;
    if rustix::process::geteuid().as_raw() != 0 {
        eprintln!("SKIPPED: only root can make a program that becomes root");
        return;
    }
    let directory =
        tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let [own, rises] = ["agent", "rises"].map(|name| directory.path().join(name));
    std::fs::copy(program(), &own).unwrap();
    let setpriv =
        ["/usr/bin/setpriv", "/bin/setpriv"].into_iter().find(|path| std::path::Path::new(path).exists());
    let Some(setpriv) = setpriv else {
        return crate::support::skip("a guard and root's processes: no setpriv");
    };
    std::fs::copy(setpriv, &rises).unwrap();
    std::fs::set_permissions(&rises, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let marker = marker();
    // Some of root's, one of which has a child of the user's.
    let script = format!(
        "{rises} --reuid=0 sh -c 'echo > {root}/1; exec sleep {marker}' & \
         {rises} --reuid=0 sh -c '{setpriv} --reuid=65534 sleep {marker} & echo > {root}/2; wait; exec sleep {marker}' & \
         sleep {marker} & until [ -e {root}/1 -a -e {root}/2 ]; do :; done; exit 7",
        rises = rises.display(),
        root = directory.path().display()
    );
    let mut guard = Command::new(setpriv)
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&own)
        .args(["__guard", &std::process::id().to_string(), "pipes", "/", "--", "sh", "-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let code = std::cell::Cell::new(None);
    let guard = std::cell::RefCell::new(&mut guard);
    let ended = becomes_true(|| {
        code.set(guard.borrow_mut().try_wait().unwrap());
        code.get().is_some()
    });
    for left in running(&marker) {
        let _ = kill_process(Pid::from_raw(left).unwrap(), Signal::KILL);
    }
    assert!(ended, "it waits for processes of root");
    assert_eq!(code.get().unwrap().code(), Some(7));
}
