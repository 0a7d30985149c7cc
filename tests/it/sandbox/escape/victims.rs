//! Those on the host who must not be reached: processes with a marker in their memory, and listeners.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            net::{SocketAddr, UnixDatagram, UnixListener},
            process::CommandExt as _,
        },
    },
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

/// A process of the host, and what it was like when it began.
pub struct Victim {
    child: Child,
    output: BufReader<ChildStdout>,
    canary: String,
    was: String,
}

impl Victim {
    /// Its memory, its environment and its descriptor 5 hold the marker; its arguments do so if that is asked for.
    pub fn start(helper: &Path, id: &str, canary: &str, secret: &Path, argument: bool) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", "exec 5<\"$SECRET\"; exec \"$0\" victim \"$@\""])
            .arg(helper)
            .arg(id)
            .args(argument.then_some(canary))
            .env("SECRET", secret)
            .env("VICTIM_THING", canary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // So that a group of processes can be meant without the test's own.
            .process_group(0)
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(canary.as_bytes()).unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        output.read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n", "the victim did not start");
        let was = look(child.id());
        Self { child, output, canary: canary.into(), was }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether anything of it is not as it was. Ends it.
    pub fn harmed(mut self) -> Option<String> {
        let is = look(self.child.id());
        let mut text = String::new();
        if is == self.was {
            drop(self.child.stdin.take());
            // It prints what is left in its memory, and ends.
            self.output.read_to_string(&mut text).unwrap();
        }
        let _ = self.child.kill();
        self.child.wait().unwrap();
        if is != self.was {
            return Some(format!("it was {} and is {is}", self.was));
        }
        (text != self.canary).then(|| format!("its memory holds {text:?}"))
    }
}

/// What others can do to a process.
fn look(pid: u32) -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let lively = match fields.first() {
        Some(&("R" | "S" | "D" | "I")) => "alive",
        Some(&("T" | "t")) => "stopped",
        _ => "gone",
    };
    let line = |text: &str, start: &str| {
        text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned()
    };
    format!(
        "{lively}, nice {}, {}, {}, out-of-memory {}, called {}",
        fields.get(16).unwrap_or(&""),
        line(&read("limits"), "Max open files"),
        line(&read("status"), "Cpus_allowed_list"),
        read("oom_score_adj").trim(),
        read("comm").trim()
    )
}

/// Everything that a machine can listen on. Nobody answers: what was said is looked at in the end.
pub struct Listeners {
    tcp: TcpListener,
    udp: UdpSocket,
    streams: Vec<UnixListener>,
    datagrams: Vec<UnixDatagram>,
    services: Vec<Child>,
}

impl Listeners {
    pub fn start(name: &str) -> Self {
        let listeners = Self {
            // All addresses of both versions.
            tcp: TcpListener::bind("[::]:0").unwrap(),
            udp: UdpSocket::bind("[::]:0").unwrap(),
            streams: vec![UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap()],
            datagrams: vec![
                UnixDatagram::bind_addr(
                    &SocketAddr::from_abstract_name(format!("{name}.datagrams")).unwrap(),
                )
                .unwrap(),
            ],
            services: Vec::new(),
        };
        listeners.tcp.set_nonblocking(true).unwrap();
        listeners.udp.set_nonblocking(true).unwrap();
        listeners
    }

    pub fn ports(&self) -> (u16, u16) {
        (self.tcp.local_addr().unwrap().port(), self.udp.local_addr().unwrap().port())
    }

    /// A socket for calls and one for datagrams in a directory.
    pub fn sockets(&mut self, directory: &Path) {
        self.streams.push(UnixListener::bind(directory.join("socket")).unwrap());
        self.datagrams.push(UnixDatagram::bind(directory.join("datagrams")).unwrap());
    }

    /// A service that named its socket from where it stood.
    pub fn service(&mut self, helper: &Path, root: &Path, name: &Path) {
        let mut child = Command::new(helper)
            .arg("service")
            .arg(name)
            .current_dir(root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        self.services.push(child);
    }

    /// All that was said to anybody.
    pub fn heard(self) -> String {
        let mut heard = Vec::new();
        let mut buffer = [0; 512];
        while let Ok((mut stream, _)) = self.tcp.accept() {
            stream.set_nonblocking(true).unwrap();
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                heard.extend_from_slice(&buffer[..count]);
            }
            heard.push(b'\n');
        }
        while let Ok((count, _)) = self.udp.recv_from(&mut buffer) {
            heard.extend_from_slice(&buffer[..count]);
            heard.push(b'\n');
        }
        for listener in &self.streams {
            listener.set_nonblocking(true).unwrap();
            while let Ok((mut stream, _)) = listener.accept() {
                stream.set_nonblocking(true).unwrap();
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    heard.extend_from_slice(&buffer[..count]);
                }
                heard.push(b'\n');
            }
        }
        for socket in &self.datagrams {
            socket.set_nonblocking(true).unwrap();
            while let Ok(count) = socket.recv(&mut buffer) {
                heard.extend_from_slice(&buffer[..count]);
                heard.push(b'\n');
            }
        }
        for mut service in self.services {
            let _ = service.kill();
            service.stdout.take().unwrap().read_to_end(&mut heard).unwrap();
            service.wait().unwrap();
            heard.push(b'\n');
        }
        String::from_utf8_lossy(&heard).into_owned()
    }
}

/// The address that the machine has on a network, if it has one. Nothing is sent.
pub fn lan() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

/// A marker that nobody can guess.
pub fn secret_word() -> String {
    let mut bytes = [0; 12];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
