//! Keys that were on their way before a question could be read: they are no answer.

/// Milliseconds without a key before one counts.
const SETTLE_MS: u64 = 300;
/// The same for somebody who was writing when it appeared: the next word of a sentence is no answer.
const SETTLE_WRITER_MS: u64 = 1_000;
/// Who pressed a key so many milliseconds ago, or fewer, is writing.
const WRITING_MS: u64 = 2_000;

/// Whether keys count already.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settle {
    /// Since when nothing was pressed, or it is to be seen.
    since_ms: u64,
    settle_ms: u64,
}

impl Settle {
    /// Of a question that appears at `now_ms`. A key was pressed at `typed_ms` before that.
    pub(super) fn new(typed_ms: u64, now_ms: u64) -> Self {
        let writing = now_ms.saturating_sub(typed_ms) < WRITING_MS;
        Self { since_ms: now_ms, settle_ms: if writing { SETTLE_WRITER_MS } else { SETTLE_MS } }
    }

    /// It can be seen only now: what was pressed before was meant for something else.
    pub(super) fn appear(&mut self, now_ms: u64) {
        self.since_ms = now_ms;
    }

    /// Whether a key that is pressed now comes too early to be meant.
    pub(super) fn is_early(&mut self, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.since_ms) < self.settle_ms {
            // Whoever goes on typing has not seen it yet.
            self.since_ms = now_ms;
            return true;
        }
        self.settle_ms = SETTLE_MS;
        false
    }
}
