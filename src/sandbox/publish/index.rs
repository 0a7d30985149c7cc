//! What an index says is to be committed. Pure.
//!
//! An index is written anew by each `git status`, so that two of them are compared by what they say, and not by their
//! bytes. Its paths are written to by whoever checks out of it, so that none may lead into a `.git` or out of the tree.

use std::collections::{BTreeSet, HashMap};

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// More entries than any tree has.
const MOST: u32 = 50_000_000;

/// A digest of all entries, without what git only remembers of the files; or why this is no index to be trusted.
pub(in crate::sandbox) fn digest(content: &[u8], id_length: usize) -> Result<String, &'static str> {
    let mut hash = blake3::Hasher::new();
    each(content, id_length, |entry| {
        let Entry { path, mode, id, flags, further, .. } = entry;
        hash.update(path).update(&[0]).update(&mode.to_be_bytes()).update(id);
        hash.update(&(flags & 0xb000).to_be_bytes()).update(&(further & 0x6000).to_be_bytes());
    })?;
    Ok(hash.finalize().to_hex().to_string())
}

/// What git remembers of a file (gitformat-index(5)), and where in the entry its mode stands among that.
const STAT: usize = 40;
const MODE: std::ops::Range<usize> = 24..28;

/// Flags that have git not look at a file: "assume valid" and, among the further ones, "skip worktree".
const NOT_LOOKED: u16 = 0x8000;
const NOT_LOOKED_FURTHER: u16 = 0x4000;

/// The index, without what git outside would believe of the files without a look at them. What a file was like when
/// its content was known, stays only where the user's own index says the same; so does a wish not to look at one. Of
/// the other entries git reads the files anew. Nothing stays of what follows the entries, which git keeps for speed: it
/// names trees, and files that are not new.
///
/// # Errors
/// When it is no index to be trusted, or leaves out directories that the user's does not leave out.
pub(in crate::sandbox) fn distrusted(
    content: &[u8],
    theirs: Option<&[u8]>,
    id_length: usize,
) -> Result<Vec<u8>, &'static str> {
    let mut known = HashMap::new();
    if let Some(theirs) = theirs {
        let remember = |entry: &Entry<'_>| {
            let said = (entry.stat.to_vec(), entry.id.to_vec(), entry.flags & !NAME_LENGTH, entry.further);
            known.insert((entry.path.to_vec(), entry.flags & STAGE), said);
        };
        // Of one that is not understood nothing is known.
        if each(theirs, id_length, remember).is_err() {
            known.clear();
        }
    }
    let mut new = content.to_vec();
    let (mut hidden, mut sparse) = (false, false);
    let end = each(content, id_length, |entry| {
        let said = known.get(&(entry.path.to_vec(), entry.flags & STAGE));
        let wishes = said.map_or((0, 0), |said| (said.2, said.3));
        if entry.mode == DIRECTORY {
            sparse = true;
            hidden |= wishes.1 & NOT_LOOKED_FURTHER == 0;
            return;
        }
        let same = said.is_some_and(|(stat, id, ..)| stat == entry.stat && id == entry.id);
        if !same && let Some(stat) = new.get_mut(entry.at..entry.at + STAT) {
            let mode: Vec<u8> = stat.get(MODE).unwrap_or_default().to_vec();
            stat.fill(0);
            if let Some(place) = stat.get_mut(MODE) {
                place.copy_from_slice(&mode);
            }
        }
        let at = entry.at + STAT + id_length;
        let flags = entry.flags & !(NOT_LOOKED & !wishes.0);
        let further = entry.further & !(NOT_LOOKED_FURTHER & !wishes.1);
        for (at, value, there) in [(at, flags, true), (at + 2, further, entry.flags & EXTENDED != 0)] {
            if let Some(place) = new.get_mut(at..at + 2).filter(|_| there) {
                place.copy_from_slice(&value.to_be_bytes());
            }
        }
    })?;
    if hidden {
        return Err("it leaves out directories (a sparse index)");
    }
    new.truncate(end);
    if sparse {
        new.extend(b"sdir\0\0\0\0");
    }
    let sum = if id_length == 20 { Sha1::digest(&new).to_vec() } else { Sha256::digest(&new).to_vec() };
    new.extend(sum);
    Ok(new)
}

/// Whether an index may take the place of the user's own: why not.
pub(in crate::sandbox) fn may_replace(
    content: &[u8],
    theirs: Option<&[u8]>,
    id_length: usize,
) -> Result<(), &'static str> {
    let ours = modules(content, id_length)?;
    let theirs = theirs.and_then(|theirs| modules(theirs, id_length).ok()).unwrap_or_default();
    if ours.is_subset(&theirs) {
        return Ok(());
    }
    Err("it has a repository as a part that was none of the tree; git would obey its settings")
}

/// The repositories that it has as parts of the tree: git at the top asks them, and obeys their configuration.
fn modules(content: &[u8], id_length: usize) -> Result<BTreeSet<Vec<u8>>, &'static str> {
    let mut modules = BTreeSet::new();
    each(content, id_length, |entry| {
        if entry.mode == MODULE {
            modules.insert(entry.path.to_vec());
        }
    })?;
    Ok(modules)
}

/// The mode of a repository in a tree (gitformat-index(5): "gitlink").
const MODULE: u32 = 0o160_000;

/// That of a directory whose files are left out ("sparse directory").
const DIRECTORY: u32 = 0o040_000;

/// Parts of an entry's flags.
const EXTENDED: u16 = 0x4000;
const STAGE: u16 = 0x3000;
const NAME_LENGTH: u16 = 0x0fff;

struct Entry<'a> {
    /// Where it begins.
    at: usize,
    stat: &'a [u8],
    path: &'a [u8],
    mode: u32,
    id: &'a [u8],
    flags: u16,
    further: u16,
}

/// Goes through all entries, and gives where they end.
fn each(content: &[u8], id_length: usize, mut seen: impl FnMut(&Entry<'_>)) -> Result<usize, &'static str> {
    let mut rest = Reader(content);
    if rest.take(4)? != b"DIRC" {
        return Err("it is no index");
    }
    let version = rest.u32()?;
    let count = rest.u32()?;
    if !(2..=4).contains(&version) || count > MOST {
        return Err("it is of an unknown kind");
    }
    let mut path: Vec<u8> = Vec::new();
    for _ in 0..count {
        let before = rest.0.len();
        let at = content.len() - before;
        let stat = rest.take(STAT)?;
        let mode = Reader(stat.get(MODE).unwrap_or_default()).u32()?;
        let id = rest.take(id_length)?;
        let flags = rest.u16()?;
        let further = if flags & EXTENDED != 0 { rest.u16()? } else { 0 };
        if version == 4 {
            let kept = path.len().checked_sub(rest.varint()?).ok_or("its paths are broken")?;
            path.truncate(kept);
        } else {
            path.clear();
        }
        path.extend(rest.until_zero()?);
        if version < 4 {
            // Entries are filled up to a multiple of eight, of which one zero is read.
            let length = before - rest.0.len();
            rest.take((8 - length % 8) % 8)?;
        }
        is_path(&path, mode)?;
        seen(&Entry { at, stat, path: &path, mode, id, flags, further });
    }
    let end = content.len() - rest.0.len();
    while rest.0.len() > id_length {
        let name = rest.take(4)?;
        let length = usize::try_from(rest.u32()?).map_err(|_| "it is broken")?;
        // The rest of it would lie in another file.
        if name == b"link" {
            return Err("it is split into two files (core.splitIndex)");
        }
        rest.take(length)?;
    }
    if rest.0.len() != id_length {
        return Err("it is cut off");
    }
    Ok(end)
}

fn is_path(path: &[u8], mode: u32) -> Result<(), &'static str> {
    let directory = mode == DIRECTORY;
    if !directory && !matches!(mode, 0o100_644 | 0o100_755 | 0o120_000 | MODULE) {
        return Err("it holds something that is neither file, link nor module");
    }
    let path = if directory { path.strip_suffix(b"/").unwrap_or(path) } else { path };
    if path.split(|byte| *byte == b'/').all(is_name) {
        Ok(())
    } else {
        Err("it holds a path that leads out of the tree or into a .git")
    }
}

fn is_name(name: &[u8]) -> bool {
    // Some file systems don't see these characters.
    let seen: String = String::from_utf8_lossy(name)
        .chars()
        .filter(|char| {
            !matches!(char, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
        })
        .collect();
    let plain = seen.trim_end_matches([' ', '.']);
    !name.is_empty()
        && name != b"."
        && name != b".."
        && ![".git", "git~1"].iter().any(|git| plain.eq_ignore_ascii_case(git))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        Ok(self.take(4)?.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
    }

    fn u16(&mut self) -> Result<u16, &'static str> {
        Ok(self.take(2)?.iter().fold(0, |number, byte| (number << 8) | u16::from(*byte)))
    }

    /// Git's own kind of number, in which each length begins where the shorter one ends.
    fn varint(&mut self) -> Result<usize, &'static str> {
        let mut value = 0_usize;
        for at in 0..5 {
            let byte = self.take(1)?.iter().fold(0, |_, byte| *byte);
            value = (value << 7) + usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            value += 1;
            if at == 4 {
                break;
            }
        }
        Err("its paths are broken")
    }

    fn until_zero(&mut self) -> Result<&'a [u8], &'static str> {
        let end = memchr::memchr(0, self.0).ok_or("it is cut off")?;
        let taken = self.take(end)?;
        self.take(1)?;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn git(at: &std::path::Path, args: &[&str]) {
        let done = Command::new("git").args(args).current_dir(at).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// An index of version 2 with one entry.
    fn one(path: &str, mode: u32) -> Vec<u8> {
        let mut index = b"DIRC\0\0\0\x02\0\0\0\x01".to_vec();
        let start = index.len();
        index.extend([0; 24]);
        index.extend(mode.to_be_bytes());
        index.extend([0; 12 + 20]);
        index.extend(u16::try_from(path.len()).unwrap().to_be_bytes());
        index.extend(path.as_bytes());
        let length = index.len() - start;
        index.resize(start + (length / 8 + 1) * 8, 0);
        index.extend([0; 20]);
        index
    }

    #[test]
    fn an_index_says_the_same_in_every_version_and_after_every_look() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        git(at, &["init", "-q"]);
        for name in ["a", "dir/b", "dir/ccccccc", "dir/deep/d", "ü"] {
            std::fs::create_dir_all(at.join(name).parent().unwrap()).unwrap();
            std::fs::write(at.join(name), name).unwrap();
        }
        git(at, &["add", "-A"]);
        let read = || digest(&std::fs::read(at.join(".git/index")).unwrap(), 20);
        let first = read().unwrap();
        for version in ["3", "4", "2"] {
            git(at, &["update-index", "--index-version", version, "--force-write-index"]);
            assert_eq!(read(), Ok(first.clone()), "{version}");
        }
        std::fs::File::open(at.join("a")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        git(at, &["status"]);
        assert_eq!(read(), Ok(first.clone()));
        git(at, &["update-index", "--skip-worktree", "a"]);
        assert_ne!(read(), Ok(first.clone()));
        git(at, &["update-index", "--no-skip-worktree", "a"]);
        assert_eq!(read(), Ok(first.clone()));
        std::fs::write(at.join("a"), "other").unwrap();
        git(at, &["add", "a"]);
        assert_ne!(read(), Ok(first));
    }

    #[test]
    fn no_entry_leads_into_a_repository_or_out_of_the_tree() {
        for path in ["a", "dir/a", ".gitignore", "a/.github/x", "...", "git"] {
            assert!(digest(&one(path, 0o100_644), 20).is_ok(), "{path}");
        }
        for path in [
            ".git/config",
            "a/.GIT/hooks/x",
            "../x",
            "a/../x",
            "/etc/passwd",
            "a//b",
            "./a",
            "",
            "git~1/x",
            ".g\u{200c}it/x",
            ".git./x",
            ".git /config",
        ] {
            assert!(digest(&one(path, 0o100_644), 20).is_err(), "{path}");
        }
        assert!(digest(&one("a", 0o100_666), 20).is_err());
    }

    #[test]
    fn what_git_would_believe_of_files_is_not_in_it_but_what_the_users_own_says() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        git(at, &["init", "-q"]);
        for name in ["a", "b", "c"] {
            std::fs::write(at.join(name), name).unwrap();
        }
        git(at, &["add", "-A"]);
        git(at, &["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"]);
        let index = at.join(".git/index");
        let said = |args: &[&str]| {
            let said = Command::new("git").args(args).current_dir(at).output().unwrap();
            String::from_utf8(said.stdout).unwrap()
        };
        let theirs = std::fs::read(&index).unwrap();
        for (forgery, version) in [("--assume-unchanged", "2"), ("--skip-worktree", "4")] {
            git(at, &["update-index", "--index-version", version, forgery, "b"]);
            std::fs::write(at.join("b"), "changed").unwrap();
            git(at, &["update-index", "--untracked-cache"]);
            git(at, &["status"]);
            std::fs::write(at.join("new"), "").unwrap();
            let forged = std::fs::read(&index).unwrap();
            assert!(memchr::memmem::find(&forged, b"UNTR").is_some());
            let honest = distrusted(&forged, Some(&theirs), 20).unwrap();
            assert!(memchr::memmem::find(&honest, b"UNTR").is_none());
            std::fs::write(&index, &honest).unwrap();
            assert_eq!(said(&["status", "--porcelain"]), " M b\n?? new\n", "{forgery}");
            git(at, &["fsck", "--strict"]);
            // A wish of the user's stays.
            assert_eq!(
                digest(&distrusted(&forged, Some(&forged), 20).unwrap(), 20),
                digest(&forged, 20),
                "{forgery}"
            );
            std::fs::write(&index, &theirs).unwrap();
            std::fs::remove_file(at.join("new")).unwrap();
            std::fs::write(at.join("b"), "b").unwrap();
        }
        // What a file was like is taken from nobody else.
        std::fs::write(at.join("a"), "A").unwrap();
        let mut forged = theirs.clone();
        let meta = at.join("a").symlink_metadata().unwrap();
        {
            use std::os::unix::fs::MetadataExt as _;
            let fields = [
                meta.ctime() as u32,
                meta.ctime_nsec() as u32,
                meta.mtime() as u32,
                meta.mtime_nsec() as u32,
                meta.dev() as u32,
                meta.ino() as u32,
                meta.mode(),
                meta.uid(),
                meta.gid(),
                1,
            ];
            for (number, field) in fields.into_iter().enumerate().filter(|(number, _)| *number != 6) {
                forged[12 + 4 * number..][..4].copy_from_slice(&field.to_be_bytes());
            }
        }
        // In a past in which git no longer doubts what is as old as the index itself.
        let _ = forged.split_off(forged.len() - 20);
        forged.extend([0; 20]);
        let status = |content: &[u8]| {
            std::fs::write(&index, content).unwrap();
            let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
            std::fs::File::options().write(true).open(&index).unwrap().set_modified(later).unwrap();
            said(&["--no-optional-locks", "status", "--porcelain"])
        };
        assert_eq!(status(&forged), "", "the forgery is none");
        assert_eq!(status(&distrusted(&forged, Some(&theirs), 20).unwrap()), " M a\n");
        assert_eq!(status(&distrusted(&forged, None, 20).unwrap()), " M a\n");
    }

    #[test]
    fn every_cut_is_noticed() {
        let whole = one("some/file", 0o100_644);
        for end in 0..whole.len() {
            assert!(digest(&whole[..end], 20).is_err(), "{end}");
        }
    }
}
