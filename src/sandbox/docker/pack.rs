//! Archives on their way over the border.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read, Seek as _, SeekFrom, Write},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tar::{Archive, Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::{listing::relative, manifest::Content, scan};
use crate::sandbox::linux::secrets;

/// Bytes that are sent at once.
const PIECE: usize = 256 << 10;

/// Who owns what is packed, and who else reads it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) ids: (u32, u32),
    /// Commands are somebody else, who may only read.
    pub(super) only_read: bool,
}

/// Packs files of the workspace at `root` for the inside. What has changed since it was looked at is packed as it
/// is now: the next look sees that.
pub(super) fn pack<'p>(
    root: &Path,
    paths: impl Iterator<Item = (&'p PathBuf, &'p Content)>,
    owner: Owner,
    sink: impl Write,
) -> io::Result<()> {
    let mut builder = Builder::new(sink);
    let others = |mode: u32, readable: u32| if owner.only_read { mode | readable } else { mode };
    for (path, content) in paths {
        let full = root.join(path);
        let Ok(meta) = full.symlink_metadata() else { continue };
        let mut header = Header::new_gnu();
        header.set_uid(owner.ids.0.into());
        header.set_gid(owner.ids.1.into());
        header.set_mtime(meta.mtime().try_into().unwrap_or(0));
        header.set_size(0);
        match content {
            Content::Directory => {
                header.set_entry_type(EntryType::Directory);
                header.set_mode(others(meta.mode() & 0o777 | 0o700, 0o555));
                builder.append_data(&mut header, path, io::empty())?;
            }
            Content::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                header.set_mode(0o777);
                builder.append_link(&mut header, path, target)?;
            }
            Content::Hidden => {
                header.set_mode(others(0o400, 0o444));
                header.set_size(secrets::TEXT.len() as u64);
                builder.append_data(&mut header, path, secrets::TEXT.as_bytes())?;
            }
            Content::File { mode, .. } => {
                let Ok(file) = scan::open(&full) else { continue };
                let size = file.metadata()?.len();
                let time = format!("{}.{:09}", meta.mtime(), meta.mtime_nsec());
                builder.append_pax_extensions([("mtime", time.as_bytes())])?;
                let readable = if mode & 0o111 == 0 { 0o444 } else { 0o555 };
                header.set_mode(others(*mode, readable));
                header.set_size(size);
                // It may shrink or grow while it is read.
                let exactly = file.take(size).chain(io::repeat(0)).take(size);
                builder.append_data(&mut header, path, exactly)?;
            }
        }
    }
    builder.into_inner()?.flush()
}

/// A sink whose bytes go to a task.
pub(super) struct Sending {
    pieces: mpsc::Sender<Result<Bytes, io::Error>>,
    buffer: Vec<u8>,
}

impl Sending {
    pub(super) fn new(pieces: mpsc::Sender<Result<Bytes, io::Error>>) -> Self {
        Self { pieces, buffer: Vec::with_capacity(PIECE) }
    }
}

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.pieces.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// What an archive from inside holds, and where in it.
pub(super) struct Packed {
    spool: File,
    pub(super) members: BTreeMap<PathBuf, Member>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) content: Content,
    pub(super) modified: i64,
    offset: u64,
    size: u64,
}

impl Packed {
    /// Reads an archive that is whole. Only files and links count, and only those that were asked for.
    pub(super) fn read(mut spool: File, wanted: impl Fn(&Path) -> bool) -> io::Result<Self> {
        spool.seek(SeekFrom::Start(0))?;
        let mut members: BTreeMap<PathBuf, Member> = BTreeMap::new();
        let mut archive = Archive::new(BufReader::new(spool.try_clone()?));
        for entry in archive.entries()? {
            let mut entry = entry?;
            let Some(path) = relative(&entry.path()?).filter(|path| wanted(path)) else { continue };
            let header = entry.header();
            let (kind, mode) = (header.entry_type(), header.mode()? & 0o777);
            let modified = i64::try_from(header.mtime()?).unwrap_or(0);
            let (offset, size) = (entry.raw_file_position(), entry.size());
            let member = match kind {
                EntryType::Regular | EntryType::Continuous => {
                    let mut hasher = blake3::Hasher::new();
                    io::copy(&mut entry, &mut hasher)?;
                    let content = Content::File { hash: hasher.finalize(), mode };
                    Member { content, modified, offset, size }
                }
                EntryType::Symlink => {
                    let Some(target) = entry.link_name()? else { continue };
                    let target = PathBuf::from(target.as_os_str());
                    if target.as_os_str().is_empty() || target.as_os_str().as_bytes().contains(&0) {
                        continue;
                    }
                    Member { content: Content::Link(target), modified, offset, size: 0 }
                }
                // The same file under a second name. The first one has come before.
                EntryType::Link => {
                    let first = entry.link_name()?.and_then(|name| relative(&name));
                    let Some(first) = first.and_then(|first| members.get(&first)) else { continue };
                    first.clone()
                }
                _ => continue,
            };
            members.insert(path, member);
        }
        Ok(Self { spool, members })
    }

    /// Nothing.
    pub(super) fn empty() -> io::Result<Self> {
        Ok(Self { spool: tempfile::tempfile()?, members: BTreeMap::new() })
    }

    /// Puts something else in the place of a file's content.
    pub(super) fn replace(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        if let Some(member) = self.members.get_mut(path)
            && let Content::File { hash, .. } = &mut member.content
        {
            member.offset = self.spool.seek(SeekFrom::End(0))?;
            member.size = content.len() as u64;
            self.spool.write_all(content)?;
            *hash = blake3::hash(content);
        }
        Ok(())
    }

    /// The content of a file.
    pub(super) fn content(&self, member: &Member) -> io::Result<impl Read + use<>> {
        let mut spool = self.spool.try_clone()?;
        spool.seek(SeekFrom::Start(member.offset))?;
        Ok(spool.take(member.size))
    }

    /// A small file as a whole; nothing when it is larger.
    pub(super) fn small(&self, member: &Member, most: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        (member.size <= most).then_some(())?;
        self.content(member).ok()?.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(build: impl FnOnce(&mut Builder<&mut File>)) -> File {
        let mut file = tempfile::tempfile().unwrap();
        let mut builder = Builder::new(&mut file);
        build(&mut builder);
        builder.into_inner().unwrap();
        file
    }

    /// A member under a name that the builder itself would refuse.
    fn hostile(builder: &mut Builder<&mut File>, name: &str, kind: EntryType, target: &str) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o7777);
        header.set_size(0);
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        builder.append(&header, io::empty()).unwrap();
    }

    #[test]
    fn what_was_packed_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let long = "long/".repeat(60) + "name";
        std::fs::create_dir_all(root.join(&long).parent().unwrap()).unwrap();
        std::fs::write(root.join(&long), "content").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
        let file = Content::File { hash: blake3::hash(b"content"), mode: 0o644 };
        let link = Content::Link("/etc/passwd".into());
        let paths = [(PathBuf::from(&long), file.clone()), ("link".into(), link.clone())];
        let mut packed = tempfile::tempfile().unwrap();
        let owner = Owner { ids: (1000, 1000), only_read: false };
        pack(root, paths.iter().map(|(path, content)| (path, content)), owner, &mut packed).unwrap();
        let packed = Packed::read(packed, |_| true).unwrap();
        let contents: Vec<_> =
            packed.members.iter().map(|(path, member)| (path.clone(), member.content.clone())).collect();
        assert_eq!(contents, [(PathBuf::from("link"), link), (long.clone().into(), file)]);
        let member = &packed.members[Path::new(&long)];
        assert_eq!(packed.small(member, 100).unwrap(), b"content");
        assert_eq!(packed.small(member, 3), None);
    }

    #[test]
    fn hostile_members_are_left_out() {
        let file = spool(|builder| {
            for (name, kind, target) in [
                ("/etc/passwd", EntryType::Regular, ""),
                ("../up", EntryType::Regular, ""),
                ("a/../../up", EntryType::Regular, ""),
                ("device", EntryType::Char, ""),
                ("pipe", EntryType::Fifo, ""),
                ("hard", EntryType::Link, "/etc/shadow"),
                ("unasked", EntryType::Regular, ""),
                ("set-id", EntryType::Regular, ""),
            ] {
                hostile(builder, name, kind, target);
            }
        });
        let packed = Packed::read(file, |path| path != Path::new("unasked")).unwrap();
        let names: Vec<_> = packed.members.keys().map(|path| path.display().to_string()).collect();
        assert_eq!(names, ["set-id"]);
        let Content::File { mode, .. } = packed.members[Path::new("set-id")].content else { panic!() };
        assert_eq!(mode, 0o777);
    }
}
