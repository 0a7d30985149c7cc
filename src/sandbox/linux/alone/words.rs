//! What holds without namespaces and what does not, in words: for the person, for the model, and for `doctor`.

use std::path::Path;

use super::{
    super::{limits, mounts, plan::Plan},
    hold::SIGNALS,
    written,
};
use crate::{
    protocol::SandboxMode,
    sandbox::{Article, Layer, Settings},
};

/// What is said of every session.
const WEAKER: &str = "this machine allows no namespaces (as in most containers), so that commands are held by Landlock \
                      and seccomp alone";

/// What a command that may write the workspace could do to it.
const WORKSPACE: &str =
    "the .git of the workspace, its secrets and what other programs obey there are open to it";

/// What a person is told at first.
pub(in super::super) fn notice() -> String {
    format!(
        "{WEAKER}: in read-only mode they run unasked; a command that may change the workspace is asked for each time, for \
         {WORKSPACE}. agent sandbox explain says what else does not hold"
    )
}

/// Why somebody is asked before a command.
pub(in super::super) fn question() -> String {
    format!("this machine allows no namespaces, and without them {WORKSPACE}")
}

/// In one line.
pub(in super::super) fn describe(
    mode: SandboxMode,
    landlock: u32,
    grouped: bool,
    wants_network: bool,
) -> String {
    let (writes, git) = match mode {
        SandboxMode::ReadOnly => ("only $HOME and $TMPDIR (both private) are writable", ""),
        _ => (
            "only the workspace, $HOME and $TMPDIR (the last two private) are writable",
            ", each command is asked for, and neither .git nor secrets there are kept from it",
        ),
    };
    let secrets = if mode == SandboxMode::ReadOnly {
        ", files with secrets there (such as .env) can't be read"
    } else {
        ""
    };
    let signals = if landlock < SIGNALS {
        ", processes of yours can be ended (Landlock is older than Linux 6.12)"
    } else {
        ""
    };
    let network = if wants_network {
        "no network (nor the allowed hosts: that needs namespaces) and no sockets"
    } else {
        "no network and no sockets"
    };
    let limits = if grouped {
        String::new()
    } else {
        format!(", with limits of each process alone (no control group){}", crowd())
    };
    format!(
        "{mode} (local sandbox without namespaces, Landlock and seccomp alone): {writes}{git}{secrets}; /tmp, /dev/shm, /proc and \
         new terminals can't be used; {network}{signals}{limits}"
    )
}

/// The kernel counts processes of everybody but root.
fn crowd() -> &'static str {
    if rustix::process::geteuid().is_root() { ", which counts no processes of root" } else { "" }
}

/// One line for each layer.
pub(in super::super) fn layers(plan: &Plan, landlock: u32) -> Vec<Layer> {
    let layer = |name: &str, ok: bool, detail: String| Layer { name: name.into(), ok, detail };
    let root = rustix::process::geteuid().is_root();
    let identity = if root {
        "commands are root without any right of root: what root's files are kept by are rules alone"
    } else {
        "commands run as you, without any rights of yours elsewhere"
    };
    vec![
        layer("namespaces", false, format!("{WEAKER}. {}", super::super::ways::HINT)),
        layer("identity", !root, identity.into()),
        layer(
            "landlock",
            true,
            format!(
                "version {landlock}: what is read and written goes by rules{}",
                if landlock < SIGNALS {
                    "; signals to processes of yours don't"
                } else {
                    ", and so do signals"
                }
            ),
        ),
        layer("seccomp", true, "kernel interfaces and sockets are refused".into()),
        match limits::Group::new() {
            Ok(_) => layer("limits", true, limits::describe()),
            Err(why) => layer(
                "limits",
                false,
                format!("of each process alone, for there is no control group{}: {why}", crowd()),
            ),
        },
        layer(
            "git",
            false,
            if plan.write {
                format!("each command is asked for: {WORKSPACE}")
            } else {
                "it is read-only".into()
            },
        ),
    ]
}

/// The policy for these settings.
pub(in super::super) fn articles(settings: &Settings, plan: &Plan) -> Vec<Article> {
    let landlock = super::super::sys::landlock_version();
    let article = |about: &'static str, text: String| Article { about, text };
    let list =
        |paths: &[&Path]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let roots: Vec<&Path> = plan.shared().collect();
    let written = written(plan);
    let written: Vec<&Path> = written.iter().map(|path| path.as_path()).collect();
    let tools = if plan.tools.is_empty() { "" } else { ", your tools" };
    let mut articles = vec![
        article("read", format!("the system ({}){tools}, {}", list(&mounts::shown()), list(&roots))),
        article("write", format!("nothing but {}; HOME and TMPDIR are there", list(&written))),
    ];
    if plan.write {
        articles
            .push(article("in there", format!("nothing is held: {WORKSPACE}. Each command is asked for")));
    }
    articles.extend([
        article(
            "refused",
            "your home directory, what others keep in /tmp, /var/tmp and /dev/shm, all of /proc but what tells of the machine, \
             this program's settings, keys and sessions, what the system keeps secret, credentials of your tools"
                .to_owned(),
        ),
        article("network", "none whatever is allowed, and no sockets but pairs of a command's own; not even a loopback".to_owned()),
        article(
            "kernel",
            "no mounts, namespaces, keyrings, set-id programs, shared memory or messages of the machine; no other process is \
             traced, signalled or slowed down"
                .to_owned(),
        ),
        article("end", "all that a command has started ends with it".to_owned()),
        article(
            "not held",
            format!(
                "that a path exists, how large and how old it is{}{}",
                if landlock < SIGNALS { "; processes of yours can be ended" } else { "" },
                if rustix::process::geteuid().is_root() { "; commands are root, without its rights" } else { "" },
            ),
        ),
        article(
            "limits",
            format!(
                "at most {} processes{}, {} open files each and {} MB in the private directories; no core dumps",
                limits::PROCESSES,
                if crowd().is_empty() { "" } else { " (of root only where there is a control group)" },
                limits::FILES,
                settings.disk >> 20
            ),
        ),
    ]);
    articles
}
