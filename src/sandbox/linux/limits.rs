//! What all commands of a session may take of the machine together: by a control group where one can be had, else by
//! limits of each process.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::process::{Pid, Resource, Rlimit, getpid, getrlimit, setrlimit};

use super::{enter::started, place::at};

/// Processes and threads of a session.
pub(super) const PROCESSES: u64 = 512;
/// Memory of a session, where half of the machine's is more.
const MEMORY: u64 = 4 << 30;
/// Open files of a process.
pub(super) const FILES: u64 = 8192;
/// Where control groups are.
const GROUPS: &str = "/sys/fs/cgroup";
/// How the names of ours begin: then come the agent's process, its start time, and a number.
const NAME: &str = "agent-";

/// The control groups of a session: one, or one for each controller in the older form. They go with this.
#[derive(Debug, Default)]
pub(super) struct Group {
    directories: Vec<PathBuf>,
}

impl Group {
    /// For a session of this process, if one can be had here.
    pub(super) fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let pid = getpid();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NAME}{}-{}-{number}", pid.as_raw_nonzero(), started(pid)?);
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let mut group = Self::default();
        let newer =
            parents(&own, "").next().filter(|_| Path::new(GROUPS).join("cgroup.controllers").exists());
        if let Some(own) = newer {
            // Groups that hold processes can't be divided: ours stands beside the agent's.
            let parent = own.parent().filter(|parent| parent.starts_with(GROUPS)).unwrap_or(&own).to_owned();
            group.make(&parent, &name, &[("pids.max", PROCESSES), ("memory.max", memory())])?;
            group.set("memory.swap.max", 0);
            group.set("cpu.weight", 50);
            return Ok(group);
        }
        for (controller, file, limit) in
            [("pids", "pids.max", PROCESSES), ("memory", "memory.limit_in_bytes", memory())]
        {
            let parent = parents(&own, controller).next().ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("no control group for {controller}"))
            })?;
            group.make(&parent, &name, &[(file, limit)])?;
        }
        group.set("memory.memsw.limit_in_bytes", memory());
        if let Some(parent) = parents(&own, "cpu").next()
            && group.make(&parent, &name, &[]).is_ok()
        {
            group.set("cpu.shares", 512);
        }
        Ok(group)
    }

    fn make(&mut self, parent: &Path, name: &str, limits: &[(&str, u64)]) -> io::Result<()> {
        sweep(parent);
        let directory = parent.join(name);
        fs::create_dir(&directory).map_err(|error| at(&directory, error))?;
        self.directories.push(directory.clone());
        for (file, limit) in limits {
            let file = directory.join(file);
            fs::write(&file, limit.to_string()).map_err(|error| at(&file, error))?;
        }
        // Commands are put there by a process with the same rights as this one.
        let list = directory.join("cgroup.procs");
        fs::File::options().write(true).open(&list).map_err(|error| at(&list, error))?;
        Ok(())
    }

    /// Sets what is good to have, where it is there.
    fn set(&self, file: &str, value: u64) {
        for directory in &self.directories {
            let file = directory.join(file);
            if file.exists() {
                // The other limits hold without it.
                let _ = fs::write(file, value.to_string());
            }
        }
    }

    /// The places that a process joins.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        self.directories.clone()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for directory in &self.directories {
            // While something in it still ends, it stays, until the next session sweeps it.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// What a session may take, in words.
pub(super) fn describe() -> String {
    format!("{PROCESSES} processes and {} MiB of memory for all commands together", memory() >> 20)
}

/// The directories of this process's group under a controller; the empty one is that of the newer form.
fn parents<'a>(own: &'a str, controller: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
    own.lines().filter_map(move |line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let found = controllers.split(',').any(|name| name == controller);
        found.then(|| Path::new(GROUPS).join(controller).join(path.trim_start_matches('/')))
    })
}

/// Removes groups of sessions whose agent is gone.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some((pid, start)) = name.to_str().and_then(owner_in) else { continue };
        if Pid::from_raw(pid).and_then(|pid| started(pid).ok()) != Some(start) {
            // Another's, or one that something still ends in.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Whose group has this name: a process, and when it started.
fn owner_in(name: &str) -> Option<(i32, u64)> {
    let mut parts = name.strip_prefix(NAME)?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Half of the machine's memory, and not too much of it.
pub(super) fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes: Option<u64> = total.and_then(|text| text.split_whitespace().next()?.parse().ok());
    kilobytes.map_or(MEMORY, |kilobytes| (kilobytes << 9).min(MEMORY))
}

/// Puts this process into the groups.
pub(super) fn join(directories: &[PathBuf]) -> io::Result<()> {
    for directory in directories {
        let list = directory.join("cgroup.procs");
        fs::write(&list, "0").map_err(|error| at(&list, error))?;
    }
    Ok(())
}

/// Limits this process and what it starts, a file to `file_size` bytes; further where there is no group.
pub(super) fn confine(has_group: bool, file_size: u64) -> io::Result<()> {
    confine_to(has_group, file_size, counts_by_namespace().then_some(PROCESSES))
}

/// The same where all processes of this user are counted as one: as many more may come.
pub(super) fn confine_user(has_group: bool, file_size: u64) -> io::Result<()> {
    let count = || PROCESSES + processes_of(rustix::process::geteuid().as_raw());
    confine_to(has_group, file_size, (!has_group).then(count))
}

fn confine_to(has_group: bool, file_size: u64, processes: Option<u64>) -> io::Result<()> {
    // No core. With a limit of 0, a machine that hands cores to a program would still start that, as root and outside,
    // with what the command left in its memory; 1 is what the kernel takes for "not even that".
    limit(Resource::Core, 1)?;
    limit(Resource::Nofile, FILES)?;
    limit(Resource::Fsize, file_size)?;
    if !has_group {
        if let Some(processes) = processes {
            limit(Resource::Nproc, processes)?;
        }
        limit(Resource::Data, MEMORY)?;
    }
    Ok(())
}

/// The processes and threads of a user that this process can see.
fn processes_of(user: u32) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let is_process = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.parse::<u32>().is_ok());
    let of_user = |entry: &fs::DirEntry| entry.metadata().is_ok_and(|meta| meta.uid() == user);
    entries
        .flatten()
        .filter(|entry| is_process(&entry.file_name()) && of_user(entry))
        .map(|entry| fs::read_dir(entry.path().join("task")).map_or(1, |tasks| tasks.count() as u64))
        .sum()
}

/// Whether the kernel counts the processes of a session by themselves. Before Linux 5.14 it counted all of the user's.
fn counts_by_namespace() -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(5), Some(14))
}

fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let allowed = getrlimit(resource).maximum.map_or(value, |maximum| maximum.min(value));
    Ok(setrlimit(resource, Rlimit { current: Some(allowed), maximum: Some(allowed) })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_process_is_found_in_both_forms() {
        let own = "8:pids:/a\n4:cpu,cpuacct:/\n0::/user.slice/x\n";
        let found = |controller| parents(own, controller).next();
        assert_eq!(found("pids"), Some("/sys/fs/cgroup/pids/a".into()));
        assert_eq!(found("cpu"), Some("/sys/fs/cgroup/cpu/".into()));
        assert_eq!(found(""), Some("/sys/fs/cgroup/user.slice/x".into()));
        assert_eq!(found("memory"), None);
    }

    #[test]
    fn only_names_of_ours_are_swept() {
        assert_eq!(owner_in("agent-12-345-0"), Some((12, 345)));
        for other in ["agent-12", "agent-x-1-0", "docker", "agent-", "user-12-3-4"] {
            assert_eq!(owner_in(other), None, "{other}");
        }
    }
}
