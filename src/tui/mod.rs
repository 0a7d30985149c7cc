//! The screen: an interactive session in the terminal's own scrollback.
//!
//! It knows the vocabulary, the fold and the patch language, and nothing else of ours: updates come in, commands
//! go out. Three functions carry it: `App::update` (what a key or an update changes, no IO), `App::live` (what
//! is drawn) and [`run`] (the only IO).

mod action;
mod app;
#[cfg(test)]
mod app_keys_tests;
mod approval;
mod asked;
pub mod composer;
mod ends;
mod host;
pub mod keymap;
mod linear;
mod overlay;
pub mod prompts;
mod run;
pub mod settings;
mod settle;
mod slash;
mod status;
mod surface;
pub mod term;
pub mod text;
pub mod theme;
pub mod transcript;
mod wants;

#[cfg(test)]
mod playback_tests;
#[cfg(test)]
mod screens_tests;
#[cfg(test)]
mod stage_tests;

pub use app::Recorded;
pub use host::{
    Answer, Apart, Connection, Host, Known, KnownSkill, ModelChoice, News, Offer, Offered, Prospect,
    Question, Ready, Switch, Updates, WorkTree,
};
pub use overlay::context_lines;
pub use run::{Begin, Options, run};
pub use settings::Settings;
pub use status::Ground;
