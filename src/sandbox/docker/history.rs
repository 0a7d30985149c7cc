//! Objects of a repository on their way out: each goes by the digest of its content, and what does not have it would
//! take the place of another one. Loose ones are looked at here, packs by git itself.

use std::{
    io::{self, Seek as _},
    path::Path,
};

use super::{
    manifest::Content,
    pack::{Member, Packed},
};
use crate::sandbox::publish::{
    filter::{self, Kind},
    objects,
    tree::Tree,
};

/// The first of these new files of a repository, by what they are called there, that is an object and not what
/// its name says.
pub(super) fn forged<'p>(
    packed: &Packed,
    mut files: impl Iterator<Item = (&'p Path, &'p Member)>,
) -> Option<&'p Path> {
    let is_sound = |below: &Path, member: &Member| {
        let content = packed.content(member);
        matches!(member.content, Content::File { .. })
            && content.and_then(|content| objects::is_sound(below, content)).unwrap_or(false)
    };
    let is_object = |below: &Path| filter::judge(below, Kind::File) == filter::Verdict::Object;
    files.find(|(below, member)| is_object(below) && !is_sound(below, member)).map(|(below, _)| below)
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
