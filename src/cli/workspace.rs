//! `workspace.tar.zst`: the workspace of a session that has changed files, as any `tar` reads it. Written when the
//! session ends, while somebody waits; so it says what it does, and can be skipped: the store has all of it as well.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::config::TarballAt;
use crate::protocol::{Fact, SessionId, SnapshotId};
use crate::snapshot::{Sending, SnapshotError, Stored, Tarball, tarball_of};

use super::{
    sessions::size,
    start::{Open, Start},
};

/// Its name in the folder of a session.
pub(super) const TARBALL: &str = "workspace.tar.zst";
/// What takes less long needs no words.
const SHORT: Duration = Duration::from_millis(400);
/// So long nothing may arrive elsewhere before nobody waits for it any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// A session that has ended here.
#[derive(Debug, Clone)]
pub(super) struct Left {
    pub(super) id: SessionId,
    pub(super) workspace: PathBuf,
    /// The last state that it had when it was opened.
    pub(super) before: Option<SnapshotId>,
    /// Its states that are on their way elsewhere.
    sending: Arc<Sending>,
}

impl Left {
    pub(super) fn of(open: &Open) -> Self {
        let before = open.history.iter().rev().find_map(|event| match &event.fact {
            Fact::SnapshotTaken { snapshot, .. } | Fact::Restored { result: snapshot, .. } => {
                Some(snapshot.clone())
            }
            _ => None,
        });
        let sending = Arc::clone(&open.handle.sending);
        Self { id: open.id, workspace: open.workspace.clone(), before, sending }
    }
}

/// Writes the tarballs of sessions that have ended, and waits for their states that travel. `stopped` resolves when
/// somebody does not want to wait.
pub(super) async fn keep(start: &Start, left: Vec<Left>, stopped: impl Future<Output = ()>) {
    let sending: Vec<Arc<Sending>> = left.iter().map(|one| Arc::clone(&one.sending)).collect();
    tokio::pin!(stopped);
    let asked = write_all(start, left, &mut stopped).await;
    if asked {
        sending.iter().for_each(|one| one.stop());
    }
    arrive(start, &sending, asked, stopped).await;
}

/// Writes the tarballs, each once. Only of sessions that have changed files: the workspace of the others is none of
/// theirs. Says whether somebody did not want to wait.
async fn write_all(start: &Start, left: Vec<Left>, stopped: &mut (impl Future<Output = ()> + Unpin)) -> bool {
    if start.config.snapshots.tarball == TarballAt::Never || start.config.snapshots.mode.is_off() {
        return false;
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
        return false;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (start, asked) = (start.clone(), Arc::clone(&stop));
    let mut work = tokio::task::spawn_blocking(move || {
        let last = due.last().map(|(one, _)| one.id);
        let one = |(one, state): &(Left, SnapshotId)| write(&start, one, state, last == Some(one.id), &asked);
        due.iter().map(one).collect::<Vec<_>>()
    });
    let mut said = false;
    let done = loop {
        tokio::select! {
            done = &mut work => break done.unwrap_or_default(),
            () = &mut *stopped, if !stop.load(Ordering::Relaxed) => stop.store(true, Ordering::Relaxed),
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
    stop.load(Ordering::Relaxed)
}

/// Waits until what travels has arrived, as long as anything arrives, and says what did not. `asked` says that somebody
/// does not want to wait, and `stopped` is over then.
async fn arrive(
    start: &Start,
    sending: &[Arc<Sending>],
    mut asked: bool,
    stopped: std::pin::Pin<&mut impl Future<Output = ()>>,
) {
    let all = async {
        let mut problem = None;
        for one in sending {
            problem = one.ended().await.or(problem);
        }
        problem
    };
    let place = start.config.snapshots.remote.clone().unwrap_or_default();
    let arrived = || sending.iter().map(|one| one.arrived()).sum::<u64>();
    let (mut said, mut silent) = (false, false);
    let (mut known, mut since) = (arrived(), Instant::now());
    tokio::pin!(all, stopped);
    let problem = loop {
        tokio::select! {
            problem = &mut all => break problem,
            () = &mut stopped, if !asked => {
                asked = true;
                sending.iter().for_each(|one| one.stop());
            }
            () = tokio::time::sleep(SHORT) => {
                if !said {
                    said = true;
                    say(&format!("sending the last state of the files to {place}… ^C leaves it for the next time"));
                }
                if arrived() != known {
                    (known, since) = (arrived(), Instant::now());
                } else if since.elapsed() > PATIENCE && !silent {
                    silent = true;
                    sending.iter().for_each(|one| one.stop());
                }
            }
        }
    };
    match problem {
        None if said => say(&format!("sent: {}", size(arrived()))),
        None => {}
        Some(problem) => {
            let why = match (silent, asked || sending.iter().any(|one| one.stopped())) {
                (true, _) => format!("nothing has arrived there for {} s", PATIENCE.as_secs()),
                (false, true) => "it was stopped".to_owned(),
                (false, false) => problem,
            };
            say(&format!(
                "! the last state of the files was not sent to {place}: {why}. It is kept on this machine, and goes there \
                 with the next one: go on with the session when the bucket can be reached (agent resume --last)"
            ));
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
