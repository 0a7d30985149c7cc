//! `agent`: the interactive session. What the screen needs of the rest of the program.

use std::{
    fs,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};

use futures::future::BoxFuture;

use crate::harness;
use crate::protocol::{BlobId, Content, SessionId, Update};
use crate::store::Blobs;
use crate::tools::view_image;
use crate::tui::{self, Answer, Connection, Ground, Host, Question, Updates, composer::history};

use super::{
    error::CliError,
    start::{Open, Place, Start},
};

/// What a command of the person may show to the model, in bytes.
const SHOWN: usize = 32 << 10;

/// Runs the screen, with a session that is kept if one is named.
pub(super) async fn run(
    start: Start,
    resume: Option<SessionId>,
    say: Option<String>,
) -> Result<ExitCode, CliError> {
    let history_file = start.home.state.join("history.jsonl");
    let options = tui::Options {
        ground: ground(&start),
        history: history::decode(&fs::read(&history_file).unwrap_or_default()),
        resumed: resume.is_some(),
        say,
        colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        term: std::env::vars().filter(|(name, _)| name.starts_with("TERM") || name == "COLORTERM").collect(),
    };
    let screen = Screen { start, resume, blobs: None, open: None, history_file };
    let (farewell, screen) = tui::run(screen, options).await.map_err(CliError::failed)?;
    screen.close().await;
    if let Some(farewell) = farewell {
        let _ = writeln!(io::stdout(), "{farewell}");
    }
    Ok(ExitCode::SUCCESS)
}

struct Screen {
    start: Start,
    resume: Option<SessionId>,
    blobs: Option<Blobs>,
    /// What ends with the session.
    open: Option<Rest>,
    history_file: PathBuf,
}

/// The parts of an open session that the screen does not hold.
struct Rest {
    ended: tokio::task::JoinHandle<Result<(), crate::store::LogError>>,
}

struct Live(harness::Updates);

#[async_trait::async_trait]
impl Updates for Live {
    async fn next(&mut self) -> Option<Update> {
        self.0.recv().await
    }

    fn ready(&mut self) -> Option<Update> {
        self.0.try_recv()
    }
}

impl Screen {
    /// Waits until the session is on the disk.
    async fn close(mut self) {
        if let Some(Rest { ended }) = self.open.take() {
            // Its errors were told as updates; here is nobody left to read them.
            let _ = ended.await;
        }
    }
}

impl Screen {
    /// A part of what the session keeps of an output.
    fn part(&self, blob: &BlobId, from: u64, length: usize) -> Result<Answer, String> {
        let failed = |error: io::Error| format!("can't read the output: {error}");
        let blobs = self.blobs.as_ref().ok_or("there is no session yet")?;
        let mut file = fs::File::open(blobs.path(blob).map_err(failed)?).map_err(failed)?;
        let total = file.metadata().map_err(failed)?.len();
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Answer::Blob { blob: blob.clone(), from, bytes, total })
    }
}

#[async_trait::async_trait]
impl Host for Screen {
    async fn open(&mut self) -> Result<Connection, String> {
        let opened = match self.resume {
            Some(id) => self.start.reopen(id).and_then(|kept| self.start.resume(kept, None, true)),
            None => self.start.new_session(Place::Kept, None, true),
        };
        let Open { handle, history, blobs, .. } = opened.map_err(|error| error.to_string())?;
        self.blobs = Some(blobs);
        self.open = Some(Rest { ended: handle.ended });
        Ok(Connection { history, commands: handle.commands, updates: Box::new(Live(handle.updates)) })
    }

    fn forget(&mut self) {
        self.resume = None;
        self.blobs = None;
    }

    fn attach(&mut self, path: &Path) -> Result<Content, String> {
        let path = self.start.workspace.join(path);
        let (content, blob, bytes) = view_image::load(&path).map_err(|error| error.to_string())?;
        let blobs = self.blobs.as_ref().ok_or("there is no session yet")?;
        blobs.put(&blob, &bytes).map_err(|error| format!("can't keep the picture: {error}"))?;
        Ok(content)
    }

    fn edit(&mut self, text: &str) -> Result<String, String> {
        let editor = ["VISUAL", "EDITOR"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
            .unwrap_or_else(|| "vi".to_owned());
        let failed = |error: io::Error| format!("can't edit with `{editor}`: {error}");
        let mut file = tempfile::Builder::new().suffix(".md").tempfile().map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        // The variable holds words, as a shell reads them: `code --wait`.
        let status = std::process::Command::new("/bin/sh")
            .args(["-c", &format!("{editor} \"$1\""), "editor"])
            .arg(file.path())
            .status()
            .map_err(failed)?;
        if !status.success() {
            return Err(format!("`{editor}` ended with {status}; the draft is as it was"));
        }
        let edited = fs::read_to_string(file.path()).map_err(failed)?;
        Ok(edited.trim_end_matches('\n').to_owned())
    }

    fn shell(&mut self, command: &str) -> BoxFuture<'static, String> {
        let (command, workspace) = (command.to_owned(), self.start.workspace.clone());
        Box::pin(as_person(command, workspace))
    }

    async fn answer(&mut self, question: Question) -> Answer {
        let answered = match &question {
            Question::Blob { blob, from, length } => self.part(blob, *from, *length),
        };
        answered.unwrap_or_else(|problem| Answer::Failed { question, problem })
    }

    fn remember(&mut self, text: &str) {
        let Some(line) = history::encode_line(text) else { return };
        let written = self
            .history_file
            .parent()
            .map_or(Ok(()), |folder| fs::DirBuilder::new().recursive(true).mode(0o700).create(folder))
            // What was said may hold what is nobody else's business.
            .and_then(|()| {
                fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&self.history_file)
            })
            .and_then(|mut file| file.write_all(line.as_bytes()));
        // A history that can't be kept is no reason to bother anybody who works.
        drop(written);
    }
}

/// Runs a command as the person would in a shell of their own, and gives what it came to in words for the model.
async fn as_person(command: String, workspace: PathBuf) -> String {
    let output = tokio::process::Command::new(super::start::shell())
        .args(["-c", &command])
        .current_dir(workspace)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    match output {
        Err(error) => format!("I ran `{command}`, but it could not be started: {error}"),
        Ok(output) => {
            let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.push_str(&String::from_utf8_lossy(&output.stderr));
            let text = crate::context::truncate::middle(&text, SHOWN as u64 / 4);
            format!("I ran `{command}` ({}):\n```\n{}\n```", output.status, text.trim_end())
        }
    }
}

fn ground(start: &Start) -> Ground {
    let home = std::env::var("HOME").unwrap_or_default();
    let workspace = start.workspace.to_string_lossy().into_owned();
    let directory = match workspace.strip_prefix(&home) {
        Some(rest) if !home.is_empty() && (rest.is_empty() || rest.starts_with('/')) => format!("~{rest}"),
        _ => workspace,
    };
    Ground {
        model: start.config.model.to_string(),
        sandbox: start.config.sandbox,
        workspace: start.workspace.clone(),
        directory,
        branch: branch(&start.workspace),
    }
}

/// The branch, read from the file that names it: no program is run for it.
fn branch(workspace: &Path) -> Option<String> {
    let root = workspace.ancestors().find(|dir| dir.join(".git").exists())?;
    let mut head = String::new();
    fs::File::open(root.join(".git/HEAD")).ok()?.take(4096).read_to_string(&mut head).ok()?;
    head.trim().strip_prefix("ref: refs/heads/").map(str::to_owned)
}
