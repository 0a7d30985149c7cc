use std::{fs, os::unix::fs::symlink};

use super::*;
use crate::tools::testing;

fn patch(body: &str) -> String {
    format!("*** Begin Patch\n{body}\n*** End Patch\n")
}

/// A workspace with a file, and a directory beside it.
fn world() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::create_dir_all(root.join("w/sub")).unwrap();
    fs::create_dir(root.join("out")).unwrap();
    fs::write(root.join("w/a.txt"), "one\ntwo\n").unwrap();
    fs::write(root.join("out/secret"), "-- begin --\nhidden\n").unwrap();
    symlink("../out", root.join("w/way_out")).unwrap();
    symlink("../out/secret", root.join("w/link")).unwrap();
    (dir, root)
}

fn files(intent: Intent) -> Vec<FileChange> {
    match intent {
        Intent::Write { files } => files,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_forms_of_the_tool_say_what_they_will_do_and_do_it() {
    let body = patch("*** Update File: a.txt\n-two\n+2\n*** Add File: b.txt\n+new");
    for args in [Args::Text(body.clone()), Args::Json(serde_json::json!({ "input": body }).to_string())] {
        let (_dir, root) = world();
        let cx = testing::context(&root.join("w"));
        let change = |name: &str, operation, diff: &str| FileChange {
            path: root.join("w").join(name),
            operation,
            moved_to: None,
            outside: false,
            diff: diff.to_owned(),
        };
        let update = change("a.txt", FileOperation::Update, "@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
        let add = change("b.txt", FileOperation::Add, "@@ -0,0 +1 @@\n+new\n");
        let intent = ApplyPatch.intent(&args, &cx.workspace).unwrap();
        assert_eq!(files(intent), [update.clone(), add.clone()]);
        assert_eq!(fs::read_to_string(root.join("w/a.txt")).unwrap(), "one\ntwo\n");

        let output = ApplyPatch.run(&args, cx).await.unwrap();
        let [Content::Text { text }] = &output.content[..] else { panic!("{output:?}") };
        let (head, tail) = text.split_once(" seconds\n").unwrap();
        assert!(head.starts_with("Exit code: 0\nWall time: 0"), "{text}");
        assert_eq!(tail, "Output:\nSuccess. Updated the following files:\nA b.txt\nM a.txt\n");
        let shown = |change: FileChange, added, removed| PatchedFile {
            path: change.path,
            operation: change.operation,
            moved_to: None,
            added,
            removed,
            diff: change.diff,
        };
        assert_eq!(output.shown, Shown::Patch { files: vec![shown(update, 1, 1), shown(add, 1, 0)] });
        assert_eq!(fs::read_to_string(root.join("w/a.txt")).unwrap(), "one\n2\n");
        assert_eq!(fs::read_to_string(root.join("w/b.txt")).unwrap(), "new\n");
    }
}

#[test]
fn what_does_not_fit_is_told_before_anything_is_asked() {
    let (_dir, root) = world();
    let workspace = testing::workspace(&root.join("w"));
    let path = root.join("w/a.txt");
    let cases = [
        (
            "hello".to_owned(),
            "apply_patch verification failed: invalid patch: The first line of the patch must be '*** Begin Patch'"
                .to_owned(),
        ),
        (
            patch("*** Update File: a.txt\n-three"),
            format!("apply_patch verification failed: Failed to find expected lines in {}:\nthree\n", path.display()),
        ),
        (
            patch("*** Update File: sub\n-three"),
            format!("apply_patch verification failed: {} is a directory", root.join("w/sub").display()),
        ),
        (
            patch("*** Add File: a.txt/b\n+x"),
            format!("apply_patch verification failed: {}/b: Not a directory", path.display()),
        ),
    ];
    for (text, expected) in cases {
        let error = ApplyPatch.intent(&Args::Text(text), &workspace).unwrap_err();
        assert!(error.0.starts_with(&expected), "{error}\n{expected}");
    }
    let error = ApplyPatch.intent(&Args::Json("{}".to_owned()), &workspace).unwrap_err();
    assert_eq!(error.0, "failed to parse function arguments: missing field `input` at line 1 column 2");
}

#[tokio::test]
async fn what_leads_outside_is_marked_and_refused_unless_it_was_allowed() {
    let bodies = [
        "*** Add File: ../out/new\n+x",
        "*** Add File: way_out/new\n+x",
        "*** Update File: link\n-hidden\n+x",
        "*** Update File: a.txt\n*** Move to: way_out/a.txt\n one",
        "*** Delete File: way_out/secret",
    ];
    for body in bodies {
        let (_dir, root) = world();
        let mut cx = testing::context(&root.join("w"));
        let args = Args::Text(patch(body));
        let intent = ApplyPatch.intent(&args, &cx.workspace).unwrap();
        assert!(files(intent.clone()).iter().all(|file| file.outside), "{body}");
        let error = ApplyPatch.run(&args, cx.clone()).await.unwrap_err();
        assert!(error.0.starts_with("patch rejected: writing outside of the project"), "{error}");
        assert_eq!(fs::read_dir(root.join("out")).unwrap().count(), 1, "{body}");
        assert_eq!(fs::read_to_string(root.join("out/secret")).unwrap(), "-- begin --\nhidden\n");

        cx.workspace = cx.workspace.widened(&intent);
        ApplyPatch.run(&args, cx).await.unwrap_or_else(|error| panic!("{body}: {error}"));
    }
}

#[tokio::test]
async fn what_other_programs_obey_is_refused_unless_it_was_allowed() {
    let bodies = [
        "*** Update File: .git/config\n-[core]\n+[core]\n+fsmonitor=./x",
        "*** Add File: .git/hooks/pre-commit\n+x",
        "*** Add File: sub/.git/config\n+x",
        "*** Add File: .GIT/x\n+x",
        "*** Update File: a.txt\n*** Move to: .git/a.txt\n one",
        "*** Update File: to_git/config\n-[core]\n+x",
        "*** Update File: to_config\n-[core]\n+x",
        "*** Delete File: .git/config",
        "*** Update File: .git/config\n*** Move to: config\n [core]",
        "*** Add File: .envrc\n+x",
    ];
    for body in bodies {
        let (_dir, root) = world();
        fs::create_dir(root.join("w/.git")).unwrap();
        fs::write(root.join("w/.git/config"), "[core]\n").unwrap();
        symlink(".git", root.join("w/to_git")).unwrap();
        symlink(".git/config", root.join("w/to_config")).unwrap();
        let mut cx = testing::context(&root.join("w"));
        let args = Args::Text(patch(body));
        let intent = ApplyPatch.intent(&args, &cx.workspace).unwrap();
        let error = ApplyPatch.run(&args, cx.clone()).await.unwrap_err();
        assert!(error.0.starts_with("patch rejected: "), "{body}: {error}");
        assert_eq!(fs::read_to_string(root.join("w/.git/config")).unwrap(), "[core]\n", "{body}");
        assert_eq!(fs::read_dir(root.join("w/.git")).unwrap().count(), 1, "{body}");

        cx.workspace = cx.workspace.widened(&intent);
        ApplyPatch.run(&args, cx).await.unwrap_or_else(|error| panic!("{body}: {error}"));
    }
}

#[tokio::test]
async fn links_inside_are_written_through_and_deleted_themselves() {
    let (_dir, root) = world();
    let cx = testing::context(&root.join("w"));
    symlink("a.txt", root.join("w/inner")).unwrap();
    let run = async |body: &str| ApplyPatch.run(&Args::Text(patch(body)), cx.clone()).await;
    run("*** Update File: inner\n-two\n+2").await.unwrap();
    assert_eq!(fs::read_to_string(root.join("w/a.txt")).unwrap(), "one\n2\n");
    assert!(root.join("w/inner").is_symlink());
    // Also a link that leads outside is the workspace's own to delete.
    run("*** Delete File: inner\n*** Delete File: link").await.unwrap();
    assert!(!root.join("w/inner").is_symlink() && !root.join("w/link").is_symlink());
    assert!(root.join("w/a.txt").exists() && root.join("out/secret").exists());
}

#[test]
fn nothing_outside_is_read_by_a_patch_that_nobody_was_asked_about() {
    let (_dir, root) = world();
    let workspace = testing::workspace(&root.join("w"));
    // Its first line is easy to guess; the rest must not come in as a new file.
    let args = Args::Text(patch("*** Update File: link\n*** Move to: copy\n -- begin --"));
    let error = ApplyPatch.intent(&args, &workspace).unwrap_err();
    assert!(error.0.starts_with("patch rejected: "), "{error}");
    let args = Args::Text(patch("*** Update File: link\n-hidde"));
    let error = ApplyPatch.intent(&args, &workspace).unwrap_err();
    assert!(!error.0.contains("hidden"), "{error}");
}

#[test]
fn a_directory_that_becomes_a_link_shows_nothing_outside() {
    let (_dir, root) = world();
    let workspace = testing::workspace(&root.join("w"));
    fs::write(root.join("w/sub/secret"), "-- begin --\nown\n").unwrap();
    let _swaps = testing::Swaps::between(&root.join("w/sub"), &root.join("w/way_out"));
    for _ in 0..1000 {
        // Errors quote lines that are near.
        let args = Args::Text(patch("*** Update File: sub/secret\n-hidde\n*** Update File: sub/secre\n-x"));
        let error = ApplyPatch.intent(&args, &workspace).unwrap_err();
        assert!(!error.0.contains("hidden"), "{error}");
    }
}

#[tokio::test]
async fn what_was_allowed_is_that_path_and_not_where_it_leads_later() {
    let (_dir, root) = world();
    let mut cx = testing::context(&root.join("w"));
    let args = Args::Text(patch("*** Add File: .envrc\n+x"));
    let intent = ApplyPatch.intent(&args, &cx.workspace).unwrap();
    cx.workspace = cx.workspace.widened(&intent);
    symlink("../out/new", root.join("w/.envrc")).unwrap();
    let error = ApplyPatch.run(&args, cx).await.unwrap_err();
    assert!(error.0.starts_with("patch rejected: "), "{error}");
    assert!(!root.join("out/new").exists());
}

#[tokio::test]
async fn a_patch_typed_into_the_shell_is_relative_to_its_directory() {
    let (_dir, root) = world();
    let cx = testing::context(&root.join("w"));
    let text = patch("*** Add File: c.txt\n+x\n*** Update File: ../a.txt\n-one\n+1");
    let workdir = root.join("w/sub");
    let intent = intent_for(&text, &workdir, &cx.workspace).unwrap();
    assert!(files(intent).iter().all(|file| !file.outside));
    run_for(&text, &workdir, &cx).await.unwrap();
    assert_eq!(fs::read_to_string(root.join("w/sub/c.txt")).unwrap(), "x\n");
    assert_eq!(fs::read_to_string(root.join("w/a.txt")).unwrap(), "1\ntwo\n");
}

#[tokio::test]
async fn an_interrupt_before_the_first_change_leaves_everything_as_it_was() {
    let (_dir, root) = world();
    let cx = testing::context(&root.join("w"));
    cx.cancel.cancel();
    let error = ApplyPatch.run(&Args::Text(patch("*** Delete File: a.txt")), cx).await.unwrap_err();
    assert_eq!(error.0, "interrupted; nothing was changed");
    assert!(root.join("w/a.txt").exists());
}

#[test]
fn a_pipe_is_not_waited_for() {
    let (_dir, root) = world();
    let made = std::process::Command::new("mkfifo").arg(root.join("w/pipe")).status().unwrap();
    assert!(made.success());
    let workspace = testing::workspace(&root.join("w"));
    let error = ApplyPatch.intent(&Args::Text(patch("*** Update File: pipe\n-x")), &workspace).unwrap_err();
    assert!(error.0.contains("not a regular file"), "{error}");
}

#[test]
fn many_large_files_do_not_make_an_endless_intent() {
    let (_dir, root) = world();
    let workspace = testing::workspace(&root.join("w"));
    let lines = "+a line of some length\n".repeat(10_000);
    let body: String = (0..20).map(|file| format!("*** Add File: f{file}\n{lines}")).collect();
    let intent = ApplyPatch.intent(&Args::Text(patch(body.trim_end())), &workspace).unwrap();
    let changes = files(intent);
    assert_eq!(changes.len(), 20);
    let total: usize = changes.iter().map(|file| file.diff.len()).sum();
    assert!(total < ALL_DIFFS + 20 * 100, "{total}");
    assert!(changes.iter().all(|file| file.diff.contains("[diff cut here")));
}
