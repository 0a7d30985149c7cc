//! What a list of sessions has shown the last time, so that only those that have changed since are looked into.
//!
//! The file can be lost, and is then made anew: the sessions are the truth. What was changed shortly before it was looked
//! at is looked at again, because a further change within the same tick of the clock would not be seen.

use std::{
    collections::HashMap,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::protocol::{SessionId, Time};

use super::{Listed, Sessions};

const VERSION: u32 = 1;
/// So long after a change the clock of a file system has moved on for sure.
const TICK: Duration = Duration::from_millis(100);

/// What can be seen of a session from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Nanoseconds since 1970, and bytes.
    log: (u64, u64),
    folder: u64,
    blobs: u64,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    id: SessionId,
    seen: Seen,
    workspace: PathBuf,
    title: String,
    started: Time,
    size: u64,
    turns: Option<u32>,
    archived: bool,
    pinned: bool,
    parent: Option<SessionId>,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    sessions: Vec<Entry>,
}

/// What was known.
pub(super) struct Known {
    entries: HashMap<SessionId, Entry>,
}

impl Known {
    /// What is kept; nothing, if there is nothing that can be read.
    pub(super) fn load(file: Option<&Path>) -> Self {
        let read = || -> Option<File> { serde_json::from_slice(&fs::read(file?).ok()?).ok() };
        let sessions = read().filter(|file| file.version == VERSION).map(|file| file.sessions);
        Self { entries: sessions.into_iter().flatten().map(|entry| (entry.id, entry)).collect() }
    }

    /// A session that looks as it did.
    pub(super) fn get(&self, sessions: &Sessions, id: SessionId, seen: &Seen) -> Option<Listed> {
        let entry = self.entries.get(&id).filter(|entry| entry.seen == *seen)?;
        Some(Listed {
            id,
            folder: sessions.folder(id),
            workspace: entry.workspace.clone(),
            title: entry.title.clone(),
            started: entry.started,
            changed: SystemTime::UNIX_EPOCH + Duration::from_nanos(seen.log.0),
            size: entry.size,
            turns: entry.turns,
            archived: entry.archived,
            pinned: entry.pinned,
            parent: entry.parent,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Seen {
    /// How a session looks now. Nothing for one that has no log.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        let nanos = |meta: &fs::Metadata| {
            let since = meta.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            u64::try_from(since.as_nanos()).ok()
        };
        let log = fs::metadata(folder.join("log.jsonl")).ok()?;
        let blobs = fs::metadata(folder.join("blobs")).ok();
        Some(Self {
            log: (nanos(&log)?, log.len()),
            folder: nanos(&fs::metadata(folder).ok()?)?,
            blobs: blobs.and_then(|blobs| nanos(&blobs)).unwrap_or_default(),
        })
    }

    /// Whether a further change would be seen.
    pub(super) fn settled(&self, now: SystemTime) -> bool {
        let since = now.checked_sub(TICK).and_then(|then| then.duration_since(SystemTime::UNIX_EPOCH).ok());
        let since = since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or_default();
        [self.log.0, self.folder, self.blobs].iter().all(|time| *time < since)
    }
}

/// Keeps what a list has shown.
pub(super) fn save(to: &Path, listed: &[(Option<Seen>, Listed)], now: SystemTime) -> io::Result<()> {
    let entry = |(seen, listed): &(Option<Seen>, Listed)| {
        let seen = seen.filter(|seen| seen.settled(now))?;
        Some(Entry {
            id: listed.id,
            seen,
            workspace: listed.workspace.clone(),
            title: listed.title.clone(),
            started: listed.started,
            size: listed.size,
            turns: listed.turns,
            archived: listed.archived,
            pinned: listed.pinned,
            parent: listed.parent,
        })
    };
    let file = File { version: VERSION, sessions: listed.iter().filter_map(entry).collect() };
    let folder = to.parent().unwrap_or_else(|| Path::new("."));
    let mut beside = tempfile::Builder::new().prefix(".sessions-").tempfile_in(folder)?;
    beside.write_all(&serde_json::to_vec(&file)?)?;
    beside.persist(to)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Fact, Time};
    use crate::store::listing::tests::begin;

    /// As if all of it had happened long ago.
    fn settle(sessions: &Sessions, id: SessionId) {
        let old = SystemTime::now() - Duration::from_secs(5);
        for path in [sessions.log(id), sessions.folder(id)] {
            fs::File::open(path).unwrap().set_modified(old).unwrap();
        }
    }

    #[test]
    fn what_is_known_is_shown_until_the_session_changes_in_any_way() {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join("index");
        let sessions = Sessions::new(folder.path().join("sessions")).known_in(&index);
        let id = SessionId(uuid::Uuid::from_u128(1));
        drop(begin(&sessions, 1, "hi"));
        settle(&sessions, id);
        let first = sessions.list().unwrap();
        // That it is not looked into is seen by what stands in the index.
        let text = fs::read_to_string(&index).unwrap();
        fs::write(&index, text.replace("\"hi\"", "\"known\"")).unwrap();
        assert_eq!(sessions.list().unwrap()[0].title, "known");
        sessions.rename(id, "Name".into(), Time::UNIX_EPOCH).unwrap();
        assert_eq!(sessions.list().unwrap()[0].title, "Name");
        settle(&sessions, id);
        sessions.list().unwrap();
        sessions.archive(id, true).unwrap();
        assert!(sessions.list().unwrap()[0].archived);
        settle(&sessions, id);
        sessions.list().unwrap();
        sessions.pin(id, true).unwrap();
        assert!(sessions.list().unwrap()[0].pinned);
        settle(&sessions, id);
        sessions.list().unwrap();
        let mut log = crate::store::Log::open(&sessions.log(id)).unwrap().0;
        log.append(vec![Fact::Renamed { title: String::new() }], Time::UNIX_EPOCH).unwrap();
        assert_eq!(sessions.list().unwrap()[0].title, "hi");
        assert_ne!(sessions.list().unwrap()[0].size, first[0].size);
    }

    #[test]
    fn an_index_that_is_lost_or_damaged_or_can_t_be_written_costs_nothing_but_time() {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join("index");
        let sessions = Sessions::new(folder.path().join("sessions")).known_in(&index);
        let id = SessionId(uuid::Uuid::from_u128(1));
        drop(begin(&sessions, 1, "hi"));
        settle(&sessions, id);
        let wanted = sessions.list().unwrap();
        for damage in ["", "{", "{\"version\":2,\"sessions\":[]}", "null"] {
            fs::write(&index, damage).unwrap();
            assert_eq!(sessions.list().unwrap(), wanted);
        }
        fs::remove_file(&index).unwrap();
        fs::create_dir(&index).unwrap();
        assert_eq!(sessions.list().unwrap(), wanted);
        sessions.remove(id).unwrap();
        assert_eq!(sessions.list().unwrap(), []);
    }
}
