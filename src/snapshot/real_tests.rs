//! Trees that other programs have made, deleted and put back.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::Path,
    process::{Command, Output},
};

use super::{
    Which,
    kill_tests::long,
    testing::{Look, World},
};

fn run(folder: &Path, program: &str, args: &[&str]) -> Output {
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "a")
        .env("GIT_AUTHOR_EMAIL", "a@example.com")
        .env("GIT_COMMITTER_NAME", "a")
        .env("GIT_COMMITTER_EMAIL", "a@example.com")
        .output()
        .unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn git(folder: &Path, args: &[&str]) -> String {
    let all = [&["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"], args].concat();
    String::from_utf8(run(folder, "git", &all).stdout).unwrap()
}

/// All but what repositories are made of: new objects stay in them.
fn visible(look: &Look) -> Look {
    let mut look = look.clone();
    look.files.retain(|path, _| path.iter().all(|name| name != ".git"));
    look
}

/// Takes a snapshot, lets something happen, and puts all of it back.
fn undone(world: &World, act: impl FnOnce()) {
    let before = (world.look(), world.snapshots.take().unwrap());
    act();
    let now = world.snapshots.take().unwrap();
    assert_ne!(now.id, before.1.id);
    let plan = world.snapshots.plan(&now.id, &before.1.id, &[]).unwrap();
    let (done, result) = world.snapshots.restore(&plan, Which::All).unwrap();
    assert_eq!((done.left, &result.id), (Vec::new(), &before.1.id));
    assert!(visible(&world.look()) == visible(&before.0), "the tree is not what it was");
}

#[test]
fn a_reset_is_undone_in_a_repository_with_worktrees_and_submodules() {
    let world = World::new();
    let library = tempfile::tempdir().unwrap();
    git(library.path(), &["init", "-q"]);
    fs::write(library.path().join("lib.c"), "int x;\n").unwrap();
    git(library.path(), &["add", "."]);
    git(library.path(), &["commit", "-qm", "library"]);
    let main = world.path("main");
    fs::create_dir(&main).unwrap();
    git(&main, &["init", "-q"]);
    fs::write(main.join("a.c"), "one\n").unwrap();
    git(&main, &["add", "."]);
    git(&main, &["commit", "-qm", "first"]);
    git(&main, &["submodule", "add", "-q", library.path().to_str().unwrap(), "library"]);
    git(&main, &["commit", "-qm", "with a submodule"]);
    git(&main, &["worktree", "add", "-q", "-b", "side", "../side"]);
    fs::write(main.join("a.c"), "staged\n").unwrap();
    git(&main, &["add", "a.c"]);
    fs::write(main.join("a.c"), "not staged\n").unwrap();
    fs::write(main.join("untracked"), "precious\n").unwrap();
    fs::write(world.path("side/a.c"), "on the side\n").unwrap();
    let said = |folder: &Path| {
        git(folder, &["status", "--porcelain=v2", "--branch"]) + &git(folder, &["log", "--oneline", "--all"])
    };
    let before = [said(&main), said(&world.path("side")), said(&main.join("library"))];
    undone(&world, || {
        git(&main, &["reset", "-q", "--hard", "HEAD~1"]);
        git(&main, &["clean", "-qfdx"]);
        git(&main, &["checkout", "-q", "-b", "elsewhere"]);
        git(&world.path("side"), &["commit", "-qam", "more"]);
        git(&main, &["branch", "-q", "-D", "main"]);
    });
    assert_eq!([said(&main), said(&world.path("side")), said(&main.join("library"))], before);
    git(&main, &["fsck", "--strict"]);
}

#[test]
fn after_it_make_has_nothing_to_do() {
    let world = World::new();
    world.write("Makefile", "all: out/prog\nout/prog: a.c b.c\n\tmkdir -p out && cat a.c b.c > out/prog\n");
    world.write("a.c", "a\n");
    world.write("b.c", "b\n");
    run(&world.work(), "make", &[]);
    undone(&world, || {
        fs::remove_dir_all(world.path("out")).unwrap();
        world.write("a.c", "other\n");
        run(&world.work(), "make", &[]);
        fs::remove_file(world.path("b.c")).unwrap();
    });
    // Its exit status says so.
    run(&world.work(), "make", &["--question", "out/prog"]);
}

#[test]
fn many_small_files_come_back() {
    let world = World::new();
    let (folders, files) = if long() { (1000, 100) } else { (50, 20) };
    for folder in 0..folders {
        fs::create_dir_all(world.path(format!("{}/{folder}", folder % 10))).unwrap();
        for file in 0..files {
            fs::write(world.path(format!("{}/{folder}/{file}", folder % 10)), format!("{folder} {file}"))
                .unwrap();
        }
    }
    undone(&world, || {
        for folder in 0..10 {
            fs::remove_dir_all(world.path(folder.to_string())).unwrap();
        }
    });
}

#[test]
fn a_file_with_a_large_hole_comes_back_with_it() {
    let world = World::new();
    let size = if long() { 5 << 30 } else { 100 << 20 };
    let file = fs::File::create(world.path("disk.img")).unwrap();
    for at in [0, size / 2, size - 9] {
        file.write_all_at(b"something", at).unwrap();
    }
    let before = world.snapshots.take().unwrap();
    fs::remove_file(world.path("disk.img")).unwrap();
    let now = world.snapshots.take().unwrap();
    let plan = world.snapshots.plan(&now.id, &before.id, &[]).unwrap();
    let (done, result) = world.snapshots.restore(&plan, Which::All).unwrap();
    assert_eq!((done.left, result.id), (Vec::new(), before.id));
    let file = fs::File::open(world.path("disk.img")).unwrap();
    let room = std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512;
    assert!(room < 1 << 20, "{room} bytes on the disk");
    for at in [0, size / 2, size - 9] {
        let mut bytes = [0; 9];
        file.read_exact_at(&mut bytes, at).unwrap();
        assert_eq!(&bytes, b"something");
    }
}
