//! The states of workspaces that a log names. Read without understanding the rest of it: what a newer version has
//! written keeps its states as well.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::Path,
};

use crate::protocol::{Fact, SessionId, SnapshotId};

use super::{
    Sessions,
    listing::{fact, kind},
};

const DIGITS: usize = 64;

impl Sessions {
    /// All that may be the name of a state: every quoted name of that length.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn named_states(&self, id: SessionId) -> io::Result<Vec<SnapshotId>> {
        let mut found = std::collections::BTreeSet::new();
        lines(&self.log(id), |line| {
            found.extend(memchr::memchr_iter(b'"', line).filter_map(|at| hash(line.get(at + 1..)?)));
        })?;
        Ok(found.into_iter().map(SnapshotId).collect())
    }

    /// The states that it has, in the order in which they came to be.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn states(&self, id: SessionId) -> io::Result<Vec<SnapshotId>> {
        let mut found: Vec<SnapshotId> = Vec::new();
        lines(&self.log(id), |line| {
            let kind = kind(line);
            if !kind.starts_with(b"snapshot_taken\"") && !kind.starts_with(b"restore") {
                return;
            }
            match fact(line) {
                Some(Fact::SnapshotTaken { snapshot, .. }) => found.push(snapshot),
                Some(Fact::RestoreStarted { restore }) => found.extend([restore.from, restore.to]),
                Some(Fact::Restored { result, .. }) => found.push(result),
                _ => {}
            }
        })?;
        Ok(found)
    }

    /// The last state that it has; nothing if it has changed no files.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn last_state(&self, id: SessionId) -> io::Result<Option<SnapshotId>> {
        let mut last = None;
        lines(&self.log(id), |line| {
            let kind = kind(line);
            if kind.starts_with(b"snapshot_taken\"") || kind.starts_with(b"restored\"") {
                match fact(line) {
                    Some(Fact::SnapshotTaken { snapshot, .. }) => last = Some(snapshot),
                    Some(Fact::Restored { result, .. }) => last = Some(result),
                    _ => {}
                }
            }
        })?;
        Ok(last)
    }
}

fn lines(path: &Path, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(256 << 10, File::open(path)?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        each(&line);
        line.clear();
    }
    Ok(())
}

fn hash(rest: &[u8]) -> Option<String> {
    let (name, end) = rest.split_at_checked(DIGITS)?;
    let digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let whole = end.first() == Some(&b'"') && name.iter().all(digit);
    whole.then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Moment, Restore, Time, TurnId};
    use crate::store::listing::tests::begin;

    #[test]
    fn states_are_found_also_where_a_newer_version_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(folder.path());
        let id = SessionId(uuid::Uuid::from_u128(1));
        let mut log = begin(&sessions, 1, "hi");
        assert_eq!(sessions.last_state(id).unwrap(), None);
        let state = |digit: &str| SnapshotId(digit.repeat(64));
        let turn = TurnId(1);
        let taken = |snapshot| Fact::SnapshotTaken {
            turn,
            moment: Moment::After,
            snapshot,
            files: 1,
            bytes: 1,
            stored: 1,
        };
        let restore = Restore {
            from: state("b"),
            to: state("a"),
            turn: Some(turn),
            left: false,
            rewind: None,
            all: false,
        };
        let unknown = serde_json::json!({ "type": "pinned_state", "of": { "state": "d".repeat(64) } });
        let serde_json::Value::Object(unknown) = unknown else { panic!() };
        let facts = vec![
            taken(state("a")),
            taken(state("b")),
            Fact::RestoreStarted { restore: restore.clone() },
            Fact::Restored { restore, result: state("c"), count: 1, paths: Vec::new(), left: Vec::new() },
            Fact::Unknown(unknown),
        ];
        log.append(facts, Time::UNIX_EPOCH).unwrap();
        assert_eq!(sessions.last_state(id).unwrap(), Some(state("c")));
        assert_eq!(sessions.states(id).unwrap(), ["a", "b", "b", "a", "c"].map(state));
        assert_eq!(sessions.named_states(id).unwrap(), ["a", "b", "c", "d"].map(state));
    }
}
