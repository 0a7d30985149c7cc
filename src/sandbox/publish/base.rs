//! What a repository was when commands last saw it: what a change of theirs, and one of the user's, is measured by.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    content::{self, SMALL},
    filter::{self, Kind, Verdict},
    index,
    tree::{Stamp, Tree},
};

/// A file of references, or an index, at most.
pub(super) const LARGE: u64 = 256 << 20;

/// A file and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) stamp: Stamp,
    pub(super) value: String,
}

/// The state of what can be changed on both sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Base {
    /// Of each reference with a file of its own.
    pub(super) loose: BTreeMap<String, Said>,
    pub(super) packed: BTreeMap<String, String>,
    packed_stamp: Option<Stamp>,
    pub(super) head: Option<String>,
    /// What the index said is a digest.
    pub(super) index: Option<Said>,
    /// Small files about the last commit or merge.
    pub(super) notes: BTreeMap<String, Said>,
    pub(super) logs: BTreeMap<String, Stamp>,
}

impl Base {
    /// The state of a repository now; `before` saves reading again what has not changed.
    pub(super) fn look(tree: &Tree, before: &Self, id_length: usize) -> io::Result<Self> {
        let mut now = Self { head: text(tree, "HEAD")?, ..Self::default() };
        let into = |path: &Path| filter::judge(path, Kind::Directory) == Verdict::Into;
        for (path, entry) in below(tree, "refs", into)? {
            let Some(name) = path.to_str().filter(|name| entry.kind == Kind::File && filter::is_ref(name))
            else {
                continue;
            };
            let known = before.loose.get(name).filter(|said| said.stamp == entry.stamp);
            let value = match known {
                Some(said) => Some(said.value.clone()),
                None => text(tree, name)?,
            };
            if let Some(value) = value {
                now.loose.insert(name.to_owned(), Said { stamp: entry.stamp, value });
            }
        }
        let stamp = |name: &str| -> io::Result<Option<Stamp>> {
            Ok(tree.stat(Path::new(name))?.filter(|(kind, _)| *kind == Kind::File).map(|(_, stamp)| stamp))
        };
        now.packed_stamp = stamp("packed-refs")?;
        now.packed =
            if now.packed_stamp == before.packed_stamp { before.packed.clone() } else { packed(tree)? };
        now.index = match (stamp("index")?, &before.index) {
            (Some(stamp), Some(said)) if said.stamp == stamp => Some(said.clone()),
            (Some(stamp), _) => Some(Said { stamp, value: index_of(tree, id_length)? }),
            (None, _) => None,
        };
        for entry in tree.list(Path::new(""))? {
            if let Some(name) = entry.name.to_str()
                && entry.kind == Kind::File
                && filter::judge(Path::new(name), Kind::File) == Verdict::Note
            {
                let said = match before.notes.get(name).filter(|said| said.stamp == entry.stamp) {
                    Some(said) => said.clone(),
                    None => Said { stamp: entry.stamp, value: digest(tree, name) },
                };
                now.notes.insert(name.to_owned(), said);
            }
        }
        for (path, entry) in below(tree, "logs", into)? {
            if let Some(name) = path.to_str().filter(|_| entry.kind == Kind::File) {
                now.logs.insert(name.to_owned(), entry.stamp);
            }
        }
        Ok(now)
    }

    /// What a reference was.
    pub(super) fn reference(&self, name: &str) -> Option<&str> {
        self.loose
            .get(name)
            .map(|said| said.value.as_str())
            .or_else(|| self.packed.get(name).map(String::as_str))
    }

    /// The names of all references.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.loose.keys().chain(self.packed.keys())
    }
}

/// What is below a directory that may not be there.
fn below(
    tree: &Tree,
    top: &str,
    into: impl Fn(&Path) -> bool,
) -> io::Result<Vec<(PathBuf, super::tree::Entry)>> {
    tree.walk(|path| path.starts_with(top) && into(path))
        .map(|found| found.into_iter().filter(|(path, _)| path.starts_with(top)).collect())
}

/// A short file without the line's end.
pub(super) fn text(tree: &Tree, name: &str) -> io::Result<Option<String>> {
    let content = tree.read(Path::new(name), SMALL)?;
    Ok(content.map(|content| String::from_utf8_lossy(&content).trim_end().to_owned()))
}

/// What tells what a small file says from what others say.
pub(super) fn digest(tree: &Tree, name: &str) -> String {
    // One that is too long, or is no file, says nothing of its own.
    let content = tree.read(Path::new(name), SMALL).unwrap_or_default().unwrap_or_default();
    blake3::hash(&content).to_hex().to_string()
}

/// The references of the one file that holds many. Those of a file that is not understood are none.
pub(super) fn packed(tree: &Tree) -> io::Result<BTreeMap<String, String>> {
    let content = tree.read(Path::new("packed-refs"), LARGE)?.unwrap_or_default();
    Ok(content::packed(&content)
        .unwrap_or_default()
        .into_iter()
        .filter(|(name, _)| filter::is_ref(name))
        .collect())
}

/// What the index says; of one that is not understood, that.
pub(super) fn index_of(tree: &Tree, id_length: usize) -> io::Result<String> {
    let content = tree.read(Path::new("index"), LARGE)?.unwrap_or_default();
    Ok(index::digest(&content, id_length).unwrap_or_else(|_| blake3::hash(&content).to_hex().to_string()))
}
