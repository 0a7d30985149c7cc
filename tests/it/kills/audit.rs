//! What must hold of a session that was killed: at each stage, and at the end.

use std::{collections::HashMap, fs};

use agent::{
    protocol::{Content, Fact, Item},
    session::Session,
};

use super::story::{CALLS, COMMANDS, EFFECTS, PATCHED, PATCHES, STOP};
use crate::support::scripted::Scripted;

/// What a result says of a call that may have had any part of its effects.
const MAYBE: &[&str] = &["The agent was stopped while this ran", "aborted by user"];

/// What must hold whenever nothing runs.
pub fn stage(world: &Scripted, when: &str) {
    world.assert_no_process(when);
    let Some(id) = world.session() else { return };
    let Some(log) = world.log().filter(|log| log.exists()) else { return };
    let events = agent::store::read_events(&log).unwrap();
    if events.is_empty() {
        return;
    }
    let shown = world.run(&["sessions", "show", &id]);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""), "{when}: {shown:?}");
    let listed = world.run(&["sessions", "list"]);
    assert!(listed.code == Some(0) && listed.stdout.contains(&id), "{when}: {listed:?}");
}

/// What must hold when the story has come to its end.
pub fn end(world: &Scripted, when: &str) {
    stage(world, when);
    let bytes = fs::read(world.log().unwrap()).unwrap();
    let events = world.events();
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    assert!(bytes.ends_with(b"\n") && lines == events.len(), "{when}: the log has a torn line");
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event.seq.0, at as u64 + 1, "{when}");
    }

    let mut results: HashMap<String, String> = HashMap::new();
    for event in &events {
        if let Fact::ItemAdded { item } = &event.fact
            && let Item::ToolResult { call, content, .. } = &**item
        {
            let twice = results.insert(call.to_string(), text(content));
            assert_eq!(twice, None, "{when}: {call} has two results");
        }
    }
    let session = Session::replay(&events);
    assert_eq!(session.last_answer(), Some("All is done."), "{when}");
    let of = |wanted: fn(&Item) -> bool| -> Vec<String> {
        let items = session.items.iter().filter(|item| wanted(item));
        items.filter_map(|item| item.call().map(ToString::to_string)).collect()
    };
    assert_eq!(of(|item| matches!(item, Item::ToolCall { .. })), CALLS, "{when}: calls");
    assert_eq!(of(|item| matches!(item, Item::ToolResult { .. })), CALLS, "{when}: results");

    for (file, calls) in [(EFFECTS, COMMANDS), (PATCHED, PATCHES)] {
        let found = fs::read_to_string(world.workspace.join(file)).unwrap_or_default();
        for call in calls {
            let result = &results[*call];
            let told = MAYBE.iter().any(|words| result.contains(words));
            // What c4 did not make can't be changed by c9.
            let c4_told = MAYBE.iter().any(|words| results["c4"].contains(words));
            let refused = *call == "c9" && c4_told && !found.contains("c4");
            match found.lines().filter(|line| line == call).count() {
                1 => {}
                0 => assert!(told || refused, "{when}: {call} had no effect, and its result is: {result}"),
                more => panic!("{when}: {call} happened {more} times; its result is: {result}"),
            }
        }
    }
    let patch_cut = PATCHES.iter().any(|call| results[*call].contains(MAYBE[0]));
    for entry in fs::read_dir(&world.workspace).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let expected =
            [EFFECTS, PATCHED, STOP].contains(&name.as_str()) || (patch_cut && name.starts_with(".agent-"));
        assert!(expected, "{when}: {name} is left in the workspace");
    }
}

fn text(content: &[Content]) -> String {
    content
        .iter()
        .map(|part| match part {
            Content::Text { text } => text.as_str(),
            Content::Image { .. } | Content::Unknown(_) => "",
        })
        .collect()
}
