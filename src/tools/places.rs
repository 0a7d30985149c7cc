//! Where paths really lie, and whether that is inside the workspace.
//!
//! Judged by the path with all links resolved, also when the end of it does not exist yet. A judgement is only
//! as good as the moment it was made in: who writes must hold on to the directory, as `apply_patch` does.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs, io,
    path::{Component, Path, PathBuf},
};

use crate::protocol::{Intent, obeyed_by};

use super::Workspace;

/// As many links in one path as the kernel follows.
const MOST_LINKS: usize = 40;

/// Whether the last part of a path is followed when it is a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    Keep,
}

/// An absolute path with its links resolved. What does not exist is taken as it is written.
pub(super) fn resolve(path: &Path, last: Last) -> io::Result<PathBuf> {
    enum Part {
        Root,
        Up,
        Name(OsString),
    }
    let parts = |path: &Path| -> Vec<Part> {
        path.components()
            .filter_map(|component| match component {
                Component::RootDir => Some(Part::Root),
                Component::ParentDir => Some(Part::Up),
                Component::Normal(name) => Some(Part::Name(name.to_owned())),
                Component::CurDir | Component::Prefix(_) => None,
            })
            .collect()
    };
    let mut rest: VecDeque<Part> = parts(path).into();
    let mut real = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        let name = match part {
            Part::Root => {
                real = PathBuf::from("/");
                continue;
            }
            Part::Up => {
                real.pop();
                continue;
            }
            Part::Name(name) => name,
        };
        real.push(name);
        match fs::symlink_metadata(&real) {
            Ok(meta) if meta.is_symlink() && !(rest.is_empty() && last == Last::Keep) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(io::Error::from_raw_os_error(libc::ELOOP));
                }
                let target = fs::read_link(&real)?;
                real.pop();
                for part in parts(&target).into_iter().rev() {
                    rest.push_front(part);
                }
            }
            Ok(meta) if !meta.is_dir() && !rest.is_empty() => {
                return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(real)
}

/// A path with its links resolved, as far as it can be.
#[must_use]
pub fn resolved(path: &Path) -> PathBuf {
    resolve(path, Last::Follow).unwrap_or_else(|_| path.to_owned())
}

/// The directories that may be written, links resolved.
#[derive(Debug, Clone)]
pub(super) struct Inside {
    roots: Vec<PathBuf>,
    own: Vec<PathBuf>,
}

impl Inside {
    pub(super) fn of(workspace: &Workspace) -> Self {
        // As they were resolved when they were given. One that became a link meanwhile holds nothing.
        let roots = std::iter::once(&workspace.root).chain(&workspace.writable).cloned().collect();
        Self { roots, own: workspace.own.clone() }
    }

    /// Whether a resolved path is one of them, or lies below.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root)) && !self.keeps(path)
    }

    /// Whether it belongs to this program, so that nobody's word opens it to a tool.
    pub(super) fn keeps(&self, path: &Path) -> bool {
        self.own.iter().any(|own| path.starts_with(own))
    }

    /// Whether it may be written without a person's word: not under a name that other programs obey. Those are
    /// among the directories one by one, when a call was allowed that says it writes them.
    pub(super) fn gives(&self, path: &Path) -> bool {
        let below = |root: &PathBuf| path.strip_prefix(root).is_ok_and(|rest| obeyed_by(rest).is_none());
        self.roots.iter().any(below) && !self.keeps(path)
    }
}

impl Workspace {
    /// The workspace for a call that was allowed with this intent: what the intent says it reads or writes outside, or
    /// writes under a name that other programs obey, belongs to it as well. Nothing else is how a tool learns that.
    #[must_use]
    pub fn widened(&self, intent: &Intent) -> Self {
        let mut wider = self.clone();
        match intent {
            Intent::Write { files } => {
                for file in files {
                    let paths = std::iter::once(&file.path).chain(&file.moved_to);
                    let given = paths.filter(|path| file.outside || obeyed_by(path).is_some());
                    wider.writable.extend(given.cloned());
                }
            }
            Intent::Read { paths } => wider.writable.extend(paths.iter().cloned()),
            Intent::None
            | Intent::Command { .. }
            | Intent::Input { .. }
            | Intent::Connect { .. }
            | Intent::Remember { .. }
            | Intent::Hosted { .. }
            | Intent::Unknown => {}
        }
        wider
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_resolved_and_what_is_missing_is_taken_as_written() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/f"), "").unwrap();
        symlink("a/b", root.join("to_b")).unwrap();
        symlink(root.join("a/f"), root.join("to_f")).unwrap();
        symlink("nowhere/x", root.join("dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let cases = [
            ("a/f", Ok("a/f")),
            ("./a/../a//b", Ok("a/b")),
            ("to_b/new", Ok("a/b/new")),
            ("to_b/../f", Ok("a/f")),
            ("to_f", Ok("a/f")),
            ("dangling", Ok("nowhere/x")),
            ("new/deep/file", Ok("new/deep/file")),
            ("new/../a", Ok("a")),
            ("a/f/x", Err(libc::ENOTDIR)),
            ("loop", Err(libc::ELOOP)),
        ];
        for (path, expected) in cases {
            let real = resolve(&root.join(path), Last::Follow).map_err(|error| error.raw_os_error().unwrap());
            assert_eq!(real, expected.map(|path| root.join(path)), "{path}");
        }
        assert_eq!(resolve(&root.join("to_b/../../to_f"), Last::Keep).unwrap(), root.join("to_f"));
    }

    #[test]
    fn a_sibling_with_the_same_beginning_is_not_inside() {
        let workspace =
            Workspace { root: "/w".into(), writable: vec!["/x/file".into()], own: vec!["/w/own".into()] };
        let inside = Inside::of(&workspace);
        assert!(inside.holds(Path::new("/w/a")) && inside.holds(Path::new("/x/file")));
        assert!(!inside.holds(Path::new("/w/own/key")) && !inside.gives(Path::new("/w/own")));
        assert!(!inside.holds(Path::new("/www")) && !inside.holds(Path::new("/x/file2")));
    }
}
