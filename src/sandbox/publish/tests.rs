//! A publisher that is killed leaves a repository that is whole, and the next one finishes.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::repository::{Layer, Repository};

fn git(at: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=u", "-c", "user.email=u@x", "-c", "commit.gpgsign=false", "-c", "gc.auto=0"])
        .args(args)
        .current_dir(at)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A repository, and a layer in which a command has committed, tagged and stashed.
struct Place {
    _directory: tempfile::TempDir,
    root: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let (real, copy) = (root.join("real"), root.join("copy"));
        fs::create_dir(&real).unwrap();
        git(&real, &["init", "-q", "-b", "main"]);
        fs::write(real.join("a"), "a").unwrap();
        git(&real, &["add", "a"]);
        git(&real, &["commit", "-qm", "first"]);
        git(&real, &["branch", "old"]);
        // With a base, as a session that has begun has one.
        fs::create_dir(root.join("layer")).unwrap();
        open(&root).refresh(Layer::Quiet);
        copy_tree(&real, &copy, &|_| true);
        fs::write(copy.join("b"), "b").unwrap();
        git(&copy, &["add", "b"]);
        git(&copy, &["commit", "-qm", "second"]);
        git(&copy, &["tag", "v1"]);
        fs::write(copy.join("b"), "c").unwrap();
        git(&copy, &["stash", "-q"]);
        git(&copy, &["checkout", "-q", "-b", "side"]);
        // What is new or differs is what an overlay would hold.
        let differs = |path: &Path| {
            fs::read(copy.join(".git").join(path)).ok() != fs::read(real.join(".git").join(path)).ok()
        };
        copy_tree(&copy.join(".git"), &root.join("layer"), &differs);
        fs::remove_dir_all(&copy).unwrap();
        fs::write(real.join("b"), "b").unwrap();
        Self { _directory: directory, root }
    }

    fn real(&self) -> PathBuf {
        self.root.join("real")
    }
}

fn open(root: &Path) -> Repository {
    Repository::open(&root.join("real/.git"), &root.join("layer"), root.join("base.json")).unwrap()
}

/// Copies the files that are wanted, by their path below.
fn copy_tree(from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) {
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(from.join(&directory)).unwrap().flatten() {
            let path = directory.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            } else if wanted(&path) {
                fs::create_dir_all(to.join(&path).parent().unwrap()).unwrap();
                fs::copy(entry.path(), to.join(&path)).unwrap();
            }
        }
    }
}

/// Not a test: the process that the next test kills.
#[test]
#[ignore = "a part of the test below, which starts it"]
fn publisher_to_be_killed() {
    let Some(root) = crate::sandbox::env::test_root() else { return };
    let said = open(&root).publish(Layer::Quiet);
    assert_eq!(said, [] as [String; 0]);
}

#[test]
fn a_publisher_that_is_killed_at_any_step_leaves_a_whole_repository() {
    let mut steps = 0;
    loop {
        let place = Place::new();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sandbox::publish::tests::publisher_to_be_killed", "--ignored"])
            .env("AGENT_TEST_STEP", steps.to_string())
            .env("AGENT_TEST_ROOT", &place.root)
            .output()
            .unwrap();
        let done = output.status.success();
        assert!(done || output.status.signal() == Some(9), "{output:?}");
        let real = place.real();
        git(&real, &["fsck", "--strict", "--no-dangling"]);
        let log = git(&real, &["log", "--format=%s", "HEAD"]);
        assert!(["first", "second\nfirst"].contains(&log.as_str()), "{steps}: {log}");
        // The next session takes away what stayed, and goes on.
        let said = open(&place.root).publish(Layer::Quiet);
        assert_eq!(said, [] as [String; 0], "{steps}");
        git(&real, &["fsck", "--strict", "--no-dangling"]);
        assert_eq!(
            git(&real, &["for-each-ref", "--format=%(refname)"]),
            "refs/heads/main\nrefs/heads/old\nrefs/heads/side\nrefs/stash\nrefs/tags/v1"
        );
        assert_eq!(git(&real, &["log", "--format=%s", "side"]), "second\nfirst");
        assert_eq!(git(&real, &["symbolic-ref", "HEAD"]), "refs/heads/side");
        assert_eq!(git(&real, &["stash", "list"]).lines().count(), 1);
        assert_eq!(git(&real, &["status", "--porcelain"]), "");
        let left = Command::new("find")
            .arg(real.join(".git"))
            .args(["-name", "*.lock", "-o", "-name", "tmp_obj*"])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "", "{steps}");
        let layer = Command::new("find").arg(place.root.join("layer")).args(["-type", "f"]).output().unwrap();
        assert!(layer.stdout.is_empty() || layer.stdout.ends_with(b"/index\n"), "{steps}: {layer:?}");
        if done {
            break;
        }
        steps += 1;
    }
    assert!(steps > 30, "only {steps} steps");
}

#[test]
fn a_lock_of_another_git_is_respected_and_nothing_is_lost() {
    let place = Place::new();
    let lock = place.real().join(".git/refs/heads/main.lock");
    fs::write(&lock, "").unwrap();
    let mut repository = open(&place.root);
    let said = repository.publish(Layer::Quiet);
    assert!(said.iter().any(|said| said.contains("is locked by another git")), "{said:?}");
    assert_eq!(git(&place.real(), &["log", "--format=%s", "main"]), "first");
    assert!(lock.exists());
    fs::remove_file(&lock).unwrap();
    repository.publish(Layer::Quiet);
    assert_eq!(git(&place.real(), &["log", "--format=%s", "main"]), "second\nfirst");
}
