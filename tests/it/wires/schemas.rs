//! Requests, and the answers of the mock, against the types that providers publish with their own clients.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use agent::{
    model::{anthropic, chat},
    protocol::HostedTool,
};

use super::{hosted, *};
use crate::support::{mock::text, skip};

/// Names a Python that has the clients, where `python3` has not.
const PYTHON: &str = "AGENT_TEST_SCHEMAS";

/// What of our requests differs from what is published, and is taken: a message of the model goes back without what the
/// provider does not need to know it again.
const KNOWN: [&str; 2] = ["(message): status: Field required", "(message): id: Field required"];

fn line(wire: &str, kind: &str, about: &str, value: &Value) -> String {
    json!({"wire": wire, "kind": kind, "about": about, "value": value}).to_string() + "\n"
}

/// All that is looked at: the requests of each wire, and the events of the mock.
fn lines() -> String {
    let mut lines = String::new();
    let searched = json!({"type": "web_search_call", "id": "ws_1", "status": "completed",
                          "action": {"type": "search", "query": "q"}});
    let mut said = conversation();
    said.retain(|item| !matches!(item, Item::Unknown(_)));
    said.insert(said.len() - 1, Item::Unknown(searched.clone()));
    let plain = Prompt { output_schema: Some(json!({"type": "object"})), ..prompt(said.clone()) };
    let full = Prompt { effort: Some(Effort::High), ..hosted::with_tools(said, hosted::all_tools()) };
    let only_search = hosted::with_tools(vec![Item::user("hi")], vec![HostedTool::WebSearch]);
    for (about, prompt) in [("plain", &plain), ("with hosted tools", &full), ("with a search", &only_search)]
    {
        for (wire, body) in [
            ("responses", Encoder::default().request(prompt)),
            ("chat", chat::encode::Encoder::new(chat::Dialect::default()).request(prompt)),
            ("anthropic", anthropic::encode::Encoder::new(32_000).request(prompt)),
        ] {
            lines += &line(wire, "request", about, &serde_json::from_slice(&body).unwrap());
        }
    }
    let [began, found] = hosted::messages_search();
    let step = |more: Vec<Value>| {
        let own = [
            mock::reasoning(&["Think.", "More."], "c2VhbGVk"),
            text("Hello thére"),
            mock::call("exec_command", json!({"cmd": "ls"})),
            mock::custom_call("apply_patch", "*** Begin"),
        ];
        Step::items([own.to_vec(), more].concat()).usage_all(100, 80, 20, 7)
    };
    for (wire, path, more) in [
        ("responses", "/responses", vec![searched]),
        ("chat", "/chat/completions", Vec::new()),
        ("anthropic", "/messages", vec![began, found]),
    ] {
        for (about, step) in
            [("an answer", step(more.clone())), ("one cut short", step(more).incomplete("max_output_tokens"))]
        {
            for event in step.events_at(path, 1) {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
                let Ok(value) = serde_json::from_str::<Value>(data) else {
                    assert_eq!(data, "[DONE]");
                    continue;
                };
                // It keeps a connection alive, and no client has a type for it.
                if value["type"] != "ping" {
                    lines += &line(wire, "event", &format!("{about}: {}", value["type"]), &value);
                }
            }
        }
    }
    lines
}

#[test]
fn requests_and_the_answers_of_the_mock_are_as_the_providers_publish_them() {
    let python = std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into());
    let has = Command::new(&python).args(["-c", "import anthropic, openai, pydantic"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        return skip("types that providers publish: pip install -r tests/data/schemas.txt");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/schemas.py");
    let mut child =
        Command::new(&python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = lines();
    let mut stdin = child.stdin.take().unwrap();
    let text = lines.clone();
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let all: Vec<&str> = said.lines().collect();
    let (count, problems) = all.split_last().expect("it says how many there were");
    assert_eq!(*count, format!("{} looked at", lines.lines().count()));
    let news: Vec<&&str> =
        problems.iter().filter(|problem| !KNOWN.iter().any(|known| problem.contains(known))).collect();
    assert!(news.is_empty(), "{news:#?}");
    // What is known to differ has not been mended unnoticed.
    assert!(problems.iter().any(|problem| problem.contains(KNOWN[0])), "{problems:#?}");
}
