//! Undo and redo with the real program: what a turn did to files goes back, and what a person did stays.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command as Process, Stdio},
    time::{Duration, Instant},
};

use agent::{
    protocol::{Compaction, CompactionMeans, CompactionReason, Context, Counts, Fact, Item, Part, Restore},
    session::Session,
    store::{Log, read_events},
};
use serde_json::Value;

use crate::support::{
    mock::{Step, custom_call},
    until,
    world::{World, shell},
};

fn patch(text: &str) -> Value {
    custom_call("apply_patch", &format!("*** Begin Patch\n{text}\n*** End Patch"))
}

/// A world with a file, whose model changes it and makes another one, in two ways.
async fn changed() -> World {
    let world = World::new([
        Step::items([patch("*** Update File: old.txt\n@@\n-one\n+two")]),
        Step::items([shell("mkdir made && echo new > made/new.txt && rm gone.txt")]),
        Step::text("done"),
        Step::text("I see"),
    ])
    .await;
    world.write("old.txt", "one\n");
    world.write("gone.txt", "precious\n");
    world.write("mine.txt", "mine\n");
    world.exec(&["change it"]).await.expect(0);
    assert_eq!((world.read("old.txt"), world.read("made/new.txt")), ("two\n".into(), "new\n".into()));
    assert!(!world.workspace.join("gone.txt").exists());
    world
}

fn is_before(world: &World) -> bool {
    world.read("old.txt") == "one\n"
        && world.read("gone.txt") == "precious\n"
        && !world.workspace.join("made").exists()
}

#[tokio::test]
async fn a_turn_is_undone_and_redone_and_the_model_is_told() {
    let world = changed().await;
    let undone = world.agent(["undo", "--yes"]).await.expect(0);
    for line in
        ["Undo turn 1: change it", "  ~ old.txt", "  + gone.txt", "  - made/new.txt", "4 paths are as before"]
    {
        assert!(undone.stdout.contains(line), "{line}: {undone:#?}");
    }
    assert!(is_before(&world));
    let again = world.agent(["undo", "--yes"]).await.expect(2);
    assert!(again.stderr.contains("nothing to put back"), "{again:#?}");
    world.agent(["redo", "--yes"]).await.expect(0);
    assert_eq!((world.read("old.txt"), world.read("made/new.txt")), ("two\n".into(), "new\n".into()));
    assert!(!world.workspace.join("gone.txt").exists());
    world.agent(["redo", "--yes"]).await.expect(2);
    world.agent(["undo", "--yes"]).await.expect(0);
    assert!(is_before(&world));
    world.exec(&["resume", "--last", "look"]).await.expect(0);
    let told = serde_json::to_string(&world.sent(4)).unwrap();
    assert!(
        told.contains("undone what was done to files since turn 1 began") && told.contains("made/new.txt"),
        "{told}"
    );
}

#[tokio::test]
async fn what_a_person_changed_since_is_not_overwritten_unasked() {
    let world = changed().await;
    world.write("old.txt", "three\n");
    world.write("mine.txt", "still mine\n");
    world.write("made/mine.txt", "mine as well\n");
    let undone = world.agent(["undo", "--yes"]).await.expect(0);
    assert!(undone.stdout.contains("Changed since by you"), "{undone:#?}");
    assert_eq!(world.read("old.txt"), "three\n");
    assert_eq!(world.read("mine.txt"), "still mine\n");
    assert_eq!(world.read("made/mine.txt"), "mine as well\n");
    assert_eq!(world.read("gone.txt"), "precious\n");
    assert!(!world.workspace.join("made/new.txt").exists());
    world.agent(["redo", "--yes"]).await.expect(0);
    world.agent(["undo", "--yes", "--all"]).await.expect(0);
    assert!(is_before(&world));
    assert_eq!(world.read("mine.txt"), "mine\n");
    world.agent(["redo", "--yes"]).await.expect(0);
    assert_eq!((world.read("old.txt"), world.read("mine.txt")), ("three\n".into(), "still mine\n".into()));
}

#[tokio::test]
async fn nothing_is_changed_where_nobody_can_be_asked() {
    let world = changed().await;
    let run = world.agent(["undo"]).await.expect(2);
    assert!(run.stdout.contains("~ old.txt") && run.stderr.contains("agent undo --yes"), "{run:#?}");
    assert_eq!(world.read("old.txt"), "two\n");
    let none = world.agent(["undo", "--to", "9", "--yes"]).await.expect(2);
    assert!(none.stderr.contains("nothing to put back"), "{none:#?}");
}

#[tokio::test]
async fn several_turns_go_back_together() {
    let step =
        |text: &str| Step::items([shell(&format!("echo {text} > file.txt; echo {text} > {text}.txt"))]);
    let world = World::new([step("a"), Step::text("1"), Step::text("2"), step("b"), Step::text("3")]).await;
    world.exec(&["first"]).await.expect(0);
    for task in ["a question", "second"] {
        world.exec(&["resume", "--last", task]).await.expect(0);
    }
    assert_eq!((world.read("file.txt"), world.read("b.txt")), ("b\n".into(), "b\n".into()));
    let facts = world.log();
    let snapshots: Vec<_> = facts.iter().filter(|fact| fact["type"] == "snapshot_taken").collect();
    let said: Vec<_> =
        snapshots.iter().map(|fact| (fact["turn"].as_u64(), fact["moment"].as_str())).collect();
    let expected = [(1, "before"), (1, "after"), (3, "before"), (3, "after")];
    assert_eq!(
        said,
        expected.map(|(turn, moment)| (Some(turn), Some(moment))),
        "a turn without changes has none"
    );
    world.agent(["undo", "--yes"]).await.expect(0);
    assert_eq!((world.read("file.txt"), world.read("b.txt")), ("a\n".into(), String::new()));
    world.agent(["redo", "--yes"]).await.expect(0);
    world.agent(["undo", "--to", "1", "--yes"]).await.expect(0);
    assert_eq!(fs::read_dir(&world.workspace).unwrap().count(), 0);
}

#[tokio::test]
async fn a_snapshot_that_fails_is_told_and_stops_only_who_wants_that() {
    let steps = || [Step::items([shell("echo x > made.txt")]), Step::text("done")];
    let world = World::new(steps()).await;
    fs::write(world.home.join("snapshots"), "in the way").unwrap();
    let run = world.exec(&["--json", "go"]).await.expect(0);
    assert_eq!(world.read("made.txt"), "x\n");
    assert!(run.notes().iter().any(|note| note.contains("this turn can't be undone")), "{run:#?}");
    let undo = world.agent(["undo", "--yes"]).await;
    assert!(undo.code != 0 && undo.stderr.contains("snapshots"), "{undo:#?}");

    let world = World::new(steps()).await;
    world.configure("snapshots.mode = 'required'");
    fs::write(world.home.join("snapshots"), "in the way").unwrap();
    world.exec(&["go"]).await.expect(0);
    assert!(!world.workspace.join("made.txt").exists());
    assert!(world.result(2).contains("could not be kept"), "{}", world.result(2));

    let world = World::new(steps()).await;
    world.configure("snapshots.mode = 'off'");
    world.exec(&["go"]).await.expect(0);
    assert_eq!(world.read("made.txt"), "x\n");
    assert!(!world.home.join("snapshots").exists());
}

#[tokio::test]
async fn what_was_built_counts_as_built_after_an_undo() {
    let world = World::new([
        Step::items([shell("echo changed > in.txt; make >&2; echo more > other.txt")]),
        Step::text("done"),
    ])
    .await;
    world.write("Makefile", "out.txt: in.txt\n\tcp in.txt out.txt\n");
    world.write("in.txt", "first\n");
    let make = |args: &[&str]| Process::new("make").args(args).current_dir(&world.workspace).output();
    let Ok(built) = make(&[]) else {
        eprintln!("SKIPPED: there is no make here");
        return;
    };
    assert!(built.status.success(), "{built:?}");
    world.exec(&["go"]).await.expect(0);
    assert_eq!(world.read("in.txt"), "changed\n");
    world.agent(["undo", "--yes"]).await.expect(0);
    assert_eq!((world.read("in.txt"), world.read("out.txt")), ("first\n".into(), "first\n".into()));
    assert!(make(&["-q"]).unwrap().status.success(), "make has something to do");
}

#[tokio::test]
async fn a_commit_that_was_thrown_away_comes_back() {
    let git = |world: &World, args: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@b.c"];
        let run = Process::new("git").args(who).args(args).current_dir(&world.workspace).output().unwrap();
        String::from_utf8(run.stdout).unwrap()
    };
    let world = World::new([
        Step::items([shell("git -c user.name=a -c user.email=a@b.c reset --hard HEAD~1")]),
        Step::text("done"),
    ])
    .await;
    git(&world, &["init", "-q"]);
    for text in ["one\n", "two\n"] {
        world.write("file.txt", text);
        git(&world, &["add", "file.txt"]);
        git(&world, &["commit", "-qm", text]);
    }
    world.write("file.txt", "not committed\n");
    let before = git(&world, &["rev-parse", "HEAD"]);
    // Inside a sandbox the repository can't be written.
    world.exec(&["-s", "danger-full-access", "go"]).await.expect(0);
    assert_eq!(world.read("file.txt"), "one\n");
    world.agent(["undo", "--yes"]).await.expect(0);
    assert_eq!(world.read("file.txt"), "not committed\n");
    assert_eq!(git(&world, &["rev-parse", "HEAD"]), before);
    assert_eq!(git(&world, &["status", "--porcelain"]), " M file.txt\n");
    assert!(git(&world, &["fsck", "--no-dangling"]).is_empty());
}

#[tokio::test]
async fn an_undo_with_the_conversation_that_was_cut_off_takes_back_both() {
    let world = changed().await;
    let (mut log, events) = Log::open(&world.log_file()).unwrap();
    let session = Session::replay(&events);
    let (to, _) = session.said().next().unwrap();
    let known = session.undo.undo(None).unwrap();
    let summary = Item::Context { context: Context::Summary, text: "The summary.".into() };
    let compacted = Compaction {
        reason: CompactionReason::Asked,
        how: CompactionMeans::Summary,
        parts: vec![Part::Item(summary.into())],
        from: 1000,
        to: 100,
        kept: Counts::default(),
        dropped: Counts::default(),
        shrunk: 0,
        usage: None,
        problem: None,
    };
    // The files are put back as the log says, and the program is killed before it can say so.
    let restore = Restore { rewind: Some(to), ..known.restore(session.undo.last().unwrap().clone(), true) };
    let facts = vec![Fact::Compacted(compacted.into()), Fact::RestoreStarted { restore }];
    let at = events.last().unwrap().at;
    log.append(facts, at).unwrap();
    log.sync().unwrap();
    drop(log);
    let undone = world.agent(["undo", "--yes"]).await;
    assert!(undone.stderr.contains("and the conversation went back with the files"), "{undone:#?}");
    let session = Session::replay(&read_events(&world.log_file()).unwrap());
    assert_eq!((session.said().count(), session.undo.restoring.is_some()), (0, false));
    let texts = session.items.iter().filter(|item| format!("{item:?}").contains("The summary."));
    assert_eq!(texts.count(), 0, "what was said before the compaction is there again");
    assert!(session.items.len() > 1, "{:?}", session.items);
}

#[tokio::test]
async fn a_damaged_part_of_the_store_is_told_and_stops_nothing() {
    let step = |text: &str| Step::items([shell(&format!("echo {text} > {text}.txt"))]);
    let world = World::new([step("a"), Step::text("1"), step("b"), Step::text("2")]).await;
    world.write("kept.txt", "as it was\n");
    world.exec(&["first"]).await.expect(0);
    let store = fs::read_dir(world.home.join("snapshots")).unwrap().next().unwrap().unwrap().path();
    let packs: Vec<_> =
        fs::read_dir(store.join("packs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    for pack in &packs {
        fs::File::options().write(true).open(pack).unwrap().set_len(40).unwrap();
    }
    let run = world.exec(&["resume", "--last", "--json", "second"]).await.expect(0);
    let notes = run.notes();
    let told: Vec<_> = notes.iter().filter(|note| note.contains("is damaged")).collect();
    assert!(told.len() == 1 && told[0].contains("agent sessions check"), "{notes:?}");
    assert_eq!(world.read("b.txt"), "b\n");
    world.agent(["undo", "--yes"]).await.expect(0);
    assert_eq!((world.read("a.txt"), world.read("b.txt")), ("a\n".into(), String::new()));
    let lost = world.agent(["undo", "--yes"]).await;
    assert!(lost.code != 0 && lost.stderr.contains("damaged"), "{lost:#?}");
}

/// A server with an S3-compatible bucket, and its port.
fn bucket() -> Option<(Child, u16)> {
    let mut child = Process::new("python3")
        .args(["-c", include_str!("../data/s3.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let line = BufReader::new(child.stdout.take()?).lines().next();
    match line {
        Some(Ok(port)) => Some((child, port.parse().unwrap())),
        _ => {
            child.wait().unwrap();
            None
        }
    }
}

/// A world whose model changes a file, and whose snapshots go to a bucket at an address.
async fn sending(address: &str) -> World {
    let world = World::new([Step::items([shell("echo two > file.txt")]), Step::text("done")]).await;
    world.write("file.txt", "one\n");
    let profile = world.root.join("user/.aws");
    fs::create_dir_all(&profile).unwrap();
    let keys = "[default]\naws_access_key_id = known\naws_secret_access_key = secret\n";
    fs::write(profile.join("credentials"), keys).unwrap();
    world.configure(&format!(
        "snapshots.remote = 's3://bucket/team'\nsnapshots.remote_endpoint = 'http://{address}'\n\
         snapshots.remote_region = 'eu-north-1'"
    ));
    world
}

#[tokio::test]
async fn what_could_not_be_sent_is_told_at_the_end() {
    // Nobody listens there any more.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = sending(&address.to_string()).await;
    let run = world.exec(&["change it"]).await.expect(0);
    for words in ["was not sent to s3://bucket/team", "kept on this machine", "agent resume --last"] {
        assert!(run.stderr.contains(words), "{words}: {run:#?}");
    }
    assert_eq!(run.stderr.matches("was not sent").count(), 1, "{run:#?}");
    world.agent(["undo", "--yes"]).await.expect(0);
    assert_eq!(world.read("file.txt"), "one\n");
}

#[tokio::test]
async fn whoever_does_not_want_to_wait_for_a_bucket_need_not() {
    // It takes what comes, and never says anything.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let world = sending(&mute.local_addr().unwrap().to_string()).await;
    let running = world.start(&["change it"]);
    let tarball = || {
        let sessions = fs::read_dir(world.home.join("sessions")).into_iter().flatten().flatten();
        sessions.into_iter().any(|session| session.path().join("workspace.tar.zst").exists())
    };
    until("the session does not end", tarball).await;
    let asked = Instant::now();
    running.signal(rustix::process::Signal::INT);
    let run = running.end().await.expect(0);
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert!(run.stderr.contains("was not sent") && run.stderr.contains("it was stopped"), "{run:#?}");
}

#[tokio::test]
async fn a_turn_is_undone_from_a_bucket_when_the_store_is_gone() {
    let Some((mut server, port)) = bucket() else {
        return crate::support::skip("a bucket for snapshots: pip install 'moto[server]'");
    };
    let world = World::new([
        Step::items([shell("echo two > file.txt; env; cat ~/.aws/credentials")]),
        Step::text("done"),
    ])
    .await;
    world.write("file.txt", "one\n");
    let profile = world.root.join("user/.aws");
    fs::create_dir_all(&profile).unwrap();
    let keys = "[team]\naws_access_key_id = known\naws_secret_access_key = never-to-be-told\n";
    fs::write(profile.join("credentials"), keys).unwrap();
    world.configure(&format!(
        "snapshots.remote = 's3://bucket/team'\nsnapshots.remote_endpoint = 'http://127.0.0.1:{port}'\n\
         snapshots.remote_profile = 'team'\nsnapshots.remote_region = 'eu-north-1'"
    ));
    let run = world.exec(&["change it"]).await.expect(0);
    assert!(!run.stderr.contains("could not be sent"), "{run:#?}");
    assert_eq!(world.read("file.txt"), "two\n");
    // The program has waited for what travelled.
    fs::remove_dir_all(world.home.join("snapshots")).unwrap();
    world.agent(["undo", "--yes"]).await.expect(0);
    assert_eq!(world.read("file.txt"), "one\n");
    let log = serde_json::to_string(&world.log()).unwrap();
    assert!(!log.contains("never-to-be-told"), "{log}");
    server.kill().unwrap();
    server.wait().unwrap();
}
