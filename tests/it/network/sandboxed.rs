//! Real commands in the real sandbox, and hosts outside of it.

use std::time::Duration;

use agent::{
    protocol::{CallId, Connection, Passage, SandboxMode},
    sandbox::{network::Network, pick_with},
};
use tokio::sync::mpsc;

use super::world::{HELLO, Host, names, refusing, rules};
use crate::{
    sandbox::world::{Gave, World, gave, running, spawn},
    support::program,
};

struct Online {
    world: World,
    ended: mpsc::UnboundedReceiver<Connection>,
}

impl Online {
    /// Nothing where no sandbox can be had; that is said.
    fn new(allow: &[String], known: &[&str]) -> Option<Self> {
        let mut world = World::new(SandboxMode::WorkspaceWrite)?;
        let (network, reports) = Network::attended(rules(allow, &[]), names(known));
        world.sandbox = pick_with(world.settings.clone(), Some(network)).unwrap();
        Some(Self { world, ended: refusing(reports) })
    }

    /// Runs a script as the command of a call, beside whatever else goes on.
    fn run(&self, call: &str, script: &str) -> tokio::task::JoinHandle<Gave> {
        let line = self.world.script(script, false);
        let line = self.world.sandbox.wrap_for(line, Some(&CallId::from(call))).unwrap();
        tokio::task::spawn_blocking(move || gave(spawn(&line)))
    }

    /// The connections that have been told of, once there are so many.
    async fn ended(&mut self, count: usize) -> Vec<Connection> {
        let mut all = Vec::new();
        while all.len() < count {
            all.push(self.ended.recv().await.unwrap());
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_there_is_no_proxy_and_no_network() {
    let host = Host::new();
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    assert!(world.sandbox.describe().contains("no network"), "{}", world.sandbox.describe());
    let script = format!(
        "env | grep -i -e proxy; echo $AGENT_SANDBOX_NETWORK_DISABLED; grep -c : /proc/self/net/tcp; \
         curl -sS -m 5 http://127.0.0.1:{0}/ || echo no; exec 3<>/dev/tcp/127.0.0.1/{0} || echo no",
        host.port
    );
    let gave = tokio::task::spawn_blocking(move || world.run(&script)).await.unwrap();
    // A header, and no socket.
    assert_eq!(gave.out, "1\n0\nno\nno\n", "{gave:?}");
    assert_eq!(host.met(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_tools_reach_a_listed_host_and_nothing_else() {
    let (host, other) = (Host::new(), Host::new());
    let known = ["files.test", "other.test"];
    let Some(mut online) = Online::new(&[host.at("files.test"), host.at("127.0.0.1")], &known) else {
        return;
    };
    assert!(online.world.sandbox.describe().contains("network only through a proxy and to files.test:"));
    let (at, there) = (host.at("files.test"), other.at("other.test"));
    let proxy = "${HTTP_PROXY#http://}";
    for (tool, script) in [
        ("curl", format!("curl -sS http://{at}/")),
        ("curl by address", format!("curl -sS http://{}/", host.at("127.0.0.1"))),
        ("curl through a tunnel", format!("curl -sS --proxytunnel http://{at}/")),
        ("curl through SOCKS", format!("curl -sS --proxy socks5h://{proxy} http://{at}/")),
        ("wget", format!("wget -qO- http://{at}/")),
        (
            "python",
            format!(
                "python3 -c 'import urllib.request as r; print(r.urlopen(\"http://{at}/\").read().decode(), end=\"\")'"
            ),
        ),
    ] {
        let before = host.met();
        let gave = online.run("c1", &script).await.unwrap();
        assert_eq!((gave.out.as_str(), gave.code), (HELLO, Some(0)), "{tool}: {gave:?}");
        assert_eq!(host.met(), before + 1, "{tool}");
    }
    for passed in online.ended(6).await {
        assert_eq!((passed.passage, passed.call), (Passage::Passed, Some("c1".into())));
    }
    let script = format!(
        "curl -sS http://{there}/; curl -sS --proxy socks5h://{proxy} http://{there}/; curl -sS --proxytunnel http://{there}/; \
         curl -sS http://{}/; curl -sS --noproxy '*' -m 5 http://{there}/; curl -sS --noproxy '*' -m 5 http://{at}/; true",
        other.at("127.0.0.1")
    );
    let gave = online.run("c2", &script).await.unwrap();
    assert!(gave.out.contains("other.test") && gave.out.contains("network.allow"), "{gave:?}");
    assert_eq!(gave.err.matches("403").count(), 1, "{gave:?}");
    assert_eq!(gave.err.matches("Could not resolve host").count(), 2, "{gave:?}");
    assert_eq!(other.met(), 0);
    let told = online.world.sandbox.refusals(Some(&"c2".into()));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains(&there) && told[0].ends_with("(3 times)"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn git_clones_from_a_listed_host() {
    let Some(online) = Online::new(&["127.0.0.1:*".to_owned()], &[]) else { return };
    let served = tempfile::tempdir().unwrap();
    let git = |script: &str| {
        let done = std::process::Command::new("sh").args(["-ec", script]).current_dir(served.path()).output();
        assert!(done.as_ref().unwrap().status.success(), "{done:?}");
    };
    git(
        "git init -q a && cd a && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first && cd .. && \
         git clone -q --bare a b.git && cd b.git && git update-server-info",
    );
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut server = std::process::Command::new("python3")
        .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
        .current_dir(served.path())
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let up = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(crate::sandbox::world::becomes_true(up), "the server never listened");
    let script =
        format!("git clone -q http://127.0.0.1:{port}/b.git /tmp/c && git -C /tmp/c log --format=%s");
    let gave = online.run("c1", &script).await.unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(gave.out, "first\n", "{gave:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_side_by_side_are_told_apart() {
    let host = Host::new();
    let Some(mut online) = Online::new(&[host.at("127.0.0.1")], &[]) else { return };
    // Both are there at once: each waits for the other one's file.
    let script = |own: &str, other: &str| {
        format!(
            "touch {own}; while [ ! -e {other} ]; do :; done; for n in 1 2 3; do curl -sS http://{}/{own}; done",
            host.at("127.0.0.1")
        )
    };
    let [one, two] = [online.run("one", &script("a", "b")), online.run("two", &script("b", "a"))];
    let out = HELLO.repeat(3);
    assert_eq!([one.await.unwrap().out, two.await.unwrap().out], [out.clone(), out]);
    let mut calls: Vec<String> =
        online.ended(6).await.into_iter().map(|ended| ended.call.unwrap().0).collect();
    calls.sort();
    assert_eq!(calls, ["one", "one", "one", "two", "two", "two"]);
    let asked: Vec<String> =
        host.heard().iter().map(|heard| heard.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(asked.iter().filter(|path| *path == "/a").count(), 3, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_inside_are_reached_without_the_proxy() {
    let Some(online) = Online::new(&["crates.io".to_owned()], &[]) else { return };
    let script = "python3 -m http.server 8123 --bind 127.0.0.1 >/dev/null 2>&1 & \
                  while ! (exec 3<>/dev/tcp/127.0.0.1/8123) 2>/dev/null; do :; done; \
                  for at in localhost 127.0.0.1; do curl -sS -o /dev/null -w '%{http_code}\n' http://$at:8123/; done";
    let gave = online.run("c1", script).await.unwrap();
    assert_eq!(gave.out, "200\n200\n", "{gave:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_gone_leaves_no_way_out() {
    let host = Host::new();
    let Some(mut world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let (network, reports) = Network::attended(rules(&[host.at("127.0.0.1")], &[]), names(&[]));
    world.sandbox = pick_with(world.settings.clone(), Some(network)).unwrap();
    let script = format!("curl -sS http://{}/", host.at("127.0.0.1"));
    let line = world.sandbox.wrap(world.script(&script, false)).unwrap();
    let before = tokio::task::spawn_blocking(move || gave(spawn(&line))).await.unwrap();
    assert_eq!(before.out, HELLO, "{before:?}");
    assert_eq!(reports.finish().await.len(), 1);
    let line = world.sandbox.wrap(world.script(&script, false)).unwrap();
    let gave = tokio::task::spawn_blocking(move || gave(spawn(&line))).await.unwrap();
    assert!(gave.out.is_empty() && gave.code != Some(0), "{gave:?}");
    assert_eq!(host.met(), 1);
    world.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_leaves_neither_command_nor_listener() {
    if !crate::support::has_sandbox() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let marker = crate::sandbox::world::marker();
    let host = Host::new();
    let mut agent = std::process::Command::new(program())
        .args(["sandbox", "--allow-host", &host.at("127.0.0.1"), "--", "sh", "-c"])
        .arg(format!("curl -sS http://{}/; echo $HTTP_PROXY; sleep {marker}", host.at("127.0.0.1")))
        .env("AGENT_HOME", folder.path().join("home"))
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(agent.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line, HELLO);
    assert!(crate::sandbox::world::becomes_true(|| running(&marker).len() == 1));
    agent.kill().unwrap();
    agent.wait().unwrap();
    let gone = std::time::Instant::now();
    assert!(crate::sandbox::world::becomes_true(|| running(&marker).is_empty()));
    assert!(gone.elapsed() < Duration::from_secs(3));
}
