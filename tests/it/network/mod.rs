//! The network of commands: what gets through the proxy and what does not, looked at from the hosts' side.

pub mod proxy;
#[cfg(target_os = "linux")]
mod sandboxed;
#[cfg(target_os = "linux")]
mod session;
pub mod world;
