//! Sockets of the host's own processes that lie where commands can see them: a database of the project, a container's
//! or an editor's. Who connects to one is served by a process outside of the sandbox, so that they are covered.
//!
//! A socket is bound to the network namespace that it was made in: those that commands make themselves are none of
//! the host's, and stay. One that the host makes while a command runs is covered for the next command.

use std::{collections::BTreeSet, io, os::fd::AsFd as _, path::PathBuf};

use rustix::{
    fs::{CWD, FileType},
    mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree},
};

use super::{
    mounts::EMPTY_FILE,
    place::{at, kind, open_plain},
    sys::{MountChange, set_mount},
};

/// The sockets that processes of this network namespace listen on by a path below one of `roots`.
pub(super) fn below(roots: &[PathBuf]) -> Vec<PathBuf> {
    // Unreadable or not there: then there is nothing to be told of, and none of this is the only wall.
    let table = std::fs::read("/proc/self/net/unix").unwrap_or_default();
    let mut found: Vec<PathBuf> = listed(&String::from_utf8_lossy(&table), roots)
        .into_iter()
        .filter_map(|path| path.canonicalize().ok())
        .filter(|path| roots.iter().any(|root| path.starts_with(root)))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The paths in the kernel's table that may lie in one of `roots`. A name that begins nowhere was given by a process
/// that stood somewhere: most likely in one of them. Each once: one that begins at the root is the same for all of them.
fn listed(table: &str, roots: &[PathBuf]) -> BTreeSet<PathBuf> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            // The seventh field, the last one, may hold blanks.
            let mut rest = line;
            for _ in 0..7 {
                rest = rest.trim_start().split_once(' ')?.1;
            }
            Some(rest).filter(|path| !path.is_empty() && !path.starts_with('@'))
        })
        .flat_map(|path| roots.iter().map(move |root| root.join(path)))
        .collect()
}

/// Mounts nothing over each of them, for this process's own mount namespace.
pub(super) fn cover(sockets: &[PathBuf]) -> io::Result<()> {
    for path in sockets {
        let opened = match open_plain(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        if kind(&opened)? != FileType::Socket {
            continue;
        }
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let nothing = open_tree(CWD, EMPTY_FILE, flags).map_err(|error| at(path, error.into()))?;
        let set = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID;
        set_mount(nothing.as_fd(), &MountChange { set, private: true, ..MountChange::default() })
            .map_err(|error| at(path, error))?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&nothing, "", &opened, "", flags).map_err(|error| at(path, error.into()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_kernels_table_is_read_with_any_name() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                     0000000000000000: 00000002 00000000 00010000 0001 01 23701 /run/user/1 2/bus\n\
                     0000000000000000: 00000002 00000000 00010000 0001 01 23702 @/tmp/.X11-unix/X0\n\
                     0000000000000000: 00000003 00000000 00000000 0001 03 23703\n\
                     0000000000000000: 00000002 00000000 00010000 0001 01   904 tmp/puma.sock\n";
        let roots = ["/a", "/b"].map(PathBuf::from);
        assert_eq!(
            listed(table, &roots),
            ["/run/user/1 2/bus", "/a/tmp/puma.sock", "/b/tmp/puma.sock"].map(PathBuf::from).into()
        );
    }

    #[test]
    fn a_socket_is_found_below_its_root_alone() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for name in ["in", "out"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        let _in = UnixListener::bind(root.join("in/x y")).unwrap();
        let _out = UnixListener::bind(root.join("out/x")).unwrap();
        assert_eq!(below(&[root.join("in")]), [root.join("in/x y")]);
    }
}
