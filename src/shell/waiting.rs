//! Whether a program on a terminal waits for somebody to type.
//!
//! It asks the kernel who reads the terminal, and how. Nothing is guessed from what was printed. Programs that
//! wait for a terminal in line mode beside other things (`poll`) are not recognised: servers look the same.

use std::{
    fs,
    os::{fd::BorrowedFd, unix::fs::MetadataExt as _},
};

use rustix::{
    process::Pid,
    termios::{LocalModes, tcgetattr, tcgetpgrp},
};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// A line, ended by Enter.
    Line,
    /// A line that is not shown: a password, as a rule.
    Secret,
    /// Single keys: the prompt of a line editor, a pager, a menu, an editor.
    Keys,
}

/// Processes of one command that are looked at, at most.
const PROCESSES: usize = 512;
/// Threads of one process that are looked at, at most.
const THREADS: usize = 64;

/// What a thread does just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// It reads a terminal.
    Reads,
    /// It waits for several things, as those do that read keys.
    Polls,
    Otherwise,
}

/// How the terminal hands on what is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Modes {
    lines: bool,
    echo: bool,
}

/// What the programs in the foreground of our `terminal` wait for, if they do. They are found among the
/// descendants of `helper`.
///
/// Nothing where the system does not tell.
pub(super) fn observe(terminal: BorrowedFd<'_>, helper: Pid) -> Option<Waiting> {
    let modes = modes(terminal)?;
    let foreground = tcgetpgrp(terminal).ok()?;
    let mut found = vec![helper.as_raw_pid()];
    let mut at = 0;
    let mut doing = Vec::new();
    while let Some(&pid) = found.get(at) {
        at += 1;
        for thread in threads(pid) {
            if group(pid) == Some(foreground.as_raw_pid()) {
                doing.push(of(pid, thread));
            }
            if found.len() < PROCESSES {
                found.extend(children(pid, thread));
            }
        }
    }
    judge(modes, &doing)
}

/// Whether lines that are typed at our `terminal` are not echoed, whoever reads them. Programs that take single keys
/// turn the echo off as well, and show by themselves what may be seen.
pub(super) fn hides(terminal: BorrowedFd<'_>) -> bool {
    modes(terminal) == Some(Modes { lines: true, echo: false })
}

/// Whether single keys are taken at our `terminal`, and not lines.
pub(super) fn takes_keys(terminal: BorrowedFd<'_>) -> bool {
    modes(terminal).is_some_and(|modes| !modes.lines)
}

fn modes(terminal: BorrowedFd<'_>) -> Option<Modes> {
    let local = tcgetattr(terminal).ok()?.local_modes;
    Some(Modes { lines: local.contains(LocalModes::ICANON), echo: local.contains(LocalModes::ECHO) })
}

fn judge(modes: Modes, doing: &[Doing]) -> Option<Waiting> {
    let reads = doing.contains(&Doing::Reads);
    match modes {
        Modes { lines: true, echo: true } if reads => Some(Waiting::Line),
        Modes { lines: true, echo: false } if reads => Some(Waiting::Secret),
        Modes { lines: false, .. } if reads || doing.contains(&Doing::Polls) => Some(Waiting::Keys),
        Modes { .. } => None,
    }
}

fn threads(pid: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.take(THREADS).collect()
}

fn children(pid: i32, thread: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{thread}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The process group: the third field behind the name, which may itself hold blanks and brackets (proc_pid_stat(5)).
fn group(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}

/// What a thread does, by the system call that it is in (proc_pid_syscall(5)).
fn of(pid: i32, thread: i32) -> Doing {
    let call = fs::read_to_string(format!("/proc/{pid}/task/{thread}/syscall")).unwrap_or_default();
    let mut words = call.split_whitespace();
    let number = words.next().and_then(|word| word.parse::<libc::c_long>().ok());
    match number {
        Some(number) if READS.contains(&number) => {
            let fd =
                words.next().and_then(|word| u32::from_str_radix(word.trim_start_matches("0x"), 16).ok());
            if fd.is_some_and(|fd| is_terminal(pid, fd)) { Doing::Reads } else { Doing::Otherwise }
        }
        Some(number) if POLLS.contains(&number) => Doing::Polls,
        _ => Doing::Otherwise,
    }
}

/// By the device: the name may be another one where the process is. 136 to 143 are pseudo terminals, and 5:0 is
/// the controlling one (the kernel's devices.txt).
fn is_terminal(pid: i32, fd: u32) -> bool {
    fs::metadata(format!("/proc/{pid}/fd/{fd}")).is_ok_and(|meta| {
        let device = meta.rdev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        (136..=143).contains(&major) || (major, minor) == (5, 0)
    })
}

const READS: &[libc::c_long] = &[libc::SYS_read, libc::SYS_readv];

#[cfg(target_arch = "x86_64")]
const POLLS: &[libc::c_long] = &[
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_select,
    libc::SYS_pselect6,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
];
#[cfg(not(target_arch = "x86_64"))]
const POLLS: &[libc::c_long] =
    &[libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_a_terminal_waits_and_who_waits_for_several_things_only_in_key_mode() {
        let (line, secret, keys) = (
            Modes { lines: true, echo: true },
            Modes { lines: true, echo: false },
            Modes { lines: false, echo: false },
        );
        for (modes, doing, expected) in [
            (line, &[Doing::Otherwise, Doing::Reads][..], Some(Waiting::Line)),
            (secret, &[Doing::Reads], Some(Waiting::Secret)),
            (keys, &[Doing::Reads], Some(Waiting::Keys)),
            (keys, &[Doing::Otherwise, Doing::Polls], Some(Waiting::Keys)),
            (line, &[Doing::Polls], None),
            (secret, &[Doing::Polls], None),
            (keys, &[Doing::Otherwise], None),
            (line, &[], None),
        ] {
            assert_eq!(judge(modes, doing), expected, "{modes:?} {doing:?}");
        }
    }
}
