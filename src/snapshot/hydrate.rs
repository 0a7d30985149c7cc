//! A state as a directory of its own: where the workspace is gone, on another machine, or for a copy of a session.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use crate::protocol::SnapshotId;

use super::{Settings, SnapshotError, Snapshots, journal::mark, key, plan::Change, store::Store, whole};

/// A directory that was made from a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hydrated {
    pub files: u64,
    pub bytes: u64,
    /// What is not there though it was, and why.
    pub left: Vec<(PathBuf, String)>,
}

impl Snapshots {
    /// Makes a directory with a state of the workspace, which need not be there any more. It is there as a whole or not
    /// at all, and has the store of the workspace as its own.
    ///
    /// # Errors
    /// When something is there already, the state was not kept or is lost, or the directory can't be made.
    pub fn hydrate(settings: &Settings, state: &SnapshotId, place: &Path) -> Result<Hydrated, SnapshotError> {
        Self::share(settings, place)?;
        let store = Store::open(&settings.folder.join(key(place)))?;
        whole::make(place, |making| {
            let lock = store.lock()?;
            let root = open(making)?;
            let settings = Settings { workspace: making.to_owned(), ..settings.clone() };
            let store = Store::open(&store.folder)?;
            let made = Self { settings, store, root, own: Vec::new(), looked_at: Mutex::default() };
            let to = made.root_of(state)?;
            let empty = made.take_locked(&lock)?;
            let plan = made.plan(&empty.id, state, &[])?;
            let changes: Vec<&Change> = plan.changes.iter().collect();
            let mut done = made.put(&mark(), &to, &changes)?;
            done.left.extend(plan.left);
            // What comes next finds the files known.
            let taken = made.take_locked(&lock)?;
            Ok(Hydrated { files: taken.files, bytes: taken.bytes, left: done.left })
        })
    }

    /// Whether a state of a workspace that may be gone is kept, here or in the bucket.
    ///
    /// # Errors
    /// When it can't be found out: the bucket can't be reached, say, or the store is damaged.
    pub fn has(settings: &Settings, state: &SnapshotId) -> Result<bool, SnapshotError> {
        let folder = settings.folder.join(key(&settings.workspace));
        if !folder.join("packs").is_dir() && settings.remote.is_none() {
            return Ok(false);
        }
        let store = Store::open(&folder)?;
        let root = super::fetched(&store, settings.remote.as_ref(), state).and_then(|root| store.root(&root));
        match root {
            Ok(_) => Ok(true),
            Err(SnapshotError::Missing(_) | SnapshotError::Lost(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives another directory all that is kept of a workspace: the same files under further names, so that it costs
    /// no room, and either may go.
    ///
    /// # Errors
    /// When nothing is kept, or it can't be given further names.
    pub fn share(settings: &Settings, with: &Path) -> Result<(), SnapshotError> {
        let from = settings.folder.join(key(&settings.workspace));
        if !from.join("packs").is_dir() && settings.remote.is_none() {
            return Err(SnapshotError::Nowhere(settings.workspace.clone()));
        }
        if with == settings.workspace {
            return Ok(());
        }
        let (from, to) = (Store::open(&from)?, Store::open(&settings.folder.join(key(with)))?);
        // Nobody puts packs together meanwhile. Whoever needs both locks takes them in the same order.
        let (first, second) = if from.folder < to.folder { (&from, &to) } else { (&to, &from) };
        let _locks = (first.lock()?, second.lock()?);
        for name in from.packs()? {
            let (old, new) = (from.folder.join("packs").join(&name), to.folder.join("packs").join(&name));
            let linked = match fs::hard_link(&old, &new) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                Err(_) => copy(&old, &new),
                linked => linked,
            };
            linked.map_err(|error| SnapshotError::io(&new, error))?;
        }
        Ok(())
    }
}

pub(super) fn open(folder: &Path) -> Result<std::os::fd::OwnedFd, SnapshotError> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, rustix::fs::Mode::empty())
        .map_err(|error| SnapshotError::io(folder, error))
}

/// Copies a pack, where a further name is not to be had.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().ok_or(io::ErrorKind::NotFound)?;
    let mut file = tempfile::Builder::new().prefix(super::pack::UNFINISHED).tempfile_in(folder)?;
    io::copy(&mut fs::File::open(from)?, file.as_file_mut())?;
    file.as_file().sync_data()?;
    file.persist(to)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::super::{
        Limits, Which,
        testing::{World, look, settings},
    };
    use super::*;

    fn filled() -> World {
        let world = World::new();
        world.write("a/b/c.txt", "deep");
        world.write("run.sh", "#!/bin/sh\n");
        fs::set_permissions(world.path("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::hard_link(world.path("run.sh"), world.path("same.sh")).unwrap();
        symlink("/nowhere", world.path("link")).unwrap();
        fs::create_dir(world.path("empty")).unwrap();
        fs::set_permissions(world.path("empty"), fs::Permissions::from_mode(0o500)).unwrap();
        world.write("large", vec![7; 900_000]);
        world
    }

    #[test]
    fn a_workspace_that_is_gone_comes_back_as_it_was() {
        let world = filled();
        let (before, taken) = (world.look(), world.snapshots.take().unwrap());
        let settings = settings(world.folder.path(), Limits::default());
        fs::set_permissions(world.path("empty"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::remove_dir_all(world.work()).unwrap();
        assert!(Snapshots::has(&settings, &taken.id).unwrap());
        let made = Snapshots::hydrate(&settings, &taken.id, &world.work()).unwrap();
        assert_eq!((made.left, made.files), (vec![], taken.files));
        assert_eq!(world.look(), before);
        let again = Snapshots::open(settings.clone()).unwrap();
        assert_eq!(again.take().unwrap().id, taken.id);
        let refused = Snapshots::hydrate(&settings, &taken.id, &world.work());
        assert!(matches!(refused, Err(SnapshotError::Taken(_))), "{refused:?}");
        assert_eq!(fs::read_dir(world.folder.path()).unwrap().count(), 2, "nothing is left beside it");
    }

    #[test]
    fn another_place_has_all_states_and_the_first_one_may_go() {
        let world = filled();
        let first = world.snapshots.take().unwrap();
        world.write("later", "x");
        let (later, taken) = (world.look(), world.snapshots.take().unwrap());
        let old = settings(world.folder.path(), Limits::default());
        let place = world.folder.path().join("deeper/other");
        Snapshots::hydrate(&old, &taken.id, &place).unwrap();
        assert_eq!(look(&place), later);
        fs::remove_dir_all(old.folder.join(key(&old.workspace))).unwrap();
        let new = Settings { workspace: place.clone(), ..old.clone() };
        let there = Snapshots::open(new).unwrap();
        let plan = there.plan(&taken.id, &first.id, &[]).unwrap();
        there.restore(&plan, Which::All).unwrap();
        assert!(!place.join("later").exists() && place.join("a/b/c.txt").exists());
        let gone = Snapshots::hydrate(&old, &taken.id, &world.folder.path().join("third"));
        assert!(matches!(gone, Err(SnapshotError::Nowhere(_))), "{gone:?}");
    }

    #[test]
    fn a_state_that_is_lost_is_said_and_nothing_is_made() {
        let world = filled();
        let taken = world.snapshots.take().unwrap();
        let settings = settings(world.folder.path(), Limits::default());
        let packs = settings.folder.join(key(&settings.workspace)).join("packs");
        for pack in fs::read_dir(&packs).unwrap() {
            fs::remove_file(pack.unwrap().path()).unwrap();
        }
        let place = world.folder.path().join("place");
        let lost = Snapshots::hydrate(&settings, &taken.id, &place).unwrap_err();
        assert!(matches!(lost, SnapshotError::Missing(_)), "{lost}");
        assert!(!Snapshots::has(&settings, &taken.id).unwrap() && !place.exists());
        assert_eq!(fs::read_dir(world.folder.path()).unwrap().count(), 2, "nothing is left beside it");
        // The next state is kept whole: nothing of it is taken to be there.
        let fresh = Snapshots::open(settings.clone()).unwrap();
        let again = fresh.take().unwrap();
        assert_eq!(again.id, taken.id);
        Snapshots::hydrate(&settings, &again.id, &place).unwrap();
        assert_eq!(look(&place), world.look());
    }
}
