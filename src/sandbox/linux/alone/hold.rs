//! The holder of a session without namespaces: a process whose end is the sign for all commands to end.

use std::{ffi::OsString, process::ExitCode};

use rustix::process::Pid;

use super::{
    super::{
        enter::started,
        hold::{self, Failure, failed, say},
        mounts,
        plan::Plan,
        report::Report,
        sys,
    },
    furnish, probe,
};

/// The helper's main in this role.
pub(in super::super) fn main(args: &[OsString]) -> ExitCode {
    // Each command is ended by its own watcher.
    hold::run(args, hold, hold::commands_ended)
}

fn hold(plan: &Plan) -> Result<Pid, Failure> {
    check(plan)?;
    mounts::make_private(plan).and_then(|()| furnish(plan)).map_err(failed("scratch"))?;
    let landlock = probe::attempt(plan)?;
    let child = hold::sign()?;
    say(&Report::Ready {
        holder: child.as_raw_nonzero().get(),
        started: started(child).map_err(failed("process"))?,
        user: None,
        landlock,
        layers: Err("there are no namespaces to mount one in".to_owned()),
    });
    Ok(child)
}

/// The first version of Landlock that keeps files from being emptied, and the first that keeps signals from others.
const NEEDED: u32 = 3;
pub(super) const SIGNALS: u32 = 6;

/// What this kernel, or this plan, can't have.
fn check(plan: &Plan) -> Result<(), Failure> {
    let version = sys::landlock_version();
    let missing = |layer, reason: String| Err(Failure { layer, reason });
    if version < NEEDED {
        let found =
            if version == 0 { "is not in this kernel".to_owned() } else { format!("has version {version}") };
        return missing(
            "landlock",
            format!("it {found}, and without namespaces version {NEEDED} is needed (Linux 6.2)"),
        );
    }
    if version < SIGNALS && rustix::process::geteuid().is_root() {
        return missing(
            "landlock",
            format!(
                "it has version {version}, and commands of root could end every process (version {SIGNALS} is needed, \
                 Linux 6.12): start as an ordinary user"
            ),
        );
    }
    // Rules take nothing away from where a command may write, and make nothing that could be taken away.
    match plan.own.iter().find(|own| plan.shared().any(|root| own.starts_with(root))) {
        Some(own) => missing(
            "workspace",
            format!(
                "{} lies in it, with this program's keys and sessions, and can't be hidden there",
                own.display()
            ),
        ),
        None => Ok(()),
    }
}
