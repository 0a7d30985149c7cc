//! The one door: only here does something become true. On disk, then folded, then shown.

use crate::protocol::{Fact, Rejection};

use super::Harness;

impl Harness {
    /// Records facts, all or none. When they can't be written the harness takes no more work, and says why;
    /// what was recorded before stays.
    pub(super) fn record(&mut self, facts: Vec<Fact>) {
        if facts.is_empty() || self.unwritable.is_some() {
            return;
        }
        match self.log.append(facts, (self.clock)()) {
            Ok(events) => {
                for event in events {
                    self.session.apply(&event);
                    self.fanout.event(event);
                }
            }
            Err(error) => self.give_up(error.to_string()),
        }
    }

    /// Returns whether all that was recorded is on the disk: before a side effect, and at the end of a turn.
    pub(super) fn sync(&mut self) -> bool {
        if self.unwritable.is_none()
            && let Err(error) = self.log.sync()
        {
            self.give_up(error.to_string());
        }
        self.unwritable.is_none()
    }

    fn give_up(&mut self, reason: String) {
        self.turn.cancel();
        self.fanout.rejected(Rejection::Unwritable(reason.clone()));
        self.unwritable = Some(reason);
    }
}
