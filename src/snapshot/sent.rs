//! What a bucket has, as far as it was sent from here: the lists of packs that were made to be sent. They are packs of
//! their own, because those of the store are put together anew from time to time, and hold what must not travel.

use std::{
    collections::{BTreeSet, HashSet},
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{
    SnapshotError,
    hash::Hash,
    index::{self, Index},
    node::{Content, Node, Piece},
    pack::{PackWriter, SUFFIX, read_list},
    reach::secret,
    remote::Pack,
    store::{GROUP, Store, compressor},
};

/// A pack that is sent takes no further group from here on: so much is sent twice at most.
const PACK: u64 = 64 << 20;
const LIST: &str = ".list";

/// The objects that a snapshot needs, in the order in which they are met.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) objects: Vec<Hash>,
    /// Secret files whose content is not among them.
    pub(super) withheld: u64,
    known: HashSet<Hash>,
}

/// The packs that were sent.
pub(super) struct Sent {
    folder: PathBuf,
    index: Index,
    packs: Vec<Pack>,
}

impl Wanted {
    /// With the content of secret files, or without.
    pub(super) fn of(store: &Store, snapshot: Hash, secrets: bool) -> Result<Self, SnapshotError> {
        let mut wanted = Self::default();
        wanted.add(snapshot);
        let tree = store.root(&snapshot)?.tree;
        let mut open = vec![tree];
        while let Some(tree) = open.pop() {
            if !wanted.add(tree) {
                continue;
            }
            for (name, node) in store.tree(&tree)? {
                match node {
                    Node::Folder { tree, .. } => open.push(tree),
                    Node::File { content, .. } => {
                        if !secrets && secret(store, &name, &content) {
                            wanted.withheld += 1;
                        } else {
                            wanted.content(store, &content)?;
                        }
                    }
                    Node::Link { .. } | Node::Left(_) => {}
                }
            }
        }
        Ok(wanted)
    }

    fn add(&mut self, hash: Hash) -> bool {
        let new = self.known.insert(hash);
        if new {
            self.objects.push(hash);
        }
        new
    }

    fn content(&mut self, store: &Store, content: &Content) -> Result<(), SnapshotError> {
        match content {
            Content::Whole(hash) => {
                self.add(*hash);
            }
            Content::Pieces(list) => {
                if self.add(*list) {
                    for piece in store.pieces(list)? {
                        if let Piece::Data(hash, _) = piece {
                            self.add(hash);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Sent {
    /// What is known of a bucket. What is not known is sent again, and does no harm there.
    pub(super) fn load(folder: &Path) -> Result<Self, SnapshotError> {
        let mut sent = Self { folder: folder.to_owned(), index: Index::default(), packs: Vec::new() };
        let entries = fs::read_dir(folder).map_err(|error| SnapshotError::io(folder, error))?;
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().ends_with(LIST)
                && let Some((pack, list)) = fs::read(entry.path()).ok().as_deref().and_then(read)
            {
                sent.index.add(pack.name.clone(), list);
                sent.packs.push(pack);
            }
        }
        Ok(sent)
    }

    /// Packs what was not sent, and calls `ready` each time that there is a pack.
    pub(super) fn pack(
        &mut self,
        store: &Store,
        objects: &[Hash],
        ready: &mut dyn FnMut(&mut Self) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let folder = self.folder.clone();
        let told = |error: io::Error| SnapshotError::io(&folder, error);
        let new: Vec<Hash> = objects.iter().filter(|hash| self.index.find(hash).is_none()).copied().collect();
        let mut writer: Option<PackWriter> = None;
        let (mut bytes, mut group) = (Vec::new(), Vec::new());
        for (at, hash) in new.iter().enumerate() {
            let object = store.read(hash)?;
            let place = |number: usize| u32::try_from(number).map_err(|_| SnapshotError::Unfit);
            group.push((*hash, place(bytes.len())?, place(object.len())?));
            bytes.extend_from_slice(&object);
            let last = at + 1 == new.len();
            if bytes.len() < GROUP && !last {
                continue;
            }
            let mut pack = match writer.take() {
                Some(pack) => pack,
                None => PackWriter::create(&folder).map_err(told)?,
            };
            let stored = compressor().and_then(|mut compressor| compressor.compress(&bytes)).map_err(told)?;
            pack.append(&stored, &group).map_err(told)?;
            bytes.clear();
            group.clear();
            if pack.at < PACK && !last {
                writer = Some(pack);
                continue;
            }
            pack.finish(&folder).map_err(told)?;
            ready(self)?;
        }
        Ok(())
    }

    /// Packs that were made and not sent.
    pub(super) fn ready(&self) -> Result<Vec<PathBuf>, SnapshotError> {
        let names = index::packs(&self.folder).map_err(|error| SnapshotError::io(&self.folder, error))?;
        Ok(names.into_iter().map(|name| self.folder.join(name)).collect())
    }

    /// Notes that a pack has arrived.
    pub(super) fn done(&mut self, path: &Path) -> Result<(), SnapshotError> {
        let told = |error: io::Error| SnapshotError::io(path, error);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let list = read_list(path).map_err(told)?;
        let mut hasher = blake3::Hasher::new();
        let size = io::copy(&mut File::open(path).map_err(told)?, &mut hasher).map_err(told)?;
        let pack = Pack { name, size, hash: hasher.finalize().to_hex().to_string() };
        let mut file = tempfile::Builder::new()
            .prefix(super::pack::UNFINISHED)
            .tempfile_in(&self.folder)
            .map_err(told)?;
        file.write_all(&written(&pack, &list)).map_err(told)?;
        let stem = pack.name.strip_suffix(SUFFIX).unwrap_or(&pack.name);
        file.persist(self.folder.join(format!("{stem}{LIST}"))).map_err(|error| told(error.error))?;
        fs::remove_file(path).map_err(told)?;
        self.index.add(pack.name.clone(), list);
        self.packs.push(pack);
        Ok(())
    }

    /// The packs that hold some objects.
    pub(super) fn packs_of(&self, objects: &[Hash]) -> Vec<Pack> {
        let places: BTreeSet<u32> =
            objects.iter().filter_map(|hash| Some(self.index.find(hash)?.pack)).collect();
        places.into_iter().filter_map(|place| self.packs.get(place as usize).cloned()).collect()
    }
}

/// A list with what is known of its pack, and a sum.
fn written(pack: &Pack, list: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{} {} {}\n", pack.name, pack.size, pack.hash).into_bytes();
    bytes.extend_from_slice(list);
    let sum = Hash::of(&bytes);
    bytes.extend_from_slice(&sum.0);
    bytes
}

fn read(bytes: &[u8]) -> Option<(Pack, Vec<u8>)> {
    let (content, sum) = bytes.split_last_chunk::<32>()?;
    if Hash::of(content).0 != *sum {
        return None;
    }
    let end = content.iter().position(|byte| *byte == b'\n')?;
    let mut words = std::str::from_utf8(content.get(..end)?).ok()?.split(' ');
    let (name, size, hash) = (words.next()?, words.next()?, words.next()?);
    let pack = Pack { name: name.to_owned(), size: size.parse().ok()?, hash: hash.to_owned() };
    Some((pack, content.get(end + 1..)?.to_vec()))
}
