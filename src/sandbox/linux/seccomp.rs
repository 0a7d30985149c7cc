//! Which system calls a command may make: everything but what reaches around the namespaces.
//!
//! A second wall behind namespaces and Landlock, against holes in the kernel and in the two. Ordinary programs
//! (compilers, debuggers of their own children, servers on loopback, event loops) notice nothing of it.
//!
//! How the table becomes a program for the kernel is told in `filter`.

use std::io;

use libc::c_long;

use super::{
    filter::{Answer, Test, program},
    sys,
};

/// Refused with "not permitted".
const REFUSED: &[c_long] = &[
    // Keys of the user's session.
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    // Namespaces and mounts.
    libc::SYS_chroot,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_umount2,
    // Handles that lead around paths and processes.
    libc::SYS_fanotify_init,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_pidfd_getfd,
    // The kernel itself.
    libc::SYS_acct,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kcmp,
    KEXEC_FILE_LOAD,
    libc::SYS_kexec_load,
    libc::SYS_lookup_dcookie,
    libc::SYS_perf_event_open,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
];

/// Refused with "no such call": their arguments lie in memory, where no filter can see them, and callers know the
/// older forms.
const ABSENT: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_memfd_secret,
    libc::SYS_openat2,
];

/// Namespaces that `clone` and `unshare` could make.
const NAMESPACES: i32 = libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | CLONE_NEWTIME
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS;

/// Kinds of sockets that stay inside: the network is a loopback of the session's own.
const FAMILIES: &[i32] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// What of `AF_INET` and `AF_INET6` programs use: any, ICMP (ping), TCP, UDP, ICMPv6, UDP-Lite and multipath TCP. To be
/// asked for another one may have the kernel load it.
const PROTOCOLS: &[i32] = &[0, 1, 6, 17, 58, 136, 262];

/// What of `AF_NETLINK`: addresses and routes, and the list of open sockets. Others lead to parts of the kernel that
/// are no command's business.
const NETLINKS: &[i32] = &[0, 4];

/// The same numbers everywhere; the tables of our C libraries don't have them for every architecture.
const FCHMODAT2: c_long = 452;
const OPEN_TREE_ATTR: c_long = 467;
const CLONE_NEWTIME: i32 = 0x80;
const KEXEC_FILE_LOAD: c_long = if cfg!(target_arch = "x86_64") { 320 } else { 294 };

/// Calls that give a file its mode, with the place of the mode, and of flags without which it means nothing.
const MODES: &[(c_long, u8, Option<u8>)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, 1, None),
    (libc::SYS_fchmod, 1, None),
    (libc::SYS_fchmodat, 2, None),
    (FCHMODAT2, 2, None),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, 1, None),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1, None),
    (libc::SYS_mknodat, 2, None),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 2, Some(1)),
    (libc::SYS_openat, 3, Some(2)),
];

/// What makes flags of `open` create a file, and its mode count. The other bit of O_TMPFILE is O_DIRECTORY.
const CREATES: i32 = libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY);

/// Bits of a mode that make a program run as somebody else.
const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;

/// Personalities that only ask, or switch address randomisation off for a debugger.
const PERSONALITIES: &[i32] = &[0, -1, libc::ADDR_NO_RANDOMIZE];

/// Requests that type into a terminal.
const TYPING: &[i32] = &[0x5412 /* TIOCSTI */, 0x541c /* TIOCLINUX */];

/// Applies the filter to this process, and to whatever it starts, for good.
pub(super) fn confine() -> io::Result<()> {
    sys::install_filter(&program(&rules()))
}

/// Every call that is not simply allowed.
pub(in crate::sandbox) fn rules() -> Vec<(c_long, Answer)> {
    let words = |values: &[i32]| values.iter().map(|value| value.cast_unsigned()).collect::<Vec<u32>>();
    let mut rules: Vec<(c_long, Answer)> =
        REFUSED.iter().map(|call| (*call, Answer::Refuse(libc::EPERM))).collect();
    rules.extend(ABSENT.iter().map(|call| (*call, Answer::Refuse(libc::ENOSYS))));
    // The flags are the first argument of both, on both architectures.
    let namespaces = || Answer::RefuseIf(vec![Test::AnyBit(0, NAMESPACES.cast_unsigned())]);
    rules.extend([libc::SYS_clone, libc::SYS_unshare].map(|call| (call, namespaces())));
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        rules.push((call, Answer::RefuseIf(vec![Test::NoneOf(0, words(FAMILIES))])));
        for (families, protocols) in
            [(&[libc::AF_INET, libc::AF_INET6][..], PROTOCOLS), (&[libc::AF_NETLINK][..], NETLINKS)]
        {
            let tests = vec![Test::OneOf(0, words(families)), Test::NoneOf(2, words(protocols))];
            rules.push((call, Answer::RefuseIf(tests)));
        }
    }
    for (call, mode, flags) in MODES {
        let creates = flags.map(|at| Test::AnyBit(at, CREATES.cast_unsigned()));
        rules.push((
            *call,
            Answer::RefuseIf(creates.into_iter().chain([Test::AnyBit(*mode, SET_ID)]).collect()),
        ));
    }
    rules.push((libc::SYS_ioctl, Answer::RefuseIf(vec![Test::OneOf(1, words(TYPING))])));
    rules.push((libc::SYS_personality, Answer::RefuseIf(vec![Test::NoneOf(0, words(PERSONALITIES))])));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::linux::filter::{ARCH, tests::run};

    const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;
    const NOT_PERMITTED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

    fn verdict(call: c_long, args: [u32; 4]) -> u32 {
        run(&program(&rules()), ARCH, u32::try_from(call).unwrap(), args)
    }

    #[test]
    fn the_table_says_what_it_should() {
        for call in REFUSED {
            assert_eq!(verdict(*call, [0; 4]), NOT_PERMITTED, "{call}");
        }
        for call in ABSENT {
            assert_eq!(verdict(*call, [0; 4]), UNKNOWN, "{call}");
        }
        let clone = |flags: i32| verdict(libc::SYS_clone, [flags.cast_unsigned(), 0, 0, 0]);
        let open = |flags: i32, mode| verdict(libc::SYS_openat, [0, 0, flags.cast_unsigned(), mode]);
        let speaks =
            |family: i32, protocol| verdict(libc::SYS_socket, [family.cast_unsigned(), 1, protocol, 0]);
        let socket = |family: i32| speaks(family, 0);
        for (want, got) in [
            (ALLOWED, verdict(libc::SYS_read, [0; 4])),
            (ALLOWED, verdict(libc::SYS_execve, [0; 4])),
            (ALLOWED, clone(libc::SIGCHLD | libc::CLONE_VM | libc::CLONE_VFORK)),
            (NOT_PERMITTED, clone(libc::CLONE_NEWUSER)),
            (NOT_PERMITTED, clone(libc::CLONE_NEWPID | libc::CLONE_VM)),
            (NOT_PERMITTED, verdict(libc::SYS_unshare, [libc::CLONE_NEWNET.cast_unsigned(), 0, 0, 0])),
            (ALLOWED, open(libc::O_CREAT, 0o755)),
            // Without O_CREAT the mode is whatever lay there.
            (ALLOWED, open(libc::O_RDONLY, 0o4755)),
            (ALLOWED, open(libc::O_DIRECTORY, 0o4755)),
            (NOT_PERMITTED, open(libc::O_CREAT | libc::O_WRONLY, 0o4755)),
            (NOT_PERMITTED, open(libc::O_TMPFILE | libc::O_RDWR, 0o2755)),
            (ALLOWED, verdict(libc::SYS_fchmodat, [0, 0, 0o1777, 0])),
            (NOT_PERMITTED, verdict(libc::SYS_fchmodat, [0, 0, 0o4000, 0])),
            (NOT_PERMITTED, verdict(FCHMODAT2, [0, 0, 0o2755, 0])),
            (ALLOWED, socket(libc::AF_UNIX)),
            (ALLOWED, socket(libc::AF_INET6)),
            (ALLOWED, socket(libc::AF_NETLINK)),
            (ALLOWED, speaks(libc::AF_NETLINK, 4)),
            (ALLOWED, speaks(libc::AF_INET, 6)),
            (ALLOWED, speaks(libc::AF_INET6, 17)),
            (ALLOWED, speaks(libc::AF_UNIX, 0)),
            (NOT_PERMITTED, speaks(libc::AF_INET, 132)),
            (NOT_PERMITTED, speaks(libc::AF_NETLINK, 6)),
            (NOT_PERMITTED, speaks(libc::AF_NETLINK, 9)),
            (NOT_PERMITTED, socket(libc::AF_PACKET)),
            (NOT_PERMITTED, socket(libc::AF_VSOCK)),
            (NOT_PERMITTED, socket(libc::AF_ALG)),
            (NOT_PERMITTED, verdict(libc::SYS_ioctl, [0, 0x5412, 0, 0])),
            (ALLOWED, verdict(libc::SYS_ioctl, [0, 0x5401, 0, 0])),
            (ALLOWED, verdict(libc::SYS_personality, [u32::MAX, 0, 0, 0])),
            (NOT_PERMITTED, verdict(libc::SYS_personality, [0x0080_0000, 0, 0, 0])),
        ] {
            assert_eq!(got, want);
        }
    }

    #[test]
    fn what_is_always_refused_is_listed_once() {
        let rules = rules();
        for (call, _) in rules.iter().filter(|(_, answer)| matches!(answer, Answer::Refuse(_))) {
            assert_eq!(rules.iter().filter(|(other, _)| other == call).count(), 1, "{call}");
        }
    }
}
