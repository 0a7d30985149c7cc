//! Snapshots of real files, taken and put back.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use super::{
    Limits, SnapshotError, Snapshots, Taken, What, Which, Why,
    testing::{Look, Room, Seen, World, name, settings},
};

/// Puts a state back where the last one is, all of it.
fn back(world: &World, from: &Taken, to: &Taken) -> Taken {
    let plan = world.snapshots.plan(&from.id, &to.id, &[]).unwrap();
    let (done, taken) = world.snapshots.restore(&plan, Which::All).unwrap();
    assert_eq!(done.left, []);
    taken
}

fn left(taken: &Taken) -> Vec<(String, Why)> {
    taken.left.iter().map(|(path, why)| (path.to_string_lossy().into_owned(), *why)).collect()
}

/// One of everything that a tree can hold.
pub(super) fn everything(world: &World) {
    world.write("src/main.rs", "fn main() {}\n");
    world.write("empty", "");
    world.write("large", (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    world.write(name(b"odd/\xff\xfe not utf-8"), "1");
    world.write("odd/new\nline", "2");
    world.write("odd/back\\slash", "3");
    world.write("odd/ -rf *", "4");
    fs::create_dir_all(world.path("none/below/none")).unwrap();
    symlink("/etc/passwd", world.path("absolute")).unwrap();
    symlink("nowhere/at all", world.path("dangling")).unwrap();
    symlink("src", world.path("linked")).unwrap();
    world.write("same/one", "the same");
    fs::hard_link(world.path("same/one"), world.path("same/two")).unwrap();
    fs::hard_link(world.path("same/one"), world.path("three")).unwrap();
    world.write("run.sh", "#!/bin/sh\n");
    fs::set_permissions(world.path("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    world.write("locked/secret", "s");
    fs::set_permissions(world.path("locked/secret"), PermissionsExt::from_mode(0o400)).unwrap();
    fs::set_permissions(world.path("locked"), PermissionsExt::from_mode(0o555)).unwrap();
    let sparse = fs::File::create(world.path("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"middle", 40 << 20).unwrap();
    sparse.set_len(80 << 20).unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    fs::File::open(world.path("src/main.rs")).unwrap().set_modified(old).unwrap();
    let marked = fs::File::open(world.path("empty")).unwrap();
    // Not every file system has them.
    let _ = rustix::fs::fsetxattr(&marked, "user.note", b"\0\xff", rustix::fs::XattrFlags::empty());
}

#[test]
fn everything_comes_back_as_it_was() {
    let world = World::new();
    let empty = (world.look(), world.snapshots.take().unwrap());
    everything(&world);
    let full = (world.look(), world.snapshots.take().unwrap());
    let emptied = back(&world, &full.1, &empty.1);
    assert_eq!(world.look(), empty.0);
    assert_eq!(emptied.id, empty.1.id, "the same state is the same snapshot");
    let again = back(&world, &emptied, &full.1);
    assert_eq!(world.look(), full.0);
    assert_eq!(again.id, full.1.id);
    assert!(matches!(&world.look().files[&PathBuf::from("sparse")], Seen::File { room: Room(1..), .. }));
}

#[test]
fn what_is_not_changed_is_not_read_and_takes_no_room() {
    let world = World::new();
    for file in 0..50 {
        world.write(format!("d{}/{file}", file % 5), vec![u8::try_from(file).unwrap(); 1000]);
    }
    settle(&world);
    let first = world.snapshots.take().unwrap();
    assert_eq!((first.files, first.bytes), (50, 50_000));
    let again = world.snapshots.take().unwrap();
    assert_eq!((again.read, again.stored, &again.id), (0, 0, &first.id));
    world.write("d3/8", "other");
    let other = world.snapshots.take().unwrap();
    assert_eq!(other.read, 1);
    assert!(other.stored > 0 && other.stored < 2_000, "{other:?}");
}

/// Lets what was just written count as written some time ago: until the clock of the files has moved on by a tick.
fn settle(world: &World) {
    while world.snapshots.take().unwrap().read > 0 {}
}

#[test]
fn a_change_within_the_same_tick_and_of_the_same_size_is_seen() {
    let world = World::new();
    for round in 0..200_u8 {
        world.write("file", [round; 10]);
        let one = world.snapshots.take().unwrap();
        let stamp = fs::metadata(world.path("file")).unwrap().modified().unwrap();
        world.write("file", [round ^ 0x80; 10]);
        fs::File::open(world.path("file")).unwrap().set_modified(stamp).unwrap();
        assert_ne!(world.snapshots.take().unwrap().id, one.id, "{round}");
    }
}

#[test]
fn packages_builds_and_large_ignored_files_are_left_out_and_listed() {
    let limits = Limits { ignored_file: 1000, ignored_folder: 5000, file: 100_000, ..Limits::default() };
    let world = World::with(limits);
    for path in [
        "web/node_modules/a/index.js",
        ".venv/pyvenv.cfg",
        ".venv/lib/x.py",
        "rust/Cargo.toml",
        "rust/target/debug/x",
        "target/no-cargo-here",
        "venv/not-one.txt",
        "ignored/small.txt",
    ] {
        world.write(path, "x");
    }
    world.write("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# more");
    world.write("fake/CACHEDIR.TAG", "no signature");
    world.write(".gitignore", "/data/\n*.log\n!kept.log\nignored\n");
    world.write("data/big.bin", vec![0xaa; 6000]);
    world.write("small.log", "1");
    world.write("big.log", vec![b'x'; 2000]);
    world.write("kept.log", vec![b'x'; 2000]);
    world.write("huge", vec![b'x'; 200_000]);
    rustix::fs::mkfifoat(rustix::fs::CWD, world.path("pipe"), rustix::fs::Mode::RWXU).unwrap();
    let taken = world.snapshots.take().unwrap();
    let expected = [
        (".venv", Why::Dependencies),
        ("big.log", Why::Ignored),
        ("cache", Why::Built),
        ("data", Why::Ignored),
        ("huge", Why::Large),
        ("pipe", Why::Special),
        ("rust/target", Why::Built),
        ("web/node_modules", Why::Dependencies),
    ];
    assert_eq!(left(&taken), expected.map(|(path, why)| (path.to_owned(), why)));

    // What is in no snapshot is neither deleted nor made up.
    fs::remove_dir_all(world.path("rust")).unwrap();
    fs::remove_dir_all(world.path("data")).unwrap();
    world.write("new/node_modules/x", "x");
    let now = world.snapshots.take().unwrap();
    let plan = world.snapshots.plan(&now.id, &taken.id, &[]).unwrap();
    let (done, _) = world.snapshots.restore(&plan, Which::All).unwrap();
    let stays: Vec<_> = plan.left.iter().map(|(path, _)| path.to_str().unwrap()).collect();
    assert_eq!(stays, ["data", "new/node_modules", "rust/target"]);
    assert_eq!(done.left, [(PathBuf::from("new"), "stays: it is not empty".to_owned())]);
    assert!(world.path("rust/Cargo.toml").exists() && world.path("new/node_modules/x").exists());
}

#[test]
fn a_workspace_that_is_too_large_is_told_before_anything_is_read() {
    let world = World::with(Limits { files: 3, ..Limits::default() });
    (0..4).for_each(|file| world.write(file.to_string(), "x"));
    assert!(matches!(world.snapshots.take(), Err(SnapshotError::Files(3))));
    assert_eq!(world.snapshots.size(), 0);
    let world = World::with(Limits { bytes: 3000, ..Limits::default() });
    world.write("file", vec![1; 3001]);
    assert!(matches!(world.snapshots.take(), Err(SnapshotError::Bytes(3000))));
}

#[test]
fn what_a_person_changed_since_stays_unless_all_is_wanted() {
    let world = World::new();
    for path in ["both", "agent", "person", "deleted", "gone"] {
        world.write(path, "before");
    }
    let before = world.snapshots.take().unwrap();
    for path in ["both", "agent", "deleted"] {
        world.write(path, "by the agent");
    }
    world.write("new/file", "by the agent");
    fs::remove_file(world.path("gone")).unwrap();
    let after = world.snapshots.take().unwrap();
    world.write("both", "by the person");
    world.write("person", "by the person");
    world.write("new/theirs", "by the person");
    fs::remove_file(world.path("deleted")).unwrap();
    let now = (world.look(), world.snapshots.take().unwrap());
    let between = [(after.id, now.1.id.clone())];
    let plan = world.snapshots.plan(&now.1.id, &before.id, &between).unwrap();
    let shown: Vec<_> =
        plan.shown().map(|change| (change.path.to_str().unwrap(), change.what, change.theirs)).collect();
    assert_eq!(
        shown,
        [
            ("agent", What::Replace, false),
            ("both", What::Replace, true),
            ("deleted", What::Add, true),
            ("gone", What::Add, false),
            ("new", What::RemoveFolder, false),
            ("new/file", What::Remove, false),
            ("new/theirs", What::Remove, true),
            ("person", What::Replace, true),
        ]
    );
    let (done, result) = world.snapshots.restore(&plan, Which::Ours).unwrap();
    let mut stayed: Vec<_> =
        done.left.iter().map(|(path, why)| (path.to_str().unwrap(), why.as_str())).collect();
    stayed.sort_unstable();
    let theirs = "stays: it was changed by somebody since";
    let expected =
        [("both", theirs), ("deleted", theirs), ("new", "stays: it is not empty"), ("new/theirs", theirs)];
    assert_eq!(stayed, [&expected[..], &[("person", theirs)]].concat());
    let read = |path: &str| fs::read_to_string(world.path(path)).unwrap();
    assert_eq!((read("both"), read("person")), ("by the person".into(), "by the person".into()));
    assert_eq!((read("agent"), read("gone")), ("before".into(), "before".into()));
    assert!(!world.path("deleted").exists() && !world.path("new/file").exists());
    assert_eq!(read("new/theirs"), "by the person");

    back(&world, &result, &now.1);
    assert_eq!(world.look(), now.0, "an undo is undone");
}

#[test]
fn what_is_changed_after_the_plan_was_made_stays() {
    let world = World::new();
    world.write("a", "before");
    world.write("b", "before");
    let before = world.snapshots.take().unwrap();
    world.write("a", "after");
    world.write("b", "after");
    world.write("c", "after");
    let now = world.snapshots.take().unwrap();
    let plan = world.snapshots.plan(&now.id, &before.id, &[]).unwrap();
    world.write("b", "at the last moment");
    fs::remove_file(world.path("c")).unwrap();
    symlink("/etc", world.path("c")).unwrap();
    let (done, _) = world.snapshots.restore(&plan, Which::All).unwrap();
    let stays: Vec<_> = done.left.iter().map(|(path, _)| path.to_str().unwrap()).collect();
    assert_eq!(stays, ["b", "c"]);
    assert_eq!(fs::read_to_string(world.path("a")).unwrap(), "before");
    assert_eq!(fs::read_to_string(world.path("b")).unwrap(), "at the last moment");
}

#[test]
fn nothing_is_written_through_a_link() {
    let world = World::new();
    world.write("d/file", "inside");
    let before = world.snapshots.take().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("file"), "outside").unwrap();
    fs::remove_dir_all(world.path("d")).unwrap();
    symlink(outside.path(), world.path("d")).unwrap();
    let now = world.snapshots.take().unwrap();
    let plan = world.snapshots.plan(&now.id, &before.id, &[]).unwrap();
    world.snapshots.restore(&plan, Which::All).unwrap();
    assert!(!world.path("d").is_symlink());
    assert_eq!(fs::read_to_string(world.path("d/file")).unwrap(), "inside");
    // Turned into a link after the plan was made.
    world.write("d/file", "changed");
    let now = world.snapshots.take().unwrap();
    let plan = world.snapshots.plan(&now.id, &before.id, &[]).unwrap();
    fs::remove_dir_all(world.path("d")).unwrap();
    symlink(outside.path(), world.path("d")).unwrap();
    let (done, _) = world.snapshots.restore(&plan, Which::All).unwrap();
    assert_eq!(done.paths, [""; 0].map(PathBuf::from));
    assert_eq!(fs::read_to_string(outside.path().join("file")).unwrap(), "outside");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn a_file_and_a_directory_change_places() {
    let world = World::new();
    world.write("a", "file");
    world.write("b/one/two", "below");
    world.write("c", "c");
    let before = (world.look(), world.snapshots.take().unwrap());
    fs::remove_file(world.path("a")).unwrap();
    world.write("a/x/y", "below");
    fs::remove_dir_all(world.path("b")).unwrap();
    world.write("b", "file");
    fs::remove_file(world.path("c")).unwrap();
    symlink("a", world.path("c")).unwrap();
    let after = (world.look(), world.snapshots.take().unwrap());
    let now = back(&world, &after.1, &before.1);
    assert_eq!(world.look(), before.0);
    back(&world, &now, &after.1);
    assert_eq!(world.look(), after.0);
}

#[test]
fn what_the_system_does_not_let_write_changes_nothing() {
    let world = World::new();
    world.write("a", "before");
    let before = world.snapshots.take().unwrap();
    world.write("a", "after");
    let now = world.snapshots.take().unwrap();
    let look = world.look();
    // The store lost what the state before is made of.
    let packs = world.folder.path().join("snapshots");
    let store = fs::read_dir(&packs).unwrap().next().unwrap().unwrap().path();
    let plan = world.snapshots.plan(&now.id, &before.id, &[]).unwrap();
    for pack in fs::read_dir(store.join("packs")).unwrap() {
        fs::remove_file(pack.unwrap().path()).unwrap();
    }
    let fresh = Snapshots::open(settings(world.folder.path(), Limits::default())).unwrap();
    let error = fresh.restore(&plan, Which::All).unwrap_err();
    assert!(matches!(error, SnapshotError::Missing(_)), "{error}");
    assert_eq!(world.look(), look);
    // What is lost is stored again, although the files have not changed.
    let again = fresh.take().unwrap();
    assert_eq!((again.id == now.id, again.read), (true, 1));
    assert!(fresh.plan(&again.id, &again.id, &[]).is_ok());
}

#[test]
fn the_state_of_a_repository_is_put_back_as_a_whole() {
    let world = World::new();
    let git = |path: &str, text: &str| world.write(format!(".git/{path}"), text);
    git("HEAD", "ref: refs/heads/main\n");
    git("refs/heads/main", "1111\n");
    git("index", "one");
    git("config", "[core]\n");
    git("objects/11/11", "object");
    git("hooks/pre-commit", "#!/bin/sh\n");
    let before = world.snapshots.take().unwrap();
    git("refs/heads/main", "2222\n");
    git("ORIG_HEAD", "1111\n");
    git("index", "two");
    git("config", "[core]\nx = 1\n");
    git("objects/22/22", "object");
    let after = world.snapshots.take().unwrap();
    let plan = world.snapshots.plan(&after.id, &before.id, &[]).unwrap();
    let shown = |plan: &super::Plan| {
        plan.shown()
            .map(|change| (change.path.to_str().unwrap().to_owned(), change.theirs))
            .collect::<Vec<_>>()
    };
    let names = [".git/ORIG_HEAD", ".git/index", ".git/refs/heads/main"];
    assert_eq!(shown(&plan), names.map(|name| (name.to_owned(), false)));
    // A person has committed since: none of it is the agent's any more.
    git("refs/heads/main", "3333\n");
    let now = world.snapshots.take().unwrap();
    let plan = world.snapshots.plan(&now.id, &before.id, &[(after.id.clone(), now.id.clone())]).unwrap();
    assert_eq!(shown(&plan), names.map(|name| (name.to_owned(), true)));
    // Looking at the index is not worth a question.
    git("refs/heads/main", "1111\n");
    fs::remove_file(world.path(".git/ORIG_HEAD")).unwrap();
    git("index", "looked at");
    let now = world.snapshots.take().unwrap();
    let plan = world.snapshots.plan(&now.id, &before.id, &[(after.id, now.id.clone())]).unwrap();
    assert_eq!(shown(&plan), []);
    // A repository that was not there then is not taken apart.
    fs::remove_dir_all(world.path(".git")).unwrap();
    let none = world.snapshots.take().unwrap();
    git("HEAD", "x");
    let made = world.snapshots.take().unwrap();
    let plan = world.snapshots.plan(&made.id, &none.id, &[]).unwrap();
    assert_eq!(shown(&plan), []);
    assert_eq!(plan.left.len(), 1);
}

#[test]
fn the_program_s_own_files_are_in_no_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("work/state")).unwrap();
    fs::write(folder.path().join("work/state/auth.json"), "key").unwrap();
    let mut settings = settings(folder.path(), Limits::default());
    settings.own = vec![folder.path().join("work/state")];
    settings.folder = folder.path().join("work/data/snapshots");
    let snapshots = Snapshots::open(settings).unwrap();
    let taken = snapshots.take().unwrap();
    assert_eq!(left(&taken), [("data/snapshots".into(), Why::Own), ("state".into(), Why::Own)]);
    assert_eq!(snapshots.take().unwrap().id, taken.id);
}

#[test]
fn damage_is_found_and_named() {
    let world = World::new();
    world.write("a", "content that is long enough to be found in the middle of a pack");
    let taken = world.snapshots.take().unwrap();
    let store = fs::read_dir(world.folder.path().join("snapshots")).unwrap().next().unwrap().unwrap().path();
    let pack = fs::read_dir(store.join("packs")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&pack).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&pack, damaged).unwrap();
        let fresh = Snapshots::open(settings(world.folder.path(), Limits::default())).unwrap();
        let empty = fresh.root_of(&taken.id).and_then(|root| fresh.store.lookup(&root, b"a"));
        // The first bytes say what kind of file it is, and nobody asks.
        let read = empty.and_then(|node| match node {
            Some(super::node::Node::File { content: super::node::Content::Whole(hash), .. }) => {
                fresh.store.read(&hash)
            }
            other => panic!("{other:?}"),
        });
        match read {
            Ok(bytes) => assert!(bytes.starts_with(b"content that"), "{at}"),
            Err(error) => {
                assert!(error.to_string().contains("pack") || error.to_string().contains("lost"), "{error}");
            }
        }
    }
}

#[test]
fn many_packs_are_as_good_as_one() {
    let world = World::new();
    let mut states: Vec<(Look, Taken)> = Vec::new();
    for round in 0..40 {
        world.write(format!("file{}", round % 7), format!("round {round}"));
        states.push((world.look(), world.snapshots.take().unwrap()));
    }
    let mut now = states.last().unwrap().1.clone();
    for (look, taken) in states.iter().rev().step_by(5) {
        now = back(&world, &now, taken);
        assert_eq!(world.look(), *look);
    }
}

#[test]
fn a_file_that_got_a_second_name_and_another_mode_gets_both_back() {
    let world = World::new();
    world.write("one", "text");
    let before = (world.look(), world.snapshots.take().unwrap());
    fs::set_permissions(world.path("one"), PermissionsExt::from_mode(0o755)).unwrap();
    fs::hard_link(world.path("one"), world.path("two")).unwrap();
    let after = (world.look(), world.snapshots.take().unwrap());
    for (from, to) in [(&after, &before), (&before, &after), (&after, &before)] {
        let plan = world.snapshots.plan(&from.1.id, &to.1.id, &[]).unwrap();
        let (done, result) = world.snapshots.restore(&plan, Which::All).unwrap();
        assert_eq!((done.left, world.look(), result.id), (vec![], to.0.clone(), to.1.id.clone()));
    }
}
