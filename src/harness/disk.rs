//! The real disk, looked at to tell what a command would touch.
//!
//! It only looks, and not for longer than a person would wait for a question. Git is asked with everything off that
//! a repository could have run.

use std::{
    ffi::OsString,
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
    process::Child,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::policy::effects::{Dialect, Entry, Variable, World};
use crate::sandbox::Git;
use crate::shell::Surroundings;

/// How long all of it may take.
const LIMIT: Duration = Duration::from_millis(1_500);
/// Names in one directory that are looked at.
const MOST_NAMES: usize = 50_000;
/// Larger programs have no rule.
const LARGEST_PROGRAM: u64 = 64 << 20;
/// What git may say at once.
const MOST_SAID: u64 = 32 << 20;

/// The disk, as the next command would find it.
pub struct Disk {
    around: Surroundings,
    git: Option<Git>,
    until: Instant,
}

impl Disk {
    /// The disk now, around a workspace.
    #[must_use]
    pub fn new(around: Surroundings, workspace: &Path) -> Self {
        Self { around, git: Git::find(workspace), until: Instant::now() + LIMIT }
    }

    fn ask(&self, git: &Git, folder: &Path, question: &[&str]) -> Result<Vec<u8>, String> {
        let failed = |error: io::Error| format!("git can't be asked: {error}");
        let mut child = git.command(folder, question).spawn().map_err(failed)?;
        let (say, said) = mpsc::channel();
        for stream in [child.stdout.take().map(Stream::Out), child.stderr.take().map(Stream::Error)]
            .into_iter()
            .flatten()
        {
            let say = say.clone();
            // Ends with the child: its streams do.
            thread::spawn(move || drop(say.send(stream.read())));
        }
        drop(say);
        let (mut out, mut error) = (Vec::new(), Vec::new());
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            match said.recv_timeout(left) {
                Ok((true, bytes)) => out = bytes,
                Ok((false, bytes)) => error = bytes,
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    end(&mut child);
                    return Err("git did not answer in time".to_owned());
                }
            }
        }
        // Its streams are closed: it ends by itself, or is ended.
        let status = loop {
            match child.try_wait().map_err(failed)? {
                Some(status) => break status,
                None if Instant::now() < self.until => thread::yield_now(),
                None => {
                    end(&mut child);
                    return Err("git did not answer in time".to_owned());
                }
            }
        };
        if out.len() as u64 >= MOST_SAID {
            return Err("git said too much".to_owned());
        }
        if status.success() {
            return Ok(out);
        }
        let error = String::from_utf8_lossy(&error);
        Err(error.trim().lines().next().unwrap_or("git has no answer").to_owned())
    }
}

/// Ends a child that nobody waits for any more.
fn end(child: &mut Child) {
    // It may have ended by itself meanwhile.
    let _ = child.kill();
    let _ = child.wait();
}

enum Stream {
    Out(std::process::ChildStdout),
    Error(std::process::ChildStderr),
}

impl Stream {
    /// Whether it is the answer, and all that was said.
    fn read(self) -> (bool, Vec<u8>) {
        let mut bytes = Vec::new();
        let (answer, read) = match self {
            Self::Out(stream) => (true, stream.take(MOST_SAID).read_to_end(&mut bytes)),
            Self::Error(stream) => (false, stream.take(MOST_SAID).read_to_end(&mut bytes)),
        };
        match read {
            Ok(_) => (answer, bytes),
            Err(_) => (answer, Vec::new()),
        }
    }
}

impl World for Disk {
    fn dialect(&self) -> Dialect {
        match self.around.shell.file_name().and_then(|name| name.to_str()) {
            Some("bash") => Dialect::Bash,
            Some("zsh") => Dialect::Zsh,
            _ => Dialect::Posix,
        }
    }

    fn variable(&self, name: &str) -> Variable {
        match self.around.env.iter().find(|(known, _)| known == name) {
            // Login files may put more into it.
            Some(_) if name == "PATH" => Variable::Unknown,
            Some((_, value)) => {
                value.to_str().map_or(Variable::Unknown, |text| Variable::Set(text.to_owned()))
            }
            None if self.around.whole => Variable::Unset,
            None => Variable::Unknown,
        }
    }

    fn entry(&self, path: &Path) -> Entry {
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => Entry::Directory,
            Ok(meta) if meta.is_file() => Entry::File(meta.len()),
            Ok(meta) if meta.is_symlink() => match fs::read_link(path) {
                Ok(target) => Entry::Link(target),
                Err(error) => Entry::Unreadable(error.to_string()),
            },
            Ok(_) => Entry::Special,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Entry::Missing
            }
            Err(error) => Entry::Unreadable(error.to_string()),
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, String> {
        let cannot = |error: io::Error| format!("{} can't be listed: {error}", path.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(cannot)? {
            names.push(entry.map_err(cannot)?.file_name());
            if names.len() > MOST_NAMES {
                return Err(format!("{} holds too many names", path.display()));
            }
        }
        Ok(names)
    }

    fn git(&self, folder: &Path, question: &[&str]) -> Result<Vec<u8>, String> {
        let git = self.git.as_ref().ok_or("git is not installed")?;
        if !has_repository(folder) {
            return Err("there is no repository".to_owned());
        }
        // Only there it reads contents, and would have them filtered.
        if question.first() == Some(&"status") {
            let filters = self.ask(git, folder, Git::FILTERS).unwrap_or_default();
            return self.ask(&git.clone().without_filters(&filters), folder, question);
        }
        self.ask(git, folder, question)
    }

    fn spent(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// Without one above, git need not be started at all.
fn has_repository(folder: &Path) -> bool {
    folder.ancestors().any(|above: &Path| fs::symlink_metadata(PathBuf::from(above).join(".git")).is_ok())
}

/// The BLAKE3 hash of a program, while it is small enough to be read for a question.
pub(super) fn hash(path: &Path) -> Option<String> {
    let file = fs::File::open(path).ok().filter(|file| file.metadata().is_ok_and(|meta| meta.is_file()))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_PROGRAM + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= LARGEST_PROGRAM).then(|| blake3::hash(&bytes).to_hex().to_string())
}

/// Whether a process was started by this program, or by something that it started.
pub(super) fn is_own_process(pid: u32) -> bool {
    let own = std::process::id();
    let mut at = pid;
    // Longer than any real line of parents.
    for _ in 0..64 {
        let Some(parent) = parent(at) else { return false };
        if parent == own {
            return true;
        }
        at = parent;
    }
    false
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything, parentheses as well.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_started_here_is_known() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(is_own_process(child.id()));
        assert!(!is_own_process(std::process::id()) && !is_own_process(1));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_own_process(child.id()));
    }

    #[test]
    fn a_program_that_was_changed_has_another_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        assert_eq!(hash(&path), None);
        fs::write(&path, "a").unwrap();
        let before = hash(&path);
        fs::write(&path, "b").unwrap();
        assert!(before.is_some() && hash(&path).is_some() && hash(&path) != before);
        assert_eq!(hash(folder.path()), None);
    }
}
