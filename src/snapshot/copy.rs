//! A copy of a whole workspace, with what no snapshot holds. Where the file system can, copies share their content
//! with the originals until one of them is changed.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags},
    io::Errno,
};

use super::{
    Settings, SnapshotError,
    at::{self, Kind, Stat},
    attributes::{apply, own, times},
    hydrate, number, path,
    take::extent,
    whole,
};

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copied {
    pub files: u64,
    pub bytes: u64,
    /// Bytes of them that take no further room.
    pub shared: u64,
    /// What was not copied, and why.
    pub left: Vec<(PathBuf, String)>,
}

struct Copy {
    from: OwnedFd,
    to: OwnedFd,
    /// Directories of this program, and the copy itself.
    skipped: Vec<(u64, u64)>,
    /// Files with several names, by number.
    same: HashMap<(u64, u64), Vec<u8>>,
    /// Whether the file system shares content, as far as that is known.
    shares: bool,
    copied: Copied,
}

/// Copies the workspace to a place where nothing is. It is there as a whole, or not at all.
///
/// # Errors
/// When something is there already, or it can't be written. What can't be read is left out, and told.
pub fn copy(settings: &Settings, place: &Path) -> Result<Copied, SnapshotError> {
    if place.starts_with(&settings.workspace) {
        return Err(SnapshotError::Within(place.to_owned()));
    }
    whole::make(place, |making| {
        let places = settings.own.iter().chain([&settings.folder]);
        let own = places.filter_map(|place| place.metadata().ok()).map(|meta| number(&meta)).collect();
        let mut copy = Copy {
            from: hydrate::open(&settings.workspace)?,
            to: hydrate::open(making)?,
            skipped: own,
            same: HashMap::new(),
            shares: true,
            copied: Copied::default(),
        };
        copy.folder(b"")?;
        Ok(copy.copied)
    })
}

impl Copy {
    fn folder(&mut self, key: &[u8]) -> Result<(), SnapshotError> {
        let told = |error: Errno| SnapshotError::io(&path(key), error);
        let opened = at::below(&self.from, key).and_then(|folder| Ok((at::stat_open(&folder)?, folder)));
        let (stat, from) = match opened {
            Ok(opened) => opened,
            Err(error) if key.is_empty() => return Err(told(error)),
            Err(error) => return self.left(key, error),
        };
        let names = match at::names(&from) {
            Ok(names) => names,
            Err(error) => return self.left(key, error),
        };
        let to = at::below(&self.to, key).map_err(told)?;
        for name in names {
            let below = at::join(key, &name);
            match at::stat(&from, &name) {
                Err(error) => self.left(&below, error)?,
                Ok(stat) => match stat.kind() {
                    Kind::Folder if self.skipped.contains(&(stat.dev, stat.ino)) => {}
                    Kind::Folder => {
                        fs::mkdirat(&to, &name[..], Mode::RWXU).map_err(told)?;
                        self.folder(&below)?;
                    }
                    Kind::File => self.file((&from, &to), &below, &stat)?,
                    Kind::Link => link((&from, &to), &name, &stat).map_err(told)?,
                    Kind::Other => {
                        let why = "a socket, a pipe or a device".to_owned();
                        self.copied.left.push((path(&below), why));
                    }
                },
            }
        }
        apply(&to, &stat.meta(at::extended(&from).unwrap_or_default())).map_err(told)
    }

    fn file(
        &mut self,
        (from, to): (&OwnedFd, &OwnedFd),
        key: &[u8],
        stat: &Stat,
    ) -> Result<(), SnapshotError> {
        let name = at::split(key).1;
        let told = |error: io::Error| SnapshotError::io(&path(key), error);
        if let Some(first) = self.same.get(&(stat.dev, stat.ino)) {
            let (folder, first) = at::split(first);
            let folder = at::below(&self.to, folder).map_err(|error| told(error.into()))?;
            if fs::linkat(&folder, first, to, name, AtFlags::empty()).is_ok() {
                return Ok(());
            }
        }
        let source = match at::file(from, name) {
            Ok(source) => source,
            Err(error) => return self.left(key, error),
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR);
        let target = File::from(target.map_err(|error| told(error.into()))?);
        if self.shares && clone(&source, &target) {
            self.copied.shared += stat.size;
        } else {
            // A file system that can't once can't ever; most are copied all on one.
            self.shares &= stat.size == 0;
            content(&source, &target, stat).map_err(told)?;
        }
        let extended = at::extended(&source).unwrap_or_default();
        apply(&target, &stat.meta(extended)).map_err(|error| told(error.into()))?;
        if stat.links > 1 {
            self.same.insert((stat.dev, stat.ino), key.to_vec());
        }
        self.copied.files += 1;
        self.copied.bytes += stat.size;
        Ok(())
    }

    /// What goes while this runs was not there; what can't be read is told.
    fn left(&mut self, key: &[u8], error: Errno) -> Result<(), SnapshotError> {
        if !at::gone(error) {
            self.copied.left.push((path(key), io::Error::from(error).to_string()));
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn clone(from: &File, to: &File) -> bool {
    fs::ioctl_ficlone(to, from).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn clone(_from: &File, _to: &File) -> bool {
    false
}

/// Copies what is in a file, without its holes.
fn content(mut from: &File, mut to: &File, stat: &Stat) -> io::Result<()> {
    if !stat.sparse() {
        return io::copy(&mut from, &mut to).map(drop);
    }
    let mut at = 0;
    while at < stat.size {
        let (data, hole) = extent(from, at, stat.size)?;
        if hole > data {
            from.seek(SeekFrom::Start(data))?;
            to.seek(SeekFrom::Start(data))?;
            io::copy(&mut from.take(hole - data), &mut to)?;
        }
        at = hole;
    }
    to.set_len(stat.size)
}

fn link((from, to): (&OwnedFd, &OwnedFd), name: &[u8], stat: &Stat) -> Result<(), Errno> {
    let target = fs::readlinkat(from, name, Vec::new())?;
    fs::symlinkat(target.as_bytes(), to, name)?;
    let meta = stat.meta(Vec::new());
    own(to, name, &meta);
    fs::utimensat(to, name, &times(&meta), AtFlags::SYMLINK_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::super::{
        Limits,
        testing::{World, look, settings},
    };
    use super::*;

    #[test]
    fn a_copy_has_everything_that_no_snapshot_holds_as_well() {
        let world = World::new();
        world.write("node_modules/x/index.js", "x");
        world.write(".git/objects/aa/bb", "object");
        world.write("run.sh", "#!/bin/sh\n");
        std::fs::set_permissions(world.path("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::hard_link(world.path("run.sh"), world.path("z.sh")).unwrap();
        symlink("../away", world.path("link")).unwrap();
        std::fs::File::create(world.path("holes")).unwrap().set_len(5_000_000).unwrap();
        world.write(super::super::testing::name(b"odd\n\xff"), "odd");
        std::fs::create_dir(world.path("closed")).unwrap();
        std::fs::set_permissions(world.path("closed"), std::fs::Permissions::from_mode(0o500)).unwrap();
        let settings = settings(world.folder.path(), Limits::default());
        let place = world.folder.path().join("copy");
        let copied = copy(&settings, &place).unwrap();
        assert_eq!(look(&place), world.look());
        assert_eq!((copied.files, copied.left), (5, vec![]));
        let again = copy(&settings, &place).unwrap_err();
        assert!(matches!(again, SnapshotError::Taken(_)), "{again}");
        let within = copy(&settings, &world.path("inside")).unwrap_err();
        assert!(matches!(within, SnapshotError::Within(_)), "{within}");
        // What is done to the one is not done to the other.
        world.write("run.sh", "other");
        assert_eq!(std::fs::read_to_string(place.join("run.sh")).unwrap(), "#!/bin/sh\n");
    }
}
