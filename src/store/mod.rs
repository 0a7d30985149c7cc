//! What is kept of sessions: a folder each, with the log and the content that the log names.
//!
//! Nothing here knows what the facts mean.

mod blobs;
mod fork;
mod known;
mod listing;
mod log;
mod read;
mod remove;
mod search;
mod states;
mod usage;
mod verify;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::protocol::{Fact, SessionId, Time};

pub use blobs::Blobs;
pub use listing::Listed;
pub use log::{Damage, Log, LogError, read_events, read_stream, read_whole_lines, visit_events};
pub use remove::remove_tree;
pub use search::Hit;
pub use usage::{Used, UsedIn};
pub use verify::{BlobFault, Verified};

/// What the name of a folder begins with that is about to go: no session any more.
const GOING: &str = ".removed-";

/// How long sessions are kept that nobody has pinned. What is open, or was written to within a day, stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Keeping {
    /// Days after its last change that a session is kept. 0: for ever.
    pub days: u64,
    /// Bytes that all sessions and the states of their workspaces may take together. 0: as many as there are.
    pub bytes: u64,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { days: 30, bytes: 10_000_000_000 }
    }
}

/// All sessions of a user.
#[derive(Debug, Clone)]
pub struct Sessions {
    folder: PathBuf,
    /// Where it is kept what a list has shown.
    known: Option<PathBuf>,
}

/// Why a session was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("there is no session {0}; `agent sessions list` shows those that are there")]
    None(String),
    #[error("{0} is the beginning of {1} sessions; give more of its id")]
    Several(String, usize),
    #[error("there is no session yet")]
    Empty,
    #[error("can't read the sessions in {0}: {1}")]
    Io(PathBuf, #[source] io::Error),
}

impl Sessions {
    /// The sessions kept in `folder`, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), known: None }
    }

    /// The same, with a file in which lists leave what they have shown, so that the next one is there at once. It may be
    /// lost.
    #[must_use]
    pub fn known_in(self, file: impl Into<PathBuf>) -> Self {
        Self { known: Some(file.into()), ..self }
    }

    /// Where a session is kept.
    #[must_use]
    pub fn folder(&self, id: SessionId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    /// The id that `text` begins, which must be only one.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(&self, text: &str) -> Result<SessionId, FindError> {
        // It begins every id, and is more likely a variable that was not set than the only session.
        if text.is_empty() {
            return Err(FindError::None("\"\"".to_owned()));
        }
        let wanted = text.to_ascii_lowercase();
        let ids = self.ids().map_err(|error| FindError::Io(self.folder.clone(), error))?;
        let mut found = ids.into_iter().filter(|id| id.to_string().starts_with(&wanted));
        match (found.next(), found.count()) {
            (Some(id), 0) => Ok(id),
            (None, _) => Err(FindError::None(text.to_owned())),
            (Some(_), more) => Err(FindError::Several(text.to_owned(), more + 1)),
        }
    }

    /// The session that was written to last, of those about `workspace` if one is given. Not one that was put away.
    ///
    /// # Errors
    /// When there is none.
    pub fn last(&self, workspace: Option<&Path>) -> Result<SessionId, FindError> {
        let mut ids: Vec<(std::time::SystemTime, SessionId)> = self
            .ids()
            .map_err(|error| FindError::Io(self.folder.clone(), error))?
            .into_iter()
            .filter_map(|id| Some((changed(&self.log(id))?, id)))
            .collect();
        ids.sort();
        let meant = |id: &SessionId| {
            self.describe(*id).is_some_and(|listed| {
                !listed.archived && workspace.is_none_or(|wanted| listed.workspace == wanted)
            })
        };
        ids.into_iter().rev().map(|(_, id)| id).find(meant).ok_or(FindError::Empty)
    }

    /// Puts a session away, or brings it back: one that is put away is in no list that does not ask for it.
    ///
    /// # Errors
    /// When the mark can't be made or taken off.
    pub fn archive(&self, id: SessionId, away: bool) -> io::Result<()> {
        mark(&self.folder(id).join(listing::ARCHIVED), away)
    }

    /// Lets a session be kept however old it is, or no longer.
    ///
    /// # Errors
    /// When the mark can't be made or taken off.
    pub fn pin(&self, id: SessionId, pinned: bool) -> io::Result<()> {
        mark(&self.folder(id).join(listing::PINNED), pinned)
    }

    /// Gives a session that nobody has open another name.
    ///
    /// # Errors
    /// When it is in use, or can't be written.
    pub fn rename(&self, id: SessionId, title: String, at: Time) -> Result<(), LogError> {
        let (mut log, _) = Log::open(&self.log(id))?;
        log.append(vec![Fact::Renamed { title }], at)?;
        log.sync()
    }

    /// Deletes a session with all that belongs to it. It goes at once; should a part of it stay, then not as a
    /// session, and the next time that something is deleted is another try.
    ///
    /// # Errors
    /// When it is in use, or can't be deleted.
    pub fn remove(&self, id: SessionId) -> Result<(), LogError> {
        let path = self.log(id);
        // Held while deleting, so that nobody begins to write in the middle.
        let _held = match log::lock(&path) {
            // Killed before it had a log.
            Err(LogError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => None,
            held => Some(held?),
        };
        let folder = self.folder(id);
        let going = self.folder.join(format!("{GOING}{id}"));
        match fs::rename(&folder, &going) {
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.map_err(|error| LogError::Io { path: folder, error })?,
        }
        self.remove_what_stayed();
        remove_tree(&going).map_err(|error| LogError::Io { path: going, error })
    }

    /// What an earlier deletion has left. Whoever wants to know why it stays looks at it.
    fn remove_what_stayed(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(GOING) {
                let _ = remove_tree(&entry.path());
            }
        }
    }

    /// Whether a program has a session open at this moment.
    #[must_use]
    pub fn is_open(&self, id: SessionId) -> bool {
        matches!(log::lock(&self.log(id)), Err(LogError::Locked))
    }

    /// The log of a session.
    #[must_use]
    pub fn log(&self, id: SessionId) -> PathBuf {
        self.folder(id).join("log.jsonl")
    }

    /// The ids of all sessions.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn ids(&self) -> io::Result<Vec<SessionId>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            if let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
                ids.push(id);
            }
        }
        Ok(ids)
    }
}

fn mark(path: &Path, set: bool) -> io::Result<()> {
    if set {
        return fs::write(path, "");
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn changed(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}
