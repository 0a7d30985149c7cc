//! `agent fork`: a session that begins with the conversation of another one, in the same directory or with a copy of it.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::protocol::{SessionId, SnapshotId, TurnId, printable};
use crate::sandbox;
use crate::session::{Session, fork};
use crate::snapshot::{self, Copied, Snapshots, Which};
use crate::store::{LogError, read_events};

use super::{
    error::CliError,
    sessions::size,
    start::{Start, log_error, now},
    undo,
};

/// Where the new session works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Where the other one does.
    Same,
    /// In a copy, which is made here; nothing: beside the original.
    Copy(Option<PathBuf>),
    /// In a further work tree of the repository.
    WorkTree(Option<PathBuf>),
    /// In a directory that is there.
    There(PathBuf),
}

/// Who is told what is done.
pub(super) type Tell<'a> = &'a mut dyn FnMut(&str);

impl Start {
    /// Makes a new session that begins with the conversation of another one, up to the end of a turn or with all of it.
    pub(super) fn fork(
        &self,
        from: SessionId,
        at: Option<TurnId>,
        place: &Place,
        tell: Tell<'_>,
    ) -> Result<SessionId, CliError> {
        let events = read_events(&self.sessions().log(from)).map_err(|error| unreadable(from, &error))?;
        let session = Session::replay(&events);
        let chosen = match at {
            None => &events[..],
            Some(turn) => fork::until(&events, turn).ok_or_else(|| {
                CliError::usage(format!("session {from} has no turn {turn}"))
                    .hint(format!("it has {} turns: agent sessions show {from}", session.turns))
            })?,
        };
        let state = Session::replay(chosen).undo.last().cloned();
        let wanted = Wanted { from, session: &session, state, at };
        let root = match place {
            Place::Same => None,
            Place::There(dir) => {
                share(&self.snapshot_settings(&session.workspace), dir, tell);
                Some(dir.clone())
            }
            Place::Copy(dir) => Some(self.copied(&wanted, dir.as_deref(), tell)?),
            Place::WorkTree(dir) => Some(self.work_tree(&wanted, dir.as_deref(), tell)?),
        };
        let id = SessionId(uuid::Uuid::now_v7());
        let chosen = match &root {
            Some(root) => fork::moved(chosen, root, now()),
            None => fork::with_goal_at_rest(chosen.to_vec(), now()),
        };
        self.sessions().fork_with(from, chosen, id).map_err(|error| unreadable(from, &error))?;
        Ok(id)
    }

    /// A copy of the workspace, as it is now or as it was.
    fn copied(&self, wanted: &Wanted<'_>, dir: Option<&Path>, tell: Tell<'_>) -> Result<PathBuf, CliError> {
        let workspace = &wanted.session.workspace;
        let place = place(workspace, dir)?;
        let settings = self.snapshot_settings(workspace);
        if !workspace.is_dir() {
            let state = wanted.state()?;
            let made = Snapshots::hydrate(&settings, state, &place).map_err(failed)?;
            tell(&format!("{} files put into {}", made.files, place.display()));
            tell_left(tell, &made.left);
            return Ok(place);
        }
        let made = snapshot::copy(&settings, &place).map_err(failed)?;
        tell(&copy_words(&made, &place));
        tell_left(tell, &made.left);
        if place.join(".git").is_file() {
            tell(
                "its .git is that of a linked work tree, which has the same HEAD and index as the original; \
                 --worktree makes one of its own",
            );
        }
        share(&settings, &place, tell);
        if wanted.at.is_some() {
            self.put_as_it_was(wanted, &place, wanted.state()?, tell)?;
        }
        Ok(place)
    }

    /// A further work tree of the repository, with files as they are now or as they were.
    fn work_tree(
        &self,
        wanted: &Wanted<'_>,
        dir: Option<&Path>,
        tell: Tell<'_>,
    ) -> Result<PathBuf, CliError> {
        let workspace = &wanted.session.workspace;
        if !workspace.is_dir() {
            return Err(CliError::failed(format!("there is no {} any more", workspace.display()))
                .hint("--copy makes a directory from what was kept of it"));
        }
        let place = place(workspace, dir)?;
        if place.starts_with(workspace) {
            return Err(CliError::usage(format!("{} lies in the workspace itself", place.display())));
        }
        let git = Git::of(workspace)?;
        let below = git.ask(&["rev-parse", "--show-prefix"])?;
        let name = place.to_str().ok_or_else(|| CliError::usage("the path must be UTF-8"))?;
        git.ask(&["worktree", "add", "--quiet", "--detach", "--", name, "HEAD"])?;
        let root = place.join(below.trim_end_matches('/'));
        tell(&format!("a work tree of the last commit in {}", place.display()));
        let settings = self.snapshot_settings(workspace);
        // What was kept before is found from there, too; the state now is kept if it can be.
        let state = match wanted.at {
            Some(_) => wanted.state().cloned(),
            None => Snapshots::open(settings.clone())
                .and_then(|snapshots| Ok(snapshots.take()?.id))
                .map_err(failed),
        };
        share(&settings, &root, tell);
        match state.and_then(|state| self.put_as_it_was(wanted, &root, &state, tell)) {
            Ok(()) => {}
            Err(error) => {
                tell(&format!(
                    "it has what was committed, and not what was changed since: {}",
                    error.message
                ));
            }
        }
        Ok(root)
    }

    /// Puts the files of a copy back as they were. What a repository is made of stays.
    fn put_as_it_was(
        &self,
        wanted: &Wanted<'_>,
        place: &Path,
        state: &SnapshotId,
        tell: Tell<'_>,
    ) -> Result<(), CliError> {
        let snapshots = Snapshots::open(self.snapshot_settings(place)).map_err(failed)?;
        let now = snapshots.take().map_err(failed)?;
        let mut plan = snapshots.plan(&now.id, state, &[]).map_err(failed)?;
        let own_tree = place.join(".git").is_file();
        plan.changes.retain(|change| !(own_tree && change.path.starts_with(".git")));
        plan.left.retain(|(path, _)| !path.starts_with(".git"));
        let (done, _) = snapshots.restore(&plan, Which::All).map_err(failed)?;
        if !done.paths.is_empty() {
            let when = match wanted.at {
                Some(turn) => format!("as it was at the end of turn {turn}"),
                None => "as in the workspace now".to_owned(),
            };
            tell(&format!("{when}: {}", undo::paths(done.paths.len())));
        }
        tell_left(tell, &done.left);
        tell_left(tell, &plan.left);
        Ok(())
    }
}

/// What is forked.
struct Wanted<'a> {
    from: SessionId,
    session: &'a Session,
    /// The last state of the files that was kept up to there.
    state: Option<SnapshotId>,
    at: Option<TurnId>,
}

impl Wanted<'_> {
    fn state(&self) -> Result<&SnapshotId, CliError> {
        self.state.as_ref().ok_or_else(|| {
            let until = self.at.map(|turn| format!(" up to turn {turn}")).unwrap_or_default();
            CliError::failed(format!("no state of the files was kept in session {}{until}", self.from))
        })
    }
}

/// Where a copy is made: as it was said, or beside the original under the first free name.
fn place(workspace: &Path, dir: Option<&Path>) -> Result<PathBuf, CliError> {
    if let Some(dir) = dir {
        return absolute(dir);
    }
    let name = workspace.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let above = workspace.parent().unwrap_or(workspace);
    let names = (1..1000).map(|number| match number {
        1 => format!("{name}-fork"),
        number => format!("{name}-fork-{number}"),
    });
    let free = names.map(|name| above.join(name)).find(|place| place.symlink_metadata().is_err());
    free.ok_or_else(|| CliError::usage("there are a thousand copies beside it; say where: --copy DIR"))
}

/// A path as the session names it: absolute, and without links as far as it is there.
pub(super) fn absolute(dir: &Path) -> Result<PathBuf, CliError> {
    let told = |error: io::Error| CliError::usage(format!("can't work in {}: {error}", dir.display()));
    let full = std::path::absolute(dir).map_err(told)?;
    if let Ok(there) = full.canonicalize() {
        return Ok(there);
    }
    let mut rest = Vec::new();
    for above in full.ancestors() {
        if let Ok(there) = above.canonicalize() {
            return Ok(rest.iter().rev().fold(there, |path, name| path.join(name)));
        }
        rest.extend(above.file_name());
    }
    Ok(full)
}

/// Gives another directory what was kept of this one. Without it, what is older can't be undone there.
fn share(settings: &snapshot::Settings, with: &Path, tell: Tell<'_>) {
    match Snapshots::share(settings, with) {
        Ok(()) | Err(snapshot::SnapshotError::Nowhere(_)) => {}
        Err(error) => tell(&format!("what was done before can't be undone there: {error}")),
    }
}

fn copy_words(made: &Copied, place: &Path) -> String {
    let shared = match made.shared {
        0 => String::new(),
        shared => format!(", {} of it shared with the original until it changes", size(shared)),
    };
    format!("{} files ({}{shared}) copied to {}", made.files, size(made.bytes), place.display())
}

/// What is missing in a copy, a line each, on standard error.
pub(super) fn left(left: &[(PathBuf, String)]) {
    tell_left(&mut say, left);
}

fn tell_left(tell: Tell<'_>, left: &[(PathBuf, String)]) {
    const SHOWN: usize = 20;
    for (path, why) in left.iter().take(SHOWN) {
        tell(&format!("  ! {}: {why}", path.display()));
    }
    if let more @ 1.. = left.len().saturating_sub(SHOWN) {
        tell(&format!("  ! and {more} more"));
    }
}

/// Tells on standard error; a closed one is nobody's concern.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text).replace('\n', "\\n"));
}

fn failed(error: snapshot::SnapshotError) -> CliError {
    CliError::failed(error)
}

fn unreadable(from: SessionId, error: &LogError) -> CliError {
    match error {
        LogError::Damaged { .. } => CliError::failed(format!("session {from} can't be forked: {error}"))
            .hint(format!("agent sessions show {from} prints what can be read")),
        error => log_error(from, error),
    }
}

/// Git in a repository, with nothing run that the repository names.
struct Git {
    git: sandbox::Git,
    workspace: PathBuf,
}

impl Git {
    fn of(workspace: &Path) -> Result<Self, CliError> {
        let git = sandbox::Git::find(workspace).ok_or_else(|| CliError::failed("git is not installed"))?;
        let asked = Self { git, workspace: workspace.to_owned() };
        // Fails when there is none.
        let filters = asked.run(sandbox::Git::FILTERS).map(|output| output.stdout).unwrap_or_default();
        Ok(Self { git: asked.git.without_filters(&filters), ..asked })
    }

    fn run(&self, args: &[&str]) -> io::Result<std::process::Output> {
        self.git.command(&self.workspace, args).stdin(Stdio::null()).output()
    }

    fn ask(&self, args: &[&str]) -> Result<String, CliError> {
        let output =
            self.run(args).map_err(|error| CliError::failed(format!("git can't be run: {error}")))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.trim().lines().next().unwrap_or("it failed").to_owned();
        Err(CliError::failed(format!("git: {line}")).hint("--copy makes a copy without git"))
    }
}
