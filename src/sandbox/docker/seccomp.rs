//! The system calls that commands in a container may make: the same as in the local sandbox, in the engine's words.
//!
//! The engine's own profile would leave more open (`io_uring`, `vsock`, 32-bit calls) and takes nothing away that
//! this one gives: capabilities are dropped beside it.

use libc::c_long;
use serde_json::{Value, json};

use crate::sandbox::linux::{
    filter::{Answer, Test},
    seccomp::rules,
};

macro_rules! names {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

/// The calls that there are rules for, by name: the engine's machine may number them in another way.
const NAMES: &[(&str, c_long)] = names!(
    SYS_acct SYS_add_key SYS_adjtimex SYS_bpf SYS_chroot SYS_clock_adjtime SYS_clock_settime SYS_clone SYS_clone3
    SYS_delete_module SYS_fanotify_init SYS_fchmod SYS_fchmodat SYS_finit_module SYS_fsconfig SYS_fsmount SYS_fsopen
    SYS_fspick SYS_init_module SYS_io_uring_enter SYS_io_uring_register SYS_io_uring_setup SYS_ioctl SYS_kcmp
    SYS_kexec_file_load SYS_kexec_load SYS_keyctl SYS_lookup_dcookie SYS_memfd_secret SYS_mknodat SYS_mount
    SYS_mount_setattr SYS_move_mount SYS_name_to_handle_at SYS_open_by_handle_at SYS_open_tree SYS_openat
    SYS_openat2 SYS_perf_event_open SYS_personality SYS_pidfd_getfd SYS_pivot_root SYS_quotactl SYS_quotactl_fd
    SYS_reboot SYS_request_key SYS_setdomainname SYS_sethostname SYS_setns SYS_settimeofday SYS_socket
    SYS_socketpair SYS_swapoff SYS_swapon SYS_syslog SYS_umount2 SYS_unshare SYS_userfaultfd SYS_vhangup
);
#[cfg(target_arch = "x86_64")]
const NAMES_HERE: &[(&str, c_long)] =
    names!(SYS_chmod SYS_creat SYS_ioperm SYS_iopl SYS_mknod SYS_modify_ldt SYS_open SYS_uselib);
#[cfg(not(target_arch = "x86_64"))]
const NAMES_HERE: &[(&str, c_long)] = &[];
/// Not in our C library's table for every architecture.
const NEWER: &[(&str, c_long)] = &[("SYS_fchmodat2", 452), ("SYS_open_tree_attr", 467)];

/// Bits of the arguments that are looked at.
const WIDTH: u32 = 32;

/// The profile, for an engine on a machine of this architecture (as the engine calls it).
pub(super) fn profile(architecture: &str) -> String {
    let architecture = match architecture {
        "aarch64" | "arm64" => "SCMP_ARCH_AARCH64",
        _ => "SCMP_ARCH_X86_64",
    };
    let calls: Vec<Value> = rules()
        .into_iter()
        .filter_map(|(call, answer)| Some(entries(name(call)?, &answer)))
        .flatten()
        .collect();
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": [architecture], "syscalls": calls })
        .to_string()
}

fn name(call: c_long) -> Option<&'static str> {
    let all = NAMES.iter().chain(NAMES_HERE).chain(NEWER);
    all.into_iter().find(|(_, number)| *number == call).and_then(|(name, _)| name.strip_prefix("SYS_"))
}

fn entries(name: &str, answer: &Answer) -> Vec<Value> {
    let entry = |errno: i32, args: Vec<Value>| json!({ "names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": args });
    match answer {
        Answer::Refuse(errno) => vec![entry(*errno, Vec::new())],
        Answer::RefuseIf(tests) => {
            // All tests must hold, of each at least one way.
            let mut all: Vec<Vec<Value>> = vec![Vec::new()];
            for test in tests {
                let ways = ways(test);
                all = all
                    .iter()
                    .flat_map(|before| {
                        ways.iter().map(move |way| [before.as_slice(), std::slice::from_ref(way)].concat())
                    })
                    .collect();
            }
            all.into_iter().map(|args| entry(libc::EPERM, args)).collect()
        }
    }
}

/// The ways in which a test can hold: for each, the bits that count and what they are.
fn ways(test: &Test) -> Vec<Value> {
    let (at, masked): (u8, Vec<(u32, u32)>) = match test {
        Test::AnyBit(at, bits) => (
            *at,
            (0..WIDTH).map(|bit| 1 << bit).filter(|bit| bits & bit != 0).map(|bit| (bit, bit)).collect(),
        ),
        Test::OneOf(at, values) => (*at, values.iter().map(|value| (u32::MAX, *value)).collect()),
        Test::NoneOf(at, values) => (*at, complement(values, 0, 0)),
    };
    masked
        .into_iter()
        .map(|(mask, value)| json!({ "index": at, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ" }))
        .collect()
}

/// Everything but `values`, below a beginning of `fixed` bits: as blocks of numbers that begin alike.
fn complement(values: &[u32], beginning: u32, fixed: u32) -> Vec<(u32, u32)> {
    let mask = if fixed == 0 { 0 } else { u32::MAX << (WIDTH - fixed) };
    if !values.iter().any(|value| value & mask == beginning) {
        return vec![(mask, beginning)];
    }
    if fixed == WIDTH {
        return Vec::new();
    }
    let next = 1 << (WIDTH - fixed - 1);
    [beginning, beginning | next].iter().flat_map(|part| complement(values, *part, fixed + 1)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_call_of_the_local_sandbox_has_a_name() {
        for (call, _) in rules() {
            assert!(name(call).is_some(), "{call}");
        }
    }

    #[test]
    fn the_profile_allows_what_is_not_listed_and_nothing_of_another_architecture() {
        let profile: Value = serde_json::from_str(&profile("x86_64")).unwrap();
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ALLOW");
        assert_eq!(profile["architectures"], json!(["SCMP_ARCH_X86_64"]));
        let calls = profile["syscalls"].as_array().unwrap();
        let of = |name: &str| calls.iter().filter(|call| call["names"][0] == name).count();
        assert_eq!((of("keyctl"), of("io_uring_setup"), of("read")), (1, 1, 0));
        assert_eq!(of("clone"), 8, "a rule for each kind of namespace");
        assert_eq!(of("openat"), 4, "two bits of the mode, two ways of creating");
    }

    proptest! {
        #[test]
        fn a_complement_holds_everything_else(values in prop::collection::vec(any::<u32>(), 1..5), other: u32) {
            let blocks = complement(&values, 0, 0);
            let held = |number: u32| blocks.iter().any(|(mask, value)| number & mask == *value);
            for value in &values {
                prop_assert!(!held(*value));
            }
            prop_assert_eq!(held(other), !values.contains(&other));
        }
    }
}
