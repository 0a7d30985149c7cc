//! What a tool of this program must not write without a person's word, although its name says nothing: git, an editor or
//! another program would run or obey it, because of what the user has configured.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    env,
    publish::{
        obeyed::{Changes, Theirs},
        survey,
        view::{Lies, Real, View as _},
    },
};
use crate::protocol::{FileChange, FileOperation};

/// Those paths of these changes that decide about what is run or obeyed outside of every sandbox: a configuration of git
/// or a link in one of the `roots` names them, they lie in a repository without a `.git`, or would make one.
#[must_use]
pub fn obeyed(files: &[FileChange], roots: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut changes = Changes::new();
    for FileChange { path, operation, moved_to, .. } in files {
        let gone = *operation == FileOperation::Delete || moved_to.is_some();
        let file = Lies::File { runs: runs(path) || moved_to.as_deref().is_some_and(runs) };
        changes.insert(path.clone(), (!gone).then(|| file.clone()));
        changes.extend(moved_to.iter().map(|path| (path.clone(), Some(file.clone()))));
    }
    let places = survey::around(changes.keys().map(PathBuf::as_path), roots);
    let theirs = Theirs::of(places.iter(), &env::git_settings(), &env::home());
    let apart = |path: &&PathBuf| theirs.repositories.iter().any(|git| path.starts_with(git));
    let mut found: BTreeSet<PathBuf> = changes.keys().filter(apart).cloned().collect();
    found.extend(theirs.withheld(changes, roots).into_keys());
    found
}

fn runs(path: &Path) -> bool {
    matches!(Real.at(path), Some(Lies::File { runs: true }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_a_configuration_names_is_found_among_changes_and_the_rest_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let root = top.join("sub");
        for path in [".git/objects", ".git/refs", "sub/bare/objects", "sub/bare/refs", "sub/tools"] {
            fs::create_dir_all(top.join(path)).unwrap();
        }
        for path in [".git/HEAD", "sub/bare/HEAD", "sub/tools/check"] {
            fs::write(top.join(path), "").unwrap();
        }
        // The workspace is a part of the repository.
        fs::write(
            top.join(".git/config"),
            "[core]\nhooksPath = sub/.hooks\n[diff]\nexternal = sub/tools/check\n",
        )
        .unwrap();
        let found = |path: &str, operation, moved_to: Option<&str>| -> Vec<String> {
            let change = FileChange {
                path: root.join(path),
                operation,
                moved_to: moved_to.map(|path| root.join(path)),
                outside: false,
                diff: String::new(),
            };
            let found = obeyed(&[change], std::slice::from_ref(&root)).into_iter();
            found.map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect()
        };
        use FileOperation::{Add, Delete, Update};
        assert_eq!(found(".hooks/pre-commit", Add, None), [".hooks/pre-commit"]);
        assert_eq!(found("x", Update, Some(".hooks/pre-commit")), [".hooks/pre-commit"]);
        assert_eq!(found("tools/check", Update, None), ["tools/check"]);
        assert_eq!(found("tools/check", Delete, None), ["tools/check"]);
        assert_eq!(found("bare/hooks/post-receive", Add, None), ["bare/hooks/post-receive"]);
        for path in ["x", "tools/other", "hooks/pre-commit", "deep/er/file"] {
            assert_eq!(found(path, Add, None), [] as [&str; 0], "{path}");
        }
    }
}
