//! Which providers and models there are, what they take, and how to open one.
//!
//! Says nothing of keys (see [`super::auth`]) and asks no server anything.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    Model, ModelError, ModelErrorKind,
    anthropic::{self, Anthropic},
    chat::{Chat, Dialect},
    found::Found,
    hosted,
    http::Http,
    ollama::{Ollama, Voice},
    record::Recorder,
    replay::Replay,
    responses::Responses,
    token::Learned,
};
use crate::protocol::{Effort, HostedTool, Limits, ModelRef, Price, TOKENS_PER_KB, ToolStyle, Verbosity};

/// Providers and models by name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    providers: BTreeMap<String, ProviderSettings>,
    models: BTreeMap<String, ModelSettings>,
    /// For providers that set none of their own.
    #[serde(skip)]
    idle_timeout: Option<Duration>,
    /// What was found out about models, on this machine.
    #[serde(skip)]
    found: Found,
}

/// A provider as it is written in a file. What is missing is taken from the provider that is already known by
/// the same name.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProviderSettings {
    /// Address of the API up to its version, such as `https://api.openai.com/v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The language that it speaks; `responses` if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wire: Option<Wire>,
    /// Environment variable that holds the key. Without one (or with an empty name) no key is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_key: Option<String>,
    /// The header that the key is sent in as it is, such as `api-key`; if not said, the one of the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_header: Option<String>,
    /// A command that prints a token, in the place of a key: the program and its arguments, without a shell. It is run
    /// again when the token is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_command: Option<Vec<String>>,
    /// Further headers of each request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// File that the wire `replay` answers from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<PathBuf>,
    /// Seconds without a byte after which an answer is given up; 300 if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub idle_timeout_s: Option<u32>,
    /// Under which names and in which forms its models are offered tools; `codex` if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolStyle>,
    /// Tokens that its models take, of which nothing else is known; 128,000 if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// Of the wire `chat`: the field in which reasoning is sent back; it is not if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_field: Option<String>,
    /// Of the wire `chat`: the ids of calls have to be nine letters or digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_call_ids: Option<bool>,
    /// Of the wire `chat`: whether `stream_options` asks for the tokens that were used; yes if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask_usage: Option<bool>,
    /// Of the wire `responses`: whether the provider itself makes conversations smaller that fill the window
    /// (`responses/compact`); no if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_compaction: Option<bool>,
}

/// What is known of a model, as it is written in a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ModelSettings {
    /// Tokens of a request and its answer together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// How much of the window may be used, as token counts are estimates; 95 if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub usable_percent: Option<u64>,
    /// Tokens of an answer at most; 32,000 if not said. Only the wire `anthropic` has to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub output: Option<u64>,
    /// Tokens that one tool result may bring in; 10,000 if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_output: Option<u64>,
    /// What of the window is left free for the answer, in tokens; an eighth of it, at most 32,000, if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserve: Option<u64>,
    /// Tokens that 1000 bytes of plain words come to, until the provider has counted; 250 if not said. What else there
    /// is in a text is reckoned by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 50, max = 2000))]
    pub tokens_per_kb: Option<u64>,
    /// How hard it thinks when nobody says. Missing for a model that does not reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// How hard it can think; `low`, `medium` and `high` if not said, for a model that reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efforts: Option<Vec<Effort>>,
    /// How much it says when nobody says. Missing for a model that knows no such setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verbosity: Option<Verbosity>,
    /// Whether it takes pictures; yes if not said. One that does not is told so in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<bool>,
    /// The provider that it is listed with; every one of the settings if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// What it is good for, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// US dollars per million tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Under which names and in which forms it is offered tools; as its provider says, if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolStyle>,
}

/// The language that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// `OpenAI`'s Responses API.
    #[default]
    Responses,
    /// Chat Completions, as many servers speak it.
    Chat,
    /// Anthropic's Messages API.
    Anthropic,
    /// Ollama's own API.
    Ollama,
    /// No provider: answers come from a script.
    Replay,
}

impl Wire {
    /// Whether it has such a tool, which the provider runs.
    #[must_use]
    pub fn hosts(self, tool: &HostedTool) -> bool {
        match self {
            // A script says what its provider did.
            Self::Responses | Self::Replay => true,
            Self::Anthropic => hosted::of_anthropic(tool).is_some(),
            Self::Chat | Self::Ollama => false,
        }
    }
}

/// A provider, with everything decided.
#[derive(Clone, PartialEq)]
pub struct Provider {
    pub name: String,
    pub base_url: String,
    pub wire: Wire,
    /// Missing when it takes no key.
    pub env_key: Option<String>,
    pub key_header: Option<String>,
    /// Prints a token, in the place of a key. Empty: nothing does.
    pub token_command: Vec<String>,
    pub headers: BTreeMap<String, String>,
    pub script: Option<PathBuf>,
    pub idle_timeout: Duration,
    /// How it speaks the wire `chat`.
    pub dialect: Dialect,
    /// Whether it makes conversations smaller itself.
    pub compacts: bool,
}

/// A model with its provider, ready to be opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    pub model: ModelRef,
    pub provider: Provider,
    pub limits: Limits,
    /// Tokens of an answer at most, where that is known.
    pub output: Option<u64>,
    /// What the model runs with when nobody says otherwise.
    pub effort: Option<Effort>,
    /// The efforts that it takes; none for a model that is not known to reason.
    pub efforts: Vec<Effort>,
    pub verbosity: Option<Verbosity>,
    /// What it is good for, in a sentence.
    pub about: Option<String>,
    /// What its tokens cost, where that is known.
    pub price: Option<Price>,
    /// Under which names and in which forms it is offered tools.
    pub tools: ToolStyle,
    /// What the person should know, such as that the model is unknown here.
    pub notes: Vec<String>,
}

/// Why a model can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    #[error("there is no provider `{name}`{}; add one to config.toml:\n\n{EXAMPLE}", did_you_mean(.nearest))]
    UnknownProvider { name: String, nearest: Option<String> },
    #[error("provider `{0}` has no `base_url`")]
    NoAddress(String),
    #[error("provider `{0}` has no `script` to answer from")]
    NoScript(String),
}

const EXAMPLE: &str = "[providers.NAME]\nbase_url = \"https://HOST/v1\"\nenv_key = \"NAME_API_KEY\"";
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Small enough for nearly every model that can use tools at all.
const UNKNOWN_WINDOW: u64 = 128_000;
/// What is assumed of a model of which nothing is known.
pub const UNKNOWN_LIMITS: Limits = Limits::new(UNKNOWN_WINDOW * USABLE_PERCENT / 100, TOOL_OUTPUT);
const USABLE_PERCENT: u64 = 95;
const TOOL_OUTPUT: u64 = 10_000;

impl Catalog {
    /// What ships with the program.
    #[must_use]
    pub fn builtin() -> Self {
        static READ: LazyLock<Catalog> = LazyLock::new(|| {
            toml::from_str(include_str!("../../assets/models.toml"))
                .expect("a test reads the built-in catalog")
        });
        READ.clone()
    }

    /// The same with a user's providers: new ones, and changes to known ones.
    #[must_use]
    pub fn with(mut self, providers: &BTreeMap<String, ProviderSettings>) -> Self {
        for (name, settings) in providers {
            self.providers.entry(name.clone()).or_default().overlay(settings);
        }
        self
    }

    /// The same with another idle timeout for providers that set none of their own.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// The same with a user's models: new ones, and changes to known ones.
    #[must_use]
    pub fn with_models(mut self, models: &BTreeMap<String, ModelSettings>) -> Self {
        for (name, settings) in models {
            self.models.entry(name.clone()).or_default().overlay(settings);
        }
        self
    }

    /// The same with what was found out about models. What is written about one goes before it.
    #[must_use]
    pub fn with_found(self, found: Found) -> Self {
        Self { found, ..self }
    }

    /// What was found out about models.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// The names of all providers.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// The models that a person can be offered: each with its provider, or else with each of `providers`.
    #[must_use]
    pub fn models(&self, providers: &[&str]) -> Vec<ModelRef> {
        let with =
            |provider: &str, model: &str| ModelRef { provider: provider.to_owned(), model: model.to_owned() };
        let mut listed: Vec<ModelRef> = Vec::new();
        for (name, settings) in &self.models {
            match &settings.provider {
                Some(provider) => listed.push(with(provider, name)),
                None => listed.extend(providers.iter().map(|provider| with(provider, name))),
            }
        }
        let by_provider = self.found.listed.iter();
        let found = by_provider.flat_map(|(name, models)| models.iter().map(|model| with(name, &model.name)));
        let measured = self.found.measured.keys().filter_map(|name| name.parse().ok());
        for model in found.chain(measured) {
            if !listed.contains(&model) {
                listed.push(model);
            }
        }
        listed
    }

    /// The variables of the environment that hold keys.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        self.providers.values().filter_map(|provider| provider.env_key.as_deref())
    }

    /// What headers of providers hold that nobody else may see: the words of those whose names say so.
    pub fn header_secrets(&self) -> impl Iterator<Item = String> {
        let headers = self.providers.values().flat_map(|provider| &provider.headers);
        let secret = headers.filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            ["key", "auth", "token", "secret", "cookie", "password"].iter().any(|word| name.contains(word))
        });
        secret.flat_map(|(_, value)| value.split_whitespace().map(str::to_owned))
    }

    /// Everything that is known about a model.
    ///
    /// # Errors
    /// When its provider is unknown, or incomplete. An unknown model is no error: it gets careful limits and a
    /// note.
    pub fn resolve(&self, model: &ModelRef) -> Result<Resolved, CatalogError> {
        let mut provider = self.provider(&model.provider)?;
        let unknown_window = self.providers.get(&model.provider).and_then(|provider| provider.window);
        let usual_tools = self.providers.get(&model.provider).and_then(|provider| provider.tools);
        let mut notes = Vec::new();
        // A gateway names models as `vendor/model`.
        let short = model.model.rsplit('/').next().unwrap_or_default();
        let known = self.models.get(&model.model).or_else(|| self.models.get(short));
        let found = self.found_of(model);
        if known.is_none() && found.is_none() && provider.wire != Wire::Replay {
            notes.push(format!(
                "model {} is not known here: a window of {} tokens is assumed, and no effort or verbosity is sent \
                 unless set; [models.\"{}\"] in config.toml can say better",
                model,
                unknown_window.unwrap_or(UNKNOWN_WINDOW),
                model.model
            ));
        }
        if self.found.measured(model).is_some_and(|measured| !measured.tools) {
            notes.push(format!(
                "model {model} made no tool call when it was measured, and can do little here; `agent models doctor {model}` \
                 measures it again"
            ));
        }
        let mut settings = found.unwrap_or_default();
        if let Some(known) = known {
            settings.overlay(known);
        }
        let known = settings;
        provider.dialect.images = known.images.unwrap_or(provider.dialect.images);
        let window = known.window.or(unknown_window).unwrap_or(UNKNOWN_WINDOW);
        let percent = known.usable_percent.unwrap_or(USABLE_PERCENT).clamp(1, 100);
        Ok(Resolved {
            model: model.clone(),
            provider,
            limits: Limits {
                window: (u128::from(window) * u128::from(percent) / 100).try_into().unwrap_or(window),
                tool_output: known.tool_output.unwrap_or(TOOL_OUTPUT),
                reserve: known.reserve,
                tokens_per_kb: known.tokens_per_kb.unwrap_or(TOKENS_PER_KB).clamp(50, 2000),
            },
            output: known.output.filter(|output| *output > 0),
            effort: known.effort,
            efforts: known.efforts.unwrap_or_else(|| known.effort.map_or_else(Vec::new, usual_efforts)),
            verbosity: known.verbosity,
            about: known.about,
            price: known.price,
            tools: known.tools.or(usual_tools).unwrap_or_default(),
            notes,
        })
    }

    /// What was measured of a model, or else what its provider says.
    fn found_of(&self, model: &ModelRef) -> Option<ModelSettings> {
        let listed = self.found.listed(model).and_then(|listed| listed.window);
        let settings = |window, images| ModelSettings { window, images, ..ModelSettings::default() };
        match self.found.measured(model) {
            Some(measured) => Some(settings(measured.window.or(listed), Some(measured.images))),
            None => listed.map(|window| settings(Some(window), None)),
        }
    }

    /// What is written about a provider.
    ///
    /// # Errors
    /// When there is none of this name, or it is incomplete.
    pub fn provider(&self, name: &str) -> Result<Provider, CatalogError> {
        let Some(settings) = self.providers.get(name).cloned() else {
            return Err(CatalogError::UnknownProvider { name: name.to_owned(), nearest: self.nearest(name) });
        };
        let wire = settings.wire.unwrap_or_default();
        match wire {
            Wire::Responses | Wire::Chat | Wire::Anthropic | Wire::Ollama if settings.base_url.is_none() => {
                return Err(CatalogError::NoAddress(name.to_owned()));
            }
            Wire::Replay if settings.script.is_none() => return Err(CatalogError::NoScript(name.to_owned())),
            Wire::Responses | Wire::Chat | Wire::Anthropic | Wire::Ollama | Wire::Replay => {}
        }
        let usual = Dialect::default();
        Ok(Provider {
            dialect: Dialect {
                reasoning_field: settings.reasoning_field.filter(|field| !field.is_empty()),
                short_call_ids: settings.short_call_ids.unwrap_or(usual.short_call_ids),
                ask_usage: settings.ask_usage.unwrap_or(usual.ask_usage),
                images: usual.images,
            },
            compacts: settings.server_compaction.unwrap_or(false),
            name: name.to_owned(),
            base_url: settings.base_url.unwrap_or_default(),
            wire,
            env_key: settings.env_key.filter(|name| !name.is_empty()),
            key_header: settings.key_header.filter(|name| !name.is_empty()),
            token_command: settings.token_command.unwrap_or_default(),
            headers: settings.headers,
            script: settings.script,
            idle_timeout: match settings.idle_timeout_s {
                Some(seconds) => Duration::from_secs(u64::from(seconds.max(1))),
                None => self.idle_timeout.unwrap_or(IDLE_TIMEOUT),
            },
        })
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let likeness = |known: &str| strsim::jaro_winkler(known, name);
        let nearest = self.providers().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
        (likeness(nearest) > 0.7).then(|| nearest.to_owned())
    }
}

/// A model that can be asked. With a recorder, all that goes over its wire is kept.
///
/// # Errors
/// When the provider's settings or the key can't be used.
pub fn open(
    resolved: &Resolved,
    key: Option<&SecretString>,
    recorder: Option<&Arc<Recorder>>,
) -> Result<Arc<dyn Model>, ModelError> {
    let nobody: Learned = Arc::new(|_| {});
    open_telling(resolved, key, recorder, &nobody)
}

/// The same, with somebody who hears of each token that the provider's command prints.
///
/// # Errors
/// When the provider's settings or the key can't be used.
pub fn open_telling(
    resolved: &Resolved,
    key: Option<&SecretString>,
    recorder: Option<&Arc<Recorder>>,
    learned: &Learned,
) -> Result<Arc<dyn Model>, ModelError> {
    let provider = &resolved.provider;
    let http = || {
        let http = Http::new(provider, key)?.telling(provider, learned);
        Ok::<_, ModelError>(http.recorded(provider, recorder))
    };
    Ok(match provider.wire {
        Wire::Responses => {
            let model = Responses::new(http()?).with_images(provider.dialect.images);
            Arc::new(model.with_compaction(provider.compacts))
        }
        Wire::Chat => Arc::new(Chat::new(http()?, provider.dialect.clone())),
        Wire::Anthropic => {
            let output = resolved.output.unwrap_or(anthropic::OUTPUT);
            Arc::new(Anthropic::new(http()?, output).with_images(provider.dialect.images))
        }
        Wire::Ollama => {
            let (window, images) = (resolved.limits.window, provider.dialect.images);
            Arc::new(Ollama::new(http()?, Voice { window, output: resolved.output, images }))
        }
        Wire::Replay if recorder.is_some() => {
            let what =
                format!("provider {} answers from a script, which is a recording already", provider.name);
            return Err(ModelError::new(ModelErrorKind::Request, what));
        }
        Wire::Replay => {
            let script = provider.script.as_deref().ok_or_else(|| {
                ModelError::new(
                    ModelErrorKind::Request,
                    CatalogError::NoScript(provider.name.clone()).to_string(),
                )
            })?;
            Arc::new(Replay::open(script)?)
        }
    })
}

impl ProviderSettings {
    /// Takes over whatever the other one says.
    pub fn overlay(&mut self, other: &Self) {
        let Self {
            base_url,
            wire,
            env_key,
            key_header,
            token_command,
            headers,
            script,
            idle_timeout_s,
            tools,
            window,
            reasoning_field,
            short_call_ids,
            ask_usage,
            server_compaction,
        } = other.clone();
        self.window = window.or(self.window);
        self.tools = tools.or(self.tools);
        self.key_header = key_header.or(self.key_header.take());
        self.token_command = token_command.or(self.token_command.take());
        self.base_url = base_url.or(self.base_url.take());
        self.wire = wire.or(self.wire);
        self.env_key = env_key.or(self.env_key.take());
        self.headers.extend(headers);
        self.script = script.or(self.script.take());
        self.idle_timeout_s = idle_timeout_s.or(self.idle_timeout_s);
        self.reasoning_field = reasoning_field.or(self.reasoning_field.take());
        self.short_call_ids = short_call_ids.or(self.short_call_ids);
        self.ask_usage = ask_usage.or(self.ask_usage);
        self.server_compaction = server_compaction.or(self.server_compaction);
    }
}

impl ModelSettings {
    /// Takes over whatever the other one says.
    pub fn overlay(&mut self, other: &Self) {
        let Self {
            window,
            usable_percent,
            output,
            tool_output,
            reserve,
            tokens_per_kb,
            effort,
            efforts,
            verbosity,
            images,
            provider,
            about,
            price,
            tools,
        } = other.clone();
        self.tools = tools.or(self.tools);
        self.window = window.or(self.window);
        self.usable_percent = usable_percent.or(self.usable_percent);
        self.output = output.or(self.output);
        self.tool_output = tool_output.or(self.tool_output);
        self.reserve = reserve.or(self.reserve);
        self.tokens_per_kb = tokens_per_kb.or(self.tokens_per_kb);
        self.effort = effort.or(self.effort);
        self.efforts = efforts.or(self.efforts.take());
        self.verbosity = verbosity.or(self.verbosity);
        self.images = images.or(self.images);
        self.provider = provider.or(self.provider.take());
        self.about = about.or(self.about.take());
        self.price = price.or(self.price);
    }
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            name: String::new(),
            base_url: String::new(),
            wire: Wire::default(),
            env_key: None,
            key_header: None,
            token_command: Vec::new(),
            headers: BTreeMap::new(),
            script: None,
            idle_timeout: IDLE_TIMEOUT,
            dialect: Dialect::default(),
            compacts: false,
        }
    }
}

// A header may hold a key, and so may the arguments of a command: what they are is never shown.

impl fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base_url, wire, env_key, key_header, headers, script, idle_timeout_s, .. } = self;
        f.debug_struct("ProviderSettings")
            .field("base_url", base_url)
            .field("wire", wire)
            .field("env_key", env_key)
            .field("key_header", key_header)
            .field("headers", &headers.keys())
            .field("script", script)
            .field("idle_timeout_s", idle_timeout_s)
            .field("tools", &self.tools)
            .field("window", &self.window)
            .field("reasoning_field", &self.reasoning_field)
            .field("short_call_ids", &self.short_call_ids)
            .field("ask_usage", &self.ask_usage)
            .field("server_compaction", &self.server_compaction)
            .finish()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name, base_url, wire, env_key, key_header, headers, script, idle_timeout, dialect, ..
        } = self;
        f.debug_struct("Provider")
            .field("name", name)
            .field("base_url", base_url)
            .field("wire", wire)
            .field("env_key", env_key)
            .field("key_header", key_header)
            .field("headers", &headers.keys())
            .field("script", script)
            .field("idle_timeout", idle_timeout)
            .field("dialect", dialect)
            .finish()
    }
}

/// The levels that every model knows that reasons, and its usual one.
fn usual_efforts(usual: Effort) -> Vec<Effort> {
    let mut all = vec![Effort::Low, Effort::Medium, Effort::High];
    if !all.contains(&usual) {
        all.push(usual);
    }
    all
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> BTreeMap<String, ProviderSettings> {
        toml::from_str(text).unwrap()
    }

    fn resolve(catalog: &Catalog, model: &str) -> Result<Resolved, CatalogError> {
        catalog.resolve(&model.parse().unwrap())
    }

    #[test]
    fn a_known_model_comes_with_its_limits() {
        let resolved = resolve(&Catalog::builtin(), "openai/gpt-5.5").unwrap();
        assert_eq!(resolved.limits, Limits { tokens_per_kb: 230, ..Limits::new(258_400, 10_000) });
        assert_eq!((resolved.effort, resolved.verbosity), (Some(Effort::Medium), Some(Verbosity::Low)));
        assert_eq!(resolved.provider.env_key.as_deref(), Some("OPENAI_API_KEY"));
        assert_eq!(resolved.notes, Vec::<String>::new());
    }

    #[test]
    fn an_unknown_model_gets_careful_limits_and_a_note() {
        let resolved = resolve(&Catalog::builtin(), "openai/gpt-99").unwrap();
        assert_eq!(resolved.limits, Limits::new(121_600, 10_000));
        assert_eq!((resolved.effort, resolved.notes.len()), (None, 1));
    }

    #[test]
    fn a_gateways_name_for_a_model_is_understood() {
        let catalog = Catalog::builtin().with(&user("gate.base_url = 'http://localhost:1'"));
        let resolved = resolve(&catalog, "gate/openai/gpt-5.5").unwrap();
        assert_eq!(resolved.limits.window, 258_400);
        assert_eq!(resolved.model.model, "openai/gpt-5.5");
    }

    #[test]
    fn a_user_changes_single_keys_of_a_known_provider() {
        let catalog = Catalog::builtin().with(&user(
            "[openai]\nbase_url = 'http://localhost:8080/v1'\nenv_key = ''\nidle_timeout_s = 5\nheaders = { a = 'b' }",
        ));
        let provider = resolve(&catalog, "openai/gpt-5.5").unwrap().provider;
        assert_eq!(provider.base_url, "http://localhost:8080/v1");
        assert_eq!((provider.env_key, provider.idle_timeout), (None, Duration::from_secs(5)));
        assert_eq!(provider.headers["a"], "b");
    }

    #[test]
    fn a_user_describes_a_model() {
        let models = toml::from_str("[tiny]\nwindow = 8000\nusable_percent = 50\ntool_output = 500").unwrap();
        let resolved = resolve(&Catalog::builtin().with_models(&models), "openai/tiny").unwrap();
        assert_eq!(resolved.limits, Limits::new(4000, 500));
        assert!(resolved.notes.is_empty());
    }

    #[test]
    fn models_are_listed_with_their_provider_or_with_each_that_is_set() {
        let models = toml::from_str("[mine]\nwindow = 8000\n[other]\nprovider = 'gate'").unwrap();
        let catalog = Catalog::builtin().with_models(&models);
        let listed: Vec<String> = catalog.models(&["a", "b"]).iter().map(ToString::to_string).collect();
        for known in ["openai/gpt-5.5", "a/mine", "b/mine", "gate/other"] {
            assert!(listed.iter().any(|name| name == known), "{known}: {listed:?}");
        }
        assert!(!listed.iter().any(|name| name.ends_with("openai/mine")));
    }

    #[test]
    fn the_efforts_of_a_model_are_those_it_names_or_the_usual_ones_if_it_reasons() {
        let models =
            "[a]\nefforts = ['high', 'xhigh']\neffort = 'high'\n[b]\neffort = 'minimal'\n[c]\nwindow = 8000";
        let catalog = Catalog::builtin().with_models(&toml::from_str(models).unwrap());
        for (model, efforts) in [
            ("openai/a", &[Effort::High, Effort::Xhigh][..]),
            ("openai/b", &[Effort::Low, Effort::Medium, Effort::High, Effort::Minimal]),
            ("openai/c", &[]),
            ("openai/unknown", &[]),
        ] {
            assert_eq!(resolve(&catalog, model).unwrap().efforts, efforts, "{model}");
        }
    }

    #[test]
    fn a_mistyped_provider_is_met_with_the_nearest_name_and_an_example() {
        let error = resolve(&Catalog::builtin(), "opneai/gpt-5.5").unwrap_err().to_string();
        assert!(error.contains("did you mean `openai`?") && error.contains("[providers.NAME]"), "{error}");
        let error = resolve(&Catalog::builtin(), "zzz/gpt-5.5").unwrap_err();
        assert!(matches!(error, CatalogError::UnknownProvider { nearest: None, .. }), "{error:?}");
    }

    #[test]
    fn a_provider_that_lacks_what_its_wire_needs_is_refused() {
        let catalog = Catalog::builtin().with(&user("[new]\nenv_key = 'K'"));
        assert_eq!(resolve(&catalog, "new/x"), Err(CatalogError::NoAddress("new".into())));
        assert_eq!(resolve(&catalog, "replay/x"), Err(CatalogError::NoScript("replay".into())));
    }

    #[test]
    fn the_file_that_ships_has_no_unknown_keys() {
        let mut unknown = Vec::new();
        let file = toml::Deserializer::parse(include_str!("../../assets/models.toml")).unwrap();
        let read: Result<Catalog, _> =
            serde_ignored::deserialize(file, |path| unknown.push(path.to_string()));
        read.unwrap();
        assert_eq!(unknown, [""; 0]);
    }

    #[test]
    fn header_values_are_never_shown() {
        let providers = user("[a]\nbase_url = 'http://localhost'\nheaders = { 'api-key' = 'sk-secret' }");
        let resolved = resolve(&Catalog::builtin().with(&providers), "a/b").unwrap();
        let shown = format!("{providers:?} {resolved:?}");
        assert!(shown.contains("api-key") && !shown.contains("sk-secret"), "{shown}");
    }
}
