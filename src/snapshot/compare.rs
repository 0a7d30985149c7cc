//! What differs between two snapshots. Directories with the same name for their content are not looked into.

use std::{cmp::Ordering, collections::HashMap};

use super::{
    SnapshotError, at,
    hash::Hash,
    node::{Node, Root, Tree},
    store::Store,
};

/// A path at which two snapshots differ: what stands there in the one, and in the other.
///
/// Directories come before what they hold; what only one of them has is listed down to the last file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    pub(super) path: Vec<u8>,
    pub(super) before: Option<Node>,
    pub(super) after: Option<Node>,
}

impl Difference {
    /// Whether whoever reads it gets something else.
    pub(super) fn of_content(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => !before.same_content(after),
            _ => true,
        }
    }
}

pub(super) fn differences(
    store: &Store,
    before: &Root,
    after: &Root,
) -> Result<Vec<Difference>, SnapshotError> {
    let mut found = Vec::new();
    let top = |root: &Root| Some(Node::Folder { meta: root.meta.clone(), tree: root.tree });
    node(store, b"", top(before), top(after), &mut found)?;
    links(store, before, after, &mut found)?;
    Ok(found)
}

fn node(
    store: &Store,
    path: &[u8],
    before: Option<Node>,
    after: Option<Node>,
    found: &mut Vec<Difference>,
) -> Result<(), SnapshotError> {
    if before == after {
        return Ok(());
    }
    let tree = |node: &Option<Node>| match node {
        Some(Node::Folder { tree, .. }) => Some(*tree),
        _ => None,
    };
    let (one, other) = (tree(&before), tree(&after));
    let meta = |node: &Option<Node>| match node {
        Some(Node::Folder { meta, .. }) => Some(meta.clone()),
        _ => None,
    };
    let both = one.is_some() && other.is_some();
    if !both || meta(&before) != meta(&after) {
        found.push(Difference { path: path.to_vec(), before, after });
    }
    // What a repository is made of is not in snapshots: as a whole it neither comes nor goes.
    let repository = at::split(path).1 == b".git";
    if one == other || repository && !both {
        return Ok(());
    }
    let entries = |hash: Option<Hash>| hash.map_or_else(|| Ok(Tree::new()), |hash| store.tree(&hash));
    let (mut one, mut other) = (entries(one)?.into_iter().peekable(), entries(other)?.into_iter().peekable());
    loop {
        let order = match (one.peek(), other.peek()) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let left = if order.is_le() { one.next() } else { None };
        let right = if order.is_ge() { other.next() } else { None };
        let name = left.as_ref().or(right.as_ref()).map(|(name, _)| name.clone()).unwrap_or_default();
        let below = at::join(path, &name);
        node(store, &below, left.map(|(_, node)| node), right.map(|(_, node)| node), found)?;
    }
}

/// Files that are the same as others in the one and not in the other, though nothing else about them differs.
fn links(
    store: &Store,
    before: &Root,
    after: &Root,
    found: &mut Vec<Difference>,
) -> Result<(), SnapshotError> {
    if before.same == after.same {
        return Ok(());
    }
    let (one, other) = (together(before), together(after));
    let mut paths: Vec<&[u8]> = one.keys().chain(other.keys()).copied().collect();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        if one.get(path) == other.get(path) || found.iter().any(|known| known.path == path) {
            continue;
        }
        let (before, after) = (store.lookup(before, path)?, store.lookup(after, path)?);
        if before.is_some() && after.is_some() {
            found.push(Difference { path: path.to_vec(), before, after });
        }
    }
    Ok(())
}

/// The paths that are the same file as each one.
pub(super) fn together(root: &Root) -> HashMap<&[u8], &Vec<Vec<u8>>> {
    root.same.iter().flat_map(|paths| paths.iter().map(move |path| (&path[..], paths))).collect()
}
