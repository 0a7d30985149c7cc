//! The network of commands in containers: the same proxy, reached without any network of the engine.

use agent::{
    protocol::{CallId, Connection, Passage, SandboxMode},
    sandbox::network::Network,
};
use tokio::sync::mpsc;

use super::world::World;
use crate::{
    network::world::{HELLO, Host, names, refusing, rules},
    sandbox::world::{Gave, gave, spawn},
    support::{
        mock::{Step, call},
        world::of,
    },
};

struct Online {
    world: World,
    ended: mpsc::UnboundedReceiver<Connection>,
}

/// Functions of bash that speak to the proxy: `page URL`, `tunnel HOST:PORT`, which then says what comes on its input.
const SPEAK: &str = r#"
proxy() { place=${HTTP_PROXY#http://}; exec 5<>/dev/tcp/${place%:*}/${place##*:}; }
page() { proxy && printf 'GET %s HTTP/1.1\r\n\r\n' "$1" >&5 && cat <&5; }
tunnel() { proxy && printf 'CONNECT %b HTTP/1.1\r\n\r\n' "$1" >&5 && cat >&5; head -n "${2:-2}" <&5; exec 5>&-; }
"#;

impl Online {
    /// Nothing where there is no engine; that is said.
    fn new(allow: &[String], known: &[&str]) -> Option<Self> {
        let (network, reports) = Network::attended(rules(allow, &[]), names(known));
        let world = World::online(SandboxMode::WorkspaceWrite, Some(network), |_| {})?;
        Some(Self { world, ended: refusing(reports) })
    }

    /// Runs a script as the command of a call, beside whatever else goes on.
    fn run(&self, call: &str, script: &str) -> tokio::task::JoinHandle<Gave> {
        let line = self.world.line(&format!("{SPEAK}{script}"), false);
        let line = self.world.sandbox.wrap_for(line, Some(&CallId::from(call))).unwrap();
        tokio::task::spawn_blocking(move || gave(spawn(&line)))
    }

    async fn ended(&mut self, count: usize) -> Vec<Connection> {
        let mut all = Vec::new();
        while all.len() < count {
            all.push(self.ended.recv().await.unwrap());
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_host_is_reached_from_a_container_and_nothing_else() {
    let (host, other) = (Host::new(), Host::new());
    let Some(mut online) =
        Online::new(&[host.at("files.test"), host.at("127.0.0.1")], &["files.test", "other.test"])
    else {
        return;
    };
    assert!(online.world.sandbox.describe().contains("network only through a proxy and to files.test:"));
    assert_eq!(online.world.inspect()["HostConfig"]["NetworkMode"], "none");
    let (at, there) = (host.at("files.test"), other.at("other.test"));
    let gave =
        online.run("c1", &format!("page http://{at}/x; echo plain words | tunnel {at} 3")).await.unwrap();
    assert!(gave.out.starts_with("HTTP/1.1 200 OK") && gave.out.contains(HELLO), "{gave:?}");
    assert!(gave.out.contains("you said plain words\n"), "{gave:?}");
    let passed = online.ended(2).await;
    assert!(
        passed.iter().all(|one| (&one.passage, &one.call) == (&Passage::Passed, &Some("c1".into()))),
        "{passed:?}"
    );
    let script = format!(
        "page http://{there}/; page http://{}/; echo x | tunnel {there}; echo x > /dev/tcp/127.0.0.1/{}; \
         echo x > /dev/tcp/other.test/{}; grep -c : /proc/self/net/route; true",
        other.at("127.0.0.1"),
        other.port,
        other.port
    );
    let gave = online.run("c2", &script).await.unwrap();
    assert_eq!(gave.out.matches("HTTP/1.1 403").count(), 3, "{gave:?}");
    assert!(gave.out.contains("network.allow") && gave.out.ends_with("\n0\n"), "{gave:?}");
    assert_eq!((host.met(), other.met()), (2, 0));
    let told = online.world.sandbox.refusals(Some(&"c2".into()));
    assert!(told.len() == 2 && told[0].contains(&there), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_spellings_reach_nobody_from_a_container() {
    let host = Host::new();
    let Some(online) = Online::new(&[host.at("files.test")], &["files.test"]) else { return };
    let spellings = crate::network::proxy::HOSTILE;
    assert!(spellings.len() >= 30);
    let script: String = spellings
        .iter()
        .map(|name| {
            let name: String = name.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("echo hello | tunnel '{name}:{}' 1\n", host.port)
        })
        .collect();
    let gave = online.run("c1", &script).await.unwrap();
    assert_eq!(gave.out.matches("HTTP/1.1 4").count(), spellings.len(), "{gave:?}");
    assert_eq!(host.met(), 0, "{gave:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_side_by_side_in_a_container_are_told_apart_and_many_bytes_arrive_whole() {
    let host = Host::new();
    let Some(mut online) = Online::new(&[host.at("127.0.0.1")], &[]) else { return };
    // Both are there at once: each waits for the other one's file.
    let script = |own: &str, other: &str| {
        let at = host.at("127.0.0.1");
        format!(
            "touch {own}; until [ -e {other} ]; do :; done; for n in 1 2 3; do page http://{at}/{own} | tail -n 1; done; \
             (head -c 300000 /dev/zero | tr '\\0' {own}; echo) | tunnel {at} 3 | tail -n 1 | tr -d '\\n' | wc -c"
        )
    };
    let [one, two] = [online.run("one", &script("a", "b")), online.run("two", &script("b", "a"))];
    let out = format!("{}{}\n", HELLO.repeat(3), "you said ".len() + 300_000);
    assert_eq!([one.await.unwrap().out, two.await.unwrap().out], [out.clone(), out]);
    let ended = online.ended(8).await;
    let calls = |call: &str| ended.iter().filter(|one| one.call == Some(call.into())).count();
    assert_eq!((calls("one"), calls("two")), (4, 4));
    assert!(ended.iter().filter(|one| one.sent == 300_001).count() == 2, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_there_is_room_for_come_one_after_another() {
    let host = Host::new();
    let Some(online) = Online::new(&[host.at("127.0.0.1")], &[]) else { return };
    // Half of them are left open by who opened them, and are gone with their command.
    let script = format!(
        "place=${{HTTP_PROXY#http://}}; for n in $(seq 200); do exec {{open}}<>/dev/tcp/${{place%:*}}/${{place##*:}} || echo no; done; \
         for n in $(seq 50); do page http://{}/ | tail -n 1; done | sort | uniq -c",
        host.at("127.0.0.1")
    );
    for call in ["c1", "c2"] {
        let gave = online.run(call, &script).await.unwrap();
        assert_eq!(gave.out.trim(), format!("50 {}", HELLO.trim()), "{gave:?}");
    }
    assert_eq!(host.met(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_lost_gets_its_network_back() {
    let host = Host::new();
    let Some(online) = Online::new(&[host.at("127.0.0.1")], &[]) else { return };
    let script = format!("page http://{}/ | tail -n 1", host.at("127.0.0.1"));
    assert_eq!(online.run("c1", &script).await.unwrap().out, HELLO);
    let container = online.world.container();
    // The porter alone, and then all.
    let kill = "kill -9 $(grep -lz '^./porter' /proc/[0-9]*/cmdline | cut -d/ -f3)";
    let killed = super::world::docker(&["exec", "--user", "65534", &container, "sh", "-c", kill]);
    assert!(killed.status.success(), "{killed:?}");
    // It is seen a moment later.
    let mut heard = String::new();
    for _ in 0..20 {
        heard = online.run("c1", &script).await.unwrap().out;
        if heard == HELLO {
            break;
        }
    }
    assert_eq!(heard, HELLO);
    super::world::docker(&["kill", &container]);
    assert_eq!(online.run("c1", &script).await.unwrap().out, HELLO);
}

#[tokio::test]
async fn a_session_in_a_container_logs_its_connections() {
    let Some(image) = super::world::image() else { return };
    let host = Host::new();
    let cmd = format!("{SPEAK}page http://{}/; page http://elsewhere.test/", host.at("127.0.0.1"));
    let steps = [
        Step::items([call("exec_command", serde_json::json!({"cmd": cmd, "shell": "bash"}))]),
        Step::text("ok"),
    ];
    let world = crate::support::world::World::bare(steps).await;
    world.configure(&format!("sandbox = 'workspace-write'\nbackend = 'docker:{image}'"));
    let run = world.exec(&["--allow-host", &host.at("127.0.0.1"), "go"]).await;
    assert_eq!(run.code, 0, "{run:?}");
    let result = world.result(2);
    assert!(result.contains(HELLO.trim()), "{result}");
    assert!(result.contains("Warning: network: elsewhere.test:80 was refused"), "{result}");
    let ended = of(&world.log(), "connection_ended");
    assert_eq!(ended.len(), 2, "{ended:?}");
    assert_eq!((&ended[0]["host"], &ended[0]["passage"]["type"]), (&"127.0.0.1".into(), &"passed".into()));
    assert_eq!(ended[0]["call"], "call_1_1");
    let opening = world.mock.requests()[0].body.to_string();
    assert!(
        opening.contains(&host.at("127.0.0.1")) && opening.contains("Other hosts are refused"),
        "{opening}"
    );
}
