//! What lies where: as it is, or as it would be if something was brought out.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Component, Path, PathBuf},
};

/// More links are a circle (ELOOP of Linux).
const MOST_LINKS: usize = 40;

/// What lies at a path, links not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) enum Lies {
    Directory,
    File {
        /// Somebody may run it.
        runs: bool,
    },
    Link(PathBuf),
    Other,
}

/// A state of the files.
pub(in crate::sandbox) trait View {
    /// What lies at an absolute path. Above it there is no link.
    fn at(&self, path: &Path) -> Option<Lies>;
}

/// As they are.
pub(in crate::sandbox) struct Real;

impl View for Real {
    fn at(&self, path: &Path) -> Option<Lies> {
        let meta = path.symlink_metadata().ok()?;
        Some(if meta.is_dir() {
            Lies::Directory
        } else if meta.is_file() {
            Lies::File { runs: meta.permissions().mode() & 0o111 != 0 }
        } else if meta.is_symlink() {
            fs::read_link(path).map_or(Lies::Other, Lies::Link)
        } else {
            Lies::Other
        })
    }
}

/// What decides about what is found at a path: each link on the way, and what lies there in the end, if anything does.
pub(in crate::sandbox) fn way(view: &dyn View, path: &Path) -> Vec<PathBuf> {
    let parts =
        |path: &Path| path.components().map(|part| part.as_os_str().to_owned()).collect::<Vec<OsString>>();
    let mut rest: VecDeque<OsString> = parts(path).into();
    let (mut here, mut found) = (PathBuf::from("/"), Vec::new());
    while let Some(part) = rest.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::Normal(name)) => here.push(name),
            Some(Component::ParentDir) => drop(here.pop()),
            Some(Component::RootDir) => here = PathBuf::from("/"),
            _ => continue,
        }
        match view.at(&here) {
            None => return found,
            Some(Lies::Link(to)) => {
                found.push(here.clone());
                if found.len() > MOST_LINKS {
                    return found;
                }
                here.pop();
                for part in parts(&to).into_iter().rev() {
                    rest.push_front(part);
                }
            }
            Some(_) => {}
        }
    }
    found.push(here);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_link_on_the_way_decides() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/f"), "").unwrap();
        for (to, at) in [("a", "l"), ("../l/b", "a/m"), ("circle", "circle"), ("nowhere", "a/n")] {
            std::os::unix::fs::symlink(to, root.join(at)).unwrap();
        }
        let found = |path: &str| {
            let found = way(&Real, &root.join(path)).into_iter();
            found.map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found("a/b/f"), ["a/b/f"]);
        assert_eq!(found("a/../l/m/f"), ["l", "a/m", "l", "a/b/f"]);
        assert_eq!(found("a/n/x"), ["a/n"]);
        assert_eq!(found("a/none"), [] as [&str; 0]);
        assert!(found("circle").iter().all(|path| path == "circle"));
    }
}
