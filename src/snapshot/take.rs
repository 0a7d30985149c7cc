//! Taking a snapshot: walk, read what is new, and store what was not there.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::fd::{AsFd as _, OwnedFd},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use rustix::io::Errno;

use super::{
    Settings, SnapshotError, Taken,
    at::{self, Kind, Stat},
    cache::{Cache, KnownFile, NewCache},
    hash::Hash,
    node::{self, Content, Moment, Node, Piece, Root, Tree, Why},
    scan::{Folder, Found, FoundFile, Outcome, Scan, Walk},
    store::{Batch, Group, Lock, Store},
};

/// A file that is larger is cut where its content says so.
const WHOLE: u64 = 512 << 10;
/// Sizes of its parts: the least, the usual, the most.
const PARTS: (usize, usize, usize) = (64 << 10, 256 << 10, 1 << 20);
/// Files, and bytes of them, that a thread takes at a time.
const SHARE: (usize, u64) = (64, 4 << 20);
/// So long after a change the clock of a file system has moved on for sure.
const TICK: Duration = Duration::from_millis(50);
/// A file that changes while it is read is read again so often.
const TRIES: usize = 3;
/// More threads only wait for the disk.
const THREADS: usize = 6;

pub(super) fn take(
    store: &Store,
    lock: &Lock,
    root: &OwnedFd,
    settings: &Settings,
    own: &[(u64, u64)],
) -> Result<Taken, SnapshotError> {
    store.refresh();
    let cache = Cache::load(&store.folder, &store.index()?.packs);
    let threads = thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, THREADS));
    let settled = now().checked_sub(TICK).unwrap_or(SystemTime::UNIX_EPOCH);
    let limits = &settings.limits;
    let walk = Walk { root, cache: &cache, limits, own, settled: moment(settled), threads };
    let mut scan = walk.run()?;
    let batch = store.batch(lock);
    let read = read_new(&walk, &mut scan, &batch)?;
    let mut group = batch.group();
    let (snapshot, trees) = store_trees(&scan, &cache, &mut group)?;
    group.flush()?;
    drop(group);
    let stored = batch.commit()?;
    let whole = trees.iter().filter(|tree| tree.is_some()).count();
    if read > 0 || scan.racy || cache.root != Some(snapshot) || cache.len() != whole {
        // Without it the next one takes longer, and that is all.
        let _ = remember(&scan, &trees, &snapshot, store);
    }
    let mut taken = Taken {
        id: super::id(&snapshot),
        files: 0,
        bytes: 0,
        stored,
        read,
        left: Vec::new(),
        damaged: store.damaged()?,
    };
    for folder in folders(&scan) {
        for (name, found) in &folder.entries {
            let path = || super::path(&at::join(&folder.path, name));
            match found {
                Found::File(file) => {
                    taken.files += 1;
                    taken.bytes += file.stat.size;
                }
                Found::Left(why) => taken.left.push((path(), *why)),
                Found::Folder(id) => {
                    if let Some(Outcome::Left(why)) = scan.folders.get(*id) {
                        taken.left.push((path(), *why));
                    }
                }
                Found::Link { .. } | Found::Gone => {}
            }
        }
    }
    taken.left.sort();
    Ok(taken)
}

fn now() -> SystemTime {
    SystemTime::now()
}

fn moment(time: SystemTime) -> Moment {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
}

fn folders(scan: &Scan) -> impl DoubleEndedIterator<Item = &Folder> {
    scan.folders.iter().filter_map(|outcome| match outcome {
        Outcome::Folder(folder) => Some(folder),
        Outcome::Left(_) | Outcome::Gone => None,
    })
}

/// A share of the files that are to be read: places of their directories, and in them.
type Share = Vec<(usize, usize)>;

/// Reads the files that the cache does not know, and stores them. Gives how many there were.
fn read_new(walk: &Walk<'_>, scan: &mut Scan, batch: &Batch<'_>) -> Result<u64, SnapshotError> {
    let mut shares: Vec<Share> = vec![Vec::new()];
    let mut bytes = 0;
    for (at, outcome) in scan.folders.iter().enumerate() {
        let Outcome::Folder(folder) = outcome else { continue };
        for (place, (_, found)) in folder.entries.iter().enumerate() {
            let Found::File(FoundFile { stat, content: None, .. }) = found else { continue };
            let full = |share: &Share| share.len() >= SHARE.0;
            if bytes >= SHARE.1 || shares.last().is_none_or(full) {
                shares.push(Vec::new());
                bytes = 0;
            }
            bytes += stat.size;
            if let Some(share) = shares.last_mut() {
                share.push((at, place));
            }
        }
    }
    let count: usize = shares.iter().map(Vec::len).sum();
    if count == 0 {
        return Ok(0);
    }
    let next = AtomicUsize::new(0);
    let seen = &*scan;
    let work = || -> Result<Vec<(usize, usize, Found)>, SnapshotError> {
        let mut reader = Reader { walk, group: batch.group(), buffer: Vec::new() };
        let mut found = Vec::new();
        while let Some(share) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = reader.share(seen, share, &mut found) {
                // The others need not go on.
                next.store(shares.len(), Ordering::Relaxed);
                return Err(error);
            }
        }
        reader.group.flush()?;
        Ok(found)
    };
    let parts: Vec<_> = thread::scope(|scope| {
        let helpers = walk.threads.min(shares.len());
        let others: Vec<_> = (1..helpers).map(|_| scope.spawn(work)).collect();
        let mut parts = vec![work()];
        parts.extend(others.into_iter().map(|other| other.join().unwrap_or(Err(SnapshotError::Crashed))));
        parts
    });
    for part in parts {
        for (at, place, found) in part? {
            if let Some(Outcome::Folder(folder)) = scan.folders.get_mut(at)
                && let Some(entry) = folder.entries.get_mut(place)
            {
                entry.1 = found;
            }
        }
    }
    Ok(count as u64)
}

/// What a thread reads with.
struct Reader<'a> {
    walk: &'a Walk<'a>,
    group: Group<'a>,
    buffer: Vec<u8>,
}

impl Reader<'_> {
    fn share(
        &mut self,
        scan: &Scan,
        share: &Share,
        found: &mut Vec<(usize, usize, Found)>,
    ) -> Result<(), SnapshotError> {
        let mut opened: Option<(usize, Result<OwnedFd, Errno>)> = None;
        for &(at, place) in share {
            let Some(Outcome::Folder(folder)) = scan.folders.get(at) else { continue };
            let Some((name, _)) = folder.entries.get(place) else { continue };
            if opened.as_ref().is_none_or(|(known, _)| *known != at) {
                opened = Some((at, at::below(self.walk.root, &folder.path)));
            }
            let read = match &opened {
                Some((_, Ok(opened))) => self.file(opened, name)?,
                Some((_, Err(error))) if at::gone(*error) => Found::Gone,
                _ => Found::Left(Why::Unreadable),
            };
            found.push((at, place, read));
        }
        Ok(())
    }

    fn file(&mut self, folder: &OwnedFd, name: &[u8]) -> Result<Found, SnapshotError> {
        let mut file = match at::file(folder, name) {
            Err(error) if at::gone(error) => return Ok(Found::Gone),
            Err(_) => return Ok(Found::Left(Why::Unreadable)),
            Ok(file) => file,
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let Ok(before) = at::stat_open(&file) else { return Ok(Found::Left(Why::Unreadable)) };
            if before.kind() != Kind::File {
                return Ok(Found::Gone);
            }
            let Ok((content, size)) = self.content(&mut file, &before)? else {
                return Ok(Found::Left(Why::Unreadable));
            };
            let extended = at::extended(file.as_fd()).unwrap_or_default();
            let same =
                at::stat_open(&file).is_ok_and(|after| after.unchanged(&before)) && size == before.size;
            if same || tries == TRIES {
                // Of one that changes all the time, some state; it is read again next time.
                let racy = !same || self.walk.racy(&before);
                let stat = Stat { size, ..before };
                return Ok(Found::File(FoundFile { stat, content: Some(content), racy, extended }));
            }
            if file.seek(SeekFrom::Start(0)).is_err() {
                return Ok(Found::Left(Why::Unreadable));
            }
        }
    }

    /// Stores the content of a file, and says how much there was. The inner error is the file's.
    fn content(
        &mut self,
        file: &mut File,
        stat: &Stat,
    ) -> Result<Result<(Content, u64), io::Error>, SnapshotError> {
        if stat.sparse() && stat.size > 4096 {
            return self.sparse(file, stat.size);
        }
        if stat.size > WHOLE {
            return self.large(file);
        }
        self.buffer.clear();
        match file.take(WHOLE + 1).read_to_end(&mut self.buffer) {
            Err(error) => Ok(Err(error)),
            // It has grown meanwhile.
            Ok(read) if read as u64 > WHOLE => match file.seek(SeekFrom::Start(0)) {
                Err(error) => Ok(Err(error)),
                Ok(_) => self.large(file),
            },
            Ok(read) => {
                let hash = self.group.put(&self.buffer)?;
                Ok(Ok((Content::Whole(hash), read as u64)))
            }
        }
    }

    fn large(&mut self, file: &File) -> Result<Result<(Content, u64), io::Error>, SnapshotError> {
        let mut pieces = Vec::new();
        Ok(match self.pieces(file, &mut pieces)? {
            Err(error) => Err(error),
            Ok(size) => Ok((self.listed(&pieces)?, size)),
        })
    }

    fn sparse(
        &mut self,
        mut file: &File,
        size: u64,
    ) -> Result<Result<(Content, u64), io::Error>, SnapshotError> {
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < size {
            let (data, hole) = match extent(file, at, size) {
                Ok(extent) => extent,
                Err(error) => return Ok(Err(error)),
            };
            if data > at {
                pieces.push(Piece::Hole(data - at));
            }
            if hole > data {
                if let Err(error) = file.seek(SeekFrom::Start(data)) {
                    return Ok(Err(error));
                }
                match self.pieces(file.take(hole - data), &mut pieces)? {
                    Ok(read) if read == hole - data => {}
                    // It has shrunk meanwhile.
                    Ok(read) => return Ok(Ok((self.listed(&pieces)?, data + read))),
                    Err(error) => return Ok(Err(error)),
                }
            }
            at = hole;
        }
        Ok(Ok((self.listed(&pieces)?, size)))
    }

    fn listed(&mut self, pieces: &[Piece]) -> Result<Content, SnapshotError> {
        Ok(Content::Pieces(self.group.put(&node::encode_pieces(pieces))?))
    }

    fn pieces(
        &mut self,
        source: impl io::Read,
        pieces: &mut Vec<Piece>,
    ) -> Result<Result<u64, io::Error>, SnapshotError> {
        let mut read = 0;
        for chunk in fastcdc::v2020::StreamCDC::new(source, PARTS.0, PARTS.1, PARTS.2) {
            match chunk {
                Ok(chunk) => {
                    read += chunk.data.len() as u64;
                    pieces.push(Piece::Data(self.group.put(&chunk.data)?, chunk.data.len() as u64));
                }
                Err(error) => return Ok(Err(error.into())),
            }
        }
        Ok(Ok(read))
    }
}

/// Where data begins from a place on, and where it ends.
pub(super) fn extent(file: &File, at: u64, size: u64) -> io::Result<(u64, u64)> {
    use rustix::fs::SeekFrom as Seek;
    let data = match rustix::fs::seek(file, Seek::Data(at)) {
        Err(Errno::NXIO) => return Ok((size, size)),
        // A file system that does not say.
        Err(Errno::INVAL | Errno::NOTSUP) => return Ok((at, size)),
        data => data?.min(size),
    };
    let hole = rustix::fs::seek(file, Seek::Hole(data))?.clamp(data, size);
    Ok((data, hole))
}

/// Stores the directories that are not what they were, from the innermost outwards. Gives the snapshot and each tree.
fn store_trees(
    scan: &Scan,
    cache: &Cache,
    group: &mut Group<'_>,
) -> Result<(Hash, Vec<Option<Hash>>), SnapshotError> {
    let mut trees: Vec<Option<Hash>> = vec![None; scan.folders.len()];
    for outcome in scan.folders.iter().rev() {
        let Outcome::Folder(folder) = outcome else { continue };
        let node = |(name, found): &(Vec<u8>, Found)| {
            let node = match found {
                Found::File(FoundFile { stat, content: Some(content), extended, .. }) => {
                    Node::File { meta: stat.meta(extended.clone()), size: stat.size, content: *content }
                }
                Found::File(_) | Found::Gone => return None,
                Found::Link { meta, target } => Node::Link { meta: meta.clone(), target: target.clone() },
                Found::Left(why) => Node::Left(*why),
                Found::Folder(id) => match scan.folders.get(*id)? {
                    Outcome::Folder(below) => {
                        Node::Folder { meta: below.meta.clone(), tree: (*trees.get(*id)?)? }
                    }
                    Outcome::Left(why) => Node::Left(*why),
                    Outcome::Gone => return None,
                },
            };
            Some((name.clone(), node))
        };
        let tree: Tree = folder.entries.iter().filter_map(node).collect();
        let bytes = node::encode_tree(&tree);
        let hash = Hash::of(&bytes);
        if folder.known != Some(hash) {
            group.put(&bytes)?;
        }
        if let Some(place) = trees.get_mut(folder.id) {
            *place = Some(hash);
        }
    }
    let (Some(Outcome::Folder(first)), Some(Some(tree))) = (scan.folders.first(), trees.first()) else {
        return Err(SnapshotError::walk(Errno::NOENT));
    };
    let bytes = node::encode_root(&Root { meta: first.meta.clone(), tree: *tree, same: same(scan) });
    let hash = Hash::of(&bytes);
    if cache.root != Some(hash) {
        group.put(&bytes)?;
    }
    Ok((hash, trees))
}

/// Paths that are the same file.
fn same(scan: &Scan) -> Vec<Vec<Vec<u8>>> {
    let mut files: BTreeMap<(u64, u64), Vec<Vec<u8>>> = BTreeMap::new();
    for folder in folders(scan) {
        for (name, found) in &folder.entries {
            if let Found::File(FoundFile { stat, .. }) = found
                && stat.links > 1
            {
                files.entry((stat.dev, stat.ino)).or_default().push(at::join(&folder.path, name));
            }
        }
    }
    let mut same: Vec<_> = files.into_values().filter(|paths| paths.len() > 1).collect();
    same.iter_mut().for_each(|paths| paths.sort());
    same.sort();
    same
}

fn remember(
    scan: &Scan,
    trees: &[Option<Hash>],
    snapshot: &Hash,
    store: &Store,
) -> Result<(), SnapshotError> {
    let mut cache = NewCache::new(&store.index()?.packs, snapshot);
    for folder in folders(scan) {
        let Some(Some(tree)) = trees.get(folder.id) else { continue };
        for (name, found) in &folder.entries {
            if let Found::File(FoundFile { stat, content: Some(content), racy, extended }) = found {
                let (content, racy, extended) = (*content, *racy, extended.clone());
                cache.file(&KnownFile { name, stat: *stat, content, racy, extended });
            }
        }
        cache.folder(&folder.path, tree);
    }
    cache.save(&store.folder).map_err(|error| SnapshotError::io(&store.folder, error))
}
