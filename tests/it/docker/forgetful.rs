//! An engine that leaves out a part of what it is told, as engines do with what they don't know: the part is missed, by
//! what the kernel shows in the container, and nothing runs there.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::Arc,
};

use agent::{
    protocol::SandboxMode,
    sandbox::{DockerSettings, contain},
};

use super::world::{host, image, of_image, podman};
use crate::sandbox::world::settings;

/// What is left out, and what is then said.
const DOCKER: &[(&str, &str)] = &[
    ("CapDrop", "commands have capabilities (CapBnd"),
    ("SecurityOpt", "no-new-privileges is not set"),
    ("ReadonlyRootfs", "the files of the image can be written"),
    ("MaskedPaths", "is not hidden"),
    ("Ulimits", "max file size is"),
    ("Tmpfs", "is no directory in memory"),
];
const PODMAN: &[(&str, &str)] = &[
    ("cap_drop", "commands have capabilities (CapBnd"),
    ("no_new_privileges", "no-new-privileges is not set"),
    ("read_only_filesystem", "the files of the image can be written"),
    ("mask", "is not hidden"),
    ("seccomp_profile_path", "clone3 is possible"),
    ("resource_limits", "its memory is not bounded"),
    ("use_image_hosts", "/etc/hosts"),
    ("volumes", "the workspace is not there"),
];

/// Stands in front of an engine, and gives a field of what is to be created another name.
struct Forgetful {
    engine: String,
    field: String,
}

impl Forgetful {
    fn listen(self, socket: &Path) {
        let listener = UnixListener::bind(socket).unwrap();
        let this = Arc::new(self);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, this) = (near.unwrap(), Arc::clone(&this));
                // Who is gone in the middle is no failure of ours.
                std::thread::spawn(move || this.carry(&near).ok());
            }
        });
    }

    fn carry(&self, near: &UnixStream) -> std::io::Result<()> {
        let mut far = UnixStream::connect(&self.engine)?;
        let (mut back, mut to) = (far.try_clone()?, near.try_clone()?);
        std::thread::spawn(move || {
            // As above.
            let _ = std::io::copy(&mut back, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
        let mut near = BufReader::new(near);
        loop {
            let (mut head, mut length, mut stream) = (String::new(), 0, false);
            while near.read_line(&mut head)? > 2 {
                let line = head.lines().last().unwrap_or_default().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
                stream |= line.starts_with("upgrade:") || line.starts_with("transfer-encoding:");
            }
            if head.is_empty() {
                return far.shutdown(std::net::Shutdown::Write);
            }
            let mut body = vec![0; length];
            near.read_exact(&mut body)?;
            if head.lines().next().is_some_and(|line| line.contains("/containers/create")) {
                let (known, unknown) =
                    (format!("\"{}\":", self.field), format!("\"{}\":", "x".repeat(self.field.len())));
                let text = String::from_utf8(body).unwrap();
                assert!(text.contains(&known), "{known} is not said");
                body = text.replace(&known, &unknown).into_bytes();
            }
            far.write_all(head.as_bytes())?;
            far.write_all(&body)?;
            if stream {
                std::io::copy(&mut near, &mut far)?;
                return far.shutdown(std::net::Shutdown::Write);
            }
        }
    }
}

#[test]
fn what_an_engine_leaves_out_is_missed_and_nothing_runs() {
    let Some(image) = image() else { return };
    let engine = host().unwrap_or_else(|| "unix:///var/run/docker.sock".into());
    let engine = engine.strip_prefix("unix://").unwrap().to_owned();
    for (field, words) in if podman() { PODMAN } else { DOCKER } {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let settings = settings(&root, SandboxMode::WorkspaceWrite);
        std::fs::create_dir(&settings.workspace).unwrap();
        let socket = root.join("socket");
        Forgetful { engine: engine.clone(), field: (*field).to_owned() }.listen(&socket);
        let host = Some(format!("unix://{}", socket.display()));
        let docker = DockerSettings { host, ..of_image(image) };
        let error = contain(settings, docker, None, &|_| {}).err();
        let error = error.unwrap_or_else(|| panic!("without {field} it started")).message;
        assert!(error.contains("weaker than they must be") && error.contains(words), "{field}: {error}");
    }
}
