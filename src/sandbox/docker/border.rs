//! What commands may bring out of a container: nothing that somebody obeys later, and of a repository only what
//! [`publish`] lets out, after a look at what it holds.

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use crate::{
    protocol::{obeyed_by, printable},
    sandbox::publish::{
        content,
        filter::{self, Keep, Kind},
        index,
    },
};

/// What becomes of a path that was changed inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Out,
    /// Out, if its content is what its name says.
    OutIf(Form),
    /// It stays inside, and nobody needs to know: it is nothing that would be missed.
    Quiet,
    /// It stays inside, and that is told: who obeys it.
    Kept(&'static str),
    /// It stays inside, because of its name.
    Odd,
    /// It stays inside, for outside it is what commands don't see.
    Hidden,
}

/// What a file of git must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// New ones come out; none is changed or removed.
    Object,
    /// As objects. What git makes of it lies beside it: its own index of a pack is not believed.
    Pack,
    Index,
    Head,
    Reference,
    PackedReferences,
    Log,
    Note,
}

/// Files that are looked at are not longer.
pub(super) const LONGEST: u64 = 64 << 20;

/// What becomes of `path`, which was changed inside to something of this `kind`. `below`: what it is called in the
/// repository that it is a part of outside.
pub(super) fn verdict(path: &Path, kind: Kind, below: Option<&Path>) -> Verdict {
    let text = path.to_string_lossy();
    if path.as_os_str().as_bytes().iter().any(u8::is_ascii_control) || printable(&text) != text {
        return Verdict::Odd;
    }
    match below {
        Some(below) => of_git(below, kind),
        None => obeyed_by(path).map_or(Verdict::Out, Verdict::Kept),
    }
}

fn of_git(path: &Path, kind: Kind) -> Verdict {
    match filter::judge(path, kind) {
        filter::Verdict::Into => Verdict::Out,
        filter::Verdict::Index => Verdict::OutIf(Form::Index),
        filter::Verdict::Object => Verdict::OutIf(Form::Object),
        filter::Verdict::Pack => Verdict::OutIf(Form::Pack),
        filter::Verdict::Ref => Verdict::OutIf(Form::Reference),
        filter::Verdict::PackedRefs => Verdict::OutIf(Form::PackedReferences),
        filter::Verdict::Log => Verdict::OutIf(Form::Log),
        filter::Verdict::Head => Verdict::OutIf(Form::Head),
        filter::Verdict::Note => Verdict::OutIf(Form::Note),
        filter::Verdict::Keep(Keep::Passing) => Verdict::Quiet,
        filter::Verdict::Keep(Keep::Obeyed | Keep::Unlisted) => Verdict::Kept("git"),
    }
}

/// What an index of the container's says, as it may come out to the repository at `git`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Staged {
    /// Nothing else than the one there.
    Same,
    /// This, without what git would believe of files without a look at them.
    Honest(Vec<u8>),
}

/// Reads an index.
///
/// # Errors
/// When it must not take the place of the user's: why.
pub(super) fn staged(content: &[u8], git: &Path) -> Result<Staged, &'static str> {
    let (theirs, id_length) = theirs(git);
    let says = index::digest(content, id_length)?;
    if theirs.as_ref().is_some_and(|theirs| index::digest(theirs, id_length).as_ref() == Ok(&says)) {
        return Ok(Staged::Same);
    }
    index::may_replace(content, theirs.as_deref(), id_length)?;
    index::distrusted(content, theirs.as_deref(), id_length).map(Staged::Honest)
}

/// What the index of the repository at `git` says, if there is one.
pub(super) fn said_outside(git: &Path) -> Option<String> {
    let (theirs, id_length) = theirs(git);
    index::digest(&theirs?, id_length).ok()
}

/// The index of a repository of the user's, and how long the ids in it are.
fn theirs(git: &Path) -> (Option<Vec<u8>>, usize) {
    let config = std::fs::read(git.join("config")).unwrap_or_default();
    (std::fs::read(git.join("index")).ok(), content::id_length(&config))
}

/// Whether the content of the file at `path` has its form. What is longer than [`LONGEST`] is looked at elsewhere, and
/// so is an index, by [`staged`].
pub(super) fn is_formed(form: Form, path: &Path, content: &[u8]) -> bool {
    match form {
        Form::Object | Form::Pack | Form::Index => false,
        Form::Head => content::is_head(content),
        Form::Reference => content::id(content).is_some(),
        Form::PackedReferences => content::packed(content).is_some(),
        Form::Log => content::is_log(content),
        Form::Note => {
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            content::is_note(&name, content)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(path: &str, kind: Kind) -> Verdict {
        let path = Path::new(path);
        verdict(path, kind, path.strip_prefix(".git").ok())
    }

    const OBJECT: &str = "23456789abcdef0123456789abcdef01234567ab";

    #[test]
    fn of_a_repository_only_its_history_comes_out_and_of_the_rest_nothing_that_is_obeyed() {
        let object = ".git/objects/ab/0123456789abcdef0123456789abcdef012345".to_owned();
        let [pack, index] = ["pack", "idx"].map(|end| format!(".git/objects/pack/pack-{OBJECT}.{end}"));
        let git = Verdict::Kept("git");
        for (path, expected) in [
            ("src/main.rs", Verdict::Out),
            (".gitignore", Verdict::Out),
            (".git/index", Verdict::OutIf(Form::Index)),
            (".git/HEAD", Verdict::OutIf(Form::Head)),
            (".git/refs/heads/a/b", Verdict::OutIf(Form::Reference)),
            (".git/logs/refs/heads/main", Verdict::OutIf(Form::Log)),
            (".git/MERGE_MSG", Verdict::OutIf(Form::Note)),
            (object.as_str(), Verdict::OutIf(Form::Object)),
            (pack.as_str(), Verdict::OutIf(Form::Pack)),
            (index.as_str(), Verdict::Quiet),
            (".git/objects/pack/other.idx", Verdict::Quiet),
            (".git/index.lock", Verdict::Quiet),
            (".git/config", git),
            (".git/hooks/pre-commit", git),
            (".git/commondir", git),
            (".GIT/config", git),
            ("sub/.git/HEAD", git),
            (".envrc", Verdict::Kept("direnv")),
            ("a/.vscode/tasks.json", Verdict::Kept("editors")),
            ("a\nb", Verdict::Odd),
            ("a\u{202e}b", Verdict::Odd),
        ] {
            assert_eq!(judged(path, Kind::File), expected, "{path}");
        }
        for path in [".git/HEAD", object.as_str()] {
            assert_eq!(verdict(Path::new(path), Kind::File, None), git, "{path}: there was no repository");
        }
        assert_eq!(judged(".git/refs/heads/x", Kind::Other), git, "a link");
        assert_eq!(judged(".git", Kind::Directory), Verdict::Out);
    }
}
