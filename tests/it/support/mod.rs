//! What the flows share.

pub mod mock;
