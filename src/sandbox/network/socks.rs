//! SOCKS 5, as far as it is needed: one kind of greeting, and connections to names and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::host::{Host, NotAHost, Target};

pub(super) const VERSION: u8 = 5;
/// Bytes of a greeting or a request at most.
pub(super) const LONGEST: usize = 512;

const NO_AUTHENTICATION: u8 = 0;
const CONNECT: u8 = 1;

/// The answers.
pub(super) const GREETED: [u8; 2] = [VERSION, NO_AUTHENTICATION];
pub(super) const NO_METHOD: [u8; 2] = [VERSION, 0xff];
pub(super) const CONNECTED: [u8; 10] = answer(0);
pub(super) const NOT_ALLOWED: [u8; 10] = answer(2);
pub(super) const UNREACHABLE: [u8; 10] = answer(4);
pub(super) const NOT_KNOWN: [u8; 10] = answer(7);

const fn answer(code: u8) -> [u8; 10] {
    [VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]
}

/// A greeting: its length, and whether it offers what is spoken here.
pub(super) fn greeting(bytes: &[u8]) -> Option<(usize, bool)> {
    let [VERSION, count, rest @ ..] = bytes else { return None };
    let methods = rest.get(..usize::from(*count))?;
    Some((2 + methods.len(), methods.contains(&NO_AUTHENTICATION)))
}

/// A request: its length, and where it wants to go.
pub(super) fn request(bytes: &[u8]) -> Option<(usize, Result<Target, NotAHost>)> {
    let [version, command, reserved, kind, rest @ ..] = bytes else { return None };
    if *version != VERSION || *command != CONNECT || *reserved != 0 {
        return Some((bytes.len(), Err(NotAHost("only connections are made through SOCKS 5"))));
    }
    let (host, used) = match kind {
        1 => {
            let address: [u8; 4] = rest.get(..4)?.try_into().ok()?;
            (Ok(Host::Address(IpAddr::V4(Ipv4Addr::from(address)))), 4)
        }
        4 => {
            let address: [u8; 16] = rest.get(..16)?.try_into().ok()?;
            // By the grammar that holds for what is written.
            (Host::parse(format!("[{}]", Ipv6Addr::from(address)).as_bytes()), 16)
        }
        3 => {
            let length = usize::from(*rest.first()?);
            (Host::parse(rest.get(1..=length)?), 1 + length)
        }
        _ => return Some((bytes.len(), Err(NotAHost("that is no kind of address in SOCKS 5")))),
    };
    let port: [u8; 2] = rest.get(used..used + 2)?.try_into().ok()?;
    let port = u16::from_be_bytes(port);
    let target = match (host, port) {
        (_, 0) => Err(NotAHost("a port is a number from 1 to 65535")),
        (host, port) => host.map(|host| Target { host, port }),
    };
    Some((4 + used + 2, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &[u8]) -> Vec<u8> {
        let length = u8::try_from(name.len()).unwrap();
        [&[5, 1, 0, 3, length], name, &[1, 187]].concat()
    }

    #[test]
    fn names_and_addresses_are_read_by_the_one_grammar() {
        let read = |bytes: &[u8]| {
            request(bytes).map(|(used, target)| (used, target.map(|target| target.to_string())))
        };
        assert_eq!(read(&named(b"Crates.io")), Some((16, Ok("crates.io:443".into()))));
        assert_eq!(read(&named(b"127.0.0.1")), Some((16, Ok("127.0.0.1:443".into()))));
        assert_eq!(read(&[5, 1, 0, 1, 127, 0, 0, 1, 0, 80]), Some((10, Ok("127.0.0.1:80".into()))));
        for hostile in
            [&b"evil.com\0.crates.io"[..], b"crates.io\r\n", b"a@b", b"127.1", b"", b"[::ffff:1.2.3.4]"]
        {
            assert!(matches!(read(&named(hostile)), Some((_, Err(_)))), "{hostile:?}");
        }
        let mut mapped = vec![5, 1, 0, 4];
        mapped.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1, 0, 80]);
        assert!(matches!(read(&mapped), Some((22, Err(_)))));
        for refused in [[5, 2, 0, 1], [5, 3, 0, 1], [4, 1, 0, 1], [5, 1, 0, 9]] {
            assert!(matches!(read(&refused), Some((_, Err(_)))), "{refused:?}");
        }
        assert!(matches!(read(&[5, 1, 0, 1, 1, 1, 1, 1, 0, 0]), Some((_, Err(_)))));
    }

    #[test]
    fn a_part_of_a_request_is_waited_for() {
        let whole = named(b"crates.io");
        for end in 0..whole.len() {
            assert_eq!(request(&whole[..end]), None, "{end}");
        }
        assert_eq!(greeting(&[5, 2, 0]), None);
        assert_eq!(greeting(&[5, 2, 2, 0, 9]), Some((4, true)));
        assert_eq!(greeting(&[5, 1, 2]), Some((3, false)));
    }
}
