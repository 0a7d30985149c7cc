//! The last step of a helper: the command in a session of its own, and becoming it.

use std::{
    ffi::{CString, OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use rustix::{
    io::Errno,
    process::{Pid, chdir, setsid},
};

use super::sys::{self, Cloned};
use crate::sandbox::env::Vars;

/// What is started in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launch<'a> {
    pub(super) program: &'a OsStr,
    pub(super) args: &'a [OsString],
    pub(super) cwd: &'a Path,
    /// The standard input is a terminal that becomes the controlling one.
    pub(super) tty: bool,
}

impl Launch<'_> {
    /// Starts the command as a child: leader of its own session and process group.
    pub(super) fn start(&self, env: &Vars) -> io::Result<Pid> {
        match sys::clone_process(0)? {
            Cloned::Parent(pid) => Ok(pid),
            Cloned::Child => {
                let error = self.become_it(env);
                eprint_raw(&format!("agent: {error}\n"));
                sys::exit_now(if error.not_found { 127 } else { 126 })
            }
        }
    }

    fn become_it(&self, env: &Vars) -> Failure {
        sys::default_signals();
        if let Err(error) = setsid() {
            return Failure::new("cannot start a session", &error.into());
        }
        if self.tty
            && let Err(error) = rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())
        {
            return Failure::new("cannot take the terminal", &error.into());
        }
        if let Err(error) = chdir(self.cwd) {
            return Failure::new(&format!("cannot enter {}", self.cwd.display()), &error.into());
        }
        self.exec(env)
    }

    /// Looks the program up in the command's own PATH, as a shell would.
    fn exec(&self, env: &Vars) -> Failure {
        let name = self.program.display();
        let args: Vec<CString> = std::iter::once(self.program)
            .chain(self.args.iter().map(OsString::as_os_str))
            .map(|arg| c_string(arg.as_bytes().to_vec()))
            .collect();
        let vars: Vec<CString> = env
            .iter()
            .map(|(name, value)| c_string([name.as_bytes(), b"=", value.as_bytes()].concat()))
            .collect();
        if self.program.as_bytes().contains(&b'/') {
            let error = sys::execve(&c_string(self.program.as_bytes().to_vec()), &args, &vars);
            return Failure::new(&format!("cannot run {name}"), &error);
        }
        let path = env.iter().find(|(name, _)| name == "PATH").map_or(OsStr::new(""), |(_, value)| value);
        let mut reason = io::Error::from(Errno::NOENT);
        for directory in path.as_bytes().split(|byte| *byte == b':').filter(|entry| !entry.is_empty()) {
            let candidate = c_string([directory, b"/", self.program.as_bytes()].concat());
            let error = sys::execve(&candidate, &args, &vars);
            if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) {
                reason = error;
            }
        }
        Failure::new(&format!("cannot run {name}"), &reason)
    }
}

/// Why the command did not start.
struct Failure {
    text: String,
    not_found: bool,
}

impl Failure {
    fn new(what: &str, error: &io::Error) -> Self {
        Self { not_found: error.kind() == io::ErrorKind::NotFound, text: format!("{what}: {error}") }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Writes to the standard error without the runtime's lock and buffer.
pub(super) fn eprint_raw(text: &str) {
    // There is nowhere else to say it.
    let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
}

/// Arguments and variables come from arguments and variables, which hold no zero byte.
fn c_string(bytes: Vec<u8>) -> CString {
    CString::new(bytes).expect("no zero byte")
}
