//! The shelf: copies of skills at a place that commands see as well, read-only, in each sandbox.
//!
//! A copy is named by its content, so that a session goes on with what it began with, whatever becomes of the folder
//! that it came from. A copy that is not what its name says is made anew.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::Skill;

/// Files of one skill, and bytes of all of them, at most.
const FILES: usize = 1_000;
const BYTES: u64 = 16 << 20;
/// Folders in folders.
const DEPTH: usize = 8;
/// Letters of the hash in a name.
const LETTERS: usize = 12;
/// A copy that nobody asked for this long goes.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Where copies lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    folder: PathBuf,
}

/// The files of a skill, by their path in it: their content, and whether they can be run.
pub(super) type Files = BTreeMap<PathBuf, (Vec<u8>, bool)>;

impl Shelf {
    /// The shelf in this folder, which is made when it is needed.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder of a skill's copy. Links, and what is no file, are left out of it.
    ///
    /// # Errors
    /// When it can't be read or copied, or is too large.
    pub fn put(&self, skill: &Skill) -> io::Result<PathBuf> {
        self.keep(&skill.name, &files(&skill.folder)?)
    }

    pub(super) fn keep(&self, name: &str, files: &Files) -> io::Result<PathBuf> {
        let hash: String = hash(files).chars().take(LETTERS).collect();
        let place = self.folder.join(format!("{name}-{hash}"));
        if self::files(&place).is_ok_and(|there| there == *files) {
            // Whoever tidies up goes by this time. It is no harm when it can't be set.
            drop(fs::File::open(&place).and_then(|folder| folder.set_modified(SystemTime::now())));
            return Ok(place);
        }
        DirBuilder::new().recursive(true).mode(0o755).create(&self.folder)?;
        let new = tempfile::Builder::new().prefix(".new-").tempdir_in(&self.folder)?;
        write(new.path(), files)?;
        if place.symlink_metadata().is_ok() {
            // It is not what it should be. Whoever reads it meanwhile keeps what they have opened.
            let old = tempfile::Builder::new().prefix(".old-").tempdir_in(&self.folder)?;
            fs::rename(&place, old.path().join("it"))?;
        }
        match fs::rename(new.path(), &place) {
            Ok(()) => {
                let _ = new.keep();
            }
            // Another session was faster.
            Err(_) if self::files(&place).is_ok_and(|there| there == *files) => {}
            Err(error) => return Err(error),
        }
        Ok(place)
    }

    /// Removes copies that nobody has asked for in a month. What can't be removed stays.
    pub fn tidy(&self, now: SystemTime) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let changed = entry.metadata().and_then(|meta| meta.modified());
            let old = changed.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > UNUSED));
            if old {
                drop(fs::remove_dir_all(entry.path()));
            }
        }
    }
}

/// Writes files into a folder that is there and empty, to be read by everybody and written by nobody.
pub(super) fn write(folder: &Path, files: &Files) -> io::Result<()> {
    for (path, (bytes, runs)) in files {
        let to = folder.join(path);
        if let Some(above) = to.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(above)?;
        }
        let mode = fs::Permissions::from_mode(if *runs { 0o555 } else { 0o444 });
        let mut file = OpenOptions::new().write(true).create_new(true).open(&to)?;
        file.write_all(bytes)?;
        // Commands may be somebody else, whatever the umask says.
        file.set_permissions(mode)?;
        for above in to.ancestors().skip(1).take_while(|above| above.starts_with(folder)) {
            fs::set_permissions(above, fs::Permissions::from_mode(0o755))?;
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

/// The files below a folder.
pub(super) fn files(folder: &Path) -> io::Result<Files> {
    let mut walk = Walk { root: folder, files: Files::new(), bytes: 0 };
    walk.folder(folder, 0)?;
    Ok(walk.files)
}

struct Walk<'a> {
    root: &'a Path,
    files: Files,
    bytes: u64,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() && entry.file_name() != ".git" {
                if depth == DEPTH {
                    return Err(io::Error::other(format!("{} lies too deep", path.display())));
                }
                self.folder(&path, depth + 1)?;
            } else if kind.is_file() {
                self.file(&path)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        // Not through a link that was put there meanwhile, nor a pipe.
        let file =
            OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        file.take(BYTES - self.bytes + 1).read_to_end(&mut bytes)?;
        self.bytes += bytes.len() as u64;
        if self.bytes > BYTES || self.files.len() == FILES {
            return Err(io::Error::other(format!("it has more than {FILES} files, or {} MiB", BYTES >> 20)));
        }
        let name = path.strip_prefix(self.root).unwrap_or(path).to_owned();
        self.files.insert(name, (bytes, meta.permissions().mode() & 0o100 != 0));
        Ok(())
    }
}

/// A hash over names, modes and contents.
fn hash(files: &Files) -> String {
    let mut hasher = blake3::Hasher::new();
    for (path, (bytes, runs)) in files {
        let name = path.as_os_str().as_encoded_bytes();
        for number in [name.len() as u64, bytes.len() as u64, u64::from(*runs)] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(name).update(bytes);
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::skills::Origin;

    fn skill(folder: &Path) -> Skill {
        Skill {
            name: "pdf".into(),
            description: "d".into(),
            folder: folder.to_owned(),
            origin: Origin::Person,
            version: None,
            allowed: Vec::new(),
            license: None,
            compatibility: None,
            only_person: false,
        }
    }

    #[test]
    fn a_copy_has_the_files_and_a_place_that_changes_with_them_only() {
        let root = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| root.path().join(name));
        fs::create_dir_all(from.join("scripts")).unwrap();
        fs::write(from.join("SKILL.md"), "text").unwrap();
        fs::write(from.join("scripts/run.sh"), "#!/bin/sh").unwrap();
        fs::set_permissions(from.join("scripts/run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink("/etc/passwd", from.join("scripts/passwd")).unwrap();
        symlink("/etc", from.join("etc")).unwrap();
        let (shelf, skill) = (Shelf::new(to.clone()), skill(&from));
        let first = shelf.put(&skill).unwrap();
        assert!(first.starts_with(&to) && first.file_name().unwrap().to_string_lossy().starts_with("pdf-"));
        assert_eq!(files(&first).unwrap(), files(&from).unwrap());
        assert_eq!(files(&first).unwrap().len(), 2);
        let mode = fs::metadata(first.join("scripts/run.sh")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o555);
        assert_eq!(shelf.put(&skill).unwrap(), first);

        fs::write(from.join("SKILL.md"), "other").unwrap();
        let second = shelf.put(&skill).unwrap();
        assert_ne!(second, first);
        assert_eq!(fs::read_to_string(first.join("SKILL.md")).unwrap(), "text");
        // Somebody who may write there has changed it.
        fs::remove_file(second.join("SKILL.md")).unwrap();
        fs::write(second.join("SKILL.md"), "evil").unwrap();
        assert_eq!(shelf.put(&skill).unwrap(), second);
        assert_eq!(fs::read_to_string(second.join("SKILL.md")).unwrap(), "other");
        let left: Vec<_> = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");

        shelf.tidy(SystemTime::now() + UNUSED / 2);
        assert!(first.exists() && second.exists());
        shelf.tidy(SystemTime::now() + UNUSED * 2);
        assert!(!first.exists() && !second.exists());
    }

    #[test]
    fn what_is_too_large_is_not_copied() {
        let root = tempfile::tempdir().unwrap();
        let from = root.path().join("from");
        fs::create_dir(&from).unwrap();
        let file = fs::File::create(from.join("large")).unwrap();
        file.set_len(BYTES + 1).unwrap();
        let shelf = Shelf::new(root.path().join("to"));
        assert!(shelf.put(&skill(&from)).unwrap_err().to_string().contains("16 MiB"));
        fs::remove_file(from.join("large")).unwrap();
        fs::create_dir_all(from.join("a/".repeat(DEPTH + 1))).unwrap();
        assert!(shelf.put(&skill(&from)).unwrap_err().to_string().contains("lies too deep"));
    }
}
