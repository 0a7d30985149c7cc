//! The gap between two runs: what it leaves for the next one to know, and what has become of the files meanwhile.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::protocol::{Context, Fact, Item, Level, Moment, SnapshotId};
use crate::snapshot::{Changed, Snapshots, Taken};

use super::{
    Harness,
    snapshot::{number, some, whole},
    work::Work,
};

impl Harness {
    /// Keeps what a turn has done so far when the program ends in its middle, so that what others do before it goes
    /// on is not taken for the agent's.
    pub(super) async fn pause(&mut self, outcomes: &mut mpsc::UnboundedReceiver<Work>) {
        // A session that can't be written never hears of their ends.
        while self.unwritable.is_none()
            && (self.session.undo.going.is_some() || self.session.undo.restoring.is_some())
        {
            match outcomes.recv().await {
                Some(work @ (Work::Snapped { .. } | Work::PutBack { .. })) => self.take(work),
                // Nobody waits for it any more.
                Some(_) => {}
                None => return,
            }
        }
        let Some(turn) = self.session.undo.after_due().filter(|_| self.unwritable.is_none()) else { return };
        let moment = if self.session.turn.is_some() { Moment::Paused } else { Moment::After };
        self.take_snapshot(turn, moment);
        while let Some(work) = outcomes.recv().await {
            if matches!(work, Work::Snapped { .. }) {
                return self.take(work);
            }
        }
    }

    /// Looks at what has become of the files since a state of them was last kept. The model is told once.
    /// Commands that come meanwhile wait, so that what they begin is based on it.
    pub(super) async fn look_around(&mut self) {
        let (Some(last), Some(snapshots)) = (self.session.undo.last().cloned(), self.snapshots.clone())
        else {
            return self.not_known("they are switched off");
        };
        let then = last.clone();
        let looking = tokio::task::spawn_blocking(move || -> Looked {
            let snapshots: Arc<Snapshots> = snapshots?;
            let taken = whole(|| snapshots.take())?;
            let changed = whole(|| snapshots.changed(&then, &taken.id));
            Ok((taken, changed))
        });
        let looked = looking.await.unwrap_or_else(|error| Err(error.to_string()));
        match looked {
            Ok((taken, changed)) => self.looked(&last, taken, changed),
            Err(why) => self.not_known(&why),
        }
    }

    fn looked(&mut self, last: &SnapshotId, taken: Taken, changed: Result<Vec<Changed>, String>) {
        let turn = self.session.turns;
        let goes_on = self.session.undo.after_due().is_some();
        let mixed = self.session.undo.unknown_since();
        if let Some(note) = self.damaged(&taken) {
            self.record(vec![note]);
        }
        let Taken { id: snapshot, files, bytes, stored, .. } = taken;
        let anything = snapshot != *last;
        let kept = Fact::SnapshotTaken { turn, moment: Moment::Resumed, snapshot, files, bytes, stored };
        match changed {
            Ok(changed) if changed.is_empty() => {
                // In the middle of a turn it is the border between the work of others and the agent's.
                if goes_on && (anything || mixed) {
                    self.record(vec![kept]);
                }
            }
            Ok(changed) => {
                let words: Vec<String> = changed.iter().map(Changed::words).collect();
                let mut facts = vec![kept];
                facts.extend(self.told_changed(&words, mixed));
                self.record(facts);
            }
            Err(why) => {
                let text =
                    format!("it can't be told which files have changed since they were last kept: {why}");
                self.record(vec![kept, Fact::Noted { level: Level::Warning, text }]);
            }
        }
    }

    /// What the model and the person are told of files that changed.
    fn told_changed(&self, words: &[String], mixed: bool) -> [Fact; 2] {
        let (list, paths) = (some(words), number(words.len(), "path"));
        let told = if mixed {
            format!(
                "The program was stopped in the middle of this turn. Since the files were last kept, before the turn \
                 changed any, {paths} changed, by you or by somebody else: {list}. Look before you do anything again."
            )
        } else {
            format!(
                "Since you last worked on these files, {paths} changed, and not by you: {list}. What you remember of \
                 them may be wrong: read them again before you rely on it, and leave these changes as they are unless \
                 you are asked to undo them."
            )
        };
        let id = self.session.id.map(|id| id.to_string()).unwrap_or_default();
        let said = if mixed {
            format!("stopped in the middle of a turn; {paths} changed since it began")
        } else {
            format!(
                "{paths} changed since this session last worked on the files; `agent resume {id} --restore` puts them \
                 back as it left them"
            )
        };
        let notice = Item::Context { context: Context::Notice, text: told };
        [Fact::Noted { level: Level::Info, text: said }, Fact::item(notice)]
    }

    /// Nobody knows what others did: what comes of a turn that goes on counts as theirs.
    fn not_known(&mut self, why: &str) {
        let Some(turn) = self.session.undo.after_due().filter(|_| self.session.turn.is_some()) else {
            return;
        };
        let reason =
            format!("it was interrupted, and the files could not be looked at when it went on: {why}");
        self.record(vec![Fact::SnapshotFailed { turn, moment: Moment::After, reason }]);
    }
}

/// The state now, and what has changed since the last one.
type Looked = Result<(Taken, Result<Vec<Changed>, String>), String>;
