//! Modes, owners and times of files: Landlock does not look at those calls, and a filter can't see the path. So the
//! watcher is asked about them, and makes them in the command's place where the command may write.
//!
//! It works on what it has opened itself, with words that it has copied: what the command changes meanwhile in its
//! memory, or in its directories, changes nothing.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::{ffi::OsStringExt as _, fs::FileExt as _, net::UnixStream},
    },
    path::{Path, PathBuf},
};

use libc::c_long;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{
        AtFlags, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, chmod, chownat, open, openat2,
        utimensat,
    },
    io::Errno,
};

use super::super::{filter::asking, listener, sys};

/// The same number everywhere.
const FCHMODAT2: c_long = 452;

/// What is asked about.
const CALLS: &[c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
];

/// Permissions that may be given. Others are refused by the general filter already.
const MODES: u64 = 0o1777;

/// Bytes of a path with its end, as the kernel takes it.
const LONGEST: usize = 4096;

/// Has somebody asked about these calls of this process, and of whatever it starts: whoever hears at the other end.
pub(super) fn confine(to: &UnixStream) -> io::Result<()> {
    let listener = sys::install_listener(&asking(CALLS))?;
    listener::send(to, &listener)
}

/// Who is asked.
pub(super) struct Asked {
    listener: OwnedFd,
    /// Where commands write.
    written: Vec<PathBuf>,
}

/// What a call is about: a file, and what is to become of it.
struct Meant {
    file: OwnedFd,
    change: Change,
}

enum Change {
    Mode(Mode),
    Owner(Option<Uid>, Option<Gid>),
    Times(Timestamps),
}

impl Asked {
    /// Waits until a command has told who is asked; nothing when it ended before.
    pub(super) fn hear(from: &UnixStream, written: Vec<PathBuf>) -> Option<Self> {
        let (_, listener) = listener::hear(from).ok()?;
        Some(Self { listener: listener?, written })
    }

    /// Readable when somebody asks.
    pub(super) fn listener(&self) -> &OwnedFd {
        &self.listener
    }

    /// Answers one call. Nobody may wait for it any more.
    pub(super) fn answer(&self) {
        let listener = self.listener.as_fd();
        let Ok(call) = sys::next_call(listener) else { return };
        let done = meant(&call).and_then(|meant| {
            // All of it was read from who asked, and not from somebody who got the number since.
            if sys::still_asks(listener, call.id) { self.make(&meant) } else { Err(Errno::SRCH) }
        });
        sys::answer_call(listener, call.id, done.err().map_or(0, Errno::raw_os_error));
    }

    /// Answers until nobody is left who could ask.
    pub(super) fn answer_all(&self) {
        loop {
            let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => {}
                Ok(_) if fds[0].revents().contains(PollFlags::IN) => self.answer(),
                _ => return,
            }
        }
    }

    fn make(&self, meant: &Meant) -> Result<(), Errno> {
        let held = held(&meant.file);
        let path = std::fs::read_link(&held).map_err(|_| Errno::ACCESS)?;
        if !self.written.iter().any(|root| path.starts_with(root)) {
            return Err(Errno::PERM);
        }
        match &meant.change {
            Change::Mode(mode) => chmod(&held, *mode),
            Change::Owner(user, group) => chownat(&meant.file, "", *user, *group, AtFlags::EMPTY_PATH),
            Change::Times(times) => utimensat(&meant.file, "", times, AtFlags::EMPTY_PATH),
        }
    }
}

/// The name by which an open file is known, whatever became of its path.
fn held(file: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// What a call says.
fn meant(call: &sys::Asked) -> Result<Meant, Errno> {
    let caller = Caller { place: PathBuf::from(format!("/proc/{}", call.caller)) };
    let [a, b, c, d, e, _] = call.args;
    let here = i64::from(libc::AT_FDCWD).cast_unsigned();
    let follow = 0;
    let mode = |mode: u64| Change::Mode(Mode::from_raw_mode((mode & MODES) as u32));
    let owner =
        |user: u64, group: u64| Change::Owner(id(user).map(Uid::from_raw), id(group).map(Gid::from_raw));
    let (file, change) = match call.number {
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chmod => (caller.at(here, a, follow)?, mode(b)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chown => (caller.at(here, a, follow)?, owner(b, c)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_lchown => (caller.at(here, a, libc::AT_SYMLINK_NOFOLLOW)?, owner(b, c)),
        libc::SYS_fchmod => (caller.open(a)?, mode(b)),
        libc::SYS_fchmodat => (caller.at(a, b, follow)?, mode(c)),
        FCHMODAT2 => (caller.at(a, b, flags(d))?, mode(c)),
        libc::SYS_fchown => (caller.open(a)?, owner(b, c)),
        libc::SYS_fchownat => (caller.at(a, b, flags(e))?, owner(c, d)),
        libc::SYS_utimensat => {
            let file = if b == 0 { caller.open(a)? } else { caller.at(a, b, flags(d))? };
            (file, Change::Times(caller.times(c)?))
        }
        _ => return Err(Errno::NOSYS),
    };
    Ok(Meant { file, change })
}

/// Who asks, by its directory in /proc.
struct Caller {
    place: PathBuf,
}

impl Caller {
    /// What the path at an address means to it.
    fn at(&self, directory: u64, address: u64, flags: i32) -> Result<OwnedFd, Errno> {
        let path = self.path(address)?;
        if path.as_os_str().is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
            return self.open(directory);
        }
        if flags & libc::AT_SYMLINK_NOFOLLOW == 0
            && let Some(descriptor) = own_descriptor(&path)
        {
            return self.open(descriptor);
        }
        let from = match number(directory) {
            libc::AT_FDCWD => self.opened(Path::new("cwd"))?,
            _ if path.is_absolute() => self.opened(Path::new("root"))?,
            _ => self.open(directory)?,
        };
        let nofollow =
            if flags & libc::AT_SYMLINK_NOFOLLOW != 0 { OFlags::NOFOLLOW } else { OFlags::empty() };
        // Others of them would lead to what this process has open, and not to what the caller has.
        openat2(
            from,
            path,
            OFlags::PATH | OFlags::CLOEXEC | nofollow,
            Mode::empty(),
            ResolveFlags::NO_MAGICLINKS,
        )
    }

    /// What it has open under a number.
    fn open(&self, descriptor: u64) -> Result<OwnedFd, Errno> {
        match number(descriptor) {
            libc::AT_FDCWD => self.opened(Path::new("cwd")),
            descriptor => self.opened(&Path::new("fd").join(descriptor.to_string())),
        }
    }

    fn opened(&self, name: &Path) -> Result<OwnedFd, Errno> {
        open(self.place.join(name), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(
            |error| match error {
                Errno::NOENT => Errno::BADF,
                other => other,
            },
        )
    }

    fn path(&self, address: u64) -> Result<PathBuf, Errno> {
        let mut bytes = vec![0; LONGEST];
        let count = self.read(address, &mut bytes)?;
        bytes.truncate(count);
        let end = bytes.iter().position(|byte| *byte == 0).ok_or(Errno::NAMETOOLONG)?;
        bytes.truncate(end);
        Ok(OsString::from_vec(bytes).into())
    }

    /// Two times, of access and of change; none are the present.
    fn times(&self, address: u64) -> Result<Timestamps, Errno> {
        let now = Timespec { tv_sec: 0, tv_nsec: libc::UTIME_NOW };
        if address == 0 {
            return Ok(Timestamps { last_access: now, last_modification: now });
        }
        let mut bytes = [0; 32];
        if self.read(address, &mut bytes)? != bytes.len() {
            return Err(Errno::FAULT);
        }
        let mut numbers =
            bytes.chunks_exact(8).filter_map(|word| Some(i64::from_ne_bytes(word.try_into().ok()?)));
        let mut time = || Some(Timespec { tv_sec: numbers.next()?, tv_nsec: numbers.next()? });
        let (access, change) = (time().ok_or(Errno::FAULT)?, time().ok_or(Errno::FAULT)?);
        Ok(Timestamps { last_access: access, last_modification: change })
    }

    /// Reads its memory, as far as there is some.
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        let memory = File::open(self.place.join("mem")).map_err(|_| Errno::PERM)?;
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match memory.read_at(rest, address.wrapping_add(done as u64)) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if done > 0 => break,
                Err(_) => return Err(Errno::FAULT),
            }
        }
        Ok(done)
    }
}

/// The descriptor behind a name for what a process has open itself: C libraries make do with those for calls that an
/// older kernel did not have.
fn own_descriptor(path: &Path) -> Option<u64> {
    let name = path.strip_prefix("/proc/self/fd").or_else(|_| path.strip_prefix("/dev/fd")).ok()?;
    let digits = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

/// A descriptor or flags: the kernel looks at the lower half alone.
fn number(argument: u64) -> i32 {
    (argument as u32).cast_signed()
}

fn flags(argument: u64) -> i32 {
    number(argument)
}

/// A user or group; -1 leaves it as it is.
fn id(argument: u64) -> Option<u32> {
    Some(argument as u32).filter(|id| *id != u32::MAX)
}
