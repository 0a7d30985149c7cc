//! The plan and the entry as arguments of bubblewrap: what is mounted where, in which order, and what must then be found
//! inside. The same as `mounts` and `processes` make.

use std::{
    ffi::OsString,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, fstat};

use super::{
    super::{
        mounts::{self, Nothing, SYSTEM},
        overlay,
        place::{self, at, kind, open_plain},
        plan::{Entry, Plan},
        processes, secrets,
    },
    table::{self, Cover},
};
use crate::sandbox::env;

/// What is mounted over what is not to be seen, in the session's own directory.
const EMPTY_DIRECTORY: &str = "covers/directory";
const EMPTY_FILE: &str = "covers/file";
const WAYS: &str = "covers/ways";
const MASK: &str = "covers/mask";

/// Where the machine's own root is for bubblewrap while it mounts, seen from the new one. It makes a place there when a
/// link of a command's leads to where none is. Should it be called otherwise one day, a place too much is found inside,
/// and no command runs.
const MACHINE: &str = "/../oldroot";

/// All that bubblewrap is told, and what is to be found inside then.
#[derive(Debug, Default)]
pub(super) struct Layout {
    arguments: Vec<OsString>,
    /// What must lie where.
    pub(super) covers: Vec<Cover>,
    /// Every place where something may be mounted.
    pub(super) known: Vec<PathBuf>,
}

/// A tree that is shown in another root.
struct Bind {
    from: PathBuf,
    to: PathBuf,
    write: bool,
    /// Nothing is lost where it can't be had.
    optional: bool,
}

/// Makes what a session of this plan mounts that is not there yet. No command of the session runs.
pub(super) fn prepare(plan: &Plan) -> io::Result<()> {
    mounts::make_private(plan)?;
    // Of an earlier life of the session; a link in its place is not followed.
    let covers = plan.scratch.join("covers");
    match std::fs::remove_dir_all(&covers) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&covers, error)),
        _ => {}
    }
    let make = |path: PathBuf, mode| {
        std::fs::DirBuilder::new().recursive(true).mode(mode).create(&path).map_err(|error| at(&path, error))
    };
    make(covers, 0o700)?;
    make(plan.scratch.join(EMPTY_DIRECTORY), 0o500)?;
    make(plan.scratch.join(WAYS), 0o755)?;
    for way in plan
        .shown
        .iter()
        .flat_map(|shown| plan.own.iter().filter_map(move |own| shown.strip_prefix(own).ok()))
    {
        make(plan.scratch.join(WAYS).join(way), 0o755)?;
    }
    std::fs::write(plan.scratch.join(EMPTY_FILE), "")?;
    std::fs::write(plan.scratch.join(MASK), secrets::TEXT)?;
    // Where trees are to be mounted in the private ones, a command of an earlier life may have left a link.
    let private = plan.scratch.clone();
    for bind in trees(plan) {
        if let Some(stub) = behind(plan, &bind.to) {
            let directory = bind.from.is_dir();
            match place::make(&stub, directory, std::slice::from_ref(&private)) {
                Err(error) if !bind.optional => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// What lies on the host behind a place in one of the private directories.
fn behind(plan: &Plan, place: &Path) -> Option<PathBuf> {
    let private = plan.private();
    let shown = private.iter().filter(|(_, to)| to != Path::new(overlay::LAYERS));
    let (from, to) = shown
        .filter(|(_, to)| place.starts_with(to) && place != to)
        .max_by_key(|(_, to)| to.components().count())?;
    Some(from.join(place.strip_prefix(to).ok()?))
}

/// The session's own directories, the workspace and the tools: those that hold others first.
fn trees(plan: &Plan) -> Vec<Bind> {
    let private = plan.private().into_iter().filter(|(_, to)| to != Path::new(overlay::LAYERS));
    let private = private.map(|(from, to)| Bind { from, to, write: true, optional: false });
    let shared = plan.shared().map(|path| Bind {
        from: path.to_owned(),
        to: path.to_owned(),
        write: plan.write,
        optional: false,
    });
    let tools = plan.tools.iter().map(|path| Bind {
        from: path.clone(),
        to: path.clone(),
        write: false,
        optional: true,
    });
    // What is shown of a private place; the rest lies in what is covered.
    let shown = plan.shown.iter().filter(|path| !is_shown(plan, path) && path.is_dir()).map(|path| Bind {
        from: path.clone(),
        to: path.clone(),
        write: false,
        optional: true,
    });
    let mut trees: Vec<Bind> = private.chain(shared).chain(tools).chain(shown).collect();
    trees.sort_by_key(|bind| bind.to.components().count());
    trees
}

impl Layout {
    /// For one command.
    pub(super) fn new(plan: &Plan, entry: &Entry) -> io::Result<Self> {
        let mut layout = Self::default();
        layout.namespaces();
        let mounts = table::places()?;
        layout.system(plan, &mounts)?;
        layout.devices();
        layout.processes(plan)?;
        layout.trees(plan, &mounts);
        layout.secrets(plan)?;
        layout.add("--remount-ro", [Path::new("/")]);
        layout.entry(plan, entry)?;
        Ok(layout)
    }

    /// As words of bubblewrap's own list of arguments.
    pub(super) fn arguments(&self) -> impl Iterator<Item = OsString> {
        self.arguments.iter().cloned()
    }

    fn add<P: Into<OsString>>(&mut self, option: &str, values: impl IntoIterator<Item = P>) {
        self.arguments.push(option.into());
        self.arguments.extend(values.into_iter().map(Into::into));
    }

    fn bind(&mut self, bind: &Bind, mounts: &[PathBuf]) {
        let option = match (bind.write, bind.optional) {
            (true, false) => "--bind",
            (true, true) => "--bind-try",
            (false, false) => "--ro-bind",
            (false, true) => "--ro-bind-try",
        };
        self.add(option, [&bind.from, &bind.to]);
        self.known.push(bind.to.clone());
        self.known.extend(table::below(mounts, &bind.from, &bind.to));
    }

    fn show(&mut self, from: &Path, to: &Path) {
        let bind = Bind { from: from.to_owned(), to: to.to_owned(), write: false, optional: false };
        self.bind(&bind, &[]);
    }

    /// None of them is left out where it can't be had, and nobody keeps a right.
    fn namespaces(&mut self) {
        for option in [
            "--unshare-user",
            "--unshare-pid",
            "--unshare-net",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup",
            "--as-pid-1",
            "--die-with-parent",
        ] {
            self.arguments.push(option.into());
        }
        self.add("--hostname", ["localhost"]);
        self.add("--cap-drop", ["ALL"]);
    }

    fn system(&mut self, plan: &Plan, mounts: &[PathBuf]) -> io::Result<()> {
        for path in SYSTEM.iter().map(Path::new) {
            match std::fs::symlink_metadata(path) {
                Ok(meta) if meta.is_symlink() => {
                    self.add("--symlink", [std::fs::read_link(path)?, path.to_owned()]);
                }
                Ok(meta) if meta.is_dir() => {
                    let path = path.to_owned();
                    self.bind(&Bind { from: path.clone(), to: path, write: false, optional: false }, mounts);
                }
                _ => {}
            }
        }
        for directory in ["/run", "/var"] {
            self.add("--dir", [directory]);
        }
        self.add("--symlink", ["/run", "/var/run"]);
        let patch = Path::new(env::PROGRAMS).join("apply_patch");
        // One that was removed meanwhile is not there.
        self.bind(&Bind { from: plan.program.clone(), to: patch, write: false, optional: true }, &[]);
        Ok(())
    }

    fn devices(&mut self) {
        self.add("--dev", ["/dev"]);
        self.add("--size", [mounts::SHM_SIZE]);
        self.add("--perms", ["1777"]);
        self.add("--tmpfs", ["/dev/shm"]);
        // Where the kernel has no message queues, there are none.
        let systems = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        if systems.lines().any(|line| line.ends_with("\tmqueue")) {
            self.add("--mqueue", ["/dev/mqueue"]);
        }
        self.add("--remount-ro", ["/dev"]);
    }

    fn processes(&mut self, plan: &Plan) -> io::Result<()> {
        self.add("--proc", ["/proc"]);
        for (path, is_directory) in processes::unwanted()? {
            let nothing = if is_directory { EMPTY_DIRECTORY } else { EMPTY_FILE };
            self.show(&plan.scratch.join(nothing), &path);
        }
        self.add("--remount-ro", ["/proc"]);
        Ok(())
    }

    /// Those in a private directory keep the way there: a directory that something is mounted on can't be renamed, and no
    /// link can take its place.
    fn trees(&mut self, plan: &Plan, mounts: &[PathBuf]) {
        let trees = trees(plan);
        let mut pinned: Vec<PathBuf> = Vec::new();
        for bind in &trees {
            let mut ways: Vec<(PathBuf, PathBuf)> = bind
                .to
                .ancestors()
                .skip(1)
                .map_while(|way| Some((behind(plan, way)?, way.to_owned())))
                .take_while(|(_, way)| !trees.iter().any(|other| other.to == *way))
                .collect();
            ways.reverse();
            for (from, to) in ways {
                if !pinned.contains(&to) {
                    self.bind(&Bind { from, to: to.clone(), write: true, optional: false }, &[]);
                    pinned.push(to);
                }
            }
            self.bind(bind, mounts);
        }
    }

    /// Covers what nobody is to see, wherever it can be seen.
    fn secrets(&mut self, plan: &Plan) -> io::Result<()> {
        let (directory, file) = (plan.scratch.join(EMPTY_DIRECTORY), plan.scratch.join(EMPTY_FILE));
        for own in &plan.own {
            self.pin(plan, own);
        }
        for path in mounts::covered(plan).filter(|path| is_shown(plan, path)) {
            // Nothing is seen of what is covered.
            if self.covers.iter().any(|cover| path.starts_with(&cover.at)) {
                continue;
            }
            let nothing = match mounts::nothing_for(plan, &path)? {
                Some(Nothing::Ways) => plan.scratch.join(WAYS),
                Some(Nothing::Directory) => directory.clone(),
                Some(Nothing::File) => file.clone(),
                None => continue,
            };
            self.cover(&nothing, &path)?;
        }
        for path in plan.shown.iter().filter(|path| is_shown(plan, path) && path.is_dir()) {
            self.show(path, path);
        }
        Ok(())
    }

    /// Keeps the directories above a place of the program's own where they are.
    fn pin(&mut self, plan: &Plan, own: &Path) {
        for path in mounts::above(plan, own) {
            let path = path.to_owned();
            self.bind(&Bind { from: path.clone(), to: path, write: plan.write, optional: false }, &[]);
        }
    }

    /// What is of this command: what it must not change, and what it must not see. Others that still run may move
    /// things there meanwhile, so that it is done when nothing of the machine can be written any more from here, by
    /// whatever link.
    fn entry(&mut self, plan: &Plan, entry: &Entry) -> io::Result<()> {
        self.add("--ro-bind", [Path::new("/"), Path::new(MACHINE)]);
        for path in &entry.protected {
            match open_plain(path) {
                // Something else is there meanwhile, of which the next look takes care.
                Err(_) if !path.exists() || path.canonicalize().ok().as_ref() != Some(path) => {}
                Err(error) => return Err(error),
                Ok(_) => self.cover(path, path)?,
            }
        }
        for path in &entry.hidden {
            self.cover(&plan.scratch.join(MASK), path)?;
        }
        for path in &entry.sockets {
            match open_plain(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => {
                    if kind(&opened?)? == FileType::Socket {
                        self.cover(&plan.scratch.join(EMPTY_FILE), path)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Shows `by` in the place of something.
    fn cover(&mut self, by: &Path, place: &Path) -> io::Result<()> {
        let stat = fstat(open_plain(by)?).map_err(|error| at(by, error.into()))?;
        self.show(by, place);
        self.covers.retain(|cover| cover.at != *place);
        self.covers.push(Cover { at: place.to_owned(), shows: (stat.st_dev, stat.st_ino) });
        Ok(())
    }
}

/// Whether commands would see what the host has there.
fn is_shown(plan: &Plan, path: &Path) -> bool {
    let of_system = SYSTEM.iter().map(Path::new).map(|root| (root, true));
    let private = plan.private();
    let private = private.iter().map(|(_, to)| (to.as_path(), false));
    let shared = plan.shared().chain(plan.tools.iter().map(PathBuf::as_path)).map(|root| (root, true));
    of_system
        .chain(private)
        .chain(shared)
        .filter(|(root, _)| path.starts_with(root))
        .max_by_key(|(root, _)| root.components().count())
        .is_some_and(|(_, shown)| shown)
}
