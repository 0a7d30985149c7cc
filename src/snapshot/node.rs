//! What a snapshot is made of: a tree of directories, each an object of its own, so that an unchanged one costs
//! nothing.
//!
//! An object is named by the hash of its bytes. Bytes of the same thing are the same: names are sorted, and nothing
//! tells when or by whom it was stored.

use super::{
    bytes::{Malformed, Put as _, Take},
    hash::Hash,
};

const TREE: u8 = b'T';
const PIECES: u8 = b'P';
const SNAPSHOT: u8 = b'S';
/// Version of all three.
const VERSION: u8 = 1;

/// A directory: what it holds, sorted by name.
pub(super) type Tree = Vec<(Vec<u8>, Node)>;

/// What stands at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    File {
        meta: Meta,
        size: u64,
        content: Content,
    },
    Folder {
        meta: Meta,
        tree: Hash,
    },
    Link {
        meta: Meta,
        target: Vec<u8>,
    },
    /// It is there, and is not part of the snapshot.
    Left(Why),
}

/// What a file or a directory has beside its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Meta {
    /// Permission bits. Those that lend the owner's or the group's rights are kept for directories only.
    pub(super) mode: u32,
    pub(super) mtime: Moment,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Extended attributes, sorted by name.
    pub(super) extended: Extended,
}

/// Names and values.
pub(super) type Extended = Vec<(Vec<u8>, Vec<u8>)>;

/// Seconds since 1970, and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Moment {
    pub(super) seconds: i64,
    pub(super) nanos: u32,
}

/// Where the bytes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// In one object.
    Whole(Hash),
    /// In several, which an object lists.
    Pieces(Hash),
}

/// A part of a large file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Data(Hash, u64),
    /// Nothing but zeros, and no room taken on the disk.
    Hole(u64),
}

/// Why something is not part of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Installed packages, which a package manager brings back.
    Dependencies,
    /// Results of a build, or another cache that says so of itself.
    Built,
    /// A large file or directory that the repository ignores.
    Ignored,
    /// A file that is larger than any that is stored.
    Large,
    /// May not be read.
    Unreadable,
    /// A pipe, a socket or a device.
    Special,
    /// Another file system.
    Mount,
    /// Files of this program.
    Own,
}

/// A whole workspace at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) meta: Meta,
    pub(super) tree: Hash,
    /// Paths that are the same file, sorted.
    pub(super) same: Vec<Vec<Vec<u8>>>,
}

impl Why {
    const ALL: [Self; 8] = [
        Self::Dependencies,
        Self::Built,
        Self::Ignored,
        Self::Large,
        Self::Unreadable,
        Self::Special,
        Self::Mount,
        Self::Own,
    ];

    /// Why, in words that follow the name.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Dependencies => "installed packages",
            Self::Built => "build results",
            Self::Ignored => "large, and ignored by the repository",
            Self::Large => "too large",
            Self::Unreadable => "may not be read",
            Self::Special => "a pipe, socket or device",
            Self::Mount => "another file system",
            Self::Own => "files of this program",
        }
    }
}

impl Node {
    /// Whether both are the same to whoever reads them: times and owners do not count.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { meta: a, size: s, content: c }, Self::File { meta: b, size: t, content: d }) => {
                a.mode == b.mode && a.extended == b.extended && s == t && c == d
            }
            (Self::Folder { meta: a, .. }, Self::Folder { meta: b, .. }) => a.mode == b.mode,
            (Self::Link { target: a, .. }, Self::Link { target: b, .. }) => a == b,
            (Self::Left(a), Self::Left(b)) => a == b,
            _ => false,
        }
    }
}

pub(super) fn encode_tree(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + tree.len() * 96);
    out.extend([TREE, VERSION]);
    out.number(tree.len() as u64);
    for (name, node) in tree {
        out.string(name);
        put_node(&mut out, node);
    }
    out
}

pub(super) fn decode_tree(bytes: &[u8]) -> Result<Tree, Malformed> {
    let mut take = headed(bytes, TREE)?;
    let count = take.number()?;
    let mut tree = Tree::new();
    for _ in 0..count {
        let name = take.string()?.to_vec();
        // What is put back goes by these names.
        let plain = !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/');
        let sorted = tree.last().is_none_or(|(before, _)| *before < name);
        if !plain || name.contains(&0) || !sorted {
            return Err(Malformed);
        }
        tree.push((name, take_node(&mut take)?));
    }
    if take.is_empty() { Ok(tree) } else { Err(Malformed) }
}

pub(super) fn put_node(out: &mut Vec<u8>, node: &Node) {
    match node {
        Node::File { meta, size, content } => {
            out.push(match content {
                Content::Whole(_) => 0,
                Content::Pieces(_) => 1,
            });
            put_meta(out, meta);
            out.number(*size);
            let (Content::Whole(hash) | Content::Pieces(hash)) = content;
            out.hash(hash);
        }
        Node::Folder { meta, tree } => {
            out.push(2);
            put_meta(out, meta);
            out.hash(tree);
        }
        Node::Link { meta, target } => {
            out.push(3);
            put_meta(out, meta);
            out.string(target);
        }
        Node::Left(why) => {
            out.push(4);
            out.number(Why::ALL.iter().position(|known| known == why).unwrap_or_default() as u64);
        }
    }
}

pub(super) fn take_node(take: &mut Take<'_>) -> Result<Node, Malformed> {
    Ok(match take.byte()? {
        kind @ (0 | 1) => {
            let (meta, size, hash) = (take_meta(take)?, take.number()?, take.hash()?);
            let content = if kind == 0 { Content::Whole(hash) } else { Content::Pieces(hash) };
            Node::File { meta, size, content }
        }
        2 => Node::Folder { meta: take_meta(take)?, tree: take.hash()? },
        3 => Node::Link { meta: take_meta(take)?, target: take.string()?.to_vec() },
        4 => {
            let at = usize::try_from(take.number()?).map_err(|_| Malformed)?;
            Node::Left(*Why::ALL.get(at).ok_or(Malformed)?)
        }
        _ => return Err(Malformed),
    })
}

fn put_meta(out: &mut Vec<u8>, meta: &Meta) {
    out.number(meta.mode.into());
    out.signed(meta.mtime.seconds);
    out.number(meta.mtime.nanos.into());
    out.number(meta.uid.into());
    out.number(meta.gid.into());
    out.number(meta.extended.len() as u64);
    for (name, value) in &meta.extended {
        out.string(name);
        out.string(value);
    }
}

fn take_meta(take: &mut Take<'_>) -> Result<Meta, Malformed> {
    let mode = take.small()?;
    let mtime = Moment { seconds: take.signed()?, nanos: take.small()? };
    let (uid, gid) = (take.small()?, take.small()?);
    let mut extended = Vec::new();
    for _ in 0..take.number()? {
        extended.push((take.string()?.to_vec(), take.string()?.to_vec()));
    }
    Ok(Meta { mode, mtime, uid, gid, extended })
}

pub(super) fn encode_pieces(pieces: &[Piece]) -> Vec<u8> {
    let mut out = vec![PIECES, VERSION];
    for piece in pieces {
        match piece {
            Piece::Data(hash, length) => {
                out.push(0);
                out.number(*length);
                out.hash(hash);
            }
            Piece::Hole(length) => {
                out.push(1);
                out.number(*length);
            }
        }
    }
    out
}

pub(super) fn decode_pieces(bytes: &[u8]) -> Result<Vec<Piece>, Malformed> {
    let mut take = headed(bytes, PIECES)?;
    let mut pieces = Vec::new();
    while !take.is_empty() {
        let (kind, length) = (take.byte()?, take.number()?);
        pieces.push(match kind {
            0 => Piece::Data(take.hash()?, length),
            1 => Piece::Hole(length),
            _ => return Err(Malformed),
        });
    }
    Ok(pieces)
}

pub(super) fn encode_root(root: &Root) -> Vec<u8> {
    let mut out = vec![SNAPSHOT, VERSION];
    put_meta(&mut out, &root.meta);
    out.hash(&root.tree);
    out.number(root.same.len() as u64);
    for paths in &root.same {
        out.number(paths.len() as u64);
        paths.iter().for_each(|path| out.string(path));
    }
    out
}

pub(super) fn decode_root(bytes: &[u8]) -> Result<Root, Malformed> {
    let mut take = headed(bytes, SNAPSHOT)?;
    let (meta, tree) = (take_meta(&mut take)?, take.hash()?);
    let mut same = Vec::new();
    for _ in 0..take.number()? {
        let mut paths = Vec::new();
        for _ in 0..take.number()? {
            paths.push(take.string()?.to_vec());
        }
        same.push(paths);
    }
    if take.is_empty() { Ok(Root { meta, tree, same }) } else { Err(Malformed) }
}

/// Whether it is a snapshot of a newer version. No text has such a second byte.
pub(super) fn newer_root(bytes: &[u8]) -> bool {
    matches!(bytes, [SNAPSHOT, version, ..] if *version > VERSION && *version < b'\t')
}

fn headed(bytes: &[u8], kind: u8) -> Result<Take<'_>, Malformed> {
    let mut take = Take(bytes);
    if take.byte()? == kind && take.byte()? == VERSION { Ok(take) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_as_it_was_written_and_no_part_of_it_is_taken_for_one() {
        let meta = Meta {
            mode: 0o644,
            mtime: Moment { seconds: -3, nanos: 999_999_999 },
            uid: 1,
            gid: 2,
            extended: vec![(b"user.a".to_vec(), vec![0, 255])],
        };
        let hash = Hash::of(b"x");
        let tree: Tree = vec![
            (b"\xff\n\\".to_vec(), Node::Link { meta: meta.clone(), target: b"/nowhere".to_vec() }),
            (b"\xff\r".to_vec(), Node::Left(Why::Mount)),
            (b"\xff~".to_vec(), Node::Folder { meta: meta.clone(), tree: hash }),
            (b"\xff\xff".to_vec(), Node::File { meta, size: 1 << 40, content: Content::Pieces(hash) }),
        ];
        let bytes = encode_tree(&tree);
        assert_eq!(decode_tree(&bytes), Ok(tree));
        for cut in 0..bytes.len() {
            assert_eq!(decode_tree(&bytes[..cut]), Err(Malformed), "{cut}");
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for name in [&b".."[..], b".", b"", b"a/b", b"a\0"] {
            let bytes = encode_tree(&vec![(name.to_vec(), Node::Left(Why::Own))]);
            assert_eq!(decode_tree(&bytes), Err(Malformed), "{name:?}");
        }
    }
}
