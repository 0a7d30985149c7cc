//! A snapshot as `workspace.tar.zst`: what any `tar --zstd -xf` makes a workspace of again.
//!
//! It is written from the store, a file at a time, and takes its name when it is whole and on the disk. The format is
//! POSIX pax, with sparse files as GNU tar writes them and extended attributes as it reads them. A header at the
//! beginning names the snapshot, so that nobody has to read the rest to know which one it is.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufWriter, Read as _, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use zstd::zstd_safe::CParameter;

use crate::protocol::SnapshotId;

use super::{
    SnapshotError, Why, at,
    compare::together,
    node::{Content, Meta, Moment, Node, Piece, Root, Tree},
    path,
    store::Store,
};

const BLOCK: usize = 512;
/// Compression: what tar users choose.
const LEVEL: i32 = 3;
/// The logarithms of how many places the compressor looks at, for long and for short matches: half of what the level says,
/// which stays in the processor's nearer caches. A tenth less time for one percent more bytes.
const LOGS: [CParameter; 2] = [CParameter::HashLog(16), CParameter::ChainLog(15)];
/// More threads than this want more memory than they save time.
const THREADS: usize = 4;
/// Bytes that are collected before they are compressed.
const BUFFER: usize = 256 << 10;
/// Numbers above it do not fit into the eight octal digits of a header.
const OCTAL: u64 = 0o7_777_777;
/// What the comment at the beginning begins with.
const COMMENT: &str = "agent snapshot ";

/// A tarball that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tarball {
    pub files: u64,
    /// Of its files.
    pub bytes: u64,
    /// That it takes on the disk.
    pub stored: u64,
    /// What was there when the snapshot was taken, and is not part of it.
    pub left: Vec<(PathBuf, Why)>,
}

/// Writes a snapshot to a file, which is there whole or not at all.
pub(super) fn write(
    store: &Store,
    snapshot: &SnapshotId,
    root: &Root,
    to: &Path,
    stop: &AtomicBool,
) -> Result<Tarball, SnapshotError> {
    let told = |error| SnapshotError::io(to, error);
    let part = begin(to).map_err(told)?;
    let written = (|| {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        let mut encoder = zstd::stream::write::Encoder::new(&part, LEVEL).map_err(told)?;
        encoder.include_checksum(true).map_err(told)?;
        for log in LOGS {
            encoder.set_parameter(log).map_err(told)?;
        }
        encoder.multithread(u32::try_from(threads).unwrap_or(1)).map_err(told)?;
        let out = BufWriter::with_capacity(BUFFER, encoder);
        let told = |error: io::Error| match error.downcast::<SnapshotError>() {
            Ok(error) => error,
            Err(error) => SnapshotError::io(to, error),
        };
        let tarball = Tarball { files: 0, bytes: 0, stored: 0, left: Vec::new() };
        let mut writer = Writer { store, out, stop, tarball };
        writer.all(snapshot, root).map_err(told)?;
        let encoder = writer.out.into_inner().map_err(|error| told(error.into_error()))?;
        encoder.finish().and_then(|part| part.sync_all()).map_err(told)?;
        Ok(Tarball { stored: part.metadata().map_err(told)?.len(), ..writer.tarball })
    })();
    let named = written.and_then(|tarball| {
        fs::rename(beside(to), to).map_err(told)?;
        Ok(tarball)
    });
    if named.is_err() {
        // The next one takes its place.
        let _ = fs::remove_file(beside(to));
    } else if let Some(folder) = to.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(told)?;
    }
    named
}

/// The snapshot that a tarball is of; nothing if it does not say.
#[must_use]
pub fn tarball_of(file: &Path) -> Option<SnapshotId> {
    let decoder = zstd::stream::read::Decoder::new(File::open(file).ok()?).ok()?;
    let mut head = Vec::new();
    decoder.take(2 * BLOCK as u64).read_to_end(&mut head).ok()?;
    let text = std::str::from_utf8(head.get(BLOCK..)?).ok()?;
    let (_, rest) = text.split_once(COMMENT)?;
    let id = rest.get(..64)?;
    id.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| SnapshotId(id.to_owned()))
}

/// Where it is written before it is whole.
fn beside(to: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(to.file_name().unwrap_or_default());
    name.push(".part");
    to.with_file_name(name)
}

/// Opens the file that is written to, empty. What a killed program has left there is overwritten; two programs do not
/// write at the same time.
fn begin(to: &Path) -> io::Result<File> {
    let path = beside(to);
    loop {
        let file =
            File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        file.try_lock().map_err(|error| match error {
            fs::TryLockError::Error(error) => error,
            fs::TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another program is writing it")
            }
        })?;
        // Whoever had it before may just have given it its name.
        let same = path.metadata().is_ok_and(|named| {
            file.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (named.dev(), named.ino()))
        });
        if same {
            file.set_len(0)?;
            return Ok(file);
        }
    }
}

struct Writer<'a, W> {
    store: &'a Store,
    out: W,
    stop: &'a AtomicBool,
    tarball: Tarball,
}

/// The kind of a member, as its header says it.
#[derive(Clone, Copy)]
enum Kind {
    File,
    HardLink,
    Link,
    Folder,
}

impl<W: Write> Writer<'_, W> {
    fn all(&mut self, snapshot: &SnapshotId, root: &Root) -> io::Result<()> {
        let mut records = Vec::new();
        record(&mut records, b"comment", format!("{COMMENT}{snapshot}").as_bytes());
        self.extended(b'g', &records)?;
        let together = together(root);
        // Of files that are the same, the one that came first: by the first of their paths.
        let mut first: HashMap<&[u8], Vec<u8>> = HashMap::new();
        self.member(Kind::Folder, b"./", &root.meta, 0, b"", &[])?;
        // Directories that are not finished: their paths, and what is still to come of each.
        let mut open: Vec<(Vec<u8>, <Tree as IntoIterator>::IntoIter)> =
            vec![(Vec::new(), self.tree(&root.tree)?.into_iter())];
        while let Some((folder, rest)) = open.last_mut() {
            let Some((name, node)) = rest.next() else {
                open.pop();
                continue;
            };
            let key = at::join(folder, &name);
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::other(SnapshotError::Stopped));
            }
            let member = [b"./", &key[..]].concat();
            match node {
                Node::Folder { meta, tree } => {
                    self.member(Kind::Folder, &[&member[..], b"/"].concat(), &meta, 0, b"", &[])?;
                    open.push((key, self.tree(&tree)?.into_iter()));
                }
                Node::Link { meta, target } => {
                    // The permissions of a link mean nothing, and have to be something.
                    let meta = Meta { mode: 0o777, ..meta };
                    self.member(Kind::Link, &member, &meta, 0, &target, &[])?;
                }
                Node::File { meta, size, content } => {
                    let same = together.get(&key[..]).and_then(|paths| paths.first());
                    match same.and_then(|same| first.get(&same[..])) {
                        Some(target) => self.member(Kind::HardLink, &member, &meta, 0, target, &[])?,
                        None => {
                            self.file(&member, &meta, size, &content)?;
                            if let Some(same) = same {
                                first.insert(same, member);
                            }
                        }
                    }
                    self.tarball.files += 1;
                }
                Node::Left(why) => self.tarball.left.push((path(&key), why)),
            }
        }
        self.out.write_all(&[0; 2 * BLOCK])
    }

    fn tree(&self, hash: &super::hash::Hash) -> io::Result<Tree> {
        self.store.tree(hash).map_err(io::Error::other)
    }

    fn file(&mut self, name: &[u8], meta: &Meta, size: u64, content: &Content) -> io::Result<()> {
        let pieces = match content {
            Content::Whole(hash) => vec![Piece::Data(*hash, size)],
            Content::Pieces(list) => self.store.pieces(list).map_err(io::Error::other)?,
        };
        let map = sparse_map(&pieces, size);
        let data = match &map {
            None => {
                self.member(Kind::File, name, meta, size, b"", &[])?;
                size
            }
            Some(map) => {
                let data: u64 = map.iter().map(|(_, length)| length).sum();
                let mut text = format!("{}\n", map.len());
                for (offset, length) in map {
                    text.push_str(&format!("{offset}\n{length}\n"));
                }
                let padded = text.len().next_multiple_of(BLOCK);
                let mut records = Vec::new();
                record(&mut records, b"GNU.sparse.major", b"1");
                record(&mut records, b"GNU.sparse.minor", b"0");
                record(&mut records, b"GNU.sparse.name", name);
                record(&mut records, b"GNU.sparse.realsize", size.to_string().as_bytes());
                let (folder, base) = at::split(name);
                let shown = [folder, b"/GNUSparseFile.0/", base].concat();
                self.member(Kind::File, &shown, meta, data + padded as u64, b"", &records)?;
                self.out.write_all(text.as_bytes())?;
                self.pad(text.len() as u64)?;
                data
            }
        };
        let mut written = 0;
        for piece in &pieces {
            if let Piece::Data(hash, length) = piece {
                let bytes = self.store.view(hash).map_err(io::Error::other)?;
                if bytes.len() as u64 != *length {
                    return Err(io::Error::other(SnapshotError::Lost(hash.to_string())));
                }
                self.out.write_all(&bytes)?;
                written += length;
            }
        }
        if written != data {
            let what = format!("{} is not as long as the store says", path(name).display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.tarball.bytes += data;
        self.pad(data)
    }

    /// Writes the header of a member, and one before it for what does not fit there.
    fn member(
        &mut self,
        kind: Kind,
        name: &[u8],
        meta: &Meta,
        size: u64,
        target: &[u8],
        more: &[u8],
    ) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        let mut records = more.to_vec();
        let Meta { mode, mtime, uid, gid, extended } = meta;
        let old = header.as_old_mut();
        for (field, value, key) in
            [(&mut old.name, name, &b"path"[..]), (&mut old.linkname, target, &b"linkpath"[..])]
        {
            let fits = value.len() <= field.len();
            let shown = value.get(..value.len().min(field.len())).unwrap_or_default();
            field.iter_mut().zip(shown).for_each(|(place, byte)| *place = *byte);
            // The name of a sparse file is told with the rest of it.
            if !fits && (key != b"path" || more.is_empty()) {
                record(&mut records, key, value);
            }
        }
        header.set_entry_type(match kind {
            Kind::File => tar::EntryType::Regular,
            Kind::HardLink => tar::EntryType::Link,
            Kind::Link => tar::EntryType::Symlink,
            Kind::Folder => tar::EntryType::Directory,
        });
        header.set_mode(*mode);
        for (number, key) in [(*uid, &b"uid"[..]), (*gid, b"gid")] {
            if u64::from(number) > OCTAL {
                record(&mut records, key, number.to_string().as_bytes());
            }
        }
        let fits = |number: u64| if number > OCTAL { 0 } else { number };
        header.set_uid(fits((*uid).into()));
        header.set_gid(fits((*gid).into()));
        // Above it the number would be written in a way of GNU tar's own.
        if size >= 1 << 33 {
            record(&mut records, b"size", size.to_string().as_bytes());
        }
        header.set_size(size);
        let seconds = u64::try_from(mtime.seconds).ok().filter(|seconds| *seconds < 1 << 33);
        header.set_mtime(seconds.unwrap_or_default());
        if seconds.is_none() || mtime.nanos != 0 {
            record(&mut records, b"mtime", decimal(*mtime).as_bytes());
        }
        for (name, value) in extended {
            record(&mut records, &[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        if !records.is_empty() {
            self.extended(b'x', &records)?;
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    /// Writes records for the next member, or for all.
    fn extended(&mut self, kind: u8, records: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        let name = if kind == b'g' { &b"pax_global_header"[..] } else { b"././@PaxHeader" };
        header.as_old_mut().name.iter_mut().zip(name).for_each(|(place, byte)| *place = *byte);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(records.len() as u64);
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(records)?;
        self.pad(records.len() as u64)
    }

    fn pad(&mut self, length: u64) -> io::Result<()> {
        let over = usize::try_from(length % BLOCK as u64).unwrap_or_default();
        let zeros = [0; BLOCK];
        self.out.write_all(zeros.get(..(BLOCK - over) % BLOCK).unwrap_or_default())
    }
}

/// A record: how long it is as a whole, a key and a value.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    // The length counts its own digits.
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    out.extend(length.to_string().as_bytes());
    out.push(b' ');
    out.extend(key);
    out.push(b'=');
    out.extend(value);
    out.push(b'\n');
}

/// Seconds with all their digits.
fn decimal(moment: Moment) -> String {
    let Moment { seconds, nanos } = moment;
    match (seconds, nanos) {
        (_, 0) => seconds.to_string(),
        // Nanoseconds count forwards, also before 1970.
        (..0, _) => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanos),
        _ => format!("{seconds}.{nanos:09}"),
    }
}

/// Where the data of a file with holes is: offsets and lengths, and the end. Nothing for a file without holes.
fn sparse_map(pieces: &[Piece], size: u64) -> Option<Vec<(u64, u64)>> {
    let mut map: Vec<(u64, u64)> = Vec::new();
    let (mut at, mut holes) = (0, false);
    for piece in pieces {
        match piece {
            Piece::Hole(length) => {
                holes = true;
                at += length;
            }
            Piece::Data(_, length) => {
                match map.last_mut() {
                    Some((start, known)) if *start + *known == at => *known += length,
                    _ => map.push((at, *length)),
                }
                at += length;
            }
        }
    }
    // A hole at the end is told by an empty piece behind it.
    if holes && map.last().is_none_or(|(start, length)| start + length < size) {
        map.push((size, 0));
    }
    holes.then_some(map)
}
