//! The other half of a sandbox: what development does all day works inside (`tests/data/escape/controls.toml`).

use std::{fs, process::Command};

use serde::Deserialize;

use super::{
    backend,
    bare::{Bare, Where},
    field::helper,
};
use crate::{sandbox::refused::over_bubblewrap, support::has_sandbox};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Control {
    name: String,
    /// A program without which it can't be tried.
    needs: String,
    /// For `bash`, in a repository with one commit. It works when it ends with 0.
    run: String,
    #[serde(default = "patience")]
    seconds: u32,
    /// It writes the `.git` of the workspace.
    #[serde(default)]
    writes_git: bool,
    /// Why it means nothing in a container.
    not_in_containers: Option<String>,
    /// It does not work inside: what is to be done about it. Loud, and not a failure.
    awaits: Option<String>,
}

fn patience() -> u32 {
    20
}

fn all() -> Vec<Control> {
    #[derive(Deserialize)]
    struct Table {
        control: Vec<Control>,
    }
    let table: Table = toml::from_str(include_str!("../../../data/escape/controls.toml")).unwrap();
    table.control
}

#[test]
fn ordinary_development_works_inside() {
    if !has_sandbox() {
        return;
    }
    let Some(helper) = helper() else { return };
    let controls = all();
    assert!(controls.len() >= 20);
    let user = if rustix::process::geteuid().is_root() { "root" } else { "an ordinary user" };
    let (mut worked, mut awaited, mut absent, mut failed) = (0, Vec::new(), Vec::new(), Vec::new());
    for control in &controls {
        if control.writes_git && over_bubblewrap() {
            eprintln!("not over bubblewrap, where .git is read-only: {}", control.name);
            continue;
        }
        let outside = tried(control, helper, &Where::Outside);
        if let Err(said) = outside {
            // Not installed, or not for this user: what does not work without a sandbox says nothing about it.
            absent.push(format!("{} ({}): {said}", control.name, control.needs));
            continue;
        }
        match (tried(control, helper, &Where::Inside(backend())), &control.awaits) {
            (Ok(()), _) => worked += 1,
            (Err(_), Some(why)) => awaited.push(format!("{}: {why}", control.name)),
            (Err(said), None) => failed.push(format!("\n* {}\n    {said}", control.name)),
        }
    }
    eprintln!("controls, as {user}: {worked} of {} work inside", controls.len() - absent.len());
    for absent in &absent {
        eprintln!("not tried, for it does not work here without a sandbox either: {absent}");
    }
    for awaited in awaited {
        eprintln!("DOES NOT WORK YET: {awaited}");
    }
    assert!(failed.is_empty(), "as {user}:{}", failed.concat());
    assert!(worked >= 20, "only {worked} could be tried");
}

/// What the controls need in an image, beside the programs of the other tests.
#[cfg(target_os = "linux")]
const PROGRAMS: &str = "as awk base64 cc cmp comm dirname expr file free gdb getent git head hostname join kill ld less make \
                        mount node nproc ps python3 readlink realpath setarch setsid strace sync tmux uptime which xargs \
                        /usr/lib/git-core /usr/share/git-core /usr/lib/python3.11 /usr/lib/node_modules /usr/share/gdb \
                        /usr/lib/locale/C.utf8 /usr/share/terminfo/t /usr/share/terminfo/s /lib/terminfo/t \
                        /lib/terminfo/s /usr/bin/npm /usr/lib/gcc/*/*/cc1 /usr/lib/gcc/*/*/collect2 \
                        /usr/lib/gcc/*/*/lto-wrapper /usr/lib/gcc/*/*/liblto_plugin.so /usr/lib/gcc/*/*/crt*.o \
                        /usr/lib/gcc/*/*/libgcc* /usr/lib/*-linux-gnu/*crt*.o /usr/lib/*-linux-gnu/libc.so \
                        /usr/lib/*-linux-gnu/libc_nonshared.a /usr/lib/*-linux-gnu/libgcc_s.so.1 \
                        /usr/include/stdc-predef.h /etc/nsswitch.conf";

/// Sandboxes at once.
#[cfg(target_os = "linux")]
const AT_ONCE: usize = 3;

#[cfg(target_os = "linux")]
#[test]
fn ordinary_development_works_when_contained() {
    use std::sync::Mutex;

    let Some(image) = crate::docker::world::image_with(PROGRAMS) else { return };
    let Some(helper) = helper() else { return };
    let place = Where::Inside(super::backend_of(&format!("docker:{image}")));
    let (apart, controls): (Vec<Control>, Vec<Control>) =
        all().into_iter().partition(|control| control.not_in_containers.is_some());
    let count = controls.len();
    let (queue, failed) = (Mutex::new(controls), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(control) = queue.lock().unwrap().pop() else { return };
                    // It works here, or it would say nothing of the container.
                    let said = match tried(&control, helper, &Where::Outside) {
                        Ok(()) => tried(&control, helper, &place),
                        Err(said) => Err(format!("without a sandbox either: {said}")),
                    };
                    failed.lock().unwrap().extend(said.err().map(|said| (control, said)));
                }
            });
        }
    });
    for Control { name, not_in_containers, .. } in apart {
        eprintln!("does not apply in a container: {name}: {}", not_in_containers.unwrap_or_default());
    }
    let (absent, failed): (Vec<_>, Vec<_>) =
        failed.into_inner().unwrap().into_iter().partition(|(_, said)| said.ends_with(ABSENT));
    eprintln!("controls, in a container: {} of {count} work inside", count - failed.len() - absent.len());
    for (control, said) in absent {
        crate::support::skip(&format!("{} in a container: {}: {said}", control.name, control.needs));
    }
    let failed: String =
        failed.into_iter().map(|(control, said)| format!("\n* {}\n    {said}", control.name)).collect();
    assert!(failed.is_empty(), "in a container:{failed}");
}

const ABSENT: &str = "not installed";

fn tried(control: &Control, helper: &std::path::Path, place: &Where) -> Result<(), String> {
    let found = Command::new("sh").args(["-c", &format!("command -v {}", control.needs)]).output().unwrap();
    if !found.status.success() {
        return Err(ABSENT.into());
    }
    let bare = Bare::new();
    bare.make_repository();
    fs::copy(helper, bare.workspace.join("attack")).unwrap();
    let mut command = bare
        .command(place, &["timeout", "-s", "KILL", &control.seconds.to_string(), "bash", "-c", &control.run]);
    let output = command.output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let end = said.char_indices().rev().nth(800).map_or(0, |(at, _)| at);
    Err(format!("{}: {}", output.status, said.get(end..).unwrap_or_default().trim()))
}
