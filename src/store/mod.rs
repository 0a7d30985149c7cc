//! What is kept of sessions: a folder each, with the log and the content that the log names.
//!
//! Nothing here knows what the facts mean.

mod blobs;
mod log;
mod remove;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::protocol::{Event, Fact, SessionId, Time};

pub use blobs::Blobs;
pub use log::{Damage, Log, LogError, read_events, read_whole_lines};
pub use remove::remove_tree;

/// What the name of a folder begins with that is about to go: no session any more.
const GOING: &str = ".removed-";

/// All sessions of a user.
#[derive(Debug, Clone)]
pub struct Sessions {
    folder: PathBuf,
}

/// A session as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: SessionId,
    pub folder: PathBuf,
    pub workspace: PathBuf,
    /// The name that was given, else the beginning of the first message.
    pub title: String,
    pub started: Time,
    /// When its log was last written.
    pub changed: std::time::SystemTime,
    /// Bytes of everything in its folder.
    pub size: u64,
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
        Self { folder: folder.into() }
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
        let wanted = text.to_ascii_lowercase();
        let ids = self.ids().map_err(|error| FindError::Io(self.folder.clone(), error))?;
        let mut found = ids.into_iter().filter(|id| id.to_string().starts_with(&wanted));
        match (found.next(), found.count()) {
            (Some(id), 0) => Ok(id),
            (None, _) => Err(FindError::None(text.to_owned())),
            (Some(_), more) => Err(FindError::Several(text.to_owned(), more + 1)),
        }
    }

    /// The session that was written to last, of those about `workspace` if one is given.
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
        let of_workspace = |id: &SessionId| {
            workspace.is_none_or(|wanted| self.describe(*id).is_some_and(|listed| listed.workspace == wanted))
        };
        ids.into_iter().rev().map(|(_, id)| id).find(of_workspace).ok_or(FindError::Empty)
    }

    /// All sessions, the one that was written to last first. Reads no more than the head of each log.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn list(&self) -> io::Result<Vec<Listed>> {
        let mut listed: Vec<Listed> = self.ids()?.into_iter().filter_map(|id| self.describe(id)).collect();
        listed.sort_by(|a, b| b.changed.cmp(&a.changed).then(b.id.cmp(&a.id)));
        Ok(listed)
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

    /// The log of a session.
    #[must_use]
    pub fn log(&self, id: SessionId) -> PathBuf {
        self.folder(id).join("log.jsonl")
    }

    fn ids(&self) -> io::Result<Vec<SessionId>> {
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

    fn describe(&self, id: SessionId) -> Option<Listed> {
        let path = self.log(id);
        let folder = self.folder(id);
        let changed = changed(&path).or_else(|| changed(&folder))?;
        let head = log::read_head(&path).unwrap_or_default();
        // One that can't be read, or was never begun, is there all the same, and may have to be deleted.
        let started = head.first().map_or_else(|| Time::try_from(changed), |event| Ok(event.at)).ok()?;
        let mut workspace = PathBuf::new();
        let mut title = String::new();
        for Event { fact, .. } in &head {
            match fact {
                Fact::SessionStarted { workspace: of, .. } => workspace.clone_from(of),
                Fact::Renamed { title: name } => title.clone_from(name),
                Fact::ItemAdded { item } if title.is_empty() => title = first_words(item),
                _ => {}
            }
        }
        let size = size(&folder);
        Some(Listed { id, folder, workspace, title, started, changed, size })
    }
}

fn first_words(item: &crate::protocol::Item) -> String {
    let crate::protocol::Item::User { content, .. } = item else { return String::new() };
    let text = content.iter().find_map(|part| match part {
        crate::protocol::Content::Text { text } => Some(text.as_str()),
        crate::protocol::Content::Image { .. } | crate::protocol::Content::Unknown(_) => None,
    });
    text.unwrap_or_default()
        .split_whitespace()
        .take(12)
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(80)
        .collect()
}

fn changed(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
