//! Pid 1 of one command: gives up all rights, starts the command, and ends with it. The kernel then ends whatever
//! the command left running.

use std::{io, os::fd::OwnedFd, path::PathBuf};

use rustix::{
    process::{DumpableBehavior, Signal, getuid, set_dumpable_behavior, set_parent_process_death_signal},
    thread::{
        CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
        set_no_new_privs,
    },
};

use super::{
    hold::{Failure, become_user},
    landlock,
    launch::{Launch, eprint_raw},
    limits, mounts, overlay,
    plan::Entry,
    processes, seccomp, sockets,
    supervise::{Watched, supervise},
};
use crate::sandbox::env;

/// Runs the command to its end, and gives its exit code.
pub(super) fn run(entry: &Entry, launch: &Launch<'_>, lifeline: &OwnedFd) -> i32 {
    let prepared = processes::mount()
        .map_err(failed("mounts"))
        .and_then(|()| overlay::hide().map_err(failed("mounts")))
        .and_then(|()| mounts::mask(&entry.hidden).map_err(failed("mounts")))
        .and_then(|()| sockets::cover(&entry.sockets).map_err(failed("mounts")))
        .and_then(|()| limits::confine(!entry.groups.is_empty(), entry.file_size).map_err(failed("limits")))
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
    // Who has none can't get any, and has none of those that it takes to lock that.
    if !has_no_rights()? {
        lock_rights()?;
    }
    give_up_what_is_there()
}

/// The same of a process that may have no right to lock anything: that no program gives any right is locked already.
pub(super) fn give_up_rights() -> io::Result<()> {
    set_no_new_privs(true)?;
    if capabilities(None)?.effective.contains(CapabilitySet::SETPCAP) {
        lock_rights()?;
    }
    give_up_what_is_there()
}

fn give_up_what_is_there() -> io::Result<()> {
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    // Not to be traced by the command, which has the same user.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // The life line says the same, but not to a process that is stopped.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

fn has_no_rights() -> io::Result<bool> {
    let CapabilitySets { effective, permitted, inheritable } = capabilities(None)?;
    Ok((effective | permitted | inheritable).is_empty() && !getuid().is_root())
}

/// No program that is started from here on gets one back.
fn lock_rights() -> io::Result<()> {
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
    Ok(())
}
