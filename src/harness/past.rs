//! The session's own log, for the tool that looks up what is no longer in the conversation.

use std::{io, path::PathBuf};

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

impl Kept {
    /// The session as it was just before a fact.
    ///
    /// # Errors
    /// When the log can't be read.
    pub(super) fn before(&self, fact: Seq) -> io::Result<Session> {
        let mut session = Session::default();
        store::visit_events(&self.log, |event| {
            if event.seq < fact {
                session.apply(&event);
            }
        })?;
        Ok(session)
    }
}
