//! `agent sessions`: look at the sessions that are kept. The list on the screen asks the same.

use std::io::{self, Write as _};

use crate::headless::{Form, Headless};
use crate::protocol::{Item, SessionId, Time, Update, printable, words};
use crate::session::Session;
use crate::store::{self, Listed, Sessions};
use crate::tui::{Answer, Known, Question, context_lines};

use super::{
    args::SessionsArgs,
    error::CliError,
    screen::short,
    start::{Start, now},
};

/// Messages in a preview.
const PREVIEW: usize = 6;

pub(super) fn run(sessions: &Sessions, command: &SessionsArgs) -> Result<(), CliError> {
    match command {
        SessionsArgs::List { json, all, archived } => {
            list(sessions, *json, |listed| *all || listed.archived == *archived)
        }
        SessionsArgs::Rename { id, title } => rename(sessions, id, title),
        SessionsArgs::Archive { ids, undo } => archive(sessions, ids, !undo),
        SessionsArgs::Show { id, json, context: true } => context(sessions, id, *json),
        SessionsArgs::Show { id, json, context: false } => show(sessions, id, *json),
        SessionsArgs::Rm { ids } => remove(sessions, ids),
    }
    .or_else(|error| match error.downcast_ref::<io::Error>() {
        // Whoever reads has seen enough.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
    .map_err(|error| match error.downcast::<CliError>() {
        Ok(error) => error,
        Err(error) => CliError::failed(format!("{error:#}")),
    })
}

fn list(sessions: &Sessions, json: bool, wanted: impl Fn(&Listed) -> bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for listed in sessions.list()?.into_iter().filter(wanted) {
        if json {
            let line = serde_json::json!({
                "session": listed.id,
                "workspace": listed.workspace,
                "title": listed.title,
                "started": listed.started,
                "bytes": listed.size,
                "turns": listed.turns,
                "archived": listed.archived,
                "parent": listed.parent,
            });
            writeln!(out, "{line}")?;
        } else {
            let started = listed.started.to_zoned(jiff::tz::TimeZone::system());
            writeln!(
                out,
                "{}  {}  {:>8}  {}  {}",
                listed.id,
                started.strftime("%Y-%m-%d %H:%M"),
                size(listed.size),
                printable(&listed.workspace.to_string_lossy()),
                printable(&listed.title).replace('\n', " "),
            )?;
        }
    }
    Ok(())
}

fn show(sessions: &Sessions, id: &str, json: bool) -> anyhow::Result<()> {
    let (events, damage) = store::read_whole_lines(&sessions.log(find(sessions, id)?))?;
    let form = if json { Form::Json { deltas: false } } else { Form::Text };
    // There is no progress here: all of it is what was asked for.
    let mut shown = Headless::new(form, &[], io::stdout().lock(), io::stdout());
    for event in events {
        shown.update(&Update::Event(event))?;
    }
    // What is whole comes first; what is wrong is said after it.
    damage.map_or(Ok(()), |damage| Err(damage.into()))
}

/// What fills the window of the model that a session runs with.
fn context(sessions: &Sessions, id: &str, json: bool) -> anyhow::Result<()> {
    let (events, damage) = store::read_whole_lines(&sessions.log(find(sessions, id)?))?;
    let fill = Session::replay(&events).fill();
    let mut out = io::stdout().lock();
    if json {
        let kinds = fill.kinds.iter().map(|(kind, tokens, items)| {
            (kind.as_str().to_owned(), serde_json::json!({ "tokens": tokens, "items": items }))
        });
        let line = serde_json::json!({
            "window": fill.window,
            "room": fill.room,
            "used": fill.used,
            "counted": fill.counted,
            "droppable": fill.droppable,
            "kinds": kinds.collect::<serde_json::Map<_, _>>(),
        });
        writeln!(out, "{line}")?;
    } else {
        for line in context_lines(&fill) {
            writeln!(out, "{line}")?;
        }
    }
    damage.map_or(Ok(()), |damage| Err(damage.into()))
}

fn rename(sessions: &Sessions, id: &str, title: &str) -> anyhow::Result<()> {
    let id = find(sessions, id)?;
    sessions
        .rename(id, title.trim().to_owned(), now())
        .map_err(|error| anyhow::anyhow!("session {id} keeps its name: {error}"))
}

fn archive(sessions: &Sessions, ids: &[String], away: bool) -> anyhow::Result<()> {
    let found = ids.iter().map(|id| find(sessions, id)).collect::<Result<Vec<_>, _>>()?;
    for id in found {
        sessions
            .archive(id, away)
            .map_err(|error| anyhow::anyhow!("session {id} stays where it is: {error}"))?;
        writeln!(io::stdout(), "{} {id}", if away { "archived" } else { "brought back" })?;
    }
    Ok(())
}

/// What the list on the screen asks for.
pub(super) fn answer(start: &Start, question: &Question) -> Result<Answer, String> {
    let sessions = start.sessions();
    let said = |error: &dyn std::fmt::Display| error.to_string();
    match question {
        Question::Words(session) => {
            let items = sessions.last_words(*session, PREVIEW).map_err(|error| said(&error))?;
            let words = items.iter().filter_map(|item| match &**item {
                Item::User { content, .. } => Some((true, words(content))),
                Item::Assistant { text, .. } => Some((false, text.clone())),
                _ => None,
            });
            return Ok(Answer::Words { session: *session, words: words.collect() });
        }
        Question::Rename { session, title } => {
            sessions.rename(*session, title.clone(), now()).map_err(|error| said(&error))?;
        }
        Question::Archive { session, away } => {
            sessions.archive(*session, *away).map_err(|error| said(&error))?;
        }
        Question::Delete(session) => sessions.remove(*session).map_err(|error| said(&error))?,
        // Whatever else is asked is not about sessions.
        _ => {}
    }
    let known = sessions.list().map_err(|error| said(&error))?.into_iter().map(|listed| Known {
        id: listed.id,
        here: listed.workspace == start.workspace,
        directory: short(&listed.workspace),
        title: listed.title,
        changed_ms: Time::try_from(listed.changed).map_or(0, milliseconds),
        size: listed.size,
        turns: listed.turns,
        archived: listed.archived,
        fork: listed.parent.is_some(),
    });
    Ok(Answer::Sessions { known: known.collect(), now_ms: milliseconds(Time::now()) })
}

fn milliseconds(time: Time) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}

fn remove(sessions: &Sessions, ids: &[String]) -> anyhow::Result<()> {
    // All are looked up before any is deleted: a typing error deletes nothing.
    let found = ids.iter().map(|id| find(sessions, id)).collect::<Result<Vec<_>, _>>()?;
    for id in found {
        sessions.remove(id).map_err(|error| anyhow::anyhow!("session {id} stays: {error}"))?;
        // That nobody reads it is no reason to stop half-way.
        let _ = writeln!(io::stdout(), "deleted {id}");
    }
    Ok(())
}

fn find(sessions: &Sessions, id: &str) -> Result<SessionId, CliError> {
    sessions.find(id).map_err(CliError::usage)
}

pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..=999_999 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..=999_999_999 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}
