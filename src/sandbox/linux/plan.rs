//! What commands see: a plan of paths, made by the agent, carried out by the holder, and known to each command's
//! own start.
//!
//! Pure but for [`Plan::new`], which looks at what exists. The plan travels as arguments.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use super::overlay;
use crate::{
    protocol::SandboxMode,
    sandbox::{SandboxError, Settings, env},
};

/// Directories that are never a workspace: they would show or shadow what the sandbox keeps private.
const NEVER_WHOLE: &[&str] = &[
    "/",
    "/bin",
    "/boot",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/opt",
    "/root",
    "/sbin",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local",
    "/usr/sbin",
    "/var",
    "/var/tmp",
];

/// Directories in which nothing is a workspace.
const NEVER_WITHIN: &[&str] = &["/dev", "/proc", "/sys"];

/// The layout of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Whether commands may write the workspace.
    pub(super) write: bool,
    /// Whether there is a proxy for commands, which wants a listener inside.
    pub(super) network: bool,
    pub(super) workspace: PathBuf,
    pub(super) writable: Vec<PathBuf>,
    /// Where HOME is inside.
    pub(super) home: PathBuf,
    /// The session's directory outside: its `home`, `tmp` and `var-tmp` are HOME, /tmp and /var/tmp inside, so
    /// that a later command, or a resumed session, finds what an earlier one left there.
    pub(super) scratch: PathBuf,
    /// Tools of the user, read-only.
    pub(super) tools: Vec<PathBuf>,
    /// Where this program lies.
    pub(super) program: PathBuf,
    /// Directories of this program.
    pub(super) own: Vec<PathBuf>,
    /// Directories that commands read, wherever they lie.
    pub(super) shown: Vec<PathBuf>,
    /// Files of the user's tools that hold credentials.
    pub(super) secrets: Vec<PathBuf>,
}

impl Plan {
    /// The plan for a session of this process.
    pub(super) fn new(settings: &Settings) -> Result<Self, SandboxError> {
        let home = env::home();
        // What is compared is what is opened later: paths without links.
        let homes = [home.clone(), real(&home)];
        let workspace = settings.workspace.clone();
        if real(&workspace) != workspace {
            return Err(SandboxError {
                message: format!("{} is reached through a link", workspace.display()),
            });
        }
        let writable: Vec<PathBuf> =
            settings.writable.iter().map(|path| existing(path)).collect::<Result<_, _>>()?;
        let own: Vec<PathBuf> = settings.own.iter().map(|path| real(path)).collect();
        for directory in std::iter::once(&workspace).chain(&writable) {
            check(directory, &homes, &own)?;
        }
        check_path(&settings.scratch)?;
        // What lies in the roots is there anyway, and may be a link that a command made.
        let within = |path: &Path| {
            writable.iter().chain([&workspace]).any(|root| path.starts_with(root))
                || homes.iter().any(|home| home.starts_with(path))
        };
        let tools = env::tools()
            .into_iter()
            .filter(|tool| !hidden_by_system(tool) && !within(tool) && !within(&real(tool)))
            .collect();
        Ok(Self {
            write: settings.mode != SandboxMode::ReadOnly,
            network: false,
            workspace,
            writable,
            home,
            scratch: real(&settings.scratch),
            tools: outermost(tools),
            program: settings.program.clone(),
            own,
            shown: settings.shown.iter().map(|path| real(path)).filter(|path| path.is_dir()).collect(),
            // By the names under which their tools are shown, and their own.
            secrets: env::secrets().into_iter().flat_map(|path| [real(&path), path]).collect(),
        })
    }

    /// What commands may write, besides devices.
    pub(super) fn written(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            ["/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue"].map(PathBuf::from).into();
        paths.push(self.home.clone());
        if self.write {
            paths.push(self.workspace.clone());
            paths.extend(self.writable.iter().cloned());
        }
        paths
    }

    /// The directories in which what others obey must be kept from commands.
    pub(super) fn repositories(&self) -> Vec<PathBuf> {
        if self.write { self.shared().map(Path::to_owned).collect() } else { Vec::new() }
    }

    /// The directories of the user whose owner commands act as: `scratch/home` and its neighbours excepted.
    pub(super) fn shared(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.workspace.as_path()).chain(self.writable.iter().map(PathBuf::as_path))
    }

    /// The directories of the user that commands see, writable or not.
    pub(super) fn seen(&self) -> Vec<PathBuf> {
        self.shared().map(Path::to_owned).chain(self.tools.iter().cloned()).collect()
    }

    /// The host directories behind HOME, /tmp and /var/tmp, with their places inside; and that of the layers, which
    /// commands don't see.
    pub(super) fn private(&self) -> [(PathBuf, PathBuf); 4] {
        [
            (self.scratch.join("home"), self.home.clone()),
            (self.scratch.join("tmp"), "/tmp".into()),
            (self.scratch.join("var-tmp"), "/var/tmp".into()),
            (overlay::place(&self.scratch), overlay::LAYERS.into()),
        ]
    }

    /// As arguments for the helper.
    pub(super) fn to_args(&self) -> Vec<OsString> {
        let mode = if self.write { "write" } else { "read" };
        let mut args: Vec<OsString> = vec![mode.into()];
        if self.network {
            args.push("network=proxy".into());
        }
        let mut add = |key: &str, path: &Path| {
            let mut arg = OsString::from(key);
            arg.push("=");
            arg.push(path);
            args.push(arg);
        };
        add("workspace", &self.workspace);
        add("home", &self.home);
        add("scratch", &self.scratch);
        add("program", &self.program);
        for path in &self.writable {
            add("writable", path);
        }
        for (key, paths) in
            [("tool", &self.tools), ("own", &self.own), ("shown", &self.shown), ("secret", &self.secrets)]
        {
            for path in paths {
                add(key, path);
            }
        }
        args
    }

    /// Back from arguments.
    pub(super) fn from_args(args: &[OsString]) -> Option<Self> {
        let (mode, rest) = args.split_first()?;
        let mut plan = Self {
            write: mode == "write",
            network: false,
            workspace: PathBuf::new(),
            writable: Vec::new(),
            home: PathBuf::new(),
            scratch: PathBuf::new(),
            tools: Vec::new(),
            program: PathBuf::new(),
            own: Vec::new(),
            shown: Vec::new(),
            secrets: Vec::new(),
        };
        for arg in rest {
            let at = arg.as_bytes().iter().position(|byte| *byte == b'=')?;
            let (key, value) = arg.as_bytes().split_at(at);
            let path = PathBuf::from(OsString::from_vec(value.get(1..)?.to_vec()));
            match key {
                b"workspace" => plan.workspace = path,
                b"home" => plan.home = path,
                b"scratch" => plan.scratch = path,
                b"program" => plan.program = path,
                b"network" => plan.network = true,
                b"writable" => plan.writable.push(path),
                b"tool" => plan.tools.push(path),
                b"own" => plan.own.push(path),
                b"shown" => plan.shown.push(path),
                b"secret" => plan.secrets.push(path),
                _ => return None,
            }
        }
        (!plan.workspace.as_os_str().is_empty()).then_some(plan)
    }
}

/// The path with the links in it resolved, as far as it exists.
fn real(path: &Path) -> PathBuf {
    path.ancestors()
        .find_map(|known| Some(known.canonicalize().ok()?.join(path.strip_prefix(known).ok()?)))
        .unwrap_or_else(|| path.to_owned())
}

/// The same, of a directory that must be there.
fn existing(path: &Path) -> Result<PathBuf, SandboxError> {
    check_path(path)?;
    path.canonicalize().map_err(|error| SandboxError {
        message: format!("the further directory {} can't be written: {error}", path.display()),
    })
}

/// Refuses directories that can't be shown without showing what the sandbox promises to hide.
fn check(directory: &Path, homes: &[PathBuf], own: &[PathBuf]) -> Result<(), SandboxError> {
    check_path(directory)?;
    let refuse = |why: &str| {
        Err(SandboxError {
            message: format!(
                "{} can't be a workspace in the sandbox: {why}. Start in a directory of the project's own \
                 (-C DIR), or run without a sandbox (--sandbox danger-full-access)",
                directory.display()
            ),
        })
    };
    if homes.iter().any(|home| home.starts_with(directory)) {
        return refuse("it is or holds your home directory, which commands must not see");
    }
    if own.iter().any(|own| directory.starts_with(own)) {
        return refuse("it belongs to this program, with your keys and sessions");
    }
    if NEVER_WHOLE.iter().any(|system| directory == Path::new(system)) {
        return refuse("it is a directory of the system");
    }
    if NEVER_WITHIN.iter().any(|system| directory.starts_with(system)) {
        return refuse("it is not a place for files");
    }
    Ok(())
}

fn check_path(path: &Path) -> Result<(), SandboxError> {
    let plain = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    if path.is_absolute() && plain {
        return Ok(());
    }
    Err(SandboxError { message: format!("the sandbox needs an absolute path, not {}", path.display()) })
}

/// Whether the path is shown anyway, as a part of the system.
fn hidden_by_system(path: &Path) -> bool {
    [
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/proc", "/sys", "/dev", "/run",
        "/tmp",
    ]
    .iter()
    .any(|system| path.starts_with(system))
}

/// Without what lies in another of them.
fn outermost(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort();
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !kept.last().is_some_and(|outer| path.starts_with(outer)) {
            kept.push(path);
        }
    }
    kept
}

/// One command's way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The holder, as this process sees it, and when it started: pids are used again.
    pub(super) holder: i32,
    pub(super) started: u64,
    /// The user and group to become inside, when the program runs as root.
    pub(super) user: Option<u32>,
    pub(super) tty: bool,
    pub(super) cwd: PathBuf,
    pub(super) written: Vec<PathBuf>,
    /// What the command must not change, because others obey it.
    pub(super) protected: Vec<PathBuf>,
    /// Bytes of a file at most.
    pub(super) file_size: u64,
    /// Sockets of the host that the command would see.
    pub(super) sockets: Vec<PathBuf>,
    /// Where the layers of repositories are on the host.
    pub(super) layers: PathBuf,
    /// The repositories that have layers.
    pub(super) overlays: Vec<Overlay>,
    /// The control groups of the session.
    pub(super) groups: Vec<PathBuf>,
    /// Files that the command must not read.
    pub(super) hidden: Vec<PathBuf>,
}

/// A repository that has a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overlay {
    /// Its directory, as commands know it.
    pub(super) git: PathBuf,
    /// The same without the layer: see [`overlay::real`].
    pub(super) below: PathBuf,
    /// The name of the layer.
    pub(super) layer: PathBuf,
}

impl Entry {
    /// As arguments for the helper, without the command.
    pub(super) fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec![
            self.holder.to_string().into(),
            self.started.to_string().into(),
            self.user.map_or_else(|| "-".into(), |user| user.to_string().into()),
            if self.tty { "tty" } else { "pipes" }.into(),
            self.cwd.clone().into_os_string(),
            self.file_size.to_string().into(),
        ];
        args.extend(self.written.iter().map(|path| path.clone().into_os_string()));
        args.push("-".into());
        args.extend(self.protected.iter().map(|path| path.clone().into_os_string()));
        args.push("-".into());
        args.extend(self.sockets.iter().map(|path| path.clone().into_os_string()));
        args.push("-".into());
        args.extend(self.groups.iter().map(|path| path.clone().into_os_string()));
        args.push("-".into());
        args.extend(self.hidden.iter().map(|path| path.clone().into_os_string()));
        args.push("-".into());
        args.push(self.layers.clone().into_os_string());
        args.extend(self.overlays.iter().flat_map(|Overlay { git, below, layer }| {
            [git, below, layer].map(|path| path.clone().into_os_string())
        }));
        args
    }

    /// Back from arguments: the entry, and the words of the command behind the first `--`. Paths are absolute,
    /// so none of them is taken for it.
    pub(super) fn from_args(args: &[OsString]) -> Option<(Self, &[OsString])> {
        let end = args.iter().position(|arg| arg == "--")?;
        let (entry, command) = (args.get(..end)?, args.get(end + 1..)?);
        let [holder, started, user, streams, cwd, file_size, paths @ ..] = entry else { return None };
        let mut lists = paths.splitn(6, |arg| arg == "-");
        let mut list = || Some(lists.next()?.iter().map(PathBuf::from).collect::<Vec<_>>());
        let (written, protected, sockets, groups, hidden) = (list()?, list()?, list()?, list()?, list()?);
        let [layers, overlays @ ..] = lists.next()? else { return None };
        let overlay = |parts: &[OsString]| {
            let [git, below, layer] = parts else { return None };
            Some(Overlay { git: git.into(), below: below.into(), layer: layer.into() })
        };
        let entry = Self {
            holder: number(holder)?,
            started: number(started)?,
            user: if user == "-" { None } else { Some(number(user)?) },
            tty: streams == "tty",
            cwd: cwd.into(),
            file_size: number(file_size)?,
            written,
            protected,
            sockets,
            groups,
            hidden,
            layers: layers.into(),
            overlays: overlays.chunks(3).map(overlay).collect::<Option<_>>()?,
        };
        Some((entry, command))
    }
}

fn number<T: std::str::FromStr>(text: &OsStr) -> Option<T> {
    text.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path() -> impl Strategy<Value = PathBuf> {
        prop::collection::vec(1_u8..=255, 0..12)
            .prop_map(|bytes| PathBuf::from(OsString::from_vec([b"/".as_slice(), &bytes].concat())))
    }

    proptest! {
        #[test]
        fn a_plan_survives_the_way_through_arguments(
            write: bool,
            network: bool,
            workspace in path(),
            home in path(),
            scratch in path(),
            writable in prop::collection::vec(path(), 0..3),
            tools in prop::collection::vec(path(), 0..3),
            program in path(),
            own in prop::collection::vec(path(), 0..3),
            shown in prop::collection::vec(path(), 0..3),
            secrets in prop::collection::vec(path(), 0..3),
        ) {
            let plan = Plan { write, network, workspace, writable, home, scratch, tools, program, own, shown, secrets };
            prop_assert_eq!(Plan::from_args(&plan.to_args()), Some(plan));
        }

        #[test]
        fn an_entry_survives_the_way_through_arguments(
            holder in 1..i32::MAX,
            started: u64,
            user in prop::option::of(any::<u32>()),
            tty: bool,
            cwd in path(),
            file_size: u64,
            written in prop::collection::vec(path(), 0..3),
            protected in prop::collection::vec(path(), 0..3),
            sockets in prop::collection::vec(path(), 0..3),
            groups in prop::collection::vec(path(), 0..3),
            hidden in prop::collection::vec(path(), 0..3),
            layers in path(),
            overlays in prop::collection::vec((path(), path(), path()), 0..3),
            command in prop::collection::vec("[-a-z ]{0,4}", 1..4),
        ) {
            let overlay = |(git, below, layer)| Overlay { git, below, layer };
            let overlays = overlays.into_iter().map(overlay).collect();
            let entry = Entry { holder, started, user, tty, cwd, file_size, written, protected, sockets, layers, overlays, groups, hidden };
            let command: Vec<OsString> = command.into_iter().map(OsString::from).collect();
            let mut args = entry.to_args();
            args.push("--".into());
            args.extend(command.clone());
            prop_assert_eq!(Entry::from_args(&args), Some((entry, &command[..])));
        }
    }

    #[test]
    fn homes_and_system_directories_are_no_workspaces() {
        let homes = ["/home/me", "/var/home/me"].map(PathBuf::from);
        let own = ["/home/me/.config/agent", "/x"].map(PathBuf::from);
        for refused in [
            "/",
            "/home",
            "/home/me",
            "/var/home",
            "/var/home/me",
            "/usr",
            "/usr/bin",
            "/tmp",
            "/etc",
            "/proc/1",
            "/dev/shm/x",
            "a/b",
            "/a/../home/me",
            "/home/me/.config/agent",
            "/x/sessions/1",
        ] {
            assert!(check(Path::new(refused), &homes, &own).is_err(), "{refused}");
        }
        for taken in ["/home/me/project", "/home/me/.config", "/work", "/tmp/x", "/opt/x", "/home/other/x"] {
            assert_eq!(check(Path::new(taken), &homes, &own), Ok(()), "{taken}");
        }
    }

    #[test]
    fn a_tool_within_a_tool_is_shown_once() {
        let paths = ["/a/b", "/a", "/ab", "/a/b/c"].map(PathBuf::from).to_vec();
        assert_eq!(outermost(paths), ["/a", "/ab"].map(PathBuf::from));
    }
}
