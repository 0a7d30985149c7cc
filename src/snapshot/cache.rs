//! What the files of the last snapshot looked like from outside, so that those that look the same are not read again.
//!
//! It can be lost: then all files are read. A file that was changed shortly before it was looked at is read again in any
//! case, because a further change within the same tick of the clock would not be seen.

use std::{collections::HashMap, fs, io, io::Write as _, ops::Range, path::Path};

use super::{
    at::Stat,
    bytes::{Malformed, Put as _, Take},
    hash::Hash,
    node::{Content, Moment},
    pack::UNFINISHED,
};

const MAGIC: &[u8] = b"agntsta1";
const FILE: &str = "files";

/// The files of the last snapshot.
#[derive(Default)]
pub(super) struct Cache {
    bytes: Vec<u8>,
    folders: HashMap<Vec<u8>, Range<usize>>,
    /// The last snapshot.
    pub(super) root: Option<Hash>,
}

/// A directory of the last snapshot.
pub(super) struct KnownFolder<'a> {
    pub(super) tree: Hash,
    pub(super) files: Vec<KnownFile<'a>>,
}

/// A file of the last snapshot.
pub(super) struct KnownFile<'a> {
    pub(super) name: &'a [u8],
    pub(super) stat: Stat,
    pub(super) content: Content,
    /// What was read may be older than what can be seen from outside.
    pub(super) racy: bool,
    pub(super) extended: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Cache {
    /// Reads what was kept; nothing if it is not whole, or if a pack has gone that it relies on.
    pub(super) fn load(folder: &Path, packs: &[String]) -> Self {
        let Ok(bytes) = fs::read(folder.join(FILE)) else { return Self::default() };
        Self::read(bytes, packs).unwrap_or_default()
    }

    fn read(bytes: Vec<u8>, packs: &[String]) -> Result<Self, Malformed> {
        let (content, sum) = bytes.split_last_chunk::<32>().ok_or(Malformed)?;
        if Hash::of(content).0 != *sum {
            return Err(Malformed);
        }
        let end = content.len();
        let mut take = Take(content.strip_prefix(MAGIC).ok_or(Malformed)?);
        for _ in 0..take.number()? {
            let name = take.string()?;
            if !packs.iter().any(|pack| pack.as_bytes() == name) {
                return Err(Malformed);
            }
        }
        let root = Some(take.hash()?);
        let mut folders = HashMap::new();
        while !take.is_empty() {
            let path = take.string()?.to_vec();
            let block = take.string()?.len();
            let after = end - take.0.len();
            folders.insert(path, after - block..after);
        }
        Ok(Self { bytes, folders, root })
    }

    /// What is known of a directory, its files sorted by name.
    pub(super) fn folder(&self, path: &[u8]) -> Option<KnownFolder<'_>> {
        let block = self.bytes.get(self.folders.get(path)?.clone())?;
        let read = || -> Result<KnownFolder<'_>, Malformed> {
            let mut take = Take(block);
            let tree = take.hash()?;
            let mut files = Vec::new();
            while !take.is_empty() {
                files.push(take_file(&mut take)?);
            }
            Ok(KnownFolder { tree, files })
        };
        read().ok()
    }

    /// Keeps what is known where all of it lies in other packs now.
    pub(super) fn move_to(&self, folder: &Path, packs: &[String]) -> io::Result<()> {
        let skip = || -> Result<&[u8], Malformed> {
            let (content, _) = self.bytes.split_last_chunk::<32>().ok_or(Malformed)?;
            let mut take = Take(content.strip_prefix(MAGIC).ok_or(Malformed)?);
            for _ in 0..take.number()? {
                take.string()?;
            }
            take.hash()?;
            Ok(take.0)
        };
        let (Some(root), Ok(rest)) = (&self.root, skip()) else { return Ok(()) };
        let mut moved = NewCache::new(packs, root);
        moved.bytes.extend_from_slice(rest);
        moved.save(folder)
    }

    pub(super) fn forget(folder: &Path) -> io::Result<()> {
        fs::remove_file(folder.join(FILE))
    }

    /// How many directories there are.
    pub(super) fn len(&self) -> usize {
        self.folders.len()
    }
}

/// A cache that is being written.
pub(super) struct NewCache {
    bytes: Vec<u8>,
    block: Vec<u8>,
}

impl NewCache {
    pub(super) fn new(packs: &[String], root: &Hash) -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.number(packs.len() as u64);
        packs.iter().for_each(|pack| bytes.string(pack.as_bytes()));
        bytes.hash(root);
        Self { bytes, block: Vec::new() }
    }

    pub(super) fn file(&mut self, file: &KnownFile<'_>) {
        let out = &mut self.block;
        let KnownFile { name, stat, content, racy, extended } = file;
        out.string(name);
        for number in [stat.mode.into(), stat.size, stat.dev, stat.ino, stat.uid.into(), stat.gid.into()] {
            out.number(number);
        }
        for moment in [stat.mtime, stat.ctime] {
            out.signed(moment.seconds);
            out.number(moment.nanos.into());
        }
        let (Content::Whole(hash) | Content::Pieces(hash)) = content;
        out.push(u8::from(*racy) << 1 | u8::from(matches!(content, Content::Pieces(_))));
        out.hash(hash);
        out.number(extended.len() as u64);
        for (name, value) in extended {
            out.string(name);
            out.string(value);
        }
    }

    /// Ends a directory: its files were told before.
    pub(super) fn folder(&mut self, path: &[u8], tree: &Hash) {
        self.bytes.string(path);
        self.bytes.number(32 + self.block.len() as u64);
        self.bytes.hash(tree);
        self.bytes.append(&mut self.block);
    }

    pub(super) fn save(mut self, folder: &Path) -> io::Result<()> {
        let sum = Hash::of(&self.bytes);
        self.bytes.hash(&sum);
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder.join("packs"))?;
        file.write_all(&self.bytes)?;
        file.persist(folder.join(FILE))?;
        Ok(())
    }
}

fn take_file<'a>(take: &mut Take<'a>) -> Result<KnownFile<'a>, Malformed> {
    let name = take.string()?;
    let mode = take.small()?;
    let (size, dev, ino) = (take.number()?, take.number()?, take.number()?);
    let (uid, gid) = (take.small()?, take.small()?);
    let mtime = Moment { seconds: take.signed()?, nanos: take.small()? };
    let ctime = Moment { seconds: take.signed()?, nanos: take.small()? };
    let flags = take.byte()?;
    let hash = take.hash()?;
    let content = if flags & 1 == 0 { Content::Whole(hash) } else { Content::Pieces(hash) };
    let mut extended = Vec::new();
    for _ in 0..take.number()? {
        extended.push((take.string()?.to_vec(), take.string()?.to_vec()));
    }
    let stat = Stat { mode, size, mtime, ctime, dev, ino, uid, gid, links: 0, room: 0 };
    Ok(KnownFile { name, stat, content, racy: flags & 2 != 0, extended })
}
