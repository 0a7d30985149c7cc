//! One command where there are no namespaces: two processes that watch over it, and what it gives up before it begins.
//!
//! The outer one stands for the command. The inner one is the parent of all that the command leaves behind. It is not
//! held by the command's rules, so that the command can neither signal nor trace it, and gave up every right itself.

use std::{
    error::Error,
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::ExitCode,
};

use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, getppid, pidfd_open, set_child_subreaper,
    set_parent_process_death_signal,
};

use super::{
    super::{
        enter::started,
        guard::end_descendants,
        hold::Failure,
        init,
        launch::{Launch, eprint_raw},
        limits, overlay,
        plan::{Entry, Plan},
        relay::{Ended, Lifeline, exit_code, relay},
        seccomp,
        supervise::{Watched, supervise_asked},
        sys::{self, Cloned},
    },
    asked::{self, Asked},
    calls,
    hold::SIGNALS,
    rules::Rules,
    written,
};
use crate::sandbox::env;

/// The helper's main in this role: the plan, `--`, the entry, `--`, and the command.
pub(in super::super) fn main(args: &[OsString]) -> ExitCode {
    let parts = args.iter().position(|arg| arg == "--").and_then(|end| {
        let plan = Plan::from_args(args.get(..end)?)?;
        let (entry, command) = Entry::from_args(args.get(end + 1..)?)?;
        Some((plan, entry, command))
    });
    let Some((plan, entry, [program, args @ ..])) = parts else { return ExitCode::from(2) };
    let launch = Launch { program, args, cwd: &entry.cwd.clone(), tty: entry.tty };
    match outer(&plan, &entry, &launch) {
        Ok(code) => exit_code(code),
        Err(error) => {
            eprint_raw(&format!("agent: cannot enter the sandbox: {error}\n"));
            ExitCode::from(126)
        }
    }
}

fn outer(plan: &Plan, entry: &Entry, launch: &Launch<'_>) -> io::Result<i32> {
    sys::close_from(3);
    sys::block_signals();
    // Until everything of the command has ended.
    let used = overlay::used(&entry.layers)?;
    limits::join(&entry.groups)?;
    let holder = holder(entry)?;
    // Should somebody kill the inner process, its orphans come here.
    set_child_subreaper(Some(getpid()))?;
    let line = Lifeline::new()?;
    match sys::clone_process(0)? {
        Cloned::Child => {
            drop(line.outer);
            let code = inner(plan, entry, launch, &line.inner, &holder);
            drop(used);
            sys::exit_now(code)
        }
        Cloned::Parent(_) => {
            drop((line.inner, holder));
            Ok(match relay(line.outer, None) {
                Ended::Code(code) => code,
                Ended::Killed => {
                    end_descendants();
                    137
                }
            })
        }
    }
}

/// The session's holder, by a descriptor that tells of its end.
fn holder(entry: &Entry) -> io::Result<OwnedFd> {
    let gone = || io::Error::other("the session's sandbox is gone");
    let holder = Pid::from_raw(entry.holder).ok_or_else(gone)?;
    let opened = pidfd_open(holder, PidfdFlags::empty()).map_err(|_| gone())?;
    // Asked after it was opened: what has this start time now is what the descriptor means.
    if started(holder).map_err(|_| gone())? == entry.started { Ok(opened) } else { Err(gone()) }
}

/// Runs the command to its end, and gives its exit code.
fn inner(plan: &Plan, entry: &Entry, launch: &Launch<'_>, lifeline: &OwnedFd, holder: &OwnedFd) -> i32 {
    // Away from the process group of the outer one, so that who kills that group does not kill this one.
    let _ = rustix::process::setpgid(None, None);
    // All of them have one thread, so that each has one number.
    let watchers: Vec<Pid> =
        [Some(getpid()), getppid(), Pid::from_raw(entry.holder)].into_iter().flatten().collect();
    let mut asked = None;
    let started = prepare(entry)
        .and_then(|()| Rules::new(plan, entry).map_err(|error| failure("landlock", &error)))
        .and_then(|rules| {
            let (ours, theirs) = UnixStream::pair().map_err(|error| failure("process", &error))?;
            let confine = || {
                confine(rules, &watchers, &theirs)
                    .map_err(|Failure { layer, reason }| format!("{layer}: {reason}"))
            };
            let command = launch.start_confined(&env::inherited(), confine);
            drop(theirs);
            asked = Asked::hear(&ours, written(plan));
            command.map_err(|error| failure("process", &error))
        });
    let answer = || asked.iter().for_each(Asked::answer);
    let asked_by = asked.as_ref().map(|asked| (asked.listener(), &answer as &dyn Fn()));
    let code = match started {
        Ok(command) => match supervise_asked(command, lifeline, Some(holder), asked_by) {
            Watched::Exited(code) => code,
            Watched::Abandoned => 137,
        },
        Err(Failure { layer, reason }) => {
            eprint_raw(&format!("agent: cannot enter the sandbox: {layer}: {reason}\n"));
            126
        }
    };
    end_descendants();
    code
}

/// What the watcher itself gives up, and the command with it.
fn prepare(entry: &Entry) -> Result<(), Failure> {
    limits::confine_user(!entry.groups.is_empty(), entry.file_size)
        .map_err(|error| failure("limits", &error))?;
    init::give_up_rights().map_err(|error| failure("identity", &error))?;
    set_child_subreaper(Some(getpid()))
        // A second bell beside the life line, for the case that this process is stopped: SIGCONT wakes it.
        .and_then(|()| set_parent_process_death_signal(Some(Signal::CONT)))
        .map_err(|error| failure("process", &error))
}

/// What the command gives up, in its own process, which `watchers` watch over; who is asked hears of it by `to`.
pub(super) fn confine(rules: Rules, watchers: &[Pid], to: &UnixStream) -> Result<(), Failure> {
    // Where it keeps signals within the command, nobody has to be named.
    let watchers = (sys::landlock_version() < SIGNALS).then_some(watchers);
    rules.hold().map_err(|error| failure("landlock", &error))?;
    seccomp::confine()
        .and_then(|()| asked::confine(to))
        .and_then(|()| calls::confine(watchers))
        .map_err(|error| failure("seccomp", &error))
}

fn failure(layer: &'static str, error: &dyn Error) -> Failure {
    Failure { layer, reason: error.to_string() }
}
