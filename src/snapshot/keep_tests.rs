//! Stores that are swept and checked: what is needed stays, whoever is killed, has no room, or is at work meanwhile.

use std::{
    collections::HashSet,
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
    time::{Duration, Instant, SystemTime},
};

use crate::protocol::SnapshotId;

use super::{
    Limits, SnapshotError, Snapshots, Stored, Swept, Taken, Which,
    room_tests::{Small, noise},
    testing::{Look, World, settings},
};

static GO_ON: AtomicBool = AtomicBool::new(false);
const FOLDER: &str = "AGENT_TEST_FOLDER";
const WORK: &str = "AGENT_TEST_WORK";

/// How often something is killed.
pub(super) fn rounds() -> u64 {
    if env::var_os("AGENT_TEST_LONG").is_some() { 100 } else { 12 }
}

fn stored(folder: &Path) -> Stored {
    Stored::of(&folder.join("snapshots"), &folder.join("work")).unwrap()
}

fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3 * 24 * 60 * 60)
}

fn needed<'a>(ids: impl IntoIterator<Item = &'a SnapshotId>) -> HashSet<SnapshotId> {
    ids.into_iter().cloned().collect()
}

/// Puts a state back, wherever the workspace is now.
fn restore(snapshots: &Snapshots, to: &SnapshotId) -> Result<(), SnapshotError> {
    let now = snapshots.take()?;
    let plan = snapshots.plan(&now.id, to, &[])?;
    let (done, _) = snapshots.restore(&plan, Which::All)?;
    assert_eq!(done.left, []);
    Ok(())
}

/// Some states, each of which has something of its own.
fn states(world: &World, count: u64) -> Vec<(Look, Taken)> {
    (0..count)
        .map(|state| {
            world.write(format!("own/{state}"), noise(state, 60_000));
            world.write("changing", noise(1000 + state, 30_000));
            world.write("same", "the same");
            (world.look(), world.snapshots.take().unwrap())
        })
        .collect()
}

#[test]
fn what_no_session_needs_goes_and_what_one_needs_comes_back() {
    let world = World::new();
    let states = states(&world, 6);
    let stored = stored(world.folder.path());
    let before = stored.size();
    let wanted = needed([&states[1].1.id, &states[3].1.id]);
    let dry = stored.sweep(&wanted, later(), true, &GO_ON).unwrap();
    assert_eq!(stored.size(), before);
    let swept = stored.sweep(&wanted, later(), false, &GO_ON).unwrap();
    assert_eq!(stored.size(), before - swept.freed);
    // The changing file of three states; the last state is kept because the next snapshot relies on it.
    assert!(swept.objects >= 3 && swept.freed > 60_000, "{swept:?}");
    assert!(dry.objects == swept.objects && dry.freed > 50_000, "{dry:?} {swept:?}");
    assert_eq!(stored.sweep(&wanted, later(), false, &GO_ON).unwrap(), Swept::default());
    let ids: Vec<_> = states.iter().map(|(_, taken)| taken.id.clone()).collect();
    assert_eq!(stored.check(&ids, &GO_ON).unwrap().damage, Vec::<String>::new());
    for (state, there) in [(0, false), (1, true), (2, false), (3, true), (5, true)] {
        assert_eq!(stored.has(&ids[state]), there, "{state}");
    }
    // This one has read where everything is before it was swept.
    for state in [1, 3, 5] {
        restore(&world.snapshots, &ids[state]).unwrap();
        assert_eq!(world.look(), states[state].0);
    }
    assert!(matches!(restore(&world.snapshots, &ids[0]), Err(SnapshotError::Missing(_))));
}

#[test]
fn a_sweep_costs_the_next_snapshot_nothing() {
    let world = World::new();
    let states = states(&world, 4);
    while world.snapshots.take().unwrap().read > 0 {}
    let swept = stored(world.folder.path()).sweep(&needed([&states[0].1.id]), later(), false, &GO_ON);
    assert!(swept.unwrap().freed > 0);
    let again = world.snapshots.take().unwrap();
    assert_eq!((again.read, again.stored, &again.id), (0, 0, &states[3].1.id));
}

#[test]
fn what_was_taken_lately_stays_though_no_log_names_it() {
    let world = World::new();
    let states = states(&world, 3);
    let stored = stored(world.folder.path());
    assert_eq!(stored.sweep(&HashSet::new(), SystemTime::now(), false, &GO_ON).unwrap(), Swept::default());
    for (seen, taken) in &states {
        restore(&world.snapshots, &taken.id).unwrap();
        assert_eq!(world.look(), *seen);
    }
    stored.sweep(&HashSet::new(), later(), false, &GO_ON).unwrap();
    assert_eq!(stored.size(), 0, "a store that nobody needs anything of takes no room");
    let now = world.snapshots.take().unwrap();
    assert_eq!(now.id, states[2].1.id);
    assert_eq!(stored.check(&[now.id], &GO_ON).unwrap().damage, Vec::<String>::new());
}

#[test]
fn many_small_packs_become_one() {
    let world = World::new();
    let mut states = Vec::new();
    for state in 0..80 {
        world.write("file", state.to_string());
        states.push((world.look(), world.snapshots.take().unwrap()));
    }
    let packs = || fs::read_dir(stored(world.folder.path()).store.packs).unwrap().count();
    assert!(packs() >= 80);
    let ids: Vec<_> = states.iter().map(|(_, taken)| taken.id.clone()).collect();
    stored(world.folder.path()).sweep(&needed(&ids), later(), false, &GO_ON).unwrap();
    assert!(packs() <= 2, "{}", packs());
    for (seen, taken) in states.iter().step_by(13) {
        restore(&world.snapshots, &taken.id).unwrap();
        assert_eq!(world.look(), *seen);
    }
    assert_eq!(stored(world.folder.path()).check(&ids, &GO_ON).unwrap().damage, Vec::<String>::new());
}

#[test]
fn the_shares_of_states_are_what_a_sweep_without_them_sets_free() {
    let world = World::new();
    let states = states(&world, 4);
    world.write("gone", "so that the last state is none of them");
    let stored = stored(world.folder.path());
    let sets: Vec<Vec<SnapshotId>> = states.iter().rev().map(|(_, taken)| vec![taken.id.clone()]).collect();
    let shares = stored.shares(&sets).unwrap();
    assert_eq!(shares.len(), 4);
    // Each has a changing file of its own; the first to be counted has all else as well.
    assert!(
        shares[0] > 4 * 60_000 && shares[1..].iter().all(|share| (30_000..40_000).contains(share)),
        "{shares:?}"
    );
    let swept = stored.sweep(&needed([&states[3].1.id]), later(), false, &GO_ON).unwrap();
    let rest: u64 = shares[1..].iter().sum();
    assert!(swept.freed.abs_diff(rest) < 5_000, "{swept:?} {shares:?}");
}

#[test]
fn what_can_t_be_read_is_found_by_a_check() {
    let world = World::new();
    let states = states(&world, 3);
    let stored = stored(world.folder.path());
    let ids: Vec<_> = states.iter().map(|(_, taken)| taken.id.clone()).collect();
    let checked = stored.check(&ids, &GO_ON).unwrap();
    assert_eq!((checked.packs, checked.damage.as_slice()), (3, &[][..]));
    assert!(checked.bytes > 200_000 && checked.objects > 10, "{checked:?}");
    let packs: Vec<PathBuf> =
        stored.store.packs().unwrap().iter().map(|name| stored.store.packs.join(name)).collect();
    for (at, pack) in packs.iter().enumerate() {
        let whole = fs::read(pack).unwrap();
        for byte in [9, whole.len() / 2, whole.len() - 60, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[byte] ^= 0x55;
            fs::write(pack, damaged).unwrap();
            let checked = self::stored(world.folder.path()).check(&ids, &GO_ON).unwrap();
            assert!(!checked.damage.is_empty(), "byte {byte} of pack {at}");
        }
        fs::remove_file(pack).unwrap();
        let fresh = self::stored(world.folder.path());
        let lost = fresh.check(&ids, &GO_ON).unwrap().damage;
        // The one that is missing may hold a whole snapshot; then nothing of it is known.
        assert!(!lost.is_empty() || !fresh.has(&ids[at]) || ids.iter().any(|id| !fresh.has(id)), "pack {at}");
        fs::write(pack, whole).unwrap();
    }
    assert_eq!(stored.check(&ids, &GO_ON).unwrap().damage, Vec::<String>::new());
}

#[test]
fn a_sweep_over_damage_deletes_nothing_that_is_needed() {
    for at in 0..3 {
        let world = World::new();
        let state = states(&world, 3).pop().unwrap().1.id;
        let store = stored(world.folder.path()).store;
        let pack = store.packs.join(&store.packs().unwrap()[at]);
        let whole = fs::read(&pack).unwrap();
        let mut damaged = whole.clone();
        damaged[20] ^= 0x55;
        fs::write(&pack, damaged).unwrap();
        let fresh = stored(world.folder.path());
        let swept = fresh.sweep(&needed([&state]), later(), false, &GO_ON);
        assert!(swept.is_ok() || pack.exists(), "pack {at}: it was not understood, and deleted");
        if pack.exists() {
            fs::write(&pack, whole).unwrap();
            let checked = stored(world.folder.path()).check(std::slice::from_ref(&state), &GO_ON).unwrap();
            assert_eq!(checked.damage, Vec::<String>::new(), "pack {at}: {swept:?}");
        }
        assert!(stored(world.folder.path()).has(&state), "pack {at}");
    }
}

#[test]
fn a_sweep_without_room_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(small) = Small::new(folder.path().join("snapshots"), 2048) else { return };
    fs::create_dir(folder.path().join("work")).unwrap();
    let snapshots = Snapshots::open(settings(folder.path(), Limits::default())).unwrap();
    let work = |file: &str| folder.path().join("work").join(file);
    fs::write(work("needed"), noise(1, 200_000)).unwrap();
    fs::write(work("not"), noise(2, 500_000)).unwrap();
    // The file that is not needed lies in the same pack as the one that is.
    snapshots.take().unwrap();
    fs::remove_file(work("not")).unwrap();
    let seen = super::testing::look(&folder.path().join("work"));
    let state = snapshots.take().unwrap();
    let filler = small.0.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
    let error = stored(folder.path()).sweep(&needed([&state.id]), later(), false, &GO_ON).unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
    drop(file);
    fs::remove_file(filler).unwrap();
    let swept = stored(folder.path()).sweep(&needed([&state.id]), later(), false, &GO_ON).unwrap();
    assert!(swept.freed > 400_000, "{swept:?}");
    fs::write(work("needed"), "other").unwrap();
    restore(&snapshots, &state.id).unwrap();
    assert_eq!(super::testing::look(&folder.path().join("work")), seen);
}

/// What the child does until it is killed.
#[test]
#[expect(clippy::print_stdout, reason = "the other process waits for it")]
#[ignore = "the child that the other tests kill"]
fn child() {
    let folder = PathBuf::from(env::var_os(FOLDER).expect("started by another test"));
    let snapshots = Snapshots::open(settings(&folder, Limits::default())).unwrap();
    let work = env::var(WORK).unwrap();
    let last = snapshots.take().unwrap();
    // Begins a line of its own behind what the harness of the tests prints.
    println!("\nready");
    for round in 0_u64.. {
        if work == "tarball" {
            snapshots.tarball(&last.id, &folder.join("w.tar.zst"), &GO_ON).unwrap();
            continue;
        }
        // Something that nobody needs, beside what is needed; and some of it old, so that it goes.
        fs::write(folder.join("work/changing"), noise(round, 40_000)).unwrap();
        fs::write(folder.join(format!("work/own-{}", round % 7)), noise(round, 20_000)).unwrap();
        snapshots.take().unwrap();
        let ids = fs::read_to_string(folder.join("states")).unwrap();
        let ids: Vec<_> = ids.lines().map(|id| SnapshotId(id.to_owned())).collect();
        stored(&folder).sweep(&needed(&ids), later(), false, &GO_ON).unwrap();
    }
}

/// Starts the child, and kills it at some moment.
pub(super) fn killed(folder: &Path, work: &str, round: u64) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "snapshot::keep_tests::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(WORK, work)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "ready"));
    let chance = blake3::hash(&(round + u64::from(std::process::id()) * 1000).to_le_bytes());
    let micros = u64::from_le_bytes(*chance.as_bytes().first_chunk().unwrap()) % 150_000;
    let moment = Instant::now() + Duration::from_micros(micros);
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_kill_while_a_store_is_swept_loses_nothing() {
    let world = World::new();
    let states = states(&world, 4);
    let ids: Vec<_> = states.iter().map(|(_, taken)| taken.id.0.clone()).collect();
    fs::write(world.folder.path().join("states"), ids.join("\n")).unwrap();
    let ids: Vec<_> = ids.into_iter().map(SnapshotId).collect();
    for round in 0..rounds() {
        killed(world.folder.path(), "sweep", round);
        let fresh = Snapshots::open(settings(world.folder.path(), Limits::default())).unwrap();
        let left = world.look();
        let now = fresh.take().unwrap();
        assert_eq!(stored(world.folder.path()).check(&ids, &GO_ON).unwrap().damage, Vec::<String>::new());
        let (seen, taken) = &states[usize::try_from(round).unwrap() % states.len()];
        restore(&fresh, &taken.id).unwrap();
        assert_eq!(world.look(), *seen, "{round}");
        restore(&fresh, &now.id).unwrap();
        assert_eq!(world.look(), left, "{round}");
    }
    stored(world.folder.path()).sweep(&needed(&ids), later(), false, &GO_ON).unwrap();
    for (seen, taken) in &states {
        restore(&world.snapshots, &taken.id).unwrap();
        assert_eq!(world.look(), *seen);
    }
}

#[test]
fn snapshots_that_are_taken_and_put_back_meanwhile_notice_nothing() {
    let world = World::new();
    let states = states(&world, 3);
    let ids = needed(states.iter().map(|(_, taken)| &taken.id));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sweeper = scope.spawn(|| {
            let mut swept = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                stored(world.folder.path()).sweep(&ids, later(), false, &GO_ON).unwrap();
                swept += 1;
            }
            swept
        });
        for round in 0..30_u64 {
            // The state that is needed as well, and one that only the last snapshot has.
            let (seen, taken) = &states[usize::try_from(round).unwrap() % 3];
            restore(&world.snapshots, &taken.id).unwrap();
            assert_eq!(world.look(), *seen);
            world.write("changing", noise(5000 + round, 20_000));
            world.snapshots.take().unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(sweeper.join().unwrap() > 0);
    });
}
