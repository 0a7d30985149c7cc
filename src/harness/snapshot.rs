//! Keeping the state of the workspace before and after a turn, and putting one back.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::protocol::{Context, Fact, Item, Level, Moment, Restore, SnapshotId, TurnId};
use crate::session::Session;
use crate::snapshot::{Done, SnapshotError, Snapshots, Taken, Which, Why};

use super::{Harness, past, work::Work};

/// Paths that a fact and the model are told of. How many there were is told as well.
const NAMED: usize = 50;

/// A tarball that is being written.
#[derive(Default)]
pub(super) struct Writing {
    task: Option<tokio::task::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Writing {
    /// Ends it.
    pub(super) async fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.take() {
            // Whatever came of it.
            let _ = task.await;
        }
    }
}

impl Harness {
    /// Begins to take a snapshot.
    pub(super) fn take_snapshot(&mut self, turn: TurnId, moment: Moment) {
        self.record(vec![Fact::SnapshotStarted { turn, moment }]);
        let (work, unsent) = (self.work.clone(), Arc::clone(&self.unsent));
        let sending = Arc::clone(&self.sending);
        self.with_snapshots(move |snapshots| {
            let result = snapshots.clone().and_then(|snapshots| whole(|| snapshots.take()));
            let travels = snapshots.ok().filter(|snapshots| snapshots.travel());
            let going = travels.zip(result.as_ref().ok().map(|taken| taken.id.clone()));
            if going.is_some() {
                sending.begin();
            }
            // A harness that has ended needs no answer.
            let _ = work.send(Work::Snapped { turn, moment, result });
            // Nobody waits for what travels before the end.
            let Some((snapshots, id)) = going else { return };
            let sent = whole(|| snapshots.push(&id, &sending)).map(drop);
            if let Err(reason) = &sent
                && !sending.stopped()
                && !unsent.swap(true, Ordering::Relaxed)
            {
                let text = format!(
                    "the snapshot is kept here, and could not be sent elsewhere: {reason}. It goes with the next one"
                );
                let _ = work.send(Work::Note { text });
            }
            if sent.is_ok() {
                unsent.store(false, Ordering::Relaxed);
            }
            sending.end(sent);
        });
    }

    /// Begins to put files back, which was recorded.
    pub(super) fn put_back(&mut self, restore: Restore) {
        if self.unwritable.is_some() {
            return;
        }
        let between =
            self.session.undo.of(&restore).map(|known| known.between(&restore.from)).unwrap_or_default();
        let which = if restore.all { Which::All } else { Which::Ours };
        let work = self.work.clone();
        self.with_snapshots(move |snapshots| {
            let result = snapshots.and_then(|snapshots| {
                whole(|| snapshots.restore(&snapshots.plan(&restore.from, &restore.to, &between)?, which))
            });
            // As above.
            let _ = work.send(Work::PutBack { restore, result });
        });
    }

    /// Does something that takes its time with the snapshots, or with the reason why there are none.
    fn with_snapshots(&self, act: impl FnOnce(Result<Arc<Snapshots>, String>) + Send + 'static) {
        let none = || Err("they are switched off".to_owned());
        let snapshots = self.snapshots.clone().unwrap_or_else(none);
        tokio::task::spawn_blocking(move || act(snapshots));
    }

    pub(super) fn snapped(&mut self, turn: TurnId, moment: Moment, result: Result<Taken, String>) {
        let taken = match result {
            Ok(taken) => taken,
            Err(reason) => {
                let text = match moment {
                    Moment::Before => "the files were not kept as they are, and this turn can't be undone",
                    Moment::Paused => "what this turn did so far was not kept",
                    Moment::After | Moment::Resumed | Moment::Unknown => "the end of this turn was not kept",
                };
                let note = Fact::Noted { level: Level::Warning, text: format!("{text}: {reason}") };
                return self.record(vec![Fact::SnapshotFailed { turn, moment, reason }, note]);
            }
        };
        let damaged = self.damaged(&taken);
        let Taken { id: snapshot, files, bytes, stored, .. } = taken;
        let mut facts =
            vec![Fact::SnapshotTaken { turn, moment, snapshot: snapshot.clone(), files, bytes, stored }];
        let capped = |why: &Why| matches!(why, Why::Ignored | Why::Large | Why::Unreadable);
        let new: Vec<String> = taken
            .left
            .iter()
            .filter(|(path, why)| capped(why) && !self.told.contains(path))
            .map(|(path, why)| format!("{} ({})", shown(path), why.words()))
            .collect();
        if !new.is_empty() {
            self.told.extend(taken.left.into_iter().map(|(path, _)| path));
            let text = format!("an undo will not bring these back: {}", some(&new));
            facts.push(Fact::Noted { level: Level::Info, text });
        }
        facts.extend(damaged);
        self.record(facts);
        if moment == Moment::After {
            self.write_tarball(&snapshot);
        }
    }

    /// What a person is told of a store that is not whole, once.
    pub(super) fn damaged(&mut self, taken: &Taken) -> Option<Fact> {
        let new: Vec<String> = taken
            .damaged
            .iter()
            .filter(|path| self.told.insert((*path).clone()))
            .map(|path| shown(path))
            .collect();
        let text = format!(
            "a part of what was kept of these files before is damaged: {}. The files as they are now were kept anew; \
             turns that need that part can't be undone. `agent sessions check` says what is lost. Bring the part back \
             from a backup of yours, or delete it",
            some(&new)
        );
        (!new.is_empty()).then_some(Fact::Noted { level: Level::Warning, text })
    }

    /// Writes the workspace to a file, beside whatever comes next.
    fn write_tarball(&mut self, snapshot: &SnapshotId) {
        let (Some(to), Some(Ok(snapshots))) = (self.tarball.clone(), self.snapshots.clone()) else { return };
        let (stop, snapshot) = (Arc::clone(&self.writing.stop), snapshot.clone());
        let before = self.writing.task.take();
        self.writing.task = Some(tokio::spawn(async move {
            if let Some(before) = before {
                // One at a time; that of an earlier turn is soon of no use.
                let _ = before.await;
            }
            let write = move || snapshots.tarball(&snapshot, &to, &stop);
            // What fails is tried again, and told, when the session ends.
            drop(tokio::task::spawn_blocking(write).await);
        }));
    }

    pub(super) fn was_put_back(&mut self, restore: &Restore, result: Result<(Done, Taken), String>) {
        let facts = match result {
            Ok((done, taken)) => restored(&self.session, &self.past.log, restore, &done, &taken),
            Err(reason) => {
                let text = format!("nothing was put back: {reason}");
                vec![Fact::RestoreFailed { reason }, Fact::Noted { level: Level::Error, text }]
            }
        };
        self.record(facts);
    }

    /// Finishes what a killed program has begun to put back.
    pub(super) async fn finish_restore(&mut self) {
        let Some(Ok(snapshots)) = self.snapshots.clone() else {
            if self.session.undo.restoring.is_some() {
                let reason = "the agent was stopped before it, and there are no snapshots now".to_owned();
                self.record(vec![Fact::RestoreFailed { reason }]);
            }
            return;
        };
        let restoring = self.session.undo.restoring.clone();
        let wanted = restoring.is_some();
        let job = tokio::task::spawn_blocking(move || {
            whole(|| {
                let done = snapshots.recover()?;
                Ok((done, if wanted { Some(snapshots.take()?) } else { None }))
            })
        });
        let result = job.await.unwrap_or_else(|error| Err(error.to_string()));
        match (restoring, result) {
            (Some(restore), Ok((done, Some(taken)))) => {
                let done = done.unwrap_or_default();
                let facts = restored(&self.session, &self.past.log, &restore, &done, &taken);
                self.record(facts);
            }
            (Some(restore), Err(reason)) => self.was_put_back(&restore, Err(reason)),
            (None, Ok((Some(done), _))) if !done.paths.is_empty() => {
                let text = format!(
                    "an undo that another run had begun was finished ({} changed)",
                    number(done.paths.len(), "path")
                );
                self.record(vec![Fact::Noted { level: Level::Info, text }]);
            }
            // When one is wanted, it says what is wrong.
            _ => {}
        }
    }
}

/// That files were put back, for the log and for the model; and the conversation with them, where that was wanted. What
/// a compaction has taken out of it comes from the log.
#[must_use]
pub fn restored(session: &Session, log: &Path, restore: &Restore, done: &Done, taken: &Taken) -> Vec<Fact> {
    let paths: Vec<String> = done.paths.iter().map(|path| shown(path)).collect();
    let left = done.left.iter().take(NAMED).map(|(path, why)| (shown(path), why.clone())).collect();
    let what = match restore.turn {
        Some(turn) => format!("The user has undone what was done to files since turn {turn} began."),
        None if restore.left => {
            "The user has put the files back as they were when you last worked on them.".to_owned()
        }
        None => "The user has taken back the last undo.".to_owned(),
    };
    let advice = if restore.left {
        ""
    } else {
        " What you remember of them may be wrong: read them again before you rely on it, and do not bring back what \
         was undone unless you are asked to."
    };
    let text = format!("{what} {} changed by that: {}.{advice}", number(paths.len(), "path"), some(&paths));
    let count = paths.len() as u64;
    let mut facts = vec![Fact::Restored {
        restore: restore.clone(),
        result: taken.id.clone(),
        count,
        paths: paths.into_iter().take(NAMED).collect(),
        left,
    }];
    let notice = (count > 0).then(|| Fact::item(Item::Context { context: Context::Notice, text }));
    let Some(to) = restore.rewind else {
        facts.extend(notice);
        return facts;
    };
    let mut back = session.rewound_with_files(to, &stayed(done));
    match past::bring_back(session, log, &mut back) {
        Ok(()) => facts.extend(back),
        Err(problem) => {
            facts.extend(notice);
            let text = format!("the files went back, and the conversation did not: {problem}");
            facts.push(Fact::Noted { level: Level::Warning, text });
        }
    }
    facts
}

/// What did not go back.
fn stayed(done: &Done) -> Vec<String> {
    let mut paths: Vec<String> = done.left.iter().map(|(path, _)| shown(path)).collect();
    let more = paths.len().saturating_sub(NAMED);
    paths.truncate(NAMED);
    if more > 0 {
        paths.push(format!("and {more} more"));
    }
    paths
}

/// A bug costs the snapshot, and not the session.
pub(super) fn whole<T>(act: impl FnOnce() -> Result<T, SnapshotError>) -> Result<T, String> {
    let done = catch_unwind(AssertUnwindSafe(act)).unwrap_or(Err(SnapshotError::Crashed));
    done.map_err(|error| error.to_string())
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(super) fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let list = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}

pub(super) fn number(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
