//! The files of the workspace as they lie outside.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::manifest::{Content, Entry, Manifest, Outside};
use crate::sandbox::linux::secrets;

/// Coarse clocks stand still for so long, in nanoseconds.
const TICK: i128 = 20_000_000;

/// What the outside is like, and what is different there from what both sides knew.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// What lies there now, where it is another one than before. Nothing: it is gone.
    pub(super) changes: BTreeMap<PathBuf, Option<(Content, Option<Outside>)>>,
    /// Files that can't be read. They are left where they are.
    pub(super) unreadable: Vec<PathBuf>,
}

/// What commands don't get to see.
#[derive(Debug, Clone, Default)]
pub(super) struct Unseen {
    /// Directories of this program.
    pub(super) own: Vec<PathBuf>,
    /// Files that are shown although they look like secrets.
    pub(super) reveal: Vec<PathBuf>,
}

/// Looks at everything below `root`, and reads what looks different from what is known.
pub(super) fn scan(root: &Path, known: &mut Manifest, unseen: &Unseen) -> io::Result<Scan> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos().cast_signed());
    let mut found = Scan::default();
    let mut seen = std::collections::BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(root.join(&folder)) {
            Ok(entries) => entries,
            Err(error) if folder.as_os_str().is_empty() => return Err(error),
            Err(_) => {
                found.unreadable.push(folder);
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = folder.join(entry.file_name());
            let Ok(meta) = entry.metadata() else { continue };
            if unseen.own.iter().any(|own| *own == root.join(&path)) {
                continue;
            }
            let outside = Outside::of(&meta);
            let sure =
                i128::from(outside.changed.0) * 1_000_000_000 + i128::from(outside.changed.1) + TICK < now;
            if meta.is_dir() {
                folders.push(path.clone());
            }
            let before = known.entries.get_mut(&path);
            if let Some(Entry { outside: Some(known), .. }) = before.as_deref()
                && *known == outside
            {
                seen.insert(path);
                continue;
            }
            let is_hidden = before.as_deref().is_some_and(|before| before.content == Content::Hidden);
            let content = match read(&root.join(&path), &meta) {
                Ok(Some(Content::File { .. })) if is_hidden => Content::Hidden,
                Ok(Some(content)) => content,
                // Devices, pipes and sockets are nobody's files.
                Ok(None) => continue,
                Err(_) => {
                    found.unreadable.push(path.clone());
                    seen.insert(path);
                    continue;
                }
            };
            seen.insert(path.clone());
            let look = sure.then_some(outside);
            match before {
                Some(before) if before.content == content => before.outside = look,
                _ => drop(found.changes.insert(path, Some((content, look)))),
            }
        }
    }
    let new = found.changes.iter().filter(|(path, now)| {
        matches!(now, Some((Content::File { .. }, _))) && !known.entries.contains_key(*path)
    });
    for path in secrets::among(root, new.map(|(path, _)| path.as_path()), &unseen.reveal) {
        if let Some(Some((content, _))) = found.changes.get_mut(&path) {
            *content = Content::Hidden;
        }
    }
    let gone = known.entries.keys().filter(|path| !seen.contains(*path));
    found.changes.extend(gone.map(|path| (path.clone(), None)));
    Ok(found)
}

fn read(path: &Path, meta: &Metadata) -> io::Result<Option<Content>> {
    let kind = meta.file_type();
    if kind.is_dir() {
        Ok(Some(Content::Directory))
    } else if kind.is_symlink() {
        Ok(Some(Content::Link(fs::read_link(path)?)))
    } else if kind.is_file() {
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut open(path)?, &mut hasher)?;
        Ok(Some(Content::File { hash: hasher.finalize(), mode: meta.mode() & 0o777 }))
    } else {
        Ok(None)
    }
}

/// A file that was one a moment ago: not waited for when it has become a pipe, and not followed when it has become a
/// link.
pub(super) fn open(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

impl Outside {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self {
            mode: meta.mode(),
            size: meta.size(),
            file: meta.ino(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(root: &Path, known: &mut Manifest) -> Vec<(String, bool)> {
        let scan = scan(root, known, &Unseen::default()).unwrap();
        scan.changes.into_iter().map(|(path, now)| (path.display().to_string(), now.is_some())).collect()
    }

    #[test]
    fn what_was_changed_removed_and_made_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("d")).unwrap();
        for name in ["d/a", "b", "c"] {
            fs::write(root.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
        let mut known = Manifest::default();
        for (path, now) in scan(root, &mut known, &Unseen::default()).unwrap().changes {
            let (content, outside) = now.unwrap();
            known.entries.insert(path, Entry { content, outside, inside: None });
        }
        assert_eq!(known.entries.len(), 5);
        assert_eq!(known.entries[Path::new("link")].content, Content::Link("/etc/passwd".into()));
        assert_eq!(changes(root, &mut known), []);
        // In the same moment, of the same size.
        fs::write(root.join("b"), "x").unwrap();
        fs::remove_file(root.join("c")).unwrap();
        fs::write(root.join("d/new"), "").unwrap();
        let expected = [("b", true), ("c", false), ("d/new", true)];
        assert_eq!(changes(root, &mut known), expected.map(|(name, there)| (name.to_owned(), there)));
    }

    #[test]
    fn secrets_are_hidden_and_what_is_this_programs_own_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("own/keys")).unwrap();
        for name in [".env", "shown.pem", "file", "own/keys/key"] {
            fs::write(root.join(name), "-----BEGIN PRIVATE KEY-----").unwrap();
        }
        let unseen = Unseen { own: vec![root.join("own")], reveal: vec!["shown.pem".into()] };
        let mut known = Manifest::default();
        let found = scan(root, &mut known, &unseen).unwrap().changes;
        let names: Vec<&Path> = found.keys().map(PathBuf::as_path).collect();
        assert_eq!(names, [".env", "file", "shown.pem"].map(Path::new));
        let is_hidden = |name: &str| found[Path::new(name)].as_ref().unwrap().0 == Content::Hidden;
        assert!(is_hidden(".env") && !is_hidden("file") && !is_hidden("shown.pem"));
        for (path, now) in found {
            let (content, outside) = now.unwrap();
            known.entries.insert(path, Entry { content, outside, inside: None });
        }
        // It stays so when it is changed, and what commands know stays known.
        for name in [".env", "file"] {
            fs::write(root.join(name), "PASSWORD=other").unwrap();
        }
        let changed: Vec<PathBuf> = scan(root, &mut known, &unseen).unwrap().changes.into_keys().collect();
        assert_eq!(changed, [PathBuf::from("file")]);
    }
}
