//! What commands can't take of the machine: afterwards the next command runs as if nothing had been.

use agent::protocol::SandboxMode;

use super::world::{World, running, settings};

#[test]
fn greed_ends_with_the_command_that_has_it() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let perl = |code: &str| format!("perl -e '{code}'");
    for (what, script, said) in [
        // Each child waits, so that all are there at once; the first that can't be made ends it.
        (
            "processes",
            perl(
                "$n=0; while (1) { $p = fork; last unless defined $p; if (!$p) { sleep 600; exit } $n++; last if $n > 5000 } print $n > 5000 ? \"ENDLESS\" : \"bounded\"; kill 9, 0",
            ),
            "bounded",
        ),
        (
            "files",
            perl(
                "$n=0; while (open $f[$n], \"<\", \"/dev/null\") { $n++; last if $n > 100000 } print $n > 100000 ? \"ENDLESS\" : \"bounded\"",
            ),
            "bounded",
        ),
    ] {
        let gave = world.run(&format!("$(command -v stdbuf >/dev/null && echo stdbuf -o0) {script}"));
        assert!(
            gave.out.contains(said) || gave.code == Some(137) && !gave.out.contains("ENDLESS"),
            "{what}: {gave:?}"
        );
        assert_eq!(world.run("echo fine").out, "fine\n", "{what}");
    }
}

#[test]
fn more_memory_than_a_session_may_have_is_not_given() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    // Written to, so that it is really taken.
    let gave = world
        .run("perl -e '$| = 1; @a = (); for (1..80) { push @a, \"x\" x (64 << 20); } print \"ENDLESS\"'");
    assert!(!gave.out.contains("ENDLESS") && gave.code != Some(0), "{gave:?}");
    assert_eq!(world.run("echo fine").out, "fine\n");
}

#[test]
fn no_control_group_is_left() {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let start = std::fs::read_to_string("/proc/self/stat").unwrap();
    let start = start.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().to_owned();
    let name = format!("agent-{}-{start}-", std::process::id());
    let ours = || -> Vec<std::path::PathBuf> {
        let parents = own.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controller, path) = (parts.next()?, parts.next()?);
            Some(std::path::Path::new("/sys/fs/cgroup").join(controller).join(path.trim_start_matches('/')))
        });
        let of = |parent: std::path::PathBuf| std::fs::read_dir(parent).into_iter().flatten().flatten();
        parents
            .flat_map(of)
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().contains(&name))
            .collect()
    };
    let before = ours();
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    world.run("true");
    let during: Vec<_> = ours().into_iter().filter(|path| !before.contains(path)).collect();
    let limits =
        agent::sandbox::probe(&world.settings).into_iter().find(|layer| layer.name == "limits").unwrap();
    assert!(during.is_empty() != limits.ok || before != ours(), "{limits:?} {during:?}");
    super::world::block_on(world.sandbox.stop());
    drop(world);
    assert!(running(&name).is_empty());
    // Those of other tests come and go meanwhile.
    let left: Vec<_> = during.iter().filter(|path| path.exists()).filter(|path| is_empty(path)).collect();
    assert!(
        super::world::becomes_true(|| left.iter().all(|path| !path.exists() || !is_empty(path))),
        "{left:?}"
    );
}

fn is_empty(group: &std::path::Path) -> bool {
    std::fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|list| list.is_empty())
}

#[test]
fn what_a_session_takes_of_the_disk_ends_its_commands_and_is_told_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    for name in ["workspace", "outside"] {
        std::fs::create_dir(root.join(name)).unwrap();
    }
    let settings =
        agent::sandbox::Settings { disk: 100 << 20, ..settings(&root, SandboxMode::WorkspaceWrite) };
    let Some(world) = World::at(directory, settings) else { return };
    // One file, in whatever place.
    let gave = world.run("head -c 200M /dev/zero > x; echo $?");
    assert_ne!(gave.out, "0\n", "{gave:?}");
    assert_eq!(world.publish(), [] as [String; 0]);
    // Several, and what can be spared goes.
    let gave = world.run(
        "echo kept > ~/kept; for n in 1 2 3; do head -c 60M /dev/zero > /tmp/$n; done; sleep 60; echo on",
    );
    assert_eq!((gave.code, gave.out.as_str()), (Some(137), ""));
    let said = world.publish();
    assert!(said.len() == 1 && said[0].contains("more than the 100 MiB"), "{said:?}");
    assert_eq!(world.run("ls /tmp; cat ~/kept").out, "kept\n");
    assert_eq!(world.publish(), [] as [String; 0]);
}
