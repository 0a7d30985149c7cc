//! The settings of the program: every layer read, checked and merged into one [`Config`].
//!
//! Layers, each over the one before: defaults, the user's file, the files of a trusted project, the environment,
//! `-c KEY=VALUE`. Each layer is checked by itself, so that an error names the place where a person wrote it. It
//! hands nothing out by itself: whoever starts the program gives each module its part.

mod budget;
mod error;
mod hosted;
mod layer;
mod path;
mod paths;
mod project;
pub mod rules;
pub mod save;
mod schema;
mod settings;
mod stamp;
pub mod trust;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use budget::BudgetSettings;
pub use error::ConfigError;
pub use hosted::{HostedMcp, HostedSettings};
pub use paths::Home;
pub use project::project_root;
pub use schema::schema;
pub use settings::{
    Backend, Config, InstructionSettings, PermissionSettings, Project, ShellSettings, SnapshotSettings,
    TarballAt,
};
pub use stamp::Stamp;

use layer::Layer;

/// Variables of the environment that set a key.
pub const VARIABLES: [(&str, &str); 6] = [
    ("AGENT_MODEL", "model"),
    ("AGENT_EFFORT", "effort"),
    ("AGENT_VERBOSITY", "verbosity"),
    ("AGENT_APPROVAL", "approval"),
    ("AGENT_SANDBOX", "sandbox"),
    ("AGENT_BACKEND", "backend"),
];

/// All that settings come from.
#[derive(Debug, Clone)]
pub struct Inputs {
    pub home: Home,
    /// The directory that the session is about. Absolute.
    pub cwd: PathBuf,
    pub env: Vec<(String, String)>,
    /// `KEY=VALUE`, as given with `-c`.
    pub overrides: Vec<String>,
}

impl Inputs {
    /// What this process was started with. The only place that looks at the environment.
    ///
    /// # Errors
    /// When there is no place for files, or no working directory.
    pub fn from_process(cwd: Option<&Path>, overrides: Vec<String>) -> Result<Self, ConfigError> {
        // A variable that is not text sets nothing that we know.
        let mut env: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        if !env.iter().any(|(name, value)| name == "HOME" && !value.is_empty())
            && let Some(dirs) = directories::BaseDirs::new()
        {
            env.push(("HOME".to_owned(), dirs.home_dir().to_string_lossy().into_owned()));
        }
        let here = || {
            std::env::current_dir().map_err(|error| {
                ConfigError::new(format!("the working directory can't be found: {error}"))
                    .hint("change to a directory that exists, or name one with -C DIR")
            })
        };
        let cwd = match cwd {
            Some(dir) if dir.is_absolute() => dir.to_owned(),
            Some(dir) => here()?.join(dir),
            None => here()?,
        };
        Ok(Self { home: Home::find(&env)?, cwd, env, overrides })
    }
}

/// Reads all layers.
///
/// # Errors
/// When a file can't be read, or a layer holds what it should not; the error names the place and the way out.
pub fn load(inputs: &Inputs) -> Result<Config, ConfigError> {
    // Only the person says which projects are trusted, and how far a project may go.
    let Own { file: own, overrides } = Own::read(inputs)?;
    let limits = own.config()?;
    let projects = own.with(&overrides).config()?.projects;
    let trust = trust::Trust::find(&inputs.home.trust_file(), &inputs.cwd, &projects);
    let project = project::layers(&inputs.cwd, &trust, &limits)?;

    let mut all = own;
    project.layers.iter().for_each(|layer| all.add(layer));
    for (variable, key) in VARIABLES {
        if let Some((_, value)) =
            inputs.env.iter().find(|(name, value)| name == variable && !value.is_empty())
        {
            all.add(&Layer::of_variable(variable, key, value)?);
        }
    }
    overrides.iter().for_each(|layer| all.add(layer));
    let mut config = all.config()?;
    settings::expand_home(&mut config, &inputs.env);
    config.notices = project.notices;
    config.trust = trust;
    config.origins = all.origins;
    config.notices.extend(config.rule_notices());
    Ok(config)
}

/// Reads what only the person says: their file, and what was typed. Nothing of a project is looked at.
///
/// # Errors
/// As [`load`].
pub fn own(inputs: &Inputs) -> Result<Config, ConfigError> {
    let Own { file, overrides } = Own::read(inputs)?;
    let all = file.with(&overrides);
    let config = all.config()?;
    Ok(Config { origins: all.origins, ..config })
}

/// The layers of the person.
struct Own {
    file: Merged,
    overrides: Vec<Layer>,
}

impl Own {
    fn read(inputs: &Inputs) -> Result<Self, ConfigError> {
        let path = inputs.home.config_file();
        let mut file = Merged::default();
        if let Some(text) = layer::read(&path)? {
            file.add(&Layer::file(&path, &text)?);
        }
        let overrides =
            inputs.overrides.iter().map(|text| Layer::of_override(text)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { file, overrides })
    }
}

/// Layers laid over each other, with the place that each value came from.
#[derive(Debug, Clone, Default)]
struct Merged {
    table: toml::Table,
    origins: BTreeMap<String, String>,
}

impl Merged {
    fn add(&mut self, layer: &Layer) {
        merge(&mut self.table, &layer.table);
        for (path, place) in layer.places() {
            self.origins.insert(path, place);
        }
    }

    /// The same with further layers.
    fn with(&self, layers: &[Layer]) -> Self {
        let mut all = self.clone();
        layers.iter().for_each(|layer| all.add(layer));
        all
    }

    fn config(&self) -> Result<Config, ConfigError> {
        // Every layer was checked, so this fails only where two layers don't go together.
        layer::parse(&self.table, &mut |_| {}).map_err(|error| {
            let path = error.path().to_string();
            let place = self.origins.get(&path).map(String::as_str).unwrap_or("the settings together");
            ConfigError::new(format!("{place}: `{path}`: {}", error.inner()))
        })
    }
}

/// Tables are merged key by key; every other value replaces what was there.
fn merge(into: &mut toml::Table, from: &toml::Table) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(toml::Value::Table(into)), toml::Value::Table(from)) => merge(into, from),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
