//! The terminal itself: what is printed once stays in its scrollback; a few rows below are repainted.
//!
//! [`Screen`] knows where the cursor stands by what it wrote, never by asking: all its motion is relative to the
//! first row of the live region. So it needs no scroll region, no full clear and no alternate screen for the
//! main view, and works the same inside a multiplexer. [`Session`] switches the modes on and, however
//! the program ends, off again. [`Caps`] says what the terminal can do: from the environment, and from one
//! question with a time limit before the first key is read.
//!
//! It does not decide what is shown, when a frame is due, or what a key means.

mod caps;
mod colour;
mod encode;
mod full;
mod gone;
mod guard;
mod late;
mod modes;
mod probe;
mod row;
mod screen;
mod typed;

#[cfg(test)]
mod guard_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod row_tests;
#[cfg(test)]
mod screen_tests;
#[cfg(test)]
mod tmux_tests;

pub use caps::{Caps, Notices};
pub use colour::Depth;
pub use gone::gone;
pub use guard::{Session, Tty, restore};
pub use late::Late;
pub use modes::{COPY_LIMIT, Keep, copy, notice, title};
pub use probe::{Answers, LIMIT, is_dark, query};
pub use row::{AsRow, Link, Row, gate};
pub use screen::{Screen, Size};
pub use typed::typed;
