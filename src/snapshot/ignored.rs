//! What the repository ignores, as its `.gitignore` files say. Asked only about what is large: all else is stored,
//! ignored or not, because an ignored file may be the only one of its kind.

use std::{
    ffi::OsStr,
    io::Read as _,
    os::{fd::AsFd, unix::ffi::OsStrExt as _},
    path::Path,
    sync::Arc,
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use super::at;

/// A longer file of rules is not read to its end.
const MOST: u64 = 1 << 20;

/// The rules that hold in a directory.
#[derive(Default)]
pub(super) struct Ignored {
    above: Option<Arc<Self>>,
    rules: Option<Gitignore>,
}

impl Ignored {
    /// The rules in a directory whose own ones are in the file `name`, if it can be read.
    pub(super) fn with(self: &Arc<Self>, folder: impl AsFd, path: &[u8], name: &[u8]) -> Arc<Self> {
        let Ok(file) = at::file(folder, name) else { return Arc::clone(self) };
        let mut bytes = Vec::new();
        if file.take(MOST).read_to_end(&mut bytes).is_err() {
            return Arc::clone(self);
        }
        let mut builder = GitignoreBuilder::new(os(path));
        for line in String::from_utf8_lossy(&bytes).lines() {
            // What is no rule is none for git either.
            let _ = builder.add_line(None, line);
        }
        Arc::new(Self { above: Some(Arc::clone(self)), rules: builder.build().ok() })
    }

    /// Whether something is ignored by a rule about itself.
    pub(super) fn holds(&self, path: &[u8], folder: bool) -> bool {
        match self.rules.as_ref().map(|rules| rules.matched(os(path), folder)) {
            Some(Match::Ignore(_)) => true,
            Some(Match::Whitelist(_)) => false,
            Some(Match::None) | None => self.above.as_ref().is_some_and(|above| above.holds(path, folder)),
        }
    }
}

fn os(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}
