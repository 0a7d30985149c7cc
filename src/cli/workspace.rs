//! `workspace.tar.zst`: the workspace of a session that has changed files, as any `tar` reads it. Written when the
//! session ends, while somebody waits; so it says what it does, and can be skipped: the store has all of it as well.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::config::TarballAt;
use crate::protocol::{Fact, SessionId, SnapshotId};
use crate::snapshot::{SnapshotError, Stored, Tarball, tarball_of};

use super::{
    sessions::size,
    start::{Open, Start},
};

/// Its name in the folder of a session.
pub(super) const TARBALL: &str = "workspace.tar.zst";
/// What takes less long needs no words.
const SHORT: Duration = Duration::from_millis(400);

/// A session that has ended here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) id: SessionId,
    pub(super) workspace: PathBuf,
    /// The last state that it had when it was opened.
    pub(super) before: Option<SnapshotId>,
}

impl Left {
    pub(super) fn of(open: &Open) -> Self {
        let before = open.history.iter().rev().find_map(|event| match &event.fact {
            Fact::SnapshotTaken { snapshot, .. } | Fact::Restored { result: snapshot, .. } => {
                Some(snapshot.clone())
            }
            _ => None,
        });
        Self { id: open.id, workspace: open.workspace.clone(), before }
    }
}

/// Writes the tarballs of sessions that have ended, each once. Only of those that have changed files: the workspace of
/// the others is none of theirs. `stopped` resolves when somebody does not want to wait.
pub(super) async fn keep(start: &Start, left: Vec<Left>, stopped: impl Future<Output = ()>) {
    if start.config.snapshots.tarball == TarballAt::Never || start.config.snapshots.mode.is_off() {
        return;
    }
    let mut due: Vec<(Left, SnapshotId)> = Vec::new();
    for one in left {
        let now = start.sessions().last_state(one.id).ok().flatten();
        let known = due.iter().any(|(other, _)| other.id == one.id);
        let file = start.sessions().folder(one.id).join(TARBALL);
        if let Some(state) = now.filter(|now| !known && (one.before.as_ref() != Some(now) || !file.exists()))
            && file.parent().is_some_and(Path::is_dir)
        {
            due.push((one, state));
        }
    }
    if due.is_empty() {
        return;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (start, asked) = (start.clone(), Arc::clone(&stop));
    let mut work = tokio::task::spawn_blocking(move || {
        let last = due.last().map(|(one, _)| one.id);
        let one = |(one, state): &(Left, SnapshotId)| write(&start, one, state, last == Some(one.id), &asked);
        due.iter().map(one).collect::<Vec<_>>()
    });
    let mut said = false;
    tokio::pin!(stopped);
    let done = loop {
        tokio::select! {
            done = &mut work => break done.unwrap_or_default(),
            () = &mut stopped, if !stop.load(Ordering::Relaxed) => stop.store(true, Ordering::Relaxed),
            () = tokio::time::sleep(SHORT), if !said => {
                said = true;
                say("writing workspace.tar.zst for the session… ^C skips it; its files are kept anyway");
            }
        }
    };
    for result in done {
        match result {
            Ok(Some((file, tarball))) if said => {
                say(&format!("{}: {}", file.display(), size(tarball.stored)));
            }
            Ok(_) => {}
            Err(SnapshotError::Stopped) => say("skipped"),
            Err(error) => say(&format!("! workspace.tar.zst was not written: {error}")),
        }
    }
}

/// Writes one. Nothing, if it is there already.
fn write(
    start: &Start,
    left: &Left,
    state: &SnapshotId,
    last: bool,
    stop: &AtomicBool,
) -> Result<Option<(PathBuf, Tarball)>, SnapshotError> {
    let file = start.sessions().folder(left.id).join(TARBALL);
    // What a person has changed since the last turn belongs to the workspace as it is left.
    let there = Start { workspace: left.workspace.clone(), ..start.clone() };
    let taken = last.then(|| there.snapshots().ok()?.take().ok()).flatten();
    let state = taken.map_or_else(|| state.clone(), |taken| taken.id);
    if tarball_of(&file).as_ref() == Some(&state) {
        return Ok(None);
    }
    let stored = Stored::of(&start.home.snapshots(), &left.workspace)?;
    stored.tarball(&state, &file, stop).map(|tarball| Some((file, tarball)))
}

/// Resolves at ^C, and when the terminal or the system wants the program to end.
pub(super) async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = listen(SignalKind::interrupt()) => {}
        () = listen(SignalKind::terminate()) => {}
        () = listen(SignalKind::hangup()) => {}
    }
}

/// Whoever does not look at a terminal hears only of what went wrong.
fn say(text: &str) {
    if io::stderr().is_terminal() || text.starts_with('!') {
        let _ = writeln!(io::stderr(), "{}", crate::protocol::printable(text));
    }
}
