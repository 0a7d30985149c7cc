//! How full the model's window is, said when nothing can be done about it any more.

use crate::protocol::{Fact, Level};

use super::Harness;

impl Harness {
    /// Tells when the next request is larger than it should be although all was left out that could be. Once, until
    /// there is room again.
    pub(super) fn watch_window(&mut self) {
        let (used, limits) = (self.session.used(), self.session.limits());
        let full = used > limits.room();
        if full && !self.window_told {
            let text = format!(
                "the conversation takes {used} of the {} tokens of the model's window, and compaction leaves no less; \
                 a model with a larger window, or shorter instruction files, would help",
                limits.window
            );
            self.record(vec![Fact::Noted { level: Level::Warning, text }]);
        }
        self.window_told = full;
    }
}
