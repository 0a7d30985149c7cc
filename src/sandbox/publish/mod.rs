//! What of a command's changes goes out of the sandbox, to where other programs obey it: the rules, for all backends.
//!
//! A command works on a `.git` of its own, made of the real one and of what the session changed. What comes of that is
//! judged file by file: what is only data for git (objects, branches, tags, the stash, the index) is checked and brought
//! out; what git would run or obey stays inside.

#![allow(dead_code, reason = "the backends that use it come one by one")]

pub(super) mod content;
pub(super) mod filter;
