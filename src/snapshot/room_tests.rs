//! No room on the disk, and disks that can't be written: on small file systems of their own, which only the system's
//! administrator can make.

use std::{
    ffi::CString,
    fs,
    path::{Path, PathBuf},
};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use super::{Limits, Settings, SnapshotError, Snapshots, Which, testing::look};

/// A small file system, for as long as this lives.
pub(super) struct Small(pub(super) PathBuf);

impl Small {
    #[expect(clippy::print_stderr, reason = "tests say what they could not test")]
    pub(super) fn new(path: PathBuf, kilobytes: u32) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let options = CString::new(format!("size={kilobytes}k")).unwrap();
        match mount("tmpfs", &path, "tmpfs", MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                eprintln!("SKIPPED: a small file system can't be mounted here: {error}");
                None
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

fn open(folder: &Path) -> Snapshots {
    let settings = Settings {
        folder: folder.join("data/snapshots"),
        workspace: folder.join("work"),
        own: Vec::new(),
        limits: Limits::default(),
        remote: None,
    };
    Snapshots::open(settings).unwrap()
}

/// Bytes that nothing makes smaller.
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

#[test]
fn a_store_without_room_keeps_what_it_has_and_goes_on_when_there_is_some() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_small) = Small::new(folder.path().join("data"), 1024) else { return };
    let file = folder.path().join("work/file");
    fs::create_dir(folder.path().join("work")).unwrap();
    fs::write(&file, "small").unwrap();
    let snapshots = open(folder.path());
    let first = (look(&folder.path().join("work")), snapshots.take().unwrap());
    fs::write(&file, noise(1, 3 << 20)).unwrap();
    let error = snapshots.take().unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
    fs::write(&file, noise(2, 300 << 10)).unwrap();
    let now = snapshots.take().expect("what did not fit takes no room");
    let plan = snapshots.plan(&now.id, &first.1.id, &[]).unwrap();
    snapshots.restore(&plan, Which::All).unwrap();
    assert_eq!(look(&folder.path().join("work")), first.0);
}

#[test]
fn a_workspace_without_room_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let Some(_small) = Small::new(work.clone(), 1024) else { return };
    let snapshots = open(folder.path());
    fs::write(work.join("large"), noise(1, 700 << 10)).unwrap();
    fs::write(work.join("small"), "before").unwrap();
    let before = snapshots.take().unwrap();
    fs::write(work.join("large"), noise(2, 600 << 10)).unwrap();
    fs::write(work.join("small"), "after").unwrap();
    let now = (look(&work), snapshots.take().unwrap());
    let plan = snapshots.plan(&now.1.id, &before.id, &[]).unwrap();
    let error = snapshots.restore(&plan, Which::All).unwrap_err();
    assert!(matches!(error, SnapshotError::Write(_)), "{error}");
    let mut after = look(&work);
    // Something was made there, and is gone again.
    after.files.insert(PathBuf::new(), now.0.files[Path::new("")].clone());
    assert_eq!(after, now.0);
    assert!(snapshots.recover().unwrap().is_none());
}

#[test]
fn a_store_that_can_t_be_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let Some(small) = Small::new(folder.path().join("data"), 1024) else { return };
    fs::create_dir(folder.path().join("work")).unwrap();
    fs::write(folder.path().join("work/file"), "1").unwrap();
    let snapshots = open(folder.path());
    let taken = snapshots.take().unwrap();
    mount_remount(&small.0, MountFlags::RDONLY, c"").unwrap();
    let error = snapshots.take().unwrap_err();
    assert!(error.to_string().contains("Read-only"), "{error}");
    assert!(snapshots.plan(&taken.id, &taken.id, &[]).is_ok(), "what is there can be read");
}
