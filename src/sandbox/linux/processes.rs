//! The /proc of a command: its own processes, what programs ask a machine about itself, and nothing else.
//!
//! What there is more of it differs between kernels, so that it is not listed: all that is not known to be wanted is
//! covered with nothing.

use std::{
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::CWD,
    mount::{MountFlags, MoveMountFlags, OpenTreeFlags, mount as mount_new, move_mount, open_tree},
};

use super::{
    mounts::{EMPTY_DIRECTORY, EMPTY_FILE, proc_flags},
    place::at,
};

const PLACE: &str = "/proc";

/// What programs ask for besides processes: `ps`, `free`, `uptime`, `ipcs`, memory allocators and the like. The links
/// among them lead to the process that asks.
const WANTED: &[&str] = &[
    "cpuinfo",
    "filesystems",
    "loadavg",
    "meminfo",
    "mounts",
    "net",
    "self",
    "stat",
    "sys",
    "sysvipc",
    "thread-self",
    "uptime",
    "version",
    "vmstat",
];

/// Mounts that of this process namespace. Nothing can be changed in it, whoever asks.
pub(super) fn mount() -> io::Result<()> {
    let flags = proc_flags() | MountFlags::RDONLY;
    mount_new("proc", PLACE, "proc", flags, None).map_err(|error| at(PLACE, error.into()))?;
    for (path, is_directory) in unwanted()? {
        cover(&path, if is_directory { EMPTY_DIRECTORY } else { EMPTY_FILE })?;
    }
    Ok(())
}

/// What is there and no program is known to want, and whether it is a directory.
pub(super) fn unwanted() -> io::Result<Vec<(PathBuf, bool)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(PLACE)? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if !is_process(&name) && !WANTED.iter().any(|known| name == *known) && !kind.is_symlink() {
            found.push((entry.path(), kind.is_dir()));
        }
    }
    Ok(found)
}

fn is_process(name: &OsStr) -> bool {
    name.as_bytes().iter().all(u8::is_ascii_digit)
}

/// Mounts `nothing` over it, which is read-only where it is.
fn cover(path: &Path, nothing: &str) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, nothing, flags).map_err(|error| at(path, error.into()))?;
    move_mount(&tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|error| at(path, error.into()))
}
