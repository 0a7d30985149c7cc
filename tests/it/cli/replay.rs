//! Sessions shown again, proved whole, gone on with from a turn, and runs repeated from what was recorded.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    mock::{Step, custom_call, reasoning, text},
    world::{KEY, World, facts, of, shell},
};

#[tokio::test]
async fn a_session_is_shown_again_as_text_and_as_facts_and_at_a_speed() {
    let world = World::new([Step::items([shell("echo hi")]), Step::text("one")]).await;
    world.exec(&["the task"]).await.expect(0);
    let id = world.session();
    let before = fs::read(world.log_file()).unwrap();
    let text = world.agent(["replay", &id]).await.expect(0);
    assert!(text.stdout.contains("› the task") && text.stdout.contains("$ echo hi"), "{text:#?}");
    assert_eq!(text.stderr, "");
    let shown = world.agent(["replay", "--last", "--json", "--speed", "1000"]).await.expect(0);
    assert_eq!(shown.facts(), world.log());
    assert_eq!(fs::read(world.log_file()).unwrap(), before, "nothing is written");
    assert_eq!(world.mock.requests().len(), 2, "nobody is asked");
    for wrong in ["0", "-1", "fast", "nan", "inf"] {
        world.agent(["replay", &id, &format!("--speed={wrong}")]).await.expect(2);
    }
}

#[tokio::test]
async fn a_log_is_proved_whole_or_the_first_record_that_is_not_is_named() {
    let world = World::new([Step::text("one")]).await;
    world.exec(&["the task"]).await.expect(0);
    let id = world.session();
    let log = fs::read_to_string(world.log_file()).unwrap();
    let count = log.lines().count();

    let whole = world.agent(["replay", &id, "--verify"]).await.expect(0).stdout;
    assert!(whole.contains(&format!("session {id} is whole: {count} records")), "{whole}");
    let sum = whole.lines().last().unwrap().rsplit(' ').next().unwrap().to_owned();
    assert!(log.trim_end().ends_with(&format!("{sum}\"}}")), "{whole}");
    let found = world.agent(["replay", &id, "--verify", "--sum", &sum]).await.expect(0).stdout;
    assert!(found.contains(&format!("record {count} has the sum {sum}")), "{found}");

    // The last lines are gone: they fit, but for what was noted.
    let shorter: String = log.split_inclusive('\n').take(count - 1).collect();
    fs::write(world.log_file(), shorter).unwrap();
    world.agent(["replay", &id, "--verify"]).await.expect(0);
    let gone = world.agent(["replay", &id, "--verify", "--sum", &sum]).await.expect(1).stdout;
    assert!(gone.contains("no record has the sum"), "{gone}");

    // A crash in the middle of the last line is no damage.
    fs::write(world.log_file(), &log.as_bytes()[..log.len() - 4]).unwrap();
    let torn = world.agent(["replay", &id, "--verify"]).await.expect(0).stdout;
    assert!(torn.contains("a crash cut off"), "{torn}");

    let line = log.lines().position(|line| line.contains("the task")).unwrap() + 1;
    fs::write(world.log_file(), log.replace("the task", "the mask")).unwrap();
    let damaged = world.agent(["replay", &id, "--verify"]).await.expect(1).stdout;
    assert!(damaged.contains(&format!("record {line} is not as it was written")), "{damaged}");
    let object = world.agent(["replay", &id, "--verify", "--json"]).await.expect(1).stdout;
    let object: Value = serde_json::from_str(&object).unwrap();
    assert_eq!((&object["whole"], &object["records"]), (&json!(false), &json!(line - 1)));
    assert_eq!(object["damage"]["record"], json!(line));
    // What is whole is still shown, and what is wrong is said.
    let shown = world.agent(["replay", &id, "--json"]).await.expect(1);
    assert_eq!(
        (shown.facts().len(), shown.stderr.contains(&format!("line {line} is damaged"))),
        (line - 1, true)
    );
}

#[tokio::test]
async fn a_session_goes_on_from_a_turn_with_another_model_and_stays_as_it_was() {
    let world = World::new(["one", "two", "three", "four"].map(Step::text)).await;
    world.exec(&["first"]).await.expect(0);
    let id = world.session();
    world.exec(&["resume", &id, "second"]).await.expect(0);
    let before = fs::read(world.log_file()).unwrap();

    let run = world.agent(["replay", &id, "--from", "2", "-m", "mock/other"]).await.expect(0);
    assert_eq!(run.stdout, "three\n");
    let request = &world.mock.requests()[2];
    assert_eq!(request.body["model"], "other");
    let words = |number| -> Vec<String> {
        let said = world.sent(number);
        let said = said.iter().filter(|item| item["role"] != "developer");
        said.map(|item| item["content"][0]["text"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(words(3), ["first", "one", "second"]);
    let fork = world.sessions().into_iter().find(|other| *other != id).unwrap();
    world.agent(["replay", &fork, "--verify"]).await.expect(0);
    let log = facts(&fs::read_to_string(world.home.join("sessions").join(&fork).join("log.jsonl")).unwrap());
    assert_eq!(log[0]["parent"], json!(id));
    assert_eq!(of(&log, "turn_started").len(), 2);

    let run = world.agent(["replay", &id, "--from", "2", "--json", "something else"]).await.expect(0);
    assert_eq!(run.outcome()["type"], "done");
    assert_eq!(words(4), ["first", "one", "something else"]);
    assert_eq!(fs::read(world.home.join("sessions").join(&id).join("log.jsonl")).unwrap(), before);
    let run = world.agent(["replay", &id, "--from", "3"]).await.expect(2);
    assert!(run.stderr.contains("those from 1 to 2"), "{run:#?}");
    assert_eq!(world.sessions().len(), 3, "a mistake makes no session");
}

/// What can be compared of two runs: no times, numbers and ids of their own.
fn story(facts: &[Value]) -> Vec<Value> {
    let kept =
        ["item_added", "response_finished", "call_allowed", "call_refused", "tool_started", "turn_finished"];
    let facts = facts.iter().filter(|fact| kept.contains(&fact["type"].as_str().unwrap()));
    let facts = facts.filter(|fact| fact["item"]["type"] != "context");
    facts
        .map(|fact| {
            let mut fact = fact.clone();
            for field in ["seq", "at", "duration_ms"] {
                fact.as_object_mut().unwrap().remove(field);
            }
            if fact["item"]["type"] == "tool_result" {
                // Its text tells how long it took.
                fact["item"] = json!({"result_of": fact["item"]["call"], "exit": fact["item"]["shown"]["exit"],
                                      "output": fact["item"]["shown"]["output"]["head"]});
            }
            fact
        })
        .collect()
}

#[tokio::test]
async fn a_run_that_was_recorded_is_repeated_without_its_provider() {
    let patch = "*** Begin Patch\n*** Add File: new.txt\n+new\n*** End Patch\n";
    let steps = [
        Step::status(503),
        Step::items([
            reasoning(&["I think."], "c2VhbGVk"),
            text("I look."),
            shell("echo hi"),
            custom_call("apply_patch", patch),
        ])
        .chunk(7),
        Step::items([text("half"), text("and half")]).quiet().drop_after(5),
        Step::text(format!("The key is {KEY}.")),
    ];
    let world = World::new(steps).await;
    let file = world.root.join("run.jsonl");
    let record = ["--record", file.to_str().unwrap()];
    let first = world.agent([&["exec", "--json"], &record[..], &["the task"]].concat()).await.expect(0);
    let kept = fs::read_to_string(&file).unwrap();
    assert!(!kept.contains(KEY) && !kept.contains("Bearer"), "{kept}");
    let lines: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let requests: Vec<&Value> = lines.iter().filter(|line| line["request"].is_u64()).collect();
    assert_eq!(requests.len(), world.mock.requests().len());
    for (line, request) in requests.iter().zip(world.mock.requests()) {
        assert_eq!(line["body"], request.body, "what was sent");
    }
    assert_eq!(lines.iter().filter(|line| line["status"] == 503).count(), 1);

    let other = World::new([]).await;
    fs::write(other.root.join("run.jsonl"), &kept).unwrap();
    let config = fs::read_to_string(other.config_file()).unwrap().replace(
        "[providers.mock]",
        &format!(
            "[providers.again]\nwire = 'replay'\nscript = '{}'\n[providers.mock]",
            other.root.join("run.jsonl").display()
        ),
    );
    fs::write(other.config_file(), config.replace("model = 'mock/m'", "model = 'again/m'")).unwrap();
    let second = other.agent(["exec", "--json", "the task"]).await.expect(0);
    assert_eq!(other.mock.requests().len(), 0);
    assert_eq!(other.read("new.txt"), "new\n");
    // What failed at first is not repeated, and what it cost is the same.
    let here = |world: &World| world.workspace.display().to_string();
    let first = json!(story(&first.facts()))
        .to_string()
        .replace(KEY, "[secret]")
        .replace(&here(&world), &here(&other));
    assert_eq!(json!(story(&second.facts())).to_string(), first);
    assert_eq!(first.matches("\"half\"").count(), 1, "{first}");

    let run = other.agent(["exec", "--record", "again.jsonl", "x"]).await.expect(1);
    assert!(run.stderr.contains("is a recording already"), "{run:#?}");
    let run = world.agent(["exec", "--record", "new.txt", "x"]).await.expect(1);
    assert!(run.stderr.contains("is no recording; it was left as it is"), "{run:#?}");
    assert_eq!(world.read("new.txt"), "new\n");
}
