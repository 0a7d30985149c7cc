//! Mark and sweep: what no session needs any more goes. What is needed is copied first, brought to the disk and given
//! its name; only then the pack that it was in goes. Whoever is killed in between has some objects twice.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    sync::atomic::AtomicBool,
    time::SystemTime,
};

use crate::protocol::SnapshotId;

use super::{
    SnapshotError, Stored,
    cache::Cache,
    hash::Hash,
    journal::Journal,
    pack::Line,
    reach::Reach,
    recent,
    repack::{Repack, Written},
};

/// A pack is written anew if so much of it, in percent, is not needed any more.
const WASTE: u64 = 25;
/// Packs below this size are put together, if there are so many of them.
const SMALL: (u64, usize) = (1 << 20, 64);

/// What a sweep has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Objects that are gone.
    pub objects: u64,
    /// Bytes that the store takes less.
    pub freed: u64,
}

/// What a pack holds.
#[derive(Default)]
struct Holding {
    all: u64,
    objects: u64,
    needed: Vec<Line>,
}

impl Stored {
    /// Deletes what none of these snapshots needs, nor one that was taken lately. Whoever takes a snapshot meanwhile
    /// waits. With `dry`, it only says what would go.
    ///
    /// # Errors
    /// When something can't be read that may be needed, or can't be written: what is needed is there all the same.
    pub fn sweep(
        &self,
        needed: &HashSet<SnapshotId>,
        now: SystemTime,
        dry: bool,
        stop: &AtomicBool,
    ) -> Result<Swept, SnapshotError> {
        let store = &self.store;
        let _lock = store.lock()?;
        store.refresh();
        let before = store.size();
        let index = store.index()?;
        // What it led to is not known, and may be needed when it is brought back.
        if let Some(damaged) = store.damaged()?.pop() {
            return Err(SnapshotError::Damaged(damaged));
        }
        let cache = Cache::load(&store.folder, &index.packs);
        let mut roots: Vec<Hash> = recent::read(&store.folder, now)?
            .iter()
            .chain(needed)
            .filter_map(|snapshot| Hash::parse(snapshot.as_str()))
            .collect();
        if let Some(journal) = Journal::load(&store.folder)? {
            roots.extend([journal.from, journal.to].iter().filter_map(|id| Hash::parse(id.as_str())));
        }
        let mut reach = Reach::new(store);
        let mut any = false;
        for root in &roots {
            any |= reach.add(root)?;
        }
        // What the next snapshot relies on, if there is to be one.
        if any && let Some(root) = &cache.root {
            reach.add(root)?;
        }
        let mut holdings: HashMap<&str, Holding> =
            index.packs.iter().map(|name| (name.as_str(), Holding::default())).collect();
        for line in index.lines() {
            let Some(name) = index.packs.get(line.pack as usize) else { continue };
            let holding = holdings.entry(name).or_default();
            holding.all += u64::from(line.length);
            holding.objects += 1;
            // Of what is there twice, one is enough.
            if reach.found.contains(&line.hash)
                && index
                    .find(&line.hash)
                    .is_some_and(|place| (place.pack, place.offset) == (line.pack, line.offset))
            {
                holding.needed.push(line);
            }
        }
        let size = |name: &str| store.packs.join(name).metadata().map_or(0, |meta| meta.len());
        let small: Vec<&str> = holdings.keys().copied().filter(|name| size(name) < SMALL.0).collect();
        let together = small.len() >= SMALL.1;
        let (mut gone, mut anew) = (Vec::new(), Vec::new());
        for (name, holding) in &holdings {
            let needed: u64 = holding.needed.iter().map(|line| u64::from(line.length)).sum();
            if holding.needed.is_empty() {
                gone.push(*name);
            } else if (holding.all - needed) * 100 > holding.all * WASTE || together && small.contains(name) {
                anew.push(*name);
            }
        }
        anew.sort_unstable();
        let objects = gone.iter().chain(&anew).filter_map(|name| holdings.get(name));
        let objects = objects.map(|holding| holding.objects - holding.needed.len() as u64).sum();
        if dry {
            let waste = |name: &&str| {
                let Some(holding) = holdings.get(name) else { return 0 };
                let needed: u64 = holding.needed.iter().map(|line| u64::from(line.length)).sum();
                let dead = u128::from(holding.all - needed) * u128::from(size(name));
                u64::try_from(dead / u128::from(holding.all.max(1))).unwrap_or(0)
            };
            return Ok(Swept { objects, freed: gone.iter().chain(&anew).map(waste).sum() });
        }
        // First what needs no room.
        for name in &gone {
            self.remove(name)?;
        }
        let mut renamed: Vec<Written> = Vec::new();
        let mut batch: Vec<&str> = Vec::new();
        let mut waiting = 0;
        for (at, name) in anew.iter().enumerate() {
            batch.push(name);
            waiting += size(name);
            if waiting >= super::store::PACK || at + 1 == anew.len() {
                let mut repack = Repack::new(&store.packs, stop);
                let lines = batch.iter().filter_map(|name| Some((name, holdings.get(name)?)));
                let lines = lines.flat_map(|(name, holding)| {
                    holding.needed.iter().map(|line| ((*name).to_owned(), *line))
                });
                repack.copy(store, lines.collect())?;
                let written = repack.finish()?;
                for name in batch.drain(..) {
                    // What came out as it was is the same file.
                    if !written.iter().any(|(new, _)| new == name) {
                        self.remove(name)?;
                    }
                }
                renamed.extend(written);
                waiting = 0;
            }
        }
        store.refresh();
        if !gone.is_empty() || !renamed.is_empty() {
            // Both can be lost: without them the next snapshot takes longer.
            let known = any && reach.lost.is_empty();
            let _ = match known {
                true => cache.move_to(&store.folder, &store.packs()?),
                false => Cache::forget(&store.folder),
            };
            if let Ok(index) = store.index() {
                let _ = super::index::Index::clone(&index).settle(&store.packs);
            }
        }
        recent::settle(&store.folder, now)?;
        Ok(Swept { objects, freed: before.saturating_sub(store.size()) })
    }

    fn remove(&self, name: &str) -> Result<(), SnapshotError> {
        let path = self.store.packs.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SnapshotError::io(&path, error)),
            _ => Ok(()),
        }
    }

    /// Bytes of packs that each of these sets of snapshots would set free, if it and all behind it went: what it needs
    /// and none before it does.
    ///
    /// # Errors
    /// When something can't be read that may be needed.
    pub fn shares(&self, sets: &[Vec<SnapshotId>]) -> Result<Vec<u64>, SnapshotError> {
        let store = &self.store;
        store.refresh();
        let index = store.index()?;
        // Bytes of each group that belong to objects: what it takes on the disk is shared out by them.
        let mut groups: HashMap<(u32, u64), u64> = HashMap::new();
        for line in index.lines() {
            *groups.entry((line.pack, line.offset)).or_default() += u64::from(line.length);
        }
        let mut reach = Reach::new(store);
        let mut shares = Vec::new();
        for set in sets {
            let known = reach.order.len();
            for root in set.iter().filter_map(|snapshot| Hash::parse(snapshot.as_str())) {
                reach.add(&root)?;
            }
            let share = |hash: &Hash| {
                let line = index.find(hash)?;
                let all = groups.get(&(line.pack, line.offset)).copied().unwrap_or(1).max(1);
                Some(u64::from(line.stored) * u64::from(line.length) / all)
            };
            shares.push(reach.order.iter().skip(known).filter_map(share).sum());
        }
        Ok(shares)
    }
}
