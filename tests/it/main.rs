//! Flows through more than one module, in one binary.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as loudly as tests")]

mod sandbox;
mod support;
mod wires;
