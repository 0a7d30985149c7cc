//! What a person is told of a session that a newer version of the program has written to.

use std::collections::BTreeMap;

use crate::protocol::{Event, FORMAT_VERSION, Fact, HostedCall, Item, Level};

/// Kinds that are named.
const NAMED: usize = 5;

/// What of a log this version does not understand, unless the log says so already.
pub(super) fn note(history: &[Event]) -> Option<Fact> {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for event in history {
        let unknown = match &event.fact {
            Fact::Unknown(fields) => Some(fields.get("type").and_then(|kind| kind.as_str()).unwrap_or("?")),
            Fact::ItemAdded { item } => match &**item {
                // Of a provider, and not of another version.
                Item::Unknown(value) if HostedCall::of(value).is_some() => None,
                Item::Unknown(value) => Some(value.get("type").and_then(|kind| kind.as_str()).unwrap_or("?")),
                _ => None,
            },
            _ => None,
        };
        if let Some(kind) = unknown {
            *kinds.entry(kind).or_default() += 1;
        }
    }
    let version = history.iter().find_map(|event| match &event.fact {
        Fact::SessionStarted { version, agent, .. } if *version > FORMAT_VERSION => Some(agent),
        _ => None,
    });
    if kinds.is_empty() && version.is_none() {
        return None;
    }
    let by = version.map(|agent| format!(" ({agent})")).unwrap_or_default();
    let count: usize = kinds.values().sum();
    let names: Vec<&str> = kinds.keys().copied().take(NAMED).collect();
    let what = match count {
        0 => "all of it is understood".to_owned(),
        count => format!(
            "{count} of its facts mean nothing to this one ({}{}), are left out, and stay in the log",
            names.join(", "),
            if kinds.len() > NAMED { " and others" } else { "" }
        ),
    };
    let text = format!("a newer version of agent{by} has written to this session: {what}");
    let note = Fact::Noted { level: Level::Warning, text };
    history.iter().all(|event| event.fact != note).then_some(note)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Seq, SessionId, Time};

    fn event(fact: Fact) -> Event {
        Event { seq: Seq(1), at: Time::UNIX_EPOCH, fact }
    }

    fn started(version: u32) -> Event {
        event(Fact::SessionStarted {
            session: SessionId(uuid::Uuid::nil()),
            version,
            agent: "9.1.0".into(),
            workspace: "/w".into(),
            parent: None,
        })
    }

    #[test]
    fn what_only_a_newer_version_understands_is_told_once() {
        let dreamt =
            |of: &str| event(serde_json::from_str(&format!(r#"{{"type":"dreamt","of":"{of}"}}"#)).unwrap());
        assert_eq!(note(&[started(FORMAT_VERSION)]), None);
        let Some(Fact::Noted { text, .. }) = note(&[started(FORMAT_VERSION + 1)]) else { panic!() };
        assert_eq!(
            text,
            "a newer version of agent (9.1.0) has written to this session: all of it is understood"
        );
        let mut history = vec![started(FORMAT_VERSION), dreamt("sheep"), dreamt("goats")];
        let told = note(&history).unwrap();
        let Fact::Noted { text, .. } = &told else { panic!() };
        assert!(text.contains("2 of its facts mean nothing to this one (dreamt)"), "{text}");
        history.push(event(told));
        assert_eq!(note(&history), None);
    }
}
