//! The snapshots of a workspace where the workspace itself is not needed, and may be gone.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use crate::protocol::SnapshotId;

use super::{
    SnapshotError, Snapshots,
    hash::Hash,
    key,
    node::Root,
    store::Store,
    tarball::{self, Tarball},
};

/// The store of a workspace.
pub struct Stored {
    pub(super) store: Store,
}

impl Stored {
    /// The store of a workspace below the folder of all stores; made if there is none.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn of(folder: &Path, workspace: &Path) -> Result<Self, SnapshotError> {
        Self::at(&folder.join(key(workspace)))
    }

    /// All stores that are there.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn all(folder: &Path) -> Result<Vec<Self>, SnapshotError> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| SnapshotError::io(folder, error))?,
        };
        let mut found: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.join("packs").is_dir()).collect();
        found.sort();
        found.iter().map(|path| Self::at(path)).collect()
    }

    fn at(folder: &Path) -> Result<Self, SnapshotError> {
        Ok(Self { store: Store::open(folder)? })
    }

    /// Where it is. The last name begins with the one of the workspace.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.store.folder
    }

    /// Bytes that it takes on the disk.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.store.size()
    }

    /// Whether a snapshot is there. What it leads to is not looked at.
    #[must_use]
    pub fn has(&self, snapshot: &SnapshotId) -> bool {
        self.root(snapshot).is_ok()
    }

    pub(super) fn root(&self, snapshot: &SnapshotId) -> Result<Root, SnapshotError> {
        let missing = || SnapshotError::Missing(snapshot.clone());
        self.store.root(&Hash::parse(snapshot.as_str()).ok_or_else(missing)?).map_err(|error| match error {
            SnapshotError::Lost(lost) if lost == snapshot.as_str() => missing(),
            error => error,
        })
    }

    /// Writes a snapshot as a tarball, which is there whole or not at all. Takes little memory, and as many threads as
    /// there are cores. A true `stop` ends it.
    ///
    /// # Errors
    /// When the snapshot or a part of it is not there, or the file can't be written.
    pub fn tarball(
        &self,
        snapshot: &SnapshotId,
        to: &Path,
        stop: &AtomicBool,
    ) -> Result<Tarball, SnapshotError> {
        tarball::write(&self.store, snapshot, &self.root(snapshot)?, to, stop)
    }
}

impl Snapshots {
    /// The same as [`Stored::tarball`], of this workspace.
    ///
    /// # Errors
    /// As there.
    pub fn tarball(
        &self,
        snapshot: &SnapshotId,
        to: &Path,
        stop: &AtomicBool,
    ) -> Result<Tarball, SnapshotError> {
        tarball::write(&self.store, snapshot, &self.root_of(snapshot)?, to, stop)
    }
}
