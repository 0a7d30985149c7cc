//! The library behind the program `agent`.

pub mod protocol;

pub mod policy;
pub mod session;

pub mod model;
pub mod sandbox;
pub mod shell;
pub mod store;
pub mod tools;

pub mod cli;
