//! Terminals for commands.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use portable_pty::{MasterPty, PtySize, native_pty_system};
use rustix::{
    fs::{Mode, OFlags, open},
    termios::{InputModes, OptionalActions, OutputModes, tcgetattr, tcsetattr},
};

use super::screen::Size;

/// The two ends of a terminal.
pub(super) struct Terminal {
    /// The end that we read and type into.
    pub ours: OwnedFd,
    /// The end that the command gets.
    pub theirs: OwnedFd,
}

impl Terminal {
    /// A new terminal, nobody's controlling terminal yet: the sandbox's helper takes it, inside.
    ///
    /// Output processing is off: a line feed is passed on as it is, because the kernel works byte by byte to
    /// turn it into CRLF, four times slower than all the rest. `text::text` does that for what is shown.
    pub(super) fn open() -> io::Result<Self> {
        let Size { rows, columns } = Size::USUAL;
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).map_err(io::Error::other)?;
        let ours = own(&*pair.master)?;
        let name = pair.master.tty_name().ok_or_else(|| io::Error::other("the terminal has no name"))?;
        let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut modes = tcgetattr(&theirs)?;
        modes.output_modes.remove(OutputModes::OPOST);
        modes.input_modes.insert(InputModes::IUTF8);
        tcsetattr(&theirs, OptionalActions::Now, &modes)?;
        Ok(Self { ours, theirs })
    }
}

/// A descriptor of our own, for a reader that can wait for more than one thing.
fn own(master: &dyn MasterPty) -> io::Result<OwnedFd> {
    let raw = master.as_raw_fd().ok_or_else(|| io::Error::other("the terminal has no descriptor"))?;
    #[expect(unsafe_code, reason = "the crate gives the descriptor only as a number")]
    // SAFETY: `master` owns the descriptor, and outlives this borrow.
    let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
    borrowed.try_clone_to_owned()
}
