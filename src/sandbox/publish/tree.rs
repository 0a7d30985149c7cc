//! A directory, and what lies below it: no link on the way is followed, and nothing above it is reached.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Uid, fchown,
        fgetxattr, fstat, mkdirat, openat2, renameat_with, statat, unlinkat,
    },
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::filter::Kind;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) struct Stamp {
    inode: u64,
    size: i64,
    seconds: i64,
    nanos: i64,
}

/// What lies in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) struct Entry {
    pub(in crate::sandbox) name: OsString,
    pub(in crate::sandbox) kind: Kind,
    pub(in crate::sandbox) stamp: Stamp,
}

/// An open directory.
pub(in crate::sandbox) struct Tree {
    directory: OwnedFd,
    /// Whose files are made here, if that is not who makes them.
    owner: Option<(Uid, Gid)>,
}

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);
const PLAIN: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW);

impl Tree {
    /// The directory at `path`, which has no link in it.
    pub(in crate::sandbox) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | PLAIN;
        let directory = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
        let (owner, group) =
            fstat(&directory).map(|stat| (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid)))?;
        let foreign = rustix::process::geteuid().is_root() && !owner.is_root();
        Ok(Self { directory, owner: foreign.then_some((owner, group)) })
    }

    pub(super) fn owner(&self) -> Option<(Uid, Gid)> {
        self.owner
    }

    pub(super) fn at(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        // Nobody is waited for at the other end of a pipe.
        let wait = if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NONBLOCK };
        Ok(openat2(&self.directory, path, flags | PLAIN | wait, mode, BENEATH)?)
    }

    /// A file to be read, and nothing but a file.
    pub(in crate::sandbox) fn file(&self, path: &Path) -> io::Result<Option<File>> {
        let opened = match self.at(path, OFlags::RDONLY, Mode::empty()) {
            Ok(opened) => opened,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if FileType::from_raw_mode(fstat(&opened)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is no file"));
        }
        Ok(Some(opened.into()))
    }

    /// What is in a file.
    ///
    /// # Errors
    /// Also when it is longer than `limit`, or no file.
    pub(in crate::sandbox) fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.file(path)? else { return Ok(None) };
        let mut content = Vec::new();
        file.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(io::Error::other("it is too long"));
        }
        Ok(Some(content))
    }

    /// The state of what lies there; nothing where nothing is.
    pub(in crate::sandbox) fn stat(&self, path: &Path) -> io::Result<Option<(Kind, Stamp)>> {
        let (parent, name) = match self.parent(path) {
            Ok(parent) => parent,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((kind(&stat), stamp(&stat)))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is in a directory, by name. Nothing when it is not there.
    pub(in crate::sandbox) fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let opened = match self.at(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            Ok(opened) => opened,
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut entries = Vec::new();
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => entries.push(Entry {
                    name: std::os::unix::ffi::OsStringExt::from_vec(name.to_bytes().to_vec()),
                    kind: kind(&stat),
                    stamp: stamp(&stat),
                }),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Whether a directory of a layer hides what lies below it in the other one.
    pub(in crate::sandbox) fn is_opaque(&self, path: &Path) -> bool {
        let Ok(opened) = self.at(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) else {
            return false;
        };
        let mut value = [0_u8; 8];
        fgetxattr(&opened, "user.overlay.opaque", &mut value[..])
            .is_ok_and(|length| length == 1 && value[0] == b'y')
    }

    /// The directory that a path lies in, and its name there.
    pub(super) fn parent<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.at(parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?, name))
    }

    /// Makes the directories above a path.
    pub(super) fn make_parents(&self, path: &Path) -> io::Result<()> {
        let above: Vec<&Path> = path.ancestors().skip(1).collect();
        for directory in above.into_iter().rev().filter(|path| !path.as_os_str().is_empty()) {
            let (parent, name) = self.parent(directory)?;
            match mkdirat(&parent, name, Mode::from_raw_mode(0o777)) {
                Ok(()) => {
                    if let Some((user, group)) = self.owner {
                        let made = self.at(directory, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
                        fchown(&made, Some(user), Some(group))?;
                    }
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Removes a file, or whatever is no directory. That it was gone is as good.
    pub(in crate::sandbox) fn remove(&self, path: &Path) -> io::Result<()> {
        self.unlink(path, AtFlags::empty())
    }

    /// Removes a directory when nothing is in it. That it was gone is as good.
    pub(in crate::sandbox) fn remove_empty(&self, path: &Path) -> io::Result<()> {
        self.unlink(path, AtFlags::REMOVEDIR)
    }

    fn unlink(&self, path: &Path, how: AtFlags) -> io::Result<()> {
        let removed = self.parent(path).and_then(|(parent, name)| Ok(unlinkat(&parent, name, how)?));
        match removed {
            Err(error) if is_missing(&error) => Ok(()),
            removed => removed,
        }
    }

    /// Renames something to a name that is free.
    pub(in crate::sandbox) fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((old, name), (new, wanted)) = (self.parent(from)?, self.parent(to)?);
        Ok(renameat_with(&old, name, &new, wanted, RenameFlags::NOREPLACE)?)
    }

    /// Makes a file with this content, where none is.
    pub(super) fn make(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.make_parents(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mut file = File::from(self.at(path, flags, Mode::from_raw_mode(0o666))?);
        if let Some((user, group)) = self.owner {
            fchown(&file, Some(user), Some(group))?;
        }
        file.write_all(content)
    }

    /// Removes a directory with all that is in it.
    pub(in crate::sandbox) fn remove_all(&self, path: &Path) -> io::Result<()> {
        for entry in self.list(path)? {
            let path = path.join(&entry.name);
            if entry.kind == Kind::Directory { self.remove_all(&path)? } else { self.remove(&path)? }
        }
        if path.as_os_str().is_empty() { Ok(()) } else { self.remove_empty(path) }
    }

    /// Everything below, directories before what is in them. Of a directory that `into` does not want nothing more.
    pub(in crate::sandbox) fn walk(&self, into: impl Fn(&Path) -> bool) -> io::Result<Vec<(PathBuf, Entry)>> {
        let mut found = Vec::new();
        let mut open = vec![PathBuf::new()];
        while let Some(directory) = open.pop() {
            let mut inner = Vec::new();
            for entry in self.list(&directory)? {
                let path = directory.join(&entry.name);
                if entry.kind == Kind::Directory && into(&path) {
                    inner.push(path.clone());
                }
                found.push((path, entry));
            }
            open.extend(inner.into_iter().rev());
        }
        Ok(found)
    }
}

/// Whether nothing is there, or something that has no inside where a directory was meant.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

pub(super) fn stamp_of(file: &File) -> io::Result<Stamp> {
    Ok(stamp(&fstat(file.as_fd())?))
}

#[allow(clippy::unnecessary_cast, reason = "the types differ between processors")]
fn stamp(stat: &Stat) -> Stamp {
    Stamp {
        inode: stat.st_ino as u64,
        size: stat.st_size as i64,
        seconds: stat.st_mtime as i64,
        nanos: stat.st_mtime_nsec as i64,
    }
}

impl Stamp {
    pub(super) fn inode(&self) -> u64 {
        self.inode
    }
}

fn kind(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::CharacterDevice if stat.st_rdev == 0 => Kind::Gone,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn no_link_is_followed_and_nothing_above_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("in/deep")).unwrap();
        fs::write(root.join("secret"), "s").unwrap();
        fs::write(root.join("in/deep/file"), "f").unwrap();
        symlink("..", root.join("in/up")).unwrap();
        symlink("../secret", root.join("in/link")).unwrap();
        symlink("deep", root.join("in/deeper")).unwrap();
        let tree = Tree::open(&root.join("in")).unwrap();
        let read = |path: &str| tree.read(Path::new(path), 9).ok().flatten();
        assert_eq!(read("deep/file"), Some(b"f".to_vec()));
        for path in ["up/secret", "link", "deeper/file", "../secret", "/etc/passwd", "deep", "missing"] {
            assert_eq!(read(path), None, "{path}");
        }
        for path in ["up/made/x", "deeper/made/x", "../made/x"] {
            assert!(tree.make_parents(Path::new(path)).is_err(), "{path}");
        }
        // Nothing that could be removed is found there.
        let _ = tree.remove(Path::new("up/secret"));
        assert!(root.join("secret").exists());
        let kinds: Vec<_> =
            tree.walk(|_| true).unwrap().into_iter().map(|(path, entry)| (path, entry.kind)).collect();
        assert_eq!(
            kinds,
            [
                ("deep", Kind::Directory),
                ("deeper", Kind::Other),
                ("link", Kind::Other),
                ("up", Kind::Other),
                ("deep/file", Kind::File)
            ]
            .map(|(path, kind)| (PathBuf::from(path), kind))
        );
        tree.remove_all(Path::new("")).unwrap();
        assert!(root.join("secret").exists() && fs::read_dir(root.join("in")).unwrap().count() == 0);
    }
}
