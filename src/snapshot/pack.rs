//! A pack: many objects in one file, compressed in groups, with a list of them at its end.
//!
//! It is written beside its place, brought to the disk, and then given its name: there are no half packs. Small files
//! that lie near each other are compressed together, which is what makes them small.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use super::hash::Hash;

pub(super) const MAGIC: &[u8; 8] = b"agntpak1";
/// Where the list begins, how many there are, and the hash of the list.
pub(super) const FOOTER: u64 = 8 + 8 + 32;
/// Bytes of a line in a list: hash, pack, offset and length of the group, place and length in the group.
pub(super) const LINE: usize = 32 + 4 + 8 + 4 + 4 + 4;
/// What the names of files begin with that are not whole yet.
pub(super) const UNFINISHED: &str = "tmp-";
pub(super) const SUFFIX: &str = ".pack";

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) hash: Hash,
    /// Which of the packs that the list is about.
    pub(super) pack: u32,
    /// Of the group, in the pack.
    pub(super) offset: u64,
    /// Of the group, compressed.
    pub(super) stored: u32,
    /// Of the object, in the group.
    pub(super) start: u32,
    pub(super) length: u32,
}

impl Line {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.hash.0);
        out.extend(self.pack.to_le_bytes());
        out.extend(self.offset.to_le_bytes());
        out.extend(self.stored.to_le_bytes());
        out.extend(self.start.to_le_bytes());
        out.extend(self.length.to_le_bytes());
    }

    /// Nothing when there are not as many bytes.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (hash, rest) = bytes.split_first_chunk::<32>()?;
        let (pack, rest) = rest.split_first_chunk::<4>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (stored, rest) = rest.split_first_chunk::<4>()?;
        let (start, rest) = rest.split_first_chunk::<4>()?;
        let (length, _) = rest.split_first_chunk::<4>()?;
        Some(Self {
            hash: Hash(*hash),
            pack: u32::from_le_bytes(*pack),
            offset: u64::from_le_bytes(*offset),
            stored: u32::from_le_bytes(*stored),
            start: u32::from_le_bytes(*start),
            length: u32::from_le_bytes(*length),
        })
    }
}

/// A pack that is being written. It is gone when this is dropped unfinished.
pub(super) struct PackWriter {
    file: tempfile::NamedTempFile,
    pub(super) at: u64,
    lines: Vec<Line>,
}

impl PackWriter {
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
        file.write_all(MAGIC)?;
        Ok(Self { file, at: MAGIC.len() as u64, lines: Vec::new() })
    }

    /// Adds a group: its bytes, compressed, and each object's place and length in it.
    pub(super) fn append(&mut self, group: &[u8], objects: &[(Hash, u32, u32)]) -> io::Result<()> {
        self.file.write_all(group)?;
        let stored = u32::try_from(group.len()).map_err(io::Error::other)?;
        let line = |&(hash, start, length): &(Hash, u32, u32)| Line {
            hash,
            pack: 0,
            offset: self.at,
            stored,
            start,
            length,
        };
        self.lines.extend(objects.iter().map(line));
        self.at += u64::from(stored);
        Ok(())
    }

    /// Brings it to the disk under its name. Gives the name and its sorted list.
    pub(super) fn finish(mut self, folder: &Path) -> io::Result<(String, Vec<u8>)> {
        self.lines.sort_by_key(|line| line.hash);
        let mut list = Vec::with_capacity(self.lines.len() * LINE);
        self.lines.iter().for_each(|line| line.write(&mut list));
        let sum = Hash::of(&list);
        self.file.write_all(&list)?;
        self.file.write_all(&self.at.to_le_bytes())?;
        self.file.write_all(&(self.lines.len() as u64).to_le_bytes())?;
        self.file.write_all(&sum.0)?;
        self.file.as_file().sync_data()?;
        let name: String = sum.to_string().chars().take(32).chain(SUFFIX.chars()).collect();
        self.file.persist(folder.join(&name))?;
        File::open(folder)?.sync_all()?;
        Ok((name, list))
    }
}

/// Reads the list of a pack.
pub(super) fn read_list(path: &Path) -> io::Result<Vec<u8>> {
    let damaged =
        |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    list_of(&file, 0, length).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => damaged(&error.to_string()),
        _ => error,
    })
}

/// The list of a pack that is a part of a file, from a place on.
pub(super) fn list_of(mut file: &File, from: u64, length: u64) -> io::Result<Vec<u8>> {
    let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    if length < MAGIC.len() as u64 + FOOTER {
        return Err(damaged("is shorter than any pack"));
    }
    file.seek(SeekFrom::Start(from + length - FOOTER))?;
    let mut footer = [0; FOOTER as usize];
    file.read_exact(&mut footer)?;
    let mut number = [0; 8];
    number.copy_from_slice(&footer[..8]);
    let start = u64::from_le_bytes(number);
    number.copy_from_slice(&footer[8..16]);
    let bytes = u64::from_le_bytes(number).checked_mul(LINE as u64);
    if bytes.and_then(|bytes| bytes.checked_add(start)) != Some(length - FOOTER) {
        return Err(damaged("does not end as a pack does"));
    }
    file.seek(SeekFrom::Start(from + start))?;
    let mut list = vec![0; usize::try_from(length - FOOTER - start).map_err(io::Error::other)?];
    file.read_exact(&mut list)?;
    if Hash::of(&list).0 != footer[16..] {
        return Err(damaged("its list is not what was written"));
    }
    Ok(list)
}
