//! Whether all that a store has is what was written: every pack, every object in it, and all that snapshots need.

use std::{
    collections::HashMap,
    fs::File,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::protocol::{SnapshotId, is_secret};

use super::{
    SnapshotError, Stored,
    hash::Hash,
    pack::{LINE, Line, read_list},
    reach::Reach,
};

/// Paths of a snapshot that are named when something of it is lost.
const NAMED: usize = 10;

/// What a check has come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    pub packs: u64,
    pub objects: u64,
    /// Of all objects.
    pub bytes: u64,
    /// What is wrong, in words.
    pub damage: Vec<String>,
    /// Secret files whose content is not here, as it is when a state came from elsewhere: a line each.
    pub withheld: Vec<String>,
}

impl Stored {
    /// Reads everything, and holds it against its name. Changes nothing, and waits for nobody. A true `stop` ends it.
    ///
    /// # Errors
    /// When the folder can't be read, or it was stopped. What is damaged is no error.
    pub fn check(&self, snapshots: &[SnapshotId], stop: &AtomicBool) -> Result<Checked, SnapshotError> {
        let mut checked = Checked::default();
        for name in self.store.packs()? {
            if stop.load(Ordering::Relaxed) {
                return Err(SnapshotError::Stopped);
            }
            checked.packs += 1;
            if let Err(damage) = self.pack(&name, &mut checked) {
                checked.damage.push(damage);
            }
        }
        self.store.refresh();
        let mut reach = Reach::new(&self.store);
        for snapshot in snapshots {
            let Some(hash) = Hash::parse(snapshot.as_str()) else { continue };
            if let Err(error) = reach.add(&hash) {
                checked.damage.push(format!("snapshot {snapshot} can't be read to its end: {error}"));
            }
        }
        // The name has to do: what is in it is not there.
        let any = || "PRIVATE KEY----- _password".to_owned();
        let secret = |path: &str| is_secret(path.rsplit('/').next().unwrap_or_default(), any);
        let (secrets, lost): (Vec<_>, Vec<_>) = reach.lost.iter().partition(|(path, _)| secret(path));
        let line = |(path, hash): &&(String, Hash)| format!("{path}: its content is lost (object {hash})");
        checked.damage.extend(lost.iter().take(NAMED).map(line));
        if let more @ 1.. = lost.len().saturating_sub(NAMED) {
            checked.damage.push(format!("and {more} more are lost"));
        }
        checked.withheld = secrets
            .iter()
            .map(|(path, _)| {
                format!("{path}: its content is not here, as that of secrets that do not travel")
            })
            .collect();
        Ok(checked)
    }

    /// Reads a pack. The error says what is wrong with it.
    fn pack(&self, name: &str, checked: &mut Checked) -> Result<(), String> {
        let path = self.store.packs.join(name);
        let list = match read_list(&path) {
            // Somebody has put packs together meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            list => list.map_err(|error| error.to_string())?,
        };
        let damaged = |what: String| format!("{}: {what}", path.display());
        let file = File::open(&path).map_err(|error| damaged(error.to_string()))?;
        let mut groups: HashMap<u64, Vec<Line>> = HashMap::new();
        for line in list.chunks_exact(LINE).filter_map(Line::read) {
            groups.entry(line.offset).or_default().push(line);
        }
        for (offset, lines) in groups {
            let group = super::parcel::group(&file, 0, &lines, u64::MAX)
                .map_err(|error| damaged(format!("the group at byte {offset} can't be read: {error}")))?;
            for line in lines {
                let bytes = super::parcel::object(&group, &line)
                    .ok_or_else(|| damaged(format!("object {} is not what was written", line.hash)))?;
                checked.objects += 1;
                checked.bytes += bytes.len() as u64;
            }
        }
        Ok(())
    }
}
