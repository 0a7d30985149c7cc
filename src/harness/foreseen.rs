//! What the provider's cache does to the price of a request: foreseen before it, and explained behind it.

use crate::context::Person;
use crate::protocol::{Fact, Level};

use super::Harness;

impl Harness {
    /// Says what the next request will cost when that is much because the cache has little of it. Who sits before a
    /// screen was told before the message was sent.
    pub(super) fn foresee(&mut self) {
        if self.permissions.person == Person::Present {
            return;
        }
        let Some(cold) = self.session.cold((self.clock)()) else { return };
        let Some(cost) = cold.cost.filter(|cost| cost.nano_usd() >= self.surroundings.dear().nano_usd())
        else {
            return;
        };
        let text = format!(
            "this request sends {} tokens of which the provider's cache has little ({}): they cost about {cost}",
            cold.tokens, cold.why
        );
        self.record(vec![Fact::Noted { level: Level::Warning, text }]);
    }

    /// Says why little of a request came from the cache.
    pub(super) fn explain_miss(&mut self) {
        let Some(missed) = self.session.missed_cache() else { return };
        let text = format!(
            "of {} tokens that were sent, {} came from the provider's cache: {}",
            missed.input, missed.cached, missed.why
        );
        self.record(vec![Fact::Noted { level: Level::Info, text }]);
    }
}
