//! What a repository brings along that a session would read: which files, what they are, and their hashes.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::context::{hidden, instructions};

/// Files that are looked at, at most. One that is not looked at is not read either.
const MOST: usize = 2_000;
/// Folders in folders.
const DEPTH: usize = 8;
/// Bytes of a file in which hidden text is looked for. No file that a session reads is longer.
const LOOKED: u64 = 1 << 20;
/// Bytes of a file that are kept to be looked at.
const SHOWN: usize = 32 << 10;

/// A file that a session would read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    pub path: PathBuf,
    pub kind: Kind,
    pub size: u64,
    /// BLAKE3, or nothing of a file that can't be read.
    pub hash: String,
    /// The beginning of its text.
    pub text: String,
    /// What hides in it.
    pub hidden: Vec<hidden::Hidden>,
}

/// What a file does to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Settings,
    Instructions,
    Prompt,
    Skill,
    Hook,
    Other,
}

impl Kind {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Instructions => "instructions",
            Self::Prompt => "command",
            Self::Skill => "skill",
            Self::Hook => "hook",
            Self::Other => "file",
        }
    }
}

/// All that a session in `cwd` would read, from the root of the repository down.
pub(super) fn scan(root: &Path, cwd: &Path) -> Vec<Brought> {
    let mut paths = Vec::new();
    let mut dirs: Vec<&Path> = cwd.ancestors().take_while(|dir| dir.starts_with(root)).collect();
    dirs.reverse();
    let exists = |path: &Path| path.symlink_metadata().is_ok();
    for place in instructions::candidates(Some(root), cwd, &[]) {
        // The first one hides the others.
        paths.extend(place.files.into_iter().find(|path| exists(path)));
    }
    for dir in dirs {
        for (folder, depth) in [(".agent", DEPTH), (".agents/skills", DEPTH), (".claude/skills", DEPTH)] {
            walk(&dir.join(folder), depth, &mut paths);
        }
    }
    paths.truncate(MOST);
    paths.into_iter().filter_map(|path| look(path, root)).collect()
}

fn walk(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) {
    // A folder that can't be read can't be read by a session either.
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    // Settings first, so that no heap of files pushes them out.
    entries.sort_by_key(|path| (!path.ends_with("config.toml"), path.clone()));
    for path in entries {
        if paths.len() >= MOST {
            return;
        }
        if !path.is_dir() {
            paths.push(path);
        } else if depth > 0 {
            walk(&path, depth - 1, paths);
        }
    }
}

fn look(path: PathBuf, root: &Path) -> Option<Brought> {
    let kind = kind(path.strip_prefix(root).unwrap_or(&path));
    // What can't be read, and a link to a place outside, which is not read: it may lead elsewhere tomorrow.
    let unread =
        Brought { path, kind, size: 0, hash: String::new(), text: String::new(), hidden: Vec::new() };
    let Ok(target) = unread.path.canonicalize() else { return Some(unread) };
    if !target.starts_with(root) {
        return Some(unread);
    }
    // A pipe would wait for ever, and what is empty says nothing.
    if !target.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > 0) {
        return None;
    }
    read(&target, unread.clone()).ok().or(Some(unread))
}

fn read(target: &Path, file: Brought) -> io::Result<Brought> {
    let mut from = fs::File::open(target)?;
    let mut head = Vec::new();
    from.by_ref().take(LOOKED).read_to_end(&mut head)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&head).update_reader(&mut from)?;
    let hash = hasher.finalize().to_hex().to_string();
    let size = hasher.count();
    if head.contains(&0) {
        return Ok(Brought { size, hash, ..file });
    }
    let mut text = String::from_utf8_lossy(&head).into_owned();
    let hidden = hidden::find(&text);
    text.truncate((0..=SHOWN.min(text.len())).rfind(|end| text.is_char_boundary(*end)).unwrap_or(0));
    Ok(Brought { size, hash, text, hidden, ..file })
}

pub(super) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn kind(path: &Path) -> Kind {
    let has = |name: &str| path.iter().any(|part| part == name);
    if path.ends_with(".agent/config.toml") {
        Kind::Settings
    } else if has("skills") {
        Kind::Skill
    } else if has(".agent") && has("prompts") {
        Kind::Prompt
    } else if has(".agent") && has("hooks") {
        Kind::Hook
    } else if has(".agent") {
        Kind::Other
    } else {
        Kind::Instructions
    }
}
