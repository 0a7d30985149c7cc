//! The keeper of a session: tries once whether bubblewrap gives what it should, and sees to the end, should the agent not
//! live to do that.
//!
//! Its child is what commands look at: they end when it does, and it ends with the agent.

use std::{ffi::OsString, io, os::fd::OwnedFd, process::ExitCode};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid},
};

use super::{
    super::{
        enter::started,
        hold::{self, Failure, failed, say},
        overlay,
        plan::{Entry, Plan},
        relay::Lifeline,
        report::Report,
    },
    enter::{Handed, Start, Task},
    layout,
};

/// How long the end of the trial is waited for, when its life line is cut.
const END: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// The most that is read of a report.
const REPORT: u64 = 64 << 10;

/// The helper's main in this role.
pub(in crate::sandbox::linux) fn main(args: &[OsString]) -> ExitCode {
    hold::run(args, keep, hold::commands_ended)
}

fn keep(plan: &Plan) -> Result<Pid, Failure> {
    let child = hold::sign()?;
    let tried = layout::prepare(plan).map_err(failed("scratch")).and_then(|()| attempt(plan, child));
    match tried {
        Ok(ready) => {
            say(&ready);
            Ok(child)
        }
        Err(failure) => {
            let _ = kill_process(child, Signal::KILL);
            let _ = waitpid(Some(child), WaitOptions::empty());
            Err(failure)
        }
    }
}

/// Has bubblewrap build a sandbox, attacks it from inside, and cuts its life line.
fn attempt(plan: &Plan, keeper: Pid) -> Result<Report, Failure> {
    let process = failed("process");
    let bubblewrap = failed("bubblewrap");
    let line = Lifeline::new().map_err(&process)?;
    let (report, begin) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| process(error.into()))?;
    let (said, says) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| process(error.into()))?;
    let started = started(keeper).map_err(&process)?;
    let entry = trial(plan, keeper, started);
    let opened = pidfd_open(keeper, PidfdFlags::empty()).map_err(|error| process(error.into()))?;
    let handed = Handed { line: line.inner, keeper: opened, begin, used: None, proxy: None };
    let start = Start { plan, entry: &entry, command: &["true".into()], env: &Vec::new(), task: Task::Try };
    let child = {
        // What bubblewrap has to say is the reason.
        let before = rustix::io::dup(rustix::stdio::stderr()).map_err(|error| process(error.into()))?;
        let _ = rustix::stdio::dup2_stderr(&says);
        let child = start.bubblewrap(&handed);
        let _ = rustix::stdio::dup2_stderr(&before);
        child.map_err(bubblewrap)?
    };
    drop((handed, says));
    let report = Report::parse(&text(report).map_err(&process)?);
    drop(line.outer);
    let ended = pidfd_open(child, PidfdFlags::empty())
        .and_then(|child| poll(&mut [PollFd::new(&child, PollFlags::IN)], Some(&END)));
    if !matches!(ended, Ok(1..)) {
        let _ = kill_process(child, Signal::KILL);
        let _ = waitpid(Some(child), WaitOptions::empty());
        return Err(Failure {
            layer: "life line",
            reason: "a sandbox that nobody waits for lives on".into(),
        });
    }
    let _ = waitpid(Some(child), WaitOptions::empty());
    match report {
        Some(Report::Ready { landlock, layers, .. }) => {
            Ok(Report::Ready { holder: keeper.as_raw_nonzero().get(), started, user: None, landlock, layers })
        }
        Some(Report::Failed(failure)) => Err(failure),
        None => {
            let said = text(said).unwrap_or_default();
            let said = said.trim().lines().next_back().unwrap_or("it ended without a word").to_owned();
            Err(Failure { layer: "bubblewrap", reason: said })
        }
    }
}

/// The entry of a command that is none.
fn trial(plan: &Plan, keeper: Pid, started: u64) -> Entry {
    Entry {
        holder: keeper.as_raw_nonzero().get(),
        started,
        user: None,
        tty: false,
        cwd: "/".into(),
        written: plan.written(),
        protected: Vec::new(),
        file_size: u64::MAX,
        sockets: Vec::new(),
        layers: overlay::place(&plan.scratch),
        overlays: Vec::new(),
        groups: Vec::new(),
        hidden: Vec::new(),
    }
}

fn text(from: OwnedFd) -> io::Result<String> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    std::fs::File::from(from).take(REPORT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
