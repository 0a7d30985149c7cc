//! Whether the rules hold, found out by attacking them: once a session, before any command runs.

use std::{
    fs, io,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
    mount::MountFlags,
    net::{AddressFamily, SocketFlags, SocketType},
    process::{Pid, WaitOptions, getpid, getppid, test_kill_process, waitpid},
};

use super::{
    super::{
        hold::Failure,
        init,
        plan::{Entry, Plan},
        sys::{self, Cloned},
    },
    asked::Asked,
    enter::confine,
    home,
    rules::Rules,
    written,
};

/// The layer that must refuse an attack, what it means if it does not, and the attack: true when it succeeds.
type Attack = (&'static str, &'static str, fn(&Path) -> bool);

const ATTACKS: &[Attack] = &[
    ("landlock", "a file that is none of a command's business can be read", |canary| {
        fs::read(canary).is_ok()
    }),
    ("landlock", "a file outside can be written", |canary| opens(canary, OFlags::WRONLY)),
    ("landlock", "a file outside can be emptied", |canary| empties(canary)),
    ("landlock", "a file outside can be made", |canary| {
        opens(&canary.with_extension("new"), OFlags::WRONLY | OFlags::CREATE)
    }),
    ("landlock", "a file outside can be removed", |canary| fs::remove_file(canary).is_ok()),
    ("landlock", "the environment of another process can be read", |_| reads_environment()),
    ("landlock", "another process can be signalled", |_| {
        getppid().is_some_and(|parent| test_kill_process(parent).is_ok())
    }),
    ("seccomp", "the mode of a file outside can be changed", |canary| {
        fs::set_permissions(canary, fs::Permissions::from_mode(0o777)).is_ok()
    }),
    ("seccomp", "mounting is not refused", |_| {
        rustix::mount::mount("none", "/tmp", "tmpfs", MountFlags::empty(), None) != Err(Errno::PERM)
    }),
    ("seccomp", "sockets are not refused", |_| {
        [AddressFamily::INET, AddressFamily::UNIX, AddressFamily::VSOCK]
            .iter()
            .any(|family| rustix::net::socket(*family, SocketType::STREAM, None).is_ok())
    }),
    ("seccomp", "pairs of sockets can reach others", |_| {
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::empty(), None).is_ok()
    }),
];

/// Confines a child as commands are confined, and lets it attack. The version of Landlock that took part.
pub(super) fn attempt(plan: &Plan) -> Result<u32, Failure> {
    let process = |error: io::Error| Failure { layer: "process", reason: error.to_string() };
    let canary = plan.scratch.join("canary");
    fs::write(&canary, "untouched").map_err(process)?;
    let (ours, theirs) = UnixStream::pair().map_err(process)?;
    let tried = match sys::clone_process(0).map_err(process)? {
        Cloned::Child => {
            drop(ours);
            sys::exit_now(attack(plan, &canary, theirs))
        }
        Cloned::Parent(child) => {
            drop(theirs);
            // It asks until it ends.
            Asked::hear(&ours, written(plan)).iter().for_each(Asked::answer_all);
            waitpid(Some(child), WaitOptions::empty()).map_err(|error| process(error.into()))?
        }
    };
    let untouched = fs::read(&canary).is_ok_and(|text| text == b"untouched");
    // What is left of it is in nobody's way.
    let _ = fs::remove_file(&canary);
    match tried.and_then(|(_, status)| status.exit_status()) {
        Some(0) if untouched => Ok(sys::landlock_version()),
        Some(0) => Err(Failure { layer: "landlock", reason: "a file outside was changed".into() }),
        Some(code) => Err(broken(code)),
        None => Err(Failure { layer: "seccomp", reason: "the trial process was killed".into() }),
    }
}

/// 0, or which attack succeeded, or which layer could not be had.
fn attack(plan: &Plan, canary: &Path, to: UnixStream) -> i32 {
    let watchers: Vec<Pid> = [getppid(), Some(getpid())].into_iter().flatten().collect();
    let confined = init::give_up_rights()
        .map_err(|error| Failure { layer: "identity", reason: error.to_string() })
        .and_then(|()| {
            Rules::new(plan, &entry())
                .map_err(|error| Failure { layer: "landlock", reason: error.to_string() })
        })
        .and_then(|rules| confine(rules, &watchers, &to));
    drop(to);
    match confined {
        Ok(()) => {}
        Err(Failure { layer: "landlock", .. }) => return 101,
        Err(Failure { layer: "seccomp", .. }) => return 102,
        Err(_) => return 103,
    }
    let own = home(&plan.scratch).join(".agent-probe");
    if !opens(&own, OFlags::WRONLY | OFlags::CREATE) {
        return 104;
    }
    ATTACKS.iter().zip(1..).find(|((_, _, succeeds), _)| succeeds(canary)).map_or(0, |(_, number)| number)
}

fn broken(code: i32) -> Failure {
    let refused = |layer, reason: &str| Failure { layer, reason: reason.into() };
    match code {
        101 => refused("landlock", "the kernel refused it"),
        102 => refused("seccomp", "the kernel refused it"),
        103 => refused("identity", "the kernel refused it"),
        104 => refused("scratch", "its home can't be written by commands"),
        _ => usize::try_from(code - 1).ok().and_then(|at| ATTACKS.get(at)).map_or_else(
            || refused("process", &format!("the trial process ended with {code}")),
            |(layer, what, _)| refused(layer, what),
        ),
    }
}

/// Of no command: nothing is hidden, and there is no terminal.
fn entry() -> Entry {
    Entry {
        holder: 0,
        started: 0,
        user: None,
        tty: false,
        cwd: PathBuf::new(),
        written: Vec::new(),
        protected: Vec::new(),
        file_size: 0,
        sockets: Vec::new(),
        layers: PathBuf::new(),
        overlays: Vec::new(),
        groups: Vec::new(),
        hidden: Vec::new(),
    }
}

fn opens(path: &Path, flags: OFlags) -> bool {
    let opened = rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600)).is_ok();
    if opened && flags.contains(OFlags::CREATE) {
        // Where it should not have been made, the sandbox is refused; the file is the least of it.
        let _ = fs::remove_file(path);
    }
    opened
}

/// By its name, without opening it.
fn empties(path: &Path) -> bool {
    sys::truncate(path).is_ok()
}

fn reads_environment() -> bool {
    getppid().is_some_and(|parent| fs::read(format!("/proc/{parent}/environ")).is_ok())
}
