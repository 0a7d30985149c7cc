//! Files and directories, opened by paths that have no link in them.
//!
//! A path that was resolved and judged leads to what was judged only as long as nobody turns a part of it into a
//! link. Here it is opened without following any (`openat2` with `RESOLVE_NO_SYMLINKS`), and everything else happens
//! relative to the open directory: who turns a directory into a link after the judgement gets an error, and not a
//! file outside. Where the kernel has no `openat2` the path is resolved again and must be the same, which leaves a
//! small gap.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{self, Dir, Mode, OFlags},
    io::Errno,
};

#[cfg(target_os = "linux")]
pub(super) const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
pub(super) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a directory, as a place that names are relative to.
#[cfg(target_os = "linux")]
pub(super) fn directory(path: &Path) -> Result<OwnedFd, Errno> {
    let resolve = fs::ResolveFlags::NO_SYMLINKS | fs::ResolveFlags::NO_MAGICLINKS;
    match fs::openat2(fs::CWD, path, DIRECTORY, Mode::empty(), resolve) {
        // An old kernel, or a filter that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => same_directory(path),
        other => other,
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn directory(path: &Path) -> Result<OwnedFd, Errno> {
    same_directory(path)
}

/// Opens a directory whose path leads to itself at this moment.
fn same_directory(path: &Path) -> Result<OwnedFd, Errno> {
    let real = path
        .canonicalize()
        .map_err(|error| error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))?;
    if real != path {
        return Err(Errno::LOOP);
    }
    fs::openat(fs::CWD, path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
}

/// The open directory that a path lies in, and its name there.
pub(super) fn parent(path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((directory(parent)?, name)),
        _ => Err(io::ErrorKind::IsADirectory.into()),
    }
}

/// Opens a file that is one, to be read: not a pipe, which would never answer, and not a link put there meanwhile.
pub(super) fn file(directory: impl AsFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(fs::openat(directory, name, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// The names in a directory.
pub(super) fn names(path: &Path) -> io::Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(Dir::new(fs::openat(directory(path)?, ".", flags, Mode::empty())?)?)
}
