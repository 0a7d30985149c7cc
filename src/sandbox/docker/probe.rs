//! What there is of an engine, for `agent doctor`.

use std::sync::mpsc;

use tokio::time::timeout;

use super::{DockerSettings, ENGINE, HELLO, endpoint, engine::Engine, image, reason};
use crate::sandbox::Layer;

/// Runtimes before these let a container out, unless a distribution has mended them.
const MENDED: [(u32, u32, u32); 2] = [(1, 1, 12), (1, 2, 8)];

/// The engine, and the image that commands would run in. Nothing is built or pulled.
pub(in crate::sandbox) fn layers(settings: DockerSettings) -> Vec<Layer> {
    let (reply, answer) = mpsc::channel();
    let ask = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let layers = runtime.map(|runtime| runtime.block_on(look(&settings)));
        let _ = reply.send(layers.unwrap_or_default());
    };
    // A thread of its own: who asks may have a runtime already.
    let asked = std::thread::Builder::new().name("docker".into()).spawn(ask);
    asked.ok().and_then(|_| answer.recv().ok()).unwrap_or_default()
}

async fn look(settings: &DockerSettings) -> Vec<Layer> {
    let layer = |name: &str, ok: bool, detail: String| Layer { name: name.to_owned(), ok, detail };
    let missing = |detail: String| vec![layer("engine", false, detail)];
    let (endpoint, way) = match endpoint::find(settings).await {
        Ok(found) => found,
        Err(error) => return missing(error.message),
    };
    // Where it is, and not where its way here ends.
    let far = settings.host.as_ref().filter(|_| way.is_some());
    let place = far.map_or_else(|| endpoint.to_string(), |host| crate::protocol::printable(host).to_string());
    let client = match endpoint.client() {
        Ok(client) => client,
        Err(error) => return missing(format!("none at {place}: {}. {ENGINE}", reason(&error))),
    };
    let info = match timeout(HELLO, client.info()).await {
        Ok(Ok(info)) => info,
        Ok(Err(error)) => return missing(format!("none at {place}: {}. {ENGINE}", reason(&error))),
        Err(_) => return missing(format!("the one at {place} does not answer. {ENGINE}")),
    };
    let version = info.server_version.unwrap_or_default();
    let mut layers = vec![match Engine::of(&client).await {
        Ok(Engine::Podman) if way.is_some() => layer(
            "engine",
            false,
            format!("Podman {version} at {place}: only one of this machine can be used"),
        ),
        Ok(Engine::Podman) => layer("engine", true, format!("Podman {version} at {place}")),
        _ => layer("engine", true, format!("{version} at {place}")),
    }];
    let runtime = info.runc_commit.and_then(|commit| commit.id).unwrap_or_default();
    if let Some(old) = version_in(&runtime).filter(|version| is_old(*version)) {
        let (major, minor, patch) = old;
        layers.push(layer(
            "runtime",
            true,
            format!(
                "runc {major}.{minor}.{patch}: containers could get out of versions before 1.1.12 and 1.2.8; see whether \
                 yours was mended (CVE-2024-21626, CVE-2025-31133)"
            ),
        ));
    }
    let options = info.security_options.unwrap_or_default();
    if !options.iter().any(|option| option.contains("rootless") || option.contains("userns")) {
        layers.push(layer(
            "identity",
            true,
            "the engine runs as root and without user namespaces (`userns-remap`): what gets out of a container is root"
                .to_owned(),
        ));
    }
    layers.push(match image::known(&client, settings.image.as_deref()).await {
        Ok(Some(name)) => layer("image", true, name),
        Ok(None) if settings.image.is_none() => {
            layer("image", true, "the default one is not built yet: the first session does that".to_owned())
        }
        Ok(None) => {
            layer("image", false, format!("{} is not there", settings.image.as_deref().unwrap_or_default()))
        }
        Err(error) => layer("image", false, error.message),
    });
    layers
}

/// The first three numbers with points between them.
fn version_in(text: &str) -> Option<(u32, u32, u32)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut numbers = text.get(start..)?.splitn(3, '.').map(|part| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part.get(..end)?.parse().ok()
    });
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

fn is_old(version: (u32, u32, u32)) -> bool {
    let [first, second] = MENDED;
    version < first || ((1, 2, 0)..second).contains(&version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_runtimes_are_known_by_their_number() {
        for (text, version, old) in [
            ("1.1.5+ds1-1+deb12u1", (1, 1, 5), true),
            ("v1.2.5-0-g59923ef", (1, 2, 5), true),
            ("v1.1.12-0-g51d5e946", (1, 1, 12), false),
            ("1.3.0", (1, 3, 0), false),
        ] {
            assert_eq!(version_in(text), Some(version));
            assert_eq!(is_old(version), old, "{text}");
        }
        assert_eq!(version_in("51d5e946"), None);
    }
}
