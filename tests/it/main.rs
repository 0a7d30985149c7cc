//! Flows through more than one module, in one binary.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as loudly as tests")]
#![allow(clippy::print_stderr, reason = "tests say what they could not test")]

mod approvals;
mod architecture;
mod cli;
mod compaction;
mod docker;
mod effects;
mod faults;
mod fuzz;
mod goals;
mod instructions;
mod kills;
mod memory;
mod network;
mod permissions;
mod readme;
mod redaction;
mod resume;
mod sandbox;
mod screen;
mod skills;
mod snapshots;
mod steering;
mod storage;
mod support;
mod turns;
mod wires;
