//! A workspace with a history, and things around it that must not be touched.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use agent::{
    harness::Disk,
    policy::effects,
    protocol::{Bound, Effects, Tally},
    shell::Surroundings,
};

/// A workspace, a home and a place outside.
pub struct Ground {
    _folder: tempfile::TempDir,
    root: PathBuf,
    pub workspace: PathBuf,
}

impl Ground {
    /// Nothing, and said, where there is no git.
    pub fn new() -> Option<Self> {
        if Command::new("git").arg("--version").output().is_err() {
            skip();
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let workspace = root.join("W");
        let ground = Self { _folder: folder, root, workspace };
        let file = |path: &str, bytes: usize| {
            let path = ground.root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x".repeat(bytes)).unwrap();
        };
        fs::create_dir_all(&ground.workspace).unwrap();
        ground.git(&["init", "-q", "-b", "main"]);
        fs::write(ground.workspace.join(".gitignore"), "target/\n*.log\n").unwrap();
        for (path, bytes) in [
            ("W/README.md", 100),
            ("W/a b.txt", 10),
            ("W/src/main.rs", 1_000),
            ("W/src/lib.rs", 2_000),
            ("W/src/util.rs", 300),
            ("W/docs/one.md", 11),
            ("W/docs/two.md", 12),
            ("W/run.sh", 20),
        ] {
            file(path, bytes);
        }
        symlink("../O", ground.workspace.join("way-out")).unwrap();
        symlink("../O/file.txt", ground.workspace.join("file-out")).unwrap();
        ground.git(&["add", "-A"]);
        ground.git(&["commit", "-qm", "one"]);
        ground.git(&["checkout", "-qb", "side"]);
        file("W/side.txt", 5);
        ground.git(&["add", "-A"]);
        ground.git(&["commit", "-qm", "side"]);
        ground.git(&["checkout", "-q", "main"]);
        file("W/src/util.rs", 301);
        ground.git(&["commit", "-qam", "two"]);
        file("W/README.md", 101);
        ground.git(&["stash", "-q"]);
        // What no commit has.
        file("W/src/lib.rs", 2_500);
        file("W/new.txt", 7);
        file("W/notes/todo.txt", 8);
        file("W/staged.txt", 9);
        ground.git(&["add", "staged.txt"]);
        file("W/target/debug/app", 5_000_000);
        file("W/target/debug/deps.d", 100);
        file("W/build.log", 40);
        file("W/side.txt", 6);
        file("O/file.txt", 50);
        file("O/sub/deep.txt", 60);
        file("H/.bashrc", 70);
        file("H/keep.txt", 80);
        Some(ground)
    }

    fn git(&self, args: &[&str]) {
        let user = ["-c", "user.name=A", "-c", "user.email=a@b", "-c", "core.hooksPath=/dev/null"];
        let mut command = Command::new("git");
        command.args(user).args(args).current_dir(&self.workspace);
        command.env("HOME", &self.root).env("GIT_CONFIG_NOSYSTEM", "1");
        let done = command.output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// The effects of a command that begins in the workspace.
    pub fn effects(&self, command: &str) -> Effects {
        let home = self.root.join("H");
        let env = [
            ("HOME", home.to_str().unwrap()),
            ("BUILD", "target"),
            ("SPACED", "docs src"),
            ("FLAGS", "-rf"),
            ("PATTERN", "*.md"),
            ("EVIL", "a[$(rm -rf src)]"),
        ];
        let env = env.map(|(name, value)| (name.into(), value.into()));
        let around = Surroundings { shell: "/bin/bash".into(), env: Arc::new(env.into()), whole: true };
        let roots = [self.workspace.clone()];
        effects::of(command, &self.workspace, &roots, &Disk::new(around, &self.workspace))
    }

    /// Without the counts that are different on each machine: of git's own files, and of what lies beside all this.
    pub fn settled(&self, mut effects: Effects) -> Effects {
        let mut unsettled = false;
        for touched in &mut effects.touched {
            if touched.tally.files >= 50 || !touched.path.starts_with(&self.root) && touched.tally.files > 0 {
                unsettled = true;
                touched.tally = Tally {
                    outside: touched.tally.outside.min(1),
                    bound: Bound::Unknown,
                    ..Tally::default()
                };
            }
        }
        if unsettled {
            effects.lost =
                Tally { files: effects.lost.files.min(1), bound: Bound::Unknown, ..Tally::default() };
        }
        effects
    }

    /// With the places by their names.
    pub fn scrubbed(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.root.display()), "")
    }

    /// All that is there, with what is in it.
    pub fn picture(&self) -> Vec<(PathBuf, String)> {
        let mut all = Vec::new();
        let mut work = vec![self.root.clone()];
        while let Some(path) = work.pop() {
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                work.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            let content = if meta.is_file() { blake(&path) } else { String::new() };
            all.push((path, format!("{:?} {:?} {content}", meta.permissions(), meta.modified().unwrap())));
        }
        all.sort();
        all
    }
}

fn blake(path: &Path) -> String {
    agent::protocol::BlobId::of(&fs::read(path).unwrap()).0
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skip() {
    eprintln!("skipped: there is no git");
}
