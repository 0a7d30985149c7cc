//! Text as rows of a terminal: cleaned, styled, wrapped, read as Markdown, code or a diff.
//!
//! Everything here is a plain function of text and width. Nothing knows the session, and nothing draws.

pub mod diff;
pub mod exact;
pub mod highlight;
pub mod link;
pub mod look;
pub mod markdown;
pub mod plain;
pub mod wrap;

pub use look::{Ink, Look};
pub use markdown::Markdown;
pub use wrap::{Break, Prefix, Text, columns};
