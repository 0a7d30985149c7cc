//! What is kept of sessions and what goes: by age, and by the room that all of them take. The oldest go first; one that
//! is pinned, open, or was written to within a day, stays.
//!
//! A tarball goes before a session does: what is in it is in the store of its workspace as well.
//!
//! Nobody has to know of it beforehand: the first time that something would go by itself, it is only said, and stays.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, SystemTime},
};

use crate::protocol::{SessionId, SnapshotId};
use crate::snapshot::{SnapshotError, Stored, tarball_of};
use crate::store::{Keeping, Listed, LogError, Sessions};

use super::{sessions::size, start::Start, workspace};

/// What was written to so lately is in use, or may be in a moment.
const LATELY: Duration = Duration::from_secs(24 * 60 * 60);
/// So often nobody has to ask for it.
const DAILY: Duration = LATELY;
/// The start of the program comes first.
const LATER: Duration = Duration::from_secs(2);
/// A file in the folder of the program's data; its time is that of the last time.
const STAMP: &str = "pruned";

/// Files beside it: what is to be said before anything goes by itself, and that it was said.
const NOTICE: &str = "prune-notice";
const SAID: &str = "prune-said";

/// Where everything is.
pub(super) struct Place {
    pub(super) sessions: Sessions,
    folder: PathBuf,
    stamp: PathBuf,
    notice: PathBuf,
    said: PathBuf,
    pub(super) snapshots: PathBuf,
}

/// What has gone, or would.
#[derive(Debug, Default)]
pub(super) struct Pruned {
    /// Sessions, and why.
    pub(super) sessions: Vec<(Listed, Why)>,
    pub(super) tarballs: Vec<(SessionId, u64)>,
    /// Bytes that states of workspaces take less.
    pub(super) states: u64,
    /// What could not be done, and why.
    pub(super) problems: Vec<String>,
    /// Bytes that are still too many.
    pub(super) over: u64,
}

/// Why a session goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Old,
    Room,
}

/// What is to be said at the end of the program.
#[must_use]
pub(super) struct Notice {
    file: PathBuf,
    said: PathBuf,
}

impl Notice {
    /// Says what would go from the next time on, if that was not said before.
    pub(super) fn tell(self) {
        let Ok(text) = fs::read_to_string(&self.file) else { return };
        // Only what was said may happen.
        if writeln!(io::stderr(), "{}", text.trim_end()).is_ok() {
            let _ = fs::rename(self.file, self.said);
        }
    }
}

/// Prunes when that was not done for a day, beside whatever else is done. Never waits, and says nothing: the next time is
/// another try. What it would do for the first time it leaves to be [told](Notice::tell).
pub(super) fn in_background(start: &Start) -> Notice {
    let keeping = start.config.sessions;
    let place = Place::of(start);
    let notice = Notice { file: place.notice.clone(), said: place.said.clone() };
    let due = fs::metadata(&place.stamp)
        .and_then(|meta| meta.modified())
        .map_or(true, |then| then.elapsed().is_ok_and(|since| since > DAILY));
    if !due || (keeping.days == 0 && keeping.bytes == 0) {
        return notice;
    }
    let prune = move || {
        thread::sleep(LATER);
        #[cfg(target_os = "linux")]
        // Without it others have to share.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 10);
        let _ = unasked(&place, keeping, &AtomicBool::new(false));
    };
    // A program that can't begin a thread has other things to care about.
    drop(thread::Builder::new().name("prune".to_owned()).spawn(prune));
    notice
}

/// Prunes, or writes down what is to be said before.
fn unasked(place: &Place, keeping: Keeping, stop: &AtomicBool) -> anyhow::Result<()> {
    if !place.said.exists() {
        let would = prune(place, keeping, true, stop)?;
        if !(would.sessions.is_empty() && would.tarballs.is_empty()) {
            fs::write(&place.notice, words(&would, keeping))?;
            // A day to do something about it.
            return Ok(File::options().write(true).open(&place.stamp)?.set_modified(SystemTime::now())?);
        }
    }
    prune(place, keeping, false, stop).map(drop)
}

/// What is said before anything goes by itself.
fn words(would: &Pruned, keeping: Keeping) -> String {
    let count = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let mut what = Vec::new();
    if !would.sessions.is_empty() {
        let bytes = would.sessions.iter().map(|(listed, _)| listed.size).sum();
        what.push(format!("{} ({})", count(would.sessions.len(), "session"), size(bytes)));
    }
    if !would.tarballs.is_empty() {
        let bytes = would.tarballs.iter().map(|(_, bytes)| bytes).sum();
        what.push(format!("{} ({})", count(would.tarballs.len(), "workspace tarball"), size(bytes)));
    }
    let mut kept = Vec::new();
    if keeping.days > 0 {
        kept.push(format!("sessions that were not touched for {} days", keeping.days));
    }
    if keeping.bytes > 0 {
        kept.push(format!("the oldest when all take more than {}", size(keeping.bytes)));
    }
    format!(
        "agent deletes {}. Nothing has gone yet; from tomorrow on, {} would.\n  agent sessions prune --dry-run  lists \
         what would go\n  agent sessions pin ID           keeps one\n  days = 0 and bytes = 0 under [sessions] in the \
         configuration keep everything\n",
        kept.join(", and "),
        what.join(" and ")
    )
}

impl Place {
    pub(super) fn of(start: &Start) -> Self {
        let folder = start.home.sessions();
        let [stamp, notice, said] = [STAMP, NOTICE, SAID].map(|name| start.home.data.join(name));
        Self { sessions: start.sessions(), folder, stamp, notice, said, snapshots: start.home.snapshots() }
    }
}

/// Deletes what is older or takes more room than is wanted; with `dry`, only says what would go.
///
/// # Errors
/// When it can't be found out, or somebody else is at it.
pub(super) fn prune(place: &Place, keeping: Keeping, dry: bool, stop: &AtomicBool) -> anyhow::Result<Pruned> {
    if let Some(folder) = place.stamp.parent() {
        fs::create_dir_all(folder)?;
    }
    let held = File::options().write(true).create(true).truncate(false).open(&place.stamp);
    let held = held.map_err(|error| anyhow::anyhow!("{}: {error}", place.stamp.display()))?;
    if !dry && held.try_lock().is_err() {
        anyhow::bail!("another program is pruning at the moment");
    }
    let now = SystemTime::now();
    let mut pruned = Pruned::default();
    let mut gone = HashSet::new();
    let stores = Stored::all(&place.snapshots)?;
    by_age(place, keeping, now, dry, &mut pruned, &mut gone)?;
    sweep(place, &stores, now, dry, stop, &mut pruned, &gone)?;
    by_room(place, &stores, keeping, now, dry, stop, &mut pruned, &mut gone)?;
    if !dry {
        super::import::remove_abandoned(&place.folder, LATELY);
        held.set_modified(now)?;
    }
    Ok(pruned)
}

fn age(listed: &Listed, now: SystemTime) -> Duration {
    now.duration_since(listed.changed).unwrap_or_default()
}

/// Those that may go, the oldest first.
fn loose(listed: &[Listed], now: SystemTime) -> impl Iterator<Item = &Listed> {
    listed.iter().rev().filter(move |listed| !listed.pinned && age(listed, now) > LATELY)
}

fn by_age(
    place: &Place,
    keeping: Keeping,
    now: SystemTime,
    dry: bool,
    pruned: &mut Pruned,
    gone: &mut HashSet<SessionId>,
) -> io::Result<()> {
    if keeping.days == 0 {
        return Ok(());
    }
    let days = Duration::from_secs(keeping.days.saturating_mul(24 * 60 * 60));
    for listed in loose(&place.sessions.list()?, now).filter(|listed| age(listed, now) > days) {
        remove(place, listed, Why::Old, dry, pruned, gone);
    }
    Ok(())
}

fn remove(
    place: &Place,
    listed: &Listed,
    why: Why,
    dry: bool,
    pruned: &mut Pruned,
    gone: &mut HashSet<SessionId>,
) -> bool {
    match if dry { Ok(()) } else { place.sessions.remove(listed.id) } {
        Ok(()) => {
            gone.insert(listed.id);
            pruned.sessions.push((listed.clone(), why));
            true
        }
        // It is open, however long nobody has said anything.
        Err(LogError::Locked) => false,
        Err(error) => {
            pruned.problems.push(format!("session {} stays: {error}", listed.id));
            false
        }
    }
}

/// Deletes what no session needs.
fn sweep(
    place: &Place,
    stores: &[Stored],
    now: SystemTime,
    dry: bool,
    stop: &AtomicBool,
    pruned: &mut Pruned,
    gone: &HashSet<SessionId>,
) -> anyhow::Result<()> {
    if stores.is_empty() {
        return Ok(());
    }
    let needed = needed(&place.sessions, gone)?;
    for stored in stores {
        match stored.sweep(&needed, now, dry, stop) {
            Ok(swept) => pruned.states += swept.freed,
            Err(SnapshotError::Stopped) => return Err(SnapshotError::Stopped.into()),
            Err(error) => pruned.problems.push(format!(
                "{} stays as it is: {error}; `agent sessions check` says more",
                stored.folder().display()
            )),
        }
    }
    Ok(())
}

/// All that any session may need. A session that is made of another one meanwhile is not missed.
fn needed(sessions: &Sessions, gone: &HashSet<SessionId>) -> anyhow::Result<HashSet<SnapshotId>> {
    let mut found = HashSet::new();
    let mut read = HashSet::new();
    loop {
        let before = read.len();
        let mut lost = false;
        for id in sessions.ids()? {
            if gone.contains(&id) || read.contains(&id) {
                continue;
            }
            match sessions.named_states(id) {
                Ok(states) => {
                    found.extend(states);
                    read.insert(id);
                }
                // It was never begun, or it has gone since, and somebody may have made another one of it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    lost |= !sessions.folder(id).exists();
                }
                Err(error) => anyhow::bail!("session {id} can't be read: {error}"),
            }
        }
        if read.len() == before && !lost {
            return Ok(found);
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the one caller has each of them at hand")]
fn by_room(
    place: &Place,
    stores: &[Stored],
    keeping: Keeping,
    now: SystemTime,
    dry: bool,
    stop: &AtomicBool,
    pruned: &mut Pruned,
    gone: &mut HashSet<SessionId>,
) -> anyhow::Result<()> {
    if keeping.bytes == 0 {
        return Ok(());
    }
    let listed: Vec<Listed> =
        place.sessions.list()?.into_iter().filter(|listed| !gone.contains(&listed.id)).collect();
    let states: u64 = stores.iter().map(Stored::size).sum();
    let freed = if dry { pruned.states } else { 0 };
    let all = listed.iter().map(|listed| listed.size).sum::<u64>() + states.saturating_sub(freed);
    let mut over = all.saturating_sub(keeping.bytes);
    if over == 0 {
        return Ok(());
    }
    let mut tarballs: HashMap<SessionId, u64> = HashMap::new();
    for one in loose(&listed, now) {
        if over == 0 {
            break;
        }
        let file = one.folder.join(workspace::TARBALL);
        let Ok(size) = fs::metadata(&file).map(|meta| meta.len()) else { continue };
        let kept = tarball_of(&file).is_some_and(|state| stores.iter().any(|stored| stored.has(&state)));
        if kept && (dry || fs::remove_file(&file).is_ok()) {
            over = over.saturating_sub(size);
            tarballs.insert(one.id, size);
            pruned.tarballs.push((one.id, size));
        }
    }
    if over == 0 {
        return Ok(());
    }
    let shares = shares(place, stores, &listed, now)?;
    let before = pruned.sessions.len();
    for one in loose(&listed, now) {
        if over == 0 {
            break;
        }
        let own = one.size.saturating_sub(tarballs.get(&one.id).copied().unwrap_or_default());
        if remove(place, one, Why::Room, dry, pruned, gone) {
            over = over.saturating_sub(own + shares.get(&one.id).copied().unwrap_or_default());
        }
    }
    if pruned.sessions.len() > before && !dry {
        sweep(place, stores, now, dry, stop, pruned, gone)?;
    }
    pruned.over = over;
    Ok(())
}

/// Bytes of states that each session sets free, if it and all that go before it went.
fn shares(
    place: &Place,
    stores: &[Stored],
    listed: &[Listed],
    now: SystemTime,
) -> anyhow::Result<BTreeMap<SessionId, u64>> {
    let loose: HashSet<SessionId> = loose(listed, now).map(|one| one.id).collect();
    // First those that stay, then those that go, the last to go first.
    let (stay, go): (Vec<&Listed>, Vec<&Listed>) = listed.iter().partition(|one| !loose.contains(&one.id));
    let order: Vec<SessionId> = stay.into_iter().chain(go).map(|one| one.id).collect();
    let mut sets = Vec::new();
    for id in &order {
        sets.push(place.sessions.named_states(*id).unwrap_or_default());
    }
    let mut shares = BTreeMap::new();
    for stored in stores {
        // Of one that can't be read nothing goes.
        for (id, share) in order.iter().zip(stored.shares(&sets).unwrap_or_default()) {
            *shares.entry(*id).or_default() += share;
        }
    }
    Ok(shares)
}
