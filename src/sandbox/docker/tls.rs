//! An engine behind TLS, brought to a socket of this machine.
//!
//! Both sides prove who they are, with certificates of one authority that the user names (`DOCKER_CERT_PATH`): whoever
//! reaches an engine is root on its machine. There is no way without.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpStream, UnixListener},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::endpoint::Endpoint;
use crate::sandbox::SandboxError;

/// How long a connection may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A way to an engine, open as long as this lives. Must be made where tasks can be run.
pub(super) struct Sealed {
    folder: tempfile::TempDir,
    carrying: JoinHandle<()>,
}

/// Who is called, and how.
#[derive(Clone)]
struct Peer {
    /// Host and port.
    place: Arc<str>,
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl Sealed {
    /// Opens the way to a host and port, with `ca.pem`, `cert.pem` and `key.pem` of a folder. It has been tried.
    pub(super) async fn open(place: &str, certificates: &Path) -> Result<Self, SandboxError> {
        let failed = |why: String| SandboxError {
            message: format!(
                "no way to the engine at tcp://{place} with TLS: {why}. The certificates are ca.pem, cert.pem and key.pem \
                 in {} (DOCKER_CERT_PATH)",
                certificates.display()
            ),
        };
        let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|error| failed(format!("`{host}`: {error}")))?;
        let connector = TlsConnector::from(Arc::new(config(certificates).map_err(failed)?));
        let peer = Peer { place: place.into(), name, connector };
        // An engine that refuses us says so only when it is spoken to.
        timeout(LIMIT, peer.greet())
            .await
            .map_err(|_| failed("it does not answer".into()))?
            .map_err(|error| failed(error.to_string()))?;
        let begun = || -> io::Result<(tempfile::TempDir, UnixListener)> {
            // In a short path: names of sockets are.
            let folder = tempfile::Builder::new().prefix("agent-").tempdir()?;
            let listener = UnixListener::bind(folder.path().join("engine"))?;
            Ok((folder, listener))
        };
        let (folder, listener) = begun().map_err(|error| failed(error.to_string()))?;
        Ok(Self { folder, carrying: tokio::spawn(carry(listener, peer)) })
    }

    /// The end on this machine.
    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::Socket(self.folder.path().join("engine"))
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

impl Peer {
    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(&*self.place).await?;
        stream.set_nodelay(true)?;
        self.connector.connect(self.name.clone(), stream).await
    }

    async fn greet(&self) -> io::Result<()> {
        let mut stream = self.connect().await?;
        stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n").await?;
        match stream.read(&mut [0; 16]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

async fn carry(listener: UnixListener, peer: Peer) {
    // Without descriptors for more it is tried again when somebody has closed one.
    while let Ok((mut near, _)) = listener.accept().await {
        let peer = peer.clone();
        tokio::spawn(async move {
            // Who asked hears of a failure by the end of its stream.
            if let Ok(Ok(mut far)) = timeout(LIMIT, peer.connect()).await {
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

fn config(certificates: &Path) -> Result<ClientConfig, String> {
    let file = |name: &str| -> PathBuf { certificates.join(name) };
    let read = |name: &str| -> Result<Vec<CertificateDer<'static>>, String> {
        CertificateDer::pem_file_iter(file(name))
            .and_then(Iterator::collect)
            .map_err(|error| format!("{}: {error}", file(name).display()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in read("ca.pem")? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", file("ca.pem").display()))?;
    }
    let key = PrivateKeyDer::from_pem_file(file("key.pem"))
        .map_err(|error| format!("{}: {error}", file("key.pem").display()))?;
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_client_auth_cert(read("cert.pem")?, key)
        .map_err(|error| format!("{}: {error}", file("cert.pem").display()))
}
