//! `agent models`: which models there are, asking their providers for them, and measuring one.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use serde_json::json;

use crate::model::{
    ModelError, ModelErrorKind,
    auth::{self, AuthFile},
    catalog::{self, Provider, Wire},
    found::{Found, Measured},
    listing, measure,
};
use crate::protocol::{ModelRef, printable};

use super::{
    error::{CliError, Kind},
    start::Start,
};

/// Lists the models that can be chosen; with `refresh`, asks the providers first.
pub(super) async fn list(start: &Start, refresh: bool, json: bool) -> Result<ExitCode, CliError> {
    if refresh {
        refreshed(start, json).await?;
    }
    let catalog = start.catalog();
    let mut text = String::new();
    for choice in super::models::choices(start) {
        let measured = catalog.found().measured(&choice.model);
        let line = match json {
            true => json!({
                "model": choice.model.to_string(), "window": choice.limits.window, "effort": choice.effort,
                "efforts": choice.efforts, "price": choice.price, "measured": measured,
                "current": choice.model == start.config.model,
            })
            .to_string(),
            false => {
                let mark = if choice.model == start.config.model { '*' } else { ' ' };
                let measured = measured.map(|measured| format!("; measured: {}", in_words(measured)));
                let about = format!("{}{}", choice.about, measured.unwrap_or_default());
                format!("{mark} {:<40} {}", choice.model.to_string(), printable(&about).replace('\n', " "))
            }
        };
        text.push_str(&line);
        text.push('\n');
    }
    if !json && !refresh {
        text.push_str(
            "\nagent models --refresh asks the providers, and servers on this machine, for theirs.\n",
        );
    }
    super::print(&text)
}

/// Asks every provider that can be asked, all at once.
async fn refreshed(start: &Start, json: bool) -> Result<(), CliError> {
    let catalog = start.catalog();
    let names: Vec<String> = catalog.providers().map(str::to_owned).collect();
    let providers = names.iter().filter_map(|name| catalog.provider(name).ok());
    let providers: Vec<Provider> = providers.filter(|provider| provider.wire != Wire::Replay).collect();
    let asked = providers.iter().map(|provider| async move {
        // Nobody has to have a key for each.
        let Ok(key) = key(start, provider) else { return None };
        // Without a key only servers that somebody runs here.
        let here = provider.env_key.is_none();
        Some((provider, here, listing::models(provider, key.as_ref(), listing::PATIENCE).await))
    });
    let mut found = Found::read(&start.home.models());
    let mut said = Vec::new();
    for (provider, here, listed) in futures::future::join_all(asked).await.into_iter().flatten() {
        match listed {
            Ok(models) => {
                said.push(format!("{}: {} models", provider.name, models.len()));
                let outdated = found.list(&provider.name, models);
                said.extend(outdated.iter().map(|name| {
                    format!(
                        "{name} is another model than the one that was measured: agent models doctor {name}"
                    )
                }));
            }
            // Nothing runs there.
            Err(_) if here && !start.config.providers.contains_key(&provider.name) => {
                found.listed.remove(&provider.name);
            }
            Err(error) => said.push(format!("{}: {}", provider.name, error.message)),
        }
    }
    keep(start, &found)?;
    if said.is_empty() {
        said.push(
            "nobody could be asked: there is no key for any provider, and no server runs on this machine"
                .to_owned(),
        );
    }
    if !json {
        for line in said {
            // A closed standard error is nobody's concern.
            let _ = writeln!(io::stderr(), "{}", printable(&line));
        }
    }
    Ok(())
}

/// Measures what a model can do, and keeps it.
pub(super) async fn measure(start: &Start, model: &str, json: bool) -> Result<ExitCode, CliError> {
    let model: ModelRef = model.parse().map_err(CliError::usage)?;
    let resolved = start.resolve(&model)?;
    let provider = &resolved.provider;
    let failed = |error: ModelError| {
        let kind = if error.kind == ModelErrorKind::Auth { Kind::Auth } else { Kind::Failed };
        CliError::new(kind, format!("{model} can't be measured: {}", error.message))
    };
    let key = key(start, provider).map_err(failed)?;
    let path = start.home.models();
    let mut found = Found::read(&path);
    // Which model that is, where the provider says so. A provider without a list is no reason not to ask the model.
    if let Ok(models) = listing::models(provider, key.as_ref(), listing::PATIENCE).await {
        found.list(&provider.name, models);
    }
    let listed = found.listed(&model).cloned().unwrap_or_default();
    let mut resolved = resolved.clone();
    if provider.wire == Wire::Ollama {
        // More than the model was made for is no window.
        let largest = listing::largest_window(provider, key.as_ref(), &model.model).await.map_err(failed)?;
        resolved.limits.window = resolved.limits.window.min(largest.unwrap_or(u64::MAX));
    }
    let opened = catalog::open(&resolved, key.as_ref(), None).map_err(failed)?;
    let subject = measure::Subject {
        model: &*opened,
        name: &model.model,
        window: resolved.limits.window,
        tokens_per_kb: resolved.limits.tokens_per_kb,
        patience: measure::PATIENCE,
    };
    let measured = subject
        .measure(|what, result| {
            if !json {
                // A closed standard output is nobody's concern: what was measured is kept all the same.
                let _ = writeln!(io::stdout(), "{what:<11} {result}");
            }
        })
        .await
        .map_err(failed)?;
    let measured = Measured { digest: listed.digest, ..measured };
    found.measured.insert(model.to_string(), measured.clone());
    keep(start, &found)?;
    match json {
        true => super::print(&json!({"model": model.to_string(), "measured": measured}).to_string()),
        false => super::print(&format!("kept in {}: {}", path.display(), in_words(&measured))),
    }
}

fn key(start: &Start, provider: &Provider) -> Result<Option<secrecy::SecretString>, ModelError> {
    let file: AuthFile = start.keys();
    auth::key(provider, |name| std::env::var(name).ok(), &file)
}

fn keep(start: &Start, found: &Found) -> Result<(), CliError> {
    let path = start.home.models();
    found.write(&path).map_err(|error| {
        CliError::failed(format!("what was found out can't be kept in {}: {error}", path.display()))
    })
}

fn in_words(measured: &Measured) -> String {
    let window =
        measured.window.map_or("no window of any use".to_owned(), |window| format!("{window} tokens"));
    let able = [(measured.tools, "tools"), (measured.json, "JSON"), (measured.images, "pictures")];
    let named = |wanted: bool| {
        able.iter().filter(|(can, _)| *can == wanted).map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
    };
    let (can, cannot) = (named(true), named(false));
    let parts = [
        window,
        can,
        if cannot.is_empty() { cannot } else { format!("no {cannot}") },
        measured.tokens_per_second.map_or(String::new(), |speed| format!("{speed:.1} tokens/s")),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}
