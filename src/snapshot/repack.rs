//! Copying objects into new packs, in the order in which they lie: whole groups as they are, what is left of others
//! together anew.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    SnapshotError,
    hash::Hash,
    pack::{Line, PackWriter},
    store::{GROUP, PACK, Store, compressor},
};

/// A pack that was written: its name and the bytes it takes.
pub(super) type Written = (String, u64);

/// Packs that are being written into a folder.
pub(super) struct Repack<'a> {
    folder: &'a Path,
    stop: &'a AtomicBool,
    /// Nothing else travels along in a group.
    alone: bool,
    pack: Option<PackWriter>,
    group: Vec<u8>,
    objects: Vec<(Hash, u32, u32)>,
    written: Vec<Written>,
}

impl<'a> Repack<'a> {
    pub(super) fn new(folder: &'a Path, stop: &'a AtomicBool) -> Self {
        Self {
            folder,
            stop,
            alone: false,
            pack: None,
            group: Vec::new(),
            objects: Vec::new(),
            written: Vec::new(),
        }
    }

    /// The same for packs that hold what is copied, and not a byte more.
    pub(super) fn alone(folder: &'a Path, stop: &'a AtomicBool) -> Self {
        Self { alone: true, ..Self::new(folder, stop) }
    }

    /// Copies the objects at these places.
    pub(super) fn copy(&mut self, store: &Store, lines: Vec<(String, Line)>) -> Result<(), SnapshotError> {
        let mut groups: BTreeMap<(String, u64), Vec<Line>> = BTreeMap::new();
        for (pack, line) in lines {
            groups.entry((pack, line.offset)).or_default().push(line);
        }
        for ((pack, _), mut lines) in groups {
            if self.stop.load(Ordering::Relaxed) {
                return Err(SnapshotError::Stopped);
            }
            lines.sort_by_key(|line| line.start);
            let Some(first) = lines.first().copied() else { continue };
            let group = store.group(&pack, &first)?;
            let wanted: u64 = lines.iter().map(|line| u64::from(line.length)).sum();
            let all = group.len() as u64;
            // What is not wanted of a group stays in it if it is little.
            if if self.alone { wanted == all } else { wanted * 4 >= all * 3 } {
                let path = store.packs.join(&pack);
                let mut stored = vec![0; first.stored as usize];
                let read = File::open(&path).and_then(|file| file.read_exact_at(&mut stored, first.offset));
                read.map_err(|error| SnapshotError::io(&path, error))?;
                let objects: Vec<_> = lines.iter().map(|line| (line.hash, line.start, line.length)).collect();
                self.append(&stored, &objects)?;
                continue;
            }
            for line in lines {
                let bytes = group
                    .get(line.start as usize..)
                    .and_then(|rest| rest.get(..line.length as usize))
                    .filter(|bytes| Hash::of(bytes) == line.hash)
                    .ok_or_else(|| SnapshotError::Damaged(store.packs.join(&pack)))?;
                let place = |number: usize| u32::try_from(number).map_err(|_| SnapshotError::Unfit);
                self.objects.push((line.hash, place(self.group.len())?, line.length));
                self.group.extend_from_slice(bytes);
                if self.group.len() >= GROUP {
                    self.flush()?;
                }
            }
        }
        Ok(())
    }

    /// Brings everything to the disk.
    pub(super) fn finish(mut self) -> Result<Vec<Written>, SnapshotError> {
        self.flush()?;
        if let Some(pack) = self.pack.take() {
            self.close(pack)?;
        }
        Ok(self.written)
    }

    fn flush(&mut self) -> Result<(), SnapshotError> {
        if self.objects.is_empty() {
            return Ok(());
        }
        let group = compressor().and_then(|mut compressor| compressor.compress(&self.group));
        let group = group.map_err(|error| self.told(error))?;
        let objects = std::mem::take(&mut self.objects);
        self.group.clear();
        self.append(&group, &objects)
    }

    fn append(&mut self, group: &[u8], objects: &[(Hash, u32, u32)]) -> Result<(), SnapshotError> {
        let mut pack = match self.pack.take() {
            Some(pack) => pack,
            None => PackWriter::create(self.folder).map_err(|error| self.told(error))?,
        };
        pack.append(group, objects).map_err(|error| self.told(error))?;
        if pack.at < PACK {
            self.pack = Some(pack);
            return Ok(());
        }
        self.close(pack)
    }

    fn close(&mut self, pack: PackWriter) -> Result<(), SnapshotError> {
        let (name, _) = pack.finish(self.folder).map_err(|error| self.told(error))?;
        let path = self.folder.join(&name);
        let size = path.metadata().map_err(|error| SnapshotError::io(&path, error))?.len();
        self.written.push((name, size));
        Ok(())
    }

    fn told(&self, error: std::io::Error) -> SnapshotError {
        SnapshotError::Io { path: PathBuf::from(self.folder), error }
    }
}
