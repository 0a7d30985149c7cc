//! What is kept of sessions: written as a tarball, carried to another machine, pinned, found, pruned, checked.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command as Process, Stdio},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;
use tokio::process::Command;

use crate::support::{
    chance::{Chance, cases},
    mock::Step,
    until,
    world::{Run, Running, World, files, shell},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A session that has changed files in two turns.
async fn changed() -> World {
    let step = |text: &str| Step::items([shell(&format!("echo {text} > file.txt; ln -sf file.txt link"))]);
    let world = World::new([
        step("first"),
        Step::text("did one"),
        step("second"),
        Step::text("did two"),
        Step::text("go on"),
    ])
    .await;
    world.write("file.txt", "before\n");
    world.write("mine.txt", "mine\n");
    world.exec(&["change it"]).await.expect(0);
    world.exec(&["resume", "--last", "and again"]).await.expect(0);
    world
}

fn tarball(world: &World, id: &str) -> PathBuf {
    world.home.join("sessions").join(id).join("workspace.tar.zst")
}

fn unpacked(tarball: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tar = Process::new("tar")
        .arg("--zstd")
        .arg("-xf")
        .arg(tarball)
        .arg("-C")
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(tar.status.success(), "{tar:?}");
    folder
}

/// Another machine: a home of its own, that knows the same provider.
struct Other<'a> {
    world: &'a World,
    home: tempfile::TempDir,
}

impl<'a> Other<'a> {
    fn new(world: &'a World) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::copy(world.config_file(), home.path().join("config.toml")).unwrap();
        Self { world, home }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(args);
        command.env("AGENT_HOME", self.home.path());
        command
    }

    async fn agent(&self, args: &[&str]) -> Run {
        Running::spawn(self.command(args)).end().await
    }

    /// All that was written there, but for the configuration.
    fn written(&self) -> Vec<PathBuf> {
        files(self.home.path()).into_iter().filter(|file| !file.ends_with("config.toml")).collect()
    }
}

/// As if a session had last been written to some time ago.
fn aged(world: &World, id: &str, age: Duration) {
    let log = world.home.join("sessions").join(id).join("log.jsonl");
    File::options().write(true).open(log).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

#[tokio::test]
async fn a_session_that_changed_files_leaves_its_workspace_as_a_tarball() {
    let world = changed().await;
    let id = world.session();
    let folder = unpacked(&tarball(&world, &id));
    let there = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(
        (there("file.txt"), there("mine.txt"), there("link")),
        ("second\n".into(), "mine\n".into(), "second\n".into())
    );
    let written = || fs::metadata(tarball(&world, &id)).unwrap().modified().unwrap();
    let before = written();
    // A question changes nothing.
    world.exec(&["resume", "--last", "a question"]).await.expect(0);
    assert_eq!(written(), before);
}

#[tokio::test]
async fn no_tarball_where_nothing_was_changed_or_nobody_wants_one() {
    let steps = || [Step::items([shell("echo x > made.txt")]), Step::text("done")];
    let world = World::new([Step::text("an answer")]).await;
    world.exec(&["a question"]).await.expect(0);
    assert!(!tarball(&world, &world.session()).exists());
    for setting in ["snapshots.tarball = 'never'", "snapshots.mode = 'off'"] {
        let world = World::new(steps()).await;
        world.configure(setting);
        world.exec(&["go"]).await.expect(0);
        assert!(!tarball(&world, &world.session()).exists(), "{setting}");
    }
    let world = World::new(steps()).await;
    world.configure("snapshots.tarball = 'turn'");
    world.exec(&["go"]).await.expect(0);
    assert!(unpacked(&tarball(&world, &world.session())).path().join("made.txt").exists());
}

#[tokio::test]
async fn a_session_goes_on_on_another_machine_with_nothing_allowed_there() {
    let world = changed().await;
    let id = world.session();
    let out = world.agent(["export", &id, "-o", "s.tar"]).await.expect(0);
    assert!(
        out.stdout.contains("with 4 states of its files") || out.stdout.contains("states of its files"),
        "{out:#?}"
    );
    let again = world.agent(["export", "-o", "s.tar"]).await.expect(2);
    assert!(again.stderr.contains("is there already, and is not overwritten"), "{again:#?}");
    let other = Other::new(&world);
    let run = other.agent(&["import", "s.tar"]).await.expect(0);
    assert!(run.stdout.contains(&format!("imported session {id}")), "{run:#?}");
    assert!(run.stdout.contains("nothing that was allowed there is allowed here"), "{run:#?}");
    let twice = other.agent(&["import", "s.tar"]).await.expect(2);
    assert!(twice.stderr.contains("is here already"), "{twice:#?}");
    let shown = other.agent(&["sessions", "show", &id]).await.expect(0);
    assert!(shown.stdout.contains("did two"), "{shown:#?}");
    let checked = other.agent(&["sessions", "check"]).await.expect(0);
    assert!(checked.stdout.contains("all are whole"), "{checked:#?}");
    // The states came along: here, where the workspace is as it was left, both turns can be undone.
    other.agent(&["undo", &id, "--to", "1", "--yes"]).await.expect(0);
    assert_eq!(world.read("file.txt"), "before\n");
    other.agent(&["exec", "resume", &id, "go on"]).await.expect(0);
}

#[tokio::test]
async fn what_an_imported_log_allows_does_not_count() {
    let args = serde_json::json!({
        "cmd": "echo gone > escaped.txt", "sandbox_permissions": "require_escalated", "justification": "?"
    });
    let call = crate::support::mock::call("exec_command", args);
    let world = World::new([Step::items([call]), Step::text("asked again")]).await;
    if !crate::support::has_sandbox() {
        return;
    }
    world.exec(&["-a", "on-request", "publish"]).await.expect(3);
    let id = world.session();
    world.agent(["export", &id, "-o", "s.tar"]).await.expect(0);
    let other = Other::new(&world);
    other.agent(&["import", "s.tar"]).await.expect(0);
    let log = fs::read_to_string(other.home.path().join("sessions").join(&id).join("log.jsonl")).unwrap();
    let last: Vec<Value> =
        log.lines().rev().take(5).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(last.iter().any(|fact| fact["type"] == "call_refused"), "{last:#?}");
    let configured = last.iter().find(|fact| fact["type"] == "configured").unwrap();
    assert_eq!(configured["settings"]["sandbox"], "workspace-write");
    other.agent(&["exec", "resume", &id]).await.expect(0);
    assert!(!world.workspace.join("escaped.txt").exists());
}

#[tokio::test]
async fn an_imported_session_has_no_more_than_it_had_and_no_more_than_is_configured() {
    for (there, here, wanted) in
        [("danger-full-access", "read-only", "read-only"), ("read-only", "danger-full-access", "read-only")]
    {
        let world = World::new([Step::text("an answer")]).await;
        if there != "danger-full-access" && !crate::support::has_sandbox() {
            return;
        }
        world.exec(&["-s", there, "a question"]).await.expect(0);
        world.agent(["export", "-o", "s.tar"]).await.expect(0);
        let other = Other::new(&world);
        other.agent(&["import", "s.tar", "-s", here]).await.expect(0);
        let log = other.home.path().join("sessions").join(world.session()).join("log.jsonl");
        let log = fs::read_to_string(log).unwrap();
        let facts: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let last = facts.iter().rfind(|fact| fact["type"] == "configured").unwrap();
        assert_eq!(last["settings"]["sandbox"], wanted);
    }
}

/// A tar with one member of any kind, name and content, behind what a bundle has.
fn with(bundle: &[u8], kind: tar::EntryType, name: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name.iter_mut().zip(name).for_each(|(place, byte)| *place = *byte);
    header.as_old_mut().linkname.iter_mut().zip(b"/etc/passwd").for_each(|(place, byte)| *place = *byte);
    header.set_entry_type(kind);
    header.set_mode(0o600);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut out = header.as_bytes().to_vec();
    out.extend(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out.extend(bundle);
    out
}

/// The bundle with another content of a member, and a list that says so.
fn forged(bundle: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Archive::new(bundle);
    let mut members: Vec<(String, Vec<u8>)> = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let member = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        members.push((member, bytes));
    }
    let (_, manifest) = members.pop().unwrap();
    let mut manifest: Value = serde_json::from_slice(&manifest).unwrap();
    members.retain(|(member, _)| member != name);
    members.push((name.to_owned(), content.to_vec()));
    let listed = members.iter().map(|(name, bytes)| {
        serde_json::json!({
            "name": name, "bytes": bytes.len(), "hash": blake3::hash(bytes).to_hex().to_string()
        })
    });
    manifest["members"] = listed.collect::<Vec<_>>().into();
    members.push(("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap()));
    let mut out = Vec::new();
    for (name, bytes) in members.iter().rev() {
        out = with(&out, tar::EntryType::Regular, name.as_bytes(), bytes);
    }
    out.extend([0; 1024]);
    out
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

#[tokio::test]
async fn hostile_files_are_refused_with_the_reason_and_nothing_is_written() {
    use tar::EntryType as Kind;
    let world = changed().await;
    let id = world.session();
    world.agent(["export", &id, "-o", "s.tar"]).await.expect(0);
    let bundle = fs::read(world.workspace.join("s.tar")).unwrap();
    let log = fs::read(world.log_file()).unwrap();
    let doubled = compressed(&[&log[..], &log[..]].concat());
    let changed = String::from_utf8(log.clone()).unwrap().replace("change it", "chance it");
    let blob = format!("blobs/{}.zst", "ab".repeat(32));
    let zeros = compressed(&vec![0; 64 << 20]);
    let bomb = format!("blobs/{}.zst", blake3::hash(&vec![0; 64 << 20]).to_hex());
    let pack = format!("packs/{}.pack", "0".repeat(32));
    let cut = bundle.len() / 2;
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("is an absolute name", with(&bundle, Kind::Regular, b"/etc/cron.d/x", b"x")),
        ("leads out", with(&bundle, Kind::Regular, b"../../.bashrc", b"x")),
        ("leads out", with(&bundle, Kind::Regular, b"blobs/../../x", b"x")),
        ("is a link (to /etc/passwd)", with(&bundle, Kind::Symlink, b"blobs", b"")),
        ("is a link (to /etc/passwd)", with(&bundle, Kind::Link, b"log.jsonl.zst", b"")),
        // A chain of links is refused with its first one.
        ("is a link", with(&with(&bundle, Kind::Symlink, b"a", b""), Kind::Symlink, b"b", b"")),
        ("is a device or a pipe", with(&bundle, Kind::Char, b"blobs/null", b"")),
        ("is a device or a pipe", with(&bundle, Kind::Fifo, b"blobs/pipe", b"")),
        ("has only files", with(&bundle, Kind::Directory, b"blobs/", b"")),
        ("has only files", with(&bundle, Kind::GNULongName, b"././@LongLink", b"manifest.json\0")),
        ("has only files", with(&bundle, Kind::XHeader, b"x", b"18 path=../escape\n")),
        ("is there twice", with(&bundle, Kind::Regular, b"log.jsonl.zst", b"x")),
        (
            "differs only in case",
            with(
                &with(&bundle, Kind::Regular, blob.to_uppercase().as_bytes(), b"x"),
                Kind::Regular,
                blob.as_bytes(),
                b"x",
            ),
        ),
        ("has no place in a bundle", with(&bundle, Kind::Regular, b"run.sh", b"x")),
        ("and not listed", with(&bundle, Kind::Regular, blob.as_bytes(), b"x")),
        ("was cut off", bundle[..cut].to_vec()),
        ("no bundle", b"not a tar at all".repeat(100)),
        ("no bundle", Vec::new()),
        ("it is no pack", forged(&bundle, &pack, &[7; 4096])),
        ("is not what its name says", forged(&bundle, &blob, &compressed(b"x"))),
        ("more than is taken", forged(&bundle, &bomb, &zeros)),
        ("its log is damaged", forged(&bundle, "log.jsonl.zst", &doubled)),
        ("its log is damaged", forged(&bundle, "log.jsonl.zst", &compressed(changed.as_bytes()))),
        ("does not begin as one does", forged(&bundle, "log.jsonl.zst", &compressed(b""))),
    ];
    let other = Other::new(&world);
    for (at, (why, bytes)) in table.iter().enumerate() {
        fs::write(world.workspace.join("hostile.tar"), bytes).unwrap();
        let run = other.agent(&["import", "hostile.tar"]).await.expect(1);
        let said = run.stderr.contains(why) || *why == "it is no pack" && run.stderr.contains("pack ");
        assert!(said && run.stderr.contains("nothing was written"), "{at} {why}: {run:#?}");
        assert_eq!(other.written(), Vec::<PathBuf>::new(), "{at} {why}");
    }
    // Every so manieth byte changed: refused, or of no meaning (padding, and names of owners).
    for at in (0..bundle.len()).step_by(bundle.len() / cases(40, 1000)) {
        let mut changed = bundle.clone();
        changed[at] ^= 0x11;
        fs::write(world.workspace.join("hostile.tar"), changed).unwrap();
        let run = other.agent(&["import", "hostile.tar"]).await;
        if run.code == 0 {
            other.agent(&["sessions", "check"]).await.expect(0);
            other.agent(&["sessions", "rm", &id]).await.expect(0);
        } else {
            assert!(run.code == 1 && run.stderr.contains("nothing was written"), "byte {at}: {run:#?}");
        }
    }
    for (limit, value) in [("--max-bytes", "1000"), ("--max-members", "2")] {
        let run = other.agent(&["import", "s.tar", limit, value]).await.expect(1);
        assert!(run.stderr.contains("more than"), "{limit}: {run:#?}");
    }
}

#[tokio::test]
async fn an_export_or_import_that_is_killed_leaves_all_or_nothing() {
    let world = changed().await;
    let id = world.session();
    let mut chance = Chance::of_this_run("carry");
    let started = Instant::now();
    world.agent(["export", &id, "-o", "s.tar"]).await.expect(0);
    let whole = started.elapsed();
    let other = Other::new(&world);
    let (mut done, mut killed) = (0, 0);
    for _ in 0..cases(12, 100) {
        let after = whole.mul_f64(chance.below(3000) as f64 / 1000.0);
        for args in [&["export", &id, "-o", "again.tar"][..], &["import", "s.tar"]] {
            let mut child = other.command(args);
            if args[0] == "export" {
                child.env("AGENT_HOME", &world.home);
            }
            let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            match tokio::time::timeout(after, child.wait()).await {
                Ok(_) => done += 1,
                Err(_) => {
                    child.kill().await.unwrap();
                    killed += 1;
                }
            }
        }
        let again = world.workspace.join("again.tar");
        if again.exists() {
            let third = Other::new(&world);
            third.agent(&["import", "again.tar"]).await.expect(0);
            fs::remove_file(again).unwrap();
        }
        // What is there is whole; where nothing is there, it can be taken over now.
        if other.agent(&["sessions", "list"]).await.expect(0).stdout.is_empty() {
            other.agent(&["import", "s.tar"]).await.expect(0);
        }
        other.agent(&["sessions", "check"]).await.expect(0);
        other.agent(&["undo", &id, "--to", "1", "--yes"]).await.expect(0);
        assert_eq!(world.read("file.txt"), "before\n");
        other.agent(&["redo", &id, "--yes"]).await.expect(0);
        other.agent(&["sessions", "rm", &id]).await.expect(0);
    }
    assert!(killed > 0 && done > 0, "{killed} killed, {done} done");
}

#[tokio::test]
async fn old_sessions_go_and_pinned_and_young_ones_stay() {
    let step = |text: &str| Step::items([shell(&format!("head -c 100000 /dev/urandom > {text}"))]);
    let world = World::new([
        step("a"),
        Step::text("1"),
        step("b"),
        Step::text("2"),
        step("c"),
        Step::text("3"),
        step("d"),
        Step::text("4"),
    ])
    .await;
    for task in ["one", "two", "three", "four"] {
        world.exec(&[task]).await.expect(0);
    }
    let ids = world.sessions();
    world.agent(["sessions", "pin", &ids[0]]).await.expect(0);
    let list = world.agent(["sessions", "list"]).await.expect(0).stdout;
    assert_eq!(list.lines().filter(|line| line.contains("pinned  one")).count(), 1, "{list}");
    for id in &ids[..3] {
        aged(&world, id, DAY * 40);
    }
    // What would have been taken lately is old as well.
    for recent in files(&world.home.join("snapshots")).into_iter().filter(|file| file.ends_with("recent")) {
        fs::write(recent, "").unwrap();
    }
    let dry = world.agent(["sessions", "prune", "--dry-run"]).await.expect(0).stdout;
    assert!(dry.contains(&format!("would delete {}", ids[1])) && !dry.contains(&ids[0]), "{dry}");
    assert_eq!(world.sessions(), ids);
    let json = world.agent(["sessions", "prune", "--json"]).await.expect(0).stdout;
    let pruned: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(pruned["sessions"].as_array().unwrap().len(), 2, "{json}");
    assert_eq!(world.sessions(), [ids[0].clone(), ids[3].clone()]);
    let checked = world.agent(["sessions", "check"]).await.expect(0).stdout;
    assert!(checked.contains("all are whole") && !checked.contains("not kept"), "{checked}");
    // By room: the tarball goes first, and then the session.
    world.agent(["sessions", "pin", "--undo", &ids[0]]).await.expect(0);
    aged(&world, &ids[0], DAY * 2);
    let tar = tarball(&world, &ids[0]);
    assert!(tar.exists());
    let all: u64 = files(&world.home).iter().map(|file| file.metadata().unwrap().len()).sum();
    let most = (all - 50_000).to_string();
    let run = world.agent(["sessions", "prune", "--older-than", "0", "--max-bytes", &most]);
    let run = run.await.expect(0).stdout;
    assert!(run.contains("workspace.tar.zst of") && !tar.exists() && world.sessions().len() == 2, "{run}");
    let run =
        world.agent(["sessions", "prune", "--older-than", "0", "--max-bytes", "1"]).await.expect(0).stdout;
    assert!(run.contains("to make room") && run.contains("more than wanted stay"), "{run}");
    assert_eq!(world.sessions(), [ids[3].clone()], "that of today stays");
    world.agent(["undo", &ids[3], "--yes"]).await.expect(0);
}

/// Runs a turn that goes on until something has happened.
async fn while_it_runs(
    world: &World,
    task: &str,
    gate: &crate::support::mock::Gate,
    happened: impl Fn() -> bool,
) -> Run {
    let running = world.start(&[task]);
    gate.reached().await;
    until("it never happened", happened).await;
    gate.open();
    running.end().await
}

#[tokio::test]
async fn what_would_go_by_itself_is_said_before_anything_goes() {
    let gates = [(); 3].map(|()| crate::support::mock::Gate::new());
    let [first, second, third] = &gates;
    let world = World::new([
        Step::text("1"),
        Step::text("held").gate(0, first),
        Step::text("held").gate(0, second),
        Step::text("held").gate(0, third),
    ])
    .await;
    world.exec(&["old"]).await.expect(0);
    let old = world.session();
    aged(&world, &old, DAY * 40);
    let here = |name: &str| world.home.join(name).exists();
    let is_due = || {
        let stamp = File::options().write(true).open(world.home.join("pruned")).unwrap();
        stamp.set_modified(SystemTime::now() - DAY * 2).unwrap();
    };
    // Killed before it could say so: it has not been said.
    let running = world.start(&["young"]);
    first.reached().await;
    until("nothing is to be said", || here("prune-notice")).await;
    drop(running);
    first.open();
    assert!(world.sessions().contains(&old));
    is_due();
    let run =
        while_it_runs(&world, "young", second, || here("prune-notice") && is_fresh(&world)).await.expect(0);
    for words in ["Nothing has gone yet", "1 session", "agent sessions prune --dry-run", "30 days", "10 GB"] {
        assert!(run.stderr.contains(words), "{words}: {run:#?}");
    }
    assert!(world.sessions().contains(&old));
    // Not on the same day.
    is_due();
    let run = while_it_runs(&world, "next", third, || !world.sessions().contains(&old)).await.expect(0);
    assert!(!run.stderr.contains("Nothing has gone yet"), "it is said once: {run:#?}");
}

/// Whether it was looked after today what goes.
fn is_fresh(world: &World) -> bool {
    let stamp = fs::metadata(world.home.join("pruned")).unwrap().modified().unwrap();
    stamp.elapsed().is_ok_and(|since| since < DAY)
}

#[tokio::test]
async fn secrets_are_in_no_bundle_that_was_not_asked_for_them() {
    let world = World::new([Step::items([shell("echo x > made.txt")]), Step::text("done")]).await;
    world.write(".env", "PASSWORD=correct horse\n");
    world.exec(&["go"]).await.expect(0);
    let id = world.session();
    let run = world.agent(["export", &id, "-o", "s.tar"]).await.expect(0);
    assert!(run.stdout.contains("secret files that are not in it: .env"), "{run:#?}");
    let run = world.agent(["export", &id, "--json", "-o", "again.tar"]).await.expect(0);
    let said: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(said["withheld"], serde_json::json!([".env"]));
    let other = Other::new(&world);
    let run = other.agent(&["import", "s.tar"]).await.expect(0);
    assert!(run.stdout.contains("secret files that it does not bring: .env"), "{run:#?}");
    let checked = other.agent(&["sessions", "check"]).await.expect(0);
    assert!(checked.stdout.contains(".env: its content is not here"), "{checked:#?}");
    let run = other.agent(&["undo", &id, "--yes"]).await.expect(0);
    assert!(!world.workspace.join("made.txt").exists(), "{run:#?}");
    assert_eq!(world.read(".env"), "PASSWORD=correct horse\n");

    world.agent(["export", &id, "--with-secrets", "-o", "own.tar"]).await.expect(0);
    let third = Other::new(&world);
    let run = third.agent(&["import", "own.tar"]).await.expect(0);
    assert!(!run.stdout.contains("secret files"), "{run:#?}");
    fs::remove_file(world.workspace.join(".env")).unwrap();
    third.agent(&["exec", "resume", &id, "--restore", "--yes", "x"]).await;
    assert_eq!(world.read(".env"), "PASSWORD=correct horse\n");
}

#[tokio::test]
async fn a_session_that_is_open_is_never_pruned() {
    let gate = crate::support::mock::Gate::new();
    let world = World::new([Step::text("held").gate(0, &gate)]).await;
    let running = world.start(&["go"]);
    gate.reached().await;
    let id = world.session();
    aged(&world, &id, DAY * 400);
    let run = world.agent(["sessions", "prune"]).await.expect(0);
    assert!(!run.stdout.contains("deleted"), "{run:#?}");
    assert_eq!(world.session(), id);
    gate.open();
    assert_eq!(running.end().await.code, 0);
}

#[tokio::test]
async fn words_that_were_said_are_found() {
    let world = World::new([Step::text("The Login page is mended"), Step::text("nothing here")]).await;
    world.exec(&["mend the login"]).await.expect(0);
    world.exec(&["another task"]).await.expect(0);
    let ids = world.sessions();
    let found = world.agent(["sessions", "search", "LOGIN"]).await.expect(0).stdout;
    assert!(found.contains(&ids[0]) && !found.contains(&ids[1]), "{found}");
    assert!(found.contains("> mend the login") && found.contains("• The Login page is mended"), "{found}");
    let json = world.agent(["sessions", "search", "--json", "login page"]).await.expect(0).stdout;
    let hit: Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!((&hit["by"], &hit["session"]), (&"assistant".into(), &ids[0].as_str().into()));
    assert_eq!(world.agent(["sessions", "search", "no such words"]).await.expect(0).stdout, "");
    world.agent(["sessions", "search", " "]).await.expect(2);
}

#[tokio::test]
async fn a_check_names_what_is_damaged_and_changes_nothing() {
    let world = changed().await;
    let id = world.session();
    let fine = world.agent(["sessions", "check", "--json"]).await.expect(0).stdout;
    let fine: Value = serde_json::from_str(&fine).unwrap();
    assert_eq!((&fine["damage"], &fine["tarballs"]), (&serde_json::json!([]), &1.into()));
    let stored = files(&world.home.join("snapshots"));
    let pack = stored.iter().rfind(|file| file.extension().is_some_and(|end| end == "pack")).unwrap();
    for (file, words) in [
        (tarball(&world, &id), "can't be read to its end"),
        (world.log_file(), "is damaged"),
        (pack.clone(), "pack"),
    ] {
        let whole = fs::read(&file).unwrap();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x10;
        fs::write(&file, &damaged).unwrap();
        let run = world.agent(["sessions", "check"]).await.expect(1);
        assert!(run.stdout.contains(words), "{words}: {run:#?}");
        assert_eq!(fs::read(&file).unwrap(), damaged);
        fs::write(&file, whole).unwrap();
    }
    world.agent(["sessions", "check", &id]).await.expect(0);
    fs::remove_dir_all(world.home.join("snapshots")).unwrap();
    let run = world.agent(["sessions", "check", &id]).await.expect(0);
    assert!(run.stdout.contains("states of its files are not kept"), "{run:#?}");
}

#[tokio::test]
async fn a_data_folder_that_can_t_be_written_is_told() {
    let world = changed().await;
    world.agent(["export", "-o", "s.tar"]).await.expect(0);
    let other = Other::new(&world);
    // Root writes wherever permissions say no; not where a file stands in the way.
    File::create(other.home.path().join("sessions")).unwrap().write_all(b"in the way").unwrap();
    let run = other.agent(&["import", "s.tar"]).await.expect(1);
    assert!(run.stderr.contains("was not imported"), "{run:#?}");
    assert_eq!(other.written(), [other.home.path().join("sessions")]);
    let run = world.agent(["export", "-o", "no/such/folder/s.tar"]).await.expect(1);
    assert!(run.stderr.contains("was not exported"), "{run:#?}");
}
