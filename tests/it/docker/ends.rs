//! What is left: of a command when it ends, of a session when it ends or is killed.

use std::{
    collections::BTreeSet,
    process::Stdio,
    time::{Duration, Instant},
};

use agent::protocol::SandboxMode;
use rustix::process::{Pid, Signal, kill_process};

use super::world::{World, agent_sandbox, exists, lines, volumes};
use crate::sandbox::world::{becomes_true, gave, marker, running};

#[test]
fn nothing_that_a_command_started_outlives_it() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let marker = marker();
    for script in [
        format!("sleep {marker} & echo started"),
        format!("setsid sleep {marker} & sleep 0.05; echo started"),
        format!("(setsid nohup sleep {marker} >/dev/null 2>&1 &) ; sleep 0.05; echo started"),
        // Without the mark, without the session, without a parent.
        format!(
            "(env -i setsid sh -c 'sleep {marker} >/dev/null 2>&1 & exit 0' &); sleep 0.05; echo started"
        ),
        format!("trap '' TERM HUP INT; sleep {marker} & echo started"),
    ] {
        let gave = gave(world.start(&script));
        assert_eq!((gave.code, gave.out.as_str()), (Some(0), "started\n"), "{script}: {gave:?}");
        assert!(becomes_true(|| running(&marker).is_empty()), "{script}");
    }
}

#[test]
fn what_is_told_to_end_ends_with_all_that_it_started_and_others_go_on() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let (mine, other) = (marker(), marker());
    let mut neighbour = world.start(&format!("setsid sleep {other} & echo up; wait"));
    std::io::Read::read_exact(neighbour.stdout.as_mut().unwrap(), &mut [0; 3]).unwrap();
    for signal in [Signal::ALARM, Signal::KILL] {
        let mut child = world.start(&format!("trap '' TERM; (setsid sleep {mine} &); sleep {mine}"));
        assert!(becomes_true(|| running(&mine).len() >= 2));
        kill_process(Pid::from_child(&child), signal).unwrap();
        child.wait().unwrap();
        assert!(becomes_true(|| running(&mine).is_empty()), "{signal:?}");
        assert!(!running(&other).is_empty());
    }
    kill_process(Pid::from_child(&neighbour), Signal::ALARM).unwrap();
    assert_eq!(neighbour.wait().unwrap().code(), Some(137));
    assert!(becomes_true(|| running(&other).is_empty()));
}

#[test]
fn a_session_ends_within_a_second_and_leaves_nothing() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let container = world.container();
    let volume = world.inspect()["Mounts"][0]["Name"].as_str().unwrap().to_owned();
    let mut child = world.start("echo up; sleep 600");
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 3]).unwrap();
    let since = Instant::now();
    super::world::block(world.sandbox.stop());
    let took = since.elapsed();
    assert!(!exists(&container) && !volumes().contains(&volume));
    assert_eq!(child.wait().unwrap().code(), Some(137));
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(world.sandbox.wrap(world.line("true", false)).is_err());
}

#[test]
fn runs_in_a_row_leave_nothing() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let runs = if std::env::var_os("AGENT_TEST_LONG").is_some() { 100 } else { 5 };
    let workspace = world.root().join("other");
    std::fs::create_dir(&workspace).unwrap();
    for n in 0..runs {
        let script = format!("echo {n} > file; docker 2>/dev/null; sleep 1000 & exit 0");
        let output = agent_sandbox(world.root(), &workspace, &["bash", "-c", &script]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(std::fs::read_to_string(workspace.join("file")).unwrap(), format!("{n}\n"));
    }
    assert_eq!(of_workspace(&workspace), BTreeSet::new());
}

#[test]
fn an_agent_that_is_killed_takes_its_container_along() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let workspace = world.root().join("killed");
    std::fs::create_dir(&workspace).unwrap();
    let marker = marker();
    let runs = if std::env::var_os("AGENT_TEST_LONG").is_some() { 30 } else { 3 };
    for _ in 0..runs {
        let mut child = agent_sandbox(world.root(), &workspace, &["sleep", &marker])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Inside, not the helper that stands for it.
        assert!(becomes_true(|| in_containers(&marker)));
        assert_eq!(of_workspace(&workspace).len(), 1);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(becomes_true(|| running(&marker).is_empty() && of_workspace(&workspace).is_empty()));
    }
}

#[test]
fn what_a_dead_agent_left_is_removed_by_the_next_start() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let image = super::world::image().unwrap();
    let make = |owner: &str| {
        let labels = [
            "agent.sandbox=1".to_owned(),
            format!("agent.host={}", boot.trim()),
            format!("agent.owner={owner}"),
            "agent.deadline=99999999999".to_owned(),
        ];
        let mut args = vec!["run", "-d"];
        args.extend(labels.iter().flat_map(|label| ["--label", label]));
        args.extend([image, "sleep", "1000"]);
        let output = super::world::docker(&args);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let started = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().to_owned();
    let dead = make("1 99999999999");
    let alive = make(&format!("{} {started}", std::process::id()));
    let workspace = world.root().join("other");
    std::fs::create_dir(&workspace).unwrap();
    let output = agent_sandbox(world.root(), &workspace, &["true"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let left = (exists(&dead), exists(&alive));
    super::world::docker(&["rm", "-f", &alive]);
    assert_eq!(left, (false, true));
    assert!(exists(&world.container()), "a living session was touched");
}

/// Containers with a volume at this workspace.
fn of_workspace(workspace: &std::path::Path) -> BTreeSet<String> {
    let workspace = workspace.canonicalize().unwrap();
    let mut found = BTreeSet::new();
    for container in lines(&["ps", "-aq", "--filter", "label=agent.sandbox"]) {
        let output = super::world::docker(&[
            "inspect",
            "--format",
            "{{range .Mounts}}{{.Destination}} {{end}}",
            &container,
        ]);
        if String::from_utf8_lossy(&output.stdout).contains(&*workspace.to_string_lossy()) {
            found.insert(container);
        }
    }
    found
}

/// Whether a process with this argument runs that was started by its own name.
fn in_containers(marker: &str) -> bool {
    running(marker).iter().any(|pid| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep\0"))
    })
}
