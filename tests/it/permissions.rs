//! What is allowed without asking: rules that are kept, and settings that change under a session.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    has_sandbox,
    mock::{Gate, Step, call, custom_call},
    world::{World, of, output, shell},
};

fn escalated(cmd: &str) -> Value {
    let args = json!({"cmd": cmd, "sandbox_permissions": "require_escalated", "justification": "May I?"});
    call("exec_command", args)
}

fn add(world: &World, lines: &str) {
    let before = fs::read_to_string(world.config_file()).unwrap();
    fs::write(world.config_file(), format!("{before}\n{lines}\n")).unwrap();
}

#[tokio::test]
async fn a_kept_rule_allows_without_a_question_where_it_holds_and_the_log_names_it() {
    if !has_sandbox() {
        return;
    }
    let touch = || Step::items([escalated("touch ../made"), escalated("touch ../other")]);
    let world = World::new([touch(), touch()]).await;
    add(&world, &format!("[projects.{:?}]\nallow = [{{ command = ['touch', '../made'] }}]", world.workspace));
    let run = world.exec(&["--json", "-a", "on-request", "go"]).await.expect(3);
    let allowed = &run.of("call_allowed")[..];
    let [one] = allowed else { panic!("{allowed:?}") };
    assert_eq!(
        one["by"],
        json!({"type": "grant", "scope": "project", "grant": {"type": "command_prefix", "words": ["touch", "../made"]}})
    );
    assert_eq!(run.of("rules_read")[0]["rules"].as_array().unwrap().len(), 1);
    assert_eq!(run.of("approval_requested")[0]["call"], "call_1_2");
    assert!(world.root.join("made").exists() && !world.root.join("other").exists());

    let elsewhere = world.root.join("tmp");
    let run =
        world.exec(&["--json", "-a", "on-request", "-C", elsewhere.to_str().unwrap(), "go"]).await.expect(3);
    assert!(run.of("call_allowed").is_empty() && run.of("rules_read").is_empty());
}

#[tokio::test]
async fn a_rule_for_a_script_is_void_when_the_script_changes() {
    if !has_sandbox() {
        return;
    }
    let script = || Step::items([escalated("./leave.sh")]);
    let world = World::new([script(), Step::text("one"), script(), Step::text("two")]).await;
    let path = world.workspace.join("leave.sh");
    let write = |text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("#!/bin/sh\necho one >> ../left\n");
    let run = world.exec(&["--json", "-a", "on-request", "go"]).await.expect(3);
    let grant = &run.of("approval_requested")[0]["grants"][0];
    assert_eq!((&grant["type"], &grant["words"]), (&json!("script"), &json!(["./leave.sh"])));
    let hash = grant["hash"].as_str().unwrap();
    add(
        &world,
        &format!(
            "[projects.{:?}]\nallow = [{{ command = ['./leave.sh'], script = '{hash}' }}]",
            world.workspace
        ),
    );
    let id = world.session();
    world.exec(&["resume", &id, "--approve", "call_1_1"]).await.expect(0);
    let left = || fs::read_to_string(world.root.join("left")).unwrap_or_default();
    assert_eq!(left(), "one\n");
    // As it was it may run again; as it is now it may not.
    write("#!/bin/sh\necho two >> ../left\n");
    let run = world.exec(&["resume", &id, "--json", "-a", "on-request", "again"]).await.expect(3);
    assert_eq!(run.of("approval_requested").len(), 1);
    assert_eq!(left(), "one\n");
    write("#!/bin/sh\necho one >> ../left\n");
    let run = world.agent(["permissions", "list"]).await.expect(0);
    assert!(run.stdout.contains("while that file is as it is now"), "{run:?}");
}

#[tokio::test]
async fn what_is_denied_is_refused_whatever_else_is_allowed_and_however_it_is_written() {
    if !has_sandbox() {
        return;
    }
    let commands = [
        "touch denied",
        "sh -c 'cd .; env A=1 touch denied'",
        "X=touch; $X denied",
        "echo denied | xargs touch",
        "mkdir asked",
        "mkdir asked || true",
        "echo fine > fine",
    ];
    let calls = commands.map(|cmd| call("exec_command", json!({"cmd": cmd})));
    let world = World::new([Step::items(calls), Step::text("ok")]).await;
    add(
        &world,
        "[permissions]\nallow = [{ command = ['touch', 'denied'] }, { command = ['mkdir'] }]\n\
         ask = [{ command = ['mkdir'] }]\ndeny = [{ command = ['touch', 'denied'], examples = { match = ['touch denied'] } }]",
    );
    let run = world.exec(&["--json", "-a", "on-request", "go"]).await.expect(3);
    let refused = run.of("call_refused");
    assert_eq!(refused.len(), 4, "{refused:#?}");
    assert!(refused[0]["reason"].as_str().unwrap().contains("never commands that begin with `touch denied`"));
    let requests = run.of("approval_requested");
    let asked: Vec<&str> = requests.iter().map(|fact| fact["call"].as_str().unwrap()).collect();
    assert_eq!(asked, ["call_1_5", "call_1_6"]);
    assert!(world.workspace.join("fine").exists());
    assert!(!world.workspace.join("denied").exists() && !world.workspace.join("asked").exists());
    let list = world.agent(["permissions", "list"]).await.expect(0);
    assert!(list.stdout.contains("ask before commands that begin with `mkdir`"), "{list:?}");
    let revoked = world.agent(["permissions", "revoke", "4"]).await.expect(0);
    assert!(
        revoked.stdout.starts_with("no longer a rule: never commands that begin with `touch denied`"),
        "{revoked:?}"
    );
}

#[tokio::test]
async fn who_was_refused_three_times_alike_does_not_ask_again_in_that_turn() {
    if !has_sandbox() {
        return;
    }
    let ask = |name: &str| Step::items([escalated(&format!("touch ../{name}"))]);
    let world = World::new([
        ask("a"),
        ask("b"),
        ask("c"),
        Step::items([escalated("cd . && touch ../d"), escalated("mkdir ../e")]),
        Step::text("well"),
        ask("f"),
    ])
    .await;
    world.exec(&["-a", "on-request", "go"]).await.expect(3);
    let id = world.session();
    for call in ["call_1_1", "call_2_1", "call_3_1"] {
        world.exec(&["resume", &id, "--deny", call]).await.expect(3);
    }
    // The like was refused without a question; something else is asked for.
    let log = world.log();
    let refused = of(&log, "call_refused");
    let last = refused.last().unwrap();
    assert_eq!((&last["call"], &last["by"]["type"]), (&json!("call_4_1"), &json!("policy")));
    assert!(last["reason"].as_str().unwrap().contains("three times in this turn"), "{last}");
    assert_eq!(of(&log, "approval_requested").last().unwrap()["call"], "call_4_2");
    world.exec(&["resume", &id, "--deny", "call_4_2"]).await.expect(0);
    // In the next turn the person is asked again.
    world.exec(&["resume", &id, "-a", "on-request", "please"]).await.expect(3);
    assert_eq!(of(&world.log(), "approval_requested").last().unwrap()["call"], "call_6_1");
}

#[tokio::test]
async fn an_approval_tells_what_would_be_lost() {
    if !has_sandbox() {
        return;
    }
    let world =
        World::new([Step::items([escalated("X=made; rm -rf ../$X $OTHER_THING_THAT_IS_NOT_SET_1")])]).await;
    fs::create_dir(world.root.join("made")).unwrap();
    fs::write(world.root.join("made/file"), "1234567").unwrap();
    let run = world.exec(&["-a", "on-request", "go"]).await.expect(3);
    let told = format!("  Would remove {}: 1 file, 7 bytes", world.root.join("made").display());
    assert!(run.stderr.contains(&told) && run.stderr.contains("OUTSIDE the workspace"), "{run:#?}");
    let effects = &of(&world.log(), "approval_requested")[0]["effects"];
    assert_eq!(effects["lost"], json!({"files": 1, "bytes": 7, "outside": 1, "uncommitted": 1}));
    assert_eq!(effects["touched"][0]["verb"], "remove");
    assert!(world.root.join("made/file").exists());
}

#[tokio::test]
async fn a_rule_that_was_taken_back_meanwhile_does_not_hold_in_a_session_that_goes_on() {
    if !has_sandbox() {
        return;
    }
    let patch =
        || custom_call("apply_patch", "*** Begin Patch\n*** Add File: ../notes/a\n+x\n*** End Patch\n");
    let world =
        World::new([Step::items([patch()]), Step::text("one"), Step::items([patch()]), Step::text("two")])
            .await;
    add(&world, &format!("[permissions]\nallow = [{{ write = {:?} }}]", world.root.join("notes")));
    world.exec(&["go"]).await.expect(0);
    fs::remove_file(world.root.join("notes/a")).unwrap();
    let list = world.agent(["permissions", "list"]).await.expect(0);
    let line = format!("  1  changes at or below {}, everywhere", world.root.join("notes").display());
    assert!(list.stdout.starts_with(&line) && list.stdout.contains("config.toml:"), "{list:?}");
    world.agent(["permissions", "revoke", "2"]).await.expect(2);
    let revoked = world.agent(["permissions", "revoke", "1"]).await.expect(0);
    assert!(revoked.stdout.starts_with("no longer allowed: changes at or below"), "{revoked:?}");
    assert!(revoked.stdout.contains("open now go by that"), "{revoked:?}");
    let given = ["-c", "permissions.allow=[{command=[\"zip\"]}]", "permissions", "revoke", "1"];
    let kept = world.agent(given).await.expect(1);
    assert!(
        kept.stdout.is_empty() && kept.stderr.contains("hint: take it out where it comes from: "),
        "{kept:?}"
    );
    assert!(world.agent(["permissions", "list"]).await.expect(0).stdout.starts_with("No rules are kept."));
    world.exec(&["resume", &world.session(), "again"]).await.expect(0);
    assert_eq!(of(&world.log(), "rules_read").last().unwrap()["rules"], json!([]));
    assert!(!world.root.join("notes/a").exists(), "{:?}", world.results(4));
}

#[tokio::test]
async fn a_rule_that_is_taken_back_or_given_elsewhere_counts_in_a_turn_that_runs() {
    if !has_sandbox() {
        return;
    }
    let (one, two, three) = (Gate::new(), Gate::new(), Gate::new());
    let touch = |name: &str| Step::items([escalated(&format!("touch ../{name}"))]);
    let steps = [touch("a"), touch("b").gate(0, &one), touch("b").gate(0, &two), touch("a").gate(0, &three)];
    let world = World::new(steps).await;
    let rule = |name: &str| format!("[permissions]\nallow = [{{ command = ['touch', '../{name}'] }}]");
    let before = fs::read_to_string(world.config_file()).unwrap();
    let now = |text: &str| fs::write(world.config_file(), format!("{before}\n{text}\n")).unwrap();
    now(&rule("a"));
    let elsewhere = async {
        one.reached().await;
        now(&rule("b"));
        one.open();
        two.reached().await;
        // What can't be read takes nothing away, and is said.
        now("[permissions]\nallow = 1");
        two.open();
        three.reached().await;
        now(&rule("b"));
        three.open();
    };
    let (run, ()) = tokio::join!(world.exec(&["--json", "-a", "on-request", "go"]), elsewhere);
    let run = run.expect(3);
    let calls = |kind: &str| -> Vec<Value> { run.of(kind).iter().map(|fact| fact["call"].clone()).collect() };
    assert_eq!(calls("call_allowed"), ["call_1_1", "call_2_1", "call_3_1"]);
    assert_eq!(calls("approval_requested"), ["call_4_1"]);
    assert_eq!(run.of("rules_read").len(), 2, "they were read anew only when they were others");
    let noted: Vec<Value> = run.of("noted").iter().map(|fact| fact["text"].clone()).collect();
    assert!(
        matches!(&noted[..], [one] if one.as_str().unwrap().starts_with("the rules are those from before")),
        "{noted:?}"
    );
}

/// What a request tells of permissions, oldest first.
fn told(world: &World, number: usize) -> Vec<String> {
    let body = &world.mock.requests()[number - 1].body;
    let texts =
        body["input"].as_array().unwrap().iter().filter_map(|item| item["content"][0]["text"].as_str());
    texts.filter(|text| text.starts_with("<permissions")).map(str::to_owned).collect()
}

#[tokio::test]
async fn other_permissions_hold_from_the_next_command_on_and_the_model_is_told_once() {
    if !has_sandbox() {
        return;
    }
    let write = || Step::items([shell("echo x > made || echo no")]);
    let world =
        World::new([write(), Step::text("one"), write(), Step::text("two"), Step::text("three")]).await;
    world.exec(&["go"]).await.expect(0);
    let id = world.session();
    fs::remove_file(world.workspace.join("made")).unwrap();
    world.exec(&["resume", &id, "-s", "read-only", "again"]).await.expect(0);
    assert!(output(world.results(4)[1].1.as_str().unwrap()).ends_with("no\n"), "{:?}", world.results(4));
    world.exec(&["resume", &id, "and on"]).await.expect(0);

    let before = told(&world, 2);
    assert_eq!((before.len(), before[0].contains("`workspace-write`")), (1, true));
    for number in 3..=5 {
        let now = told(&world, number);
        assert_eq!(now.len(), 2, "{now:?}");
        assert_eq!(now[0], before[0]);
        assert!(now[1].contains("have changed") && now[1].contains("`read-only`"), "{now:?}");
    }
    // What was sent before is sent again to the letter.
    let requests = world.mock.requests();
    for pair in requests.windows(2) {
        let [earlier, later] =
            [&pair[0], &pair[1]].map(|request| request.body["input"].as_array().unwrap().clone());
        assert_eq!(later[..earlier.len()], earlier[..]);
    }
}

#[tokio::test]
async fn another_model_brings_its_limits_and_what_is_set_for_all_models_goes_before_them() {
    let world = World::new([Step::text("one"), Step::text("two"), Step::text("three")]).await;
    add(&world, "[models.small]\nwindow = 10000\ntool_output = 700\neffort = 'low'");
    world.exec(&["go"]).await.expect(0);
    let id = world.session();
    let limits = |world: &World| of(&world.log(), "configured").last().unwrap()["settings"].clone();
    world.exec(&["resume", &id, "-m", "mock/small", "again"]).await.expect(0);
    let small = limits(&world);
    assert_eq!(
        (&small["limits"], &small["effort"]),
        (&json!({"window": 9500, "tool_output": 700}), &json!("low"))
    );
    world.configure("context_window = 20000");
    world.exec(&["resume", &id, "-m", "mock/m", "again"]).await.expect(0);
    assert_eq!(limits(&world)["limits"]["window"], 20000);
}
