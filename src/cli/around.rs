//! What lies around a session: its sandboxes, and the settings file that keeps its rules.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use crate::config::{Stamp, rules};
use crate::harness::{Place, Surroundings};
use crate::protocol::{Cost, Fact, HostedTool, Item, Rule, SandboxMode, Settings};
use crate::sandbox::{SharedSandbox, network::Network};
use crate::session::Session;

use super::{news::News, start::Start};

/// What a sandbox is known by: its mode, and whether its commands have a network.
type Kind = (SandboxMode, bool);

/// What lies around one session.
pub(super) struct Around {
    start: Start,
    /// The session's own.
    folder: PathBuf,
    /// All that were started: what runs in one lives as long as it does.
    sandboxes: Mutex<Vec<(Kind, SharedSandbox)>>,
    network: Network,
    /// The settings file as it was when rules were last read from it.
    rules_of: Mutex<Stamp>,
    news: Mutex<News>,
}

impl Around {
    /// `sandbox` is the one that the session begins with, under `settings`.
    pub(super) fn new(
        start: Start,
        folder: PathBuf,
        settings: &Settings,
        sandbox: SharedSandbox,
        network: Network,
    ) -> Self {
        let kind = (settings.sandbox, start.has_network(settings));
        let sandboxes = Mutex::new(vec![(kind, sandbox)]);
        Self { start, folder, sandboxes, network, rules_of: Mutex::default(), news: Mutex::default() }
    }

    fn sandbox(&self, settings: &Settings) -> Result<SharedSandbox, String> {
        let mut sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = (settings.sandbox, self.start.has_network(settings));
        if let Some((_, sandbox)) = sandboxes.iter().find(|(known, _)| *known == kind) {
            return Ok(SharedSandbox::clone(sandbox));
        }
        let sandbox =
            self.start.sandbox(settings, &self.folder, &self.network).map_err(|error| error.message)?;
        sandboxes.push((kind, SharedSandbox::clone(&sandbox)));
        Ok(sandbox)
    }
}

impl Surroundings for Around {
    fn place(&self, settings: &Settings) -> Result<Place, String> {
        let sandbox = self.sandbox(settings)?;
        Ok(Place {
            permissions: self.start.permissions(settings, &sandbox),
            env: sandbox.environment(self.start.environment(settings.sandbox)),
            sandbox,
        })
    }

    fn opening(&self, settings: &Settings) -> Vec<Item> {
        // Without a sandbox nothing of it can be said anew; what the model was told goes on to hold.
        let Ok(sandbox) = self.sandbox(settings) else { return Vec::new() };
        self.start.opening(settings, &sandbox).0
    }

    fn news(&self, session: &Session) -> Vec<Fact> {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let mut facts = news.of(&self.start, session);
        facts.extend(self.start.skills_called_for(session));
        facts
    }

    fn allowed_by_skill(&self, name: &str) -> Vec<String> {
        self.start.allowed_by(name)
    }

    fn instead(&self, settings: &Settings) -> Option<Settings> {
        self.start.instead(settings)
    }

    fn dear(&self) -> Cost {
        self.start.dear()
    }

    fn hosted(&self, settings: &Settings) -> Vec<HostedTool> {
        self.start.hosted(&settings.model)
    }

    fn keep(&self, rule: &Rule) -> Result<(), String> {
        rules::keep(&self.start.home, rule, &self.start.workspace).map_err(|error| error.to_string())
    }

    fn forget(&self, rule: &Rule) -> Result<(), String> {
        rules::forget(&self.start.home, rule, &self.start.workspace).map_err(|error| error.to_string())
    }

    fn rules(&self) -> Option<Result<Vec<Rule>, String>> {
        let now = Stamp::of(&self.start.home.config_file());
        let mut before = self.rules_of.lock().unwrap_or_else(PoisonError::into_inner);
        if *before == now {
            return None;
        }
        let first = *before == Stamp::default();
        *before = now;
        match self.start.rules_now() {
            Ok(rules) => Some(Ok(rules)),
            // The session began with saying so.
            Err(_) if first => None,
            Err(error) => Some(Err(error.to_string())),
        }
    }
}
