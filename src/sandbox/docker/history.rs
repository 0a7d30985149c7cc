//! Objects of a repository on their way out: each goes by the digest of its content, and what does not have it would
//! take the place of another one. Loose ones are looked at here, packs by git itself.

use std::{
    io::{self, Seek as _},
    path::{Path, PathBuf},
};

use super::{
    border::{self, Form, Verdict},
    manifest::Content,
    pack::{Member, Packed},
};
use crate::sandbox::publish::{filter::Kind, objects, tree::Tree};

/// What kind of object of the workspace's repository a path is the place of.
pub(super) fn form(path: &Path) -> Option<Form> {
    match border::verdict(path, Kind::File, true) {
        Verdict::OutIf(form @ (Form::Object | Form::Pack)) => Some(form),
        _ => None,
    }
}

/// The first of these loose objects that is not what its name says.
pub(super) fn forged<'p>(
    packed: &Packed,
    objects: impl Iterator<Item = (&'p PathBuf, &'p Member)>,
) -> Option<PathBuf> {
    let is_sound = |path: &Path, member: &Member| {
        let below = path.strip_prefix(".git").unwrap_or(path);
        let content = packed.content(member);
        matches!(member.content, Content::File { .. })
            && content.and_then(|content| objects::is_sound(below, content)).unwrap_or(false)
    };
    objects
        .filter(|(path, _)| form(path) == Some(Form::Object))
        .find(|(path, member)| !is_sound(path, member))
        .map(|(path, _)| path.clone())
}

/// Has git read a pack into the repository, whose `.git` this is.
///
/// # Errors
/// When there is no git, or it refuses the pack.
pub(super) fn bring_pack(repository: &Path, member: &Member, packed: &Packed) -> io::Result<()> {
    let mut pack = tempfile::tempfile()?;
    io::copy(&mut packed.content(member)?, &mut pack)?;
    pack.rewind()?;
    match objects::pack(repository, &Tree::open(repository)?, pack)? {
        None => Ok(()),
        Some(why) => Err(io::Error::other(why)),
    }
}
