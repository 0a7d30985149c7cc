//! The processes that stand for a command in a container: what the shell starts, signals and waits for.
//!
//! The outer one passes signals on through a pipe and hands back the exit code. The inner one carries the streams
//! between here and the container, and ends what the command started when the pipe breaks. Between the two lies a
//! border of sessions, so that the terminal is the outer one's, which never reads it. Who looks at the terminal sees
//! there what the porter sees inside: see `mirror`.

use std::{ffi::OsString, io, os::fd::OwnedFd, process::ExitCode};

use super::{bridge, mirror::StandIn, order::Order};
use crate::sandbox::linux::{
    launch::eprint_raw,
    relay::{Ended, Lifeline, exit_code, relay},
    sys::{self, Cloned},
};

/// The first argument of the helper in this role.
pub(super) const ROLE: &str = "__docker";

/// The helper's main: `args` is what follows the role.
pub(super) fn main(args: &[OsString]) -> ExitCode {
    let Some(order) = Order::from_args(args) else { return ExitCode::from(2) };
    match outer(&order) {
        Ok(code) => exit_code(code),
        Err(error) => {
            say(&format!("cannot reach into the container: {error}"));
            ExitCode::from(126)
        }
    }
}

fn outer(order: &Order) -> io::Result<i32> {
    sys::close_from(3);
    sys::block_signals();
    if order.tty {
        // Fails where the terminal is somebody else's, who then hears of its changes; we are told by them.
        let _ = rustix::process::ioctl_tiocsctty(rustix::stdio::stdin());
    }
    // Without one nobody is seen to wait.
    let (pid, stand_in) = order.token.as_ref().and_then(|_| StandIn::start().ok()).unzip();
    let line = Lifeline::new()?;
    match sys::clone_process(0)? {
        Cloned::Child => {
            drop(line.outer);
            sys::exit_now(inner(line.inner, order, stand_in))
        }
        Cloned::Parent(_) => {
            drop((line.inner, stand_in));
            Ok(match relay(line.outer, pid) {
                Ended::Code(code) => code,
                Ended::Killed => 137,
            })
        }
    }
}

fn inner(line: OwnedFd, order: &Order, stand_in: Option<StandIn>) -> i32 {
    sys::default_signals();
    // A write to a stream that nobody reads any more is an error like others.
    sys::ignore_broken_pipes();
    if let Err(error) = rustix::process::setsid() {
        say(&format!("cannot start a session: {error}"));
        return 126;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(bridge::run(line, order, stand_in))) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("the command did not run: {error}"));
            126
        }
    }
}

/// Says something on the command's standard error.
pub(super) fn say(text: &str) {
    eprint_raw(&format!("agent: {text}\n"));
}
