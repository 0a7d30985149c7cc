//! Models that summarise badly, or not at all; providers that find the conversation too long.

use std::sync::Arc;

use agent::{
    model::{ModelError, ModelErrorKind, Prompt},
    protocol::{
        Command, Compaction, CompactionMeans as Means, CompactionReason as Reason, Fact, Item, Outcome, words,
    },
    session::Session,
};
use serde_json::json;

use super::bench::{Answer, Bench, GOOD, Summarise, TASK, WINDOW, call, plan, says};

/// Looks at `calls` things that fill the window more than once, and says that it is done.
fn worker(calls: usize, bytes: usize) -> Answer {
    Arc::new(move |number, _: &Prompt| {
        Ok(match number {
            1 => vec![plan()],
            _ if number <= calls + 1 => {
                let name = format!("file-{number}.rs");
                vec![call("look", &format!("call-{number}"), &json!({ "name": name, "bytes": bytes }))]
            }
            _ => vec![says("Done.")],
        })
    })
}

fn compactions(bench: &Bench) -> Vec<Compaction> {
    let of = |event| match event {
        Fact::Compacted(compaction) => Some(*compaction),
        _ => None,
    };
    bench.events().into_iter().filter_map(|event| of(event.fact)).collect()
}

/// Runs a turn that is compacted more than once with such summaries; what the compactions came to.
async fn with(summarise: Summarise) -> (Bench, Vec<Compaction>) {
    // Small results: nothing is gained by cutting them.
    ended(Bench::new(worker(120, 1_500), summarise)).await
}

async fn ended(mut bench: Bench) -> (Bench, Vec<Compaction>) {
    let Fact::TurnFinished { outcome, .. } = bench.turn(TASK).await else { unreachable!() };
    assert_eq!(outcome, Outcome::Done);
    bench.stop().await;
    {
        let seen = bench.model.seen();
        assert_eq!((seen.wrong.as_slice(), seen.refused), (&[][..], 0));
        assert_eq!(seen.requests, 122);
    }
    let compactions = compactions(&bench);
    assert!(compactions.len() > 1, "{compactions:?}");
    for compaction in &compactions {
        assert!(compaction.to * 10 <= compaction.from * 8, "{} → {}", compaction.from, compaction.to);
    }
    (bench, compactions)
}

fn refused(text: impl Into<String>) -> Summarise {
    let text = text.into();
    Arc::new(move |_, _| Ok(vec![says(&text)]))
}

#[tokio::test]
async fn a_good_summary_takes_the_place_of_the_conversation() {
    let (bench, compactions) = with(refused(GOOD)).await;
    assert!(
        compactions.iter().any(|compaction| compaction.how == Means::Summary && compaction.usage.is_some())
    );
    assert!(compactions.iter().all(|compaction| compaction.problem.is_none()));
    let session = Session::replay(&bench.events());
    let said: Vec<String> = session
        .items
        .iter()
        .filter_map(|item| match &**item {
            Item::Context { text, .. } => Some(text.clone()),
            Item::User { content, .. } => Some(words(content)),
            _ => None,
        })
        .collect();
    assert_eq!(said.iter().filter(|text| text.contains("Half of the functions are ported")).count(), 1);
    assert_eq!(said.iter().filter(|text| *text == TASK).count(), 1);
}

#[tokio::test]
async fn a_bad_summary_is_asked_for_once_more_and_then_done_without() {
    let long = format!("{GOOD}\n{}", "and so on, at length. ".repeat(2_000));
    for (text, why) in [
        (String::new(), "it was empty"),
        (long, "it was too long"),
        ("I can't help with that.".to_owned(), "nothing under the heading `## Goal`"),
        (
            GOOD.replace("Port the fluxcapacitor driver to the new interface", "Bake bread"),
            "nothing to do with",
        ),
    ] {
        let (bench, compactions) = with(refused(&text)).await;
        let digests: Vec<_> =
            compactions.iter().filter(|compaction| compaction.how == Means::Digest).collect();
        assert!(!digests.is_empty(), "{why}");
        for digest in &digests {
            assert!(digest.problem.as_deref().is_some_and(|problem| problem.contains(why)), "{digest:?}");
        }
        assert_eq!(bench.model.seen().summaries, 2 * digests.len(), "each was tried twice: {why}");
    }
}

#[tokio::test]
async fn a_model_that_echoes_or_calls_tools_does_not_summarise() {
    let echo: Summarise = Arc::new(|_, prompt| match &*prompt.kept[0].clone() {
        Item::User { content, .. } => Ok(vec![says(&words(content))]),
        other => panic!("{other:?}"),
    });
    let (_, compactions) = with(echo).await;
    let problem = compactions.iter().find_map(|compaction| compaction.problem.clone()).unwrap();
    assert!(problem.contains("repeated the question"), "{problem}");
    let calls: Summarise = Arc::new(|number, prompt: &Prompt| {
        // With tools it calls one; the second try has none.
        Ok(match prompt.tools.is_empty() {
            false => vec![call("look", &format!("stray-{number}"), &json!({"name": "x"}))],
            true => vec![says(GOOD)],
        })
    });
    let (bench, compactions) = with(calls).await;
    assert!(compactions.iter().all(|compaction| compaction.problem.is_none()));
    let log = std::fs::read_to_string(bench.log()).unwrap();
    assert!(!log.contains("stray-"), "a call of a summary is none");
}

#[tokio::test]
async fn a_model_that_fails_or_never_answers_during_a_compaction_does_not_stop_the_turn() {
    for kind in
        [ModelErrorKind::Server, ModelErrorKind::Auth, ModelErrorKind::ContextWindow, ModelErrorKind::Garbage]
    {
        let fails: Summarise = Arc::new(move |_, _| Err(ModelError::new(kind, "no summary today")));
        let (_, compactions) = with(fails).await;
        let digest = compactions.iter().find(|compaction| compaction.how == Means::Digest).unwrap();
        assert_eq!(digest.problem.as_deref(), Some("no summary today"), "{kind:?}");
    }
    let bench = Bench::new(worker(120, 1_500), refused(GOOD));
    bench.model.seen().hangs = true;
    let (_, compactions) = ended(bench).await;
    let digest = compactions.iter().find(|compaction| compaction.how == Means::Digest).unwrap();
    assert_eq!(digest.problem.as_deref(), Some("the model gave none in 0.5 s"));
    let panics: Summarise = Arc::new(|_, _| panic!("a bug of a wire"));
    let (_, compactions) = with(panics).await;
    assert!(compactions.iter().any(|compaction| {
        compaction.problem.as_deref().is_some_and(|problem| problem.contains("bug of the agent"))
    }));
}

#[tokio::test]
async fn a_provider_that_takes_less_than_is_believed_is_asked_again_with_less_and_no_result_is_lost() {
    // The program believes in a window that is four times as large.
    let mut bench = Bench::in_window(WINDOW * 4, worker(150, 2_500), refused(GOOD));
    let Fact::TurnFinished { outcome, .. } = bench.turn(TASK).await else { unreachable!() };
    assert_eq!(outcome, Outcome::Done);
    bench.stop().await;
    let compactions = compactions(&bench);
    assert!(compactions.iter().any(|compaction| compaction.reason == Reason::Overflow), "{compactions:?}");
    let seen = bench.model.seen();
    assert_eq!(seen.wrong, [""; 0]);
    // What it has learnt it keeps to: it is not refused each time.
    assert!(seen.refused >= 1 && seen.refused <= 4, "{}", seen.refused);
    assert!(compactions.len() > 3);
}

#[tokio::test]
async fn results_larger_than_the_window_are_cut_and_none_is_lost() {
    let answer: Answer = Arc::new(|number, _: &Prompt| {
        Ok(match number {
            1 => vec![plan()],
            2 | 3 => (0..6)
                .map(|at| {
                    let id = format!("call-{number}-{at}");
                    call("look", &id, &json!({ "name": id, "bytes": 30_000 }))
                })
                .collect(),
            _ => vec![says("Done.")],
        })
    });
    let mut bench = Bench::new(answer, refused(GOOD));
    let Fact::TurnFinished { outcome, .. } = bench.turn(TASK).await else { unreachable!() };
    assert_eq!(outcome, Outcome::Done);
    bench.stop().await;
    let seen = bench.model.seen();
    assert_eq!((seen.wrong.as_slice(), seen.refused), (&[][..], 0));
}

#[tokio::test]
async fn a_conversation_that_can_not_be_made_smaller_ends_the_turn_and_not_the_session() {
    // Whatever is sent is too long.
    let mut bench = Bench::new(worker(3, 100), refused(GOOD));
    let too_long = || ModelError::new(ModelErrorKind::ContextWindow, "maximum context length");
    bench.model.seen().errors = (0..50).map(|_| too_long()).collect();
    let Fact::TurnFinished { outcome, .. } = bench.turn(TASK).await else { unreachable!() };
    assert!(matches!(&outcome, Outcome::Failed { kind, .. } if kind == "context"), "{outcome:?}");
    assert!(bench.model.seen().errors.len() > 40, "it does not try for ever");
    bench.model.seen().errors.clear();
    let Fact::TurnFinished { outcome, .. } = bench.turn("And now?").await else { unreachable!() };
    assert_eq!(outcome, Outcome::Done);
    bench.stop().await;
}

#[tokio::test]
async fn a_person_compacts_interrupts_and_goes_back_to_before_it() {
    let mut bench = Bench::new(worker(10, 1_500), refused(GOOD));
    bench.turn(TASK).await;
    let before = Session::replay(&bench.events());
    let said = before.said().next().unwrap().0;
    bench.command(Command::Compact { note: "the table matters".into() });
    // What is said meanwhile waits.
    bench.say("And the rest?");
    bench.until(|fact| matches!(fact, Fact::Compacted(_))).await;
    bench.until(|fact| matches!(fact, Fact::TurnFinished { .. })).await;
    let asked = compactions(&bench);
    assert_eq!((asked[0].reason, asked[0].how), (Reason::Asked, Means::Summary));
    assert!(asked[0].to < asked[0].from && asked[0].dropped.calls > 0, "{asked:?}");
    let events = bench.events();
    let at = events.iter().position(|event| matches!(event.fact, Fact::Compacted(_))).unwrap();
    assert!(Session::replay(&events[..=at]).items.len() < before.items.len());
    let now = Session::replay(&events);
    assert_eq!((now.compactions, now.turns.0), (1, 2));

    // Back to before a message that the compaction had made a summary of.
    let second = now.said().nth(1).unwrap().0;
    bench.command(Command::Rewind { to: second });
    bench.until(|fact| matches!(fact, Fact::Rewound { .. })).await;
    let back = Session::replay(&bench.events());
    assert_eq!(back.said().count(), 1);
    bench.command(Command::Rewind { to: said });
    bench.until(|fact| matches!(fact, Fact::Rewound { .. })).await;
    bench.stop().await;
    let back = Session::replay(&bench.events());
    let opening = bench.events().iter().position(|event| event.seq == said).unwrap();
    let then = Session::replay(&bench.events()[..opening]);
    assert_eq!(back.items[..then.items.len()], then.items[..]);
    assert_eq!(back.said().count(), 0);
}

#[tokio::test]
async fn the_model_finds_what_was_left_out() {
    let answer: Answer = Arc::new(|number, prompt: &Prompt| {
        Ok(match number {
            1 => vec![plan()],
            2..=60 => {
                assert_eq!(prompt.tools.iter().any(|tool| tool.name == "recall"), prompt.epoch > 0);
                let name = if number == 5 { "needle.rs".to_owned() } else { format!("file-{number}.rs") };
                vec![call("look", &format!("call-{number}"), &json!({ "name": name, "bytes": 1500 }))]
            }
            61 => vec![call("recall", "search", &json!({ "query": "needle.rs" }))],
            62 => vec![call("recall", "fetch", &json!({ "call": "call-5", "max_output_tokens": 100 }))],
            _ => vec![says("Done.")],
        })
    });
    let mut bench = Bench::new(answer, refused(GOOD));
    bench.turn(TASK).await;
    bench.stop().await;
    let result = |id: &str| {
        let of = |event: agent::protocol::Event| match event.fact {
            Fact::ItemAdded { item } => match &*item {
                Item::ToolResult { call, content, .. } if call.as_str() == id => Some(words(content)),
                _ => None,
            },
            _ => None,
        };
        bench.events().into_iter().find_map(of).unwrap()
    };
    assert!(!compactions(&bench).is_empty());
    assert!(
        result("search").contains("result of call call-5, line 1: needle.rs: line"),
        "{}",
        result("search")
    );
    assert!(result("fetch").starts_with("Call call-5: look {"), "{}", result("fetch"));
    assert!(result("fetch").contains("needle.rs: line of an output"), "{}", result("fetch"));
}
