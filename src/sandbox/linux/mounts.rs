//! The private root of a session: the system read-only, the workspace, a home and scratch space of its own, and
//! nothing else of the machine.
//!
//! Sources are opened before the process gives up its identity, and mounted after it: a path that only the user
//! may walk is shown all the same.

use std::{
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::{DirBuilderExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, open},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
        fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
        unmount,
    },
    process::{chdir, fchdir, pivot_root},
};

use super::{
    overlay,
    place::{self, at, kind, open_plain},
    plan::Plan,
    secrets,
    sys::{MountChange, set_mount},
};
use crate::sandbox::env;

/// What of the system is shown. Links among them are made again as links.
pub(super) const SYSTEM: &[&str] = &[
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/gnu", "/snap",
];

/// Devices that are shown.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// What of the system is not shown: it holds secrets, or may.
pub(super) const SECRETS: &[&str] = &[
    "/etc/NetworkManager/system-connections",
    "/etc/cifs-credentials",
    "/etc/credstore",
    "/etc/credstore.encrypted",
    "/etc/environment",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/ipsec.secrets",
    "/etc/krb5.keytab",
    "/etc/kubernetes",
    "/etc/letsencrypt",
    "/etc/machine-id",
    "/etc/netrc",
    "/etc/openvpn",
    "/etc/pki/tls/private",
    "/etc/ppp",
    "/etc/rancher",
    "/etc/security/opasswd",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/wireguard",
];

/// What is mounted over what is not to be seen.
pub(super) const EMPTY_DIRECTORY: &str = "/.empty-directory";
pub(super) const EMPTY_FILE: &str = "/.empty-file";

/// The same, with the way to what is shown in it.
const WAYS: &str = "/.ways";

/// What stands in the place of files that hold secrets.
const MASK: &str = "/.hidden-file";

/// Sizes of what lives in memory.
pub(super) const SHM_SIZE: &str = "1073741824";
const ROOT_SIZE: &str = "16m";

/// A tree to be mounted.
struct Source {
    tree: OwnedFd,
    to: PathBuf,
    /// Further flags, besides `nosuid` (and `nodev`, but for devices).
    set: u64,
    directory: bool,
    /// Where it can't be mounted, it is not there.
    optional: bool,
}

/// All trees of a session, opened but not mounted yet.
pub(super) struct Sources {
    system: Vec<Source>,
    links: Vec<(PathBuf, PathBuf)>,
    own: Vec<Source>,
    /// Mounted last: they may lie in what is covered.
    shown: Vec<Source>,
    proc: OwnedFd,
}

/// Trees of the session that the parent has opened and mapped, with their places inside.
pub(super) type Mapped = Vec<(OwnedFd, PathBuf)>;

const WHOLE_TREE: OpenTreeFlags =
    OpenTreeFlags::OPEN_TREE_CLONE.union(OpenTreeFlags::OPEN_TREE_CLOEXEC).union(OpenTreeFlags::AT_RECURSIVE);

const RO: u64 = libc::MOUNT_ATTR_RDONLY;
const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;

impl Sources {
    /// Opens everything that the plan shows. `mapped` are the trees that commands may write, if they had to be
    /// opened by somebody with more rights.
    pub(super) fn open(plan: &Plan, mapped: Option<Mapped>) -> io::Result<Self> {
        let mut system = Vec::new();
        let mut links = Vec::new();
        for path in SYSTEM.iter().map(Path::new) {
            match std::fs::symlink_metadata(path) {
                Ok(meta) if meta.is_symlink() => links.push((std::fs::read_link(path)?, path.to_owned())),
                Ok(meta) if meta.is_dir() => system.push(Source::new(path, path, RO | NODEV)?),
                _ => {}
            }
        }
        // This program itself, under the other name that it answers to. Found by its path: what /proc knows of it
        // belongs to the namespace that it was started in. A program that was removed meanwhile is not there, and of
        // one that was replaced only commands get the new one.
        let patch = Path::new(env::PROGRAMS).join("apply_patch");
        system.extend(Source::new(&plan.program, &patch, RO | NODEV));
        for name in DEVICES {
            let path = Path::new("/dev").join(name);
            system.push(Source::new(&path, &path, 0)?);
        }
        let mut own = match mapped {
            Some(trees) => trees
                .into_iter()
                .map(|(tree, to)| Source { tree, to, set: NODEV, directory: true, optional: false })
                .collect(),
            None => writable(plan)
                .iter()
                .map(|(from, to)| Source::plain(from, to, NODEV))
                .collect::<io::Result<Vec<_>>>()?,
        };
        for source in &mut own {
            if !plan.write && plan.shared().any(|path| path == source.to) {
                source.set |= RO;
            }
        }
        for tool in &plan.tools {
            // A tool that can't be opened is not there.
            own.extend(Source::new(tool, tool, RO | NODEV).map(|source| Source { optional: true, ..source }));
        }
        let shown = plan.shown.iter().filter_map(|path| Source::new(path, path, RO | NODEV).ok()).collect();
        // The home lies under the tools in it, and a workspace in the home over both.
        own.sort_by_key(|source| source.to.components().count());
        // The kernel gives out a new /proc only where one can be seen already: here still the host's, and for the
        // commands this one.
        let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(context.as_fd(), "subset", "pid")?;
        let proc = mounted(&context, MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_NODEV)
            .map_err(|error| at("/proc", error))?;
        Ok(Self { system, links, own, shown, proc })
    }

    /// Makes them the root of this process and of everything that is started from it.
    /// `user` is the number of who lives there, when it is not one that the system knows already.
    pub(super) fn mount(self, plan: &Plan, user: Option<u32>) -> io::Result<()> {
        let root = tmpfs(ROOT_SIZE, "0755")?;
        // Any directory that everybody may reach will do: it is left a moment later.
        move_to(&root, Path::new("/usr"))?;
        fchdir(&root)?;
        pivot_root(".", ".").map_err(|error| at("pivot_root", error.into()))?;
        unmount(".", UnmountFlags::DETACH).map_err(|error| at("the old root", error.into()))?;
        chdir("/")?;

        for directory in ["/dev", "/proc", "/run", "/var"] {
            place::make(Path::new(directory), true, &[])?;
        }
        for (target, link) in &self.links {
            symlink(target, link)?;
        }
        symlink("/run", "/var/run")?;
        for source in self.system {
            source.mount(&[])?;
        }
        devices()?;
        let private = plan.private().map(|(_, to)| to);
        for source in self.own {
            let optional = source.optional;
            source.mount(&private).or_else(|error| if optional { Ok(()) } else { Err(error) })?;
        }
        if let Some(user) = user {
            introduce(
                "/etc/passwd",
                user,
                &format!("agent:x:{user}:{user}::{}:/bin/sh\n", plan.home.display()),
            )?;
            introduce("/etc/group", user, &format!("agent:x:{user}:\n"))?;
        }
        cover(plan)?;
        for source in self.shown {
            // Without it commands have no skills, and are none the worse for it.
            drop(source.mount(&private));
        }
        move_to(&self.proc, Path::new("/proc"))?;
        seal()
    }
}

/// Which directories of the system are shown here.
pub(super) fn shown() -> Vec<&'static Path> {
    SYSTEM
        .iter()
        .map(Path::new)
        .filter(|path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir()))
        .collect()
}

/// How every /proc is mounted.
pub(super) fn proc_flags() -> MountFlags {
    MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC
}

/// The directories of the host that commands may write (or, in read-only mode, would), with their places inside.
pub(super) fn writable(plan: &Plan) -> Vec<(PathBuf, PathBuf)> {
    let shared = plan.shared().map(|path| (path.to_owned(), path.to_owned()));
    // Once more, so that what is below a layer can be reached when there is one. Commands don't see these.
    let below =
        plan.repositories().into_iter().enumerate().map(|(number, path)| (path, overlay::root(number)));
    plan.private().into_iter().chain(shared).chain(below).collect()
}

/// Makes the private directories of a session on the host.
///
/// # Errors
/// Also when the directory that they are to lie in is gone: who comes that late must not make it anew, for nobody
/// would remove it.
pub(super) fn make_private(plan: &Plan) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(&plan.scratch) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(&plan.scratch, error)),
        _ => {}
    }
    // What of the program's own could be made by a command must be there to be covered.
    let own = plan.own.iter().filter(|own| plan.write && plan.shared().any(|root| own.starts_with(root)));
    for path in plan.private().into_iter().map(|(path, _)| path).chain(own.cloned()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|error| at(&path, error))?;
    }
    Ok(())
}

impl Source {
    fn new(from: &Path, to: &Path, set: u64) -> io::Result<Self> {
        let tree = open_tree(CWD, from, WHOLE_TREE).map_err(|error| at(from, error.into()))?;
        let directory = kind(&tree).map_err(|error| at(from, error))? == FileType::Directory;
        Ok(Self { tree, to: to.to_owned(), set, directory, optional: false })
    }

    /// The same, of a path that must have no link in it.
    fn plain(from: &Path, to: &Path, set: u64) -> io::Result<Self> {
        let opened = open_plain(from)?;
        let directory = kind(&opened).map_err(|error| at(from, error))? == FileType::Directory;
        let tree = open_tree(&opened, "", WHOLE_TREE | OpenTreeFlags::AT_EMPTY_PATH)
            .map_err(|error| at(from, error.into()))?;
        Ok(Self { tree, to: to.to_owned(), set, directory, optional: false })
    }

    /// Mounts it. Below `private` what is in the way is removed.
    fn mount(self, private: &[PathBuf]) -> io::Result<()> {
        let change = MountChange { set: self.set | NOSUID, private: true, recursive: true, idmap: None };
        set_mount(self.tree.as_fd(), &change).map_err(|error| at(&self.to, error))?;
        let to = place::make(&self.to, self.directory, private)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&self.tree, "", &to, "", flags).map_err(|error| at(&self.to, error.into()))
    }
}

fn devices() -> io::Result<()> {
    for (target, link) in [
        ("pts/ptmx", "/dev/ptmx"),
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
    ] {
        symlink(target, link)?;
    }
    let context = fsopen("devpts", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_flag(context.as_fd(), "newinstance")?;
    fsconfig_set_string(context.as_fd(), "ptmxmode", "0666")?;
    fsconfig_set_string(context.as_fd(), "mode", "0620")?;
    place::make(Path::new("/dev/pts"), true, &[])?;
    let terminals =
        mounted(&context, MountAttrFlags::MOUNT_ATTR_NOEXEC).map_err(|error| at("devpts", error))?;
    move_to(&terminals, Path::new("/dev/pts"))?;
    place::make(Path::new("/dev/shm"), true, &[])?;
    move_to(&tmpfs(SHM_SIZE, "1777")?, Path::new("/dev/shm"))?;
    // The message queues of the session. Where the kernel has none, there are none.
    if let Ok(context) = fsopen("mqueue", FsOpenFlags::FSOPEN_CLOEXEC) {
        place::make(Path::new("/dev/mqueue"), true, &[])?;
        let queues = mounted(&context, MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_NODEV)
            .map_err(|error| at("/dev/mqueue", error))?;
        move_to(&queues, Path::new("/dev/mqueue"))?;
    }
    Ok(())
}

/// Covers secrets with nothing, wherever they can be seen.
fn cover(plan: &Plan) -> io::Result<()> {
    let empty = (Path::new(EMPTY_DIRECTORY), Path::new(EMPTY_FILE));
    std::fs::DirBuilder::new().mode(0o500).create(empty.0)?;
    place::make(empty.1, false, &[])?;
    std::fs::write(MASK, secrets::TEXT)?;
    for own in &plan.own {
        pin(plan, own)?;
    }
    for path in covered(plan) {
        let nothing = match nothing_for(plan, &path)? {
            Some(Nothing::Ways) => {
                ways(plan, &path)?;
                Path::new(WAYS)
            }
            Some(Nothing::Directory) => empty.0,
            Some(Nothing::File) => empty.1,
            None => continue,
        };
        Source::plain(nothing, &path, RO | NODEV)?.mount(&[])?;
    }
    Ok(())
}

/// What is shown in the place of something.
pub(super) enum Nothing {
    Directory,
    /// A directory with the ways to what is shown all the same.
    Ways,
    File,
}

/// What nobody is to see, wherever it is shown.
pub(super) fn covered(plan: &Plan) -> impl Iterator<Item = PathBuf> {
    // Where a link of the system leads is what has to be covered.
    let system = SECRETS.iter().filter_map(|path| Path::new(path).canonicalize().ok());
    // A session's own folder may lie in the workspace; what it holds is not for commands.
    system.chain(plan.own.iter().chain(&plan.secrets).chain([&plan.scratch]).cloned())
}

/// By what a path is covered; nothing where there is nothing to be covered.
///
/// # Errors
/// When commands could reach what can't be covered: that is no sandbox.
pub(super) fn nothing_for(plan: &Plan, path: &Path) -> io::Result<Option<Nothing>> {
    // In trees that commands write there may be links of theirs, which lead to nothing that was meant.
    match open_plain(path).and_then(|opened| kind(&opened)) {
        Ok(FileType::Directory) if plan.shown.iter().any(|shown| shown.starts_with(path)) => {
            Ok(Some(Nothing::Ways))
        }
        Ok(FileType::Directory) => Ok(Some(Nothing::Directory)),
        Ok(_) => Ok(Some(Nothing::File)),
        Err(error)
            if error.kind() != io::ErrorKind::NotFound
                && plan.own.iter().any(|own| own == path)
                && plan.shared().any(|root| path.starts_with(root)) =>
        {
            Err(error)
        }
        Err(_) => Ok(None),
    }
}

/// Makes a directory that holds nothing but the ways to what is shown in a covered one.
fn ways(plan: &Plan, covered: &Path) -> io::Result<()> {
    for way in plan.shown.iter().filter_map(|shown| shown.strip_prefix(covered).ok()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(Path::new(WAYS).join(way))?;
    }
    Ok(())
}

/// Shows a line of text in the place of each of these files. In a command's own mount namespace.
pub(super) fn mask(paths: &[PathBuf]) -> io::Result<()> {
    for path in paths {
        Source::plain(Path::new(MASK), path, RO | NODEV)?.mount(&[])?;
    }
    Ok(())
}

/// Keeps the directories above a place of the program's own from being renamed, and others from taking their place:
/// a directory that something is mounted on stays.
fn pin(plan: &Plan, own: &Path) -> io::Result<()> {
    for path in above(plan, own) {
        Source::plain(path, path, NODEV)?.mount(&[])?;
    }
    Ok(())
}

/// The directories between a root that commands see and a place of the program's own in it, the outermost first.
pub(super) fn above<'a>(plan: &Plan, own: &'a Path) -> Vec<&'a Path> {
    let root = plan.shared().filter(|root| own.starts_with(root));
    let Some(root) = root.max_by_key(|root| root.components().count()) else { return Vec::new() };
    let mut between: Vec<&Path> = own.ancestors().skip(1).take_while(|path| *path != root).collect();
    between.reverse();
    between
}

/// Adds a line to a list of users or groups that does not have the number: programs want a name for it.
fn introduce(list: &str, number: u32, line: &str) -> io::Result<()> {
    let Ok(mut text) = std::fs::read_to_string(list) else { return Ok(()) };
    let number = number.to_string();
    if text.lines().any(|line| line.split(':').nth(2) == Some(number.as_str())) {
        return Ok(());
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    let list = &Path::new(list).canonicalize()?;
    let copy = Path::new("/").join(format!(".{}", list.file_name().unwrap_or_default().display()));
    std::fs::write(&copy, text).map_err(|error| at(&copy, error))?;
    Source::new(&copy, list, RO | NODEV)?.mount(&[])
}

/// Makes the root itself read-only: not one file of it is a command's.
fn seal() -> io::Result<()> {
    let root = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    set_mount(root.as_fd(), &MountChange { set: RO | NODEV | NOSUID, ..MountChange::default() })
        .map_err(|error| at("/", error))
}

fn tmpfs(size: &str, mode: &str) -> io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "size", size)?;
    fsconfig_set_string(context.as_fd(), "mode", mode)?;
    mounted(&context, MountAttrFlags::MOUNT_ATTR_NODEV)
}

/// A new file system, mounted nowhere yet.
fn mounted(context: &OwnedFd, flags: MountAttrFlags) -> io::Result<OwnedFd> {
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags | MountAttrFlags::MOUNT_ATTR_NOSUID)?)
}

fn move_to(tree: &OwnedFd, to: &Path) -> io::Result<()> {
    move_mount(tree.as_fd(), "", CWD, to, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|error| at(to, error.into()))
}
