//! The first words of a TLS connection, as far as they name the server: so that what goes through the tunnel goes to
//! the host that the tunnel was asked for.

/// Bytes that a hello may take, over all its records. Those with the largest known keys have some kilobytes.
const LONGEST: usize = 64 * 1024;
/// Type and length of a handshake message.
const HEADER: usize = 4;

const SERVER_NAME: u16 = 0;
const ENCRYPTED_HELLO: u16 = 0xfe0d;

/// What the bytes so far say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    /// Something is missing.
    More,
    /// Whoever speaks here does not speak TLS.
    NotTls,
    /// Nobody speaks TLS like this.
    Bad(&'static str),
    Hello(Hello),
}

/// What a hello says of the server that it is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Hello {
    /// As it was sent.
    pub(super) server: Option<Vec<u8>>,
    /// There is another, encrypted hello in it, with another name.
    pub(super) encrypted: bool,
}

/// Reads what a client said first.
pub(super) fn read(bytes: &[u8]) -> Read {
    match bytes {
        [] => return Read::More,
        [0x16] => return Read::More,
        [0x16, 0x03, ..] => {}
        _ => return Read::NotTls,
    }
    // The message, out of its records.
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        if let Some(whole) = whole(&message) {
            return hello(whole).map_or(Read::Bad("the TLS hello is malformed"), Read::Hello);
        }
        if message.len() > LONGEST {
            return Read::Bad("the TLS hello is too long");
        }
        if message.first().is_some_and(|kind| *kind != 1) {
            return Read::Bad("the TLS connection does not begin with a hello");
        }
        let [kind, major, _, high, low, after @ ..] = rest else { return Read::More };
        if *kind != 0x16 || *major != 3 {
            return Read::Bad("the TLS hello is interrupted");
        }
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length == 0 || length > 1 << 14 {
            return Read::Bad("the TLS hello is malformed");
        }
        // A part of a record that has come is read with the rest of it: what it says may be decided then.
        let Some((record, after)) = after.split_at_checked(length) else { return Read::More };
        message.extend_from_slice(record);
        rest = after;
    }
}

/// The whole message, once it is there.
fn whole(message: &[u8]) -> Option<&[u8]> {
    let [1, a, b, c, ..] = message else { return None };
    let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).ok()?;
    message.get(HEADER..HEADER + length)
}

fn hello(body: &[u8]) -> Option<Hello> {
    let mut rest = Bytes(body);
    // Version and random.
    rest.take(2 + 32)?;
    let session = rest.u8()?;
    rest.take(session.into())?;
    let suites = rest.u16()?;
    rest.take(suites.into())?;
    let methods = rest.u8()?;
    rest.take(methods.into())?;
    let mut said = Hello::default();
    if rest.0.is_empty() {
        return Some(said);
    }
    let length = rest.u16()?;
    let mut extensions = Bytes(rest.take(length.into())?);
    if !rest.0.is_empty() {
        return None;
    }
    let mut seen = Vec::new();
    while !extensions.0.is_empty() {
        let (kind, length) = (extensions.u16()?, extensions.u16()?);
        let data = extensions.take(length.into())?;
        // Two of a kind are read by some as the first, by others as the last.
        if seen.contains(&kind) {
            return None;
        }
        seen.push(kind);
        match kind {
            SERVER_NAME => said.server = Some(server_name(data)?),
            ENCRYPTED_HELLO => said.encrypted = true,
            _ => {}
        }
    }
    Some(said)
}

/// The one name in a list that may have one.
fn server_name(data: &[u8]) -> Option<Vec<u8>> {
    let mut rest = Bytes(data);
    let length = rest.u16()?;
    let mut list = Bytes(rest.take(length.into())?);
    let (kind, length) = (list.u8()?, list.u16()?);
    let name = list.take(length.into())?;
    (kind == 0 && list.0.is_empty() && rest.0.is_empty()).then(|| name.to_vec())
}

/// Bytes that are read from their beginning.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes: [u8; 2] = self.take(2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A hello with these extensions, in records of at most `size` bytes.
    pub(in crate::sandbox::network) fn hello_bytes(extensions: &[(u16, Vec<u8>)], size: usize) -> Vec<u8> {
        let mut list = Vec::new();
        for (kind, data) in extensions {
            list.extend(kind.to_be_bytes());
            list.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            list.extend(data);
        }
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(4);
        body.extend([9; 4]);
        body.extend([0, 2, 0x13, 1, 1, 0]);
        body.extend(u16::try_from(list.len()).unwrap().to_be_bytes());
        body.extend(list);
        let mut message = vec![1];
        message.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
        message.extend(body);
        let mut bytes = Vec::new();
        for part in message.chunks(size) {
            bytes.extend([0x16, 3, 1]);
            bytes.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }

    pub(in crate::sandbox::network) fn names(name: &[u8]) -> (u16, Vec<u8>) {
        let length = u16::try_from(name.len()).unwrap();
        let mut data = (length + 3).to_be_bytes().to_vec();
        data.push(0);
        data.extend(length.to_be_bytes());
        data.extend(name);
        (SERVER_NAME, data)
    }

    fn said(name: &[u8], encrypted: bool) -> Read {
        Read::Hello(Hello { server: Some(name.to_vec()), encrypted })
    }

    #[test]
    fn a_real_client_is_understood() {
        let provider = rustls::crypto::ring::default_provider();
        let config = rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let name = "crates.io".to_owned().try_into().unwrap();
        let mut client = rustls::ClientConnection::new(config.into(), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        assert_eq!(read(&bytes), said(b"crates.io", false));
    }

    #[test]
    fn an_encrypted_hello_and_a_missing_name_are_seen() {
        let ech = (ENCRYPTED_HELLO, vec![0; 40]);
        assert_eq!(read(&hello_bytes(&[names(b"a.b"), ech], 9999)), said(b"a.b", true));
        assert_eq!(read(&hello_bytes(&[(43, vec![2, 3, 4])], 9999)), Read::Hello(Hello::default()));
        assert_eq!(read(&hello_bytes(&[], 9999)), Read::Hello(Hello::default()));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_bad() {
        let bad = |bytes: &[u8]| matches!(read(bytes), Read::Bad(_));
        assert!(bad(&hello_bytes(&[names(b"a.b"), names(b"evil.com")], 9999)));
        let mut two = names(b"a.b");
        two.1[1] += 8;
        two.1.extend([0, 0, 5]);
        two.1.extend(b"evil.");
        assert!(bad(&hello_bytes(&[two], 9999)));
        let mut behind = names(b"a.b");
        behind.1.push(0);
        assert!(bad(&hello_bytes(&[behind], 9999)));
        // Something else between its records.
        let whole = hello_bytes(&[names(b"a.b")], 20);
        let mut broken = whole[..25].to_vec();
        broken.extend([0x17, 3, 3, 0, 1, 0]);
        assert!(bad(&broken));
        assert!(bad(&[0x16, 3, 1, 0, 4, 2, 0, 0, 0]));
        assert!(bad(&[0x16, 3, 1, 0, 0]));
        for other in [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0-x", b"\x80\x2e\x01", b"\x16\x02\x00", b"\x15\x03"]
        {
            assert_eq!(read(other), Read::NotTls, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn every_split_of_a_hello_is_read_alike(
            name in "[a-z0-9.]{1,60}",
            before in prop::collection::vec(any::<u8>(), 0..50),
            size in 1_usize..600,
            encrypted: bool,
        ) {
            let mut extensions = vec![(51, before), names(name.as_bytes())];
            if encrypted {
                extensions.push((ENCRYPTED_HELLO, vec![1, 2, 3]));
            }
            let bytes = hello_bytes(&extensions, size);
            for end in 0..bytes.len() {
                prop_assert_eq!(read(&bytes[..end]), Read::More);
            }
            prop_assert_eq!(read(&bytes), said(name.as_bytes(), encrypted));
            // What follows changes nothing.
            let more = [&bytes[..], b"\x17\x03\x03\x00\x01x"].concat();
            prop_assert_eq!(read(&more), said(name.as_bytes(), encrypted));
        }

        #[test]
        fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300), tls: bool) {
            let bytes = if tls { [&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3][..], &bytes].concat() } else { bytes };
            let _ = read(&bytes);
        }
    }
}
