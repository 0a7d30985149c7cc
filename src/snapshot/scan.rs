//! The walk: what stands where in the workspace, seen from outside. Reads no file that the cache knows, and follows no
//! link. Several threads, a directory at a time.

use std::{
    collections::VecDeque,
    io::Read as _,
    os::fd::{AsFd as _, OwnedFd},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use rustix::io::Errno;

use super::{
    Limits, SnapshotError,
    at::{self, Kind, Stat},
    cache::Cache,
    hash::Hash,
    ignored::Ignored,
    node::{Content, Meta, Moment, Why},
    store::guard,
};

/// What a cache directory says of itself in its `CACHEDIR.TAG`.
const TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";
/// Names in a `.git` that say where the repository stands; what they lead to is never changed by git. Beside them, all
/// names that end with `_HEAD`.
const GIT: &[&[u8]] = &[
    b"HEAD",
    b"index",
    b"packed-refs",
    b"refs",
    b"reftable",
    b"logs",
    b"MERGE_MSG",
    b"MERGE_MODE",
    b"MERGE_RR",
    b"SQUASH_MSG",
    b"COMMIT_EDITMSG",
    b"AUTO_MERGE",
    b"BISECT_LOG",
    b"BISECT_NAMES",
    b"BISECT_START",
    b"BISECT_TERMS",
    b"rebase-merge",
    b"rebase-apply",
    b"sequencer",
    b"shallow",
    // Of a further working tree.
    b"gitdir",
    b"commondir",
];
/// Names in a `.git` below which are the states of further working trees, and of submodules.
const GITS: &[&[u8]] = &[b"worktrees", b"modules"];

/// A directory as it was found.
pub(super) struct Folder {
    pub(super) id: usize,
    pub(super) path: Vec<u8>,
    pub(super) meta: Meta,
    /// Its tree in the last snapshot.
    pub(super) known: Option<Hash>,
    /// Sorted by name.
    pub(super) entries: Vec<(Vec<u8>, Found)>,
}

/// What stands at a name.
pub(super) enum Found {
    File(FoundFile),
    /// The directory with this number, should it turn out to be one.
    Folder(usize),
    Link {
        meta: Meta,
        target: Vec<u8>,
    },
    Left(Why),
    /// It was there a moment ago.
    Gone,
}

/// A file; with its content when that is known.
pub(super) struct FoundFile {
    pub(super) stat: Stat,
    pub(super) content: Option<Content>,
    pub(super) racy: bool,
    pub(super) extended: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a walk has come to.
pub(super) struct Scan {
    /// By their numbers. The first one is the workspace; what lies in a directory comes behind it.
    pub(super) folders: Vec<Outcome>,
    /// Whether a file stands to be read again though nothing of it has changed.
    pub(super) racy: bool,
}

/// What a directory turned out to be.
pub(super) enum Outcome {
    Folder(Folder),
    Left(Why),
    Gone,
}

/// How a walk goes.
pub(super) struct Walk<'a> {
    pub(super) root: &'a OwnedFd,
    pub(super) cache: &'a Cache,
    pub(super) limits: &'a Limits,
    /// Directories of this program, by device and number.
    pub(super) own: &'a [(u64, u64)],
    /// What was changed from here on may be changed again without a trace.
    pub(super) settled: Moment,
    pub(super) threads: usize,
}

/// A directory that is still to be looked at.
struct Task {
    id: usize,
    above: Arc<OwnedFd>,
    name: Vec<u8>,
    path: Vec<u8>,
    dev: u64,
    place: Place,
    rules: Arc<Ignored>,
    ignored: bool,
    /// A `target` with a Cargo.toml beside it.
    built: bool,
}

/// Where a directory lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Tree,
    Git,
    BelowGit,
    /// Where the states of several repositories are, by their names, which may have slashes in them.
    Gits,
}

struct Queue {
    tasks: Mutex<(VecDeque<Task>, usize)>,
    more: Condvar,
    ids: AtomicUsize,
    files: AtomicU64,
    bytes: AtomicU64,
    racy: AtomicBool,
    failed: Mutex<Option<SnapshotError>>,
}

impl Walk<'_> {
    pub(super) fn run(&self) -> Result<Scan, SnapshotError> {
        let above = Arc::new(at::folder(self.root, b".").map_err(SnapshotError::walk)?);
        let dev = at::stat_open(&above).map_err(SnapshotError::walk)?.dev;
        let first = Task {
            id: 0,
            above,
            name: b".".to_vec(),
            path: Vec::new(),
            dev,
            place: Place::Tree,
            rules: Arc::default(),
            ignored: false,
            built: false,
        };
        let queue = Queue {
            tasks: Mutex::new((VecDeque::from([first]), 0)),
            more: Condvar::new(),
            ids: AtomicUsize::new(1),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            racy: AtomicBool::new(false),
            failed: Mutex::new(None),
        };
        let parts: Vec<Vec<(usize, Outcome)>> = thread::scope(|scope| {
            let work = || {
                let mut found = Vec::new();
                while let Some(task) = queue.next() {
                    let id = task.id;
                    match self.folder(task, &queue) {
                        Ok(folder) => found.push((id, folder)),
                        Err(error) => {
                            guard(&queue.failed).get_or_insert(error);
                        }
                    }
                    queue.done();
                }
                found
            };
            let others: Vec<_> = (1..self.threads).map(|_| scope.spawn(work)).collect();
            let mut parts = vec![work()];
            parts.extend(others.into_iter().filter_map(|other| other.join().ok()));
            parts
        });
        if let Some(error) = guard(&queue.failed).take() {
            return Err(error);
        }
        let mut folders: Vec<Outcome> = Vec::new();
        folders.resize_with(queue.ids.load(Ordering::Relaxed), || Outcome::Gone);
        for (id, found) in parts.into_iter().flatten() {
            if let Some(place) = folders.get_mut(id) {
                *place = found;
            }
        }
        if !matches!(folders.first(), Some(Outcome::Folder(_))) {
            return Err(SnapshotError::walk(Errno::NOENT));
        }
        Ok(Scan { folders, racy: queue.racy.load(Ordering::Relaxed) })
    }

    fn folder(&self, task: Task, queue: &Queue) -> Result<Outcome, SnapshotError> {
        let top = task.id == 0;
        let opened = match at::folder(&task.above, &task.name) {
            Err(error) if at::gone(error) => return Ok(Outcome::Gone),
            Err(Errno::ACCESS | Errno::PERM) if !top => return Ok(Outcome::Left(Why::Unreadable)),
            opened => Arc::new(opened.map_err(SnapshotError::walk)?),
        };
        drop(task.above);
        let stat = at::stat_open(&opened).map_err(SnapshotError::walk)?;
        if self.own.contains(&(stat.dev, stat.ino)) {
            return if top { Err(SnapshotError::Own) } else { Ok(Outcome::Left(Why::Own)) };
        }
        if stat.dev != task.dev {
            return Ok(Outcome::Left(Why::Mount));
        }
        let mut names = match at::names(&opened) {
            Err(Errno::ACCESS | Errno::PERM) if !top => return Ok(Outcome::Left(Why::Unreadable)),
            names => names.map_err(SnapshotError::walk)?,
        };
        let has = |names: &[Vec<u8>], name: &[u8]| names.binary_search_by(|n| n[..].cmp(name)).is_ok();
        let place = match task.place {
            Place::Gits if has(&names, b"HEAD") => Place::Git,
            place => place,
        };
        if place == Place::Tree && !top {
            if has(&names, b"pyvenv.cfg") {
                return Ok(Outcome::Left(Why::Dependencies));
            }
            if task.built || has(&names, b"CACHEDIR.TAG") && tagged(&opened) {
                return Ok(Outcome::Left(Why::Built));
            }
        }
        if place == Place::Git {
            names.retain(|name| {
                GIT.contains(&&name[..]) || GITS.contains(&&name[..]) || name.ends_with(b"_HEAD")
            });
        }
        if place != Place::Tree {
            names.retain(|name| !name.ends_with(b".lock"));
        }
        let mut rules = Arc::clone(&task.rules);
        if place == Place::Tree && !task.ignored {
            if has(&names, b".git") {
                rules = rules.with(&opened, &task.path, b".git/info/exclude");
            }
            if has(&names, b".gitignore") {
                rules = rules.with(&opened, &task.path, b".gitignore");
            }
        }
        let ignored = task.ignored || place == Place::Tree && !top && task.rules.holds(&task.path, true);
        if ignored && !task.ignored && !fits(&opened, &mut self.limits.ignored_folder.clone(), &mut 0) {
            return Ok(Outcome::Left(Why::Ignored));
        }
        let cargo = has(&names, b"Cargo.toml");
        let known = self.cache.folder(&task.path);
        let (tree, mut before) = match known {
            Some(known) => (Some(known.tree), known.files.into_iter().peekable()),
            None => (None, Vec::new().into_iter().peekable()),
        };
        let mut entries = Vec::with_capacity(names.len());
        let mut below = Vec::new();
        for name in names {
            let stat = match at::stat(&opened, &name) {
                Err(error) if at::gone(error) => continue,
                Err(Errno::ACCESS | Errno::PERM) => {
                    entries.push((name, Found::Left(Why::Unreadable)));
                    continue;
                }
                stat => stat.map_err(SnapshotError::walk)?,
            };
            while before.next_if(|known| known.name < &name[..]).is_some() {}
            let known = before.next_if(|known| known.name == name);
            let found = match stat.kind() {
                Kind::Folder if name == b"node_modules" && place == Place::Tree => {
                    Found::Left(Why::Dependencies)
                }
                Kind::Folder => {
                    let id = queue.ids.fetch_add(1, Ordering::Relaxed);
                    below.push(Task {
                        id,
                        above: Arc::clone(&opened),
                        path: at::join(&task.path, &name),
                        dev: task.dev,
                        place: match place {
                            Place::Tree if name == b".git" => Place::Git,
                            Place::Tree => Place::Tree,
                            Place::Git if GITS.contains(&&name[..]) => Place::Gits,
                            Place::Gits => Place::Gits,
                            Place::Git | Place::BelowGit => Place::BelowGit,
                        },
                        rules: Arc::clone(&rules),
                        ignored,
                        built: cargo && name == b"target",
                        name: name.clone(),
                    });
                    Found::Folder(id)
                }
                Kind::Link => match rustix::fs::readlinkat(&opened, &name[..], Vec::new()) {
                    Err(error) if at::gone(error) || error == Errno::INVAL => continue,
                    target => Found::Link {
                        meta: stat.meta(Vec::new()),
                        target: target.map_err(SnapshotError::walk)?.into_bytes(),
                    },
                },
                Kind::File => {
                    let room = stat.size.min(stat.room);
                    let large = || ignored || rules.holds(&at::join(&task.path, &name), false);
                    if room > self.limits.file {
                        Found::Left(Why::Large)
                    } else if room > self.limits.ignored_file && place == Place::Tree && large() {
                        Found::Left(Why::Ignored)
                    } else {
                        self.count(queue, room)?;
                        Found::File(self.file(stat, known, queue))
                    }
                }
                Kind::Other => Found::Left(Why::Special),
            };
            entries.push((name, found));
        }
        let extended = at::extended(opened.as_fd()).unwrap_or_default();
        queue.push(below);
        let meta = stat.meta(extended);
        Ok(Outcome::Folder(Folder { id: task.id, path: task.path, meta, known: tree, entries }))
    }

    fn file(&self, stat: Stat, known: Option<super::cache::KnownFile<'_>>, queue: &Queue) -> FoundFile {
        let racy = self.racy(&stat);
        match known {
            Some(known) if stat.unchanged(&known.stat) && !known.racy => {
                FoundFile { stat, content: Some(known.content), racy: false, extended: known.extended }
            }
            known => {
                if known.is_some_and(|known| known.racy && stat.unchanged(&known.stat)) {
                    queue.racy.store(true, Ordering::Relaxed);
                }
                FoundFile { stat, content: None, racy, extended: Vec::new() }
            }
        }
    }

    /// Whether a file may change once more without a trace. Only the time that nobody can set counts.
    pub(super) fn racy(&self, stat: &Stat) -> bool {
        // A file system that knows whole seconds only, which may be every other one.
        let coarse = if stat.ctime.nanos == 0 { 2 } else { 0 };
        let since = Moment { seconds: stat.ctime.seconds + coarse, nanos: stat.ctime.nanos };
        since >= self.settled
    }

    /// Stops before a home directory is copied.
    fn count(&self, queue: &Queue, room: u64) -> Result<(), SnapshotError> {
        let files = queue.files.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = queue.bytes.fetch_add(room, Ordering::Relaxed) + room;
        if files > self.limits.files {
            return Err(SnapshotError::Files(self.limits.files));
        }
        if bytes > self.limits.bytes {
            return Err(SnapshotError::Bytes(self.limits.bytes));
        }
        Ok(())
    }
}

impl Queue {
    /// The next directory; nothing when all were looked at, or one could not be.
    fn next(&self) -> Option<Task> {
        let mut tasks = guard(&self.tasks);
        loop {
            if guard(&self.failed).is_some() {
                return None;
            }
            if let Some(task) = tasks.0.pop_back() {
                tasks.1 += 1;
                return Some(task);
            }
            if tasks.1 == 0 {
                return None;
            }
            tasks = self.more.wait(tasks).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    fn push(&self, below: Vec<Task>) {
        if !below.is_empty() {
            // The last one is taken first: in the order of names.
            guard(&self.tasks).0.extend(below.into_iter().rev());
            self.more.notify_all();
        }
    }

    fn done(&self) {
        let mut tasks = guard(&self.tasks);
        tasks.1 -= 1;
        if tasks.1 == 0 || guard(&self.failed).is_some() {
            self.more.notify_all();
        }
    }
}

/// Whether a directory says of itself that it is a cache.
fn tagged(folder: &OwnedFd) -> bool {
    let mut begin = [0; TAG.len()];
    at::file(folder, b"CACHEDIR.TAG").is_ok_and(|mut file| file.read_exact(&mut begin).is_ok())
        && begin == TAG
}

/// Whether what a directory holds takes no more than this. Looks no further when it does.
fn fits(folder: &OwnedFd, left: &mut u64, files: &mut u64) -> bool {
    /// More small files than this are as slow as a large one.
    const FILES: u64 = 50_000;
    let Ok(names) = at::names(folder) else { return true };
    for name in names {
        let Ok(stat) = at::stat(folder, &name) else { continue };
        *files += 1;
        let room = if stat.kind() == Kind::File { stat.size.min(stat.room) } else { 0 };
        match left.checked_sub(room) {
            Some(rest) if *files <= FILES => *left = rest,
            _ => return false,
        }
        if stat.kind() == Kind::Folder
            && name != b"node_modules"
            && at::folder(folder, &name).is_ok_and(|below| !fits(&below, left, files))
        {
            return false;
        }
    }
    true
}
