//! Directories that are made somewhere as a whole, or not at all: put together beside their place, under a name that
//! tells what it is, and then moved there.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use super::SnapshotError;

/// Makes a directory at a place where none is, or an empty one, and the directories above it. What a killed program has
/// left of an earlier try goes first.
pub(super) fn make<T>(
    place: &Path,
    fill: impl FnOnce(&Path) -> Result<T, SnapshotError>,
) -> Result<T, SnapshotError> {
    let told = |error: io::Error| SnapshotError::io(place, error);
    if !is_free(place).map_err(told)? {
        return Err(SnapshotError::Taken(place.to_owned()));
    }
    let (Some(above), Some(name)) = (place.parent(), place.file_name()) else {
        return Err(SnapshotError::Taken(place.to_owned()));
    };
    fs::create_dir_all(above).map_err(told)?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".agent-");
    remove_left(above, &prefix);
    let making = tempfile::Builder::new().prefix(&prefix).tempdir_in(above).map_err(told)?;
    // A process that fills it holds this lock. Who finds it free knows that nobody does.
    let held = fs::File::open(making.path()).map_err(told)?;
    rustix::fs::flock(&held, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|error| told(error.into()))?;
    let filled = fill(making.path());
    let made = filled.and_then(|filled| {
        fs::rename(making.path(), place).map_err(told)?;
        fs::File::open(above).and_then(|above| above.sync_all()).map_err(told)?;
        Ok(filled)
    });
    if made.is_ok() {
        // It has its name now.
        let _ = making.keep();
    } else {
        remove(making.path());
    }
    made
}

/// Whether something can be made there.
pub(super) fn is_free(place: &Path) -> io::Result<bool> {
    match fs::read_dir(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(!place.is_symlink()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        entries => Ok(!place.is_symlink() && entries?.next().is_none()),
    }
}

/// What killed programs have left beside a place. What stays is seen, and can be deleted.
fn remove_left(above: &Path, prefix: &OsString) {
    for entry in fs::read_dir(above).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes())
            && let Ok(held) = fs::File::open(entry.path())
            && rustix::fs::flock(&held, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            remove(&entry.path());
        }
    }
}

/// Removes a directory, also where nobody may write in parts of it.
fn remove(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut open: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        if fs::remove_dir_all(&folder).is_ok() {
            continue;
        }
        // Each of these may be gone, or somebody else's; then it stays.
        let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o700));
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700));
                open.push(entry.path());
            }
        }
    }
    let _ = fs::remove_dir_all(folder);
}
