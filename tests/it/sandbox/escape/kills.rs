//! The agent is killed, again and again, while a command does all it can to stay: nothing of it is left, and the
//! next start removes what the killed one could not.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    backend,
    bare::{Bare, Where},
    field::helper,
};
use crate::{
    sandbox::world::{becomes_true, running},
    support::{chance::cases, has_sandbox},
};

/// How long what must be gone may take.
const GONE: Duration = Duration::from_secs(3);

#[test]
fn nothing_is_left_of_an_agent_that_was_killed() {
    kill(cases(6, 100));
}

/// Kills so many agents.
pub fn kill(rounds: usize) {
    if !has_sandbox() {
        return;
    }
    let Some(helper) = helper() else { return };
    let bare = Bare::new();
    bare.make_repository();
    fs::copy(helper, bare.workspace.join("attack")).unwrap();
    let place = Where::Inside(backend());
    let start = |script: &str| {
        let mut command = bare.command(&place, &["sh", "-c", script]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command.spawn().unwrap()
    };
    // Once, for what stays on purpose.
    assert!(start("true").wait().unwrap().success());
    let workspace = names(&bare.workspace);
    let (scratch, groups) = (names(&bare.own), groups());
    for round in 0..rounds {
        let mark = format!("mark-{}-{round}", std::process::id());
        // At the latest when everything stands; in other rounds at any moment before.
        let script = format!(
            "for how in deaf 'deaf session closed' stopped 'session traced'; do ./attack stays {mark} $how & done; \
             echo x > up; exec ./attack stays {mark} deaf"
        );
        let mut child = start(&script);
        let began = Instant::now();
        let up = || bare.workspace.join("up").exists();
        if round % 2 == 0 {
            assert!(becomes_true(up), "round {round}: it did not start");
        } else {
            let moment = Duration::from_millis(round as u64 * 7 % 90);
            becomes_true(|| began.elapsed() >= moment || up());
        }
        kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::KILL).unwrap();
        child.wait().unwrap();
        let killed = Instant::now();
        let mut left = processes(&mark, &bare.workspace);
        while !left.is_empty() && killed.elapsed() < GONE {
            left = processes(&mark, &bare.workspace);
        }
        assert_eq!(left, [] as [i32; 0], "round {round}: processes live");
        assert!(start("true").wait().unwrap().success(), "round {round}: the next start");
        let _ = fs::remove_file(bare.workspace.join("up"));
        assert_eq!(names(&bare.workspace), workspace, "round {round}: something is left in the workspace");
        assert_eq!(names(&bare.own), scratch, "round {round}: something is left of the program's own");
        // Another test's may be about to get its first process, or to go.
        assert!(
            becomes_true(|| groups_left(&groups).is_empty()),
            "round {round}: groups of processes: {:?}",
            groups_left(&groups)
        );
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(bare.root.to_str().unwrap()), "round {round}: {mounts}");
    }
}

fn processes(mark: &str, workspace: &Path) -> Vec<i32> {
    let mut found = running(mark);
    found.extend(running(&format!("workspace={}", workspace.display())));
    found
}

/// Every path below a directory.
fn names(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.extend(names(&entry.path()));
        }
        found.insert(entry.path());
    }
    found
}

/// The groups of processes that this program could have made.
fn groups() -> BTreeSet<PathBuf> {
    fn below(directory: &Path, depth: u32, found: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let is = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is && entry.file_name().to_string_lossy().contains("agent") {
                found.insert(entry.path());
            }
            if is && depth > 0 {
                below(&entry.path(), depth - 1, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    below(Path::new("/sys/fs/cgroup"), 6, &mut found);
    found
}

/// Those that are new, and that no living session of another test holds.
fn groups_left(before: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    groups()
        .difference(before)
        .filter(|group| {
            fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|processes| processes.trim().is_empty())
        })
        .cloned()
        .collect()
}
