//! Several calls in one answer.

use serde_json::json;

use crate::support::{
    mock::{Step, call, text},
    world::{World, output, shell},
};

#[tokio::test]
async fn three_calls_run_side_by_side_and_are_answered_in_order_in_one_request() {
    // Each opens its own pipe and writes into that of the next one, which waits for that one to have begun: none
    // gets on before all have. Then each waits for a file, and the test makes those in the reverse order.
    let meet = |me: u32, next: u32| {
        let wait = format!("until [ -e go{me} ]; do :; done");
        shell(&format!("exec 4<> p{me}; echo from{me} > p{next}; read -r line <&4; echo $line; {wait}"))
    };
    let world = World::new([Step::items([meet(1, 2), meet(2, 3), meet(3, 1)]), Step::text("ok")]).await;
    for pipe in ["p1", "p2", "p3"] {
        world.fifo(pipe);
    }
    let mut run = world.start(&["go"]);
    for number in [3, 2, 1] {
        world.write(&format!("go{number}"), "");
        let call = format!("call_1_{number}");
        run.until(|fact| fact["item"]["type"] == "tool_result" && fact["item"]["call"] == call).await;
    }
    run.end().await.expect(0);
    assert_eq!(world.mock.requests().len(), 2);
    let results = world.results(2);
    let got: Vec<(&str, &str)> =
        results.iter().map(|(id, text)| (id.as_str(), output(text.as_str().unwrap()))).collect();
    assert_eq!(got, [("call_1_1", "from3\n"), ("call_1_2", "from1\n"), ("call_1_3", "from2\n")]);
}

#[tokio::test]
async fn what_the_model_says_before_its_calls_is_kept_before_them() {
    let world =
        World::new([Step::items([text("I look."), shell("true"), shell("false")]), Step::text("ok")]).await;
    world.exec(&["go"]).await.expect(0);
    let kinds: Vec<_> = world.sent(2).iter().map(|item| item["type"].clone()).collect();
    assert_eq!(
        kinds,
        [
            "message",
            "message",
            "function_call",
            "function_call",
            "function_call_output",
            "function_call_output"
        ]
    );
}

#[tokio::test]
async fn one_call_that_fails_does_not_keep_the_others() {
    let world = World::new([
        Step::items([
            shell("echo first"),
            call("exec_command", "{\"cmd\": 7}"),
            call("no_such_tool", json!({})),
            shell("echo last"),
        ]),
        Step::text("ok"),
    ])
    .await;
    world.exec(&["go"]).await.expect(0);
    let results = world.results(2);
    assert_eq!(output(results[0].1.as_str().unwrap()), "first\n");
    assert_eq!(
        results[1].1,
        "failed to parse function arguments: invalid type: integer `7`, expected a string at line 1 column 9"
    );
    assert_eq!(results[2].1, "unsupported call: no_such_tool");
    assert_eq!(output(results[3].1.as_str().unwrap()), "last\n");
}
