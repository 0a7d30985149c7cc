//! System calls that a command must not make where it shares the machine's processes, network and memory with others:
//! beside those of [`seccomp`](super::super::seccomp), all by which something is reached or changed that Landlock does
//! not look at.
//!
//! What is left: locks can be taken on what may be read, and names, sizes and times outside be asked for.

use std::io;

use libc::c_long;
use rustix::process::Pid;

use super::super::{
    filter::{Answer, Test, program},
    sys,
};

/// Sockets of any kind but a pair that is connected already.
const SOCKETS: &[c_long] = &[
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_socket,
];

/// Memory, messages and counters that all processes of a machine share by number or by name.
const SHARED: &[c_long] = &[
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_msgctl,
    libc::SYS_msgget,
    libc::SYS_msgrcv,
    libc::SYS_msgsnd,
    libc::SYS_semctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_shmget,
];

/// What files are like, by any path that can be walked: their attributes, and their times in the forms that nobody
/// uses any more. Of those in [`asked`](super::asked) somebody decides by the path.
const LIKENESS: &[c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
];
const ATTRIBUTES: &[c_long] = &[
    libc::SYS_fremovexattr,
    libc::SYS_fsetxattr,
    libc::SYS_lremovexattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_setxattr,
];

/// The same by calls that programs know how to do without.
const LIKENESS_NEW: &[c_long] = &[SETXATTRAT, REMOVEXATTRAT, FILE_SETATTR];

/// The same by requests to an open file: flags, projects and versions.
const LIKENESS_REQUESTS: &[u32] = &[0x4008_6602, 0x4004_6602, 0x401c_5820, 0x4008_7602, 0x4004_7602];

/// The same numbers everywhere.
const SETXATTRAT: c_long = 463;
const REMOVEXATTRAT: c_long = 466;
const FILE_SETATTR: c_long = 469;

/// What the kernel lets a process do to all others of its user, with the place of the number of the other one. 0 is
/// the caller itself.
const OF_OTHERS: &[(c_long, u8)] = &[
    (libc::SYS_prlimit64, 0),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_ioprio_set, 1),
    (libc::SYS_setpriority, 1),
    (libc::SYS_migrate_pages, 0),
    (libc::SYS_move_pages, 0),
];

/// The same by groups and users: with the one kind that means a process.
const OF_GROUPS: &[(c_long, u32)] = &[(libc::SYS_ioprio_set, 1), (libc::SYS_setpriority, 0)];

/// Signals, by the number of who gets them. Where Landlock keeps them within the command, all of them are free.
const SIGNALS: &[c_long] =
    &[libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo];

/// Requests by which the kernel sends signals for somebody: owners of a file or a socket.
const OWNERS: &[u32] = &[8 /* F_SETOWN */, 15 /* F_SETOWN_EX */];
const OWNERS_REQUESTS: &[u32] = &[0x8901 /* FIOSETOWN */, 0x8902 /* SIOCSPGRP */];

/// Applies the filter to this process, and to whatever it starts, for good. `watchers` see to the end of the command,
/// where Landlock does not keep signals from them.
pub(super) fn confine(watchers: Option<&[Pid]>) -> io::Result<()> {
    sys::install_filter(&program(&rules(watchers)))
}

/// Every call that is not simply allowed.
fn rules(watchers: Option<&[Pid]>) -> Vec<(c_long, Answer)> {
    let refused = |calls: &[c_long], error: i32| {
        calls.iter().map(|call| (*call, Answer::Refuse(error))).collect::<Vec<_>>()
    };
    let mut rules = refused(SOCKETS, libc::EPERM);
    rules.extend(refused(SHARED, libc::ENOSYS));
    rules.extend([
        // Datagrams of a pair can still be sent to others, by name.
        (libc::SYS_socketpair, Answer::RefuseIf(vec![Test::NoneOf(0, vec![libc::AF_UNIX.cast_unsigned()])])),
        (libc::SYS_socketpair, Answer::RefuseIf(vec![Test::NoneOf(1, connected())])),
    ]);
    for (call, place) in OF_OTHERS {
        rules.push((*call, Answer::RefuseIf(vec![Test::NoneOf(*place, vec![0])])));
    }
    for (call, kind) in OF_GROUPS {
        rules.push((*call, Answer::RefuseIf(vec![Test::NoneOf(0, vec![*kind])])));
    }
    rules.extend(refused(LIKENESS, libc::EPERM));
    // Whoever copies a file goes on without.
    rules.extend(refused(ATTRIBUTES, libc::EOPNOTSUPP));
    rules.extend(refused(LIKENESS_NEW, libc::ENOSYS));
    rules.push((libc::SYS_ioctl, Answer::RefuseIf(vec![Test::OneOf(1, LIKENESS_REQUESTS.to_vec())])));
    if let Some(watchers) = watchers {
        let meant = watchers.iter().flat_map(|pid| {
            let pid = pid.as_raw_nonzero().get();
            [pid, -pid]
        });
        // -1 are all processes of the user.
        let meant: Vec<u32> = meant.chain([-1]).map(i32::cast_unsigned).collect();
        for call in SIGNALS {
            rules.push((*call, Answer::RefuseIf(vec![Test::OneOf(0, meant.clone())])));
        }
        rules.extend(refused(&[libc::SYS_pidfd_send_signal, libc::SYS_tkill], libc::EPERM));
        rules.push((libc::SYS_fcntl, Answer::RefuseIf(vec![Test::OneOf(1, OWNERS.to_vec())])));
        rules.push((libc::SYS_ioctl, Answer::RefuseIf(vec![Test::OneOf(1, OWNERS_REQUESTS.to_vec())])));
    }
    rules
}

/// Kinds of pairs that lead to each other alone.
fn connected() -> Vec<u32> {
    [libc::SOCK_STREAM, libc::SOCK_SEQPACKET]
        .iter()
        .flat_map(|kind| {
            let flags =
                [0, libc::SOCK_CLOEXEC, libc::SOCK_NONBLOCK, libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK];
            flags.map(|flags| (kind | flags).cast_unsigned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::linux::filter::{ARCH, tests::run};

    const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;
    const NOT_PERMITTED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

    fn verdict(watchers: Option<&[Pid]>, call: c_long, args: [i32; 4]) -> u32 {
        run(&program(&rules(watchers)), ARCH, u32::try_from(call).unwrap(), args.map(i32::cast_unsigned))
    }

    #[test]
    fn nobody_is_reached_and_nothing_is_shared() {
        let verdict = |call, args| verdict(None, call, args);
        for call in SOCKETS {
            assert_eq!(verdict(*call, [1, 1, 0, 0]), NOT_PERMITTED, "{call}");
        }
        for call in SHARED {
            assert_eq!(verdict(*call, [0; 4]), UNKNOWN, "{call}");
        }
        let pair = |family, kind| verdict(libc::SYS_socketpair, [family, kind, 0, 0]);
        assert_eq!(pair(libc::AF_UNIX, libc::SOCK_STREAM), ALLOWED);
        assert_eq!(
            pair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK),
            ALLOWED
        );
        assert_eq!(pair(libc::AF_UNIX, libc::SOCK_SEQPACKET), ALLOWED);
        for (family, kind) in [
            (libc::AF_UNIX, libc::SOCK_DGRAM),
            (libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC),
            (libc::AF_UNIX, libc::SOCK_RAW),
            (libc::AF_TIPC, libc::SOCK_STREAM),
        ] {
            assert_eq!(pair(family, kind), NOT_PERMITTED, "{family} {kind}");
        }
    }

    #[test]
    fn a_process_changes_itself_and_no_other() {
        for (call, own, others) in [
            (libc::SYS_prlimit64, [0, 7, 0, 0], vec![[9, 7, 0, 0]]),
            (libc::SYS_sched_setaffinity, [0; 4], vec![[9, 0, 0, 0]]),
            (libc::SYS_setpriority, [0; 4], vec![[0, 9, 1, 0], [1, 0, 1, 0], [2, 0, 1, 0]]),
            (libc::SYS_ioprio_set, [1, 0, 0, 0], vec![[1, 9, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0]]),
        ] {
            assert_eq!(verdict(None, call, own), ALLOWED, "{call}");
            for other in others {
                assert_eq!(verdict(None, call, other), NOT_PERMITTED, "{call} {other:?}");
            }
        }
    }

    #[test]
    fn attributes_and_flags_of_files_stay_as_they_are() {
        const UNSUPPORTED: u32 = libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP as u32;
        for call in ATTRIBUTES {
            assert_eq!(verdict(None, *call, [0; 4]), UNSUPPORTED, "{call}");
        }
        for request in LIKENESS_REQUESTS {
            let got = verdict(None, libc::SYS_ioctl, [3, request.cast_signed(), 0, 0]);
            assert_eq!(got, NOT_PERMITTED, "{request:x}");
        }
        assert_eq!(verdict(None, libc::SYS_ioctl, [3, 0x5401, 0, 0]), ALLOWED);
    }

    #[test]
    fn who_watches_gets_no_signal_where_landlock_keeps_none() {
        let watchers = [7, 8].map(|pid| Pid::from_raw(pid).unwrap());
        let (old, new) = (Some(&watchers[..]), None);
        for (pid, want) in
            [(7, NOT_PERMITTED), (-8, NOT_PERMITTED), (-1, NOT_PERMITTED), (0, ALLOWED), (9, ALLOWED)]
        {
            for call in SIGNALS {
                assert_eq!(verdict(old, *call, [pid, 9, 0, 0]), want, "{call} {pid}");
                assert_eq!(verdict(new, *call, [pid, 9, 0, 0]), ALLOWED, "{call} {pid}");
            }
        }
        assert_eq!(verdict(old, libc::SYS_pidfd_send_signal, [5, 9, 0, 0]), NOT_PERMITTED);
        assert_eq!(verdict(old, libc::SYS_fcntl, [5, 8, 7, 0]), NOT_PERMITTED);
        assert_eq!(verdict(old, libc::SYS_fcntl, [5, 4, 7, 0]), ALLOWED);
    }
}
