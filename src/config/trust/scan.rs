//! What a repository brings along that a session would read: which files, what they are, and their hashes.

use std::{
    collections::VecDeque,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::context::{hidden, instructions};

/// Files and folders that are looked at, at most. One that is not looked at is not read either.
const MOST: usize = 2_000;
/// Folders in folders.
const DEPTH: usize = 8;
/// No file that a session reads is longer, in bytes. A longer one counts as one that can't be read.
const LOOKED: usize = 1 << 20;
/// Folders below the working directory that are looked into for instruction files, entries of each, and files that are
/// found there, at most: a start takes milliseconds, also in a large tree.
const NESTED_FOLDERS: usize = 200;
const NESTED_ENTRIES: usize = 2_000;
const NESTED_FILES: usize = 50;
/// Bytes of a file that are kept to be looked at.
const SHOWN: usize = 32 << 10;

/// A file that a session would read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    pub path: PathBuf,
    pub kind: Kind,
    pub size: u64,
    /// BLAKE3, or nothing of a file that can't be read, or is too long to be.
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

/// All that a session in `cwd` would read, from the root of the repository down. `skip` tells of a path that there is
/// nothing to decide about it.
pub(super) fn scan(root: &Path, cwd: &Path, skip: impl Fn(&Path) -> bool) -> Vec<Brought> {
    let mut paths = Vec::new();
    let mut dirs: Vec<&Path> = cwd.ancestors().take_while(|dir| dir.starts_with(root)).collect();
    dirs.reverse();
    for place in instructions::candidates(Some(root), cwd, &[]) {
        first(&place, root, &mut paths);
    }
    nested(root, cwd, &mut paths);
    named(root, &mut paths);
    paths.retain(|path| !skip(path));
    let mut walk = Walk { paths, left: MOST, skip };
    for dir in dirs {
        for folder in [".agent", ".agents/skills", ".claude/skills"] {
            walk.folder(&dir.join(folder), DEPTH);
        }
    }
    walk.paths.truncate(MOST);
    walk.paths.into_iter().filter_map(|path| look(path, root)).collect()
}

/// The files of a directory that a session would look at: the first one that can be read hides the others.
fn first(place: &instructions::Place, root: &Path, paths: &mut Vec<PathBuf>) {
    for path in place.files.iter().filter(|path| path.symlink_metadata().is_ok()) {
        let last = is_text(path, root);
        paths.push(path.clone());
        if last {
            break;
        }
    }
}

/// Instruction files below the working directory, which are read when a file beside them is touched. Those that are
/// not found here, in a large tree, are not read either.
fn nested(root: &Path, cwd: &Path, paths: &mut Vec<PathBuf>) {
    let mut queue = VecDeque::from([cwd.to_owned()]);
    let (mut looked, most) = (0, paths.len() + NESTED_FILES);
    while let Some(folder) = queue.pop_front() {
        looked += 1;
        if looked > NESTED_FOLDERS || paths.len() >= most {
            return;
        }
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut inner = Vec::new();
        let mut here = false;
        for entry in entries.take(NESTED_ENTRIES).flatten() {
            let name = entry.file_name();
            here |= instructions::NAMES.iter().any(|known| name == *known);
            let passed = name.as_encoded_bytes().starts_with(b".")
                || ["node_modules", "target", "vendor", "dist", "build"].iter().any(|heap| name == *heap);
            if !passed && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                inner.push(entry.path());
            }
        }
        if here && folder != cwd {
            first(&instructions::place(&folder, &instructions::NAMES), root, paths);
        }
        inner.sort();
        queue.extend(inner);
    }
}

/// What these files name with `@path`.
fn named(root: &Path, paths: &mut Vec<PathBuf>) {
    let text = |path: &Path| -> io::Result<Option<String>> {
        if !is_text(path, root) {
            return Ok(None);
        }
        let bytes = beginning(&path.canonicalize()?)?;
        Ok(String::from_utf8(bytes).ok())
    };
    let mut files = Vec::new();
    for path in paths.iter() {
        if let Ok(Some(text)) = text(path) {
            files.push(instructions::File { path: path.clone(), text });
        }
    }
    let (all, _) = instructions::with_included(files, text);
    paths.extend(
        all.into_iter().map(|file| file.path).filter(|path| !paths.contains(path)).collect::<Vec<_>>(),
    );
}

/// Whether a session would take this file for instructions, and so none after it.
fn is_text(path: &Path, root: &Path) -> bool {
    let Ok(target) = path.canonicalize() else { return false };
    // A pipe would wait for ever.
    if !target.starts_with(root) || !target.is_file() {
        return false;
    }
    matches!(beginning(&target), Ok(bytes) if bytes.len() <= LOOKED && str::from_utf8(&bytes).is_ok())
}

/// As much of a file as shows whether it is too long.
fn beginning(target: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(target)?.take(LOOKED as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

struct Walk<S> {
    paths: Vec<PathBuf>,
    /// Files and folders that may still be looked at: folders cost time as well.
    left: usize,
    skip: S,
}

impl<S: Fn(&Path) -> bool> Walk<S> {
    fn folder(&mut self, folder: &Path, depth: usize) {
        // A folder that can't be read can't be read by a session either.
        let Ok(entries) = fs::read_dir(folder) else { return };
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        // Settings first, so that no heap of files pushes them out.
        entries.sort_by_key(|path| (!path.ends_with("config.toml"), path.clone()));
        for path in entries {
            if (self.skip)(&path) {
                continue;
            }
            let Some(left) = self.left.checked_sub(1) else { return };
            self.left = left;
            // A linked folder may lead in a circle, or to a heap of others: it is named, not walked.
            if !path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                self.paths.push(path);
            } else if depth > 0 {
                self.folder(&path, depth - 1);
            }
        }
    }
}

fn look(path: PathBuf, root: &Path) -> Option<Brought> {
    let kind = kind(path.strip_prefix(root).unwrap_or(&path));
    // What can't be read, and a link to a place outside, which is not read: it may lead elsewhere tomorrow.
    let unread =
        Brought { path, kind, size: 0, hash: String::new(), text: String::new(), hidden: Vec::new() };
    let Ok(target) = unread.path.canonicalize() else { return Some(unread) };
    if !target.starts_with(root) || (target.is_dir() && unread.path.is_symlink()) {
        return Some(unread);
    }
    // A pipe would wait for ever, and what is empty says nothing.
    let size = target.metadata().ok().filter(|meta| meta.is_file() && meta.len() > 0)?.len();
    let unread = Brought { size, ..unread };
    read(&target, unread.clone()).ok().or(Some(unread))
}

fn read(target: &Path, file: Brought) -> io::Result<Brought> {
    let bytes = beginning(target)?;
    if bytes.len() > LOOKED {
        return Ok(file);
    }
    let (size, hash) = (bytes.len() as u64, hash(&bytes));
    if bytes.contains(&0) {
        return Ok(Brought { size, hash, ..file });
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
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
