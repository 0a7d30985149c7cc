//! Logs that were written once, and must be read for ever.
//!
//! `tests/data/sessions/v1-*.jsonl` are never edited. They were recorded by
//!
//! ```text
//! cargo test --test it resume::golden::record -- --ignored
//! ```
//!
//! which runs the program, puts other paths and times for those of the machine, and chains the lines anew. It
//! writes only what is not there, so that a new kind of session can be added.

use std::{
    fs,
    path::{Path, PathBuf},
};

use agent::{
    protocol::{CompactionReason, Content, Event, Fact, GoalStatus, Item, SandboxMode, Shown, Time},
    session::{Session, Step},
    store::{Log, read_events},
};

use super::{demo, pending};

/// The time of the first fact of a golden log.
const BEGIN: &str = "2026-01-01T00:00:00Z";

/// Facts as a newer version may write them, among some that are as they are now.
const NEWER: &str = include_str!("newer.jsonl");

/// Rules that are read, given, used and taken back.
const RULES: &str = include_str!("rules.jsonl");
/// A fork that has gone back.
const REWOUND: &str = include_str!("rewound.jsonl");
/// Compactions in the middle of a turn and between turns, one that came to nothing, and a way back.
const COMPACTED: &str = include_str!("compacted.jsonl");
/// A conversation that the provider has made smaller, and then does not take back.
const SEALED: &str = include_str!("sealed.jsonl");
/// What the provider's own tools found, a question of one that is answered with no, and sources.
const HOSTED: &str = include_str!("hosted.jsonl");
/// A turn that was paused and gone on with, files that were put back as they were left, and with the conversation.
const PAUSED: &str = include_str!("paused.jsonl");
/// A budget that is reached, a command that has to pass, checks, and a goal that is blocked and paused.
const GOALS: &str = include_str!("goals.jsonl");

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sessions").join(name)
}

#[test]
#[ignore = "writes the golden sessions that are not there yet"]
fn record() {
    let (_folder, log) = demo();
    let workspace = fs::canonicalize(log.ancestors().nth(4).unwrap()).unwrap();
    rechained(&log, &workspace, "/home/me", "v1-demo.jsonl");
    let (world, _) = pending("workspace-write");
    rechained(&world.log().unwrap(), &world.root, "/home/me", "v1-pending-approval.jsonl");
    for (name, lines) in [("v1-newer.jsonl", NEWER), ("v1-rules.jsonl", RULES)] {
        let facts = lines.lines().map(|line| Fact::Unknown(serde_json::from_str(line).unwrap())).collect();
        write(name, vec![(facts, BEGIN.parse().unwrap())]);
    }
    for (name, lines) in [
        ("v1-rewound.jsonl", REWOUND),
        ("v1-paused.jsonl", PAUSED),
        ("v1-compacted.jsonl", COMPACTED),
        ("v1-goals.jsonl", GOALS),
        ("v1-sealed.jsonl", SEALED),
        ("v1-hosted.jsonl", HOSTED),
    ] {
        let facts = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        write(name, vec![(facts, BEGIN.parse().unwrap())]);
    }
}

/// Writes a log once more, with `to` for the path `from`, and times from [`BEGIN`] on.
fn rechained(log: &Path, from: &Path, to: &str, name: &str) {
    let events = read_events(log).unwrap();
    let begin: Time = BEGIN.parse().unwrap();
    let first = events[0].at;
    let written = events.iter().map(|event| {
        let text = serde_json::to_string(event).unwrap().replace(from.to_str().unwrap(), to);
        let event: Event = serde_json::from_str(&text).unwrap();
        (vec![event.fact], begin + first.duration_until(event.at))
    });
    write(name, written.collect());
}

fn write(name: &str, batches: Vec<(Vec<Fact>, Time)>) {
    if !golden(name).exists() {
        let mut log = Log::create(&golden(name)).unwrap();
        for (facts, at) in batches {
            log.append(facts, at).unwrap();
        }
    }
}

/// Reads a golden log as the program does, which must give the state that the facts had one by one.
fn read(name: &str) -> (Vec<Event>, Session) {
    let events = read_events(&golden(name)).unwrap();
    let mut session = Session::default();
    for (at, event) in events.iter().enumerate() {
        session.apply(event);
        assert_eq!(session, Session::replay(&events[..=at]));
    }
    (events, session)
}

/// The writer of today makes the same bytes of the same facts.
fn assert_written_the_same(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let mut log = Log::create(&path).unwrap();
    for event in read_events(&golden(name)).unwrap() {
        log.append(vec![event.fact], event.at).unwrap();
    }
    let (now, then) = (fs::read_to_string(&path).unwrap(), fs::read_to_string(golden(name)).unwrap());
    for (now, then) in now.lines().zip(then.lines()) {
        assert_eq!(now, then, "{name}: the format has changed");
    }
    assert_eq!(now.len(), then.len());
}

/// A state in words, one thing a line.
fn in_words(session: &Session) -> String {
    let mut lines = vec![
        format!("workspace: {}", session.workspace.display()),
        format!("title: {:?}", session.title),
        format!("settings: {}", serde_json::to_string(&session.settings).unwrap()),
        format!("facts: {}", session.seq.0),
    ];
    lines.extend(session.items.iter().map(|item| format!("item: {}", item_in_words(item))));
    match &session.turn {
        None => lines.push("turn: none".into()),
        Some(turn) => {
            lines.push(format!("turn: {} response {:?} due {}", turn.id, turn.response, turn.due));
            lines.extend(turn.open().map(|call| format!("call: {} is {:?}", call.id, call.state)));
        }
    }
    lines.push(format!("next: {:?}", session.next()));
    lines.push(format!("outcome: {:?}", session.outcome));
    lines.extend(session.queue.iter().map(|queued| format!("queued: {queued:?}")));
    lines.extend(session.processes.iter().map(|(id, process)| format!("process {id}: {process:?}")));
    lines.extend(session.rules.iter().map(|rule| format!("rule: {rule:?}")));
    lines.extend(session.plan.iter().map(|step| format!("plan: {step:?}")));
    lines.push(format!("usage: {:?}", session.usage));
    lines.join("\n")
}

fn item_in_words(item: &Item) -> String {
    let short = |text: &str| {
        let line = text.replace('\n', "|");
        let mut short: String = line.chars().take(70).collect();
        if short.len() < line.len() {
            short.push('…');
        }
        short
    };
    let content = |content: &[Content]| -> String {
        let parts = content.iter().map(|part| match part {
            Content::Text { text } => short(text),
            Content::Image { .. } | Content::Unknown(_) => serde_json::to_string(part).unwrap(),
        });
        parts.collect::<Vec<_>>().join(" + ")
    };
    match item {
        Item::Context { context, text } => format!("context {context:?}: {}", short(text)),
        Item::User { content: said, input } => format!("user {input:?}: {}", content(said)),
        Item::Assistant { text, partial, .. } => format!("assistant (partial {partial}): {}", short(text)),
        Item::Reasoning { summary, .. } => format!("reasoning: {summary:?}"),
        Item::ToolCall { call, tool, args, .. } => format!("call {call}: {tool} {}", short(args.as_str())),
        Item::ToolResult { call, content: said, shown } => {
            let shown = match shown {
                Shown::Unknown(value) => value.to_string(),
                known => serde_json::to_value(known).unwrap()["type"].to_string(),
            };
            format!("result {call}: {} / shown {shown}", content(said))
        }
        Item::Sources { sources } => format!("sources: {sources:?}"),
        Item::Sealed { by, item, instead } => format!("sealed by {by}: {item}, or {}", short(instead)),
        Item::Unknown(value) => format!("unknown: {value}"),
    }
}

#[test]
fn the_first_demonstration_replays() {
    assert_written_the_same("v1-demo.jsonl");
    let (_, session) = read("v1-demo.jsonl");
    assert!(session.idle() && session.reconcile().is_empty());
    insta::assert_snapshot!(in_words(&session), @r#"
    workspace: /home/me/sum
    title: None
    settings: {"model":"demo/scripted","approval":"never","sandbox":"workspace-write","backend":"local","limits":{"window":121600,"tool_output":10000}}
    facts: 35
    item: context System: You are `agent`, a coding agent that works in a terminal, in a workspa…
    item: context Permissions: <permissions instructions>|Sandbox mode is `workspace-write`: commands…
    item: context Environment: <environment_context>|  <cwd>/home/me/sum</cwd>|  <shell>bash</shell>|…
    item: user None: The test of this project fails. Find out why, and mend it.
    item: assistant (partial false): I'll run the test first, and look at the files beside it.
    item: call demo_1: exec_command {"cmd": "sh test.sh"}
    item: call demo_2: exec_command {"cmd": "cat sum.sh README.md"}
    item: result demo_1: Chunk ID: 504d87|Wall time: 0.0379 seconds|Process exited with code 1|… / shown "command"
    item: result demo_2: Chunk ID: 0b1f36|Wall time: 0.0242 seconds|Process exited with code 0|… / shown "command"
    item: assistant (partial false): `read` returns false on a last line without a line end, so the loop le…
    item: call demo_3: apply_patch *** Begin Patch|*** Update File: sum.sh|@@ total=0|-while read -r numb…
    item: result demo_3: Exit code: 0|Wall time: 0 seconds|Output:|Success. Updated the followi… / shown "patch"
    item: call demo_4: exec_command {"cmd": "sh test.sh"}
    item: result demo_4: Chunk ID: 6b6783|Wall time: 0.0199 seconds|Process exited with code 0|… / shown "command"
    item: assistant (partial false): The failing test passes now, and so do the others.||`sum.sh` dropped a…
    turn: none
    next: None
    outcome: Some(Done)
    usage: Usage { input: 0, cached: 0, output: 0, reasoning: 0, cost: None, unpriced: false }
    "#);
}

#[test]
fn the_first_pending_approval_replays_and_waits() {
    assert_written_the_same("v1-pending-approval.jsonl");
    let (_, session) = read("v1-pending-approval.jsonl");
    assert!(session.waits_for_person() && session.reconcile().is_empty());
    insta::assert_snapshot!(in_words(&session), @r#"
    workspace: /home/me/workspace
    title: None
    settings: {"model":"play/m","approval":"on-request","sandbox":"workspace-write","backend":"local","limits":{"window":121600,"tool_output":10000}}
    facts: 16
    item: context System: You are `agent`, a coding agent that works in a terminal, in a workspa…
    item: context Permissions: <permissions instructions>|Sandbox mode is `workspace-write`: commands…
    item: context Environment: <environment_context>|  <cwd>/home/me/workspace</cwd>|  <shell>bash</s…
    item: user None: Make the file outside.
    item: assistant (partial false): I need to leave the workspace for this.
    item: call c1: exec_command {"cmd":"echo inside"}
    item: call c2: exec_command {"cmd":"touch ../outside","sandbox_permissions":"require_escalated","j…
    item: result c1: Chunk ID: 26d65c|Wall time: 0.0271 seconds|Process exited with code 0|… / shown "command"
    turn: 1 response None due true
    call: c2 is Asked { intent: Command { command: "touch ../outside", workdir: "/home/me/workspace", escalated: true, justification: Some("The file belongs outside of the workspace."), prefix: ["touch"], shell: None }, reason: "The file belongs outside of the workspace.", grants: [], effects: None }
    next: None
    outcome: None
    usage: Usage { input: 0, cached: 0, output: 0, reasoning: 0, cost: None, unpriced: false }
    "#);
}

#[test]
fn a_session_of_a_newer_version_opens_and_what_is_unknown_folds_to_nothing() {
    let (events, session) = read("v1-newer.jsonl");
    let words: Vec<&str> = NEWER.lines().collect();
    assert_eq!(events.len(), words.len());
    insta::assert_snapshot!(in_words(&session), @r#"
    workspace: /home/me/sum
    title: None
    settings: {"model":"demo/scripted","approval":"never","sandbox":"read-only","backend":"moon:3","limits":{"window":121600,"tool_output":10000}}
    facts: 22
    item: context Unknown: It rains.
    item: user None: Smell this. + {"type":"smell","of":"smoke","strength":2}
    item: unknown: {"type":"dream","of":["sheep"]}
    item: assistant (partial false): I will.
    item: call c1: sniff {}
    item: call c2: sniff {}
    item: call c3: sniff {}
    item: result c1: smoke + {"type":"smell","of":"smoke"} / shown {"type":"hologram","of":"smoke"}
    turn: 1 response None due true
    call: c2 is Allowed { intent: Write { files: [FileChange { path: "/home/me/a", operation: Unknown, moved_to: None, outside: false, diff: "" }] } }
    call: c3 is Running { intent: Unknown, since: 2026-01-01T00:00:00Z }
    next: Some(Run(CallId("c2")))
    outcome: None
    queued: Queued { input: InputId(1), content: [Text { text: "and then this" }], delivery: AfterTurn }
    rule: Rule { grant: Unknown, scope: Session }
    usage: Usage { input: 10, cached: 0, output: 5, reasoning: 0, cost: None, unpriced: false }
    "#);

    // Unknown facts, items, parts and shapes are kept to the letter (4, 5, 7, 10, 18, 20). What a known fact says in
    // addition, or with an unknown word, is left to the log, which nobody writes anew.
    let changed: Vec<u64> = events
        .iter()
        .zip(&words)
        .filter(|(event, line)| serde_json::to_string(&event.fact).unwrap() != ***line)
        .map(|(event, _)| event.seq.0)
        .collect();
    assert_eq!(changed, [1, 2, 3, 6, 8, 9, 11, 15, 16, 19, 22]);
    let allowed = session.settings.map(|settings| settings.sandbox);
    assert_eq!(allowed, Some(SandboxMode::ReadOnly), "an unknown mode allows the least");
}

#[test]
fn the_first_rules_replay() {
    assert_written_the_same("v1-rules.jsonl");
    let (_, session) = read("v1-rules.jsonl");
    let rules: Vec<String> =
        session.rules.iter().map(|rule| format!("{}: {}", rule.scope, rule.grant)).collect();
    assert_eq!(
        rules,
        [
            "always in this project: commands that begin with `make deploy`, outside the sandbox too",
            "always in this project: commands that begin with `npm install`, outside the sandbox too",
            "until this session ends: changes at or below /home/me/other",
        ]
    );
}

#[test]
fn the_first_fork_that_went_back_replays() {
    assert_written_the_same("v1-rewound.jsonl");
    let (events, session) = read("v1-rewound.jsonl");
    assert!(events.iter().all(|event| !matches!(event.fact, Fact::Unknown(_))), "{events:?}");
    let Fact::SessionStarted { parent, .. } = &events[0].fact else { panic!("{:?}", events[0]) };
    assert!(parent.is_some());
    insta::assert_snapshot!(in_words(&session), @r#"
    workspace: /home/me/sum
    title: None
    settings: {"model":"demo/scripted","approval":"on-request","sandbox":"workspace-write","backend":"local","limits":{"window":121600,"tool_output":10000}}
    facts: 19
    item: user None: Hello.
    item: assistant (partial false): Hi.
    item: context Notice: The user took back what followed here.
    turn: none
    next: None
    outcome: None
    usage: Usage { input: 30, cached: 0, output: 5, reasoning: 0, cost: None, unpriced: false }
    "#);
}

#[test]
fn a_session_with_budgets_a_command_that_has_to_pass_and_a_goal_replays() {
    assert_written_the_same("v1-goals.jsonl");
    let (events, session) = read("v1-goals.jsonl");
    assert!(session.idle() && session.reconcile().is_empty());
    let goal = session.goal.as_ref().unwrap();
    assert_eq!((goal.goal.text.as_str(), goal.status, goal.turns), ("all tests pass", GoalStatus::Paused, 2));
    assert_eq!(goal.goal.verify.as_deref(), Some("make check"));
    let budget = &session.spending.budget;
    assert_eq!((budget.max_turns, budget.max_tokens, budget.hard), (Some(8), Some(90_000), true));
    // Just after the command failed, and just after the budget was reached.
    let after = |is: fn(&Fact) -> bool| {
        let at = events.iter().position(|event| is(&event.fact)).unwrap();
        Session::replay(&events[..=at])
    };
    let refuted = after(|fact| matches!(fact, Fact::VerifyFinished { exit: Some(2), .. }));
    assert_eq!((refuted.verifying.failed, refuted.turn.is_some()), (1, true));
    let paused = after(|fact| matches!(fact, Fact::BudgetReached { .. }));
    assert!(paused.out_of_budget().is_some() && paused.next().is_none());
}

#[test]
fn the_first_compactions_replay() {
    assert_written_the_same("v1-compacted.jsonl");
    let (events, session) = read("v1-compacted.jsonl");
    assert!(session.idle() && session.reconcile().is_empty());
    assert_eq!((session.compactions, session.left_out, session.said().count()), (2, 1, 1));
    // Just before the conversation went back.
    let at = events.iter().position(|event| matches!(event.fact, Fact::Rewound { .. })).unwrap();
    insta::assert_snapshot!(in_words(&Session::replay(&events[..at])), @r#"
    workspace: /home/me/sum
    title: None
    settings: {"model":"demo/scripted","approval":"on-request","sandbox":"workspace-write","backend":"local","limits":{"window":20000,"tool_output":10000,"reserve":2000,"tokens_per_kb":300}}
    facts: 31
    item: context System: You work.
    item: user None: Mend it.
    item: context Summary: The summary.
    item: context State: <state>|The plan:|- [>] mend it|</state>
    item: assistant (partial false): Done.
    item: user None: And the rest?
    item: assistant (partial false): Done too.
    turn: none
    next: None
    outcome: Some(Done)
    usage: Usage { input: 31850, cached: 8000, output: 230, reasoning: 0, cost: None, unpriced: false }
    "#);
    insta::assert_snapshot!(in_words(&session), @r#"
    workspace: /home/me/sum
    title: None
    settings: {"model":"demo/scripted","approval":"on-request","sandbox":"workspace-write","backend":"local","limits":{"window":20000,"tool_output":10000,"reserve":2000,"tokens_per_kb":300}}
    facts: 32
    item: context System: You work.
    item: user None: Mend it.
    item: context Summary: The summary.
    turn: none
    next: None
    outcome: None
    usage: Usage { input: 31850, cached: 8000, output: 230, reasoning: 0, cost: None, unpriced: false }
    "#);
}

#[test]
fn the_first_conversation_that_a_provider_has_sealed_replays_and_is_made_smaller_without_it() {
    assert_written_the_same("v1-sealed.jsonl");
    let (_, session) = read("v1-sealed.jsonl");
    let sealed = session.items.iter().find(|item| matches!(***item, Item::Sealed { .. })).unwrap();
    assert_eq!(
        item_in_words(sealed),
        r#"sealed by api.example.com: {"type":"compaction","id":"cmp_1","encrypted_content":"gAAA"}, or What was done: ran `seq 3`."#
    );
    assert_eq!((session.items.len(), session.compactions), (5, 1));
    let Some(Step::Compact(wanted)) = session.next() else { panic!("{:?}", session.next()) };
    assert_eq!(wanted.reason, CompactionReason::Overflow);
}

#[test]
fn the_first_search_of_a_provider_replays_with_its_sources_and_a_cost_that_lacks_something() {
    assert_written_the_same("v1-hosted.jsonl");
    let (_, session) = read("v1-hosted.jsonl");
    assert!(session.idle() && session.reconcile().is_empty());
    assert_eq!(session.usage.cost.unwrap().to_string(), "$0.0030+");
    let items: Vec<String> = session.items.iter().skip(2).map(|item| item_in_words(item)).collect();
    insta::assert_snapshot!(items.join("\n"), @r#"
    unknown: {"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"is it mended","sources":[{"type":"url","url":"https://example.com/news"}]}}
    call mcpr_1: hosted_mcp {"server":"docs","tool":"look","arguments":"{}"}
    result mcpr_1: not now / shown "failure"
    assistant (partial false): It is.
    sources: [Source { title: "News", url: "https://example.com/news" }, Source { title: "notes.txt", url: "" }]
    "#);
}

#[test]
fn the_first_turn_that_was_paused_replays() {
    assert_written_the_same("v1-paused.jsonl");
    let (events, session) = read("v1-paused.jsonl");
    assert!(events.iter().all(|event| !matches!(event.fact, Fact::Unknown(_))), "{events:?}");
    let of = |end: usize| Session::replay(&events[..end]).undo;
    let state = |digit: &str| agent::protocol::SnapshotId(digit.repeat(64));
    let between = |undo: &agent::session::Undo| undo.undo(None).unwrap().between(&state("9"));
    assert_eq!(between(&of(13)), [(state("2"), state("3")), (state("4"), state("9"))]);
    assert_eq!(of(13).left(), Some(&state("4")));
    assert_eq!(of(15).redo().unwrap().to, state("5"));
    assert_eq!((session.undo.redo().unwrap().to, session.items.len()), (state("4"), 0));
}
