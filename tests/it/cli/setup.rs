//! Settings, the doctor, the demo.

use std::fs;

use serde_json::Value;

use crate::support::{
    has_sandbox,
    mock::Step,
    world::{World, facts, shell, story},
};

#[tokio::test]
async fn a_wrong_setting_is_told_with_its_place_and_the_nearest_key() {
    let world = World::new([]).await;
    let good = fs::read_to_string(world.config_file()).unwrap();
    for (lines, problem) in [
        ("modle = 'mock/m'\n", "did you mean `model`?"),
        ("approval = 'newer'\n", "did you mean `never`?"),
        ("idle_timeout = 'long'\n", "idle_timeout"),
        ("model = \n", "config.toml:1:"),
    ] {
        fs::write(world.config_file(), format!("{lines}{good}")).unwrap();
        for args in [&["exec", "go"][..], &["sessions", "list"]] {
            let run = world.agent(args).await.expect(2);
            assert!(run.stderr.contains(problem) && run.stderr.contains("config.toml:1:"), "{run:#?}");
        }
        let run = world.agent(["doctor"]).await.expect(1);
        assert!(run.stdout.contains("✗ configuration"), "{run:#?}");
    }
}

#[tokio::test]
async fn the_environment_goes_before_the_file_and_the_command_line_before_both() {
    let world = World::new([Step::text("a"), Step::text("b")]).await;
    for (args, model) in [(&["exec", "go"][..], "of-env"), (&["exec", "-m", "mock/typed", "go"], "typed")] {
        let mut command = world.command(args);
        command.env("AGENT_MODEL", "mock/of-env");
        crate::support::world::Running::spawn(command).end().await.expect(0);
        assert_eq!(world.mock.requests().last().unwrap().body["model"], model);
    }
}

#[tokio::test]
async fn options_may_stand_before_and_after_a_command() {
    let world = World::new([Step::text("a"), Step::text("b")]).await;
    for args in [["-m", "mock/typed", "exec", "go"], ["exec", "-m", "mock/typed", "go"]] {
        world.agent(args).await.expect(0);
        assert_eq!(world.mock.requests().last().unwrap().body["model"], "typed");
    }
    let run = world.agent(["fix it", "exec", "go"]).await.expect(2);
    assert!(run.stderr.contains("`fix it` stands before a command"), "{run:#?}");
}

#[tokio::test]
async fn the_place_of_the_settings_is_known_though_they_are_broken() {
    let world = World::new([]).await;
    fs::write(world.config_file(), "model = \n").unwrap();
    let run = world.agent(["config", "path"]).await.expect(0);
    assert_eq!(run.stdout.trim(), world.config_file().to_string_lossy());
}

#[tokio::test]
async fn commands_get_the_variables_that_were_named_and_no_secrets() {
    let world = World::new([Step::items([shell("env")]), Step::text("ok")]).await;
    let mut command =
        world.command(["exec", "-c", "shell.env_allow=['MY_FLAG', 'MOCK_KEY', 'MY_TOKEN', 'MISSING']", "go"]);
    command.env("MY_FLAG", "flag").env("MY_TOKEN", "token").env("OTHER", "other");
    crate::support::world::Running::spawn(command).end().await.expect(0);
    let result = world.result(2);
    assert!(result.contains("\nMY_FLAG=flag\n"), "{result}");
    for absent in ["MOCK_KEY", "MY_TOKEN", "OTHER", "MISSING", "AGENT_HOME"] {
        assert!(!result.contains(absent), "{absent}: {result}");
    }
}

#[tokio::test]
async fn settings_of_a_project_that_nobody_trusts_are_passed_over_aloud() {
    let world = World::new([Step::text("ok"), Step::text("ok")]).await;
    world.write(".git/HEAD", "");
    world.write(".agent/config.toml", "model = 'mock/of-project'\n");
    let run = world.exec(&["go"]).await.expect(0);
    assert!(run.stderr.contains(".agent/config.toml"), "{run:#?}");
    assert_eq!(world.mock.requests()[0].body["model"], "m");
    let trust = format!("projects.{:?}.trusted=true", world.workspace);
    world.exec(&["-c", &trust, "go"]).await.expect(0);
    assert_eq!(world.mock.requests()[1].body["model"], "of-project");
}

#[tokio::test]
async fn the_schema_of_the_settings_is_a_schema_that_they_follow() {
    let world = World::new([]).await;
    let printed = world.agent(["config", "schema"]).await.expect(0).stdout;
    let schema: Value = serde_json::from_str(&printed).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let text = fs::read_to_string(world.config_file()).unwrap();
    let settings = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
    let errors: Vec<String> = validator.iter_errors(&settings).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    assert!(!validator.is_valid(&serde_json::json!({"modle": "mock/m"})));
    assert!(!validator.is_valid(&serde_json::json!({"idle_timeout": "long"})));
    let path = world.agent(["config", "path"]).await.expect(0).stdout;
    assert_eq!(path.trim_end(), world.config_file().to_str().unwrap());
}

#[tokio::test]
async fn the_doctor_names_what_is_there_and_what_is_missing() {
    if !has_sandbox() {
        return;
    }
    let world = World::new([]).await;
    let run = world.agent(["doctor"]).await.expect(0);
    for line in ["✓ configuration", "✓ model            mock/m", "✓ key", "✓ sandbox seccomp", "✓ shell"]
    {
        assert!(run.stdout.contains(line), "{line}: {run:#?}");
    }
    // What could be better is no fault, and says how.
    world.write("AGENTS.md", "x");
    let mut command = world.command(["doctor"]);
    command.env("TERM", "dumb").env("PATH", world.root.join("tmp")).env("WAYLAND_DISPLAY", "x");
    let run = crate::support::world::Running::spawn(command).end().await.expect(0);
    for line in
        ["! git", "→ install git", "! terminal         dumb", "! locale", "! clipboard", "! trust", "✓ room"]
    {
        assert!(run.stdout.contains(line), "{line}: {run:#?}");
    }
    let mut command = world.command(["doctor", "--json"]);
    command.env_remove("MOCK_KEY");
    let run = crate::support::world::Running::spawn(command).end().await.expect(1);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let wrong: Vec<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["ok"] == false)
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!((&report["ok"], wrong), (&Value::Bool(false), vec!["key"]));
}

#[tokio::test]
async fn usage_errors_are_2_and_help_is_0() {
    let world = World::new([]).await;
    for (args, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["exec", "--help"], 0),
        (&["exec", "--no-such-option"], 2),
        (&["exec", "resume"], 2),
        (&["exec", "a task", "resume", "x"], 2),
        (&["sessions", "rm"], 2),
        (&["no-such-command"], 2),
    ] {
        let run = world.agent(args).await.expect(code);
        // Help is data; how to use it right is not.
        assert_eq!(run.stdout.is_empty(), code != 0, "{args:?} {run:#?}");
    }
}

#[tokio::test]
async fn where_no_sandbox_can_be_had_nothing_begins_without_a_word_from_a_person() {
    let world = World::new([Step::text("ok")]).await;
    // The root of the machine is never shown in a sandbox.
    let run = world.exec(&["-C", "/", "-s", "workspace-write", "go"]).await.expect(6);
    assert!(run.stderr.contains("danger-full-access"), "{run:#?}");
    assert!(world.sessions().is_empty() && world.mock.requests().is_empty());
    world.exec(&["-C", "/", "-s", "danger-full-access", "go"]).await.expect(0);
}

#[tokio::test]
async fn the_demo_does_real_work_and_says_that_its_model_is_scripted() {
    if !has_sandbox() {
        return;
    }
    let world = World::new([]).await;
    let kept = world.root.join("demo");
    let run = world.agent(["demo", "--keep", kept.to_str().unwrap()]).await.expect(0);
    assert!(run.stderr.contains("the model's answers are scripted"), "{run:#?}");
    assert!(run.stdout.contains("The failing test passes now"), "{run:#?}");
    assert!(fs::read_to_string(kept.join("sum/sum.sh")).unwrap().contains("|| [ -n \"$number\" ]"));
    let sessions: Vec<_> = fs::read_dir(kept.join("home/sessions")).unwrap().collect();
    assert_eq!(sessions.len(), 1);
    let log = sessions[0].as_ref().unwrap().path().join("log.jsonl");
    let facts = facts(&fs::read_to_string(log).unwrap());
    let begin = facts.iter().position(|fact| fact["type"] == "turn_started").unwrap();
    let story: Vec<String> = story(&facts[begin..])
        .into_iter()
        .filter(|word| !word.starts_with("user") && !word.starts_with("assistant"))
        .collect();
    assert_eq!(story.iter().filter(|word| word.starts_with("tool_result")).count(), 4, "{story:?}");
    assert_eq!(story.last().unwrap(), "turn_finished done");
    let exits: Vec<&Value> = facts
        .iter()
        .map(|fact| &fact["item"]["shown"])
        .filter(|shown| shown["command"] == "sh test.sh")
        .map(|shown| &shown["exit"])
        .collect();
    assert_eq!(exits, [1, 0], "it failed before the patch, and passed after it");
    // Nothing of the user's own is read or written.
    assert!(world.sessions().is_empty());
}

#[tokio::test]
async fn a_person_is_asked_as_it_was_set_wherever_it_was_set() {
    let asks = || World::new([Step::items([shell("touch made")]), Step::text("ok")]);
    let typed = asks().await;
    typed.exec(&["-c", "approval=untrusted", "go"]).await.expect(3);
    let named = asks().await;
    let mut command = named.command(["exec", "go"]);
    command.env("AGENT_APPROVAL", "untrusted");
    crate::support::world::Running::spawn(command).end().await.expect(3);
    let written = asks().await;
    written.configure("approval = 'untrusted'");
    written.exec(&["go"]).await.expect(3);
    written.exec(&["-a", "never", "go"]).await.expect(0);
}

#[tokio::test]
async fn what_is_typed_goes_before_what_a_session_ran_with() {
    let world = World::new([Step::text("one"), Step::text("two"), Step::text("three")]).await;
    world.exec(&["go"]).await.expect(0);
    let id = world.session();
    // What is only configured does not.
    world.configure("effort = 'low'");
    world.exec(&["resume", &id, "on"]).await.expect(0);
    let typed = [
        "sandbox=read-only",
        "approval=untrusted",
        "effort=high",
        "verbosity=low",
        "context_window=50000",
        "model=mock/other",
    ];
    let options = typed.iter().flat_map(|typed| ["-c", typed]);
    let args: Vec<&str> = options.chain(["resume", &id, "on"]).collect();
    world.exec(&args).await.expect(0);
    let configured = crate::support::world::of(&world.log(), "configured");
    assert_eq!(configured.len(), 2, "{configured:#?}");
    let settings = &configured[1]["settings"];
    let now: Vec<&Value> =
        ["sandbox", "approval", "effort", "verbosity"].iter().map(|key| &settings[key]).collect();
    assert_eq!(now, ["read-only", "untrusted", "high", "low"]);
    assert_eq!(settings["limits"]["window"], 50_000);
    assert_eq!(world.mock.requests()[2].body["model"], "other");
    let run = world.exec(&["--backend", "docker", "resume", &id, "on"]).await.expect(2);
    assert!(run.stderr.contains("backend `docker`"), "{run:#?}");
    let run = world.exec(&["--ephemeral", "resume", &id, "on"]).await.expect(2);
    assert!(run.stderr.contains("--ephemeral is for new ones"), "{run:#?}");
}
