//! A workspace with snapshots, and all that can be seen of its files, for tests.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{Limits, Settings, Snapshots};

pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) snapshots: Snapshots,
}

/// All that can be seen of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    File { mode: u32, mtime: (i64, i64), bytes: Vec<u8>, room: Room, extended: Vec<(Vec<u8>, Vec<u8>)> },
    Folder { mode: u32, mtime: (i64, i64) },
    Link { mtime: (i64, i64), target: Vec<u8> },
    Other,
}

/// Blocks of a file with holes; 0 of one without. The file system takes some of its own to tell where they are: two
/// files with the same holes may differ by those.
#[derive(Debug, Clone, Copy, Eq)]
pub(super) struct Room(pub(super) u64);

/// How much it may differ, in blocks of 512 bytes.
const OWN: u64 = 128;

impl PartialEq for Room {
    fn eq(&self, other: &Self) -> bool {
        (self.0 == 0) == (other.0 == 0) && self.0.abs_diff(other.0) <= OWN
    }
}

/// A tree: what is at each path, and which paths are the same file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Look {
    pub(super) files: BTreeMap<PathBuf, Seen>,
    pub(super) same: Vec<Vec<PathBuf>>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("work")).unwrap();
        let snapshots = Snapshots::open(settings(folder.path(), limits)).unwrap();
        Self { folder, snapshots }
    }

    pub(super) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(super) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.work().join(path)
    }

    pub(super) fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(super) fn look(&self) -> Look {
        look(&self.work())
    }
}

pub(super) fn settings(folder: &Path, limits: Limits) -> Settings {
    Settings {
        folder: folder.join("snapshots"),
        workspace: folder.join("work"),
        own: Vec::new(),
        limits,
        remote: None,
    }
}

/// Looks at everything, with nothing of this module.
pub(super) fn look(root: &Path) -> Look {
    let mut look = Look::default();
    let mut numbers: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let meta = path.symlink_metadata().unwrap();
        let mtime = (meta.mtime(), meta.mtime_nsec());
        let mode = meta.permissions().mode() & 0o7777;
        let kind = meta.file_type();
        let key = path.strip_prefix(root).unwrap().to_owned();
        let seen = if kind.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Seen::Folder { mode, mtime }
        } else if kind.is_symlink() {
            Seen::Link { mtime, target: fs::read_link(&path).unwrap().into_os_string().into_vec() }
        } else if kind.is_fifo() || kind.is_socket() {
            Seen::Other
        } else {
            if meta.nlink() > 1 {
                numbers.entry(meta.ino()).or_default().push(key.clone());
            }
            let file = fs::File::open(&path).unwrap();
            let extended = super::at::extended(&file).unwrap();
            // Of small holes the file system does what it likes.
            let holes = meta.blocks() * 512 + 65_536 < meta.len();
            let room = Room(if holes { meta.blocks().max(1) } else { 0 });
            Seen::File { mode, mtime, bytes: fs::read(&path).unwrap(), room, extended }
        };
        look.files.insert(key, seen);
    }
    look.same = numbers.into_values().filter(|paths| paths.len() > 1).collect();
    look.same.iter_mut().for_each(|paths| paths.sort());
    look.same.sort();
    look
}

pub(super) fn name(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Deletes a tree, also where somebody has closed directories of it.
pub(super) fn remove(root: &Path) {
    let status = std::process::Command::new("chmod").args(["-R", "u+rwX"]).arg(root).status().unwrap();
    assert!(status.success());
    fs::remove_dir_all(root).unwrap();
}
