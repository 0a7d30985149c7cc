//! The sandbox from outside: commands run in it, and the host is looked at for what they did.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests; and what is skipped is said")]

mod attacks;
mod border;
mod ends;
mod escape;
mod git;
mod limits;
mod missing;
mod ordinary;
pub mod refused;
pub mod terminal;
pub mod world;
