//! A bound on what a session's own directories (HOME, /tmp and /var/tmp inside) take of the disk.
//!
//! No file system that an ordinary user can mount has a size, but for those in memory, and caches and builds do not
//! fit there. So they are watched while commands run: where the free space of the disk has shrunk, they are counted,
//! and where they are too large, the commands end. A single file can't grow beyond the bound in the first place.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::fs::statvfs;

use crate::sandbox::publish::tree::Tree;

use super::{lock, obeyed::open_up};

/// How often the free space is asked for while commands run.
const OFTEN: Duration = Duration::from_millis(50);

/// After so long it is counted even where the free space says nothing: somebody else may have freed some.
const AT_TIMES: Duration = Duration::from_secs(60);

/// Less is not worth a count.
const STEP: u64 = 16 << 20;

/// What a session's own directories may take, and did when they were last counted.
struct Bound {
    scratch: PathBuf,
    limit: u64,
    taken: u64,
    free: u64,
    when: Instant,
}

impl Bound {
    /// Whether they take too much now.
    fn is_broken(&mut self) -> bool {
        let free = free(&self.scratch);
        let room = self.limit.saturating_sub(self.taken);
        let shrunk = self.free.saturating_sub(free);
        if shrunk >= (room / 2).max(STEP) || self.when.elapsed() >= AT_TIMES {
            self.count();
        }
        self.taken > self.limit
    }

    fn count(&mut self) {
        self.free = free(&self.scratch);
        self.taken = places(&self.scratch).iter().map(|place| taken(place)).sum();
        self.when = Instant::now();
    }
}

/// The directories of a session that are bounded: those first that can be spared first.
fn places(scratch: &Path) -> [PathBuf; 3] {
    ["tmp", "var-tmp", "home"].map(|name| scratch.join(name))
}

/// Bytes that may still be written there. Of a disk that can't be asked, none ever shrinks.
fn free(path: &Path) -> u64 {
    statvfs(path).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes on the disk, of everything at and below a path. Files with several names count once for each.
fn taken(place: &Path) -> u64 {
    let mut sum = 0;
    let mut open = vec![place.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = match fs::read_dir(&directory) {
            // It belongs to this user, who closed it as a command.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                open_up(&directory).and_then(|()| fs::read_dir(&directory))
            }
            entries => entries,
        };
        for entry in entries.into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            sum += meta.blocks() * 512;
            if meta.is_dir() {
                open.push(entry.path());
            }
        }
    }
    sum
}

/// Removes what is there, from what can be spared on, until it fits. Gives what was emptied.
fn empty(bound: &mut Bound) -> Vec<&'static str> {
    let mut emptied = Vec::new();
    for (place, name) in places(&bound.scratch).iter().zip(["/tmp", "/var/tmp", "HOME"]) {
        if bound.taken <= bound.limit {
            break;
        }
        // What can't be removed is counted.
        let _ = Tree::open(place).and_then(|tree| tree.remove_all(Path::new("")));
        emptied.push(name);
        bound.count();
    }
    emptied
}

/// Whoever watches. It ends with this.
pub(super) struct Watch {
    wake: Option<SyncSender<()>>,
    /// Whether commands run.
    running: Arc<AtomicBool>,
    /// Held while commands are ended, and until that was told.
    ending: Arc<Mutex<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the directories in `scratch`. Where they take more than `limit`, `end` ends all commands, and `tell` is told
    /// what became of it.
    pub(super) fn new(
        scratch: &Path,
        limit: u64,
        end: impl Fn() + Send + 'static,
        tell: impl Fn(String) + Send + 'static,
    ) -> io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let running = Arc::new(AtomicBool::new(false));
        let ending = Arc::new(Mutex::new(()));
        let (scratch, looked, held) = (scratch.to_owned(), Arc::clone(&running), Arc::clone(&ending));
        let watch = move || watch(scratch, limit, &woken, &looked, &held, &end, &tell);
        let thread = std::thread::Builder::new().name("disk".into()).spawn(watch)?;
        Ok(Self { wake: Some(wake), running, ending, thread: Some(thread) })
    }

    /// What is held while commands are ended: who hears of the end of one waits for it, and then for the reason.
    pub(super) fn ending(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.ending)
    }

    /// No command runs any more. What they left is looked at once more.
    pub(super) fn rest(&self) {
        self.running.store(false, Ordering::Relaxed);
    }

    /// A command begins.
    pub(super) fn begin(&self) {
        self.running.store(true, Ordering::Relaxed);
        // It watches already, or has just been woken.
        let _ = self.wake.as_ref().map(|wake| wake.try_send(()));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.wake.take());
        // It panics nowhere.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn watch(
    scratch: PathBuf,
    limit: u64,
    woken: &Receiver<()>,
    running: &AtomicBool,
    ending: &Mutex<()>,
    end: &impl Fn(),
    tell: &impl Fn(String),
) {
    let mut bound = Bound { scratch, limit, taken: 0, free: 0, when: Instant::now() };
    let mut counted = false;
    while woken.recv().is_ok() {
        if !std::mem::replace(&mut counted, true) {
            bound.count();
        }
        loop {
            match woken.recv_timeout(OFTEN) {
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            }
            // Asked first: the last look is at what a command left.
            let is_last = !running.load(Ordering::Relaxed);
            if bound.is_broken() {
                let taken = bound.taken;
                let _ending = lock(ending);
                end();
                bound.count();
                let emptied = empty(&mut bound).join(", ");
                tell(format!(
                    "commands were ended, because their /tmp, /var/tmp and HOME held {} MiB together, more than the {} MiB that \
                     they may (session_disk in the settings). What lay in {emptied} was removed",
                    taken >> 20,
                    limit >> 20
                ));
            }
            if is_last {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, sync::mpsc::channel};

    use super::*;

    #[test]
    fn what_takes_too_much_ends_and_is_removed_from_what_can_be_spared_on() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = dir.path().canonicalize().unwrap();
        for name in ["tmp", "var-tmp/closed", "home", "git"] {
            fs::create_dir_all(scratch.join(name)).unwrap();
        }
        fs::write(scratch.join("home/kept"), "x").unwrap();
        let (ended, end) = channel();
        let (said, say) = channel();
        let watch = Watch::new(
            &scratch,
            64 << 20,
            move || ended.send(()).unwrap(),
            move |sentence| said.send(sentence).unwrap(),
        )
        .unwrap();
        watch.begin();
        for name in ["tmp/a", "var-tmp/closed/b"] {
            fs::write(scratch.join(name), vec![1; 48 << 20]).unwrap();
        }
        fs::set_permissions(scratch.join("var-tmp/closed"), fs::Permissions::from_mode(0o300)).unwrap();
        end.recv_timeout(Duration::from_secs(20)).unwrap();
        let said = say.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(said.contains("more than the 64 MiB") && said.contains("/tmp was removed"), "{said}");
        assert!(scratch.join("home/kept").exists() && !scratch.join("tmp/a").exists());
        watch.rest();
    }
}
