//! What a run gives: facts, answers, files.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    mock::{Step, text},
    world::{World, files, shell},
};

#[tokio::test]
async fn json_is_facts_and_nothing_else_and_equals_the_log() {
    let world = World::new([Step::items([shell("echo hi")]), Step::text("ok")]).await;
    let run = world.exec(&["--json", "go"]).await.expect(0);
    let facts = run.facts();
    assert_eq!(facts[0]["type"], "session_started");
    assert_eq!(facts[0]["session"], json!(world.session()));
    let seqs: Vec<u64> = facts.iter().map(|fact| fact["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=facts.len() as u64).collect::<Vec<_>>());
    assert_eq!(world.log(), facts);
    assert_eq!(run.stderr, "");
    // A resumed run tells what is new, with the numbers going on.
    let world = World::new([Step::text("one"), Step::text("two")]).await;
    let first = world.exec(&["--json", "go"]).await.expect(0).facts();
    let second = world.exec(&["resume", &world.session(), "--json", "on"]).await.expect(0).facts();
    assert_eq!(world.log(), [first, second].concat());
}

#[tokio::test]
async fn deltas_are_told_apart_from_facts_and_add_up_to_them() {
    let world = World::new([
        Step::items([shell("echo out; echo more; cat gate")]),
        Step::text("a text in quite a few pieces, which is long enough"),
    ])
    .await;
    let gate = world.fifo("gate");
    let mut run = world.start(&["--deltas", "go"]);
    // What is over before anybody has looked is told by its result alone.
    run.until(|line| line["delta"]["text"].as_str().is_some_and(|text| text.ends_with("more\n"))).await;
    tokio::task::spawn_blocking(move || fs::write(gate, "")).await.unwrap().unwrap();
    let run = run.end().await.expect(0);
    let (deltas, facts): (Vec<Value>, Vec<Value>) =
        run.facts().into_iter().partition(|line| line.get("delta").is_some());
    assert_eq!(world.log(), facts);
    let all = |kind: &str| {
        let of = deltas.iter().filter(|line| line["delta"]["type"] == kind);
        of.map(|line| line["delta"]["text"].as_str().unwrap()).collect::<String>()
    };
    assert_eq!(all("text"), "a text in quite a few pieces, which is long enough");
    assert_eq!(all("output"), "out\nmore\n");
    let run = world.exec(&["--deltas", "go"]).await.expect(2);
    assert!(run.stderr.contains("--json"), "{run:#?}");
}

#[tokio::test]
async fn the_last_message_goes_into_a_file_and_only_the_last() {
    let world = World::new([
        Step::items([text("First a look."), shell("true")]),
        Step::text("The result, without a line end."),
    ])
    .await;
    let file = world.root.join("last.md");
    let run = world.exec(&["-o", file.to_str().unwrap(), "go"]).await.expect(0);
    assert_eq!(run.stdout, "The result, without a line end.\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), "The result, without a line end.");
    let world = World::new([Step::text("ok")]).await;
    let run = world.exec(&["-o", "/nowhere/last.md", "go"]).await.expect(1);
    assert!(run.stderr.contains("/nowhere/last.md"), "{run:#?}");
    assert!(world.mock.requests().is_empty(), "told before anything is asked");
    let run = world.exec(&["-o", world.root.to_str().unwrap(), "go"]).await.expect(1);
    assert!(run.stderr.contains("can't write"), "{run:#?}");
    world.exec(&["-o", "/dev/null", "go"]).await.expect(0);
    // A task that fails leaves what was there, and no file where there was none.
    fs::write(&file, "earlier").unwrap();
    let world = World::new([Step::status(401), Step::status(401)]).await;
    let missing = world.root.join("missing.md");
    for path in [&file, &missing] {
        world.exec(&["-o", path.to_str().unwrap(), "go"]).await.expect(5);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "earlier");
    assert!(!missing.exists());
}

#[tokio::test]
async fn an_answer_is_held_against_its_schema() {
    let schema = json!({
        "type": "object", "properties": {"sum": {"type": "integer"}},
        "required": ["sum"], "additionalProperties": false,
    });
    for (answer, code, problem) in [
        ("{\"sum\": 4}", 0, ""),
        ("{\"sum\": \"four\"}", 7, "is not of type"),
        ("The sum is 4", 7, "it is not JSON"),
    ] {
        let world = World::new([Step::text(answer)]).await;
        let path = world.root.join("schema.json");
        fs::write(&path, schema.to_string()).unwrap();
        let run = world.exec(&["--output-schema", path.to_str().unwrap(), "go"]).await.expect(code);
        assert_eq!(run.stdout, format!("{answer}\n"));
        assert!(run.stderr.contains(problem), "{run:#?}");
        let format = &world.mock.requests()[0].body["text"]["format"];
        assert_eq!((&format["type"], &format["schema"]), (&json!("json_schema"), &schema));
    }
}

#[tokio::test]
async fn a_schema_that_is_none_is_refused_before_anything_begins() {
    let world = World::new([]).await;
    let nested = (0..125).fold("{}".to_owned(), |inner, _| format!("{{\"items\":{inner}}}"));
    for (content, problem) in [
        (None, "can't read"),
        (Some("{"), "is not JSON"),
        (Some("{\"type\": 7}"), "is not a JSON Schema"),
        (Some(&nested), "is nested deeper than 64 levels"),
    ] {
        let path = world.root.join("schema.json");
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let run = world.exec(&["--output-schema", path.to_str().unwrap(), "go"]).await.expect(2);
        assert!(run.stderr.contains(problem), "{run:#?}");
    }
    assert_eq!((world.sessions().len(), world.mock.requests().len()), (0, 0));
}

#[tokio::test]
async fn an_ephemeral_run_leaves_nothing() {
    let world = World::new([Step::items([shell("echo big; seq 20000")]), Step::text("ok")]).await;
    // The copies of skills that commands see are of no run.
    let shelf = world.root.join("home/cache/skills");
    let left = || files(&world.root).into_iter().filter(|file| !file.starts_with(&shelf)).collect::<Vec<_>>();
    let before = left();
    world.exec(&["--ephemeral", "go"]).await.expect(0);
    assert_eq!(left(), before);
    let world = World::new([Step::status(400)]).await;
    let run = world.exec(&["--ephemeral", "go"]).await.expect(1);
    assert!(!run.stderr.contains("resume"), "there is nothing to resume: {run:#?}");
    assert_eq!(files(&world.root.join("tmp")), Vec::<std::path::PathBuf>::new());
    let destructive = shell("rm -rf ../nothing-of-this-name");
    let world = World::new([Step::items([destructive])]).await;
    let run = world.exec(&["--ephemeral", "-a", "untrusted", "go"]).await.expect(3);
    assert!(!run.stderr.contains("resume") && run.stderr.contains("--ephemeral"), "{run:#?}");
}

#[tokio::test]
async fn a_closed_standard_output_stops_nobody() {
    let world = World::new([Step::items([shell("echo x > made")]), Step::text("ok")]).await;
    let mut run = world.start(&["go"]);
    run.close_stdout();
    run.end().await.expect(0);
    assert_eq!(world.read("made"), "x\n");
    assert_eq!(world.log().last().unwrap()["outcome"]["type"], "done");
}

#[tokio::test]
async fn a_turn_without_a_message_does_not_give_the_answer_of_an_earlier_one() {
    let steps = [Step::text("{\"sum\": 4}"), Step::items([]), Step::items([])];
    let world = World::new(steps).await;
    let (file, schema) = (world.root.join("last.md"), world.root.join("schema.json"));
    fs::write(&schema, "{\"type\": \"object\"}").unwrap();
    let [file_name, schema] = [&file, &schema].map(|path| path.to_str().unwrap());
    world.exec(&["-o", file_name, "go"]).await.expect(0);
    let id = world.session();
    let run = world.exec(&["-o", file_name, "resume", &id, "again"]).await.expect(0);
    assert_eq!((run.stdout.as_str(), fs::read_to_string(&file).unwrap().as_str()), ("", ""));
    let run = world.exec(&["--output-schema", schema, "resume", &id, "again"]).await.expect(7);
    assert!(run.stdout.is_empty() && run.stderr.contains("it is not JSON"), "{run:#?}");
}
