//! What was being written when the program ended, kept per workspace until it is sent.
//!
//! A file belongs to the process that writes it, so that two of them in one workspace keep a draft each; one whose
//! process is gone is an orphan, and taken over.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    process,
};

/// A longer draft is not kept.
const MOST: usize = 4 << 20;

/// The draft of this process.
pub(super) struct Drafts {
    folder: PathBuf,
    /// What the names of this workspace's drafts begin with.
    workspace: String,
}

impl Drafts {
    pub(super) fn new(folder: PathBuf, workspace: &Path) -> Self {
        let hash = blake3::hash(workspace.as_os_str().as_encoded_bytes()).to_hex();
        Self { folder, workspace: hash.chars().take(16).collect() }
    }

    /// Takes over the newest draft of a process that is gone.
    pub(super) fn take(&self) -> Option<String> {
        let orphans = self.folder.read_dir().ok()?.flatten().filter_map(|entry| {
            let name = entry.file_name();
            let pid = name.to_str()?.strip_prefix(&self.workspace)?.strip_prefix('.')?.parse().ok()?;
            (!lives(pid)).then_some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        });
        let (_, newest) = orphans.max()?;
        fs::rename(newest, self.own()).ok()?;
        fs::read_to_string(self.own()).ok().filter(|text| !text.trim().is_empty())
    }

    /// Keeps a draft in the place of the one before; an empty one is none.
    pub(super) fn keep(&self, text: &str) -> io::Result<()> {
        if text.trim().is_empty() || text.len() > MOST {
            return match fs::remove_file(self.own()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                done => done,
            };
        }
        fs::create_dir_all(&self.folder)?;
        // Nobody else may read it, and there is always a whole one.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(self.own())?;
        Ok(())
    }

    fn own(&self) -> PathBuf {
        self.folder.join(format!("{}.{}", self.workspace, process::id()))
    }
}

/// Whether another process has this number. Our own is no other, whoever had it before.
fn lives(pid: i32) -> bool {
    if u32::try_from(pid) == Ok(process::id()) {
        return false;
    }
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return false };
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_whose_process_is_gone_is_taken_over_once() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("drafts");
        let drafts = Drafts::new(folder.clone(), Path::new("/w"));
        assert_eq!(drafts.take(), None);
        drafts.keep("first\nsecond").unwrap();
        let mut gone = process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let orphan = folder.join(format!("{}.{}", drafts.workspace, gone.id()));
        fs::rename(drafts.own(), &orphan).unwrap();
        // That of a process that lives, and that of another workspace.
        fs::write(folder.join(format!("{}.1", drafts.workspace)), "theirs").unwrap();
        assert_eq!(Drafts::new(folder.clone(), Path::new("/other")).take(), None);
        assert_eq!(drafts.take().as_deref(), Some("first\nsecond"));
        assert!(!orphan.exists() && drafts.own().exists(), "it is kept until it is sent");
        drafts.keep(" ").unwrap();
        drafts.keep("").unwrap();
        assert_eq!((drafts.take(), fs::read_dir(&folder).unwrap().count()), (None, 1));
    }
}
