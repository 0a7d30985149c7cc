//! What has become of the files since a state, in words short enough to be told.

use std::path::{Path, PathBuf};

use crate::protocol::SnapshotId;

use super::{
    SnapshotError, Snapshots,
    plan::{Change, What},
};

/// A path whose content is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Below the workspace.
    pub path: PathBuf,
    pub how: How,
}

/// What happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    New,
    Changed,
    Deleted,
    /// A directory with so many files below it.
    NewFolder(usize),
    DeletedFolder(usize),
    /// The state of a repository: commits, branches, or what is staged.
    Repository,
}

impl Snapshots {
    /// What whoever reads the files finds to be different from an earlier state.
    ///
    /// # Errors
    /// When one of the states is not there any more, or can't be read.
    pub fn changed(&self, then: &SnapshotId, now: &SnapshotId) -> Result<Vec<Changed>, SnapshotError> {
        if then == now {
            return Ok(Vec::new());
        }
        let plan = self.plan(then, now, &[])?;
        Ok(told(plan.changes.iter().filter(|change| change.difference.of_content())))
    }
}

/// Directories that came or went stand for what is below them, and a repository for its state.
fn told<'a>(changes: impl Iterator<Item = &'a Change>) -> Vec<Changed> {
    let mut told: Vec<Changed> = Vec::new();
    for change in changes {
        let path = &change.path;
        if change.git {
            let git: PathBuf =
                path.iter().take_while(|name| *name != ".git").chain([".git".as_ref()]).collect();
            // Whoever only looks at the index writes it anew.
            if !path.ends_with(".git/index") && told.iter().all(|known| known.path != git) {
                told.push(Changed { path: git, how: How::Repository });
            }
            continue;
        }
        let above = told.last_mut().filter(|known| below(path, known));
        match (above, change.what) {
            (Some(known), What::Add | What::Remove) => match &mut known.how {
                How::NewFolder(files) | How::DeletedFolder(files) => *files += 1,
                _ => {}
            },
            (Some(_), _) | (None, What::TouchFolder) => {}
            (None, What::AddFolder) => told.push(Changed { path: path.clone(), how: How::NewFolder(0) }),
            (None, What::RemoveFolder) => {
                told.push(Changed { path: path.clone(), how: How::DeletedFolder(0) });
            }
            (None, What::Add) => told.push(Changed { path: path.clone(), how: How::New }),
            (None, What::Remove) => told.push(Changed { path: path.clone(), how: How::Deleted }),
            (None, What::Replace | What::Touch) => {
                told.push(Changed { path: path.clone(), how: How::Changed });
            }
        }
    }
    told
}

fn below(path: &Path, known: &Changed) -> bool {
    matches!(known.how, How::NewFolder(_) | How::DeletedFolder(_)) && path.starts_with(&known.path)
}

impl Changed {
    /// The path, and what happened to it.
    #[must_use]
    pub fn words(&self) -> String {
        let path = self.path.display();
        let files = |count: usize| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        match self.how {
            How::New => format!("{path} (new)"),
            How::Changed => format!("{path} (changed)"),
            How::Deleted => format!("{path} (deleted)"),
            How::NewFolder(count) => format!("{path}/ (new, {})", files(count)),
            How::DeletedFolder(count) => format!("{path}/ (deleted, {})", files(count)),
            How::Repository => format!("{path} (commits, branches or the stash)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::World;

    #[test]
    fn what_changed_is_told_in_as_few_words_as_will_do() {
        let world = World::new();
        for (path, text) in [("same", "s"), ("changed", "1"), ("gone", "g"), ("old/a", "a"), ("old/b/c", "c")]
        {
            world.write(path, text);
        }
        world.write(".git/HEAD", "ref: refs/heads/main\n");
        world.write(".git/index", "index");
        let then = world.snapshots.take().unwrap();
        let words = || -> Vec<String> {
            let now = world.snapshots.take().unwrap();
            let changed = world.snapshots.changed(&then.id, &now.id).unwrap();
            changed.iter().map(|changed| changed.words()).collect()
        };
        assert_eq!(words(), [""; 0]);
        fs::File::options()
            .write(true)
            .open(world.path("same"))
            .unwrap()
            .set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        world.write(".git/index", "looked at");
        assert_eq!(words(), [""; 0], "nothing that anybody reads has changed");
        world.write("changed", "2");
        world.write("new/x", "x");
        world.write("new/y/z", "z");
        world.write("new file", "n");
        world.write(".git/HEAD", "ref: refs/heads/other\n");
        fs::remove_file(world.path("gone")).unwrap();
        fs::remove_dir_all(world.path("old")).unwrap();
        assert_eq!(
            words(),
            [
                ".git (commits, branches or the stash)",
                "changed (changed)",
                "gone (deleted)",
                "new/ (new, 2 files)",
                "new file (new)",
                "old/ (deleted, 2 files)",
            ]
        );
    }
}
