//! The session's own log, for the tool that looks up what is no longer in the conversation.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::protocol::{BlobId, Fact, Item, Seq};
use crate::session::Session;
use crate::store::{self, Blobs};
use crate::tools::Past;

/// What a session has kept.
pub(super) struct Kept {
    pub log: PathBuf,
    pub blobs: Blobs,
}

impl Past for Kept {
    fn items(&self, visit: &mut dyn FnMut(&Item)) -> io::Result<()> {
        store::visit_events(&self.log, |event| {
            if let Fact::ItemAdded { item } = event.fact {
                visit(&item);
            }
        })
    }

    fn blob(&self, blob: &BlobId) -> io::Result<Vec<u8>> {
        self.blobs.read(blob)
    }
}

/// Adds the conversation to a rewind that goes back to before a compaction: only the log has it.
pub(super) fn bring_back(session: &Session, log: &Path, facts: &mut [Fact]) -> Result<(), String> {
    for fact in facts {
        if let Fact::Rewound { to, items } = fact
            && session.only_in_log(*to)
        {
            let before = before(log, *to)
                .map_err(|error| format!("what was said before can't be read from the log: {error}"))?;
            *items = Some(before.items.to_vec());
        }
    }
    Ok(())
}

/// The session as it was just before a fact.
fn before(log: &Path, fact: Seq) -> io::Result<Session> {
    let mut session = Session::default();
    store::visit_events(log, |event| {
        if event.seq < fact {
            session.apply(&event);
        }
    })?;
    Ok(session)
}
