//! Where the container engine is, and containers for sessions.

use std::io::{self, Write as _};

use crate::config::{Backend, Config};
use crate::sandbox::{self, SharedSandbox, network::Network};

use super::{
    doctor::Check,
    error::{CliError, Kind},
};

/// A sandbox in a container. What takes long is told on standard error.
#[cfg(target_os = "linux")]
pub(super) fn start(
    config: &Config,
    settings: sandbox::Settings,
    image: Option<String>,
    network: Option<Network>,
) -> Result<SharedSandbox, CliError> {
    let say = |line: &str| {
        // A closed stream is nobody's concern: the work goes on.
        let _ = writeln!(io::stderr(), "{}", crate::protocol::printable(line));
    };
    sandbox::contain(settings, engine(config, image), network, &say).map_err(|error| {
        CliError::new(Kind::Sandbox, format!("commands can't be run in a container: {error}"))
            .hint("agent doctor says more; --backend local runs commands in the sandbox of this machine")
    })
}

/// The engine and its image, for `agent doctor`. Where another backend is chosen, nothing of it must be there.
#[cfg(target_os = "linux")]
pub(super) fn look(config: &Config) -> Vec<Check> {
    let (image, wanted) = match &config.backend {
        Backend::Docker(image) => (image.clone(), true),
        Backend::Local => (None, false),
    };
    let layers = sandbox::engine(engine(config, image)).into_iter();
    let check = |layer: sandbox::Layer| {
        let name = format!("docker {}", layer.name);
        match (layer.ok, wanted) {
            (true, _) => Check::fine(&name, &layer.detail),
            (false, true) => Check::missing(&name, &layer.detail),
            (false, false) => {
                Check::fine(&name, &format!("{} (needed only by --backend docker)", layer.detail))
            }
        }
    };
    layers.map(check).collect()
}

#[cfg(target_os = "linux")]
fn engine(config: &Config, image: Option<String>) -> sandbox::DockerSettings {
    use std::path::PathBuf;

    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    // Who wants TLS gets it verified, or nothing.
    let sealed = var("DOCKER_TLS_VERIFY").or_else(|| var("DOCKER_TLS")).is_some();
    let certificates = sealed.then(|| {
        let usual = || PathBuf::from(var("HOME").unwrap_or_default()).join(".docker");
        var("DOCKER_CERT_PATH").map_or_else(usual, PathBuf::from)
    });
    let host = std::env::var("DOCKER_HOST").ok();
    sandbox::DockerSettings { image, host, certificates, keep: config.docker.keep }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn start(
    _: &Config,
    _: sandbox::Settings,
    _: Option<String>,
    _: Option<Network>,
) -> Result<SharedSandbox, CliError> {
    Err(CliError::new(Kind::Sandbox, "commands can be run in containers only from Linux so far".to_owned()))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn look(_: &Config) -> Vec<Check> {
    Vec::new()
}
