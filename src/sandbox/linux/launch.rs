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
        self.start_confined(env, || Ok(()))
    }

    /// The same, of a command that gives something up that its parent keeps.
    pub(super) fn start_confined(
        &self,
        env: &Vars,
        confine: impl FnOnce() -> Result<(), String>,
    ) -> io::Result<Pid> {
        match sys::clone_process(0)? {
            Cloned::Parent(pid) => Ok(pid),
            Cloned::Child => {
                let failed = |why| Failure { code: 126, text: format!("cannot enter the sandbox: {why}") };
                let Failure { text, code } = confine().map_or_else(failed, |()| self.become_it(env));
                eprint_raw(&format!("agent: {text}\n"));
                sys::exit_now(code)
            }
        }
    }

    fn become_it(&self, env: &Vars) -> Failure {
        sys::default_signals();
        let failure =
            |what: String, error: io::Error| Failure { code: 126, text: format!("{what}: {error}") };
        if let Err(error) = setsid() {
            return failure("cannot start a session".into(), error.into());
        }
        if self.tty
            && let Err(error) = rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())
        {
            return failure("cannot take the terminal".into(), error.into());
        }
        if let Err(error) = chdir(self.cwd) {
            return failure(format!("cannot enter {}", self.cwd.display()), error.into());
        }
        let error = self.exec(env);
        let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        Failure { code, text: format!("cannot run {}: {error}", self.program.display()) }
    }

    /// Looks the program up in the command's own PATH, as a shell would. Returns only when it can't be run.
    fn exec(&self, env: &Vars) -> io::Error {
        let args: Vec<CString> = std::iter::once(self.program)
            .chain(self.args.iter().map(OsString::as_os_str))
            .map(|arg| c_string(arg.as_bytes().to_vec()))
            .collect();
        let vars: Vec<CString> = env
            .iter()
            .map(|(name, value)| c_string([name.as_bytes(), b"=", value.as_bytes()].concat()))
            .collect();
        if self.program.as_bytes().contains(&b'/') {
            return sys::execve(&c_string(self.program.as_bytes().to_vec()), &args, &vars);
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
        reason
    }
}

/// Why the command did not start, and the code that a shell gives for it.
struct Failure {
    text: String,
    code: i32,
}

/// Writes to the standard error without the runtime's lock and buffer.
pub(in crate::sandbox) fn eprint_raw(text: &str) {
    // There is nowhere else to say it.
    let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
}

/// Arguments and variables come from arguments and variables, which hold no zero byte.
fn c_string(bytes: Vec<u8>) -> CString {
    CString::new(bytes).expect("no zero byte")
}
