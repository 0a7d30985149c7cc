//! What benchmarks measure with that tell figures of their own, and how they tell them.

#![allow(dead_code, reason = "no benchmark needs all of it")]

use std::{fs, io::Write as _, time::Instant};

/// Seconds that something takes, and what came of it.
pub fn timed<T>(act: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let done = act();
    (started.elapsed().as_secs_f64(), done)
}

/// The middle one of the figures of some rounds.
pub fn median(rounds: usize, mut act: impl FnMut() -> f64) -> f64 {
    let mut all: Vec<f64> = (0..rounds).map(|_| act()).collect();
    all.sort_by(f64::total_cmp);
    all[rounds / 2]
}

/// The most memory that this process has had, in megabytes.
pub fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1000
}

pub fn report(line: &str) {
    // Nobody reads it: nothing to do.
    let _ = writeln!(std::io::stdout(), "{line}");
}
