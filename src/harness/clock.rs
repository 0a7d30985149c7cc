//! Deadlines: the session does not know what time it is, and is told when one of them is there.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{Harness, work::Work};

/// How long to sleep at most. A machine that was suspended wakes up with a clock that has gone on.
const LONGEST: Duration = Duration::from_secs(30);
/// And at least, should the clock stand still.
const SHORTEST: Duration = Duration::from_millis(10);

impl Harness {
    /// Says that a deadline is there, if it is. A hard one ends the turn.
    pub(super) fn watch_clock(&mut self, outcomes: &mut mpsc::UnboundedReceiver<Work>) {
        if self.unwritable.is_some() || self.session.time_is_up((self.clock)()).is_none() {
            return;
        }
        // What is there in time counts, and may end the turn by itself.
        let said = self.hear_out(outcomes);
        match self.session.time_is_up((self.clock)()) {
            Some((facts, true)) => self.stop_turn(said, facts),
            Some((facts, false)) => {
                // The answer goes on.
                super::lock(&self.partial).insert_str(0, &said);
                self.record(facts);
            }
            None => {}
        }
    }

    /// How long it is to the next deadline.
    pub(super) fn until_alarm(&self) -> Option<Duration> {
        if self.unwritable.is_some() {
            return None;
        }
        let left = self.session.alarm()?.as_millisecond() - (self.clock)().as_millisecond();
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        Some(left.clamp(SHORTEST, LONGEST))
    }
}

/// Returns when the time has passed; never, where there is none.
pub(super) async fn passed(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
