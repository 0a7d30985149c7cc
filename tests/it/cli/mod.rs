//! The command line as scripts and people use it: streams, files, signals, exit codes.

mod explain;
mod input;
mod keeping;
mod keyring;
mod models;
mod output;
mod replay;
mod sessions;
mod setup;
mod signals;
mod trust;
