//! The real program is killed at any moment, and goes on: nothing is lost, and nothing happens twice.

mod audit;
mod moments;
mod orphans;
mod story;
