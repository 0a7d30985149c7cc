//! The disk is full, or can't be written, or has changed what was kept: it is said, and nothing is lost.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command},
};

use agent::protocol::{Fact, Item};
use serde_json::{Value, json};

use crate::support::{
    has_sandbox,
    scripted::{Scripted, ended, exec, says},
    skip,
};

/// A small file system of its own.
struct Small(PathBuf);

impl Small {
    /// Nothing when only root could mount it.
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", "size=512k,mode=700", "tmpfs"], &at);
        if mounted.is_none() {
            skip("a full disk: mounting a small file system needs root");
        }
        mounted.map(|()| Self(at))
    }

    fn make_read_only(&self) {
        mount(&["-o", "remount,ro"], &self.0).unwrap();
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // The folder that it lies in goes anyway.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(args: &[&str], at: &Path) -> Option<()> {
    let tried = Command::new("mount").args(args).arg(at).output().ok()?;
    tried.status.success().then_some(())
}

fn mode() -> &'static str {
    if has_sandbox() { "workspace-write" } else { "danger-full-access" }
}

/// A home on a small file system, and a workspace beside it.
fn small(answers: &[Value]) -> Option<(tempfile::TempDir, Small, Scripted)> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let home = root.join("home");
    let small = Small::mount(home.clone())?;
    let world = Scripted::at(root, home, answers, mode());
    Some((folder, small, world))
}

/// A run that goes on, when it has told of a fact of this type. Nobody listens to it any more.
fn started(world: &Scripted, args: &[&str], fact: &str) -> Child {
    let mut child = world.command(args).spawn().unwrap();
    let kind = format!("\"type\":\"{fact}\"");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(&kind)), "it ended without {fact}");
    child
}

#[test]
fn a_disk_that_gets_full_ends_the_run_and_loses_nothing() {
    let waits = "echo it runs; while [ ! -e go ]; do sleep 0.01; done; echo c1 >> effects; seq 1 9000";
    let answers = [exec("c1", &json!({ "cmd": waits })), says("All is done.")];
    let Some((_folder, small, world)) = small(&answers) else { return };
    // Until it runs, the command needs room itself.
    let child = started(&world, &["exec", "--json", "--deltas", "go"], "output");
    let before = world.events();
    let filler = small.fill();
    fs::write(world.workspace.join("go"), "").unwrap();
    let ran = ended(child);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("the session can't be written: "), "{ran:?}");
    assert!(ran.stderr.contains("No space left on device"), "{ran:?}");
    assert!(ran.stderr.contains("what was recorded is kept"), "{ran:?}");

    let after = world.events();
    assert_eq!(after.get(..before.len()), Some(&before[..]), "what was recorded is lost");
    let id = world.session().unwrap();
    let shown = world.run(&["sessions", "show", &id]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    // More than what is left of the log's last page.
    let again = world.run(&["exec", "resume", &id, &"and this ".repeat(1000)]);
    assert_eq!(again.code, Some(1), "there is still no room: {again:?}");

    fs::remove_file(filler).unwrap();
    // The answer may have been short enough for what was left of the page, and have come before the long message.
    let answered = |world: &Scripted| {
        let item = |event: &agent::protocol::Event| match &event.fact {
            Fact::ItemAdded { item } => Some(item.clone()),
            _ => None,
        };
        let said = |item: &Item| matches!(item, Item::Assistant { text, .. } if text == "All is done.");
        world.events().iter().filter_map(item).any(|item| said(&item))
    };
    if !answered(&world) {
        let resumed = world.run(&["exec", "resume", &id]);
        assert_eq!((resumed.code, resumed.stdout.as_str()), (Some(0), "All is done.\n"), "{resumed:?}");
    }
    assert!(answered(&world), "the session goes on");
    let results = world.events().into_iter().filter(|event| match &event.fact {
        Fact::ItemAdded { item } => matches!(**item, Item::ToolResult { .. }),
        _ => false,
    });
    assert_eq!(results.count(), 1);
    assert_eq!(fs::read_to_string(world.workspace.join("effects")).unwrap(), "c1\n", "it ran once");
    world.assert_no_process("after a full disk");
}

#[test]
fn a_disk_that_is_full_from_the_beginning_is_said() {
    let Some((_folder, small, world)) = small(&[says("never")]) else { return };
    small.fill();
    let ran = world.run(&["exec", "go"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("No space left on device"), "{ran:?}");
}

#[test]
fn a_home_that_can_not_be_written_is_said_with_its_name() {
    let Some((_folder, small, world)) = small(&[says("never")]) else { return };
    fs::create_dir(world.home.join("sessions")).unwrap();
    small.make_read_only();
    let ran = world.run(&["exec", "go"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
    assert!(ran.stderr.contains(&world.home.join("sessions").display().to_string()), "{ran:?}");
}

#[test]
fn a_damaged_line_is_named_and_what_is_before_it_can_be_read() {
    let world = Scripted::new(&[says("All is done.")], mode());
    assert_eq!(world.run(&["exec", "go"]).code, Some(0));
    let (id, log) = (world.session().unwrap(), world.log().unwrap());
    let whole = fs::read_to_string(&log).unwrap();
    for damaged in [1, 6] {
        let changed: Vec<String> = whole
            .lines()
            .zip(1..)
            .map(|(line, number)| match number == damaged {
                true => format!("{}\n", line.replacen("20", "30", 1)),
                false => format!("{line}\n"),
            })
            .collect();
        fs::write(&log, changed.concat()).unwrap();
        let named = format!("line {damaged} is damaged");

        let resumed = world.run(&["exec", "resume", &id, "go on"]);
        assert_eq!(resumed.code, Some(1), "{resumed:?}");
        assert!(resumed.stderr.contains(&named), "{resumed:?}");
        assert_eq!(fs::read_to_string(&log).unwrap(), changed.concat(), "a damaged log was changed");

        let shown = world.run(&["sessions", "show", "--json", &id]);
        assert_eq!(shown.code, Some(1), "{shown:?}");
        assert_eq!(shown.stdout.lines().count(), damaged - 1, "{shown:?}");
        assert!(shown.stderr.contains(&named), "{shown:?}");

        let listed = world.run(&["sessions", "list"]);
        assert!(listed.code == Some(0) && listed.stdout.contains(&id), "{listed:?}");
    }
    // Without any log, as when it was killed before it had one.
    fs::remove_file(&log).unwrap();
    let listed = world.run(&["sessions", "list"]);
    assert!(listed.code == Some(0) && listed.stdout.contains(&id), "{listed:?}");
    assert_eq!(world.run(&["exec", "resume", &id]).code, Some(1));
    assert_eq!(world.run(&["sessions", "rm", &id]).code, Some(0));
    assert_eq!(world.session(), None);
}
