//! `agent`: the interactive session. What the screen needs of the rest of the program.

use std::{
    fs,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use futures::future::{self, BoxFuture};

use crate::config::trust::{Brought, Change, Standing, Trust};
use crate::config::{project_root, rules};
use crate::harness;
use crate::protocol::{BlobId, Content, ProcessId, Rule, SessionId, Settings, Update};
use crate::shell::{Peek, Shell, Size};
use crate::store::Blobs;
use crate::tools::view_image;
use crate::tui::{
    self, Answer, Apart, Begin, Connection, Ground, Host, News, Offer, Offered, Question, Ready, Switch,
    Updates, composer::history, prompts::Prompt,
};

use super::{
    clipboard,
    drafts::Drafts,
    error::CliError,
    feedback, fork, memory, models, person, prompts, sessions,
    start::{Kept, Open, Place, Start},
    themes, undo,
    workspace::{self, Left},
    worktree,
};

/// What the screen begins with.
pub(super) enum First {
    New,
    Resume(Box<Kept>),
    /// The person chooses a session.
    Choose,
}

/// Runs the screen.
pub(super) async fn run(start: Start, first: First, say: Option<String>) -> Result<ExitCode, CliError> {
    if let Some(farewell) = show(start, first, say, None).await? {
        let _ = writeln!(io::stdout(), "{farewell}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Called for every key, for what plays by itself and can be hurried.
pub(super) type Pressed = Box<dyn Fn() + Send>;

/// Shows the screen until it is left. Gives what is to be said then.
pub(super) async fn show(
    start: Start,
    first: First,
    say: Option<String>,
    pressed: Option<Pressed>,
) -> Result<Option<String>, CliError> {
    let (begin, next) = match first {
        First::New => (Begin::New, None),
        First::Resume(kept) => (Begin::Resume, Some(*kept)),
        First::Choose => (Begin::Choose, None),
    };
    // A session works where it was begun.
    let start = next.as_ref().map_or_else(|| Ok(start.clone()), |kept| start.of(kept))?;
    let history_file = history_file(&start);
    let drafts = drafts(&start);
    let options = tui::Options {
        draft: drafts.take(),
        history: history::decode(&fs::read(&history_file).unwrap_or_default()),
        offer: offer(&start.config.trust),
        say,
        ..options(&start, begin)
    };
    let resume = next.as_ref().map(Kept::id);
    let screen = Screen {
        start,
        resume,
        next,
        blobs: None,
        shell: None,
        open: None,
        history_file,
        pressed,
        drafts,
        left: Vec::new(),
    };
    let (farewell, screen) = tui::run(screen, options).await.map_err(CliError::failed)?;
    let (start, left) = screen.close().await;
    workspace::keep(&start, left, workspace::stopped()).await;
    Ok(farewell)
}

/// Shows a session again until the person leaves. Nothing is asked for and nothing is kept.
pub(super) async fn replay(
    start: Start,
    id: SessionId,
    recorded: tui::Recorded,
) -> Result<ExitCode, CliError> {
    let options = tui::Options { recorded: Some(recorded), ..options(&start, Begin::Replay) };
    let blobs = Blobs::new(start.sessions().folder(id).join("blobs"));
    let (history_file, drafts) = (history_file(&start), drafts(&start));
    let screen = Screen {
        start,
        resume: None,
        next: None,
        blobs: Some(blobs),
        shell: None,
        open: None,
        history_file,
        pressed: None,
        drafts,
        left: Vec::new(),
    };
    let (farewell, _) = tui::run(screen, options).await.map_err(CliError::failed)?;
    if let Some(farewell) = farewell {
        let _ = writeln!(io::stdout(), "{farewell}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What every screen starts with.
fn options(start: &Start, begin: Begin) -> tui::Options {
    tui::Options {
        ground: ground(start),
        settings: start.config.tui.clone(),
        draft: None,
        history: Vec::new(),
        begin,
        offer: None,
        recorded: None,
        say: None,
        colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        term: std::env::vars().filter(|(name, _)| name.starts_with("TERM") || name == "COLORTERM").collect(),
    }
}

fn history_file(start: &Start) -> PathBuf {
    start.home.state.join("history.jsonl")
}

fn drafts(start: &Start) -> Drafts {
    Drafts::new(start.home.state.join("drafts"), &start.workspace)
}

struct Screen {
    start: Start,
    resume: Option<SessionId>,
    /// The session that is opened next, locked and read.
    next: Option<Kept>,
    blobs: Option<Blobs>,
    /// The processes of the session, to be looked at.
    shell: Option<Shell>,
    /// What ends with the session.
    open: Option<Rest>,
    history_file: PathBuf,
    pressed: Option<Pressed>,
    drafts: Drafts,
    /// The sessions that were open here.
    left: Vec<Left>,
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
    async fn close(mut self) -> (Start, Vec<Left>) {
        if let Some(Rest { ended }) = self.open.take() {
            // Its errors were told as updates; here is nobody left to read them.
            let _ = ended.await;
        }
        (self.start, self.left)
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

    fn process(&self, process: ProcessId, size: Option<(u16, u16)>) -> Result<Answer, String> {
        let shell = self.shell.as_ref().ok_or("there is no session yet")?;
        let peek = || shell.peek(process).map_err(|error| error.to_string());
        let mut seen = peek()?;
        // A program that draws the whole screen draws it for the person who looks at it.
        let wanted = size.map(|(rows, columns)| Size { rows, columns });
        if let (Some(wanted), Some(now)) = (wanted, seen.full_screen)
            && wanted.sensible() != now
            && shell.resize(process, wanted).is_ok()
        {
            seen = peek()?;
        }
        let Peek { tty, hidden, latest, .. } = seen;
        Ok(Answer::Process { process, latest, tty, hidden })
    }
}

/// Writes a new file, under another name when there is one already.
fn write_new(file: &Path, text: &str) -> io::Result<PathBuf> {
    let stem = file.file_stem().unwrap_or_default().to_os_string();
    for number in 1u32.. {
        let mut name = stem.clone();
        if number > 1 {
            name.push(format!("-{number}"));
        }
        if let Some(extension) = file.extension() {
            name.push(".");
            name.push(extension);
        }
        let path = file.with_file_name(name);
        match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => return file.write_all(text.as_bytes()).map(|()| path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("all names are taken"))
}

#[async_trait::async_trait]
impl Host for Screen {
    async fn open(&mut self) -> Result<Connection, String> {
        let opened = match (self.next.take(), self.resume) {
            (Some(kept), _) => self.start.resume(kept, None, true),
            (None, Some(id)) => self.start.reopen(id).and_then(|kept| self.start.resume(kept, None, true)),
            (None, None) => self.start.new_session(Place::Kept, None, true),
        };
        let opened = opened.map_err(|error| error.to_string())?;
        self.left.push(Left::of(&opened));
        let Open { handle, history, blobs, shell, .. } = opened;
        self.blobs = Some(blobs);
        self.shell = Some(shell);
        self.open = Some(Rest { ended: handle.ended });
        let ground = ground(&self.start);
        Ok(Connection { ground, history, commands: handle.commands, updates: Box::new(Live(handle.updates)) })
    }

    fn prompts(&mut self) -> (Vec<Prompt>, Vec<String>) {
        prompts::here(&self.start)
    }

    fn branch(&mut self) -> Option<String> {
        branch(&self.start.workspace)
    }

    fn pressed(&mut self) {
        if let Some(pressed) = &self.pressed {
            pressed();
        }
    }

    fn prepare(&mut self, next: Switch) -> Result<Ready, String> {
        let said = |error: CliError| error.to_string();
        let mut notes = Vec::new();
        let id = match next {
            Switch::Resume(id) => id,
            Switch::Fork(from, apart) => {
                let here = self.start.workspace.clone();
                let beside = |dir: Option<PathBuf>| dir.map(|dir| here.join(dir));
                let place = match apart {
                    Apart::No => fork::Place::Same,
                    Apart::Copy(dir) => fork::Place::Copy(beside(dir)),
                    Apart::WorkTree(dir) => fork::Place::WorkTree(beside(dir)),
                };
                let mut tell = |line: &str| notes.push(line.to_owned());
                self.start.fork(from, None, &place, &mut tell).map_err(said)?
            }
        };
        let kept = self.start.reopen(id).map_err(said)?;
        self.start = self.start.of(&kept).map_err(said)?;
        self.next = Some(kept);
        self.resume = Some(id);
        Ok(Ready { offer: offer(&self.start.config.trust), notes })
    }

    fn trust(&mut self, trusted: bool) -> Result<Option<Offer>, String> {
        self.start.trust(trusted).map_err(|error| error.to_string())?;
        Ok(offer(&self.start.config.trust))
    }

    fn forget(&mut self) -> Option<Offer> {
        self.resume = None;
        self.blobs = None;
        self.shell = None;
        // Settings that can't be read any more are told by the next start; until then those that were read hold.
        let _ = self.start.read();
        offer(&self.start.config.trust)
    }

    fn attach(&mut self, path: &Path) -> Result<Content, String> {
        let path = self.start.workspace.join(path);
        let (content, blob, bytes) = view_image::load(&path).map_err(|error| error.to_string())?;
        let blobs = self.blobs.as_ref().ok_or("there is no session yet")?;
        blobs.put(&blob, &bytes).map_err(|error| format!("can't keep the picture: {error}"))?;
        Ok(content)
    }

    fn recognize(&mut self, path: &Path) -> Result<(), String> {
        view_image::recognize(&self.start.workspace.join(path)).map_err(|error| error.to_string())
    }

    fn clipboard(&mut self) -> BoxFuture<'static, Result<PathBuf, String>> {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let (folder, tool) = (self.start.home.state.join("clipboard"), clipboard::tool(set));
        let hidden = self.start.key_names();
        Box::pin(async move { clipboard::image(&folder, tool?, &hidden).await })
    }

    fn keep_draft(&mut self, text: &str) {
        // A draft that can't be kept is no reason to bother anybody who writes.
        drop(self.drafts.keep(text));
    }

    fn feedback(&mut self, terminal: &str, last_error: Option<&str>) -> Result<PathBuf, String> {
        let variables = ["TERM", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "NO_COLOR", "LANG"];
        let set = variables.iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
        let terminal = set.fold(terminal.to_owned(), |text, (name, value)| format!("{text}\n{name}={value}"));
        feedback::write(&self.start, &terminal, last_error)
    }

    fn edit(&mut self, text: &str) -> Result<String, String> {
        edited(&self.start, text)
    }

    fn shell(&mut self, command: &str) -> BoxFuture<'static, String> {
        let (workspace, hidden) = (self.start.workspace.clone(), self.start.key_names());
        let (command, secrets) = (command.to_owned(), self.start.secrets.clone());
        // What it prints goes to the model, as that of the model's own commands.
        Box::pin(async move { secrets.text(&person::run(command, workspace, hidden).await).into_owned() })
    }

    fn answer(&mut self, question: Question) -> BoxFuture<'static, Answer> {
        let answered = match &question {
            Question::WorkTree { folder } => {
                let folder = folder.clone();
                return Box::pin(async move {
                    let found = worktree::changes(&folder).await.map(Answer::WorkTree);
                    found.unwrap_or_else(|problem| Answer::Failed { question, problem })
                });
            }
            Question::WouldRestore(known) => {
                let (snapshots, known) = (self.start.snapshots(), known.clone());
                return Box::pin(async move {
                    let look = move || undo::prospect(&*snapshots?, known).map_err(|error| error.to_string());
                    let looked = tokio::task::spawn_blocking(look).await;
                    let looked = looked.unwrap_or_else(|error| Err(error.to_string()));
                    let failed = |problem| Answer::Failed { question, problem };
                    looked.map_or_else(failed, Answer::WouldRestore)
                });
            }
            Question::WouldRewind { to, text, known } => {
                let (snapshots, known) = (self.start.snapshots(), known.clone());
                let (to, text) = (*to, text.clone());
                return Box::pin(async move {
                    let look = move || undo::prospect(&*snapshots?, known).map_err(|error| error.to_string());
                    let looked = tokio::task::spawn_blocking(look).await;
                    let looked = looked.unwrap_or_else(|error| Err(error.to_string()));
                    let failed = |problem| Answer::Failed { question, problem };
                    looked.map_or_else(failed, |prospect| Answer::WouldRewind { to, text, prospect })
                });
            }
            Question::Skills => {
                let start = self.start.clone();
                return Box::pin(async move {
                    let looked = tokio::task::spawn_blocking(move || start.known_skills()).await;
                    let failed = |error: tokio::task::JoinError| Answer::Failed {
                        question,
                        problem: error.to_string(),
                    };
                    looked.unwrap_or_else(failed)
                });
            }
            Question::Blob { blob, from, length } => self.part(blob, *from, *length),
            Question::Themes => Ok(Answer::Themes(themes::read(&self.start.home.themes()))),
            Question::Models => Ok(Answer::Models(models::choices(&self.start))),
            Question::Model { name, like } => models::named(&self.start, name, like).map(Answer::Model),
            Question::Rules => self.start.rules_now().map(Answer::Rules).map_err(|error| error.to_string()),
            Question::Process { process, size } => self.process(*process, *size),
            Question::Memory(words) => memory::on_screen(&self.start, words).map(Answer::Memory),
            Question::MemoryCost => memory::cost_on_screen(&self.start).map(Answer::Memory),
            Question::Reveal { handle } => {
                Ok(Answer::Revealed { handle: handle.clone(), value: self.start.secrets.reveal(handle) })
            }
            Question::Sessions
            | Question::Words(_)
            | Question::Rename { .. }
            | Question::Archive { .. }
            | Question::Delete(_) => sessions::answer(&self.start, &question),
        };
        Box::pin(future::ready(answered.unwrap_or_else(|problem| Answer::Failed { question, problem })))
    }

    fn start_with(&mut self, settings: &Settings) {
        self.start.prepare(settings);
    }

    fn keep_model(&mut self, settings: &Settings) -> Result<String, String> {
        models::keep(&self.start, settings)
    }

    fn keep_theme(&mut self, name: &str) -> Result<String, String> {
        themes::keep(&self.start, name)
    }

    fn forget_rule(&mut self, rule: &Rule) -> Result<(), String> {
        rules::forget(&self.start.home, rule, &self.start.workspace).map_err(|error| error.to_string())
    }

    fn export(&mut self, file: &Path, text: &str) -> Result<PathBuf, String> {
        let home = || std::env::var_os("HOME").map(PathBuf::from);
        let file = match file.strip_prefix("~").ok().zip(home()) {
            Some((rest, home)) => home.join(rest),
            None => self.start.workspace.join(file),
        };
        write_new(&file, text).map_err(|error| format!("can't write {}: {error}", file.display()))
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

/// The text as the person has left it in the editor of their choice.
pub(super) fn edited(start: &Start, text: &str) -> Result<String, String> {
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
        .unwrap_or_else(|| "vi".to_owned());
    let failed = |error: io::Error| format!("can't edit with `{editor}`: {error}");
    let mut file = tempfile::Builder::new().suffix(".md").tempfile().map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    // The variable holds words, as a shell reads them: `code --wait`.
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", &format!("{editor} \"$1\""), "editor"]).arg(file.path());
    for name in start.key_names() {
        command.env_remove(name);
    }
    let status = command.status().map_err(failed)?;
    if !status.success() {
        return Err(format!("`{editor}` ended with {status}; the draft is as it was"));
    }
    let edited = fs::read_to_string(file.path()).map_err(failed)?;
    Ok(edited.trim_end_matches('\n').to_owned())
}

fn ground(start: &Start) -> Ground {
    Ground {
        settings: start.prospect(),
        workspace: start.workspace.clone(),
        directory: short(&start.workspace),
        branch: branch(&start.workspace),
        project: short(project_root(&start.workspace)),
        config: short(&start.home.config_file()),
        dear: start.dear(),
    }
}

/// A directory with the home directory as `~`.
pub(super) fn short(directory: &Path) -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    let directory = directory.to_string_lossy().into_owned();
    match directory.strip_prefix(&home) {
        Some(rest) if !home.is_empty() && (rest.is_empty() || rest.starts_with('/')) => format!("~{rest}"),
        _ => directory,
    }
}

/// What the person is asked about, if there is something.
fn offer(trust: &Trust) -> Option<Offer> {
    let offered = |file: &Brought| Offered {
        name: trust.name(&file.path),
        kind: file.kind.word(),
        size: file.size,
        news: trust.change(file).map(|change| match change {
            Change::Added => News::Added,
            Change::Changed => News::Changed,
        }),
        hidden: file.hidden.iter().map(ToString::to_string).collect(),
        text: file.text.clone(),
    };
    (trust.standing == Standing::Open).then(|| {
        let mut files: Vec<Offered> = trust.files.iter().map(offered).collect();
        // What is new, and what hides something, comes first.
        files.sort_by_key(|file| (file.news.is_none(), file.hidden.is_empty()));
        Offer { directory: short(&trust.root), again: files.iter().any(|file| file.news.is_some()), files }
    })
}

/// The branch, read from the file that names it: no program is run for it.
fn branch(workspace: &Path) -> Option<String> {
    let read = |file: &Path| {
        let mut text = String::new();
        // A pipe would be waited for.
        let file = fs::metadata(file).ok()?.is_file().then_some(file)?;
        fs::File::open(file).ok()?.take(4096).read_to_string(&mut text).ok()?;
        Some(text)
    };
    let git = workspace.ancestors().map(|dir| dir.join(".git")).find(|git| git.exists())?;
    // In a further work tree it is a file that says where the rest is.
    let git = match read(&git) {
        Some(text) => git.parent()?.join(text.trim().strip_prefix("gitdir: ")?),
        None => git,
    };
    let head = read(&git.join("HEAD"))?;
    match head.trim().strip_prefix("ref: refs/heads/") {
        Some(branch) => Some(branch.to_owned()),
        // Detached: what is checked out.
        None => head
            .trim()
            .get(..8)
            .filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_branch_is_read_where_git_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("p/.git/worktrees/w")).unwrap();
        fs::create_dir_all(at("p/sub")).unwrap();
        fs::create_dir(at("w")).unwrap();
        assert_eq!(branch(&at("w")), None);
        fs::write(at("p/.git/HEAD"), "ref: refs/heads/fix/dates\n").unwrap();
        assert_eq!(branch(&at("p/sub")).as_deref(), Some("fix/dates"));
        fs::write(at("p/.git/HEAD"), "0123456789abcdef0123456789abcdef01234567\n").unwrap();
        assert_eq!(branch(&at("p")).as_deref(), Some("01234567"));
        fs::write(at("p/.git/worktrees/w/HEAD"), "ref: refs/heads/other\n").unwrap();
        fs::write(at("w/.git"), format!("gitdir: {}\n", at("p/.git/worktrees/w").display())).unwrap();
        assert_eq!(branch(&at("w")).as_deref(), Some("other"));
        fs::write(at("w/.git"), "what is this?").unwrap();
        assert_eq!(branch(&at("w")), None);
    }

    #[test]
    fn what_is_written_out_never_replaces_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("talk.md");
        let names: Vec<PathBuf> = ["a", "b", "c"].map(|text| write_new(&file, text).unwrap()).into();
        assert_eq!(names, ["talk.md", "talk-2.md", "talk-3.md"].map(|name| folder.path().join(name)));
        assert_eq!(fs::read_to_string(&file).unwrap(), "a");
        assert!(write_new(&folder.path().join("no/talk.md"), "").is_err());
    }
}
