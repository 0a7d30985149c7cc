//! The network of a session's commands, from what the person listed and said.

use secrecy::SecretString;

use crate::context::{self, Person};
use crate::protocol::{Approval, Grant, Rule, SandboxMode, Settings};
use crate::sandbox::network::{Credential, Network, Pattern, Reports, Rules, System, Target};

use super::start::{self, Start};

/// The network of one session, and what is told of it.
pub(super) struct Online {
    pub(super) network: Network,
    pub(super) reports: Reports,
}

impl Start {
    /// The network of a session whose harness answers what its commands ask for.
    pub(super) fn online(&self) -> Online {
        let (network, reports) = Network::attended(self.network_rules(), std::sync::Arc::new(System));
        Online { network, reports }
    }

    /// The network of a command that nobody is asked about; nothing where nothing is listed.
    pub(super) fn listed_network(&self) -> Option<Network> {
        let mut rules = self.network_rules();
        let kept = self.kept_rules();
        rules.allow.extend(kept.iter().filter_map(reached).map(Pattern::exactly));
        (!rules.allow.is_empty()).then(|| Network::unattended(rules, std::sync::Arc::new(System)))
    }

    /// Whether commands have any network under these settings: something is listed, or somebody can be asked.
    pub(super) fn has_network(&self, settings: &Settings) -> bool {
        self.asks_for_hosts(settings)
            || self.allowed_entries().next().is_some()
            || self.kept_rules().iter().any(|rule| reached(rule).is_some())
    }

    /// What the model is told of it.
    pub(super) fn told_network(&self, settings: &Settings) -> context::Network {
        if settings.sandbox == SandboxMode::DangerFullAccess {
            return context::Network::On;
        }
        if !self.has_network(settings) {
            return context::Network::Off;
        }
        let kept = self.kept_rules().iter().filter_map(reached).collect::<Vec<_>>();
        let listed = self.network_rules().allow;
        let hosts = listed.iter().map(ToString::to_string);
        let hosts = hosts.chain(kept.iter().map(ToString::to_string)).collect();
        context::Network::Listed { hosts, asks: self.asks_for_hosts(settings) }
    }

    /// The same for the person; nothing where there is none whoever asks.
    pub(super) fn network_in_words(&self) -> Option<String> {
        let kept = self.kept_rules();
        let listed: Vec<String> = self.network_rules().allow.iter().map(ToString::to_string).collect();
        let hosts: Vec<String> = listed
            .into_iter()
            .chain(kept.iter().filter_map(reached).map(|target| target.to_string()))
            .collect();
        let asks =
            self.config.network.ask && start::approval(&self.config, Person::Present) != Approval::Never;
        let others = match asks {
            true => "on the screen you are asked about others; `agent exec` refuses them",
            false => "all others are refused",
        };
        match (hosts.is_empty(), asks) {
            (true, false) => None,
            (true, true) => {
                Some(format!("none but a loopback of its own, and hosts that you allow: {others}"))
            }
            (false, _) => Some(format!("only through a proxy, and to {}; {others}", hosts.join(", "))),
        }
    }

    /// The variables that hold secrets of the proxy.
    pub(super) fn credential_names(&self) -> impl Iterator<Item = &str> {
        self.config.network.credentials.iter().map(|known| known.env.as_str())
    }

    /// What of the network is not as it was written.
    pub(super) fn network_notes(&self) -> Vec<String> {
        let missing =
            self.config.network.credentials.iter().filter(|known| std::env::var(&known.env).is_err());
        let note = |known: &crate::sandbox::network::CredentialSettings| {
            format!("requests to {} get no credential: the variable {} is not set", known.host, known.env)
        };
        missing.map(note).collect()
    }

    fn asks_for_hosts(&self, settings: &Settings) -> bool {
        self.person == Person::Present && self.config.network.ask && settings.approval != Approval::Never
    }

    fn allowed_entries(&self) -> impl Iterator<Item = &String> {
        self.config.network.allow.iter().chain(&self.allow_hosts)
    }

    fn kept_rules(&self) -> Vec<Rule> {
        self.rules_now().unwrap_or_else(|_| self.config.rules(&self.workspace))
    }

    fn network_rules(&self) -> Rules {
        // Entries were checked when they were read.
        let read = |entry: &String| Pattern::read(entry).unwrap_or_default();
        let credentials = self.config.network.credentials.iter().filter_map(|known| {
            Some(Credential {
                target: known.target()?,
                methods: known.methods.clone(),
                header: known.header.clone(),
                value: SecretString::from(std::env::var(&known.env).ok()?),
            })
        });
        Rules {
            allow: self.allowed_entries().flat_map(read).collect(),
            deny: self.config.network.deny.iter().flat_map(read).map(Pattern::of_every_port).collect(),
            credentials: credentials.collect(),
        }
    }
}

/// The host that a rule is about.
fn reached(rule: &Rule) -> Option<Target> {
    match &rule.grant {
        Grant::Host { host, port } => Target::parse(format!("{host}:{port}").as_bytes()).ok(),
        Grant::CommandPrefix { .. }
        | Grant::WriteBelow { .. }
        | Grant::Script { .. }
        | Grant::Ask { .. }
        | Grant::Deny { .. }
        | Grant::Unknown => None,
    }
}
