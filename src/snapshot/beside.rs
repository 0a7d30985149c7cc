//! New content beside its place: written and brought to the disk by several threads, because most of the time goes
//! into waiting for the disk.

use std::{
    collections::HashSet,
    fs::File,
    io::Write as _,
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags},
    io::Errno,
};

use super::{
    SnapshotError,
    at::{self, Kind},
    attributes::{apply, own, times},
    compare::together,
    node::{Content, Node, Piece},
    path,
    plan::{Change, What},
    restore::{Restore, said},
    store::{Store, guard},
};

/// Threads that write. A disk takes what comes at the same time in one go.
const THREADS: usize = 8;
/// Files that a thread takes at a time: all of them are written before it waits for the first. The disk then has them in
/// few goes; and no more files are open than any system lets a program have.
const SHARE: usize = if cfg!(target_os = "linux") { 32 } else { 8 };
/// Why there is no content for a file.
const LOST: &str =
    "its content is not in the store: it was lost, or is a secret that does not travel to other machines";

/// Where new content is, and the file that it belongs to.
pub(super) struct Beside {
    pub(super) folder: Vec<u8>,
    pub(super) name: Vec<u8>,
    /// It is a further name of another file.
    pub(super) linked: bool,
}

/// Why something could not be prepared.
pub(super) enum Failure {
    /// The others can.
    This(String),
    All(SnapshotError),
}

/// A file that is to be written.
struct Job<'a> {
    key: &'a [u8],
    node: &'a Node,
    folder: Vec<u8>,
    name: Vec<u8>,
}

/// What a further name is made of.
enum Source {
    /// Of a file that is written now too.
    Beside(Vec<u8>),
    /// Of a file that is there and stays.
    There(Vec<u8>),
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

impl Restore<'_> {
    /// Writes all new content beside its place, and brings it to the disk.
    pub(super) fn prepare(&mut self, changes: &[&Change]) -> Result<(), SnapshotError> {
        let together = together(self.to);
        let anew = |change: &&&Change| matches!(change.what, What::Add | What::Replace);
        let new: HashSet<&[u8]> = changes.iter().filter(anew).map(|change| change.key()).collect();
        let changed: HashSet<&[u8]> = changes.iter().map(|change| change.key()).collect();
        let (mut jobs, mut links) = (Vec::new(), Vec::new());
        for change in changes {
            let key = change.key();
            let Some(node) = change.difference.after.as_ref() else { continue };
            let others = together.get(key).copied();
            // What gets a further name is made anew with it, and not touched where it lies.
            let joined = others.is_some_and(|others| others.iter().any(|other| new.contains(&other[..])));
            let wanted = new.contains(key) || change.what == What::Touch && (joined || self.linked(key));
            if !wanted || self.beside.contains_key(key) {
                continue;
            }
            let place = match self.place(key) {
                Ok(place) => place,
                Err(error) => {
                    self.fail(key, Failure::of(error))?;
                    continue;
                }
            };
            // Of files that are the same one is written, and the others are made of it; or of one that is there.
            let written =
                others.and_then(|others| others.iter().find(|other| self.beside.contains_key(*other)));
            let there = others.and_then(|others| {
                others.iter().find(|other| !changed.contains(&other[..]) && self.is(other, Some(node)))
            });
            let job = Job { key, node, folder: place.folder.clone(), name: place.name.clone() };
            match (written.cloned(), there.cloned()) {
                (Some(other), _) => links.push((job, Source::Beside(other))),
                (None, Some(other)) => links.push((job, Source::There(other))),
                (None, None) => jobs.push(job),
            }
            self.beside.insert(key.to_vec(), place);
        }
        for (key, failure) in write(self.store, self.root, &jobs) {
            self.fail(key, failure)?;
        }
        for (job, source) in &links {
            if self.link(job, source).is_ok() {
                if let Some(place) = self.beside.get_mut(job.key) {
                    place.linked = true;
                }
            } else if let Some((key, failure)) = write(self.store, self.root, std::slice::from_ref(job)).pop()
            {
                self.fail(key, failure)?;
            }
        }
        Ok(())
    }

    /// Whether there are further names for the file there: what is done to it would be done to them.
    fn linked(&self, key: &[u8]) -> bool {
        let (folder, name) = at::split(key);
        self.open(folder)
            .and_then(|folder| at::stat(&folder, name))
            .is_ok_and(|stat| stat.kind() == Kind::File && stat.links > 1)
    }

    /// A place for new content, as near as can be to where it goes: the directory for it may be still to be made.
    fn place(&mut self, key: &[u8]) -> Result<Beside, Errno> {
        let mut folder = at::split(key).0;
        let opened = loop {
            match self.open(folder) {
                Err(error) if at::gone(error) && !folder.is_empty() => folder = at::split(folder).0,
                opened => break opened?,
            }
        };
        self.loosen(folder, &opened);
        self.places += 1;
        let name = format!("{}{}", self.mark, self.places).into_bytes();
        Ok(Beside { folder: folder.to_vec(), name, linked: false })
    }

    /// There is no new content for a path.
    fn fail(&mut self, key: &[u8], failure: Failure) -> Result<(), SnapshotError> {
        match failure {
            Failure::This(why) => {
                if let Some(place) = self.beside.remove(key)
                    && let Ok(folder) = self.open(&place.folder)
                {
                    // It is not whole, or was never there.
                    let _ = fs::unlinkat(&folder, &place.name[..], AtFlags::empty());
                }
                self.failed.insert(key.to_vec(), why);
                Ok(())
            }
            Failure::All(error) => Err(error),
        }
    }

    fn link(&self, job: &Job<'_>, source: &Source) -> Result<(), Errno> {
        let (folder, name) = match source {
            Source::There(key) => at::split(key),
            Source::Beside(key) => {
                let place = self.beside.get(key).ok_or(Errno::NOENT)?;
                (&place.folder[..], &place.name[..])
            }
        };
        let (from, to) = (self.open(folder)?, self.open(&job.folder)?);
        fs::linkat(&from, name, &to, &job.name[..], AtFlags::empty())
    }
}

/// Writes files and brings them to the disk. Gives those that could not be; with one that stops everything, not all
/// of the others were tried.
fn write<'a>(store: &Store, root: &OwnedFd, jobs: &[Job<'a>]) -> Vec<(&'a [u8], Failure)> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        let mut opened: Option<(&[u8], Result<OwnedFd, Errno>)> = None;
        loop {
            let from = next.fetch_add(SHARE, Ordering::Relaxed).min(jobs.len());
            let Some(share) =
                jobs.get(from..(from + SHARE).min(jobs.len())).filter(|share| !share.is_empty())
            else {
                return;
            };
            let mut written = Vec::new();
            let fail = |key, failure| {
                if matches!(failure, Failure::All(_)) {
                    next.store(jobs.len(), Ordering::Relaxed);
                }
                guard(&failed).push((key, failure));
            };
            for job in share {
                if opened.as_ref().is_none_or(|(folder, _)| *folder != job.folder) {
                    opened = Some((&job.folder, at::below(root, &job.folder)));
                }
                let made = match &opened {
                    Some((_, Ok(folder))) => make(store, folder, job),
                    Some((_, Err(error))) => Err(Failure::of(*error)),
                    None => Ok(None),
                };
                match made {
                    Ok(file) => written.extend(file.map(|file| (job.key, file))),
                    Err(failure) => fail(job.key, failure),
                }
            }
            for (key, file) in written {
                if let Err(error) = file.sync_all() {
                    fail(key, Failure::All(SnapshotError::Io { path: path(key), error }));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..THREADS.min(jobs.len().div_ceil(SHARE)) {
            scope.spawn(work);
        }
        work();
    });
    failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Writes a file, and gives it to be brought to the disk; a link needs not be.
fn make(store: &Store, folder: &OwnedFd, job: &Job<'_>) -> Result<Option<File>, Failure> {
    let name = &job.name[..];
    match job.node {
        Node::File { meta, size, content } => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR).map_err(Failure::of)?;
            let file = File::from(file);
            fill(store, &file, *size, content)?;
            apply(&file, meta).map_err(Failure::of)?;
            begin_sync(&file);
            Ok(Some(file))
        }
        Node::Link { meta, target } => {
            fs::symlinkat(&target[..], folder, name).map_err(Failure::of)?;
            own(folder, name, meta);
            let set = fs::utimensat(folder, name, &times(meta), AtFlags::SYMLINK_NOFOLLOW);
            set.map(|()| None).map_err(Failure::of)
        }
        Node::Folder { .. } | Node::Left(_) => Err(Failure::This("is not a file any more".to_owned())),
    }
}

/// Lets the disk begin with a file that is [waited for](File::sync_all) later. No promise, and no harm where it can't.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "sync_file_range")]
fn begin_sync(file: &File) {
    use std::os::fd::AsRawFd as _;
    // SAFETY: it takes numbers only, and the file is open.
    let _ = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(not(target_os = "linux"))]
fn begin_sync(_file: &File) {}

fn fill(store: &Store, mut file: &File, size: u64, content: &Content) -> Result<(), Failure> {
    let lost = |error| match error {
        SnapshotError::Lost(_) => Failure::This(LOST.to_owned()),
        error => Failure::All(error),
    };
    let write = |error: std::io::Error| Failure::of(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    match content {
        Content::Whole(hash) => {
            let bytes = store.view(hash).map_err(lost)?;
            file.write_all(&bytes).map_err(write)
        }
        Content::Pieces(list) => {
            let mut at = 0;
            for piece in store.pieces(list).map_err(lost)? {
                match piece {
                    Piece::Hole(length) => at += length,
                    Piece::Data(hash, length) => {
                        let bytes = store.view(&hash).map_err(lost)?;
                        file.write_all_at(&bytes, at).map_err(write)?;
                        at += length;
                    }
                }
            }
            file.set_len(size).map_err(write)
        }
    }
}
