//! The table of mounts: what lies below a tree that is shown whole, and, inside, whether bubblewrap has mounted what it
//! was to mount, at the places that were meant, and nothing else.
//!
//! Bubblewrap finds places by their names. A command that still runs may have put a link there at the right moment,
//! or something else; whoever comes then is not started.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, StatVfsMountFlags, StatxAttributes, StatxFlags, fstat, fstatvfs, statx};

use super::super::place::{at, open_plain};

/// Something that must lie over a place, so that commands don't change or see what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cover {
    pub(super) at: PathBuf,
    /// What is shown there: device and number.
    pub(super) shows: (u64, u64),
}

/// Places of all mounts that this process sees.
pub(super) fn places() -> io::Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo").map_err(|error| at("/proc/self/mountinfo", error))?;
    Ok(parse(&table))
}

fn parse(table: &[u8]) -> Vec<PathBuf> {
    let lines = table.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|place| PathBuf::from(unescaped(place)))
        .collect()
}

/// The kernel writes blanks and the like in octal.
fn unescaped(text: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let octal = (*byte == b'\\')
            .then(|| after.get(..3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(octal) => {
                bytes.push(octal);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
}

/// Checks that the covers are where they should be, and that nothing is mounted but at `known` places.
pub(super) fn check(covers: &[Cover], known: &[PathBuf]) -> io::Result<()> {
    // What bubblewrap covers of its own accord.
    let own = |place: &Path| {
        place.parent() == Some(Path::new("/dev"))
            || ["/", "/dev", "/proc", "/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"]
                .iter()
                .any(|own| place == Path::new(own))
    };
    if let Some(other) = places()?.iter().find(|place| !own(place) && !known.contains(place)) {
        return Err(moved(other.as_os_str()));
    }
    for cover in covers {
        let opened = open_plain(&cover.at)?;
        let stat = fstat(&opened)?;
        let attributes = statx(&opened, "", AtFlags::EMPTY_PATH, StatxFlags::empty())?.stx_attributes;
        let is_mounted = attributes.contains(StatxAttributes::MOUNT_ROOT);
        let is_closed = fstatvfs(&opened)?.f_flag.contains(StatVfsMountFlags::RDONLY);
        if !is_mounted || !is_closed || (stat.st_dev, stat.st_ino) != cover.shows {
            return Err(moved(cover.at.as_os_str()));
        }
    }
    Ok(())
}

fn moved(place: &OsStr) -> io::Error {
    io::Error::other(format!(
        "{} is not what it was a moment ago: something moves files there; try again",
        place.display()
    ))
}

impl Cover {
    /// As words for a letter.
    pub(super) fn to_words(covers: &[Self]) -> Vec<OsString> {
        covers
            .iter()
            .flat_map(|Self { at, shows: (device, number) }| {
                [at.clone().into_os_string(), device.to_string().into(), number.to_string().into()]
            })
            .collect()
    }

    /// Back from words.
    pub(super) fn from_words(words: &[OsString]) -> Option<Vec<Self>> {
        let number = |word: &OsString| word.to_str()?.parse().ok();
        words
            .chunks(3)
            .map(|words| match words {
                [at, device, of] => Some(Self { at: at.into(), shows: (number(device)?, number(of)?) }),
                _ => None,
            })
            .collect()
    }
}

/// The places of mounts below `from`, as they are below `to`.
pub(super) fn below<'a>(
    mounts: &'a [PathBuf],
    from: &'a Path,
    to: &'a Path,
) -> impl Iterator<Item = PathBuf> + 'a {
    mounts
        .iter()
        .filter_map(move |place| place.strip_prefix(from).ok())
        .filter(|rest| !rest.as_os_str().as_bytes().is_empty())
        .map(move |rest| to.join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read_with_any_name() {
        let table = b"21 1 0:19 / / rw,relatime shared:1 - ext4 /dev/root rw\n\
                      36 35 98:0 /m /a\\040b\\134c rw - tmpfs none rw\n";
        assert_eq!(parse(table), ["/", "/a b\\c"].map(PathBuf::from));
        assert_eq!(unescaped(b"x\\04"), "x\\04");
    }

    #[test]
    fn mounts_below_a_tree_are_where_the_tree_is() {
        let mounts = ["/", "/home", "/home/me/x", "/home/mex"].map(PathBuf::from);
        let found: Vec<PathBuf> = below(&mounts, Path::new("/home/me"), Path::new("/h")).collect();
        assert_eq!(found, [PathBuf::from("/h/x")]);
    }

    #[test]
    fn covers_survive_the_way_in_a_letter() {
        let covers =
            [Cover { at: "/a b".into(), shows: (7, u64::MAX) }, Cover { at: "/".into(), shows: (0, 1) }];
        assert_eq!(Cover::from_words(&Cover::to_words(&covers)), Some(covers.to_vec()));
    }

    #[test]
    fn a_place_that_nothing_is_mounted_on_is_no_cover() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let stat = rustix::fs::stat(place.path()).unwrap();
        let at = place.path().canonicalize().unwrap();
        let cover = Cover { at, shows: (stat.st_dev, stat.st_ino) };
        assert!(check(&[cover], &places().unwrap()).is_err());
        assert!(check(&[], &[]).is_err(), "other mounts are not expected");
        assert!(check(&[], &places().unwrap()).is_ok());
    }
}
