use std::{
    collections::BTreeMap,
    fs as files,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
};

use super::{
    super::{disk::Disk, plan_of},
    *,
};

/// Everything below a directory: its kind, mode and content.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in files::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let what = if meta.is_symlink() {
                format!("-> {}", path.read_link().unwrap().display())
            } else if meta.is_dir() {
                open.push(path.clone());
                "directory".to_owned()
            } else {
                format!("{:o} {}", meta.mode() & 0o7777, files::read_to_string(&path).unwrap())
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), what);
        }
    }
    found
}

/// A directory with a bit of everything, and a patch that does everything to it.
fn world() -> (tempfile::TempDir, PathBuf, &'static str) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    for (name, text) in
        [("update", "1\n"), ("delete", "2\n"), ("move", "3\n"), ("over", "4\n"), ("target", "5\n")]
    {
        files::write(root.join(name), text).unwrap();
    }
    files::set_permissions(root.join("move"), files::Permissions::from_mode(0o755)).unwrap();
    files::set_permissions(root.join("update"), files::Permissions::from_mode(0o600)).unwrap();
    symlink("target", root.join("link")).unwrap();
    symlink("target", root.join("gone")).unwrap();
    let patch = "*** Begin Patch\n*** Update File: update\n-1\n+one\n*** Delete File: delete\n\
                 *** Update File: move\n*** Move to: deep/er/moved\n-3\n+three\n*** Add File: over\n+four\n\
                 *** Update File: link\n-5\n+five\n*** Delete File: gone\n*** Add File: new\n+six\n*** End Patch";
    (dir, root, patch)
}

fn steps(root: &Path, patch: &str) -> Vec<Step> {
    plan_of(patch, &Disk { workdir: root, inside: None }).unwrap().steps
}

#[test]
fn a_patch_is_written_with_modes_and_links_kept_and_nothing_left_over() {
    let (_dir, root, patch) = world();
    let new_mode = {
        files::write(root.join("probe"), "").unwrap();
        let mode = root.join("probe").metadata().unwrap().mode() & 0o7777;
        files::remove_file(root.join("probe")).unwrap();
        mode
    };
    write(&steps(&root, patch)).unwrap();
    let expected: BTreeMap<PathBuf, String> = [
        ("deep", "directory".to_owned()),
        ("deep/er", "directory".to_owned()),
        ("deep/er/moved", "755 three\n".to_owned()),
        ("link", "-> target".to_owned()),
        ("new", format!("{new_mode:o} six\n")),
        ("over", format!("{new_mode:o} four\n")),
        ("target", format!("{new_mode:o} five\n")),
        ("update", "600 one\n".to_owned()),
    ]
    .into_iter()
    .map(|(path, what)| (PathBuf::from(path), what))
    .collect();
    assert_eq!(tree(&root), expected);
}

#[test]
fn a_failure_at_any_moment_puts_everything_back() {
    for swap in [Swap::Exchange, Swap::TwoRenames] {
        fail_at_every_moment(swap);
    }
}

fn fail_at_every_moment(swap: Swap) {
    let mut failures = 0;
    loop {
        let (_dir, root, patch) = world();
        let before = tree(&root);
        let steps = steps(&root, patch);
        let mut left = failures;
        let result = write_with(&steps, swap, &mut || {
            if left == 0 {
                return Err(io::Error::from_raw_os_error(libc::ENOSPC));
            }
            left -= 1;
            Ok(())
        });
        match result {
            Ok(()) => break,
            Err(error) => {
                assert!(
                    error.contains("No space left") && error.ends_with("; nothing was changed"),
                    "{error}"
                );
                assert_eq!(tree(&root), before, "failing at moment {failures}");
            }
        }
        failures += 1;
    }
    assert!(failures > 15, "only {failures} moments were tried");
}

#[test]
fn what_someone_else_changed_meanwhile_is_not_lost() {
    // At every moment after the plan was made, someone writes to one of the files.
    for moment in 0.. {
        let (_dir, root, patch) = world();
        let steps = steps(&root, patch);
        let before = tree(&root);
        let mut now = 0;
        let result = write_with(&steps, Swap::Exchange, &mut || {
            if now == moment {
                files::write(root.join("over"), "theirs\n").unwrap();
            }
            now += 1;
            Ok(())
        });
        let over = files::read_to_string(root.join("over")).unwrap();
        match result {
            Ok(()) if now <= moment => {
                assert_eq!(over, "four\n");
                break;
            }
            // They wrote after the step was done, as they could have after the patch.
            Ok(()) => assert_eq!(over, "theirs\n"),
            Err(error) => {
                assert!(error.contains("over was changed by someone else"), "{error}");
                assert_eq!(over, "theirs\n");
                let after = tree(&root);
                let changed: Vec<_> =
                    before.iter().filter(|(path, what)| after.get(*path) != Some(what)).collect();
                assert_eq!(changed.len(), 1, "{changed:?}");
                assert_eq!(after.len(), before.len());
            }
        }
    }
}

#[test]
fn a_file_that_appears_meanwhile_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let steps = steps(&root, "*** Begin Patch\n*** Add File: new\n+ours\n*** End Patch");
    let mut moment = 0;
    let error = write_with(&steps, Swap::Exchange, &mut || {
        moment += 1;
        // The last moment: everything was compared already.
        if moment == 4 {
            files::write(root.join("new"), "theirs\n").unwrap();
        }
        Ok(())
    })
    .unwrap_err();
    assert!(error.contains("File exists"), "{error}");
    assert_eq!(files::read_to_string(root.join("new")).unwrap(), "theirs\n");
    assert_eq!(tree(&root).len(), 1);
}

#[test]
fn a_directory_that_becomes_a_link_meanwhile_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    files::create_dir_all(root.join("in/d")).unwrap();
    files::create_dir(root.join("out")).unwrap();
    let steps = steps(&root.join("in"), "*** Begin Patch\n*** Add File: d/new\n+x\n*** End Patch");
    files::remove_dir(root.join("in/d")).unwrap();
    symlink(root.join("out"), root.join("in/d")).unwrap();
    let error = write(&steps).unwrap_err();
    assert!(error.contains("Too many levels of symbolic links"), "{error}");
    assert_eq!(files::read_dir(root.join("out")).unwrap().count(), 0);
}
