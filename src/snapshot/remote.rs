//! Snapshots in a bucket elsewhere: what a snapshot needs and is not there yet is packed and sent; a snapshot that is
//! not here is fetched. The files of secrets stay here, unless a person wants them to travel.
//!
//! In the bucket lie `packs/NAME.pack`, each whole or absent, and `snapshots/ID`, written last: the packs that a
//! snapshot needs, with their lengths and hashes. Packs of all workspaces lie side by side; equal ones are one.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use futures::StreamExt as _;
use object_store::{
    ClientConfigKey, ClientOptions, ObjectStore, ObjectStoreExt as _, ObjectStoreScheme, RetryConfig,
    WriteMultipart, path::Path as Place,
};
use serde::{Deserialize, Serialize};

use crate::protocol::SnapshotId;

use super::{
    SnapshotError, Snapshots,
    hash::Hash,
    pack::{self, UNFINISHED},
    sending::Sending,
    sent::{Sent, Wanted},
    store::{Lock, Store},
};

/// Bytes of a part of a pack that is sent.
const PART: usize = 8 << 20;
/// Parts that are on their way at a time.
const PARTS: usize = 4;
/// A pack that is larger than this is not one of ours.
const MOST: u64 = 1 << 30;
/// How often, and how long, something is tried again.
const RETRY: (usize, Duration) = (5, Duration::from_secs(40));
/// So often somebody looks whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// A bucket, and how it is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Remote {
    /// `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`.
    pub url: String,
    /// Settings and credentials by the names that environment variables have for them.
    pub options: Vec<(String, String)>,
    /// Whether the contents of secret files travel as well.
    pub secrets: bool,
}

/// Credentials are in nobody's log.
impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pushed {
    pub packs: u64,
    pub bytes: u64,
    /// Secret files whose content stayed here.
    pub withheld: u64,
}

/// What the bucket says of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    packs: Vec<Pack>,
}

/// What the bucket says of a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pack {
    pub(super) name: String,
    pub(super) size: u64,
    /// BLAKE3, in hexadecimal digits.
    pub(super) hash: String,
}

/// A bucket that is open.
struct Bucket {
    store: Arc<dyn ObjectStore>,
    below: Place,
}

impl Snapshots {
    /// Whether snapshots are sent to a bucket.
    #[must_use]
    pub fn travel(&self) -> bool {
        self.settings.remote.is_some()
    }

    /// Sends what a snapshot needs and the bucket does not have, and those before it that did not arrive. Nothing
    /// without a bucket.
    ///
    /// # Errors
    /// When the snapshot is not here, the bucket does not take it, or it was stopped. What was sent is not sent again,
    /// and the rest goes with the next snapshot.
    pub fn push(&self, snapshot: &SnapshotId, sending: &Sending) -> Result<Option<Pushed>, SnapshotError> {
        let Some(remote) = &self.settings.remote else { return Ok(None) };
        let folder = known(&self.store, remote)?;
        let way = Way { remote, sending };
        let _lock = Lock::unless(&folder.join("lock"), || sending.stopped())?;
        let mut due = Due::load(&folder)?;
        due.add(snapshot)?;
        let mut sent = Sent::load(&folder)?;
        // Packs that were ready when the last one was killed are ready now.
        way.act(async |bucket| bucket.send_all(&mut sent, sending).await)?;
        let mut pushed = Pushed::default();
        while let Some(next) = due.first() {
            match self.push_one(&way, &mut sent, &next) {
                Ok(one) => {
                    pushed.packs += one.packs;
                    pushed.bytes += one.bytes;
                    pushed.withheld = one.withheld;
                }
                // What is gone can't be sent, and holds nobody up but who asks for it.
                Err(SnapshotError::Missing(_) | SnapshotError::Lost(_) | SnapshotError::Damaged(_))
                    if next != *snapshot => {}
                Err(error) => return Err(error),
            }
            due.done(&next)?;
        }
        Ok(Some(pushed))
    }

    fn push_one(
        &self,
        way: &Way<'_>,
        sent: &mut Sent,
        snapshot: &SnapshotId,
    ) -> Result<Pushed, SnapshotError> {
        let hash = Hash::parse(snapshot.as_str()).ok_or_else(|| SnapshotError::Missing(snapshot.clone()))?;
        let wanted = Wanted::of(&self.store, hash, way.remote.secrets)?;
        let mut pushed = Pushed { withheld: wanted.withheld, ..Pushed::default() };
        sent.pack(&self.store, &wanted.objects, &mut |sent| {
            let (packs, bytes) = way.act(async |bucket| bucket.send_all(sent, way.sending).await)?;
            pushed.packs += packs;
            pushed.bytes += bytes;
            Ok(())
        })?;
        let manifest = Manifest { version: 1, packs: sent.packs_of(&wanted.objects) };
        let bytes = serde_json::to_vec(&manifest).map_err(|error| told(&error))?;
        let name = format!("snapshots/{snapshot}");
        way.act(async |bucket| {
            bucket.store.put(&bucket.at(&name)?, bytes.into()).await.map(|_| ()).map_err(|error| told(&error))
        })?;
        Ok(pushed)
    }
}

/// The way to a bucket, as long as nobody stops it.
struct Way<'a> {
    remote: &'a Remote,
    sending: &'a Sending,
}

impl Way<'_> {
    fn act<T: Send>(
        &self,
        act: impl AsyncFnOnce(Bucket) -> Result<T, SnapshotError> + Send,
    ) -> Result<T, SnapshotError> {
        let sending = self.sending;
        in_bucket(self.remote, async |bucket| {
            let stopped = async {
                while !sending.stopped() {
                    tokio::time::sleep(LOOK).await;
                }
            };
            tokio::select! {
                done = act(bucket) => done,
                () = stopped => Err(SnapshotError::Stopped),
            }
        })
    }
}

/// Snapshots that are to be sent and have not arrived, the oldest first.
struct Due {
    file: PathBuf,
    all: Vec<SnapshotId>,
}

impl Due {
    fn load(folder: &Path) -> Result<Self, SnapshotError> {
        let file = folder.join("due");
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.map_err(|error| SnapshotError::io(&file, error))?,
        };
        let named = text.lines().filter(|line| Hash::parse(line).is_some());
        Ok(Self { all: named.map(|line| SnapshotId(line.to_owned())).collect(), file })
    }

    fn first(&self) -> Option<SnapshotId> {
        self.all.first().cloned()
    }

    fn add(&mut self, snapshot: &SnapshotId) -> Result<(), SnapshotError> {
        self.all.retain(|one| one != snapshot);
        self.all.push(snapshot.clone());
        self.save()
    }

    fn done(&mut self, snapshot: &SnapshotId) -> Result<(), SnapshotError> {
        self.all.retain(|one| one != snapshot);
        self.save()
    }

    fn save(&self) -> Result<(), SnapshotError> {
        let told = |error: io::Error| SnapshotError::io(&self.file, error);
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder).map_err(told)?;
        for one in &self.all {
            writeln!(file, "{one}").map_err(told)?;
        }
        file.persist(&self.file).map_err(|error| told(error.error))?;
        Ok(())
    }
}

/// Fetches a snapshot that is not here. Says whether the bucket has it; without a bucket, nothing has it.
pub(super) fn pull(
    store: &Store,
    remote: Option<&Remote>,
    snapshot: &SnapshotId,
) -> Result<bool, SnapshotError> {
    let Some(remote) = remote else { return Ok(false) };
    let folder = known(store, remote)?;
    let _lock = Lock::of(&folder.join("lock"))?;
    let Some(packs) = packs_of(remote, snapshot)? else { return Ok(false) };
    fetch_all(store, remote, &folder, &packs)?;
    Ok(true)
}

/// Fetches what is lost of a snapshot that is here. Says whether the bucket has that snapshot.
pub(super) fn mend(
    store: &Store,
    remote: &Remote,
    snapshot: &SnapshotId,
    lost: &[Hash],
) -> Result<bool, SnapshotError> {
    let folder = known(store, remote)?;
    let _lock = Lock::of(&folder.join("lock"))?;
    let Some(packs) = packs_of(remote, snapshot)? else { return Ok(false) };
    // From whom it was sent, it is known which packs have it. They are few, as a rule.
    let known = Sent::load(&folder)?.packs_of(lost);
    let (first, rest): (Vec<Pack>, Vec<Pack>) = packs.into_iter().partition(|pack| known.contains(pack));
    fetch_all(store, remote, &folder, &first)?;
    let here = store.index()?;
    if lost.iter().any(|hash| here.find(hash).is_none()) {
        fetch_all(store, remote, &folder, &rest)?;
    }
    Ok(true)
}

/// The packs that a snapshot needs, as the bucket says; nothing, if it does not know of it.
fn packs_of(remote: &Remote, snapshot: &SnapshotId) -> Result<Option<Vec<Pack>>, SnapshotError> {
    let name = format!("snapshots/{snapshot}");
    let bytes = in_bucket(remote, async |bucket| match bucket.store.get(&bucket.at(&name)?).await {
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(told(&error)),
        Ok(found) => Ok(Some(found.bytes().await.map_err(|error| told(&error))?)),
    })?;
    let Some(bytes) = bytes else { return Ok(None) };
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| told(&error))?;
    if manifest.version != 1 {
        return Err(SnapshotError::Remote("the snapshot was sent by a newer version of agent".to_owned()));
    }
    match manifest.packs.iter().find(|pack| !pack.plausible()) {
        Some(pack) => Err(SnapshotError::Remote(format!("{:?} is no pack", pack.name))),
        None => Ok(Some(manifest.packs)),
    }
}

/// Fetches those of some packs that are not here.
fn fetch_all(store: &Store, remote: &Remote, folder: &Path, packs: &[Pack]) -> Result<(), SnapshotError> {
    let here = store.index()?;
    for pack in packs.iter().filter(|pack| !here.packs.contains(&pack.name)) {
        in_bucket(remote, async |bucket| bucket.fetch(pack, folder, &store.packs).await)?;
    }
    store.refresh();
    Ok(())
}

/// The folder with what is known of the bucket.
fn known(store: &Store, remote: &Remote) -> Result<PathBuf, SnapshotError> {
    use std::os::unix::fs::DirBuilderExt as _;
    // A bucket of the same name elsewhere is another one.
    let place = remote.options.iter().filter(|(name, _)| {
        ["ENDPOINT_URL", "ENDPOINT", "BASE_URL", "ACCOUNT_NAME"].iter().any(|end| name.ends_with(end))
    });
    let all = place.fold(remote.url.clone(), |all, (_, value)| format!("{all} {value}"));
    let key: String = Hash::of(all.as_bytes()).to_string().chars().take(16).collect();
    let folder = store.folder.join("remote").join(key);
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|error| SnapshotError::io(&folder, error))?;
    Ok(folder)
}

/// Does something with the bucket, on a thread of its own: who calls may be a part of another runtime.
fn in_bucket<T: Send>(
    remote: &Remote,
    act: impl AsyncFnOnce(Bucket) -> Result<T, SnapshotError> + Send,
) -> Result<T, SnapshotError> {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| told(&error))?.block_on(async { act(Bucket::open(remote)?).await })
    };
    thread::scope(|scope| scope.spawn(work).join()).unwrap_or(Err(SnapshotError::Crashed))
}

impl Bucket {
    fn open(remote: &Remote) -> Result<Self, SnapshotError> {
        // Whoever was first has done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = reqwest::Url::parse(&remote.url).map_err(|error| told(&error))?;
        let (scheme, below) = ObjectStoreScheme::parse(&url).map_err(|error| told(&error))?;
        let retry = RetryConfig { max_retries: RETRY.0, retry_timeout: RETRY.1, ..RetryConfig::default() };
        let client = ClientOptions::new()
            .with_config(ClientConfigKey::ConnectTimeout, "5 seconds")
            .with_config(ClientConfigKey::Timeout, "120 seconds");
        macro_rules! bucket {
            ($builder:ty) => {{
                let plain =
                    <$builder>::new().with_url(url.as_str()).with_client_options(client).with_retry(retry);
                let builder = remote.options.iter().fold(plain, |builder, (key, value)| {
                    match key.to_ascii_lowercase().parse() {
                        Ok(key) => builder.with_config(key, value),
                        // It is about another kind of bucket.
                        Err(_) => builder,
                    }
                });
                Arc::new(builder.build().map_err(|error| told(&error))?) as Arc<dyn ObjectStore>
            }};
        }
        let store = match scheme {
            ObjectStoreScheme::AmazonS3 => bucket!(object_store::aws::AmazonS3Builder),
            ObjectStoreScheme::GoogleCloudStorage => bucket!(object_store::gcp::GoogleCloudStorageBuilder),
            ObjectStoreScheme::MicrosoftAzure => bucket!(object_store::azure::MicrosoftAzureBuilder),
            _ => {
                return Err(SnapshotError::Remote(format!(
                    "{} is no bucket: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX is wanted",
                    remote.url
                )));
            }
        };
        Ok(Self { store, below: Place::parse(below).map_err(|error| told(&error))? })
    }

    fn at(&self, name: &str) -> Result<Place, SnapshotError> {
        let below = self.below.as_ref();
        let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        Place::parse(path).map_err(|error| told(&error))
    }

    /// Sends all packs that are ready. Gives their number and their bytes.
    async fn send_all(&self, sent: &mut Sent, sending: &Sending) -> Result<(u64, u64), SnapshotError> {
        let (mut packs, mut bytes) = (0, 0);
        for path in sent.ready()? {
            let size = self.send(&path, sending).await?;
            sent.done(&path)?;
            packs += 1;
            bytes += size;
        }
        Ok((packs, bytes))
    }

    async fn send(&self, path: &Path, sending: &Sending) -> Result<u64, SnapshotError> {
        let io = |error: io::Error| SnapshotError::io(path, error);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let place = self.at(&format!("packs/{name}"))?;
        let mut file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        if size <= PART as u64 {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(io)?;
            self.store.put(&place, bytes.into()).await.map_err(|error| told(&error))?;
            sending.add(size);
            return Ok(size);
        }
        let upload = self.store.put_multipart(&place).await.map_err(|error| told(&error))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        loop {
            let mut part = Vec::new();
            if (&mut file).take(PART as u64).read_to_end(&mut part).map_err(io)? == 0 {
                break;
            }
            upload.wait_for_capacity(PARTS).await.map_err(|error| told(&error))?;
            // There was room for it, because one before it has arrived.
            sending.add(part.len() as u64);
            upload.put(part.into());
        }
        upload.finish().await.map_err(|error| told(&error))?;
        Ok(size)
    }

    /// Fetches a pack, and lets it take its place when it is the one that was sent.
    async fn fetch(&self, pack: &Pack, folder: &Path, packs: &Path) -> Result<(), SnapshotError> {
        let place = self.at(&format!("packs/{}", pack.name))?;
        let found = self.store.get(&place).await.map_err(|error| told(&error))?;
        let io = |error: io::Error| SnapshotError::io(folder, error);
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder).map_err(io)?;
        let (mut hasher, mut size) = (blake3::Hasher::new(), 0_u64);
        let mut bytes = found.into_stream();
        while let Some(part) = bytes.next().await {
            let part = part.map_err(|error| told(&error))?;
            size += part.len() as u64;
            if size > pack.size {
                break;
            }
            hasher.update(&part);
            file.write_all(&part).map_err(io)?;
        }
        if size != pack.size || hasher.finalize().to_hex().as_str() != pack.hash {
            return Err(SnapshotError::Remote(format!("{} is not what was sent", pack.name)));
        }
        file.as_file().sync_all().map_err(io)?;
        pack::read_list(file.path()).map_err(io)?;
        file.persist(packs.join(&pack.name)).map_err(|error| io(error.error))?;
        File::open(packs).and_then(|packs| packs.sync_all()).map_err(io)
    }
}

impl Pack {
    /// Whether it is a name that a pack may have here, and no path that leads elsewhere.
    fn plausible(&self) -> bool {
        let digits = self.name.strip_suffix(pack::SUFFIX).unwrap_or_default();
        self.size <= MOST && digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// What went wrong, with all its causes; without what stands behind a `?`, where some services want credentials.
fn told(error: &dyn std::error::Error) -> SnapshotError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    let words = text.split(' ').map(|word| match word.split_once('?') {
        Some((before, _)) if word.contains("://") => before,
        _ => word,
    });
    SnapshotError::Remote(words.collect::<Vec<_>>().join(" "))
}
