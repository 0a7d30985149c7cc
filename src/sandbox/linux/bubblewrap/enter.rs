//! The outer stage of a command: has bubblewrap build its sandbox, and stands for the command towards the shell.

use std::{
    ffi::{CString, OsString},
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, net::UnixStream},
    },
    path::Path,
    process::ExitCode,
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::{FdFlags, fcntl_setfd},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::{
    super::{
        ROLE,
        enter::started,
        launch::eprint_raw,
        limits, overlay,
        plan::{Entry, Plan},
        relay::{Ended, Lifeline, exit_code, relay},
        sys::{self, Cloned},
    },
    ENTER, INSIDE, PROGRAM,
    layout::Layout,
    letter::{self, Letter, number},
    proxy,
    table::Cover,
    trusted,
};
use crate::sandbox::env::{self, Vars};

/// The helper's first arguments in this role; those of the entry and the command come next.
pub(in crate::sandbox::linux) fn arguments(plan: &Plan) -> Vec<OsString> {
    let plan = plan.to_args();
    let mut args: Vec<OsString> = vec![ENTER.into(), plan.len().to_string().into()];
    args.extend(plan);
    args
}

fn parse(args: &[OsString]) -> Option<(Plan, Entry, &[OsString])> {
    let (count, rest) = args.split_first()?;
    let count: usize = count.to_str()?.parse().ok()?;
    let plan = Plan::from_args(rest.get(..count)?)?;
    let (entry, command) = Entry::from_args(rest.get(count..)?)?;
    (!command.is_empty()).then_some((plan, entry, command))
}

/// The helper's main in this role.
pub(in crate::sandbox::linux) fn main(args: &[OsString]) -> ExitCode {
    let Some((plan, entry, command)) = parse(args) else { return ExitCode::from(2) };
    match enter(&plan, &entry, command) {
        Ok(code) => exit_code(code),
        Err(error) => {
            eprint_raw(&format!("agent: cannot enter the sandbox: {error}\n"));
            ExitCode::from(126)
        }
    }
}

fn enter(plan: &Plan, entry: &Entry, command: &[OsString]) -> io::Result<i32> {
    sys::close_from(3);
    sys::block_signals();
    let used: OwnedFd = overlay::used(&entry.layers)?.into();
    limits::join(&entry.groups)?;
    let line = Lifeline::new()?;
    let (began, begin) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let start = Start { plan, entry, command, env: &env::inherited(), task: Task::Run };
    let (inner, proxy) = if plan.network {
        let (ours, theirs) = UnixStream::pair()?;
        (Some(ours), Some(theirs.into()))
    } else {
        (None, None)
    };
    let handed = Handed { line: line.inner, keeper: keeper(entry)?, begin, used: Some(used), proxy };
    start.bubblewrap(&handed)?;
    // All that is kept is the word that a command runs, until everything of it has ended.
    let Handed { line: inner_line, keeper, begin, used: _used, proxy } = handed;
    drop((inner_line, keeper, begin, proxy));
    let _served =
        inner.map(|inner| proxy::bring_out(inner, &plan.scratch)).transpose().unwrap_or_else(|error| {
            // The inner stage hears that nobody serves it, and ends.
            eprint_raw(&format!("agent: the proxy of the network can't be reached: {error}\n"));
            None
        });
    let code = match relay(line.outer, None) {
        Ended::Code(code) => code,
        Ended::Killed => 137,
    };
    // What bubblewrap says of itself is not the command's code.
    let mut byte = [0_u8];
    Ok(if matches!(rustix::io::read(&began, &mut byte), Ok(1)) { code } else { 126 })
}

/// Whoever sees to the end of the session: commands end with it.
fn keeper(entry: &Entry) -> io::Result<OwnedFd> {
    let gone = || io::Error::other("the session's sandbox is gone");
    let keeper = Pid::from_raw(entry.holder).ok_or_else(gone)?;
    let opened = pidfd_open(keeper, PidfdFlags::empty()).map_err(|_| gone())?;
    // Asked after the descriptor was opened: what has this start time now is what the descriptor means.
    if started(keeper).map_err(|_| gone())? != entry.started {
        return Err(gone());
    }
    Ok(opened)
}

/// What the inner stage is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Run the command.
    Run,
    /// Try the layers, and wait for the end.
    Try,
}

/// What the inner stage gets.
pub(super) struct Handed {
    pub(super) line: OwnedFd,
    pub(super) keeper: OwnedFd,
    /// Where it says that the command has begun, or what came of the trial.
    pub(super) begin: OwnedFd,
    /// Says that a command runs.
    pub(super) used: Option<OwnedFd>,
    /// Where it hands over what the proxy listens on.
    pub(super) proxy: Option<OwnedFd>,
}

/// One start of bubblewrap.
pub(super) struct Start<'a> {
    pub(super) plan: &'a Plan,
    pub(super) entry: &'a Entry,
    pub(super) command: &'a [OsString],
    pub(super) env: &'a Vars,
    pub(super) task: Task,
}

impl Start<'_> {
    /// Starts it as a child of this process.
    pub(super) fn bubblewrap(&self, handed: &Handed) -> io::Result<Pid> {
        trusted(Path::new(PROGRAM))?;
        let layout = Layout::new(self.plan, self.entry)?;
        // The very program that runs here, whatever is found by its path, there or here.
        let program = openat(CWD, "/proc/self/exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let letter = self.letter(&layout, handed, &program).seal()?;
        let arguments = letter::file("arguments", layout.arguments())?;
        let words = [
            "bwrap".into(),
            "--args".into(),
            number(&arguments),
            "--".into(),
            format!("/proc/self/fd/{}", program.as_raw_fd()).into(),
            ROLE.into(),
            INSIDE.into(),
            number(&letter),
        ];
        let words: Vec<CString> = words.iter().map(c_string).collect::<Result<_, _>>()?;
        let path = c_string(&PROGRAM.into())?;
        match sys::clone_process(0)? {
            Cloned::Parent(child) => Ok(child),
            Cloned::Child => {
                let kept = [&handed.line, &handed.keeper, &handed.begin, &program].into_iter();
                let kept = kept.chain(&handed.used).chain(&handed.proxy);
                let kept = kept.map(|descriptor| fcntl_setfd(descriptor, FdFlags::empty()));
                let error = match kept.collect::<Result<Vec<_>, _>>() {
                    // With nothing in its environment.
                    Ok(_) => sys::execve(&path, &words, &[]),
                    Err(error) => error.into(),
                };
                eprint_raw(&format!("agent: cannot run {PROGRAM}: {error}\n"));
                sys::exit_now(126)
            }
        }
    }

    fn letter(&self, layout: &Layout, handed: &Handed, program: &OwnedFd) -> Letter {
        let mut entry = self.entry.to_args();
        entry.push("--".into());
        entry.extend(self.command.iter().cloned());
        let mut numbers =
            vec![number(&handed.line), number(&handed.keeper), number(&handed.begin), number(program)];
        let or_none = |descriptor: &Option<OwnedFd>| descriptor.as_ref().map_or_else(|| "-".into(), number);
        numbers.extend([&handed.used, &handed.proxy].map(or_none));
        Letter {
            lists: vec![
                vec![if self.task == Task::Run { "run" } else { "try" }.into()],
                numbers,
                self.plan.to_args(),
                entry,
                self.env.iter().flat_map(|(name, value)| [name.clone(), value.clone()]).collect(),
                Cover::to_words(&layout.covers),
                layout.known.iter().map(|path| path.clone().into_os_string()).collect(),
            ],
        }
    }
}

fn c_string(word: &OsString) -> io::Result<CString> {
    CString::new(word.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}
