//! Updates on their way to the front end. Facts always arrive; deltas are lost when nobody keeps up.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::mpsc;

use crate::protocol::{Delta, Event, Rejection, Update};

/// Updates that nobody has taken yet; beyond this, deltas are lost. They are merged to a frame rate before
/// they come here, so this is more than a minute's worth.
const BACKLOG: usize = 4096;

/// The sending end. Cheap to clone.
#[derive(Clone)]
pub(super) struct Fanout {
    updates: mpsc::UnboundedSender<Update>,
    waiting: Arc<AtomicUsize>,
}

/// The receiving end: a front end's view of a session, in order.
pub struct Updates {
    updates: mpsc::UnboundedReceiver<Update>,
    waiting: Arc<AtomicUsize>,
}

impl Updates {
    /// The next update; nothing when the harness has ended. Safe to cancel.
    pub async fn recv(&mut self) -> Option<Update> {
        let update = self.updates.recv().await?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(update)
    }

    /// An update that is there already.
    pub fn try_recv(&mut self) -> Option<Update> {
        let update = self.updates.try_recv().ok()?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(update)
    }
}

impl Fanout {
    pub(super) fn new() -> (Self, Updates) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        (Self { updates: sender, waiting: Arc::clone(&waiting) }, Updates { updates: receiver, waiting })
    }

    pub(super) fn event(&self, event: Event) {
        self.send(Update::Event(event));
    }

    pub(super) fn rejected(&self, rejection: Rejection) {
        self.send(Update::Rejected(rejection));
    }

    pub(super) fn delta(&self, delta: Delta) {
        if self.waiting.load(Ordering::Relaxed) < BACKLOG {
            self.send(Update::Delta(delta));
        }
    }

    fn send(&self, update: Update) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // A front end that has gone is no reason to stop: what happens is in the log.
        let _ = self.updates.send(update);
    }
}
