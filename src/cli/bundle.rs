//! The file that `agent export` writes: a plain tar, so that each part of it can be looked at where it lies.
//!
//! `log.jsonl.zst`, `blobs/ID.zst`, `packs/NAME.pack` with the states of files, and at its end `manifest.json`, which names
//! all of them with their hashes: a file that was cut off has none.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::protocol::{SessionId, SnapshotId, Time, printable};
use crate::snapshot::Withheld;

/// Version of the format.
pub(super) const FORMAT: u32 = 1;
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const LOG: &str = "log.jsonl.zst";
/// Before and behind the name of a blob.
pub(super) const BLOB: (&str, &str) = ("blobs/", ".zst");
/// Before and behind the name of a pack.
pub(super) const PACK: (&str, &str) = ("packs/", ".pack");

/// Files that are named when they were left out.
const NAMED: usize = 20;

/// What a bundle holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// Version of the program that wrote it.
    pub(super) agent: String,
    pub(super) exported: Time,
    pub(super) session: SessionId,
    pub(super) title: String,
    pub(super) workspace: PathBuf,
    /// States of files that are in it.
    pub(super) snapshots: Vec<SnapshotId>,
    /// Secret files whose content was left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) withheld: Vec<Withheld>,
    pub(super) members: Vec<Member>,
}

/// A part of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) name: String,
    /// As it lies in the bundle.
    pub(super) bytes: u64,
    /// BLAKE3 of these, in hex.
    pub(super) hash: String,
}

/// The names of files that were left out, for a person; nothing if there are none.
pub(super) fn withheld_words(withheld: &[Withheld]) -> Option<String> {
    let mut names: Vec<&str> = withheld.iter().map(|one| one.path.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let list = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| printable(&format!("{list}{more}")).replace('\n', "\\n"))
}

/// What a name of a member means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Manifest,
    Log,
    Blob(&'a str),
    Pack,
}

impl<'a> Part<'a> {
    /// Nothing for a name that has no place in a bundle.
    pub(super) fn of(name: &'a str) -> Option<Self> {
        let hex = |text: &str, digits| {
            text.len() == digits
                && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        let between = |(before, behind): (&str, &str)| name.strip_prefix(before)?.strip_suffix(behind);
        if name == MANIFEST {
            return Some(Self::Manifest);
        }
        if name == LOG {
            return Some(Self::Log);
        }
        if let Some(blob) = between(BLOB) {
            return hex(blob, 64).then_some(Self::Blob(blob));
        }
        between(PACK).filter(|pack| hex(pack, 32)).map(|_| Self::Pack)
    }
}
