//! Putting a state back: new content is written beside its place first, all of it, and then takes its place in one
//! step a file. What somebody changed after the plan was made stays. A journal tells what was begun, so that a kill in
//! the middle is finished the next time.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, hash_map::Entry},
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags, RenameFlags},
    io::Errno,
};

use super::{
    SnapshotError, Snapshots, Taken,
    at::{self, Kind},
    attributes::{apply, own, times},
    beside::Beside,
    hash::Hash,
    journal::Journal,
    node::{Meta, Node, Root, Tree},
    path,
    plan::{Change, Plan, What},
    store::{Lock, Store},
};

/// Directories that are brought to the disk at a time.
const THREADS: usize = 8;

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// Paths below the workspace, times of directories not counted.
    pub paths: Vec<PathBuf>,
    /// What stays as it was, and why.
    pub left: Vec<(PathBuf, String)>,
}

/// Whether a change that somebody else has made in between is taken back as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Only what nobody else has changed.
    Ours,
    All,
}

pub(super) struct Restore<'a> {
    pub(super) store: &'a Store,
    pub(super) root: &'a OwnedFd,
    pub(super) to: &'a Root,
    pub(super) mark: String,
    pub(super) beside: HashMap<Vec<u8>, Beside>,
    /// How many names were thought of for new content.
    pub(super) places: usize,
    /// The directory that was opened last: most of what follows is there too.
    opened: RefCell<Option<(Vec<u8>, Arc<OwnedFd>)>>,
    /// Directories that were made.
    made: Vec<Vec<u8>>,
    /// Directories that were made writable, and what they were.
    loosened: BTreeMap<Vec<u8>, u32>,
    /// Why there is no new content for a path.
    pub(super) failed: HashMap<Vec<u8>, String>,
    done: Done,
}

impl Snapshots {
    /// Puts back what was planned, and takes a snapshot of what came of it.
    ///
    /// # Errors
    /// When it could not begin. Nothing has changed then.
    pub fn restore(&self, plan: &Plan, which: Which) -> Result<(Done, Taken), SnapshotError> {
        let lock = self.store.lock()?;
        self.finish(&lock)?;
        let to = self.root_of(&plan.to)?;
        let chosen: Vec<&Change> =
            plan.changes.iter().filter(|change| which == Which::All || !change.theirs).collect();
        let mut done = Done::default();
        if !chosen.is_empty() {
            done = self.execute(&Journal::of(&plan.from, &plan.to, &chosen), &to, &chosen)?;
        }
        if which == Which::Ours {
            let theirs = plan.shown().filter(|change| change.theirs);
            done.left.extend(theirs.map(|change| (change.path.clone(), THEIRS.to_owned())));
        }
        Ok((done, self.take_locked(&lock)?))
    }

    /// Finishes what a killed program has begun to put back; nothing, if there is nothing.
    ///
    /// # Errors
    /// When the store or the workspace can't be read. The next time is another try.
    pub fn recover(&self) -> Result<Option<Done>, SnapshotError> {
        self.finish(&self.store.lock()?)
    }

    pub(super) fn finish(&self, lock: &Lock) -> Result<Option<Done>, SnapshotError> {
        let Some(journal) = Journal::load(&self.store.folder)? else { return Ok(None) };
        journal.remove_beside(&self.root);
        let now = self.take_locked(lock)?;
        let (from, to) = (self.root_of(&journal.from)?, self.root_of(&journal.to)?);
        let plan = self.plan(&now.id, &journal.to, &[])?;
        let begun: HashSet<&[u8]> = journal.paths.iter().map(|path| &path[..]).collect();
        let above: HashSet<&[u8]> = begun.iter().map(|path| at::split(path).0).collect();
        let (mut chosen, mut done) = (Vec::new(), Done::default());
        for change in &plan.changes {
            let key = &change.difference.path[..];
            if change.what == What::TouchFolder {
                if begun.contains(key) || above.contains(key) {
                    chosen.push(change);
                }
                continue;
            }
            if !begun.contains(key) {
                continue;
            }
            let untouched = match (&change.difference.before, self.store.lookup(&from, key)?) {
                // Gone already, to make room.
                (None, _) => true,
                (Some(now), Some(then)) => now.same_content(&then),
                (Some(_), None) => false,
            };
            if untouched {
                chosen.push(change);
            } else {
                done.left.push((change.path.clone(), MEANWHILE.to_owned()));
            }
        }
        let again = Journal::of(&journal.from, &journal.to, &chosen);
        let more = self.execute(&again, &to, &chosen)?;
        done.paths.extend(more.paths);
        done.left.extend(more.left);
        Ok(Some(done))
    }

    /// Changes what was chosen of a plan.
    pub(super) fn execute(
        &self,
        journal: &Journal,
        to: &Root,
        changes: &[&Change],
    ) -> Result<Done, SnapshotError> {
        journal.save(&self.store.folder)?;
        let done = self.put(&journal.mark, to, changes);
        Journal::remove(&self.store.folder).map_err(|error| SnapshotError::io(&self.store.folder, error))?;
        done
    }

    /// Changes files, with nothing to tell of it after a kill. `mark` begins the names of what is not in its place.
    pub(super) fn put(&self, mark: &str, to: &Root, changes: &[&Change]) -> Result<Done, SnapshotError> {
        let mut restore = Restore {
            store: &self.store,
            root: &self.root,
            to,
            mark: mark.to_owned(),
            beside: HashMap::new(),
            places: 0,
            opened: RefCell::new(None),
            made: Vec::new(),
            loosened: BTreeMap::new(),
            failed: HashMap::new(),
            done: Done::default(),
        };
        if let Err(error) = restore.prepare(changes) {
            // Nothing has taken its place yet.
            restore.remove_beside();
            restore.tighten();
            return Err(error);
        }
        restore.replace(changes);
        restore.remove_beside();
        restore.finish_folders(changes);
        Ok(restore.done)
    }
}

impl Restore<'_> {
    /// Lets everything take its place.
    fn replace(&mut self, changes: &[&Change]) {
        // What is in the way of something of another kind goes first, from the innermost outwards.
        let crossing: Vec<&[u8]> = changes
            .iter()
            .filter(|change| change.crosses())
            .map(|change| &change.difference.path[..])
            .collect();
        let in_the_way = |change: &&&Change| {
            let path = &change.difference.path[..];
            crossing.iter().any(|above| {
                path.strip_prefix(*above).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            })
        };
        let removed = || changes.iter().rev().filter(|change| change.removes());
        for change in removed().filter(in_the_way) {
            self.change(change, |this| this.remove(change));
        }
        for change in changes {
            match (&change.what, &change.difference.after) {
                (What::TouchFolder, _) | (_, None) => {}
                (_, Some(Node::Folder { .. })) => {
                    self.change(change, |this| this.make_folder(&change.difference.path));
                }
                _ => self.change(change, |this| this.put(change)),
            }
        }
        for change in removed().filter(|change| !in_the_way(change)) {
            self.change(change, |this| this.remove(change));
        }
    }

    fn change(&mut self, change: &Change, act: impl FnOnce(&mut Self) -> Result<(), String>) {
        match act(self) {
            // What was removed for something else to come counts once.
            Ok(()) if change.crosses() && self.done.paths.contains(&change.path) => {}
            Ok(()) => self.done.paths.push(change.path.clone()),
            Err(why) => self.done.left.push((change.path.clone(), why)),
        }
    }

    /// Opens a directory of the workspace.
    pub(super) fn open(&self, key: &[u8]) -> Result<Arc<OwnedFd>, Errno> {
        let mut last = self.opened.borrow_mut();
        if let Some((_, opened)) = last.as_ref().filter(|(known, _)| known == key) {
            return Ok(Arc::clone(opened));
        }
        let opened = Arc::new(at::below(self.root, key)?);
        *last = Some((key.to_vec(), Arc::clone(&opened)));
        Ok(opened)
    }

    /// Whether a path is as a snapshot has it, as far as can be seen from outside.
    pub(super) fn is(&self, key: &[u8], node: Option<&Node>) -> bool {
        let (folder, name) = at::split(key);
        let found = self.open(folder).and_then(|folder| Ok((at::stat(&folder, name)?, folder)));
        let (stat, folder) = match (found, node) {
            (Err(error), None) => return at::gone(error),
            (Err(_), Some(_)) | (Ok(_), None) => return false,
            (Ok(found), Some(_)) => found,
        };
        match node {
            Some(Node::File { meta, size, .. }) => {
                let seen = stat.meta(Vec::new());
                stat.kind() == Kind::File
                    && stat.size == *size
                    && (seen.mode, seen.mtime) == (meta.mode, meta.mtime)
            }
            Some(Node::Folder { .. }) => stat.kind() == Kind::Folder,
            Some(Node::Link { target, .. }) => {
                let now = fs::readlinkat(&folder, name, Vec::new());
                now.is_ok_and(|now| now.as_bytes() == target)
            }
            Some(Node::Left(_)) | None => false,
        }
    }

    fn put(&mut self, change: &Change) -> Result<(), String> {
        let key = &change.difference.path;
        let before = change.difference.before.as_ref().filter(|_| !change.crosses());
        let Some(after) = change.difference.after.as_ref() else { return Ok(()) };
        let Some(beside) = self.beside.get(key) else {
            return match change.what {
                What::Touch if self.is(key, before) => self.touch(key, after),
                What::Touch => Err(MEANWHILE.to_owned()),
                _ => Err(self.failed.get(key).cloned().unwrap_or_else(|| MEANWHILE.to_owned())),
            };
        };
        let (from, from_name, linked) = (beside.folder.clone(), beside.name.clone(), beside.linked);
        if !self.is(key, before) {
            return Err(MEANWHILE.to_owned());
        }
        let (folder, name) = at::split(key);
        self.make_folder(folder)?;
        let target = self.open(folder).map_err(said)?;
        let source = if from == folder { Arc::clone(&target) } else { self.open(&from).map_err(said)? };
        self.loosen(folder, &target);
        match before {
            Some(_) => fs::renameat(&source, &from_name[..], &target, name).map_err(said)?,
            // What was put there this moment is not overwritten.
            None => match fs::renameat_with(&source, &from_name[..], &target, name, RenameFlags::NOREPLACE) {
                Err(Errno::INVAL | Errno::NOSYS) => {
                    fs::renameat(&source, &from_name[..], &target, name).map_err(said)?;
                }
                Err(Errno::EXIST) => return Err(MEANWHILE.to_owned()),
                renamed => renamed.map_err(said)?,
            },
        }
        // Two names of the same file: the move did nothing, and what is beside goes later.
        if !linked || at::stat(&source, &from_name).is_err() {
            self.beside.remove(key);
        }
        Ok(())
    }

    fn touch(&mut self, key: &[u8], node: &Node) -> Result<(), String> {
        let (folder, name) = at::split(key);
        let folder = self.open(folder).map_err(said)?;
        match node {
            Node::File { meta, .. } => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let opened = match fs::openat(&folder, name, flags, Mode::empty()) {
                    Err(Errno::ACCESS) => {
                        // It is ours and says that nobody reads it.
                        fs::chmodat(&folder, name, Mode::RUSR | Mode::WUSR, AtFlags::empty())
                            .map_err(said)?;
                        fs::openat(&folder, name, flags, Mode::empty())
                    }
                    opened => opened,
                };
                apply(&opened.map_err(said)?, meta).map_err(said)
            }
            Node::Link { meta, .. } => {
                own(&folder, name, meta);
                fs::utimensat(&folder, name, &times(meta), AtFlags::SYMLINK_NOFOLLOW).map_err(said)
            }
            Node::Folder { .. } | Node::Left(_) => Ok(()),
        }
    }

    fn remove(&mut self, change: &Change) -> Result<(), String> {
        let key = &change.difference.path;
        if !self.is(key, change.difference.before.as_ref()) {
            return Err(MEANWHILE.to_owned());
        }
        let (folder, name) = at::split(key);
        let opened = self.open(folder).map_err(said)?;
        self.loosen(folder, &opened);
        match &change.difference.before {
            Some(Node::Folder { .. }) => match fs::unlinkat(&opened, name, AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => Err("stays: it is not empty".to_owned()),
                removed => removed.map_err(said),
            },
            _ => fs::unlinkat(&opened, name, AtFlags::empty()).map_err(said),
        }
    }

    /// Makes a directory, and those above it.
    fn make_folder(&mut self, key: &[u8]) -> Result<(), String> {
        if key.is_empty() || self.open(key).is_ok() {
            return Ok(());
        }
        let (above, name) = at::split(key);
        self.make_folder(above)?;
        let opened = self.open(above).map_err(said)?;
        self.loosen(above, &opened);
        match fs::mkdirat(&opened, name, Mode::RWXU) {
            Err(Errno::EXIST) => return Err(MEANWHILE.to_owned()),
            made => made.map_err(said)?,
        }
        self.made.push(key.to_vec());
        Ok(())
    }

    /// Makes a directory of ours one that we may write in, for as long as this takes.
    pub(super) fn loosen(&mut self, key: &[u8], folder: &OwnedFd) {
        if let Ok(stat) = at::stat_open(folder)
            && stat.mode & 0o300 != 0o300
            && fs::fchmod(folder, Mode::from_raw_mode((stat.mode & 0o7777) | 0o700)).is_ok()
        {
            self.loosened.entry(key.to_vec()).or_insert(stat.mode & 0o7777);
        }
    }

    fn tighten(&self) {
        for (key, mode) in &self.loosened {
            if let Ok(folder) = at::below(self.root, key) {
                // Whoever may not change it back was not able to change it.
                let _ = fs::fchmod(&folder, Mode::from_raw_mode(*mode));
            }
        }
    }

    fn remove_beside(&self) {
        for Beside { folder, name, .. } in self.beside.values() {
            if let Ok(folder) = at::below(self.root, folder) {
                // Most have taken their place.
                let _ = fs::unlinkat(&folder, &name[..], AtFlags::empty());
            }
        }
    }

    /// Gives directories their times and permissions, from the innermost outwards, and brings them to the disk.
    fn finish_folders(&mut self, changes: &[&Change]) {
        self.tighten();
        let mut folders: BTreeSet<Vec<u8>> = BTreeSet::new();
        for change in changes {
            let key = change.key();
            if matches!(change.difference.after, Some(Node::Folder { .. })) {
                folders.insert(key.to_vec());
            }
            if !key.is_empty() {
                folders.insert(at::split(key).0.to_vec());
            }
        }
        folders.extend(self.made.drain(..));
        let folders: Vec<Vec<u8>> = folders.into_iter().collect();
        let mut trees = HashMap::new();
        for key in folders.iter().rev() {
            let Some(meta) = self.meta_of(key, &mut trees) else { continue };
            let Ok(folder) = at::below(self.root, key) else { continue };
            if let Err(error) = apply(&folder, &meta) {
                self.done.left.push((path(key), said(error)));
            }
        }
        sync(self.root, &folders);
    }

    /// What the state that is put back knows of a directory. Each tree is read once.
    fn meta_of(&self, key: &[u8], trees: &mut HashMap<Hash, Tree>) -> Option<Meta> {
        let (mut meta, mut tree) = (&self.to.meta, self.to.tree);
        for name in key.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let entries = match trees.entry(tree) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(self.store.tree(&tree).ok()?),
            };
            let at = entries.binary_search_by(|(known, _)| known[..].cmp(name)).ok()?;
            let Some((_, Node::Folder { meta: found, tree: below })) = entries.get(at) else { return None };
            (meta, tree) = (found, *below);
        }
        Some(meta.clone())
    }
}

const THEIRS: &str = "stays: it was changed by somebody since";
const MEANWHILE: &str = "stays: it was changed meanwhile";

pub(super) fn said(error: Errno) -> String {
    io::Error::from(error).to_string()
}

/// Brings directories to the disk, and with them what was given its place there. Not the whole file system: others may
/// be writing a lot to it.
fn sync(root: &OwnedFd, folders: &[Vec<u8>]) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(key) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Ok(folder) = at::below(root, key) {
                // Some file systems can't, and need not.
                let _ = fs::fsync(folder.as_fd());
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..THREADS.min(folders.len()) {
            scope.spawn(work);
        }
        work();
    });
}

impl Change {
    pub(super) fn key(&self) -> &[u8] {
        &self.difference.path
    }

    /// Whether a directory takes the place of something else, or the other way round.
    fn crosses(&self) -> bool {
        let folder = |node: &Option<Node>| matches!(node, Some(Node::Folder { .. }));
        self.difference.before.is_some()
            && self.difference.after.is_some()
            && folder(&self.difference.before) != folder(&self.difference.after)
    }

    /// Whether what is there has to go.
    fn removes(&self) -> bool {
        matches!(self.what, What::Remove | What::RemoveFolder) || self.crosses()
    }
}
