//! Flows through more than one module, in one binary.

mod support;
mod wires;
