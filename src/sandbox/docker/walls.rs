//! Whether a container is as it must be: looked at from inside, before anything of the user's is there.
//!
//! Engines leave out what they do not know, and what they say of a container is what they were told. What counts is
//! what the kernel shows to a process there. A container that lacks a wall is not used, and the wall is named.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::Path};

use super::{
    container::{Blueprint, FILE_SIZE, FILES, MASKED, Private},
    control::quoted,
    engine::Engine,
    inside::Inside,
    mount, trial,
};
use crate::sandbox::SandboxError;

/// Bytes of what is said at most.
const MOST: u64 = 1 << 20;
/// Walls that are named at most.
const NAMED: usize = 4;
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
    let mut gaps = if code == 0 && seen.whole {
        seen.gaps(blueprint, &own_namespaces())
    } else {
        vec!["what the kernel shows there can't be seen, or the workspace is not there".to_owned()]
    };
    // What lacks a wall that can be seen is not tried: it may lack what that takes.
    if gaps.is_empty() && blueprint.engine == Engine::Podman {
        let tried = trial::gaps(inside, blueprint).await;
        gaps.extend(tried.map_err(|why| error(format!("the container can't be tried: {why}")))?);
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
        for place in self.lines("shown") {
            gaps.push(format!("{place} is not hidden"));
        }
        self.mounts(blueprint, &mut gaps);
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

    fn mounts(&self, blueprint: &Blueprint, gaps: &mut Vec<String>) {
        let visible = mount::visible(self.lines("mounts"));
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn blueprint() -> Blueprint {
        Blueprint {
            engine: Engine::Docker,
            scratch: "/state".into(),
            image: "sha256:1".into(),
            labels: HashMap::new(),
            workspace: "/home/me/project".into(),
            home: "/home/me".into(),
            owner: (1000, 1000),
            runner: (1000, 1000),
            memory: 4 << 30,
            seccomp: "{}".into(),
            keep: false,
            shown: Vec::new(),
        }
    }

    fn own() -> Own {
        let numbers = [("ipc", 11), ("uts", 12), ("pid", 13), ("net", 14), ("mnt", 15)];
        Own {
            boot: "this-machine".into(),
            namespaces: numbers.map(|(kind, number)| (kind.to_owned(), number)).into(),
        }
    }

    /// A container that is as it must be, as the kernel tells of it.
    fn good() -> String {
        let tmpfs = |path: &str, size: &str| {
            format!("9 1 0:9 / {path} rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size={size}\n")
        };
        let private = [
            tmpfs("/tmp", "1048576k"),
            tmpfs("/var/tmp", "1048576k"),
            tmpfs("/home/me", "1048576k"),
            tmpfs("/.agent", "1024k"),
            tmpfs("/dev/shm", "65536k"),
            tmpfs("/home/me/project", "2097152k"),
        ]
        .concat();
        format!(
            "= status\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t1000 \n\
             CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
             CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n\
             = limits\nMax open files            8192                 8192                 files\n\
             Max core file size        1                    1                    bytes\n\
             Max file size             17179869184          17179869184          bytes\n\
             = mounts\n1 0 0:1 / / ro,relatime - overlay overlay rw\n\
             2 1 0:2 / /proc rw,nosuid,nodev,noexec - proc proc rw\n\
             3 2 0:2 /sys /proc/sys ro,nosuid - proc proc rw\n\
             4 2 0:4 / /proc/acpi ro - tmpfs tmpfs ro\n\
             4 2 0:4 /null /proc/kallsyms rw,nosuid,noexec - tmpfs tmpfs rw,size=65536k\n\
             5 1 0:5 / /dev rw,nosuid,noexec - tmpfs tmpfs rw,size=65536k\n\
             6 5 0:6 / /dev/pts rw,nosuid,noexec - devpts devpts rw\n\
             7 1 0:7 / /sys ro,nosuid - sysfs sysfs ro\n8 7 0:8 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n\
             9 1 0:9 / /sys ro - tmpfs tmpfs ro\n\
             10 1 8:1 /var/lib/x/hosts /etc/hosts ro,relatime - ext4 /dev/sda1 rw\n{private}\
             = routes\nIface\tDestination\tGateway\n= routes6\n\
             00000000000000000000000000000001 80 0 00 0 0 00000000 00000002 00000000 80200001       lo\n\
             = hosts\n127.0.0.1\tlocalhost agent\n::1 ip6-localhost # here\nff02::1 ip6-allnodes\n\
             = servers\nnameserver 127.0.0.1\nsearch .\n= boot\nthis-machine\n\
             = namespaces\nipc 21\nuts 22\npid 23\nnet 24\nmnt 25\n\
             = devices\n/dev/null\n/dev/pts/0\n/dev/pts/ptmx\n/dev/tty\n\
             = places\n/tmp\n/var/tmp\n/home/me\n/.agent\n/dev/shm\n/home/me/project\n\
             = shown\n= names\nexport PATH='/bin'\n= end\n"
        )
    }

    fn gaps(text: &str) -> Vec<String> {
        Seen::parse(text).gaps(&blueprint(), &own())
    }

    #[test]
    fn a_container_that_is_as_it_must_be_has_no_gap() {
        assert_eq!(gaps(&good()), [] as [&str; 0]);
        assert!(Seen::parse(&good()).whole);
        // An image in which one place is a link to another.
        let linked = good()
            .replace("= places\n/tmp\n/var/tmp", "= places\n/tmp\n/tmp")
            .replace(" /var/tmp rw", " /tmp rw");
        assert_eq!(gaps(&linked), [] as [&str; 0]);
    }

    #[test]
    fn each_wall_that_is_missing_is_named() {
        for (was, is, words) in [
            ("Uid:\t1000\t1000", "Uid:\t0\t0", "should be Uid 1000 is 0"),
            ("Groups:\t1000 ", "Groups:\t0 1000 ", "group of root"),
            ("CapBnd:\t0000000000000000", "CapBnd:\t00000000a80425fb", "CapBnd 00000000a80425fb"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "no-new-privileges"),
            ("Seccomp:\t2", "Seccomp:\t0", "seccomp"),
            ("8192                 8192 ", "8192                 1048576 ", "max open files is 1048576"),
            ("Max core file size        1                    1 ", "", "max core file size is nothing"),
            (" / / ro,relatime", " / / rw,relatime", "files of the image can be written"),
            ("3 2 0:2 /sys /proc/sys ro", "3 2 0:2 /sys /proc/sys rw", "mounted at /proc/sys (proc)"),
            ("9 1 0:9 / /sys ro - tmpfs tmpfs ro\n", "", "mounted at /sys (sysfs)"),
            ("/etc/hosts ro", "/etc/hosts rw", "mounted at /etc/hosts (ext4)"),
            (" /etc/hosts ro", " /srv/data ro", "mounted at /srv/data (ext4)"),
            ("/tmp rw,nosuid,nodev", "/tmp rw,nosuid", "/tmp is mounted without nodev"),
            (
                "/home/me/project rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=2097152k",
                "/home/me/project rw,nosuid,nodev,relatime - tmpfs tmpfs rw",
                "/home/me/project may grow",
            ),
            (
                "/dev/shm rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=65536k",
                "/x ro - tmpfs tmpfs rw",
                "/dev/shm is no directory in memory",
            ),
            (
                "/home/me rw,nosuid,nodev,relatime - tmpfs tmpfs",
                "/home/me rw,nosuid,nodev,relatime - ext4 /dev/sda1",
                "/home/me is no directory in memory but ext4",
            ),
            ("Gateway\n", "Gateway\neth0\t00000000\t010011AC\n", "it has a network"),
            ("80200001       lo", "80200001     eth0", "it has a network"),
            ("127.0.0.1\tlocalhost", "10.0.0.5\tdatabase", "/etc/hosts tells of"),
            ("nameserver 127.0.0.1", "nameserver 192.168.1.1", "/etc/resolv.conf tells of"),
            ("pid 23", "pid 13", "shares a namespace with its machine (pid)"),
            ("ipc 21", "ipc 4026531839", "shares a namespace with its machine (ipc)"),
            ("net 24\n", "", "shares a namespace with its machine (net)"),
            ("/dev/tty\n", "/dev/tty\n/dev/sda\n", "there is a device /dev/sda"),
            ("= shown\n", "= shown\n/proc/kallsyms\n", "/proc/kallsyms is not hidden"),
            ("PATH='/bin'\n", "PATH='/bin'\nexport https_proxy='http://me:secret@proxy'\n", "proxy"),
        ] {
            assert!(good().contains(was), "{was}");
            let found = gaps(&good().replacen(was, is, 1));
            let named = found.iter().any(|gap| gap.contains(words));
            assert!(named, "{was} -> {is}: {found:?}");
        }
        // The numbers of another machine's namespaces say nothing.
        let far = good().replace("this-machine", "another").replace("pid 23", "pid 13");
        assert_eq!(gaps(&far), [] as [&str; 0]);
        assert!(gaps("").len() > 10);
    }
}
