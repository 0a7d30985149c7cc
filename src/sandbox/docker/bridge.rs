//! Carrying one command: its streams, its signals, the size of its terminal, and its end.

use std::{
    io::{self, IsTerminal as _},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    time::Duration,
};

use bollard::{Docker, models::ExecConfig, query_parameters::ResizeExecOptionsBuilder};
use rustix::{
    process::Signal,
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe,
    sync::{oneshot, watch},
    time::{sleep, timeout},
};

use super::{
    hijack::{self, Attached},
    mirror::{Mirror, StandIn, Words},
    order::Order,
    script,
    streams::{End, Told, Typed, carry_out},
};
use crate::sandbox::env;

/// How long what ends a command, or asks how it ended, may take.
const AT_ONCE: Duration = Duration::from_secs(4);
/// Between two questions how it ended: its output is at its end a little before it is.
const AGAIN: Duration = Duration::from_millis(3);

/// Runs the command to its end, and gives its exit code. When `line` breaks, everything that it started is ended.
/// On a terminal that is watched, `stand_in` stands for who reads it inside.
pub(super) async fn run(line: OwnedFd, order: &Order, stand_in: Option<StandIn>) -> io::Result<i32> {
    let stdin = rustix::stdio::stdin();
    let interactive = order.tty || (stdin.is_terminal() && rustix::stdio::stdout().is_terminal());
    let fed = interactive || !is_null(stdin);
    let _raw = if interactive { Raw::enter() } else { None };
    let mut mirror = stand_in.and_then(Mirror::new);
    let docker = order.endpoint.client().map_err(io::Error::other)?;
    let exec = create(&docker, order, interactive, fed).await?;
    let Attached { output, mut input } = hijack::start_exec(&order.endpoint, &exec, interactive).await?;
    let mut line = pipe::Receiver::from_owned_fd(line)?;
    let (group, greeted) = oneshot::channel();
    let (show, mut shown) = watch::channel(None);
    let terminal = order.token.as_ref().map(|token| (Words::new(token), show));
    let mut carried_out = tokio::spawn(carry_out(output, interactive, Told { group, terminal }));
    let mut carried = Carried { order, docker, exec, group: None, early: Vec::new() };
    let mut greeted = Some(greeted);
    let mut typed: Option<Typed> = None;
    let mut signals = [0_u8; 64];
    loop {
        tokio::select! {
            ended = &mut carried_out => {
                if matches!(ended, Ok(Ok(End::Unread))) {
                    carried.end().await;
                    return Ok(UNREAD);
                }
                return carried.over().await;
            }
            group = async { greeted.as_mut()?.await.ok() }, if greeted.is_some() => {
                greeted = None;
                carried.group = group;
                if interactive {
                    carried.resize().await;
                    // What the script waits for before it begins.
                    input.write_all(b"\n").await?;
                    input.flush().await?;
                }
                typed = fed.then(Typed::start);
                for signal in std::mem::take(&mut carried.early) {
                    carried.signal(signal).await;
                }
            }
            count = line.read(&mut signals) => match count {
                Ok(0) | Err(_) => {
                    carried.end().await;
                    return Ok(137);
                }
                Ok(count) => for signal in signals.iter().take(count) {
                    carried.signal(*signal).await;
                },
            },
            Ok(()) = shown.changed(), if mirror.is_some() => {
                let seen = *shown.borrow_and_update();
                if let (Some(mirror), Some(seen)) = (&mut mirror, seen) {
                    mirror.show(seen);
                }
            }
            bytes = Typed::next(&mut typed) => if let Some(bytes) = bytes {
                // Who does not read any more is about to end, which is then seen.
                let _ = input.write_all(&bytes).await;
                let _ = input.flush().await;
            } else {
                typed = None;
                if interactive {
                    carried.signal(HANGUP).await;
                } else {
                    let _ = input.shutdown().await;
                }
            },
        }
    }
}

/// How long a container that was killed may seem to run when its processes have ended.
const A_MOMENT: Duration = Duration::from_millis(300);

const HANGUP: u8 = 1;
/// As of a command that was killed.
const KILLED: i64 = 137;
/// As of a command that wrote to a closed pipe.
const UNREAD: i32 = 141;

/// A command that is being carried.
struct Carried<'a> {
    order: &'a Order,
    docker: Docker,
    exec: String,
    /// The number of its process group, once it has said it.
    group: Option<i32>,
    /// Signals that came before.
    early: Vec<u8>,
}

impl Carried<'_> {
    async fn signal(&mut self, signal: u8) {
        if i32::from(signal) == Signal::WINCH.as_raw() {
            return self.resize().await;
        }
        match self.group {
            Some(group) => {
                let (signal, group) = (signal.to_string(), group.to_string());
                // A command that has ended needs none.
                let _ = self.beside(&["sh", "-c", script::SIGNAL, "sh", &signal, &group]).await;
            }
            None => self.early.push(signal),
        }
    }

    /// Gives the terminal inside the size of the one outside.
    async fn resize(&self) {
        let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) else { return };
        let (rows, columns) = (i32::from(size.ws_row), i32::from(size.ws_col));
        if rows > 0 && columns > 0 {
            let options = ResizeExecOptionsBuilder::default().h(rows).w(columns).build();
            // A terminal with another size is better than none.
            let _ = self.docker.resize_exec(&self.exec, options).await;
        }
    }

    /// Ends everything that the command started.
    async fn end(&self) {
        let (script, group) = (script::end(), self.group.unwrap_or(0).to_string());
        let words = ["sh", "-c", &script, "sh", &group, &self.order.mark];
        // What is not ended then ends with the container.
        let _ = timeout(AT_ONCE, self.beside(&words)).await;
    }

    /// Runs something short beside the command, as the same user.
    async fn beside(&self, words: &[&str]) -> io::Result<()> {
        let config = ExecConfig {
            cmd: Some(words.iter().map(|word| (*word).to_owned()).collect()),
            user: Some(self.order.user.clone()),
            attach_stdout: Some(true),
            ..ExecConfig::default()
        };
        let exec = self.docker.create_exec(&self.order.container, config).await.map_err(io::Error::other)?;
        let Attached { mut output, input: _input } =
            hijack::start_exec(&self.order.endpoint, &exec.id, false).await?;
        tokio::io::copy(&mut output, &mut tokio::io::sink()).await?;
        Ok(())
    }

    /// How it ended, when its output has.
    async fn over(&self) -> io::Result<i32> {
        let asked = timeout(AT_ONCE, async {
            loop {
                match self.docker.inspect_exec(&self.exec).await {
                    Ok(state) if state.running == Some(true) => sleep(AGAIN).await,
                    Ok(state) => break state.exit_code,
                    Err(_) => break None,
                }
            }
        });
        let code = asked.await.ok().flatten();
        let killed = code.is_none() || code == Some(KILLED);
        if killed && self.container_ends().await {
            super::helper::say(
                "the container was ended while the command ran; the next command gets a fresh one, with the \
                 workspace as it is outside",
            );
        }
        Ok(code.and_then(|code| i32::try_from(code).ok()).unwrap_or(137))
    }

    /// Whether it was the container that was killed, and not the command: it then ends a moment later.
    async fn container_ends(&self) -> bool {
        let ends = async {
            loop {
                let asked = self.docker.inspect_container(&self.order.container, None).await;
                let state = asked.ok().and_then(|container| container.state);
                if !state.is_some_and(|state| state.running == Some(true) && state.paused != Some(true)) {
                    return;
                }
                sleep(AGAIN).await;
            }
        };
        timeout(A_MOMENT, ends).await.is_ok()
    }
}

async fn create(docker: &Docker, order: &Order, tty: bool, fed: bool) -> io::Result<String> {
    let text = |text: &std::ffi::OsStr| {
        let plain = text.to_str().map(str::to_owned);
        plain.ok_or_else(|| io::Error::other(format!("`{}` is not UTF-8", text.display())))
    };
    let streams = if tty { "tty" } else { "pipes" };
    let mut words: Vec<String> = vec!["sh".into(), "-c".into(), script::run(), "sh".into(), streams.into()];
    words.push(order.token.clone().unwrap_or_default());
    words.push(text(order.cwd.as_os_str())?);
    words.push(text(&order.program)?);
    for arg in &order.args {
        words.push(text(arg)?);
    }
    let mut vars: Vec<String> = env::inherited()
        .iter()
        // Text that is not UTF-8 can't be said to the engine.
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value.to_str()?)))
        .collect();
    vars.push(format!("{}={}", script::MARK, order.mark));
    let config = ExecConfig {
        cmd: Some(words),
        env: Some(vars),
        user: Some(order.user.clone()),
        tty: Some(tty),
        attach_stdin: Some(fed),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ExecConfig::default()
    };
    Ok(docker.create_exec(&order.container, config).await.map_err(io::Error::other)?.id)
}

/// The terminal outside as one that does nothing by itself: the one inside does it all.
struct Raw(Termios);

impl Raw {
    fn enter() -> Option<Self> {
        let before = tcgetattr(rustix::stdio::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// Whether nothing can be read there.
fn is_null(stdin: BorrowedFd<'_>) -> bool {
    let device = rustix::fs::stat("/dev/null").map(|stat| stat.st_rdev);
    rustix::fs::fstat(stdin.as_fd()).is_ok_and(|stat| device == Ok(stat.st_rdev))
}
