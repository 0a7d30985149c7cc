//! Where the engine is by the user's contexts of Docker (`docker context use NAME`): files below `~/.docker`.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The context that stands for no other one.
const DEFAULT: &str = "default";

/// What a context says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// As in `DOCKER_HOST`.
    pub(super) host: String,
    /// A folder of `ca.pem`, `cert.pem` and `key.pem`.
    pub(super) certificates: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    current_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    #[serde(default)]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// The place of the context that is meant: the one that is `named` (`DOCKER_CONTEXT`), or the current one in `folder`
/// (`~/.docker`, `DOCKER_CONFIG`). Nothing: the engine is where it usually is.
///
/// # Errors
/// When there is no such context, or it can't be read or used: what, and what to do.
pub(super) fn find(folder: &Path, named: Option<&str>) -> Result<Option<Place>, String> {
    let settings = folder.join("config.json");
    let (name, by) = match named {
        Some(name) => (name.to_owned(), "DOCKER_CONTEXT".to_owned()),
        None => {
            let Some(settings) = read::<Settings>(&settings)? else { return Ok(None) };
            (settings.current_context.unwrap_or_default(), folder.join("config.json").display().to_string())
        }
    };
    if name.is_empty() || name == DEFAULT {
        return Ok(None);
    }
    let id = id(&name);
    let meta = folder.join("contexts/meta").join(&id).join("meta.json");
    let hint = "`docker context ls` shows those there are; DOCKER_HOST says where the engine is without one";
    let Some(meta) = read::<Meta>(&meta)? else {
        return Err(format!(
            "{by} names the context `{name}` of Docker, and there is none in {}. {hint}",
            folder.display()
        ));
    };
    let Some(endpoint) = meta.endpoints.docker.filter(|endpoint| !endpoint.host.is_empty()) else {
        return Err(format!("the context `{name}` of Docker ({by}) names no engine. {hint}"));
    };
    if endpoint.skip_tls_verify {
        return Err(format!(
            "the context `{name}` of Docker ({by}) does not want its engine verified (SkipTLSVerify). Whoever answers in \
             its place would be given the workspace: make it anew with its certificates. {hint}"
        ));
    }
    let certificates = folder.join("contexts/tls").join(id).join("docker");
    Ok(Some(Place {
        host: endpoint.host,
        certificates: certificates.join("ca.pem").exists().then_some(certificates),
    }))
}

/// Contexts have folders by digests of their names.
fn id(name: &str) -> String {
    Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a file holds, if it is there.
fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>, String> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{} can't be read: {error}", path.display())),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| format!("{} is damaged: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// As `docker context create far --docker host=...` leaves it.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, meta: &str, sealed: bool| {
            let id = id(name);
            let at = folder.path().join("contexts/meta").join(&id);
            fs::create_dir_all(&at).unwrap();
            fs::write(at.join("meta.json"), meta).unwrap();
            if sealed {
                let at = folder.path().join("contexts/tls").join(&id).join("docker");
                fs::create_dir_all(&at).unwrap();
                fs::write(at.join("ca.pem"), "").unwrap();
            }
        };
        let host = |name: &str, host: &str, skip: bool| {
            format!(
                r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":{skip}}}}}}}"#
            )
        };
        make("far", &host("far", "ssh://me@far", false), false);
        make("sealed", &host("sealed", "tcp://far:2376", false), true);
        make("loose", &host("loose", "tcp://far:2376", true), true);
        make("none", r#"{"Name":"none","Endpoints":{}}"#, false);
        make("broken", "{", false);
        fs::write(folder.path().join("config.json"), r#"{"auths":{},"currentContext":"far"}"#).unwrap();
        folder
    }

    #[test]
    fn the_current_context_counts_unless_another_one_is_named() {
        let folder = folder();
        let find = |named| find(folder.path(), named);
        let far = Place { host: "ssh://me@far".into(), certificates: None };
        assert_eq!(find(None), Ok(Some(far)));
        let id = id("sealed");
        let certificates = Some(folder.path().join("contexts/tls").join(id).join("docker"));
        assert_eq!(find(Some("sealed")), Ok(Some(Place { host: "tcp://far:2376".into(), certificates })));
        assert_eq!(find(Some("default")), Ok(None));
        for (settings, found) in [("{}", Ok(None)), (r#"{"currentContext":"default"}"#, Ok(None))] {
            fs::write(folder.path().join("config.json"), settings).unwrap();
            assert_eq!(find(None), found, "{settings}");
        }
        fs::remove_file(folder.path().join("config.json")).unwrap();
        assert_eq!(find(None), Ok(None));
    }

    #[test]
    fn one_that_can_not_be_used_is_told_of() {
        let folder = folder();
        for (name, said) in [
            ("gone", "DOCKER_CONTEXT names the context `gone` of Docker, and there is none"),
            ("none", "names no engine"),
            ("loose", "SkipTLSVerify"),
            ("broken", "is damaged"),
        ] {
            let error = find(folder.path(), Some(name)).unwrap_err();
            assert!(error.contains(said), "{name}: {error}");
        }
        fs::write(folder.path().join("config.json"), "nonsense").unwrap();
        assert!(find(folder.path(), None).unwrap_err().contains("config.json is damaged"));
    }
}
