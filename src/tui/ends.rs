//! What ends the program from outside.

use std::{io, os::fd::AsFd as _, sync::Arc};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

use super::term::gone;

/// Signals that end the program in order.
pub(super) struct Ends {
    terminate: Signal,
    hangup: Signal,
    /// The terminal is gone, whoever was told.
    gone: Arc<Notify>,
}

impl Ends {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            gone: gone(io::stdin().as_fd().try_clone_to_owned()?)?,
        })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
            () = self.gone.notified() => {}
        }
    }
}
