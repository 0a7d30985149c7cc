//! Whether a file may have been changed since it was last read, for the price of asking for its metadata.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// What a file is known by. A file that is not there has one, too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp(Option<[i128; 5]>);

impl Stamp {
    /// Links are followed.
    #[must_use]
    pub fn of(file: &Path) -> Self {
        Self(fs::metadata(file).ok().map(|meta| {
            let nanos = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
            [
                nanos(meta.mtime(), meta.mtime_nsec()),
                nanos(meta.ctime(), meta.ctime_nsec()),
                meta.size().into(),
                meta.ino().into(),
                meta.dev().into(),
            ]
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_replaced_or_removed_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        assert_eq!(Stamp::of(&file), Stamp::default());
        fs::write(&file, "one").unwrap();
        let first = Stamp::of(&file);
        assert_eq!(Stamp::of(&file), first);
        fs::write(folder.path().join("new"), "two").unwrap();
        fs::rename(folder.path().join("new"), &file).unwrap();
        let second = Stamp::of(&file);
        assert_ne!(first, second);
        fs::write(&file, "three").unwrap();
        assert_ne!(Stamp::of(&file), second);
        fs::remove_file(&file).unwrap();
        assert_eq!(Stamp::of(&file), Stamp::default());
    }
}
