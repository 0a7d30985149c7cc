//! The same sandbox where this program may not make namespaces, and bubblewrap may: Ubuntu lets named programs alone
//! do that, and this is one of them.
//!
//! Each command has a bubblewrap of its own. That makes the namespaces and all mounts, from the same plan; inside
//! nobody can mount any more, so that what can't be had at once (a layer over `.git`) is not there. The inner stage of
//! this program is the first process in it. It looks at what was mounted, takes Landlock and seccomp upon itself, and
//! starts the command.
//!
//! ```text
//! agent ──life line──> keeper (outside; it sees to the end)
//!   └─ enter ──> bwrap ──> inside (pid 1 of the command, confined) ──> the command
//! ```
//!
//! Bubblewrap is started with no environment and with the descriptors that it is to hand on. It is taken from one
//! place, where only root can put something.

pub(super) mod enter;
pub(super) mod inside;
pub(super) mod keep;
mod layout;
mod letter;
mod proxy;
mod table;

use std::{io, os::unix::fs::MetadataExt as _, path::Path};

use super::place::at;

pub(super) use proxy::{Listeners, PORT};

/// The helper's roles of this way.
pub(super) const KEEP: &str = "keep";
pub(super) const ENTER: &str = "bubblewrap";
pub(super) const INSIDE: &str = "inside";

/// What is less than with namespaces of this program's own, in words.
pub(super) const LESS: &str = "the .git of each repository is read-only, and each command has a loopback network and shared memory of its own";

/// The one place that bubblewrap is taken from. What PATH says, nobody asks.
const PROGRAM: &str = "/usr/bin/bwrap";

/// Whether bubblewrap is there, and nobody but root can have put it there.
///
/// # Errors
/// It says what is wrong.
fn trusted(program: &Path) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        // In a namespace of bubblewrap's, root's commands would go on acting as root towards files.
        return Err(io::Error::other(
            "it can't make commands of root run as somebody else; start the program as an ordinary user",
        ));
    }
    for (depth, path) in program.ancestors().enumerate() {
        let meta = std::fs::symlink_metadata(path).map_err(|error| at(path, error))?;
        let kind = if depth == 0 { meta.is_file() } else { meta.is_dir() };
        if !kind || meta.uid() != 0 || meta.mode() & 0o022 != 0 {
            return Err(io::Error::other(format!(
                "{} must be a {}, root's, and nobody else's to write",
                path.display(),
                if depth == 0 { "file" } else { "directory" }
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_a_program_that_root_alone_can_change_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("bwrap");
        std::fs::write(&program, "").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        // The temporary directory is everybody's.
        assert!(trusted(&program).is_err());
        assert!(trusted(Path::new("/nowhere/bwrap")).is_err());
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/bin/true", &link).unwrap();
        assert!(trusted(&link).is_err());
    }
}
