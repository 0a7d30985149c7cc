//! A machine that lacks a layer: it is taken away for real, by a filter of system calls around the whole program.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

use super::world::{Gave, gave};
use crate::support::{has_sandbox, program, skip};

/// What the kernel is made to refuse.
#[derive(Clone, Copy)]
pub struct Refused {
    call: libc::c_long,
    /// Only with one of these bits in the first argument.
    bits: Option<u32>,
    error: libc::c_int,
}

const NO_LANDLOCK: Refused =
    Refused { call: libc::SYS_landlock_create_ruleset, bits: None, error: libc::ENOSYS };
const NO_SECCOMP: Refused = Refused { call: libc::SYS_seccomp, bits: None, error: libc::ENOSYS };
/// What a container's filter mostly refuses.
pub const NO_NAMESPACES: &[Refused] = &[
    Refused { call: libc::SYS_clone, bits: Some(NAMESPACES), error: libc::EPERM },
    Refused { call: libc::SYS_unshare, bits: Some(NAMESPACES), error: libc::EPERM },
    Refused { call: libc::SYS_clone3, bits: None, error: libc::ENOSYS },
    Refused { call: libc::SYS_mount, bits: None, error: libc::EPERM },
    Refused { call: libc::SYS_setns, bits: None, error: libc::EPERM },
];
const NAMESPACES: u32 =
    (libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET).cast_unsigned();

fn filter(refused: Refused) -> Vec<libc::sock_filter> {
    let op = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let (load, equal, set, give) = (
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    );
    let call = u32::try_from(refused.call).unwrap();
    let mut program = vec![
        op(load, 0, 0, 0),
        op(equal, 0, 3, call),
        // The low half of the first argument.
        op(load, 0, 0, 16),
        op(set, 0, 1, refused.bits.unwrap_or(u32::MAX)),
        op(give, 0, 0, libc::SECCOMP_RET_ERRNO | refused.error.unsigned_abs()),
        op(give, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    if refused.bits.is_none() {
        // Whatever its arguments are.
        program[1].jf = 2;
        program.remove(3);
    }
    program
}

/// Takes these away from a program that is about to be started: for what runs between fork and exec.
pub fn without(refused: &[Refused]) -> impl FnMut() -> std::io::Result<()> + Send + Sync + 'static {
    let programs: Vec<Vec<libc::sock_filter>> = refused.iter().map(|refused| filter(*refused)).collect();
    #[expect(unsafe_code, reason = "a filter can only be put around a program by hand")]
    move || {
        for program in &programs {
            let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
            // SAFETY: the program lives until the calls end, and its length is given.
            let failed = unsafe {
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
                    || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) != 0
            };
            if failed {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

/// Takes all namespaces away from a program that is about to be started.
pub fn without_namespaces(command: &mut Command) -> &mut Command {
    #[expect(unsafe_code, reason = "a filter can only be put around a program by hand")]
    // SAFETY: only system calls are made between fork and exec, with memory that was made before.
    unsafe {
        command.pre_exec(without(NO_NAMESPACES))
    }
}

/// Runs the program on a machine without `refused`.
fn agent(refused: &[Refused], args: &[&str]) -> Gave {
    let [home, workspace] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut command = Command::new(program());
    command.args(args).current_dir(workspace.path()).env("AGENT_HOME", home.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[expect(unsafe_code, reason = "a filter can only be put around a program by hand")]
    // SAFETY: only system calls are made between fork and exec, with memory that was made before.
    unsafe {
        command.pre_exec(without(refused));
    }
    gave(command.spawn().unwrap())
}

#[test]
fn without_landlock_commands_run_and_the_loss_is_said() {
    if !has_sandbox() {
        return;
    }
    let ran = agent(&[NO_LANDLOCK], &["sandbox", "--", "echo", "ran"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "ran\n"), "{ran:?}");
    let doctor = agent(&[NO_LANDLOCK], &["doctor"]);
    assert!(doctor.out.contains("✗ sandbox landlock"), "{doctor:?}");
    assert!(doctor.out.contains("✓ sandbox seccomp"), "{doctor:?}");
}

#[test]
fn without_another_layer_nothing_runs_and_the_reason_is_said() {
    if !has_sandbox() {
        return;
    }
    for (refused, hint) in [
        (&[NO_SECCOMP][..], "CONFIG_SECCOMP_FILTER"),
        (&[&[NO_LANDLOCK], NO_NAMESPACES].concat(), "make user namespaces"),
        (&[&[NO_LANDLOCK], NO_NAMESPACES].concat(), "without namespaces version 3 is needed"),
        (&[&[NO_SECCOMP], NO_NAMESPACES].concat(), "seccomp: the kernel refused it"),
    ] {
        let ran = agent(refused, &["sandbox", "--", "echo", "ran"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(6), ""), "{hint}: {ran:?}");
        assert!(ran.err.contains(hint) && ran.err.contains("danger-full-access"), "{hint}: {ran:?}");
        let doctor = agent(refused, &["doctor"]);
        assert!(doctor.out.contains("✗ sandbox"), "{hint}: {doctor:?}");
    }
}

#[test]
fn without_control_groups_there_are_limits_of_each_process_and_that_is_said() {
    if !has_sandbox() {
        return;
    }
    let [home, workspace] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let root = rustix::process::geteuid().is_root();
    let run = |args: &str| {
        // An ordinary user can't take them away, and mostly has none.
        let hide = if root { "mount -t tmpfs none /sys/fs/cgroup && " } else { "" };
        let mut command = Command::new(if root { "unshare" } else { "env" });
        command.args(root.then_some("-m")).args(["sh", "-c"]);
        command.arg(format!("{hide}exec \"$0\" {args}")).arg(program());
        command.current_dir(workspace.path()).env("AGENT_HOME", home.path());
        gave(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    if run("--version").code != Some(0) || (!root && run("doctor").out.contains("✓ sandbox limits")) {
        return skip("a machine without control groups: they can't be taken away here");
    }
    let doctor = run("doctor");
    assert!(doctor.out.contains("✗ sandbox limits"), "{doctor:?}");
    let limits = run("sandbox -- bash -c 'ulimit -n; ulimit -c; ulimit -d; ulimit -u'");
    assert_eq!((limits.code, limits.out.as_str()), (Some(0), "8192\n0\n4194304\n512\n"), "{limits:?}");
}
