//! How a rule is written in the settings, and what it then means.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use crate::policy;
use crate::protocol::Grant;
use crate::sandbox::network::{Host, Target};

/// A rule that allows something, as it is written in the settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
pub struct Allow(pub Grant);

/// A rule by which a person is asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
pub struct Ask(pub Grant);

/// A rule that refuses something.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
pub struct Deny(pub Grant);

/// What a rule is about.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Keys {
    /// Commands whose words begin with these, outside the sandbox too.
    command: Option<Vec<String>>,
    /// With `command`, for a program in the workspace: the BLAKE3 hash of the content that it must have.
    script: Option<String>,
    /// Changes to files at or below this absolute path.
    write: Option<PathBuf>,
    /// Connections of commands to this host and port.
    host: Option<String>,
    /// Commands that show what the rule means. They are checked whenever it is read.
    examples: Examples,
    #[serde(flatten)]
    #[schemars(skip)]
    unknown: BTreeMap<String, toml::Value>,
}

/// Commands that show what a rule means.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Examples {
    /// It must be about each of these.
    r#match: Vec<String>,
    /// It must be about none of these.
    not_match: Vec<String>,
}

impl Keys {
    /// The words of a rule about commands, once its examples have shown that they mean what was meant.
    fn command(self) -> Result<Vec<String>, String> {
        let words = self.command.filter(|words| !words.is_empty());
        let plain = self.unknown.is_empty() && self.host.is_none();
        let (Some(words), None, None, true) = (words, self.write, self.script, plain) else {
            return Err("such a rule is { command = [\"WORD\", …] }, perhaps with `examples`".to_owned());
        };
        self.examples.check(&words)?;
        Ok(words)
    }
}

impl Examples {
    fn check(&self, words: &[String]) -> Result<(), String> {
        let rule = words.join(" ");
        for (examples, wanted) in [(&self.r#match, true), (&self.not_match, false)] {
            for example in examples {
                let read = policy::command::plain(example);
                let commands = read.ok_or_else(|| {
                    format!("the example `{example}` is no plain command: write words and quotes alone")
                })?;
                if commands.iter().any(|command| command.starts_with(words)) != wanted {
                    let not = if wanted { "not " } else { "" };
                    return Err(format!("the rule `{rule}` is {not}about its example `{example}`"));
                }
            }
        }
        Ok(())
    }
}

impl Allow {
    /// The rule that allows connections to `HOST:PORT`.
    pub(super) fn host(text: &str) -> Result<Self, String> {
        match Target::parse(text.as_bytes()) {
            Ok(Target { host: Host::Name(host), port }) => Ok(Self(Grant::Host { host, port })),
            Ok(_) => Err(format!("`{text}` is an address, which only `network.allow` can list")),
            Err(error) => Err(format!("`{text}` is no HOST:PORT: {error}")),
        }
    }
}

impl TryFrom<Keys> for Allow {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        let form = "a rule is { command = [\"WORD\", …] }, { write = \"/PATH\" } or { host = \"HOST:PORT\" }";
        match keys {
            keys if !keys.unknown.is_empty() => Err(form.to_owned()),
            Keys { host: Some(host), command: None, script: None, write: None, .. } => Self::host(&host),
            Keys { host: Some(_), .. } => Err(form.to_owned()),
            Keys { command: None, script: None, write: Some(path), .. } if path.is_absolute() => {
                Ok(Self(Grant::WriteBelow { path }))
            }
            Keys { command: None, script: None, write: Some(path), .. } => {
                Err(format!("`{}` is not absolute; write it from /", path.display()))
            }
            Keys { script: Some(hash), write: None, .. } => {
                let words = Keys { script: None, write: None, ..keys }.command()?;
                Ok(Self(Grant::Script { words, hash }))
            }
            Keys { write: Some(_), .. } | Keys { command: None, .. } => Err(form.to_owned()),
            keys => keys
                .command()
                .map(|words| Self(Grant::CommandPrefix { words }))
                .map_err(|error| if error.starts_with("such") { form.to_owned() } else { error }),
        }
    }
}

impl TryFrom<Keys> for Ask {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        keys.command().map(|words| Self(Grant::Ask { words }))
    }
}

impl TryFrom<Keys> for Deny {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        keys.command().map(|words| Self(Grant::Deny { words }))
    }
}
