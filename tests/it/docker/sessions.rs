//! Whole sessions in containers, of the real program.

use std::{fs, os::unix::fs::PermissionsExt as _};

use agent::{
    protocol::SandboxMode,
    sandbox::{DockerSettings, contain},
};
use serde_json::json;

use super::world::{World as Container, agent_sandbox, block, docker, exists, image, of_image};
use crate::{
    sandbox::world::{gave, spawn},
    support::{
        mock::{Step, call},
        world::World,
    },
};

#[tokio::test]
async fn a_session_works_in_a_container_and_its_patches_too() {
    let Some(image) = image() else { return };
    let patch = "*** Begin Patch\n*** Add File: patched\n+by a patch\n*** End Patch\n";
    let steps = [
        Step::items([call(
            "exec_command",
            json!({"cmd": "echo from inside > made; mkdir .vscode; echo x > .vscode/a; hostname 2>/dev/null || cat /proc/sys/kernel/hostname"}),
        )]),
        Step::items([call("apply_patch", json!({"input": patch}))]),
        Step::items([call("exec_command", json!({"cmd": "cat patched made; exit 3", "tty": true}))]),
        Step::text("done"),
    ];
    let world = World::bare(steps).await;
    world.configure(&format!("sandbox = 'workspace-write'\nbackend = 'docker:{image}'"));
    let run = world.exec(&["work"]).await;
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(
        (world.read("made").as_str(), world.read("patched").as_str()),
        ("from inside\n", "by a patch\n")
    );
    let first = world.result(2);
    assert!(first.contains("agent\n") && first.contains("`.vscode` was made or changed"), "{first}");
    let last = world.results(4).pop().unwrap().1.to_string();
    assert!(last.contains("by a patch\\r\\nfrom inside\\r\\n") && last.contains('3'), "{last}");
    let opening = world.mock.requests()[0].body.to_string();
    assert!(
        opening.contains("container of the image") && opening.contains("<shell>bash</shell>"),
        "{opening}"
    );
}

#[test]
fn a_container_that_is_kept_is_found_again() {
    let Some(world) = Container::with(SandboxMode::WorkspaceWrite, |workspace| {
        fs::write(workspace.join("file"), "one").unwrap();
    }) else {
        return;
    };
    let mut settings = world.settings.clone();
    settings.scratch = world.root().join("kept-session");
    let start = |keep| {
        let docker = DockerSettings { keep, ..of_image(image().unwrap()) };
        contain(settings.clone(), docker, None, &|_| {}).unwrap()
    };
    let of = |sandbox: &agent::sandbox::SharedSandbox, script: &str| {
        let line = sandbox.wrap(world.line(script, false)).unwrap();
        let container = line.args[2].to_str().unwrap().to_owned();
        let gave = gave(spawn(&line));
        block(sandbox.publish());
        (container, gave.out)
    };
    let first = start(true);
    let (container, _) = of(&first, "echo installed > ~/tool; echo left > inside-only; mkdir .vscode");
    block(first.stop());
    drop(first);
    assert!(exists(&container));
    fs::write(world.path("file"), "two").unwrap();
    let second = start(false);
    let (again, out) = of(&second, "cat ~/tool file; ls -a");
    assert_eq!(
        (again.as_str(), out.as_str()),
        (container.as_str(), "installed\ntwo.\n..\nfile\ninside-only\n")
    );
    block(second.stop());
    assert!(!exists(&container));

    // One that somebody has removed meanwhile is no reason not to go on: a fresh one has the workspace.
    let third = start(true);
    let (kept, _) = of(&third, "echo installed > ~/tool");
    block(third.stop());
    drop(third);
    assert!(docker(&["rm", "-f", &kept]).status.success());
    let fourth = start(false);
    let (fresh, out) = of(&fourth, "cat file; ls ~/tool 2>&1 | grep -c 'No such'");
    assert_ne!(fresh, kept);
    assert_eq!(out, "two1\n");
    block(fourth.stop());
    assert!(!exists(&fresh));
}

/// Stands in for `ssh`: carries a socket as it was told to, and ends with its input.
const SSH: &str = r#"#!/usr/bin/perl
use IO::Socket::UNIX; use IO::Select;
my ($near, $far);
for my $n (0..$#ARGV) { ($near, $far) = split /:/, $ARGV[$n + 1] if $ARGV[$n] eq '-L' }
die "wrong words: @ARGV\n" unless "@ARGV" =~ /BatchMode=yes.* -p 2222 -- me\@far cat$/ && !exists $ENV{OPENAI_API_KEY};
my $listener = IO::Socket::UNIX->new(Local => $near, Listen => 9) or die;
if (my $child = fork) { 1 while sysread(STDIN, my $b, 99); kill 9, $child; exit }
$SIG{CHLD} = 'IGNORE';
while (my $a = $listener->accept) {
    next if fork;
    my $b = IO::Socket::UNIX->new(Peer => $far) or die;
    my $both = IO::Select->new($a, $b);
    while ($both->count) {
        for my $from ($both->can_read) {
            my $to = $from == $a ? $b : $a;
            if (sysread($from, my $bytes, 65536)) { my $at = 0; $at += syswrite($to, $bytes, 65536, $at) while $at < length $bytes }
            else { $both->remove($from); shutdown($to, 1) }
        }
    }
    exit;
}
"#;

#[test]
fn an_engine_on_another_machine_is_reached_by_ssh() {
    let Some(world) = Container::new(SandboxMode::WorkspaceWrite) else { return };
    let [programs, workspace] = ["programs", "far"].map(|name| world.root().join(name));
    for folder in [&programs, &workspace] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(programs.join("ssh"), SSH).unwrap();
    fs::set_permissions(programs.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let run = |host: &str| {
        agent_sandbox(world.root(), &workspace, &["bash", "-c", "head -c 300000 /dev/zero > big; echo far"])
            .env("PATH", &path)
            .env("DOCKER_HOST", host)
            .env("OPENAI_API_KEY", "canary")
            .output()
            .unwrap()
    };
    let output = run("ssh://me@far:2222/var/run/docker.sock");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"far\n"[..]), "{output:?}");
    assert_eq!(fs::metadata(workspace.join("big")).unwrap().len(), 300_000);
    let refused = run("ssh://me@far:1/x");
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("wrong words"), "{refused:?}");
}

#[test]
fn the_doctor_tells_of_the_engine_and_the_image() {
    let Some(world) = Container::new(SandboxMode::WorkspaceWrite) else { return };
    let doctor = |backend: &str, host: &str| {
        let mut command = std::process::Command::new(crate::support::program());
        command.args(["--backend", backend, "doctor", "--json"]).current_dir(&world.settings.workspace);
        command.env("AGENT_HOME", world.root().join("home")).env("DOCKER_HOST", host);
        let output = command.output().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = said["checks"].as_array().unwrap().clone();
        let of = |name: &str| checks.iter().find(|check| check["name"] == name).cloned().unwrap_or_default();
        (of("docker engine"), of("docker image"))
    };
    let (engine, found) = doctor(&format!("docker:{}", image().unwrap()), "");
    assert!(engine["ok"] == true && engine["detail"].as_str().unwrap().contains("docker.sock"), "{engine}");
    assert_eq!(found["detail"], image().unwrap());
    let (_, missing) = doctor("docker:no.such/image:1", "");
    assert_eq!(missing["ok"], false, "{missing}");
    let (gone, _) = doctor("docker", "unix:///no/such.sock");
    assert_eq!(gone["ok"], false, "{gone}");
    let (unneeded, _) = doctor("local", "unix:///no/such.sock");
    assert_eq!(unneeded["ok"], true, "{unneeded}");
}
