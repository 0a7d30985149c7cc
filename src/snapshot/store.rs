//! The objects of a workspace, in packs. Writers come one after another; readers need no lock.

use std::{
    collections::{HashSet, VecDeque},
    fs::{self, File},
    io,
    ops::{Deref, Range},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    SnapshotError,
    bytes::Malformed,
    hash::Hash,
    index::{self, Index},
    node::{self, Node, Piece, Root, Tree},
    pack::{Line, PackWriter, UNFINISHED},
};

/// Bytes that are compressed together, as a rule.
pub(super) const GROUP: usize = 1 << 20;
/// A pack takes no further group from here on.
pub(super) const PACK: u64 = 256 << 20;
/// Compression: two thirds of the time of what tar users choose, for a twentieth more bytes.
const LEVEL: i32 = 2;
/// The logarithm of how many places the compressor looks at: half of what the level says, which stays in the
/// processor's nearer caches. A sixth less time for half a percent more bytes.
const HASH_LOG: u32 = 15;
/// How soon a lock that somebody else has is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// Groups that are kept when they were read.
const KEPT: usize = 8;

/// The store of one workspace.
pub(super) struct Store {
    pub(super) folder: PathBuf,
    pub(super) packs: PathBuf,
    index: Mutex<Option<Arc<Index>>>,
    groups: Mutex<VecDeque<Opened>>,
}

/// A group that was read: its pack and its place there.
struct Opened(String, u64, Arc<Vec<u8>>);

/// An object in the group that it was read with.
pub(super) struct View {
    group: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Deref for View {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.group.get(self.range.clone()).unwrap_or_default()
    }
}

/// The bytes of a group. At once where it says how many they are and that is not much more than groups have.
fn decompressed(stored: &[u8]) -> io::Result<Vec<u8>> {
    match zstd::zstd_safe::get_frame_content_size(stored).ok().flatten().map(usize::try_from) {
        Some(Ok(size)) if size <= 16 * GROUP => zstd::bulk::decompress(stored, size),
        _ => zstd::stream::decode_all(stored),
    }
}

/// What compresses groups.
pub(super) fn compressor() -> io::Result<zstd::bulk::Compressor<'static>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::HashLog(HASH_LOG))?;
    Ok(compressor)
}

/// The right to write, until it is dropped.
pub(super) struct Lock(#[expect(dead_code, reason = "the lock is held as long as the file is open")] File);

impl Lock {
    /// Waits until nobody else holds it.
    pub(super) fn of(path: &Path) -> Result<Self, SnapshotError> {
        let file = Self::open(path)?;
        loop {
            match rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Self(file)),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(SnapshotError::io(path, error)),
            }
        }
    }

    /// The same, as long as nobody wants it to stop.
    pub(super) fn unless(path: &Path, stopped: impl Fn() -> bool) -> Result<Self, SnapshotError> {
        let file = Self::open(path)?;
        loop {
            match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(file)),
                Err(rustix::io::Errno::WOULDBLOCK) if stopped() => return Err(SnapshotError::Stopped),
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(AGAIN),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(SnapshotError::io(path, error)),
            }
        }
    }

    fn open(path: &Path) -> Result<File, SnapshotError> {
        let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(path);
        file.map_err(|error| SnapshotError::io(path, error))
    }
}

impl Store {
    /// The store in `folder`, which is made if it is not there.
    pub(super) fn open(folder: &Path) -> Result<Self, SnapshotError> {
        let packs = folder.join("packs");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&packs)
            .map_err(|error| SnapshotError::io(&packs, error))?;
        Ok(Self { folder: folder.to_owned(), packs, index: Mutex::default(), groups: Mutex::default() })
    }

    /// Waits until nobody else writes.
    pub(super) fn lock(&self) -> Result<Lock, SnapshotError> {
        let lock = Lock::of(&self.folder.join("lock"))?;
        self.remove_unfinished();
        Ok(lock)
    }

    /// Deletes what a killed writer has left. Only for whoever holds the lock.
    fn remove_unfinished(&self) {
        for entry in fs::read_dir(&self.packs).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                // What stays takes room and does no harm.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The packs that are there now.
    pub(super) fn packs(&self) -> Result<Vec<String>, SnapshotError> {
        index::packs(&self.packs).map_err(|error| SnapshotError::io(&self.packs, error))
    }

    /// Bytes that the packs take.
    pub(super) fn size(&self) -> u64 {
        let entries = fs::read_dir(&self.packs).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
    }

    pub(super) fn index(&self) -> Result<Arc<Index>, SnapshotError> {
        let mut loaded = guard(&self.index);
        let names = match &*loaded {
            Some(index) => return Ok(Arc::clone(index)),
            None => self.packs()?,
        };
        let index =
            Index::load(&self.packs, &names).map_err(|error| SnapshotError::io(&self.packs, error))?;
        Ok(Arc::clone(loaded.insert(Arc::new(index))))
    }

    /// Forgets what is known of the packs: another program may have written some.
    pub(super) fn refresh(&self) {
        *guard(&self.index) = None;
    }

    /// Packs that lie there and are not whole.
    pub(super) fn damaged(&self) -> Result<Vec<PathBuf>, SnapshotError> {
        Ok(self.index()?.damaged.iter().map(|name| self.packs.join(name)).collect())
    }

    pub(super) fn has(&self, hash: &Hash) -> Result<bool, SnapshotError> {
        Ok(self.index()?.find(hash).is_some())
    }

    /// An object, checked against its name.
    pub(super) fn read(&self, hash: &Hash) -> Result<Vec<u8>, SnapshotError> {
        self.view(hash).map(|view| view.to_vec())
    }

    /// The same where it lies, for whoever only looks at it.
    pub(super) fn view(&self, hash: &Hash) -> Result<View, SnapshotError> {
        let mut index = self.index()?;
        if index.find(hash).is_none() {
            self.refresh();
            index = self.index()?;
        }
        let place = |index: &Index| {
            let line = index.find(hash)?;
            Some((index.packs.get(line.pack as usize)?.clone(), line))
        };
        let lost = || SnapshotError::Lost(hash.to_string());
        let (mut name, mut line) = place(&index).ok_or_else(lost)?;
        let group = match self.group(&name, &line) {
            // Somebody has put packs together meanwhile.
            Err(SnapshotError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                self.refresh();
                (name, line) = place(&*self.index()?).ok_or_else(lost)?;
                self.group(&name, &line)?
            }
            group => group?,
        };
        let start = line.start as usize;
        let view = View { group, range: start..start.saturating_add(line.length as usize) };
        if Hash::of(&view) != *hash {
            return Err(SnapshotError::Damaged(self.packs.join(name)));
        }
        Ok(view)
    }

    pub(super) fn tree(&self, hash: &Hash) -> Result<Tree, SnapshotError> {
        self.decoded(hash, node::decode_tree)
    }

    pub(super) fn pieces(&self, hash: &Hash) -> Result<Vec<Piece>, SnapshotError> {
        self.decoded(hash, node::decode_pieces)
    }

    pub(super) fn root(&self, hash: &Hash) -> Result<Root, SnapshotError> {
        self.decoded(hash, node::decode_root)
    }

    /// What a snapshot has at a path.
    pub(super) fn lookup(&self, root: &Root, path: &[u8]) -> Result<Option<Node>, SnapshotError> {
        let mut found = Node::Folder { meta: root.meta.clone(), tree: root.tree };
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let Node::Folder { tree, .. } = found else { return Ok(None) };
            let tree = self.tree(&tree)?;
            let Ok(at) = tree.binary_search_by(|(known, _)| known[..].cmp(name)) else { return Ok(None) };
            let Some((_, node)) = tree.into_iter().nth(at) else { return Ok(None) };
            found = node;
        }
        Ok(Some(found))
    }

    /// An object that a newer version has written is as good as none.
    fn decoded<T>(
        &self,
        hash: &Hash,
        decode: impl Fn(&[u8]) -> Result<T, Malformed>,
    ) -> Result<T, SnapshotError> {
        decode(&self.view(hash)?).map_err(|Malformed| SnapshotError::Lost(hash.to_string()))
    }

    pub(super) fn group(&self, name: &str, line: &Line) -> Result<Arc<Vec<u8>>, SnapshotError> {
        let same = |Opened(pack, offset, _): &Opened| pack == name && *offset == line.offset;
        {
            let mut groups = guard(&self.groups);
            if let Some(opened) = groups.iter().position(same).and_then(|at| groups.remove(at)) {
                let group = Arc::clone(&opened.2);
                groups.push_front(opened);
                return Ok(group);
            }
        }
        let path = self.packs.join(name);
        let read = || -> io::Result<Vec<u8>> {
            let mut stored = vec![0; line.stored as usize];
            File::open(&path)?.read_exact_at(&mut stored, line.offset)?;
            Ok(stored)
        };
        let stored = read().map_err(|error| SnapshotError::io(&path, error))?;
        let group = decompressed(&stored).map_err(|_| SnapshotError::Damaged(path))?;
        let group = Arc::new(group);
        let mut groups = guard(&self.groups);
        groups.push_front(Opened(name.to_owned(), line.offset, Arc::clone(&group)));
        groups.truncate(KEPT);
        Ok(group)
    }

    /// Begins to write. Only for whoever holds the lock.
    pub(super) fn batch<'a>(&'a self, _lock: &'a Lock) -> Batch<'a> {
        Batch { store: self, writing: Mutex::default() }
    }
}

/// Objects that are being written. Nothing of them is there before they are committed.
pub(super) struct Batch<'a> {
    store: &'a Store,
    writing: Mutex<Writing>,
}

#[derive(Default)]
struct Writing {
    pack: Option<PackWriter>,
    fresh: HashSet<Hash>,
    finished: Vec<(String, Vec<u8>)>,
    stored: u64,
}

/// Objects that are compressed together. Each thread fills its own.
pub(super) struct Group<'a> {
    batch: &'a Batch<'a>,
    bytes: Vec<u8>,
    objects: Vec<(Hash, u32, u32)>,
    compressor: Option<zstd::bulk::Compressor<'static>>,
}

impl<'a> Batch<'a> {
    pub(super) fn group(&'a self) -> Group<'a> {
        Group { batch: self, bytes: Vec::new(), objects: Vec::new(), compressor: None }
    }

    /// Whether an object is neither stored nor about to be. Whoever is told so stores it.
    fn claim(&self, hash: Hash) -> Result<bool, SnapshotError> {
        if self.store.has(&hash)? {
            return Ok(false);
        }
        Ok(guard(&self.writing).fresh.insert(hash))
    }

    fn append(&self, group: &[u8], objects: &[(Hash, u32, u32)]) -> Result<(), SnapshotError> {
        let folder = &self.store.packs;
        let told = |error| SnapshotError::io(folder, error);
        let mut writing = guard(&self.writing);
        let mut pack = match writing.pack.take() {
            Some(pack) => pack,
            None => PackWriter::create(folder).map_err(told)?,
        };
        pack.append(group, objects).map_err(told)?;
        writing.stored += group.len() as u64;
        if pack.at < PACK {
            writing.pack = Some(pack);
        } else {
            writing.finished.push(pack.finish(folder).map_err(told)?);
        }
        Ok(())
    }

    /// Brings everything to the disk. Gives the bytes that it takes there.
    pub(super) fn commit(self) -> Result<u64, SnapshotError> {
        let folder = &self.store.packs;
        let told = |error| SnapshotError::io(folder, error);
        let mut writing = self.writing.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(pack) = writing.pack.take() {
            writing.finished.push(pack.finish(folder).map_err(told)?);
        }
        if !writing.finished.is_empty() {
            // Others may look at the one from before.
            let mut index = Index::clone(&*self.store.index()?);
            for (name, list) in writing.finished {
                index.add(name, list);
            }
            index.settle(folder).map_err(told)?;
            *guard(&self.store.index) = Some(Arc::new(index));
        }
        Ok(writing.stored)
    }
}

impl Group<'_> {
    /// Stores an object, and gives its name.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<Hash, SnapshotError> {
        let hash = Hash::of(bytes);
        if self.batch.claim(hash)? {
            let place = |number: usize| u32::try_from(number).map_err(|_| SnapshotError::Unfit);
            self.objects.push((hash, place(self.bytes.len())?, place(bytes.len())?));
            self.bytes.extend_from_slice(bytes);
            if self.bytes.len() >= GROUP {
                self.flush()?;
            }
        }
        Ok(hash)
    }

    /// Compresses what is there, and writes it.
    pub(super) fn flush(&mut self) -> Result<(), SnapshotError> {
        if self.objects.is_empty() {
            return Ok(());
        }
        let told = |error| SnapshotError::io(&self.batch.store.packs, error);
        let compressor = match self.compressor.take() {
            Some(compressor) => compressor,
            None => compressor().map_err(told)?,
        };
        let compressor = self.compressor.insert(compressor);
        let group = compressor.compress(&self.bytes).map_err(told)?;
        self.batch.append(&group, &self.objects)?;
        self.bytes.clear();
        self.objects.clear();
        Ok(())
    }
}

/// Whoever panicked while it held the lock has left something whole.
pub(super) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
