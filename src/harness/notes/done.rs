//! How far making notes has come: which sessions were read, what has to wait, and what the last run did.
//!
//! Losing it costs requests, and nothing else.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::memory::MemoryError;
use crate::protocol::{SessionId, Time};
use crate::store::Listed;

use super::{Report, TRIES};

/// What is kept, in `progress.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Progress {
    sessions: BTreeMap<String, Read>,
    /// When a shelf's answers could not be used.
    failed: BTreeMap<PathBuf, Time>,
    pub(super) last: Option<(Time, Report)>,
    #[serde(skip)]
    file: PathBuf,
}

/// How far a session was read.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
#[serde(default)]
struct Read {
    turns: u32,
    done: bool,
    tries: u32,
}

impl Progress {
    /// What was kept; nothing, where it can't be read.
    pub(super) fn read(folder: &Path) -> Self {
        let file = folder.join("progress.json");
        let kept = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { file, ..kept.unwrap_or_default() }
    }

    pub(super) fn is_done(&self, session: SessionId, turns: u32) -> bool {
        let read = self.sessions.get(&session.to_string());
        read.is_some_and(|read| read.turns == turns && (read.done || read.tries >= TRIES))
    }

    pub(super) fn done(&mut self, session: SessionId, turns: u32) -> Result<(), MemoryError> {
        self.sessions.insert(session.to_string(), Read { turns, done: true, tries: 0 });
        self.write()
    }

    /// Its answers could not be used.
    pub(super) fn failed(&mut self, session: SessionId, turns: u32) -> Result<(), MemoryError> {
        let read = self.sessions.entry(session.to_string()).or_default();
        let tries = if read.turns == turns { read.tries + 1 } else { 1 };
        *read = Read { turns, done: false, tries };
        self.write()
    }

    pub(super) fn pause(&mut self, shelf: &Path, now: Time) -> Result<(), MemoryError> {
        self.failed.insert(shelf.to_owned(), now);
        self.write()
    }

    pub(super) fn rests(&self, shelf: &Path, now: Time, pause: Duration) -> bool {
        let since = self.failed.get(shelf).map(|then| now.duration_since(*then));
        since.is_some_and(|since| since.unsigned_abs() < pause)
    }

    /// Sessions that are gone need not be known.
    pub(super) fn forget_all_but(&mut self, listed: &[Listed]) {
        let there: std::collections::BTreeSet<String> = listed.iter().map(|one| one.id.to_string()).collect();
        self.sessions.retain(|id, _| there.contains(id));
    }

    pub(super) fn end(&mut self, now: Time, report: &Report) -> Result<(), MemoryError> {
        self.last = Some((now, report.clone()));
        self.write()
    }

    fn write(&self) -> Result<(), MemoryError> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let written = || -> std::io::Result<()> {
            let mut new = tempfile::Builder::new().prefix(".progress-").tempfile_in(folder)?;
            new.write_all(&serde_json::to_vec(self)?)?;
            new.persist(&self.file)?;
            Ok(())
        };
        written().map_err(|error| MemoryError::Io { path: self.file.clone(), error })
    }
}
