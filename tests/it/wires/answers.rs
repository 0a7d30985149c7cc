//! What answers become.

use super::*;

#[tokio::test]
async fn an_answer_comes_in_deltas_and_whole_items() {
    let step = Step::items([
        mock::reasoning(&["Think.", "More."], "c2VhbGVk"),
        mock::text("Hello there"),
        mock::call("exec_command", json!({"cmd": "ls"})),
        mock::custom_call("apply_patch", "*** Begin"),
    ])
    .chunk(6)
    .usage_all(100, 80, 20, 7);
    let (chunks, error) = ask_mock(step).await;
    assert_eq!(error, None);
    let expected = [
        Chunk::Reasoning("Think.".into()),
        Chunk::Reasoning("\n\n".into()),
        Chunk::Reasoning("More.".into()),
        Chunk::Item(Item::Reasoning {
            id: Some("rs_1_1".into()),
            summary: vec!["Think.".into(), "More.".into()],
            encrypted: Some("c2VhbGVk".into()),
        }),
        Chunk::Text("Hello ".into()),
        Chunk::Text("there".into()),
        Chunk::Item(assistant("msg_1_2", "Hello there")),
        Chunk::Arguments("{\"cmd\"".into()),
        Chunk::Arguments(":\"ls\"}".into()),
        Chunk::Item(Item::ToolCall {
            call: CallId::from("call_1_3"),
            id: Some("fc_1_3".into()),
            tool: "exec_command".into(),
            args: Args::Json("{\"cmd\":\"ls\"}".into()),
        }),
        Chunk::Arguments("*** Be".into()),
        Chunk::Arguments("gin".into()),
        Chunk::Item(Item::ToolCall {
            call: CallId::from("call_1_4"),
            id: Some("ctc_1_4".into()),
            tool: "apply_patch".into(),
            args: Args::Text("*** Begin".into()),
        }),
        Chunk::Finished {
            usage: Some(Usage {
                input: 100,
                cached: 80,
                output: 20,
                reasoning: 7,
                cost: None,
                unpriced: false,
            }),
        },
    ];
    assert_eq!(chunks, expected);
}

#[tokio::test]
async fn requests_one_after_the_other_share_a_connection() {
    let mock = Mock::start([Step::text("a"), Step::text("b"), Step::status(500), Step::text("c")]).await;
    let model = model(&mock);
    for _ in 0..4 {
        ask(&model, &prompt(vec![Item::user("hi")])).await;
    }
    let connections: Vec<usize> = mock.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1; 4]);
}

#[tokio::test]
async fn items_of_unknown_types_are_kept_and_odd_shapes_understood() {
    let step = Step::items([
        json!({"type": "web_search_call", "id": "ws_1", "action": {"query": "q"}}),
        json!({"type": "message", "id": "msg_1", "content": [{"type": "refusal", "refusal": "No."}]}),
        json!({"type": "function_call", "id": "fc_1", "call_id": null, "name": "t", "arguments": {"a": 1}}),
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "open"}]}),
    ]);
    let (chunks, error) = ask_mock(step).await;
    assert_eq!(error, None);
    assert_eq!(
        items(&chunks),
        [
            Item::Unknown(json!({"type": "web_search_call", "id": "ws_1", "action": {"query": "q"}})),
            assistant("msg_1", "No."),
            Item::ToolCall {
                call: CallId::from("fc_1"),
                id: Some("fc_1".into()),
                tool: "t".into(),
                args: Args::Json("{\"a\":1}".into()),
            },
            Item::Reasoning { id: Some("rs_1".into()), summary: vec!["open".into()], encrypted: None },
        ]
    );
}

#[tokio::test]
async fn an_item_that_would_not_survive_a_log_is_garbage() {
    let mut deep = json!({"type": "odd"});
    for _ in 0..70 {
        deep = json!({"type": "odd", "inner": deep});
    }
    for item in [deep, json!({"type": "user", "content": []}), json!({"type": 7}), json!("text")] {
        let (chunks, error) = ask_mock(Step::items([item])).await;
        assert_eq!((chunks, error.unwrap().kind), (vec![], Kind::Garbage));
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let document = json!({
        "status": "completed",
        "output": [{"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "whole"}]}],
        "usage": {"input_tokens": 3, "output_tokens": 1},
    });
    let (chunks, error) = ask_mock(Step::json(document)).await;
    let usage = Usage { input: 3, output: 1, ..Usage::default() };
    let expected = [Chunk::Item(assistant("msg_1", "whole")), Chunk::Finished { usage: Some(usage) }];
    assert_eq!((&chunks[..], error), (&expected[..], None));
    let failed = json!({"status": "failed", "error": {"code": "server_error", "message": "oops"}});
    let (_, error) = ask_mock(Step::json(failed)).await;
    assert_eq!(error.map(|error| (error.kind, error.retry)), Some((Kind::Server, Retry::Backoff)));
}

#[tokio::test]
async fn items_that_only_the_last_event_lists_are_taken_from_there() {
    let body = "data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"type\":\"message\",\"id\":\"msg_1\",\
                \"content\":[{\"type\":\"output_text\",\"text\":\"late\"}]}]}}\n\n";
    let (chunks, error) = ask_mock(Step::raw(body)).await;
    assert_eq!(error, None);
    assert_eq!(chunks, [Chunk::Item(assistant("msg_1", "late")), Chunk::Finished { usage: None }]);
}

#[tokio::test]
async fn an_item_that_came_on_its_own_and_one_that_was_only_listed_are_both_there() {
    let [first, second] = ["first", "second"].map(|text| {
        format!("{{\"type\":\"message\",\"id\":\"{text}\",\"content\":[{{\"type\":\"output_text\",\"text\":\"{text}\"}}]}}")
    });
    let body = format!(
        "data: {{\"type\":\"response.output_item.done\",\"item\":{first}}}\n\n\
         data: {{\"type\":\"response.completed\",\"response\":{{\"output\":[{first},{second}]}}}}\n\n"
    );
    let (chunks, error) = ask_mock(Step::raw(body)).await;
    assert_eq!(error, None);
    assert_eq!(items(&chunks), [assistant("first", "first"), assistant("second", "second")]);
}

#[tokio::test]
async fn an_account_that_can_not_be_read_costs_nobody_the_answer() {
    for (usage, expected) in [
        (
            "{\"input_tokens\":3,\"output_tokens\":1,\"output_tokens_details\":{\"reasoning_tokens\":null}}",
            true,
        ),
        ("{\"input_tokens\":3,\"output_tokens\":1,\"input_tokens_details\":null}", true),
        ("{\"input_tokens\":\"many\"}", false),
        ("7", false),
        ("null", false),
    ] {
        let body = format!(
            "data: {{\"type\":\"response.completed\",\"response\":{{\"usage\":{usage},\"output\":[{{\"type\":\"message\",\
             \"id\":\"m\",\"content\":[{{\"type\":\"output_text\",\"text\":\"x\"}}]}}]}}}}\n\n"
        );
        let (chunks, error) = ask_mock(Step::raw(body)).await;
        let used = expected.then(|| Usage { input: 3, output: 1, ..Usage::default() });
        assert_eq!(error, None, "{usage}");
        assert_eq!(chunks, [Chunk::Item(assistant("m", "x")), Chunk::Finished { usage: used }], "{usage}");
    }
}

#[tokio::test]
async fn a_stream_without_type_fields_is_read_by_its_event_names() {
    let body = "event: response.output_text.delta\r\ndata: {\"delta\":\"x\"}\r\n\r\nevent: response.output_item.done\r\n\
                data: {\"item\":{\"type\":\"message\",\"content\":[{\"text\":\"x\"}]}}\r\n\r\n\
                event: response.completed\r\ndata: {}\r\n\r\ndata: [DONE]\r\n\r\n";
    let (chunks, error) = ask_mock(Step::raw(body)).await;
    assert_eq!((text_of(&chunks), finished(&chunks), error), ("x".to_owned(), true, None));
}
