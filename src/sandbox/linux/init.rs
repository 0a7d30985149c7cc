//! Pid 1 of one command: gives up all rights, starts the command, and ends with it. The kernel then ends whatever
//! the command left running.

use std::{io, os::fd::OwnedFd, path::PathBuf};

use rustix::{
    mount::mount,
    process::{
        DumpableBehavior, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior,
        set_parent_process_death_signal, setrlimit,
    },
    thread::{
        CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
        set_no_new_privs,
    },
};

use super::{
    hold::{Failure, become_user},
    landlock,
    launch::{Launch, eprint_raw},
    mounts::proc_flags,
    obeyed,
    plan::Entry,
    seccomp, sockets,
    supervise::{Watched, supervise},
};
use crate::sandbox::env;

/// Runs the command to its end, and gives its exit code.
pub(super) fn run(entry: &Entry, launch: &Launch<'_>, lifeline: &OwnedFd) -> i32 {
    let prepared = mount("proc", "/proc", "proc", proc_flags(), c"subset=pid")
        .map_err(|error| Failure { layer: "mounts", reason: format!("/proc: {error}") })
        .and_then(|()| obeyed::protect(&entry.repositories).map_err(failed("mounts")))
        .and_then(|()| sockets::cover(&entry.sockets).map_err(failed("mounts")))
        .and_then(|()| confine(entry.user, &entry.written));
    if let Err(Failure { layer, reason }) = prepared {
        eprint_raw(&format!("agent: cannot enter the sandbox: {layer}: {reason}\n"));
        return 126;
    }
    let command = match launch.start(&env::inherited()) {
        Ok(command) => command,
        Err(error) => {
            eprint_raw(&format!("agent: cannot start the command: {error}\n"));
            return 126;
        }
    };
    match supervise(command, lifeline, None) {
        Watched::Exited(code) => code,
        Watched::Abandoned => 137,
    }
}

/// Gives up every right that a command must not have. This process is confined like the command itself, so that
/// taking it over gains nothing.
pub(super) fn confine(user: Option<u32>, written: &[PathBuf]) -> Result<(), Failure> {
    become_user(user).map_err(failed("identity"))?;
    drop_rights().map_err(failed("identity"))?;
    landlock::confine(written).map_err(|error| Failure { layer: "landlock", reason: error.to_string() })?;
    seccomp::confine().map_err(failed("seccomp"))
}

fn failed(layer: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure { layer, reason: error.to_string() }
}

fn drop_rights() -> io::Result<()> {
    set_no_new_privs(true)?;
    set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS_LOCKED,
    )?;
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // Newer than the kernel.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    // Not to be traced by the command, which has the same user.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    limit()?;
    // The life line says the same, but not to a process that is stopped.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// What a session's processes may have at once, threads included, for each processor; and at least.
const PROCESSES: (u64, u64) = (64, 512);
/// Open files of one process, and the bytes of one file.
const OPEN_FILES: u64 = 8192;
const FILE_SIZE: u64 = 64 << 30;

/// Bounds what needs no group of processes to be bounded.
fn limit() -> io::Result<()> {
    let least = |resource: Resource, most: u64| {
        let now = getrlimit(resource);
        let [current, maximum] =
            [now.current, now.maximum].map(|now| Some(now.map_or(most, |now| now.min(most))));
        setrlimit(resource, Rlimit { current, maximum })
    };
    least(Resource::Nofile, OPEN_FILES)?;
    least(Resource::Fsize, FILE_SIZE)?;
    if counts_by_namespace() {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        least(Resource::Nproc, (PROCESSES.0 * processors as u64).max(PROCESSES.1))?;
    }
    // No core. With a limit of 0, a machine that hands cores to a program would still start that, as root and outside,
    // with what the command left in its memory; 1 is what the kernel takes for "not even that".
    setrlimit(Resource::Core, Rlimit { current: Some(1), maximum: Some(1) })?;
    Ok(())
}

/// Whether the kernel counts the processes of a session by themselves. Before Linux 5.14 it counted all of the user's.
fn counts_by_namespace() -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(5), Some(14))
}
