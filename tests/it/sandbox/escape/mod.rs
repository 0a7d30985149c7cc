//! The escape suite: attacks on the sandbox, written by somebody who did not write the sandbox.
//!
//! Each is run twice: inside, through `agent sandbox`, where it must fail, and without a sandbox, where it must
//! succeed, so that its failure means something. Whether it succeeded is looked for on the host. The attacks are data
//! (`tests/data/escape`); what is here sets them up, runs them and judges.
//!
//! `AGENT_TEST_BACKEND` runs them over another backend than `local`.

mod alone;
pub mod bare;
#[cfg(target_os = "linux")]
mod contained;
mod controls;
mod field;
mod kills;
mod promises;
mod run;
mod table;
mod victims;

use std::fmt::Write as _;

pub use self::field::listing;
use self::{
    bare::Where,
    run::Outcome,
    table::{Attack, Class},
};
use crate::{
    sandbox::refused::over_bubblewrap,
    support::{chance::long, has_sandbox},
};

/// The backends that the suite runs over.
fn backend() -> Vec<String> {
    match std::env::var("AGENT_TEST_BACKEND") {
        Ok(backend) => backend_of(&backend),
        Err(_) => Vec::new(),
    }
}

fn backend_of(name: &str) -> Vec<String> {
    vec!["--backend".into(), name.into()]
}

/// Runs all attacks of a class: none succeeds inside, and all do without a sandbox.
fn holds_against(name: &str) {
    if !has_sandbox() {
        return;
    }
    let Some(helper) = field::helper() else { return };
    let class = Class::named(name);
    let root = rustix::process::geteuid().is_root();
    let long = long();
    let (mut lost, mut unproven, mut awaited) = (Vec::new(), Vec::new(), Vec::new());
    let (mut shown, mut left) = (0, 0);
    for batch in class.batches() {
        if let Some(attack) = batch.iter().find(|attack| attack.long && !long) {
            eprintln!("{name}: {}: left to the long form of the tests", attack.name);
            left += 1;
            continue;
        }
        for outcome in run::run(&class, &batch, helper, &Where::Inside(backend())) {
            match &outcome.attack.awaits {
                _ if outcome.won.is_none() => {}
                Some(why) => awaited.push(format!("{}: {why}", outcome.attack.name)),
                None => lost.push(told(&outcome)),
            }
        }
        // That they succeed without a sandbox is shown by the others.
        let proofs = if over_bubblewrap() { Vec::new() } else { proofs(&batch, root) };
        for (place, attacks) in proofs {
            for outcome in run::run(&class, &attacks, helper, &place) {
                if outcome.won.is_some() {
                    shown += 1;
                } else if outcome.attack.unproven.is_none() {
                    unproven.push(told(&outcome));
                }
            }
        }
    }
    let user = match (root, over_bubblewrap()) {
        (true, _) => "root",
        (false, false) => "an ordinary user",
        (false, true) => "an ordinary user over bubblewrap",
    };
    let all = class.attacks.len() - left;
    eprintln!(
        "escape, {name}, as {user}: {} of {all} held, {shown} of {all} shown to succeed without a sandbox",
        all - lost.len() - awaited.len()
    );
    for awaited in awaited {
        eprintln!("NOT YET HELD: {name}: {awaited}");
    }
    assert!(lost.is_empty(), "{name}, as {user}: attacks succeeded inside:{}", lost.concat());
    assert!(
        unproven.is_empty(),
        "{name}, as {user}: attacks that prove nothing, for they fail without a sandbox too:{}",
        unproven.concat()
    );
}

/// What of a batch can be shown to succeed here, and where.
fn proofs(batch: &[Attack], root: bool) -> Vec<(Where, Vec<Attack>)> {
    let possible = |attack: &&Attack| {
        let room = attack.free_memory_mib.is_none_or(|wanted| free_memory_mib() >= wanted);
        if !room {
            eprintln!("{}: not shown to succeed without a sandbox: too little memory is free", attack.name);
        }
        room && (root || !attack.as_root)
    };
    let (away, here): (Vec<Attack>, Vec<Attack>) =
        batch.iter().filter(possible).cloned().partition(|attack| attack.in_namespaces);
    [(Where::Outside, here), (Where::ThrownAway, away)]
        .into_iter()
        .filter(|(_, attacks)| !attacks.is_empty())
        .collect()
}

fn free_memory_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|line| line.starts_with("MemAvailable")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn told(outcome: &Outcome) -> String {
    let mut text = format!("\n* {} ({:?}", outcome.attack.name, outcome.sign);
    if let Some(won) = &outcome.won {
        let _ = write!(text, ": {won}");
    }
    let _ = write!(text, ")\n    {}", outcome.said.trim().replace('\n', "\n    "));
    text
}

#[test]
fn there_are_enough_attacks_in_every_class() {
    let counts: Vec<(&str, usize)> = Class::all().map(|class| (class.name, class.attacks.len())).collect();
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    assert!(all >= 120 && counts.iter().all(|(_, count)| *count >= 7), "{all}: {counts:?}");
}

#[test]
fn nothing_is_written_outside() {
    holds_against("write");
}

#[test]
fn nothing_secret_is_read() {
    holds_against("read");
}

#[test]
fn nothing_is_inherited() {
    holds_against("environment");
}

#[test]
fn nobody_is_reached() {
    holds_against("network");
}

#[test]
fn no_other_process_is_touched() {
    holds_against("processes");
}

#[test]
fn no_door_of_the_kernel_opens() {
    holds_against("kernel");
}

#[test]
fn nothing_is_taken_without_measure() {
    holds_against("limits");
}

#[test]
fn nothing_lives_on() {
    holds_against("survival");
}

#[test]
fn nothing_that_was_planted_runs() {
    holds_against("later");
}
