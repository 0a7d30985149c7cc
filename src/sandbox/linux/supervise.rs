//! The inner process of a command: parent of the command itself, in its namespace or (without one) its subreaper.
//!
//! It waits for the command, passes on what comes through the life line, and notices when that line breaks.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{Pid, Signal, WaitOptions, kill_process_group, wait},
};

use super::{
    relay::{code, release_streams},
    sys,
};

/// How the watch over a command ended.
pub(super) enum Watched {
    /// The command ended with this code. What it started may still run.
    Exited(i32),
    /// Nobody waits for it any more.
    Abandoned,
}

/// Watches over `command` until it ends, or until `lifeline` breaks or `other` becomes readable.
pub(super) fn supervise(command: Pid, lifeline: &OwnedFd, other: Option<&OwnedFd>) -> Watched {
    supervise_asked(command, lifeline, other, None)
}

/// Somebody who is asked when a descriptor becomes readable.
pub(super) type AskedBy<'a> = (&'a OwnedFd, &'a dyn Fn());

/// The same, with somebody who is asked meanwhile.
pub(super) fn supervise_asked(
    command: Pid,
    lifeline: &OwnedFd,
    other: Option<&OwnedFd>,
    asked: Option<AskedBy<'_>>,
) -> Watched {
    release_streams();
    let Ok(children) = sys::child_signals() else { return Watched::Abandoned };
    loop {
        if let Some(code) = reap(command) {
            return Watched::Exited(code);
        }
        let mut fds = vec![
            PollFd::new(&children, PollFlags::IN),
            PollFd::new(lifeline, PollFlags::IN),
            PollFd::new(other.unwrap_or(&children), PollFlags::IN),
            PollFd::new(asked.map_or(&children, |(asked, _)| asked), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return Watched::Abandoned,
        }
        let [child, line, other_fd, question] =
            [0, 1, 2, 3].map(|at: usize| !fds.get(at).is_none_or(|fd| fd.revents().is_empty()));
        if other.is_some() && other_fd {
            return Watched::Abandoned;
        }
        if question && let Some((_, answer)) = asked {
            answer();
        }
        if child {
            let mut buffer = [0_u8; 1024];
            // Only a bell: what it says is asked of `wait`.
            let _ = rustix::io::read(children.as_fd(), &mut buffer);
        }
        if line && !pass_on(command, lifeline) {
            return Watched::Abandoned;
        }
    }
}

/// Sends what the outer process asks for to the command's process group. False when the line is broken.
fn pass_on(command: Pid, lifeline: &OwnedFd) -> bool {
    let mut signals = [0_u8; 64];
    match rustix::io::read(lifeline, &mut signals) {
        Ok(0) => false,
        Ok(count) => {
            for number in signals.iter().take(count) {
                if let Some(signal) = Signal::from_named_raw(i32::from(*number)) {
                    // The group is gone already, or not made yet by a command that has just been started.
                    if kill_process_group(command, signal) == Err(Errno::SRCH) {
                        let _ = rustix::process::kill_process(command, signal);
                    }
                }
            }
            true
        }
        Err(Errno::AGAIN | Errno::INTR) => true,
        Err(_) => false,
    }
}

/// Reaps whatever has ended; the code of `command` if it was among them.
fn reap(command: Pid) -> Option<i32> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == command => return Some(code(status)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return None,
            Err(_) => return Some(255),
        }
    }
}
