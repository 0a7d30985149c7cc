//! Containers on a real engine: commands in them, the workspace's way in and out, and what is left behind.
#![cfg(target_os = "linux")]

mod alone;
mod border;
mod chaos;
mod commands;
mod ends;
mod engine;
mod forgetful;
mod image;
mod network;
mod podman;
mod sessions;
mod terminal;
mod tls;
mod waiting;
mod walls;
pub mod world;
