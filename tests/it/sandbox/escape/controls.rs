//! The other half of a sandbox: what development does all day works inside (`tests/data/escape/controls.toml`).

use std::{fs, process::Command};

use serde::Deserialize;

use super::{
    backend,
    bare::{Bare, Where},
    field::helper,
};
use crate::support::has_sandbox;

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

fn tried(control: &Control, helper: &std::path::Path, place: &Where) -> Result<(), String> {
    let found = Command::new("sh").args(["-c", &format!("command -v {}", control.needs)]).output().unwrap();
    if !found.status.success() {
        return Err("not installed".into());
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
