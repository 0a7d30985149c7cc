//! The head of an HTTP request, read strictly: what two readers could read differently is refused.

use super::host::{Host, Target};

/// Bytes that a head may have.
pub(super) const LONGEST: usize = 64 * 1024;
/// The port of `http://` without one.
const HTTP: u16 = 80;

/// Fields that are between a client and its proxy, or are written anew.
const DROPPED: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) wanted: Wanted,
    pub(super) body: Body,
    /// HTTP/1.0 or HTTP/1.1.
    minor: u8,
    /// What is passed on.
    fields: Vec<(String, Vec<u8>)>,
}

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `CONNECT`: a way through.
    Tunnel(Target),
    /// A page, from the host that is named with it.
    Page { target: Target, path: String },
}

/// How much follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Sized(u64),
    Chunked,
}

/// Where a head ends, if it does.
pub(super) fn end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

impl Head {
    /// Reads a whole head, up to and with the empty line. `tunnel` is where it comes out, if it comes through one: a
    /// page is then asked for by its path, and of that host alone.
    pub(super) fn parse(bytes: &[u8], tunnel: Option<&Target>) -> Result<Self, &'static str> {
        let text = bytes.strip_suffix(b"\r\n\r\n").ok_or("the request has no end")?;
        let mut lines =
            text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        // A line end is two characters, and neither of them stands alone.
        let ends = text.windows(2).filter(|pair| pair == b"\r\n").count();
        let count = |wanted: u8| text.iter().filter(|byte| **byte == wanted).count();
        if count(b'\r') != ends || count(b'\n') != ends {
            return Err("a line of the request does not end as lines do");
        }
        let first = lines.next().unwrap_or_default();
        let words: Vec<&[u8]> = first.split(|byte| *byte == b' ').collect();
        let [method, uri, version] = words[..] else { return Err("the request line has not three words") };
        let minor = match version {
            b"HTTP/1.0" => 0,
            b"HTTP/1.1" => 1,
            _ => return Err("only HTTP/1.0 and HTTP/1.1 are spoken here"),
        };
        if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
            return Err("the method is no word");
        }
        let method = String::from_utf8_lossy(method).into_owned();
        let fields = lines.map(field).collect::<Result<Vec<_>, _>>()?;
        let body = body(&fields, minor)?;
        let wanted = match (tunnel, method.as_str()) {
            (None, "CONNECT") => Wanted::Tunnel(Target::parse(uri).map_err(|error| error.0)?),
            (None, _) => page(uri)?,
            (Some(_), "CONNECT") => return Err("a tunnel leads to no other one"),
            (Some(target), _) => {
                let host = single(&fields, "host")?.ok_or("the request names no host")?;
                if Target::parse_or(host, target.port) != Ok(target.clone()) {
                    return Err("the request is for another host than the tunnel");
                }
                Wanted::Page { target: target.clone(), path: path(uri)? }
            }
        };
        let named: Vec<String> = fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
            .flat_map(|(_, value)| value.split(|byte| *byte == b','))
            .map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase())
            .collect();
        let kept = |(name, _): &(String, Vec<u8>)| {
            let name = name.to_ascii_lowercase();
            !DROPPED.contains(&name.as_str()) && !named.contains(&name)
        };
        Ok(Self { method, wanted, body, minor, fields: fields.into_iter().filter(kept).collect() })
    }

    /// The head as the server gets it, which closes the connection after its answer.
    pub(super) fn for_server(
        &self,
        target: &Target,
        path: &str,
        credential: Option<(&str, &str)>,
    ) -> Vec<u8> {
        let host = if target.port == HTTP { target.host.to_string() } else { target.to_string() };
        let mut out =
            format!("{} {path} HTTP/1.{}\r\nHost: {host}\r\n", self.method, self.minor).into_bytes();
        for (name, value) in &self.fields {
            // Where there is a credential, the command's own word does not count.
            if credential.is_none_or(|(own, _)| !name.eq_ignore_ascii_case(own)) {
                out.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
            }
        }
        if let Some((name, value)) = credential {
            out.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        match self.body {
            Body::Sized(0) if matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "DELETE") => {}
            Body::Sized(length) => out.extend(format!("Content-Length: {length}\r\n").into_bytes()),
            Body::Chunked => out.extend(b"Transfer-Encoding: chunked\r\n"),
        }
        out.extend(b"Connection: close\r\n\r\n");
        out
    }
}

fn field(line: &[u8]) -> Result<(String, Vec<u8>), &'static str> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("a field of the request has no colon")?;
    let (name, value) = line.split_at(colon);
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err("the name of a field is no word");
    }
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    if value.iter().any(|byte| *byte < b' ' && *byte != b'\t' || *byte == 0x7f) {
        return Err("a field of the request has control characters");
    }
    Ok((String::from_utf8_lossy(name).into_owned(), value.to_vec()))
}

/// The value of a field that may come only once.
fn single<'a>(fields: &'a [(String, Vec<u8>)], name: &str) -> Result<Option<&'a [u8]>, &'static str> {
    let mut found = fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (_, Some(_)) => Err("a field of the request comes twice"),
        (found, None) => Ok(found.map(|(_, value)| value.as_slice())),
    }
}

fn body(fields: &[(String, Vec<u8>)], minor: u8) -> Result<Body, &'static str> {
    match (single(fields, "content-length")?, single(fields, "transfer-encoding")?) {
        (None, None) => Ok(Body::Sized(0)),
        (Some(length), None) => {
            let digits = !length.is_empty() && length.len() < 19 && length.iter().all(u8::is_ascii_digit);
            let length = digits.then(|| std::str::from_utf8(length).ok()?.parse().ok()).flatten();
            length.map(Body::Sized).ok_or("the length of the request is no number")
        }
        (None, Some(coding)) if minor == 1 && coding.eq_ignore_ascii_case(b"chunked") => Ok(Body::Chunked),
        (None, Some(_)) => Err("the request is encoded in a way that is not known here"),
        (Some(_), Some(_)) => Err("the request has two lengths"),
    }
}

/// `http://HOST[:PORT]/PATH`.
fn page(uri: &[u8]) -> Result<Wanted, &'static str> {
    let (scheme, rest) = uri.split_at_checked(7).ok_or("the request names no host")?;
    if !scheme.eq_ignore_ascii_case(b"http://") {
        return Err("only http:// is asked for like this; a TLS connection begins with CONNECT");
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let target = Target::parse_or(authority, HTTP).map_err(|error| error.0)?;
    let path = match rest {
        [b'/', ..] => path(rest)?,
        [] => "/".to_owned(),
        _ => path(&[b"/", rest].concat())?,
    };
    Ok(Wanted::Page { target, path })
}

fn path(uri: &[u8]) -> Result<String, &'static str> {
    let whole = matches!(uri, [b'/', ..] | b"*");
    if !whole || !uri.iter().all(|byte| (0x21..0x7f).contains(byte) && *byte != b'#') {
        return Err("the path of the request is none");
    }
    Ok(String::from_utf8_lossy(uri).into_owned())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether something may stand in the place of a field's name, and of its value.
pub(super) fn is_field(name: &str, value: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(is_token)
        && !DROPPED.contains(&name.to_ascii_lowercase().as_str())
        && value.bytes().all(|byte| (b' '..0x7f).contains(&byte))
}

/// Whether the host is a name, which a TLS client then sends.
pub(super) fn is_name(host: &Host) -> bool {
    matches!(host, Host::Name(_))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Head, &'static str> {
        Head::parse(text.as_bytes(), None)
    }

    fn target(text: &str) -> Target {
        Target::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_tunnel_and_a_page_are_asked_for() {
        let head = parse("CONNECT Crates.io:443 HTTP/1.1\r\nHost: evil.com\r\n\r\n").unwrap();
        assert_eq!(head.wanted, Wanted::Tunnel(target("crates.io:443")));
        for (uri, wanted, path) in [
            ("http://a.b/", "a.b:80", "/"),
            ("HTTP://A.B", "a.b:80", "/"),
            ("http://a.b:8080/x/y?z=%20", "a.b:8080", "/x/y?z=%20"),
            ("http://a.b?q", "a.b:80", "/?q"),
            ("http://127.0.0.1:1/", "127.0.0.1:1", "/"),
        ] {
            let head = parse(&format!("GET {uri} HTTP/1.1\r\n\r\n")).unwrap();
            assert_eq!(head.wanted, Wanted::Page { target: target(wanted), path: path.to_owned() }, "{uri}");
        }
    }

    #[test]
    fn the_server_gets_one_host_one_length_and_no_word_for_the_proxy() {
        let text = "POST http://a.b:81/x HTTP/1.1\r\nHost: evil.com\r\nContent-Length: 3\r\nX-A: 1\r\nX-Hop: 2\r\n\
                    Connection: keep-alive, X-Hop\r\nProxy-Authorization: Basic eA==\r\nAuthorization: mine\r\n\r\n";
        let head = parse(text).unwrap();
        let sent = head.for_server(&target("a.b:81"), "/x", Some(("authorization", "Bearer secret")));
        assert_eq!(
            String::from_utf8(sent).unwrap(),
            "POST /x HTTP/1.1\r\nHost: a.b:81\r\nX-A: 1\r\nauthorization: Bearer secret\r\nContent-Length: 3\r\n\
             Connection: close\r\n\r\n"
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "GET http://a.b/ HTTP/1.1\nHost: a.b\r\n\r\n",
            "GET http://a.b/ HTTP/1.1\r\nA: b\rc\r\n\r\n",
            "GET http://a.b/ HTTP/1.1\r\nA: b\nB: c\r\n\r\n",
            "GET http://a.b/ HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
            "GET http://a.b/ HTTP/1.1\r\nA : b\r\n\r\n",
            "GET http://a.b/ HTTP/1.1\r\n: b\r\n\r\n",
            "GET http://a.b/ HTTP/1.1\r\nA\r\n\r\n",
            "GET http://a.b/ HTTP/1.1\r\nA: \0\r\n\r\n",
            "GET  http://a.b/ HTTP/1.1\r\n\r\n",
            "GET http://a.b/x y HTTP/1.1\r\n\r\n",
            "GET http://a.b/\t HTTP/1.1\r\n\r\n",
            "GET http://a.b/#x HTTP/1.1\r\n\r\n",
            "GET http://a.b HTTP/2\r\n\r\n",
            "GET http://a.b/\r\n\r\n",
            "G(T http://a.b/ HTTP/1.1\r\n\r\n",
            "GET https://a.b/ HTTP/1.1\r\n\r\n",
            "GET ftp://a.b/ HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.b\r\n\r\n",
            "GET a.b:80 HTTP/1.1\r\n\r\n",
            "GET http:///x HTTP/1.1\r\n\r\n",
            "GET http://user@a.b/ HTTP/1.1\r\n\r\n",
            "GET http://a.b@evil.com/ HTTP/1.1\r\n\r\n",
            "GET http://a.b\\@evil.com/ HTTP/1.1\r\n\r\n",
            "GET http://a.b%2eevil.com/ HTTP/1.1\r\n\r\n",
            "GET http://a.b\0.crates.io/ HTTP/1.1\r\n\r\n",
            "CONNECT a.b HTTP/1.1\r\n\r\n",
            "CONNECT http://a.b:443 HTTP/1.1\r\n\r\n",
            "CONNECT a.b:443/x HTTP/1.1\r\n\r\n",
            "CONNECT a@b:443 HTTP/1.1\r\n\r\n",
            "connect a.b:443 HTTP/1.1\r\n\r\n",
            "POST http://a.b/ HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
            "POST http://a.b/ HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST http://a.b/ HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
            "POST http://a.b/ HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n",
            "POST http://a.b/ HTTP/1.1\r\nContent-Length:\r\n\r\n",
            "POST http://a.b/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST http://a.b/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn through_a_tunnel_only_its_own_host_is_asked() {
        let tunnel = target("a.b:80");
        let parse = |text: &str| Head::parse(text.as_bytes(), Some(&tunnel));
        for fine in ["a.b", "A.b:80", "a.b."] {
            let head = parse(&format!("GET /x HTTP/1.1\r\nHost: {fine}\r\n\r\n")).unwrap();
            assert_eq!(head.wanted, Wanted::Page { target: tunnel.clone(), path: "/x".into() });
        }
        for text in [
            "GET /x HTTP/1.1\r\nHost: evil.com\r\n\r\n",
            "GET /x HTTP/1.1\r\nHost: a.b:81\r\n\r\n",
            "GET /x HTTP/1.1\r\n\r\n",
            "GET /x HTTP/1.1\r\nHost: a.b\r\nHost: evil.com\r\n\r\n",
            "GET http://evil.com/x HTTP/1.1\r\nHost: a.b\r\n\r\n",
            "CONNECT evil.com:443 HTTP/1.1\r\nHost: a.b\r\n\r\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_passed_on_is_read_again_as_the_same_request(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            uri in "http://[a-z.]{1,9}(:[0-9]{1,4})?/[!-~]{0,9}",
        ) {
            let text = [format!("GET {uri} HTTP/1.1\r\n").as_bytes(), &bytes, b"\r\n\r\n"].concat();
            if let Ok(head) = Head::parse(&text, None) {
                let Wanted::Page { target, path } = &head.wanted else { unreachable!() };
                let sent = head.for_server(target, path, None);
                prop_assert_eq!(end(&sent), Some(sent.len()));
                let again = Head::parse(&sent, Some(target));
                prop_assert_eq!(again, Ok(head.clone()), "{:?}", sent);
            }
        }
    }
}
