//! The terminal outside as the one inside is: who looks at it sees whether lines or keys are waited for, and shown.
//!
//! The porter in the container writes what it sees to the terminal there. Here it is taken out of the output, and made
//! so: the modes are set at the terminal outside (which hands everything on all the same), and a process in front there,
//! the stand-in, reads a terminal as long as somebody does so inside.

use std::{io, os::fd::OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{Mode, OFlags},
    io::{read, write},
    pipe::{PipeFlags, pipe_with},
    process::Pid,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr},
};

use crate::sandbox::linux::{
    relay::release_streams,
    sys::{self, Cloned},
};

/// What the porter says of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    lines: bool,
    echo: bool,
    /// Somebody in front reads it, or waits for several things.
    reads: bool,
    polls: bool,
}

impl Seen {
    /// From the letter that stands for it.
    fn from_letter(letter: u8) -> Option<Self> {
        let bits = letter.checked_sub(b'A').filter(|bits| *bits < 16)?;
        let [lines, echo, reads, polls] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
        Some(Self { lines, echo, reads, polls })
    }
}

/// Takes the porter's words out of what a terminal says.
#[derive(Debug)]
pub(super) struct Words {
    /// What they begin with. One letter and [`LAST`] follow.
    first: Vec<u8>,
    /// What may be the beginning of some.
    held: Vec<u8>,
}

const LAST: &[u8] = b"\x1b\\";

impl Words {
    pub(super) fn new(token: &str) -> Self {
        Self { first: [b"\x1b_", token.as_bytes()].concat(), held: Vec::new() }
    }

    /// What is not the porter's, and what it said last, if it said anything.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (Vec<u8>, Option<Seen>) {
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(bytes);
        let (mut plain, mut seen, mut from) = (Vec::new(), None, 0);
        while let Some(at) = memchr::memmem::find(text.get(from..).unwrap_or_default(), &self.first) {
            let at = from + at;
            plain.extend_from_slice(text.get(from..at).unwrap_or_default());
            from = at + self.first.len() + 1 + LAST.len();
            let Some([letter, ..]) = text.get(at + self.first.len()..from) else {
                self.held = text.get(at..).unwrap_or_default().to_vec();
                return (plain, seen);
            };
            seen = Seen::from_letter(*letter).or(seen);
        }
        let rest = text.get(from..).unwrap_or_default();
        let longest = rest.len().min(self.first.len() - 1);
        let begun =
            (1..=longest).rev().find(|count| rest.ends_with(self.first.get(..*count).unwrap_or_default()));
        let (sure, begun) = rest.split_at(rest.len() - begun.unwrap_or(0));
        plain.extend_from_slice(sure);
        self.held = begun.to_vec();
        (plain, seen)
    }

    /// No more comes: what was held back.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

/// Reads a terminal where somebody else is seen doing so: a process in the group in front.
pub(super) struct StandIn {
    /// Its terminal, which nobody else knows, from our side.
    terminal: OwnedFd,
    orders: OwnedFd,
    does: Does,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Does {
    Reads = b'r',
    Polls = b'p',
    Nothing = b'n',
}

impl StandIn {
    /// Starts one in the group of this process. It ends with whoever holds this, and always well.
    pub(super) fn start() -> io::Result<(Pid, Self)> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(name, flags, Mode::empty())?;
        let mut raw = tcgetattr(&theirs)?;
        raw.make_raw();
        tcsetattr(&theirs, OptionalActions::Now, &raw)?;
        let (heard, orders) = pipe_with(PipeFlags::CLOEXEC)?;
        match sys::clone_process(0)? {
            Cloned::Child => {
                drop((ours, orders));
                release_streams();
                stand_in(&theirs, &heard);
                sys::exit_now(0)
            }
            Cloned::Parent(pid) => Ok((pid, Self { terminal: ours, orders, does: Does::Nothing })),
        }
    }

    fn is_to(&mut self, does: Does) {
        if does != self.does {
            let hears = if self.does == Does::Reads { &self.terminal } else { &self.orders };
            // One that is gone is missed by nobody who can tell.
            let _ = write(hears, &[does as u8]);
            self.does = does;
        }
    }
}

fn stand_in(terminal: &OwnedFd, orders: &OwnedFd) {
    let mut order = [Does::Nothing as u8];
    loop {
        let heard = match order {
            [b'r'] => read(terminal, &mut order),
            [b'p'] => {
                poll(&mut [PollFd::new(orders, PollFlags::IN), PollFd::new(terminal, PollFlags::IN)], None)
                    .and_then(|_| read(orders, &mut order))
            }
            _ => read(orders, &mut order),
        };
        match heard {
            Ok(1) | Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}

/// The terminal outside, and who stands in there.
pub(super) struct Mirror {
    plain: Termios,
    stand_in: StandIn,
}

impl Mirror {
    /// Of a terminal that does nothing by itself.
    pub(super) fn new(stand_in: StandIn) -> Option<Self> {
        let plain = tcgetattr(rustix::stdio::stdin()).ok()?;
        Some(Self { plain, stand_in })
    }

    pub(super) fn show(&mut self, seen: Seen) {
        let mut modes = self.plain.clone();
        // The last one keeps the others from doing what they say.
        modes.local_modes.set(LocalModes::ICANON, seen.lines);
        modes.local_modes.set(LocalModes::ECHO, seen.echo);
        modes.local_modes.insert(LocalModes::EXTPROC);
        // A terminal that is gone shows nothing.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes);
        self.stand_in.is_to(match seen {
            Seen { reads: true, .. } => Does::Reads,
            Seen { polls: true, .. } => Does::Polls,
            Seen { .. } => Does::Nothing,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_porters_words_are_taken_out_wherever_they_stand_and_however_they_are_cut() {
        let said = b"\x1bone\x1b_tokD\x1b\\two\x1b_other\x1b\\\x1b_tokG\x1b\\three\x1b_to\x1b";
        let plain = b"\x1bonetwo\x1b_other\x1b\\three\x1b_to\x1b";
        for size in 1..=said.len() {
            let mut words = Words::new("tok");
            let (mut all, mut last) = (Vec::new(), None);
            for chunk in said.chunks(size) {
                let (text, seen) = words.take(chunk);
                all.extend(text);
                last = seen.or(last);
            }
            all.extend(words.finish());
            assert_eq!(all, plain, "{size}");
            assert_eq!(last, Some(Seen { lines: false, echo: true, reads: true, polls: false }));
        }
        assert_eq!(Words::new("tok").take(b"\x1b_tokz\x1b\\x"), (b"x".to_vec(), None));
    }
}
