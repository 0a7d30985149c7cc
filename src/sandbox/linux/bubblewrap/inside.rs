//! The inner stage of a command: pid 1 of what bubblewrap made. Looks whether that is what was asked for, gives up what is
//! left, and starts the command.

use std::{ffi::OsString, os::fd::OwnedFd, path::PathBuf, process::ExitCode};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::getpid,
};

use super::{
    super::{
        hold::{Failure, failed},
        init,
        launch::{Launch, eprint_raw},
        limits,
        plan::{Entry, Plan},
        probe,
        relay::exit_code,
        report::Report,
        supervise::{Watched, supervise},
        sys,
    },
    letter::Letter,
    proxy,
    table::{self, Cover},
};
use crate::sandbox::env::Vars;

/// What the outer stage sent.
struct Sent {
    plan: Plan,
    entry: Entry,
    command: Vec<OsString>,
    env: Vars,
    covers: Vec<Cover>,
    known: Vec<PathBuf>,
    line: OwnedFd,
    keeper: OwnedFd,
    begin: OwnedFd,
    /// Kept until the end.
    _used: Option<OwnedFd>,
    proxy: Option<OwnedFd>,
    is_trial: bool,
}

/// The helper's main in this role.
pub(in crate::sandbox::linux) fn main(args: &[OsString]) -> ExitCode {
    sys::block_signals();
    let [letter] = args else { return ExitCode::from(2) };
    let sent = sys::take(letter).and_then(Letter::open).ok().and_then(|letter| read(&letter));
    // Nobody else than the outer stage starts this.
    let Some(sent) = sent.filter(|_| getpid().is_init()) else { return ExitCode::from(2) };
    exit_code(if sent.is_trial { attempt(sent) } else { run(sent) })
}

fn read(letter: &Letter) -> Option<Sent> {
    let [task, numbers, plan, entry, env, covers, known] = letter.lists.as_slice() else { return None };
    let (entry, command) = Entry::from_args(entry)?;
    let mut numbers = numbers.iter();
    let mut take = || sys::take(numbers.next()?).ok();
    let (line, keeper, begin, program) = (take()?, take()?, take()?, take()?);
    let (used, proxy) = (take(), take());
    drop(program);
    let variable = |words: &[OsString]| match words {
        [name, value] => Some((name.clone(), value.clone())),
        _ => None,
    };
    Some(Sent {
        plan: Plan::from_args(plan)?,
        command: command.to_vec(),
        entry,
        env: env.chunks(2).map(variable).collect::<Option<_>>()?,
        covers: Cover::from_words(covers)?,
        known: known.iter().map(PathBuf::from).collect(),
        line,
        keeper,
        begin,
        _used: used,
        proxy,
        is_trial: task.first().is_some_and(|task| task == "try"),
    })
}

fn run(mut sent: Sent) -> i32 {
    let (entry, proxy) = (&sent.entry, sent.proxy.take());
    let prepared = table::check(&sent.covers, &sent.known)
        .map_err(failed("mounts"))
        .and_then(|()| proxy.map_or(Ok(()), proxy::hand_over).map_err(failed("network namespace")))
        .and_then(|()| limits::confine(!entry.groups.is_empty(), entry.file_size).map_err(failed("limits")))
        .and_then(|()| init::confine(None, &entry.written));
    if let Err(Failure { layer, reason }) = prepared {
        eprint_raw(&format!("agent: cannot enter the sandbox: {layer}: {reason}\n"));
        return 126;
    }
    let Some((program, args)) = sent.command.split_first() else { return 126 };
    let launch = Launch { program, args, cwd: &entry.cwd, tty: entry.tty };
    // From here on the code is the command's.
    if rustix::io::write(&sent.begin, b".").is_err() {
        return 137;
    }
    match launch.start(&sent.env) {
        Ok(command) => match supervise(command, &sent.line, Some(&sent.keeper)) {
            Watched::Exited(code) => code,
            Watched::Abandoned => 137,
        },
        Err(error) => {
            eprint_raw(&format!("agent: cannot start the command: {error}\n"));
            126
        }
    }
}

/// Attacks the layers as a command would, says what came of it, and then does what the life line wants: the end.
fn attempt(sent: Sent) -> i32 {
    let tried = table::check(&sent.covers, &sent.known)
        .map_err(failed("mounts"))
        .and_then(|()| probe::attempt(&sent.plan));
    let (report, code) = match tried {
        Ok(landlock) => {
            let layers = Err("bubblewrap makes none".to_owned());
            (Report::Ready { holder: 0, started: 0, user: None, landlock, layers }, 0)
        }
        Err(failure) => (Report::Failed(failure), 1),
    };
    if rustix::io::write(&sent.begin, report.to_string().as_bytes()).is_err() {
        return 1;
    }
    // The end of the report is the end of what is written there.
    let Sent { line, begin, .. } = sent;
    drop(begin);
    loop {
        match poll(&mut [PollFd::new(&line, PollFlags::IN)], None) {
            Err(Errno::INTR) => {}
            _ => return code,
        }
    }
}
