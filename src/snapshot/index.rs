//! Where each object is: the lists of all packs, sorted. Most of them stand together in one file, so that a store of
//! many packs is opened as fast as one of few. That file can be lost: the packs are the truth. A pack that is not whole
//! is as good as none: what it held is not there, and is written anew when it is met again.

use std::{collections::HashSet, fs, io, io::Write as _, path::Path, sync::Arc};

use super::{
    bytes::{Malformed, Put as _, Take},
    hash::Hash,
    pack::{FOOTER, LINE, Line, MAGIC as PACK_MAGIC, SUFFIX, UNFINISHED, read_list},
};

const FILE: &str = "index";
const MAGIC: &[u8] = b"agntidx2";
/// Packs beside the common file at most.
const BESIDE: usize = 16;

/// The lists of all packs.
#[derive(Debug, Default, Clone)]
pub(super) struct Index {
    /// Names of packs.
    pub(super) packs: Vec<String>,
    /// Bytes of each pack.
    lengths: Vec<u64>,
    lists: Vec<Arc<List>>,
    /// Names of packs that lie there and are not whole.
    pub(super) damaged: Vec<String>,
}

#[derive(Debug)]
struct List {
    lines: Vec<u8>,
    /// Which pack each number of its lines is.
    packs: Vec<u32>,
}

impl Index {
    /// Reads what is in a folder of packs.
    pub(super) fn load(folder: &Path, names: &[String]) -> io::Result<Self> {
        let mut index = Self::default();
        // One that was cut since is found by its length.
        let whole = |(name, length): (&String, &u64)| {
            names.binary_search(name).is_ok()
                && folder.join(name).metadata().is_ok_and(|meta| meta.len() == *length)
        };
        if let Some(common) = common(folder)
            && common.packs.iter().zip(&common.lengths).all(whole)
        {
            let packs = (0..u32::try_from(common.packs.len()).map_err(io::Error::other)?).collect();
            (index.packs, index.lengths) = (common.packs, common.lengths);
            index.lists.push(Arc::new(List { lines: common.lines, packs }));
        }
        let known: HashSet<String> = index.packs.iter().cloned().collect();
        for name in names.iter().filter(|name| !known.contains(*name)) {
            match read_list(&folder.join(name)) {
                Ok(lines) => index.add(name.clone(), lines),
                Err(error) if damage(&error) => index.damaged.push(name.clone()),
                Err(error) => return Err(error),
            }
        }
        Ok(index)
    }

    pub(super) fn add(&mut self, name: String, lines: Vec<u8>) {
        let number = u32::try_from(self.packs.len()).unwrap_or(u32::MAX);
        // It may have been written where a damaged one lay.
        self.damaged.retain(|damaged| *damaged != name);
        self.packs.push(name);
        let list = List { lines, packs: vec![number] };
        let groups = list.lines().map(|line| line.offset + u64::from(line.stored)).max();
        self.lengths.push(groups.unwrap_or(PACK_MAGIC.len() as u64) + list.lines.len() as u64 + FOOTER);
        self.lists.push(Arc::new(list));
    }

    /// Where an object is; the newest place.
    pub(super) fn find(&self, hash: &Hash) -> Option<Line> {
        self.lists.iter().rev().find_map(|list| list.find(hash))
    }

    /// All that is known; of what stands in several packs, each place.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line> {
        self.lists.iter().flat_map(|list| list.lines())
    }

    /// Puts all lists together into the common file, if there are many.
    pub(super) fn settle(&mut self, folder: &Path) -> io::Result<()> {
        if self.lists.len() <= BESIDE {
            return Ok(());
        }
        let mut lines: Vec<Line> = Vec::new();
        for list in &self.lists {
            lines.extend(list.lines());
        }
        lines.sort_by_key(|line| (line.hash, line.pack));
        lines.dedup_by_key(|line| line.hash);
        let mut all = Vec::with_capacity(lines.len() * LINE);
        lines.iter().for_each(|line| line.write(&mut all));
        let mut head = MAGIC.to_vec();
        head.number(self.packs.len() as u64);
        for (name, length) in self.packs.iter().zip(&self.lengths) {
            head.string(name.as_bytes());
            head.number(*length);
        }
        let mut sum = blake3::Hasher::new();
        sum.update(&head).update(&all);
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
        for part in [&head, &all, &sum.finalize().as_bytes().to_vec()] {
            file.write_all(part)?;
        }
        file.persist(folder.join(FILE))?;
        let packs = (0..u32::try_from(self.packs.len()).map_err(io::Error::other)?).collect();
        self.lists = vec![Arc::new(List { lines: all, packs })];
        Ok(())
    }
}

impl List {
    fn find(&self, hash: &Hash) -> Option<Line> {
        let (mut low, mut high) = (0, self.lines.len() / LINE);
        while low < high {
            let middle = usize::midpoint(low, high);
            let line = self.lines.get(middle * LINE..)?;
            match line.get(..32)?.cmp(&hash.0[..]) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.line(line),
            }
        }
        None
    }

    fn line(&self, bytes: &[u8]) -> Option<Line> {
        let line = Line::read(bytes)?;
        Some(Line { pack: *self.packs.get(line.pack as usize)?, ..line })
    }

    fn lines(&self) -> impl Iterator<Item = Line> {
        self.lines.chunks_exact(LINE).filter_map(|bytes| self.line(bytes))
    }
}

/// The packs of a folder, by name.
pub(super) fn packs(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        if let Ok(name) = entry?.file_name().into_string()
            && name.ends_with(SUFFIX)
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Whether a pack could be read, and is none: cut short, overwritten, or on a part of the disk that is broken.
fn damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// What the common file says.
struct Common {
    packs: Vec<String>,
    lengths: Vec<u64>,
    lines: Vec<u8>,
}

/// Reads the common file, if it is whole.
fn common(folder: &Path) -> Option<Common> {
    let bytes = fs::read(folder.join(FILE)).ok()?;
    let (content, sum) = bytes.split_last_chunk::<32>()?;
    if Hash::of(content).0 != *sum {
        return None;
    }
    let read = || -> Result<Common, Malformed> {
        let mut take = Take(content.strip_prefix(MAGIC).ok_or(Malformed)?);
        let (mut packs, mut lengths) = (Vec::new(), Vec::new());
        for _ in 0..take.number()? {
            packs.push(String::from_utf8(take.string()?.to_vec()).map_err(|_| Malformed)?);
            lengths.push(take.number()?);
        }
        Ok(Common { packs, lengths, lines: take.0.to_vec() })
    };
    read().ok()
}
