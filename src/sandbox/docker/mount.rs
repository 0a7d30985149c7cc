//! What is mounted in a container, as the kernel tells of it there, and whether it may be.

use std::path::{Path, PathBuf};

use super::container::Private;

/// Files that engines lay over those of an image.
const THEIRS: &[&str] = &[
    "/.dockerenv",
    "/dev/init",
    "/etc/group",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/run/.containerenv",
    "/run/podman-init",
    "/run/secrets",
    "/sbin/docker-init",
];

/// A place where something is mounted, as the kernel tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) path: PathBuf,
    options: String,
    pub(super) kind: String,
    /// Of the file system.
    its: String,
}

/// What is mounted and not covered by something later, from the lines of `mountinfo`.
pub(super) fn visible<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<Mount> {
    let all: Vec<Mount> = lines.filter_map(Mount::parse).collect();
    let covered =
        |at: usize, mount: &Mount| all.iter().skip(at + 1).any(|later| mount.path.starts_with(&later.path));
    all.iter()
        .enumerate()
        .filter(|(at, mount)| !covered(*at, mount))
        .map(|(_, mount)| mount.clone())
        .collect()
}

impl Mount {
    /// From a line of `mountinfo`.
    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(4);
        let (path, options) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let (kind, _source, its) = (right.next()?, right.next()?, right.next()?);
        let [options, kind, its] = [options, kind, its].map(str::to_owned);
        Some(Self { path: unescaped(path).into(), options, kind, its })
    }

    fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|found| found == option)
    }

    /// What a directory in memory lacks, in words.
    pub(super) fn lacks(&self, private: &Private) -> impl Iterator<Item = String> {
        let mut lacks = Vec::new();
        if self.kind != "tmpfs" {
            lacks.push(format!("is no directory in memory but {}", self.kind));
        }
        for option in ["nosuid", "nodev"] {
            if !self.has(option) {
                lacks.push(format!("is mounted without {option}"));
            }
        }
        let size = self.its.split(',').find_map(|option| option.strip_prefix("size=")).and_then(bytes);
        // In whole pages, of any size.
        if size.is_none_or(|size| size > private.size + (64 << 10)) {
            lacks.push(format!("may grow to more than {} bytes", private.size));
        }
        lacks.into_iter()
    }

    /// Whether nothing can be changed through it, nor anything seen that is of the machine.
    pub(super) fn is_harmless(&self) -> bool {
        let path = &self.path;
        let file = THEIRS.iter().any(|theirs| path == Path::new(theirs));
        let kernel = match self.kind.as_str() {
            "proc" => path == Path::new("/proc") || (path.starts_with("/proc") && self.has("ro")),
            "devpts" | "mqueue" => path.starts_with("/dev"),
            // What is hidden is hidden by these; whether it is, is looked at apart.
            "tmpfs" | "devtmpfs" => {
                path.starts_with("/proc")
                    || path.starts_with("/sys")
                    || path == Path::new("/dev")
                    || path.parent() == Some(Path::new("/dev"))
            }
            _ => false,
        };
        kernel
            || (file && (self.has("ro") || ["tmpfs", "devtmpfs"].contains(&self.kind.as_str())))
            || (path == Path::new("/") && self.has("ro"))
    }
}

/// A size as the kernel writes it.
fn bytes(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: i64 = digits.parse().ok()?;
    match text.get(digits.len()..)? {
        "" => Some(number),
        "k" => number.checked_mul(1 << 10),
        "m" => number.checked_mul(1 << 20),
        "g" => number.checked_mul(1 << 30),
        _ => None,
    }
}

/// A path as `mountinfo` has it: blanks and the like as three digits behind a backslash.
fn unescaped(path: &str) -> String {
    let mut parts = path.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                text.push(char::from(byte));
                text.push_str(part.get(3..).unwrap_or_default());
            }
            None => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beneath_a_later_mount_is_not_seen() {
        let lines = [
            "1 0 0:1 / / ro - overlay overlay rw",
            "2 1 0:2 / /sys ro - sysfs sysfs rw",
            "3 2 0:3 / /sys/fs/cgroup ro shared:1 master:2 - cgroup2 cgroup rw",
            "4 1 0:4 / /sys ro - tmpfs tmpfs ro",
            r"5 1 0:5 / /a\040b\134c ro - tmpfs tmpfs rw,size=1m",
            "not a line",
        ];
        let seen: Vec<(PathBuf, String)> =
            visible(lines.into_iter()).into_iter().map(|mount| (mount.path, mount.kind)).collect();
        let of = |path: &str, kind: &str| (PathBuf::from(path), kind.to_owned());
        assert_eq!(seen, [of("/", "overlay"), of("/sys", "tmpfs"), of(r"/a b\c", "tmpfs")]);
    }

    #[test]
    fn sizes_are_read_as_the_kernel_writes_them() {
        for (text, size) in [
            ("12", Some(12)),
            ("64k", Some(65_536)),
            ("2m", Some(2 << 20)),
            ("3g", Some(3 << 30)),
            ("50%", None),
            ("", None),
        ] {
            assert_eq!(bytes(text), size, "{text}");
        }
    }
}
