//! What is built from a conversation: property by property.

use proptest::prelude::*;

use super::{piece::seams, *};
use crate::protocol::{
    Args, CallId, Event, Fact, Limits, Part, PlanStep, Seq, Settings, Shown, StepStatus, Time,
};

/// A session with these items, in a window of this size.
fn session(window: u64, items: Vec<Item>) -> Session {
    let settings: Settings = serde_json::from_value(serde_json::json!({
        "model": "a/b", "approval": "never", "sandbox": "read-only", "backend": "local",
        "limits": { "window": 1, "tool_output": 1 },
    }))
    .unwrap();
    let settings = Settings { limits: Limits::new(window, 10_000), ..settings };
    let mut session = Session::default();
    let facts = [Fact::Configured { settings }].into_iter().chain(items.into_iter().map(Fact::item));
    for (at, fact) in facts.enumerate() {
        session.apply(&Event { seq: Seq(at as u64 + 1), at: Time::UNIX_EPOCH, fact });
    }
    session
}

fn wanted(reason: Reason) -> Wanted {
    Wanted { reason, note: String::new() }
}

/// The items that a compaction leaves.
fn after(session: &Session, compaction: &Compaction) -> Vec<Arc<Item>> {
    let mut session = session.clone();
    let fact = Fact::Compacted(Box::new(compaction.clone()));
    session.apply(&Event { seq: Seq(session.seq.0 + 1), at: Time::UNIX_EPOCH, fact });
    session.items.to_vec()
}

fn called(id: usize, bytes: usize) -> [Item; 2] {
    let call = CallId(format!("c{id}"));
    let args = Args::Json(format!("{{\"cmd\":\"look {id}\"}}"));
    let shown = Shown::text(format!("looked {id}"));
    let text = format!("line of {id}\n").repeat(bytes / 10);
    [
        Item::ToolCall { call: call.clone(), id: None, tool: "t".into(), args },
        Item::ToolResult { call, content: vec![Content::text(text)], shown },
    ]
}

fn system() -> Item {
    Item::Context { context: Context::System, text: "You work.".into() }
}

/// Pieces of a conversation as a model and a person make them.
fn conversation() -> impl Strategy<Value = Vec<Item>> {
    let turn = (0u8..6, 1usize..12_000);
    prop::collection::vec(turn, 1..60).prop_map(|turns| {
        let mut items = vec![system(), Item::user("The first message.")];
        for (id, (kind, bytes)) in turns.into_iter().enumerate() {
            let say =
                |text: &str| Item::Assistant { id: None, text: text.repeat(bytes / 60 + 1), partial: false };
            match kind {
                0 => items.push(Item::user(format!("message {id} ").repeat(bytes / 40 + 1))),
                1 => items.push(say("said something ")),
                2 => {
                    items.push(Item::Reasoning { id: None, summary: vec!["hm".into()], encrypted: None });
                    items.extend(called(id, bytes));
                }
                3 => {
                    let [[one, first], [two, second]] =
                        [called(id * 100, bytes), called(id * 100 + 1, bytes)];
                    items.extend([one, two, first, second]);
                }
                _ => items.extend(called(id, bytes)),
            }
        }
        items
    })
}

fn paired(items: &[Arc<Item>]) -> Result<(), TestCaseError> {
    let mut open: Vec<&CallId> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match &**item {
            Item::ToolCall { call, .. } => open.push(call),
            Item::ToolResult { call, .. } => {
                prop_assert!(open.contains(&call), "a result without its call");
                open.retain(|known| *known != call);
            }
            _ => prop_assert!(open.is_empty(), "something between a call and its result"),
        }
        if matches!(**item, Item::Reasoning { .. }) {
            prop_assert!(
                items.get(at + 1).is_some_and(|next| next.is_made()),
                "a thought without its outcome"
            );
        }
    }
    prop_assert!(open.is_empty(), "a call without its result");
    Ok(())
}

#[test]
fn a_summary_is_not_lost_when_it_is_compacted_again_soon() {
    let summary = format!("{PREFIX}\nThe beginning of it. {} And its end.", "Words of it. ".repeat(300));
    for sealed in [false, true] {
        let stands = if sealed {
            let item = serde_json::json!({"type": "compaction", "encrypted_content": "x".repeat(2_000)});
            Item::Sealed { by: "host".into(), item, instead: summary.clone() }
        } else {
            Item::Context { context: Context::Summary, text: summary.clone() }
        };
        let mut items = vec![system(), Item::user("The first message."), stands];
        items.extend(called(1, 100));
        items.push(Item::Assistant { id: None, text: "Done.".into(), partial: false });
        let session = session(60_000, items);
        for reason in [Reason::Asked, Reason::Overflow, Reason::Full] {
            let built = build(&session, &wanted(reason), &Pinned::default(), &Summary::default());
            // A sealed one that was refused has to go.
            assert!(built.is_some() || !(sealed && reason == Reason::Overflow), "{sealed} {reason:?}");
            let Some(built) = built else { continue };
            let then = after(&session, &built);
            let all = serde_json::to_string(&then).unwrap();
            assert!(
                all.contains("The beginning of it.") && all.contains("And its end."),
                "{reason:?}: {all}"
            );
            assert!(!all.contains("encrypted_content"), "{all}");
            assert_eq!(then.iter().filter(|item| ***item == system()).count(), 1);
            assert!(all.contains("line of 1") && all.contains("Done."), "{all}");
        }
    }
}

#[test]
fn what_the_provider_has_sealed_takes_the_place_of_the_summary_with_words_for_others() {
    let mut items = vec![system(), Item::user("The first message.")];
    for id in 0..40 {
        items.extend(called(id, 1_900));
    }
    let first = session(20_000, items.clone());
    let item = serde_json::json!({"type": "compaction", "encrypted_content": "abc"});
    let summary = Summary { sealed: Some(("host".into(), item.clone())), ..Summary::default() };
    let built = build(&first, &wanted(Reason::Full), &Pinned::default(), &summary).unwrap();
    assert_eq!(built.how, Means::Sealed);
    let then = after(&first, &built);
    let [Item::Sealed { by, item: kept, instead }] = &then
        .iter()
        .filter(|item| matches!(***item, Item::Sealed { .. }))
        .map(|item| (**item).clone())
        .collect::<Vec<_>>()[..]
    else {
        panic!("{then:?}")
    };
    assert_eq!((by.as_str(), kept), ("host", &item));
    assert!(instead.starts_with(PREFIX) && instead.contains("\n- looked 3 ("), "{instead}");
    assert!(!instead.contains("looked 39"), "the end is there as it was: {instead}");
    // The next list goes on from these words.
    let more = (40..90).flat_map(|id| called(id, 1_900));
    let second = session(20_000, then.iter().map(|item| (**item).clone()).chain(more).collect());
    let built = build(&second, &wanted(Reason::Full), &Pinned::default(), &Summary::default()).unwrap();
    let then = after(&second, &built);
    assert!(!then.iter().any(|item| matches!(**item, Item::Sealed { .. })));
    let said: String = then
        .iter()
        .filter_map(|item| match &**item {
            Item::Context { context: Context::Summary, text } => Some(text.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(said.matches(PREFIX).count(), 1);
    assert!(said.contains("## Done since, the last at the end") && said.contains("looked 3"), "{said}");
    // What is larger than all that it stands for is of no use.
    let item = serde_json::json!({"type": "compaction", "encrypted_content": "x".repeat(400_000)});
    let summary = Summary { sealed: Some(("host".into(), item)), ..Summary::default() };
    let built = build(&first, &wanted(Reason::Full), &Pinned::default(), &summary).unwrap();
    assert_eq!(
        (built.how, built.problem.as_deref()),
        (Means::Digest, Some("what the provider gave is too large"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_compacted_fits_and_keeps_what_must_stay(
        items in conversation(), window in 6_000u64..60_000, by_model in any::<bool>(),
    ) {
        let last: Vec<Item> = {
            let end = items.iter().rposition(Item::is_made).unwrap_or(0);
            items[end..].iter().filter(|item| matches!(item, Item::ToolResult { .. })).cloned().collect()
        };
        let session = session(window, items);
        let summary = Summary { text: by_model.then(|| "## Goal\nx".to_owned()), ..Summary::default() };
        let state = State { files: vec![("a.rs".into(), "12ab".into())] };
        let pinned = Pinned { opening: vec![system()], state };
        if let Some(shrunk) = shrink(&session, &wanted(Reason::Full)) {
            prop_assert!(shrunk.to < session.limits().room());
            paired(&after(&session, &shrunk))?;
        }
        let Some(compaction) = build(&session, &wanted(Reason::Full), &pinned, &summary) else {
            // Nothing is gained only where nothing much is there.
            prop_assert!(session.used() < session.limits().room(), "{} of {window}", session.used());
            return Ok(());
        };
        prop_assert!(compaction.to < compaction.from);
        if session.used() > session.limits().room() {
            prop_assert!(compaction.to <= session.limits().room(), "{compaction:?}");
        }
        let after = after(&session, &compaction);
        paired(&after)?;
        let opening = after.iter().filter(|item| ***item == system()).count();
        prop_assert_eq!(opening, 1);
        let first = Item::user("The first message.");
        prop_assert_eq!(after.iter().filter(|item| ***item == first).count(), 1);
        let has = |text: &str| after.iter().any(|item| matches!(&**item, Item::Context { text: it, .. } if it.contains(text)));
        prop_assert!(has("a.rs (12ab)"));
        for result in last {
            let there = after.iter().any(|item| matches!(&**item, Item::ToolResult { .. }) && item.call() == result.call());
            prop_assert!(there, "an unseen result is lost");
        }
        // What it says it comes to is what it comes to.
        let estimated: u64 = after.iter().map(|item| session.estimate(item)).sum();
        prop_assert_eq!(compaction.to, session.used_by(estimated));
    }

    #[test]
    fn a_request_for_a_summary_fits_too(items in conversation(), window in 6_000u64..60_000, tighter in 0u32..2) {
        let session = session(window, items);
        let most = summary_budget(&session);
        let request = request(&session, &wanted(Reason::Full), most, None, tighter);
        let of = |items: &[Arc<Item>]| items.iter().map(|item| session.estimate(item)).sum::<u64>();
        let used = session.used_by(of(&request.items) + session.estimate(&request.instruction)) + most;
        // A few messages of a person may be longer than that; then the provider says so, and the list is made instead.
        let said: u64 = of(&request.items.iter().filter(|item| matches!(***item, Item::User { .. })).cloned().collect::<Vec<_>>());
        prop_assert!(used <= (window >> tighter) + said, "{used} of {}", window >> tighter);
        paired(&request.items)?;
    }

    #[test]
    fn ends_of_a_text_are_no_longer_than_asked_and_cut_no_character(text in "\\PC{0,400}", bytes in 0usize..300) {
        let cut = piece::ends(&text, bytes, |_| "…".to_owned());
        prop_assert!(cut == text || cut.len() <= bytes + "\n…\n".len());
    }
}

#[test]
fn a_conversation_is_cut_only_where_no_call_is_apart_from_its_result() {
    let thought = Item::Reasoning { id: None, summary: vec![], encrypted: None };
    let [[one, first], [two, second]] = [called(1, 10), called(2, 10)];
    let items = [Item::user("go"), thought, one, two, first, second, Item::user("on")].map(Arc::new);
    assert_eq!(seams(&items), [0, 1, 6]);
}

#[test]
fn old_results_are_cut_before_anything_is_summarised_and_say_how_they_come_back() {
    let mut items = vec![system(), Item::user("go")];
    items.extend((0..10).flat_map(|id| called(id, 8_000)));
    let session = session(20_000, items);
    assert!(session.used() > session.limits().room());
    let shrunk = shrink(&session, &wanted(Reason::Full)).unwrap();
    assert_eq!((shrunk.how, shrunk.kept.calls, shrunk.dropped), (Means::Shrunk, 10, Counts::default()));
    let after = after(&session, &shrunk);
    let texts: Vec<String> = after
        .iter()
        .filter_map(|item| match &**item {
            Item::ToolResult { content, .. } => Some(crate::protocol::words(content)),
            _ => None,
        })
        .collect();
    assert!(texts[0].starts_with("line of 0\n") && texts[0].ends_with("line of 0\n"), "{}", texts[0]);
    assert!(texts[0].contains("recall {\"call\":\"c0\"} brings them back"), "{}", texts[0]);
    assert_eq!(texts[9].len(), 8_000, "the last one is there as it was");
    assert!(!shrunk.parts.is_empty() && matches!(shrunk.parts[0], Part::Keep(0, 3)));
}

#[test]
fn a_list_of_what_was_done_goes_on_from_the_one_before() {
    let mut items = vec![system(), Item::user("go")];
    items.extend((0..40).flat_map(|id| called(id, 1_500)));
    let mut session = session(12_000, items);
    for round in 1..4 {
        let compaction =
            build(&session, &wanted(Reason::Full), &Pinned::default(), &Summary::default()).unwrap();
        let fact = Fact::Compacted(Box::new(compaction));
        session.apply(&Event { seq: Seq(1000 * round), at: Time::UNIX_EPOCH, fact });
        let text = session.items.iter().find_map(|item| match &**item {
            Item::Context { context: Context::Summary, text } => Some(text.clone()),
            _ => None,
        });
        let text = text.unwrap();
        assert_eq!(text.matches(PREFIX).count(), 1, "{text}");
        let last = usize::try_from(round).unwrap() * 40 - 1;
        assert!(text.contains(&format!("- looked {}", last - 8)), "{round}: {text}");
        for id in last + 1..last + 41 {
            for item in called(id, 1_500) {
                let seq = Seq(session.seq.0 + 1);
                session.apply(&Event { seq, at: Time::UNIX_EPOCH, fact: Fact::item(item) });
            }
        }
        // As after an answer that got through.
        let response = crate::protocol::ResponseId(1);
        let outcome = crate::protocol::ResponseOutcome::Completed;
        let seq = Seq(session.seq.0 + 1);
        let fact = Fact::ResponseFinished { response, outcome, usage: None };
        session.apply(&Event { seq, at: Time::UNIX_EPOCH, fact });
    }
}

#[test]
fn messages_of_the_person_stay_the_first_and_the_newest_and_what_is_missing_is_said() {
    let mut items = vec![system(), Item::user("The task.")];
    for id in 0..60 {
        items.push(Item::user(format!("message {id}: {}", "x".repeat(400))));
        items.push(Item::Assistant { id: None, text: "ok ".repeat(200), partial: false });
    }
    let session = session(12_000, items);
    let built = build(&session, &wanted(Reason::Full), &Pinned::default(), &Summary::default()).unwrap();
    let after = after(&session, &built);
    let said: Vec<String> = after
        .iter()
        .filter_map(|item| match &**item {
            Item::User { content, .. } => Some(crate::protocol::words(content)),
            _ => None,
        })
        .collect();
    assert_eq!(said[0], "The task.");
    assert!(said.last().unwrap().starts_with("message 59: "));
    let number = |text: &String| text.split([' ', ':']).nth(1).unwrap().parse::<usize>().unwrap();
    let numbers: Vec<usize> = said[1..].iter().map(number).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
    let missing = 61 - said.len();
    let notice = format!("{missing} messages of the user that followed here are left out");
    assert!(
        after.iter().any(|item| matches!(&**item, Item::Context { text, .. } if text.starts_with(&notice)))
    );
}

#[test]
fn the_plan_is_there_whole_and_a_long_message_with_its_ends() {
    let mut items = vec![system(), Item::user(format!("begin {} finish", "long ".repeat(20_000)))];
    items.extend((0..10).flat_map(|id| called(id, 2_000)));
    let mut session = session(20_000, items);
    let step = |step: &str, status| PlanStep { step: step.into(), status };
    session.plan = vec![step("look", StepStatus::Completed), step("mend", StepStatus::InProgress)];
    let built = build(&session, &wanted(Reason::Full), &Pinned::default(), &Summary::default()).unwrap();
    let after = after(&session, &built);
    let all = serde_json::to_string(&after).unwrap();
    assert!(all.contains("- [x] look\\n- [>] mend"), "{all}");
    assert!(all.contains("begin long") && all.contains("long  finish"), "{all}");
}

#[test]
fn skills_in_use_survive_whole_and_once_however_often_it_is_compacted() {
    use crate::context::skills::{called_for, holds, in_use, loaded};
    let text = |name: &str| loaded(name, "h", "/p", &format!("how to {name}. ").repeat(40));
    let context = |text: String| Item::Context { context: Context::Skill, text };
    let mut items = vec![system(), Item::user("The first message."), context(called_for(&text("review")))];
    let [call, _] = called(1, 10);
    let Item::ToolCall { call: id, .. } = &call else { panic!() };
    let shown = Shown::Skill { name: "commit".into(), place: "/p".into() };
    let result = Item::ToolResult { call: id.clone(), content: vec![Content::text(text("commit"))], shown };
    items.extend([call, result]);
    items.extend((2..60).flat_map(|id| called(id, 4_000)));
    let mut session = session(40_000, items);
    for round in 0..3 {
        let summary = Summary { text: Some("done".into()), ..Summary::default() };
        let compaction = build(&session, &wanted(Reason::Full), &Pinned::default(), &summary)
            .expect("there is something to leave out");
        let fact = Fact::Compacted(Box::new(compaction));
        session.apply(&Event { seq: Seq(session.seq.0 + 1), at: Time::UNIX_EPOCH, fact });
        let kept = in_use(&session.items);
        let names: Vec<(&str, bool)> = kept.iter().map(|skill| (&*skill.name, skill.by_person)).collect();
        assert_eq!(names, [("review", true), ("commit", false)], "round {round}");
        assert!(holds(&session.items, "commit", "h"));
        let all: String = session.items.iter().map(|item| serde_json::to_string(item).unwrap()).collect();
        assert_eq!(all.matches("<skill ").count(), 2, "round {round}");
        for item in (100 * (round + 1)..100 * (round + 1) + 50).flat_map(|id| called(id, 4_000)) {
            session.apply(&Event {
                seq: Seq(session.seq.0 + 1),
                at: Time::UNIX_EPOCH,
                fact: Fact::item(item),
            });
        }
    }
    // Where there is no room for them the model is told which they were.
    let mut small = session.clone();
    let settings = small.settings.clone().unwrap();
    let settings = Settings { limits: Limits::new(6_000, 1_000), ..settings };
    small.apply(&Event {
        seq: Seq(small.seq.0 + 1),
        at: Time::UNIX_EPOCH,
        fact: Fact::Configured { settings },
    });
    let compaction = build(&small, &wanted(Reason::Full), &Pinned::default(), &Summary::default()).unwrap();
    let all: String =
        after(&small, &compaction).iter().map(|item| serde_json::to_string(item).unwrap()).collect();
    assert!(all.contains("were in use and are left out to save room") || all.contains("<skill "), "{all}");
}
