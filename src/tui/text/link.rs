//! Where texts lead: addresses that may be followed, addresses and places in files within a text, and whether a
//! text says honestly where it leads.

use std::{ops::Range, path::Path, sync::Arc};

/// A longer address is no link. Terminals take about as much.
const LONGEST: usize = 2000;

/// Whether the terminal follows links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Follow {
    /// None are made.
    #[default]
    No,
    /// It may pass over them: each text says where it leads as well.
    Maybe,
    /// It does. Only what would mislead says where it leads.
    Yes,
}

/// An address that may be followed: of a harmless kind, printable, of bounded length. Others are only text.
#[must_use]
pub fn target(address: &str) -> Option<Arc<str>> {
    let (scheme, rest) = address.split_once(':')?;
    let known = match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => {
            rest.strip_prefix("//").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        }
        "file" => rest.starts_with("///"),
        "mailto" => rest.contains('@'),
        _ => false,
    };
    // The name of a host in other letters than these can be one that only looks familiar.
    if !known || !host(address).unwrap_or_default().is_ascii() {
        return None;
    }
    let address = format!("{}:{}", scheme.to_ascii_lowercase(), escaped(rest));
    (address.len() <= LONGEST).then(|| address.into())
}

/// Everything that is not printable ASCII as `%XX`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            0x21..=0x7e if !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}') => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Whom an address asks, without a port.
fn host(address: &str) -> Option<&str> {
    let rest = address.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some(host.rsplit_once(':').map_or(host, |(host, _)| host))
}

/// Whether a text names another place than the one that it leads to, so that this has to be said beside it.
#[must_use]
pub fn misleads(text: &str, address: &str) -> bool {
    let bare = |host: &str| host.strip_prefix("www.").unwrap_or(host).to_lowercase();
    let leads_to = match host(address) {
        Some(host) => bare(host),
        None => address.rsplit_once('@').map(|(_, host)| bare(host)).unwrap_or_default(),
    };
    // With a name before the host, what stands there looks like the host.
    let disguised = address
        .split_once("://")
        .is_some_and(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default().contains('@'));
    let inner = |char: char| char.is_alphanumeric() || matches!(char, '.' | '-' | '_');
    let named = text.split(|char| !inner(char)).map(|word| word.trim_matches('.')).filter(|word| {
        let ends = word.rsplit_once('.').is_some_and(|(_, end)| end.chars().any(char::is_alphabetic));
        ends || word.split('.').count() == 4
    });
    // Names of files look like names of hosts. To say too often where a link leads does no harm.
    disguised || named.map(bare).any(|name| name != leads_to)
}

/// The links within a text: bare addresses, and places in files (`src/main.rs:12`) below `root`.
#[must_use]
pub fn find(text: &str, root: &Path) -> Vec<(Range<usize>, Arc<str>)> {
    if !text.contains(':') {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut from = 0;
    for word in
        text.split_inclusive(|char: char| char.is_whitespace() || "<>\"'`“”‘’（）【】「」，。".contains(char))
    {
        let begin = from;
        from += word.len();
        let Some(colon) = word.find(':') else { continue };
        let start = word.get(..colon).and_then(|before| {
            ["https", "http"]
                .iter()
                .find(|scheme| before.ends_with(**scheme))
                .map(|scheme| colon - scheme.len())
        });
        match start.filter(|_| word.get(colon..).is_some_and(|rest| rest.starts_with("://"))) {
            Some(start) => {
                let address = trimmed(word.get(start..).unwrap_or_default());
                if let Some(to) = target(address) {
                    found.push((begin + start..begin + start + address.len(), to));
                }
            }
            None => {
                let start = word.len() - word.trim_start_matches(['(', '[', '*']).len();
                let place = word.get(start..).unwrap_or_default();
                if let Some((len, to)) = place_in_file(place, root) {
                    found.push((begin + start..begin + start + len, to));
                }
            }
        }
    }
    found
}

/// An address without what belongs to the sentence around it.
fn trimmed(word: &str) -> &str {
    let mut word = word;
    loop {
        let shorter = word.trim_end_matches(|char: char| {
            char.is_whitespace() || ".,;:!?<>\"'`*“”‘’（）【】「」，。".contains(char)
        });
        let unopened = |open: char, close: char| {
            shorter.ends_with(close) && shorter.matches(close).count() > shorter.matches(open).count()
        };
        let next = match unopened('(', ')') || unopened('[', ']') {
            true => shorter.get(..shorter.len() - 1).unwrap_or_default(),
            false => shorter,
        };
        if next == word {
            return word;
        }
        word = next;
    }
}

/// `path:line` or `path:line:column`, with the length of it.
fn place_in_file(word: &str, root: &Path) -> Option<(usize, Arc<str>)> {
    let (path, rest) = word.split_once(':')?;
    let digits = rest.len() - rest.trim_start_matches(|char: char| char.is_ascii_digit()).len();
    let after = rest.get(digits..)?;
    let column = after
        .strip_prefix(':')
        .map_or(0, |rest| rest.len() - rest.trim_start_matches(|char: char| char.is_ascii_digit()).len());
    let len = path.len() + 1 + digits + if column > 0 { 1 + column } else { 0 };
    let inner = |char: char| char.is_alphanumeric() || "._-+/@~#".contains(char);
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension =
        name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, extension)| extension);
    let is_file = extension.is_some_and(|extension| extension.chars().any(char::is_alphabetic));
    // What follows must end the word: `a.b:1c` is none.
    let ends = word.get(len..)?.chars().next().is_none_or(|char| !char.is_alphanumeric());
    if digits == 0
        || !path.chars().all(inner)
        || !ends
        || !(is_file || path.contains('/'))
        || path.contains("//")
    {
        return None;
    }
    // `host.name:80` is no file, but nothing tells them apart where there is no directory before it.
    if !path.contains('/')
        && extension.is_some_and(|extension| ["com", "org", "net", "local"].contains(&extension))
    {
        return None;
    }
    let path = root.join(path.strip_prefix("./").unwrap_or(path));
    let path = escaped(path.to_str()?).replace('#', "%23").replace('?', "%3F");
    Some((len, target(&format!("file://{path}"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_addresses_are_links() {
        let table = [
            ("https://a.b/c?d#e", Some("https://a.b/c?d#e")),
            ("HTTP://a.b", Some("http://a.b")),
            ("https://a.b/ü x\u{1b}]8;;\u{7}", Some("https://a.b/%C3%BC%20x%1B]8;;%07")),
            ("mailto:me@a.b", Some("mailto:me@a.b")),
            ("file:///a b", Some("file:///a%20b")),
            ("file://host/share", None),
            ("javascript:alert(1)", None),
            ("ssh://a.b", None),
            ("https:///x", None),
            ("https://аpple.com", None),
            ("relative/path", None),
            ("#anchor", None),
        ];
        for (address, expected) in table {
            assert_eq!(target(address).as_deref(), expected, "{address}");
        }
        assert_eq!(target(&format!("https://a.b/{}", "x".repeat(LONGEST))), None);
    }

    #[test]
    fn a_text_that_names_another_place_misleads() {
        let table = [
            ("the docs", "https://a.b/c", false),
            ("a.b", "https://a.b/c", false),
            ("https://www.a.b/x", "https://a.b/c", false),
            ("google.com", "https://evil.example/", true),
            ("https://bank.example/login", "https://evil.example/bank.example.html", true),
            ("see google.com", "https://google.com@evil.example/", true),
            ("click", "https://google.com@evil.example/", true),
            ("gооgle.com", "https://google.com/", true),
            ("192.0.2.1", "https://198.51.100.1/", true),
            ("google.com", "https://evil.example/google.com", true),
            ("me@a.b", "mailto:me@a.b", false),
            ("me@a.b", "mailto:you@c.d", true),
            ("version 1.2", "https://a.b", false),
        ];
        for (text, address, expected) in table {
            assert_eq!(misleads(text, address), expected, "{text} -> {address}");
        }
    }

    #[test]
    fn addresses_and_places_are_found_without_the_sentence_around_them() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("see https://a.b/c.", &[("https://a.b/c", "https://a.b/c")]),
            ("(https://a.b/c_(d)), x", &[("https://a.b/c_(d)", "https://a.b/c_(d)")]),
            ("“http://a.b”", &[("http://a.b", "http://a.b")]),
            (
                "at src/main.rs:12, and b.py:3:7:",
                &[("src/main.rs:12", "file:///w%20x/src/main.rs"), ("b.py:3:7", "file:///w%20x/b.py")],
            ),
            ("/etc/hosts:1", &[("/etc/hosts:1", "file:///etc/hosts")]),
            ("(./a-b.c:9)", &[("./a-b.c:9", "file:///w%20x/a-b.c")]),
            ("12:30 a:b x::y ratio 3:2 example.com:80 std::x v1.2:3", &[]),
            ("https:// ftp://a.b xhttps", &[]),
        ];
        for (text, expected) in table {
            let found = find(text, Path::new("/w x"));
            let found: Vec<(&str, &str)> =
                found.iter().map(|(range, to)| (text.get(range.clone()).unwrap(), &**to)).collect();
            assert_eq!(found, *expected, "{text}");
        }
    }
}
