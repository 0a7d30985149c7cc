//! A process tree that dies with its session, where there is no sandbox to see to it.
//!
//! Two processes: the outer one stands for the command; the inner one is the subreaper of everything that the
//! command starts, daemons included, and ends all of it when the command ends, when the outer process dies, or
//! when the agent does. It confines nothing.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    io,
    os::fd::OwnedFd,
    path::Path,
    process::ExitCode,
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getpid, getppid, kill_process, pidfd_open, set_child_subreaper,
        set_parent_process_death_signal, wait,
    },
};

use super::{
    launch::{Launch, eprint_raw},
    relay::{Ended, Lifeline, exit_code, relay},
    supervise::{Watched, supervise},
    sys::{self, Cloned},
};
use crate::sandbox::{CommandLine, env};

/// The first argument of the helper in this role.
pub(super) const ROLE: &str = "__guard";

/// The command line that runs `command` under a guard of the process `agent`.
pub(in crate::sandbox) fn wrap(helper: &Path, agent: u32, command: CommandLine) -> CommandLine {
    let mut args: Vec<OsString> = vec![
        ROLE.into(),
        agent.to_string().into(),
        if command.tty { "tty" } else { "pipes" }.into(),
        command.cwd.into_os_string(),
        "--".into(),
        command.program,
    ];
    args.extend(command.args);
    CommandLine {
        program: helper.into(),
        args,
        env: env::shielded(command.env),
        cwd: "/".into(),
        tty: command.tty,
    }
}

/// The helper's main: `args` is what follows the role.
pub(super) fn main(args: &[OsString]) -> ExitCode {
    let [agent, streams, cwd, dashes, program, args @ ..] = args else { return ExitCode::from(2) };
    let Some(agent) = agent.to_str().and_then(|text| text.parse().ok()).and_then(Pid::from_raw) else {
        return ExitCode::from(2);
    };
    if dashes != "--" {
        return ExitCode::from(2);
    }
    let launch = Launch { program, args, cwd: Path::new(cwd), tty: streams == OsStr::new("tty") };
    match outer(agent, &launch) {
        Ok(code) => exit_code(code),
        Err(error) => {
            eprint_raw(&format!("agent: cannot guard the command: {error}\n"));
            ExitCode::from(126)
        }
    }
}

fn outer(agent: Pid, launch: &Launch<'_>) -> io::Result<i32> {
    sys::close_from(3);
    sys::block_signals();
    let agent_gone = pidfd_open(agent, PidfdFlags::empty())?;
    if getppid() != Some(agent) {
        return Err(io::Error::other("the agent is gone"));
    }
    // Should somebody kill the inner process, its orphans come here.
    set_child_subreaper(Some(getpid()))?;
    let line = Lifeline::new()?;
    match sys::clone_process(0)? {
        Cloned::Child => {
            drop(line.outer);
            sys::exit_now(inner(&line.inner, &agent_gone, launch))
        }
        Cloned::Parent(_) => {
            drop((line.inner, agent_gone));
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

fn inner(lifeline: &OwnedFd, agent_gone: &OwnedFd, launch: &Launch<'_>) -> i32 {
    // Away from the process group of the outer one, so that who kills that group does not kill this one. Not a
    // session: a fresh one costs milliseconds of waiting on a busy machine.
    let _ = rustix::process::setpgid(None, None);
    let started = set_child_subreaper(Some(getpid()))
        // A second bell beside the life line, for the case that this process is stopped: SIGCONT wakes it.
        .and_then(|()| set_parent_process_death_signal(Some(Signal::CONT)))
        .map_err(io::Error::from)
        .and_then(|()| launch.start(&env::inherited()));
    let code = match started {
        Ok(command) => match supervise(command, lifeline, Some(agent_gone)) {
            Watched::Exited(code) => code,
            Watched::Abandoned => 137,
        },
        Err(error) => {
            eprint_raw(&format!("agent: cannot start the command: {error}\n"));
            126
        }
    };
    end_descendants();
    code
}

/// How long those that take long to end are left alone, where others can't be waited for.
const PAUSE: Duration = Duration::from_millis(10);

/// Kills everything below this process, which must be a subreaper. Returns when nothing is left, or only processes
/// of other users (such as root's), which it can't end.
pub(super) fn end_descendants() {
    loop {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        let (mut ours, mut foreign) = (false, false);
        for pid in descendants(getpid(), &parents()) {
            match kill_process(pid, Signal::KILL) {
                Err(Errno::PERM) => foreign = true,
                // Or gone already: the wait below sees to that.
                _ => ours = true,
            }
        }
        // Each end may bring new orphans, whom the next look finds.
        match (ours, foreign) {
            (_, false) => drop(wait(WaitOptions::empty())),
            (true, true) => std::thread::sleep(PAUSE),
            (false, true) => return,
        }
    }
}

/// All processes that stand below `root`.
fn descendants(root: Pid, parents: &[(i32, i32)]) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (pid, parent) in parents {
        children.entry(*parent).or_default().push(*pid);
    }
    let mut found = Vec::new();
    let mut queue = vec![root.as_raw_nonzero().get()];
    while let Some(parent) = queue.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            found.extend(Pid::from_raw(child));
            queue.push(child);
        }
    }
    found
}

/// Every process that has not ended, with its parent.
fn parents() -> Vec<(i32, i32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read(entry.path().join("stat")).ok()?;
            let (state, parent) = state_and_parent_in(&stat)?;
            (!matches!(state, b"Z" | b"X")).then_some((pid, parent))
        })
        .collect()
}

/// The state and the parent in the text of a `stat` file. The program's name in it may hold anything, parentheses included.
fn state_and_parent_in(stat: &[u8]) -> Option<(&[u8], i32)> {
    let after = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = stat.get(after + 1..)?.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    let state = fields.next()?;
    Some((state, std::str::from_utf8(fields.next()?).ok()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(state_and_parent_in(b"12 (sh) S 7 12 12 0"), Some((&b"S"[..], 7)));
        assert_eq!(state_and_parent_in(b"12 (a) R 1 (b) Z 9 12 0"), Some((&b"Z"[..], 9)));
        assert_eq!(state_and_parent_in(b"12 (broken"), None);
    }

    #[test]
    fn a_tree_is_walked_whole_and_alone() {
        let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 2), (7, 7)];
        let mut found: Vec<i32> = descendants(Pid::from_raw(2).unwrap(), &parents)
            .into_iter()
            .map(|pid| pid.as_raw_nonzero().get())
            .collect();
        found.sort_unstable();
        assert_eq!(found, [3, 4, 6]);
    }

    #[test]
    fn a_wrapped_command_keeps_its_words_and_its_terminal() {
        let command = CommandLine {
            program: "sh".into(),
            args: vec!["-c".into(), "--".into()],
            env: vec![("LD_PRELOAD".into(), "x".into())],
            cwd: "/work space".into(),
            tty: true,
        };
        let wrapped = wrap(Path::new("/bin/agent"), 7, command);
        assert_eq!(wrapped.program, OsString::from("/bin/agent"));
        assert_eq!(wrapped.args, ["__guard", "7", "tty", "/work space", "--", "sh", "-c", "--"]);
        assert!(wrapped.tty);
        assert!(!wrapped.env.iter().any(|(name, _)| name.as_bytes().starts_with(b"LD_")));
    }
}
