//! The sandbox from outside: commands run in it, and the host is looked at for what they did.
#![cfg(target_os = "linux")]

mod attacks;
mod ends;
mod ordinary;
mod terminal;
pub mod world;
