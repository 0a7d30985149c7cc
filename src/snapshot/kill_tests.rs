//! The program killed at random moments of taking and putting back.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    Limits, Snapshots, Which,
    testing::{Look, Seen, World, look, settings},
};

/// Whether the long forms of tests are wanted.
pub(super) fn long() -> bool {
    std::env::var_os("AGENT_TEST_LONG").is_some()
}

/// How often it is killed.
fn rounds() -> u64 {
    if long() { 100 } else { 40 }
}

const FOLDER: &str = "AGENT_TEST_FOLDER";
const WORK: &str = "AGENT_TEST_WORK";

/// What the child does until it is killed.
#[test]
#[expect(clippy::print_stdout, reason = "the other process waits for it")]
#[ignore = "the child that the other tests kill"]
fn child() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("started by another test"));
    let snapshots = Snapshots::open(settings(&folder, Limits::default())).unwrap();
    let work = std::env::var_os(WORK).and_then(|work| work.into_string().ok()).unwrap_or_default();
    let put_back = work == "put back";
    // What is made is made of a state that is there.
    let kept = (work == "hydrate").then(|| snapshots.take().unwrap());
    // Begins a line of its own behind what the harness of the tests prints.
    println!("\nready");
    let mut now = kept.unwrap_or_else(|| snapshots.take().unwrap());
    for round in 0_u64.. {
        if work == "hydrate" {
            let place = folder.join("places/place");
            let _ = fs::remove_dir_all(&place);
            Snapshots::hydrate(&settings(&folder, Limits::default()), &now.id, &place).unwrap();
        } else if put_back {
            let states = fs::read_to_string(folder.join("states")).unwrap();
            let states: Vec<_> =
                states.lines().map(|id| crate::protocol::SnapshotId(id.to_owned())).collect();
            let to = states.iter().find(|id| **id != now.id).unwrap();
            let plan = snapshots.plan(&now.id, to, &[]).unwrap();
            now = snapshots.restore(&plan, Which::All).unwrap().1;
        } else {
            for file in 0..20 {
                fs::write(folder.join(format!("work/{}", (round + file) % 50)), format!("{round} {file}"))
                    .unwrap();
            }
            now = snapshots.take().unwrap();
        }
    }
}

fn start(folder: &Path, work: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "snapshot::kill_tests::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(WORK, work)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "ready"));
    child
}

/// Kills it at some moment.
fn kill(child: Child, round: u64) {
    let chance = blake3::hash(&(round + std::process::id() as u64 * 1000).to_le_bytes());
    let micros = u64::from_le_bytes(*chance.as_bytes().first_chunk().unwrap()) % 25_000;
    let moment = Instant::now() + Duration::from_micros(micros);
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    kill_now(child);
}

fn kill_now(mut child: Child) {
    assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_kill_while_a_snapshot_is_taken_loses_nothing() {
    let world = World::new();
    (0..50).for_each(|file| world.write(file.to_string(), format!("first {file}")));
    let first = (world.look(), world.snapshots.take().unwrap());
    for round in 0..rounds() {
        kill(start(world.folder.path(), "take"), round);
        let fresh = Snapshots::open(settings(world.folder.path(), Limits::default())).unwrap();
        let left = world.look();
        let now = fresh.take().unwrap();
        let plan = fresh.plan(&now.id, &first.1.id, &[]).unwrap();
        let (done, result) = fresh.restore(&plan, Which::All).unwrap();
        assert_eq!((done.left, world.look()), (Vec::new(), first.0.clone()), "{round}");
        let plan = fresh.plan(&result.id, &now.id, &[]).unwrap();
        fresh.restore(&plan, Which::All).unwrap();
        assert_eq!(world.look(), left, "{round}");
    }
    let store = fs::read_dir(world.folder.path().join("snapshots")).unwrap().next().unwrap().unwrap().path();
    let unfinished = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with("tmp-");
    assert!(
        !fs::read_dir(store.join("packs")).unwrap().flatten().any(unfinished),
        "what was half written is gone"
    );
}

#[test]
fn a_kill_while_a_state_is_put_back_is_finished_at_the_next_start() {
    let world = World::new();
    let mut states = Vec::new();
    for state in 0..2 {
        if state == 1 {
            fs::remove_file(world.path("d0/s9")).unwrap();
            fs::remove_dir_all(world.path("d1/s1")).unwrap();
            world.write("d0/s9/x", "x");
        }
        for file in 0..60 {
            if file % 7 != state {
                let path = format!("d{}/s{}/{file}", file % 3, file % 2 + state);
                world.write(path, format!("{state} {file}").repeat(100));
            }
        }
        if state == 0 {
            world.write("d0/s9", "a file where a directory will be");
        }
        states.push((world.look(), world.snapshots.take().unwrap()));
    }
    let ids: Vec<_> = states.iter().map(|(_, taken)| taken.id.0.clone()).collect();
    fs::write(world.folder.path().join("states"), ids.join("\n")).unwrap();
    let mut halves = 0;
    for round in 0..rounds() {
        kill(start(world.folder.path(), "put back"), round);
        let half = look(&world.work());
        halves += u32::from(states.iter().all(|(look, _)| *look != half));
        whole(&half, &states[0].0, &states[1].0);
        let fresh = Snapshots::open(settings(world.folder.path(), Limits::default())).unwrap();
        let done = fresh.recover().unwrap();
        assert!(done.is_none_or(|done| done.left.is_empty()), "{round}");
        let now = world.look();
        assert!(
            states.iter().any(|(look, _)| *look == now),
            "{round}: {:#?}",
            differing(&now, &states[0].0, &states[1].0)
        );
    }
    assert!(halves > 0, "no kill came in the middle");
}

#[test]
fn a_kill_while_a_workspace_is_made_anew_leaves_all_of_it_or_nothing() {
    let world = World::new();
    (0..200).for_each(|file| world.write(format!("d{}/{file}", file % 7), format!("content {file}")));
    let (before, place) = (world.look(), world.folder.path().join("places/place"));
    let mut none = 0;
    for round in 0..rounds() {
        let child = start(world.folder.path(), "hydrate");
        if round % 2 == 0 {
            kill(child, round);
        } else {
            // While it is made, it stands beside its place.
            let making = |entry: fs::DirEntry| entry.file_name() != "place";
            while !fs::read_dir(place.parent().unwrap()).into_iter().flatten().flatten().any(making) {
                std::hint::spin_loop();
            }
            kill_now(child);
        }
        // The child begins by removing what it made before: only what it was making counts.
        let whole = fs::read_dir(place.parent().unwrap()).into_iter().flatten().flatten().count();
        none += u32::from(whole > 0 && !place.exists());
        let _ = fs::remove_dir_all(&place);
        let settings = settings(world.folder.path(), Limits::default());
        let taken = Snapshots::open(settings.clone()).unwrap().take().unwrap();
        Snapshots::hydrate(&settings, &taken.id, &place).unwrap();
        assert_eq!(look(&place), before, "{round}");
        let beside = fs::read_dir(place.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "{round}: what a killed one left stays");
        assert_eq!(world.look(), before, "{round}: the original was touched");
    }
    assert!(none > 0, "no kill came in the middle");
}

/// Each file is the one or the other, or new content that has not taken its place.
fn whole(half: &Look, one: &Look, other: &Look) {
    for (path, seen) in &half.files {
        let bytes = |seen: Option<&Seen>| match seen {
            Some(Seen::File { bytes, .. }) => Some(bytes.clone()),
            _ => None,
        };
        let beside = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".agent-"));
        let Some(now) = bytes(Some(seen)).filter(|_| !beside) else { continue };
        let fine = [one, other].into_iter().any(|look| bytes(look.files.get(path)).as_ref() == Some(&now));
        assert!(fine, "{} is half", path.display());
    }
}

fn differing(now: &Look, one: &Look, other: &Look) -> Vec<String> {
    let paths = now.files.keys().chain(one.files.keys()).chain(other.files.keys());
    let differs = |path: &&PathBuf| {
        now.files.get(*path) != one.files.get(*path) && now.files.get(*path) != other.files.get(*path)
    };
    let (mut a, mut b) = (0, 0);
    for path in one.files.keys() {
        a += u32::from(now.files.get(path) != one.files.get(path));
        b += u32::from(now.files.get(path) != other.files.get(path));
    }
    paths
        .filter(differs)
        .map(|path| {
            format!(
                "{path:?}: {:?} {:?} {:?}",
                now.files.get(path),
                one.files.get(path),
                other.files.get(path)
            )
        })
        .chain([format!("{a} differ from the one, {b} from the other")])
        .collect()
}
