//! The program killed at each step of the change from one version to the next.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use super::{
    Book, Memory, MemoryError, Note, Origin, State,
    shelf::Change,
    testing::{Strict, date},
};
use crate::protocol::Time;

const FOLDER: &str = "AGENT_TEST_FOLDER";
const STEP: &str = "AGENT_TEST_STEP";

/// All of them, in order; the last one is after everything.
const STEPS: [&str; 9] =
    ["stage", "MEMORY.md", "memory_summary.md", "state.json", "sync", "name", "point", "swap", "tidy"];

fn memory(folder: &Path) -> Memory {
    Memory::new(folder.join("memory"), Arc::new(Strict))
}

fn book(text: &str) -> Book {
    let mut book = Book::default();
    for number in 0..20 {
        let note = Note::new(&format!("{text} {number}"), date(1), Origin::session("0199"), |_| false);
        book.add("Notes", note);
    }
    book
}

/// What the child does until it kills itself.
#[test]
#[ignore = "the child that the other test starts"]
fn child() {
    let folder = PathBuf::from(env::var_os(FOLDER).expect("started by another test"));
    let wanted = env::var(STEP).unwrap();
    let shelf = memory(&folder).project("/p".as_ref());
    let mut seen = Vec::new();
    let published = shelf.publish(&book("new"), State::default(), 500, &mut |step| {
        seen.push(step.to_owned());
        if step == wanted {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
    });
    published.unwrap();
    panic!("there is no step {wanted}, but these: {seen:?}");
}

#[test]
fn a_kill_at_any_step_leaves_the_old_or_the_new_memory_whole() {
    for step in STEPS {
        for round in 0..3 {
            let folder = tempfile::tempdir().unwrap();
            let shelf = memory(folder.path()).project("/p".as_ref());
            shelf.publish(&book("old"), State::default(), 500, &mut |_| {}).unwrap();
            let old = shelf.read().unwrap().unwrap();
            // Killed again and again: what one has left is no obstacle for the next.
            for _ in 0..=round {
                let killed = Command::new(env::current_exe().unwrap())
                    .args(["--exact", "memory::kill_tests::child", "--ignored", "--test-threads=1"])
                    .env(FOLDER, folder.path())
                    .env(STEP, step)
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .unwrap();
                use std::os::unix::process::ExitStatusExt as _;
                assert_eq!(killed.signal(), Some(9), "{step}: {killed}");
                let now = shelf.read().unwrap().unwrap();
                if step == "tidy" {
                    assert_eq!(now.book(date(1)).0, book("new"), "{step}");
                    assert!(now.state.summary == now.summary && now.number > old.number, "{step}");
                } else {
                    assert_eq!(now, old, "{step}");
                }
            }
            let change = Change { at: Time::UNIX_EPOCH, today: date(2), told_tokens: 500 };
            let next = shelf.change(change, |book, _| {
                book.add("Notes", Note::new("next", date(2), Origin::You, |_| false));
                Ok::<_, MemoryError>(Some("added".into()))
            });
            assert!(next.unwrap().unwrap() > old.number);
            assert!(shelf.read().unwrap().unwrap().memory.contains("- next ("), "{step}");
            let left = std::fs::read_dir(shelf.folder().join("versions")).unwrap().flatten();
            let left: Vec<_> =
                left.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).collect();
            assert!(left.is_empty(), "{step}: {left:?}");
        }
    }
}
