//! Snapshots that were taken lately. Whoever took one may not have written it down yet: until it is old, it is kept
//! whether a log names it or not.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::protocol::SnapshotId;

use super::{SnapshotError, pack::UNFINISHED};

const FILE: &str = "recent";
/// A log names a snapshot within moments, or never will.
const LATELY: Duration = Duration::from_secs(24 * 60 * 60);

/// Notes that a snapshot was taken. Only for whoever holds the lock of the store.
pub(super) fn note(folder: &Path, snapshot: &SnapshotId) -> Result<(), SnapshotError> {
    let path = folder.join(FILE);
    let line = format!("{snapshot} {}\n", seconds(SystemTime::now()));
    let written = File::options().append(true).create(true).mode(0o600).open(&path);
    written
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .map_err(|error| SnapshotError::io(&path, error))
}

/// Those that were taken lately. A line that is not whole is none.
pub(super) fn read(folder: &Path, now: SystemTime) -> Result<Vec<SnapshotId>, SnapshotError> {
    Ok(lines(folder, now)?.into_iter().map(|(id, _)| SnapshotId(id)).collect())
}

/// Forgets the older ones.
pub(super) fn settle(folder: &Path, now: SystemTime) -> Result<(), SnapshotError> {
    let path = folder.join(FILE);
    let write = |lines: Vec<(String, u64)>| -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder.join("packs"))?;
        for (id, at) in lines {
            writeln!(file, "{id} {at}")?;
        }
        file.persist(&path)?;
        Ok(())
    };
    write(lines(folder, now)?).map_err(|error| SnapshotError::io(&path, error))
}

fn lines(folder: &Path, now: SystemTime) -> Result<Vec<(String, u64)>, SnapshotError> {
    let path = folder.join(FILE);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|error| SnapshotError::io(&path, error))?,
    };
    let oldest = seconds(now.checked_sub(LATELY).unwrap_or(SystemTime::UNIX_EPOCH));
    let line = |line: &str| {
        let (id, at) = line.split_once(' ')?;
        let at: u64 = at.parse().ok()?;
        (id.len() == 64 && at >= oldest).then(|| (id.to_owned(), at))
    };
    let mut found: Vec<_> = String::from_utf8_lossy(&text).lines().filter_map(line).collect();
    // The last of each.
    found.reverse();
    let mut seen = std::collections::HashSet::new();
    found.retain(|(id, _)| seen.insert(id.clone()));
    found.reverse();
    Ok(found)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
