//! Every key of the settings, with its meaning and its default.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use serde::{Deserialize, de};

use crate::context::{instructions, skills};
use crate::memory;
use crate::model::catalog::{ModelSettings, ProviderSettings};
use crate::protocol::{Approval, Effort, ModelRef, SandboxMode, Snapshots, Verbosity};
use crate::sandbox::network;
use crate::snapshot;
use crate::store;
use crate::tui;

use super::budget::BudgetSettings;
use super::hosted::HostedSettings;
use super::rules::{self, Allow, Ask, Deny};

use super::layer::ON_COMMAND_LINE;

/// The settings of the program.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(default)]
#[schemars(title = "Settings of agent")]
pub struct Config {
    /// The model, as PROVIDER/MODEL.
    #[schemars(with = "String", regex(pattern = "^[^/]+/.+$"))]
    pub model: ModelRef,
    /// Models that are asked in its place, in this order, when it can't answer because too many ask it or nobody reaches
    /// it.
    #[schemars(with = "Vec<String>")]
    pub fallback: Vec<ModelRef>,
    /// How hard the model should think.
    pub effort: Option<Effort>,
    /// How much the model should say.
    pub verbosity: Option<Verbosity>,
    /// When a person is asked. Unset: `on-request` where somebody is there, `never` in `exec`.
    pub approval: Option<Approval>,
    /// What commands may touch.
    pub sandbox: SandboxMode,
    /// Where commands run: `local`, `docker` or `docker:IMAGE`.
    #[schemars(with = "String", regex(pattern = "^(local|docker(:.+)?)$"))]
    pub backend: Backend,
    /// Directories beside the workspace that may be written. Absolute, or from the home directory with `~/`.
    #[serde(deserialize_with = "directories")]
    pub writable_roots: Vec<PathBuf>,
    /// Files that commands may see although they look like secrets, such as `.env`: absolute, or below the workspace.
    pub reveal: Vec<PathBuf>,
    /// Megabytes of the disk that the private HOME, `/tmp` and `/var/tmp` of a session's commands may take together.
    #[serde(deserialize_with = "some_disk")]
    #[schemars(range(min = 64, max = 1048576))]
    pub session_disk: u64,
    /// Tokens that the model's window holds, instead of what the catalogue says.
    #[serde(deserialize_with = "window")]
    #[schemars(range(min = 4096))]
    pub context_window: Option<u64>,
    /// Seconds without a byte from the model after which the connection counts as lost.
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(range(min = 1, max = 86400))]
    pub idle_timeout: u64,
    /// What a session may spend.
    pub budget: BudgetSettings,
    /// Tools that the provider of the model runs on its own machines.
    pub hosted: HostedSettings,
    /// Containers, where commands run in them.
    pub docker: DockerSettings,
    /// What commands reach of the network.
    pub network: network::Settings,
    /// The shell that commands run in.
    pub shell: ShellSettings,
    /// Instruction files (`AGENTS.md`).
    pub instructions: InstructionSettings,
    /// Skills: instructions for special tasks, in folders with a `SKILL.md`.
    pub skills: SkillSettings,
    /// States of the workspace, kept before and after each turn that may change files: what an undo puts back.
    pub snapshots: SnapshotSettings,
    /// How long sessions are kept.
    pub sessions: store::Keeping,
    /// What later sessions remember of earlier ones.
    pub memory: memory::Settings,
    /// The screen.
    pub tui: tui::Settings,
    /// Providers of models, by name.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// What is known of models, by the name that their provider gives them.
    pub models: BTreeMap<String, ModelSettings>,
    /// Rules that hold everywhere: what is allowed without asking, what is asked for, what is refused.
    pub permissions: PermissionSettings,
    /// What is known of projects, by absolute directory.
    #[schemars(with = "BTreeMap<String, Project>")]
    pub projects: BTreeMap<PathBuf, Project>,

    /// What may be read of the repository.
    #[serde(skip)]
    pub trust: super::trust::Trust,
    /// What a person should be told about this configuration.
    #[serde(skip)]
    pub notices: Vec<String>,
    /// Where each value that is not a default was set.
    #[serde(skip)]
    pub(super) origins: BTreeMap<String, String>,
}

/// Containers, where commands run in them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct DockerSettings {
    /// A container goes on when its session ends, so that resuming the session finds what is installed in it.
    pub keep: bool,
}

/// The shell that commands run in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct ShellSettings {
    /// Names of environment variables that commands get beside the usual ones.
    #[serde(deserialize_with = "names")]
    pub env_allow: Vec<String>,
}

/// States of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct SnapshotSettings {
    /// Whether they are kept: `off`, `on`, or `required`, which does nothing that may change files without them.
    pub mode: Snapshots,
    /// When the workspace is written to `workspace.tar.zst` in the folder of a session that has changed files.
    pub tarball: TarballAt,
    /// What is too much for them.
    #[serde(flatten)]
    pub limits: snapshot::Limits,
    /// A bucket that they are sent to as well: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`.
    pub remote: Option<String>,
    /// Where a bucket is that is compatible with one of these, if it is not theirs: a URL.
    pub remote_endpoint: Option<String>,
    /// The region of an S3-compatible bucket.
    pub remote_region: Option<String>,
    /// The profile of the AWS tools whose credentials are used.
    pub remote_profile: Option<String>,
    /// Whether the contents of secret files (`.env`, private keys) are sent as well.
    pub remote_secrets: bool,
}

/// When the workspace is written to a tarball.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TarballAt {
    /// When a session ends.
    #[default]
    Exit,
    /// After each turn that may have changed files, and when a session ends.
    Turn,
    Never,
}

impl Default for SnapshotSettings {
    fn default() -> Self {
        Self {
            mode: Snapshots::On,
            tarball: TarballAt::default(),
            limits: snapshot::Limits::default(),
            remote: None,
            remote_endpoint: None,
            remote_region: None,
            remote_profile: None,
            remote_secrets: false,
        }
    }
}

/// Instruction files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct InstructionSettings {
    /// Bytes of instruction files that the model gets, the nearest first.
    pub max_bytes: usize,
}

/// Skills.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct SkillSettings {
    /// Bytes that the list of skills may take of what the model is told at the beginning. 0: it is told of none.
    pub max_bytes: usize,
}

/// What is known of a project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Project {
    /// Whether what the project brings along is read, whatever it is: its settings, instruction files, commands and
    /// skills. Where nothing is said, it is asked.
    pub trusted: Option<bool>,
    /// What is allowed in this project without asking.
    #[schemars(with = "Vec<rules::Keys>")]
    pub allow: Vec<Allow>,
    /// Before which commands a person is asked in this project, whatever else is allowed.
    #[schemars(with = "Vec<rules::Keys>")]
    pub ask: Vec<Ask>,
    /// Which commands are refused in this project, whatever else is allowed.
    #[schemars(with = "Vec<rules::Keys>")]
    pub deny: Vec<Deny>,
}

/// Rules that hold everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct PermissionSettings {
    /// Rules, one of `{ command = ["WORD", …] }`, `{ write = "/PATH" }` and `{ host = "HOST:PORT" }` each.
    #[schemars(with = "Vec<rules::Keys>")]
    pub allow: Vec<Allow>,
    /// Rules `{ command = ["WORD", …] }`: a person is asked before such commands, whatever else is allowed.
    #[schemars(with = "Vec<rules::Keys>")]
    pub ask: Vec<Ask>,
    /// Rules `{ command = ["WORD", …] }`: such commands are refused, whatever else is allowed.
    #[schemars(with = "Vec<rules::Keys>")]
    pub deny: Vec<Deny>,
}

/// Where commands run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Backend {
    Local,
    /// With an image of the person's choice, or the default one.
    Docker(Option<String>),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: ModelRef { provider: "openai".to_owned(), model: "gpt-5.5".to_owned() },
            fallback: Vec::new(),
            effort: None,
            verbosity: None,
            approval: None,
            sandbox: SandboxMode::WorkspaceWrite,
            backend: Backend::Local,
            writable_roots: Vec::new(),
            reveal: Vec::new(),
            session_disk: crate::sandbox::DISK >> 20,
            context_window: None,
            idle_timeout: 300,
            budget: BudgetSettings::default(),
            hosted: HostedSettings::default(),
            docker: DockerSettings::default(),
            network: network::Settings::default(),
            shell: ShellSettings::default(),
            instructions: InstructionSettings::default(),
            skills: SkillSettings::default(),
            snapshots: SnapshotSettings::default(),
            sessions: store::Keeping::default(),
            memory: memory::Settings::default(),
            tui: tui::Settings::default(),
            providers: BTreeMap::new(),
            models: BTreeMap::new(),
            permissions: PermissionSettings::default(),
            projects: BTreeMap::new(),
            trust: super::trust::Trust::default(),
            notices: Vec::new(),
            origins: BTreeMap::new(),
        }
    }
}

impl Default for InstructionSettings {
    fn default() -> Self {
        Self { max_bytes: instructions::DEFAULT_BUDGET }
    }
}

impl Default for SkillSettings {
    fn default() -> Self {
        Self { max_bytes: skills::DEFAULT_BUDGET }
    }
}

impl Config {
    /// Where the value of a key (dotted path) was set; nothing when it is the default.
    #[must_use]
    pub fn origin(&self, path: &str) -> Option<&str> {
        self.origins.get(path).map(String::as_str)
    }

    /// Whether the value of a key was given on the command line.
    #[must_use]
    pub fn is_typed(&self, path: &str) -> bool {
        self.origin(path) == Some(ON_COMMAND_LINE)
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "local" => Ok(Self::Local),
            None if text == "docker" => Ok(Self::Docker(None)),
            Some(("docker", image)) if !image.is_empty() => Ok(Self::Docker(Some(image.to_owned()))),
            _ => Err(format!("`{text}` is no backend; expected `local`, `docker` or `docker:IMAGE`")),
        }
    }
}

impl TryFrom<String> for Backend {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Docker(None) => f.write_str("docker"),
            Self::Docker(Some(image)) => write!(f, "docker:{image}"),
        }
    }
}

/// Puts the home directory in for `~/`.
pub(super) fn expand_home(config: &mut Config, env: &[(String, String)]) {
    let Some((_, home)) = env.iter().find(|(name, value)| name == "HOME" && !value.is_empty()) else {
        return;
    };
    for root in &mut config.writable_roots {
        if let Ok(rest) = root.strip_prefix("~") {
            *root = PathBuf::from(home).join(rest);
        }
    }
}

fn directories<'de, D: de::Deserializer<'de>>(source: D) -> Result<Vec<PathBuf>, D::Error> {
    let dirs = Vec::<PathBuf>::deserialize(source)?;
    match dirs.iter().find(|dir| !dir.is_absolute() && !dir.starts_with("~")) {
        None => Ok(dirs),
        Some(dir) => Err(de::Error::custom(format!(
            "`{}` is not absolute; write it from / or from the home directory with ~/",
            dir.display()
        ))),
    }
}

fn names<'de, D: de::Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(source)?;
    match names.iter().find(|name| name.is_empty() || name.contains(['=', '\0', '*'])) {
        None => Ok(names),
        Some(name) => Err(de::Error::custom(format!("`{name}` is not the name of an environment variable"))),
    }
}

fn window<'de, D: de::Deserializer<'de>>(source: D) -> Result<Option<u64>, D::Error> {
    match Option::<u64>::deserialize(source)? {
        Some(tokens) if tokens < 4096 => {
            Err(de::Error::custom(format!("{tokens} tokens are too few to work in; expected at least 4096")))
        }
        tokens => Ok(tokens),
    }
}

fn some_disk<'de, D: de::Deserializer<'de>>(source: D) -> Result<u64, D::Error> {
    match u64::deserialize(source)? {
        megabytes @ 64..=1_048_576 => Ok(megabytes),
        other => Err(de::Error::custom(format!("{other} megabytes; expected 64 to 1048576"))),
    }
}

fn at_least_one<'de, D: de::Deserializer<'de>>(source: D) -> Result<u64, D::Error> {
    match u64::deserialize(source)? {
        seconds @ 1..=86_400 => Ok(seconds),
        other => Err(de::Error::custom(format!("{other} seconds; expected 1 to 86400"))),
    }
}
