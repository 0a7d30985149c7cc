//! Random work of an agent and of a person, undone and redone.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use proptest::prelude::*;

use super::{
    Which,
    kill_tests::long,
    testing::{Look, Room, Seen, World, name},
};

/// What somebody does to a workspace. What is not possible is not done.
#[derive(Debug, Clone)]
pub(super) enum Work {
    Write(usize, Vec<u8>),
    Append(usize, Vec<u8>),
    Large(usize, u8),
    Folder(usize),
    Remove(usize),
    Link(usize, usize),
    Same(usize, usize),
    Move(usize, usize),
    Mode(usize, u32),
    Time(usize, u32),
    Hole(usize),
}

/// Few names, so that the same ones are met again, as files and as directories.
const NAMES: [&[u8]; 14] = [
    b"a",
    b"b",
    b"a/x",
    b"a/y",
    b"b/x",
    b"b/x/deep",
    b"b/x/deep/er",
    b"c",
    b"c/\xff\n",
    b"c/back\\slash",
    b"d",
    b"d/e",
    b"d/e/f",
    b".git/HEAD",
];

pub(super) fn work() -> impl Strategy<Value = Work> {
    let path = 0..NAMES.len();
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        4 => (path.clone(), bytes.clone()).prop_map(|(path, bytes)| Work::Write(path, bytes)),
        2 => (path.clone(), bytes).prop_map(|(path, bytes)| Work::Append(path, bytes)),
        1 => (path.clone(), any::<u8>()).prop_map(|(path, byte)| Work::Large(path, byte)),
        1 => path.clone().prop_map(Work::Folder),
        3 => path.clone().prop_map(Work::Remove),
        1 => (path.clone(), path.clone()).prop_map(|(path, to)| Work::Link(path, to)),
        2 => (path.clone(), path.clone()).prop_map(|(path, to)| Work::Same(path, to)),
        2 => (path.clone(), path.clone()).prop_map(|(path, to)| Work::Move(path, to)),
        1 => (path.clone(), prop_oneof![Just(0o755), Just(0o600), Just(0o444), Just(0o777)])
            .prop_map(|(path, mode)| Work::Mode(path, mode)),
        1 => (path.clone(), any::<u32>()).prop_map(|(path, time)| Work::Time(path, time)),
        1 => path.prop_map(Work::Hole),
    ]
}

impl Work {
    pub(super) fn done(&self, root: &Path) {
        let at = |path: &usize| root.join(name(NAMES[*path]));
        // A link on the way would lead the test out of the workspace, or in circles.
        let paths: Vec<PathBuf> = match self {
            Self::Link(a, _) => vec![at(a)],
            Self::Same(a, b) | Self::Move(a, b) => vec![at(a), at(b)],
            Self::Write(a, _)
            | Self::Append(a, _)
            | Self::Large(a, _)
            | Self::Folder(a)
            | Self::Remove(a)
            | Self::Mode(a, _)
            | Self::Time(a, _)
            | Self::Hole(a) => vec![at(a)],
        };
        let real = |path: &Path| {
            path.ancestors().all(|above| above == root || !above.starts_with(root) || !above.is_symlink())
        };
        let last_may_be_link = matches!(self, Self::Remove(_) | Self::Move(..));
        let fine =
            |path: &PathBuf| if last_may_be_link { path.parent().is_some_and(real) } else { real(path) };
        if !paths.iter().all(fine) {
            return;
        }
        let made = |path: &Path| {
            if let Some(above) = path.parent() {
                let _ = fs::create_dir_all(above);
            }
        };
        // Each of these may be impossible as things stand; then nothing is done.
        let _ = match self {
            Self::Write(path, bytes) => {
                made(&at(path));
                fs::write(at(path), bytes)
            }
            Self::Append(path, bytes) => fs::read(at(path)).and_then(|mut all| {
                all.extend(bytes);
                fs::write(at(path), all)
            }),
            Self::Large(path, byte) => {
                made(&at(path));
                fs::write(at(path), vec![*byte; 700_000])
            }
            Self::Folder(path) => fs::create_dir_all(at(path)),
            Self::Remove(path) if at(path).is_dir() && !at(path).is_symlink() => fs::remove_dir_all(at(path)),
            Self::Remove(path) => fs::remove_file(at(path)),
            Self::Link(path, to) => {
                made(&at(path));
                symlink(name(NAMES[*to]), at(path))
            }
            Self::Same(path, to) => fs::hard_link(at(path), at(to)),
            Self::Move(path, to) => fs::rename(at(path), at(to)),
            Self::Mode(path, mode) if at(path).is_file() => {
                fs::set_permissions(at(path), PermissionsExt::from_mode(*mode))
            }
            Self::Mode(..) => Ok(()),
            Self::Time(path, time) => fs::File::open(at(path)).and_then(|file| {
                file.set_modified(
                    SystemTime::UNIX_EPOCH + Duration::new((*time).into(), time % 1_000_000_000),
                )
            }),
            Self::Hole(path) => {
                fs::File::options().write(true).open(at(path)).and_then(|file| file.set_len(300_000))
            }
        };
    }
}

fn all(world: &World, work: &[Work]) -> Look {
    work.iter().for_each(|work| work.done(&world.work()));
    world.look()
}

/// What somebody who reads a file notices. Times are not a part of it.
fn content(seen: Option<&Seen>) -> Option<Seen> {
    match seen?.clone() {
        Seen::File { mode, bytes, extended, .. } => {
            Some(Seen::File { mode, mtime: (0, 0), bytes, room: Room(0), extended })
        }
        Seen::Folder { mode, .. } => Some(Seen::Folder { mode, mtime: (0, 0) }),
        Seen::Link { target, .. } => Some(Seen::Link { mtime: (0, 0), target }),
        Seen::Other => Some(Seen::Other),
    }
}

fn many(most: usize) -> impl Strategy<Value = Vec<Work>> {
    proptest::collection::vec(work(), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if long() { 3000 } else { 150 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_undo_and_a_redo_give_the_same_tree(first in many(20), turns in proptest::collection::vec(many(8), 1..4)) {
        let world = World::new();
        fs::create_dir(world.path(".git")).unwrap();
        let mut states = vec![(all(&world, &first), world.snapshots.take().unwrap())];
        for turn in &turns {
            states.push((all(&world, turn), world.snapshots.take().unwrap()));
        }
        let git = |look: &Look| look.files.contains_key(Path::new(".git"));
        prop_assume!(states.iter().all(|(look, _)| git(look)));
        let order = (0..states.len()).rev().chain(1..states.len());
        let mut now = states.last().unwrap().1.clone();
        for at in order {
            let (look, taken) = &states[at];
            let plan = world.snapshots.plan(&now.id, &taken.id, &[]).unwrap();
            let (done, result) = world.snapshots.restore(&plan, Which::All).unwrap();
            prop_assert_eq!(&done.left, &vec![]);
            prop_assert_eq!(&world.look(), look);
            prop_assert_eq!(&result.id, &taken.id);
            now = result;
        }
    }

    #[test]
    fn an_undo_takes_back_what_only_the_agent_did(first in many(20), agent in many(8), person in many(5)) {
        let world = World::new();
        fs::create_dir(world.path(".git")).unwrap();
        let before = (all(&world, &first), world.snapshots.take().unwrap());
        let after = (all(&world, &agent), world.snapshots.take().unwrap());
        let now = (all(&world, &person), world.snapshots.take().unwrap());
        let between = [(after.1.id.clone(), now.1.id.clone())];
        let plan = world.snapshots.plan(&now.1.id, &before.1.id, &between).unwrap();
        world.snapshots.restore(&plan, Which::Ours).unwrap();
        let result = world.look();
        let paths: BTreeSet<&PathBuf> = [&before.0, &after.0, &now.0, &result].into_iter().flat_map(|look| look.files.keys()).collect();
        for path in paths {
            let [was, left, is, became] = [&before.0, &after.0, &now.0, &result].map(|look| content(look.files.get(path)));
            let folder = [&was, &left, &is, &became].into_iter().flatten().any(|seen| matches!(seen, Seen::Folder { .. }));
            if left != is && !folder && !path.starts_with(".git") {
                prop_assert_eq!(&became, &is, "the person's {:?} was touched", path);
            }
            let above = |look: &Look| path.ancestors().all(|above| !matches!(look.files.get(above), Some(Seen::File { .. } | Seen::Link { .. })) || above == path);
            let clear = above(&now.0) && above(&before.0);
            if left == is && !folder && clear && !path.starts_with(".git") {
                prop_assert_eq!(&became, &was, "the agent's {:?} was not taken back", path);
            }
        }
        let files = |look: &Look| look.files.keys().filter(|path| path.to_string_lossy().contains(".agent-")).count();
        prop_assert_eq!(files(&result), 0);
    }
}
