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
    let engine = engine(config, image).map_err(|message| sandbox::SandboxError { message });
    engine.and_then(|engine| sandbox::contain(settings, engine, network, &say)).map_err(|error| {
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
    let layers = match engine(config, image) {
        Ok(engine) => sandbox::engine(engine),
        Err(detail) => vec![sandbox::Layer { name: "engine".into(), ok: false, detail }],
    };
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
    layers.into_iter().map(check).collect()
}

#[cfg(target_os = "linux")]
fn engine(config: &Config, image: Option<String>) -> Result<sandbox::DockerSettings, String> {
    use std::path::PathBuf;

    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let usual = || PathBuf::from(var("HOME").unwrap_or_default()).join(".docker");
    let folder = var("DOCKER_CONFIG").map_or_else(usual, PathBuf::from);
    // Who wants TLS gets it verified, or nothing.
    let sealed = var("DOCKER_TLS_VERIFY").or_else(|| var("DOCKER_TLS")).is_some();
    let certificates = sealed.then(|| var("DOCKER_CERT_PATH").map_or_else(|| folder.clone(), PathBuf::from));
    let named = var("DOCKER_CONTEXT").map(|name| name.to_string_lossy().into_owned());
    let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    // As the command line of Docker has it: a host goes before a context.
    let place = match host {
        Some(host) => Some(super::docker_context::Place { host, certificates }),
        None => super::docker_context::find(&folder, named.as_deref())?,
    };
    let (host, certificates) = place.map(|place| (place.host, place.certificates)).unzip();
    Ok(sandbox::DockerSettings {
        image,
        host,
        certificates: certificates.flatten(),
        keep: config.docker.keep,
    })
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
