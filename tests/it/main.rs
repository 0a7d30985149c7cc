//! Flows through more than one module, in one binary.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as loudly as tests")]
#![allow(clippy::print_stderr, reason = "tests say what they could not test")]

mod architecture;
mod fuzz;
mod kills;
mod resume;
mod sandbox;
mod storage;
mod support;
mod wires;
