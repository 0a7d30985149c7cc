//! The past of a draft: what each step took out and put in, so that it can be turned round.
//!
//! Typing makes one step a word; rubbing out makes one a run. The oldest steps go when the past grows too big.

use std::collections::VecDeque;

use super::buffer::{Buffer, Fragment};

const MOST_BYTES: usize = 16 << 20;
const RUN: usize = 40;

/// What made a step: steps of one kind in a row may become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Typing,
    RubOut,
    /// Another entry of the history in place of the whole text.
    Recall,
    Other,
}

#[derive(Debug)]
pub(super) struct Change {
    pub at: usize,
    pub removed: Fragment,
    pub inserted: Fragment,
}

#[derive(Debug)]
struct Step {
    cause: Cause,
    changes: Vec<Change>,
    before: usize,
    after: usize,
}

#[derive(Debug, Default)]
pub(super) struct Undo {
    done: VecDeque<Step>,
    undone: Vec<Step>,
    bytes: usize,
    /// The last step takes no more.
    closed: bool,
    /// Everything joins the last step (an insertion of vim).
    grouped: Option<bool>,
}

impl Undo {
    /// The next change starts a step of its own.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// All changes until `ungroup` are one step.
    pub fn group(&mut self) {
        self.grouped.get_or_insert(false);
    }

    pub fn ungroup(&mut self) {
        self.grouped = None;
        self.closed = true;
    }

    /// Takes note of a change. `before` and `after` are where the cursor was and is.
    pub fn push(&mut self, cause: Cause, change: Change, before: usize, after: usize) {
        self.undone.clear();
        self.bytes += change.removed.text.len() + change.inserted.text.len();
        let joined = match self.grouped.replace(true) {
            Some(true) => true,
            Some(false) => false,
            None => {
                self.grouped = None;
                !self.closed
            }
        };
        self.closed = false;
        let rest = match self.done.back_mut() {
            Some(step) if joined => step.take(cause, change, self.grouped.is_some()),
            _ => Some(change),
        };
        match (rest, self.done.back_mut()) {
            (Some(change), _) => self.done.push_back(Step { cause, changes: vec![change], before, after }),
            (None, Some(step)) => step.after = after,
            (None, None) => {}
        }
        while self.bytes > MOST_BYTES && self.done.len() > 1 {
            let bytes = self.done.pop_front().map_or(0, |step| step.bytes());
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Turns the last step round. False when there is none.
    pub fn undo(&mut self, buffer: &mut Buffer) -> bool {
        let Some(step) = self.done.pop_back() else { return false };
        for change in step.changes.iter().rev() {
            buffer.replace(change.at..change.at + change.inserted.text.len(), &change.removed);
        }
        buffer.set_cursor(step.before);
        self.undone.push(step);
        self.regroup();
        true
    }

    /// Makes the step that was turned round last once more.
    pub fn redo(&mut self, buffer: &mut Buffer) -> bool {
        let Some(step) = self.undone.pop() else { return false };
        for change in &step.changes {
            buffer.replace(change.at..change.at + change.removed.text.len(), &change.inserted);
        }
        buffer.set_cursor(step.after);
        self.done.push_back(step);
        self.regroup();
        true
    }

    fn regroup(&mut self) {
        self.closed = true;
        self.grouped = self.grouped.map(|_| false);
    }
}

impl Step {
    fn bytes(&self) -> usize {
        self.changes.iter().map(|change| change.removed.text.len() + change.inserted.text.len()).sum()
    }

    /// Joins a change to the step, or gives it back.
    fn take(&mut self, cause: Cause, change: Change, grouped: bool) -> Option<Change> {
        let plain = change.removed.elements.is_empty() && change.inserted.elements.is_empty();
        if let (true, true, Some(last)) = (cause == self.cause, plain, self.changes.last_mut()) {
            let end = last.at + last.inserted.text.len();
            match cause {
                Cause::Typing if change.removed.is_empty() && change.at == end => {
                    let word_ends = last.inserted.text.ends_with(char::is_whitespace)
                        && !change.inserted.text.starts_with(char::is_whitespace);
                    if grouped || !word_ends {
                        last.inserted.text.push_str(&change.inserted.text);
                        return None;
                    }
                }
                Cause::RubOut
                    if last.inserted.is_empty()
                        && change.at + change.removed.text.len() == last.at
                        && last.removed.text.len() < RUN =>
                {
                    let mut removed = change.removed;
                    removed.append(&last.removed);
                    *last = Change { at: change.at, removed, inserted: change.inserted };
                    return None;
                }
                _ => {}
            }
        }
        // Each recall puts in a whole text; after anything else, what the last change put in is not the whole.
        if cause == Cause::Recall
            && self.cause == Cause::Recall
            && let [last] = self.changes.as_mut_slice()
        {
            last.inserted = change.inserted;
            return None;
        }
        if grouped {
            self.changes.push(change);
            return None;
        }
        Some(change)
    }
}
