//! The way of a command's network to the proxy: each command has a network of its own, and so a listener of its own,
//! which is made inside, brought out by the outer stage, and served by the agent until the command ends.
//!
//! The port is the same in each, for commands must know it before there is a listener.

use std::{
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{CWD, Mode, OFlags, openat},
    net::sockopt::socket_peercred,
    process::geteuid,
};

use super::super::{listener, place::at};
use crate::sandbox::network::Network;

/// Where commands find the proxy: above the ports that the kernel gives out itself, and that services have.
pub(in crate::sandbox::linux) const PORT: u16 = 61_180;

/// The agent's socket, in the session's own directory. Commands don't see it.
const SOCKET: &str = "proxy";

/// What says that it is served.
const SERVED: &[u8] = b"k";

/// Serves the listeners of all commands of a session, as long as it lives.
pub(in crate::sandbox::linux) struct Listeners {
    socket: UnixListener,
}

impl Listeners {
    /// For the commands of the session whose directory this is.
    ///
    /// # Errors
    /// When nobody could reach it there.
    pub(in crate::sandbox::linux) fn serve(scratch: &Path, network: &Network) -> io::Result<Self> {
        let (path, _held) = place(scratch)?;
        // Of an agent that was killed.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path, error)),
            _ => {}
        }
        let socket = UnixListener::bind(&path).map_err(|error| at(scratch.join(SOCKET), error))?;
        let (listening, network) = (socket.try_clone()?, network.clone());
        std::thread::Builder::new().name("listeners".into()).spawn(move || {
            while let Ok((stream, _)) = listening.accept() {
                let network = network.clone();
                // One that can't be served is let go, and its command hears of it.
                let _ = std::thread::Builder::new()
                    .name("listener".into())
                    .spawn(move || drop(serve(stream, &network)));
            }
        })?;
        Ok(Self { socket })
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        // Whoever waits for the next one is woken by that.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }
}

/// The socket by a name that is short enough, as long as the descriptor is open.
fn place(scratch: &Path) -> io::Result<(PathBuf, OwnedFd)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let held = openat(CWD, scratch, flags, Mode::empty()).map_err(|error| at(scratch, error.into()))?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", held.as_raw_fd())), held))
}

fn serve(mut stream: UnixStream, network: &Network) -> io::Result<()> {
    if socket_peercred(&stream)?.uid != geteuid() {
        return Ok(());
    }
    let (_, Some(listener)) = listener::hear(&stream)? else { return Ok(()) };
    let _served = network.listen(listener.into())?;
    stream.write_all(SERVED)?;
    // Until whoever stands for the command lets go of it, however that happens.
    loop {
        match poll(&mut [PollFd::new(&stream, PollFlags::empty())], None) {
            Err(rustix::io::Errno::INTR) => {}
            _ => return Ok(()),
        }
    }
}

/// In the outer stage: brings the listener that the inner one makes to the agent, and tells the inner one. What is given
/// must be kept until the command has ended.
///
/// # Errors
/// When the agent does not serve it; the inner stage then ends.
pub(super) fn bring_out(mut inner: UnixStream, scratch: &Path) -> io::Result<Option<UnixStream>> {
    let (_, Some(made)) = listener::hear(&inner)? else {
        // It has said why on its standard error.
        return Ok(None);
    };
    let (path, _held) = place(scratch)?;
    let mut agent = UnixStream::connect(&path).map_err(|error| at(scratch.join(SOCKET), error))?;
    listener::send(&agent, &made)?;
    agent.shutdown(Shutdown::Write)?;
    let mut said = [0_u8];
    agent.read_exact(&mut said)?;
    inner.write_all(&said)?;
    Ok(Some(agent))
}

/// In the inner stage: makes the listener, and waits until it is served.
///
/// # Errors
/// When it is not.
pub(super) fn hand_over(outer: OwnedFd) -> io::Result<()> {
    let mut outer = UnixStream::from(outer);
    let made = listener::make(PORT)?;
    listener::send(&outer, &made)?;
    drop(made);
    outer.shutdown(Shutdown::Write)?;
    let mut said = [0_u8];
    outer.read_exact(&mut said).map_err(|_| io::Error::other("nobody serves its network"))
}
