//! What a hostile command would try, one thing at a time: run inside a sandbox by whoever wants to know whether it
//! holds, and outside of one to know that the attempt is worth something.
//!
//! It says how its attempt went, and proves nothing by that: what counts is looked at from outside.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::{TcpStream, UdpSocket},
    os::unix::{ffi::OsStrExt as _, net::UnixStream},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, geteuid, getrlimit, kill_process, setrlimit};

/// The first argument of the program in this role.
pub const ROLE: &str = "__attempt";

/// How long somebody who answers is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Makes an attempt, if `args` (without the program's name) say so. It succeeds with 0.
pub(super) fn main(args: &[OsString]) -> Option<ExitCode> {
    let [role, what, rest @ ..] = args else { return None };
    if role != ROLE {
        return None;
    }
    let on: &OsStr = rest.first().map_or(OsStr::new(""), OsString::as_os_str);
    let done = match what.to_str()? {
        "write" => write(Path::new(on)),
        "read" => read(Path::new(on)),
        "environ" => environ(),
        "kill" => kill(on),
        "tcp" => connect(on),
        "udp" => send(on),
        "unix" => UnixStream::connect(on).map(drop),
        "abstract" => abstract_socket(on),
        "power" => power(),
        "cores" => cores(),
        "kernel" => kernel(),
        _ => return Some(ExitCode::from(2)),
    };
    if let Err(error) = &done {
        // Nobody may be there to read it.
        let _ = writeln!(io::stderr(), "{error}");
    }
    Some(ExitCode::from(u8::from(done.is_err())))
}

fn write(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).open(path)?.write_all(b"x")
}

fn read(path: &Path) -> io::Result<()> {
    io::stdout().write_all(&fs::read(path)?)
}

/// The environment of this process, and of all others that let it be read.
fn environ() -> io::Result<()> {
    let mut out = io::stdout();
    for (name, value) in super::env::inherited() {
        out.write_all(name.as_bytes())?;
        out.write_all(b"=")?;
        out.write_all(value.as_bytes())?;
        out.write_all(b"\n")?;
    }
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Ok(environ) = fs::read(process.path().join("environ")) {
            out.write_all(&environ)?;
        }
    }
    Ok(())
}

fn kill(pid: &OsStr) -> io::Result<()> {
    let pid = pid.to_str().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    Ok(kill_process(pid.ok_or(io::ErrorKind::InvalidInput)?, Signal::KILL)?)
}

fn connect(address: &OsStr) -> io::Result<()> {
    let address = address.to_str().and_then(|text| text.parse().ok()).ok_or(io::ErrorKind::InvalidInput)?;
    TcpStream::connect_timeout(&address, PATIENCE).map(drop)
}

fn send(address: &OsStr) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.send_to(b"x", address.to_str().ok_or(io::ErrorKind::InvalidInput)?).map(drop)
}

#[cfg(target_os = "linux")]
fn abstract_socket(name: &OsStr) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name.as_bytes())?;
    UnixStream::connect_addr(&address).map(drop)
}

#[cfg(not(target_os = "linux"))]
fn abstract_socket(_: &OsStr) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// To be somebody whom files of others obey.
fn power() -> io::Result<()> {
    if geteuid().is_root() { Ok(()) } else { Err(refused("this is not root")) }
}

/// To leave an image of the memory behind.
fn cores() -> io::Result<()> {
    let most = getrlimit(Resource::Core).maximum;
    // One byte holds none; nothing at all would still start a program that the kernel pipes them to (core(5)).
    if most.is_some_and(|bytes| bytes <= 1) {
        return Err(refused("none may be written"));
    }
    Ok(setrlimit(Resource::Core, Rlimit { current: most, maximum: most })?)
}

/// Interfaces of the kernel that no build needs, and that give more power than a command should have. Says which of
/// them answer. None of them changes anything outside of this process.
#[cfg(target_os = "linux")]
fn kernel() -> io::Result<()> {
    use rustix::{
        mount::{FsOpenFlags, fsopen},
        net::{AddressFamily, SocketType, socket},
    };
    let answered: Vec<&str> = [
        ("file systems", fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).is_ok()),
        ("sockets to virtual machines", socket(AddressFamily::VSOCK, SocketType::STREAM, None).is_ok()),
        ("keys", answers(libc::SYS_keyctl, [0, -3, 0])),
        ("namespaces", answers(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0])),
    ]
    .into_iter()
    .filter_map(|(name, answers)| answers.then_some(name))
    .collect();
    if answered.is_empty() {
        return Err(refused("all of them are refused"));
    }
    writeln!(io::stdout(), "{}", answered.join(", "))
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "system calls that no crate offers")]
fn answers(call: libc::c_long, args: [libc::c_long; 3]) -> bool {
    let [a, b, c] = args;
    // SAFETY: neither call is given an address: one asks for the number of a keyring, the other one gives this
    // process, which has one thread, a namespace of its own.
    unsafe { libc::syscall(call, a, b, c) >= 0 }
}

#[cfg(not(target_os = "linux"))]
fn kernel() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
