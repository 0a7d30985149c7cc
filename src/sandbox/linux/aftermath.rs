//! What commands made that others obey, when the agent ends before it could look at that: the session's holder outlives
//! it for as long, and puts it out of the way.

use std::{
    fs, io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{obeyed::Known, plan::Plan};
use crate::sandbox::publish::survey::{Identity, Stamp};

/// Where the agent leaves what it knows, in the session's own directory. It is there while commands may run.
const FILE: &str = "known.json";

/// A path, as it is.
type Bytes = Vec<u8>;

#[derive(Serialize, Deserialize)]
struct Left {
    settings: Vec<Bytes>,
    home: Bytes,
    there: Vec<(Bytes, Identity)>,
    closed: Vec<(Bytes, Stamp)>,
}

/// Leaves what was there before a command.
///
/// # Errors
/// When it can't be written; then nothing is left.
pub(super) fn leave(known: &Known, scratch: &Path) -> io::Result<()> {
    let left = Left {
        settings: known.settings.iter().map(|path| bytes(path)).collect(),
        home: bytes(&known.home),
        there: known.there.iter().map(|(path, identity)| (bytes(path), *identity)).collect(),
        closed: known.closed.iter().map(|(path, stamp)| (bytes(path), *stamp)).collect(),
    };
    let new = scratch.join("known.new");
    fs::write(&new, serde_json::to_vec(&left)?)?;
    fs::rename(new, scratch.join(FILE))
}

/// Takes it away: nothing runs any more, and what was made was looked at.
pub(super) fn take_away(scratch: &Path) {
    // It may not be there.
    let _ = fs::remove_file(scratch.join(FILE));
}

/// Where commands may lie that nobody looked at.
pub(super) fn except(plan: &Plan) -> Vec<PathBuf> {
    plan.own.iter().chain([&plan.scratch]).cloned().collect()
}

/// What an agent left that is gone, with the note that commands ran.
pub(super) fn left(plan: &Plan) -> Option<Known> {
    let left: Left = serde_json::from_slice(&fs::read(plan.scratch.join(FILE)).ok()?).ok()?;
    let there = left.there.into_iter().map(|(path_of, identity)| (path(path_of), identity)).collect();
    let closed = left.closed.into_iter().map(|(path_of, stamp)| (path(path_of), stamp)).collect();
    let mut known = Known::new(plan.repositories(), except(plan), there, closed);
    known.settings = left.settings.into_iter().map(path).collect();
    known.home = path(left.home);
    known.ran = true;
    Some(known)
}

/// Puts out of the way what commands of an agent made that is gone. None of them runs any more.
pub(super) fn clear(plan: &Plan) {
    if let Some(mut known) = left(plan) {
        // Nobody is left to be told.
        known.quarantine(true);
        take_away(&plan.scratch);
    }
}

fn bytes(path: &Path) -> Bytes {
    path.as_os_str().as_bytes().to_vec()
}

fn path(bytes: Bytes) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}
