//! Making the conversation smaller: when it is due, and what it becomes.
//!
//! How it is made smaller is decided elsewhere; here it is folded. It can't go round in circles: after one compaction
//! the model is asked, whatever came of it, and only a provider that says no brings the next one, a few times.

use std::sync::Arc;

use crate::protocol::{
    Compaction, CompactionReason as Reason, Fact, Item, Part, Rejection, ResponseOutcome, Seq,
};

use super::{Session, answers};

/// Compactions without an answer between them. Each leaves less than the one before.
pub const MOST: u32 = 4;

/// A compaction that is wanted or going on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compacting {
    /// A person wants one.
    pub asked: Option<String>,
    /// The model is being asked for a summary.
    pub running: Option<(Seq, Wanted)>,
    /// The provider said that the conversation is too long, in these words, and nothing has been left out since.
    pub(super) too_long: Option<String>,
    /// Compactions since the model last answered.
    pub(super) tries: u32,
    /// What the conversation came to when the last one did not make enough room: until it has grown, no other would.
    pub(super) vain: Option<u64>,
}

/// What a compaction is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub reason: Reason,
    /// What a person says of what matters.
    pub note: String,
}

impl Session {
    /// Whether the conversation is to be made smaller before anything else is said.
    pub(super) fn compaction_due(&self) -> Option<Wanted> {
        let Compacting { asked, too_long, tries, .. } = &self.compacting;
        let wanted = |reason| Some(Wanted { reason, note: String::new() });
        if let Some(note) = asked {
            return Some(Wanted { reason: Reason::Asked, note: note.clone() });
        }
        if too_long.is_some() {
            return if *tries < MOST { wanted(Reason::Overflow) } else { None };
        }
        let vain = self.compacting.vain.is_some_and(|vain| self.estimated <= vain.saturating_add(vain / 10));
        if *tries == 0 && !vain && self.used() > self.limits().room() {
            return wanted(Reason::Full);
        }
        None
    }

    /// How many compactions there were since the model last answered: each is to leave less than the one before.
    #[must_use]
    pub fn compaction_tries(&self) -> u32 {
        self.compacting.tries
    }

    /// The fact that a compaction that goes on comes to nothing.
    pub(super) fn stop_compaction(&self, problem: &str) -> Option<Fact> {
        let (_, Wanted { reason, .. }) = self.compacting.running.as_ref()?;
        Some(Fact::CompactionFailed { reason: *reason, problem: problem.to_owned(), stopped: true })
    }

    pub(super) fn compact(&self, note: String) -> Result<Vec<Fact>, Rejection> {
        let asked = self.compacting.asked.is_some() || self.compacting.running.is_some();
        if asked {
            return Err(Rejection::Compacting);
        }
        // Before the model has said anything there is nothing to leave out.
        let made = |item: &Arc<Item>| matches!(**item, Item::Assistant { .. } | Item::ToolCall { .. });
        if !self.items.iter().any(made) {
            return Err(Rejection::NothingToCompact);
        }
        Ok(vec![Fact::CompactionAsked { note }])
    }

    pub(super) fn compaction(&mut self, at: Seq, fact: &Fact) {
        match fact {
            Fact::CompactionAsked { note } => self.compacting.asked = Some(note.clone()),
            Fact::CompactionStarted { reason, note } => {
                self.compacting.asked = None;
                let wanted = Wanted { reason: *reason, note: note.clone() };
                self.compacting.running = Some((at, wanted));
            }
            Fact::Compacted(compaction) => self.compacted(compaction),
            // It can be tried again.
            Fact::CompactionFailed { stopped: true, .. } => self.compacting.running = None,
            Fact::CompactionFailed { .. } => {
                self.compacting.asked = None;
                self.compacting.running = None;
                self.compacting.tries = MOST;
                self.compacting.vain = Some(self.estimated);
                if let (Some(message), Some(turn)) = (self.compacting.too_long.take(), &mut self.turn) {
                    turn.failed = Some(("context".to_owned(), message));
                }
            }
            _ => {}
        }
    }

    fn compacted(&mut self, compaction: &Compaction) {
        let old = std::mem::take(&mut self.items);
        let parts = compaction.parts.iter().flat_map(|part| match part {
            Part::Keep(from, to) => old.get(*from..(*to).min(old.len())).unwrap_or_default(),
            Part::Item(item) => std::slice::from_ref(item),
        });
        self.items = Arc::new(parts.cloned().collect());
        if let Some(usage) = compaction.usage {
            self.usage += usage;
            if let Some(settings) = &self.settings {
                *self.spent.entry(settings.model.to_string()).or_default() += usage;
            }
            if let Some(turn) = &mut self.turn {
                turn.usage += usage;
            }
        }
        let same = old.iter().zip(self.items.iter()).take_while(|(old, new)| old == new).count();
        self.cache_rewritten(same);
        self.left_out += answers(&old).saturating_sub(answers(&self.items));
        self.counted = None;
        self.points.iter_mut().for_each(|point| point.item = None);
        self.compactions += 1;
        self.epoch += 1;
        self.estimate_anew();
        let vain = (self.used() > self.limits().room()).then_some(self.estimated);
        self.compacting = Compacting { tries: self.compacting.tries + 1, vain, ..Compacting::default() };
    }

    /// An answer came, or did not: what that says of the size of the conversation.
    pub(super) fn was_answered(&mut self, outcome: &ResponseOutcome) {
        match outcome {
            ResponseOutcome::Completed | ResponseOutcome::Cut => {
                self.compacting.tries = 0;
                self.compacting.too_long = None;
            }
            ResponseOutcome::Failed { kind, message } if kind == "context" => {
                self.learnt.was_too_long(self.used());
                self.compacting.too_long = Some(message.clone());
            }
            // What a provider has sealed it may refuse later. Made smaller once more, the conversation is without it.
            ResponseOutcome::Failed { kind, message }
                if kind == "request"
                    && self.items.iter().any(|item| matches!(**item, Item::Sealed { .. })) =>
            {
                self.compacting.too_long = Some(message.clone());
            }
            ResponseOutcome::Failed { .. } | ResponseOutcome::Interrupted | ResponseOutcome::Unknown => {}
        }
    }
}
