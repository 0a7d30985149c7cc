//! The sandbox from outside: commands run in it, and the host is looked at for what they did.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests; and what is skipped is said")]

mod alone;
mod attacks;
mod border;
mod ends;
pub mod escape;
mod git;
mod limits;
pub mod missing;
mod ordinary;
pub mod refused;
pub mod terminal;
pub mod world;
