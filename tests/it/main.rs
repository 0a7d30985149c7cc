//! Flows over the real program.

mod sandbox;
