//! The sandbox where no namespaces can be had, such as within a container: Landlock and seccomp alone.
//!
//! Commands share the root, the processes and the network namespace of the machine, so that what they must not see is
//! not hidden but refused: by rules of Landlock about what is read, too, and by a list of system calls about all that
//! Landlock does not look at. A process outside of the command's rules watches over it and ends what it leaves.
//!
//! ```text
//! agent ──life line──> holder (waits; its end is the session's)
//!   └─ outer ──life line──> inner (subreaper, outside of the command's rules) ──> the command
//! ```
//!
//! What can't be had so: a `.git` that a command changes and the user's git still trusts, a private /tmp and /dev/shm,
//! a /proc, sockets, terminals of its own, and that a name outside is not even known to be there (`stat` is free).

mod asked;
mod calls;
mod enter;
mod hold;
mod probe;
mod rules;
mod words;

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::plan::Plan;
use crate::sandbox::env;

pub(super) use enter::main as enter;
pub(super) use hold::main as hold;
pub(super) use words::{articles, describe, layers, notice, question};

/// The helper's roles.
pub(super) const HOLD: &str = "hold-alone";
pub(super) const ENTER: &str = "enter-alone";

/// The helper's first arguments in the role that starts a command.
pub(super) fn arguments(plan: &Plan) -> Vec<OsString> {
    let mut arguments = vec![ENTER.into()];
    arguments.extend(plan.to_args());
    arguments.push("--".into());
    arguments
}

/// Makes the private directories look as others do: with links to the user's tools where a home has them, and the
/// program under the other name that it answers to.
pub(super) fn furnish(plan: &Plan) -> io::Result<()> {
    let link = |to: &Path, at: &Path| {
        if let Some(parent) = at.parent() {
            fs::create_dir_all(parent)?;
        }
        // Where another way was tried before, there is an empty place for it to be mounted on.
        let empty = fs::symlink_metadata(at).is_ok_and(|meta| meta.is_file() && meta.len() == 0);
        let _ = if empty { fs::remove_file(at) } else { fs::remove_dir(at) };
        match symlink(to, at) {
            // Of an earlier run; or a command has put something else there, for itself.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    };
    let home = home(&plan.scratch);
    for tool in &plan.tools {
        if let Ok(below) = tool.strip_prefix(&plan.home) {
            // A tool that can't be shown there is found by its own path.
            let _ = link(tool, &home.join(below));
        }
    }
    link(&plan.program, &programs(&plan.scratch).join("apply_patch"))
}

/// Where the agent's own programs are.
pub(super) fn programs(scratch: &Path) -> PathBuf {
    scratch.join("bin")
}

fn home(scratch: &Path) -> PathBuf {
    scratch.join("home")
}

fn temporary(scratch: &Path) -> PathBuf {
    scratch.join("tmp")
}

/// What commands write: the session's own directories, and where they may the user's.
fn written(plan: &Plan) -> Vec<PathBuf> {
    let mut paths = vec![home(&plan.scratch), temporary(&plan.scratch), plan.scratch.join("var-tmp")];
    if plan.write {
        paths.extend(plan.shared().map(Path::to_owned));
    }
    paths
}

/// The environment of a command: what says where private places are says where these are.
pub(super) fn environment(vars: env::Vars, scratch: &Path) -> env::Vars {
    let (home, temporary) = (home(scratch), temporary(scratch));
    let places = [("HOME", &home), ("TMPDIR", &temporary), ("TMP", &temporary), ("TEMP", &temporary)];
    let is_place = |name: &std::ffi::OsStr| places.iter().any(|(place, _)| name == *place);
    let mut vars: env::Vars = vars.into_iter().filter(|(name, _)| !is_place(name)).collect();
    vars.extend(places.map(|(name, place)| (name.into(), place.clone().into_os_string())));
    env::with_programs(vars, &programs(scratch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_and_temporary_directories_are_the_sessions_own() {
        let vars = [("HOME", "/root"), ("TMPDIR", "/tmp"), ("PATH", "/bin"), ("LANG", "C")];
        let vars = vars.map(|(name, value)| (name.into(), value.into())).to_vec();
        let found = environment(vars, Path::new("/s"));
        let of = |name: &str| {
            let all: Vec<_> = found.iter().filter(|(known, _)| known == name).collect();
            assert_eq!(all.len(), 1, "{name}");
            all[0].1.to_str().unwrap().to_owned()
        };
        for (name, value) in [
            ("HOME", "/s/home"),
            ("TMPDIR", "/s/tmp"),
            ("TEMP", "/s/tmp"),
            ("PATH", "/s/bin:/bin"),
            ("LANG", "C"),
        ] {
            assert_eq!(of(name), value);
        }
    }
}
