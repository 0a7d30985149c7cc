//! Which files a command may write: a second opinion on every mistake among the mounts, and a lock on all further
//! mounting.

use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope,
};

/// The newest version whose rights we know.
const KNOWN: ABI = ABI::V6;

/// Devices that everybody may write.
const DEVICES: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
];

/// Lets this process, and whatever it starts, write beneath `written` only. Reading is decided by what is mounted.
/// Rights that the kernel does not know are left out; whether it knows any is reported when the session starts.
pub(super) fn confine(written: &[PathBuf]) -> Result<(), RulesetError> {
    let read = AccessFs::from_read(KNOWN);
    let all = AccessFs::from_all(KNOWN);
    let device: BitFlags<AccessFs> = AccessFs::WriteFile | AccessFs::IoctlDev | AccessFs::Truncate;
    // Requests to devices are no danger in the files that programs make themselves.
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?;
    let wanted = std::iter::once((PathBuf::from("/"), read))
        .chain(written.iter().map(|path| (path.clone(), all)))
        .chain(DEVICES.iter().map(|path| (PathBuf::from(path), read | device)));
    for (path, access) in wanted {
        // What does not exist can't be written either.
        if let Ok(fd) = PathFd::new(&path) {
            rules = rules.add_rule(PathBeneath::new(fd, access))?;
        }
    }
    match rules.restrict_self()?.landlock {
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented | LandlockStatus::Available { .. } => {
            Ok(())
        }
    }
}
