//! What the outer stage tells the inner one. It travels in memory: not among the arguments, which others on the machine
//! can read, and not in the environment, for bubblewrap gets none.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
};

use rustix::fs::{MemfdFlags, memfd_create};

/// Lists of words, none of which holds a zero byte.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Letter {
    pub(super) lists: Vec<Vec<OsString>>,
}

impl Letter {
    /// As a file that is handed on. It stays open in what is started next.
    pub(super) fn seal(&self) -> io::Result<OwnedFd> {
        let words = self.lists.iter().flat_map(|list| {
            std::iter::once(OsString::from(list.len().to_string())).chain(list.iter().cloned())
        });
        file("letter", words)
    }

    /// Reads one that was handed on.
    pub(super) fn open(letter: OwnedFd) -> io::Result<Self> {
        let mut bytes = Vec::new();
        File::from(letter).read_to_end(&mut bytes)?;
        Self::parse(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0);
        let mut lists = Vec::new();
        while let Some(count) = words.next() {
            let count: usize = std::str::from_utf8(count).ok()?.parse().ok()?;
            let list: Vec<OsString> =
                words.by_ref().take(count).map(|word| OsString::from_vec(word.to_vec())).collect();
            if list.len() != count {
                return None;
            }
            lists.push(list);
        }
        Some(Self { lists })
    }
}

/// A file in memory with these words, each ended by a zero byte: as bubblewrap takes its arguments, too.
pub(super) fn file(name: &str, words: impl Iterator<Item = OsString>) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(name, MemfdFlags::empty())?);
    let mut bytes = Vec::new();
    for word in words {
        bytes.extend_from_slice(word.as_bytes());
        bytes.push(0);
    }
    file.write_all(&bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// By what number a descriptor is known in what is started next.
pub(super) fn number(descriptor: &OwnedFd) -> OsString {
    descriptor.as_raw_fd().to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_arrives_with_empty_words_and_empty_lists() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        for lists in [vec![], vec![words(&[])], vec![words(&["", "a b"]), words(&[]), words(&["3", "\n"])]] {
            let letter = Letter { lists };
            assert_eq!(
                Letter::open(letter.seal().unwrap()).ok().filter(|_| !letter.lists.is_empty()),
                (!letter.lists.is_empty()).then_some(letter)
            );
        }
        assert_eq!(Letter::parse(b"2\0a\0"), None);
        assert_eq!(Letter::parse(b"x\0"), None);
    }
}
