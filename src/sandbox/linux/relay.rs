//! The outer process of a command: the one that the shell started, signals and waits for.
//!
//! It passes signals on through a pipe and hands back the exit code. The pipe is also the life line of the inner
//! process: when this one dies, however that happens, the pipe breaks.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    process::ExitCode,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{Pid, WaitOptions, WaitStatus, wait},
};

use super::sys;

/// Both ends of a life line.
pub(in crate::sandbox) struct Lifeline {
    pub(in crate::sandbox) inner: OwnedFd,
    pub(in crate::sandbox) outer: OwnedFd,
}

impl Lifeline {
    pub(in crate::sandbox) fn new() -> io::Result<Self> {
        let (inner, outer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { inner, outer })
    }
}

/// Signals that mean the command, and not the process that was started for it.
const PASSED_ON: &[i32] = &[
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGCONT,
    libc::SIGWINCH,
];

/// Ends the command at once and in order: the life line is let go, and what is inside is reaped here. Where the
/// helper itself is killed instead, its child is left to the machine's first process, and not all of those reap.
const END: i32 = libc::SIGALRM;

/// How the inner process ended.
pub(in crate::sandbox) enum Ended {
    /// With the command's exit code.
    Code(i32),
    /// By a signal that was not the command's: somebody killed it.
    Killed,
}

/// Passes signals on until the inner process has ended. `helper` is a child that is not it.
pub(in crate::sandbox) fn relay(outer: OwnedFd, helper: Option<Pid>) -> Ended {
    release_streams();
    let mut outer = Some(outer);
    loop {
        match reap(helper) {
            Some(ended) => return ended,
            None => match sys::next_signal() {
                END => outer = None,
                signal if PASSED_ON.contains(&signal) => {
                    let byte = [u8::try_from(signal).unwrap_or(0)];
                    // A full pipe holds thousands of signals that nobody took: this one changes nothing.
                    let _ = outer.as_ref().map(|outer| rustix::io::write(outer, &byte));
                }
                _ => {}
            },
        }
    }
}

/// The code that a shell would give for `status`.
pub(super) fn code(status: WaitStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(255)
}

/// Lets go of the command's streams, so that who reads them sees their end with the command's.
pub(in crate::sandbox) fn release_streams() {
    // Without /dev/null the streams stay: late ends are better than none.
    if let Ok(null) = null() {
        let _ = rustix::stdio::dup2_stdin(null.as_fd());
        let _ = rustix::stdio::dup2_stdout(null.as_fd());
        let _ = rustix::stdio::dup2_stderr(null.as_fd());
    }
}

/// Lets go of the standard output alone, so that its reader sees the end.
pub(super) fn release_stdout() {
    if let Ok(null) = null() {
        let _ = rustix::stdio::dup2_stdout(null.as_fd());
    }
}

fn null() -> rustix::io::Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

/// As an exit code of this process. It is always in range.
pub(in crate::sandbox) fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(255))
}

fn reap(helper: Option<Pid>) -> Option<Ended> {
    loop {
        match wait(WaitOptions::NOHANG) {
            // The helper has made the inner process and gone, or has said why it could not.
            Ok(Some((pid, status))) if Some(pid) == helper => {
                if status.exit_status() != Some(0) {
                    return Some(Ended::Code(126));
                }
            }
            Ok(Some((_, status))) => {
                return Some(status.exit_status().map_or(Ended::Killed, Ended::Code));
            }
            Err(Errno::INTR) => {}
            Ok(None) => return None,
            // No child is left, and none told how it ended.
            Err(_) => return Some(Ended::Killed),
        }
    }
}
