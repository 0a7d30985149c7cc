//! A server that others wrote stands between: a gateway that speaks the wires and translates them.
//!
//! On one side is the real program, on the other the mock in another language; what comes out must be what went in.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use super::*;
use crate::support::{
    mock::text,
    skip,
    world::{Run, World, shell},
};

/// Names the program, where it is not in the path.
const PROGRAM: &str = "AGENT_TEST_GATEWAY";

/// Ends with the test.
struct Gateway {
    child: Child,
    port: u16,
}

impl Gateway {
    /// A gateway whose models are that of this server, reached in the language of Messages, or of Responses.
    fn start(world: &World) -> Option<Self> {
        let program = std::env::var_os(PROGRAM).unwrap_or_else(|| "litellm".into());
        // Free when it was asked for; a gateway that can't have it ends, and the test fails with its words.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = world.mock.host();
        let config = json!({
            "model_list": [
                {"model_name": "messages", "litellm_params": {
                    "model": "anthropic/m", "api_base": format!("http://{host}"), "api_key": "sk-upstream"}},
                {"model_name": "responses", "litellm_params": {
                    "model": "openai/m", "api_base": format!("http://{host}/v1"), "api_key": "sk-upstream"}},
            ],
            "litellm_settings": {"num_retries": 0, "telemetry": false, "drop_params": true},
            "router_settings": {"num_retries": 0, "disable_cooldowns": true},
        });
        let file = world.root.join("gateway.yaml");
        // JSON is YAML.
        std::fs::write(&file, config.to_string()).unwrap();
        let mut child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--config"])
            .arg(&file)
            .env("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY", "true")
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .env("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut said = Vec::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        for line in lines.by_ref() {
            let line = line.unwrap();
            if line.contains("Uvicorn running on") {
                // It must not stop at a pipe that nobody empties.
                std::thread::spawn(move || lines.for_each(drop));
                return Some(Self { child, port });
            }
            said.push(line);
        }
        panic!("the gateway ended: {:?}\n{}", child.wait(), said.join("\n"));
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The facts of a kind, as one of their fields.
fn texts(run: &Run, kind: &str) -> Vec<String> {
    let items = run.of("item_added").into_iter().map(|fact| fact["item"].clone());
    let of_kind = items.filter(|item| item["type"] == kind);
    of_kind.map(|item| item["text"].as_str().unwrap_or_default().to_owned()).collect()
}

/// What the model answers, by what was said before: the gateway may ask for something else in between.
fn answer(request: &crate::support::mock::Request) -> Step {
    let said = request.body.to_string();
    match () {
        // What is refused, and not tried again.
        () if said.contains("refuse this") => Step::status(400).body(
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"the mock refuses","code":null,"param":null}}"#,
        ),
        () if said.contains("badger") => {
            Step::text("Both files are there. ".repeat(200)).chunk(40).usage(300, 30)
        }
        // Calls side by side.
        () if said.contains("aardvark") => {
            Step::items([shell("cat one.txt"), shell("echo two > two.txt; echo badger")]).usage(200, 20)
        }
        // Text and a call in one answer.
        () if said.contains("do it") => {
            Step::items([text("I look around."), shell("echo one > one.txt; echo aardvark")]).usage(100, 10)
        }
        () => Step::status(404),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_program_works_through_a_gateway_that_others_wrote() {
    // The program speaks Chat Completions, and the gateway another language on its other side.
    through("chat", "messages", "/messages").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_works_with_messages_on_this_side_and_responses_on_the_other() {
    through("anthropic", "responses", "/responses").await;
}

/// Works through a gateway that is spoken to on a wire, and reaches its model on another one.
async fn through(wire: &str, model: &str, path: &str) {
    let world = World::new((0..60).map(|_| Step::reply(answer))).await;
    let Some(gateway) = Gateway::start(&world) else {
        return skip("a gateway that others wrote: pip install -r tests/data/gateway.txt");
    };
    let config = std::fs::read_to_string(world.config_file()).unwrap();
    let address = format!("base_url = 'http://127.0.0.1:{}/v1'", gateway.port);
    let changed = config
        .replace(&format!("base_url = '{}'", world.mock.base_url()), &address)
        .replace("wire = 'responses'", &format!("wire = '{wire}'"))
        .replace("model = 'mock/m'", &format!("model = 'mock/{model}'"))
        .replace(
            "[models.m]\nwindow = 200000\neffort = 'medium'",
            &format!("[models.{model}]\nwindow = 200000"),
        );
    assert!(changed.contains(&address) && changed.contains(&format!("[models.{model}]")), "{changed}");
    std::fs::write(world.config_file(), changed).unwrap();
    let run = world.exec(&["--json", "--deltas", "do it"]).await.expect(0);
    assert_eq!((world.read("one.txt"), world.read("two.txt")), ("one\n".into(), "two\n".into()), "{run:#?}");
    assert_eq!(
        texts(&run, "assistant"),
        ["I look around.".to_owned(), "Both files are there. ".repeat(200)],
        "{run:#?}"
    );
    let results = run.of("item_added").into_iter().filter(|fact| fact["item"]["type"] == "tool_result");
    let outputs: Vec<String> = results.map(|fact| fact["item"]["content"].to_string()).collect();
    assert_eq!(outputs.len(), 3);
    for expected in ["aardvark", "one", "badger"] {
        // Calls of one answer may end in any order.
        assert!(outputs.iter().any(|text| text.contains(expected)), "{expected}: {outputs:#?}");
    }
    let deltas = run.facts().into_iter().filter(|line| line["delta"]["type"] == "text");
    // What comes fast is told together.
    assert!(deltas.count() > 0, "it was streamed");
    let usage: Vec<Value> =
        run.of("response_finished").iter().map(|fact| fact["usage"]["output"].clone()).collect();
    assert_eq!(usage, [json!(10), json!(20), json!(30)]);
    // What the mock got is its own language, with each call paired with its result.
    let requests = world.mock.requests();
    let last = requests.iter().rfind(|request| request.body.to_string().contains("badger")).unwrap();
    assert!(last.path.contains(path), "the gateway asked {}", last.path);
    let sent = last.body.to_string();
    assert!(sent.contains("aardvark") && sent.contains("badger"), "{sent}");

    let run = world.exec(&["--json", "refuse this"]).await.expect(1);
    assert!(run.outcome().to_string().contains("the mock refuses"), "{run:#?}");
}
