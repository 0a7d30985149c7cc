//! Files by the directory that they are in, which is open: no name on the way to them is a link, whoever turns one
//! into a link meanwhile.

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags, StatxFlags},
    io::Errno,
};

use super::node::{Extended, Meta, Moment};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// What the system says of a file. All of it but the links and the room it takes tells whether it has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stat {
    /// Kind and permissions.
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) mtime: Moment,
    pub(super) ctime: Moment,
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u64,
    /// Bytes on the disk.
    pub(super) room: u64,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
    Other,
}

impl Stat {
    pub(super) fn kind(&self) -> Kind {
        match fs::FileType::from_raw_mode(self.mode) {
            fs::FileType::RegularFile => Kind::File,
            fs::FileType::Directory => Kind::Folder,
            fs::FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        }
    }

    /// Whether a file with this one has not changed since it had the other.
    pub(super) fn unchanged(&self, since: &Self) -> bool {
        let key = |stat: &Self| Self { links: 0, room: 0, ..*stat };
        key(self) == key(since)
    }

    /// What a snapshot keeps of it. A file that lends somebody's rights is put back without doing so.
    pub(super) fn meta(&self, extended: Extended) -> Meta {
        let kept = match self.kind() {
            Kind::File => 0o1777,
            Kind::Folder => 0o3777,
            // The permissions of a link mean nothing.
            Kind::Link | Kind::Other => 0,
        };
        Meta { mode: self.mode & kept, mtime: self.mtime, uid: self.uid, gid: self.gid, extended }
    }

    /// Whether there are holes in it.
    pub(super) fn sparse(&self) -> bool {
        self.room < self.size
    }
}

/// Opens a directory in another one.
pub(super) fn folder(at: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    fs::openat(at, name, FOLDER, Mode::empty())
}

/// Opens a directory below another one, by names with slashes between them. None of them: that one again.
pub(super) fn below(root: impl AsFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let mut at = folder(root, b".")?;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        at = folder(at, name)?;
    }
    Ok(at)
}

/// The directory of a path and the name there.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, name].join(&b'/') }
}

/// Opens a file to be read; never waits for the other end of a pipe.
pub(super) fn file(at: impl AsFd, name: &[u8]) -> Result<File, Errno> {
    Ok(File::from(fs::openat(at, name, FILE, Mode::empty())?))
}

/// What stands at a name; not where a link leads.
#[cfg(target_os = "linux")]
pub(super) fn stat(at: impl AsFd, name: &[u8]) -> Result<Stat, Errno> {
    statx(at, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// The same of something that is open.
#[cfg(target_os = "linux")]
pub(super) fn stat_open(file: impl AsFd) -> Result<Stat, Errno> {
    statx(file, b"", AtFlags::EMPTY_PATH)
}

#[cfg(target_os = "linux")]
fn statx(at: impl AsFd, name: &[u8], flags: AtFlags) -> Result<Stat, Errno> {
    let found = fs::statx(at, name, flags, StatxFlags::BASIC_STATS)?;
    let moment = |time: fs::StatxTimestamp| Moment { seconds: time.tv_sec, nanos: time.tv_nsec };
    Ok(Stat {
        mode: found.stx_mode.into(),
        size: found.stx_size,
        mtime: moment(found.stx_mtime),
        ctime: moment(found.stx_ctime),
        dev: (u64::from(found.stx_dev_major) << 32) | u64::from(found.stx_dev_minor),
        ino: found.stx_ino,
        uid: found.stx_uid,
        gid: found.stx_gid,
        links: found.stx_nlink.into(),
        room: found.stx_blocks * 512,
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn stat(at: impl AsFd, name: &[u8]) -> Result<Stat, Errno> {
    fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).map(|found| of(&found))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn stat_open(file: impl AsFd) -> Result<Stat, Errno> {
    fs::fstat(file).map(|found| of(&found))
}

#[cfg(not(target_os = "linux"))]
fn of(found: &fs::Stat) -> Stat {
    let moment = |seconds, nanos| Moment { seconds, nanos: u32::try_from(nanos).unwrap_or_default() };
    Stat {
        mode: found.st_mode.into(),
        size: found.st_size.try_into().unwrap_or_default(),
        mtime: moment(found.st_mtime, found.st_mtime_nsec),
        ctime: moment(found.st_ctime, found.st_ctime_nsec),
        dev: found.st_dev as u64,
        ino: found.st_ino,
        uid: found.st_uid,
        gid: found.st_gid,
        links: found.st_nlink.into(),
        room: u64::try_from(found.st_blocks).unwrap_or_default() * 512,
    }
}

/// The extended attributes that a user may set, and access lists.
pub(super) fn extended(file: impl AsFd) -> Result<Extended, Errno> {
    let file = file.as_fd();
    let length = match fs::flistxattr_query(file) {
        Ok(0) | Err(Errno::NOTSUP | Errno::NOSYS | Errno::PERM | Errno::ACCESS) => return Ok(Vec::new()),
        length => length?,
    };
    let mut names = vec![0_u8; length + 1024];
    let length = fs::flistxattr(file, &mut names[..])?;
    names.truncate(length);
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| kept(name)) {
        let mut value = vec![0_u8; fs::fgetxattr_query(file, name)? + 256];
        let length = fs::fgetxattr(file, name, &mut value[..])?;
        value.truncate(length);
        found.push((name.to_vec(), value));
    }
    found.sort();
    Ok(found)
}

/// Whether an extended attribute belongs to the file rather than to the system around it.
pub(super) fn kept(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_")
}

/// The names in a directory, sorted.
pub(super) fn names(folder: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

pub(super) fn gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE)
}
