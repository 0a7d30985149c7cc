//! What `agent resume` does about the files of a session: leave them, put them back as the session left them, or make
//! them anew where they are gone.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use crate::protocol::{Context, Fact, Item, SessionId, SnapshotId, Time};
use crate::session::Session;
use crate::snapshot::{SnapshotError, Snapshots};

use super::{
    args::BackArgs,
    error::CliError,
    fork::{self, Place},
    sessions::size,
    start::{Kept, Start},
    undo,
};

/// What is missing is told to the model up to so many names.
const NAMED: usize = 20;

impl Start {
    /// Opens a session to go on with it, its files as they were asked for.
    pub(super) fn reopen_with(&self, id: SessionId, back: &BackArgs) -> Result<Kept, CliError> {
        if let Some(dir) = &back.into {
            return self.go_on_in(id, dir, back);
        }
        let mut kept = self.reopen(id)?;
        if kept.session.workspace.is_dir() {
            if back.restore {
                undo::put_back_as_left(self, &mut kept, back.yes)?;
            }
            return Ok(kept);
        }
        let last = match Last::of(&kept, self) {
            Ok(Some(last)) => last,
            // Whoever opens it says what there is to do.
            Ok(None) => return Ok(kept),
            unknown => return Err(gone_with(&kept, unknown)),
        };
        let workspace = kept.session.workspace.clone();
        if !back.restore {
            if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
                // As above.
                return Ok(kept);
            }
            fork::say(&format!("the directory of this session is gone: {}", workspace.display()));
            if !undo::ask(&format!("Put it back, {}?", last.words()))? {
                return Err(gone_with(&kept, Ok(Some(last))));
            }
        }
        let made = Snapshots::hydrate(&self.snapshot_settings(&workspace), &last.state, &workspace);
        let made = made.map_err(|error| {
            CliError::failed(format!("{} could not be put back: {error}", workspace.display()))
                .hint(format!("agent resume {id} --into DIR goes on in another directory"))
        })?;
        fork::say(&format!("{} files put back into {}", made.files, workspace.display()));
        fork::left(&made.left);
        without_repository(&workspace, &made.left);
        undo::record(&mut kept, missing(&made.left))?;
        Ok(kept)
    }

    /// A session that goes on from this one in another directory: what is there counts; where nothing is, the files
    /// are put as they last were.
    fn go_on_in(&self, id: SessionId, dir: &Path, back: &BackArgs) -> Result<Kept, CliError> {
        let place = fork::absolute(dir)?;
        // Held, so that nobody writes it meanwhile.
        let kept = self.reopen(id)?;
        if place == kept.session.workspace {
            drop(kept);
            return self.reopen_with(id, &BackArgs { into: None, ..back.clone() });
        }
        let free = match std::fs::read_dir(&place) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => {
                return Err(CliError::usage(format!("can't work in {}: {error}", place.display())));
            }
        };
        if back.restore && !free {
            return Err(CliError::usage(format!("{} is not empty", place.display())).hint(
                "without --restore the session goes on with what is there; then agent resume ID --restore \
                 shows what would be put back",
            ));
        }
        let mut absent = Vec::new();
        if free {
            let last = Last::of(&kept, self).map_err(|error| unknown(&error))?.ok_or_else(|| {
                CliError::failed(format!(
                    "there is nothing to put into {}: {}",
                    place.display(),
                    none_kept(&kept)
                ))
                .hint("name a directory that has the files")
            })?;
            let settings = self.snapshot_settings(&kept.session.workspace);
            let made = Snapshots::hydrate(&settings, &last.state, &place).map_err(CliError::failed)?;
            fork::say(&format!("{} files put into {}", made.files, place.display()));
            fork::left(&made.left);
            without_repository(&place, &made.left);
            absent = missing(&made.left);
        }
        drop(kept);
        let there = self.fork(id, None, &Place::There(place.clone()), &mut fork::say)?;
        fork::say(&format!("session {id} goes on as {there} in {}", place.display()));
        let mut kept = self.reopen(there)?;
        undo::record(&mut kept, absent)?;
        Ok(kept)
    }
}

/// The last state of a session's files, if it is kept on this machine.
struct Last {
    state: SnapshotId,
    at: Option<Time>,
    files: u64,
    bytes: u64,
}

impl Last {
    fn of(kept: &Kept, start: &Start) -> Result<Option<Self>, SnapshotError> {
        let Some(state) = kept.session.undo.last().cloned() else { return Ok(None) };
        if !Snapshots::has(&start.snapshot_settings(&kept.session.workspace), &state)? {
            return Ok(None);
        }
        let told = kept.history.iter().rev().find_map(|event| match &event.fact {
            Fact::SnapshotTaken { snapshot, files, bytes, .. } if *snapshot == state => {
                Some((Some(event.at), *files, *bytes))
            }
            Fact::Restored { result, .. } if *result == state => Some((Some(event.at), 0, 0)),
            _ => None,
        });
        let (at, files, bytes) = told.unwrap_or_default();
        Ok(Some(Self { state, at, files, bytes }))
    }

    fn words(&self) -> String {
        let at = self
            .at
            .map(|at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string());
        let when = at.map(|at| format!("as it was at {at}")).unwrap_or_else(|| "as it was".to_owned());
        match self.files {
            0 => when,
            files => format!("{when} ({files} files, {})", size(self.bytes)),
        }
    }
}

/// That the directory is gone, and what there is to do.
pub(super) fn gone(kept: &Kept, start: &Start) -> CliError {
    gone_with(kept, Last::of(kept, start))
}

fn gone_with(kept: &Kept, last: Result<Option<Last>, SnapshotError>) -> CliError {
    let (id, workspace) = (kept.id(), &kept.session.workspace);
    let what = match workspace.symlink_metadata() {
        Ok(_) => "is no directory any more",
        Err(_) => "is gone",
    };
    let error = format!("the directory of session {id} {what}: {}", workspace.display());
    match last {
        Err(problem) => CliError::failed(format!("{error}. {}", unknown(&problem).message)).hint(format!(
            "try again; if it was moved: agent resume {id} --into DIR; agent sessions show {id} prints what was said"
        )),
        Ok(Some(last)) => CliError::failed(format!("{error}. It is kept {}", last.words())).hint(format!(
            "agent resume {id} --restore puts it back; --into DIR goes on in another directory, which is filled with \
             it if it is empty"
        )),
        Ok(None) => CliError::failed(format!("{error}. {}", none_kept(kept))).hint(format!(
            "bring it back; or, if it was moved: agent resume {id} --into DIR; agent sessions show {id} prints what \
             was said"
        )),
    }
}

/// That nobody knows whether its files are kept.
fn unknown(error: &SnapshotError) -> CliError {
    CliError::failed(format!("Whether its files are kept can't be found out: {error}"))
        .hint("try again when what is named there can be read or reached")
}

/// Why there is nothing to be put back.
fn none_kept(kept: &Kept) -> String {
    let Session { undo, workspace, .. } = &kept.session;
    match undo.last() {
        None => "No state of its files was kept in this session".to_owned(),
        Some(state) => format!(
            "State {} of {} is not on this machine, or lost: the snapshots have no such object",
            state.as_str().chars().take(12).collect::<String>(),
            workspace.display()
        ),
    }
}

/// What the model is told of a directory that was made anew: nothing, if all of it is there.
fn missing(left: &[(PathBuf, String)]) -> Vec<Fact> {
    let names: Vec<String> = left.iter().take(NAMED).map(|(path, _)| path.display().to_string()).collect();
    let more = match left.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = format!(
        "The directory was gone, and was made anew as it was. Not there any more, because it was not kept: {}{more}.",
        names.join(", ")
    );
    let notice = Fact::item(Item::Context { context: Context::Notice, text });
    if left.is_empty() { Vec::new() } else { vec![notice] }
}

/// What to do about history, which no snapshot holds.
fn without_repository(place: &Path, left: &[(PathBuf, String)]) {
    if left.iter().any(|(path, _)| path.ends_with(".git")) {
        fork::say(&format!(
            "what git knows of it is in no snapshot: bring .git back into {} from a clone, if there is one",
            place.display()
        ));
    }
}
