//! Chance that can be had again, and how much of it there is time for.

use std::{
    env,
    time::{Duration, Instant},
};

/// Whether the long forms were asked for (`AGENT_TEST_LONG=1`).
pub fn long() -> bool {
    env::var_os("AGENT_TEST_LONG").is_some()
}

/// As many as there is time for.
pub fn cases(short: usize, long_form: usize) -> usize {
    if long() { long_form } else { short }
}

/// A small generator of numbers (splitmix64): the same ones for the same seed.
pub struct Chance(u64);

impl Chance {
    /// From `AGENT_TEST_SEED`, or a seed of this moment; it is printed, so that a failure can be had again.
    pub fn of_this_run(what: &str) -> Self {
        let given = env::var("AGENT_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            u64::try_from(now.as_nanos() % 1_000_000_007).unwrap()
        });
        eprintln!("{what}: AGENT_TEST_SEED={seed}");
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn of<'t, T>(&mut self, table: &'t [T]) -> &'t T {
        &table[self.below(table.len())]
    }
}

/// How long a target runs in the long form, unless `AGENT_FUZZ_SECONDS` says otherwise.
const LONG: Duration = Duration::from_secs(600);

/// Calls `case` again and again until the time is over, and says how often.
pub fn fuzz(what: &str, short: Duration, mut case: impl FnMut(&mut Chance)) {
    let seconds = env::var("AGENT_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let time = seconds.map_or(if long() { LONG } else { short }, Duration::from_secs);
    let mut chance = Chance::of_this_run(what);
    let start = Instant::now();
    let mut cases = 0_u64;
    while cases == 0 || start.elapsed() < time {
        case(&mut chance);
        cases += 1;
    }
    eprintln!("{what}: {cases} cases in {:.1} s", start.elapsed().as_secs_f64());
}
