//! Tarballs of real files, unpacked by the tar of this machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::AtomicBool,
};

use proptest::prelude::*;

use super::{
    SnapshotError, Stored, Which, Why,
    keep_tests::{killed, rounds},
    property_tests::work,
    room_tests::{Small, noise},
    tarball_of,
    testing::{Look, World, look, name},
    tests::everything,
};

static GO_ON: AtomicBool = AtomicBool::new(false);

/// What the tar of this machine makes of a tarball.
fn unpacked(tarball: &Path) -> (tempfile::TempDir, Look) {
    let folder = tempfile::tempdir().unwrap();
    let tar = Command::new("tar")
        .args(["--zstd", "--warning=no-timestamp", "--xattrs", "--xattrs-include=*", "-xpf"])
        .arg(tarball)
        .arg("-C")
        .arg(folder.path())
        .output()
        .expect("tar is there");
    assert!(tar.status.success() && tar.stderr.is_empty(), "{}", String::from_utf8_lossy(&tar.stderr));
    let seen = look(folder.path());
    (folder, seen)
}

#[test]
fn what_tar_makes_of_a_tarball_is_the_workspace() {
    let world = World::new();
    everything(&world);
    world.write(format!("long/{}/{}", "d".repeat(120), "f".repeat(200)), "far down");
    world.write(name(&[&b"long/\xff"[..], &[b'x'; 150], b"\n"].concat()), "long and odd");
    std::os::unix::fs::symlink("t".repeat(300), world.path("far")).unwrap();
    // As a path this comes before `same/one`, and as a member of the tarball after it.
    fs::hard_link(world.path("same/one"), world.path("same-as")).unwrap();
    for (file, seconds, nanos) in
        [("before", -1, 300_000_000), ("long-ago", -2_000_000_000, 0), ("late", 1 << 34, 7)]
    {
        world.write(file, file);
        let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanos };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(rustix::fs::CWD, world.path(file), &times, rustix::fs::AtFlags::empty())
            .unwrap();
    }
    let many = fs::File::create(world.path("holes")).unwrap();
    for at in 0..200 {
        std::os::unix::fs::FileExt::write_all_at(&many, b"data", at << 20).unwrap();
    }
    many.set_len((200 << 20) + 12_345).unwrap();
    fs::File::create(world.path("nothing-but-a-hole")).unwrap().set_len(10 << 20).unwrap();
    let (seen, taken) = (world.look(), world.snapshots.take().unwrap());
    let file = world.folder.path().join("workspace.tar.zst");
    let tarball = world.snapshots.tarball(&taken.id, &file, &GO_ON).unwrap();
    assert_eq!((tarball.files, tarball.left, tarball_of(&file)), (taken.files, Vec::new(), Some(taken.id)));
    assert_eq!(tarball.stored, fs::metadata(&file).unwrap().len());
    let (_folder, after) = unpacked(&file);
    for (path, before) in &seen.files {
        assert!(after.files.get(path) == Some(before), "{} is another one", path.display());
    }
    assert!(after == seen, "there is more than there was");
    assert_eq!(fs::read_dir(world.folder.path()).unwrap().count(), 3, "nothing else is left there");
}

#[test]
fn what_is_not_part_of_a_snapshot_is_named_and_an_older_state_can_be_written_as_well() {
    let world = World::new();
    world.write("web/node_modules/a/index.js", "x");
    world.write("file", "1");
    let first = (world.look(), world.snapshots.take().unwrap());
    world.write("file", "2");
    world.snapshots.take().unwrap();
    let file = world.folder.path().join("w.tar.zst");
    let stored = Stored::of(&world.folder.path().join("snapshots"), &world.work()).unwrap();
    let tarball = stored.tarball(&first.1.id, &file, &GO_ON).unwrap();
    assert_eq!(tarball.left, [(PathBuf::from("web/node_modules"), Why::Dependencies)]);
    let (_folder, after) = unpacked(&file);
    assert_eq!(after.files[Path::new("file")], first.0.files[Path::new("file")]);
    let missing = crate::protocol::SnapshotId("0".repeat(64));
    assert!(matches!(stored.tarball(&missing, &file, &GO_ON), Err(SnapshotError::Missing(_))));
    assert_eq!(tarball_of(&file), Some(first.1.id), "the one from before is still there");
}

#[test]
fn whoever_stops_it_finds_the_one_from_before() {
    let world = World::new();
    world.write("file", "1");
    let taken = world.snapshots.take().unwrap();
    let file = world.folder.path().join("w.tar.zst");
    let stopped = world.snapshots.tarball(&taken.id, &file, &AtomicBool::new(true));
    assert!(matches!(stopped, Err(SnapshotError::Stopped)), "{stopped:?}");
    assert!(!file.exists());
    world.snapshots.tarball(&taken.id, &file, &GO_ON).unwrap();
    assert!(world.snapshots.tarball(&taken.id, &file, &AtomicBool::new(true)).is_err());
    assert_eq!(tarball_of(&file), Some(taken.id));
    let busy = fs::File::create(world.folder.path().join(".w.tar.zst.part")).unwrap();
    busy.lock().unwrap();
    let error = world.snapshots.tarball(&tarball_of(&file).unwrap(), &file, &GO_ON).unwrap_err();
    assert!(error.to_string().contains("another program is writing it"), "{error}");
}

#[test]
fn a_disk_without_room_has_the_one_from_before() {
    let world = World::new();
    let Some(small) = Small::new(world.folder.path().join("small"), 1024) else { return };
    let file = small.0.join("w.tar.zst");
    world.write("file", "1");
    let first = world.snapshots.take().unwrap();
    world.snapshots.tarball(&first.id, &file, &GO_ON).unwrap();
    world.write("large", noise(1, 3 << 20));
    let taken = world.snapshots.take().unwrap();
    let error = world.snapshots.tarball(&taken.id, &file, &GO_ON).unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
    assert_eq!(tarball_of(&file), Some(first.id));
    assert_eq!(fs::read_dir(&small.0).unwrap().count(), 1, "what was half written is gone");
}

#[test]
fn a_kill_at_any_moment_leaves_a_whole_one_or_none() {
    let world = World::new();
    (0..40).for_each(|file| world.write(file.to_string(), noise(file, 5_000)));
    let before = world.look();
    world.snapshots.take().unwrap();
    let file = world.folder.path().join("w.tar.zst");
    let (mut whole, mut halves) = (0, 0);
    for round in 0..rounds() {
        killed(world.folder.path(), "tarball", round);
        halves += u32::from(world.folder.path().join(".w.tar.zst.part").exists());
        if file.exists() {
            whole += 1;
            let (_folder, seen) = unpacked(&file);
            assert!(seen == before, "{round}");
            fs::remove_file(&file).unwrap();
        }
    }
    assert!(whole > 0 && halves > 0, "{whole} whole, {halves} in the middle");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_tree_comes_out_of_a_tarball_as_it_was(steps in proptest::collection::vec(work(), 1..40)) {
        let world = World::new();
        steps.iter().for_each(|step| step.done(&world.work()));
        let (seen, taken) = (world.look(), world.snapshots.take().unwrap());
        let file = world.folder.path().join("w.tar.zst");
        world.snapshots.tarball(&taken.id, &file, &GO_ON).unwrap();
        prop_assert_eq!(unpacked(&file).1, seen);
    }
}

#[test]
fn a_workspace_that_came_out_of_a_tarball_is_the_same_snapshot() {
    let world = World::new();
    everything(&world);
    let taken = world.snapshots.take().unwrap();
    let file = world.folder.path().join("w.tar.zst");
    world.snapshots.tarball(&taken.id, &file, &GO_ON).unwrap();
    // Put back through a tarball, there is nothing that an undo would change.
    let (folder, _) = unpacked(&file);
    super::testing::remove(&world.work());
    fs::rename(folder.path(), world.work()).unwrap();
    let there =
        super::Snapshots::open(super::testing::settings(world.folder.path(), super::Limits::default()));
    let there = there.unwrap();
    let now = there.take().unwrap();
    let plan = there.plan(&now.id, &taken.id, &[]).unwrap();
    assert_eq!(plan.shown().count(), 0);
    let (done, _) = there.restore(&plan, Which::All).unwrap();
    assert_eq!(done.left, []);
}
