//! Another model in the place of one that can't answer.

use super::*;
use crate::support::{
    mock::reasoning as thought,
    world::{World, shell},
};

/// A world whose model falls back to one on another wire.
async fn world(first: Vec<Step>, second: &Mock) -> World {
    let world = World::new(first).await;
    world.configure("fallback = ['keyless/none', 'other/b']");
    let config = std::fs::read_to_string(world.config_file()).unwrap();
    let more = format!(
        "[providers.other]\nbase_url = '{}'\nwire = 'anthropic'\n\
         [providers.keyless]\nbase_url = 'http://127.0.0.1:9/v1'\nenv_key = 'NOBODY_HAS_THIS'\n",
        second.base_url()
    );
    std::fs::write(world.config_file(), format!("{config}\n{more}")).unwrap();
    world
}

#[tokio::test]
async fn a_model_that_is_overloaded_is_replaced_by_the_next_one_in_the_middle_of_a_turn() {
    let second = Mock::start([
        Step::items([shell("echo two > two.txt")]),
        Step::text("Done."),
        Step::text("Still here."),
    ])
    .await;
    let world = world(
        vec![
            Step::items([thought(&["Hm."], "c2VhbGVk"), shell("echo one > one.txt")]),
            // Nobody waits for a minute where somebody else can answer.
            Step::status(429).header("retry-after", "60"),
        ],
        &second,
    )
    .await;
    let run = world.exec(&["--json", "do it"]).await.expect(0);
    assert_eq!((world.read("one.txt"), world.read("two.txt")), ("one\n".into(), "two\n".into()));
    let settings: Vec<Value> =
        run.of("configured").iter().map(|fact| fact["settings"]["model"].clone()).collect();
    assert_eq!(settings, [json!("mock/m"), json!("other/b")]);
    let told: Vec<String> = run.notes().into_iter().filter(|note| note.contains("going on with")).collect();
    assert_eq!(told.len(), 1, "it is said once: {told:?}");
    assert!(told[0].contains("other/b") && told[0].contains("429"), "{told:?}");
    // The conversation came along, without what only the first one understands.
    let request = second.requests()[0].body.clone();
    let text = request.to_string();
    assert!(text.contains("echo one") && !text.contains("c2VhbGVk") && !text.contains("Hm."), "{text}");
    assert_eq!(request["messages"][2]["content"][0]["type"], "tool_result", "{request:#}");
    // It stays with the one that answers.
    world.exec(&["resume", "--last", "and now?"]).await.expect(0);
    assert_eq!((world.mock.requests().len(), second.requests().len()), (2, 3));
}

#[tokio::test]
async fn what_another_model_can_not_help_ends_the_turn() {
    let second = Mock::start([Step::status(429).header("retry-after", "3600")]).await;
    let refused = world(vec![Step::status(400)], &second).await;
    refused.exec(&["do it"]).await.expect(1);
    assert!(second.requests().is_empty(), "a request that is wrong is wrong everywhere");
    let overloaded = || Step::status(429).header("retry-after", "3600");
    let busy = world(vec![overloaded()], &second).await;
    let run = busy.exec(&["--json", "do it"]).await.expect(1);
    assert_eq!((busy.mock.requests().len(), second.requests().len()), (1, 1), "each is asked once");
    assert_eq!(run.outcome()["kind"], "rate_limit", "{run:#?}");
}

#[tokio::test]
async fn another_style_of_tools_is_told_once_and_its_calls_are_of_the_same_tools() {
    let plain = Mock::start([
        Step::items([mock::call(
            "edit_file",
            json!({"path": "a.txt", "old_text": "one", "new_text": "two"}),
        )]),
        Step::items([
            mock::call("read_file", json!({"path": "a.txt"})),
            mock::call("exec_command", json!({"cmd": "echo by the old name"})),
        ]),
        Step::text("Done."),
    ])
    .await;
    let first = vec![Step::items([shell("echo one > a.txt")]), Step::status(429).header("retry-after", "60")];
    let world = world(first, &plain).await;
    let config = std::fs::read_to_string(world.config_file()).unwrap();
    std::fs::write(
        world.config_file(),
        config.replace("wire = 'anthropic'", "wire = 'anthropic'\ntools = 'plain'"),
    )
    .unwrap();
    let run = world.exec(&["--json", "do it"]).await.expect(0);
    assert_eq!(world.read("a.txt"), "two\n");
    let offered = |request: &crate::support::mock::Request| -> Vec<String> {
        let tools = request.body["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(offered(&world.mock.requests()[0]).contains(&"exec_command".to_owned()));
    let now = offered(&plain.requests()[0]);
    assert!(now.contains(&"edit_file".to_owned()) && !now.contains(&"exec_command".to_owned()), "{now:?}");
    assert_eq!(now, offered(&plain.requests()[2]), "the same tools in the same order");
    let notices = run.of("item_added").into_iter().filter(|fact| fact["item"]["context"] == "notice");
    let notices: Vec<String> = notices.map(|fact| fact["item"]["text"].to_string()).collect();
    assert_eq!(notices.iter().filter(|text| text.contains("`edit_file`")).count(), 1, "{notices:?}");
    let results = run.of("item_added").into_iter().filter(|fact| fact["item"]["type"] == "tool_result");
    let shown: Vec<String> = results.map(|fact| fact["item"].to_string()).collect();
    assert!(shown[1].contains("\"type\":\"patch\""), "{shown:#?}");
    assert!(
        shown.iter().any(|text| text.contains("two"))
            && shown.iter().any(|text| text.contains("by the old name"))
    );
}
