//! What commands may bring out of a container: nothing that somebody obeys later, and of a repository only what
//! holds its history.

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use crate::protocol::obeyed_by;

/// What becomes of a path that was changed inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Out,
    /// Out, if its content is what it should be.
    OutIf(Form),
    /// New ones come out; none is changed or removed.
    OutOnce,
    /// It stays inside, and nobody needs to know: it is nothing that would be missed.
    Quiet,
    /// It stays inside, and that is told: who obeys it.
    Kept(&'static str),
    /// It stays inside, because of its name.
    Odd,
}

/// What the content of a file of git must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// An object's name, or `ref: ` and the name of a reference.
    Reference,
    /// Lines with objects' names and references.
    PackedReferences,
}

/// A reference is not longer.
pub(super) const LONGEST_REFERENCE: u64 = 4 << 10;
/// All of them are not longer.
pub(super) const LONGEST_PACKED: u64 = 64 << 20;

/// Files of git that hold its history, directly in `.git`.
const FILES: &[(&str, Verdict)] = &[
    ("HEAD", Verdict::OutIf(Form::Reference)),
    ("ORIG_HEAD", Verdict::OutIf(Form::Reference)),
    ("packed-refs", Verdict::OutIf(Form::PackedReferences)),
    ("index", Verdict::Out),
    ("COMMIT_EDITMSG", Verdict::Out),
    ("MERGE_HEAD", Verdict::Out),
    ("MERGE_MODE", Verdict::Out),
    ("MERGE_MSG", Verdict::Out),
    ("MERGE_RR", Verdict::Out),
];

/// What git writes for itself and nobody misses.
const QUIET: &[&str] = &["AUTO_MERGE", "FETCH_HEAD", "gc.log", "gc.pid", "branches"];

/// What becomes of `path`, which was changed inside. `repository`: the workspace has a `.git` directory outside.
pub(super) fn verdict(path: &Path, repository: bool) -> Verdict {
    if path.as_os_str().as_bytes().iter().any(|byte| byte.is_ascii_control()) || hides(path) {
        return Verdict::Odd;
    }
    let mut parts = path.iter();
    if repository && parts.next().is_some_and(|part| part == ".git") {
        let parts: Option<Vec<&str>> = parts.map(|part| part.to_str()).collect();
        return of_git(&parts.unwrap_or_default());
    }
    obeyed_by(path).map_or(Verdict::Out, Verdict::Kept)
}

/// Characters that make a name look like another one.
fn hides(path: &Path) -> bool {
    path.to_str().is_some_and(|text| crate::protocol::printable(text) != text)
}

fn of_git(parts: &[&str]) -> Verdict {
    const KEPT: Verdict = Verdict::Kept("git");
    if parts.last().is_some_and(|name| name.ends_with(".lock") || name.starts_with("tmp_")) {
        return Verdict::Quiet;
    }
    match parts {
        // The directory itself, and those of what comes out.
        [] | ["objects" | "refs" | "logs"] | ["refs", "heads" | "tags"] | ["logs", "refs"] => Verdict::Out,
        [name] => FILES.iter().find(|(known, _)| known == name).map_or_else(
            || if QUIET.contains(name) { Verdict::Quiet } else { KEPT },
            |(_, verdict)| *verdict,
        ),
        ["objects", "pack"] => Verdict::Out,
        ["objects", "pack", name] if is_pack(name) => Verdict::OutOnce,
        ["objects", folder] if is_hex(folder, 2) => Verdict::Out,
        ["objects", folder, name] if is_hex(folder, 2) && (is_hex(name, 38) || is_hex(name, 62)) => {
            Verdict::OutOnce
        }
        // Indexes of the rest, which git makes again. Alternatives are not among them.
        ["objects", "info", "packs" | "commit-graph" | "commit-graphs", ..] | ["objects", "pack", ..] => {
            Verdict::Quiet
        }
        ["objects", "info"] | ["branches", ..] => Verdict::Quiet,
        ["refs", "stash"] | ["refs", "heads" | "tags", _, ..] => Verdict::OutIf(Form::Reference),
        ["logs", "HEAD"] | ["logs", "refs", ..] => Verdict::Out,
        _ => KEPT,
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_pack(name: &str) -> bool {
    let Some((stem, ending)) = name.strip_prefix("pack-").and_then(|name| name.split_once('.')) else {
        return false;
    };
    (is_hex(stem, 40) || is_hex(stem, 64)) && matches!(ending, "pack" | "idx" | "rev" | "bitmap" | "mtimes")
}

/// Whether content has its form.
pub(super) fn is_formed(form: Form, content: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content) else { return false };
    match form {
        Form::Reference => {
            let line = text.strip_suffix('\n').unwrap_or(text);
            line.strip_prefix("ref: ").map_or_else(|| is_object(line), is_reference)
        }
        Form::PackedReferences => text.lines().all(|line| {
            line.starts_with('#')
                || line.strip_prefix('^').is_some_and(is_object)
                || line.split_once(' ').is_some_and(|(object, name)| is_object(object) && is_reference(name))
        }),
    }
}

fn is_object(text: &str) -> bool {
    is_hex(text, 40) || is_hex(text, 64)
}

/// The name of a reference that git itself would take, as far as it could lead astray.
fn is_reference(name: &str) -> bool {
    name.starts_with("refs/")
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
        && !name.contains("..")
        && name.chars().all(|c| !c.is_control() && !" ~^:?*[\\".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn of_a_repository_only_its_history_comes_out() {
        let object = format!(".git/objects/ab/{}", &OBJECT[2..]);
        let pack = format!(".git/objects/pack/pack-{OBJECT}.pack");
        let reference = Verdict::OutIf(Form::Reference);
        let git = Verdict::Kept("git");
        for (path, expected) in [
            ("src/main.rs", Verdict::Out),
            (".gitignore", Verdict::Out),
            (".git", Verdict::Out),
            (".git/index", Verdict::Out),
            (".git/HEAD", reference),
            (".git/refs/heads/a/b", reference),
            (".git/refs/stash", reference),
            (".git/logs/refs/heads/main", Verdict::Out),
            (".git/MERGE_MSG", Verdict::Out),
            (object.as_str(), Verdict::OutOnce),
            (pack.as_str(), Verdict::OutOnce),
            (".git/index.lock", Verdict::Quiet),
            (".git/objects/ab/tmp_obj_1", Verdict::Quiet),
            (".git/objects/info/commit-graph", Verdict::Quiet),
            (".git/objects/info/alternates", git),
            (".git/config", git),
            (".git/config.worktree", git),
            (".git/hooks/pre-commit", git),
            (".git/commondir", git),
            (".git/info/attributes", git),
            (".git/modules/m/config", git),
            (".git/worktrees/w/gitdir", git),
            (".git/rebase-merge/git-rebase-todo", git),
            (".git/sequencer/todo", git),
            (".git/refs/remotes/origin/main", git),
            (".git/refs/replace/x", git),
            (".GIT/config", git),
            ("sub/.git/config", git),
            ("sub/.git/HEAD", git),
            (".envrc", Verdict::Kept("direnv")),
            ("a/.vscode/tasks.json", Verdict::Kept("editors")),
            ("a\nb", Verdict::Odd),
            ("a\u{202e}b", Verdict::Odd),
        ] {
            assert_eq!(verdict(Path::new(path), true), expected, "{path}");
        }
        for path in [".git", ".git/HEAD", object.as_str()] {
            assert_eq!(verdict(Path::new(path), false), git, "{path}: there was no repository");
        }
    }

    #[test]
    fn references_are_names_of_objects_or_of_references() {
        for (text, good) in [
            (format!("{OBJECT}\n"), true),
            ("ref: refs/heads/main\n".into(), true),
            ("ref: refs/heads/a b\n".into(), false),
            ("ref: ../../etc/passwd\n".into(), false),
            ("ref: refs/../config\n".into(), false),
            ("ref: refs/heads/main\nref: x\n".into(), false),
            ("".into(), false),
            ("[core]\n\tfsmonitor = evil\n".into(), false),
        ] {
            assert_eq!(is_formed(Form::Reference, text.as_bytes()), good, "{text:?}");
        }
        let packed = format!("# pack-refs with: peeled\n{OBJECT} refs/tags/v1\n^{OBJECT}\n");
        assert!(is_formed(Form::PackedReferences, packed.as_bytes()));
        assert!(!is_formed(Form::PackedReferences, b"[core]\n"));
        assert!(!is_formed(Form::PackedReferences, &[0xff]));
    }
}
