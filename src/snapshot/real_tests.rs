//! Trees that other programs have made, deleted and put back.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::{
    Limits, Which, Why,
    kill_tests::long,
    testing::{Look, World, settings},
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

/// Says what was not tested, where a program is missing.
#[expect(clippy::print_stderr, reason = "tests say what they could not test")]
fn there_is(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        let text = format!("SKIPPED: there is no {program} here");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
        eprintln!("{text}");
    }
    there
}

/// Deletes a directory, and puts it back; everything is as it was then.
fn deleted(world: &World, folder: &str) {
    undone(world, || super::testing::remove(&world.path(folder)));
}

#[test]
fn a_virtual_environment_works_after_it_came_back() {
    if !there_is("python3") {
        return;
    }
    let world = World::new();
    let plain: &[&str] = if long() { &[] } else { &["--without-pip"] };
    run(&world.work(), "python3", &[&["-m", "venv", "venv"], plain].concat());
    let library = run(
        &world.path("venv"),
        "bin/python",
        &["-c", "import sysconfig as s; print(s.get_path('purelib'))"],
    );
    let library = String::from_utf8(library.stdout).unwrap();
    fs::write(Path::new(library.trim()).join("mine.py"), "answer = 42\n").unwrap();
    let says = || {
        let said = run(
            &world.path("venv"),
            "bin/python",
            &["-c", "import mine, sys; print(mine.answer, sys.prefix)"],
        );
        String::from_utf8(said.stdout).unwrap()
    };
    let before = says();
    assert!(before.starts_with("42 "), "{before}");

    // It is left out by the file that says what it is; an undo leaves it as it is.
    world.write("main.py", "import mine\n");
    let (look, taken) = (world.look(), world.snapshots.take().unwrap());
    assert_eq!(taken.left, [(PathBuf::from("venv"), Why::Dependencies)]);
    world.write("main.py", "other\n");
    fs::write(Path::new(library.trim()).join("new.py"), "x = 1\n").unwrap();
    let now = world.snapshots.take().unwrap();
    let plan = world.snapshots.plan(&now.id, &taken.id, &[]).unwrap();
    assert_eq!(world.snapshots.restore(&plan, Which::All).unwrap().0.left, []);
    assert_eq!(fs::read_to_string(world.path("main.py")).unwrap(), "import mine\n");
    fs::remove_file(Path::new(library.trim()).join("new.py")).unwrap();
    assert!(look.files.keys().eq(world.look().files.keys()));

    // A copy of the workspace has all of it, links and times too.
    let place = world.folder.path().join("copy");
    let copied = super::copy(&settings(world.folder.path(), Limits::default()), &place).unwrap();
    assert_eq!((copied.left, super::testing::look(&place) == world.look()), (vec![], true));

    // Without that file it is a tree as any other.
    let marker = fs::read(world.path("venv/pyvenv.cfg")).unwrap();
    fs::remove_file(world.path("venv/pyvenv.cfg")).unwrap();
    deleted(&world, "venv");
    world.write("venv/pyvenv.cfg", marker);
    assert_eq!(says(), before);
}

#[test]
fn installed_packages_work_after_they_came_back() {
    if !there_is("npm") {
        return;
    }
    let world = World::new();
    for name in ["one", "two"] {
        let about =
            format!(r#"{{"name":"{name}","version":"1.0.0","bin":{{"{name}":"run.js"}},"main":"index.js"}}"#);
        world.write(format!("packages/{name}/package.json"), about);
        world.write(format!("packages/{name}/index.js"), format!("module.exports = '{name}';\n"));
        world.write(
            format!("packages/{name}/run.js"),
            format!("#!/usr/bin/env node\nconsole.log(require('{name}'));\n"),
        );
    }
    world.write("package.json", r#"{"name":"app","version":"1.0.0","private":true}"#);
    // One is copied, and one is a link.
    let install = |more: &[&str]| {
        let home = world.folder.path().join("npm");
        let cache = format!("--cache={}", home.display());
        run(
            &world.work(),
            "npm",
            &[&["install", "--offline", "--no-audit", "--no-fund", &cache][..], more].concat(),
        );
    };
    install(&["--install-links", "./packages/one"]);
    install(&["--install-links=false", "./packages/two"]);
    let says = |modules: &str| {
        let said = ["one", "two"].map(|name| {
            let output =
                run(&world.work(), &world.path(format!("{modules}/.bin/{name}")).display().to_string(), &[]);
            String::from_utf8(output.stdout).unwrap()
        });
        said.concat()
    };
    assert_eq!(says("node_modules"), "one\ntwo\n");
    let taken = world.snapshots.take().unwrap();
    assert_eq!(taken.left, [(PathBuf::from("node_modules"), Why::Dependencies)]);

    let place = world.folder.path().join("copy");
    let copied = super::copy(&settings(world.folder.path(), Limits::default()), &place).unwrap();
    assert_eq!((copied.left, super::testing::look(&place) == world.look()), (vec![], true));

    // By another name it is a tree as any other.
    fs::rename(world.path("node_modules"), world.path("modules")).unwrap();
    deleted(&world, "modules");
    fs::rename(world.path("modules"), world.path("node_modules")).unwrap();
    assert_eq!(says("node_modules"), "one\ntwo\n");
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
