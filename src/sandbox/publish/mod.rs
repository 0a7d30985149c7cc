//! What of a command's changes goes out of the sandbox, to where other programs obey it: the rules, for all backends.
//!
//! A command works on a `.git` of its own, made of the real one and of what the session changed. What comes of that is
//! judged file by file: what is only data for git (objects, branches, tags, the stash, the index) is checked and brought
//! out; what git would run or obey stays inside.
//!
//! [`filter`], [`content`] and [`index`] decide and are pure; [`repository`] does it, for a layer in the form of an
//! overlay's upper directory, wherever that comes from. [`survey`] looks for what others obey by its name, [`obeyed`] for
//! what they obey because that says so.

pub(super) mod content;
pub(super) mod filter;
mod gitconfig;
pub(super) mod index;
pub(super) mod named;
pub(super) mod obeyed;
mod object;
pub(super) mod survey;
pub(super) mod view;

#[cfg(target_os = "linux")]
pub(super) mod adopt;
#[cfg(target_os = "linux")]
mod base;
#[cfg(target_os = "linux")]
pub(super) mod objects;
#[cfg(target_os = "linux")]
mod outside;
#[cfg(target_os = "linux")]
pub(super) mod repository;
#[cfg(target_os = "linux")]
pub(super) mod tree;

#[cfg(all(test, target_os = "linux"))]
mod tests;
