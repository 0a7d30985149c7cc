//! Content kept beside a log, named by its hash: pictures, and outputs too long for a result.

use std::{fs, io, io::Write as _, path::PathBuf};

use super::log::sync_folder;
use crate::protocol::BlobId;

/// What the names of files begin with that are not whole yet: here, and where the shell writes long outputs.
const UNFINISHED: &str = "tmp-";

/// The blobs of one session.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    /// Blobs kept in `folder`, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where a blob is kept.
    ///
    /// # Errors
    /// When the name is not a hash: names come from logs, and a log may come from anywhere.
    pub fn path(&self, blob: &BlobId) -> io::Result<PathBuf> {
        let name = blob.as_str();
        if name.len() != 64 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name:?} is not the name of a blob"),
            ));
        }
        Ok(self.folder.join(name))
    }

    /// Keeps content under its name, whole or not at all. On disk when this returns.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn put(&self, blob: &BlobId, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(blob)?;
        // A file of that name may hold something else: what a power failure has left of an earlier version's.
        if fs::read(&path).is_ok_and(|kept| kept == bytes) {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_data()?;
        file.persist(path)?;
        sync_folder(&self.folder)?;
        self.folder.parent().map_or(Ok(()), sync_folder)
    }

    /// Deletes what a killed program was writing. Only for whoever holds the lock of the session.
    pub fn remove_unfinished(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if [UNFINISHED, ".tmp"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                // What stays takes room and does no harm.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// All of a blob.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&self, blob: &BlobId) -> io::Result<Vec<u8>> {
        fs::read(self.path(blob)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_what_its_name_says_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().join("blobs"));
        let blob = BlobId::of(b"content");
        blobs.put(&blob, b"content").unwrap();
        for left in ["", "c", "\0\0\0\0\0\0\0"] {
            fs::write(blobs.path(&blob).unwrap(), left).unwrap();
            blobs.put(&blob, b"content").unwrap();
            assert_eq!(blobs.read(&blob).unwrap(), b"content");
        }
    }

    #[test]
    fn what_was_not_finished_goes_and_what_was_stays() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path());
        let blob = BlobId::of(b"content");
        blobs.put(&blob, b"content").unwrap();
        for name in ["tmp-Xa4", ".tmpQ7d"] {
            fs::write(folder.path().join(name), "half").unwrap();
        }
        blobs.remove_unfinished();
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [blob.as_str()]);
    }
}
