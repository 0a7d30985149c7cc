//! Whether a session is what was written: each line of its log chained to the one before, each blob what its name says.
//!
//! A chain shows that lines fit each other. That nobody has written all of them anew, or left out the last ones, shows
//! a sum that was noted elsewhere before: the line that has it must still be there.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::Path,
};

use crate::protocol::{BlobId, Content, Fact, Item, SessionId, Shown};

use super::{
    Blobs, Damage, LogError, Sessions,
    read::{self, SUM_DIGITS},
};

/// What a look at all of a session came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Records that are as they were written, from the first one on.
    pub records: u64,
    /// The sum of the last of them: it stands for all of them. Missing of an empty log.
    pub sum: Option<String>,
    /// The first record that is not as it was written.
    pub damage: Option<Damage>,
    /// Bytes of a last line that a crash cut off: what it was about to say never became true.
    pub torn: u64,
    /// The number of the record with the sum that was asked for, if it is there.
    pub found: Option<u64>,
    /// Blobs that the records name.
    pub blobs: u64,
    /// The first record that names a blob which is missing or something else, and which one.
    pub blob: Option<(u64, BlobId, BlobFault)>,
}

/// What is wrong with a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobFault {
    Missing,
    Changed,
    Unreadable,
}

impl Sessions {
    /// Reads all of a session, and compares it with its sums. `noted` is a sum to look for.
    ///
    /// # Errors
    /// When the log can't be read at all. What is wrong with it is no error.
    pub fn verify(&self, id: SessionId, noted: Option<&str>) -> Result<Verified, LogError> {
        let path = self.log(id);
        let io = |error| LogError::Io { path: path.clone(), error };
        let file = File::open(&path).map_err(io)?;
        let read = read::read(&file).map_err(io)?;
        let records = read.events.len() as u64;
        let torn = match read.damage {
            // Whoever writes it meanwhile may have made it longer.
            None => file.metadata().map_err(io)?.len().saturating_sub(read.len),
            Some(_) => 0,
        };
        let found = match noted {
            Some(noted) => find(&path, read.len, noted).map_err(io)?,
            None => None,
        };
        let blobs = Blobs::new(self.folder(id).join("blobs"));
        let mut seen = BTreeSet::new();
        let mut blob = None;
        for event in &read.events {
            for named in named(&event.fact) {
                if seen.insert(named.clone()) && blob.is_none() {
                    blob = fault(&blobs, named).map(|fault| (event.seq.0, named.clone(), fault));
                }
            }
        }
        Ok(Verified {
            records,
            sum: (records > 0).then(|| String::from_utf8_lossy(&read.sum).into_owned()),
            damage: read.damage,
            torn,
            found,
            blobs: seen.len() as u64,
            blob,
        })
    }
}

impl Verified {
    /// Whether everything is as it was written.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.damage.is_none() && self.blob.is_none()
    }
}

/// The number of the line with this sum, among those that are whole.
fn find(path: &Path, whole: u64, noted: &str) -> io::Result<Option<u64>> {
    if noted.len() != SUM_DIGITS {
        return Ok(None);
    }
    let end = format!(",\"sum\":\"{}\"}}\n", noted.to_ascii_lowercase());
    let mut reader = BufReader::new(File::open(path)?.take(whole));
    let mut line = Vec::new();
    let mut number = 0;
    while reader.read_until(b'\n', &mut line)? > 0 {
        number += 1;
        if line.ends_with(end.as_bytes()) {
            return Ok(Some(number));
        }
        line.clear();
    }
    Ok(None)
}

/// The blobs that a fact names.
fn named(fact: &Fact) -> Vec<&BlobId> {
    match fact {
        Fact::ItemAdded { item } => match &**item {
            Item::User { content, .. } => in_content(content).collect(),
            Item::ToolResult { content, shown, .. } => in_content(content).chain(in_shown(shown)).collect(),
            _ => Vec::new(),
        },
        Fact::InputQueued { content, .. } => in_content(content).collect(),
        Fact::ProcessExited { output, .. } => output.iter().collect(),
        _ => Vec::new(),
    }
}

fn in_content(content: &[Content]) -> impl Iterator<Item = &BlobId> {
    content.iter().filter_map(|part| match part {
        Content::Image { blob, .. } => Some(blob),
        Content::Text { .. } | Content::Unknown(_) => None,
    })
}

fn in_shown(shown: &Shown) -> Option<&BlobId> {
    match shown {
        Shown::Command { output, .. } => output.blob.as_ref(),
        Shown::Image { blob, .. } => Some(blob),
        _ => None,
    }
}

fn fault(blobs: &Blobs, blob: &BlobId) -> Option<BlobFault> {
    let Ok(path) = blobs.path(blob) else { return Some(BlobFault::Missing) };
    let hashed = File::open(path).and_then(|mut file| {
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut file, &mut hasher)?;
        Ok(hasher.finalize().to_hex())
    });
    match hashed {
        Ok(hash) if hash.as_str() == blob.as_str() => None,
        Ok(_) => Some(BlobFault::Changed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(BlobFault::Missing),
        Err(_) => Some(BlobFault::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::protocol::Time;
    use crate::store::{Log, listing};

    fn id(number: u128) -> SessionId {
        SessionId(uuid::Uuid::from_u128(number))
    }

    fn picture(blob: &BlobId) -> Fact {
        let image = Content::Image { blob: blob.clone(), mime: "image/png".into(), width: 1, height: 1 };
        Fact::item(Item::User { content: vec![image], input: None })
    }

    /// A session of six records, the last of which names a blob.
    fn written() -> (tempfile::TempDir, Sessions, BlobId) {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(folder.path());
        let mut log = listing::tests::begin(&sessions, 1, "hi");
        let blob = BlobId::of(b"content");
        Blobs::new(sessions.folder(id(1)).join("blobs")).put(&blob, b"content").unwrap();
        log.append(vec![Fact::Renamed { title: "Name".into() }, picture(&blob)], Time::UNIX_EPOCH).unwrap();
        (folder, sessions, blob)
    }

    #[test]
    fn a_whole_session_is_told_by_its_last_sum_and_every_earlier_one_is_found() {
        let (_folder, sessions, _) = written();
        let verified = sessions.verify(id(1), None).unwrap();
        assert!(verified.whole());
        assert_eq!((verified.records, verified.blobs, verified.torn), (6, 1, 0));
        let lines = fs::read_to_string(sessions.log(id(1))).unwrap();
        for (number, line) in (1..).zip(lines.lines()) {
            let sum = line.strip_suffix("\"}").unwrap().rsplit('"').next().unwrap();
            assert_eq!(sessions.verify(id(1), Some(&sum.to_uppercase())).unwrap().found, Some(number));
            if number == 6 {
                assert_eq!(verified.sum.as_deref(), Some(sum));
            }
        }
        for other in ["", "0", &"0".repeat(32), &"0".repeat(64)] {
            assert_eq!(sessions.verify(id(1), Some(other)).unwrap().found, None);
        }
    }

    #[test]
    fn the_first_record_that_is_not_as_it_was_written_is_named() {
        let (_folder, sessions, _) = written();
        let path = sessions.log(id(1));
        let bytes = fs::read(&path).unwrap();
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        // Changed in its text, with its own sum made anew, left out, and given twice.
        let text = String::from_utf8(lines[4].to_vec()).unwrap().replace("Name", "Nane");
        let anew = {
            let body = text.trim_end().rsplit_once(",\"sum\"").unwrap().0;
            let foreign = blake3::hash(body.as_bytes()).to_hex();
            format!("{body},\"sum\":\"{}\"}}\n", foreign.get(..32).unwrap())
        };
        let with = |line: &str| [lines[..4].concat(), line.as_bytes().to_vec(), lines[5].to_vec()].concat();
        let left_out = [lines[..4].concat(), lines[5].to_vec(), lines[5].to_vec()].concat();
        let twice = [lines[..4].concat(), lines[3].to_vec(), lines[4].to_vec()].concat();
        for changed in [with(&text), with(&anew), left_out, twice] {
            fs::write(&path, changed).unwrap();
            let verified = sessions.verify(id(1), None).unwrap();
            let line = verified.damage.as_ref().map(|damage| damage.line);
            assert_eq!((verified.records, line, verified.whole()), (4, Some(5), false));
        }
        // The last lines are gone: the rest fits, and only a sum that was noted tells.
        let last = sessions_sum(&bytes);
        fs::write(&path, lines[..4].concat()).unwrap();
        let verified = sessions.verify(id(1), Some(&last)).unwrap();
        assert_eq!((verified.whole(), verified.found), (true, None));
    }

    fn sessions_sum(log: &[u8]) -> String {
        let text = String::from_utf8_lossy(log);
        text.trim_end().strip_suffix("\"}").unwrap().rsplit('"').next().unwrap().to_owned()
    }

    #[test]
    fn a_line_that_a_crash_cut_is_no_damage_and_is_told() {
        let (_folder, sessions, _) = written();
        let path = sessions.log(id(1));
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        let verified = sessions.verify(id(1), None).unwrap();
        assert_eq!((verified.whole(), verified.records), (true, 5));
        assert!(verified.torn > 50, "{verified:?}");
    }

    #[test]
    fn a_blob_that_is_gone_or_another_is_told_with_its_record() {
        let (_folder, sessions, blob) = written();
        let path = Blobs::new(sessions.folder(id(1)).join("blobs")).path(&blob).unwrap();
        fs::write(&path, "Content").unwrap();
        let fault = |sessions: &Sessions| sessions.verify(id(1), None).unwrap().blob;
        assert_eq!(fault(&sessions), Some((6, blob.clone(), BlobFault::Changed)));
        fs::remove_file(&path).unwrap();
        assert_eq!(fault(&sessions), Some((6, blob, BlobFault::Missing)));
    }

    #[test]
    fn a_fork_is_a_whole_chain_of_its_own() {
        let (_folder, sessions, _) = written();
        sessions.fork(id(1), id(2)).unwrap();
        let [parent, fork] = [1, 2].map(|number| sessions.verify(id(number), None).unwrap());
        assert!(parent.whole() && fork.whole());
        assert_eq!((fork.records, fork.blobs), (6, 1));
        assert_ne!(parent.sum, fork.sum);
        drop(Log::open(&sessions.log(id(2))).unwrap());
    }
}
