//! The files of a session that is gone on with: changed meanwhile, gone, elsewhere, or put back.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{
    has_sandbox,
    mock::{Step, call},
    program,
    world::{Run, Running, World, shell},
};

/// A command that a person has to allow.
fn escalated(cmd: &str) -> Value {
    let args = json!({"cmd": cmd, "sandbox_permissions": "require_escalated", "justification": "May I?"});
    call("exec_command", args)
}

/// `agent ARGS…`, from beside the workspace.
async fn beside(world: &World, args: &[&str]) -> Run {
    let mut command = world.program(program());
    command.args(args).current_dir(&world.root);
    Running::spawn(command).end().await
}

fn text(world: &World, request: usize) -> String {
    serde_json::to_string(&world.sent(request)).unwrap()
}

#[tokio::test]
async fn what_is_done_while_a_turn_waits_for_a_person_is_theirs_and_the_rest_is_undone() {
    if !has_sandbox() {
        return;
    }
    let world = World::new([
        Step::items([shell("echo two > old.txt; echo two > other.txt"), escalated("true")]),
        Step::items([shell("echo new > new.txt")]),
        Step::text("done"),
    ])
    .await;
    world.write("old.txt", "one\n");
    world.exec(&["-a", "on-request", "go"]).await.expect(3);
    let waits = world.log().iter().find(|fact| fact["type"] == "approval_requested").unwrap()["call"].clone();
    world.write("old.txt", "mine\n");
    world.write("mine.txt", "mine\n");
    world.exec(&["resume", "--last", "--approve", waits.as_str().unwrap()]).await.expect(0);
    assert!(text(&world, 2).contains("old.txt (changed)") && text(&world, 2).contains("mine.txt (new)"));
    assert_eq!(world.read("new.txt"), "new\n");
    world.agent(["undo", "--yes"]).await.expect(0);
    let read = ["old.txt", "mine.txt", "new.txt", "other.txt"].map(|name| world.read(name));
    assert_eq!(
        read,
        ["mine\n", "mine\n", "", ""],
        "what the agent did is undone, what the person did is not"
    );
    world.agent(["redo", "--yes"]).await.expect(0);
    assert_eq!((world.read("new.txt"), world.read("other.txt")), ("new\n".into(), "two\n".into()));
}

#[tokio::test]
async fn a_turn_that_was_killed_leaves_what_may_be_anybody_s_and_goes_on() {
    let gate = crate::support::mock::Gate::new();
    let world = World::new([
        Step::items([shell("echo two > old.txt")]),
        Step::items([shell("true")]).gate(0, &gate),
        Step::items([shell("echo new > new.txt")]),
        Step::text("done"),
    ])
    .await;
    world.write("old.txt", "one\n");
    let run = world.start(&["go"]);
    gate.reached().await;
    run.signal(rustix::process::Signal::KILL);
    run.end().await;
    world.exec(&["resume", "--last"]).await.expect(0);
    assert!(text(&world, 3).contains("stopped in the middle of this turn"), "{}", text(&world, 3));
    let undone = world.agent(["undo", "--yes"]).await.expect(0);
    assert!(undone.stdout.contains("Changed since by you, or by a process"), "{undone:#?}");
    assert_eq!((world.read("old.txt"), world.read("new.txt")), ("two\n".into(), String::new()));
    world.agent(["undo", "--yes", "--all"]).await.expect(2);
}

/// A session that has made files.
async fn worked(more: impl IntoIterator<Item = &'static str>) -> World {
    let steps =
        [Step::items([shell("mkdir made && echo a > made/a.txt && echo two > old.txt")]), Step::text("done")];
    let world = World::new(steps.into_iter().chain(more.into_iter().map(Step::text))).await;
    world.write("old.txt", "one\n");
    world.exec(&["go"]).await.expect(0);
    world
}

#[tokio::test]
async fn what_changed_meanwhile_is_told_once_and_left_alone() {
    let world = worked(["I see", "again", "no"]).await;
    world.write("old.txt", "three\n");
    fs::remove_dir_all(world.workspace.join("made")).unwrap();
    world.write("new/x.txt", "x\n");
    let run = world.exec(&["--json", "resume", "--last", "look"]).await.expect(0);
    let told =
        "3 paths changed, and not by you: made/ (deleted, 1 file), new/ (new, 1 file), old.txt (changed).";
    assert!(text(&world, 3).contains(told), "{}", text(&world, 3));
    let notes = run.notes();
    assert!(
        notes.iter().any(|note| note.starts_with("3 paths changed since") && note.contains("--restore")),
        "{notes:?}"
    );
    assert_eq!(world.read("old.txt"), "three\n");
    let run = world.exec(&["--json", "resume", "--last", "again"]).await.expect(0);
    assert_eq!(run.notes(), [""; 0]);
    assert_eq!(text(&world, 4).matches("paths changed").count(), 1, "it is told once");
    // Whoever only looks changes nothing.
    world.write("old.txt", "three\n");
    let run = world.exec(&["--json", "resume", "--last", "no"]).await.expect(0);
    assert_eq!((run.notes(), run.of("snapshot_taken").len()), (vec![], 0));
}

#[tokio::test]
async fn the_files_are_put_back_as_the_session_left_them_when_that_is_asked_for() {
    let world = worked(["I see", "I do"]).await;
    world.write("old.txt", "three\n");
    world.exec(&["resume", "--last", "look"]).await.expect(0);
    world.write("mine.txt", "mine\n");
    let asked = world.exec(&["resume", "--last", "--restore", "go on"]).await.expect(2);
    assert!(asked.stderr.contains("~ old.txt") && asked.stderr.contains("--restore --yes"), "{asked:#?}");
    assert_eq!(world.read("old.txt"), "three\n");
    let run = world.exec(&["resume", "--last", "--restore", "--yes", "go on"]).await.expect(0);
    assert!(run.stderr.contains("2 paths are as before"), "{run:#?}");
    assert_eq!((world.read("old.txt"), world.workspace.join("mine.txt").exists()), ("two\n".into(), false));
    assert!(text(&world, 4).contains("put the files back as they were when you last worked on them"));
    let again = world.exec(&["resume", "--last", "--restore", "--yes"]).await.expect(0);
    assert!(again.stderr.contains("as the session left them"), "{again:#?}");
    world.agent(["redo", "--yes"]).await.expect(0);
    assert_eq!((world.read("old.txt"), world.read("mine.txt")), ("three\n".into(), "mine\n".into()));
}

#[tokio::test]
async fn a_workspace_that_is_gone_is_said_and_put_back_and_the_model_sees_no_difference() {
    let world = worked(["I see"]).await;
    world.write("link-target", "x");
    let id = world.session();
    fs::remove_file(world.workspace.join("link-target")).unwrap();
    fs::remove_dir_all(&world.workspace).unwrap();
    for args in [&["exec", "resume", &id, "go on"][..], &["undo", &id, "--yes"]] {
        let run = beside(&world, args).await.expect(1);
        for words in [
            "is gone: ",
            "It is kept as it was at ",
            "(2 files, 1 kB)",
            "--restore puts it back",
            "--into DIR",
        ] {
            assert!(run.stderr.contains(words), "{words}: {run:#?}");
        }
    }
    assert!(!world.workspace.exists());
    let run = beside(&world, &["exec", "--json", "resume", &id, "--restore", "go on"]).await.expect(0);
    assert!(run.stderr.contains("2 files put back into"), "{run:#?}");
    assert_eq!((world.read("old.txt"), world.read("made/a.txt")), ("two\n".into(), "a\n".into()));
    assert_eq!(run.notes(), [""; 0]);
    let (before, after) = (world.sent(2), world.sent(3));
    assert_eq!(after[..before.len()], before[..]);
    assert_eq!(after.len(), before.len() + 2, "an answer and a message: {after:#?}");
    world.agent(["undo", "--yes"]).await.expect(0);
    assert_eq!(world.read("old.txt"), "one\n");
}

#[tokio::test]
async fn what_is_missing_in_a_directory_that_was_made_anew_is_told() {
    let world =
        World::new([Step::items([shell("echo two > old.txt")]), Step::text("done"), Step::text("I see")])
            .await;
    world.write("package.json", "{}");
    world.write("node_modules/x/index.js", "x");
    world.exec(&["go"]).await.expect(0);
    fs::remove_dir_all(&world.workspace).unwrap();
    let run = beside(&world, &["exec", "resume", &world.session(), "--restore", "go on"]).await.expect(0);
    assert!(run.stderr.contains("! node_modules: was there then, and can't be put back"), "{run:#?}");
    assert!(text(&world, 3).contains("because it was not kept: node_modules."), "{}", text(&world, 3));
}

#[tokio::test]
async fn a_session_goes_on_in_another_directory_empty_or_moved() {
    let world = worked(["elsewhere", "there"]).await;
    let id = world.session();
    let [moved, fresh] = ["moved", "deep/fresh"].map(|name| world.root.join(name));
    fs::rename(&world.workspace, &moved).unwrap();
    let into = |dir: &Path, say: &'static str| {
        let (id, dir) = (id.clone(), dir.to_str().unwrap().to_owned());
        let world = &world;
        async move { beside(world, &["exec", "--json", "resume", &id, "--into", &dir, say]).await.expect(0) }
    };
    let run = into(&moved, "here?").await;
    assert_eq!(run.notes(), [""; 0], "no file has changed");
    let said = format!("goes on in another directory: {}", moved.display());
    assert!(text(&world, 3).contains(&said), "{}", text(&world, 3));
    into(&fresh, "and here?").await;
    assert_eq!(fs::read_to_string(fresh.join("made/a.txt")).unwrap(), "a\n");
    assert!(!world.workspace.exists(), "the first one is as it was");
    let sessions = world.sessions();
    assert_eq!(sessions.len(), 3);
    let (third, fresh_dir) = (&sessions[2], fresh.to_str().unwrap());
    beside(&world, &["-C", fresh_dir, "undo", third, "--yes"]).await.expect(0);
    assert_eq!(fs::read_to_string(fresh.join("old.txt")).unwrap(), "one\n");
    assert_eq!(fs::read_to_string(moved.join("old.txt")).unwrap(), "two\n");
    let list = beside(&world, &["sessions", "list"]).await.expect(0).stdout;
    assert!(list.contains(fresh_dir) && list.contains(moved.to_str().unwrap()), "{list}");
}

#[tokio::test]
async fn what_can_t_be_put_back_is_said_exactly() {
    let world = World::new([Step::text("nothing done")]).await;
    world.exec(&["a question"]).await.expect(0);
    let id = world.session();
    fs::remove_dir_all(&world.workspace).unwrap();
    let run = beside(&world, &["exec", "resume", &id, "--restore", "x"]).await.expect(1);
    assert!(run.stderr.contains("No state of its files was kept in this session"), "{run:#?}");

    let world = worked([]).await;
    let id = world.session();
    fs::remove_dir_all(&world.workspace).unwrap();
    lose_packs(&world);
    let run = beside(&world, &["exec", "resume", &id, "--restore", "x"]).await.expect(1);
    assert!(run.stderr.contains("is not on this machine, or lost"), "{run:#?}");
    fs::remove_dir_all(world.home.join("snapshots")).unwrap();
    let empty = world.root.join("empty");
    let into =
        beside(&world, &["exec", "resume", &id, "--into", empty.to_str().unwrap(), "x"]).await.expect(1);
    assert!(into.stderr.contains("there is nothing to put into"), "{into:#?}");
    assert!(!empty.exists());
}

fn lose_packs(world: &World) {
    for store in fs::read_dir(world.home.join("snapshots")).unwrap() {
        for pack in fs::read_dir(store.unwrap().path().join("packs")).unwrap() {
            fs::remove_file(pack.unwrap().path()).unwrap();
        }
    }
}

#[tokio::test]
async fn a_session_whose_store_lost_its_packs_goes_on_and_says_what_is_missing() {
    let world = worked(["on"]).await;
    lose_packs(&world);
    let undo = world.agent(["undo", "--yes"]).await.expect(1);
    assert!(undo.stderr.contains("there is no snapshot"), "{undo:#?}");
    let run = world.exec(&["--json", "resume", "--last", "go on"]).await.expect(0);
    let notes = run.notes();
    // The same files are the same state, which is kept again.
    assert!(notes.is_empty() || notes[0].contains("it can't be told which files have changed"), "{notes:?}");
    world.write("old.txt", "three\n");
    lose_packs(&world);
    let world = world;
    let run = world.exec(&["--json", "resume", "--last", "go on"]).await;
    let notes = run.notes();
    assert!(notes[0].contains("it can't be told which files have changed"), "{run:#?}");
}

#[tokio::test]
async fn a_fork_takes_the_conversation_to_the_end_of_a_turn_and_a_copy_of_the_files_as_they_were() {
    let step = |text: &str| Step::items([shell(&format!("echo {text} > file.txt"))]);
    let texts = ["1", "2", "three"].map(Step::text);
    let [one, two, three] = texts;
    let world = World::new([step("a"), one, step("b"), two, three]).await;
    world.write("node_modules/x.js", "x");
    world.exec(&["first"]).await.expect(0);
    world.exec(&["resume", "--last", "second"]).await.expect(0);
    let parent = world.session();
    let none = world.agent(["fork", "--last", "--at", "9"]).await.expect(2);
    assert!(none.stderr.contains("has no turn 9") && none.stderr.contains("it has 2 turns"), "{none:#?}");
    let fork = world.agent(["fork", &parent, "--at", "1", "--copy"]).await.expect(0);
    let copy = world.root.join("workspace-fork");
    assert!(
        fork.stderr.contains("copied to") && fork.stderr.contains("as it was at the end of turn 1: 1 path"),
        "{fork:#?}"
    );
    assert_eq!(fs::read_to_string(copy.join("file.txt")).unwrap(), "a\n");
    assert_eq!(fs::read_to_string(copy.join("node_modules/x.js")).unwrap(), "x");
    assert_eq!(world.read("file.txt"), "b\n");
    let run = world.exec(&["--json", "resume", fork.stdout.trim(), "third"]).await.expect(0);
    assert_eq!(run.notes(), [""; 0], "the files are as it left them");
    let sent = text(&world, 5);
    assert!(
        sent.contains("first") && !sent.contains("\"second\"") && sent.contains("workspace-fork"),
        "{sent}"
    );
    world.agent(["undo", fork.stdout.trim(), "--yes"]).await.expect(0);
    assert!(!copy.join("file.txt").exists() && world.read("file.txt") == "b\n");
    // Beside the first copy, and not over it.
    let taken = world.agent(["fork", &parent, &format!("--copy={}", copy.display())]).await.expect(1);
    assert!(taken.stderr.contains("is there already, and not an empty directory"), "{taken:#?}");
    world.agent(["fork", &parent, "--copy"]).await.expect(0);
    assert_eq!(fs::read_to_string(world.root.join("workspace-fork-2/file.txt")).unwrap(), "b\n");
}

#[tokio::test]
async fn a_fork_gets_a_work_tree_of_its_own_with_what_is_not_committed() {
    let world =
        World::new([Step::items([shell("echo changed > file.txt; echo new > new.txt")]), Step::text("done")])
            .await;
    let git = |folder: &Path, args: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@b.c"];
        let run =
            std::process::Command::new("git").args(who).args(args).current_dir(folder).output().unwrap();
        assert!(run.status.success(), "{args:?}: {run:?}");
        String::from_utf8(run.stdout).unwrap()
    };
    let refused = {
        world.exec(&["go"]).await.expect(0);
        world.agent(["fork", "--last", "--worktree"]).await.expect(1)
    };
    assert!(refused.stderr.contains("git: ") && refused.stderr.contains("--copy"), "{refused:#?}");
    fs::remove_file(world.workspace.join("new.txt")).unwrap();
    git(&world.workspace, &["init", "-q"]);
    world.write("file.txt", "committed\n");
    git(&world.workspace, &["add", "-A"]);
    git(&world.workspace, &["commit", "-qm", "first"]);
    let hook = world.root.join("hook-ran");
    let script = format!("#!/bin/sh\ntouch '{}'\n", hook.display());
    let path = world.write(".git/hooks/post-checkout", script);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    world.write("file.txt", "not committed\n");
    let fork = world.agent(["fork", "--last", "--worktree"]).await.expect(0);
    let tree = world.root.join("workspace-fork");
    assert_eq!(fs::read_to_string(tree.join("file.txt")).unwrap(), "not committed\n", "{fork:#?}");
    assert_eq!(git(&tree, &["status", "--porcelain"]), " M file.txt\n");
    assert!(!hook.exists(), "nothing of the repository was run");
    assert_eq!(git(&world.workspace, &["status", "--porcelain"]), " M file.txt\n");
}
