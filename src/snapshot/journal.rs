//! What was begun to be put back: written before the first change, and deleted after the last.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write as _},
    os::fd::OwnedFd,
    path::Path,
};

use rustix::fs::{AtFlags, unlinkat};

use crate::protocol::SnapshotId;

use super::{
    SnapshotError, at,
    bytes::{Malformed, Put as _, Take},
    hash::Hash,
    pack::UNFINISHED,
    plan::Change,
};

const FILE: &str = "journal";
const MAGIC: &[u8] = b"agntjou1";

/// What was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Journal {
    /// What the names of new content begin with that has not taken its place.
    pub(super) mark: String,
    pub(super) from: SnapshotId,
    pub(super) to: SnapshotId,
    /// What was chosen to be changed.
    pub(super) paths: Vec<Vec<u8>>,
}

/// What the names of new content begin with that has not taken its place.
pub(super) fn mark() -> String {
    format!(".agent-{}-", uuid::Uuid::now_v7().simple())
}

impl Journal {
    pub(super) fn of(from: &SnapshotId, to: &SnapshotId, changes: &[&Change]) -> Self {
        Self {
            mark: mark(),
            from: from.clone(),
            to: to.clone(),
            paths: changes.iter().map(|change| change.difference.path.clone()).collect(),
        }
    }

    pub(super) fn save(&self, folder: &Path) -> Result<(), SnapshotError> {
        let mut bytes = MAGIC.to_vec();
        for text in [&self.mark, &self.from.0, &self.to.0] {
            bytes.string(text.as_bytes());
        }
        self.paths.iter().for_each(|path| bytes.string(path));
        let sum = Hash::of(&bytes);
        bytes.hash(&sum);
        let write = || -> io::Result<()> {
            let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder.join("packs"))?;
            file.write_all(&bytes)?;
            file.as_file().sync_data()?;
            file.persist(folder.join(FILE))?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|error| SnapshotError::io(&folder.join(FILE), error))
    }

    /// What was begun and not finished. One that is not whole never began.
    pub(super) fn load(folder: &Path) -> Result<Option<Self>, SnapshotError> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(|error| SnapshotError::io(&path, error))?,
        };
        if let Ok(journal) = Self::read(&bytes) {
            return Ok(Some(journal));
        }
        Self::remove(folder).map_err(|error| SnapshotError::io(&path, error))?;
        Ok(None)
    }

    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let (content, sum) = bytes.split_last_chunk::<32>().ok_or(Malformed)?;
        if Hash::of(content).0 != *sum {
            return Err(Malformed);
        }
        let mut take = Take(content.strip_prefix(MAGIC).ok_or(Malformed)?);
        let mut text = || String::from_utf8(take.string()?.to_vec()).map_err(|_| Malformed);
        let (mark, from, to) = (text()?, SnapshotId(text()?), SnapshotId(text()?));
        let mut paths = Vec::new();
        while !take.is_empty() {
            paths.push(take.string()?.to_vec());
        }
        Ok(Self { mark, from, to, paths })
    }

    pub(super) fn remove(folder: &Path) -> io::Result<()> {
        match fs::remove_file(folder.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes new content that has not taken its place.
    pub(super) fn remove_beside(&self, root: &OwnedFd) {
        let mut folders: BTreeSet<&[u8]> = BTreeSet::new();
        for path in &self.paths {
            let mut folder = at::split(path).0;
            while folders.insert(folder) && !folder.is_empty() {
                folder = at::split(folder).0;
            }
        }
        for folder in folders {
            let Ok(folder) = at::below(root, folder) else { continue };
            for name in at::names(&folder).unwrap_or_default() {
                if name.starts_with(self.mark.as_bytes()) {
                    // What stays is seen as a file of the workspace, and can be deleted.
                    let _ = unlinkat(&folder, &name[..], AtFlags::empty());
                }
            }
        }
    }
}
