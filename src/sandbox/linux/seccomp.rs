//! Which system calls a command may make: everything but what reaches around the namespaces.
//!
//! A second wall behind namespaces and Landlock, against holes in the kernel and in the two. Ordinary programs
//! (compilers, debuggers of their own children, servers on loopback, event loops) notice nothing of it.

use std::{collections::BTreeMap, io};

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
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
    libc::SYS_kexec_file_load,
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
const NAMESPACES: &[i32] = &[
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWTIME,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// Kinds of sockets that stay inside: the network is a loopback of the session's own.
const FAMILIES: &[i32] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Calls that give a file its mode, with the place of the mode, and of flags without which it means nothing.
const MODES: &[(c_long, u8, Option<u8>)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, 1, None),
    (libc::SYS_fchmod, 1, None),
    (libc::SYS_fchmodat, 2, None),
    (libc::SYS_fchmodat2, 2, None),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, 1, None),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1, None),
    (libc::SYS_mknodat, 2, None),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 2, Some(1)),
    (libc::SYS_openat, 3, Some(2)),
];

/// Requests that type into a terminal.
const TYPING: &[u32] = &[0x5412 /* TIOCSTI */, 0x541c /* TIOCLINUX */];

/// Applies the filter to this process, and to whatever it starts, for good.
pub(super) fn confine() -> io::Result<()> {
    for program in programs().map_err(io::Error::other)? {
        seccompiler::apply_filter(&program).map_err(io::Error::other)?;
    }
    Ok(())
}

fn programs() -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let mut refused: BTreeMap<c_long, Vec<SeccompRule>> =
        REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    for call in [libc::SYS_clone, libc::SYS_unshare] {
        // The flags are the first argument of both, on both architectures.
        refused.insert(call, NAMESPACES.iter().map(|flag| bits(0, *flag)).collect::<Result<_, _>>()?);
    }
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        let other = FAMILIES
            .iter()
            .map(|family| condition(0, SeccompCmpOp::Ne, *family))
            .collect::<Result<_, _>>()?;
        refused.insert(call, vec![SeccompRule::new(other)?]);
    }
    for (call, mode, flags) in MODES {
        let mut rules = Vec::new();
        for bit in [libc::S_ISUID, libc::S_ISGID] {
            let bit = bit.cast_signed();
            match flags {
                None => rules.push(bits(*mode, bit)?),
                Some(at) => {
                    // Of the two bits of O_TMPFILE, the other one is O_DIRECTORY, which is harmless alone.
                    for needs in [libc::O_CREAT, libc::O_TMPFILE & !libc::O_DIRECTORY] {
                        rules.push(SeccompRule::new(vec![set(*at, needs)?, set(*mode, bit)?])?);
                    }
                }
            }
        }
        refused.insert(*call, rules);
    }
    let typing = TYPING
        .iter()
        .map(|request| SeccompRule::new(vec![condition(1, SeccompCmpOp::Eq, request.cast_signed())?]))
        .collect::<Result<_, _>>()?;
    refused.insert(libc::SYS_ioctl, typing);
    // Any personality but the ones that only ask, or switch address randomisation off for a debugger.
    let others = vec![
        condition(0, SeccompCmpOp::Ne, 0)?,
        condition(0, SeccompCmpOp::Ne, -1)?,
        condition(0, SeccompCmpOp::Ne, libc::ADDR_NO_RANDOMIZE)?,
    ];
    refused.insert(libc::SYS_personality, vec![SeccompRule::new(others)?]);

    let absent = ABSENT.iter().map(|call| (*call, Vec::new())).collect();
    let mut first = program(refused, libc::EPERM)?;
    let x32 = no_x32();
    first.splice(0..0, x32);
    Ok([first, program(absent, libc::ENOSYS)?])
}

fn program(
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    errno: i32,
) -> Result<BpfProgram, seccompiler::BackendError> {
    #[cfg(target_arch = "x86_64")]
    let arch = TargetArch::x86_64;
    #[cfg(target_arch = "aarch64")]
    let arch = TargetArch::aarch64;
    // A foreign architecture (such as 32-bit calls) is killed by the library's own preamble.
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno.unsigned_abs()), arch)?
        .try_into()
}

/// Kills callers of the x32 numbers, which share an architecture with ours and would pass every rule.
fn no_x32() -> Vec<sock_filter> {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    if cfg!(not(target_arch = "x86_64")) {
        return Vec::new();
    }
    vec![
        sock_filter { code: LOAD_NUMBER, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: 0x4000_0000 },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_KILL_PROCESS },
    ]
}

fn bits(argument: u8, bit: i32) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![set(argument, bit)?])
}

fn set(argument: u8, bit: i32) -> Result<SeccompCondition, seccompiler::BackendError> {
    condition(argument, SeccompCmpOp::MaskedEq(bit.cast_unsigned().into()), bit)
}

fn condition(
    argument: u8,
    op: SeccompCmpOp,
    value: i32,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, Dword, op, value.cast_unsigned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_and_stays_small() {
        let [first, second] = programs().unwrap();
        assert!(first.len() < 700, "{}", first.len());
        assert!(second.len() < 60, "{}", second.len());
    }
}
