//! States of the workspace, kept outside of it: taken, compared, put back.
//!
//! A snapshot is a tree of objects named by their content, in a store that all sessions of a workspace share. Nothing
//! is ever written into the repository's own database, and no other program is asked. What is put back is put back
//! file by file: only what differs, each whole or not at all, and never through a link.

mod at;
mod attributes;
mod beside;
mod bytes;
mod cache;
mod check;
mod compare;
mod copy;
#[cfg(test)]
mod damage_tests;
mod hash;
mod hydrate;
mod ignored;
mod index;
mod journal;
mod keep;
#[cfg(test)]
mod keep_tests;
#[cfg(test)]
mod kill_tests;
mod node;
mod pack;
mod parcel;
#[cfg(test)]
mod parcel_tests;
mod plan;
#[cfg(test)]
mod property_tests;
mod reach;
#[cfg(test)]
mod real_tests;
mod recent;
mod remote;
#[cfg(test)]
mod remote_tests;
mod repack;
mod restore;
#[cfg(test)]
mod room_tests;
mod scan;
mod sending;
mod sent;
mod since;
mod store;
mod stored;
mod take;
mod tarball;
#[cfg(test)]
mod tarball_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod whole;

use std::{
    collections::HashSet,
    ffi::OsString,
    fs, io,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::Mutex,
};

use rustix::io::Errno;

use crate::protocol::SnapshotId;

use self::{
    hash::Hash,
    node::Root,
    reach::Reach,
    store::{Lock, Store, guard},
};

pub use check::Checked;
pub use copy::{Copied, copy};
pub use hydrate::Hydrated;
pub use keep::Swept;
pub use node::Why;
pub use parcel::{Bounds, Foreign, Parcel, Weight, Withheld, caseless};
pub use plan::{Change, Plan, What};
pub use remote::{Pushed, Remote};
pub use restore::{Done, Which};
pub use sending::Sending;
pub use since::{Changed, How};
pub use stored::Stored;
pub use tarball::{Tarball, tarball_of};

/// What is snapshotted, and where that is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the stores of all workspaces are.
    pub folder: PathBuf,
    /// Absolute, links resolved.
    pub workspace: PathBuf,
    /// Directories of this program. They are part of no snapshot.
    pub own: Vec<PathBuf>,
    pub limits: Limits,
    /// A bucket where snapshots are sent to, and fetched from.
    pub remote: Option<Remote>,
}

/// What is too much.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Limits {
    /// Bytes of a file that the repository ignores, above which it is left out.
    pub ignored_file: u64,
    /// Bytes of a directory that the repository ignores, above which it is left out.
    pub ignored_folder: u64,
    /// Bytes of any file, above which it is left out. Holes do not count.
    pub file: u64,
    /// Files of a workspace, above which no snapshots are taken.
    pub files: u64,
    /// Bytes of a workspace, above which no snapshots are taken.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ignored_file: 10 << 20,
            ignored_folder: 256 << 20,
            file: 2 << 30,
            files: 500_000,
            bytes: 16 << 30,
        }
    }
}

/// The snapshots of a workspace.
pub struct Snapshots {
    settings: Settings,
    store: Store,
    root: OwnedFd,
    own: Vec<(u64, u64)>,
    /// Snapshots of which it is known what is lost, and that the bucket was asked for it.
    looked_at: Mutex<HashSet<SnapshotId>>,
}

/// A snapshot that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub id: SnapshotId,
    pub files: u64,
    /// Of all files.
    pub bytes: u64,
    /// Bytes that the store has grown by.
    pub stored: u64,
    /// Files that had to be read.
    pub read: u64,
    /// What is there and is not part of it.
    pub left: Vec<(PathBuf, Why)>,
    /// Packs that are not whole. What they held and is in the workspace was stored anew; states that need the rest of it
    /// can't be put back.
    pub damaged: Vec<PathBuf>,
}

/// Why a snapshot could not be taken or put back.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("the workspace can't be read: {0}")]
    Walk(io::Error),
    #[error(
        "the workspace has more than {0} files (`snapshots.files` in the configuration says how many are too many)"
    )]
    Files(u64),
    #[error(
        "the workspace has more than {} GB (`snapshots.bytes` in the configuration says how much is too much)",
        .0 / 1_000_000_000
    )]
    Bytes(u64),
    #[error("the workspace is a directory of this program itself")]
    Own,
    #[error("nothing was put back: {0}")]
    Write(io::Error),
    #[error("there is no snapshot {0} in the store")]
    Missing(SnapshotId),
    #[error("no states of {} are kept on this machine", .0.display())]
    Nowhere(PathBuf),
    #[error("{} is there already, and not an empty directory", .0.display())]
    Taken(PathBuf),
    #[error("{} lies in the workspace itself", .0.display())]
    Within(PathBuf),
    #[error("the store has lost object {0}")]
    Lost(String),
    #[error("{} is damaged", .0.display())]
    Damaged(PathBuf),
    #[error("the bucket for snapshots: {0}")]
    Remote(String),
    #[error("a file is too large to be stored")]
    Unfit,
    #[error("taking it crashed; this is a bug of the agent")]
    Crashed,
    #[error("it was stopped")]
    Stopped,
    /// What came from elsewhere is not what it says, or more than is taken.
    #[error("{0}")]
    Refused(String),
}

impl SnapshotError {
    fn io(path: &Path, error: impl Into<io::Error>) -> Self {
        Self::Io { path: path.to_owned(), error: error.into() }
    }

    fn walk(error: Errno) -> Self {
        Self::Walk(error.into())
    }
}

impl Snapshots {
    /// Opens the store of a workspace, which is made if there is none.
    ///
    /// # Errors
    /// When it can't be made, or the workspace can't be opened.
    pub fn open(settings: Settings) -> Result<Self, SnapshotError> {
        let store = Store::open(&settings.folder.join(key(&settings.workspace)))?;
        let root = hydrate::open(&settings.workspace)?;
        let places = settings.own.iter().chain([&settings.folder]);
        let own = places.filter_map(|place| place.metadata().ok()).map(|meta| number(&meta)).collect();
        Ok(Self { settings, store, root, own, looked_at: Mutex::default() })
    }

    /// Takes a snapshot. The same state is the same snapshot.
    ///
    /// # Errors
    /// When the workspace can't be read, is too large, or the store can't be written. Nothing has changed then.
    pub fn take(&self) -> Result<Taken, SnapshotError> {
        let lock = self.store.lock()?;
        self.finish(&lock)?;
        self.take_locked(&lock)
    }

    fn take_locked(&self, lock: &Lock) -> Result<Taken, SnapshotError> {
        let taken = take::take(&self.store, lock, &self.root, &self.settings, &self.own)?;
        recent::note(&self.store.folder, &taken.id)?;
        Ok(taken)
    }

    /// A snapshot, from elsewhere if it is not here.
    fn root_of(&self, snapshot: &SnapshotId) -> Result<Root, SnapshotError> {
        self.store.root(&self.root_hash(snapshot)?)
    }

    /// The object of a snapshot, which is there.
    fn root_hash(&self, snapshot: &SnapshotId) -> Result<Hash, SnapshotError> {
        let remote = self.settings.remote.as_ref();
        let hash = fetched(&self.store, remote, snapshot)?;
        if let Some(remote) = remote
            && guard(&self.looked_at).insert(snapshot.clone())
        {
            // What stays lost is told by whoever needs it.
            let _ = self.mend(remote, snapshot, &hash);
        }
        Ok(hash)
    }

    /// Fetches what the store has lost of a snapshot. Secrets that did not travel are not lost.
    fn mend(&self, remote: &Remote, snapshot: &SnapshotId, hash: &Hash) -> Result<(), SnapshotError> {
        // A directory that comes back may lead to more that is lost: as often as something new is known.
        let mut known = HashSet::new();
        loop {
            let mut reach = Reach::without_secrets(&self.store);
            reach.add(hash)?;
            let lost: Vec<Hash> = reach.lost.iter().map(|(_, hash)| *hash).collect();
            if !lost.iter().any(|hash| known.insert(*hash)) {
                return Ok(());
            }
            remote::mend(&self.store, remote, snapshot, &lost)?;
        }
    }

    /// Bytes that the store takes on the disk.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.store.size()
    }
}

/// The object of a snapshot, which is in the store then, from elsewhere if it was not.
fn fetched(store: &Store, remote: Option<&Remote>, snapshot: &SnapshotId) -> Result<Hash, SnapshotError> {
    let missing = || SnapshotError::Missing(snapshot.clone());
    let hash = Hash::parse(snapshot.as_str()).ok_or_else(missing)?;
    if store.has(&hash)? {
        return Ok(hash);
    }
    store.refresh();
    if store.has(&hash)? || remote::pull(store, remote, snapshot)? && store.has(&hash)? {
        return Ok(hash);
    }
    // It may have been there.
    Err(store.damaged()?.pop().map_or_else(missing, SnapshotError::Damaged))
}

/// The name of a workspace's store: for people its last name, for the program all of it.
fn key(workspace: &Path) -> String {
    let name = workspace.file_name().unwrap_or_default().to_string_lossy();
    let plain = |char: char| if char.is_ascii_alphanumeric() || "-_".contains(char) { char } else { '_' };
    let name: String = name.chars().take(40).map(plain).collect();
    let hash = Hash::of(workspace.as_os_str().as_encoded_bytes()).to_string();
    format!("{name}-{}", hash.chars().take(16).collect::<String>())
}

#[cfg(target_os = "linux")]
fn number(meta: &fs::Metadata) -> (u64, u64) {
    let dev = meta.dev();
    let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
    ((u64::from(major) << 32) | u64::from(minor), meta.ino())
}

#[cfg(not(target_os = "linux"))]
fn number(meta: &fs::Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

fn id(hash: &Hash) -> SnapshotId {
    SnapshotId(hash.to_string())
}

fn path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}
