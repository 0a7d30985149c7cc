//! How full the model's window is, said before it is too late.

use crate::context::budget;
use crate::protocol::{Fact, Level};

use super::Harness;

/// Percent of the window at which a person is told, each once.
const MARKS: [u64; 4] = [80, 90, 95, 100];

impl Harness {
    /// Tells when the next request passes another mark. The server decides what fits; this only warns.
    pub(super) fn watch_window(&mut self) {
        let window = self.limits().window.max(1);
        let counted = self.session.counted;
        let seen = counted.map_or(0, |counted| counted.items);
        let since = self.session.items.iter().skip(seen).map(AsRef::as_ref);
        let used = budget::used(counted.map(|counted| counted.usage), since);
        let percent = used.saturating_mul(100) / window;
        let Some(mark) = MARKS.into_iter().rev().find(|mark| percent >= *mark) else { return };
        if mark > self.window_mark {
            self.window_mark = mark;
            let text = format!(
                "the conversation takes {percent} % of the model's window ({used} of {window} tokens)"
            );
            self.record(vec![Fact::Noted { level: Level::Warning, text }]);
        }
    }
}
