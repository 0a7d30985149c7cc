//! Commands in containers that wait for somebody to type, and those that only take their time.

use serde_json::json;

use super::world::image;
use crate::support::{
    mock::{Request, Step, call},
    world::{World, process, results, sent},
};

const WAIT: &[(&str, &str)] = &[
    ("read answer", "line"),
    ("cat | wc -l", "line"),
    ("sh", "line"),
    ("perl -e '<STDIN>'", "line"),
    ("stty -echo; printf Password:; read secret", "secret"),
    ("bash --norc", "keys"),
    ("read -n 1 key", "keys"),
];

const WORK: &[&str] = &[
    "sleep 600",
    "sleep 600 | cat",
    "while :; do :; done",
    "stty -echo; sleep 600",
    "stty raw -echo; sleep 600",
    "mkfifo pipe; cat pipe",
];

/// What the model reads of a command that waits so.
fn words(kind: &str) -> &'static str {
    match kind {
        "line" => "Waiting for input: it reads a line from the terminal\n",
        "secret" => "Waiting for input: it reads a line that is not echoed",
        _ => "Waiting for input: it reads single keys",
    }
}

#[tokio::test]
async fn the_model_hears_of_programs_in_containers_that_wait_and_of_no_others() {
    let Some(image) = image() else { return };
    let start = |cmd: &str, patience: u32| {
        call("exec_command", json!({"cmd": cmd, "tty": true, "shell": "bash", "yield_time_ms": patience}))
    };
    // A look ends when it is seen that somebody waits: the long time only bounds a failure.
    let waiting = WAIT.iter().map(|(cmd, _)| start(cmd, 30_000));
    let working = WORK.iter().map(|cmd| start(cmd, 2_500));
    let calls: Vec<_> = waiting.chain(working).collect();
    let world = World::bare([Step::items(calls), Step::text("ok")]).await;
    world.configure(&format!("sandbox = 'workspace-write'\nbackend = 'docker:{image}'"));
    let run = world.exec(&["go"]).await;
    assert_eq!(run.code, 0, "{run:?}");
    let results = world.results(2);
    assert_eq!(results.len(), WAIT.len() + WORK.len());
    for ((cmd, kind), (_, said)) in WAIT.iter().zip(&results) {
        let said = said.as_str().unwrap();
        assert!(said.contains(words(kind)), "{cmd}: {said}");
    }
    for (cmd, (_, said)) in WORK.iter().zip(results.iter().skip(WAIT.len())) {
        let said = said.as_str().unwrap();
        assert!(said.contains("running with session ID") && !said.contains("Waiting for"), "{cmd}: {said}");
    }
}

#[tokio::test]
async fn what_is_typed_reaches_who_waits_in_a_container() {
    let Some(image) = image() else { return };
    let sessions = |request: &Request| -> u32 { process(results(&sent(request))[0].1.as_str().unwrap()) };
    let script = "read -p 'Name? ' name; echo \"hello $name\"; read -n 1 key; echo \"[$key]\"";
    let world = World::bare([
        Step::items([call(
            "exec_command",
            json!({"cmd": script, "tty": true, "shell": "bash", "yield_time_ms": 30_000}),
        )]),
        Step::reply(move |request| {
            let id = sessions(request);
            Step::items([call(
                "write_stdin",
                json!({"session_id": id, "chars": "you\n", "yield_time_ms": 30_000}),
            )])
        }),
        Step::reply(move |request| {
            let id = sessions(request);
            Step::items([call(
                "write_stdin",
                json!({"session_id": id, "chars": "k", "yield_time_ms": 30_000}),
            )])
        }),
        Step::text("ok"),
    ])
    .await;
    world.configure(&format!("sandbox = 'workspace-write'\nbackend = 'docker:{image}'"));
    let run = world.exec(&["go"]).await;
    assert_eq!(run.code, 0, "{run:?}");
    let said: Vec<String> =
        world.results(4).into_iter().map(|(_, said)| said.as_str().unwrap().to_owned()).collect();
    assert!(said[0].contains("Name? ") && said[0].contains(words("line")), "{said:?}");
    assert!(said[1].contains("hello you") && said[1].contains(words("keys")), "{said:?}");
    assert!(said[2].contains("[k]") && said[2].contains("exited with code 0"), "{said:?}");
    assert!(said.iter().all(|text| !text.contains('\u{1b}')), "{said:?}");
}
