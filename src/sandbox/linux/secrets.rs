//! Files of the workspace that hold secrets, by their usual names: commands see a line of text in their place.
//!
//! Each is held by an open descriptor, so that it is found again wherever a command moves it.

use std::{
    fs::File,
    io::Read as _,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, fstat, open},
    io::Errno,
};

use crate::protocol::is_secret;
use crate::sandbox::Git;

/// What stands in the place of a secret, in a form that its readers take for a comment.
pub(in crate::sandbox) const TEXT: &str = "# This file is hidden from commands, because it may hold secrets. The user can show it: \
                               reveal = [\"PATH\"] in the settings of agent.\n";

/// How deep secrets are looked for, and in how many directories at most.
const DEPTH: usize = 3;
const DIRECTORIES: usize = 2000;

/// Directories of other people's files.
const NOT_WITHIN: &[&str] = &[".git", "node_modules", "target"];

/// A file is judged by so much of it.
const READ: u64 = 64 << 10;

/// Those of a session.
pub(super) struct Secrets {
    roots: Vec<PathBuf>,
    /// Shown all the same.
    reveal: Vec<PathBuf>,
    held: Vec<(PathBuf, File)>,
}

impl Secrets {
    /// What is there at the beginning.
    pub(super) fn of(roots: Vec<PathBuf>, reveal: Vec<PathBuf>) -> Self {
        let mut secrets = Self { roots, reveal, held: Vec::new() };
        for root in secrets.roots.clone() {
            let found = find(&root, DEPTH);
            secrets.hold(&root, found);
        }
        secrets
    }

    /// Looks at what the user has made since, at the top of each root. Not to be asked when a command may have made it.
    pub(super) fn look(&mut self) {
        for root in self.roots.clone() {
            let found = find(&root, 0)
                .into_iter()
                .filter(|path| !self.held.iter().any(|(held, _)| held == path))
                .collect();
            self.hold(&root, found);
        }
    }

    fn hold(&mut self, root: &Path, found: Vec<PathBuf>) {
        let found: Vec<PathBuf> = found
            .into_iter()
            .filter(|path| !self.reveal.iter().any(|shown| root.join(shown) == *path))
            .collect();
        let tracked = tracked(root, &found);
        for path in found.into_iter().filter(|path| !tracked.contains(path)) {
            if let Some(file) = hold(&path) {
                self.held.push((path, file));
            }
        }
    }

    /// Where they are now.
    pub(super) fn paths(&mut self) -> Vec<PathBuf> {
        for (path, file) in &mut self.held {
            let gone = fstat(&*file).is_ok_and(|stat| stat.st_nlink == 0);
            // An editor puts a new file in the place of the old one.
            if gone && let Some(new) = hold(path) {
                *file = new;
            }
            if let Ok(now) = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
                *path = now;
            }
        }
        self.held.retain(|(_, file)| fstat(file).is_ok_and(|stat| stat.st_nlink > 0));
        let within = |path: &PathBuf| self.roots.iter().any(|root| path.starts_with(root));
        self.held.iter().map(|(path, _)| path.clone()).filter(within).collect()
    }
}

fn hold(path: &Path) -> Option<File> {
    open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok().map(File::from)
}

/// Files of a tree that are secrets by their names, and by what they hold where many such hold none.
fn find(root: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), 0)];
    let mut looked = 0;
    while let Some((directory, level)) = open.pop() {
        looked += 1;
        let Some(entries) = std::fs::read_dir(&directory).ok().filter(|_| looked <= DIRECTORIES) else {
            continue;
        };
        for entry in entries.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let Ok(kind) = entry.file_type() else { continue };
            let Some(name) = name.to_str() else { continue };
            if kind.is_dir() && level < depth && !NOT_WITHIN.contains(&name) {
                open.push((path, level + 1));
            } else if kind.is_file() && is_secret(name, || text(&path)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = open(path, flags, Mode::empty()).map(File::from);
    let mut bytes = Vec::new();
    // What can't be read can't be read by commands either.
    let read = opened.and_then(|file| file.take(READ).read_to_end(&mut bytes).map_err(|_| Errno::IO));
    if read.is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Which of these files, as paths below `root`, are secrets that commands do not get to see.
pub(in crate::sandbox) fn among<'p>(
    root: &Path,
    files: impl Iterator<Item = &'p Path>,
    reveal: &[PathBuf],
) -> Vec<PathBuf> {
    let is_one = |below: &&Path| {
        let name = below.file_name().and_then(|name| name.to_str());
        let within = |part: &std::ffi::OsStr| NOT_WITHIN.iter().any(|other| part == *other);
        below.iter().count() <= DEPTH + 1
            && !below.iter().any(within)
            && name.is_some_and(|name| is_secret(name, || text(&root.join(below))))
            && !reveal.iter().any(|shown| root.join(shown) == root.join(below))
    };
    let found: Vec<PathBuf> = files.filter(is_one).map(|below| root.join(below)).collect();
    let tracked = tracked(root, &found);
    let below = |path: PathBuf| path.strip_prefix(root).map(Path::to_owned).ok();
    found.into_iter().filter(|path| !tracked.contains(path)).filter_map(below).collect()
}

/// Those that are in the repository anyway: they are no secrets, and would be taken for changed.
fn tracked(root: &Path, found: &[PathBuf]) -> Vec<PathBuf> {
    if found.is_empty() {
        return Vec::new();
    }
    let Some(git) = Git::find(root) else { return Vec::new() };
    let mut command = git.command(root, &["ls-files", "-z", "--"]);
    let output = command.args(found).output();
    let names = output.map(|output| output.stdout).unwrap_or_default();
    let path = |name: &[u8]| root.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
    names.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_again_where_it_was_moved() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b/c/d")).unwrap();
        for name in [".env", "a/.env.local", "a/b/c/d/.env", "shown.pem"] {
            std::fs::write(root.join(name), "-----BEGIN PRIVATE KEY-----").unwrap();
        }
        let mut secrets = Secrets::of(vec![root.clone()], vec!["shown.pem".into()]);
        assert_eq!(secrets.paths(), [root.join(".env"), root.join("a/.env.local")]);
        std::fs::rename(root.join("a"), root.join("moved")).unwrap();
        assert_eq!(secrets.paths(), [root.join(".env"), root.join("moved/.env.local")]);
        std::fs::write(root.join("new"), "x").unwrap();
        std::fs::rename(root.join("new"), root.join(".env")).unwrap();
        assert_eq!(
            secrets.paths(),
            [root.join(".env"), root.join("moved/.env.local")],
            "as an editor does it"
        );
        std::fs::remove_file(root.join("moved/.env.local")).unwrap();
        std::fs::write(root.join(".netrc"), "x").unwrap();
        secrets.look();
        assert_eq!(secrets.paths(), [root.join(".env"), root.join(".netrc")]);
    }
}
