//! Finding out about models: the lists of providers, what a model can really do, and where keys come from.

use serde_json::{Value, json};

use crate::support::{
    mock::{Mock, Request, Step, call},
    world::World,
};

/// What stands behind these words in a request, up to the next full stop.
fn after<'a>(text: &'a str, words: &str) -> &'a str {
    text.split_once(words).and_then(|(_, rest)| rest.split_once('.')).map_or("", |(word, _)| word)
}

/// A small model: it knows `window` bytes of a request, calls tools, and sees nothing.
fn small(request: &Request, window: usize) -> Step {
    let body = request.body.to_string();
    let tool =
        request.body["tools"][0]["name"].as_str().or(request.body["tools"][0]["function"]["name"].as_str());
    match tool {
        Some(tool) => Step::items([call(tool, json!({"city": "Lisbon", "days": 3}))]),
        None if body.contains("fruit") => Step::text(r#"{"fruit": "apple", "count": 7}"#),
        None if body.contains("colour") => Step::text("none"),
        None if body.contains("first password") => {
            let (first, last) = (after(&body, "first password is "), after(&body, "last password is "));
            // It forgets the beginning of what is too long.
            Step::text(if body.len() > window { last.to_owned() } else { format!("{first} {last}") })
        }
        None => Step::text("1 2 3 4 5 6").usage(10, 12),
    }
}

fn speak(world: &World, wire: &str, base_url: &str) {
    let config = std::fs::read_to_string(world.config_file()).unwrap();
    let config = config
        .replace("wire = 'responses'", &format!("wire = '{wire}'"))
        .replace(&format!("base_url = '{}'", world.mock.base_url()), &format!("base_url = '{base_url}'"))
        .replace("[models.m]\nwindow = 200000\neffort = 'medium'\n", "");
    std::fs::write(world.config_file(), config).unwrap();
}

#[tokio::test]
async fn the_doctor_of_models_measures_what_one_does_and_that_is_used_from_then_on() {
    let bytes = 60_000;
    let world = World::bare((0..12).map(|_| Step::reply(move |request| small(request, bytes)))).await;
    speak(&world, "chat", &world.mock.base_url());
    let config = std::fs::read_to_string(world.config_file()).unwrap();
    let config = config.replace("[providers.mock]\n", "[providers.mock]\nwindow = 32000\n");
    std::fs::write(world.config_file(), config).unwrap();
    let before = world.agent(["models", "--json"]).await.expect(0).stdout;
    assert!(!before.contains("\"tools\":true"), "{before}");

    let run = world.agent(["models", "doctor", "mock/m"]).await.expect(0);
    for line in [
        "tool calls  yes",
        "JSON        yes",
        "pictures    no",
        "the beginning was lost",
        "15200 tokens: both ends of",
    ] {
        assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
    }
    let kept: Value =
        serde_json::from_str(&std::fs::read_to_string(world.home.join("models.json")).unwrap()).unwrap();
    let measured = &kept["measured"]["mock/m"];
    assert_eq!(
        (&measured["window"], &measured["tools"], &measured["json"], &measured["images"]),
        (&json!(15_200), &json!(true), &json!(true), &json!(false)),
        "{kept:#}"
    );

    // The next session goes by it.
    let listed = world.agent(["models", "--json"]).await.expect(0).stdout;
    let own = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let own = own.into_iter().find(|line| line["model"] == "mock/m").unwrap();
    assert_eq!((&own["window"], &own["measured"]["images"]), (&json!(14_440), &json!(false)), "{listed}");
}

#[tokio::test]
async fn a_model_that_is_not_there_is_told_at_once() {
    let world =
        World::bare([Step::status(404), Step::status(404).body(r#"{"error":{"message":"no such model"}}"#)])
            .await;
    let run = world.agent(["models", "doctor", "mock/gone"]).await.expect(1);
    assert!(
        run.stderr.contains("mock/gone can't be measured") && run.stderr.contains("no such model"),
        "{run:#?}"
    );
    assert_eq!(world.mock.requests().len(), 2, "its list, and one try");
}

#[tokio::test]
async fn providers_are_asked_for_their_models_when_a_person_wants_it() {
    let chat = Mock::start([Step::json(
        json!({"data": [{"id": "vendor/big", "context_length": 64_000}, {"id": "small"}]}),
    )])
    .await;
    let ollama = Mock::start([Step::json(json!({"models": [{"name": "qwen3:8b", "digest": "d1"}]}))]).await;
    let world = World::bare([Step::json(json!({"data": [{"id": "own"}]}))]).await;
    let config = std::fs::read_to_string(world.config_file()).unwrap();
    let more = format!(
        "[providers.gate]\nbase_url = '{}'\nwire = 'chat'\n[providers.ollama]\nbase_url = 'http://{}'\n\
         [providers.keyless]\nbase_url = '{}'\nenv_key = 'NOBODY_HAS_THIS'\n",
        chat.base_url(),
        ollama.host(),
        chat.base_url(),
    );
    std::fs::write(world.config_file(), format!("{config}\n{more}")).unwrap();
    assert!(world.mock.requests().is_empty(), "nobody is asked before");
    let run = world.agent(["models", "--refresh"]).await.expect(0);
    for line in ["gate/vendor/big", "gate/small", "ollama/qwen3:8b", "mock/own", "60k tokens"] {
        assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
    }
    assert_eq!((chat.requests()[0].path.as_str(), chat.requests().len()), ("/v1/models", 1));
    assert_eq!(ollama.requests()[0].path, "/api/tags");
    assert_eq!(
        world.mock.requests()[0].headers["authorization"],
        format!("Bearer {}", crate::support::world::KEY)
    );
    // It is kept, and asks nobody again.
    assert!(world.agent(["models"]).await.expect(0).stdout.contains("ollama/qwen3:8b"));
    assert_eq!(ollama.requests().len(), 1);
}

#[tokio::test]
async fn it_says_where_keys_come_from_and_shows_none() {
    let world = World::bare([]).await;
    let mut login = world.command(["login", "deepseek"]);
    login.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = login.spawn().unwrap();
    use tokio::io::AsyncWriteExt as _;
    child.stdin.take().unwrap().write_all(b"sk-of-deepseek\n").await.unwrap();
    assert!(child.wait().await.unwrap().success());
    let run = world.agent(["whoami"]).await.expect(0);
    for (provider, from) in [
        ("* mock", "environment  MOCK_KEY"),
        ("  deepseek", "file"),
        ("  ollama", "none needed"),
        ("  xai", "missing"),
    ] {
        let line = run.stdout.lines().find(|line| line.starts_with(provider));
        assert!(line.is_some_and(|line| line.contains(from)), "{provider}: {}", run.stdout);
    }
    assert!(!run.all().contains("sk-of-deepseek") && !run.all().contains(crate::support::world::KEY));
    let json = world.agent(["whoami", "--json"]).await.expect(0).stdout;
    assert!(
        json.contains(r#"{"provider":"mock","key":"environment","detail":"MOCK_KEY","current":true}"#),
        "{json}"
    );
}

#[tokio::test]
async fn a_command_prints_the_token_and_another_one_when_it_is_refused() {
    let world =
        World::bare([Step::status(401), Step::text("hello"), Step::status(401), Step::status(401)]).await;
    world.configure("sandbox = 'danger-full-access'");
    let count = world.root.join("count");
    let script = world.root.join("token");
    let text =
        format!("#!/bin/sh\necho x >> {0}\nprintf 'token-secret-%s\\n' $(wc -l < {0})\n", count.display());
    std::fs::write(&script, text).unwrap();
    let config = std::fs::read_to_string(world.config_file()).unwrap();
    let command = format!("token_command = ['sh', '{}']\nkey_header = 'api-key'", script.display());
    std::fs::write(world.config_file(), config.replace("env_key = 'MOCK_KEY'", &command)).unwrap();
    let run = world.exec(&["--json", "hi"]).await.expect(0);
    let sent: Vec<String> =
        world.mock.requests().iter().map(|request| request.headers["api-key"].clone()).collect();
    assert_eq!(sent, ["token-secret-1", "token-secret-2"]);
    assert!(!run.all().contains("token-secret"), "{run:#?}");
    // Refused twice, it is told.
    let run = world.exec(&["hi"]).await.expect(5);
    assert!(run.stderr.contains("refused the key"), "{run:#?}");
    assert!(world.agent(["whoami"]).await.expect(0).stdout.contains("* mock         command"));
}
