//! Writing into the user's workspace: below it and nowhere else, whatever links lie in the way.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, fchmod, fchown, fstat, futimens,
        mkdirat, openat, renameat, symlinkat, unlinkat,
    },
    io::Errno,
};

/// A workspace, held open.
pub(super) struct Place {
    root: OwnedFd,
}

impl Place {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self { root: openat(CWD, root, flags, Mode::empty())? })
    }

    /// Writes a file whole, in the place of what is there: who reads it meanwhile sees the old one or the new one.
    pub(super) fn write(
        &self,
        path: &Path,
        content: &mut dyn Read,
        mode: u32,
        modified: i64,
    ) -> io::Result<()> {
        let (folder, name) = self.folder_of(path)?;
        let temporary = temporary();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&folder, &temporary, flags, Mode::from_raw_mode(0o600))?);
        let written = (|| {
            io::copy(content, &mut file)?;
            own(&file, &folder)?;
            fchmod(&file, Mode::from_raw_mode(mode & 0o777))?;
            let times = Timestamps {
                last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
                last_modification: Timespec { tv_sec: modified, tv_nsec: 0 },
            };
            futimens(&file, &times)?;
            take_name(&folder, &temporary, name)
        })();
        if written.is_err() {
            // What is half done must not stay.
            let _ = unlinkat(&folder, &temporary, AtFlags::empty());
        }
        written
    }

    pub(super) fn link(&self, path: &Path, target: &Path) -> io::Result<()> {
        let (folder, name) = self.folder_of(path)?;
        let temporary = temporary();
        symlinkat(target, &folder, &temporary)?;
        let named = take_name(&folder, &temporary, name);
        if named.is_err() {
            let _ = unlinkat(&folder, &temporary, AtFlags::empty());
        }
        named
    }

    /// A directory, in the place of a file or link that is there.
    pub(super) fn directory(&self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.folder_of(path)?;
        match step(&folder, name, true) {
            Err(Errno::NOTDIR | Errno::LOOP) => {
                unlinkat(&folder, name, AtFlags::empty())?;
                step(&folder, name, true)?;
            }
            other => drop(other?),
        }
        Ok(())
    }

    /// Removes a file, a link, or an empty directory. One that is gone or not empty is left.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let Ok((folder, name)) = self.existing_folder_of(path) else { return Ok(()) };
        match unlinkat(&folder, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => match unlinkat(&folder, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
                Err(error) => Err(error.into()),
            },
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn folder_of<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        self.walk(path, true)
    }

    fn existing_folder_of<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        self.walk(path, false)
    }

    fn walk<'p>(&self, path: &'p Path, create: bool) -> io::Result<(OwnedFd, &'p OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut folder = self.root.try_clone()?;
        for part in path.parent().into_iter().flat_map(Path::iter) {
            folder = step(&folder, part, create)?;
        }
        Ok((folder, name))
    }
}

/// Into a directory that is one: links are not followed.
fn step(folder: &OwnedFd, name: &OsStr, create: bool) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    match openat(folder, name, flags, Mode::empty()) {
        Err(Errno::NOENT) if create => {
            mkdirat(folder, name, Mode::from_raw_mode(0o777))?;
            let made = openat(folder, name, flags, Mode::empty())?;
            own(&made, folder)?;
            Ok(made)
        }
        other => other,
    }
}

/// Root leaves what it makes in somebody's workspace to that somebody.
fn own(made: &impl std::os::fd::AsFd, folder: &OwnedFd) -> Result<(), Errno> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = fstat(folder)?;
    fchown(made, Some(rustix::fs::Uid::from_raw(owner.st_uid)), Some(rustix::fs::Gid::from_raw(owner.st_gid)))
}

fn take_name(folder: &OwnedFd, temporary: &Path, name: &OsStr) -> io::Result<()> {
    match renameat(folder, temporary, folder, name) {
        Err(Errno::ISDIR) => {
            // Emptied before, if it was to be replaced.
            unlinkat(folder, name, AtFlags::REMOVEDIR)?;
            Ok(renameat(folder.as_fd(), temporary, folder.as_fd(), name)?)
        }
        other => Ok(other?),
    }
}

fn temporary() -> PathBuf {
    format!(".agent-{}", uuid::Uuid::new_v4().simple()).into()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn files_links_and_directories_take_each_others_place() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let place = Place::open(root).unwrap();
        place.write(Path::new("a/b"), &mut &b"one"[..], 0o4755, 1_000).unwrap();
        let meta = fs::metadata(root.join("a/b")).unwrap();
        assert_eq!(meta.permissions().mode() & 0o7777, 0o755, "without the set-id bit");
        assert_eq!(meta.modified().unwrap(), std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000));
        place.remove(Path::new("a/b")).unwrap();
        place.write(Path::new("a"), &mut &b"file"[..], 0o644, 0).unwrap();
        place.directory(Path::new("a")).unwrap();
        place.directory(Path::new("a")).unwrap();
        place.link(Path::new("a"), Path::new("/nowhere")).unwrap();
        assert_eq!(fs::read_link(root.join("a")).unwrap(), Path::new("/nowhere"));
        place.remove(Path::new("a")).unwrap();
        place.remove(Path::new("a")).unwrap();
        assert_eq!(fs::read_dir(root).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_written_or_removed_through_a_link() {
        let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("victim"), "whole").unwrap();
        std::os::unix::fs::symlink(other.path(), directory.path().join("door")).unwrap();
        std::os::unix::fs::symlink(other.path().join("victim"), directory.path().join("file")).unwrap();
        let place = Place::open(directory.path()).unwrap();
        assert!(place.write(Path::new("door/victim"), &mut &b"x"[..], 0o644, 0).is_err());
        assert!(place.link(Path::new("door/new"), Path::new("x")).is_err());
        assert!(place.directory(Path::new("door/new")).is_err());
        place.remove(Path::new("door/victim")).unwrap();
        // In the place of the link itself.
        place.write(Path::new("file"), &mut &b"x"[..], 0o644, 0).unwrap();
        assert_eq!(fs::read(other.path().join("victim")).unwrap(), b"whole");
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
    }
}
