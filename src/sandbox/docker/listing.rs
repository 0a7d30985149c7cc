//! The files of the workspace as tools inside list them.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
};

use super::manifest::Inside;

/// Lists the workspace: first the time, then a line for each file. Names with line breaks are counted, and not listed.
pub(super) const ALL: &str = "date +%s.%N\n\
    find . -name '*\n*' -prune -o -exec stat -c '%f %s %.9Z %i %n' {} +\n\
    echo odd $(find . -name '*\n*' -prune -exec echo . \\; | wc -l)";

/// Coarse clocks stand still for so long, in nanoseconds: what was changed just before it was listed may be changed
/// again and look the same.
const TICK: i64 = 20_000_000;

/// What was listed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) files: BTreeMap<PathBuf, Inside>,
    /// Those that were changed so recently that the next look must read them.
    pub(super) fresh: Vec<PathBuf>,
    /// Names that can't be listed.
    pub(super) odd: usize,
}

impl Listing {
    /// From what the script printed. Lines that make no sense are left out: they come from odd names.
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut lines = text.split(|byte| *byte == b'\n');
        let now = lines.next().and_then(|line| time(std::str::from_utf8(line).ok()?));
        let mut listing = Self::default();
        for line in lines {
            if let Some(count) = line.strip_prefix(b"odd ") {
                listing.odd =
                    std::str::from_utf8(count).ok().and_then(|n| n.trim().parse().ok()).unwrap_or(0);
                continue;
            }
            let Some((path, look)) = entry(line) else { continue };
            if now.is_none_or(|now| is_fresh(look.changed, now)) {
                listing.fresh.push(path.clone());
            }
            listing.files.insert(path, look);
        }
        listing
    }
}

fn entry(line: &[u8]) -> Option<(PathBuf, Inside)> {
    let mut words = line.splitn(5, |byte| *byte == b' ');
    let mut word = || std::str::from_utf8(words.next()?).ok();
    let mode = u32::from_str_radix(word()?, 16).ok()?;
    let size = word()?.parse().ok()?;
    let changed = time(word()?)?;
    let file = word()?.parse().ok()?;
    let path = relative(Path::new(OsStr::from_bytes(words.next()?)))?;
    Some((path, Inside { mode, size, file, changed }))
}

/// A path below the workspace, if it is one: nothing that leads out, and not the workspace itself.
pub(super) fn relative(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => plain.push(name),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!plain.as_os_str().is_empty()).then_some(plain)
}

/// Seconds, and nanoseconds if they are told.
fn time(text: &str) -> Option<(i64, Option<i64>)> {
    match text.split_once('.') {
        Some((seconds, nanos)) => Some((seconds.parse().ok()?, nanos.parse().ok())),
        None => Some((text.parse().ok()?, None)),
    }
}

fn is_fresh(changed: (i64, Option<i64>), now: (i64, Option<i64>)) -> bool {
    match (changed, now) {
        ((seconds, Some(nanos)), (now, Some(now_nanos))) => {
            (now - seconds).saturating_mul(1_000_000_000) + (now_nanos - nanos) < TICK
        }
        ((seconds, _), (now, _)) => seconds >= now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read_and_what_leads_out_is_not() {
        let text = b"1700000000.500000000\n\
            41ed 4096 1700000000.499000000 1 .\n\
            81a4 12 1700000000.100000000 7 ./a b/c\n\
            81a4 12 1700000000.490000000 8 ./fresh\n\
            81a4 12 1700000000.1 9 ./../../etc/passwd\n\
            81a4 12 1700000000.1 9 /etc/passwd\n\
            nonsense\n\
            odd  2\n";
        let listing = Listing::parse(text);
        let look =
            |file, nanos| Inside { mode: 0o100_644, size: 12, file, changed: (1_700_000_000, Some(nanos)) };
        assert_eq!(
            listing.files,
            [(PathBuf::from("a b/c"), look(7, 100_000_000)), ("fresh".into(), look(8, 490_000_000))].into()
        );
        assert_eq!((listing.fresh, listing.odd), (vec![PathBuf::from("fresh")], 2));
    }

    #[test]
    fn without_nanoseconds_a_whole_second_is_fresh() {
        let text = b"1700000001\n81a4 1 1700000000 1 ./old\n81a4 1 1700000001 1 ./new\n";
        assert_eq!(Listing::parse(text).fresh, [PathBuf::from("new")]);
    }
}
