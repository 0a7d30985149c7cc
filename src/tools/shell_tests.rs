//! `exec_command` and `write_stdin` with real processes.

use std::{path::Path, sync::Arc};

use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;
use tokio_util::sync::CancellationToken;

use super::{
    Output, Tool, ToolCx, ToolError, Workspace, exec_command::ExecCommand, testing, write_stdin::WriteStdin,
};
use crate::{
    protocol::{Args, CallId, Content, Shown},
    shell::{Settings, Shell, tests::Plain},
};

fn cx(dir: &Path) -> ToolCx {
    let settings = Settings {
        blobs: dir.join("blobs"),
        workspace: dir.to_owned(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("HOME".into(), dir.into())],
        shell: "/bin/bash".into(),
        sandbox: Arc::new(Plain),
        outside: Arc::new(Plain),
        forbidden: Vec::new(),
        secrets: Default::default(),
        person: None,
        max_processes: 64,
        seed: 0,
    };
    ToolCx {
        call: CallId::from("call_1"),
        workspace: Workspace { root: dir.to_owned(), writable: vec![], own: vec![] },
        // Nobody hears of ends here.
        shell: Shell::new(settings, unbounded_channel().0),
        output: Arc::new(|_| {}),
        cancel: CancellationToken::new(),
        output_limit: 10_000,
        past: Arc::new(testing::Nowhere),
    }
}

fn world() -> (TempDir, ToolCx) {
    let dir = tempfile::tempdir().unwrap();
    let cx = cx(dir.path());
    (dir, cx)
}

async fn call(tool: &dyn Tool, args: serde_json::Value, cx: &ToolCx) -> Result<Output, ToolError> {
    tool.run(&Args::Json(args.to_string()), cx.clone()).await
}

/// The text of a result without what differs from run to run.
fn text(output: &Output) -> String {
    let [Content::Text { text }] = output.content.as_slice() else { panic!("{output:?}") };
    let mut lines = text.splitn(3, '\n');
    let (chunk, wall) = (lines.next().unwrap(), lines.next().unwrap());
    let hex = chunk.strip_prefix("Chunk ID: ").unwrap();
    assert!(hex.len() == 6 && hex.chars().all(|c| c.is_ascii_hexdigit()), "{chunk}");
    let seconds = wall.strip_prefix("Wall time: ").and_then(|wall| wall.strip_suffix(" seconds")).unwrap();
    assert_eq!(seconds.split_once('.').unwrap().1.len(), 4, "{wall}");
    lines.next().unwrap().to_owned()
}

#[tokio::test]
async fn a_command_comes_back_as_models_know_it() {
    let (_dir, cx) = world();
    let output = call(&ExecCommand, serde_json::json!({"cmd": "echo out; echo err >&2; exit 3"}), &cx).await;
    let output = output.unwrap();
    let expected = "Process exited with code 3\nOriginal token count: 2\nOutput:\nout\nerr\n";
    assert_eq!(text(&output), expected);
    let Shown::Command { command, workdir, exit, process, output, .. } = output.shown else { panic!() };
    assert_eq!((command.as_str(), workdir), ("echo out; echo err >&2; exit 3", cx.workspace.root));
    assert_eq!((exit, process, output.head.as_str()), (Some(3), None, "out\nerr\n"));
}

#[tokio::test]
async fn long_output_is_cut_as_models_know_it() {
    let (_dir, cx) = world();
    let args = serde_json::json!({"cmd": "seq 100000 109999", "max_output_tokens": 50});
    let output = call(&ExecCommand, args, &cx).await.unwrap();
    let expected = "Process exited with code 0\nOriginal token count: 17500\nOutput:\nWarning: truncated output \
                    (original token count: 17500)\nTotal output lines: 10000\n\n";
    let text = text(&output);
    let body = text.strip_prefix(expected).unwrap();
    assert!(body.starts_with("100000\n100001\n") && body.ends_with("\n109998\n109999\n"), "{body}");
    assert!(body.contains("10…17450 tokens truncated…"), "{body}");
    let Shown::Command { output, .. } = output.shown else { panic!() };
    assert!(output.blob.is_some());
}

#[tokio::test]
async fn a_session_goes_on_until_it_is_told_to_end() {
    let (_dir, cx) = world();
    let args =
        serde_json::json!({"cmd": "read name; echo hello $name", "tty": true, "yield_time_ms": 30_000});
    let started = call(&ExecCommand, args, &cx).await.unwrap();
    let Shown::Command { process: Some(id), exit: None, .. } = started.shown else { panic!("{started:?}") };
    let expected = format!(
        "Process running with session ID {id}\nOriginal token count: 0\nWaiting for input: it reads a line from the \
         terminal\nOutput:\n"
    );
    assert_eq!(text(&started), expected);
    let args = serde_json::json!({"session_id": id, "chars": "you\n", "yield_time_ms": 30_000});
    let ended = call(&WriteStdin, args, &cx).await.unwrap();
    let expected = "Process exited with code 0\nOriginal token count: 4\nOutput:\nyou\r\nhello you\r\n";
    assert_eq!(text(&ended), expected);
    let error = call(&WriteStdin, serde_json::json!({"session_id": id}), &cx).await.unwrap_err();
    assert_eq!(error.0, format!("write_stdin failed: Unknown process id {id}"));
}

#[tokio::test]
async fn what_does_not_work_says_why() {
    let (_dir, cx) = world();
    let args = serde_json::json!({"cmd": "sleep 600", "yield_time_ms": 250});
    let started = call(&ExecCommand, args, &cx).await.unwrap();
    let Shown::Command { process: Some(id), .. } = started.shown else { panic!("{started:?}") };
    let args = serde_json::json!({"session_id": id, "chars": "x"});
    let error = call(&WriteStdin, args, &cx).await.unwrap_err();
    assert!(error.0.ends_with("rerun exec_command with tty=true to keep stdin open"), "{error}");
    let args = serde_json::json!({"cmd": "ls", "workdir": "missing"});
    let error = call(&ExecCommand, args, &cx).await.unwrap_err();
    let workdir = cx.workspace.root.join("missing");
    let expected =
        format!("exec_command failed: workdir `{}` is not a directory, or does not exist", workdir.display());
    assert_eq!(error.0, expected);
    cx.shell.stop().await;
}
