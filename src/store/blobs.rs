//! Content kept beside a log, named by its hash: pictures, and outputs too long for a result.

use std::{fs, io, io::Write as _, path::PathBuf};

use crate::protocol::BlobId;

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
        if path.exists() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_data()?;
        file.persist(path)?;
        Ok(())
    }

    /// All of a blob.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&self, blob: &BlobId) -> io::Result<Vec<u8>> {
        fs::read(self.path(blob)?)
    }
}
