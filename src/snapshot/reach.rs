//! What a snapshot needs: all objects that it leads to, and what of them is not there.

use std::collections::{BTreeMap, HashSet};

use crate::protocol::is_secret;

use super::{
    SnapshotError, at,
    bytes::Malformed,
    hash::Hash,
    node::{self, Content, Node, Piece},
    path,
    store::Store,
};

/// Where objects are read from.
pub(super) trait Objects {
    fn has(&self, hash: &Hash) -> Result<bool, SnapshotError>;

    /// An object, checked against its name.
    fn read(&self, hash: &Hash) -> Result<Vec<u8>, SnapshotError>;
}

impl Objects for Store {
    fn has(&self, hash: &Hash) -> Result<bool, SnapshotError> {
        Self::has(self, hash)
    }

    fn read(&self, hash: &Hash) -> Result<Vec<u8>, SnapshotError> {
        Self::read(self, hash)
    }
}

/// All that snapshots lead to.
pub(super) struct Reach<'a, O> {
    objects: &'a O,
    pub(super) found: HashSet<Hash>,
    /// The same in the order in which they were found.
    pub(super) order: Vec<Hash>,
    /// What is not there, and the path it belongs to. What it would have led to is not known.
    pub(super) lost: Vec<(String, Hash)>,
    /// Secret files whose content is left out, where it is to be.
    pub(super) withheld: BTreeMap<Hash, String>,
    secrets: bool,
}

impl<'a, O: Objects> Reach<'a, O> {
    pub(super) fn new(objects: &'a O) -> Self {
        Self {
            objects,
            found: HashSet::new(),
            order: Vec::new(),
            lost: Vec::new(),
            withheld: BTreeMap::new(),
            secrets: true,
        }
    }

    /// The same without the content of secret files.
    pub(super) fn without_secrets(objects: &'a O) -> Self {
        Self { secrets: false, ..Self::new(objects) }
    }

    /// Adds what a snapshot leads to. Says whether it is one.
    ///
    /// # Errors
    /// When something is there and can't be read, or was written by a newer version of this program: what it leads to
    /// is not known then.
    pub(super) fn add(&mut self, snapshot: &Hash) -> Result<bool, SnapshotError> {
        if self.found.contains(snapshot) {
            return Ok(true);
        }
        if !self.objects.has(snapshot)? {
            return Ok(false);
        }
        let bytes = self.objects.read(snapshot)?;
        let Ok(root) = node::decode_root(&bytes) else {
            // Content of a file may have the same name as a picture of the session.
            return if node::newer_root(&bytes) { Err(unknown(snapshot)) } else { Ok(false) };
        };
        self.insert(snapshot);
        let mut open = vec![(Vec::new(), root.tree)];
        while let Some((folder, tree)) = open.pop() {
            let Some(bytes) = self.take(&folder, &tree)? else { continue };
            for (name, node) in node::decode_tree(&bytes).map_err(|Malformed| unknown(&tree))? {
                let key = at::join(&folder, &name);
                match node {
                    Node::Folder { tree, .. } => open.push((key, tree)),
                    Node::File {
                        content: content @ (Content::Whole(hash) | Content::Pieces(hash)), ..
                    } if !self.secrets && secret(self.objects, &name, &content) => {
                        self.withheld.insert(hash, path(&key).display().to_string());
                    }
                    Node::File { content: Content::Whole(hash), .. } => self.mark(&key, &hash)?,
                    Node::File { content: Content::Pieces(list), .. } => {
                        let Some(bytes) = self.take(&key, &list)? else { continue };
                        for piece in node::decode_pieces(&bytes).map_err(|Malformed| unknown(&list))? {
                            if let Piece::Data(hash, _) = piece {
                                self.mark(&key, &hash)?;
                            }
                        }
                    }
                    Node::Link { .. } | Node::Left(_) => {}
                }
            }
        }
        Ok(true)
    }

    fn insert(&mut self, hash: &Hash) {
        if self.found.insert(*hash) {
            self.order.push(*hash);
        }
    }

    /// Reads an object that is new and there.
    fn take(&mut self, key: &[u8], hash: &Hash) -> Result<Option<Vec<u8>>, SnapshotError> {
        if self.found.contains(hash) {
            return Ok(None);
        }
        self.mark(key, hash)?;
        if !self.found.contains(hash) {
            return Ok(None);
        }
        self.objects.read(hash).map(Some)
    }

    fn mark(&mut self, key: &[u8], hash: &Hash) -> Result<(), SnapshotError> {
        if self.found.contains(hash) {
            return Ok(());
        }
        if self.objects.has(hash)? {
            self.insert(hash);
        } else {
            self.lost.push((path(key).display().to_string(), *hash));
        }
        Ok(())
    }
}

/// Whether a file is a secret. What it begins with is read only where that matters.
pub(super) fn secret(objects: &impl Objects, name: &[u8], content: &Content) -> bool {
    let text = || -> Result<Vec<u8>, SnapshotError> {
        let list = match content {
            Content::Whole(hash) => return objects.read(hash),
            Content::Pieces(list) => objects.read(list)?,
        };
        match node::decode_pieces(&list).map(|pieces| pieces.into_iter().next()) {
            Ok(Some(Piece::Data(hash, _))) => objects.read(&hash),
            _ => Ok(Vec::new()),
        }
    };
    // Of one that is lost only the name is known.
    let text = || String::from_utf8_lossy(&text().unwrap_or_default()).into_owned();
    is_secret(&String::from_utf8_lossy(name), text)
}

fn unknown(hash: &Hash) -> SnapshotError {
    SnapshotError::Refused(format!("object {hash} was written by a newer version of this program"))
}
