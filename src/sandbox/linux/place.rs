//! Places where trees are mounted: found, or made, without following a link.
//!
//! They lie in trees that commands could write in an earlier life of the session.

use std::{
    ffi::OsStr,
    io,
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, open, openat, openat2, unlinkat,
    },
    io::Errno,
};

const ENTRY: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a path that had no link in it when it was judged, and must have none now.
pub(super) fn open_plain(path: &Path) -> io::Result<OwnedFd> {
    let opened = openat2(CWD, path, ENTRY, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    match opened.map_err(io::Error::from).and_then(|opened| Ok((kind(&opened)?, opened))) {
        // The last part may be one, and is what was opened then.
        Ok((FileType::Symlink, _)) => Err(at(path, Errno::LOOP.into())),
        Ok((_, opened)) => Ok(opened),
        Err(error) => Err(at(path, error)),
    }
}

/// What lies at an open place.
pub(super) fn kind(opened: &OwnedFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(opened)?.st_mode))
}

/// A place for a tree, made if it is missing. Below the `private` directories of a session, a link or file that is
/// in the way was put there by a command of the session, and is removed.
pub(super) fn make(path: &Path, directory: bool, private: &[PathBuf]) -> io::Result<OwnedFd> {
    let names: Vec<&OsStr> = path
        .components()
        .filter_map(|part| if let Component::Normal(name) = part { Some(name) } else { None })
        .collect();
    let mut here = PathBuf::from("/");
    let mut opened = open("/", ENTRY | OFlags::DIRECTORY, Mode::empty())?;
    for (index, name) in names.iter().enumerate() {
        let own = private.iter().any(|private| here.starts_with(private));
        here.push(name);
        let wanted =
            if directory || index + 1 < names.len() { FileType::Directory } else { FileType::RegularFile };
        opened = step(&opened, name, wanted, own).map_err(|error| at(&here, error))?;
    }
    Ok(opened)
}

fn step(parent: &OwnedFd, name: &OsStr, wanted: FileType, own: bool) -> io::Result<OwnedFd> {
    let look = || openat(parent, name, ENTRY, Mode::empty());
    match look() {
        Ok(found) => {
            let is = kind(&found)?;
            // A device or a socket is covered as a file is.
            if is == wanted
                || (wanted == FileType::RegularFile && !matches!(is, FileType::Directory | FileType::Symlink))
            {
                return Ok(found);
            }
            if !own {
                return Err(io::Error::other("something else is in the place of a directory or file"));
            }
            let how = if is == FileType::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            unlinkat(parent, name, how)?;
        }
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    if wanted == FileType::Directory {
        mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(parent, name, flags, Mode::from_raw_mode(0o644))?;
    }
    Ok(look()?)
}

/// An error, with the path that it is about.
#[expect(clippy::needless_pass_by_value, reason = "so that it can be given to `map_err`")]
pub(super) fn at(path: impl AsRef<Path>, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.as_ref().display()))
}
