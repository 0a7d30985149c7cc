//! What a session may spend, from the command line and the configuration.

use clap::Args;
use jiff::tz::TimeZone;

use crate::config::BudgetSettings;
use crate::protocol::{self, Budget, Cost, Fact, Settings};

use super::{
    error::CliError,
    start::{Start, now},
};

/// Options that limit a session.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct BudgetArgs {
    /// Dollars that the session may cost, what it has cost so far included. The model's prices have to be known.
    #[arg(long, global = true, value_name = "USD")]
    pub(super) max_usd: Option<f64>,
    /// Tokens that the session may use, sent and received: 500000, 500k, 1.5M.
    #[arg(long, global = true, value_name = "COUNT", value_parser = protocol::count)]
    pub(super) max_tokens: Option<u64>,
    /// How often the model may be asked: once for each message, and once for the results of its calls.
    #[arg(long, global = true, value_name = "COUNT")]
    pub(super) max_turns: Option<u32>,
    /// How long it may go on (30m, 1h30m), or until when (18:30, "2026-11-22 08:00").
    #[arg(long, global = true, value_name = "TIME")]
    pub(super) deadline: Option<String>,
    /// When one of these is reached, end the turn at once and stop what runs. Without it, what runs comes to its end, and
    /// you are asked (in `agent exec`: it ends with exit code 4, and can be resumed).
    #[arg(long, global = true)]
    pub(super) hard_budget: bool,
}

impl BudgetArgs {
    /// The same as settings of the configuration.
    pub(super) fn overrides(&self) -> Vec<String> {
        let mut keys = Vec::new();
        keys.extend(self.max_usd.map(|usd| format!("budget.max_usd={usd:?}")));
        keys.extend(self.max_tokens.map(|tokens| format!("budget.max_tokens={tokens}")));
        keys.extend(self.max_turns.map(|turns| format!("budget.max_turns={turns}")));
        let deadline = self.deadline.as_deref().map(toml::Value::from);
        keys.extend(deadline.map(|deadline| format!("budget.deadline={deadline}")));
        keys.extend(self.hard_budget.then(|| "budget.hard=true".to_owned()));
        keys
    }
}

impl Start {
    /// What a session may spend that had `before`: what was typed goes before that, and with a new session (nothing) the
    /// configuration holds. Nothing comes back where that changes nothing.
    pub(super) fn budget(
        &self,
        before: Option<&Budget>,
        settings: &Settings,
    ) -> Result<Option<Fact>, CliError> {
        let BudgetSettings { max_usd, max_tokens, max_turns, deadline, hard, warn_usd: _ } =
            &self.config.budget;
        let counts = |key: &str| before.is_none() || self.config.is_typed(&format!("budget.{key}"));
        let mut budget = before.cloned().unwrap_or_default();
        if let (Some(usd), true) = (max_usd, counts("max_usd")) {
            budget.max_usd = Some(Cost::try_from(*usd).map_err(CliError::usage)?);
        }
        if let (Some(tokens), true) = (max_tokens, counts("max_tokens")) {
            budget.max_tokens = Some(*tokens);
        }
        if let (Some(turns), true) = (max_turns, counts("max_turns")) {
            budget.max_turns = Some(*turns);
        }
        if let (Some(text), true) = (deadline, counts("deadline")) {
            budget.deadline =
                Some(protocol::deadline(text, now(), TimeZone::system()).map_err(CliError::usage)?);
        }
        if counts("hard") {
            budget.hard = *hard;
        }
        if let (Some(usd), None) = (budget.max_usd, settings.price) {
            let model = &settings.model;
            return Err(CliError::usage(format!(
                "what {model} costs is not known, so that a budget of {usd} can't be kept"
            ))
            .hint(format!(
                "--max-tokens limits any model; or say in config.toml what it costs, in US dollars per million tokens:\n\
                 [models.\"{}\"]\nprice = {{ input = 5.00, cached = 0.50, output = 30.00 }}",
                model.model
            )));
        }
        let unlimited = before.is_none() && Budget { hard: false, ..budget } == Budget::default();
        let same = before == Some(&budget);
        Ok((!unlimited && !same).then_some(Fact::Budgeted { budget }))
    }

    /// From which price on a request is foretold that the provider's cache has little of.
    pub(super) fn dear(&self) -> Cost {
        Cost::try_from(self.config.budget.warn_usd).unwrap_or_default()
    }
}
