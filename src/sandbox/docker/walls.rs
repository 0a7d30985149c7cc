//! Whether a container is as it must be: looked at from inside, before anything of the user's is there.
//!
//! Engines leave out what they do not know, and what they say of a container is what they were told. What counts is
//! what the kernel shows to a process there. A container that lacks a wall is not used, and the wall is named.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    container::{Blueprint, FILE_SIZE, FILES, MASKED, Private},
    control::quoted,
    inside::Inside,
};
use crate::sandbox::SandboxError;

/// Bytes of what is said at most.
const MOST: u64 = 1 << 20;
/// Walls that are named at most.
const NAMED: usize = 4;
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
/// Devices that do no harm.
const DEVICES: &[&str] =
    &["console", "full", "null", "ptmx", "random", "tty", "urandom", "zero", "pts", "mqueue", "shm"];
/// Kinds of namespaces, with the number that the machine's own one has.
const NAMESPACES: &[(&str, u64)] =
    &[("ipc", 0xEFFF_FFFF), ("uts", 0xEFFF_FFFE), ("pid", 0xEFFF_FFFC), ("net", 0), ("mnt", 0)];

/// An error that names what is missing, if anything is.
pub(super) async fn stand(inside: &mut Inside, blueprint: &Blueprint) -> Result<(), SandboxError> {
    let mut text = Vec::new();
    let looked = inside.run(script(blueprint).as_bytes(), &mut text, MOST).await;
    let error = |why: String| SandboxError { message: why };
    let code = looked.map_err(|why| error(format!("the container does not answer: {why}")))?;
    let seen = Seen::parse(&String::from_utf8_lossy(&text));
    let mut gaps = seen.gaps(blueprint, &own_namespaces());
    if code != 0 || !seen.whole {
        gaps.insert(0, "it can't be seen what it is like".to_owned());
    }
    if gaps.is_empty() {
        return Ok(());
    }
    let more = gaps.len().saturating_sub(NAMED);
    gaps.truncate(NAMED);
    if more > 0 {
        gaps.push(format!("and {more} more"));
    }
    Err(error(format!(
        "the engine makes containers weaker than they must be, so that no command is run there: {}. Another engine or \
         version may do better (DOCKER_HOST says where it is), or use --backend local",
        gaps.join("; ")
    )))
}

/// Says all that is judged, with what every shell has.
fn script(blueprint: &Blueprint) -> String {
    let mut places = Vec::new();
    for private in ours(blueprint) {
        places.push(b' ');
        places.extend(quoted(private.path.as_os_str().as_encoded_bytes()));
    }
    let places = String::from_utf8_lossy(&places).into_owned();
    let hidden = MASKED.iter().chain(&["/run/secrets"]).copied().collect::<Vec<_>>().join(" ");
    format!(
        r#"show() {{
    echo "= $1"
    [ ! -r "$2" ] || while IFS= read -r line || [ -n "$line" ]; do printf '%s\n' "$line"; done <"$2"
}}
show status /proc/self/status
show limits /proc/self/limits
show mounts /proc/self/mountinfo
show routes /proc/net/route
show routes6 /proc/net/ipv6_route
show hosts /etc/hosts
show servers /etc/resolv.conf
show boot /proc/sys/kernel/random/boot_id
echo "= namespaces"
for kind in ipc uts pid net mnt; do echo $kind $(stat -L -c %i /proc/self/ns/$kind); done
echo "= devices"
find /dev ! -type d ! -type l
echo "= places"
for place in {places}; do cd -P -- "$place" && pwd -P || echo; done
echo "= shown"
for place in {hidden}; do
    if [ -d $place ]; then
        for file in $place/* $place/.[!.]*; do
            [ ! -e "$file" ] || {{ echo $place; break; }}
        done
    elif [ -r $place ] && IFS= read -r line <$place && [ -n "$line" ]; then
        echo $place
    fi
done
echo "= names"
export -p
echo "= end""#
    )
}

/// All directories in memory.
fn ours(blueprint: &Blueprint) -> Vec<Private> {
    blueprint.private().into_iter().chain([blueprint.copy()]).collect()
}

/// The namespaces of this process, where they mean something inside: on one machine.
fn own_namespaces() -> Own {
    let number = |kind: &str| fs::metadata(format!("/proc/self/ns/{kind}")).map_or(0, |meta| meta.ino());
    Own {
        boot: fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned(),
        namespaces: NAMESPACES.iter().map(|(kind, _)| ((*kind).to_owned(), number(kind))).collect(),
    }
}

struct Own {
    boot: String,
    namespaces: BTreeMap<String, u64>,
}

/// What was seen, by what it is of.
#[derive(Debug, Default)]
struct Seen {
    parts: BTreeMap<String, Vec<String>>,
    /// It was said to its end.
    whole: bool,
}

/// A place where something is mounted, as the kernel tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    path: PathBuf,
    options: String,
    kind: String,
    /// Of the file system.
    its: String,
}

impl Seen {
    fn parse(text: &str) -> Self {
        let mut seen = Self::default();
        let mut part = String::new();
        for line in text.lines() {
            match line.strip_prefix("= ") {
                Some("end") => seen.whole = true,
                Some(name) => part = name.to_owned(),
                None => seen.parts.entry(part.clone()).or_default().push(line.to_owned()),
            }
        }
        seen
    }

    fn lines(&self, part: &str) -> impl Iterator<Item = &str> {
        self.parts.get(part).into_iter().flatten().map(String::as_str)
    }

    /// Everything that is not as it must be, in words.
    fn gaps(&self, blueprint: &Blueprint, own: &Own) -> Vec<String> {
        let mut gaps = Vec::new();
        self.identity(blueprint, &mut gaps);
        self.limits(&mut gaps);
        self.mounts(blueprint, &mut gaps);
        for place in self.lines("shown") {
            gaps.push(format!("{place} is not hidden"));
        }
        for device in self.lines("devices") {
            let name = device.strip_prefix("/dev/").unwrap_or(device);
            let first = name.split('/').next().unwrap_or_default();
            if !DEVICES.contains(&first) {
                gaps.push(format!("there is a device {device}"));
            }
        }
        self.network(&mut gaps);
        self.namespaces(own, &mut gaps);
        let proxy = |line: &&str| line.to_ascii_lowercase().contains("_proxy=");
        if self.lines("names").any(|line| proxy(&line)) {
            gaps.push("it has the proxy of the engine's machine in its variables".to_owned());
        }
        gaps
    }

    fn identity(&self, blueprint: &Blueprint, gaps: &mut Vec<String>) {
        let of = |name: &str| {
            let mut lines = self.lines("status");
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map_or("", str::trim)
        };
        let (user, group) = blueprint.owner;
        for (name, wanted) in [("Uid", user), ("Gid", group)] {
            let found = of(name);
            if found.is_empty() || found.split_whitespace().any(|found| found != wanted.to_string()) {
                gaps.push(format!("a command that should be {name} {wanted} is {found}"));
            }
        }
        if of("Groups").split_whitespace().any(|group| group == "0") {
            gaps.push("commands belong to the group of root".to_owned());
        }
        for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let found = of(name);
            if found.is_empty() || found.chars().any(|digit| digit != '0') {
                gaps.push(format!("commands have capabilities ({name} {found})"));
            }
        }
        if of("NoNewPrivs") != "1" {
            gaps.push("programs may give more rights (no-new-privileges is not set)".to_owned());
        }
        if of("Seccomp") != "2" {
            gaps.push("there are no rules for system calls (seccomp)".to_owned());
        }
    }

    fn limits(&self, gaps: &mut Vec<String>) {
        for (name, most) in
            [("Max open files", FILES), ("Max core file size", 1), ("Max file size", FILE_SIZE)]
        {
            let line = self.lines("limits").find_map(|line| line.strip_prefix(name));
            let hard = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("nothing");
            if !hard.parse().is_ok_and(|found: i64| found <= most) {
                gaps.push(format!("{} is {hard}, and not {most} at most", name.to_lowercase()));
            }
        }
    }

    /// What is mounted and not covered by something later.
    fn visible(&self) -> Vec<Mount> {
        let all: Vec<Mount> = self.lines("mounts").filter_map(Mount::parse).collect();
        let covered = |at: usize, mount: &Mount| {
            all.iter().skip(at + 1).any(|later| mount.path.starts_with(&later.path))
        };
        all.iter()
            .enumerate()
            .filter(|(at, mount)| !covered(*at, mount))
            .map(|(_, mount)| mount.clone())
            .collect()
    }

    fn mounts(&self, blueprint: &Blueprint, gaps: &mut Vec<String>) {
        let visible = self.visible();
        let mut ours = self::ours(blueprint);
        // An image may have links to one place at another.
        for (private, place) in ours.iter_mut().zip(self.lines("places")) {
            private.path = place.into();
        }
        for (private, meant) in ours.iter().zip(self::ours(blueprint)) {
            let path = meant.path.display();
            match visible.iter().find(|mount| mount.path == private.path) {
                None => gaps.push(format!("{path} is no directory in memory")),
                Some(mount) => gaps.extend(mount.lacks(private).map(|what| format!("{path} {what}"))),
            }
        }
        for mount in &visible {
            if ours.iter().any(|private| private.path == mount.path) || mount.is_harmless() {
                continue;
            }
            let path = mount.path.display();
            gaps.push(if mount.path == Path::new("/") {
                "the files of the image can be written".to_owned()
            } else {
                format!("something of the engine's machine is mounted at {path} ({})", mount.kind)
            });
        }
    }

    fn network(&self, gaps: &mut Vec<String>) {
        let out = self.lines("routes").skip(1).any(|line| !line.starts_with("lo"));
        let out6 = self.lines("routes6").any(|line| line.split_whitespace().last() != Some("lo"));
        if out || out6 {
            gaps.push("it has a network".to_owned());
        }
        let near =
            |address: &str| ["127.", "::1", "fe00::", "ff0"].iter().any(|near| address.starts_with(near));
        let words = |line: &str| line.split('#').next().unwrap_or_default().to_owned();
        let foreign =
            |line: &str| words(line).split_whitespace().next().is_some_and(|address| !near(address));
        if self.lines("hosts").any(foreign) {
            gaps.push("/etc/hosts tells of other machines".to_owned());
        }
        let server = |line: &str| {
            let line = words(line);
            let mut words = line.split_whitespace();
            words.next() == Some("nameserver") && !words.next().is_some_and(near)
        };
        if self.lines("servers").any(server) {
            gaps.push("/etc/resolv.conf tells of other machines".to_owned());
        }
    }

    fn namespaces(&self, own: &Own, gaps: &mut Vec<String>) {
        let here = self.lines("boot").next() == Some(own.boot.as_str());
        for (kind, first) in NAMESPACES {
            let found =
                self.lines("namespaces").find_map(|line| line.strip_prefix(kind)?.trim().parse().ok());
            let shared = match found {
                None => true,
                Some(number) => number == *first || (here && own.namespaces.get(*kind) == Some(&number)),
            };
            if shared {
                gaps.push(format!("it shares a namespace with its machine ({kind})"));
            }
        }
    }
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
    fn lacks(&self, private: &Private) -> impl Iterator<Item = String> {
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
        if !size.is_some_and(|size| size <= private.size + (64 << 10)) {
            lacks.push(format!("may grow to more than {} bytes", private.size));
        }
        lacks.into_iter()
    }

    /// Whether nothing can be changed through it, nor anything seen that is of the machine.
    fn is_harmless(&self) -> bool {
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
            || (file && (self.has("ro") || self.kind == "tmpfs"))
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
