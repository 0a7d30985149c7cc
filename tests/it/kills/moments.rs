//! Killed at moments spread over the whole run, and right after each fact.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{
    audit,
    story::{go_on, world},
};
use crate::support::{
    chance::{Chance, cases},
    scripted::signal_when,
};

/// More runs than a story can need.
const RUNS: usize = 100;

#[test]
fn a_session_killed_at_any_moment_goes_on_and_nothing_happens_twice() {
    let mut chance = Chance::of_this_run("kills");
    let mut whole = uninterrupted();
    let moments = cases(12, 50);
    let mut killed = 0;
    while killed < moments {
        let world = world();
        // The first one of each story is spread evenly; further ones come as they come.
        let first = whole.mul_f64((killed as f64 + chance.below(1000) as f64 / 1000.0) / moments as f64);
        let mut delay = Some(first);
        for run in 0.. {
            assert!(run < RUNS, "the story does not come to its end");
            let Some(mut child) = go_on(&world) else { break };
            let start = Instant::now();
            let after = delay.take();
            let when = || after.is_some_and(|after| start.elapsed() >= after);
            if signal_when(&mut child, Signal::KILL, when) {
                killed += 1;
                audit::stage(&world, &format!("killed after {after:?}"));
            } else if run == 0 {
                // The machine has become quicker, or less busy.
                whole = whole.mul_f64(0.9);
            }
            if killed < moments && chance.below(3) > 0 {
                delay = Some(whole.mul_f64(chance.below(1000) as f64 / 1000.0));
            }
        }
        audit::end(&world, &format!("first killed after {first:?}"));
    }
}

#[test]
fn a_session_killed_after_each_fact_goes_on_and_nothing_happens_twice() {
    let counted = world();
    let mut child = go_on(&counted).unwrap();
    signal_when(&mut child, Signal::KILL, || false);
    audit::end(&counted, "uninterrupted");
    let facts = counted.lines();
    // A few stories, each killed after every so manieth fact, so that all facts are hit in the long form.
    let stride = cases(9, 4);
    for offset in (0..stride).step_by(cases(4, 1)) {
        let world = world();
        let mut next = offset;
        for run in 0.. {
            assert!(run < facts + RUNS, "the story does not come to its end");
            let Some(mut child) = go_on(&world) else { break };
            let before = world.lines();
            if signal_when(&mut child, Signal::KILL, || world.lines() >= next) {
                audit::stage(&world, &format!("killed after fact {next}"));
            }
            // At least this much further, so that it comes to its end.
            next = before.max(next) + stride;
        }
        audit::end(&world, &format!("killed after every {stride}th fact from {offset} on"));
    }
}

#[test]
fn a_session_that_was_told_to_stop_goes_on_and_nothing_happens_twice() {
    let mut chance = Chance::of_this_run("signals");
    let whole = uninterrupted();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let world = world();
        for stop in 0..RUNS {
            let Some(mut child) = go_on(&world) else { break };
            let start = Instant::now();
            let after = whole.mul_f64(0.1 + 0.9 * chance.below(1000) as f64 / 1000.0);
            let stops = stop < cases(2, 12);
            if signal_when(&mut child, signal, || stops && start.elapsed() >= after) {
                audit::stage(&world, &format!("{signal:?} after {after:?}"));
            }
        }
        audit::end(&world, &format!("{signal:?}"));
    }
}

/// How long the story takes when nobody stops it, up to its last fact.
fn uninterrupted() -> Duration {
    let world = world();
    let start = Instant::now();
    let mut child = go_on(&world).unwrap();
    let mut last = (start, 0);
    signal_when(&mut child, Signal::KILL, || {
        let lines = world.lines();
        if lines > last.1 {
            last = (Instant::now(), lines);
        }
        false
    });
    audit::end(&world, "uninterrupted");
    last.0 - start
}
