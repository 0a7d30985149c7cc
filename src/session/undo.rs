//! Which states of the workspace were kept, and what can be undone with them.
//!
//! Between two states there was the work of the agent, or that of somebody else: a person, or a process that ran on. A
//! turn whose end was not kept counts as somebody else's, so that nobody's work is taken for the agent's.

use crate::protocol::{Fact, Moment, Rejection, Restore, SnapshotId, TurnId};

/// The states of the workspace that were kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Undo {
    /// The snapshot that is being taken.
    pub going: Option<(TurnId, Moment)>,
    /// Files are being put back.
    pub restoring: Option<Restore>,
    /// Turns that can be undone, the last one last, with the place of the state before each.
    turns: Vec<(TurnId, usize)>,
    /// What was undone last, last.
    undone: Vec<Undone>,
    /// All states, and whether others than the agent worked towards them.
    trail: Vec<(SnapshotId, Worker)>,
    turn: Option<TurnId>,
    before: Kept,
    after: Kept,
}

/// An undo that can be taken back.
#[derive(Debug, Clone, PartialEq)]
struct Undone {
    /// What a redo puts back.
    to: SnapshotId,
    /// The place of what came of the undo.
    at: usize,
    turns: Vec<(TurnId, usize)>,
}

/// Who worked towards a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worker {
    Agent,
    Others,
}

/// Whether a state was kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Kept {
    #[default]
    Not,
    As,
    Failed(String),
}

/// What can be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undoable {
    /// The turn that is undone with all after it; none for a redo.
    pub turn: Option<TurnId>,
    pub to: SnapshotId,
    /// The work of others since: from and to which states. What they did since the last one comes on top.
    pub between: Vec<(SnapshotId, SnapshotId)>,
    last: SnapshotId,
}

impl Undoable {
    /// The work of others, when the workspace is now in this state.
    #[must_use]
    pub fn between(&self, now: &SnapshotId) -> Vec<(SnapshotId, SnapshotId)> {
        let mut between = self.between.clone();
        between.push((self.last.clone(), now.clone()));
        between
    }
}

impl Undo {
    pub(super) fn begin(&mut self, turn: TurnId) {
        self.turn = Some(turn);
        self.before = Kept::Not;
        self.after = Kept::Not;
    }

    /// Whether the state before this turn was kept.
    pub(super) fn before(&self) -> &Kept {
        &self.before
    }

    /// The turn whose end is still to be kept.
    pub(super) fn after_due(&self) -> Option<TurnId> {
        let due = self.going.is_none() && self.before == Kept::As && self.after == Kept::Not;
        self.turn.filter(|_| due)
    }

    /// Turns whose changes can be undone, the last one last.
    pub fn turns(&self) -> impl DoubleEndedIterator<Item = TurnId> {
        self.turns.iter().map(|(turn, _)| *turn)
    }

    /// What an undo of a turn, or of the last one that can be, would put back.
    ///
    /// # Errors
    /// When there is no such turn.
    pub fn undo(&self, turn: Option<TurnId>) -> Result<Undoable, Rejection> {
        let wanted = |(known, _): &&(TurnId, usize)| turn.is_none_or(|turn| *known >= turn);
        let found = if turn.is_some() { self.turns.iter().find(wanted) } else { self.turns.last() };
        let (turn, at) = found.ok_or(Rejection::NothingToUndo)?;
        let (to, _) = self.trail.get(*at).ok_or(Rejection::NothingToUndo)?;
        self.undoable(Some(*turn), to.clone(), *at).ok_or(Rejection::NothingToUndo)
    }

    /// What taking back the last undo would put back.
    ///
    /// # Errors
    /// When there is none.
    pub fn redo(&self) -> Result<Undoable, Rejection> {
        let Undone { to, at, .. } = self.undone.last().ok_or(Rejection::NothingToRedo)?;
        self.undoable(None, to.clone(), *at).ok_or(Rejection::NothingToRedo)
    }

    fn undoable(&self, turn: Option<TurnId>, to: SnapshotId, at: usize) -> Option<Undoable> {
        let since = self.trail.get(at..)?;
        let pairs = since.iter().zip(since.iter().skip(1));
        let others = pairs.filter(|(_, (_, worker))| *worker == Worker::Others);
        let between = others.map(|((one, _), (other, _))| (one.clone(), other.clone())).collect();
        Some(Undoable { turn, to, between, last: since.last()?.0.clone() })
    }

    pub(super) fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::SnapshotStarted { turn, moment } => self.going = Some((*turn, *moment)),
            Fact::SnapshotTaken { turn, moment, snapshot, .. } => {
                self.going = None;
                self.kept(*turn, *moment, Kept::As);
                match moment {
                    Moment::Before => {
                        self.turns.push((*turn, self.trail.len()));
                        self.undone.clear();
                        self.trail.push((snapshot.clone(), Worker::Others));
                    }
                    Moment::After => self.trail.push((snapshot.clone(), Worker::Agent)),
                    Moment::Unknown => {}
                }
            }
            Fact::SnapshotFailed { turn, moment, reason } => {
                self.going = None;
                self.kept(*turn, *moment, Kept::Failed(reason.clone()));
            }
            Fact::RestoreStarted { restore } => self.restoring = Some(restore.clone()),
            Fact::RestoreFailed { .. } => self.restoring = None,
            Fact::Restored { restore, result, .. } => {
                self.restoring = None;
                self.trail.push((restore.from.clone(), Worker::Others));
                let at = self.trail.len();
                self.trail.push((result.clone(), Worker::Agent));
                match restore.turn {
                    Some(turn) => {
                        let first = self.turns.iter().position(|(known, _)| *known >= turn);
                        let turns = self.turns.split_off(first.unwrap_or(self.turns.len()));
                        self.undone.push(Undone { to: restore.from.clone(), at, turns });
                    }
                    None => {
                        let turns = self.undone.pop().map(|undone| undone.turns);
                        self.turns.extend(turns.into_iter().flatten());
                    }
                }
            }
            _ => {}
        }
    }

    fn kept(&mut self, turn: TurnId, moment: Moment, kept: Kept) {
        if self.turn == Some(turn) {
            match moment {
                Moment::Before => self.before = kept,
                Moment::After => self.after = kept,
                Moment::Unknown => {}
            }
        }
    }

    /// What a dead process has left open: nobody knows what was done to the files after it died.
    pub(super) fn reconcile(&self) -> Vec<Fact> {
        let reason = || "the agent was stopped before it".to_owned();
        let failed = |turn, moment| Fact::SnapshotFailed { turn, moment, reason: reason() };
        let mut facts = Vec::new();
        match self.going {
            // Nothing was changed yet: it is taken when it is due again.
            Some((turn, Moment::Before)) => facts.push(failed(turn, Moment::Unknown)),
            Some((turn, moment)) => facts.push(failed(turn, moment)),
            None => facts.extend(self.after_due().map(|turn| failed(turn, Moment::After))),
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SnapshotId {
        SnapshotId(text.to_owned())
    }

    fn taken(turn: u32, moment: Moment, snapshot: &str) -> Fact {
        let (turn, snapshot) = (TurnId(turn), id(snapshot));
        Fact::SnapshotTaken { turn, moment, snapshot, files: 0, bytes: 0, stored: 0 }
    }

    fn restored(turn: Option<u32>, from: &str, to: &str, result: &str) -> Fact {
        let restore = Restore { from: id(from), to: id(to), turn: turn.map(TurnId), all: false };
        Fact::Restored { restore, result: id(result), count: 1, paths: Vec::new(), left: Vec::new() }
    }

    fn after(facts: &[Fact]) -> Undo {
        let mut undo = Undo::default();
        for fact in facts {
            if let Fact::SnapshotTaken { turn, moment: Moment::Before, .. } = fact {
                undo.begin(*turn);
            }
            undo.apply(fact);
        }
        undo
    }

    fn pairs(undoable: &Undoable, now: &str) -> Vec<String> {
        undoable.between(&id(now)).iter().map(|(one, other)| format!("{one}-{other}")).collect()
    }

    #[test]
    fn turns_are_undone_from_the_last_one_on_and_redone_in_turn() {
        use Moment::{After, Before};
        let mut facts = vec![
            taken(1, Before, "b1"),
            taken(1, After, "a1"),
            taken(3, Before, "b3"),
            taken(3, After, "a3"),
        ];
        let undo = after(&facts);
        let last = undo.undo(None).unwrap();
        assert_eq!((last.turn, &last.to), (Some(TurnId(3)), &id("b3")));
        assert_eq!(pairs(&last, "now"), ["a3-now"]);
        let all = undo.undo(Some(TurnId(1))).unwrap();
        assert_eq!((all.turn, &all.to), (Some(TurnId(1)), &id("b1")));
        assert_eq!(pairs(&all, "now"), ["a1-b3", "a3-now"]);
        let second = undo.undo(Some(TurnId(2))).unwrap();
        assert_eq!(second.turn, Some(TurnId(3)), "turn 2 changed nothing");
        assert_eq!(undo.undo(Some(TurnId(4))), Err(Rejection::NothingToUndo));
        assert_eq!(undo.redo(), Err(Rejection::NothingToRedo));

        facts.push(restored(Some(3), "now", "b3", "r"));
        let undo = after(&facts);
        let first = undo.undo(None).unwrap();
        assert_eq!(first.to, id("b1"));
        assert_eq!(pairs(&first, "then"), ["a1-b3", "a3-now", "r-then"]);
        let redo = undo.redo().unwrap();
        assert_eq!((redo.turn, &redo.to), (None, &id("now")));
        assert_eq!(pairs(&redo, "then"), ["r-then"]);

        let mut redone = facts.clone();
        redone.push(restored(None, "then", "now", "now"));
        let undo = after(&redone);
        assert_eq!(undo.undo(None).unwrap().to, id("b3"));
        assert_eq!(undo.redo(), Err(Rejection::NothingToRedo));

        facts.push(taken(5, Before, "b5"));
        assert_eq!(after(&facts).redo(), Err(Rejection::NothingToRedo), "the agent went on from there");
    }

    #[test]
    fn what_happened_in_a_turn_whose_end_was_not_kept_may_be_anybody_s() {
        let undo = after(&[taken(1, Moment::Before, "b1")]);
        assert_eq!(pairs(&undo.undo(None).unwrap(), "now"), ["b1-now"]);
        assert_eq!(undo.after_due(), Some(TurnId(1)));
        let mut closed = undo.clone();
        undo.reconcile().iter().for_each(|fact| closed.apply(fact));
        assert_eq!(closed.after_due(), None);
    }
}
