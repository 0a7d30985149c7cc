//! What a file has beside its content, given back to it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{self, AtFlags, Mode, Timespec, Timestamps},
    io::Errno,
};

use super::{at, node::Meta};

/// Gives an open file or directory what a snapshot knows beside its content.
pub(super) fn apply(file: impl AsFd, meta: &Meta) -> Result<(), Errno> {
    let file = file.as_fd();
    let now = at::stat_open(file)?;
    if (now.uid, now.gid) != (meta.uid, meta.gid) {
        // Only the system's administrator may give files away.
        let _ = fs::fchown(file, Some(uid(meta.uid)), Some(gid(meta.gid)));
    }
    let had = at::extended(file)?;
    for (name, _) in had.iter().filter(|(name, _)| !meta.extended.iter().any(|(wanted, _)| wanted == name)) {
        fs::fremovexattr(file, &name[..])?;
    }
    for (name, value) in meta.extended.iter().filter(|wanted| !had.contains(wanted)) {
        fs::fsetxattr(file, &name[..], value, fs::XattrFlags::empty())?;
    }
    fs::fchmod(file, Mode::from_raw_mode(meta.mode))?;
    fs::futimens(file, &times(meta))
}

pub(super) fn own(folder: &OwnedFd, name: &[u8], meta: &Meta) {
    let wanted = (meta.uid, meta.gid);
    if at::stat(folder, name).is_ok_and(|now| (now.uid, now.gid) != wanted) {
        // As above.
        let _ =
            fs::chownat(folder, name, Some(uid(meta.uid)), Some(gid(meta.gid)), AtFlags::SYMLINK_NOFOLLOW);
    }
}

fn uid(raw: u32) -> fs::Uid {
    fs::Uid::from_raw(raw)
}

fn gid(raw: u32) -> fs::Gid {
    fs::Gid::from_raw(raw)
}

pub(super) fn times(meta: &Meta) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT },
        last_modification: Timespec { tv_sec: meta.mtime.seconds, tv_nsec: meta.mtime.nanos.into() },
    }
}
