//! The screen: an interactive session in the terminal's own scrollback.
//!
//! It knows the vocabulary, the fold and the patch language, and nothing else of ours: updates come in, commands
//! go out. Three functions carry it: `App::update` (what a key or an update changes, no IO), `App::live` (what
//! is drawn) and [`run`] (the only IO).

mod app;
mod approval;
pub mod composer;
mod host;
pub mod keymap;
mod overlay;
mod run;
mod slash;
mod status;
pub mod term;
pub mod text;
pub mod theme;
pub mod transcript;

pub use host::{Answer, Connection, Host, Known, News, Offer, Offered, Question, Switch, Updates};
pub use run::{Begin, Options, run};
pub use status::Ground;
