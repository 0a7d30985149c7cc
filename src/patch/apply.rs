//! What a whole patch would do to a tree of files: every operation in order, on a tree that only exists in
//! memory. Either all of it works out and there is a [`Plan`], or there is an error and nothing else.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    miss::wrong,
    parse::{Action, Chunk, Operation, Patch},
    update::{Subject, update},
};

/// The files that a patch is about.
pub trait Tree {
    /// Where a path of the patch lies.
    ///
    /// # Errors
    /// When it can't lie anywhere; in words for the model.
    fn locate(&self, path: &str) -> Result<Place, String>;

    /// What lies at a place; nothing when nothing does.
    ///
    /// # Errors
    /// When it can't be read, or is neither a file nor a link; in words for the model.
    fn read(&self, path: &Path) -> Result<Option<Node>, String>;

    /// A file that may have been meant by the name of one that does not exist.
    fn resembling(&self, path: &Path) -> Option<PathBuf> {
        let _ = path;
        None
    }
}

/// A place in the tree. Both paths are absolute, and no directory in them is a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What deleting the path would remove. May be a link.
    pub entry: PathBuf,
    /// Where reading and writing the path lead: the same, unless `entry` is a link.
    pub target: PathBuf,
    /// Errors may show lines of it.
    pub quotable: bool,
}

/// Something that lies at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    File(Arc<Vec<u8>>),
    Link(PathBuf),
}

/// All that a patch would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// For people: what happens to each file in the end.
    pub changes: Vec<Change>,
    /// For hands: what must become true at each path, or nowhere. Only paths that change.
    pub steps: Vec<Step>,
    /// Every path that is read or written, links resolved.
    pub touched: Vec<PathBuf>,
    summary: [Vec<String>; 3],
}

/// What happens to a file in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub path: PathBuf,
    pub kind: ChangeKind,
    pub moved_to: Option<PathBuf>,
    /// The file that `old` is the content of: not `path` when that is a link that was moved.
    pub source: PathBuf,
    /// Empty when there was none.
    pub old: Arc<Vec<u8>>,
    /// Empty when there will be none.
    pub new: Arc<Vec<u8>>,
}

/// Which kind of change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Add,
    /// A file that existed gets other content, by an add or a move.
    Overwrite,
    Update,
    Delete,
}

/// What must become of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub path: PathBuf,
    /// What is there now; it must still be there when the step is taken.
    pub before: Option<Node>,
    pub after: Option<Arc<Vec<u8>>>,
    /// The file whose permissions the new one gets.
    pub mode_of: Option<PathBuf>,
}

/// Why a patch does not apply. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Mismatch(pub String);

/// Works out what a patch would do.
///
/// # Errors
/// When a part of it does not fit the files; the text teaches how to do better.
pub fn plan(patch: &Patch<'_>, tree: &dyn Tree) -> Result<Plan, Mismatch> {
    let mut ghost = Ghost {
        tree,
        slots: HashMap::new(),
        order: Vec::new(),
        unlinked: HashSet::new(),
        summary: Default::default(),
    };
    for operation in &patch.operations {
        ghost.take(operation).map_err(Mismatch)?;
    }
    ghost.finish().map_err(Mismatch)
}

impl Plan {
    /// The files as the model is told of them: added, modified, deleted, by the names that the patch uses.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::from("Success. Updated the following files:\n");
        for (letter, names) in ["A", "M", "D"].into_iter().zip(&self.summary) {
            let mut seen = HashSet::new();
            for name in names.iter().filter(|name| seen.insert(name.as_str())) {
                text.extend([letter, " ", name, "\n"]);
            }
        }
        text
    }
}

/// The tree as it would be.
struct Ghost<'t> {
    tree: &'t dyn Tree,
    slots: HashMap<PathBuf, Slot>,
    /// Paths as they were first touched.
    order: Vec<PathBuf>,
    /// Links that the patch deletes: from then on these paths are places of their own.
    unlinked: HashSet<PathBuf>,
    summary: [Vec<String>; 3],
}

/// A path of the tree.
struct Slot {
    before: Option<Node>,
    now: Option<Node>,
    /// The file of the real tree whose content this is, with changes.
    origin: Option<Origin>,
}

/// A file of the real tree.
#[derive(Clone)]
struct Origin {
    /// What a move from there removes.
    entry: PathBuf,
    /// Where the bytes lie.
    file: PathBuf,
    bytes: Arc<Vec<u8>>,
}

impl Ghost<'_> {
    fn take(&mut self, operation: &Operation<'_>) -> Result<(), String> {
        let Place { entry, target, quotable } = self.tree.locate(operation.path)?;
        let target = if self.unlinked.contains(&entry) { entry.clone() } else { target };
        let name = operation.path.to_owned();
        match &operation.action {
            Action::Add(lines) => {
                let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
                for line in lines {
                    text.extend([line, "\n"]);
                }
                let slot = self.slot(&target)?;
                slot.now = Some(Node::File(Arc::new(text.into_bytes())));
                slot.origin = None;
                self.summary[0].push(name);
            }
            Action::Delete => {
                if self.slot(&entry)?.now.is_none() {
                    return Err(self.missing("delete file", &entry));
                }
                self.remove(&entry)?;
                self.summary[2].push(name);
            }
            Action::Update { moved_to, chunks } => {
                let new = Arc::new(self.updated(&target, chunks, quotable)?);
                match moved_to {
                    Some(path) => {
                        self.moved(&entry, &target, path, new)?;
                        self.summary[1].push((*path).to_owned());
                    }
                    None => {
                        self.slot(&target)?.now = Some(Node::File(new));
                        self.summary[1].push(name);
                    }
                }
            }
        }
        Ok(())
    }

    fn missing(&self, doing: &str, path: &Path) -> String {
        let meant = match self.tree.resembling(path) {
            Some(other) => format!("; did you mean {}?", other.display()),
            None => String::new(),
        };
        format!("Failed to {doing} {}: No such file or directory (os error 2){meant}", path.display())
    }

    fn updated(&mut self, path: &Path, chunks: &[Chunk<'_>], quotable: bool) -> Result<Vec<u8>, String> {
        match &self.slot(path)?.now {
            Some(Node::File(bytes)) => update(bytes, chunks, Subject { path, quotable }),
            Some(Node::Link(_)) => Err(wrong(path, "this is a link to itself")),
            None => Err(self.missing("read file to update", path)),
        }
    }

    /// Puts the updated content of `target`, reached through `entry`, under another name.
    fn moved(&mut self, entry: &Path, target: &Path, to: &str, new: Arc<Vec<u8>>) -> Result<(), String> {
        let place = self.tree.locate(to)?;
        let to = if self.unlinked.contains(&place.entry) { place.entry } else { place.target };
        if to == target {
            // Onto itself, perhaps by another spelling.
            self.slot(target)?.now = Some(Node::File(new));
            return Ok(());
        }
        let mut origin = self.slot(target)?.origin.clone();
        if entry != target {
            self.slot(entry)?;
            if let Some(origin) = &mut origin {
                entry.clone_into(&mut origin.entry);
            }
        }
        let slot = self.slot(&to)?;
        slot.now = Some(Node::File(new));
        slot.origin = origin;
        self.remove(entry)
    }

    fn remove(&mut self, entry: &Path) -> Result<(), String> {
        let slot = self.slot(entry)?;
        let was_link = matches!(slot.now, Some(Node::Link(_)));
        slot.now = None;
        slot.origin = None;
        if was_link {
            self.unlinked.insert(entry.to_owned());
        }
        Ok(())
    }

    fn slot(&mut self, path: &Path) -> Result<&mut Slot, String> {
        if !self.slots.contains_key(path) {
            let before = self.tree.read(path)?;
            let origin = match &before {
                Some(Node::File(bytes)) => {
                    Some(Origin { entry: path.to_owned(), file: path.to_owned(), bytes: Arc::clone(bytes) })
                }
                _ => None,
            };
            self.order.push(path.to_owned());
            self.slots.insert(path.to_owned(), Slot { now: before.clone(), before, origin });
        }
        Ok(self.slots.get_mut(path).expect("it was put there just now"))
    }

    fn finish(self) -> Result<Plan, String> {
        self.check_that_no_file_is_a_directory()?;
        let moved: HashSet<&Path> = self.order.iter().filter_map(|path| self.moved_from(path)).collect();
        let mut changes = Vec::new();
        let mut steps = Vec::new();
        for path in &self.order {
            let slot = &self.slots[path];
            if slot.before != slot.now {
                let after = file(slot.now.as_ref());
                let own = matches!(slot.before, Some(Node::File(_))).then(|| path.clone());
                let mode_of = slot.origin.as_ref().map(|origin| origin.file.clone()).or(own);
                steps.push(Step { path: path.clone(), before: slot.before.clone(), after, mode_of });
            }
            if let Some(change) = self.change(path, slot, &moved) {
                changes.push(change);
            }
        }
        Ok(Plan { changes, steps, touched: self.order, summary: self.summary })
    }

    fn change(&self, path: &Path, slot: &Slot, moved: &HashSet<&Path>) -> Option<Change> {
        let existed = slot.before.is_some();
        let change = |kind, old: Arc<Vec<u8>>, new| Change {
            path: path.to_owned(),
            kind,
            moved_to: None,
            source: path.to_owned(),
            old,
            new,
        };
        let old = || match &slot.before {
            Some(Node::File(bytes)) => Arc::clone(bytes),
            Some(Node::Link(target)) => Arc::new(target.as_os_str().as_encoded_bytes().to_vec()),
            None => Arc::default(),
        };
        let Some(new) = file(slot.now.as_ref()) else {
            let untouched = slot.now.is_some();
            let gone = existed && !untouched && !moved.contains(path);
            return gone.then(|| change(ChangeKind::Delete, old(), Arc::default()));
        };
        if let (Some(from), Some(origin)) = (self.moved_from(path), &slot.origin) {
            return Some(Change {
                path: from.to_owned(),
                kind: if existed { ChangeKind::Overwrite } else { ChangeKind::Update },
                moved_to: Some(path.to_owned()),
                source: origin.file.clone(),
                old: Arc::clone(&origin.bytes),
                new,
            });
        }
        let own = slot.origin.as_ref().is_some_and(|origin| origin.file == path);
        let kind = match existed {
            true if own => ChangeKind::Update,
            true => ChangeKind::Overwrite,
            false => ChangeKind::Add,
        };
        // A file that was only read, because it was moved away through a link to it.
        let touched = slot.before != slot.now || !self.is_target_of_moved_link(path);
        touched.then(|| change(kind, old(), new))
    }

    /// Where the content of this path came from, if that place is empty now.
    fn moved_from(&self, path: &Path) -> Option<&Path> {
        let slot = self.slots.get(path)?;
        slot.now.as_ref()?;
        let from = slot.origin.as_ref()?.entry.as_path();
        let empty = self.slots.get(from).is_none_or(|slot| slot.now.is_none());
        (from != path && empty).then_some(from)
    }

    fn is_target_of_moved_link(&self, path: &Path) -> bool {
        self.slots.values().any(|slot| {
            slot.origin.as_ref().is_some_and(|origin| origin.file == path && origin.entry != path)
        })
    }

    fn check_that_no_file_is_a_directory(&self) -> Result<(), String> {
        let mut files: Vec<&PathBuf> =
            self.order.iter().filter(|path| self.slots[path.as_path()].now.is_some()).collect();
        files.sort();
        match files.windows(2).find(|pair| pair[1].starts_with(pair[0])) {
            Some(pair) => Err(format!(
                "{} can't be both a file and the directory of {}",
                pair[0].display(),
                pair[1].display()
            )),
            None => Ok(()),
        }
    }
}

fn file(node: Option<&Node>) -> Option<Arc<Vec<u8>>> {
    match node {
        Some(Node::File(bytes)) => Some(Arc::clone(bytes)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
