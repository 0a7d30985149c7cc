//! The one door: only here does something become true. On disk, then folded, then shown.

use crate::protocol::{Fact, Rejection};
use crate::store::LogError;

use super::Harness;

impl Harness {
    /// Records facts, all or none. When they can't be written the harness takes no more work, and says why;
    /// what was recorded before stays.
    pub(super) fn record(&mut self, facts: Vec<Fact>) {
        if let Err(why) = self.try_record(facts) {
            self.give_up(why);
        }
    }

    /// The same for facts with words or paths from outside, which may be such that no log can hold them.
    ///
    /// # Errors
    /// Why they can't be held. Nothing has become true then, and something else can be recorded in their place.
    pub(super) fn try_record(&mut self, facts: Vec<Fact>) -> Result<(), String> {
        if facts.is_empty() || self.unwritable.is_some() {
            return Ok(());
        }
        match self.log.append(facts, (self.clock)()) {
            Ok(events) => {
                for event in events {
                    self.session.apply(&event);
                    self.fanout.event(event);
                }
            }
            Err(LogError::Unfit(why)) => return Err(why),
            Err(error) => self.give_up(error.to_string()),
        }
        Ok(())
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

    pub(super) fn give_up(&mut self, reason: String) {
        self.turn.cancel();
        self.fanout.rejected(Rejection::Unwritable(reason.clone()));
        self.unwritable = Some(reason);
    }
}
