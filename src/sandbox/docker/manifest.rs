//! What both sides of the border had in common when they last met.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// What lies at a path, as far as it is carried over the border.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    File {
        hash: blake3::Hash,
        mode: u32,
    },
    Link(PathBuf),
    Directory,
    /// A file outside that may hold secrets: inside, a line of text is in its place.
    Hidden,
}

/// How a file looked from outside, without its content. The same look is the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outside {
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) file: u64,
    /// Seconds and nanoseconds.
    pub(super) modified: (i64, i64),
    pub(super) changed: (i64, i64),
}

/// The same from inside. Nanoseconds where the tools there tell them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inside {
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) file: u64,
    pub(super) changed: (i64, Option<i64>),
}

/// One path that both sides know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) content: Content,
    /// Nothing when it must be read again: it was seen too soon after it had been written.
    pub(super) outside: Option<Outside>,
    pub(super) inside: Option<Inside>,
}

/// Everything that both sides know, and what they do not share.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub(super) entries: BTreeMap<PathBuf, Entry>,
    /// What is inside only, or is another one there, and stays there.
    pub(super) kept: BTreeMap<PathBuf, Inside>,
    /// What is outside only, and was removed inside.
    pub(super) missing: BTreeSet<PathBuf>,
}

impl Manifest {
    /// What differs inside from what was known, as far as looks tell.
    pub(super) fn changes_inside(&self, listing: &BTreeMap<PathBuf, Inside>) -> Vec<PathBuf> {
        let looked = listing.iter().filter(|(path, look)| {
            self.kept.get(*path) != Some(*look)
                && self.entries.get(*path).is_none_or(|entry| match (&entry.content, entry.inside) {
                    (Content::Directory, _) => !look.is_directory(),
                    (_, known) => known != Some(**look),
                })
        });
        let gone =
            self.entries.keys().filter(|path| !listing.contains_key(*path) && !self.missing.contains(*path));
        looked.map(|(path, _)| path).chain(gone).cloned().collect()
    }

    /// Forgets a path: neither side has it.
    pub(super) fn forget(&mut self, path: &Path) {
        self.entries.remove(path);
        self.kept.remove(path);
        self.missing.remove(path);
    }
}

const KIND: u32 = 0o170_000;

impl Inside {
    pub(super) fn is_directory(&self) -> bool {
        self.mode & KIND == 0o040_000
    }

    pub(super) fn is_file(&self) -> bool {
        self.mode & KIND == 0o100_000
    }

    pub(super) fn is_link(&self) -> bool {
        self.mode & KIND == 0o120_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(mode: u32, changed: i64) -> Inside {
        Inside { mode, size: 1, file: 1, changed: (changed, Some(0)) }
    }

    #[test]
    fn a_change_inside_is_seen_by_its_look() {
        let content = Content::File { hash: blake3::hash(b""), mode: 0o644 };
        let entry = |inside| Entry { content: content.clone(), outside: None, inside };
        let directory = Entry { content: Content::Directory, outside: None, inside: None };
        let mut manifest = Manifest::default();
        for (name, entry) in [
            ("same", entry(Some(look(0o100_644, 1)))),
            ("other", entry(Some(look(0o100_644, 1)))),
            ("unsure", entry(None)),
            ("gone", entry(None)),
            ("missing", entry(None)),
            ("dir", directory.clone()),
            ("was-dir", directory),
        ] {
            manifest.entries.insert(name.into(), entry);
        }
        manifest.missing.insert("missing".into());
        manifest.kept.insert("kept".into(), look(0o100_644, 1));
        let listing = [
            ("same", look(0o100_644, 1)),
            ("other", look(0o100_644, 2)),
            ("unsure", look(0o100_644, 1)),
            ("kept", look(0o100_644, 1)),
            ("new", look(0o100_644, 1)),
            ("dir", look(0o040_700, 9)),
            ("was-dir", look(0o100_644, 9)),
        ];
        let listing = listing.map(|(name, look)| (PathBuf::from(name), look)).into();
        let mut changes = manifest.changes_inside(&listing);
        changes.sort();
        assert_eq!(changes, ["gone", "new", "other", "unsure", "was-dir"].map(PathBuf::from));
    }
}
