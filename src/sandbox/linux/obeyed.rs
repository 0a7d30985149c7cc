//! What other programs obey in the directories that commands write: git, editors and others do what it says, outside
//! of every sandbox, so that it is not a command's to write.
//!
//! It is made read-only for each command anew, because a session is older than some repositories. What a command makes
//! where there was none can't be prevented: it gets another name when the command has ended. Deeper in a directory is not
//! looked for any.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, StatVfsMountFlags, fstatvfs},
    mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree},
};

use crate::{
    protocol::obeyed_names,
    sandbox::publish::{adopt, filter::BARE, tree::Tree},
};

use super::{
    overlay,
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
        // What commands write there goes into a layer of the session's own.
        if overlay::is_layered(&opened)? || fstatvfs(&opened)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
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

/// What was there before a command, of what is obeyed at the top of each root.
pub(super) struct Known {
    roots: Vec<PathBuf>,
    there: BTreeSet<PathBuf>,
    /// Whether commands may have made something since.
    pub(super) ran: bool,
}

impl Known {
    pub(super) fn of(roots: Vec<PathBuf>) -> Self {
        let mut known = Self { roots, there: BTreeSet::new(), ran: false };
        known.there = known.found().into_iter().collect();
        known
    }

    /// Takes what is there for the user's, unless a command may have made it.
    pub(super) fn look(&mut self) -> Vec<String> {
        if self.ran {
            return self.quarantine();
        }
        self.there = self.found().into_iter().collect();
        Vec::new()
    }

    fn found(&self) -> Vec<PathBuf> {
        let there = |path: &PathBuf| path.symlink_metadata().is_ok();
        let names = || obeyed_names().map(Path::new);
        let mut found: Vec<PathBuf> =
            self.roots.iter().flat_map(|root| names().map(|name| root.join(name))).filter(there).collect();
        // What makes a directory a repository itself.
        for root in &self.roots {
            if BARE.iter().all(|name| there(&root.join(name))) {
                found.push(root.join("HEAD"));
            }
        }
        found
    }

    /// Puts what is new out of the way of those who would obey it. Gives what is to be told of it.
    pub(super) fn quarantine(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        for path in self.found() {
            if self.there.contains(&path) {
                continue;
            }
            match untrusted(&path) {
                Ok(to) if path.ends_with(NAME) => said.extend(adopt::adopt(&path, &to)),
                Ok(to) => said.push(format!(
                    "a command made {}: other programs would obey it, so that it is {} now, for the user to look at and \
                     to rename",
                    path.display(),
                    to.file_name().unwrap_or_default().display()
                )),
                Err(error) => said.push(format!(
                    "a command made {}, which other programs obey, and it can't be renamed ({error}): tell the user to \
                     look at it before anything else",
                    path.display()
                )),
            }
        }
        self.there = self.found().into_iter().collect();
        said
    }
}

/// Renames something to a name that nobody obeys.
fn untrusted(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().display().to_string();
    let parent = Tree::open(path.parent().unwrap_or(Path::new("/")))?;
    for number in 0..100 {
        let end = if number == 0 { String::new() } else { format!(".{number}") };
        let to = format!("untrusted.{}{end}", name.trim_start_matches('.'));
        match parent.rename_new(Path::new(&name), Path::new(&to)) {
            Ok(()) => return Ok(path.with_file_name(to)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there are too many of them already"))
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
    fn what_is_new_is_put_out_of_the_way_and_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::write(root.join(".envrc"), "mine").unwrap();
        let mut known = Known::of(vec![root.clone()]);
        assert_eq!(known.quarantine(), [] as [String; 0]);
        std::fs::create_dir(root.join(".vscode")).unwrap();
        std::os::unix::fs::symlink("/nowhere", root.join(".mcp.json")).unwrap();
        for name in BARE {
            std::fs::write(root.join(name), "").unwrap();
        }
        assert_eq!(known.quarantine().len(), 3);
        assert_eq!(known.quarantine(), [] as [String; 0]);
        for name in ["untrusted.vscode", "untrusted.mcp.json", "untrusted.HEAD", ".envrc"] {
            assert!(root.join(name).symlink_metadata().is_ok(), "{name}");
        }
        std::fs::create_dir(root.join(".vscode")).unwrap();
        assert_eq!(known.quarantine().len(), 1);
        assert!(root.join("untrusted.vscode.1").exists());
        std::fs::create_dir(root.join(".idea")).unwrap();
        assert_eq!(known.look(), [] as [String; 0]);
        assert_eq!(known.quarantine(), [] as [String; 0], "the user made it");
        std::fs::create_dir(root.join(".claude")).unwrap();
        known.ran = true;
        assert_eq!(known.look().len(), 1, "a command may have made it");
    }
}
