//! Running attacks, inside and outside, and what the host finds afterwards.

use std::{
    fmt::Write as _,
    fs,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{
            fs::{FileTypeExt as _, PermissionsExt as _},
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    bare::Where,
    field::{Field, Ready, listing, place_of},
    table::{Attack, Class, Sign},
};
use crate::sandbox::world::{becomes_true, running};

/// How long what must be gone may take.
const GONE: Duration = Duration::from_secs(3);

/// What became of one attack.
pub struct Outcome {
    pub attack: Attack,
    pub sign: Sign,
    /// What the host found, if it succeeded.
    pub won: Option<String>,
    /// Whether it was tried at all.
    pub ran: bool,
    /// What the attack printed.
    pub said: String,
}

/// Runs attacks that share a sandbox.
pub fn run(class: &Class, attacks: &[Attack], helper: &Path, place: &Where) -> Vec<Outcome> {
    let mut field = Field::new(class, attacks, helper);
    let script = driver(class, &field);
    let mut child = start(&field, &script, place);
    if let Some(signal) = field.attacks.iter().find_map(|ready| ready.attack.end.clone()) {
        let contained = matches!(place, Where::Inside(arguments) if arguments.iter().any(|word| word.starts_with("docker")));
        end(&field, &child, &signal, contained);
    }
    child.wait().unwrap();
    let heard = field.listeners.take().map(super::victims::Listeners::heard).unwrap_or_default();
    let readies = std::mem::take(&mut field.attacks);
    readies.into_iter().map(|ready| judge(class, &field, ready, &heard, place)).collect()
}

/// One script for all of them, each in a process of its own, in a directory of its own.
fn driver(class: &Class, field: &Field) -> String {
    let mut script = String::from("export LC_ALL=C\n");
    let scripts = field.bare.workspace.join(".attacks");
    for ready in &field.attacks {
        let exports = ready.vars.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = write!(text, " {name}='{value}'");
            text
        });
        fs::write(scripts.join(format!("{}.sh", ready.id)), &ready.attack.run).unwrap();
        let _ = writeln!(
            script,
            "( export{exports}\n cd '{place}' || exit\n exec timeout -s KILL {seconds} sh '{scripts}/{id}.sh' \
             > '{scripts}/{id}.said' 2>&1 < /dev/null )",
            place = place_of(class, field, ready).display(),
            seconds = ready.attack.seconds,
            scripts = scripts.display(),
            id = ready.id,
        );
    }
    script
}

/// Starts the agent, or a shell, with everything that an attack may find there.
fn start(field: &Field, script: &str, place: &Where) -> Child {
    let mut command = field.bare.command(place, &["sh", "-c", script]);
    command
        .env("VIRTUAL_ENV", field.bare.root.join("venv"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its own, so that a signal to all of a group does not reach the test.
        .process_group(0);
    let mut left_open: Vec<(OwnedFd, i32)> = Vec::new();
    for ready in &field.attacks {
        if let Some(name) = &ready.attack.variable {
            command.env(name, &ready.canary);
        }
        let out = Path::new(ready.var("OUT"));
        // Away from the numbers that they shall have.
        let mut open = |path: PathBuf, number| {
            let file = fs::File::open(path).unwrap();
            left_open.push((rustix::io::fcntl_dupfd_cloexec(&file, 300).unwrap(), number));
        };
        if let Some(number) = ready.attack.descriptor {
            open(out.join("secret"), number);
        }
        if let Some(number) = ready.attack.directory {
            open(out.to_owned(), number);
        }
    }
    let from: Vec<(i32, i32)> = left_open.iter().map(|(file, number)| (file.as_raw_fd(), *number)).collect();
    #[expect(unsafe_code, reason = "descriptors that are left open can only be made by hand")]
    // SAFETY: dup2 may be called between fork and exec.
    unsafe {
        command.pre_exec(move || {
            for (from, to) in &from {
                libc::dup2(*from, *to);
            }
            Ok(())
        });
    }
    command.spawn().unwrap_or_else(|error| panic!("{:?} can't be started: {error}", command.get_program()))
}

/// Ends the agent, once the attack stands.
fn end(field: &Field, child: &Child, signal: &str, contained: bool) {
    // What is made in a container does not come out while it runs; its processes are seen.
    let up = || {
        let file = |ready: &Ready| field.bare.workspace.join("in").join(&ready.id).join("up");
        field
            .attacks
            .iter()
            .all(|ready| file(ready).exists() || (contained && !running(ready.var("MARK")).is_empty()))
    };
    let names = || field.attacks.iter().map(|ready| ready.attack.name.as_str()).collect::<Vec<_>>();
    assert!(becomes_true(up), "{:?} did not start", names());
    let signal = match signal {
        "TERM" => Signal::TERM,
        "INT" => Signal::INT,
        "HUP" => Signal::HUP,
        _ => Signal::KILL,
    };
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

fn judge(class: &Class, field: &Field, mut ready: Ready, heard: &str, place: &Where) -> Outcome {
    let said = fs::read(field.bare.workspace.join(".attacks").join(format!("{}.said", ready.id)));
    // Of one that was killed with its container nothing comes out.
    let ran = said.is_ok() || ready.attack.end.is_some();
    let said = said.unwrap_or_default();
    let mut said = String::from_utf8_lossy(&said).into_owned();
    let victim = ready.victim.take().map(super::victims::Victim::harmed);
    let inside = matches!(place, Where::Inside(_) | Where::Alone);
    if let Some(trigger) = &ready.attack.trigger {
        let proof = ready.attack.trigger_proof.as_ref().filter(|_| !inside);
        let (_, told) = field.host_for(&ready, &field.bare.workspace, proof.unwrap_or(trigger));
        let _ = write!(said, "\n-- afterwards: {told}");
    }
    let found = match ready.sign {
        Sign::Changed | Sign::Planted => changed(&ready),
        Sign::Loot => said.contains(&ready.canary).then(|| "the marker was read".to_owned()),
        Sign::Heard => heard.lines().any(|line| line.contains(&ready.id)).then(|| "it was heard".to_owned()),
        Sign::Victim => victim.flatten(),
        Sign::Alive => alive(&ready, if inside { GONE } else { Duration::ZERO }),
        Sign::Ran => {
            Path::new(ready.var("OUT")).join("ran").exists().then(|| "what was planted ran".to_owned())
        }
        Sign::SetId => powerful(&place_of(class, field, &ready)),
        Sign::Said => said.contains("PWNED").then(|| "the kernel did it".to_owned()),
    };
    for path in ready.watched().iter().filter(|path| path.to_string_lossy().contains(&ready.id)) {
        if !path.starts_with(&field.bare.root) {
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        }
    }
    if let Some(cleanup) = &ready.attack.cleanup {
        field.host_for(&ready, &field.bare.workspace, cleanup);
    }
    // What lives on without a sandbox shall not do so for ever.
    for pid in running(ready.var("MARK")) {
        let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
    }
    said.truncate(said.char_indices().nth(800).map_or(said.len(), |(at, _)| at));
    Outcome { attack: ready.attack, sign: ready.sign, won: found, ran, said }
}

fn changed(ready: &Ready) -> Option<String> {
    let mut differences = String::new();
    for (path, before) in ready.watched().iter().zip(&ready.before) {
        let now = listing(path);
        for (path, is) in &now {
            match before.get(path) {
                Some(was) if was == is => {}
                Some(was) => drop(write!(differences, "{}: {was} -> {is}; ", path.display())),
                None => drop(write!(differences, "{} is new; ", path.display())),
            }
        }
        for path in before.keys().filter(|path| !now.contains_key(*path)) {
            let _ = write!(differences, "{} is gone; ", path.display());
        }
    }
    (!differences.is_empty()).then_some(differences)
}

/// Whether a process of the attack lives after `patience`.
fn alive(ready: &Ready, patience: Duration) -> Option<String> {
    let deadline = Instant::now() + patience;
    let mut quiet = 0;
    loop {
        let found = running(ready.var("MARK"));
        // One that is forked on and on can be missed once, and not three times.
        quiet = if found.is_empty() { quiet + 1 } else { 0 };
        if quiet == 3 {
            return None;
        }
        if !found.is_empty() && Instant::now() >= deadline {
            return Some(format!("processes {found:?} live"));
        }
        std::thread::yield_now();
    }
}

/// A file that makes its user somebody else, or that is a device.
fn powerful(directory: &Path) -> Option<String> {
    fs::read_dir(directory).unwrap().flatten().find_map(|entry| {
        let meta = entry.metadata().unwrap();
        let capable = rustix::fs::lgetxattr(entry.path(), "security.capability", &mut [0_u8; 64][..]).is_ok();
        let mode = meta.permissions().mode();
        let device = meta.file_type().is_char_device() || meta.file_type().is_block_device();
        (mode & 0o6000 != 0 && !meta.is_dir() || device || capable)
            .then(|| format!("{} has mode {mode:o}", entry.path().display()))
    })
}
