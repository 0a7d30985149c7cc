//! The proxy by itself: streams go in, and hosts on the loopback are looked at for what came out.

use std::sync::Arc;

use agent::{
    protocol::{CallId, Connection, Passage},
    sandbox::network::{Credential, Network, Report, Resolve, Rules, Target},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::mpsc,
};

use super::world::{HELLO, Host, Names, names, refusing, rules};

/// Names that look like a host's and are none, or another one's.
pub const HOSTILE: &[&[u8]] = &[
    b"evil.com\0.files.test",
    b"files.test\0",
    b"files.test@evil.com",
    b"user@files.test",
    b"files.test%00",
    b"files%2etest",
    b"files..test",
    b".files.test",
    b"files.test..",
    b"*.files.test",
    b"files_test",
    b"-files.test",
    b"127.1",
    b"127.0.0.01",
    b"0177.0.0.1",
    b"0x7f000001",
    b"0x7f.1",
    b"2130706433",
    b"127.0.0.1.",
    b"[::ffff:127.0.0.1]",
    b"[::ffff:7f00:1]",
    b"[::127.0.0.1]",
    b"[::1%25lo]",
    b"[127.0.0.1]",
    b"localhost",
    b"0.0.0.0",
    b"[::]",
    b"[::1]",
    b"files.test.evil.com",
    b"evilfiles.test",
    b"\xd1\x84iles.test",
    b"files.test#",
    b"files\\.test",
];

struct Proxy {
    network: Network,
    ended: mpsc::UnboundedReceiver<Connection>,
}

impl Proxy {
    fn new(rules: Rules, resolver: Arc<dyn Resolve>) -> Self {
        let (network, reports) = Network::attended(rules, resolver);
        Self { network, ended: refusing(reports) }
    }

    /// Says something, and hears all that comes back.
    async fn say(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = client(&self.network, Some("c1"));
        client.write_all(bytes.as_ref()).await.unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        String::from_utf8_lossy(&heard).into_owned()
    }

    /// What became of the next connection.
    async fn ended(&mut self) -> Connection {
        self.ended.recv().await.unwrap()
    }

    /// The same for one that nobody answers for.
    async fn refused(&mut self) -> String {
        match self.ended().await.passage {
            Passage::Refused { reason } => reason,
            other => panic!("{other:?}"),
        }
    }
}

/// A client's end of a connection.
fn client(network: &Network, call: Option<&str>) -> DuplexStream {
    let (client, server) = duplex(1 << 16);
    let (network, call) = (network.clone(), call.map(CallId::from));
    tokio::spawn(async move { network.serve(server, call).await });
    client
}

/// A proxy that knows one host by its name.
fn one(host: &Host) -> Proxy {
    Proxy::new(rules(&[host.at("files.test"), host.at("127.0.0.1")], &[]), names(&["files.test"]))
}

#[tokio::test]
async fn a_page_a_tunnel_and_socks_lead_to_a_listed_host_and_bytes_are_counted() {
    let host = Host::new();
    let mut proxy = one(&host);
    let at = host.at("files.test");

    let page = proxy.say(format!("GET http://{at}/x HTTP/1.1\r\nHost: evil.com\r\n\r\n")).await;
    assert!(page.starts_with("HTTP/1.1 200 OK") && page.ends_with(HELLO), "{page}");
    let heard = &host.heard()[0];
    assert!(
        heard.starts_with(&format!("GET /x HTTP/1.1\r\nHost: {at}\r\n")) && !heard.contains("evil"),
        "{heard}"
    );
    let Connection { host: name, port, call, passage, sent, received, count } = proxy.ended().await;
    assert_eq!((name.as_str(), port, call), ("files.test", host.port, Some(CallId::from("c1"))));
    assert_eq!((passage, count), (Passage::Passed, 1));
    assert_eq!((sent, received), (heard.len() as u64, page.len() as u64));

    let tunnel = proxy.say(format!("CONNECT {at} HTTP/1.1\r\n\r\nplain words\n")).await;
    assert_eq!(tunnel, "HTTP/1.1 200 Connection established\r\n\r\nyou said plain words\n");
    let ended = proxy.ended().await;
    assert_eq!((ended.sent, ended.received), (12, 21));

    let mut socks = vec![5, 1, 0, 5, 1, 0, 3, 10];
    socks.extend(b"files.test");
    socks.extend(host.port.to_be_bytes());
    socks.extend(b"through socks\n");
    let heard = proxy.say(socks).await;
    assert!(heard.ends_with("you said through socks\n"), "{heard:?}");
    assert_eq!(proxy.ended().await.passage, Passage::Passed);
}

#[tokio::test]
async fn thirty_hostile_spellings_reach_nobody() {
    let host = Host::new();
    let mut proxy = one(&host);
    let port = host.port;
    for &name in HOSTILE {
        let shown = String::from_utf8_lossy(name).into_owned();
        let ask = |text: &str| {
            let mut bytes = Vec::new();
            for part in text.split("NAME").enumerate() {
                if part.0 > 0 {
                    bytes.extend(name);
                }
                bytes.extend(part.1.as_bytes());
            }
            bytes
        };
        let tunnel = proxy.say(ask(&format!("CONNECT NAME:{port} HTTP/1.1\r\n\r\nhello\n"))).await;
        assert!(!tunnel.contains(" 200 "), "{shown}: {tunnel}");
        let page = proxy.say(ask(&format!("GET http://NAME:{port}/ HTTP/1.1\r\n\r\n"))).await;
        assert!(page.starts_with("HTTP/1.1 4"), "{shown}: {page}");
        let mut socks = vec![5, 1, 0, 5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
        socks.extend(name);
        socks.extend(port.to_be_bytes());
        socks.extend(b"hello\n");
        let heard = proxy.say(socks).await;
        assert!(!heard.contains("you said"), "{shown}: {heard:?}");
        for _ in 0..3 {
            proxy.refused().await;
        }
    }
    assert_eq!(host.met(), 0);
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_place_leads_nowhere() {
    let host = Host::new();
    let [a, b, c] = ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1"].map(|ip| ip.parse().unwrap());
    let names = Names([("rebound.test".to_owned(), vec![a, b, c])].into());
    let mut proxy = Proxy::new(rules(&[host.at("rebound.test")], &[]), Arc::new(names));
    let said = proxy.say(format!("CONNECT {} HTTP/1.1\r\n\r\n", host.at("rebound.test"))).await;
    assert!(
        said.starts_with("HTTP/1.1 403") && said.contains("127.0.0.1, which is no public address"),
        "{said}"
    );
    assert!(proxy.refused().await.contains("network.allow"));
    assert_eq!(host.met(), 0);
}

#[tokio::test]
async fn deny_goes_before_allow_and_an_unknown_name_is_a_failure() {
    let host = Host::new();
    let allow = ["fine.test:*", "evil.test:*", "gone.test:*", "127.0.0.1:*"];
    let mut proxy = Proxy::new(rules(&allow, &["evil.test"]), names(&["evil.test", "fine.test"]));
    assert!(
        proxy.say(format!("GET http://{}/ HTTP/1.1\r\n\r\n", host.at("fine.test"))).await.ends_with(HELLO)
    );
    proxy.ended().await;
    let said = proxy.say(format!("GET http://{}/ HTTP/1.1\r\n\r\n", host.at("evil.test"))).await;
    assert!(said.contains("403") && proxy.refused().await.contains("network.deny"), "{said}");
    let said = proxy.say(format!("GET http://{}/ HTTP/1.1\r\n\r\n", host.at("gone.test"))).await;
    assert!(said.starts_with("HTTP/1.1 502") && said.contains("no such name"), "{said}");
    assert!(matches!(proxy.ended().await.passage, Passage::Failed { .. }));
    assert_eq!(host.met(), 1);
}

/// A TLS hello for a name, as a real client says it.
fn tls_hello(name: &str) -> Vec<u8> {
    let provider = rustls::crypto::ring::default_provider();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn a_tls_connection_is_for_the_host_of_its_tunnel_or_is_none() {
    let host = Host::new();
    let mut proxy = one(&host);
    let connect = format!("CONNECT {} HTTP/1.1\r\n\r\n", host.at("files.test")).into_bytes();
    // The line end makes the host answer.
    let mine = [&connect[..], &tls_hello("files.test"), b"\n"].concat();
    assert!(proxy.say(mine).await.contains("you said"));
    assert_eq!(proxy.ended().await.passage, Passage::Passed);
    assert_eq!(host.heard().len(), 1);
    for other in ["evil.test", "files.test.evil.test"] {
        let mut client = client(&proxy.network, None);
        client.write_all(&[&connect[..], &tls_hello(other), b"\n"].concat()).await.unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert!(heard.ends_with(&[0x15, 3, 3, 0, 2, 2, 112]), "{other}: {heard:?}");
        assert!(proxy.refused().await.contains("for another host"), "{other}");
    }
    assert_eq!(host.heard().len(), 1, "nothing of it came through");
}

#[tokio::test]
async fn a_second_request_behind_the_first_is_not_passed_on() {
    let host = Host::new();
    let mut proxy = one(&host);
    let at = host.at("files.test");
    let second = format!("GET http://{at}/second HTTP/1.1\r\nHost: evil.com\r\n\r\n");
    for first in [
        format!("GET http://{at}/first HTTP/1.1\r\n\r\n"),
        format!("POST http://{at}/first HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"),
        format!("POST http://{at}/first HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    ] {
        let said = proxy.say(format!("{first}{second}")).await;
        assert_eq!(said.matches("200 OK").count(), 1, "{said}");
        proxy.ended().await;
    }
    let heard = host.heard();
    assert_eq!(heard.len(), 3);
    assert!(!heard.concat().contains("second") && !heard.concat().contains("evil"), "{heard:?}");
}

#[tokio::test]
async fn a_credential_goes_with_requests_that_it_is_for_and_with_no_others() {
    let host = Host::new();
    let mut rules = rules(&["127.0.0.1:*", "files.test:*"], &[]);
    rules.credentials = vec![Credential {
        target: Target::parse(host.at("files.test").as_bytes()).unwrap(),
        methods: vec!["GET".into()],
        header: "Authorization".into(),
        value: "Bearer hunter2".to_owned().into(),
    }];
    let proxy = Proxy::new(rules, names(&["files.test"]));
    let ask = |method: &str, name: &str| {
        format!("{method} http://{}/ HTTP/1.1\r\nauthorization: mine\r\n\r\n", host.at(name))
    };
    for (method, name, expected) in [
        ("GET", "files.test", "Authorization: Bearer hunter2\r\n"),
        ("DELETE", "files.test", "authorization: mine\r\n"),
        ("GET", "127.0.0.1", "authorization: mine\r\n"),
    ] {
        let answer = proxy.say(ask(method, name)).await;
        assert!(answer.ends_with(HELLO) && !answer.contains("hunter2"), "{answer}");
        let heard = host.heard().pop().unwrap();
        let fields = heard.matches("uthorization").count();
        assert!(heard.contains(expected) && fields == 1, "{method} {name}: {heard}");
    }
}

#[tokio::test]
async fn a_question_is_answered_yes_or_no_and_withdrawn_with_its_connection() {
    let host = Host::new();
    let (network, mut reports) = Network::attended(rules(&["127.0.0.1:*"], &[]), names(&["files.test"]));
    let ask = format!("GET http://{}/ HTTP/1.1\r\n\r\n", host.at("files.test"));
    for yes in [true, false] {
        let mut client = client(&network, Some("c1"));
        client.write_all(ask.as_bytes()).await.unwrap();
        let Some(Report::Asked(question)) = reports.recv().await else { panic!("nobody asks") };
        assert_eq!((question.target.to_string(), question.call), (host.at("files.test"), Some("c1".into())));
        assert_eq!(host.met(), 0);
        question.answer.send(if yes { Ok(()) } else { Err("rather not".to_owned()) }).unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert!(if yes {
            heard.ends_with(HELLO)
        } else {
            heard.contains("403") && heard.contains("rather not")
        });
        let passage = loop {
            // Its withdrawal comes too, and means nothing any more.
            if let Some(Report::Ended(ended)) = reports.recv().await {
                break ended.passage;
            }
        };
        assert_eq!(passage == Passage::Passed, yes);
        if yes {
            host.met.store(0, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let mut client = client(&network, None);
    client.write_all(ask.as_bytes()).await.unwrap();
    let Some(Report::Asked(question)) = reports.recv().await else { panic!("nobody asks") };
    drop(client);
    let withdrawn = reports.recv().await;
    let ended = matches!(&withdrawn, Some(Report::Ended(_)));
    let withdrawn = if ended { reports.recv().await } else { withdrawn };
    assert!(
        matches!(withdrawn, Some(Report::Withdrawn(number)) if number == question.number),
        "{withdrawn:?}"
    );
    assert_eq!(host.met(), 0);
}

#[tokio::test]
async fn what_is_no_request_is_told_what_it_is() {
    let mut proxy = Proxy::new(Rules::default(), names(&[]));
    for (said, answer) in [
        ("GET / HTTP/1.1\r\nHost: files.test\r\n\r\n", "HTTP/1.1 400"),
        ("GET https://files.test/ HTTP/1.1\r\n\r\n", "begins with CONNECT"),
        ("\x05\x01\x02", "\x05\u{fffd}"),
        ("\x05\x01\0\x05\x02\0\x01\x01\x01\x01\x01\x01\x01", "\x05\0\x05\x07"),
    ] {
        let heard = proxy.say(said).await;
        assert!(heard.contains(answer), "{said:?}: {heard:?}");
        let ended = proxy.ended().await;
        assert_eq!((ended.host.as_str(), ended.port), ("(unreadable)", 0), "{said:?}");
    }
}
