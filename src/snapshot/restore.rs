//! Putting a state back: new content is written beside its place first, all of it, and then takes its place in one
//! step a file. What somebody changed after the plan was made stays. A journal tells what was begun, so that a kill in
//! the middle is finished the next time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs::File,
    io::{self, Write as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt as _,
    },
    path::PathBuf,
};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps},
    io::Errno,
};

use super::{
    SnapshotError, Snapshots, Taken,
    at::{self, Kind},
    compare::together,
    journal::Journal,
    node::{Content, Meta, Node, Piece, Root},
    path,
    plan::{Change, Plan, What},
    store::{Lock, Store},
};

/// More files than this are brought to the disk all at once.
const ONE_BY_ONE: usize = 16;

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

/// New content beside its place.
struct Beside {
    folder: Vec<u8>,
    name: Vec<u8>,
}

pub(super) struct Restore<'a> {
    store: &'a Store,
    root: &'a OwnedFd,
    to: &'a Root,
    mark: String,
    beside: HashMap<Vec<u8>, Beside>,
    /// Directories that were made.
    made: Vec<Vec<u8>>,
    /// Directories that were made writable, and what they were.
    loosened: BTreeMap<Vec<u8>, u32>,
    /// Why there is no new content for a path.
    failed: HashMap<Vec<u8>, String>,
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
        sync(&self.root);
        Ok(restore.done)
    }
}

impl Restore<'_> {
    /// Writes all new content beside its place, and brings it to the disk.
    fn prepare(&mut self, changes: &[&Change]) -> Result<(), SnapshotError> {
        let together = together(self.to);
        let mut written = 0;
        for change in changes {
            let key = &change.difference.path;
            let Some(node) = change.difference.after.as_ref() else { continue };
            // What gets a further name is made anew with it, and not touched where it lies.
            let joined = together.get(&key[..]).is_some_and(|others| {
                let new = |other: &Vec<u8>| {
                    let is = |change: &&&Change| change.difference.path == *other;
                    changes
                        .iter()
                        .find(is)
                        .is_some_and(|change| matches!(change.what, What::Add | What::Replace))
                };
                others.iter().any(new)
            });
            let new = matches!(change.what, What::Add | What::Replace)
                || change.what == What::Touch && (joined || self.linked(key));
            if !new || self.beside.contains_key(key) {
                continue;
            }
            // Of files that are the same one is written, and the others are made of it; or of one that is there.
            let others = together.get(&key[..]).copied();
            let first =
                others.and_then(|others| others.iter().find(|other| self.beside.contains_key(*other)));
            let there = others.and_then(|others| {
                let untouched = |other: &&Vec<u8>| {
                    !changes.iter().any(|change| change.difference.path == **other)
                        && self.is(other, Some(node))
                };
                others.iter().find(untouched)
            });
            let source = first.or(there).cloned();
            match self.write_beside(key, node, source.as_deref()) {
                Ok(()) => written += 1,
                Err(Failure::This(why)) => {
                    self.failed.insert(key.clone(), why);
                }
                Err(Failure::All(error)) => return Err(error),
            }
        }
        if written > ONE_BY_ONE {
            sync(self.root);
        }
        Ok(())
    }

    /// Whether there are further names for the file there: what is done to it would be done to them.
    fn linked(&self, key: &[u8]) -> bool {
        let (folder, name) = at::split(key);
        at::below(self.root, folder)
            .and_then(|folder| at::stat(&folder, name))
            .is_ok_and(|stat| stat.kind() == Kind::File && stat.links > 1)
    }

    fn write_beside(&mut self, key: &[u8], node: &Node, same: Option<&[u8]>) -> Result<(), Failure> {
        let (mut folder, mut opened) = (at::split(key).0.to_vec(), None);
        // The directory that it will lie in may be still to be made.
        while opened.is_none() {
            match at::below(self.root, &folder) {
                Ok(found) => opened = Some(found),
                Err(error) if at::gone(error) && !folder.is_empty() => {
                    folder = at::split(&folder).0.to_vec();
                }
                Err(error) => return Err(Failure::of(error)),
            }
        }
        let Some(opened) = opened else { return Err(Failure::of(Errno::NOENT)) };
        self.loosen(&folder, &opened);
        let name = format!("{}{}", self.mark, self.beside.len()).into_bytes();
        let place = Beside { folder, name: name.clone() };
        if let Some(same) = same {
            let (from, from_name) = match self.beside.get(same) {
                Some(Beside { folder, name }) => (folder.clone(), name.clone()),
                None => (at::split(same).0.to_vec(), at::split(same).1.to_vec()),
            };
            let from = at::below(self.root, &from).map_err(Failure::of)?;
            let linked = fs::linkat(&from, &from_name[..], &opened, &name[..], AtFlags::empty());
            if linked.is_ok() {
                self.beside.insert(key.to_vec(), place);
                return Ok(());
            }
        }
        self.beside.insert(key.to_vec(), place);
        let made = self.make(&opened, &name, node);
        if made.is_err()
            && let Some(place) = self.beside.remove(key)
        {
            // It is not whole, and not there any more, or was never.
            let _ = fs::unlinkat(&opened, &place.name[..], AtFlags::empty());
        }
        made
    }

    fn make(&self, folder: &OwnedFd, name: &[u8], node: &Node) -> Result<(), Failure> {
        match node {
            Node::File { meta, size, content } => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR).map_err(Failure::of)?;
                let file = File::from(file);
                self.fill(&file, *size, content)?;
                apply(&file, meta).map_err(Failure::of)?;
                if self.beside.len() <= ONE_BY_ONE {
                    file.sync_all().map_err(|error| Failure::All(self.told(name, error)))?;
                }
                Ok(())
            }
            Node::Link { meta, target } => {
                fs::symlinkat(&target[..], folder, name).map_err(Failure::of)?;
                own(folder, name, meta);
                fs::utimensat(folder, name, &times(meta), AtFlags::SYMLINK_NOFOLLOW).map_err(Failure::of)
            }
            Node::Folder { .. } | Node::Left(_) => Err(Failure::This("is not a file any more".to_owned())),
        }
    }

    fn told(&self, name: &[u8], error: io::Error) -> SnapshotError {
        SnapshotError::Io { path: path(name), error }
    }

    fn fill(&self, mut file: &File, size: u64, content: &Content) -> Result<(), Failure> {
        let write = |error: io::Error| Failure::of(Errno::from_io_error(&error).unwrap_or(Errno::IO));
        match content {
            Content::Whole(hash) => {
                let bytes = self.store.read(hash).map_err(Failure::All)?;
                file.write_all(&bytes).map_err(write)
            }
            Content::Pieces(list) => {
                let mut at = 0;
                for piece in self.store.pieces(list).map_err(Failure::All)? {
                    match piece {
                        Piece::Hole(length) => at += length,
                        Piece::Data(hash, length) => {
                            let bytes = self.store.read(&hash).map_err(Failure::All)?;
                            file.write_all_at(&bytes, at).map_err(write)?;
                            at += length;
                        }
                    }
                }
                file.set_len(size).map_err(write)
            }
        }
    }

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
            Ok(()) if self.done.paths.contains(&change.path) && change.crosses() => {}
            Ok(()) => self.done.paths.push(change.path.clone()),
            Err(why) => self.done.left.push((change.path.clone(), why)),
        }
    }

    /// Whether a path is as a snapshot has it, as far as can be seen from outside.
    fn is(&self, key: &[u8], node: Option<&Node>) -> bool {
        let (folder, name) = at::split(key);
        let found = at::below(self.root, folder).and_then(|folder| Ok((at::stat(&folder, name)?, folder)));
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
        let (from, from_name) = (beside.folder.clone(), beside.name.clone());
        if !self.is(key, before) {
            return Err(MEANWHILE.to_owned());
        }
        let (folder, name) = at::split(key);
        self.make_folder(folder)?;
        let source = at::below(self.root, &from).map_err(said)?;
        let target = at::below(self.root, folder).map_err(said)?;
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
        if at::stat(&source, &from_name).is_err() {
            self.beside.remove(key);
        }
        Ok(())
    }

    fn touch(&mut self, key: &[u8], node: &Node) -> Result<(), String> {
        let (folder, name) = at::split(key);
        let folder = at::below(self.root, folder).map_err(said)?;
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
        let opened = at::below(self.root, folder).map_err(said)?;
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
        if key.is_empty() || at::below(self.root, key).is_ok() {
            return Ok(());
        }
        let (above, name) = at::split(key);
        self.make_folder(above)?;
        let opened = at::below(self.root, above).map_err(said)?;
        self.loosen(above, &opened);
        match fs::mkdirat(&opened, name, Mode::RWXU) {
            Err(Errno::EXIST) => return Err(MEANWHILE.to_owned()),
            made => made.map_err(said)?,
        }
        self.made.push(key.to_vec());
        Ok(())
    }

    /// Makes a directory of ours one that we may write in, for as long as this takes.
    fn loosen(&mut self, key: &[u8], folder: &OwnedFd) {
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
        for Beside { folder, name } in self.beside.values() {
            if let Ok(folder) = at::below(self.root, folder) {
                // Most have taken their place.
                let _ = fs::unlinkat(&folder, &name[..], AtFlags::empty());
            }
        }
    }

    /// Gives directories their times and permissions, from the innermost outwards.
    fn finish_folders(&mut self, changes: &[&Change]) {
        self.tighten();
        let mut folders: BTreeSet<Vec<u8>> = BTreeSet::new();
        for change in changes {
            let key = &change.difference.path;
            if matches!(change.difference.after, Some(Node::Folder { .. })) {
                folders.insert(key.clone());
            }
            if !key.is_empty() {
                folders.insert(at::split(key).0.to_vec());
            }
        }
        folders.extend(self.made.drain(..));
        for key in folders.into_iter().rev() {
            let Ok(Some(Node::Folder { meta, .. })) = self.store.lookup(self.to, &key) else { continue };
            let Ok(folder) = at::below(self.root, &key) else { continue };
            if let Err(error) = apply(&folder, &meta) {
                self.done.left.push((path(&key), said(error)));
            }
        }
    }
}

const THEIRS: &str = "stays: it was changed by somebody since";
const MEANWHILE: &str = "stays: it was changed meanwhile";

/// Why something could not be prepared.
enum Failure {
    /// The others can.
    This(String),
    All(SnapshotError),
}

impl Failure {
    fn of(error: Errno) -> Self {
        match error {
            Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::ROFS => {
                Self::All(SnapshotError::Write(error.into()))
            }
            error => Self::This(said(error)),
        }
    }
}

fn said(error: Errno) -> String {
    io::Error::from(error).to_string()
}

/// Gives an open file or directory what a snapshot knows beside its content.
pub(super) fn apply(file: impl AsFd, meta: &Meta) -> Result<(), Errno> {
    let file = file.as_fd();
    let now = at::stat_open(file)?;
    if (now.uid, now.gid) != (meta.uid, meta.gid) {
        // Only the system's administrator may give files away.
        let _ = fs::fchown(file, Some(uid(meta.uid)), Some(gid(meta.gid)));
    }
    let had = at::extended(file)?;
    for (name, _) in had.iter().filter(|(name, _)| !meta.extended.iter().any(|(wanted, _)| wanted == name)) {
        fs::fremovexattr(file, &name[..])?;
    }
    for (name, value) in meta.extended.iter().filter(|wanted| !had.contains(wanted)) {
        fs::fsetxattr(file, &name[..], value, fs::XattrFlags::empty())?;
    }
    fs::fchmod(file, Mode::from_raw_mode(meta.mode))?;
    fs::futimens(file, &times(meta))
}

pub(super) fn own(folder: &OwnedFd, name: &[u8], meta: &Meta) {
    let wanted = (meta.uid, meta.gid);
    if at::stat(folder, name).is_ok_and(|now| (now.uid, now.gid) != wanted) {
        // As above.
        let _ =
            fs::chownat(folder, name, Some(uid(meta.uid)), Some(gid(meta.gid)), AtFlags::SYMLINK_NOFOLLOW);
    }
}

fn uid(raw: u32) -> fs::Uid {
    fs::Uid::from_raw(raw)
}

fn gid(raw: u32) -> fs::Gid {
    fs::Gid::from_raw(raw)
}

pub(super) fn times(meta: &Meta) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT },
        last_modification: Timespec { tv_sec: meta.mtime.seconds, tv_nsec: meta.mtime.nanos.into() },
    }
}

/// Brings the file system to the disk.
fn sync(root: &OwnedFd) {
    #[cfg(target_os = "linux")]
    let _ = fs::syncfs(root);
    #[cfg(not(target_os = "linux"))]
    let _ = fs::fsync(root);
}

impl Change {
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
