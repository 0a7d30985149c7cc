//! The workspace's copy in a container: looking at it, taking from it, putting into it.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bollard::{Docker, query_parameters::UploadToContainerOptionsBuilder};
use tokio::sync::mpsc;

use super::{
    control::{Control, quoted},
    endpoint::Endpoint,
    listing::{self, Listing},
    manifest::Content,
    pack::{self, Owner, Packed, Sending},
};

/// Bytes of a listing at most: millions of files.
const LISTING: u64 = 1 << 30;
/// Bytes that are brought out at once, at most.
pub(super) const MOST: u64 = 4 << 30;
/// Names that are handed to a script at once.
const NAMES: usize = 500;

/// A way into one container.
pub(super) struct Inside {
    pub(super) docker: Docker,
    pub(super) endpoint: Endpoint,
    pub(super) container: String,
    pub(super) workspace: PathBuf,
    pub(super) owner: Owner,
    /// Started when it is needed, and again when somebody killed it.
    control: Option<Control>,
}

impl Inside {
    pub(super) fn new(
        docker: Docker,
        endpoint: Endpoint,
        container: String,
        workspace: PathBuf,
        owner: Owner,
    ) -> Self {
        Self { docker, endpoint, container, workspace, owner, control: None }
    }

    /// Runs a script of ours in the workspace.
    pub(super) async fn run(
        &mut self,
        script: &[u8],
        sink: &mut (dyn Write + Send),
        most: u64,
    ) -> io::Result<i32> {
        let control = match &mut self.control {
            Some(control) => control,
            none => {
                let user = format!("{}:{}", self.owner.ids.0, self.owner.ids.1);
                let control = Control::start(&self.docker, &self.endpoint, &self.container, &user).await?;
                none.insert(control)
            }
        };
        let result = control.run(&self.workspace, script, sink, most).await;
        if result.is_err() {
            // What it still says belongs to nobody.
            self.control = None;
        }
        result
    }

    /// Everything that lies there.
    pub(super) async fn list(&mut self) -> io::Result<Listing> {
        match self.listed(listing::ALL.as_bytes()).await {
            // The shell may have been killed since it was used last.
            Err(error)
                if error.kind() == io::ErrorKind::UnexpectedEof
                    || error.kind() == io::ErrorKind::BrokenPipe =>
            {
                self.listed(listing::ALL.as_bytes()).await
            }
            other => other,
        }
    }

    async fn listed(&mut self, script: &[u8]) -> io::Result<Listing> {
        let mut text = Vec::new();
        self.run(script, &mut text, LISTING).await?;
        Ok(Listing::parse(&text))
    }

    /// Takes some files out of there, whole.
    pub(super) async fn fetch(&mut self, paths: &[PathBuf]) -> io::Result<Packed> {
        // No name holds a line break: such are not listed.
        let mut script = b"tar -c -f - -T - <<'+ends+here+'\n".to_vec();
        for path in paths {
            script.extend(b"./");
            script.extend(path.as_os_str().as_bytes());
            script.push(b'\n');
        }
        script.extend(b"+ends+here+\n");
        let mut spool = tempfile::tempfile()?;
        self.run(&script, &mut spool, MOST + (1 << 30)).await?;
        let wanted: std::collections::BTreeSet<PathBuf> = paths.iter().cloned().collect();
        tokio::task::spawn_blocking(move || Packed::read(spool, |path| wanted.contains(path)))
            .await
            .map_err(io::Error::other)?
    }

    /// Removes files and directories there.
    pub(super) async fn remove(&mut self, paths: &[&PathBuf]) -> io::Result<()> {
        for paths in paths.chunks(NAMES) {
            let mut script = b"rm -rf --".to_vec();
            names(&mut script, paths.iter().copied());
            self.run(&script, &mut io::sink(), 0).await?;
        }
        Ok(())
    }

    /// Removes everything there.
    pub(super) async fn empty(&mut self) -> io::Result<()> {
        self.run(b"find . ! -name . -prune -exec rm -rf {} +", &mut io::sink(), 0).await.map(drop)
    }

    /// Puts files of the workspace outside into the one there.
    pub(super) async fn put(&self, paths: Arc<BTreeMap<PathBuf, Content>>) -> io::Result<()> {
        let (send, pieces) = mpsc::channel(16);
        let (root, owner) = (self.workspace.clone(), self.owner);
        let packing = tokio::task::spawn_blocking(move || {
            let packed = pack::pack(&root, paths.iter(), owner, Sending::new(send.clone()));
            if let Err(error) = &packed {
                // An archive that ends early would be taken for a whole one.
                let _ = send.blocking_send(Err(io::Error::other(error.to_string())));
            }
            packed
        });
        let options =
            UploadToContainerOptionsBuilder::default().path(&self.workspace.to_string_lossy()).build();
        let stream = futures::stream::unfold(pieces, |mut pieces| async move {
            pieces.recv().await.map(|piece| (piece, pieces))
        });
        let sent = self
            .docker
            .upload_to_container(&self.container, Some(options), bollard::body_try_stream(stream))
            .await;
        let packed = packing.await.map_err(io::Error::other)?;
        sent.map_err(|error| io::Error::other(super::reason(&error)))?;
        packed
    }
}

fn names<'p>(script: &mut Vec<u8>, paths: impl Iterator<Item = &'p PathBuf>) {
    for path in paths {
        script.push(b' ');
        script.extend(quoted(Path::new(".").join(path).as_os_str().as_bytes()));
    }
}
