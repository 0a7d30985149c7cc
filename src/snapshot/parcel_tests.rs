//! Snapshots that come from elsewhere: taken over as they were, or refused with nothing written.

use std::{
    fs::{self, File},
    path::Path,
    sync::atomic::AtomicBool,
};

use crate::protocol::SnapshotId;

use super::{
    Bounds, Foreign, Limits, SnapshotError, Snapshots, Stored, Weight, Which,
    hash::Hash,
    node::{self, Content, Meta, Node, Root, Tree},
    pack::{LINE, Line, read_list},
    testing::{World, settings},
    tests::everything,
};

static GO_ON: AtomicBool = AtomicBool::new(false);
const BOUNDS: Bounds = Bounds { bytes: 4 << 30, members: 1_000_000, ratio: 1000, caseless: false };

/// The packs that hold these snapshots, one behind the other in one file.
fn parcel(world: &World, snapshots: &[SnapshotId]) -> (File, Vec<(u64, u64)>) {
    let folder = tempfile::tempdir().unwrap();
    let stored = Stored::of(&world.folder.path().join("snapshots"), &world.work()).unwrap();
    let parcel = stored.parcel(snapshots, folder.path(), true, &GO_ON).unwrap();
    assert_eq!(parcel.snapshots, snapshots);
    let mut all = vec![0; 512];
    let mut packs = Vec::new();
    for pack in parcel.packs {
        let bytes = fs::read(pack).unwrap();
        packs.push((all.len() as u64, bytes.len() as u64));
        all.extend(bytes);
    }
    (file(&all), packs)
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    file
}

/// A store that has these objects, as somebody who means no good would make one.
fn made(world: &World, objects: &[Vec<u8>]) {
    let stored = Stored::of(&world.folder.path().join("snapshots"), &world.work()).unwrap();
    let lock = stored.store.lock().unwrap();
    let batch = stored.store.batch(&lock);
    let mut group = batch.group();
    for object in objects {
        group.put(object).unwrap();
    }
    group.flush().unwrap();
    drop(group);
    batch.commit().unwrap();
}

fn root(tree: &Tree) -> (Vec<u8>, SnapshotId) {
    let tree = Hash::of(&node::encode_tree(tree));
    let bytes = node::encode_root(&Root { meta: Meta::default(), tree, same: Vec::new() });
    let id = SnapshotId(Hash::of(&bytes).to_string());
    (bytes, id)
}

fn entry(name: &str, node: Node) -> (Vec<u8>, Node) {
    (name.as_bytes().to_vec(), node)
}

fn whole(bytes: &[u8]) -> Node {
    Node::File { meta: Meta::default(), size: bytes.len() as u64, content: Content::Whole(Hash::of(bytes)) }
}

/// All of a file's packs, wherever they are whole.
fn refused(world: &World, snapshot: &SnapshotId, bounds: &Bounds) -> String {
    let folder = tempfile::tempdir().unwrap();
    let stored = Stored::of(&world.folder.path().join("snapshots"), &world.work()).unwrap();
    let packs = stored.store.packs().unwrap();
    let mut all = Vec::new();
    let mut places = Vec::new();
    for pack in packs {
        let bytes = fs::read(stored.store.packs.join(pack)).unwrap();
        places.push((all.len() as u64, bytes.len() as u64));
        all.extend(bytes);
    }
    drop(folder);
    let file = file(&all);
    let foreign = Foreign::open(&file, &places).unwrap();
    foreign.look(std::slice::from_ref(snapshot), &[], bounds).unwrap_err().to_string()
}

#[test]
fn what_one_store_packs_another_one_has() {
    let world = World::new();
    everything(&world);
    let (seen, first) = (world.look(), world.snapshots.take().unwrap());
    world.write("src/main.rs", "fn other() {}\n");
    let second = world.snapshots.take().unwrap();
    world.write("not-in-it", "x".repeat(1000));
    world.snapshots.take().unwrap();
    let ids = [first.id.clone(), second.id];
    let (file, packs) = parcel(&world, &ids);
    let foreign = Foreign::open(&file, &packs).unwrap();
    let weight = foreign.look(&ids, &[], &BOUNDS).unwrap();
    assert!(weight.members > 20 && weight.bytes > 12_000_000 && weight.bytes < 20_000_000, "{weight:?}");
    let other = World::new();
    let there = Stored::of(&other.folder.path().join("snapshots"), &other.work()).unwrap();
    there.adopt(&foreign, &ids).unwrap();
    there.adopt(&foreign, &ids).unwrap();
    assert_eq!(there.check(&ids, &GO_ON).unwrap().damage, Vec::<String>::new());
    let now = other.snapshots.take().unwrap();
    let plan = other.snapshots.plan(&now.id, &first.id, &[]).unwrap();
    let (done, _) = other.snapshots.restore(&plan, Which::All).unwrap();
    assert_eq!((done.left, other.look()), (Vec::new(), seen));
}

#[test]
fn secrets_stay_at_home_and_nothing_else_of_their_groups_travels() {
    let world = World::new();
    world.write(".env", "PASSWORD=correct horse\n");
    world.write("key/id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----\nbattery staple\n");
    world.write("key/id_ed25519.pub", "ssh-ed25519 AAAA\n");
    world.write("large.pem", format!("-----BEGIN PRIVATE KEY-----\n{}", "x".repeat(900_000)));
    world.write("readme", "text");
    let taken = world.snapshots.take().unwrap();
    world.write("other", "belongs to another state, in the same group or not");
    world.snapshots.take().unwrap();
    let stored = Stored::of(&world.folder.path().join("snapshots"), &world.work()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ids = [taken.id.clone()];
    let parcel = stored.parcel(&ids, folder.path(), false, &GO_ON).unwrap();
    let names: Vec<&str> = parcel.withheld.iter().map(|one| one.path.as_str()).collect();
    assert_eq!((names, &parcel.snapshots[..]), (vec![".env", "key/id_ed25519", "large.pem"], &ids[..]));
    let (mut all, mut packs, mut content) = (Vec::new(), Vec::new(), Vec::new());
    for pack in &parcel.packs {
        let bytes = fs::read(pack).unwrap();
        let lines: Vec<Line> = read_list(pack).unwrap().chunks_exact(LINE).filter_map(Line::read).collect();
        for line in &lines {
            let one = File::open(pack).unwrap();
            content.extend(super::parcel::group(&one, 0, std::slice::from_ref(line), u64::MAX).unwrap());
        }
        packs.push((all.len() as u64, bytes.len() as u64));
        all.extend(bytes);
    }
    let content = String::from_utf8_lossy(&content).into_owned();
    for secret in ["correct horse", "battery staple", "xxxxxxxx", "another state"] {
        assert!(!content.contains(secret), "{secret}");
    }
    assert!(content.contains("ssh-ed25519"));

    let file = file(&all);
    let foreign = Foreign::open(&file, &packs).unwrap();
    let refused = foreign.look(&ids, &[], &BOUNDS).unwrap_err();
    assert!(refused.to_string().contains("is not there"), "{refused}");
    foreign.look(&ids, &parcel.withheld, &BOUNDS).unwrap();
    let other = World::new();
    let there = Stored::of(&other.folder.path().join("snapshots"), &other.work()).unwrap();
    there.adopt(&foreign, &ids).unwrap();
    let checked = there.check(&ids, &GO_ON).unwrap();
    assert_eq!((checked.damage, checked.withheld.len()), (vec![], 3));
    let now = other.snapshots.take().unwrap();
    let plan = other.snapshots.plan(&now.id, &taken.id, &[]).unwrap();
    let (done, _) = other.snapshots.restore(&plan, Which::All).unwrap();
    let left: Vec<&str> = done.left.iter().map(|(path, _)| path.to_str().unwrap()).collect();
    assert_eq!(left, [".env", "key/id_ed25519", "large.pem"]);
    assert_eq!(fs::read_to_string(other.path("readme")).unwrap(), "text");
}

#[test]
fn states_that_are_not_there_are_named() {
    let world = World::new();
    world.write("file", "1");
    let taken = world.snapshots.take().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stored = Stored::of(&world.folder.path().join("snapshots"), &world.work()).unwrap();
    let missing = SnapshotId("0".repeat(64));
    let parcel = stored.parcel(&[taken.id.clone(), missing.clone()], folder.path(), true, &GO_ON).unwrap();
    assert_eq!((parcel.snapshots, parcel.missing), (vec![taken.id], vec![missing]));
}

#[test]
fn a_changed_byte_anywhere_is_refused_and_nothing_is_written() {
    let world = World::new();
    world.write("file", "content of a file ".repeat(50));
    world.write("folder/other", "2");
    let taken = world.snapshots.take().unwrap();
    let (file, packs) = parcel(&world, std::slice::from_ref(&taken.id));
    let bytes = all(&file);
    let other = World::new();
    let there = Stored::of(&other.folder.path().join("snapshots"), &other.work()).unwrap();
    let (start, end) = (packs[0].0 as usize, (packs[0].0 + packs[0].1) as usize);
    for at in start..end {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        let changed = self::file(&changed);
        let looked = Foreign::open(&changed, &packs)
            .and_then(|foreign| foreign.look(std::slice::from_ref(&taken.id), &[], &BOUNDS));
        assert!(looked.is_err(), "byte {at}");
    }
    for cut in (0..packs[0].1).step_by(7) {
        let looked = Foreign::open(&file, &[(packs[0].0, cut)])
            .and_then(|foreign| foreign.look(std::slice::from_ref(&taken.id), &[], &BOUNDS));
        assert!(looked.is_err(), "cut at {cut}");
    }
    // What was looked at and is changed before it is taken.
    let changing = self::file(&bytes);
    let foreign = Foreign::open(&changing, &packs).unwrap();
    foreign.look(std::slice::from_ref(&taken.id), &[], &BOUNDS).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&changing, b"other", packs[0].0 + 12).unwrap();
    assert!(there.adopt(&foreign, std::slice::from_ref(&taken.id)).is_err());
    assert_eq!((there.size(), there.has(&taken.id)), (0, false));
}

fn all(mut file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Seek::rewind(&mut file).unwrap();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    bytes
}

#[test]
fn little_that_would_become_much_is_refused() {
    // Each directory holds the one before it twice.
    let world = World::new();
    let content = b"content".to_vec();
    let mut tree: Tree = vec![entry("file", whole(&content))];
    let mut objects = vec![content, node::encode_tree(&tree)];
    for _ in 0..40 {
        let below = Node::Folder { meta: Meta::default(), tree: Hash::of(&node::encode_tree(&tree)) };
        tree = vec![entry("a", below.clone()), entry("b", below)];
        objects.push(node::encode_tree(&tree));
    }
    let (bytes, id) = root(&tree);
    objects.push(bytes);
    made(&world, &objects);
    let why = refused(&world, &id, &BOUNDS);
    assert!(why.contains("files and directories; 1000000 are taken"), "{why}");
    // One large file, many times.
    let world = World::new();
    let large = super::room_tests::noise(1, 1 << 20);
    let tree: Tree = (0..100).map(|file| entry(&format!("{file:03}"), whole(&large))).collect();
    let (bytes, id) = root(&tree);
    made(&world, &[large, node::encode_tree(&tree), bytes]);
    let why = refused(&world, &id, &Bounds { bytes: 50 << 20, ..BOUNDS });
    assert!(why.contains("its files have 104857600 bytes; 52428800 are taken"), "{why}");
    // Zeros.
    let world = World::new();
    let zeros = vec![0; 64 << 20];
    let tree: Tree = vec![entry("zeros", whole(&zeros))];
    let (bytes, id) = root(&tree);
    made(&world, &[zeros, node::encode_tree(&tree), bytes]);
    let why = refused(&world, &id, &BOUNDS);
    assert!(why.contains("which is more than is taken"), "{why}");
}

#[test]
fn what_is_not_what_it_says_is_refused() {
    let folder = |bytes: &[u8]| Node::Folder { meta: Meta::default(), tree: Hash::of(bytes) };
    let content = b"content".to_vec();
    let liar =
        Node::File { meta: Meta::default(), size: 1 << 40, content: Content::Whole(Hash::of(&content)) };
    let pieces =
        |of: &[u8]| Node::File { meta: Meta::default(), size: 7, content: Content::Pieces(Hash::of(of)) };
    let cases: [(&str, Tree); 5] = [
        ("is not there", vec![entry("file", whole(b"nowhere"))]),
        ("is not there", vec![entry("folder", folder(b"nowhere"))]),
        ("is no directory", vec![entry("folder", folder(&content))]),
        ("is no list of pieces", vec![entry("file", pieces(&content))]),
        ("is not as long as is said", vec![entry("file", liar)]),
    ];
    for (wanted, tree) in cases {
        let world = World::new();
        let (bytes, id) = root(&tree);
        made(&world, &[content.clone(), node::encode_tree(&tree), bytes]);
        let why = refused(&world, &id, &BOUNDS);
        assert!(why.contains(wanted), "{wanted}: {why}");
    }
    let world = World::new();
    let tree: Tree = vec![entry("File", whole(&content)), entry("file", whole(&content))];
    let (bytes, id) = root(&tree);
    made(&world, &[content, node::encode_tree(&tree), bytes]);
    let why = refused(&world, &id, &Bounds { caseless: true, ..BOUNDS });
    assert!(why.contains("differs from its neighbour only in case"), "{why}");
    let why = refused(&world, &SnapshotId("0".repeat(64)), &BOUNDS);
    assert!(why.contains("named, and not there"), "{why}");
}

#[test]
fn an_object_of_a_name_that_leads_elsewhere_is_none() {
    // The reader of trees refuses such names wherever they are; this is that it is asked.
    for name in [&b".."[..], b"a/b", b"/etc", b""] {
        let world = World::new();
        let tree: Tree = vec![(name.to_vec(), whole(b"x"))];
        let (bytes, id) = root(&tree);
        made(&world, &[b"x".to_vec(), node::encode_tree(&tree), bytes]);
        assert!(refused(&world, &id, &BOUNDS).contains("is no directory"), "{name:?}");
    }
}

#[test]
fn a_link_that_leads_out_is_put_back_as_a_link_and_nothing_goes_through_it() {
    let outside = tempfile::tempdir().unwrap();
    let world = World::new();
    let target = outside.path().as_os_str().as_encoded_bytes().to_vec();
    let tree: Tree = vec![entry("out", Node::Link { meta: Meta::default(), target })];
    let (bytes, id) = root(&tree);
    made(&world, &[node::encode_tree(&tree), bytes]);
    world.write("out/file", "was a directory here");
    let snapshots = Snapshots::open(settings(world.folder.path(), Limits::default())).unwrap();
    let now = snapshots.take().unwrap();
    let plan = snapshots.plan(&now.id, &id, &[]).unwrap();
    snapshots.restore(&plan, Which::All).unwrap();
    assert!(world.path("out").is_symlink());
    let again = snapshots.take().unwrap();
    let plan = snapshots.plan(&again.id, &now.id, &[]).unwrap();
    snapshots.restore(&plan, Which::All).unwrap();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(world.path("out/file")).unwrap(), "was a directory here");
}

#[test]
fn the_weight_of_nothing_is_nothing() {
    let file = file(b"");
    let foreign = Foreign::open(&file, &[]).unwrap();
    assert_eq!(foreign.look(&[], &[], &BOUNDS).unwrap(), Weight::default());
    assert!(matches!(Foreign::open(&file, &[(0, 10)]), Err(SnapshotError::Refused(_))));
    assert!(!super::caseless(Path::new("/")));
}
