//! Snapshots that travel through a bucket of a real server on this machine: one that is compatible with S3, and one with
//! Azure.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use crate::protocol::SnapshotId;

use super::{
    Limits, Pushed, Remote, Sending, Settings, SnapshotError, Snapshots, Which,
    kill_tests::long,
    testing::{World, settings},
};

const S3: &str = include_str!("../../tests/data/s3.py");
const AZURE: &str = include_str!("../../tests/data/azure.js");
const ACCOUNT: &str = "tests";
/// Of `a key of these tests alone`.
const KEY: &str = "YSBrZXkgb2YgdGhlc2UgdGVzdHMgYWxvbmU=";

/// A server with an empty bucket, for as long as this lives.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// One that is compatible with S3.
    fn start() -> Option<Self> {
        let server = Self::of("python3", ["-c", S3]);
        server.map_err(|()| skipped("S3-compatible server: pip install 'moto[server]'")).ok()
    }

    /// One that is compatible with Azure.
    fn azure() -> Option<Self> {
        let server = Self::of("node", ["-e", AZURE]).ok();
        match (&server, long()) {
            (None, true) => skipped("server for blobs of Azure: npm install -g azurite"),
            (None, false) => {
                say("buckets of Azure: left to the long form of the tests, or to where azurite is");
            }
            (Some(_), _) => {}
        }
        server
    }

    fn of(program: &str, args: [&str; 2]) -> Result<Self, ()> {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(drop)?;
        let line = child.stdout.take().and_then(|out| BufReader::new(out).lines().next());
        match line.and_then(|line| line.ok()?.parse().ok()) {
            Some(port) => Ok(Self { child, port }),
            None => {
                child.wait().unwrap();
                Err(())
            }
        }
    }

    fn azure_remote(&self) -> Remote {
        let options = [
            ("AZURE_ENDPOINT", format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)),
            ("AZURE_ALLOW_HTTP", "true".to_owned()),
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.to_owned()),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY.to_owned()),
        ];
        Remote {
            url: "az://bucket/team/snapshots".to_owned(),
            options: options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            secrets: false,
        }
    }

    /// The same bucket for Google's client, whose XML interface has the language of S3.
    fn google_remote(&self) -> Remote {
        let options = [
            ("GOOGLE_BASE_URL", format!("http://127.0.0.1:{}", self.port)),
            ("GOOGLE_ALLOW_HTTP", "true".to_owned()),
            ("GOOGLE_BEARER_TOKEN", "do not tell".to_owned()),
        ];
        Remote {
            url: "gs://bucket/team/snapshots".to_owned(),
            options: options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            secrets: false,
        }
    }

    fn remote(&self, secrets: bool) -> Remote {
        let options = [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "id".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "do not tell".to_owned()),
            ("GOOGLE_SERVICE_ACCOUNT", "about something else".to_owned()),
        ];
        Remote {
            url: "s3://bucket/team/snapshots".to_owned(),
            options: options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            secrets,
        }
    }
}

/// It ends when its input does, with what it has started.
impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

fn skipped(what: &str) {
    let text = format!("SKIPPED: there is no {what}");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
    say(&text);
}

#[expect(clippy::print_stderr, reason = "tests say what they could not test")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// A workspace on another machine, as it were.
fn elsewhere(world: &World, remote: Option<Remote>) -> Snapshots {
    Snapshots::open(Settings { remote, ..settings(world.folder.path(), Limits::default()) }).unwrap()
}

fn packs(world: &World) -> PathBuf {
    let stores = fs::read_dir(world.folder.path().join("snapshots")).unwrap();
    stores.flatten().next().unwrap().path().join("packs")
}

/// Bytes that nothing makes smaller.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

/// Two states go through a bucket to another machine: only what is new travels. Gives which they are.
fn travels(remote: &Remote) -> [SnapshotId; 2] {
    let bucket = || Some(remote.clone());
    let here = World::new();
    here.write("src/main.rs", "fn main() {}\n");
    here.write("run.sh", "#!/bin/sh\n");
    // In parts.
    here.write("large", noise(1, 20 << 20));
    std::os::unix::fs::symlink("nowhere", here.path("link")).unwrap();
    let sender = elsewhere(&here, bucket());
    let first = (here.look(), sender.take().unwrap());
    let pushed = sender.push(&first.1.id, &Sending::default()).unwrap().unwrap();
    assert!(pushed.bytes > 20 << 20, "{pushed:?}");
    here.write("src/main.rs", "fn main() { print!() }\n");
    let second = (here.look(), sender.take().unwrap());
    let pushed = sender.push(&second.1.id, &Sending::default()).unwrap().unwrap();
    assert!(pushed.packs == 1 && pushed.bytes < 2000, "{pushed:?}");
    // Also for a program that is started anew, and when another one asks.
    let again = elsewhere(&here, bucket()).push(&second.1.id, &Sending::default()).unwrap();
    assert_eq!(again, Some(Pushed::default()));

    let there = World::new();
    let receiver = elsewhere(&there, bucket());
    for (look, taken) in [&first, &second, &first] {
        let now = receiver.take().unwrap();
        let plan = receiver.plan(&now.id, &taken.id, &[]).unwrap();
        let (done, result) = receiver.restore(&plan, Which::All).unwrap();
        assert_eq!((done.left, &there.look(), &result.id), (Vec::new(), look, &taken.id));
    }
    // What was fetched is here now.
    let offline = elsewhere(&there, None);
    let now = offline.take().unwrap();
    assert!(offline.plan(&now.id, &second.1.id, &[]).is_ok());
    [first.1.id, second.1.id]
}

#[test]
fn a_snapshot_is_put_back_on_another_machine_and_only_what_is_new_has_travelled() {
    let Some(server) = Server::start() else { return };
    travels(&server.remote(false));
}

/// Google's own server can't be had here: what is shown is what its client asks for, and of whom.
#[test]
fn what_is_asked_of_google_is_in_a_language_that_a_server_of_others_understands() {
    let Some(server) = Server::start() else { return };
    travels(&server.google_remote());
}

#[test]
fn azure_takes_what_is_new_and_gives_it_to_another_machine() {
    let Some(server) = Server::azure() else { return };
    let sent = travels(&server.azure_remote());
    // With another key nothing is to be had, and no word of the key is told.
    let mut wrong = server.azure_remote();
    wrong.options.retain(|(name, _)| name != "AZURE_STORAGE_ACCOUNT_KEY");
    wrong.options.push(("AZURE_STORAGE_ACCOUNT_KEY".to_owned(), "ZG8gbm90IHRlbGw=".to_owned()));
    let stranger = World::new();
    let refused = elsewhere(&stranger, Some(wrong)).plan(&sent[0], &sent[1], &[]).unwrap_err();
    assert!(matches!(&refused, SnapshotError::Remote(text) if !text.contains("ZG8g")), "{refused}");
}

#[test]
fn secrets_stay_where_they_are_unless_they_are_to_travel() {
    let Some(server) = Server::start() else { return };
    let here = World::new();
    here.write(".env", "PASSWORD=correct horse\n");
    here.write("key/id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n");
    here.write("readme", "text");
    let sender = elsewhere(&here, Some(server.remote(false)));
    let taken = sender.take().unwrap();
    assert_eq!(sender.push(&taken.id, &Sending::default()).unwrap().unwrap().withheld, 2);

    let there = World::new();
    let receiver = elsewhere(&there, Some(server.remote(false)));
    let now = receiver.take().unwrap();
    let plan = receiver.plan(&now.id, &taken.id, &[]).unwrap();
    let (done, _) = receiver.restore(&plan, Which::All).unwrap();
    let left: Vec<_> = done.left.iter().map(|(path, _)| path.to_str().unwrap()).collect();
    assert_eq!(left, [".env", "key/id_ed25519"]);
    assert!(done.left[0].1.contains("a secret that does not travel"), "{done:?}");
    assert_eq!(fs::read_to_string(there.path("readme")).unwrap(), "text");
    // Here it comes back, of course.
    fs::remove_file(here.path(".env")).unwrap();
    let now = sender.take().unwrap();
    let plan = sender.plan(&now.id, &taken.id, &[]).unwrap();
    sender.restore(&plan, Which::All).unwrap();
    assert_eq!(fs::read_to_string(here.path(".env")).unwrap(), "PASSWORD=correct horse\n");

    let open = elsewhere(&here, Some(server.remote(true)));
    assert_eq!(open.push(&taken.id, &Sending::default()).unwrap().unwrap().withheld, 0);
    let there = World::new();
    let receiver = elsewhere(&there, Some(server.remote(false)));
    let now = receiver.take().unwrap();
    let plan = receiver.plan(&now.id, &taken.id, &[]).unwrap();
    assert_eq!(receiver.restore(&plan, Which::All).unwrap().0.left, []);
    assert_eq!(there.look(), here.look());
}

#[test]
fn what_was_changed_on_the_way_is_refused() {
    let Some(server) = Server::start() else { return };
    let here = World::new();
    here.write("file", noise(1, 10_000));
    let sender = elsewhere(&here, Some(server.remote(false)));
    let taken = sender.take().unwrap();
    sender.push(&taken.id, &Sending::default()).unwrap();
    let script = "
import sys, urllib.request, re
opener = urllib.request.build_opener()
opener.addheaders = [('Authorization', 'AWS4-HMAC-SHA256 Credential=id/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x')]
urllib.request.install_opener(opener)
base = f'http://127.0.0.1:{sys.argv[1]}/bucket'
names = re.findall('<Key>([^<]*pack)</Key>', urllib.request.urlopen(base).read().decode())
assert len(names) == 1, names
body = bytearray(urllib.request.urlopen(f'{base}/{names[0]}').read())
body[100] ^= 1
urllib.request.urlopen(urllib.request.Request(f'{base}/{names[0]}', data=bytes(body), method='PUT'))
";
    let done = Command::new("python3").args(["-c", script, &server.port.to_string()]).status().unwrap();
    assert!(done.success());
    let there = World::new();
    let receiver = elsewhere(&there, Some(server.remote(false)));
    let now = receiver.take().unwrap();
    let before = fs::read_dir(packs(&there)).unwrap().count();
    let error = receiver.plan(&now.id, &taken.id, &[]).unwrap_err();
    assert!(error.to_string().contains("is not what was sent"), "{error}");
    assert_eq!(fs::read_dir(packs(&there)).unwrap().count(), before);
}

#[test]
fn a_part_that_the_store_has_lost_comes_from_the_bucket() {
    let Some(server) = Server::start() else { return };
    let here = World::new();
    here.write("kept/deep/file", noise(1, 10_000));
    here.write("large", noise(2, 3 << 20));
    here.write("changing", "one");
    let sender = elsewhere(&here, Some(server.remote(false)));
    sender.push(&sender.take().unwrap().id, &Sending::default()).unwrap();
    let first: Vec<PathBuf> =
        fs::read_dir(packs(&here)).unwrap().flatten().map(|entry| entry.path()).collect();
    here.write("changing", "two");
    let (look, taken) = (here.look(), sender.take().unwrap());
    sender.push(&taken.id, &Sending::default()).unwrap();
    // The state itself is there, and what it has in common with the one before it is not.
    for pack in &first {
        fs::remove_file(pack).unwrap();
    }
    fs::remove_dir_all(here.path("kept")).unwrap();
    fs::remove_file(here.path("large")).unwrap();
    let put_back = |remote: Option<Remote>| {
        let fresh = elsewhere(&here, remote);
        let now = fresh.take().unwrap();
        let plan = fresh.plan(&now.id, &taken.id, &[])?;
        fresh.restore(&plan, Which::All).map(|(done, _)| done.left)
    };
    let alone = put_back(None);
    assert!(alone.as_ref().map_or(true, |left| !left.is_empty()), "{alone:?}");
    assert_eq!((put_back(Some(server.remote(false))).unwrap(), here.look()), (Vec::new(), look));
}

#[test]
fn a_push_that_was_cut_goes_on_where_it_was() {
    let Some(server) = Server::start() else { return };
    let here = World::new();
    here.write("file", noise(1, 10_000));
    let nobody = Remote {
        options: vec![
            ("AWS_ENDPOINT_URL".to_owned(), "http://127.0.0.1:1".to_owned()),
            ("AWS_ALLOW_HTTP".to_owned(), "true".to_owned()),
            ("AWS_ACCESS_KEY_ID".to_owned(), "id".to_owned()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), "do not tell".to_owned()),
        ],
        ..server.remote(false)
    };
    let cut = elsewhere(&here, Some(nobody));
    let taken = cut.take().unwrap();
    let error = cut.push(&taken.id, &Sending::default()).unwrap_err();
    assert!(matches!(error, SnapshotError::Remote(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("do not tell"));
    // The pack that was ready is the one that is sent, and nothing is packed again.
    let sender = elsewhere(&here, Some(server.remote(false)));
    let store = packs(&here).parent().unwrap().join("remote");
    let cut = fs::read_dir(&store).unwrap().next().unwrap().unwrap().path();
    sender.push(&sender.take().unwrap().id, &Sending::default()).unwrap();
    let whole =
        fs::read_dir(&store).unwrap().flatten().map(|entry| entry.path()).find(|path| *path != cut).unwrap();
    fs::remove_dir_all(&whole).unwrap();
    fs::rename(cut, whole).unwrap();
    assert_eq!(sender.push(&taken.id, &Sending::default()).unwrap().unwrap().bytes, 0);
    let there = World::new();
    let receiver = elsewhere(&there, Some(server.remote(false)));
    let now = receiver.take().unwrap();
    assert!(receiver.plan(&now.id, &taken.id, &[]).is_ok());
    let unknown = crate::protocol::SnapshotId("0".repeat(64));
    assert!(matches!(receiver.plan(&now.id, &unknown, &[]), Err(SnapshotError::Missing(_))));
}

#[test]
fn what_did_not_arrive_goes_with_the_next_one() {
    let Some(server) = Server::start() else { return };
    let here = World::new();
    here.write("file", "one");
    let sender = elsewhere(&here, Some(server.remote(false)));
    let first = (here.look(), sender.take().unwrap());
    let stopped = Sending::default();
    stopped.stop();
    assert!(matches!(sender.push(&first.1.id, &stopped), Err(SnapshotError::Stopped)));
    here.write("file", "two");
    let second = sender.take().unwrap();
    sender.push(&second.id, &Sending::default()).unwrap();
    let there = World::new();
    let receiver = elsewhere(&there, Some(server.remote(false)));
    let now = receiver.take().unwrap();
    let plan = receiver.plan(&now.id, &first.1.id, &[]).unwrap();
    receiver.restore(&plan, Which::All).unwrap();
    assert_eq!(there.look(), first.0);
}

/// A server that takes connections and never says anything.
fn mute() -> (std::net::TcpListener, Remote) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = [
        ("AWS_ENDPOINT_URL", format!("http://{}", listener.local_addr().unwrap())),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "id".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "key".to_owned()),
    ];
    let options = options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    (listener, Remote { url: "s3://bucket".to_owned(), options, secrets: false })
}

#[test]
fn whoever_stops_a_push_does_not_wait_for_the_bucket() {
    let (listener, remote) = mute();
    let here = World::new();
    here.write("file", "one");
    let sender = elsewhere(&here, Some(remote));
    let taken = sender.take().unwrap();
    let sending = Sending::default();
    std::thread::scope(|scope| {
        let push = scope.spawn(|| sender.push(&taken.id, &sending));
        // It is in the middle of it.
        let connection = listener.accept().unwrap();
        let began = std::time::Instant::now();
        sending.stop();
        assert!(matches!(push.join().unwrap(), Err(SnapshotError::Stopped)));
        assert!(began.elapsed() < std::time::Duration::from_secs(5));
        drop(connection);
    });
}

#[test]
fn a_bucket_that_can_t_be_reached_is_not_one_without_the_snapshot() {
    let here = World::new();
    // Nobody listens there any more.
    let nobody = mute().1;
    let unknown = crate::protocol::SnapshotId("0".repeat(64));
    let settings = Settings { remote: Some(nobody), ..settings(here.folder.path(), Limits::default()) };
    let error = Snapshots::has(&settings, &unknown).unwrap_err();
    assert!(matches!(error, SnapshotError::Remote(_)), "{error}");
    let Some(server) = Server::start() else { return };
    let settings = Settings { remote: Some(server.remote(false)), ..settings };
    assert!(!Snapshots::has(&settings, &unknown).unwrap());
}
