//! Making a plan true: all of it, or nothing.
//!
//! New content is written to temporary files beside the targets first. Then every file is compared with what
//! the plan was made from, and only then the names are changed, one rename each. A rename *exchanges* the new
//! file with the old one, so that there is no moment without a file and the old content is still at hand: it
//! is compared once more (someone may have written at the last moment), and put back when a later step fails.
//! File systems without exchange get two renames.
//!
//! Directories are [opened](super::super::opened) without following any link: the paths of a plan have none.
//!
//! Not kept: hard links (other names keep the old content), extended attributes, and times. A crash of the
//! machine or a kill half-way may leave `.agent-*.tmp` files and some of the steps done.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fmt::Write as _,
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    rc::Rc,
};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags},
    io::Errno,
};

use super::super::opened;
use crate::patch::{Node, Step};

/// Called before everything that can fail, so that tests can make it fail.
type Fault<'f> = &'f mut dyn FnMut() -> io::Result<()>;

/// How a new file takes the place of an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Swap {
    /// In one moment, where the file system can.
    Exchange,
    /// The old one away, then the new one in.
    TwoRenames,
}

/// Does all the steps, or changes nothing and says why.
pub(super) fn write(steps: &[Step]) -> Result<(), String> {
    write_with(steps, Swap::Exchange, &mut || Ok(()))
}

fn write_with(steps: &[Step], swap: Swap, fault: Fault<'_>) -> Result<(), String> {
    let mut work = Work { directories: HashMap::new(), made: Vec::new(), jobs: Vec::new(), swap, fault };
    match work.all(steps) {
        Ok(()) => {
            work.clean_up();
            Ok(())
        }
        Err(problem) => Err(format!("{problem}; {}", work.undo())),
    }
}

struct Work<'s, 'f> {
    /// Open directories of the targets.
    directories: HashMap<PathBuf, Rc<OwnedFd>>,
    /// Directories that were made, with their parents.
    made: Vec<(Rc<OwnedFd>, OsString)>,
    jobs: Vec<Job<'s>>,
    swap: Swap,
    fault: Fault<'f>,
}

/// One step, as far as it is.
struct Job<'s> {
    step: &'s Step,
    directory: Rc<OwnedFd>,
    name: &'s OsStr,
    /// Another name in the same directory, and what lies there.
    spare: OsString,
    state: State,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Begun,
    /// The new content is under the spare name.
    Staged,
    /// The old content is under the spare name.
    Saved,
    /// There was nothing before; the new content is in place.
    Added,
}

impl<'s> Work<'s, '_> {
    fn all(&mut self, steps: &'s [Step]) -> Result<(), String> {
        for step in steps {
            self.stage(step).map_err(|error| could_not_write(&step.path, &error))?;
        }
        for index in 0..self.jobs.len() {
            let job = &self.jobs[index];
            if !job.lies_at(job.name).map_err(|error| could_not_write(&job.step.path, &error))? {
                return Err(changed_meanwhile(&job.step.path));
            }
        }
        for index in 0..self.jobs.len() {
            let path = &self.jobs[index].step.path;
            self.commit(index).map_err(|error| could_not_write(path, &error))?;
            let job = &self.jobs[index];
            let same = job.state != State::Saved
                || job.lies_at(&job.spare).map_err(|error| could_not_write(path, &error))?;
            if !same {
                return Err(changed_meanwhile(path));
            }
        }
        Ok(())
    }

    /// Opens the directory, and writes the new content beside the target.
    fn stage(&mut self, step: &'s Step) -> io::Result<()> {
        let (Some(parent), Some(name)) = (step.path.parent(), step.path.file_name()) else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        let directory = self.directory(parent)?;
        let spare = OsString::from(format!(".agent-{}.tmp", uuid::Uuid::now_v7().simple()));
        self.jobs.push(Job { step, directory: Rc::clone(&directory), name, spare, state: State::Begun });
        let Some(bytes) = &step.after else { return Ok(()) };
        let like = match &step.mode_of {
            Some(path) => {
                let (directory, name) = opened::parent(path)?;
                Some(fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?)
            }
            None => None,
        };
        (self.fault)()?;
        let job = self.jobs.last_mut().expect("it was put there just now");
        // Without an example the umask decides, as it does for every new file.
        let mode = if like.is_some() { Mode::RUSR | Mode::WUSR } else { Mode::from_raw_mode(0o666) };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(fs::openat(&directory, &job.spare, flags, mode)?);
        job.state = State::Staged;
        (self.fault)()?;
        file.write_all(bytes)?;
        if let Some(like) = like {
            let own = fs::fstat(&file)?;
            let mut mode = Mode::from_raw_mode(like.st_mode) & Mode::from_raw_mode(0o7777);
            if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid) {
                let owner = fs::Uid::from_raw(like.st_uid);
                let group = fs::Gid::from_raw(like.st_gid);
                // Only root can give files away. A file of another owner must then not gain his powers.
                if fs::fchown(&file, Some(owner), Some(group)).is_err() {
                    mode &= Mode::from_raw_mode(0o777);
                }
            }
            fs::fchmod(&file, mode)?;
        }
        (self.fault)()?;
        // A crash of the machine after the names are changed must not leave empty files under them.
        match file.sync_data() {
            Err(error) if !unsupported(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// The open directory, made if it is missing.
    fn directory(&mut self, path: &Path) -> io::Result<Rc<OwnedFd>> {
        if let Some(directory) = self.directories.get(path) {
            return Ok(Rc::clone(directory));
        }
        let directory = match opened::directory(path) {
            Err(Errno::NOENT) => {
                let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                    return Err(Errno::NOENT.into());
                };
                let parent = self.directory(parent)?;
                (self.fault)()?;
                match fs::mkdirat(&parent, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) => self.made.push((Rc::clone(&parent), name.to_owned())),
                    Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                fs::openat(&parent, name, opened::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?
            }
            other => other?,
        };
        let directory = Rc::new(directory);
        self.directories.insert(path.to_owned(), Rc::clone(&directory));
        Ok(directory)
    }

    /// Gives the names to the new content.
    fn commit(&mut self, index: usize) -> io::Result<()> {
        (self.fault)()?;
        let job = &mut self.jobs[index];
        match (&job.step.before, &job.step.after) {
            (None, None) => {}
            (None, Some(_)) => {
                job.rename(&job.spare, job.name, RenameFlags::NOREPLACE)?;
                job.state = State::Added;
            }
            (Some(_), None) => {
                job.rename(job.name, &job.spare, RenameFlags::NOREPLACE)?;
                job.state = State::Saved;
            }
            (Some(_), Some(_)) => {
                let exchanged = match self.swap {
                    Swap::Exchange => job.rename(&job.spare, job.name, RenameFlags::EXCHANGE),
                    Swap::TwoRenames => Err(Errno::INVAL.into()),
                };
                match exchanged {
                    Err(error) if unsupported(&error) => {
                        self.swap = Swap::TwoRenames;
                        self.swap_by_two_renames(index)?;
                    }
                    other => other?,
                }
                self.jobs[index].state = State::Saved;
            }
        }
        Ok(())
    }

    fn swap_by_two_renames(&mut self, index: usize) -> io::Result<()> {
        let job = &mut self.jobs[index];
        let mut old = job.spare.clone();
        old.push(".old");
        job.rename(job.name, &old, RenameFlags::NOREPLACE)?;
        let new = std::mem::replace(&mut job.spare, old);
        job.state = State::Saved;
        let job = &self.jobs[index];
        let placed = (self.fault)().and_then(|()| job.rename(&new, job.name, RenameFlags::NOREPLACE));
        if placed.is_err() {
            // The error is what counts; at worst a temporary file stays.
            let _ = fs::unlinkat(&job.directory, &new, AtFlags::empty());
        }
        placed
    }

    /// Removes what is not needed any more.
    fn clean_up(&self) {
        for job in self.jobs.iter().filter(|job| job.state == State::Saved) {
            // The patch is done; a file that stays under a temporary name harms nobody.
            let _ = fs::unlinkat(&job.directory, &job.spare, AtFlags::empty());
        }
    }

    /// Puts everything back, last step first, and says how that went.
    fn undo(&self) -> String {
        let mut lost = String::new();
        for job in self.jobs.iter().rev() {
            let undone = match job.state {
                State::Begun => Ok(()),
                State::Staged => fs::unlinkat(&job.directory, &job.spare, AtFlags::empty()),
                State::Added => fs::unlinkat(&job.directory, job.name, AtFlags::empty()),
                State::Saved => fs::renameat(&job.directory, &job.spare, &job.directory, job.name),
            };
            if let Err(error) = undone {
                let path = job.step.path.display();
                let _ = match job.state {
                    State::Saved => {
                        let old = job.step.path.with_file_name(&job.spare);
                        write!(
                            lost,
                            "; {path} could not be put back ({error}): its old content is {}",
                            old.display()
                        )
                    }
                    _ => write!(lost, "; {path}: what was written could not be removed ({error})"),
                };
            }
        }
        for (parent, name) in self.made.iter().rev() {
            // Someone else may have put something there.
            let _ = fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
        }
        if lost.is_empty() {
            "nothing was changed".to_owned()
        } else {
            format!("undoing it failed in part{lost}")
        }
    }
}

impl Job<'_> {
    /// Whether what the plan was made from lies under a name of the directory.
    fn lies_at(&self, name: &OsStr) -> io::Result<bool> {
        let stat = match fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(self.step.before.is_none()),
            Err(error) => return Err(error.into()),
        };
        match (&self.step.before, FileType::from_raw_mode(stat.st_mode)) {
            (Some(Node::Link(target)), FileType::Symlink) => {
                let now = fs::readlinkat(&self.directory, name, Vec::new())?;
                Ok(now.to_bytes() == target.as_os_str().as_encoded_bytes())
            }
            (Some(Node::File(bytes)), FileType::RegularFile) if stat.st_size as u64 == bytes.len() as u64 => {
                let file = opened::file(&self.directory, name)?;
                let mut now = Vec::with_capacity(bytes.len() + 1);
                file.take(bytes.len() as u64 + 1).read_to_end(&mut now)?;
                Ok(now == **bytes)
            }
            _ => Ok(false),
        }
    }

    fn rename(&self, from: &OsStr, to: &OsStr, flags: RenameFlags) -> io::Result<()> {
        let directory = self.directory.as_fd();
        match fs::renameat_with(directory, from, directory, to, flags) {
            // The check and the rename are then two things, with a small gap.
            Err(Errno::INVAL | Errno::NOSYS) if flags == RenameFlags::NOREPLACE => {
                match fs::statat(directory, to, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => Ok(fs::renameat(directory, from, directory, to)?),
                    Ok(_) => Err(Errno::EXIST.into()),
                    Err(error) => Err(error.into()),
                }
            }
            other => Ok(other?),
        }
    }
}

fn unsupported(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::NOSYS))
}

fn could_not_write(path: &Path, error: &io::Error) -> String {
    format!("could not write {}: {error}", path.display())
}

fn changed_meanwhile(path: &Path) -> String {
    format!("{} was changed by someone else while the patch was being applied: read it again", path.display())
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
