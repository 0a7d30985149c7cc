//! Where in the directories that commands write something lies that other programs obey, however deep.
//!
//! Directories that are as they were are not read again: the kernel sets their time of change when an entry comes, goes
//! or gets another name, and no command can set that.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, statat};
use serde::{Deserialize, Serialize};

use crate::{protocol::is_obeyed, sandbox::publish::filter::BARE};

/// Coarse clocks stand still for so long, in nanoseconds.
const TICK: i128 = 20_000_000;

/// What kind of thing lies somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Kind {
    Directory,
    File,
    Link,
    Other,
}

/// Which file or directory it is. In another one that takes its place something differs: numbers are used again, but
/// not those of the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    /// In nanoseconds; nothing where the file system does not know.
    born: Option<u64>,
    pub(super) kind: Kind,
}

impl Identity {
    pub(super) fn of(meta: &Metadata) -> Self {
        let kind = meta.file_type();
        let born = meta.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            born: born.and_then(|born| u64::try_from(born.as_nanos()).ok()),
            kind: if kind.is_dir() {
                Kind::Directory
            } else if kind.is_file() {
                Kind::File
            } else if kind.is_symlink() {
                Kind::Link
            } else {
                Kind::Other
            },
        }
    }

    /// Of what lies at a path, links not followed.
    pub(super) fn at(path: &Path) -> Option<Self> {
        path.symlink_metadata().ok().map(|meta| Self::of(&meta))
    }

    /// As a name that no other one has.
    pub(super) fn name(&self) -> String {
        format!("{:x}-{:x}-{:x}", self.device, self.inode, self.born.unwrap_or_default())
    }
}

/// Why something is obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// By its name.
    Name,
    /// It is a directory that git takes for a repository, under whatever name.
    Repository,
    /// A configuration of git names it.
    Named,
}

/// Something that is obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    pub(super) why: Why,
}

/// All that is obeyed by name, and what could not be looked into.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) places: Vec<Place>,
    pub(super) closed: Vec<(PathBuf, Stamp)>,
}

/// The state of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    seconds: i64,
    nanos: i64,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino(), seconds: meta.ctime(), nanos: meta.ctime_nsec() }
    }

    /// Of a directory in an open one; nothing when it is no directory.
    fn inside(directory: &OwnedFd, name: &OsStr) -> io::Result<Option<Self>> {
        let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        #[allow(clippy::unnecessary_cast, reason = "the types differ between processors")]
        let stamp = Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            seconds: stat.st_ctime as i64,
            nanos: stat.st_ctime_nsec as i64,
        };
        Ok(FileType::from_raw_mode(stat.st_mode).is_dir().then_some(stamp))
    }

    /// Which directory it is, whatever its state and name.
    fn directory(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Whether a change after this one would show.
    fn is_past(&self, now: i128) -> bool {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos) + TICK < now
    }
}

/// What was read of a directory.
struct Folder {
    stamp: Stamp,
    sure: bool,
    inner: Vec<OsString>,
    obeyed: Vec<OsString>,
    is_repository: bool,
}

/// The directories, as they were at the last look.
pub(super) struct Survey {
    roots: Vec<PathBuf>,
    /// Directories below that commands don't see.
    except: Vec<PathBuf>,
    folders: HashMap<(u64, u64), Folder>,
}

impl Survey {
    pub(super) fn new(roots: Vec<PathBuf>, except: Vec<PathBuf>) -> Self {
        Self { roots, except, folders: HashMap::new() }
    }

    /// Whether something is below one of the roots.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root) && path != root)
    }

    /// Looks at everything. No link is followed; into what is obeyed itself is not looked.
    pub(super) fn look(&mut self) -> Found {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos().cast_signed());
        let mut before = std::mem::take(&mut self.folders);
        let mut found = Found::default();
        let mut open = self.start(&mut found);
        while let Some((path, stamp)) = open.pop() {
            let folder = match before.remove(&stamp.directory()) {
                Some(folder) if folder.sure && folder.stamp == stamp => folder,
                _ => match read(&path, stamp, now) {
                    Ok(folder) => folder,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(_) => {
                        found.closed.push((path, stamp));
                        continue;
                    }
                },
            };
            for name in &folder.obeyed {
                found.place(path.join(name), Why::Name);
            }
            if folder.is_repository {
                // What is below is git's own, as long as it is one.
                found.place(path, Why::Repository);
            } else if !folder.inner.is_empty() {
                self.enter(path, stamp, &folder.inner, &mut open, &mut found);
            }
            self.folders.insert(stamp.directory(), folder);
        }
        found.places.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// The roots, in front of a look.
    fn start(&self, found: &mut Found) -> Vec<(PathBuf, Stamp)> {
        let mut open = Vec::new();
        let roots: BTreeSet<&PathBuf> =
            self.roots.iter().filter(|root| !self.except.contains(root)).collect();
        for root in roots {
            match root.symlink_metadata() {
                Ok(meta) if meta.is_dir() => open.push((root.clone(), Stamp::of(&meta))),
                Err(error) if is_closed(&error) => found.closed.extend(closed(root.parent().unwrap_or(root))),
                _ => {}
            }
        }
        open
    }

    /// Adds what a directory has of others to those that are to be looked at. They are asked for by their names in it:
    /// the way to it is gone once for all of them, which is most of what a look costs.
    fn enter(
        &self,
        path: PathBuf,
        stamp: Stamp,
        inner: &[OsString],
        open: &mut Vec<(PathBuf, Stamp)>,
        found: &mut Found,
    ) {
        let directory = match rustix::fs::open(
            &path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            Ok(directory) => directory,
            Err(error) => {
                if is_closed(&error.into()) {
                    found.closed.push((path, stamp));
                }
                return;
            }
        };
        let mut was_closed = false;
        for name in inner {
            let inside = path.join(name);
            // Another root is looked at by itself.
            if self.except.iter().chain(&self.roots).any(|other| other.as_os_str() == inside.as_os_str()) {
                continue;
            }
            match Stamp::inside(&directory, name) {
                Ok(Some(stamp)) => open.push((inside, stamp)),
                Ok(None) => {}
                Err(error) => was_closed |= is_closed(&error),
            }
        }
        if was_closed {
            found.closed.push((path, stamp));
        }
    }
}

impl Found {
    /// Adds what lies at a path, if something does.
    fn place(&mut self, path: PathBuf, why: Why) {
        match path.symlink_metadata() {
            Ok(meta) => self.places.push(Place { path, identity: Identity::of(&meta), why }),
            Err(error) if is_closed(&error) => self.closed.extend(closed(path.parent().unwrap_or(&path))),
            Err(_) => {}
        }
    }
}

/// Whether there may be something that this user does not get to see.
fn is_closed(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn closed(path: &Path) -> Option<(PathBuf, Stamp)> {
    Some((path.to_owned(), Stamp::of(&path.symlink_metadata().ok()?)))
}

fn read(path: &Path, stamp: Stamp, now: i128) -> io::Result<Folder> {
    let mut folder = Folder {
        stamp,
        sure: stamp.is_past(now),
        inner: Vec::new(),
        obeyed: Vec::new(),
        is_repository: false,
    };
    // Of the names that make a directory a repository, and of the one that makes it a part of another.
    let (mut bare, mut part) = (0, 0);
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        bare += usize::from(BARE.iter().any(|known| name == *known));
        part += usize::from(name == "HEAD" || name == "commondir");
        if is_obeyed(&name) {
            folder.obeyed.push(name);
        } else if entry.file_type()?.is_dir() {
            folder.inner.push(name);
        }
    }
    folder.is_repository = bare == BARE.len() || part == 2;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(survey: &mut Survey, root: &Path) -> Vec<String> {
        let place = |place: Place| place.path.strip_prefix(root).unwrap().display().to_string();
        survey.look().places.into_iter().map(place).collect()
    }

    #[test]
    fn what_is_obeyed_is_found_however_deep_and_at_every_look() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for path in ["a/b/.vscode", "a/.git/modules/m", "bare/objects", "bare/refs", "own/.git", "tree"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in ["bare/HEAD", "tree/HEAD", "tree/commondir", "a/b/.ENVRC"] {
            fs::write(root.join(path), "").unwrap();
        }
        std::os::unix::fs::symlink("a", root.join("link")).unwrap();
        let mut survey = Survey::new(vec![root.clone()], vec![root.join("own")]);
        let all = ["a/.git", "a/b/.ENVRC", "a/b/.vscode", "bare", "tree"];
        assert_eq!(names(&mut survey, &root), all);
        assert_eq!(names(&mut survey, &root), all);
        // In the same moment, and deep.
        fs::create_dir(root.join("a/b/.zed")).unwrap();
        fs::remove_file(root.join("bare/HEAD")).unwrap();
        assert_eq!(names(&mut survey, &root), ["a/.git", "a/b/.ENVRC", "a/b/.vscode", "a/b/.zed", "tree"]);
    }

    #[test]
    fn what_takes_the_place_of_something_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::os::unix::fs::symlink("a", &path).unwrap();
        let first = Identity::at(&path).unwrap();
        assert_eq!(Identity::at(&path), Some(first));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("b", &path).unwrap();
        assert_ne!(Identity::at(&path), Some(first));
    }
}
