//! What differs in a work tree of git from its last commit, for people to look at.
//!
//! Of a repository nothing is believed that would run a program: git is asked only which files differ and what was
//! committed, with hooks, monitors, filters and external programs off; the files are read and compared here.

use std::{
    fs,
    io::Read as _,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::patch::{DIFF_LIMIT, Diff};
use crate::protocol::{FileOperation, PatchedFile};
use crate::sandbox;
use crate::tui::WorkTree;

/// How long git may take. Whoever waits can leave the view.
const LIMIT: Duration = Duration::from_secs(30);
/// Files that are shown.
const FILES: usize = 500;
/// A file that is longer is not compared.
const LARGEST: u64 = 2 << 20;

/// What differs below `workspace` from the last commit, untracked files included.
pub(super) async fn changes(workspace: &Path) -> Result<WorkTree, String> {
    if !workspace.ancestors().any(|dir| dir.join(".git").exists()) {
        return Err("this is no git work tree".to_owned());
    }
    let found = tokio::time::timeout(LIMIT, compare(workspace)).await;
    found.map_err(|_| format!("git took longer than {} seconds", LIMIT.as_secs()))?
}

/// A file that differs.
struct Differs {
    path: PathBuf,
    /// What was committed of it; nothing for a file that is new.
    old: Option<String>,
    /// It may be run now and could not, or the other way round, or it is of another kind.
    mode: bool,
}

async fn compare(workspace: &Path) -> Result<WorkTree, String> {
    let git = Git::find(workspace).await?;
    let committed = git.output(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await;
    let (base, against) = match committed {
        Ok(id) => (text(&id), "the last commit"),
        // Nothing was committed yet.
        Err(_) => (text(&git.output(&["hash-object", "-t", "tree", "/dev/null"]).await?), "an empty tree"),
    };
    let raw = git
        .output(&[
            "diff-index",
            "--raw",
            "-z",
            "--no-renames",
            "--no-abbrev",
            "--relative",
            "--ignore-submodules=all",
            "--no-ext-diff",
            "--no-textconv",
            &base,
            "--",
            ".",
        ])
        .await?;
    let new = git.output(&["ls-files", "--others", "--exclude-standard", "-z", "--", "."]).await?;
    let untracked = new.split(|byte| *byte == 0).filter(|name| !name.is_empty() && !name.ends_with(b"/"));
    let untracked = untracked.map(|name| Differs { path: path(name), old: None, mode: false });
    let mut differs: Vec<Differs> = read_raw(&raw).into_iter().chain(untracked).collect();
    differs.sort_by(|a, b| a.path.cmp(&b.path));
    let left_out = differs.len().saturating_sub(FILES);
    differs.truncate(FILES);
    let committed = git.committed(&differs).await?;
    let mut files = Vec::new();
    for (file, old) in differs.into_iter().zip(committed) {
        files.extend(one(workspace, file, &old));
    }
    Ok(WorkTree { base: against.to_owned(), files, left_out })
}

/// The files of `git diff-index --raw -z`: `:MODE MODE OLD NEW STATUS\0PATH\0`.
fn read_raw(raw: &[u8]) -> Vec<Differs> {
    let mut parts = raw.split(|byte| *byte == 0);
    let mut files = Vec::new();
    while let (Some(head), Some(name)) = (parts.next(), parts.next()) {
        let head = String::from_utf8_lossy(head);
        let mut fields = head.split(' ');
        let (modes, old) = ((fields.next(), fields.next()), fields.next().unwrap_or_default());
        // Submodules are repositories of their own.
        let submodule = modes.0 == Some(":160000") || modes.1 == Some("160000");
        if !submodule {
            let old = old.bytes().any(|byte| byte != b'0').then(|| old.to_owned());
            let mode = modes.0.map(|mode| mode.trim_start_matches(':')) != modes.1;
            files.push(Differs { path: path(name), old, mode });
        }
    }
    files
}

/// What differs in a file; nothing when it is only said to differ.
fn one(workspace: &Path, file: Differs, old: &Content) -> Option<PatchedFile> {
    let new = content(&workspace.join(&file.path));
    let operation = match (old, &new) {
        (Content::Missing, Content::Missing) => return None,
        // Git goes by when it was written, and does not look into it before it is asked to write that down.
        (Content::Bytes(old), Content::Bytes(new)) if old == new && !file.mode => return None,
        (Content::Missing, _) => FileOperation::Add,
        (_, Content::Missing) => FileOperation::Delete,
        _ => FileOperation::Update,
    };
    let Diff { added, removed, text } = match (old, &new) {
        (Content::Not(why), _) | (_, Content::Not(why)) => {
            Diff { text: format!("\\ {why}\n"), ..Diff::default() }
        }
        (old, new) if old.bytes() == new.bytes() && operation == FileOperation::Update => {
            Diff { text: "\\ only its mode differs\n".to_owned(), ..Diff::default() }
        }
        (old, new) => Diff::between(old.bytes(), new.bytes(), 4 * DIFF_LIMIT),
    };
    Some(PatchedFile { path: file.path, operation, moved_to: None, added, removed, diff: text })
}

/// What is in a file.
enum Content {
    Missing,
    Bytes(Vec<u8>),
    /// Why it is not compared.
    Not(&'static str),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Missing | Self::Not(_) => &[],
        }
    }
}

/// A file of the work tree as git would commit it.
fn content(path: &Path) -> Content {
    let Ok(meta) = fs::symlink_metadata(path) else { return Content::Missing };
    if meta.is_symlink() {
        return fs::read_link(path)
            .map_or(Content::Missing, |to| Content::Bytes(to.into_os_string().into_vec()));
    }
    if !meta.is_file() {
        return Content::Not("it is not a file any more");
    }
    if meta.len() > LARGEST {
        return Content::Not("it is too long to be compared here");
    }
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    if read.is_ok() { Content::Bytes(bytes) } else { Content::Not("it can't be read") }
}

/// Git, as it is asked here.
struct Git {
    git: sandbox::Git,
    workspace: PathBuf,
}

impl Git {
    async fn find(workspace: &Path) -> Result<Self, String> {
        let git = sandbox::Git::find(workspace).ok_or("git is not installed")?;
        let asked = Self { git, workspace: workspace.to_owned() };
        // Fails when there is none.
        let filters = asked.output(sandbox::Git::FILTERS).await.unwrap_or_default();
        Ok(Self { git: asked.git.without_filters(&filters), ..asked })
    }

    fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::from(self.git.command(&self.workspace, args));
        command.kill_on_drop(true);
        command
    }

    async fn output(&self, args: &[&str]) -> Result<Vec<u8>, String> {
        let output = self.command(args).output().await.map_err(failed)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("git: {}", said.trim().lines().next().unwrap_or("it failed")))
    }

    /// What was committed of each file.
    async fn committed(&self, files: &[Differs]) -> Result<Vec<Content>, String> {
        let mut child =
            self.command(&["cat-file", "--batch"]).stdin(Stdio::piped()).spawn().map_err(failed)?;
        let (Some(mut ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("git has no input".to_owned());
        };
        let mut answers = BufReader::new(answers);
        let mut all = Vec::new();
        for file in files {
            let Some(id) = &file.old else {
                all.push(Content::Missing);
                continue;
            };
            ask.write_all(format!("{id}\n").as_bytes()).await.map_err(failed)?;
            let mut head = String::new();
            answers.read_line(&mut head).await.map_err(failed)?;
            let size: Option<u64> =
                head.trim().strip_prefix(&format!("{id} blob ")).and_then(|size| size.parse().ok());
            let Some(size) = size else {
                all.push(Content::Not("what was committed is not here"));
                continue;
            };
            let mut bytes = Vec::new();
            if size <= LARGEST {
                (&mut answers).take(size).read_to_end(&mut bytes).await.map_err(failed)?;
                all.push(Content::Bytes(bytes));
            } else {
                let mut rest = (&mut answers).take(size);
                tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.map_err(failed)?;
                all.push(Content::Not("it is too long to be compared here"));
            }
            // Each content ends with a line feed of its own.
            answers.read_u8().await.map_err(failed)?;
        }
        Ok(all)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn failed(error: std::io::Error) -> String {
    format!("git can't be asked: {error}")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

fn path(name: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{PermissionsExt as _, symlink},
        process::Command,
    };

    use super::*;

    /// A repository with a commit; nothing where there is no git.
    fn repository() -> Option<tempfile::TempDir> {
        let folder = tempfile::tempdir().unwrap();
        if Command::new("git").arg("--version").output().is_err() {
            eprintln_skipped();
            return None;
        }
        git(folder.path(), &["init", "-q"]);
        Some(folder)
    }

    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn eprintln_skipped() {
        eprintln!("skipped: there is no git");
    }

    fn git(folder: &Path, args: &[&str]) {
        let user = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
        let done = Command::new("git").args(user).args(args).current_dir(folder).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn short(tree: &WorkTree) -> Vec<(String, FileOperation, u32, u32)> {
        let file = |file: &PatchedFile| {
            (file.path.to_string_lossy().into_owned(), file.operation, file.added, file.removed)
        };
        tree.files.iter().map(file).collect()
    }

    #[tokio::test]
    async fn changed_deleted_and_untracked_files_are_found_whatever_their_names() {
        let Some(folder) = repository() else { return };
        let root = folder.path();
        let write = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
        write("before commit", "x\n");
        let tree = changes(root).await.unwrap();
        assert_eq!((tree.base.as_str(), short(&tree).len()), ("an empty tree", 1));
        fs::create_dir(root.join("sub")).unwrap();
        for name in ["same", "changed", "gone", "sub/näme \n\"x\"", "staged"] {
            write(name, "one\ntwo\n");
        }
        write(".gitignore", "ignored\n");
        git(root, &["add", "-A"]);
        git(root, &["commit", "-qm", "c"]);
        assert_eq!(changes(root).await.unwrap().files, []);
        write("changed", "one\nTWO\n");
        write("sub/näme \n\"x\"", "one\n");
        write("ignored", "");
        write("new", "a\nb\nc\n");
        write("binary", "\0");
        write("staged", "");
        git(root, &["add", "staged"]);
        fs::remove_file(root.join("gone")).unwrap();
        symlink("/etc/passwd", root.join("link")).unwrap();
        let tree = changes(root).await.unwrap();
        use FileOperation::{Add, Delete, Update};
        assert_eq!(
            short(&tree),
            [
                ("binary".into(), Add, 0, 0),
                ("changed".into(), Update, 1, 1),
                ("gone".into(), Delete, 0, 2),
                ("link".into(), Add, 1, 0),
                ("new".into(), Add, 3, 0),
                ("staged".into(), Update, 0, 2),
                ("sub/näme \n\"x\"".into(), Update, 0, 1),
            ]
        );
        // What was only written again differs in nothing, and what may be run now does.
        write("same", "one\ntwo\n");
        let mtime = std::time::SystemTime::UNIX_EPOCH;
        fs::File::options().write(true).open(root.join("same")).unwrap().set_modified(mtime).unwrap();
        assert_eq!(short(&changes(root).await.unwrap()), short(&tree));
        fs::set_permissions(root.join("same"), fs::Permissions::from_mode(0o755)).unwrap();
        let run = changes(root).await.unwrap();
        assert_eq!((run.files.len(), run.files[5].diff.as_str()), (8, "\\ only its mode differs\n"));
        fs::set_permissions(root.join("same"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(tree.files[3].diff.contains("+/etc/passwd"), "a link is its text: {}", tree.files[3].diff);
        assert_eq!(
            short(&changes(&root.join("sub")).await.unwrap()),
            [("näme \n\"x\"".into(), Update, 0, 1)]
        );
    }

    #[tokio::test]
    async fn nothing_that_a_repository_names_is_run() {
        let Some(folder) = repository() else { return };
        let root = folder.path();
        fs::write(root.join("a.txt"), "one\n").unwrap();
        git(root, &["add", "-A"]);
        git(root, &["commit", "-qm", "c"]);
        let witness = root.join("witness");
        let run = format!("touch '{}'; cat", witness.display());
        let name = "e=v il";
        for (key, value) in [
            (format!("filter.{name}.clean"), run.as_str()),
            (format!("filter.{name}.process"), &run),
            (format!("filter.{name}.required"), "true"),
            ("filter.plain.clean".to_owned(), &run),
            ("diff.external".to_owned(), &run),
            ("diff.evil.command".to_owned(), &run),
            ("diff.evil.textconv".to_owned(), &run),
            ("core.fsmonitor".to_owned(), &run),
            ("core.pager".to_owned(), &run),
        ] {
            git(root, &["config", &key, value]);
        }
        fs::write(root.join(".git/info/attributes"), "*.txt filter=plain diff=evil\n").unwrap();
        fs::write(root.join(".git/hooks/post-index-change"), format!("#!/bin/sh\n{run}\n")).unwrap();
        // As large as before and touched: git has to look into it.
        fs::write(root.join("a.txt"), "two\n").unwrap();
        let tree = changes(root).await.unwrap();
        assert_eq!(short(&tree), [("a.txt".into(), FileOperation::Update, 1, 1)]);
        assert!(!witness.exists(), "something was run");
        // The same repository does run it for a git that is asked in the usual way.
        drop(Command::new("git").args(["diff"]).current_dir(root).output());
        assert!(witness.exists(), "the trap is none");
    }

    #[tokio::test]
    async fn where_there_is_no_git_it_is_said() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(changes(folder.path()).await, Err("this is no git work tree".to_owned()));
        fs::create_dir(folder.path().join(".git")).unwrap();
        let problem = changes(folder.path()).await.unwrap_err();
        assert!(problem.starts_with("git"), "{problem}");
    }
}
