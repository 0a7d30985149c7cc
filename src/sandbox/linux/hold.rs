//! The holder of a session: the process whose namespaces all commands of the session enter.
//!
//! It is pid 1 of the session and does nothing but wait for the end of its life line, which the agent holds. When
//! that breaks it ends, and the kernel ends everything inside with it.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::fd::OwnedFd,
    process::ExitCode,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
    thread::{set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

use super::{
    aftermath,
    identity::{Identity, Idmap},
    listener,
    mounts::{self, Mapped, Sources},
    overlay,
    plan::Plan,
    probe,
    report::Report,
    sys::{self, Cloned},
};

/// All namespaces of a session. Commands enter every one of them.
pub(super) const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// The helper's main in this role.
pub(super) fn main(args: &[OsString]) -> ExitCode {
    // The kernel has ended all that was inside.
    run(args, hold, |_| true)
}

/// The helper's main in the role of whoever holds a session. The life line is the standard input, the report goes to the
/// standard output. `hold` gives the process with which the session ends; then `ended` waits for what ends after it,
/// and says whether all has.
pub(super) fn run(
    args: &[OsString],
    hold: fn(&Plan) -> Result<Pid, Failure>,
    ended: fn(&Plan) -> bool,
) -> ExitCode {
    sys::close_from(3);
    sys::block_signals();
    // Away from the terminal and the process group of the agent: a ^C there is not meant for the session.
    let _ = rustix::process::setsid();
    let agent = rustix::process::getppid();
    let Some(plan) = Plan::from_args(args) else { return ExitCode::from(2) };
    match hold(&plan) {
        Ok(child) => {
            let _ = waitpid(Some(child), WaitOptions::empty());
            // Unless the agent itself looks after what was left.
            if ended(&plan) && rustix::process::getppid() != agent {
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

/// Starts the process with which a session without a process namespace ends: its commands look at it, each by itself.
pub(super) fn sign() -> Result<Pid, Failure> {
    match sys::clone_process(0).map_err(failed("process"))? {
        Cloned::Child => {
            super::relay::release_stdout();
            wait_for_the_end();
            sys::exit_now(0)
        }
        Cloned::Parent(child) => Ok(child),
    }
}

/// Waits until the commands of such a session have ended: what they made can then be looked at. Whether they have.
pub(super) fn commands_ended(plan: &Plan) -> bool {
    overlay::wait_alone(&overlay::place(&plan.scratch)).is_ok()
}

/// A step of the way that failed: which layer, and why.
pub(super) struct Failure {
    pub(super) layer: &'static str,
    pub(super) reason: String,
}

pub(super) fn failed(layer: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure { layer, reason: error.to_string() }
}

fn hold(plan: &Plan) -> Result<Pid, Failure> {
    mounts::make_private(plan).map_err(failed("scratch"))?;
    // Root's own identity is no way out: it owns the machine, whatever namespace it is in.
    let (identity, mapped) = mapped(plan)?;
    let (go, start) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed("process")(error.into()))?;
    let (report, tell) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed("process")(error.into()))?;
    match sys::clone_process(NAMESPACES).map_err(failed("namespaces"))? {
        Cloned::Child => {
            drop((start, report));
            let code = first_process(plan, identity, mapped, &go, tell);
            sys::exit_now(code)
        }
        Cloned::Parent(child) => {
            drop((go, tell, mapped));
            let answer = identity.map(child).map_err(failed("user namespace")).and_then(|()| {
                drop(start);
                listen(report, child, identity)
            });
            match answer {
                Ok(ready) => {
                    say(&ready);
                    Ok(child)
                }
                Err(failure) => {
                    let _ = kill_process(child, Signal::KILL);
                    Err(failure)
                }
            }
        }
    }
}

/// The identity of commands, and the trees that they may write as that.
fn mapped(plan: &Plan) -> Result<(Identity, Option<Mapped>), Failure> {
    let identity = Identity::choose(plan);
    let idmap = Idmap::new(identity).map_err(failed("user namespace"))?;
    let Some(idmap) = idmap else { return Ok((identity, None)) };
    let trees = mounts::writable(plan)
        .into_iter()
        .map(|(from, to)| Ok((idmap.tree(&from)?, to)))
        .collect::<io::Result<_>>()
        .map_err(failed("identity"))?;
    Ok((identity, Some(trees)))
}

/// What the first process inside has to say, completed with what only this one knows.
fn listen(report: OwnedFd, child: Pid, identity: Identity) -> Result<Report, Failure> {
    let mut text = String::new();
    io::Read::read_to_string(&mut std::fs::File::from(report), &mut text).map_err(failed("process"))?;
    match Report::parse(&text) {
        Some(Report::Failed(failure)) => Err(failure),
        Some(Report::Ready { landlock, layers, .. }) => Ok(Report::Ready {
            holder: child.as_raw_nonzero().get(),
            started: super::enter::started(child).map_err(failed("process"))?,
            user: identity.becomes(),
            landlock,
            layers,
        }),
        None => Err(Failure { layer: "process", reason: "the session's first process died".into() }),
    }
}

/// Tells the agent, and lets go of the standard output: its end is the end of the report.
pub(super) fn say(report: &Report) {
    // If nobody listens, the life line is broken too.
    let _ = io::stdout().write_all(report.to_string().as_bytes()).and_then(|()| io::stdout().flush());
    super::relay::release_stdout();
}

/// Pid 1 of the session. Its return ends the session.
fn first_process(
    plan: &Plan,
    identity: Identity,
    mapped: Option<Mapped>,
    go: &OwnedFd,
    tell: OwnedFd,
) -> i32 {
    let mut byte = [0_u8];
    // The end of this pipe says that the maps are written.
    if rustix::io::read(go, &mut byte) != Ok(0) {
        return 1;
    }
    let built = build(plan, identity, mapped);
    super::relay::release_stdout();
    let ready = match built {
        Ok((landlock, layers)) => Report::Ready { holder: 0, started: 0, user: None, landlock, layers },
        Err(failure) => Report::Failed(failure),
    };
    if rustix::io::write(&tell, ready.to_string().as_bytes()).is_err() || matches!(ready, Report::Failed(_)) {
        return 1;
    }
    drop(tell);
    wait_for_the_end();
    0
}

/// The version of Landlock, and whether repositories can have a layer.
fn build(
    plan: &Plan,
    identity: Identity,
    mapped: Option<Mapped>,
) -> Result<(u32, Result<(), String>), Failure> {
    let sources = Sources::open(plan, mapped).map_err(failed("mounts"))?;
    become_user(identity.becomes()).map_err(failed("identity"))?;
    rustix::system::sethostname(b"localhost").map_err(|error| failed("uts namespace")(error.into()))?;
    sys::loopback_up().map_err(failed("network namespace"))?;
    if plan.network {
        listener::hand_over().map_err(failed("network namespace"))?;
    }
    sources.mount(plan, identity.becomes()).map_err(failed("mounts"))?;
    let layers = if plan.write {
        overlay::attempt(&plan.workspace).map_err(|error| error.to_string())
    } else {
        Ok(())
    };
    Ok((probe::attempt(plan)?, layers))
}

/// Takes on the identity of commands, with all rights over the namespaces.
pub(super) fn become_user(user: Option<u32>) -> io::Result<()> {
    let Some(user) = user else { return Ok(()) };
    let (uid, gid) = (rustix::process::Uid::from_raw(user), rustix::process::Gid::from_raw(user));
    set_keep_capabilities(true)?;
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Waits until the life line at the standard input is cut.
fn wait_for_the_end() {
    // Ended orphans vanish by themselves.
    sys::ignore_children();
    let stdin = rustix::stdio::stdin();
    loop {
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            // Nothing is ever written there: whatever it is, it is the end.
            _ => return,
        }
    }
}
