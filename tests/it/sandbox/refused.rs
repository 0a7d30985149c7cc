//! A machine on which this program may not make namespaces, and bubblewrap may, as Ubuntu's security modules have it:
//! by the program that asks. Here somebody is asked by the kernel at each such call, and looks who it is.
//!
//! All that is known of the sandbox is then tried over bubblewrap: as an ordinary user, with the other tests.

use std::{
    fs,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use super::world::CANARY;
use crate::support::{PROGRAM, chance::long, program, skip};

/// Who tests over bubblewrap has it in the environment.
pub const BUBBLEWRAP: &str = "AGENT_TEST_BUBBLEWRAP";

/// How the sentence begins that says so, once in a session.
pub const NOTICE: &str = "this machine does not let agent make namespaces, so that bubblewrap makes them";

/// The same where bubblewrap may not make any, either.
pub const ALONE: &str = "this machine allows no namespaces (as in most containers)";

/// Whether this is such a machine: tests of what is not there say so.
pub fn over_bubblewrap() -> bool {
    std::env::var_os(BUBBLEWRAP).is_some()
}

/// Calls that make namespaces or mounts.
const ASKED: &[libc::c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_setns,
    libc::SYS_sethostname,
];

/// The same, where their first argument names a user namespace.
const ASKED_OF_USERS: &[libc::c_long] = &[libc::SYS_clone, libc::SYS_unshare];

const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
const NEW_LISTENER: libc::c_ulong = 8;
const RET_USER_NOTIF: u32 = 0x7fc0_0000;
const CONTINUE: u32 = 1;

fn filter() -> Vec<libc::sock_filter> {
    let op = |code: u32, jt: usize, jf: usize, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt: u8::try_from(jt).unwrap(),
        jf: u8::try_from(jf).unwrap(),
        k,
    };
    let (load, equal, set, give) = (
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    );
    let number = |call: &libc::c_long| u32::try_from(*call).unwrap();
    let (all, users) = (ASKED.len(), ASKED_OF_USERS.len());
    let mut program = vec![op(load, 0, 0, 0)];
    // To the question, which stands behind all of these and four more.
    for (at, call) in ASKED.iter().enumerate() {
        program.push(op(equal, all - at - 1 + users + 3, 0, number(call)));
    }
    for (at, call) in ASKED_OF_USERS.iter().enumerate() {
        program.push(op(equal, users - at, 0, number(call)));
    }
    program.extend([
        op(give, 0, 0, libc::SECCOMP_RET_ALLOW),
        op(load, 0, 0, 16),
        op(set, 0, 1, libc::CLONE_NEWUSER.cast_unsigned()),
        op(give, 0, 0, RET_USER_NOTIF),
        op(give, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]);
    program
}

/// Puts the filter around this thread and all that it starts. Whoever answers gets what comes.
#[expect(unsafe_code, reason = "a filter that asks can only be made by hand")]
fn listen() -> std::io::Result<OwnedFd> {
    let program = filter();
    let filter =
        libc::sock_fprog { len: u16::try_from(program.len()).unwrap(), filter: program.as_ptr().cast_mut() };
    // SAFETY: the program lives until the call ends, and its length is given; the descriptor is new.
    unsafe {
        let listener =
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, NEW_LISTENER, &raw const filter);
        if listener < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(i32::try_from(listener).unwrap()))
    }
}

/// Answers as long as somebody may ask: all may but `program`.
#[expect(unsafe_code, reason = "requests of the kernel's that no crate has")]
fn answer(listener: &OwnedFd, program: &Path) {
    let is_program = |pid: u32| {
        let exe = PathBuf::from(format!("/proc/{pid}/exe"));
        let is = fs::metadata(program).map(|meta| (meta.dev(), meta.ino()));
        let same = fs::metadata(&exe).is_ok_and(|meta| is.is_ok_and(|is| is == (meta.dev(), meta.ino())));
        same || fs::read_link(&exe).is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:agent"))
    };
    loop {
        // SAFETY: both are plain numbers, of the sizes that the requests name, and zero is what the kernel wants.
        let (asked, error) = unsafe {
            let mut asked: libc::seccomp_notif = std::mem::zeroed();
            let result = libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut asked);
            (asked, (result < 0).then(std::io::Error::last_os_error))
        };
        match error.and_then(|error| error.raw_os_error()) {
            // Whoever asked has ended meanwhile.
            Some(libc::ENOENT | libc::EINTR) => continue,
            Some(_) => return,
            None => {}
        }
        let refused = is_program(asked.pid);
        let mut said = libc::seccomp_notif_resp {
            id: asked.id,
            val: 0,
            error: if refused { -libc::EPERM } else { 0 },
            flags: if refused { 0 } else { CONTINUE },
        };
        // SAFETY: as above. Who is gone gets no answer.
        unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut said) };
    }
}

/// Where an ordinary user has the program and these tests.
struct Place {
    _directory: tempfile::TempDir,
    program: PathBuf,
    tests: PathBuf,
    home: PathBuf,
}

/// Not the one of the other tests: processes are counted by user.
const USER: u32 = 65533;

/// Held by tests that run all others as somebody else: they fill the disk, and watch how it fills.
pub static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

impl Place {
    fn new() -> Self {
        let directory =
            tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
        let [copy, tests, home] = ["agent", "tests", "home"].map(|name| directory.path().join(name));
        fs::copy(program(), &copy).unwrap();
        fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
        let projects = home.join("projects");
        fs::create_dir_all(&projects).unwrap();
        fs::write(home.join(".canary"), CANARY).unwrap();
        for path in [&home, &projects, &home.join(".canary")] {
            std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
        }
        Self { _directory: directory, program: copy, tests, home }
    }

    /// Runs something as the ordinary user, on a machine that refuses namespaces to the program.
    fn run(&self, words: &[&str]) -> Result<Output, String> {
        let run = || -> Result<Output, String> {
            let listener = listen().map_err(|error| format!("no filter that asks: {error}"))?;
            let agent = self.program.clone();
            std::thread::spawn(move || answer(&listener, &agent));
            let mut command = Command::new("setpriv");
            command
                .args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups"])
                .args(words)
                .env(PROGRAM, &self.program)
                .env(BUBBLEWRAP, "1")
                .env("HOME", &self.home)
                .env("TMPDIR", self.home.join("projects"))
                .current_dir("/")
                .stdin(Stdio::null());
            command.output().map_err(|error| format!("setpriv: {error}"))
        };
        // The filter is one of a thread, and of what that starts. Whoever answers asks for nothing.
        std::thread::scope(|scope| {
            let (give, take) = std::sync::mpsc::channel();
            scope.spawn(move || give.send(run()).unwrap());
            take.recv().unwrap()
        })
    }
}

/// A machine as it should be, or why it can't be had here.
fn place() -> Option<Place> {
    if over_bubblewrap() {
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        skip("the sandbox by bubblewrap: it takes root to refuse namespaces to one program");
        return None;
    }
    if !Path::new("/usr/bin/bwrap").exists() {
        skip("the sandbox by bubblewrap: there is no /usr/bin/bwrap");
        return None;
    }
    Some(Place::new())
}

#[test]
fn where_only_bubblewrap_makes_namespaces_the_same_holds() {
    let Some(place) = place() else { return };
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let tests = place.tests.to_str().unwrap();
    // Those of commits that go out have nothing to try: .git is read-only there. Another way is tried by itself.
    let left = ["the_same_holds_for_an_ordinary_user", "contained", "sandbox::git::", "alone"];
    eprintln!("not over bubblewrap: {}", left.join(", "));
    let all = if long() { "sandbox::" } else { "sandbox::escape::" };
    let words = [tests, all, "network::sandboxed::"].into_iter();
    let words: Vec<&str> = words.chain(left.iter().flat_map(|name| ["--skip", name])).collect();
    let output = match place.run(&words) {
        Ok(output) => output,
        Err(why) => return skip(&format!("the sandbox by bubblewrap: {why}")),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for ran in ["nothing_is_written_outside ... ok", "promise_06_it_cannot_hurt_the_machine ... ok"] {
        assert!(text.contains(ran), "{ran}: {text}");
    }
}

#[test]
fn which_way_it_is_and_what_is_less_is_said() {
    let Some(place) = place() else { return };
    let agent = place.program.to_str().unwrap();
    let said = |words: &[&str]| {
        let home = format!("AGENT_HOME={}", place.home.join("own").display());
        let place_of = format!("--chdir={}", place.home.join("projects").display());
        let mut all = vec!["env", place_of.as_str(), home.as_str(), agent];
        all.extend(words);
        let output = place.run(&all).unwrap();
        let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        (output.status.code(), text.concat())
    };
    let (code, text) =
        said(&["sandbox", "--", "sh", "-c", "echo pid $$; cat /proc/1/cmdline | tr '\\0' ' '"]);
    // The inner stage of this program is the first process, and nobody else.
    assert!(code == Some(0) && text.contains("pid 2") && text.contains("__sandbox inside"), "{text}");
    assert!(text.contains(NOTICE), "{text}");
    let (_, text) = said(&["doctor"]);
    for wanted in ["made by bubblewrap", "✓ sandbox seccomp", "✗ sandbox git", ".git is read-only"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let (code, text) = said(&["sandbox", "explain"]);
    assert!(code == Some(0) && text.contains("by bubblewrap"), "{code:?}: {text}");
    assert!(text.contains("only read, in each repository"), "{text}");
}

/// Where a command that still runs puts a link at the right moment, bubblewrap would make a place for a mount outside.
#[test]
fn nothing_is_made_outside_by_a_link_in_the_way_of_a_mount() {
    let Some(place) = place() else { return };
    let [workspace, victim] = ["workspace", "victim"].map(|name| place.home.join(name));
    for path in [&workspace, &victim] {
        fs::create_dir(path).unwrap();
        std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
    }
    std::os::unix::fs::symlink(
        Path::new("/oldroot").join(victim.strip_prefix("/").unwrap()),
        workspace.join("l"),
    )
    .unwrap();
    let made = |sealed: bool| {
        let workspace = workspace.to_str().unwrap();
        let mut words = vec!["bwrap", "--ro-bind", "/usr", "/usr", "--bind", workspace, "/w"];
        if sealed {
            words.extend(["--ro-bind", "/", "/../oldroot"]);
        }
        words.extend(["--ro-bind", "/usr/bin", "/w/l/made", "/usr/bin/true"]);
        place.run(&words).unwrap();
        victim.join("made").exists()
    };
    assert!(!made(true), "as it is done");
    assert!(made(false), "else this shows nothing");
}
