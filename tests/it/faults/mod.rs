//! A server that fails, as a person meets it: what is asked again, what is said, and what the program exits with.

mod refusals;
mod secrets;
mod streams;
