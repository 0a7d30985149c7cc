//! Snapshots that are on their way to a bucket: whoever ends the program waits for them as long as something arrives, or
//! does not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

/// What is being sent for a session.
#[derive(Debug, Default)]
pub struct Sending {
    stop: AtomicBool,
    arrived: AtomicU64,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    going: usize,
    /// Why the last one did not arrive.
    failed: Option<String>,
}

impl Sending {
    /// Something is about to be sent. Whoever says so [ends](Self::end) it.
    pub fn begin(&self) {
        self.state.send_modify(|state| state.going += 1);
    }

    /// What came of it.
    pub fn end(&self, result: Result<(), String>) {
        self.state.send_modify(|state| {
            state.going = state.going.saturating_sub(1);
            state.failed = result.err();
        });
    }

    /// Nothing more is sent. What has arrived stays there.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it was stopped.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Bytes that have arrived.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: u64) {
        self.arrived.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Resolves when nothing is on its way. Gives why the last snapshot did not arrive, if it did not.
    pub async fn ended(&self) -> Option<String> {
        let mut state = self.state.subscribe();
        // It can't be dropped: it is ours.
        let state = state.wait_for(|state| state.going == 0).await;
        state.ok().and_then(|state| state.failed.clone())
    }
}
