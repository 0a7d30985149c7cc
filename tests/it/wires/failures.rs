//! Every way to fail, and what is said and done about it.

use super::*;

/// An answer that fails, and what is wanted of it.
async fn fails(step: Step, kind: Kind, retry: Retry) -> (Vec<Chunk>, ModelError) {
    let (chunks, error) = ask_mock(step).await;
    let error = error.unwrap_or_else(|| panic!("{kind:?} was expected; chunks: {chunks:?}"));
    assert_eq!((error.kind, error.retry), (kind, retry), "{error}");
    (chunks, error)
}

#[tokio::test]
async fn a_status_is_told_with_the_servers_words() {
    for (status, kind) in [(500, Kind::Server), (503, Kind::Server)] {
        let step = Step::status(status).body(json!({"error": {"message": "the engine is warm"}}));
        let (_, error) = fails(step, kind, Retry::Backoff).await;
        assert!(error.message.starts_with("127.0.0.1:"), "{error}");
        assert!(error.message.ends_with("the engine is warm"), "{error}");
    }
    let (_, error) = fails(Step::status(400).body("no\u{7} such\nthing"), Kind::Request, Retry::No).await;
    assert!(error.message.ends_with("no such thing"), "{error}");
    fails(Step::status(404), Kind::Request, Retry::No).await;
    let long = json!({"error": {"message": "too long", "code": "context_length_exceeded"}});
    fails(Step::status(400).body(long), Kind::ContextWindow, Retry::No).await;
}

#[tokio::test]
async fn a_rate_limit_waits_as_long_as_the_server_says() {
    let after = |ms| Retry::After(Duration::from_millis(ms));
    fails(Step::status(429).header("retry-after", "1"), Kind::RateLimit, after(1000)).await;
    fails(Step::status(429).header("retry-after-ms", "40"), Kind::RateLimit, after(40)).await;
    fails(Step::status(429), Kind::RateLimit, Retry::Backoff).await;
    let step = Step::text("x").fail("rate_limit_exceeded", "Rate limit reached, please try again in 1.5s.");
    fails(step, Kind::RateLimit, after(1500)).await;
}

#[tokio::test]
async fn a_refused_key_is_not_tried_again_and_never_shown() {
    for status in [401, 403] {
        let body = json!({"error": {"message": format!("Incorrect API key provided: {KEY}")}});
        let (_, error) = fails(Step::status(status).body(body), Kind::Auth, Retry::No).await;
        assert!(error.message.contains("[secret]"), "{error}");
        assert!(!format!("{error:?}").contains(KEY), "{error:?}");
    }
    let (_, error) =
        fails(Step::text("x").fail("odd", &format!("see {KEY}")), Kind::Request, Retry::No).await;
    assert!(!format!("{error:?}").contains(KEY), "{error:?}");
}

#[tokio::test]
async fn a_failed_response_is_told_by_its_code() {
    let table = [
        ("server_error", Kind::Server, Retry::Backoff),
        ("server_is_overloaded", Kind::Server, Retry::Backoff),
        ("rate_limit_exceeded", Kind::RateLimit, Retry::Backoff),
        ("insufficient_quota", Kind::RateLimit, Retry::No),
        ("context_length_exceeded", Kind::ContextWindow, Retry::No),
        ("invalid_prompt", Kind::Request, Retry::No),
        ("something_new", Kind::Request, Retry::No),
    ];
    for (code, kind, retry) in table {
        let (chunks, error) = fails(Step::text("so far").fail(code, "own words"), kind, retry).await;
        assert!(error.message.contains("own words"), "{error}");
        assert_eq!(items(&chunks), [assistant("msg_1_1", "so far")], "what was completed is kept");
    }
}

#[tokio::test]
async fn an_error_event_is_told_in_each_of_its_shapes() {
    for data in [
        r#"{"type":"error","code":"server_error","message":"own words","param":null}"#,
        r#"{"type":"error","error":{"type":"server_error","code":null,"message":"own words"}}"#,
        r#"{"error":{"code":"server_error","message":"own words"}}"#,
    ] {
        let (_, error) = fails(Step::raw(format!("data: {data}\n\n")), Kind::Server, Retry::Backoff).await;
        assert!(error.message.contains("own words"), "{error}");
    }
}

#[tokio::test]
async fn an_incomplete_answer_says_why_and_what_it_cost() {
    let step = Step::text("half").incomplete("max_output_tokens").usage(9, 4);
    let (chunks, error) = fails(step, Kind::Incomplete, Retry::No).await;
    assert!(error.message.contains("max_output_tokens"), "{error}");
    assert_eq!(error.usage, Some(Usage { input: 9, output: 4, ..Usage::default() }));
    assert_eq!(items(&chunks).len(), 1);
}

#[tokio::test]
async fn a_stream_that_ends_early_is_a_lost_connection() {
    let (chunks, error) = fails(Step::text("all of it").unfinished(), Kind::Network, Retry::Backoff).await;
    assert!(error.message.contains("ended before it was complete"), "{error}");
    assert_eq!(items(&chunks), [assistant("msg_1_1", "all of it")], "what was completed is kept");
    let (chunks, error) =
        fails(Step::text("half of it").chunk(4).drop_after(4), Kind::Network, Retry::Backoff).await;
    assert!(error.message.contains("lost in the middle"), "{error}");
    assert_eq!(text_of(&chunks), "half");
    fails(Step::text("half of it").reset_after(4), Kind::Network, Retry::Backoff).await;
    fails(Step::hang_up(), Kind::Network, Retry::Backoff).await;
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    for after in [0, 4] {
        let mock = Mock::start([Step::text("half of it").chunk(4).stall_after(after)]).await;
        let model = with_idle(&mock, Duration::from_millis(60));
        let (_, error) = ask(&model, &prompt(vec![Item::user("hi")])).await;
        let error = error.unwrap();
        assert_eq!((error.kind, error.retry), (Kind::Network, Retry::Backoff));
        assert!(error.message.contains("nothing came from"), "{error}");
    }
    let gate = Gate::new();
    let mock = Mock::start([Step::text("x").gate(0, &gate)]).await;
    let (_, error) = ask(&with_idle(&mock, Duration::from_millis(60)), &prompt(vec![])).await;
    assert!(error.unwrap().message.contains("nothing came from"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_network_error() {
    let url = Mock::start([]).await.base_url();
    let provider = Provider { base_url: url, ..Provider::default() };
    let model = Responses::new(Http::new(&provider, None).unwrap());
    // The mock's socket closes with its task.
    for _ in 0..1000 {
        let (_, error) = ask(&model, &prompt(vec![])).await;
        let error = error.unwrap();
        assert_eq!((error.kind, error.retry), (Kind::Network, Retry::Backoff), "{error}");
        if error.message.contains("refused") {
            return assert!(error.message.starts_with("cannot reach 127.0.0.1:"), "{error}");
        }
    }
    panic!("the port stayed open");
}

#[tokio::test]
async fn an_unreadable_event_is_passed_over_aloud_if_nothing_was_lost() {
    let (chunks, error) = ask_mock(Step::text("fine").garbage_after(3)).await;
    assert_eq!(error, None);
    assert_eq!(items(&chunks), [assistant("msg_1_1", "fine")]);
    let [.., Chunk::Note(note), Chunk::Finished { .. }] = &chunks[..] else { panic!("{chunks:?}") };
    assert!(note.contains("an event that can't be read") && note.contains("broken"), "{note}");
}

#[tokio::test]
async fn the_words_of_an_unreadable_event_are_shown_without_the_key() {
    let whole = "data: {\"type\":\"response.completed\",\"response\":{\"output\":[]}}\n\n";
    let (chunks, error) = ask_mock(Step::raw(format!("data: {{you said {KEY}\n\n{whole}"))).await;
    assert_eq!(error, None);
    let [Chunk::Note(note), Chunk::Finished { .. }] = &chunks[..] else { panic!("{chunks:?}") };
    assert!(note.contains("[secret]") && !note.contains(KEY), "{note}");
}

#[tokio::test]
async fn an_unreadable_event_is_an_error_if_something_may_be_lost() {
    let unlisted = Step::text("fine").garbage_after(3).unlisted();
    let (_, error) = fails(unlisted, Kind::Garbage, Retry::Backoff).await;
    assert!(error.message.contains("an event that can't be read"), "{error}");
    let lost = "data: {broken\n\ndata: {\"type\":\"response.output_item.done\",\"item\":{\"type\":\"message\"}}\n\n\
                data: {\"type\":\"response.completed\",\"response\":{\"output\":[{},{}]}}\n\n";
    fails(Step::raw(lost), Kind::Garbage, Retry::Backoff).await;
    fails(Step::text("fine").garbage_after(3).unfinished(), Kind::Garbage, Retry::Backoff).await;
    fails(Step::raw("data: 7\n\n".repeat(1000)), Kind::Garbage, Retry::Backoff).await;
    fails(Step::raw(b"data: \xff\n\n".to_vec()), Kind::Garbage, Retry::Backoff).await;
}

#[tokio::test]
async fn a_web_page_is_no_answer() {
    let page =
        Step::raw("<html>Log in to the network</html>").header("content-type", "text/html; charset=utf-8");
    let (_, error) = fails(page, Kind::Garbage, Retry::Backoff).await;
    assert!(error.message.contains("Log in to the network"), "{error}");
    let (_, error) = fails(Step::status(302).header("location", "/login"), Kind::Request, Retry::No).await;
    assert!(error.message.contains("base_url"), "{error}");
}

#[tokio::test]
async fn dropping_an_answer_hangs_up() {
    let mock = Mock::start([Step::text("never seen").stall_after(3)]).await;
    let stream = model(&mock).respond(&prompt(vec![])).await.unwrap();
    drop(stream);
    mock.hung_up().await;
}

#[tokio::test]
async fn a_model_from_the_catalog_speaks_to_its_server() {
    let mock = Mock::start([Step::text("hello")]).await;
    let settings = format!("[acme]\nbase_url = '{}'\nheaders = {{ 'x-team' = 'blue' }}", mock.base_url());
    let catalog = Catalog::builtin().with(&toml::from_str(&settings).unwrap());
    let resolved: Resolved = catalog.resolve(&"acme/big".parse().unwrap()).unwrap();
    let model = catalog::open(&resolved, None, None).unwrap();
    let (chunks, error) = ask(&*model, &prompt(vec![])).await;
    assert_eq!((text_of(&chunks), error), ("hello".to_owned(), None));
    let headers = &mock.requests()[0].headers;
    assert_eq!((headers["x-team"].as_str(), headers.get("authorization")), ("blue", None));
}
