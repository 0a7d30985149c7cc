//! The models that a person can choose from, and keeping the choice.

use crate::config::save;
use crate::protocol::{ModelRef, Settings};
use crate::tui::ModelChoice;

use super::{error::CliError, start::Start};

/// The models of the catalogue and of the person's providers.
pub(super) fn choices(start: &Start) -> Vec<ModelChoice> {
    let own: Vec<&str> = start.config.providers.keys().map(String::as_str).collect();
    let mut models = start.catalog().models(if own.is_empty() { &["openai"] } else { &own });
    if !models.contains(&start.config.model) {
        models.insert(0, start.config.model.clone());
    }
    // One that can't be had, such as of a provider without an address, is not offered.
    models.iter().filter_map(|model| choice(start, model).ok()).collect()
}

/// The model that a person named, with the provider of another one where none was named.
pub(super) fn named(start: &Start, name: &str, like: &ModelRef) -> Result<ModelChoice, String> {
    let model = match name.contains('/') {
        true => name.parse()?,
        false => ModelRef { provider: like.provider.clone(), model: name.to_owned() },
    };
    choice(start, &model).map_err(|error| error.message)
}

fn choice(start: &Start, model: &ModelRef) -> Result<ModelChoice, CliError> {
    let resolved = start.resolve(model)?;
    Ok(ModelChoice {
        about: resolved.about.unwrap_or_else(|| match resolved.notes.is_empty() {
            true => format!("{}k tokens", resolved.limits.window / 1000),
            false => "not known here: careful limits".to_owned(),
        }),
        model: resolved.model,
        limits: resolved.limits,
        price: resolved.price,
        tools: resolved.tools,
        effort: resolved.effort,
        efforts: resolved.efforts,
        verbosity: resolved.verbosity,
    })
}

/// Has every new session begin with this model and effort.
pub(super) fn keep(start: &Start, settings: &Settings) -> Result<String, String> {
    let model = settings.model.to_string();
    let effort = settings.effort.map(|effort| effort.to_string());
    save::set(&start.home, &["model"], Some(model.as_str().into()))
        .and_then(|()| save::set(&start.home, &["effort"], effort.map(Into::into)))
        .map_err(|error| error.to_string())?;
    let file = start.home.config_file();
    let now = start.config_now().map_err(|error| error.to_string())?;
    match now.origin("model") {
        Some(origin) if now.model != settings.model => {
            Ok(format!("kept in {}, but {origin} sets another one here", file.display()))
        }
        _ => Ok(format!("kept in {}: model = \"{model}\"", file.display())),
    }
}
