//! Where the container engine is, and containers for sessions.

use std::io::{self, Write as _};

use crate::sandbox::{self, SharedSandbox};

use super::error::{CliError, Kind};

/// A sandbox in a container. What takes long is told on standard error.
#[cfg(target_os = "linux")]
pub(super) fn start(settings: sandbox::Settings, image: Option<String>) -> Result<SharedSandbox, CliError> {
    let docker = sandbox::DockerSettings { image, host: std::env::var("DOCKER_HOST").ok() };
    let say = |line: &str| {
        // A closed stream is nobody's concern: the work goes on.
        let _ = writeln!(io::stderr(), "{line}");
    };
    sandbox::contain(settings, docker, &say).map_err(|error| {
        CliError::new(Kind::Sandbox, format!("commands can't be run in a container: {error}"))
            .hint("agent doctor says more; --backend local runs commands in the sandbox of this machine")
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn start(_: sandbox::Settings, _: Option<String>) -> Result<SharedSandbox, CliError> {
    Err(CliError::new(Kind::Sandbox, "commands can be run in containers only from Linux so far".to_owned()))
}
