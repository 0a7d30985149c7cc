//! Hosts that a person lists: an exact one, all below a domain, or a preset.

use std::{fmt, str::FromStr};

use super::host::{Host, Target, port_of, split_port};

/// Ports of a host that is listed without one.
const USUAL_PORTS: [u16; 2] = [443, 80];

/// Lists that have a name.
const PRESETS: &[(&str, &[&str])] = &[
    (
        "package-registries",
        &[
            "crates.io",
            "index.crates.io",
            "static.crates.io",
            "static.rust-lang.org",
            "registry.npmjs.org",
            "registry.yarnpkg.com",
            "nodejs.org",
            "pypi.org",
            "files.pythonhosted.org",
            "proxy.golang.org",
            "sum.golang.org",
            "rubygems.org",
            "index.rubygems.org",
            "repo.maven.apache.org",
            "repo1.maven.org",
            "plugins.gradle.org",
            "services.gradle.org",
            "repo.packagist.org",
            "api.nuget.org",
            "deb.debian.org",
            "security.debian.org",
            "archive.ubuntu.com",
            "security.ubuntu.com",
            "dl-cdn.alpinelinux.org",
        ],
    ),
    ("rust", &["crates.io", "index.crates.io", "static.crates.io", "static.rust-lang.org"]),
    ("node", &["registry.npmjs.org", "registry.yarnpkg.com", "nodejs.org"]),
    ("python", &["pypi.org", "files.pythonhosted.org"]),
    ("go", &["proxy.golang.org", "sum.golang.org"]),
    (
        "git-hosts",
        &[
            "github.com",
            "codeload.github.com",
            "objects.githubusercontent.com",
            "raw.githubusercontent.com",
            "release-assets.githubusercontent.com",
            "gitlab.com",
            "bitbucket.org",
            "codeberg.org",
        ],
    ),
];

/// What a list says of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    hosts: Hosts,
    ports: Ports,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    Exactly(Host),
    /// Every name that ends with a dot and this one.
    Below(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ports {
    Usual,
    One(u16),
    Any,
}

impl Pattern {
    /// What an entry of a list means: one pattern, or those of a preset.
    ///
    /// # Errors
    /// With what is wrong, for the person who wrote it.
    pub fn read(entry: &str) -> Result<Vec<Self>, String> {
        let Some(name) = entry.strip_prefix('@') else { return Ok(vec![entry.parse()?]) };
        let preset = PRESETS.iter().find(|(known, _)| *known == name);
        let (_, hosts) = preset.ok_or_else(|| {
            let known: Vec<String> = PRESETS.iter().map(|(name, _)| format!("@{name}")).collect();
            format!("there is no preset `{entry}`; there are {}", known.join(", "))
        })?;
        hosts.iter().map(|host| host.parse()).collect()
    }

    /// Whether the list means this one.
    #[must_use]
    pub fn matches(&self, target: &Target) -> bool {
        let port = match self.ports {
            Ports::Usual => USUAL_PORTS.contains(&target.port),
            Ports::One(port) => port == target.port,
            Ports::Any => true,
        };
        port && match (&self.hosts, &target.host) {
            (Hosts::Exactly(host), wanted) => host == wanted,
            (Hosts::Below(domain), Host::Name(name)) => {
                name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (Hosts::Below(_), Host::Address(_)) => false,
        }
    }

    /// The same for every port, where none was named: to refuse a host is to refuse all of it.
    #[must_use]
    pub fn of_every_port(self) -> Self {
        match self.ports {
            Ports::Usual => Self { ports: Ports::Any, ..self },
            Ports::One(_) | Ports::Any => self,
        }
    }

    /// Exactly this one.
    #[must_use]
    pub fn exactly(Target { host, port }: Target) -> Self {
        Self { hosts: Hosts::Exactly(host), ports: Ports::One(port) }
    }

    /// Whether it lists this machine itself by its address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        matches!(&self.hosts, Hosts::Exactly(Host::Address(address)) if address.is_loopback())
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| {
            format!(
                "`{text}` is no host: {why}. Write a host such as crates.io, *.pypi.org, 127.0.0.1:8080 or a preset such as @package-registries"
            )
        };
        if text.contains("://") {
            return Err(wrong("it is the address of a page, and only hosts are listed"));
        }
        let (host, port) = split_port(text.as_bytes());
        let ports = match port {
            None => Ports::Usual,
            Some(b"*") => Ports::Any,
            Some(port) => Ports::One(port_of(port).map_err(|error| wrong(error.0))?),
        };
        if let Some(domain) = host.strip_prefix(b"*.") {
            return match Host::parse(domain).map_err(|error| wrong(error.0))? {
                Host::Name(name) if name.contains('.') => Ok(Self { hosts: Hosts::Below(name), ports }),
                Host::Name(_) => Err(wrong("everything below one word is too much")),
                Host::Address(_) => Err(wrong("nothing is below an address")),
            };
        }
        if host == b"*" {
            return Err(wrong("each host is named, there is no list of all"));
        }
        let host = Host::parse(host).map_err(|error| wrong(error.0))?;
        Ok(Self { hosts: Hosts::Exactly(host), ports })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::Exactly(host) => host.fmt(f)?,
            Hosts::Below(domain) => write!(f, "*.{domain}")?,
        }
        match self.ports {
            Ports::Usual => Ok(()),
            Ports::One(port) => write!(f, ":{port}"),
            Ports::Any => f.write_str(":*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_its_hosts_and_no_others() {
        for (pattern, target, matches) in [
            ("crates.io", "crates.io:443", true),
            ("crates.io", "crates.io:80", true),
            ("Crates.IO.", "crates.io:443", true),
            ("crates.io", "crates.io:22", false),
            ("crates.io", "static.crates.io:443", false),
            ("crates.io", "evilcrates.io:443", false),
            ("crates.io", "crates.io.evil.com:443", false),
            ("crates.io:22", "crates.io:22", true),
            ("crates.io:22", "crates.io:443", false),
            ("crates.io:*", "crates.io:9999", true),
            ("*.crates.io", "static.crates.io:443", true),
            ("*.crates.io", "a.b.crates.io:443", true),
            ("*.crates.io", "crates.io:443", false),
            ("*.crates.io", "evilcrates.io:443", false),
            ("*.crates.io", "static.crates.io:8443", false),
            ("*.crates.io:*", "static.crates.io:8443", true),
            ("127.0.0.1:*", "127.0.0.1:5432", true),
            ("127.0.0.1:*", "127.0.0.2:5432", false),
            ("127.0.0.1:*", "localhost:5432", false),
            ("127.0.0.1:*", "[::1]:5432", false),
            ("[::1]:8080", "[::1]:8080", true),
            ("192.0.2.1", "192.0.2.1:443", true),
        ] {
            let (read, target): (Pattern, _) =
                (pattern.parse().unwrap(), Target::parse(target.as_bytes()).unwrap());
            assert_eq!(read.matches(&target), matches, "{pattern} {target}");
        }
    }

    #[test]
    fn what_means_nothing_or_everything_is_refused_in_words() {
        for (text, why) in [
            ("", "1 to 253"),
            ("*", "no list of all"),
            ("*:*", "no list of all"),
            ("*.com", "too much"),
            ("*.", "1 to 253"),
            ("*.*.com", "only letters"),
            ("a.*.com", "only letters"),
            ("**.pypi.org", "only letters"),
            ("*pypi.org", "only letters"),
            ("https://crates.io", "of a page"),
            ("crates.io/path", "only letters"),
            ("crates.io:0", "a port is"),
            ("crates.io:http", "a port is"),
            ("*.0.0.1", "four numbers"),
            ("*.127.0.0.1", "below an address"),
            ("10.0.0.0/8", "only letters"),
            ("[::ffff:10.0.0.1]:*", "IPv4 address"),
            ("@nothing", "no preset"),
        ] {
            let error = Pattern::read(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn presets_are_hosts_and_a_pattern_is_written_as_it_is_read() {
        for (name, hosts) in PRESETS {
            assert_eq!(Pattern::read(&format!("@{name}")).unwrap().len(), hosts.len(), "{name}");
        }
        for text in ["crates.io", "*.pypi.org", "127.0.0.1:*", "[::1]:80", "a.b:22"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
    }
}
