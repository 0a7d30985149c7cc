//! One command's way into the session: joins the holder's namespaces, and makes a process namespace and a /proc
//! of the command's own.

use std::{ffi::OsString, io, os::fd::AsFd as _, path::Path, process::ExitCode};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{
    hold::NAMESPACES,
    init,
    launch::{Launch, eprint_raw},
    limits, overlay,
    plan::Entry,
    relay::{Ended, Lifeline, exit_code, relay},
    sys::{self, Cloned},
};

/// The helper's main in this role.
pub(super) fn main(args: &[OsString]) -> ExitCode {
    let Some((entry, [program, args @ ..])) = Entry::from_args(args) else { return ExitCode::from(2) };
    let launch = Launch { program, args, cwd: &entry.cwd.clone(), tty: entry.tty };
    match enter(&entry, &launch) {
        Ok(code) => exit_code(code),
        Err(error) => {
            eprint_raw(&format!("agent: cannot enter the sandbox: {error}\n"));
            ExitCode::from(126)
        }
    }
}

fn enter(entry: &Entry, launch: &Launch<'_>) -> io::Result<i32> {
    sys::close_from(3);
    sys::block_signals();
    // Until everything of the command has ended.
    let _used = overlay::used(&entry.layers)?;
    limits::join(&entry.groups)?;
    let line = Lifeline::new()?;
    join(entry)?;
    // Twice, because a process does not enter a process namespace itself: its children do.
    match sys::clone_process(0)? {
        Cloned::Child => {
            let flags = libc::CLONE_PARENT | libc::CLONE_NEWPID | libc::CLONE_NEWNS;
            let code = match overlay::prepare(entry).and_then(|()| sys::clone_process(flags)) {
                Ok(Cloned::Child) => {
                    drop(line.outer);
                    init::run(entry, launch, &line.inner)
                }
                Ok(Cloned::Parent(_)) => 0,
                Err(error) => {
                    eprint_raw(&format!("agent: cannot enter the sandbox: {error}\n"));
                    126
                }
            };
            sys::exit_now(code)
        }
        Cloned::Parent(helper) => {
            drop(line.inner);
            Ok(match relay(line.outer, Some(helper)) {
                Ended::Code(code) => code,
                Ended::Killed => 137,
            })
        }
    }
}

fn join(entry: &Entry) -> io::Result<()> {
    let gone = || io::Error::other("the session's sandbox is gone");
    let holder = Pid::from_raw(entry.holder).ok_or_else(gone)?;
    let pidfd = pidfd_open(holder, PidfdFlags::empty()).map_err(|_| gone())?;
    // Asked after the descriptor was opened: what has this start time now is what the descriptor means.
    if started(holder).map_err(|_| gone())? != entry.started {
        return Err(gone());
    }
    sys::join_namespaces(pidfd.as_fd(), NAMESPACES)
}

/// When a process started, in the kernel's ticks.
pub(super) fn started(pid: Pid) -> io::Result<u64> {
    let stat = std::fs::read(Path::new("/proc").join(pid.to_string()).join("stat"))?;
    started_in(&stat).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The field behind a name that may hold anything.
fn started_in(stat: &[u8]) -> Option<u64> {
    let after = stat.iter().rposition(|byte| *byte == b')')?;
    let fields =
        stat.get(after + 1..)?.split(|byte| byte.is_ascii_whitespace()).filter(|field| !field.is_empty());
    std::str::from_utf8(fields.into_iter().nth(19)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_the_twenty_second_field() {
        let stat = b"7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 424242 1000 5\n";
        assert_eq!(started_in(stat), Some(424_242));
        assert_eq!(started_in(b"7 (a) S 1"), None);
    }
}
