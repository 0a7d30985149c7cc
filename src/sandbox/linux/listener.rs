//! The one thing that leads out of a session's network: a listener that is made inside and held outside.
//!
//! Nothing inside holds it, so that it ends with the agent; and it leads to the agent's proxy alone.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{Ipv4Addr, TcpListener},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Goes with the listener, before the words of the report.
const MARK: &[u8] = b"+";

/// Makes a listener in this process's network, on any of its loopback addresses, and hands it over to whoever reads
/// the standard output.
pub(super) fn hand_over() -> io::Result<()> {
    send(rustix::stdio::stdout(), &make(0)?)
}

/// Makes a listener in this process's network, on any of its loopback addresses: on `port`, or on any for 0.
pub(super) fn make(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
}

/// Hands a descriptor over.
pub(super) fn send(to: impl AsFd, what: &impl AsFd) -> io::Result<()> {
    let fds = [what.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    sendmsg(to, &[IoSlice::new(MARK)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Reads a report to its end, and takes the descriptor that came before it.
pub(super) fn hear(stream: &UnixStream) -> io::Result<(String, Option<OwnedFd>)> {
    let mut said = Vec::new();
    let mut listener = None;
    loop {
        let mut piece = [0_u8; 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(stream, &mut [IoSliceMut::new(&mut piece)], &mut control, RecvFlags::CMSG_CLOEXEC);
        let received = match received {
            Err(rustix::io::Errno::INTR) => continue,
            received => received?,
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                listener = fds.last();
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::other("there is no room for a further descriptor"));
        }
        if received.bytes == 0 {
            let text = String::from_utf8_lossy(&said);
            return Ok((text.strip_prefix('+').unwrap_or(&text).to_owned(), listener));
        }
        said.extend_from_slice(piece.get(..received.bytes).unwrap_or_default());
    }
}
