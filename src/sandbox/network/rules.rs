//! What the person listed: which targets are allowed, and which never are.

use std::net::IpAddr;

use secrecy::SecretString;

use super::{
    address::is_public,
    host::{Host, Target},
    pattern::Pattern,
};

/// The person's lists.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub allow: Vec<Pattern>,
    pub deny: Vec<Pattern>,
    pub credentials: Vec<Credential>,
}

/// A secret that the proxy adds to requests of commands, which never see it.
#[derive(Debug, Clone)]
pub struct Credential {
    pub target: Target,
    /// In capital letters.
    pub methods: Vec<String>,
    pub header: String,
    pub value: SecretString,
}

/// What the lists say of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ruling {
    Allowed,
    /// Whatever a person says now.
    Denied(String),
    Unlisted,
}

impl Rules {
    pub(super) fn judge(&self, target: &Target) -> Ruling {
        if self.deny.iter().any(|pattern| pattern.matches(target)) {
            return Ruling::Denied("your settings deny it (network.deny)".to_owned());
        }
        if self.lists(target) {
            return Ruling::Allowed;
        }
        match target.host {
            Host::Name(_) => Ruling::Unlisted,
            Host::Address(_) => {
                Ruling::Denied("an address is reached only where your settings list it".to_owned())
            }
        }
    }

    /// Those of a name's addresses that may be connected to. What a name leads to is not the command's to say, so
    /// that an address that is not public has to be listed itself.
    pub(super) fn usable(&self, target: &Target, found: &[IpAddr]) -> Result<Vec<IpAddr>, String> {
        let at = |address: IpAddr| Target { host: Host::Address(address), port: target.port };
        let usable = |address: &&IpAddr| {
            let at = at(**address);
            (is_public(**address) || self.lists(&at)) && !self.deny.iter().any(|pattern| pattern.matches(&at))
        };
        let usable: Vec<IpAddr> = found.iter().filter(usable).copied().collect();
        match found.first() {
            Some(first) if usable.is_empty() => Err(format!(
                "it is at {}, which is no public address; only your settings can allow that (network.allow)",
                Host::Address(*first)
            )),
            _ => Ok(usable),
        }
    }

    /// The secret that goes with a request.
    pub(super) fn credential(&self, target: &Target, method: &str) -> Option<&Credential> {
        self.credentials
            .iter()
            .find(|known| known.target == *target && known.methods.iter().any(|own| own == method))
    }

    fn lists(&self, target: &Target) -> bool {
        self.allow.iter().any(|pattern| pattern.matches(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> Rules {
        let read = |list: &[&str]| list.iter().flat_map(|entry| Pattern::read(entry).unwrap()).collect();
        let deny: Vec<Pattern> = read(deny);
        let deny = deny.into_iter().map(Pattern::of_every_port).collect();
        Rules { allow: read(allow), deny, credentials: Vec::new() }
    }

    fn target(text: &str) -> Target {
        Target::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn deny_wins_and_nothing_is_allowed_that_is_not_listed() {
        let some = rules(&["*.pypi.org", "@rust", "127.0.0.1:*"], &["evil.pypi.org", "static.crates.io:443"]);
        for (text, word) in [
            ("a.pypi.org:443", "allowed"),
            ("evil.pypi.org:443", "denied"),
            ("evil.pypi.org:22", "denied"),
            ("a.pypi.org:22", "unlisted"),
            ("static.crates.io:443", "denied"),
            ("static.crates.io:80", "allowed"),
            ("crates.io:443", "allowed"),
            ("example.com:443", "unlisted"),
            ("127.0.0.1:9", "allowed"),
            ("10.0.0.1:80", "denied"),
            ("8.8.8.8:443", "denied"),
        ] {
            let is = match some.judge(&target(text)) {
                Ruling::Allowed => "allowed",
                Ruling::Denied(_) => "denied",
                Ruling::Unlisted => "unlisted",
            };
            assert_eq!(is, word, "{text}");
        }
        for text in ["crates.io:443", "localhost:80", "127.0.0.1:80"] {
            assert_ne!(
                Rules::default().judge(&target(text)),
                Ruling::Allowed,
                "an empty list allows nothing"
            );
        }
    }

    #[test]
    fn a_name_leads_nowhere_that_is_not_public_unless_that_is_listed_too() {
        let found: Vec<IpAddr> =
            ["127.0.0.1", "10.0.0.1", "8.8.8.8", "::ffff:10.0.0.1"].map(|ip| ip.parse().unwrap()).into();
        let public = vec!["8.8.8.8".parse::<IpAddr>().unwrap()];
        let allowed = rules(&["a.b"], &[]);
        assert_eq!(allowed.usable(&target("a.b:443"), &found), Ok(public));
        let refused = allowed.usable(&target("a.b:443"), &found[..2]).unwrap_err();
        assert!(refused.contains("127.0.0.1") && refused.contains("network.allow"), "{refused}");
        let listed = rules(&["a.b", "10.0.0.1:443"], &["8.8.8.8"]);
        assert_eq!(listed.usable(&target("a.b:443"), &found), Ok(vec![found[1]]));
        assert!(listed.usable(&target("a.b:80"), &found).is_err());
    }
}
