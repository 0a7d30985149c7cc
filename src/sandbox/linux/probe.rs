//! Whether the layers hold, found out by attacking them: once a session, from inside, before any command runs.

use std::{
    io,
    net::UdpSocket,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::{WaitOptions, waitpid},
};

use super::{
    hold::Failure,
    init,
    plan::Plan,
    sys::{self, Cloned},
};

/// The layer that must refuse an attack, what it means if it does not, and the attack: true when it succeeds.
type Attack = (&'static str, &'static str, fn() -> bool);

const SHM: &str = "/dev/shm";

const ATTACKS: &[Attack] = &[
    ("mounts", "the system can be written", writes_system),
    ("seccomp", "mounting is not refused", mounts),
    ("seccomp", "foreign sockets are not refused", opens_packet_socket),
    ("mounts", "the root can be written", writes_root),
    ("landlock", "a file outside of the writable places can be made", writes_shm),
    ("network namespace", "an address outside is reachable", reaches_out),
];

/// Confines a child as commands are confined, and lets it attack. The version of Landlock that took part.
pub(super) fn attempt(plan: &Plan) -> Result<u32, Failure> {
    let process = |error: io::Error| Failure { layer: "process", reason: error.to_string() };
    match sys::clone_process(0).map_err(process)? {
        Cloned::Child => sys::exit_now(attack(plan)),
        Cloned::Parent(child) => {
            let status = waitpid(Some(child), WaitOptions::empty()).map_err(|error| process(error.into()))?;
            match status.and_then(|(_, status)| status.exit_status()) {
                Some(0) => Ok(sys::landlock_version()),
                Some(code) => Err(broken(code)),
                None => Err(Failure { layer: "seccomp", reason: "the trial process was killed".into() }),
            }
        }
    }
}

/// 0, or which attack succeeded, or which layer could not be had.
fn attack(plan: &Plan) -> i32 {
    // Without the right to a place that the mounts would let it write.
    let written: Vec<PathBuf> = plan.written().into_iter().filter(|path| path != Path::new(SHM)).collect();
    match init::confine(None, &written) {
        Ok(()) => {}
        Err(Failure { layer: "landlock", .. }) => return 101,
        Err(Failure { layer: "seccomp", .. }) => return 102,
        Err(_) => return 103,
    }
    ATTACKS.iter().zip(1..).find(|((_, _, succeeds), _)| succeeds()).map_or(0, |(_, number)| number)
}

fn broken(code: i32) -> Failure {
    let refused = |layer| Failure { layer, reason: "the kernel refused it".into() };
    match code {
        101 => refused("landlock"),
        102 => refused("seccomp"),
        103 => refused("identity"),
        _ => usize::try_from(code - 1).ok().and_then(|at| ATTACKS.get(at)).map_or_else(
            || Failure { layer: "process", reason: format!("the trial process ended with {code}") },
            |(layer, what, _)| Failure { layer, reason: (*what).into() },
        ),
    }
}

fn writes_system() -> bool {
    creates("/usr/.agent-probe")
}

fn writes_root() -> bool {
    creates("/.agent-probe")
}

/// Refused by Landlock alone. Without it, what the mounts say is all there is, and the report says so.
fn writes_shm() -> bool {
    sys::landlock_version() > 0 && creates("/dev/shm/.agent-probe")
}

fn creates(path: &str) -> bool {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let made = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)).is_ok();
    if made {
        // The sandbox is refused then; the file is the least of it.
        let _ = rustix::fs::unlink(path);
    }
    made
}

fn mounts() -> bool {
    rustix::mount::mount("none", "/tmp", "tmpfs", rustix::mount::MountFlags::empty(), None).is_ok()
}

fn opens_packet_socket() -> bool {
    use rustix::net::{AddressFamily, SocketType, socket};
    socket(AddressFamily::VSOCK, SocketType::STREAM, None).map_or_else(|error| error != Errno::PERM, |_| true)
}

/// Asks only for a route: nothing is sent.
fn reaches_out() -> bool {
    UdpSocket::bind("0.0.0.0:0").is_ok_and(|socket| socket.connect("192.0.2.1:9").is_ok())
}
