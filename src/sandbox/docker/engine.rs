//! Which engine it is. All speak Docker's language, and not all do everything that they are told in it.

use bollard::{Docker, errors::Error};

/// A kind of engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// Docker, and whatever does not say what it is.
    Docker,
    /// Podman, which is told what a container is made of in its own language: see `podman`.
    Podman,
}

impl Engine {
    /// The one at the other end.
    pub(super) async fn of(client: &Docker) -> Result<Self, Error> {
        let parts = client.version().await?.components.unwrap_or_default();
        let podman = parts.iter().any(|part| part.name.contains("Podman"));
        Ok(if podman { Self::Podman } else { Self::Docker })
    }
}
