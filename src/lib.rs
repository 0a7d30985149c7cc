//! # `agent`: a terminal coding agent
//!
//! It drives a language model through an asynchronous shell loop in a sandbox, applies patches, and can always
//! be stopped and resumed without losing anything. This page is the map of the code; a test holds the modules
//! against it.
//!
//! ```text
//!    you --keys--> tui --------+                                   +--> model   (HTTP streams)
//!    pipe -------> headless ---+--Command-->  harness  ---Step---> +--> tools --> shell --> sandbox
//!                              +--<-Update--  (one task) <-Work--- +
//!                                              |  ^
//!                                       record |  | next()
//!                                              v  |
//!                                  store (log) + session (fold)    pure; also folded by each face
//! ```
//!
//! ## What to keep in mind
//!
//! 1. **One vocabulary.** [`protocol::Item`] is a piece of conversation for the log, the session, the request,
//!    the screen and `--json` alike.
//! 2. **Facts and deltas are different types.** A [`protocol::Fact`] is durable, numbered, logged and replayed.
//!    A [`protocol::Delta`] is live only, and always superseded by a later fact.
//! 3. **Three pure functions and one task.** `decide(command) -> facts`, `apply(fact)` and `next() -> step` on a
//!    plain [`session::Session`]; one task in [`harness`] owns it and does the work. A pending approval is a
//!    state folded from the log, so that it survives a restart.
//! 4. **One door.** Only `Harness::record` makes something true: written, then folded, then shown.
//! 5. **A sandbox turns one command line into another** ([`sandbox::Sandbox::wrap`]), so that all backends share
//!    one path for terminals, output and signals.
//! 6. **A tool says what it would do before it does it** ([`tools::Tool::intent`]), and never asks for permission.
//! 7. **Faces draw by the shape of a result** ([`protocol::Shown`]), not by the name of a tool.
//! 8. **Modules do not import configuration**; `config` imports their settings, and only [`cli`] imports it.
//!
//! ## Layers
//!
//! | layer | modules | what it is | may never |
//! |---|---|---|---|
//! | start | `main`, [`cli`], `config` | read argv, environment and files; build; pick a face | hold logic |
//! | faces | [`tui`], [`headless`] | turn updates into something seen, and input into commands | import the harness or the hands |
//! | will | [`harness`] | the one task that makes things happen | draw, parse keys, print |
//! | hands | [`model`], [`tools`], [`shell`], [`sandbox`], [`secrets`], [`store`], [`snapshot`], [`skills`], [`memory`] | touch the world, each behind one trait or struct | know sessions, approvals or faces |
//! | thought | [`session`], [`policy`], `context`, `patch` | decide; pure | do IO, read a clock, be async |
//! | words | [`protocol`] | the vocabulary | import anything of ours |
//!
//! ## Invariants
//!
//! - The log is the truth: a replay of it equals the live session at every event.
//! - A fact is written before anyone sees it, and on the disk before the side effect that it announces begins.
//! - `apply` can't fail: it already happened. `decide` is where things are refused.
//! - What is allowed for longer than a session comes from the person's own configuration, and is a fact in each session
//!   that it holds in; a project can't bring any of it along.
//! - Only the harness task writes the session. There is no lock around it.
//! - `next` is total: at every point it names the next work, or nothing, in which case something outside is owed.
//! - Starting a step records a fact, so that the same step is not due for ever.
//! - Every tool call gets exactly one result, also when it was interrupted, refused, or crashed.
//! - A decision for a call that is not waiting is refused: allowing twice runs it once.
//! - Whatever was done to files while a session was closed is somebody else's work: the model is told of it once, and
//!   nothing but a person's word overwrites it.
//! - What later sessions are told of earlier ones is the person's: a model's notes pass checks by code, edits by hand go
//!   before them, and each change is there whole or not at all.
//! - Channels that carry facts never drop. Deltas are merged to a frame rate before they are sent.
//! - No provider key is in any child's environment, log or error text. What tools say passes one border ([`secrets`])
//!   before it is kept or shown.
//!
//! A message that comes while a turn runs is queued as a fact, becomes an item when it is delivered (after the
//! results of the calls that run, or after the turn), and can be taken back until then. What a person does to a
//! process by hand (type into it, end it) is told to the model with its next request; what was typed is kept nowhere.

pub mod protocol;

pub mod context;
pub mod patch;
pub mod policy;
pub mod session;

pub mod memory;
pub mod model;
pub mod sandbox;
pub mod secrets;
pub mod shell;
pub mod skills;
pub mod snapshot;
pub mod store;
pub mod tools;

pub mod harness;

pub mod headless;
pub mod tui;

pub mod cli;
pub mod config;
