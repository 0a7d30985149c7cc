//! The library behind the program `agent`.

pub mod protocol;

pub mod context;
pub mod policy;

pub mod model;
pub mod sandbox;
pub mod shell;
pub mod tools;

pub mod cli;
pub mod config;
