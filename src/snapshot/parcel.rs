//! Snapshots that travel from one store to another: packs with all that they need.
//!
//! What arrives is looked at before any of it is taken: each object against its name, each snapshot against bounds for
//! what it would come to as files. A tree may name the same subtree many times, so that little becomes much.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use crate::protocol::SnapshotId;

use super::{
    SnapshotError, Stored,
    hash::Hash,
    node::{self, Content, Node, Piece},
    pack::{LINE, Line, MAGIC, UNFINISHED, list_of},
    path,
    reach::{Objects, Reach},
    recent,
    repack::Repack,
    store::guard,
};

/// Objects that lead to others are not larger than this.
const TREE: u64 = 256 << 20;

/// What is taken at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all files of a snapshot, and of all objects together.
    pub bytes: u64,
    /// Files, directories and links of a snapshot.
    pub members: u64,
    /// How many times as large as it is a group may become, once it is more than a megabyte.
    pub ratio: u64,
    /// Whether names that differ only in case are the same here.
    pub caseless: bool,
}

/// What a snapshot would come to as files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weight {
    pub members: u64,
    pub bytes: u64,
}

/// Packs on their way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parcel {
    pub packs: Vec<PathBuf>,
    /// Those that are in it.
    pub snapshots: Vec<SnapshotId>,
    /// Those that the store does not have, or not all of.
    pub missing: Vec<SnapshotId>,
    /// Secret files whose content is not in it.
    pub withheld: Vec<Withheld>,
}

/// A secret file whose content does not travel.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Withheld {
    pub path: String,
    /// Of the content, in hexadecimal digits.
    pub hash: String,
}

impl Stored {
    /// Writes packs with all that these snapshots need into a folder, which must be on the file system that they go to;
    /// without `secrets`, all but the content of secret files.
    ///
    /// # Errors
    /// When something is there and can't be read, or can't be written.
    pub fn parcel(
        &self,
        snapshots: &[SnapshotId],
        folder: &Path,
        secrets: bool,
        stop: &AtomicBool,
    ) -> Result<Parcel, SnapshotError> {
        let store = &self.store;
        // Nobody puts packs together meanwhile.
        let _lock = store.lock()?;
        store.refresh();
        let mut parcel = Parcel::default();
        let mut reach = if secrets { Reach::new(store) } else { Reach::without_secrets(store) };
        for snapshot in snapshots {
            let lost = reach.lost.len();
            let there = match Hash::parse(snapshot.as_str()) {
                Some(hash) => reach.add(&hash)?,
                None => false,
            };
            let whole = there && reach.lost.len() == lost;
            if whole { &mut parcel.snapshots } else { &mut parcel.missing }.push(snapshot.clone());
        }
        let index = store.index()?;
        let place = |hash: &Hash| {
            let line = index.find(hash)?;
            Some((index.packs.get(line.pack as usize)?.clone(), line))
        };
        let mut repack = if secrets { Repack::new(folder, stop) } else { Repack::alone(folder, stop) };
        repack.copy(store, reach.found.iter().filter_map(place).collect())?;
        parcel.packs = repack.finish()?.into_iter().map(|(name, _)| folder.join(name)).collect();
        let found = &reach.found;
        // The same content may have another name, by which it is no secret.
        let withheld = reach.withheld.into_iter().filter(|(hash, _)| !found.contains(hash));
        let withheld = withheld.map(|(hash, path)| Withheld { path, hash: hash.to_string() });
        parcel.withheld = withheld.collect();
        parcel.withheld.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(parcel)
    }

    /// Takes over packs that were [looked at](Foreign::look): each a part of a file. Equal objects are there twice
    /// until the next sweep.
    ///
    /// # Errors
    /// When they can't be written, or are not what they were. Nothing is there then that was not.
    pub fn adopt(&self, foreign: &Foreign<'_>, snapshots: &[SnapshotId]) -> Result<(), SnapshotError> {
        let store = &self.store;
        let _lock = store.lock()?;
        let told = |error| SnapshotError::io(&store.packs, error);
        store.refresh();
        let index = store.index()?;
        let mut ready = Vec::new();
        for pack in &foreign.packs {
            let mut file =
                tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&store.packs).map_err(told)?;
            let mut part = Part { file: foreign.file, at: pack.from, end: pack.from + pack.length };
            io::copy(&mut part, &mut file).map_err(told)?;
            // What was looked at is what was copied.
            let sum = Hash::of(&list_of(file.as_file(), 0, pack.length).map_err(told)?);
            let again = Foreign::open(file.as_file(), &[(0, pack.length)])?;
            if sum != pack.sum {
                return Err(SnapshotError::Refused("it was changed while it was read".to_owned()));
            }
            again.objects(&Bounds {
                bytes: u64::MAX,
                members: u64::MAX,
                ratio: u64::MAX,
                caseless: false,
            })?;
            file.as_file().sync_data().map_err(told)?;
            ready.push((file, pack.sum));
        }
        for (file, sum) in ready {
            let name: String = sum.to_string().chars().take(32).chain(super::pack::SUFFIX.chars()).collect();
            // One that is damaged is no reason to do without.
            if !index.packs.contains(&name) {
                file.persist(store.packs.join(name)).map_err(|error| told(error.error))?;
            }
        }
        File::open(&store.packs).and_then(|folder| folder.sync_all()).map_err(told)?;
        store.refresh();
        for snapshot in snapshots {
            recent::note(&store.folder, snapshot)?;
        }
        Ok(())
    }
}

/// Packs that somebody else has written, as parts of a file.
pub struct Foreign<'a> {
    file: &'a File,
    packs: Vec<Pack>,
    places: HashMap<Hash, (usize, Line)>,
    last: Mutex<Option<Opened>>,
}

/// A group that was read: its pack, its place there, and its bytes.
type Opened = (usize, u64, Arc<Vec<u8>>);

struct Pack {
    from: u64,
    length: u64,
    /// Of its list, which is its name.
    sum: Hash,
    groups: HashMap<u64, Vec<Line>>,
}

impl<'a> Foreign<'a> {
    /// Reads the lists of packs, each of them from a place on, and so long.
    ///
    /// # Errors
    /// When one of them is not whole.
    pub fn open(file: &'a File, packs: &[(u64, u64)]) -> Result<Self, SnapshotError> {
        let mut foreign = Self { file, packs: Vec::new(), places: HashMap::new(), last: Mutex::default() };
        for (at, &(from, length)) in packs.iter().enumerate() {
            let refused =
                |what: &dyn std::fmt::Display| SnapshotError::Refused(format!("pack {}: {what}", at + 1));
            let mut magic = [0; MAGIC.len()];
            file.read_exact_at(&mut magic, from).map_err(|error| refused(&error))?;
            if magic != *MAGIC {
                return Err(refused(&"it is none"));
            }
            let list = list_of(file, from, length).map_err(|error| refused(&error))?;
            let mut groups: HashMap<u64, Vec<Line>> = HashMap::new();
            for line in list.chunks_exact(LINE).filter_map(Line::read) {
                let end = line.offset.checked_add(line.stored.into());
                if line.offset < MAGIC.len() as u64 || end.is_none_or(|end| end > length) {
                    return Err(refused(&"an object lies outside of it"));
                }
                let group = groups.entry(line.offset).or_default();
                if group.first().is_some_and(|first| first.stored != line.stored) {
                    return Err(refused(&"a group has two lengths"));
                }
                group.push(line);
                foreign.places.insert(line.hash, (at, line));
            }
            foreign.packs.push(Pack { from, length, sum: Hash::of(&list), groups });
        }
        Ok(foreign)
    }

    /// Looks at everything: all objects against their names, and what the snapshots would come to. Gives the weight of
    /// the heaviest.
    ///
    /// # Errors
    /// When something is not what it says, is not there and was not withheld, or is more than is taken.
    pub fn look(
        &self,
        snapshots: &[SnapshotId],
        withheld: &[Withheld],
        bounds: &Bounds,
    ) -> Result<Weight, SnapshotError> {
        self.objects(bounds)?;
        let withheld: HashSet<Hash> = withheld.iter().filter_map(|one| Hash::parse(&one.hash)).collect();
        let mut heaviest = Weight::default();
        let mut known = HashMap::new();
        for snapshot in snapshots {
            let refused = |what: String| SnapshotError::Refused(format!("snapshot {snapshot}: {what}"));
            let hash = Hash::parse(snapshot.as_str()).filter(|hash| self.places.contains_key(hash));
            let hash = hash.ok_or_else(|| refused("it is named, and not there".to_owned()))?;
            let root = node::decode_root(&self.read(&hash)?).map_err(|_| refused("it is none".to_owned()))?;
            let weight = self.weigh(&root.tree, &mut known, &withheld, bounds).map_err(refused)?;
            if weight.members > bounds.members {
                return Err(refused(format!(
                    "it has {} files and directories; {} are taken",
                    weight.members, bounds.members
                )));
            }
            if weight.bytes > bounds.bytes {
                return Err(refused(format!(
                    "its files have {} bytes; {} are taken",
                    weight.bytes, bounds.bytes
                )));
            }
            heaviest.members = heaviest.members.max(weight.members);
            heaviest.bytes = heaviest.bytes.max(weight.bytes);
        }
        Ok(heaviest)
    }

    /// Each object against its name.
    fn objects(&self, bounds: &Bounds) -> Result<(), SnapshotError> {
        let mut all = 0_u64;
        for (at, pack) in self.packs.iter().enumerate() {
            for lines in pack.groups.values() {
                let refused =
                    |what: &dyn std::fmt::Display| SnapshotError::Refused(format!("pack {}: {what}", at + 1));
                let stored = lines.first().map_or(0, |line| u64::from(line.stored));
                let most = (bounds.bytes - all.min(bounds.bytes))
                    .min(stored.saturating_mul(bounds.ratio).max(RATIO_FROM));
                let group = group(self.file, pack.from, lines, most).map_err(|error| refused(&error))?;
                all += group.len() as u64;
                for line in lines {
                    object(&group, line)
                        .ok_or_else(|| refused(&format!("object {} is not what its name says", line.hash)))?;
                }
            }
        }
        Ok(())
    }

    /// What a tree comes to. Each is looked at once, the innermost first.
    fn weigh(
        &self,
        top: &Hash,
        known: &mut HashMap<Hash, Weight>,
        withheld: &HashSet<Hash>,
        bounds: &Bounds,
    ) -> Result<Weight, String> {
        let mut open = vec![*top];
        let mut begun = HashSet::new();
        while let Some(hash) = open.last().copied() {
            if known.contains_key(&hash) {
                open.pop();
                continue;
            }
            let tree = self.child(&hash)?;
            let tree = node::decode_tree(&tree).map_err(|_| format!("object {hash} is no directory"))?;
            let below = tree.iter().filter_map(|(_, node)| match node {
                Node::Folder { tree, .. } if !known.contains_key(tree) => Some(*tree),
                _ => None,
            });
            let below: Vec<Hash> = below.collect();
            if !below.is_empty() {
                // A hash can't be made to name what holds it; but nobody has to rely on that here.
                if !begun.insert(hash) {
                    return Err(format!("directory {hash} lies in itself"));
                }
                open.extend(below);
                continue;
            }
            let mut weight = Weight::default();
            let mut names = HashSet::new();
            for (name, node) in tree {
                if bounds.caseless && !names.insert(name.to_ascii_lowercase()) {
                    return Err(format!(
                        "{} differs from its neighbour only in case, which is the same name here",
                        path(&name).display()
                    ));
                }
                let one = match node {
                    Node::Folder { tree, .. } => known.get(&tree).copied().unwrap_or_default(),
                    Node::File { content: Content::Whole(hash) | Content::Pieces(hash), .. }
                        if withheld.contains(&hash) && !self.places.contains_key(&hash) =>
                    {
                        Weight::default()
                    }
                    Node::File { size, content, .. } => {
                        Weight { members: 0, bytes: self.content(size, &content)? }
                    }
                    Node::Link { .. } | Node::Left(_) => Weight::default(),
                };
                weight.members = weight.members.saturating_add(one.members).saturating_add(1);
                weight.bytes = weight.bytes.saturating_add(one.bytes);
            }
            known.insert(hash, weight);
        }
        Ok(known.get(top).copied().unwrap_or_default())
    }

    /// Bytes that the data of a file comes to, holes not counted.
    fn content(&self, size: u64, content: &Content) -> Result<u64, String> {
        let pieces = match content {
            Content::Whole(hash) => vec![Piece::Data(*hash, size)],
            Content::Pieces(list) => {
                let bytes = self.child(list)?;
                node::decode_pieces(&bytes).map_err(|_| format!("object {list} is no list of pieces"))?
            }
        };
        let mut data = 0_u64;
        for piece in pieces {
            if let Piece::Data(hash, length) = piece {
                let (_, line) =
                    self.places.get(&hash).ok_or_else(|| format!("object {hash} is not there"))?;
                if u64::from(line.length) != length {
                    return Err(format!("object {hash} is not as long as is said"));
                }
                data = data.saturating_add(length);
            }
        }
        Ok(data)
    }

    fn child(&self, hash: &Hash) -> Result<Vec<u8>, String> {
        let (_, line) = self.places.get(hash).ok_or_else(|| format!("object {hash} is not there"))?;
        if u64::from(line.length) > TREE {
            return Err(format!("object {hash} is too large for what it is"));
        }
        self.read(hash).map_err(|error| error.to_string())
    }
}

impl Objects for Foreign<'_> {
    fn has(&self, hash: &Hash) -> Result<bool, SnapshotError> {
        Ok(self.places.contains_key(hash))
    }

    fn read(&self, hash: &Hash) -> Result<Vec<u8>, SnapshotError> {
        let lost = || SnapshotError::Lost(hash.to_string());
        let (at, line) = self.places.get(hash).ok_or_else(lost)?;
        let pack = self.packs.get(*at).ok_or_else(lost)?;
        let mut last = guard(&self.last);
        let same = |known: &&Opened| (known.0, known.1) == (*at, line.offset);
        let bytes = match last.as_ref().filter(same) {
            Some((_, _, bytes)) => Arc::clone(bytes),
            None => {
                let lines = pack.groups.get(&line.offset).map(Vec::as_slice).unwrap_or_default();
                let read = group(self.file, pack.from, lines, u64::MAX);
                let bytes = Arc::new(read.map_err(|error| SnapshotError::Refused(error.to_string()))?);
                *last = Some((*at, line.offset, Arc::clone(&bytes)));
                bytes
            }
        };
        object(&bytes, line).map(<[u8]>::to_vec).ok_or_else(lost)
    }
}

/// Below so many bytes it is no bomb, whatever it was made of.
const RATIO_FROM: u64 = 1 << 20;

/// Reads a group of a pack that begins at a place of a file, up to so many bytes.
pub(super) fn group(file: &File, from: u64, lines: &[Line], most: u64) -> io::Result<Vec<u8>> {
    let Some(first) = lines.first() else { return Ok(Vec::new()) };
    let start = from + first.offset;
    let part = Part { file, at: start, end: start + u64::from(first.stored) };
    let mut bytes = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(part)?;
    decoder.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let what = format!("{} bytes become more than {most}, which is more than is taken", first.stored);
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(bytes)
}

/// An object in a group, if it is what its name says.
pub(super) fn object<'b>(group: &'b [u8], line: &Line) -> Option<&'b [u8]> {
    let bytes = group.get(line.start as usize..)?.get(..line.length as usize)?;
    (Hash::of(bytes) == line.hash).then_some(bytes)
}

/// A part of a file, from its beginning to its end.
struct Part<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl io::Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Whether names that differ only in case are the same in a folder, as far as one can see without writing there.
#[must_use]
pub fn caseless(folder: &Path) -> bool {
    folder.ancestors().any(|place| {
        let Some(name) = place.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            return false;
        };
        let swapped: String = name
            .chars()
            .map(|char| {
                if char.is_ascii_lowercase() { char.to_ascii_uppercase() } else { char.to_ascii_lowercase() }
            })
            .collect();
        swapped != name && place.exists() && fs::symlink_metadata(place.with_file_name(swapped)).is_ok()
    })
}
