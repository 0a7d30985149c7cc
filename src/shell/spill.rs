//! The whole output of a process, on disk, if it is too long to be all in results.
//!
//! Most commands say little and cost no file. Nothing is synced: after a power cut a long output may be missing or cut,
//! and what a result holds of it is in the log.

use std::{
    fs,
    io::{self, Write as _},
    mem,
    path::PathBuf,
};

use tempfile::NamedTempFile;

use crate::protocol::BlobId;

/// Output up to this many bytes can be all in results, and is held in memory: 10,000 tokens.
pub(super) const IN_RESULTS: usize = 40_000;
/// Small pieces are gathered to this size, which the disk and the hash like better.
const GATHERED: usize = 128 * 1024;
/// What one process may put on disk. A command that never stops must not fill it.
const LARGEST: u64 = 1 << 30;

/// Takes everything, and decides late whether it needs a file.
pub(super) struct Spill {
    /// Where files go; `None` keeps nothing.
    dir: Option<PathBuf>,
    largest: u64,
    /// What is not in the file yet.
    waiting: Vec<u8>,
    file: Option<Writing>,
}

struct Writing {
    file: NamedTempFile,
    hasher: Box<blake3::Hasher>,
    written: u64,
    /// Bytes that were too many.
    refused: u64,
}

/// What there is of an output when it has ended.
#[derive(Default)]
pub(super) struct Kept {
    /// Its name on disk.
    pub blob: Option<BlobId>,
    /// All of it, when it was short: to be put on disk if some result left a part of it out.
    short: Option<(PathBuf, Vec<u8>)>,
}

impl Spill {
    pub(super) fn new(dir: Option<PathBuf>) -> Self {
        Self { dir, largest: LARGEST, waiting: Vec::new(), file: None }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let Some(dir) = &self.dir else { return };
        let done = match &mut self.file {
            None if self.waiting.len() + bytes.len() <= IN_RESULTS => {
                self.waiting.extend_from_slice(bytes);
                return;
            }
            None => Writing::create(dir).and_then(|file| {
                let waiting = mem::take(&mut self.waiting);
                let file = self.file.insert(file);
                file.write(&waiting, self.largest)?;
                file.write(bytes, self.largest)
            }),
            Some(_) if self.waiting.len() + bytes.len() < GATHERED => {
                self.waiting.extend_from_slice(bytes);
                return;
            }
            Some(file) => {
                let done = file.write(&self.waiting, self.largest);
                self.waiting.clear();
                done.and_then(|()| file.write(bytes, self.largest))
            }
        };
        // A full disk costs the file, never the command.
        if done.is_err() {
            *self = Self::new(None);
        }
    }

    /// No more will come.
    pub(super) fn finish(mut self) -> Kept {
        let Some(dir) = self.dir.take() else { return Kept::default() };
        match self.file.take() {
            None => Kept { blob: None, short: Some((dir, self.waiting)) },
            Some(mut file) => {
                let done = file.write(&self.waiting, self.largest).and_then(|()| file.finish(&dir));
                // A full disk costs the file, never the command.
                Kept { blob: done.ok(), short: None }
            }
        }
    }
}

impl Kept {
    /// The name on disk of an output that a result has left a part of out.
    pub(super) fn on_disk(&mut self) -> Option<BlobId> {
        if let Some((dir, bytes)) = self.short.take() {
            self.blob = Writing::create(&dir)
                .and_then(|mut file| {
                    file.write(&bytes, LARGEST)?;
                    file.finish(&dir)
                })
                .ok();
        }
        self.blob.clone()
    }
}

impl Writing {
    fn create(dir: &PathBuf) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let file = tempfile::Builder::new().prefix("tmp-").tempfile_in(dir)?;
        Ok(Self { file, hasher: Box::default(), written: 0, refused: 0 })
    }

    fn write(&mut self, bytes: &[u8], largest: u64) -> io::Result<()> {
        let room = usize::try_from(largest - self.written).unwrap_or(usize::MAX);
        let (taken, refused) = bytes.split_at(room.min(bytes.len()));
        self.refused += refused.len() as u64;
        self.append(taken)?;
        self.written += taken.len() as u64;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.as_file_mut().write_all(bytes)
    }

    fn finish(mut self, dir: &std::path::Path) -> io::Result<BlobId> {
        if self.refused > 0 {
            self.append(format!("\n[{} more bytes were not kept]\n", self.refused).as_bytes())?;
        }
        let blob = BlobId(self.hasher.finalize().to_hex().to_string());
        self.file.persist(dir.join(blob.as_str()))?;
        Ok(blob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &std::path::Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .map(|dir| dir.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        names.sort();
        names
    }

    #[test]
    fn a_short_output_costs_no_file_until_a_result_left_something_out() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = dir.path().join("blobs");
        let mut spill = Spill::new(Some(blobs.clone()));
        spill.push(b"hello");
        let mut kept = spill.finish();
        assert_eq!((kept.blob.clone(), files(&blobs)), (None, vec![]));
        let blob = kept.on_disk().unwrap();
        assert_eq!(blob, BlobId::of(b"hello"));
        assert_eq!(kept.on_disk(), Some(blob.clone()));
        assert_eq!(files(&blobs), [blob.as_str()]);
    }

    #[test]
    fn a_long_output_is_whole_on_disk_under_its_hash_however_it_came() {
        let all: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        for chunk in [7, 4096, 100_000, all.len()] {
            let dir = tempfile::tempdir().unwrap();
            let mut spill = Spill::new(Some(dir.path().to_owned()));
            for bytes in all.chunks(chunk) {
                spill.push(bytes);
            }
            assert!(files(dir.path()).iter().all(|name| name.starts_with("tmp-")));
            let blob = spill.finish().blob.unwrap();
            assert_eq!(blob, BlobId::of(&all));
            assert_eq!(files(dir.path()), [blob.as_str()]);
            assert!(fs::read(dir.path().join(blob.as_str())).unwrap() == all, "{chunk}");
        }
    }

    #[test]
    fn an_endless_output_does_not_fill_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut spill = Spill { largest: 100_000, ..Spill::new(Some(dir.path().to_owned())) };
        for _ in 0..100 {
            spill.push(&[b'x'; 5000]);
        }
        let blob = spill.finish().blob.unwrap();
        let text = fs::read_to_string(dir.path().join(blob.as_str())).unwrap();
        assert!(text.ends_with("x\n[400000 more bytes were not kept]\n"));
        assert_eq!(BlobId::of(text.as_bytes()), blob);
    }

    #[test]
    fn an_output_that_is_thrown_away_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(Some(dir.path().to_owned()));
        spill.push(&[b'x'; IN_RESULTS + 1]);
        assert_eq!(files(dir.path()).len(), 1);
        drop(spill);
        assert_eq!(files(dir.path()).len(), 0);
    }

    #[test]
    fn a_disk_that_can_not_be_written_costs_the_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let in_the_way = dir.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let mut spill = Spill::new(Some(in_the_way));
        spill.push(&[b'x'; IN_RESULTS + 1]);
        spill.push(b"more");
        assert_eq!(spill.finish().on_disk(), None);
    }
}
