//! What of a container's changes may come out, judged by what the user has outside: beside names, the repositories there,
//! and what they and links make obeyed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::border::{self, Form, Verdict};
use crate::sandbox::{
    env,
    publish::{
        filter::Kind,
        obeyed::{Theirs, modules},
        survey::{self, Survey, Why},
        view::Lies,
    },
};

/// What the user has at this moment.
pub(super) struct Judge {
    root: PathBuf,
    theirs: Theirs,
    /// The directories of all repositories, below the workspace; those in others before them.
    repositories: Vec<PathBuf>,
}

impl Judge {
    /// Looks at the workspace outside.
    pub(super) fn look(root: &Path, survey: &mut Survey) -> Self {
        let found = survey.look();
        let above = survey::above(&[root.to_owned()]);
        let theirs = Theirs::of(found.places.iter().chain(&above), &env::git_settings(), &env::home());
        let mut all: Vec<PathBuf> = theirs.repositories.clone();
        let places = found.places.into_iter().map(|place| place.path);
        all.extend(places.filter(|path| path.ends_with(".git") && path.is_dir() && !path.is_symlink()));
        for git in all.clone() {
            modules(&git, &mut all);
        }
        all.sort();
        all.dedup();
        let below = |path: &PathBuf| path.strip_prefix(root).ok().map(Path::to_owned);
        let repositories = all.iter().rev().filter_map(below).collect();
        Self { root: root.to_owned(), theirs, repositories }
    }

    /// The repositories outside, as paths below the workspace.
    pub(super) fn repositories(&self) -> &[PathBuf] {
        &self.repositories
    }

    /// The repository that a path lies in, and what it is called there.
    pub(super) fn part<'p>(&self, path: &'p Path) -> Option<(&Path, &'p Path)> {
        self.repositories.iter().find_map(|git| Some((git.as_path(), path.strip_prefix(git).ok()?)))
    }

    /// What form a file of a repository must have to come out.
    pub(super) fn form(&self, path: &Path) -> Option<Form> {
        match border::verdict(path, Kind::File, Some(self.part(path)?.1)) {
            Verdict::OutIf(form) => Some(form),
            _ => None,
        }
    }

    /// What becomes of a path by its name and kind.
    pub(super) fn verdict(&self, path: &Path, kind: Kind) -> Verdict {
        border::verdict(path, kind, self.part(path).map(|(_, below)| below))
    }

    /// Which of these changes would decide about what others run or obey, and the place that each is about.
    pub(super) fn withheld(
        &self,
        changes: BTreeMap<PathBuf, Option<Lies>>,
    ) -> BTreeMap<PathBuf, (PathBuf, Why)> {
        let changes = changes.into_iter().map(|(path, lies)| (self.root.join(path), lies)).collect();
        let below = |path: PathBuf| path.strip_prefix(&self.root).map_or(path.clone(), Path::to_owned);
        let held = self.theirs.withheld(changes, std::slice::from_ref(&self.root));
        held.into_iter().map(|(path, (place, why))| (below(path), (below(place), why))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_repository_outside_is_judged_as_one() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for path in [".git/objects", ".git/modules/m", "bare/objects", "bare/refs", "near/objects"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in [".git/modules/m/HEAD", "bare/HEAD", "near/HEAD"] {
            fs::write(root.join(path), "").unwrap();
        }
        let judge = Judge::look(&root, &mut Survey::new(vec![root.clone()], Vec::new()));
        let git = Verdict::Kept("git");
        for (path, of, verdict) in [
            (".git/modules/m/config", Some(".git/modules/m"), git),
            (".git/modules/m/HEAD", Some(".git/modules/m"), Verdict::OutIf(Form::Head)),
            (".git/modules/x/HEAD", Some(".git"), git),
            ("bare/hooks/post-receive", Some("bare"), git),
            ("bare/config", Some("bare"), git),
            ("bare/refs/heads/main", Some("bare"), Verdict::OutIf(Form::Reference)),
            ("near/config", None, Verdict::Out),
            ("new/.git/HEAD", None, git),
        ] {
            let path = Path::new(path);
            assert_eq!(judge.part(path).map(|(git, _)| git), of.map(Path::new), "{path:?}");
            assert_eq!(judge.verdict(path, Kind::File), verdict, "{path:?}");
        }
    }
}
