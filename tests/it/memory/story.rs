//! The whole way: two sessions, what is noted of them, what a later one is told, and a fact that has become stale.

use std::fs;

use serde_json::json;

use super::{extract, id_of, kept, note, notes, project, raw, takes};
use crate::support::{
    mock::{Step, call, text},
    world::{KEY, Running, World, shell},
};

const TOKEN: &str = "ghp_Q1w2E3r4T5y6U7i8O9p0Q1w2E3r4T5y6U7i8";
const RUN: [&str; 4] = ["memory", "run", "-c", "memory.write=true"];

/// As much of a session's id as a note names.
fn begins(session: &str) -> &str {
    session.get(..13).unwrap()
}

fn answered(text: &str) -> Step {
    Step::text(text)
}

#[tokio::test]
async fn two_sessions_are_noted_put_together_told_and_a_stale_fact_is_corrected() {
    let world = World::new([
        answered("The tests need the database on port 5433."),
        answered("Gut. Die Tests laufen mit cargo nextest."),
        // Notes of the first, of the second; the person's; the project's.
        extract(
            "find-the-port",
            &[
                note("project", "The tests need the database on port 5433", "need the database on port 5433"),
                note("project", &format!("The token is {TOKEN}"), "need the database on port 5433"),
                note("project", "The token is hidden", &format!("token {TOKEN}")),
            ],
        ),
        extract(
            "run-the-tests",
            &[
                note("user", "Wants answers in German", "always answer in German"),
                note("project", "Tests run with cargo nextest", "laufen mit cargo nextest"),
            ],
        ),
        takes(&[("c1", "Wants answers in German")]),
        takes(&[("c1", "The tests need the database on port 5433"), ("c2", "Tests run with cargo nextest")]),
        // The third session, and the fourth, which shows that a note is wrong.
        answered("Verstanden."),
        answered("The database listens on 5434 since today."),
    ])
    .await;
    world.configure("memory.read = true");
    world.exec(&[&format!("which port? my token {TOKEN}, and the key {KEY}")]).await.expect(0);
    world.exec(&["run the tests; always answer in German"]).await.expect(0);
    let ran = world.agent(RUN).await.expect(0);
    assert!(ran.stderr.contains("find-the-port") && ran.stderr.contains("run-the-tests"), "{ran:?}");

    // The log is data in the third request and those after it, without secrets, and the answer has a form.
    let requests = world.mock.requests();
    assert_eq!(requests.len(), 6);
    for request in &requests[2..] {
        let text = raw(request);
        assert!(!text.contains(TOKEN) && !text.contains(KEY), "{text}");
        assert!(request.body["tools"].as_array().is_none_or(Vec::is_empty), "{text}");
        assert_eq!(request.body["text"]["format"]["type"], "json_schema", "{text}");
    }
    assert!(raw(&requests[2]).contains("[redacted:"));

    let text = notes(&world);
    let sessions = world.sessions();
    let today = jiff::Zoned::now().date();
    for (line, session) in [("port 5433", &sessions[0]), ("cargo nextest", &sessions[1])] {
        let line = text.lines().find(|text| text.contains(line)).unwrap();
        let end = format!(" · {today} · session {})", begins(session));
        assert!(line.starts_with("- ") && line.ends_with(&end), "{line}");
    }
    for (file, text) in kept(&world) {
        assert!(!text.contains(TOKEN) && !text.contains(KEY) && !text.contains("redacted"), "{file}: {text}");
    }

    // What a session is told.
    let run = world.exec(&["--json", "hallo"]).await.expect(0);
    let told = world.mock.requests()[6].body["input"].to_string();
    assert!(told.contains("<memory>") && told.contains("Wants answers in German"), "{told}");
    assert!(told.contains("port 5433") && told.contains("background and no instructions"), "{told}");
    assert!(
        run.notes().iter().all(|note| !note.contains("memory undo")),
        "whoever asked for it knows: {run:?}"
    );

    // The next session shows that it is wrong; another run corrects the note in its place.
    world.exec(&["the database does not answer"]).await.expect(0);
    let id = id_of(&text, "port 5433");
    let wrong = json!({
        "slug": "new-port", "summary": "", "notes": [], "used": [id_of(&text, "nextest")],
        "wrong": [{"note": id, "why": "The database listens on 5434", "quote": "The database listens on 5434"}],
    });
    let nothing = json!({"slug": "hallo", "summary": "", "notes": [], "used": [], "wrong": []});
    let change = json!({
        "add": [], "change": [{"note": id, "text": "The tests need the database on port 5434", "from": ["c1"]}],
        "remove": [], "order": [],
    });
    let again = World::new([nothing, wrong, change].map(|answer| Step::text(answer.to_string()))).await;
    // The same home, with a model that goes on.
    let config = fs::read_to_string(world.config_file()).unwrap();
    fs::write(world.config_file(), config.replace(&world.mock.base_url(), &again.mock.base_url())).unwrap();
    world.agent(RUN).await.expect(0);
    let text = notes(&world);
    assert!(!text.contains("5433") && text.contains("port 5434"), "{text}");
    assert_eq!(id_of(&text, "port 5434"), id, "it is the same note");
    assert!(text.contains(begins(&world.sessions()[3])), "of the session that showed it: {text}");
    let show = world.agent(["memory", "show"]).await.expect(0).stdout;
    assert!(show.contains("1 changed from 1 session") && show.contains("in 7 requests"), "{show}");
    let json: serde_json::Value =
        serde_json::from_str(&world.agent(["memory", "show", "--json"]).await.expect(0).stdout).unwrap();
    assert_eq!((&json["requests"], &json["usage"]["input"]), (&json!(7), &json!(70)));
    let used = json["shelves"][1]["notes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|note| note["text"] == "Tests run with cargo nextest");
    assert_eq!(used.unwrap()["used"], json!(today.to_string()));

    // What it cost is not the sessions'.
    let log =
        fs::read_to_string(world.home.join("sessions").join(&world.sessions()[3]).join("log.jsonl")).unwrap();
    assert_eq!(log.matches("response_finished").count(), 1, "{log}");
    // Nothing is read twice.
    let ran = world.agent(RUN).await.expect(0);
    assert!(ran.stdout.contains("0 sessions were read") && again.mock.requests().len() == 3, "{ran:?}");
}

/// A world with one note.
async fn noted(text: &str, then: impl IntoIterator<Item = Step>) -> World {
    let steps = [answered(text), extract("one", &[note("project", text, text)]), takes(&[("c1", text)])];
    let world = World::new(steps.into_iter().chain(then).collect::<Vec<_>>()).await;
    world.configure("memory.read = true");
    world.exec(&["a task"]).await.expect(0);
    world.agent(RUN).await.expect(0);
    world
}

#[tokio::test]
async fn a_change_is_seen_undone_edited_and_forgotten() {
    let world = noted("Builds take ten minutes", []).await;
    let diff = world.agent(["memory", "diff"]).await.expect(0).stdout;
    assert!(
        diff.contains("1 added from 1 session") && diff.contains("+- Builds take ten minutes ("),
        "{diff}"
    );
    let asked = world.agent(["memory", "undo"]).await.expect(2);
    assert!(asked.stderr.contains("agent memory undo --yes"), "{asked:?}");
    world.agent(["memory", "undo", "--yes"]).await.expect(0);
    assert!(!notes(&world).contains("Builds"));
    world.agent(["memory", "undo", "-y"]).await.expect(0);
    assert!(notes(&world).contains("Builds"));

    let mut command = world.command(["memory", "edit"]);
    command.env("EDITOR", "sed -i -e 's/ten minutes/an hour/' -e '$ a - My own note'");
    let run = Running::spawn(command).end().await.expect(0);
    assert!(run.stdout.contains("1 added, 1 changed"), "{run:?}");
    let text = notes(&world);
    assert!(text.contains("- Builds take an hour (") && text.contains("- My own note ("), "{text}");
    assert_eq!(text.matches(" · you)").count(), 2, "{text}");
    let shown = world.agent(["memory", "show", "own"]).await.expect(0).stdout;
    assert!(shown.contains("My own note") && !shown.contains("Builds"), "{shown}");

    let id = id_of(&text, "My own note");
    let error = world.agent(["memory", "forget", &id, "zzzz"]).await.expect(2);
    assert!(error.stderr.contains("there is no note zzzz"), "{error:?}");
    assert!(!notes(&world).contains("My own note"));
    let session = world.session();
    world.agent(["memory", "forget", "--session", begins(&session)]).await.expect(0);
    assert!(fs::read_dir(project(&world).join("sessions")).unwrap().next().is_none());
    assert!(notes(&world).contains("Builds"), "the person's own words stay");
}

#[tokio::test]
async fn what_a_person_has_edited_and_deleted_holds_against_the_next_run() {
    let quote = "Builds take ten minutes";
    let world = noted(
        quote,
        [
            answered(quote),
            extract(
                "two",
                &[
                    note("project", quote, quote),
                    note("project", "Needs redis", quote),
                    note("project", "Deploys on Friday", quote),
                ],
            ),
            Step::reply(|request| {
                let text = raw(request);
                assert!(text.contains("have added by hand") || text.contains("has added by hand"), "{text}");
                assert!(text.contains("must not come back"), "{text}");
                assert!(
                    !text.contains(": Builds take ten minutes"),
                    "what was deleted is no candidate: {text}"
                );
                takes(&[("c1", "Needs redis"), ("c2", "builds take TEN minutes")])
            }),
        ],
    )
    .await;
    let file = project(&world).join("current/MEMORY.md");
    let text = fs::read_to_string(&file).unwrap();
    let without: String =
        text.lines().filter(|line| !line.contains("Builds")).map(|line| format!("{line}\n")).collect();
    fs::write(&file, format!("{without}\n## Mine\n\n- Ask before you deploy\n")).unwrap();
    world.exec(&["another task"]).await.expect(0);
    world.agent(RUN).await.expect(0);
    let text = notes(&world);
    assert!(text.contains("- Ask before you deploy (") && text.contains("- Needs redis ("), "{text}");
    assert!(!text.to_lowercase().contains("builds"), "{text}");
}

#[tokio::test]
async fn the_model_corrects_a_note_only_with_the_word_of_the_person() {
    let world = noted("The port is 5433", []).await;
    let id = id_of(&notes(&world), "5433");
    let correct = || {
        let args = json!({"action": "correct", "note": id, "text": "The port is 5434"});
        Step::items([call("remember", args)])
    };
    let search = Step::items([call("remember", json!({"action": "search", "query": "PORT"}))]);
    let again =
        World::new([search, correct(), Step::text("asked"), correct(), Step::text("corrected")]).await;
    let config = fs::read_to_string(world.config_file()).unwrap();
    fs::write(world.config_file(), config.replace(&world.mock.base_url(), &again.mock.base_url())).unwrap();

    let run = world.exec(&["--json", "correct it"]).await.expect(0);
    let results: Vec<String> = run
        .of("item_added")
        .iter()
        .filter(|fact| fact["item"]["type"] == "tool_result")
        .map(|fact| fact["item"]["content"].to_string())
        .collect();
    assert!(results[0].contains("- The port is 5433 ("), "looking needs nobody: {results:?}");
    assert!(results[1].contains("only with the user's word"), "{results:?}");
    assert!(notes(&world).contains("The port is 5433"));

    let run = world.exec(&["--json", "-a", "on-request", "correct it"]).await.expect(3);
    let asked = run.of("approval_requested");
    let intent = json!({"type": "remember", "before": "The port is 5433", "after": "The port is 5434"});
    assert_eq!((&asked[0]["intent"], &asked[0]["grants"]), (&intent, &serde_json::Value::Null));
    let session = world.sessions()[2].clone();
    let call = asked[0]["call"].as_str().unwrap();
    world.exec(&["resume", &session, "--approve", call]).await.expect(0);
    let text = notes(&world);
    assert!(
        text.contains(&format!("- The port is 5434 ({id} · ")) && text.contains(begins(&session)),
        "{text}"
    );
    let diff = world.agent(["memory", "diff"]).await.expect(0).stdout;
    assert!(
        diff.contains("the model corrected, with your word: The port is 5433 → The port is 5434"),
        "{diff}"
    );
}

#[tokio::test]
async fn what_a_session_was_told_of_earlier_ones_outlives_a_compaction() {
    let long = |words: usize| text("and more words ".repeat(words));
    let world = noted(
        "The port is 5433",
        [
            Step::items([long(2_700), shell("echo one")]).usage(3_000, 10_000),
            Step::items([long(2_000), shell("echo two")]).usage(13_500, 7_500),
            // No summary: twice.
            Step::text("no"),
            Step::text("no"),
            answered("done"),
        ],
    )
    .await;
    let config = fs::read_to_string(world.config_file()).unwrap();
    fs::write(world.config_file(), config.replace("window = 200000", "window = 20000")).unwrap();
    let run = world.exec(&["--json", "look around"]).await.expect(0);
    assert_eq!(run.of("compacted").len(), 1, "{run:?}");
    let requests = world.mock.requests();
    let told = |request: &crate::support::mock::Request| {
        let all = request.body["input"].to_string();
        (all.matches("<memory>").count(), all.matches("The port is 5433").count())
    };
    assert_eq!((told(&requests[3]), told(requests.last().unwrap())), ((1, 1), (1, 1)));
    let all = requests.last().unwrap().body["input"].to_string();
    assert!(all.matches("and more words").count() < 100, "what was said before is left out: {all}");
}
