//! Whether the terminal is still there.
//!
//! A window that is closed sends SIGHUP only to those whose controlling terminal it was. For everybody else the
//! end of the terminal is something that one has to look for: reading it then neither blocks nor ends.

use std::{io, os::fd::OwnedFd, sync::Arc, thread};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use tokio::sync::Notify;

/// Tells when nobody has the other end of this terminal any more. The thread that looks ends with the program.
///
/// # Errors
/// When no thread can be started.
pub fn gone(terminal: OwnedFd) -> io::Result<Arc<Notify>> {
    let hung_up = Arc::<Notify>::default();
    let told = Arc::clone(&hung_up);
    let look = move || {
        let over = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        loop {
            // Ends of a terminal are told without being asked for.
            let mut fds = [PollFd::new(&terminal, PollFlags::empty())];
            match poll(&mut fds, None) {
                Ok(_) if fds[0].revents().intersects(over) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
        told.notify_one();
    };
    thread::Builder::new().name("hang-up".into()).stack_size(64 << 10).spawn(look)?;
    Ok(hung_up)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    #[tokio::test]
    async fn a_terminal_whose_other_end_is_closed_is_gone() {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = std::fs::File::open(name.to_str().unwrap()).unwrap();
        let hung_up = gone(theirs.into()).unwrap();
        assert_eq!(hung_up.notified().now_or_never(), None);
        drop(ours);
        hung_up.notified().await;
    }
}
