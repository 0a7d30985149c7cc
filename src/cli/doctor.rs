//! `agent doctor`: what is there, what is missing, and how to get it.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use serde::Serialize;

use crate::model::auth;
use crate::protocol::{ModelRef, SandboxMode, printable};
use crate::sandbox;

use super::{
    args::Common,
    error::CliError,
    machine,
    start::{self, Start},
};

/// What was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: String,
    /// The program can do its work.
    pub(super) ok: bool,
    pub(super) detail: String,
    /// What would be better, and how to get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

pub(super) fn run(common: &Common, json: bool) -> Result<ExitCode, CliError> {
    let mut checks = vec![check("agent", true, env!("CARGO_PKG_VERSION"))];
    match super::start(common) {
        Ok(start) => look(&start, &mut checks),
        Err(error) => checks.push(check("configuration", false, &error.message)),
    }
    let ok = checks.iter().all(|check| check.ok);
    let mut out = io::stdout().lock();
    // A closed pipe is nobody's concern.
    let _ = if json {
        writeln!(out, "{}", serde_json::json!({ "ok": ok, "checks": checks }))
    } else {
        checks.iter().try_for_each(|check| writeln!(out, "{}", check.line()))
    };
    Ok(ExitCode::from(u8::from(!ok)))
}

/// The same for a file.
pub(super) fn report(start: &Start) -> String {
    let mut checks = Vec::new();
    look(start, &mut checks);
    checks.iter().map(Check::line).collect::<Vec<_>>().join("\n")
}

impl Check {
    pub(super) fn fine(name: &str, detail: &str) -> Self {
        check(name, true, detail)
    }

    pub(super) fn missing(name: &str, detail: &str) -> Self {
        check(name, false, detail)
    }

    /// Something works, and could be better.
    pub(super) fn warn(name: &str, detail: &str, hint: &str) -> Self {
        Self { hint: Some(hint.to_owned()), ..check(name, true, detail) }
    }

    fn line(&self) -> String {
        let Self { name, ok, detail, hint } = self;
        let mark = match (ok, hint) {
            (false, _) => "✗",
            (true, Some(_)) => "!",
            (true, None) => "✓",
        };
        let hint = hint.as_ref().map(|hint| format!("\n  {:<16} → {hint}", "")).unwrap_or_default();
        printable(&format!("{mark} {name:<16} {detail}{hint}")).into_owned()
    }
}

fn look(start: &Start, checks: &mut Vec<Check>) {
    let home = &start.home;
    checks.push(check("configuration", true, &home.config_file().display().to_string()));
    checks.push(writable("sessions", &home.sessions()));
    model(start, checks);
    match tempfile::tempdir() {
        Ok(scratch) => match start.sandbox_settings(SandboxMode::WorkspaceWrite, scratch.path()) {
            Ok(settings) => {
                let layers = sandbox::probe(&settings).into_iter();
                checks.extend(
                    layers.map(|layer| check(&format!("sandbox {}", layer.name), layer.ok, &layer.detail)),
                );
            }
            Err(error) => checks.push(check("sandbox", false, &error.message)),
        },
        Err(error) => checks.push(check("temporary files", false, &error.to_string())),
    }
    checks.extend(super::docker::look(&start.config));
    checks.push(check("shell", true, &start::shell().display().to_string()));
    checks.extend(machine::look(start));
}

fn model(start: &Start, checks: &mut Vec<Check>) {
    match start.resolve(&start.config.model) {
        Err(error) => checks.push(check("model", false, &error.message)),
        Ok(resolved) => {
            checks.push(check("model", true, &resolved.model.to_string()));
            let key = auth::key(&resolved.provider, |name| std::env::var(name).ok(), &start.keys());
            let provider = &resolved.provider;
            checks.push(match (key, &provider.env_key) {
                (Err(error), _) => check("key", false, &error.message),
                (Ok(None), _) => check("key", true, "none needed"),
                (Ok(Some(_)), variable) => {
                    let variable = variable.as_deref().unwrap_or_default();
                    check(
                        "key",
                        true,
                        &format!("there is one for {} ({variable} or the key file)", provider.name),
                    )
                }
            });
        }
    }
    for provider in start.config.providers.keys().filter(|name| **name != start.config.model.provider) {
        let model = ModelRef { provider: provider.clone(), model: "any".to_owned() };
        let Ok(resolved) = start.resolve(&model) else { continue };
        let key = auth::key(&resolved.provider, |name| std::env::var(name).ok(), &start.keys());
        checks.push(match key {
            Ok(Some(_)) => check("key", true, &format!("there is one for {provider}")),
            Ok(None) => check("key", true, &format!("none needed for {provider}")),
            Err(error) => {
                let hint = format!("agent login {provider}, if you mean to use it");
                Check::warn("key", &format!("none for {provider}: {}", error.message), &hint)
            }
        });
    }
}

fn writable(name: &str, folder: &Path) -> Check {
    let tried =
        std::fs::create_dir_all(folder).and_then(|()| tempfile::NamedTempFile::new_in(folder).map(drop));
    match tried {
        Ok(()) => check(name, true, &folder.display().to_string()),
        Err(error) => check(name, false, &format!("{} can't be written: {error}", folder.display())),
    }
}

fn check(name: &str, ok: bool, detail: &str) -> Check {
    Check { name: name.to_owned(), ok, detail: detail.to_owned(), hint: None }
}
