//! What tests of the memory share.

use std::sync::Arc;

use super::{Date, Guard, Memory};

/// Knows one secret, and one hidden character.
pub(super) struct Strict;

impl Guard for Strict {
    fn redact(&self, text: &str) -> String {
        text.replace("SECRET", "[redacted:0000]")
    }

    fn hidden(&self, text: &str) -> Option<String> {
        text.contains('\u{200b}').then(|| "U+200B".to_owned())
    }
}

/// A day of one November.
pub(super) fn date(day: i8) -> Date {
    Date::constant(2026, 11, day)
}

/// A memory in a folder of its own.
pub(super) fn memory() -> (tempfile::TempDir, Memory) {
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::new(folder.path().join("memory"), Arc::new(Strict));
    (folder, memory)
}
