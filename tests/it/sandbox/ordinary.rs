//! What an honest command meets: its workspace, its scratch space, its exit code.

use agent::protocol::SandboxMode;

use crate::support::{program, skip};

use super::{refused::over_bubblewrap, world::World};

#[test]
fn a_command_works_in_its_workspace_and_keeps_home_and_tmp_between_commands() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let first = world
        .run("echo a > made && mkdir d && mv made d/moved && echo b > ~/kept && echo c > /tmp/kept && pwd");
    assert_eq!((first.code, first.err.as_str()), (Some(0), ""));
    assert_eq!(first.out.trim(), world.settings.workspace.to_str().unwrap());
    let second = world.run("cat d/moved ~/kept /tmp/kept");
    assert_eq!(second.out, "a\nb\nc\n", "{second:?}");
    assert_eq!(std::fs::read_to_string(world.settings.workspace.join("d/moved")).unwrap(), "a\n");
    assert!(!std::path::Path::new("/tmp/kept").exists());
}

#[test]
fn what_a_command_makes_belongs_to_the_user() {
    use std::os::unix::fs::MetadataExt as _;
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let gave = world.run("touch made; stat -c %u . made | sort -u | wc -l; id -u");
    assert_eq!(gave.out.lines().next(), Some("1"), "{gave:?}");
    assert_ne!(gave.out.lines().nth(1), Some("0"), "commands are not root");
    let made = std::fs::metadata(world.settings.workspace.join("made")).unwrap();
    assert_eq!(made.uid(), rustix::process::geteuid().as_raw());
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
        assert_eq!(world.run(script).code, Some(code), "{script}");
        assert_eq!(world.run_outside(script).code, Some(code), "{script}, outside");
    }
}

#[test]
fn a_program_that_is_not_there_is_said_and_gives_127() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let mut line = world.script("", false);
    line.program = "no-such-program".into();
    let gave = super::world::gave(super::world::spawn(&world.sandbox.wrap(line).unwrap()));
    assert_eq!(gave.code, Some(127));
    assert!(gave.err.contains("cannot run no-such-program"), "{gave:?}");
}

#[test]
fn a_working_directory_that_is_not_shown_is_said() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let mut line = world.script("pwd", false);
    line.cwd = world.outside();
    let gave = super::world::gave(super::world::spawn(&world.sandbox.wrap(line).unwrap()));
    assert_eq!((gave.code, gave.out.as_str()), (Some(126), ""));
    assert!(gave.err.contains("cannot enter"), "{gave:?}");
}

#[test]
fn the_environment_is_exactly_what_was_given() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let mut line = world.script("", false);
    line.program = "/usr/bin/env".into();
    line.args = Vec::new();
    line.env =
        vec![("A".into(), "1 =2".into()), ("LD_LIBRARY_PATH".into(), "/x".into()), ("E".into(), "".into())];
    for sandbox in [&world.sandbox, &agent::sandbox::outside(program())] {
        let gave = super::world::gave(super::world::spawn(&sandbox.wrap(line.clone()).unwrap()));
        let mut vars: Vec<&str> = gave.out.lines().collect();
        vars.sort_unstable();
        assert_eq!(vars, ["A=1 =2", "E=", "LD_LIBRARY_PATH=/x"], "{gave:?}");
    }
}

#[test]
fn read_only_means_read_only() {
    let Some(world) = World::new(SandboxMode::ReadOnly) else { return };
    std::fs::write(world.settings.workspace.join("file"), "whole").unwrap();
    let gave = world.run("cat file; echo x > file; echo x > new; rm -f file; chmod 777 .; mkdir d; echo ok > /tmp/t && cat /tmp/t");
    assert_eq!(gave.out, "wholeok\n", "{gave:?}");
    assert_eq!(std::fs::read_to_string(world.settings.workspace.join("file")).unwrap(), "whole");
    assert_eq!(std::fs::read_dir(&world.settings.workspace).unwrap().count(), 2);
}

#[test]
fn ordinary_tools_work_inside() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    for (needs, script, want) in [
        ("bash", "for i in 1 2 3; do echo $i & done; wait; echo done", "done"),
        ("bash", "diff <(echo a) <(echo a) && echo same", "same"),
        ("bash", "mkfifo p && (echo through > p &) && cat p", "through"),
        ("bash", "exec 3<>/dev/tcp/127.0.0.1/1 2>/dev/null || echo refused", "refused"),
        (
            "bash",
            "echo 'int main(){return 0;}' > x.c; echo 'echo run' > s.sh; chmod +x s.sh; sh ./s.sh",
            "run",
        ),
        ("gcc", "printf 'int main(){return 42;}' > m.c && gcc m.c -o m && ./m; echo $?", "42"),
        (
            "git",
            "rm -rf /tmp/r && git init -q /tmp/r && cd /tmp/r && git -c user.name=n -c user.email=e commit -q --allow-empty -m m && git log --format=%s",
            "m",
        ),
        (
            "perl",
            "perl -MIO::Socket::INET -e '$l=IO::Socket::INET->new(Listen=>1,LocalAddr=>\"127.0.0.1\") or die $!; $c=IO::Socket::INET->new(PeerAddr=>\"127.0.0.1\",PeerPort=>$l->sockport) or die $!; print \"loopback\"'",
            "loopback",
        ),
        (
            "perl",
            "perl -MIO::Socket::UNIX -e '$l=IO::Socket::UNIX->new(Listen=>1,Local=>\"s\") or die $!; $c=IO::Socket::UNIX->new(Peer=>\"s\") or die $!; print \"own socket\"'",
            "own socket",
        ),
        ("strace", "strace -o /tmp/trace true && grep -c execve /tmp/trace", "1"),
        ("script", "script -qec 'tty' /dev/null | tr -d '\\r'", "/dev/pts/0"),
        ("setarch", "setarch -R echo still", "still"),
        (
            "tar",
            "mkdir -p t/u && echo x > t/u/f && tar cf t.tar t && rm -r t && tar xf t.tar && cat t/u/f",
            "x",
        ),
    ] {
        if !world.run_outside(&format!("command -v {needs}")).out.starts_with('/') {
            skip(&format!("{needs} in the sandbox: it is not installed"));
            continue;
        }
        let gave = world.run(script);
        assert_eq!(gave.out.trim().lines().last(), Some(want), "{script}\n{gave:?}");
    }
}

#[test]
fn nothing_is_left_in_the_workspace() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    world.run("true");
    let names: Vec<_> =
        std::fs::read_dir(&world.settings.workspace).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, [".git"]);
}

#[test]
fn a_holder_that_was_killed_is_started_again() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let marker = world.settings.workspace.display().to_string();
    let holders = super::world::running(&format!("workspace={marker}"));
    assert_eq!(holders.len(), 2, "one outside, one inside");
    for pid in holders {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::KILL,
        );
    }
    assert!(super::world::becomes_true(|| {
        world.sandbox.wrap(world.script("true", false)).is_ok() && world.run("echo again").out == "again\n"
    }));
}

#[test]
fn a_foreign_workspace_keeps_its_owner_when_root_works_in_it() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    if rustix::process::geteuid().as_raw() != 0 {
        eprintln!("SKIPPED: only root can make a foreign workspace");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let settings =
        super::world::settings(&directory.path().canonicalize().unwrap(), SandboxMode::WorkspaceWrite);
    std::fs::create_dir(&settings.workspace).unwrap();
    chown(&settings.workspace, Some(4242), Some(4242)).unwrap();
    let Some(world) = World::at(directory, settings) else { return };
    let gave = world.run("echo x > made && echo x > ~/made && echo x > /tmp/made && id -u && id -un");
    assert_eq!(gave.out, "4242\nagent\n", "{gave:?}");
    assert_eq!(std::fs::metadata(world.settings.workspace.join("made")).unwrap().uid(), 4242);
    assert_eq!(std::fs::metadata(world.settings.scratch.join("home/made")).unwrap().uid(), 0);
}

#[test]
fn root_keeps_the_group_of_a_foreign_workspace_and_owners_with_any_number() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    if rustix::process::geteuid().as_raw() != 0 {
        eprintln!("SKIPPED: only root can make a foreign workspace");
        return;
    }
    for (owner, group, seen) in [(4242, 100, 100), (1, 1, 1), (1, 0, 1)] {
        let directory = tempfile::tempdir().unwrap();
        let settings =
            super::world::settings(&directory.path().canonicalize().unwrap(), SandboxMode::WorkspaceWrite);
        std::fs::create_dir(&settings.workspace).unwrap();
        chown(&settings.workspace, Some(owner), Some(group)).unwrap();
        let Some(world) = World::at(directory, settings) else { return };
        let gave = world.run("echo x > made && echo x > ~/made && cat made ~/made; id -u; id -g");
        assert_eq!(gave.out, format!("x\nx\n{owner}\n{owner}\n"), "{gave:?}");
        let made = std::fs::metadata(world.settings.workspace.join("made")).unwrap();
        assert_eq!((made.uid(), made.gid()), (owner, seen));
    }
}

#[test]
fn commands_are_never_root_where_another_identity_can_not_be_had() {
    if rustix::process::geteuid().as_raw() != 0 {
        eprintln!("SKIPPED: only root needs another identity");
        return;
    }
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    // A file system without id-mapped mounts.
    let output = std::process::Command::new("unshare")
        .args([
            "-m",
            "sh",
            "-c",
            "mount -t ramfs none \"$1\" && cd \"$1\" && exec \"$2\" sandbox -- id -u",
            "sh",
        ])
        .arg(&world.settings.workspace)
        .arg(program())
        .env("AGENT_HOME", world.outside())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(6), &b""[..]), "{text}");
    assert!(text.contains("no sandbox: identity: ") && text.contains("as an ordinary user"), "{text}");
}

#[test]
fn a_sandbox_that_can_not_be_had_is_refused_with_the_reason() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let mut settings = world.settings.clone();
    settings.helper = "/bin/false".into();
    let error = agent::sandbox::pick(settings.clone()).err().unwrap();
    assert!(error.message.contains("the helper did not answer"), "{error}");
    let layers = agent::sandbox::probe(&settings);
    assert!(layers.iter().any(|layer| !layer.ok), "{layers:?}");

    // Where namespaces are forbidden, as they are in the sandbox itself.
    std::fs::copy(program(), world.settings.workspace.join("agent")).unwrap();
    let gave = world.run("./agent __sandbox hold write workspace=$PWD home=/h scratch=/tmp/s < /dev/null");
    assert!(gave.out.starts_with("failed namespaces: "), "{gave:?}");
}

#[test]
fn every_layer_is_found_where_all_are_there() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let layers = agent::sandbox::probe(&world.settings);
    let may_be_missing =
        if over_bubblewrap() { &["landlock", "limits", "git"][..] } else { &["landlock", "limits"] };
    let missing: Vec<_> =
        layers.iter().filter(|layer| !layer.ok && !may_be_missing.contains(&layer.name.as_str())).collect();
    assert!(missing.is_empty() && layers.len() == 8, "{layers:#?}");
}

#[test]
fn what_is_shown_is_read_and_not_written_also_where_all_around_it_is_covered() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let [own, shown] = ["workspace/.own", "workspace/.own/cache/skills"].map(|name| root.join(name));
    let outer = root.join("shown");
    for folder in [&root.join("outside"), &shown.join("a/scripts"), &outer.join("b")] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(own.join("key"), "secret").unwrap();
    std::fs::write(own.join("cache/other"), "secret").unwrap();
    std::fs::write(shown.join("a/scripts/run.sh"), "echo it runs").unwrap();
    std::fs::write(outer.join("b/text"), "text").unwrap();
    let settings = super::world::settings(&root, SandboxMode::WorkspaceWrite);
    let settings = agent::sandbox::Settings {
        own: vec![own.clone(), own.clone()],
        shown: vec![shown.clone(), outer.clone(), root.join("missing")],
        ..settings
    };
    let Some(world) = World::at(directory, settings) else { return };
    let script = format!(
        "sh {0}/a/scripts/run.sh; cat {1}/b/text; echo; ls {2} {2}/cache; cat {2}/key {2}/cache/other; \
         touch {0}/x {1}/x {2}/x; rm -r {0}/a; mv {2}/cache {2}/else",
        shown.display(),
        outer.display(),
        own.display()
    );
    let gave = world.run(&script);
    let expected = format!("it runs\ntext\n{0}:\ncache\n\n{0}/cache:\nskills\n", own.display());
    assert_eq!(gave.out, expected, "{gave:?}");
    assert!(
        !gave.err.contains("secret") && gave.err.matches("Read-only file system").count() >= 4,
        "{gave:?}"
    );
    // What comes later is seen, too.
    std::fs::create_dir(shown.join("later")).unwrap();
    std::fs::write(shown.join("later/text"), "later").unwrap();
    assert_eq!(world.run(&format!("cat {}/later/text", shown.display())).out, "later");
    assert!(shown.join("a/scripts/run.sh").exists() && own.join("key").exists());
}
