//! The table of processes: their ids, and who must go when it is full.

use std::sync::Arc;

use super::process::{Process, Standing};
use crate::protocol::ProcessId;

/// Ids have four or five digits.
const FIRST_ID: u32 = 1000;
const IDS: u32 = 99_000;
/// Has no factor in common with [`IDS`], so that every id comes once before any comes again.
const STRIDE: u32 = 68_917;

/// Processes that can still be looked at, oldest first.
pub(super) struct Table {
    processes: Vec<Arc<Process>>,
    seed: u32,
    given: u32,
    /// No process is taken in any more.
    pub closed: bool,
}

impl Table {
    pub(super) fn new(seed: u32) -> Self {
        Self { processes: Vec::new(), seed, given: 0, closed: false }
    }

    /// An id that no process of the table has. Looks random, so that the model does not guess ids.
    pub(super) fn next_id(&mut self) -> ProcessId {
        loop {
            let id = nth_id(self.seed, self.given);
            self.given = self.given.wrapping_add(1);
            if self.get(id).is_none() {
                return id;
            }
        }
    }

    /// Takes a process in. Gives those that must go, so that there are at most `max`.
    pub(super) fn insert(&mut self, process: Arc<Process>, max: usize) -> Vec<Arc<Process>> {
        let mut pruned = Vec::new();
        while self.processes.len() >= max.max(1) {
            let standings: Vec<Standing> = self.processes.iter().map(|process| process.standing()).collect();
            let Some(index) = victim(&standings) else { break };
            pruned.push(self.processes.remove(index));
        }
        self.processes.push(process);
        pruned
    }

    pub(super) fn get(&self, id: ProcessId) -> Option<&Arc<Process>> {
        self.processes.iter().find(|process| process.about.id == id)
    }

    pub(super) fn remove(&mut self, id: ProcessId) {
        self.processes.retain(|process| process.about.id != id);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Process>> {
        self.processes.iter()
    }
}

fn nth_id(seed: u32, n: u32) -> ProcessId {
    let step = u64::from(n) * u64::from(STRIDE) + u64::from(seed);
    ProcessId(FIRST_ID + u32::try_from(step % u64::from(IDS)).unwrap_or_default())
}

/// The one that is missed least: ended before running, unwatched before watched, then the one that was not
/// looked at for longest.
fn victim(standings: &[Standing]) -> Option<usize> {
    let key = |standing: &Standing| (!standing.ended, standing.watched, standing.last_look);
    standings.iter().enumerate().min_by_key(|(_, standing)| key(standing)).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use tokio::time::Instant;

    use super::*;

    #[test]
    fn ids_have_four_or_five_digits_and_none_comes_twice() {
        let ids: HashSet<u32> = (0..IDS).map(|n| nth_id(7, n).0).collect();
        assert_eq!(ids.len(), IDS as usize);
        assert!(ids.iter().all(|id| (1000..=99_999).contains(id)));
        assert_eq!(nth_id(u32::MAX, u32::MAX).0 / 100_000, 0);
    }

    #[test]
    fn the_one_that_is_missed_least_goes() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let quiet = |seconds| Standing { ended: false, watched: false, last_look: at(seconds) };
        let watched = |seconds| Standing { watched: true, ..quiet(seconds) };
        let ended = |seconds| Standing { ended: true, ..quiet(seconds) };
        for (standings, expected) in [
            (vec![], None),
            (vec![quiet(1), quiet(0), quiet(2)], Some(1)),
            (vec![quiet(0), ended(9), ended(8)], Some(2)),
            (vec![watched(0), quiet(5)], Some(1)),
            (vec![watched(1), watched(0)], Some(1)),
            (vec![quiet(3), quiet(3)], Some(0)),
        ] {
            assert_eq!(victim(&standings), expected, "{standings:?}");
        }
    }
}
