//! `agent sandbox explain`: each promise is tried, and each attempt is worth something.

use std::fs;

use serde_json::{Value, json};

use crate::support::{has_sandbox, world::World};

/// The promises, and whether each was found to hold.
fn found(report: &Value) -> Vec<(String, Value)> {
    let tried = report["tried"].as_array().unwrap().iter();
    tried.map(|tried| (tried["promise"].as_str().unwrap().to_owned(), tried["holds"].clone())).collect()
}

async fn explain(world: &World, mode: &str) -> Value {
    let run = world.agent(["sandbox", "explain", "--json", "-s", mode]).await.expect(0);
    serde_json::from_str(&run.stdout).unwrap()
}

#[tokio::test]
async fn promises_hold_in_the_sandbox_and_the_same_attempts_succeed_without_one() {
    if !has_sandbox() {
        return;
    }
    let world = World::new([]).await;
    world.write(".git/config", "");
    let before = || {
        let names = |dir: &str| {
            let mut names: Vec<_> =
                fs::read_dir(world.root.join(dir)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        ["workspace", "workspace/.git", "user", "tmp"].map(names)
    };
    let there = before();
    for mode in ["workspace-write", "read-only"] {
        let report = explain(&world, mode).await;
        assert_eq!((&report["ok"], &report["mode"]), (&json!(true), &json!(mode)));
        let found = found(&report);
        assert!(found.len() == 9 && found.iter().all(|(_, holds)| *holds == true), "{found:#?}");
    }
    let report = explain(&world, "danger-full-access").await;
    let open: Vec<String> =
        found(&report).into_iter().filter(|(_, holds)| *holds == false).map(|(promise, _)| promise).collect();
    assert_eq!(
        open,
        [
            "changes nothing outside of the workspace",
            "reads nothing of yours outside of it",
            "changes nothing that others obey later",
            "sees no key of yours",
            "reaches no other process",
            "reaches no network",
            "has no power over the kernel",
        ]
    );
    assert_eq!(before(), there, "something was left behind");
}

#[tokio::test]
async fn the_policy_is_told_in_words_with_what_is_configured() {
    if !has_sandbox() {
        return;
    }
    let world = World::new([]).await;
    let further = world.root.join("further");
    fs::create_dir(&further).unwrap();
    world.configure(&format!("writable_roots = [{further:?}]"));
    let run = world.agent(["sandbox", "explain"]).await.expect(0);
    let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let write =
        format!("write {}, {}, /tmp, /var/tmp and HOME", world.workspace.display(), further.display());
    for part in [write.as_str(), "network none but", "in `agent exec`, never", "✓ reaches no network"] {
        assert!(words.contains(part), "{part}: {}", run.stdout);
    }
    // Where nothing of that kind is, nothing is said to hold.
    assert!(words.contains("· changes nothing that others obey later not tried"), "{}", run.stdout);
}

#[tokio::test]
async fn what_becomes_of_a_command_is_told_by_the_policy_and_the_rules_in_force() {
    let world = World::bare([]).await;
    let judged = async |args: &[&str]| {
        let run = world.agent(["sandbox", "explain", "--json"].iter().chain(args)).await.expect(0);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let cases = report["cases"].as_array().unwrap().iter();
        let verdicts: Vec<String> = cases.map(|case| case["verdict"].as_str().unwrap().to_owned()).collect();
        (report["command"].as_str().unwrap().to_owned(), verdicts.join(", "))
    };
    assert_eq!(
        judged(&["rm -rf x && ls"]).await,
        ("rm -rf x && ls".into(), "runs, runs, asks, is refused".into())
    );
    assert_eq!(
        judged(&["touch", "a b"]).await,
        ("touch 'a b'".into(), "runs, runs, asks, is refused".into())
    );
    assert_eq!(judged(&["-a", "untrusted", "touch", "x"]).await.1, "asks, asks, asks, asks");
    let rule = "permissions.allow=[{command=[\"touch\"]}]";
    assert_eq!(judged(&["-c", rule, "touch", "x"]).await.1, "runs, runs, runs, is refused");
    assert_eq!(judged(&["-s", "danger-full-access", "rm -rf ~"]).await.1, "asks, runs");
    let text = world.agent(["sandbox", "explain", "npm", "ci"]).await.expect(0).stdout;
    assert!(text.contains("a rule to choose: commands that begin with `npm ci`"), "{text}");
    // Behind `--` it is a program like any other.
    world.agent(["sandbox", "--"]).await.expect(2);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn promises_hold_in_a_container_as_far_as_a_shell_there_can_try_them() {
    let Some(image) = crate::docker::world::image() else { return };
    let world = World::new([]).await;
    world.write(".git/config", "");
    let backend = format!("docker:{image}");
    let run = world.agent(["sandbox", "explain", "--json", "--backend", &backend]).await.expect(0);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&report["ok"], &report["backend"]), (&json!(true), &json!(backend)));
    let held: Vec<String> =
        found(&report).into_iter().filter(|(_, holds)| *holds == true).map(|(promise, _)| promise).collect();
    for promise in [
        "changes nothing outside of the workspace",
        "reads nothing of yours outside of it",
        "can change the workspace",
        "changes nothing that others obey later",
        "sees no key of yours",
        "reaches no other process",
        "leaves no process behind",
    ] {
        assert!(held.iter().any(|name| name == promise), "{promise}: {report:#}");
    }
}
