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
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
        fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
        unmount,
    },
    process::{chdir, fchdir, pivot_root},
};

use super::{
    plan::Plan,
    sys::{MountChange, set_mount},
};
use crate::sandbox::env;

/// What of the system is shown. Links among them are made again as links.
const SYSTEM: &[&str] = &[
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/gnu", "/snap",
];

/// Devices that are shown.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// What of the system is not shown: it holds secrets, or may.
const SECRETS: &[&str] = &[
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

/// Credential files within the tools of a user, by name relative to HOME.
const SECRETS_OF_TOOLS: &[&str] =
    &[".bun/bin/.npmrc", ".local/share/uv/credentials", ".nvm/.npmrc", "go/.netrc"];

/// Sizes of what lives in memory.
const SHM_SIZE: &str = "1g";
const ROOT_SIZE: &str = "16m";

/// A tree to be mounted.
struct Source {
    tree: OwnedFd,
    to: PathBuf,
    /// Further flags, besides `nosuid` (and `nodev`, but for devices).
    set: u64,
    directory: bool,
}

/// All trees of a session, opened but not mounted yet.
pub(super) struct Sources {
    system: Vec<Source>,
    links: Vec<(PathBuf, PathBuf)>,
    own: Vec<Source>,
    git: Option<PathBuf>,
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
            Some(trees) => {
                trees.into_iter().map(|(tree, to)| Source { tree, to, set: NODEV, directory: true }).collect()
            }
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
            own.extend(Source::new(tool, tool, RO | NODEV));
        }
        // The home lies under the tools in it, and a workspace in the home over both.
        own.sort_by_key(|source| source.to.components().count());
        let git = plan.workspace.join(".git");
        let git = (plan.write && git.symlink_metadata().is_ok()).then_some(git);
        // The kernel gives out a new /proc only where one can be seen already: here still the host's, and for the
        // commands this one.
        let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(context.as_fd(), "subset", "pid")?;
        let proc = mounted(&context, MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_NODEV)
            .map_err(|error| at("/proc", error))?;
        Ok(Self { system, links, own, git, proc })
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
            make_directory(Path::new(directory))?;
        }
        for (target, link) in &self.links {
            symlink(target, link)?;
        }
        symlink("/run", "/var/run")?;
        for source in self.system {
            source.mount()?;
        }
        devices()?;
        for source in self.own {
            source.mount()?;
        }
        if let Some(git) = self.git {
            Source::plain(&git, &git, RO | NODEV)?.mount()?;
        }
        if let Some(user) = user {
            introduce(
                "/etc/passwd",
                user,
                &format!("agent:x:{user}:{user}::{}:/bin/sh\n", plan.home.display()),
            )?;
            introduce("/etc/group", user, &format!("agent:x:{user}:\n"))?;
        }
        hide(plan)?;
        move_to(&self.proc, Path::new("/proc"))?;
        seal()
    }
}

/// How every /proc is mounted.
pub(super) fn proc_flags() -> MountFlags {
    MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC
}

/// The directories of the host that commands may write (or, in read-only mode, would), with their places inside.
pub(super) fn writable(plan: &Plan) -> Vec<(PathBuf, PathBuf)> {
    plan.private().into_iter().chain(plan.shared().map(|path| (path.to_owned(), path.to_owned()))).collect()
}

/// Makes the private directories of a session on the host.
pub(super) fn make_private(plan: &Plan) -> io::Result<()> {
    for (path, _) in plan.private() {
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
        let directory = is_directory(&tree).map_err(|error| at(from, error))?;
        Ok(Self { tree, to: to.to_owned(), set, directory })
    }

    /// The same, of a path that must have no link in it.
    fn plain(from: &Path, to: &Path, set: u64) -> io::Result<Self> {
        let opened = open_plain(from)?;
        let directory = is_directory(&opened).map_err(|error| at(from, error))?;
        let tree = open_tree(&opened, "", WHOLE_TREE | OpenTreeFlags::AT_EMPTY_PATH)
            .map_err(|error| at(from, error.into()))?;
        Ok(Self { tree, to: to.to_owned(), set, directory })
    }

    fn mount(self) -> io::Result<()> {
        let change = MountChange { set: self.set | NOSUID, private: true, recursive: true, idmap: None };
        set_mount(self.tree.as_fd(), &change).map_err(|error| at(&self.to, error))?;
        if self.directory {
            make_directory(&self.to)?;
        } else {
            make_file(&self.to)?;
        }
        // The place is in trees that a command may have written in an earlier life of the session: a link there
        // would only lead to another place in the private root, but it would be the wrong one.
        if std::fs::symlink_metadata(&self.to).map_err(|error| at(&self.to, error))?.is_symlink() {
            return Err(at(&self.to, io::Error::other("is a link")));
        }
        move_to(&self.tree, &self.to)
    }
}

/// Opens a path that had no link in it when it was judged, and must have none now.
pub(super) fn open_plain(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        .map_err(|error| at(path, error.into()))
}

fn is_directory(tree: &OwnedFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(tree)?.st_mode) == FileType::Directory)
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
    make_directory(Path::new("/dev/pts"))?;
    let terminals =
        mounted(&context, MountAttrFlags::MOUNT_ATTR_NOEXEC).map_err(|error| at("devpts", error))?;
    move_to(&terminals, Path::new("/dev/pts"))?;
    make_directory(Path::new("/dev/shm"))?;
    move_to(&tmpfs(SHM_SIZE, "1777")?, Path::new("/dev/shm"))
}

/// Covers secrets with nothing.
fn hide(plan: &Plan) -> io::Result<()> {
    let empty = (Path::new("/.empty-directory"), Path::new("/.empty-file"));
    std::fs::DirBuilder::new().mode(0o500).create(empty.0)?;
    make_file(empty.1)?;
    let in_tools = SECRETS_OF_TOOLS.iter().map(|name| plan.home.join(name));
    // A session's own folder may lie in the workspace; what it holds is not for commands.
    let scratch = plan.shared().any(|shared| plan.scratch.starts_with(shared)).then(|| plan.scratch.clone());
    for path in SECRETS.iter().map(PathBuf::from).chain(in_tools).chain(scratch) {
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => Source::new(empty.0, &path, RO | NODEV)?.mount()?,
            Ok(meta) if meta.is_file() => Source::new(empty.1, &path, RO | NODEV)?.mount()?,
            _ => {}
        }
    }
    Ok(())
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
    let list = Path::new(list);
    let copy = Path::new("/").join(format!(".{}", list.file_name().unwrap_or_default().display()));
    std::fs::write(&copy, text).map_err(|error| at(&copy, error))?;
    Source::new(&copy, list, RO | NODEV)?.mount()
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

fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(|error| at(path, error))
}

fn make_file(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), make_directory)?;
    std::fs::File::create(path).map(drop).map_err(|error| at(path, error))
}

#[expect(clippy::needless_pass_by_value, reason = "so that it can be given to `map_err`")]
fn at(path: impl AsRef<Path>, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.as_ref().display()))
}
