//! The real tree of files, for reading. Writes nothing.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{self, AtFlags, FileType};

use crate::patch::{Node, Place, Tree};

use super::super::{
    opened,
    places::{Inside, Last, resolve},
};

/// Files above this are not patched.
const MOST_BYTES: u64 = 64 << 20;

/// Names of a directory that are compared with one that does not exist.
const MOST_NAMES: usize = 2_000;

/// The file system, as seen from a directory.
pub(super) struct Disk<'a> {
    pub(super) workdir: &'a Path,
    /// Errors show lines of files in here only. Nothing: of all files.
    pub(super) inside: Option<&'a Inside>,
}

impl Tree for Disk<'_> {
    fn locate(&self, path: &str) -> Result<Place, String> {
        let path = self.workdir.join(path);
        let real = |last| resolve(&path, last).map_err(|error| format!("{}: {error}", path.display()));
        let target = real(Last::Follow)?;
        let quotable = self.inside.is_none_or(|inside| inside.holds(&target));
        Ok(Place { entry: real(Last::Keep)?, target, quotable })
    }

    fn read(&self, path: &Path) -> Result<Option<Node>, String> {
        let told = |error: io::Error| format!("Failed to read {}: {error}", path.display());
        // By the directory that was opened: its path may lead elsewhere a moment later.
        let found = opened::parent(path).and_then(|(directory, name)| {
            let stat = fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok((FileType::from_raw_mode(stat.st_mode), directory, name))
        });
        match found {
            Ok((FileType::Symlink, directory, name)) => {
                let target =
                    fs::readlinkat(directory, name, Vec::new()).map_err(|error| told(error.into()))?;
                Ok(Some(Node::Link(OsString::from_vec(target.into_bytes()).into())))
            }
            Ok((FileType::Directory, ..)) => Err(format!("{} is a directory, not a file", path.display())),
            Ok((_, directory, name)) => {
                let file = opened::file(directory, name).map_err(told)?;
                Ok(Some(Node::File(Arc::new(read_file(file, path)?))))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(told(error)),
        }
    }

    fn resembling(&self, path: &Path) -> Option<PathBuf> {
        let (parent, name) = (path.parent()?, path.file_name()?.to_str()?);
        if self.inside.is_some_and(|inside| !inside.holds(parent)) {
            return None;
        }
        let names = opened::names(parent)
            .ok()?
            .take(MOST_NAMES)
            .filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned))
            .filter(|name| !matches!(name.as_str(), "." | ".."));
        let (likeness, best) = names
            .map(|other| (strsim::jaro_winkler(name, &other), other))
            .max_by(|(one, _), (other, _)| one.total_cmp(other))?;
        (likeness > 0.85).then(|| parent.join(best))
    }
}

fn read_file(file: File, path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: io::Error| format!("Failed to read {}: {error}", path.display());
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!(
            "{} is larger than {} MiB: change or delete it with a command instead",
            path.display(),
            MOST_BYTES >> 20
        ));
    }
    Ok(bytes)
}

/// The directory that a patch is relative to, links resolved.
pub(super) fn real_workdir(workdir: &Path) -> PathBuf {
    resolve(workdir, Last::Follow).unwrap_or_else(|_| workdir.to_owned())
}
