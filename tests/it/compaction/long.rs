//! Thousands of calls in a small window.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use agent::{
    model::{Prompt, ReadBlob, responses::encode::Encoder},
    protocol::{BlobId, Fact, Outcome, ToolStyle},
    session::{Session, Step},
};
use serde_json::json;

use super::bench::{self, Answer, Bench, GOOD, TASK, call, plan, resident, says};

/// Calls of the short form; `AGENT_LONG=10000` makes it as long as a session of days.
const CALLS: usize = 700;

fn calls() -> usize {
    std::env::var("AGENT_LONG").ok().map_or(CALLS, |calls| calls.parse().unwrap())
}

/// Works on until `calls` calls were made: most look at something, some change a file, some come in twos; every
/// hundredth answer ends the turn.
fn worker(calls: usize) -> Answer {
    let made = Arc::new(Mutex::new(0usize));
    Arc::new(move |number, _: &Prompt| {
        let mut made = made.lock().unwrap();
        if number == 1 {
            return Ok(vec![plan()]);
        }
        if *made >= calls || number % 100 == 0 {
            return Ok(vec![says(&format!("Part {number} is done."))]);
        }
        let count = if number % 7 == 0 { 2 } else { 1 };
        let mut items = Vec::new();
        for _ in 0..count {
            *made += 1;
            let id = format!("call-{made}");
            // From a line to more than a tenth of the window.
            let bytes = [80, 400, 1_500, 3_000, 9_000, 200][*made % 6];
            let tool = if made.is_multiple_of(10) { "change" } else { "look" };
            let name = format!("file-{}.rs", *made % 60);
            items.push(call(tool, &id, &json!({ "name": name, "bytes": bytes })));
        }
        Ok(items)
    })
}

struct NoBlobs;

impl ReadBlob for NoBlobs {
    fn read(&self, _: &BlobId) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_many_calls_never_forgets_and_never_grows() {
    let calls = calls();
    let mut bench = Bench::new(worker(calls), Arc::new(|_, _| Ok(vec![says(GOOD)])));
    // The provider counts other than the program does.
    bench.model.seen().dearer = 25;
    let mut done = 0;
    let mut turns = 0;
    let mut times: Vec<Duration> = Vec::new();
    // What the model of this test does with a request is no time of the program.
    let mut looked = Duration::ZERO;
    let (mut early, mut late) = (0, 0);
    while done < calls {
        turns += 1;
        let text = if turns == 1 { TASK.to_owned() } else { format!("Go on with part {turns}.") };
        bench.say(&text);
        let mut since = Instant::now();
        let bench_model = Arc::clone(&bench.model);
        let ended = bench
            .until(|fact| match fact {
                Fact::ToolStarted { .. } => {
                    done += 1;
                    let by_model = bench_model.seen().looked;
                    times.push(since.elapsed().saturating_sub(by_model - looked));
                    (since, looked) = (Instant::now(), by_model);
                    if done == calls / 5 {
                        early = resident();
                    } else if done == calls / 10 * 9 {
                        late = resident();
                    }
                    false
                }
                Fact::TurnFinished { .. } => true,
                _ => false,
            })
            .await;
        let Fact::TurnFinished { outcome, .. } = &ended.fact else { unreachable!() };
        assert_eq!(*outcome, Outcome::Done, "turn {turns}");
        // It is closed and gone on with now and then; not while memory is compared, as a resume reads the whole log.
        if turns % 3 == 0 && (early == 0 || late > 0) {
            bench.again().await;
        }
    }
    bench.stop().await;
    let events = bench.events();
    let compactions = events.iter().filter(|event| matches!(event.fact, Fact::Compacted(_))).count();
    let (requests, largest) = {
        let seen = bench.model.seen();
        assert_eq!(seen.wrong, [""; 0], "of {} requests", seen.requests);
        assert_eq!(seen.refused, 0, "requests that were too long");
        assert!(seen.largest <= bench::WINDOW, "{}", seen.largest);
        (seen.requests, seen.largest)
    };
    assert!(compactions * 14 > calls / 3, "{compactions} compactions for {calls} calls");

    let median = |times: &[Duration]| {
        let mut times = times.to_vec();
        times.sort();
        times[times.len() / 2]
    };
    let tenth = times.len() / 10;
    let (first, last) = (median(&times[tenth..3 * tenth]), median(&times[times.len() - 2 * tenth..]));
    let growth = late.saturating_sub(early) / 1024;
    let line = format!(
        "{calls} calls, {requests} requests (largest {largest} tokens), {compactions} compactions, \
         {} summaries; time per call {first:.1?} at first, {last:.1?} at last; memory grew by {growth} kB\n",
        bench.model.seen().summaries
    );
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    // A busy machine may make any single call slow; the middle of many is not. The short form has too few for more.
    let most = if calls >= 5000 { 1.2 } else { 2.0 };
    assert!(last.as_secs_f64() <= first.as_secs_f64() * most + 0.000_3, "{line}");
    // The ids of all calls, and what this test keeps; in the short form other tests run beside it.
    assert!(calls < 5_000 || growth < 4_000, "{line}");

    // Resumed at any point, the session would have sent the same request.
    let hashes = bench.model.seen().hashes.clone();
    let mut session = Session::default();
    let mut asked = 0;
    let tools: Vec<_> =
        [false, true].map(|compacted| bench::toolbox().specs(ToolStyle::Codex, compacted, false)).into();
    for (at, event) in events.iter().enumerate() {
        if matches!(event.fact, Fact::ResponseStarted { .. }) {
            assert!(matches!(session.next(), Some(Step::AskModel(_))), "{:?}", session.next());
            let prompt = Prompt {
                model: "m".into(),
                cache_key: session.id.unwrap().to_string(),
                effort: None,
                verbosity: None,
                output_schema: None,
                tools: Arc::clone(&tools[usize::from(session.compactions > 0)]),
                epoch: session.epoch,
                items: Arc::clone(&session.items),
                left_out: session.left_out,
                kept: Vec::new(),
                blobs: Arc::new(NoBlobs),
            };
            let body = Encoder::default().at(bench::HOST).request(&prompt);
            assert_eq!(blake3::hash(&body), hashes[asked], "request {asked}");
            asked += 1;
            // Folding all facts at once comes to the same as living through them.
            if asked % (hashes.len() / 8).max(1) == 0 {
                assert_eq!(Session::replay(&events[..at]), session);
            }
        }
        session.apply(event);
    }
    assert_eq!(asked, hashes.len());
}
