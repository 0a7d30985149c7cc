//! `agent sessions`: look at the sessions that are kept. The list on the screen asks the same.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::atomic::AtomicBool,
};

use crate::protocol::{Item, SessionId, Time, printable, words};
use crate::session::Session;
use crate::store::{self, Hit, Keeping, Listed, Sessions};
use crate::tui::{Answer, Known, Question, context_lines};

use super::{
    args::{PruneArgs, SessionsArgs},
    error::CliError,
    keep::{self, Place, Why},
    replay,
    screen::short,
    start::{Start, now},
};

/// Messages in a preview.
const PREVIEW: usize = 6;
/// Places of a session that a search shows.
const HITS: usize = 3;

pub(super) fn run(start: &Start, command: &SessionsArgs) -> Result<ExitCode, CliError> {
    let sessions = &start.sessions();
    let done = |done: anyhow::Result<()>| done.map(|()| ExitCode::SUCCESS);
    let result = match command {
        SessionsArgs::Export(args) => return super::export::run(start, args),
        SessionsArgs::Check { ids, json } => {
            let found = ids.iter().map(|id| find(sessions, id)).collect::<Result<Vec<_>, _>>()?;
            super::check::run(start, &found, *json)
        }
        SessionsArgs::Prune(args) => done(prune(start, args)),
        SessionsArgs::Search { text, json, all } => done(search(sessions, text, *json, *all)),
        SessionsArgs::Pin { ids, undo } => done(pin(sessions, ids, !undo)),
        SessionsArgs::List { json, all, archived } => {
            done(list(sessions, *json, |listed| *all || listed.archived == *archived))
        }
        SessionsArgs::Rename { id, title } => done(rename(sessions, id, title)),
        SessionsArgs::Archive { ids, undo } => done(archive(sessions, ids, !undo)),
        SessionsArgs::Show { id, json, context: true } => done(context(sessions, id, *json)),
        SessionsArgs::Show { id, json, context: false } => done(show(sessions, id, *json)),
        SessionsArgs::Rm { ids } => done(remove(sessions, ids)),
    };
    let seen_enough = |error: anyhow::Error| match error.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        _ => Err(error),
    };
    result.or_else(seen_enough).map_err(|error| match error.downcast::<CliError>() {
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
                "pinned": listed.pinned,
                "parent": listed.parent,
            });
            writeln!(out, "{line}")?;
        } else {
            let started = listed.started.to_zoned(jiff::tz::TimeZone::system());
            let pinned = if listed.pinned { "pinned  " } else { "" };
            writeln!(
                out,
                "{}  {}  {:>8}  {}  {pinned}{}",
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
    replay::print(events, damage, json, None)
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

fn pin(sessions: &Sessions, ids: &[String], pinned: bool) -> anyhow::Result<()> {
    let found = ids.iter().map(|id| find(sessions, id)).collect::<Result<Vec<_>, _>>()?;
    for id in found {
        sessions.pin(id, pinned).map_err(|error| anyhow::anyhow!("session {id} stays as it is: {error}"))?;
        writeln!(io::stdout(), "{} {id}", if pinned { "pinned" } else { "no longer pinned" })?;
    }
    Ok(())
}

fn search(sessions: &Sessions, text: &str, json: bool, all: bool) -> anyhow::Result<()> {
    if text.trim().is_empty() {
        return Err(CliError::usage("nothing to search for").hint("agent sessions search WORDS").into());
    }
    let mut out = io::stdout().lock();
    let wanted = sessions.list()?.into_iter().filter(|listed| all || !listed.archived);
    for listed in wanted {
        // One that has gone meanwhile has nothing to say.
        let hits = sessions.search(listed.id, text, HITS).unwrap_or_default();
        let named = listed.title.to_lowercase().contains(&text.to_lowercase());
        if hits.is_empty() && !named {
            continue;
        }
        if !json {
            let day = listed.started.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d").to_string();
            writeln!(out, "{}  {day}  {}", listed.id, printable(&listed.title).replace('\n', " "))?;
        } else if hits.is_empty() {
            let line = serde_json::json!({ "session": listed.id, "title": listed.title });
            writeln!(out, "{line}")?;
        }
        for Hit { at, person, text } in hits {
            if json {
                let line = serde_json::json!({
                    "session": listed.id,
                    "title": listed.title,
                    "at": at,
                    "by": if person { "user" } else { "assistant" },
                    "text": text,
                });
                writeln!(out, "{line}")?;
            } else {
                writeln!(out, "    {} {}", if person { ">" } else { "•" }, printable(&text))?;
            }
        }
    }
    Ok(())
}

fn prune(start: &Start, args: &PruneArgs) -> anyhow::Result<()> {
    let configured = start.config.sessions;
    let keeping = Keeping {
        days: args.older_than.unwrap_or(configured.days),
        bytes: args.max_bytes.unwrap_or(configured.bytes),
    };
    let pruned = keep::prune(&Place::of(start), keeping, args.dry_run, &AtomicBool::new(false))?;
    let mut out = io::stdout().lock();
    let why = |why: Why| match why {
        Why::Old => "old",
        Why::Room => "room",
    };
    if args.json {
        let sessions = pruned.sessions.iter().map(|(listed, reason)| {
            serde_json::json!({ "session": listed.id, "bytes": listed.size, "why": why(*reason) })
        });
        let tarballs =
            pruned.tarballs.iter().map(|(id, bytes)| serde_json::json!({ "session": id, "bytes": bytes }));
        let all = serde_json::json!({
            "dry_run": args.dry_run,
            "sessions": sessions.collect::<Vec<_>>(),
            "tarballs": tarballs.collect::<Vec<_>>(),
            "states_bytes": pruned.states,
            "over_bytes": pruned.over,
            "problems": pruned.problems,
        });
        writeln!(out, "{all}")?;
    } else {
        let (done, freed) = if args.dry_run { ("would delete", "would free") } else { ("deleted", "freed") };
        for (listed, reason) in &pruned.sessions {
            let reason = match reason {
                Why::Old => "unchanged for longer than is kept",
                Why::Room => "to make room",
            };
            let title = printable(&listed.title).replace('\n', " ");
            writeln!(out, "{done} {}  {:>8}  {title}  ({reason})", listed.id, size(listed.size))?;
        }
        for (id, bytes) in &pruned.tarballs {
            writeln!(out, "{done} workspace.tar.zst of {id}  {:>8}  (the snapshots have it)", size(*bytes))?;
        }
        writeln!(out, "{freed} {} of workspace states", size(pruned.states))?;
        if pruned.over > 0 {
            writeln!(out, "{} more than wanted stay: what is pinned or in use", size(pruned.over))?;
        }
    }
    match pruned.problems.is_empty() {
        true => Ok(()),
        false => anyhow::bail!("{}", pruned.problems.join("\n")),
    }
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
