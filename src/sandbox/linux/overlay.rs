//! A `.git` for commands: the real one below, and a layer of the session's own above it that takes what they write.
//!
//! It is mounted once, for all commands of the session, so that they see each other's work. What is cached of the real
//! one is dropped before each command, so that they see the user's work too.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, FlockOperation, Mode, OFlags, StatxAttributes, StatxFlags, flock, fstatfs, openat, statx,
        unlinkat,
    },
    mount::{
        FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MoveMountFlags, UnmountFlags,
        fsconfig_create, fsconfig_reconfigure, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
        fspick, move_mount, unmount,
    },
    process::{chdir, fchdir},
};

use super::{
    hold::become_user,
    launch::eprint_raw,
    obeyed,
    place::{at, open_plain},
    plan::{Entry, Overlay},
};

/// Where the session's layers are, for the processes that mount them. Commands don't see it.
pub(super) const LAYERS: &str = "/.layers";

/// How the roots are called there, as they are without layers: each with its number.
const ROOT: &str = "root-";

/// Held by those who use the layers, in their own directory.
const USED: &str = "used";

/// Held by whoever mounts.
const MOUNTING: &str = "mounting";

/// The parts of a layer: what was changed, and where the kernel works.
pub(super) const UPPER: &str = "upper";
pub(super) const WORK: &str = "work";

/// What the kernel calls this file system.
const MAGIC: u32 = 0x794c_7630;

/// Says that a command uses the layers below `layers`, until the file is closed. Each is counted.
pub(super) fn used(layers: &Path) -> io::Result<File> {
    let mut file = used_file(layers)?;
    flock(&file, FlockOperation::LockShared)?;
    file.write_all(b".")?;
    Ok(file)
}

/// How many commands have begun to use the layers.
pub(super) fn begun(layers: &Path) -> u64 {
    layers.join(USED).metadata().map_or(0, |meta| meta.len())
}

/// The same for somebody who needs them alone; nothing while they are used.
pub(super) fn alone(layers: &Path) -> io::Result<Option<File>> {
    let file = used_file(layers)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Waits until nobody uses them.
pub(super) fn wait_alone(layers: &Path) -> io::Result<()> {
    Ok(flock(used_file(layers)?, FlockOperation::LockExclusive)?)
}

fn used_file(layers: &Path) -> io::Result<File> {
    let path = layers.join(USED);
    File::options().create(true).append(true).open(&path).map_err(|error| at(&path, error))
}

/// Where a root is without layers.
pub(super) fn root(number: usize) -> PathBuf {
    Path::new(LAYERS).join(format!("{ROOT}{number}"))
}

/// Where a path below one of these roots is without layers.
pub(super) fn real(path: &Path, roots: &[PathBuf]) -> Option<PathBuf> {
    let within = roots.iter().enumerate().filter(|(_, root)| path.starts_with(root));
    let (number, within) = within.max_by_key(|(_, root)| root.components().count())?;
    Some(root(number).join(path.strip_prefix(within).ok()?))
}

/// Mounts what a command is to see of the repositories, or renews it, and makes what others obey read-only. In the
/// session's own mount namespace.
pub(super) fn prepare(entry: &Entry) -> io::Result<()> {
    if entry.overlays.is_empty() && entry.protected.is_empty() {
        return Ok(());
    }
    become_user(entry.user)?;
    let lock = Path::new(LAYERS).join(MOUNTING);
    let lock = File::options().create(true).truncate(false).write(true).open(lock)?;
    flock(&lock, FlockOperation::LockExclusive)?;
    for overlay in &entry.overlays {
        // Then it is read-only, as every other one that has no layer.
        if let Err(error) = show(overlay) {
            eprint_raw(&format!("agent: {} is read-only for this command: {error}\n", overlay.git.display()));
        }
    }
    chdir("/")?;
    obeyed::protect(&entry.protected)
}

/// Takes the layers away from a command's own namespace.
pub(super) fn hide() -> io::Result<()> {
    match unmount(LAYERS, UnmountFlags::DETACH) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(at(LAYERS, error.into())),
    }
}

/// Whether what was opened is a repository with a layer.
pub(super) fn is_layered(opened: &OwnedFd) -> io::Result<bool> {
    let attributes = statx(opened, "", AtFlags::EMPTY_PATH, StatxFlags::empty())?.stx_attributes;
    let overlay = fstatfs(opened)?.f_type as u32 == MAGIC;
    Ok(overlay && attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn show(overlay: &Overlay) -> io::Result<()> {
    let Overlay { git, below, layer } = overlay;
    let opened = open_plain(git)?;
    if is_layered(&opened)? {
        let context = fspick(&opened, "", FsPickFlags::FSPICK_EMPTY_PATH | FsPickFlags::FSPICK_CLOEXEC)?;
        return Ok(fsconfig_reconfigure(context.as_fd())?);
    }
    let tree = layered(&open_plain(below)?, &Path::new(LAYERS).join(layer), Lasting::Kept)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&tree, "", &opened, "", flags).map_err(|error| at(git, error.into()))
}

/// What a layer is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lasting {
    Kept,
    /// It is thrown away. The kernel need not write the whole file system out when it goes, which takes as long as
    /// others have written much.
    Tried,
}

/// The directory `below` with a layer above it, mounted nowhere yet.
fn layered(below: &OwnedFd, layer: &Path, lasting: Lasting) -> io::Result<OwnedFd> {
    // By where this process stands, so that no name is looked up again.
    fchdir(below)?;
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "lowerdir", ".")?;
    fsconfig_set_string(context.as_fd(), "upperdir", layer.join(UPPER))?;
    fsconfig_set_string(context.as_fd(), "workdir", layer.join(WORK))?;
    fsconfig_set_flag(context.as_fd(), "userxattr")?;
    if lasting == Lasting::Tried {
        // Linux 5.10; it means nothing else.
        let _ = fsconfig_set_flag(context.as_fd(), "volatile");
    }
    fsconfig_create(context.as_fd())?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)?)
}

/// Whether the directory `below` could have a layer: found out by giving it one, and writing to that.
pub(super) fn attempt(below: &Path) -> io::Result<()> {
    let layer = Path::new(LAYERS).join(format!("attempt-{}", std::process::id()));
    for part in [UPPER, WORK] {
        std::fs::create_dir_all(layer.join(part))?;
    }
    let tried = try_in(below, &layer);
    chdir("/")?;
    std::fs::remove_dir_all(&layer)?;
    tried
}

fn try_in(below: &Path, layer: &Path) -> io::Result<()> {
    std::fs::write(layer.join(UPPER).join("file"), "")?;
    let tree = layered(&open_plain(below)?, layer, Lasting::Tried)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    openat(&tree, "new", flags, Mode::from_raw_mode(0o600))?;
    unlinkat(&tree, "file", AtFlags::empty())?;
    Ok(())
}

/// Where the layers of a session are on the host.
pub(super) fn place(scratch: &Path) -> PathBuf {
    scratch.join("git")
}
