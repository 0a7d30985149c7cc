//! An engine on another machine, brought to a socket of this one by `ssh`.
//!
//! All that is known of keys and hosts stays with `ssh` itself, which asks for nothing: what it would have to ask is
//! an error.

use std::{
    io::Read as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::endpoint::Endpoint;
use crate::sandbox::{SandboxError, env};

/// How long the way there may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How long its end may take.
const FAREWELL: Duration = Duration::from_millis(500);
/// Between two looks whether it is open, or has ended.
const AGAIN: Duration = Duration::from_millis(20);
/// Where engines listen, where nothing else is said.
const SOCKET: &str = "/var/run/docker.sock";

/// A way to another machine, open as long as this lives; also when this process is killed, for `ssh` then loses its
/// input.
pub(super) struct Tunnel {
    ssh: Child,
    folder: tempfile::TempDir,
}

/// Where to go.
#[derive(Debug, PartialEq, Eq)]
struct There<'a> {
    /// `USER@HOST` or `HOST`.
    host: &'a str,
    port: Option<u16>,
    socket: &'a str,
}

impl Tunnel {
    /// Opens the way to what stands behind `ssh://`.
    pub(super) fn open(place: &str) -> Result<Self, SandboxError> {
        let failed =
            |why: &str| SandboxError { message: format!("no way to the engine at ssh://{place}: {why}") };
        let there = There::parse(place).ok_or_else(|| {
            failed("DOCKER_HOST is ssh://USER@HOST, with :PORT and /PATH of the socket where they are others")
        })?;
        // In a short path: names of sockets are.
        let folder = tempfile::Builder::new()
            .prefix("agent-")
            .tempdir()
            .map_err(|error| failed(&error.to_string()))?;
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-T",
            "-o",
            "BatchMode=yes",
            "-o",
            "ExitOnForwardFailure=yes",
            "-o",
            "ServerAliveInterval=30",
        ]);
        ssh.arg("-L").arg(format!("{}:{}", folder.path().join("engine").display(), there.socket));
        if let Some(port) = there.port {
            ssh.args(["-p", &port.to_string()]);
        }
        // What runs there only waits for the end of its input.
        ssh.args(["--", there.host, "cat"]);
        ssh.env_clear().envs(env::for_ssh());
        let ssh = ssh
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&format!("ssh: {error}")))?;
        let mut tunnel = Self { ssh, folder };
        tunnel.wait().map_err(|why| failed(why.trim()))?;
        Ok(tunnel)
    }

    /// The end on this machine.
    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::Socket(self.folder.path().join("engine"))
    }

    fn wait(&mut self) -> Result<(), String> {
        let socket = self.folder.path().join("engine");
        let since = Instant::now();
        while since.elapsed() < LIMIT {
            if let Ok(Some(status)) = self.ssh.try_wait() {
                let mut said = String::new();
                if let Some(stderr) = &mut self.ssh.stderr {
                    // Without words the status has to do.
                    let _ = stderr.read_to_string(&mut said);
                }
                return Err(format!("{said} ({status})"));
            }
            if socket.exists() {
                return Ok(());
            }
            thread::sleep(AGAIN);
        }
        Err("it takes too long".into())
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // It ends with its input, and takes along what it has started: a way through a third machine, say.
        drop(self.ssh.stdin.take());
        let since = Instant::now();
        while matches!(self.ssh.try_wait(), Ok(None)) && since.elapsed() < FAREWELL {
            thread::sleep(AGAIN);
        }
        // It may be gone already.
        let _ = self.ssh.kill();
        let _ = self.ssh.wait();
    }
}

impl<'a> There<'a> {
    /// What could be taken for an option is no host.
    fn parse(place: &'a str) -> Option<Self> {
        let (host, socket) = match place.find('/') {
            Some(at) => place.split_at(at),
            None => (place, ""),
        };
        let socket = if socket.len() > 1 { socket } else { SOCKET };
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (host, None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._@[]:".contains(c);
        let good = !host.is_empty()
            && !host.starts_with(['-', '@'])
            && host.chars().all(plain)
            && !socket.contains([':', ' '])
            && !socket.chars().any(char::is_control);
        good.then_some(Self { host, port, socket })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_with_a_port_and_a_socket() {
        let there = |host, port, socket| Some(There { host, port, socket });
        for (place, expected) in [
            ("me@host", there("me@host", None, SOCKET)),
            ("host/", there("host", None, SOCKET)),
            ("me@host:22/run/x.sock", there("me@host", Some(22), "/run/x.sock")),
            ("-oProxyCommand=evil", None),
            ("host -oProxyCommand=evil", None),
            ("host:x", None),
            ("", None),
        ] {
            assert_eq!(There::parse(place), expected, "{place}");
        }
    }
}
