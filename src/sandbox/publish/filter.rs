//! What may leave a `.git`, by name and kind alone. Pure: what stands in a file is for [`super::content`] to judge.
//!
//! The list names what goes out. Everything else stays, whatever a later git makes of it.

use std::path::{Component, Path};

/// What was found at a path of the session's own layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Kind {
    File,
    Directory,
    /// Removed by a command.
    Gone,
    /// Links, sockets, devices.
    Other,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Verdict {
    /// A directory that may hold what goes out.
    Into,
    /// An object: goes out when its content has the name that it goes by.
    Object,
    /// A pack of objects: goes out when all of it is sound.
    Pack,
    /// A branch, tag or the stash.
    Ref,
    /// Many of them in one file.
    PackedRefs,
    /// What a reference was before.
    Log,
    Head,
    Index,
    /// One of the small files about the last commit or merge.
    Note,
    Keep(Keep),
}

/// Why something stays inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Keep {
    /// Git's own state of the moment, or a cache: nobody misses it outside.
    Passing,
    /// Somebody outside would run or obey it: to be told.
    Obeyed,
    /// Data that does not go out: to be told.
    Unlisted,
}

/// Small files about the last commit or merge.
const NOTES: &[&str] =
    &["ORIG_HEAD", "COMMIT_EDITMSG", "MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "MERGE_AUTOSTASH"];

/// State of what is being done: it says what git does next, and lasts as long as that.
const PASSING: &[&str] = &[
    "AUTO_MERGE",
    "BISECT_EXPECTED_REV",
    "BISECT_LOG",
    "BISECT_NAMES",
    "BISECT_RUN",
    "BISECT_START",
    "BISECT_TERMS",
    "CHERRY_PICK_HEAD",
    "EDIT_DESCRIPTION",
    "FETCH_HEAD",
    "MERGE_RR",
    "NOTES_EDITMSG",
    "NOTES_MERGE_REF",
    "NOTES_MERGE_WORKTREE",
    "REBASE_HEAD",
    "REVERT_HEAD",
    "SQUASH_MSG",
    "TAG_EDITMSG",
    "branches",
    "description",
    "fsmonitor--daemon",
    "gc.log",
    "gc.pid",
    "rebase-apply",
    "rebase-merge",
    "rr-cache",
    "sequencer",
];

/// Something is going on that only the session knows the rest of, while one of these is there.
pub(in crate::sandbox) const UNDERWAY: &[&str] =
    &["rebase-merge", "rebase-apply", "sequencer", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_START"];

/// What the user is told while that is so in the repository that is shown as this.
pub(in crate::sandbox) fn is_underway_in(repository: &str) -> String {
    format!(
        "a rebase, cherry-pick, revert or bisect is under way inside the sandbox: outside, the HEAD and the index of \
         {repository} stay as they are until it is finished or aborted"
    )
}

/// What becomes of what lies at `path`, below a `.git`.
pub(in crate::sandbox) fn judge(path: &Path, kind: Kind) -> Verdict {
    let mut names = Vec::new();
    for part in path.components() {
        let Component::Normal(name) = part else { return Verdict::Keep(Keep::Obeyed) };
        // Every name that goes out is text.
        let Some(name) = name.to_str() else { return Verdict::Keep(Keep::Unlisted) };
        names.push(name);
    }
    let verdict = by_name(&names, kind);
    match (kind, verdict) {
        // A link leads to somewhere else, for whoever follows it outside.
        (Kind::Other, Verdict::Into | Verdict::Keep(Keep::Unlisted)) => Verdict::Keep(Keep::Obeyed),
        (_, Verdict::Keep(_)) | (Kind::File | Kind::Gone, _) => verdict,
        (Kind::Directory, _) => Verdict::Into,
        (Kind::Other, _) => Verdict::Keep(Keep::Obeyed),
    }
}

fn by_name(names: &[&str], kind: Kind) -> Verdict {
    let keep = Verdict::Keep;
    if names.last().is_some_and(|name| is_passing_name(name)) {
        return keep(Keep::Passing);
    }
    match names {
        [] | ["objects" | "refs" | "logs"] => Verdict::Into,
        ["HEAD"] => Verdict::Head,
        ["index"] => Verdict::Index,
        ["packed-refs"] => Verdict::PackedRefs,
        [name] if NOTES.contains(name) => Verdict::Note,
        [name, ..] if PASSING.contains(name) => keep(Keep::Passing),
        // A cache of git's lies beside what it obeys.
        ["info"] if kind == Kind::Directory => Verdict::Into,
        ["info", "refs"] => keep(Keep::Passing),
        ["objects", "pack"] => Verdict::Into,
        ["objects", "pack", name] => {
            match name.strip_suffix(".pack").and_then(|name| name.strip_prefix("pack-")) {
                Some(id) if is_hex(id) => Verdict::Pack,
                // Indexes of packs are made anew; what they say of content would be believed.
                _ => keep(Keep::Passing),
            }
        }
        // Where else objects are looked for.
        ["objects", "info", "alternates" | "http-alternates", ..] => keep(Keep::Obeyed),
        ["objects", "info", ..] => keep(Keep::Passing),
        ["objects", fan] if fan.len() == 2 && is_hex(fan) => Verdict::Into,
        ["objects", fan, rest]
            if fan.len() == 2 && is_hex(fan) && is_hex(rest) && matches!(rest.len(), 38 | 62) =>
        {
            // Nothing that is kept is ever taken away by a command.
            if kind == Kind::Gone { keep(Keep::Passing) } else { Verdict::Object }
        }
        ["refs", "heads" | "tags"] => Verdict::Into,
        ["refs", "stash"] => Verdict::Ref,
        ["refs", "heads" | "tags", rest @ ..] if rest.iter().all(|name| is_ref_part(name)) => Verdict::Ref,
        // Says that other objects are to be taken for what they are not.
        ["refs", "replace", ..] => keep(Keep::Obeyed),
        ["refs", "bisect" | "rewritten" | "worktree", ..] => keep(Keep::Passing),
        ["logs", "HEAD"] => Verdict::Log,
        ["logs", "refs"] | ["logs", "refs", "heads" | "tags"] => Verdict::Into,
        ["logs", "refs", "stash"] => Verdict::Log,
        ["logs", "refs", "heads" | "tags", rest @ ..] if rest.iter().all(|name| is_ref_part(name)) => {
            Verdict::Log
        }
        ["logs", ..] => keep(Keep::Passing),
        ["refs", ..] | ["shallow"] => keep(Keep::Unlisted),
        _ => keep(Keep::Obeyed),
    }
}

/// Whether this is the name of a lock or of a file that is not finished: whoever made it takes it away again.
fn is_passing_name(name: &str) -> bool {
    has_end(name, ".lock") || ["tmp_", ".tmp-"].iter().any(|start| name.starts_with(start))
}

fn has_end(name: &str, end: &str) -> bool {
    name.len() > end.len() && name.ends_with(end)
}

pub(super) fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether git takes this for a part of a reference's name; and no command line takes it for an option.
fn is_ref_part(name: &str) -> bool {
    let bad = |byte: u8| byte <= b' ' || byte == 0x7f || b"~^:?*[\\".contains(&byte);
    !name.is_empty()
        && !name.starts_with(['.', '-'])
        && !name.ends_with('.')
        && !has_end(name, ".lock")
        && !name.contains("..")
        && !name.contains("@{")
        && name != "@"
        && !name.bytes().any(bad)
        && !name.chars().any(is_hidden)
}

/// Characters that let a name look like another one.
fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Whether this is the whole name of a reference that goes out.
pub(in crate::sandbox) fn is_ref(name: &str) -> bool {
    judge(Path::new(name), Kind::File) == Verdict::Ref
}

/// The names of a repository's own directory that is no `.git`: what makes git take a directory for one.
pub(in crate::sandbox) const BARE: &[&str] = &["HEAD", "objects", "refs"];

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef012345";

    fn file(path: &str) -> Verdict {
        judge(Path::new(path), Kind::File)
    }

    #[test]
    fn what_is_on_the_list_goes_out_as_a_file() {
        for (path, verdict) in [
            (format!("objects/ab/{ID}"), Verdict::Object),
            (format!("objects/pack/pack-{ID}.pack"), Verdict::Pack),
            ("refs/heads/main".into(), Verdict::Ref),
            ("refs/heads/feature/ü".into(), Verdict::Ref),
            ("refs/tags/v1.0".into(), Verdict::Ref),
            ("refs/stash".into(), Verdict::Ref),
            ("logs/HEAD".into(), Verdict::Log),
            ("logs/refs/heads/main".into(), Verdict::Log),
            ("logs/refs/stash".into(), Verdict::Log),
            ("HEAD".into(), Verdict::Head),
            ("packed-refs".into(), Verdict::PackedRefs),
            ("index".into(), Verdict::Index),
            ("ORIG_HEAD".into(), Verdict::Note),
            ("COMMIT_EDITMSG".into(), Verdict::Note),
            ("MERGE_HEAD".into(), Verdict::Note),
        ] {
            assert_eq!(file(&path), verdict, "{path}");
            // In the place of a file, a link leads somewhere, and a directory is looked into.
            assert_eq!(judge(Path::new(&path), Kind::Other), Verdict::Keep(Keep::Obeyed), "{path}");
        }
    }

    #[test]
    fn what_git_obeys_stays_whatever_its_kind() {
        for path in [
            "config",
            "config.worktree",
            "CONFIG",
            "Head",
            "hooks",
            "hooks/pre-commit",
            "commondir",
            "gitdir",
            "info",
            "info/attributes",
            "info/exclude",
            "info/grafts",
            "info/sparse-checkout",
            "modules/x/config",
            "worktrees/x/gitdir",
            "objects/info/alternates",
            "refs/replace/x",
            "reftable/x",
            "..",
            "../config",
            "/etc/passwd",
            "anything-new",
        ] {
            for kind in [Kind::File, Kind::Gone, Kind::Other] {
                assert_eq!(judge(Path::new(path), kind), Verdict::Keep(Keep::Obeyed), "{path} {kind:?}");
            }
            if path != "info" {
                assert_eq!(judge(Path::new(path), Kind::Directory), Verdict::Keep(Keep::Obeyed), "{path}");
            }
        }
    }

    #[test]
    fn what_is_under_way_stays_inside_without_a_word() {
        for path in [
            "rebase-merge/git-rebase-todo",
            "rebase-apply/patch",
            "sequencer/todo",
            "FETCH_HEAD",
            "gc.pid",
            "index.lock",
            "refs/heads/main.lock",
            "objects/ab/tmp_obj_x",
            "objects/pack/tmp_pack_x",
            "objects/pack/pack-0123.idx",
            "objects/pack/multi-pack-index",
            "objects/info/commit-graph",
            "refs/bisect/bad",
        ] {
            assert_eq!(file(path), Verdict::Keep(Keep::Passing), "{path}");
        }
        for path in UNDERWAY {
            assert_eq!(judge(Path::new(path), Kind::Directory), Verdict::Keep(Keep::Passing), "{path}");
        }
        assert_eq!(judge(Path::new(&format!("objects/ab/{ID}")), Kind::Gone), Verdict::Keep(Keep::Passing));
    }

    #[test]
    fn other_references_stay_and_bad_names_are_none() {
        for path in [
            "refs/remotes/origin/main",
            "refs/notes/commits",
            "refs/heads/-option",
            "refs/heads/.hidden",
            "refs/heads/a..b",
            "refs/heads/a b",
            "refs/heads/a\u{202e}b",
            "refs/heads/a\nb",
            "refs/heads/@",
            "refs/heads/x@{1}",
            "refs/heads/end.",
        ] {
            assert_eq!(file(path), Verdict::Keep(Keep::Unlisted), "{path}");
            assert!(!is_ref(path), "{path}");
        }
        assert!(is_ref("refs/heads/main") && is_ref("refs/stash") && !is_ref("HEAD"));
    }
}
