//! Which states of the workspace were kept, and what can be undone with them.
//!
//! Between two states there was the work of the agent, or that of somebody else: a person, or a process that ran on. A
//! turn whose end was not kept counts as somebody else's, so that nobody's work is taken for the agent's. So does what
//! was done between the end of a program in the middle of a turn and the next start.

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
    /// It is what the session left.
    left: bool,
}

impl Undoable {
    /// The restore that puts it back where the workspace is now in state `from`.
    #[must_use]
    pub fn restore(&self, from: SnapshotId, all: bool) -> Restore {
        Restore { from, to: self.to.clone(), turn: self.turn, left: self.left, rewind: None, all }
    }

    /// The work of others, when the workspace is now in this state.
    #[must_use]
    pub fn between(&self, now: &SnapshotId) -> Vec<(SnapshotId, SnapshotId)> {
        if self.left {
            return Vec::new();
        }
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
    #[must_use]
    pub fn after_due(&self) -> Option<TurnId> {
        let due = self.going.is_none() && self.before == Kept::As && self.after == Kept::Not;
        self.turn.filter(|_| due)
    }

    /// The last state that was kept.
    #[must_use]
    pub fn last(&self) -> Option<&SnapshotId> {
        self.trail.last().map(|(state, _)| state)
    }

    /// What the agent left, as far as that was kept; else the last state that was kept.
    #[must_use]
    pub fn left(&self) -> Option<&SnapshotId> {
        let agent = |(_, worker): &&(SnapshotId, Worker)| *worker == Worker::Agent;
        self.trail.iter().rev().find(agent).or(self.trail.last()).map(|(state, _)| state)
    }

    /// Whether the agent may have worked since the last state was kept.
    #[must_use]
    pub fn unknown_since(&self) -> bool {
        self.after_due().is_some() && self.trail.last().is_some_and(|(_, worker)| *worker == Worker::Others)
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

    /// What a restore that somebody asks for is about.
    ///
    /// # Errors
    /// When there is no such thing to be put back.
    pub fn of(&self, restore: &Restore) -> Result<Undoable, Rejection> {
        match restore.turn {
            Some(turn) => self.undo(Some(turn)),
            None if restore.left => self.as_left(),
            None => self.redo(),
        }
    }

    /// What it takes for files to be as the session left them. Whoever changed them since wants that, so that nothing
    /// counts as the work of others.
    ///
    /// # Errors
    /// When no state was kept.
    pub fn as_left(&self) -> Result<Undoable, Rejection> {
        let to = self.left().ok_or(Rejection::NothingKept)?.clone();
        Ok(Undoable { turn: None, last: to.clone(), to, between: Vec::new(), left: true })
    }

    fn undoable(&self, turn: Option<TurnId>, to: SnapshotId, at: usize) -> Option<Undoable> {
        let since = self.trail.get(at..)?;
        let pairs = since.iter().zip(since.iter().skip(1));
        let others = pairs.filter(|(_, (_, worker))| *worker == Worker::Others);
        let between = others.map(|((one, _), (other, _))| (one.clone(), other.clone())).collect();
        Some(Undoable { turn, to, between, last: since.last()?.0.clone(), left: false })
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
                    Moment::After | Moment::Paused => self.trail.push((snapshot.clone(), Worker::Agent)),
                    Moment::Resumed => self.trail.push((snapshot.clone(), Worker::Others)),
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
                        if self.turn >= Some(turn) {
                            // What a turn that goes on does from now on is undone by itself.
                            (self.before, self.after) = (Kept::Not, Kept::Not);
                        }
                        let first = self.turns.iter().position(|(known, _)| *known >= turn);
                        let turns = self.turns.split_off(first.unwrap_or(self.turns.len()));
                        self.undone.push(Undone { to: restore.from.clone(), at, turns });
                    }
                    None if restore.left => {
                        self.undone.push(Undone { to: restore.from.clone(), at, turns: Vec::new() });
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
                Moment::Paused | Moment::Resumed | Moment::Unknown => {}
            }
        }
    }

    /// What a dead process has left open: nobody knows what was done to the files after it died. A turn that goes on
    /// is kept at its end, once it is known what others did until it went on.
    pub(super) fn reconcile(&self, goes_on: bool) -> Vec<Fact> {
        let reason = || "the agent was stopped before it".to_owned();
        let failed = |turn, moment| Fact::SnapshotFailed { turn, moment, reason: reason() };
        let mut facts = Vec::new();
        match self.going {
            // Nothing was changed yet: it is taken when it is due again.
            Some((turn, Moment::Before)) => facts.push(failed(turn, Moment::Unknown)),
            Some((turn, _)) if goes_on => facts.push(failed(turn, Moment::Unknown)),
            Some((turn, moment)) => facts.push(failed(turn, moment)),
            None if goes_on => {}
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
        let turn = turn.map(TurnId);
        let restore = Restore { from: id(from), to: id(to), turn, left: false, rewind: None, all: false };
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
        undo.reconcile(false).iter().for_each(|fact| closed.apply(fact));
        assert_eq!(closed.after_due(), None);
    }

    #[test]
    fn what_happens_while_a_turn_is_paused_is_nobody_s_but_the_person_s() {
        use Moment::{After, Before, Paused, Resumed};
        let mut facts = vec![taken(1, Before, "b1"), taken(1, Paused, "p1")];
        let paused = after(&facts);
        assert_eq!(paused.reconcile(true), []);
        assert_eq!((paused.last(), paused.left()), (Some(&id("p1")), Some(&id("p1"))));
        facts.extend([taken(1, Resumed, "r1"), taken(1, After, "a1")]);
        let undo = after(&facts);
        assert_eq!(pairs(&undo.undo(None).unwrap(), "now"), ["p1-r1", "a1-now"]);

        // Killed in the middle: until it went on, everything may be anybody's.
        let killed = [taken(1, Before, "b1"), taken(1, Resumed, "r1"), taken(1, After, "a1")];
        assert!(after(&killed[..1]).unknown_since() && !after(&facts[..2]).unknown_since());
        assert_eq!(pairs(&after(&killed).undo(None).unwrap(), "now"), ["b1-r1", "a1-now"]);
    }

    #[test]
    fn what_the_session_left_is_put_back_and_that_is_taken_back() {
        use Moment::{After, Before, Resumed};
        let mut facts = vec![taken(1, Before, "b1"), taken(1, After, "a1"), taken(1, Resumed, "r1")];
        assert_eq!((after(&facts).last(), after(&facts).left()), (Some(&id("r1")), Some(&id("a1"))));
        let mut restored = restored(None, "now", "a1", "a1");
        if let Fact::Restored { restore, .. } = &mut restored {
            restore.left = true;
        }
        facts.push(restored);
        let undo = after(&facts);
        assert_eq!(undo.redo().unwrap().to, id("now"));
        assert_eq!(undo.turns().collect::<Vec<_>>(), [TurnId(1)]);
        assert_eq!(pairs(&undo.undo(None).unwrap(), "then"), ["a1-r1", "r1-now", "a1-then"]);
    }
}
