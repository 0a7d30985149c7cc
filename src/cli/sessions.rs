//! `agent sessions`: look at the sessions that are kept.

use std::io::{self, Write as _};

use crate::headless::{Form, Headless};
use crate::protocol::{SessionId, Update, printable};
use crate::store::{self, Sessions};

use super::{args::SessionsArgs, error::CliError};

pub(super) fn run(sessions: &Sessions, command: &SessionsArgs) -> Result<(), CliError> {
    match command {
        SessionsArgs::List { json } => list(sessions, *json),
        SessionsArgs::Show { id, json } => show(sessions, id, *json),
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

fn list(sessions: &Sessions, json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for listed in sessions.list()? {
        if json {
            let line = serde_json::json!({
                "session": listed.id,
                "workspace": listed.workspace,
                "title": listed.title,
                "started": listed.started,
                "bytes": listed.size,
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

fn size(bytes: u64) -> String {
    match bytes {
        0..=999_999 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..=999_999_999 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}
