//! The real `.git` while something is brought out into it: whole files, by renaming, under git's own locks.
//!
//! Wherever this process is killed, each file is the old or the new one. What is not finished goes by names that git
//! itself sweeps (`objects/tmp_obj_*`); a lock that stayed is in a journal there, and is taken away at the next start.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::{
    fs::{
        AtFlags, FlockOperation, Mode, OFlags, fchmod, fchown, fdatasync, flock, fstat, linkat, renameat,
        statat, unlinkat,
    },
    io::Errno,
};

use super::{
    filter::Kind,
    tree::{Tree, is_missing, stamp_of},
};

/// Where unfinished files lie, and how their names begin.
const DRAFTS: &str = "objects";
const DRAFT: &str = "tmp_obj_agent_";

/// How long another git is waited for, in milliseconds: it holds a lock for moments.
const PATIENCE: [u64; 5] = [1, 4, 15, 40, 100];

/// A repository that is being written.
pub(super) struct Outside<'a> {
    tree: &'a Tree,
    journal: PathBuf,
    file: File,
    next: std::cell::Cell<u32>,
}

/// What is to become of a file whose lock is held.
pub(super) enum Decision {
    Write(Vec<u8>),
    Remove,
    Leave,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    Done,
    Left,
    /// Another git works on it.
    Busy,
}

/// A file that is not in its place yet. It goes when it is not put there.
pub(super) struct Draft<'a> {
    outside: &'a Outside<'a>,
    path: PathBuf,
    pub(super) file: File,
}

impl<'a> Outside<'a> {
    /// Begins to write into `tree`.
    pub(super) fn begin(tree: &'a Tree) -> io::Result<Self> {
        loop {
            let journal = Path::new(DRAFTS).join(format!("{DRAFT}{:016x}", rand()));
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
            let file = File::from(tree.at(&journal, flags, Mode::from_raw_mode(0o600))?);
            flock(&file, FlockOperation::LockExclusive)?;
            // Somebody may have swept it before the lock was there.
            if fstat(&file)?.st_nlink > 0 {
                return Ok(Self { tree, journal, file, next: 0.into() });
            }
        }
    }

    /// A new file, on the file system of the repository.
    pub(super) fn draft(&'a self, mode: u32) -> io::Result<Draft<'a>> {
        let number = self.next.replace(self.next.get() + 1);
        let mut path = self.journal.clone().into_os_string();
        path.push(format!("_{number}"));
        let path = PathBuf::from(path);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = File::from(self.tree.at(&path, flags, Mode::from_raw_mode(mode))?);
        step();
        if let Some((user, group)) = self.tree.owner() {
            fchown(&file, Some(user), Some(group))?;
        }
        Ok(Draft { outside: self, path, file })
    }

    /// Changes a file of the repository as git does: under its lock, and by what it says now.
    pub(super) fn change(
        &self,
        path: &Path,
        limit: u64,
        decide: impl FnOnce(Option<Vec<u8>>) -> io::Result<Decision>,
    ) -> io::Result<Came> {
        self.tree.make_parents(path)?;
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        let mut draft = self.draft(0o666)?;
        let Some(_held) = draft.lock(&lock)? else { return Ok(Came::Busy) };
        step();
        match decide(self.tree.read(path, limit)?)? {
            Decision::Leave => Ok(Came::Left),
            Decision::Remove => {
                self.tree.remove(path)?;
                step();
                Ok(Came::Done)
            }
            Decision::Write(content) => {
                draft.write(&content)?;
                draft.like(path)?;
                self.rename(&lock, path)?;
                step();
                Ok(Came::Done)
            }
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let rename = || {
            let ((old, name), (new, wanted)) = (self.tree.parent(from)?, self.tree.parent(to)?);
            Ok::<(), io::Error>(renameat(&old, name, &new, wanted)?)
        };
        match rename() {
            // Directories that are left of references of other names.
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                self.remove_empty_tree(to)?;
                rename()
            }
            renamed => renamed,
        }
    }

    fn remove_empty_tree(&self, path: &Path) -> io::Result<()> {
        for entry in self.tree.list(path)? {
            if entry.kind == Kind::Directory {
                self.remove_empty_tree(&path.join(entry.name))?;
            }
        }
        self.tree.remove_empty(path)
    }
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        // Else the next start takes it away.
        let _ = self.tree.remove(&self.journal);
    }
}

impl<'a> Draft<'a> {
    pub(super) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content)?;
        step();
        Ok(fdatasync(&self.file)?)
    }

    /// Gives it the mode of the file in whose place it comes.
    fn like(&self, path: &Path) -> io::Result<()> {
        let tree = self.outside.tree;
        let (parent, name) = tree.parent(path)?;
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(fchmod(&self.file, Mode::from_raw_mode(stat.st_mode & 0o666))?),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts it in its place, over what is there.
    pub(super) fn place(self, path: &Path) -> io::Result<()> {
        self.outside.tree.make_parents(path)?;
        step();
        self.outside.rename(&self.path, path)?;
        step();
        Ok(())
    }

    /// Takes a lock of git's: the file appears under that name as well. Nothing when another one has it.
    fn lock(&self, lock: &Path) -> io::Result<Option<Held<'a>>> {
        let outside = self.outside;
        let inode = stamp_of(&self.file)?.inode();
        let line = [format!("{inode} ").as_bytes(), lock.as_os_str().as_encoded_bytes(), b"\0"].concat();
        (&outside.file).write_all(&line)?;
        step();
        let mut patience = PATIENCE.iter();
        loop {
            let ((from, name), (to, wanted)) = (outside.tree.parent(&self.path)?, outside.tree.parent(lock)?);
            match linkat(&from, name, &to, wanted, AtFlags::empty()) {
                Ok(()) => return Ok(Some(Held { tree: outside.tree, lock: lock.to_owned(), inode })),
                Err(Errno::EXIST) => match patience.next() {
                    Some(pause) => thread::sleep(Duration::from_millis(*pause)),
                    None => return Ok(None),
                },
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // It may be in its place already.
        let _ = self.outside.tree.remove(&self.path);
    }
}

/// A lock of git's that is ours.
struct Held<'a> {
    tree: &'a Tree,
    lock: PathBuf,
    inode: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        release(self.tree, &self.lock, self.inode);
    }
}

/// Takes a lock away if it is the file with that number. By then it may be in its place, or another's.
fn release(tree: &Tree, lock: &Path, inode: u64) {
    if let Ok((parent, name)) = tree.parent(lock)
        && statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| stat.st_ino == inode)
    {
        let _ = unlinkat(&parent, name, AtFlags::empty());
    }
}

/// Takes away what processes that were killed left unfinished.
pub(in crate::sandbox) fn sweep(tree: &Tree) -> io::Result<()> {
    let drafts = Path::new(DRAFTS);
    let entries = tree.list(drafts)?;
    let ours = |entry: &&super::tree::Entry| {
        entry.kind == Kind::File && entry.name.to_str().is_some_and(|name| name.starts_with(DRAFT))
    };
    let names: Vec<&str> = entries.iter().filter(ours).filter_map(|entry| entry.name.to_str()).collect();
    for journal in names.iter().filter(|name| name.len() == DRAFT.len() + 16) {
        let path = drafts.join(journal);
        let mut file = match tree.at(&path, OFlags::RDWR, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(error) if is_missing(&error) => continue,
            Err(error) => return Err(error),
        };
        // Whoever holds it is at work.
        if flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let mut lines = Vec::new();
        file.rewind()?;
        (&file).take(1 << 20).read_to_end(&mut lines)?;
        for line in lines.split(|byte| *byte == 0) {
            let Some((inode, lock)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(' '))
            else {
                continue;
            };
            if let Ok(inode) = inode.parse()
                && lock.ends_with(".lock")
            {
                release(tree, Path::new(lock), inode);
            }
        }
        for draft in names.iter().filter(|name| name.starts_with(*journal)) {
            tree.remove(&drafts.join(draft))?;
        }
    }
    // Drafts without a journal are left to git, which sweeps them with its own.
    Ok(())
}

/// Enough to tell the journals of one moment apart; a name that is taken is an error, and tried again later.
fn rand() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1
}

/// A place where a test may end this process.
pub(super) fn step() {
    #[cfg(test)]
    crate::sandbox::env::test_step();
}
