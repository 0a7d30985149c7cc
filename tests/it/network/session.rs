//! The network in sessions: what is listed, asked, said to the model, and kept in the log.

use std::fs;

use serde_json::{Value, json};

use super::world::{HELLO, Host};
use crate::support::{
    has_sandbox,
    mock::Step,
    world::{World, of, output, shell},
};

/// What the model was told of the network at first.
fn told(world: &World) -> String {
    let body = &world.mock.requests()[0].body;
    let texts = body["input"].as_array().unwrap().iter();
    let texts = texts.filter_map(|item| item["content"][0]["text"].as_str());
    texts.filter(|text| text.starts_with("<permissions")).collect()
}

#[tokio::test]
async fn by_default_a_task_has_no_network_and_no_word_of_a_proxy() {
    if !has_sandbox() {
        return;
    }
    let host = Host::new();
    let command = format!("env | grep -ic proxy; curl -sS -m 5 http://{}/ || echo no", host.at("127.0.0.1"));
    let world = World::new([Step::items([shell(&command)]), Step::text("ok")]).await;
    world.exec(&["go"]).await.expect(0);
    let result = world.result(2);
    assert!(output(&result).starts_with("0\n") && output(&result).ends_with("no\n"), "{result}");
    assert!(told(&world).contains("commands reach no other machine") && !told(&world).contains("proxy"));
    assert_eq!((host.met(), of(&world.log(), "connection_ended").len()), (0, 0));
}

#[tokio::test]
async fn a_connection_is_a_line_in_the_log_and_a_refusal_a_line_in_the_result() {
    if !has_sandbox() {
        return;
    }
    let host = Host::new();
    let command = format!(
        "curl -sS http://{}/; curl -sS http://elsewhere.test/; curl -sS https://sealed.test/",
        host.at("127.0.0.1")
    );
    let world = World::new([Step::items([shell(&command)]), Step::text("ok")]).await;
    let run = world.exec(&["--allow-host", &host.at("127.0.0.1"), "go"]).await.expect(0);
    let result = world.result(2);
    assert!(output(&result).starts_with(HELLO), "{result}");
    for refused in ["elsewhere.test:80", "sealed.test:443"] {
        let line = format!(
            "Warning: network: {refused} was refused: it is in no list of allowed hosts (network.allow)"
        );
        assert!(result.contains(&line), "{result}");
        assert!(run.stderr.contains(&format!("! {refused} was refused")), "{run:?}");
    }
    let ended = of(&world.log(), "connection_ended");
    let named = |host: &str| ended.iter().find(|fact| fact["host"] == host).unwrap_or(&Value::Null);
    let passed = named("127.0.0.1");
    assert_eq!((&passed["passage"]["type"], &passed["call"]), (&json!("passed"), &json!("call_1_1")));
    assert!(passed["sent"].as_u64().unwrap() > 20 && passed["received"].as_u64().unwrap() > 20, "{passed}");
    assert_eq!(named("sealed.test")["passage"]["type"], "refused");
    assert_eq!((host.met(), ended.len()), (1, 3));
    let told = told(&world);
    assert!(told.contains(&host.at("127.0.0.1")) && told.contains("Other hosts are refused"), "{told}");
}

#[tokio::test]
async fn the_list_is_the_persons_own_and_a_project_brings_none() {
    if !has_sandbox() {
        return;
    }
    let host = Host::new();
    let fetch = shell(&format!("curl -sS http://{}/", host.at("127.0.0.1")));
    let world = World::new([Step::items([fetch]), Step::text("ok")]).await;
    let project = world.write(".agent/config.toml", "network.allow = ['127.0.0.1:*']");
    let before = fs::read_to_string(world.config_file()).unwrap();
    let trusted = format!("{before}\n[projects.{:?}]\ntrusted = true\n", world.workspace);
    fs::write(world.config_file(), &trusted).unwrap();
    let run = world.exec(&["go"]).await.expect(2);
    assert!(run.stderr.contains("a project's settings can't set this"), "{run:?}");
    fs::remove_file(project).unwrap();
    fs::write(world.config_file(), format!("{trusted}\n[network]\nallow = [{:?}]\n", host.at("127.0.0.1")))
        .unwrap();
    world.exec(&["go"]).await.expect(0);
    assert_eq!(output(&world.result(2)), HELLO);
}

#[tokio::test]
async fn what_is_no_host_is_told_before_anything_runs() {
    let world = World::bare([]).await;
    for (args, words) in [
        (&["--allow-host", "https://crates.io", "go"][..], "--allow-host `https://crates.io` is no host"),
        (&["--allow-host", "*", "go"], "each host is named"),
        (&["-c", "network.allow=['*.com']", "go"], "too much"),
        (&["-c", "network.deny=['@nobody']", "go"], "there is no preset `@nobody`"),
        (
            &["-c", "network.credentials=[{host='a.b:443',env='X'}]", "go"],
            "only plain HTTP requests get credentials",
        ),
    ] {
        let run = world.exec(args).await.expect(2);
        assert!(run.stderr.contains(words), "{args:?}: {run:?}");
    }
}

#[tokio::test]
async fn a_kept_rule_for_a_host_is_a_list_too_and_is_taken_back() {
    if !has_sandbox() {
        return;
    }
    let host = Host::new();
    // A name that this machine knows itself, at an address that is listed.
    let fetch = || shell(&format!("curl -sS --noproxy '' http://{}/", host.at("localhost")));
    let world =
        World::new([Step::items([fetch()]), Step::text("ok"), Step::items([fetch()]), Step::text("ok")])
            .await;
    let before = fs::read_to_string(world.config_file()).unwrap();
    let rule = format!("[permissions]\nallow = [{{ host = {:?} }}]\n", host.at("localhost"));
    let list = format!("[network]\nallow = [{:?}]\n", host.at("127.0.0.1"));
    fs::write(world.config_file(), format!("{before}\n{rule}{list}")).unwrap();
    world.exec(&["go"]).await.expect(0);
    assert_eq!(output(&world.result(2)), HELLO);
    let listed = world.agent(["permissions", "list"]).await.expect(0);
    assert!(
        listed.stdout.contains(&format!("connections to {}, everywhere", host.at("localhost"))),
        "{listed:?}"
    );
    world.agent(["permissions", "revoke", "1"]).await.expect(0);
    world.exec(&["resume", &world.session(), "again"]).await.expect(0);
    assert!(world.results(4)[1].1.as_str().unwrap().contains("was refused"), "{:?}", world.results(4));
    assert_eq!(host.met(), 1);
}

#[tokio::test]
async fn the_sandbox_command_says_what_it_refused_and_hides_the_proxys_secrets() {
    if !has_sandbox() {
        return;
    }
    let host = Host::new();
    let world = World::new([]).await;
    let at = host.at("127.0.0.1");
    let credentials = format!("network.credentials=[{{host='{at}',env='MIRROR_TOKEN'}}]");
    let script = format!("env | grep -c hunter2; curl -sS http://{at}/; curl -sS http://no.test/ >/dev/null");
    let mut command = world.command([
        "sandbox",
        "--allow-host",
        &at,
        "-c",
        &credentials,
        "-c",
        "shell.env_allow=['MIRROR_TOKEN']",
        "--",
        "sh",
        "-c",
        &script,
    ]);
    command.env("MIRROR_TOKEN", "Bearer hunter2");
    let run = crate::support::world::Running::spawn(command).end().await;
    assert_eq!(run.stdout, format!("0\n{HELLO}"), "{run:?}");
    assert!(run.stderr.contains("! network: no.test:80 was refused"), "{run:?}");
    assert!(host.heard()[0].contains("Authorization: Bearer hunter2"), "{:?}", host.heard());
}
