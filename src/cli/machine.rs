//! What of the machine makes the program better or worse, beside the sandbox: git, the terminal, the clipboard, room.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::config::trust::Standing;
use crate::tui::term::Caps;

use super::{clipboard, doctor::Check, start::Start};

/// The git that knows all that is asked of it: settings from variables, which switch off what a repository names.
const GIT: (u32, u32) = (2, 31);
/// Room for sessions, in bytes: below the first one it is said, below the second one nothing should be begun.
const ROOM: (u64, u64) = (1 << 30, 100 << 20);

/// Looks at all of it.
pub(super) fn look(start: &Start) -> Vec<Check> {
    let mut checks = vec![git(&start.workspace)];
    checks.extend(terminal());
    checks.push(pictures());
    checks.push(room(&start.home.sessions()));
    checks.extend(start.config.notices.iter().map(|notice| Check::warn("settings", "read", notice)));
    let trust = &start.config.trust;
    if trust.standing == Standing::Open {
        let found = format!("{} files of this repository were not looked at", trust.files.len());
        let hint = "they are left alone until you decide: start `agent` here, which shows them";
        checks.push(Check::warn("trust", &found, hint));
    }
    checks
}

fn git(workspace: &Path) -> Check {
    let needed = "`/diff` and the branch in the status line need it";
    let Some(git) = program("git", workspace) else {
        return Check::warn(
            "git",
            "not installed",
            &format!("install git {}.{} or newer: {needed}", GIT.0, GIT.1),
        );
    };
    let said = output(Command::new(&git).arg("--version")).unwrap_or_default();
    match version(&said) {
        Some(version) if version >= GIT => {
            Check::fine("git", &format!("{}.{} ({})", version.0, version.1, git.display()))
        }
        Some(version) => Check::warn(
            "git",
            &format!("{}.{} ({})", version.0, version.1, git.display()),
            &format!("install {}.{} or newer: {needed}", GIT.0, GIT.1),
        ),
        None => {
            Check::warn("git", &format!("{} does not say which it is", git.display()), "install git again")
        }
    }
}

/// The first two numbers of a version.
fn version(said: &str) -> Option<(u32, u32)> {
    let word = said.split_whitespace().find(|word| word.starts_with(|char: char| char.is_ascii_digit()))?;
    let mut numbers = word.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn terminal() -> Vec<Check> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let term = set("TERM").unwrap_or_else(|| "unknown (TERM is not set)".to_owned());
    let caps = Caps::from_variables(set);
    let mut checks = vec![if caps.dumb {
        Check::warn(
            "terminal",
            &term,
            "it gets plain lines; the screen needs one that takes escape sequences",
        )
    } else {
        Check::fine("terminal", &format!("{term}, colours: {:?}", caps.depth).to_lowercase())
    }];
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| set(name)).unwrap_or_default();
    let unicode = ["utf-8", "utf8"].iter().any(|name| locale.to_lowercase().contains(name));
    if !unicode && !cfg!(target_os = "macos") {
        let shown = if locale.is_empty() { "none is set" } else { &locale };
        checks.push(Check::warn("locale", shown, "set LANG=C.UTF-8, so that all letters are shown"));
    }
    if set("TMUX").is_some() {
        checks.push(tmux());
    }
    checks
}

/// What the multiplexer lets through. It is asked for both, for the place of an option depends on its version.
fn tmux() -> Check {
    let ask = |args: &[&str]| output(Command::new("tmux").args(args)).map(|said| said.trim().to_owned());
    let option = |name: &str| {
        ["-sv", "-gv"]
            .iter()
            .find_map(|kind| ask(&["show-options", kind, name]).filter(|said| !said.is_empty()))
    };
    let name = ask(&["-V"]).unwrap_or_else(|| "tmux".to_owned());
    let mut hints = Vec::new();
    if option("focus-events").is_some_and(|value| value != "on") {
        hints.push("`set -g focus-events on`: you are told of an end only when you look elsewhere");
    }
    if option("set-clipboard").is_some_and(|value| value != "on") {
        hints.push("`set -s set-clipboard on`: /copy reaches your clipboard");
    }
    match hints.is_empty() {
        true => Check::fine("multiplexer", &name),
        false => Check::warn("multiplexer", &name, &format!("in ~/.tmux.conf: {}", hints.join("; "))),
    }
}

fn pictures() -> Check {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    match clipboard::tool(set) {
        Err(_) => {
            Check::fine("clipboard", "no desktop here, so none with pictures; paste the path of a file")
        }
        Ok(tool) if program(tool.name, Path::new("/")).is_some() => Check::fine("clipboard", tool.name),
        Ok(tool) => {
            let hint = format!("install {}: Ctrl-V attaches a picture", tool.package);
            Check::warn("clipboard", &format!("{} is not installed", tool.name), &hint)
        }
    }
}

fn room(sessions: &Path) -> Check {
    let there = sessions.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        Err(error) => Check::warn("room", &format!("can't be found out: {error}"), "df says it, perhaps"),
        Ok(disk) => judged(disk.f_bavail.saturating_mul(disk.f_frsize)),
    }
}

fn judged(free: u64) -> Check {
    let said = format!("{} MB free where sessions are kept", free / 1_000_000);
    let hint = "free some, or put sessions elsewhere with AGENT_HOME; `agent sessions rm` deletes old ones";
    match free {
        free if free < ROOM.1 => Check { ok: false, ..Check::warn("room", &said, hint) },
        free if free < ROOM.0 => Check::warn("room", &said, hint),
        _ => Check::fine("room", &said),
    }
}

/// A program of the machine, and not one that the workspace brings.
fn program(name: &str, workspace: &Path) -> Option<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let own = |folder: &PathBuf| {
        folder.is_absolute() && (workspace.parent().is_none() || !folder.starts_with(workspace))
    };
    env::split_paths(&folders).filter(own).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_programs_say_them() {
        for (said, read) in [
            ("git version 2.39.5\n", Some((2, 39))),
            ("git version 2.50.1 (Apple Git-155)", Some((2, 50))),
            ("git version 2.45.rc1", Some((2, 45))),
            ("tmux 3.3a", None),
            ("", None),
        ] {
            assert_eq!(version(said), read, "{said}");
        }
    }

    #[test]
    fn little_room_is_said_and_none_is_a_fault() {
        let marks = [20 << 30, 500 << 20, 5 << 20].map(judged).map(|check| (check.ok, check.hint.is_some()));
        assert_eq!(marks, [(true, false), (true, true), (false, true)]);
    }
}
