//! Packs that were cut short: what they held is gone, and everything else goes on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Limits, SnapshotError, Snapshots, Stored, Taken,
    testing::{World, settings},
};

fn opened(world: &World) -> Snapshots {
    Snapshots::open(settings(world.folder.path(), Limits::default())).unwrap()
}

fn packs(world: &World) -> Vec<PathBuf> {
    let store = &world.snapshots.store;
    store.packs().unwrap().iter().map(|name| store.packs.join(name)).collect()
}

fn cut(pack: &Path, length: u64) {
    fs::File::options().write(true).open(pack).unwrap().set_len(length).unwrap();
}

/// All of it comes back after it was deleted.
fn comes_back(world: &World, snapshots: &Snapshots, taken: &Taken) {
    let look = world.look();
    for entry in fs::read_dir(world.work()).unwrap().flatten() {
        match entry.path().is_dir() {
            true => fs::remove_dir_all(entry.path()).unwrap(),
            false => fs::remove_file(entry.path()).unwrap(),
        }
    }
    let now = snapshots.take().unwrap();
    let plan = snapshots.plan(&now.id, &taken.id, &[]).unwrap();
    let (done, _) = snapshots.restore(&plan, super::Which::All).unwrap();
    assert_eq!((done.left, world.look()), (vec![], look));
}

#[test]
fn a_pack_that_was_cut_short_stops_nothing() {
    for (round, length) in [0, 5, 60, u64::MAX].into_iter().enumerate() {
        let world = World::new();
        world.write("deep/first", "what the first one has");
        world.write("changing", "before");
        let first = world.snapshots.take().unwrap();
        let [pack] = &packs(&world)[..] else { panic!("more than one pack") };
        world.write("changing", "after");
        world.snapshots.take().unwrap();
        cut(pack, length.min(pack.metadata().unwrap().len() - 1));

        // Whoever has the store open already, and whoever opens it now.
        let snapshots = if round % 2 == 0 { opened(&world) } else { opened_before(&world) };
        let now = snapshots.take().unwrap();
        assert_eq!(now.damaged, std::slice::from_ref(pack), "cut to {length}");
        assert_eq!(now.read, 2, "what was known of the files is not relied on");
        comes_back(&world, &snapshots, &now);
        let lost = snapshots.plan(&now.id, &first.id, &[]).unwrap_err();
        assert!(matches!(&lost, SnapshotError::Damaged(path) if path == pack), "{lost}");
        // Said each time that somebody asks; written once.
        let again = snapshots.take().unwrap();
        assert_eq!((again.damaged.len(), again.stored), (1, 0));
    }
}

fn opened_before(world: &World) -> Snapshots {
    let snapshots = opened(world);
    snapshots.store.index().unwrap();
    snapshots
}

#[test]
fn one_of_many_packs_that_was_cut_short_is_found_as_well() {
    let world = World::new();
    for round in 0..20 {
        world.write(format!("file{round}"), format!("round {round}"));
        world.snapshots.take().unwrap();
    }
    assert!(world.snapshots.store.packs.join("index").exists(), "they stand together in one file");
    for pack in packs(&world) {
        let whole = fs::read(&pack).unwrap();
        cut(&pack, whole.len() as u64 / 2);
        let snapshots = opened(&world);
        let now = snapshots.take().unwrap();
        // All that the last one held is written anew, and has its name.
        let again = fs::read(&pack).unwrap() == whole;
        assert!(again || now.damaged == [pack.clone()], "{:?}", now.damaged);
        comes_back(&world, &snapshots, &now);
        fs::write(&pack, whole).unwrap();
        assert_eq!(opened(&world).take().unwrap().damaged, Vec::<PathBuf>::new());
    }
}

#[test]
fn what_is_written_anew_takes_the_place_of_the_same_that_was_cut() {
    let world = World::new();
    world.write("only", "one");
    let taken = world.snapshots.take().unwrap();
    let [pack] = &packs(&world)[..] else { panic!("more than one pack") };
    cut(pack, 30);
    let again = opened(&world).take().unwrap();
    assert_eq!((again.id, again.damaged, packs(&world)), (taken.id, vec![], vec![pack.clone()]));
    assert_eq!(opened(&world).take().unwrap().stored, 0);
}

#[test]
fn nothing_is_swept_as_long_as_it_is_not_known_what_is_needed() {
    let world = World::new();
    world.write("a", "before");
    world.snapshots.take().unwrap();
    let pack = packs(&world).remove(0);
    world.write("a", "after");
    let needed = world.snapshots.take().unwrap();
    let whole = fs::read(&pack).unwrap();
    cut(&pack, 30);
    let stored = Stored::of(&world.folder.path().join("snapshots"), &world.work()).unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3 * 24 * 60 * 60);
    let go_on = std::sync::atomic::AtomicBool::new(false);
    let all = std::collections::HashSet::from([needed.id]);
    let refused = stored.sweep(&all, later, false, &go_on).unwrap_err();
    assert!(matches!(&refused, SnapshotError::Damaged(path) if *path == pack), "{refused}");
    let checked = stored.check(&all.iter().cloned().collect::<Vec<_>>(), &go_on).unwrap();
    assert_eq!(checked.damage.len(), 1, "{checked:?}");
    fs::write(&pack, whole).unwrap();
    assert!(stored.sweep(&all, later, false, &go_on).unwrap().objects > 0);
}
