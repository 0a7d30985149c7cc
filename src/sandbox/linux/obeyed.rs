//! What other programs obey in the directories that commands write: git, editors and others do what it says, outside
//! of every sandbox, so that it is not a command's to write.
//!
//! It is made read-only for each command anew, because a session is older than some repositories. A `.git` that a
//! command makes where there was none can't be prevented, but is told. Deeper in a directory is not looked for any.

use std::{
    fs::File,
    io::{self, Read as _},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use rustix::{
    fs::{Mode, OFlags, StatVfsMountFlags, fstatvfs},
    mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree},
};

use crate::protocol::obeyed_names;

use super::{
    place::{at, open_plain},
    sys::{MountChange, set_mount},
};

const NAME: &str = ".git";

/// More is no pointer to a repository.
const LONGEST_POINTER: u64 = 4096;

/// Makes what is obeyed in `roots` read-only, for this process's own mount namespace.
pub(super) fn protect(roots: &[PathBuf]) -> io::Result<()> {
    for path in roots.iter().flat_map(|root| places(root, roots)) {
        let opened = match open_plain(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            // A link can't be covered. Where that of a repository leads is another of the places.
            Err(_) if path.is_symlink() => continue,
            opened => opened?,
        };
        if fstatvfs(&opened)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
            continue;
        }
        let whole = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = open_tree(&opened, "", whole).map_err(|error| at(&path, error.into()))?;
        let set = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID;
        let change = MountChange { set, private: true, recursive: true, idmap: None };
        set_mount(tree.as_fd(), &change).map_err(|error| at(&path, error))?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&tree, "", &opened, "", flags).map_err(|error| at(&path, error.into()))?;
    }
    Ok(())
}

/// What is obeyed in a root, and what its `.git` leads to within the roots: a worktree's points to a directory by its
/// text.
fn places(root: &Path, roots: &[PathBuf]) -> Vec<PathBuf> {
    let there = |path: &PathBuf| path.symlink_metadata().is_ok();
    let mut found: Vec<PathBuf> = obeyed_names().map(|name| root.join(name)).filter(there).collect();
    let git = root.join(NAME);
    let Ok(meta) = git.symlink_metadata() else { return found };
    let pointed = if meta.is_file() { pointer(&git, "gitdir:") } else { None };
    let leads = |path: PathBuf| path.canonicalize().ok();
    if let Some(directory) = leads(pointed.map_or(git, |to| root.join(to))) {
        found.extend(pointer(&directory.join("commondir"), "").and_then(|to| leads(directory.join(to))));
        found.push(directory);
    }
    found.retain(|path| roots.iter().any(|root| path.starts_with(root) && path != root));
    found.sort();
    found.dedup();
    found
}

/// The path that a small file names after `word`.
fn pointer(file: &Path, word: &str) -> Option<PathBuf> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(file, flags, Mode::empty()).ok()?);
    let mut text = String::new();
    file.take(LONGEST_POINTER).read_to_string(&mut text).ok()?;
    Some(text.strip_prefix(word)?.trim().into())
}

/// What the `.git` of each root was at the last look.
pub(super) struct Known(Mutex<Vec<(PathBuf, Option<Identity>)>>);

/// Device, inode, kind, and (for inodes are used again) when it was made: what another one in its place does not share.
type Identity = (u64, u64, u32, Option<SystemTime>);

impl Known {
    pub(super) fn of<'a>(roots: impl Iterator<Item = &'a Path>) -> Self {
        let look = |path: PathBuf| {
            let is = identity(&path);
            (path, is)
        };
        Self(Mutex::new(roots.map(|root| look(root.join(NAME))).collect()))
    }

    /// Which of them are new, or others, since the last look.
    pub(super) fn planted(&self) -> Vec<PathBuf> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut planted = Vec::new();
        for (path, was) in known.iter_mut() {
            let is = identity(path);
            if is.is_some() && is != *was {
                planted.push(path.clone());
            }
            *was = is;
        }
        planted
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let meta = path.symlink_metadata().ok()?;
    Some((meta.dev(), meta.ino(), meta.mode() & libc::S_IFMT, meta.created().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_found_where_its_pointers_lead() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let [plain, tree, bare, none] = ["plain", "tree", "bare", "none"].map(|name| root.join(name));
        for path in [&plain.join(".git"), &bare.join("worktrees/tree"), &tree, &none] {
            std::fs::create_dir_all(path).unwrap();
        }
        std::fs::write(tree.join(".git"), "gitdir: ../bare/worktrees/tree\n").unwrap();
        std::fs::write(bare.join("worktrees/tree/commondir"), "../..\n").unwrap();
        std::os::unix::fs::symlink("/nowhere", none.join(".git")).unwrap();
        let roots = [root.clone(), plain.clone()];
        assert_eq!(places(&plain, &roots), [plain.join(".git")]);
        assert_eq!(places(&tree, &roots), [bare.clone(), bare.join("worktrees/tree"), tree.join(".git")]);
        assert_eq!(
            places(&tree, std::slice::from_ref(&tree)),
            [tree.join(".git")],
            "what is outside can't be written anyway"
        );
        assert_eq!(places(&none, &roots), [none.join(".git")]);
        assert_eq!(places(&root, &roots), [] as [PathBuf; 0]);
    }

    #[test]
    fn what_is_new_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join(".git");
        let known = Known::of(std::iter::once(dir.path()));
        assert_eq!(known.planted(), [] as [PathBuf; 0]);
        std::fs::create_dir(&git).unwrap();
        assert_eq!(known.planted(), std::slice::from_ref(&git));
        assert_eq!(known.planted(), [] as [PathBuf; 0]);
        std::fs::rename(&git, dir.path().join("old")).unwrap();
        std::fs::write(&git, "gitdir: x").unwrap();
        assert_eq!(known.planted(), [git]);
    }
}
