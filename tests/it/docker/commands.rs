//! What an honest command meets.

use std::{
    io::{Read as _, Write as _},
    process::Stdio,
};

use agent::protocol::SandboxMode;
use rustix::process::{Pid, Signal, kill_process};

use super::world::{World, agent_sandbox};
use crate::sandbox::world::{becomes_true, gave, spawn};

#[test]
fn a_command_works_in_its_workspace_and_keeps_home_and_tmp_between_commands() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let first = world
        .run("echo a > made && mkdir d && mv made d/moved && echo b > ~/kept && echo c > /tmp/kept && pwd");
    assert_eq!((first.code, first.err.as_str()), (Some(0), ""));
    assert_eq!(first.out.trim(), world.settings.workspace.to_str().unwrap());
    assert_eq!(world.run("cat d/moved ~/kept /tmp/kept").out, "a\nb\nc\n");
    assert_eq!(world.read("d/moved"), "a\n");
}

#[test]
fn exit_codes_and_signals_come_back_as_a_shell_gives_them() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    for (script, code) in [
        ("true", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("kill -SEGV $$", 139),
        ("exec /nowhere/program", 127),
    ] {
        let gave = world.run(script);
        assert_eq!(gave.code, Some(code), "{script}: {gave:?}");
        assert!(!gave.err.contains("agent:"), "{script}: {gave:?}");
    }
}

#[test]
fn output_and_errors_are_apart_and_whole() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let gave = world.run(r"printf '\0\1\2one\xff'; printf two >&2; head -c 3000000 /dev/zero | tr '\0' x");
    let expected = format!("\0\u{1}\u{2}one\u{fffd}{}", "x".repeat(3_000_000));
    assert!(gave.out == expected, "{} bytes", gave.out.len());
    assert_eq!((gave.code, gave.err.as_str()), (Some(0), "two"));
}

#[test]
fn what_is_not_there_is_said() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let mut line = world.line("", false);
    line.program = "no-such-program".into();
    let nothing = gave(spawn(&world.sandbox.wrap(line).unwrap()));
    assert_eq!(nothing.code, Some(127), "{nothing:?}");
    assert!(nothing.err.contains("no-such-program"), "{nothing:?}");
    let mut line = world.line("pwd", false);
    line.cwd = "/no/such/directory".into();
    let nowhere = gave(spawn(&world.sandbox.wrap(line).unwrap()));
    assert_eq!((nowhere.code, nowhere.out.as_str()), (Some(126), ""), "{nowhere:?}");
    assert!(nowhere.err.contains("cannot enter /no/such/directory"), "{nowhere:?}");
}

#[test]
fn commands_are_told_of_the_images_places_and_not_of_this_machines() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let mut line = world.line("env", false);
    line.env = world.sandbox.environment(vec![
        ("PATH".into(), "/home/me/bin".into()),
        ("CARGO_HOME".into(), "/home/me/.cargo".into()),
        ("WANTED".into(), "1 =2".into()),
        ("LD_PRELOAD".into(), "".into()),
    ]);
    let gave = gave(spawn(&world.sandbox.wrap(line).unwrap()));
    let has = |line: &str| gave.out.lines().any(|found| found == line);
    assert!(
        has("WANTED=1 =2") && has("LD_PRELOAD=") && has("SHELL=/bin/bash") && has("USER=agent"),
        "{gave:?}"
    );
    assert!(!gave.out.contains("/home/me") && gave.out.contains("PATH=/usr/local/sbin:"), "{gave:?}");
}

#[test]
fn signals_reach_the_command_and_what_it_started() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    for (signal, name) in
        [(Signal::INT, "INT"), (Signal::TERM, "TERM"), (Signal::USR1, "USR1"), (Signal::HUP, "HUP")]
    {
        let mut child = world.start(&format!(
            "trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.01; done"
        ));
        let mut out = child.stdout.take().unwrap();
        let mut ready = [0; 6];
        out.read_exact(&mut ready).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert!(rest.contains(&format!("got {name}")), "{rest:?}");
        assert_eq!(child.wait().unwrap().code(), Some(9), "{name}");
    }
}

#[test]
fn input_goes_in_and_its_end_as_well() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let line = world.sandbox.wrap(world.line("cat; echo end", false)).unwrap();
    let mut child = std::process::Command::new(&line.program)
        .args(&line.args)
        .env_clear()
        .envs(line.env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = "line\n".repeat(50_000);
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).map(|()| text));
    let gave = gave(child);
    let text = writer.join().unwrap().unwrap();
    assert!(gave.out == text + "end\n" && gave.code == Some(0), "{} bytes, {}", gave.out.len(), gave.err);
}

#[test]
fn who_stops_reading_ends_the_command() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let mut child = world.start("yes");
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(141));
    assert!(becomes_true(|| !world.run("ps -eo comm").out.contains("yes")));
}

#[test]
fn commands_run_beside_each_other() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let children: Vec<_> =
        (0..6).map(|n| world.start(&format!("mkfifo p{n} 2>/dev/null; echo {n}"))).collect();
    for (n, child) in children.into_iter().enumerate() {
        let gave = gave(child);
        assert_eq!((gave.code, gave.out), (Some(0), format!("{n}\n")));
    }
}

#[test]
fn read_only_means_read_only() {
    let Some(world) = World::with(SandboxMode::ReadOnly, |workspace| {
        std::fs::write(workspace.join("file"), "whole").unwrap();
    }) else {
        return;
    };
    let gave = world.run(
        "cat file; echo x > file; echo x > new; rm -f file; chmod 777 .; mkdir d; echo ok > /tmp/t && cat /tmp/t ~/../nothing",
    );
    assert_eq!(gave.out, "wholeok\n", "{gave:?}");
    world.write("file", "other");
    assert_eq!(world.run("cat file").out, "other");
    assert_eq!(world.names(), ["file"]);
}

#[test]
fn ordinary_development_works_inside() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    for (script, want) in [
        ("for i in 1 2 3; do echo $i & done; wait; echo done", "done"),
        ("diff <(echo a) <(echo a) && echo same", "same"),
        ("mkfifo p && (echo through > p &) && cat p", "through"),
        ("exec 3<>/dev/tcp/127.0.0.1/1 2>/dev/null || echo refused", "refused"),
        ("printf 'echo run' > /tmp/s.sh; chmod +x /tmp/s.sh; /tmp/s.sh", "run"),
        (
            "perl -MIO::Socket::INET -e '$l=IO::Socket::INET->new(Listen=>1,LocalAddr=>\"127.0.0.1\") or die $!; $c=IO::Socket::INET->new(PeerAddr=>\"127.0.0.1\",PeerPort=>$l->sockport) or die $!; print \"loopback\"'",
            "loopback",
        ),
        (
            "perl -MIO::Socket::UNIX -e '$l=IO::Socket::UNIX->new(Listen=>1,Local=>\"s\") or die $!; $c=IO::Socket::UNIX->new(Peer=>\"s\") or die $!; print \"own socket\"'",
            "own socket",
        ),
        ("tar cf t.tar p 2>/dev/null; mkdir t; tar xf t.tar -C t; ls t", "p"),
    ] {
        let gave = world.run(script);
        assert_eq!(gave.out.trim().lines().last(), Some(want), "{script}\n{gave:?}");
    }
}

#[test]
fn agent_sandbox_runs_in_a_container_and_leaves_none() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let workspace = world.root().join("other");
    std::fs::create_dir(&workspace).unwrap();
    std::fs::write(workspace.join("in"), "one").unwrap();
    let script = "cat in; echo two > out; echo $HOSTNAME; exit 3";
    let output = agent_sandbox(world.root(), &workspace, &["bash", "-c", script]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "oneagent\n", "{output:?}");
    assert_eq!(std::fs::read_to_string(workspace.join("out")).unwrap(), "two\n");
}

#[test]
fn skills_are_there_and_can_not_be_changed_also_those_that_come_later() {
    for mode in [SandboxMode::WorkspaceWrite, SandboxMode::ReadOnly] {
        let shown = |workspace: &std::path::Path| workspace.with_file_name("shown");
        let put = |folder: &std::path::Path, name: &str| {
            let scripts = folder.join(name).join("scripts");
            std::fs::create_dir_all(&scripts).unwrap();
            std::fs::write(scripts.join("run.sh"), format!("echo {name} runs\n")).unwrap();
        };
        let Some(world) = World::with(mode, |workspace| put(&shown(workspace), "a-1")) else { return };
        let folder = shown(&world.settings.workspace);
        let place = folder.display();
        let gave = world.run(&format!(
            "sh {place}/a-1/scripts/run.sh; touch {place}/x {place}/a-1/x; rm -rf {place}/a-1; ls {place}"
        ));
        assert_eq!(gave.out, "a-1 runs\na-1\n", "{gave:?}");
        put(&folder, "b-2");
        assert_eq!(world.run(&format!("sh {place}/b-2/scripts/run.sh")).out, "b-2 runs\n");
        assert_eq!(world.publish(), [] as [String; 0]);
    }
}
