//! A session that begins with what another one has: its facts under an id of its own, and its blobs.

use std::{fs, io, path::Path};

use crate::protocol::{Event, Fact, SessionId};

use super::{Log, LogError, Sessions, read_events};

impl Sessions {
    /// Makes the session `id` from all that `from` has on disk. Either may be deleted afterwards. It is there as a
    /// whole, or not at all.
    ///
    /// # Errors
    /// When the one can't be read, or the other can't be written.
    pub fn fork(&self, from: SessionId, id: SessionId) -> Result<(), LogError> {
        self.fork_with(from, read_events(&self.log(from))?, id)
    }

    /// The same with only these facts of `from`, or what was made of them.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn fork_with(&self, from: SessionId, events: Vec<Event>, id: SessionId) -> Result<(), LogError> {
        let to = self.folder(id);
        let io = |error| LogError::Io { path: to.clone(), error };
        // No list knows this name.
        let making = tempfile::Builder::new().prefix(".fork-").tempdir_in(&self.folder).map_err(io)?;
        let mut log = Log::create(&making.path().join("log.jsonl"))?;
        for event in events {
            let fact = match event.fact {
                Fact::SessionStarted { version, agent, workspace, .. } => {
                    Fact::SessionStarted { session: id, version, agent, workspace, parent: Some(from) }
                }
                fact => fact,
            };
            log.append(vec![fact], event.at)?;
        }
        log.sync()?;
        link(&self.folder(from).join("blobs"), &making.path().join("blobs")).map_err(io)?;
        fs::rename(making.keep(), &to).map_err(io)
    }
}

/// Gives each blob a second name. They are never changed, so that nobody notices who else has them.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    fs::create_dir(to)?;
    for entry in entries {
        let entry = entry?;
        // What is still being written has a name that is not a hash.
        if entry.file_name().len() == 64 {
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{BlobId, Time};
    use crate::store::{Blobs, listing};

    #[test]
    fn a_fork_has_the_same_facts_under_its_own_id_and_outlives_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(folder.path());
        let [parent, child] = [1, 2].map(|number| SessionId(uuid::Uuid::from_u128(number)));
        let mut log = listing::tests::begin(&sessions, 1, "hi");
        log.append(vec![Fact::Renamed { title: "Name".into() }], Time::UNIX_EPOCH).unwrap();
        let blob = BlobId("ab".repeat(32));
        Blobs::new(sessions.folder(parent).join("blobs")).put(&blob, b"content").unwrap();
        // Also while somebody has it open.
        sessions.fork(parent, child).unwrap();
        drop(log);
        let (before, after) =
            (read_events(&sessions.log(parent)).unwrap(), read_events(&sessions.log(child)).unwrap());
        assert_eq!(before[1..], after[1..]);
        let Fact::SessionStarted { session, parent: from, .. } = &after[0].fact else { panic!() };
        assert_eq!((*session, *from), (child, Some(parent)));
        sessions.remove(parent).unwrap();
        assert_eq!(Blobs::new(sessions.folder(child).join("blobs")).read(&blob).unwrap(), b"content");
        let listed = sessions.list().unwrap();
        assert_eq!((listed[0].title.as_str(), listed[0].parent), ("Name", Some(parent)));
        assert_eq!(listed.len(), 1);
    }

    #[test]
    fn a_fork_that_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(folder.path());
        let [parent, child] = [1, 2].map(|number| SessionId(uuid::Uuid::from_u128(number)));
        drop(listing::tests::begin(&sessions, 1, "hi"));
        fs::write(sessions.folder(parent).join("blobs"), "no folder").unwrap();
        assert!(sessions.fork(parent, child).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
