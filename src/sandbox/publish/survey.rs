//! Where in the directories that commands write something lies that other programs obey, however deep.
//!
//! Directories that are as they were are not read again: the kernel sets their time of change when an entry comes, goes
//! or gets another name, and no command can set that.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::protocol::is_obeyed;

use super::filter::BARE;

/// Coarse clocks stand still for so long, in nanoseconds.
const TICK: i128 = 20_000_000;

/// What kind of thing lies somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::sandbox) enum Kind {
    Directory,
    File,
    Link,
    Other,
}

/// Which file or directory it is. In another one that takes its place something differs: numbers are used again, but
/// not those of the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::sandbox) struct Identity {
    device: u64,
    inode: u64,
    /// In nanoseconds; nothing where the file system does not know.
    born: Option<u64>,
    pub(in crate::sandbox) kind: Kind,
}

impl Identity {
    pub(in crate::sandbox) fn of(meta: &Metadata) -> Self {
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
    pub(in crate::sandbox) fn at(path: &Path) -> Option<Self> {
        path.symlink_metadata().ok().map(|meta| Self::of(&meta))
    }

    /// As a name that no other one has.
    pub(in crate::sandbox) fn name(&self) -> String {
        format!("{:x}-{:x}-{:x}", self.device, self.inode, self.born.unwrap_or_default())
    }
}

/// Why something is obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Why {
    /// By its name.
    Name,
    /// It is a directory that git takes for a repository, under whatever name.
    Repository,
    /// A configuration of git names it.
    Named,
}

/// Something that is obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) struct Place {
    pub(in crate::sandbox) path: PathBuf,
    pub(in crate::sandbox) identity: Identity,
    pub(in crate::sandbox) why: Why,
}

/// All that is obeyed by name, and what could not be looked into.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Found {
    pub(in crate::sandbox) places: Vec<Place>,
    pub(in crate::sandbox) closed: Vec<(PathBuf, Stamp)>,
}

/// The state of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::sandbox) struct Stamp {
    device: u64,
    inode: u64,
    seconds: i64,
    nanos: i64,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino(), seconds: meta.ctime(), nanos: meta.ctime_nsec() }
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
pub(in crate::sandbox) struct Survey {
    roots: Vec<PathBuf>,
    /// Directories below that commands don't see.
    except: Vec<PathBuf>,
    folders: HashMap<PathBuf, Folder>,
}

impl Survey {
    pub(in crate::sandbox) fn new(roots: Vec<PathBuf>, except: Vec<PathBuf>) -> Self {
        Self { roots, except, folders: HashMap::new() }
    }

    /// Whether something is below one of the roots.
    pub(in crate::sandbox) fn holds(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root) && path != root)
    }

    /// Looks at everything. No link is followed; into what is obeyed itself is not looked.
    pub(in crate::sandbox) fn look(&mut self) -> Found {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos().cast_signed());
        let mut before = std::mem::take(&mut self.folders);
        let mut found = Found::default();
        let mut open = self.roots.clone();
        while let Some(path) = open.pop() {
            if self.folders.contains_key(&path) || self.except.contains(&path) {
                continue;
            }
            let meta = match path.symlink_metadata() {
                Ok(meta) if meta.is_dir() => meta,
                Err(error) if is_closed(&error) => {
                    found.closed.extend(closed(path.parent().unwrap_or(&path)));
                    continue;
                }
                _ => continue,
            };
            let stamp = Stamp::of(&meta);
            let folder = match before.remove(&path) {
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
                let path = path.join(name);
                match path.symlink_metadata() {
                    Ok(meta) => {
                        let identity = Identity::of(&meta);
                        found.places.push(Place { path, identity, why: Why::Name });
                    }
                    Err(error) if is_closed(&error) => {
                        found.closed.extend(closed(path.parent().unwrap_or(&path)));
                    }
                    Err(_) => {}
                }
            }
            if folder.is_repository {
                let identity = Identity::of(&meta);
                found.places.push(Place { path: path.clone(), identity, why: Why::Repository });
            }
            // What is below is git's own, as long as it is one.
            if !folder.is_repository {
                open.extend(folder.inner.iter().map(|name| path.join(name)));
            }
            self.folders.insert(path, folder);
        }
        found.places.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }
}

/// What is obeyed by its name in the directories of these paths and in those above them, as far as they are below the
/// roots; and the repositories that the roots are parts of.
pub(in crate::sandbox) fn around<'p>(paths: impl Iterator<Item = &'p Path>, roots: &[PathBuf]) -> Vec<Place> {
    let mut folders: Vec<&Path> = paths
        .flat_map(|path| path.ancestors().skip(1))
        .filter(|folder| roots.iter().any(|root| folder.starts_with(root)))
        .collect();
    folders.sort_unstable();
    folders.dedup();
    let mut found = above(roots);
    for folder in folders {
        // One that is yet to be made holds nothing.
        let Some(meta) = folder.symlink_metadata().ok().filter(Metadata::is_dir) else { continue };
        let Ok(read) = read(folder, Stamp::of(&meta), 0) else { continue };
        for path in read.obeyed.iter().map(|name| folder.join(name)) {
            found.extend(Identity::at(&path).map(|identity| Place { path, identity, why: Why::Name }));
        }
        if read.is_repository {
            found.push(Place {
                path: folder.to_owned(),
                identity: Identity::of(&meta),
                why: Why::Repository,
            });
        }
    }
    found
}

/// The repositories that the roots are parts of.
pub(in crate::sandbox) fn above(roots: &[PathBuf]) -> Vec<Place> {
    let mut all: Vec<PathBuf> =
        roots.iter().flat_map(|root| root.ancestors().skip(1)).map(|folder| folder.join(".git")).collect();
    all.sort();
    all.dedup();
    let place = |path: PathBuf| {
        let identity = Identity::at(&path).filter(|identity| identity.kind == Kind::Directory)?;
        Some(Place { path, identity, why: Why::Name })
    };
    all.into_iter().filter_map(place).collect()
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
