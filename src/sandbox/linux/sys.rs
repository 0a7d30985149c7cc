//! System calls that our crates don't have in a safe form. Everything unsafe of this module is in this file.
//!
//! All of it is for the helper processes, which have one thread.

use std::{
    ffi::{CStr, CString},
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use rustix::process::Pid;

/// Which of the two processes goes on after [`clone_process`].
pub(in crate::sandbox) enum Cloned {
    Parent(Pid),
    Child,
}

/// Forks, into the new namespaces that `flags` name.
#[expect(
    unsafe_code,
    reason = "fork has no safe form; the helpers have one thread, so everything is allowed after it"
)]
pub(in crate::sandbox) fn clone_process(flags: libc::c_int) -> io::Result<Cloned> {
    let flags = flags | libc::SIGCHLD;
    // SAFETY: without CLONE_VM and with a null stack this is `fork`. The caller has one thread, so no lock can be
    // held by a thread that the child does not have.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    Ok(match i32::try_from(pid).ok().and_then(Pid::from_raw) {
        Some(pid) => Cloned::Parent(pid),
        None => Cloned::Child,
    })
}

/// Ends this process at once, without what the runtime does at exit: it may share its memory image with a parent.
#[expect(unsafe_code, reason = "_exit")]
pub(in crate::sandbox) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` may be called at any time.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor from `first` on.
#[expect(unsafe_code, reason = "close_range")]
pub(in crate::sandbox) fn close_from(first: u32) {
    // SAFETY: called when a helper starts, before it owns any descriptor beyond the standard three.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// A descriptor that was handed on to this program under a number. It is not handed on any further.
///
/// # Errors
/// When there is none, or it belongs to somebody here.
#[expect(unsafe_code, reason = "a descriptor known by its number")]
pub(super) fn take(number: &std::ffi::OsStr) -> io::Result<OwnedFd> {
    let number = number.to_str().and_then(|text| text.parse::<i32>().ok());
    let number = number.filter(|number| *number > 2).ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: it asks of a number alone, and fails where nothing is open under it.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
    // SAFETY: it is open, and nothing of this program has opened anything yet: each number is taken once, at its start.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Blocks all signals, so that they wait for [`next_signal`] or a [`signal_fd`].
pub(in crate::sandbox) fn block_signals() {
    mask(libc::SIG_BLOCK);
}

/// Gives all signals back their default actions and lets them through: what a fresh program expects.
#[expect(unsafe_code, reason = "signal")]
pub(in crate::sandbox) fn default_signals() {
    for signal in 1..=64 {
        // SAFETY: setting a default action; the kernel refuses signals that can't have one.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    mask(libc::SIG_UNBLOCK);
}

/// Makes a write that nobody reads an error like others.
#[expect(unsafe_code, reason = "signal")]
pub(in crate::sandbox) fn ignore_broken_pipes() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Waits for a signal. All of them must be blocked.
#[expect(unsafe_code, reason = "sigwaitinfo")]
pub(super) fn next_signal() -> i32 {
    let all = every_signal();
    loop {
        // SAFETY: the set is valid, and a null info is allowed.
        let signal = unsafe { libc::sigwaitinfo(&raw const all, std::ptr::null_mut()) };
        if signal > 0 {
            return signal;
        }
    }
}

/// A descriptor that becomes readable when a child ends.
#[expect(unsafe_code, reason = "signalfd")]
pub(super) fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset; the descriptor is ours.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        check(fd.into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Lets ended children vanish without being waited for.
#[expect(unsafe_code, reason = "signal")]
pub(super) fn ignore_children() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Becomes another program. Returns only when that fails.
#[expect(unsafe_code, reason = "execve")]
pub(super) fn execve(program: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both lists end with null and point to texts that live until the call ends.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// What [`set_mount`] changes.
#[derive(Default)]
pub(super) struct MountChange<'a> {
    pub(super) set: u64,
    pub(super) private: bool,
    /// The user namespace whose map the mount gets.
    pub(super) idmap: Option<BorrowedFd<'a>>,
    pub(super) recursive: bool,
}

/// Changes a mount, and what is mounted below it.
#[expect(unsafe_code, reason = "mount_setattr")]
pub(super) fn set_mount(mount: BorrowedFd<'_>, change: &MountChange<'_>) -> io::Result<()> {
    let attr = libc::mount_attr {
        attr_set: change.set | if change.idmap.is_some() { libc::MOUNT_ATTR_IDMAP } else { 0 },
        attr_clr: 0,
        propagation: if change.private { libc::MS_PRIVATE } else { 0 },
        userns_fd: change.idmap.map_or(0, |fd| fd.as_raw_fd().unsigned_abs().into()),
    };
    let recursive = if change.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is empty and valid, the structure is whole and its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    })?;
    Ok(())
}

/// Joins all namespaces in `flags` of the process behind `pidfd`.
#[expect(unsafe_code, reason = "setns")]
pub(super) fn join_namespaces(pidfd: BorrowedFd<'_>, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: plain numbers; the caller has one thread.
    check(unsafe { libc::setns(pidfd.as_raw_fd(), flags) }.into())?;
    Ok(())
}

/// Brings the loopback interface of a fresh network namespace up.
#[expect(unsafe_code, reason = "an ioctl on a network interface")]
pub(super) fn loopback_up() -> io::Result<()> {
    // SAFETY: the request is zeroed and then filled as SIOCSIFFLAGS expects; the socket is ours.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        check(socket.into())?;
        let socket = OwnedFd::from_raw_fd(socket);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l'.cast_signed() as libc::c_char;
        request.ifr_name[1] = b'o'.cast_signed() as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request).into())?;
    }
    Ok(())
}

/// Has the kernel run `program` at every system call of this process from now on. Needs no-new-privileges.
pub(super) fn install_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    install(program, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW).map(drop)
}

/// The same of a program that has somebody asked: who reads the descriptor, see [`next_call`].
#[expect(unsafe_code, reason = "a descriptor that the kernel made")]
pub(super) fn install_listener(program: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let listener = i32::try_from(install(program, flags)?).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: it was just made, for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

#[expect(unsafe_code, reason = "seccomp")]
fn install(program: &[libc::sock_filter], flags: libc::c_ulong) -> io::Result<i64> {
    let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let filter = libc::sock_fprog {
        len: program.len().try_into().map_err(too_long)?,
        // The kernel only reads it.
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the program lives until the call ends, and its length is given.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter)
    })
}

/// A system call whose caller waits for somebody to answer it.
pub(super) struct Asked {
    pub(super) id: u64,
    /// The thread that makes it.
    pub(super) caller: u32,
    pub(super) number: i64,
    pub(super) args: [u64; 6],
}

/// The next call that is asked about; waits for one.
#[expect(unsafe_code, reason = "an ioctl on a listener of seccomp")]
pub(super) fn next_call(listener: BorrowedFd<'_>) -> io::Result<Asked> {
    // SAFETY: the kernel wants it zeroed, and fills it.
    let call = unsafe {
        let mut call: libc::seccomp_notif = std::mem::zeroed();
        check(libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV as _, &raw mut call).into())?;
        call
    };
    Ok(Asked { id: call.id, caller: call.pid, number: call.data.nr.into(), args: call.data.args })
}

/// Whether the caller still waits: else its number may be somebody else's.
#[expect(unsafe_code, reason = "an ioctl on a listener of seccomp")]
pub(super) fn still_asks(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads the number alone.
    let answer =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _, &raw const id) };
    answer == 0
}

/// Has a call return 0, or this error. Nobody may be there any more to get it.
#[expect(unsafe_code, reason = "an ioctl on a listener of seccomp")]
pub(super) fn answer_call(listener: BorrowedFd<'_>, id: u64, error: i32) {
    let answer = libc::seccomp_notif_resp { id, val: 0, error: -error, flags: 0 };
    // SAFETY: the kernel only reads it.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND as _, &raw const answer) };
}

/// Empties a file, without opening it.
#[expect(unsafe_code, reason = "truncate")]
pub(super) fn truncate(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path ends with a zero byte.
    check(unsafe { libc::truncate(path.as_ptr(), 0) }.into())?;
    Ok(())
}

/// Which version of Landlock the kernel has; 0 for none.
#[expect(unsafe_code, reason = "landlock_create_ruleset")]
pub(super) fn landlock_version() -> u32 {
    const VERSION: u32 = 1;
    // SAFETY: a query without attributes.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION)
    };
    u32::try_from(version).unwrap_or(0)
}

#[expect(unsafe_code, reason = "sigprocmask")]
fn mask(how: libc::c_int) {
    let all = every_signal();
    // SAFETY: the set is valid, and no old set is asked for.
    unsafe { libc::sigprocmask(how, &raw const all, std::ptr::null_mut()) };
}

#[expect(unsafe_code, reason = "sigfillset")]
fn every_signal() -> libc::sigset_t {
    // SAFETY: a zeroed set is valid, and is then filled.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        set
    }
}

fn check(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
