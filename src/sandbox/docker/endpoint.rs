//! Where the container engine is reached: a socket of this machine, or a port of another one.
//!
//! What lies further away (TLS, SSH) is brought to a socket of this machine by `tunnel`, so that the helpers of
//! commands need to know of nothing else.

use std::{ffi::OsString, io, path::PathBuf, time::Duration};

use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{DockerSettings, tls::Sealed, tunnel::Tunnel};
use crate::sandbox::{SandboxError, env};

/// How long one answer of the engine may take. Builds and uploads answer piece by piece.
const PATIENCE: u64 = 120;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A stream to the engine.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Socket(PathBuf),
    /// Host and port.
    Port(String),
}

impl Endpoint {
    /// From an argument of our own helper.
    pub(super) fn from_arg(text: &OsString) -> Option<Self> {
        use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

        if let Some(path) = text.as_bytes().strip_prefix(b"unix://") {
            return Some(Self::Socket(OsString::from_vec(path.to_vec()).into()));
        }
        text.to_str()?.strip_prefix("tcp://").map(|port| Self::Port(port.to_owned()))
    }

    pub(super) fn to_arg(&self) -> OsString {
        match self {
            Self::Socket(path) => {
                let mut text = OsString::from("unix://");
                text.push(path);
                text
            }
            Self::Port(port) => format!("tcp://{port}").into(),
        }
    }

    /// For everything that is a question and an answer.
    pub(super) fn client(&self) -> Result<Docker, bollard::errors::Error> {
        match self {
            Self::Socket(path) => {
                Docker::connect_with_unix(&path.to_string_lossy(), PATIENCE, API_DEFAULT_VERSION)
            }
            Self::Port(port) => Docker::connect_with_http(port, PATIENCE, API_DEFAULT_VERSION),
        }
    }

    /// For streams that go both ways.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let connect = async {
            Ok::<Box<dyn Stream>, io::Error>(match self {
                Self::Socket(path) => Box::new(UnixStream::connect(path).await?),
                Self::Port(port) => Box::new(TcpStream::connect(port).await?),
            })
        };
        timeout(CONNECT, connect).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

/// A way to an engine that is further away, which must be kept as long as the engine is used.
pub(super) enum Way {
    Ssh(Tunnel),
    Tls(Sealed),
}

impl Way {
    /// The end on this machine.
    fn endpoint(&self) -> Endpoint {
        match self {
            Self::Ssh(tunnel) => tunnel.endpoint(),
            Self::Tls(sealed) => sealed.endpoint(),
        }
    }
}

/// The engine that is meant, by what the settings say or else by where engines listen. Called where tasks can be run.
pub(super) async fn find(settings: &DockerSettings) -> Result<(Endpoint, Option<Way>), SandboxError> {
    let host = settings.host.as_deref();
    let way = if let Some(place) = host.and_then(|host| host.strip_prefix("ssh://")) {
        Way::Ssh(Tunnel::open(place)?)
    } else {
        match (near(host, settings.certificates.is_some())?, &settings.certificates) {
            (Endpoint::Port(port), Some(certificates)) => Way::Tls(Sealed::open(&port, certificates).await?),
            (endpoint, _) => return Ok((endpoint, None)),
        }
    };
    Ok((way.endpoint(), Some(way)))
}

fn near(host: Option<&str>, sealed: bool) -> Result<Endpoint, SandboxError> {
    let Some(host) = host.filter(|host| !host.is_empty()) else {
        let places = PLACES.iter().map(PathBuf::from).chain(env::runtime_sockets());
        return Ok(Endpoint::Socket(
            places.into_iter().find(|place| place.exists()).unwrap_or_else(|| PLACES[0].into()),
        ));
    };
    match host.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(Endpoint::Socket(path.into())),
        Some(("tcp" | "http", port)) if !port.is_empty() => {
            let usual = if sealed { 2376 } else { 2375 };
            let port = port.trim_end_matches('/');
            let named = port.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            Ok(Endpoint::Port(if named { port.to_owned() } else { format!("{port}:{usual}") }))
        }
        _ => Err(SandboxError {
            message: format!(
                "`{host}` is no place of a container engine: DOCKER_HOST is unix:///PATH, \
                 tcp://HOST:PORT or ssh://USER@HOST"
            ),
        }),
    }
}

/// Where engines listen when nobody says otherwise. The last one is Podman's.
const PLACES: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
            Self::Port(port) => write!(f, "tcp://{port}"),
        }
    }
}
