//! The settings that a project brings along.
//!
//! They are read only where a person trusts the project, and even then they can't reach what decides about safety or
//! money elsewhere: a file in a working tree may have been written by anybody, the model included.

use std::{fs, path::Path};

use crate::protocol::{Approval, SandboxMode};

use super::{
    Backend, Config, ConfigError,
    layer::{self, Layer, Part},
    trust::{Standing, Trust, Verdict},
};

/// Keys that only the person's own settings have.
const FORBIDDEN: &[&[&str]] = &[
    &["providers"],
    &["fallback"],
    &["projects"],
    &["permissions"],
    &["network"],
    &["keys"],
    &["hooks"],
    &["notify"],
    &["tui"],
    &["writable_roots"],
    &["snapshots"],
    &["memory"],
    &["budget"],
    &["hosted"],
    &["reveal"],
    &["session_disk"],
    &["shell", "env_allow"],
];

/// What was found in a project.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// From the root of the repository down to the working directory.
    pub(super) layers: Vec<Layer>,
    pub(super) notices: Vec<String>,
}

/// The root of the repository that a directory is in, or the directory itself.
#[must_use]
pub fn project_root(dir: &Path) -> &Path {
    dir.ancestors().find(|above| above.join(".git").symlink_metadata().is_ok()).unwrap_or(dir)
}

/// Reads the settings between the root of the repository and the working directory. `own` are the person's.
pub(super) fn layers(cwd: &Path, trust: &Trust, own: &Config) -> Result<Found, ConfigError> {
    let mut found = Found::default();
    // A directory that is gone has no settings.
    let cwd = fs::canonicalize(cwd).unwrap_or_else(|_| cwd.to_owned());
    let root = &trust.root;
    let mut dirs: Vec<&Path> = cwd.ancestors().take_while(|dir| dir.starts_with(root)).collect();
    dirs.reverse();
    for dir in dirs {
        let file = dir.join(".agent").join("config.toml");
        if file.symlink_metadata().is_err() {
            continue;
        }
        // Nobody reads what may not be read, not even to say what is wrong with it.
        let text = match (trust.said(&file), trust.standing) {
            (Some(true), _) | (None, Standing::Accepted) => layer::read(&file)?,
            _ => None,
        };
        match trust.verdict(&file, text.as_deref().unwrap_or_default().as_bytes()) {
            Verdict::Read => {
                if let Some(text) = text {
                    forbid(&file, &text)?;
                    let layer = Layer::file(&file, &text)?;
                    narrows(&layer, own)?;
                    found.layers.push(layer);
                }
            }
            // The person's own settings say so, and are known to the person.
            Verdict::Leave if trust.said(&file).is_some() => {}
            Verdict::Leave => {
                found.notices.push(format!("{} is not read: the project is not trusted", file.display()));
            }
            Verdict::Unasked => found.notices.push(format!(
                "{} is not read, because nobody has said that the project is trusted; `agent` asks when it starts \
                 there, or add this to your own config.toml:\n[projects.{:?}]\ntrusted = true",
                file.display(),
                root.to_string_lossy(),
            )),
        }
    }
    Ok(found)
}

/// Refuses the keys that a project can't set, known to this version or not.
fn forbid(file: &Path, text: &str) -> Result<(), ConfigError> {
    // What is no TOML at all is told by whoever reads it next.
    let Ok(raw) = Layer::unchecked(file, text) else { return Ok(()) };
    for path in FORBIDDEN {
        let mut at = raw.table.get(path[0]);
        for key in path.iter().skip(1) {
            at = at.and_then(|value| value.get(key));
        }
        if at.is_some() {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            return Err(raw
                .error(&path, Part::Key, "a project's settings can't set this")
                .hint("it would let a repository decide about your keys, your files or other programs; set it in your own config.toml"));
        }
    }
    Ok(())
}

/// Refuses values that allow more than the person's own settings do.
fn narrows(layer: &Layer, own: &Config) -> Result<(), ConfigError> {
    let text = |key: &str| layer.table.get(key).and_then(toml::Value::as_str);
    let wider = |key: &str, mine: String| {
        let what = format!("a project's settings can't allow more than yours do (`{mine}`)");
        Err(layer
            .error(&[key.to_owned()], Part::Value, &what)
            .hint("set it in your own config.toml, or for one session on the command line"))
    };
    if text("sandbox").is_some_and(|value| sandbox_rank(value) > sandbox_rank(&own.sandbox.to_string())) {
        return wider("sandbox", own.sandbox.to_string());
    }
    // Unset, it is asked wherever somebody is there to ask.
    let approval = own.approval.unwrap_or(Approval::OnRequest).to_string();
    if text("approval").is_some_and(|value| approval_rank(value) > approval_rank(&approval)) {
        return wider("approval", approval);
    }
    if own.backend != Backend::Local && text("backend").is_some_and(|value| value == "local") {
        return wider("backend", own.backend.to_string());
    }
    Ok(())
}

fn sandbox_rank(mode: &str) -> usize {
    let all = [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess];
    all.iter().position(|known| known.to_string() == mode).unwrap_or(all.len())
}

/// Under `never` the fewest questions are asked.
fn approval_rank(approval: &str) -> usize {
    let all = [Approval::Untrusted, Approval::OnRequest, Approval::Never];
    all.iter().position(|known| known.to_string() == approval).unwrap_or(all.len())
}
