//! The network in the settings: `[network]`. Only the person's own have it.

use serde::{Deserialize, de};

use super::{head, host::Target, pattern::Pattern};

/// What commands reach of the network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Hosts that commands may reach: `crates.io`, `*.pypi.org`, `127.0.0.1:8080`, `@package-registries`. Ports are 443
    /// and 80 where none is named.
    #[serde(deserialize_with = "patterns")]
    pub allow: Vec<String>,
    /// Hosts that they never reach, whatever else is said.
    #[serde(deserialize_with = "patterns")]
    pub deny: Vec<String>,
    /// Whether you are asked about other hosts, where you are there to be asked.
    pub ask: bool,
    /// Secrets that are added to requests of commands, which don't see them.
    pub credentials: Vec<CredentialSettings>,
}

/// A secret that is added to plain HTTP requests to one host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialSettings {
    /// The host, with its port if that is not 80.
    #[serde(deserialize_with = "target")]
    pub host: String,
    /// Methods of requests that get it.
    #[serde(default = "reading", deserialize_with = "methods")]
    pub methods: Vec<String>,
    /// The field of the request.
    #[serde(default = "authorization", deserialize_with = "header")]
    pub header: String,
    /// The environment variable that holds the whole value of the field.
    pub env: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { allow: Vec::new(), deny: Vec::new(), ask: true, credentials: Vec::new() }
    }
}

impl CredentialSettings {
    /// Where it goes. Checked when it was read.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        Target::parse_or(self.host.as_bytes(), 80).ok()
    }
}

fn patterns<'de, D: de::Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    let entries = Vec::<String>::deserialize(source)?;
    match entries.iter().find_map(|entry| Pattern::read(entry).err()) {
        None => Ok(entries),
        Some(error) => Err(de::Error::custom(error)),
    }
}

fn target<'de, D: de::Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let host = String::deserialize(source)?;
    match Target::parse_or(host.as_bytes(), 80) {
        Ok(Target { port: 443, .. }) => Err(de::Error::custom(format!(
            "`{host}`: what goes through TLS is sealed, and nothing can be added to it; only plain HTTP requests get credentials"
        ))),
        Ok(_) => Ok(host),
        Err(error) => Err(de::Error::custom(format!("`{host}` is no host: {error}"))),
    }
}

fn methods<'de, D: de::Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    let methods = Vec::<String>::deserialize(source)?;
    match methods
        .iter()
        .find(|method| method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()))
    {
        None => Ok(methods),
        Some(method) => Err(de::Error::custom(format!("`{method}` is no method; write it as GET or POST"))),
    }
}

fn header<'de, D: de::Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let name = String::deserialize(source)?;
    if head::is_field(&name, "") {
        return Ok(name);
    }
    Err(de::Error::custom(format!("`{name}` is no field of a request that can be set")))
}

fn reading() -> Vec<String> {
    ["GET", "HEAD"].map(str::to_owned).into()
}

fn authorization() -> String {
    "Authorization".to_owned()
}
