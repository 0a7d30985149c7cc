//! Whether what a repository brings along is read: instructions, settings, commands, skills.
//!
//! A person decides once, having seen the files, and the decision holds for these files with these contents: when
//! one changes or another one comes, it is asked again. The person's own settings (`[projects."…"] trusted`) go
//! before it, and are about everything in the directory, whatever it becomes.

mod scan;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Project, project_root};

pub use scan::{Brought, Kind};

/// What may be read of the repository around a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    pub root: PathBuf,
    /// What a session would read, and the person's own settings say nothing about.
    pub files: Vec<Brought>,
    pub standing: Standing,
    /// What the settings say of directories.
    said: BTreeMap<PathBuf, bool>,
    /// The files of the last decision, by their path below the root.
    before: BTreeMap<String, String>,
}

/// How far it has been decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// There is nothing to decide about.
    #[default]
    Nothing,
    /// These files were seen, and may be read.
    Accepted,
    /// These files were seen, and are left alone.
    Refused,
    /// Nobody has seen these files.
    Open,
}

/// What is to be done with one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Read,
    Leave,
    /// Nobody was asked about it as it is now.
    Unasked,
}

/// What has become of a file since the last decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Added,
    Changed,
}

/// The decisions, as they are kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    projects: BTreeMap<PathBuf, Decision>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Decision {
    trusted: bool,
    /// Hashes of the files, by their path below the root.
    files: BTreeMap<String, String>,
}

impl Trust {
    /// Looks at the repository around `cwd`, and at what was decided about it.
    pub(super) fn find(file: &Path, cwd: &Path, projects: &BTreeMap<PathBuf, Project>) -> Self {
        // A directory that is gone has nothing.
        let cwd = fs::canonicalize(cwd).unwrap_or_else(|_| cwd.to_owned());
        let root = project_root(&cwd).to_owned();
        let said = projects
            .iter()
            .filter_map(|(dir, project)| {
                Some((fs::canonicalize(dir).unwrap_or_else(|_| dir.clone()), project.trusted?))
            })
            .collect();
        let mut trust = Self { root, said, ..Self::default() };
        let files = scan::scan(&trust.root, &cwd, |path| trust.said(path).is_some());
        let before = read(file).projects.remove(&trust.root);
        let hashes = trust.hashes(&files);
        trust.standing = match &before {
            _ if files.is_empty() => Standing::Nothing,
            Some(decision) if decision.covers(&hashes) && decision.trusted => Standing::Accepted,
            Some(decision) if decision.covers(&hashes) => Standing::Refused,
            _ => Standing::Open,
        };
        trust.files = files;
        trust.before = before.map(|decision| decision.files).unwrap_or_default();
        trust
    }

    /// Whether a file of the repository may be read with this content.
    #[must_use]
    pub fn verdict(&self, path: &Path, content: &[u8]) -> Verdict {
        match (self.said(path), self.standing) {
            (Some(true), _) => Verdict::Read,
            (Some(false), _) | (None, Standing::Refused) => Verdict::Leave,
            (None, Standing::Accepted) => {
                let hash = scan::hash(content);
                let same = |file: &Brought| file.path == path && file.hash == hash;
                if self.files.iter().any(same) { Verdict::Read } else { Verdict::Unasked }
            }
            (None, Standing::Nothing | Standing::Open) => Verdict::Unasked,
        }
    }

    /// What the settings say of a file, by the nearest directory above it within the repository.
    pub(super) fn said(&self, path: &Path) -> Option<bool> {
        let above = path.ancestors().skip(1).take_while(|above| above.starts_with(&self.root));
        above.filter_map(|dir| self.said.get(dir)).next().copied()
    }

    /// What has become of a file since the last decision, if there was one.
    #[must_use]
    pub fn change(&self, file: &Brought) -> Option<Change> {
        if self.before.is_empty() {
            return None;
        }
        match self.before.get(&self.name(&file.path)) {
            None => Some(Change::Added),
            Some(hash) if *hash != file.hash => Some(Change::Changed),
            Some(_) => None,
        }
    }

    /// The name of a file below the root.
    #[must_use]
    pub fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// Keeps what a person decided about these files.
    ///
    /// # Errors
    /// When it can't be kept.
    pub fn decide(&self, file: &Path, trusted: bool) -> io::Result<()> {
        let mut kept = read(file);
        kept.projects.insert(self.root.clone(), Decision { trusted, files: self.hashes(&self.files) });
        let folder = file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut new, &kept)?;
        new.write_all(b"\n")?;
        new.persist(file)?;
        Ok(())
    }

    fn hashes(&self, files: &[Brought]) -> BTreeMap<String, String> {
        files.iter().map(|file| (self.name(&file.path), file.hash.clone())).collect()
    }
}

impl Decision {
    /// Whether it was about these files. Fewer are no news.
    fn covers(&self, hashes: &BTreeMap<String, String>) -> bool {
        hashes.iter().all(|(name, hash)| self.files.get(name) == Some(hash))
    }
}

/// Decisions that can't be read are asked for again.
fn read(file: &Path) -> Kept {
    fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
