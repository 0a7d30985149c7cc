//! The library behind the program `agent`.

pub mod protocol;

pub mod patch;

pub mod model;
pub mod sandbox;
pub mod shell;
pub mod tools;

pub mod cli;
