//! What a host may be called: one strict grammar, for whatever names one. What does not fit it is refused before
//! anything is compared with it, so that no two readers of a name can differ.

use std::{fmt, net::IpAddr};

/// Bytes of a name at most.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A machine, as somebody named it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// In small letters, without a dot at its end.
    Name(String),
    Address(IpAddr),
}

/// A port of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    pub host: Host,
    pub port: u16,
}

/// Why something names no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAHost(pub &'static str);

impl Host {
    /// Reads a name, an IPv4 address, or an IPv6 address in brackets.
    ///
    /// # Errors
    /// When it is none of these, or not written in the one way that everybody reads alike.
    pub fn parse(text: &[u8]) -> Result<Self, NotAHost> {
        if let Some(rest) = text.strip_prefix(b"[") {
            let inner = rest.strip_suffix(b"]").ok_or(NotAHost("`[` without `]`"))?;
            return address_v6(inner);
        }
        // One more, for the dot at the end.
        if text.is_empty() || text.len() > LONGEST_NAME + 1 {
            return Err(NotAHost("a host's name has 1 to 253 characters"));
        }
        let lower = text.to_ascii_lowercase();
        let bare = lower.strip_suffix(b".").unwrap_or(&lower);
        if !bare.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-')) {
            return Err(NotAHost("a host's name has only letters a to z, digits, dots and hyphens"));
        }
        let Ok(name) = std::str::from_utf8(bare) else { return Err(NotAHost("it is not text")) };
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(NotAHost("a host's name has 1 to 253 characters"));
        }
        for label in name.split('.') {
            if label.is_empty() || label.len() > LONGEST_LABEL {
                return Err(NotAHost("each part of a host's name has 1 to 63 characters"));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(NotAHost("no part of a host's name begins or ends with a hyphen"));
            }
        }
        let last = name.rsplit('.').next().unwrap_or_default();
        if !is_number(last) {
            return Ok(Self::Name(name.to_owned()));
        }
        // Other readers take `127.1`, `0x7f.1` and `2130706433` for addresses.
        match name.parse() {
            Ok(address) if bare.len() == text.len() => Ok(Self::Address(IpAddr::V4(address))),
            _ => Err(NotAHost("an address is written as four numbers, such as 192.0.2.1")),
        }
    }
}

fn address_v6(text: &[u8]) -> Result<Host, NotAHost> {
    let wrong = NotAHost("what stands in brackets is no IPv6 address");
    let address: std::net::Ipv6Addr =
        std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(wrong)?;
    // The same machine under another name.
    if address.to_ipv4().is_some() && !address.is_loopback() && !address.is_unspecified() {
        return Err(NotAHost("an IPv4 address is not written as an IPv6 address"));
    }
    Ok(Host::Address(IpAddr::V6(address)))
}

/// Whether some reader would take a name that ends so for an address.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x");
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Target {
    /// Reads `HOST:PORT`.
    ///
    /// # Errors
    /// When the host is none, or there is no port.
    pub fn parse(text: &[u8]) -> Result<Self, NotAHost> {
        match split_port(text) {
            (host, Some(port)) => Ok(Self { host: Host::parse(host)?, port: port_of(port)? }),
            (_, None) => Err(NotAHost("there is no port")),
        }
    }

    /// The same, with a port for where none is given.
    ///
    /// # Errors
    /// When the host or the port is none.
    pub fn parse_or(text: &[u8], port: u16) -> Result<Self, NotAHost> {
        match split_port(text) {
            (_, Some(_)) => Self::parse(text),
            (host, None) => Ok(Self { host: Host::parse(host)?, port }),
        }
    }
}

/// The port behind the last colon that is not in brackets.
pub(super) fn split_port(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let colon = text
        .iter()
        .rposition(|byte| *byte == b':')
        .filter(|at| !text.get(*at..).unwrap_or_default().contains(&b']'));
    match colon {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// A port, written in the one usual way.
pub(super) fn port_of(text: &[u8]) -> Result<u16, NotAHost> {
    let wrong = NotAHost("a port is a number from 1 to 65535");
    if text.is_empty() || text.starts_with(b"0") || !text.iter().all(u8::is_ascii_digit) {
        return Err(wrong);
    }
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(wrong)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_spellings_are_no_hosts() {
        let long_label = format!("{}.com", "a".repeat(64));
        let long_name = vec!["a".repeat(60); 5].join(".");
        let table: &[&[u8]] = &[
            b"",
            b".",
            b"..",
            b"evil.com\0.crates.io",
            b"crates.io\0",
            b"crates.io\r\nHost: evil.com",
            b"crates.io\n",
            b" crates.io",
            b"crates.io ",
            b"crates.io\t",
            b"crates..io",
            b".crates.io",
            b"crates.io..",
            b"evil.com%00.crates.io",
            b"evil.com%2ecrates.io",
            b"crates.io@evil.com",
            b"user:pass@crates.io",
            b"evil.com#crates.io",
            b"evil.com/crates.io",
            b"evil.com\\crates.io",
            b"evil.com?crates.io",
            b"crates.io:443",
            b"*.crates.io",
            b"crates_io",
            b"-crates.io",
            b"crates-.io",
            "crаtes.io".as_bytes(),
            "crates。io".as_bytes(),
            "ⓒrates.io".as_bytes(),
            b"crates.io\xad",
            b"\xff\xfe",
            b"127.1",
            b"127.0.1",
            b"2130706433",
            b"0x7f000001",
            b"0x7f.0.0.1",
            b"127.0.0.0x1",
            b"017700000001",
            b"0177.0.0.1",
            b"127.0.0.01",
            b"127.0.0.1.",
            b"127.0.0.256",
            b"1.2.3.4.5",
            b"evil.1",
            b"::1",
            b"[::1",
            b"::1]",
            b"[::1%lo]",
            b"[fe80::1%25eth0]",
            b"[::ffff:127.0.0.1]",
            b"[::ffff:7f00:1]",
            b"[::127.0.0.1]",
            b"[127.0.0.1]",
            b"[]",
            b"[crates.io]",
            b"localhost,127.0.0.1",
            b"crates.io;evil.com",
            long_label.as_bytes(),
            long_name.as_bytes(),
        ];
        assert!(table.len() >= 50);
        for text in table {
            assert!(Host::parse(text).is_err(), "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_host_has_one_spelling() {
        for (text, host) in [
            ("crates.io", "crates.io"),
            ("Crates.IO", "crates.io"),
            ("crates.io.", "crates.io"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("1password.com", "1password.com"),
            ("3.pool.ntp.org", "3.pool.ntp.org"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8:0::1]", "[2001:db8::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(
                Host::parse(text.as_bytes()).map(|host| host.to_string()).as_deref(),
                Ok(host),
                "{text}"
            );
        }
    }

    #[test]
    fn a_target_has_a_host_and_a_port() {
        for (text, target) in [
            ("crates.io:443", Some("crates.io:443")),
            ("CRATES.io.:8080", Some("crates.io:8080")),
            ("[::1]:80", Some("[::1]:80")),
            ("127.0.0.1:65535", Some("127.0.0.1:65535")),
            ("crates.io", None),
            ("[::1]", None),
            ("::1:80", None),
            ("crates.io:", None),
            ("crates.io:0", None),
            ("crates.io:0443", None),
            ("crates.io:+443", None),
            ("crates.io:65536", None),
            ("crates.io:443:80", None),
            ("crates.io: 443", None),
            ("crates.io:4 43", None),
            ("crates.io:https", None),
            (":443", None),
        ] {
            let read = Target::parse(text.as_bytes()).ok().map(|target| target.to_string());
            assert_eq!(read.as_deref(), target, "{text}");
        }
        assert_eq!(Target::parse_or(b"a.b", 80).map(|target| target.port), Ok(80));
    }

    proptest! {
        #[test]
        fn what_is_read_is_read_again_as_the_same(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(host) = Host::parse(&bytes) {
                prop_assert_eq!(Host::parse(host.to_string().as_bytes()), Ok(host));
            }
        }

        #[test]
        fn ordinary_names_are_hosts(name in "([a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?\\.){0,4}[a-z]{2,8}") {
            prop_assert_eq!(Host::parse(name.as_bytes()), Ok(Host::Name(name)));
        }
    }
}
