//! Bringing objects out: loose ones are checked here, packs by git itself. None is ever taken away.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::fs::{AtFlags, chownat, fdatasync, syncfs};

use super::{
    super::Git,
    filter::{Kind, Verdict},
    object,
    outside::Outside,
    tree::{Entry, Tree},
};

/// So many files are made durable one by one; more of them together.
const ONE_BY_ONE: usize = 64;

/// Objects that commands made.
pub(super) struct Found {
    loose: Vec<PathBuf>,
    packs: Vec<PathBuf>,
}

impl Found {
    pub(super) fn of<'a>(changes: impl Iterator<Item = (&'a PathBuf, &'a Entry, Verdict)>) -> Self {
        let mut found = Self { loose: Vec::new(), packs: Vec::new() };
        for (path, _, verdict) in changes.filter(|(_, entry, _)| entry.kind == Kind::File) {
            match verdict {
                Verdict::Object => found.loose.push(path.clone()),
                Verdict::Pack => found.packs.push(path.clone()),
                _ => {}
            }
        }
        found
    }
}

/// The names of loose objects that are known to be outside.
pub(super) struct Brought(BTreeSet<String>);

/// Brings them into the real repository at `git`. Those that are refused are told of; those that can't be brought are
/// an error.
pub(super) fn bring(
    git: &Path,
    real: &Tree,
    layer: &Tree,
    found: &Found,
    settled: &mut BTreeSet<PathBuf>,
    refused: &mut BTreeSet<PathBuf>,
    said: &mut Vec<String>,
) -> io::Result<Brought> {
    let open = |paths: &[PathBuf]| -> Vec<PathBuf> {
        paths.iter().filter(|path| !settled.contains(*path) && !refused.contains(*path)).cloned().collect()
    };
    let (loose, packs) = (open(&found.loose), open(&found.packs));
    let mut bad = Vec::new();
    if !loose.is_empty() {
        let outside = Outside::begin(real)?;
        let mut made = 0;
        for path in loose {
            if real.stat(&path)?.is_none() {
                let Some(from) = layer.file(&path)? else { continue };
                let mut draft = outside.draft(0o444)?;
                if !object::copy(from, &mut draft.file, &id(&path))? {
                    bad.push(path);
                    continue;
                }
                made += 1;
                if made <= ONE_BY_ONE {
                    fdatasync(&draft.file)?;
                }
                draft.place(&path)?;
            }
            settled.insert(path);
        }
        if made > ONE_BY_ONE {
            syncfs(real.at(Path::new(""), rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())?)?;
        }
    }
    for path in packs {
        let Some(from) = layer.file(&path)? else { continue };
        if let Some(why) = pack(git, real, from)? {
            said.push(format!("{}: {why}", path.display()));
            bad.push(path);
        } else {
            settled.insert(path);
        }
    }
    if let Some(first) = bad.first() {
        said.push(format!(
            "{} of the objects that commands made in {} are not what their names say, and stay inside: {}",
            bad.len(),
            git.display(),
            first.display()
        ));
    }
    refused.extend(bad);
    Ok(Brought(settled.iter().map(|path| id(path)).collect()))
}

/// Whether what is read is the loose object that lies at `path`, below a `.git`.
///
/// # Errors
/// When it can't be read.
pub(in crate::sandbox) fn is_sound(path: &Path, content: impl io::Read) -> io::Result<bool> {
    object::copy(content, io::sink(), &id(path))
}

/// The name of a loose object, from where it lies.
fn id(path: &Path) -> String {
    path.iter().skip(1).filter_map(|part| part.to_str()).collect()
}

/// Has git read a pack, judge each object in it, and write it into the repository. Why not, if it is not sound.
///
/// # Errors
/// When git can't be run, or what it wrote can't be reached.
pub(in crate::sandbox) fn pack(git: &Path, real: &Tree, from: File) -> io::Result<Option<String>> {
    let Some(mut command) = at(git) else { return Ok(Some("git is not installed here to check it".into())) };
    let output = command.args(["index-pack", "--stdin"]).stdin(Stdio::from(from)).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Ok(Some(said.trim().lines().last().unwrap_or("git refused it").to_owned()));
    }
    let name = String::from_utf8_lossy(&output.stdout);
    if let (Some((user, group)), Some((_, id))) = (real.owner(), name.trim().split_once('\t')) {
        for end in ["pack", "idx", "rev"] {
            let path = PathBuf::from(format!("objects/pack/pack-{id}.{end}"));
            if real.stat(&path)?.is_some() {
                let (parent, name) = real.parent(&path)?;
                chownat(&parent, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
            }
        }
    }
    Ok(None)
}

/// Which of these objects the repository does not have.
pub(super) fn missing<'a>(
    git: &Path,
    real: &Tree,
    brought: &Brought,
    ids: impl Iterator<Item = &'a str>,
) -> io::Result<BTreeSet<String>> {
    let mut asked = BTreeSet::new();
    for id in ids.filter(|id| !brought.0.contains(*id)) {
        let Some((fan, rest)) = id.split_at_checked(2) else { continue };
        if real.stat(&Path::new("objects").join(fan).join(rest))?.is_none() {
            asked.insert(id.to_owned());
        }
    }
    if asked.is_empty() {
        return Ok(asked);
    }
    let Some(mut command) = at(git) else { return Ok(asked) };
    let mut child = command.args(["cat-file", "--batch-check"]).stdin(Stdio::piped()).spawn()?;
    let words: String = asked.iter().map(|id| format!("{id}\n")).collect();
    // Answers are short: both sides fit the pipes, or the question goes by a thread of its own.
    let writer =
        child.stdin.take().map(|mut stdin| std::thread::spawn(move || stdin.write_all(words.as_bytes())));
    let output = child.wait_with_output()?;
    // Of a git that ended early the answers are missing, and so are the objects then.
    let _ = writer.map(std::thread::JoinHandle::join);
    let answers = String::from_utf8_lossy(&output.stdout);
    for line in answers.lines() {
        if let Some((id, kind)) = line.split_once(' ')
            && !kind.starts_with("missing")
        {
            asked.remove(id);
        }
    }
    Ok(asked)
}

/// Git, for the repository at `git`.
fn at(git: &Path) -> Option<Command> {
    let folder = git.parent()?;
    let mut command = Git::find(folder)?.command(folder, &[]);
    command.arg("--git-dir").arg(git);
    Some(command)
}
