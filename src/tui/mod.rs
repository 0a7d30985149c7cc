//! The screen: an interactive session in the terminal's own scrollback.
//!
//! It knows the vocabulary, the fold and the patch language, and nothing else of ours: updates come in, commands
//! go out. Three functions carry it: `App::update` (what a key or an update changes, no IO), `App::live` (what
//! is drawn, no change) and `run` (the only IO).

pub mod composer;
pub mod keymap;
pub mod term;
pub mod text;
pub mod theme;
pub mod transcript;
