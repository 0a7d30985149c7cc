//! Requests that get no answer.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{
    mock::{Mock, Step},
    world::{Run, World},
};

fn body(message: &str, code: &str) -> String {
    json!({"error": {"message": message, "type": "invalid_request_error", "code": code}}).to_string()
}

/// The kind that the turn failed with.
fn kind(run: &Run) -> String {
    let outcome = run.outcome();
    assert_eq!(outcome["type"], "failed", "{run:#?}");
    outcome["kind"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_can_not_help_is_asked_once_and_said_in_the_servers_words() {
    let words = "Something that only this server says";
    let quota = body(words, "insufficient_quota");
    let long = body(words, "context_length_exceeded");
    let plain = body(words, "odd");
    let table = [
        (400, &plain, "request", 1),
        (401, &plain, "auth", 5),
        (403, &plain, "auth", 5),
        (404, &plain, "request", 1),
        (422, &plain, "request", 1),
        (400, &long, "context", 1),
        (413, &long, "context", 1),
        (429, &quota, "rate_limit", 1),
        (307, &plain, "request", 1),
    ];
    for (status, body, expected, code) in table {
        let world = World::new([Step::status(status).body(body), Step::text("asked again")]).await;
        let run = world.exec(&["--json", "go"]).await.expect(code);
        assert_eq!(world.mock.requests().len(), 1, "{status}");
        assert_eq!(kind(&run), expected, "{status}");
        assert!(run.stderr.contains(words) && run.stderr.contains(&world.mock.host()), "{run:#?}");
        // The session is there, and goes on once the cause is gone.
        assert!(run.stderr.contains(&format!("agent exec resume {}", world.session())), "{run:#?}");
        let run = world.exec(&["resume", &world.session(), "again"]).await.expect(0);
        assert_eq!(run.stdout, "asked again\n");
    }
}

#[tokio::test]
async fn a_server_that_names_a_delay_is_left_alone_for_so_long() {
    for header in [("retry-after", "0.3"), ("retry-after-ms", "300")] {
        let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let timed = |step: Step| {
            let times = Arc::clone(&times);
            Step::reply(move |_| {
                times.lock().unwrap().push(Instant::now());
                step
            })
        };
        let world = World::new([
            timed(Step::status(429).header(header.0, header.1).body(body("Too many of you", "rate"))),
            timed(Step::text("ok")),
        ])
        .await;
        let run = world.exec(&["--json", "go"]).await.expect(0);
        let times = times.lock().unwrap();
        assert!(times[1] - times[0] >= Duration::from_millis(300), "{times:?}");
        let notes = run.notes();
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains("Too many of you") && notes[0].contains("in 0.3 s"), "{notes:?}");
    }
}

#[tokio::test]
async fn a_server_that_fails_is_asked_five_times_and_no_more() {
    let steps = (1..=6).map(|n| {
        let words = format!("The hamster of wheel {n} is asleep");
        Step::status(503).header("retry-after-ms", "20").body(body(&words, "asleep"))
    });
    let world = World::new(steps).await;
    let run = world.exec(&["--json", "go"]).await.expect(1);
    assert_eq!(world.mock.requests().len(), 5);
    let notes = run.notes();
    assert_eq!(notes.len(), 4, "{notes:#?}");
    for (note, n) in notes.iter().zip(1..) {
        assert!(note.contains(&format!("The hamster of wheel {n} is asleep")), "{note}");
        assert!(note.ends_with(&format!("({} of 5)", n + 1)), "{note}");
    }
    assert_eq!(kind(&run), "server");
    assert!(run.stderr.contains("wheel 5 is asleep"), "{run:#?}");
}

#[tokio::test]
async fn a_server_that_recovers_is_asked_the_same_again() {
    let world = World::new([Step::status(500), Step::hang_up(), Step::text("ok")]).await;
    let run = world.exec(&["go"]).await.expect(0);
    assert_eq!(run.stdout, "ok\n");
    let requests = world.mock.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.raw == requests[0].raw));
    // Whoever looks on is told, also without --json.
    assert_eq!(run.stderr.matches("trying again in").count(), 2, "{run:#?}");
}

#[tokio::test]
async fn nobody_at_the_address_is_said_after_five_tries() {
    let world = World::new([]).await;
    let gone = Mock::start([]).await;
    let url = format!("providers.mock.base_url={:?}", gone.base_url());
    let host = gone.host();
    drop(gone);
    let run = world.exec(&["--json", "-c", &url, "go"]).await.expect(1);
    assert_eq!((kind(&run).as_str(), run.notes().len()), ("network", 4), "{run:#?}");
    assert!(run.stderr.contains(&format!("cannot reach {host}")), "{run:#?}");
}

#[tokio::test]
async fn a_web_page_is_called_a_web_page() {
    let page = "<html><title>Sign in to the café</title></html>";
    let pages = (0..5).map(|_| Step::raw(page).header("content-type", "text/html; charset=utf-8"));
    let world = World::new(pages).await;
    let run = world.exec(&["--json", "go"]).await.expect(1);
    assert_eq!(kind(&run), "garbage");
    assert!(run.stderr.contains("web page") && run.stderr.contains("Sign in to the café"), "{run:#?}");
    assert!(world.mock.requests().len() <= 5);
}
