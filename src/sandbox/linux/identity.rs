//! Who commands are: the user themself, or, when the program runs as root, somebody without power.
//!
//! Root's files in the workspace then belong to that somebody inside, by an id-mapped mount, and stay root's
//! outside.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::Path,
};

use rustix::{
    fs::fstat,
    mount::{OpenTreeFlags, open_tree},
    process::{Pid, Signal, WaitOptions, getegid, geteuid, kill_process, waitpid},
};

use super::{
    place::open_plain,
    plan::Plan,
    sys::{self, Cloned, MountChange, set_mount},
};

/// A user id that no system gives to anybody: above the ranges of people, services and containers.
const NOBODY_ELSE: u32 = 1_900_000_000;

/// What root is called inside when the workspace is root's.
const INSIDE: u32 = 1000;

/// The last id there is, and how many there are.
const LAST: u32 = u32::MAX - 1;

/// The one user of a session's user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// The user, under their own number.
    Same { uid: u32, gid: u32 },
    /// Another one than root: `inside` is what commands see, of the user and of the group, `host` and `group` are what
    /// the kernel counts.
    Other { inside: u32, host: u32, group: u32 },
}

impl Identity {
    /// For the plan of a session of this process.
    pub(super) fn choose(plan: &Plan) -> Self {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        if uid != 0 {
            return Self::Same { uid, gid };
        }
        let owner = std::fs::metadata(&plan.workspace).map_or((0, 0), |meta| (meta.uid(), meta.gid()));
        Self::instead_of_root(owner)
    }

    /// For root, by the owner and the group of the workspace. Neither is ever root's.
    fn instead_of_root(owner: (u32, u32)) -> Self {
        match owner {
            (0, _) => Self::Other { inside: INSIDE, host: NOBODY_ELSE, group: NOBODY_ELSE },
            (owner, 0) => Self::Other { inside: owner, host: owner, group: owner },
            (owner, group) => Self::Other { inside: owner, host: owner, group },
        }
    }

    /// Number to become inside, if it is not the one that the process has.
    pub(super) fn becomes(self) -> Option<u32> {
        match self {
            Self::Same { .. } => None,
            Self::Other { inside, .. } => Some(inside),
        }
    }

    /// Writes the maps of the user namespace that `child` is in.
    pub(super) fn map(self, child: Pid) -> io::Result<()> {
        let (uids, gids) = match self {
            Self::Same { uid, gid } => (format!("{uid} {uid} 1"), format!("{gid} {gid} 1")),
            Self::Other { inside, host, group } => {
                (format!("{inside} {host} 1"), format!("{inside} {group} 1"))
            }
        };
        if matches!(self, Self::Same { .. }) {
            write_map(child, "setgroups", "deny")?;
        }
        write_map(child, "gid_map", &gids)?;
        write_map(child, "uid_map", &uids)
    }
}

/// Trees of the host that show root's files as the other user's.
pub(super) struct Idmap {
    namespace: OwnedFd,
    host: u32,
}

impl Idmap {
    /// For `identity`, if it needs one.
    pub(super) fn new(identity: Identity) -> io::Result<Option<Self>> {
        let Identity::Other { host, group, .. } = identity else { return Ok(None) };
        Ok(Some(Self { namespace: user_namespace(&root_is(host), &root_is(group))?, host }))
    }

    /// A detached copy of the tree at `path`, mapped. Not for trees that belong to the other user already.
    pub(super) fn tree(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let opened = open_plain(path)?;
        let mapped = |recursive: bool| -> io::Result<OwnedFd> {
            let all = if recursive { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
            let tree = open_tree(&opened, "", flags | all)?;
            if fstat(&opened)?.st_uid != self.host {
                let idmap = Some(self.namespace.as_fd());
                set_mount(tree.as_fd(), &MountChange { idmap, recursive, ..MountChange::default() })?;
            }
            Ok(tree)
        };
        // A file system below that can't be mapped must not take the whole workspace with it: it stays away.
        mapped(true).or_else(|_| mapped(false))
    }
}

/// A map in which root's number is `host`, and all others are themselves.
fn root_is(host: u32) -> String {
    let (below, after) = (host - 1, host + 1);
    let mut map = format!("0 {host} 1");
    // The kernel takes no line for nobody.
    for (from, count) in [(1, below), (after, LAST - host)] {
        if count > 0 {
            map += &format!("\n{from} {from} {count}");
        }
    }
    map
}

/// A user namespace with these maps, kept by its descriptor.
fn user_namespace(users: &str, groups: &str) -> io::Result<OwnedFd> {
    match sys::clone_process(libc::CLONE_NEWUSER)? {
        Cloned::Child => loop {
            // Until it is killed, a moment from now; or with its parent, should that die first.
            let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            sys::next_signal();
        },
        Cloned::Parent(child) => {
            let opened = write_map(child, "gid_map", groups)
                .and_then(|()| write_map(child, "uid_map", users))
                .and_then(|()| File::open(format!("/proc/{child}/ns/user")));
            let _ = kill_process(child, Signal::KILL);
            let _ = waitpid(Some(child), WaitOptions::empty());
            Ok(opened?.into())
        }
    }
}

fn write_map(child: Pid, file: &str, text: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/{child}/{file}"), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_covers_every_number_once() {
        assert_eq!(root_is(1000), "0 1000 1\n1 1 999\n1001 1001 4294966294");
        assert_eq!(u64::from(LAST), 1000 + 4_294_966_294);
        assert_eq!(root_is(1), "0 1 1\n2 2 4294967293");
        assert_eq!(root_is(LAST), "0 4294967294 1\n1 1 4294967293");
    }

    #[test]
    fn nobody_acts_as_root_or_its_group() {
        for (owner, (inside, host, group)) in [
            ((0, 0), (1000, NOBODY_ELSE, NOBODY_ELSE)),
            ((0, 100), (1000, NOBODY_ELSE, NOBODY_ELSE)),
            ((1, 0), (1, 1, 1)),
            ((1000, 100), (1000, 1000, 100)),
        ] {
            assert_eq!(
                Identity::instead_of_root(owner),
                Identity::Other { inside, host, group },
                "{owner:?}"
            );
        }
    }
}
