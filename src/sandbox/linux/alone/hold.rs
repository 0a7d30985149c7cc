//! The holder of a session without namespaces: a process whose end is the sign for all commands to end.

use std::{ffi::OsString, io, process::ExitCode};

use rustix::process::{Pid, waitpid};

use super::{
    super::{
        aftermath,
        enter::started,
        hold::{Failure, say, wait_for_the_end},
        mounts, overlay,
        plan::Plan,
        report::Report,
        sys::{self, Cloned},
    },
    furnish, probe,
};

/// The helper's main in this role. The life line is the standard input, the report goes to the standard output.
pub(in super::super) fn main(args: &[OsString]) -> ExitCode {
    sys::close_from(3);
    sys::block_signals();
    // Away from the terminal and the process group of the agent: a ^C there is not meant for the session.
    let _ = rustix::process::setsid();
    let agent = rustix::process::getppid();
    let Some(plan) = Plan::from_args(args) else { return ExitCode::from(2) };
    match hold(&plan) {
        Ok(child) => {
            let _ = waitpid(Some(child), rustix::process::WaitOptions::empty());
            // Unless the agent itself looks after what was left. The commands end now, each by its own watcher.
            if rustix::process::getppid() != agent {
                let _ended = overlay::wait_alone(&overlay::place(&plan.scratch));
                aftermath::clear(&plan);
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            say(&Report::Failed(failure));
            ExitCode::FAILURE
        }
    }
}

fn hold(plan: &Plan) -> Result<Pid, Failure> {
    let failed = |layer| move |error: io::Error| Failure { layer, reason: error.to_string() };
    check(plan)?;
    mounts::make_private(plan).and_then(|()| furnish(plan)).map_err(failed("scratch"))?;
    let landlock = probe::attempt(plan)?;
    match sys::clone_process(0).map_err(failed("process"))? {
        Cloned::Child => {
            super::super::relay::release_stdout();
            wait_for_the_end();
            sys::exit_now(0)
        }
        Cloned::Parent(child) => {
            say(&Report::Ready {
                holder: child.as_raw_nonzero().get(),
                started: started(child).map_err(failed("process"))?,
                user: None,
                landlock,
                layers: Err("there are no namespaces to mount one in".to_owned()),
            });
            Ok(child)
        }
    }
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
