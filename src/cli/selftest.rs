//! Whether the sandbox holds, found out by attacking it: each promise is tried from inside, and looked at from here.
//!
//! An attempt that only fails proves little, for it may fail by mistake. So each one is made by a program that does
//! the same thing outside, where it succeeds; and what counts is what became of the canary.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, Write as _},
    net::{TcpListener, UdpSocket},
    os::unix::{
        fs::PermissionsExt as _,
        net::{SocketAddr, UnixListener},
    },
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::Serialize;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::protocol::{SandboxMode, obeyed_names};
use crate::sandbox::{CommandLine, SandboxError, SharedSandbox, attempt};

use super::start::Start;

/// How long one attempt may take, and what was left behind may live.
const LIMIT: Duration = Duration::from_secs(5);
/// How long a signal may be on its way, on a busy machine.
const ARRIVES: Duration = Duration::from_millis(300);

/// What became of a promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Tried {
    pub(super) promise: &'static str,
    /// Nothing: it could not be tried here.
    pub(super) holds: Option<bool>,
    pub(super) detail: String,
}

/// A sandbox that is being attacked, and what must not be reached from inside of it.
pub(super) struct Trial<'a> {
    pub(super) start: &'a Start,
    pub(super) mode: SandboxMode,
    pub(super) sandbox: SharedSandbox,
    /// This program, by its path inside. Where it can't be had there, a shell tries what it can.
    pub(super) attacker: Option<PathBuf>,
}

/// The attempts that a shell can make; 3 is what it can't.
const SCRIPT: &str = r#"case $1 in
write) printf x >> "$2" ;;
read) cat "$2" ;;
environ) env; cat /proc/[0-9]*/environ 2>/dev/null; : ;;
kill) kill -9 "$2" ;;
power) [ "$(id -u)" = 0 ] ;;
cores) [ "$(ulimit -H -c)" != 0 ] ;;
kernel) command -v unshare >/dev/null || exit 3; unshare -U true && echo namespaces ;;
tcp) command -v nc >/dev/null || exit 3; nc -w 1 "${2%:*}" "${2##*:}" </dev/null ;;
*) exit 3 ;;
esac"#;

/// What stands outside.
struct Canaries {
    word: String,
    /// Folders that anybody could write, with a file that anybody could read, and where they are.
    folders: Vec<(&'static str, tempfile::TempDir)>,
    witness: Child,
}

/// How an attempt went, as it says itself.
struct Said {
    /// Nothing: there was nobody who could make it.
    code: Option<i32>,
    output: Vec<u8>,
}

impl Said {
    fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    fn was_made(&self) -> bool {
        self.code.is_some()
    }
}

impl Trial<'_> {
    /// Tries all promises. It takes about a second.
    ///
    /// # Errors
    /// When the canaries can't be set up, or the sandbox runs nothing.
    pub(super) async fn run(&self) -> io::Result<Vec<Tried>> {
        let mut canaries = self.canaries()?;
        let tried = vec![
            self.writes(&canaries).await?,
            self.reads(&canaries).await?,
            self.workspace(&canaries.word).await?,
            self.obeyed(&canaries.word).await?,
            self.keys(&canaries.word).await?,
            self.processes(&mut canaries.witness).await?,
            self.network(&canaries).await?,
            self.power().await?,
            self.lingers().await?,
        ];
        Ok(tried)
    }

    fn canaries(&self) -> io::Result<Canaries> {
        let word = format!("canary-{}", uuid::Uuid::now_v7().simple());
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let places = [
            ("where temporary files are", Some(std::env::temp_dir())),
            ("in your home directory", home),
            ("beside this program's sessions", Some(self.start.home.state.clone())),
        ];
        let roots: Vec<PathBuf> =
            self.start.writable_roots().into_iter().chain([self.start.workspace.clone()]).collect();
        let mut folders = Vec::new();
        for (place, folder) in places {
            let Some(folder) = folder.filter(|folder| !roots.iter().any(|root| folder.starts_with(root)))
            else {
                continue;
            };
            // One that can't be written by the person either is no place to look at.
            let made = fs::create_dir_all(&folder)
                .and_then(|()| tempfile::Builder::new().prefix(".agent-explain-").tempdir_in(&folder));
            let Ok(made) = made else { continue };
            fs::set_permissions(made.path(), fs::Permissions::from_mode(0o777))?;
            fs::write(made.path().join("file"), &word)?;
            fs::set_permissions(made.path().join("file"), fs::Permissions::from_mode(0o666))?;
            folders.push((place, made));
        }
        let witness = Command::new("sleep")
            .arg("60")
            .env("AGENT_CANARY", &word)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Canaries { word, folders, witness })
    }

    /// Makes an attempt inside.
    async fn attempt(&self, what: &str, on: impl AsRef<OsStr>) -> io::Result<Said> {
        let on = on.as_ref().to_owned();
        if let Some(program) = &self.attacker {
            return self.inside(program.clone().into(), [attempt::ROLE.into(), what.into(), on].into()).await;
        }
        let args = ["-c".into(), SCRIPT.into(), "attempt".into(), what.into(), on];
        let said = self.inside("/bin/sh".into(), args.into()).await?;
        Ok(Said { code: said.code.filter(|code| *code != 3), ..said })
    }

    async fn inside(&self, program: OsString, args: Vec<OsString>) -> io::Result<Said> {
        let env = self.sandbox.environment(self.start.environment(self.mode));
        let line = CommandLine { program, args, env, cwd: self.start.workspace.clone(), tty: false };
        let none = |error: SandboxError| io::Error::other(error.to_string());
        self.sandbox.refresh().await.map_err(none)?;
        let line = self.sandbox.wrap(line).map_err(none)?;
        let running = Command::new(&line.program)
            .args(&line.args)
            .env_clear()
            .envs(line.env)
            .current_dir(&line.cwd)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let ended = timeout(LIMIT, running.wait_with_output()).await;
        // Where commands change a copy, this is when it comes out.
        self.sandbox.publish().await;
        match ended {
            Ok(output) => {
                output.map(|output| Said { code: output.status.code().or(Some(-1)), output: output.stdout })
            }
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "an attempt did not end")),
        }
    }

    async fn writes(&self, canaries: &Canaries) -> io::Result<Tried> {
        let mut changed = Vec::new();
        for (place, folder) in &canaries.folders {
            let (file, new) = (folder.path().join("file"), folder.path().join("new"));
            self.attempt("write", &file).await?;
            self.attempt("write", &new).await?;
            if fs::read_to_string(&file).ok().as_ref() != Some(&canaries.word) || new.exists() {
                changed.push(*place);
            }
        }
        let system = Path::new("/usr").join(&canaries.word);
        self.attempt("write", &system).await?;
        if system.exists() {
            // It is refused to take away what should not have been made: then it is named.
            changed.push(if fs::remove_file(&system).is_ok() {
                "in /usr"
            } else {
                "in /usr, where it stays"
            });
        }
        let places: Vec<&str> = canaries.folders.iter().map(|(place, _)| *place).chain(["in /usr"]).collect();
        Ok(judged(
            "changes nothing outside of the workspace",
            &changed,
            &format!("files {}", places.join(", ")),
        ))
    }

    async fn reads(&self, canaries: &Canaries) -> io::Result<Tried> {
        let mut read = Vec::new();
        for (place, folder) in &canaries.folders {
            let said = self.attempt("read", folder.path().join("file")).await?;
            if contains(&said.output, &canaries.word) {
                read.push(*place);
            }
        }
        let places: Vec<&str> = canaries.folders.iter().map(|(place, _)| *place).collect();
        Ok(judged("reads nothing of yours outside of it", &read, &format!("files {}", places.join(", "))))
    }

    /// What is promised to be possible, or not, in the workspace itself.
    async fn workspace(&self, word: &str) -> io::Result<Tried> {
        let file = self.start.workspace.join(format!(".{word}"));
        let said = self.attempt("write", &file).await?;
        let there = file.exists();
        if there {
            fs::remove_file(&file)?;
        }
        let (promise, holds) = match self.mode {
            SandboxMode::ReadOnly => ("changes nothing in the workspace either", !there),
            _ => ("can change the workspace", there && said.succeeded()),
        };
        let detail = if there { "a file was made there, and removed" } else { "no file could be made there" };
        Ok(Tried { promise, holds: Some(holds), detail: detail.to_owned() })
    }

    async fn obeyed(&self, word: &str) -> io::Result<Tried> {
        let promise = "changes nothing that others obey later";
        let there: Vec<&str> =
            obeyed_names().filter(|name| self.start.workspace.join(name).is_dir()).collect();
        let mut changed = Vec::new();
        for name in &there {
            let file = self.start.workspace.join(name).join(word);
            self.attempt("write", &file).await?;
            if file.exists() {
                changed.push(*name);
                fs::remove_file(&file)?;
            }
        }
        if there.is_empty() {
            let detail = "not tried: there is nothing of that kind in the workspace".to_owned();
            return Ok(Tried { promise, holds: None, detail });
        }
        Ok(judged(promise, &changed, &format!("files in {}", there.join(", "))))
    }

    async fn keys(&self, word: &str) -> io::Result<Tried> {
        let said = self.attempt("environ", "").await?;
        let mut seen: Vec<String> = Vec::new();
        if contains(&said.output, word) {
            seen.push("what another process of yours keeps".to_owned());
        }
        for name in self.start.key_names() {
            let value = std::env::var(&name).unwrap_or_default();
            if !value.is_empty() && contains(&said.output, &value) {
                seen.push(name);
            }
        }
        let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
        let promise = "sees no key of yours";
        if said.output.is_empty() {
            return Ok(Tried { promise, holds: None, detail: "not tried: nothing was printed".to_owned() });
        }
        Ok(judged(promise, &seen, "its own environment, and that of every process that it can see"))
    }

    async fn processes(&self, witness: &mut Child) -> io::Result<Tried> {
        let pid = witness.id().map(|pid| pid.to_string()).unwrap_or_default();
        self.attempt("kill", pid).await?;
        // A signal that was sent is not yet one that has arrived.
        let gone = timeout(ARRIVES, witness.wait()).await.is_ok();
        let ended: &[&str] = if gone { &["a process of yours was ended"] } else { &[] };
        Ok(judged("reaches no other process", ended, "a signal to a process of yours"))
    }

    async fn network(&self, canaries: &Canaries) -> io::Result<Tried> {
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        let (mut reached, mut tried) = (Vec::new(), Vec::new());
        let mut made = |name: &'static str, said: &Said, arrived: bool| {
            tried.extend(said.was_made().then_some(name));
            reached.extend(arrived.then_some(name));
        };
        let said = self.attempt("tcp", tcp.local_addr()?.to_string()).await?;
        made("TCP", &said, tcp.accept().is_ok());
        let said = self.attempt("udp", udp.local_addr()?.to_string()).await?;
        made("UDP", &said, udp.recv_from(&mut [0; 8]).is_ok());
        if let Some((_, folder)) = canaries.folders.first() {
            let path = folder.path().join("socket");
            let socket = UnixListener::bind(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
            socket.set_nonblocking(true)?;
            let said = self.attempt("unix", &path).await?;
            made("a socket", &said, socket.accept().is_ok());
        }
        if let Some(address) = abstract_name(&canaries.word)? {
            let socket = UnixListener::bind_addr(&address)?;
            socket.set_nonblocking(true)?;
            let said = self.attempt("abstract", &canaries.word).await?;
            made("an abstract socket", &said, socket.accept().is_ok());
        }
        let promise = "reaches no network";
        if tried.is_empty() {
            let detail = "not tried: there is no program inside that could".to_owned();
            return Ok(Tried { promise, holds: None, detail });
        }
        Ok(judged(promise, &reached, &format!("servers of this machine by {}", tried.join(", "))))
    }

    async fn power(&self) -> io::Result<Tried> {
        let mut given = Vec::new();
        let said = self.attempt("kernel", "").await?;
        let answered = String::from_utf8_lossy(&said.output).trim().to_owned();
        if said.succeeded() {
            given.push(answered.as_str());
        }
        let keeps_root = self.sandbox.keeps_root();
        if !keeps_root && self.attempt("power", "").await?.succeeded() {
            given.push("it is root");
        }
        if self.attempt("cores", "").await?.succeeded() {
            given.push("it may leave images of memory behind");
        }
        let root = if keeps_root { "" } else { ", being root" };
        let tried = format!("file systems, namespaces, keyrings{root}");
        Ok(judged("has no power over the kernel", &given, &tried))
    }

    async fn lingers(&self) -> io::Result<Tried> {
        // What stays behind holds the output open: its end is heard only when all of it has ended.
        let script = "trap '' HUP INT TERM; (sleep 60 &) ; echo begun";
        let ended = match self.inside("/bin/sh".into(), ["-c", script].map(OsString::from).into()).await {
            Ok(said) => contains(&said.output, "begun").then_some(true),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Some(false),
            Err(error) => return Err(error),
        };
        let promise = "leaves no process behind";
        Ok(match ended {
            None => Tried { promise, holds: None, detail: "not tried: there is no /bin/sh".to_owned() },
            Some(true) => judged(promise, &[], "a process in the background that hears no signal"),
            Some(false) => judged(promise, &["one lived on"], ""),
        })
    }
}

fn judged(promise: &'static str, broken: &[&str], tried: &str) -> Tried {
    match broken {
        [] => Tried { promise, holds: Some(true), detail: format!("tried: {tried}") },
        broken => Tried { promise, holds: Some(false), detail: broken.join(", ") },
    }
}

fn contains(output: &[u8], word: &str) -> bool {
    memchr::memmem::find(output, word.as_bytes()).is_some()
}

#[cfg(target_os = "linux")]
fn abstract_name(word: &str) -> io::Result<Option<SocketAddr>> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(word).map(Some)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &str) -> io::Result<Option<SocketAddr>> {
    Ok(None)
}

/// Prints lines; a closed stream is nobody's concern.
pub(super) fn print(lines: impl IntoIterator<Item = String>) {
    let mut out = io::stdout().lock();
    for line in lines {
        if writeln!(out, "{line}").is_err() {
            return;
        }
    }
}
