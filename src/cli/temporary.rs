//! Folders that go with the run that made them: at its end, or, if it was killed, with the next start.
//!
//! Each is locked as long as its run lives; one that can be locked belongs to nobody any more. They lie below the
//! program's own data and not in /tmp, where a folder of the same name could be somebody else's.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use crate::{config::Home, store::remove_tree};

/// Where they lie, below the program's data.
const PLACE: &str = "temporary";

/// A file in a folder that stays: something in it was kept aside, and the person was told where.
const STAYS: &str = ".kept";

/// A folder of this run.
pub(super) struct Temporary {
    path: PathBuf,
    /// The folder itself, locked. A lock ends with its process, however that ends.
    _lock: File,
}

impl Temporary {
    /// A new one. Those that killed runs left behind are removed.
    pub(super) fn new(home: &Home) -> io::Result<Self> {
        Self::within(&home.data.join(PLACE))
    }

    fn within(place: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(place)?;
        // Between the making of a folder and its lock nobody else may look.
        let all = File::open(place)?;
        all.lock()?;
        sweep(place);
        let path = tempfile::Builder::new().prefix("run-").tempdir_in(place)?.keep();
        let lock = File::open(&path)?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }

    /// Lets it stay, for good.
    pub(super) fn keep(&self) -> io::Result<()> {
        fs::write(self.path.join(STAYS), "")
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.path.join(STAYS).exists() {
            return;
        }
        if let Err(error) = remove_tree(&self.path) {
            // Whoever wanted nothing to be kept has to know; a closed stream is nobody's concern.
            let _ = writeln!(io::stderr(), "! {} stays: {error}", self.path.display());
        }
    }
}

/// Removes what no run holds any more. What can't be removed is tried again at the next start.
fn sweep(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let abandoned = File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok());
        if abandoned && !entry.path().join(STAYS).exists() {
            let _ = remove_tree(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_goes_with_its_run_and_what_a_killed_one_left_with_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("temporary");
        let names = || fs::read_dir(&place).unwrap().count();
        let living = Temporary::within(&place).unwrap();
        fs::write(living.path().join("kept"), "").unwrap();
        // As a killed run leaves it, with a directory that a command closed.
        let abandoned = place.join("run-abandoned");
        fs::create_dir_all(abandoned.join("closed/below")).unwrap();
        fs::set_permissions(abandoned.join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
        let next = Temporary::within(&place).unwrap();
        assert!(!abandoned.exists());
        assert!(living.path().join("kept").exists(), "a folder in use is left alone");
        assert_eq!(names(), 2);
        drop(next);
        drop(living);
        assert_eq!(names(), 0);
        Temporary::within(&place).unwrap().keep().unwrap();
        drop(Temporary::within(&place).unwrap());
        assert_eq!(names(), 1, "what was kept aside stays");
    }
}
