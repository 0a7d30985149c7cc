//! Sessions that are kept: listed, shown, gone on with, deleted.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};

use crate::support::{
    mock::{Gate, Step},
    world::{Running, World, facts, shell},
};

#[tokio::test]
async fn sessions_are_listed_the_newest_first_shown_and_deleted() {
    let world = World::new([Step::items([shell("echo hi")]), Step::text("one"), Step::text("two")]).await;
    assert_eq!(world.agent(["sessions", "list"]).await.expect(0).stdout, "");
    world.exec(&["the first\ntask"]).await.expect(0);
    world.exec(&["the second task"]).await.expect(0);
    let ids = world.sessions();
    let list = world.agent(["sessions", "list"]).await.expect(0).stdout;
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].starts_with(&ids[1]) && lines[0].contains("the second task"), "{list}");
    assert!(lines[1].starts_with(&ids[0]) && lines[1].contains("the first task"), "{list}");
    let list = world.agent(["sessions", "list", "--json"]).await.expect(0).stdout;
    let first: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    assert_eq!((&first["session"], &first["workspace"]), (&json!(ids[1]), &json!(world.workspace)));

    let shown = world.agent(["sessions", "show", &ids[0]]).await.expect(0).stdout;
    assert!(shown.contains("› the first\n  task") && shown.contains("$ echo hi") && shown.contains("• one"));
    let shown = world.agent(["sessions", "show", "--json", &ids[0]]).await.expect(0).stdout;
    let log = fs::read_to_string(world.home.join("sessions").join(&ids[0]).join("log.jsonl")).unwrap();
    assert_eq!(facts(&shown), facts(&log));

    // A typing error deletes nothing.
    world.agent(["sessions", "rm", &ids[0], "ffff"]).await.expect(2);
    assert_eq!(world.sessions(), ids);
    world.agent(["sessions", "rm", &ids[0]]).await.expect(0);
    assert_eq!(world.sessions(), [ids[1].clone()]);
    // Nor does a variable that was not set, which begins every id.
    for args in [&["sessions", "rm", ""][..], &["exec", "resume", "", "x"]] {
        let run = world.agent(args).await.expect(2);
        assert!(run.stderr.contains("there is no session \"\""), "{run:#?}");
    }
    assert_eq!(world.sessions(), [ids[1].clone()]);
}

#[tokio::test]
async fn a_beginning_of_an_id_is_enough_if_there_is_only_one() {
    let world = World::new([Step::text("one"), Step::text("two"), Step::text("three")]).await;
    world.exec(&["a"]).await.expect(0);
    world.exec(&["b"]).await.expect(0);
    let ids = world.sessions();
    // Ids begin with the time, and these were made in one minute.
    let both = ids[0].get(..6).unwrap();
    for args in [&["sessions", "show", both][..], &["exec", "resume", both, "x"], &["sessions", "rm", both]] {
        let run = world.agent(args).await.expect(2);
        assert!(run.stderr.contains("is the beginning of 2 sessions"), "{run:#?}");
    }
    let run = world.agent(["exec", "resume", "ffff", "x"]).await.expect(2);
    assert!(run.stderr.contains("there is no session ffff"), "{run:#?}");
    let run = world.agent(["exec", "resume", "", "x"]).await.expect(2);
    assert_eq!(world.sessions(), ids, "{run:#?}");
    let unique = ids[1].to_uppercase();
    assert_eq!(world.agent(["exec", "resume", &unique, "x"]).await.expect(0).stdout, "three\n");
}

#[tokio::test]
async fn a_session_in_use_is_left_alone() {
    let gate = Gate::new();
    let world = World::new([Step::text("ok").gate(0, &gate), Step::text("again")]).await;
    let run = world.start(&["go"]);
    gate.reached().await;
    let id = world.session();
    for args in [&["exec", "resume", &id][..], &["exec", "resume", &id, "x"], &["sessions", "rm", &id]] {
        let second = world.agent(args).await.expect(1);
        assert!(second.stderr.contains("open in another process"), "{second:#?}");
    }
    world.agent(["sessions", "show", &id]).await.expect(0);
    gate.open();
    run.end().await.expect(0);
    assert_eq!(world.exec(&["resume", &id, "x"]).await.expect(0).stdout, "again\n");
}

#[tokio::test]
async fn a_session_with_nothing_left_to_do_says_so_and_stays_as_it_is() {
    let world = World::new([Step::text("ok")]).await;
    world.exec(&["go"]).await.expect(0);
    let before = fs::read(world.log_file()).unwrap();
    for args in [&["resume", "--last"][..], &["resume", &world.session()]] {
        let run = world.exec(args).await.expect(2);
        assert!(run.stderr.contains("has nothing left to do"), "{run:#?}");
    }
    assert_eq!(fs::read(world.log_file()).unwrap(), before);
}

#[tokio::test]
async fn the_last_session_is_the_last_of_this_directory() {
    let world = World::new([Step::text("here"), Step::text("there"), Step::text("on")]).await;
    let other = world.root.join("other");
    fs::create_dir(&other).unwrap();
    world.exec(&["here"]).await.expect(0);
    world.exec(&["-C", other.to_str().unwrap(), "there"]).await.expect(0);
    world.exec(&["resume", "--last", "go on"]).await.expect(0);
    assert_eq!(world.sent(3)[0]["content"][0]["text"], "here");
    let run = world.exec(&["-C", "/usr", "resume", "--last", "go on"]).await.expect(2);
    assert!(run.stderr.contains("there is no session yet"), "{run:#?}");
    let run = world.exec(&["resume", "--last", &world.sessions()[0], "go on"]).await.expect(2);
    assert!(run.stderr.contains("not both"), "{run:#?}");
}

#[tokio::test]
async fn a_damaged_log_is_said_and_not_touched() {
    let world = World::new([Step::text("ok")]).await;
    world.exec(&["go"]).await.expect(0);
    let path = world.log_file();
    let damaged = fs::read_to_string(&path).unwrap().replacen("turn_started", "turn_stopped", 1);
    fs::write(&path, &damaged).unwrap();
    let run = world.exec(&["resume", "--last", "x"]).await.expect(1);
    assert!(run.stderr.contains("is damaged"), "{run:#?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
    // Half a last line never became true.
    let world = World::new([Step::text("ok"), Step::text("on")]).await;
    world.exec(&["go"]).await.expect(0);
    let whole = fs::read_to_string(world.log_file()).unwrap();
    fs::write(world.log_file(), format!("{whole}{{\"seq\":99,\"at\"")).unwrap();
    assert_eq!(world.exec(&["resume", "--last", "x"]).await.expect(0).stdout, "on\n");
    assert!(fs::read_to_string(world.log_file()).unwrap().starts_with(&whole));
}

#[tokio::test]
async fn sessions_are_named_and_put_away() {
    let world = World::new([Step::text("one"), Step::text("two"), Step::text("three")]).await;
    world.exec(&["first"]).await.expect(0);
    world.exec(&["second"]).await.expect(0);
    let ids = world.sessions();
    world.agent(["sessions", "rename", &ids[0], " The first "]).await.expect(0);
    world.agent(["sessions", "archive", &ids[1], "ffff"]).await.expect(2);
    world.agent(["sessions", "archive", &ids[1]]).await.expect(0);
    let list = async |args: &[&str]| {
        let args = ["sessions", "list"].iter().chain(args);
        let lines = world.agent(args).await.expect(0).stdout;
        lines.lines().map(|line| line.rsplit("  ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list(&[]).await, ["The first"]);
    assert_eq!(list(&["--archived"]).await, ["second"]);
    assert_eq!(list(&["--all"]).await.len(), 2);
    // The last one is not one that was put away; going on with that brings it back.
    world.exec(&["resume", "--last", "on"]).await.expect(0);
    assert_eq!(world.sent(3)[0]["content"][0]["text"], "first");
    world.exec(&["resume", &ids[1]]).await.expect(2);
    assert_eq!(list(&["--archived"]).await, ["second"], "nothing was gone on with");
    world.agent(["sessions", "archive", "--undo", &ids[1]]).await.expect(0);
    assert_eq!(list(&[]).await.len(), 2);
}

#[tokio::test]
async fn a_fork_is_gone_on_with_by_itself() {
    let world = World::new([Step::text("one"), Step::text("two"), Step::text("three")]).await;
    world.exec(&["first"]).await.expect(0);
    let parent = world.session();
    let fork = world.agent(["fork", "--last"]).await.expect(0).stdout;
    let fork = fork.trim();
    assert_eq!(world.sessions(), [parent.clone(), fork.to_owned()]);
    world.exec(&["resume", fork, "in the fork"]).await.expect(0);
    let texts = |number: usize| -> Vec<Value> {
        let sent = world.sent(number);
        sent.iter().map(|item| item["content"][0]["text"].clone()).collect()
    };
    assert_eq!(texts(2), ["first", "one", "in the fork"]);
    world.agent(["sessions", "rm", &parent]).await.expect(0);
    world.exec(&["resume", fork, "alone"]).await.expect(0);
    assert_eq!(texts(3), ["first", "one", "in the fork", "two", "alone"]);
    let list = world.agent(["sessions", "list", "--json"]).await.expect(0).stdout;
    let listed: Value = serde_json::from_str(&list).unwrap();
    assert_eq!((&listed["parent"], &listed["turns"]), (&json!(parent), &json!(3)));
    world.agent(["fork", &parent]).await.expect(2);
}

/// The program as a user for whom permissions count.
fn unprivileged(world: &World, args: &[&str]) -> Running {
    if !rustix::process::geteuid().is_root() {
        return Running::spawn(world.command(args));
    }
    let given = std::process::Command::new("chown").args(["-hR", "65534:65534"]).arg(&world.root).status();
    assert!(given.unwrap().success());
    let mut command = world.program("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_agent")])
        .args(args);
    Running::spawn(command)
}

#[tokio::test]
async fn a_session_goes_with_directories_that_nobody_may_write() {
    let world = World::new([
        Step::text("ok"),
        Step::items([shell("mkdir -p ~/mod/inner && chmod -R 0555 ~/mod; ls -d ~/mod/inner")]),
        Step::text("ok"),
    ])
    .await;
    world.exec(&["go"]).await.expect(0);
    let id = world.session();
    let module = world.home.join("sessions").join(&id).join("scratch/mod");
    fs::create_dir_all(module.join("inner")).unwrap();
    fs::write(module.join("inner/file"), "").unwrap();
    for (directory, mode) in [(module.join("inner"), 0o000), (module, 0o555)] {
        fs::set_permissions(directory, fs::Permissions::from_mode(mode)).unwrap();
    }
    unprivileged(&world, &["sessions", "rm", &id]).end().await.expect(0);
    assert_eq!(fs::read_dir(world.home.join("sessions")).unwrap().count(), 0);

    let run = unprivileged(&world, &["exec", "--ephemeral", "go"]).end().await.expect(0);
    assert!(world.result(3).contains("Process exited with code 0"), "{}", world.result(3));
    let left: Vec<_> = fs::read_dir(world.root.join("tmp")).unwrap().collect();
    assert!(left.is_empty() || !crate::support::has_sandbox(), "{left:?} {run:#?}");
}

#[tokio::test]
async fn what_an_unfinished_deletion_left_is_no_session_and_goes_with_the_next() {
    let world = World::new([Step::text("ok")]).await;
    world.exec(&["go"]).await.expect(0);
    let (id, sessions) = (world.session(), world.home.join("sessions"));
    let stayed = sessions.join(".removed-01a1febf-57b5-7243-8696-d34182a5c024");
    fs::create_dir_all(stayed.join("scratch")).unwrap();
    assert_eq!(world.agent(["sessions", "list"]).await.expect(0).stdout.lines().count(), 1);
    world.agent(["sessions", "rm", &id]).await.expect(0);
    assert_eq!(fs::read_dir(sessions).unwrap().count(), 0);
}
