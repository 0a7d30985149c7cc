//! What a command may open, by rules of Landlock: reading is a matter of rules as well, for nothing is hidden.
//!
//! A rule counts for everything below a directory, and no rule takes anything away. Where something below must not be
//! read, its neighbours are listed instead, so that what is made beside it later is readable from the next command on.

use std::{
    collections::BTreeSet,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, Scope,
};
use rustix::fs::{FileType, Mode, OFlags, open};

use super::{
    super::{
        mounts,
        place::kind,
        plan::{Entry, Plan},
    },
    programs, written,
};

/// The newest version whose rights we know.
const KNOWN: ABI = ABI::V6;

/// Devices that everybody may use. No terminal is among them but the command's own.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// What programs ask a machine about itself. Nothing of any process: a rule can't mean "the one that asks".
const OF_THE_MACHINE: &[&str] = &[
    "cpuinfo",
    "filesystems",
    "loadavg",
    "meminfo",
    "stat",
    "sys/fs/file-max",
    "sys/fs/nr_open",
    "sys/kernel/cap_last_cap",
    "sys/kernel/hostname",
    "sys/kernel/ngroups_max",
    "sys/kernel/osrelease",
    "sys/kernel/ostype",
    "sys/kernel/overflowgid",
    "sys/kernel/overflowuid",
    "sys/kernel/pid_max",
    "sys/kernel/random/boot_id",
    "sys/kernel/random/uuid",
    "sys/kernel/threads-max",
    "sys/kernel/version",
    "sys/net/core/somaxconn",
    "sys/vm/max_map_count",
    "sys/vm/overcommit_memory",
    "uptime",
    "version",
    "vmstat",
];

/// What of the system root alone may read, whatever it is called, is not for commands of root.
const CONFIGURATION: &str = "/etc";

/// The rules of one command, before they hold.
pub(super) struct Rules {
    made: RulesetCreated,
}

impl Rules {
    /// For a command of this plan. Looks at what is there now.
    pub(super) fn new(plan: &Plan, entry: &Entry) -> Result<Self, RulesetError> {
        let made = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(KNOWN))?
            .scope(Scope::AbstractUnixSocket | Scope::Signal)?
            .create()?;
        let mut rules = Self { made };
        let hidden = hidden(plan, entry);
        for root in read(plan) {
            for (path, access) in granted(&root, &hidden) {
                rules.allow(&path, access)?;
            }
        }
        for path in written(plan) {
            rules.allow(&path, AccessFs::from_all(KNOWN))?;
        }
        let device: BitFlags<AccessFs> =
            AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev | AccessFs::Truncate;
        for name in DEVICES {
            rules.allow(&Path::new("/dev").join(name), device)?;
        }
        for name in OF_THE_MACHINE {
            rules.allow(&Path::new("/proc").join(name), AccessFs::ReadFile.into())?;
        }
        if entry.tty
            // The terminal that it was given: programs open it anew, by names such as /dev/stdout.
            && let Ok(terminal) = open("/proc/self/fd/0", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        {
            (&mut rules.made).add_rule(PathBeneath::new(terminal, device))?;
        }
        Ok(rules)
    }

    /// Lets them hold for this process and all that it starts, for good.
    pub(super) fn hold(self) -> Result<(), RulesetError> {
        self.made.restrict_self().map(drop)
    }

    fn allow(&mut self, path: &Path, access: BitFlags<AccessFs>) -> Result<(), RulesetError> {
        // What is not there, or a link, has no rule.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(opened) = open(path, flags, Mode::empty()) else { return Ok(()) };
        let access = match kind(&opened) {
            Ok(FileType::Directory) => access,
            Ok(FileType::Symlink) | Err(_) => return Ok(()),
            Ok(_) => access & AccessFs::from_file(KNOWN),
        };
        (&mut self.made).add_rule(PathBeneath::new(opened, access))?;
        Ok(())
    }
}

/// What commands read, by its real names.
fn read(plan: &Plan) -> Vec<PathBuf> {
    let system = mounts::shown().into_iter().map(Path::to_owned);
    // Links of the system lead into it. What a workspace is called was resolved when the session began.
    let own = [programs(&plan.scratch), plan.program.clone()];
    let tools = plan.tools.iter().filter_map(|tool| tool.canonicalize().ok());
    let shared = plan.shared().map(Path::to_owned).filter(|_| !plan.write);
    system.chain(tools).chain(shared).chain(own).chain(plan.shown.iter().cloned()).collect()
}

/// What of that they don't.
fn hidden(plan: &Plan, entry: &Entry) -> BTreeSet<PathBuf> {
    let system = mounts::SECRETS.iter().filter_map(|path| Path::new(path).canonicalize().ok());
    let kept = plan.own.iter().chain(&plan.secrets).chain(&entry.hidden).cloned();
    let mut hidden: BTreeSet<PathBuf> = system.chain(kept).collect();
    // What is shown of these, and what is their own, have rules of their own.
    if rustix::process::geteuid().is_root() {
        closed(Path::new(CONFIGURATION), &mut hidden);
    }
    hidden
}

/// What below a directory is not for everybody to read.
fn closed(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        let wanted = if meta.is_dir() { 0o5 } else { 0o4 };
        if meta.is_symlink() || found.contains(&entry.path()) {
            continue;
        }
        if meta.mode() & wanted != wanted {
            found.insert(entry.path());
        } else if meta.is_dir() {
            closed(&entry.path(), found);
        }
    }
}

/// The rules for reading at and below `root`, but for what is hidden.
fn granted(root: &Path, hidden: &BTreeSet<PathBuf>) -> Vec<(PathBuf, BitFlags<AccessFs>)> {
    let mut granted = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        if hidden.contains(&path) {
            continue;
        }
        // Behind a path come those below it.
        let mut below =
            hidden.range(path.clone()..).take_while(|hidden| hidden.starts_with(&path)).peekable();
        if below.peek().is_none() {
            granted.push((path, AccessFs::from_read(KNOWN)));
            continue;
        }
        // Who may list a directory may list all of those below it.
        if below.all(|hidden| !hidden.is_dir()) {
            granted.push((path.clone(), AccessFs::ReadDir.into()));
        }
        let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
        open.extend(
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
                .map(|entry| entry.path()),
        );
    }
    granted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beside_something_hidden_is_read_and_that_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for path in ["a/b", "c", "d/secret"] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in ["x", ".env", "a/y", "a/b/key", "a/b/z", "c/w", "d/v"] {
            std::fs::write(root.join(path), "").unwrap();
        }
        std::os::unix::fs::symlink(root.join("a/b/key"), root.join("link")).unwrap();
        let rules = |hidden: &[&str]| -> Vec<String> {
            let hidden = hidden.iter().map(|path| root.join(path)).collect();
            let mut found: Vec<String> = granted(&root, &hidden)
                .into_iter()
                .map(|(path, access)| {
                    let path = path.strip_prefix(&root).unwrap().display().to_string();
                    if access.contains(AccessFs::ReadFile) { path } else { format!("{path}/") }
                })
                .collect();
            found.sort();
            found
        };
        assert_eq!(rules(&[]), [""]);
        assert_eq!(rules(&["not/yet"]), [".env", "/", "a", "c", "d", "x"], "what is made there stays hidden");
        // A name that ends in a stroke is a list of names alone.
        assert_eq!(rules(&[".env", "a/b/key"]), ["/", "a/", "a/b/", "a/b/z", "a/y", "c", "d", "x"]);
        assert_eq!(rules(&["d/secret"]), [".env", "a", "c", "d/v", "x"], "nobody lists a hidden directory");
    }

    #[test]
    fn what_root_alone_may_read_is_found() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for (path, mode) in [("open", 0o755), ("open/shut", 0o700), ("walked", 0o711)] {
            std::fs::create_dir(root.join(path)).unwrap();
            std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        for (path, mode) in [("open/a", 0o644), ("open/b", 0o640), ("c", 0o600)] {
            std::fs::write(root.join(path), "").unwrap();
            std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut found = BTreeSet::new();
        closed(root, &mut found);
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect();
        assert_eq!(names, ["c", "open/b", "open/shut", "walked"]);
    }
}
